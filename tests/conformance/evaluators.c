// SPDX-License-Identifier: Apache-2.0
#include "tests/conformance/trial.h"

const struct evaluator *const EVALUATORS[N_EVALUATORS] = {
    [BY_PROMTOOL] = &promtool_evaluator,
    [BY_BATCH] = &batch_evaluator,
    [BY_LIVE_BATCH] = &live_batch_evaluator,
    [BY_INCREMENTAL] = &incremental_evaluator,
};
