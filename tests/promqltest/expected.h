// SPDX-License-Identifier: Apache-2.0
/*
 * Whether a result is what a script expects: the same series with values that agree to a relative
 * 1e-6 (NaN with NaN), histograms bucket by bucket. What differs is told in `why`.
 */
#pragma once
#include "rules/eval.h"
#include "tests/promqltest/script.h"

// The samples of one series of a range vector or of a range query.
struct row {
    struct labels labels;
    const struct point *p;
    size_t n;
};
bool expected_value(const struct command *c, const struct value *v, struct buf *why);
bool expected_rows(const struct command *c, const struct row *rows, size_t n, struct buf *why);
// An error where one is expected: true; *ret_wording tells whether it says what is expected.
bool expected_failure(const struct command *c, const char *message, bool *ret_wording);
// Warnings and infos; text: that of the expression.
bool expected_annotations(
    const struct command *c, const struct annotations *as, const char *text, struct buf *why);
