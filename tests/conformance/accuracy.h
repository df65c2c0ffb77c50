// SPDX-License-Identifier: Apache-2.0
/*
 * How equal two evaluators' results of an expression have to be, read off its tree: to the bit,
 * to 1e-12 (sums over series and averages are added up in different orders), to 1e-9 (moments
 * and regressions). The loosest part of an expression decides.
 *
 * ACCURACY_UNSTABLE is what no evaluator can promise: something that jumps (a comparison, floor,
 * topk, a counter's reset) applied to something that is only nearly equal. The generator makes no
 * such expression; hand-written ones are compared as rough, for a tie is unlikely in them.
 */
#pragma once
#include "rules/ast.h"

enum accuracy { ACCURACY_EXACT, ACCURACY_NEAR, ACCURACY_ROUGH, ACCURACY_UNSTABLE };

enum accuracy accuracy_of(const struct expr *x);
// Largest relative difference allowed; 0 = to the bit.
double accuracy_tolerance(enum accuracy a);
const char *accuracy_name(enum accuracy a);
// The value depends on samples after the evaluation time: a negative offset, a late @.
bool expr_foresees(const struct expr *x);
// Holds infinities, both zeros and the largest doubles, or may come near them: sums of those, of
// their squares, and which of two zeros is the larger, depend on the order.
bool expr_extreme(const struct expr *x);
