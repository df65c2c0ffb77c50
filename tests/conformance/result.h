// SPDX-License-Identifier: Apache-2.0
/*
 * What one evaluator says of one expression at one time, in a form all of them can be brought to:
 * rows of printed labels and a value, sorted by the labels; or an error. A scalar is one row
 * without labels. Lives in the arena it was made in.
 */
#pragma once
#include "rules/eval.h"
#include "tests/conformance/accuracy.h"

struct row {
    const char *labels; // {__name__="c", i="1"}
    double v;
};
struct result {
    struct row *row;
    size_t n, cap;
    const char *error; // NULL: none
};

void result_add(struct result *r, struct arena *a, const char *labels, size_t len, double v);
void result_error(struct result *r, struct arena *a, const char *text);
// What an evaluator of ours returned. The labels of an element that is NO_DATA begin with "?";
// filtered ones are left out.
void result_of_value(
    struct result *r, struct arena *a, int rc, const struct value *v, const struct err *err);
void result_sort(struct result *r);

enum verdict { SAME, OTHER_PRESENCE, OTHER_VALUE };
// floor: an absolute difference below this is no difference either (see scale in trial.h).
enum verdict result_compare(
    const struct result *a, const struct result *b, double tolerance, double floor);
void result_print(const struct result *r, struct buf *out);
