// SPDX-License-Identifier: Apache-2.0
/*
 * Prometheus's alerting of one rule, written down plainly from its documentation: what is true at
 * an evaluation becomes pending, fires once it has been true for `for`, and ends at the first
 * evaluation that does not have it, unless keep_firing_for holds it. A failed evaluation changes
 * nothing. Alerts are known by their printed labels, which the arena given at init keeps.
 */
#pragma once
#include "rules/alert.h"
#include "tests/conformance/result.h"

#define MODEL_ALERTS_MAX 256

struct modelled {
    const char *labels;
    enum alert_state state;
    int64_t active_at_ms, keep_since_ms; // keep: -1 = true at the last evaluation
};
struct alert_model {
    struct arena *arena;
    const char *name; // of the rule
    int64_t for_ms, keep_ms;
    struct modelled a[MODEL_ALERTS_MAX];
    size_t n;
};

// The labels of the alert an element makes: without the metric's name, with the rule's own.
const char *alert_labels(struct arena *a, const struct labels *of, const char *alertname);
// What the batch evaluator said at t_ms. false: a failed evaluation.
bool alert_model_step(struct alert_model *m, int64_t t_ms, int rc, const struct value *v);
