// SPDX-License-Identifier: Apache-2.0
/*
 * Looks at a difference between two evaluators and says whether it is one. Made only when there is
 * one; has a batch evaluator of its own, told the whole history, for the parts of the expression.
 */
#pragma once
#include "tests/conformance/trial.h"

struct judge;
struct judge *judge_new(const struct trial *t, const struct question *q, int64_t t_ms);
void judge_free(struct judge *j);
// Largest finite value any part has: a difference that is small beside it is a rounding error
// that was left over when large things cancelled out.
double judge_largest(struct judge *j);
// A comparison in it has two sides that are equal but for rounding.
bool judge_tie(struct judge *j);
// One of the things 2.42 has otherwise than later versions. theirs: the error, if only
// promtool has one.
bool judge_known(struct judge *j, const char *theirs);
