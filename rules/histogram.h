// SPDX-License-Identifier: Apache-2.0
/*
 * A native histogram value, exponential or with custom bounds, as Prometheus 3.x has them.
 *
 *     exponential, schema -4..8    bucket i counts (2^((i-1)/2^schema), 2^(i/2^schema)]; i may be
 *                                  negative. The negative side mirrors it. The zero bucket takes
 *                                  |x| <= zero_threshold.
 *     HISTOGRAM_CUSTOM             bucket i counts (custom[i-1], custom[i]], the one past the last
 *                                  bound what is above it. No zero bucket, no negative side.
 *
 * Counts are doubles because the results of rate() are histograms too. Cumulative over the
 * session: a drop in count or in any bucket, or the reset mark, starts it anew.
 *
 * A histogram is a view: who owns its arrays is said where it is handed over. The functions here
 * return values in an arena that share what they did not change.
 */
#pragma once
#include "base/arena.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HISTOGRAM_CUSTOM      (-53)
#define HISTOGRAM_SCHEMA_MIN  (-4)
#define HISTOGRAM_SCHEMA_MAX  8
#define HISTOGRAM_BUCKETS_MAX 1024

// What is known about the sample before: a RESET starts anew here whatever the counts say.
enum histogram_hint { HINT_UNKNOWN, HINT_RESET, HINT_NOT_RESET, HINT_GAUGE };

struct histogram_side {
    uint32_t n;
    const int32_t *index; // rising
    const double *count;
};
struct histogram {
    int32_t schema;
    enum histogram_hint hint;
    double zero_threshold, zero_count, count, sum;
    struct histogram_side positive, negative;
    uint32_t n_custom;
    const double *custom; // rising upper bounds, +Inf not among them
};

double histogram_upper(int32_t schema, int32_t index);
// Both bounds of bucket i of the positive side; the negative side mirrors them. The lowest custom
// bucket begins at -Inf, the highest ends at +Inf.
void histogram_bounds(
    const struct histogram *h, int32_t i, double *ret_lower, double *ret_upper);
// All return a value in the arena, or NULL when it is full. Operands of different schemas are
// brought to the coarser one first.
const struct histogram *histogram_copy(struct arena *a, const struct histogram *h);
const struct histogram *histogram_add(
    struct arena *a, const struct histogram *x, const struct histogram *y);
const struct histogram *histogram_sub(
    struct arena *a, const struct histogram *x, const struct histogram *y);
const struct histogram *histogram_scale(
    struct arena *a, const struct histogram *x, double factor);
bool histogram_is_reset(const struct histogram *before, const struct histogram *after);
// Exponential interpolation within a bucket, as Prometheus 3.x. NaN when empty.
double histogram_quantile(double q, const struct histogram *h);
