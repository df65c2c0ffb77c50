// SPDX-License-Identifier: Apache-2.0
/*
 * Makes a mismatch small: leaves out times, series, samples and parts of the expression as long
 * as the two evaluators still differ, and prints what is left as a promtool test file with both
 * results. Parts are cut out by their span in the text, so hand-written expressions shrink too.
 */
#pragma once
#include "tests/conformance/trial.h"

#define SHRINK_TRIES 500 // runs of promtool; ten times as many without it

void shrink_and_print(const struct trial *t, const struct mismatch *m, uint64_t seed);
