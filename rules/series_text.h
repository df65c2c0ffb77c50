// SPDX-License-Identifier: Apache-2.0
/*
 * Series as promtool's test files and promqltest scripts write them: labels, and points that
 * follow each other at a fixed step.
 *
 *     requests_total{job="a"}    1 2.5 -Inf       three points
 *                                _ _x3 stale      1 and 3 holes, an announced end
 *                                10+2x3           10 12 14 16: a start and 3 steps
 *                                10-2x3  7x2      10 8 6 4, 7 7 7
 *                                {{schema:0 sum:5 count:4 buckets:[1 2 1]}}
 *                                {{...}}x3        four times the same histogram
 *                                {{...}}+{{...}}x3   and each step adds another one
 *
 * Everything lives in the arena of the caller, whose ceiling also bounds it. Mistakes are given as
 * byte spans of the text that was handed in.
 */
#pragma once
#include "rules/labels.h"
#include "rules/parse.h"
#include "rules/source.h"

#define SERIES_VALUES_MAX 1000000 // of one series

struct series_value {
    double v;                  // may be the stale marker
    const struct histogram *h; // NULL for a float
    bool omitted;              // a hole
    bool hint_given;           // the histogram names its counter_reset_hint
};
struct series_values {
    const struct series_value *v;
    size_t n;
};

// These return 0, -EINVAL with *e filled, -ENOMEM or, past SERIES_VALUES_MAX, -E2BIG with *e
// filled too.
int series_values_parse(const char *text, size_t len, struct arena *a,
    struct series_values *ret, struct parse_error *e);
// Keeps the first so many (at least 1, at most SERIES_VALUES_MAX) and only reads over what follows:
// people write 1x10000000 for "as long as the test takes".
int series_values_parse_first(const char *text, size_t len, size_t first, struct arena *a,
    struct series_values *ret, struct parse_error *e);
// name{a="b"}, {a="b"}, {"a name", a="b"}.
int series_labels_parse(
    const char *text, size_t len, struct arena *a, struct labels *ret, struct parse_error *e);
// Both on one line, with blanks between.
int series_line_parse(const char *text, size_t len, struct arena *a, struct labels *ret_labels,
    struct series_values *ret, struct parse_error *e);
// Why this histogram cannot be one (unknown schema, falling bounds, negative count ...); NULL = it can.
const char *histogram_fault(const struct histogram *h);
// The histogram in the notation above: {{schema:1 count:2 sum:3 buckets:[1 1]}}.
void series_histogram_print(const struct histogram *h, struct buf *out);
