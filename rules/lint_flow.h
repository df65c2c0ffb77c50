// SPDX-License-Identifier: Apache-2.0
/*
 * What can be said about the result of an expression without any sample: which labels it may have,
 * and between which values it lies. Private to rules/lint*.c.
 *
 * Both err to the side of silence: a label that may be there is there, a bound that is not known
 * is infinite.
 */
#pragma once
#include "rules/ast.h"

#define FLOW_NAMES_MAX 64 // more label names than this in one place: nothing is known

struct label_flow {
    bool all;           // every label but names; else no label but names
    const char **names; // no order; points into the expression
    size_t n;
};
// Everything lives in the arena. False: no memory.
bool label_flow(struct arena *a, const struct expr *e, struct label_flow *ret);
bool label_flow_has(const struct label_flow *f, const char *name); // may have it
// When the labels that both sides of a binary operation are matched on can never be the same, *ret
// is one that only one side can have; NULL when they can, or it is not known. False: no memory.
bool label_flow_mismatch(
    struct arena *a, const struct expr *binary, const char **ret, bool *ret_left_has);

struct value_bounds {
    double low, high;
    bool nan; // or it is no number
};
struct value_bounds value_bounds(const struct expr *e);
// -1: the comparison holds for no number its operands can have; 1: for every one; 0: it depends.
int value_compare(const struct expr *binary);
