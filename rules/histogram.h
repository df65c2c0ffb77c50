// SPDX-License-Identifier: Apache-2.0
/*
 * A native (exponential) histogram value. Bucket i of a schema covers
 * (2^((i-1)/2^schema), 2^(i/2^schema)], i may be negative; the zero bucket takes |x| <= zero_threshold.
 * Latencies are never negative, so there are only positive buckets.
 *
 * Counts are doubles because the results of rate() are histograms too. Cumulative over the
 * session: a drop in count or in any bucket, or the reset mark, starts it anew.
 */
#pragma once
#include "base/arena.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct histogram {
    int32_t schema;
    double zero_threshold, zero_count, count, sum;
    uint32_t n; // buckets, rising index
    bool reset; // starts anew here
    const int32_t *index;
    const double *bucket;
};

#define HISTOGRAM_BUCKETS_MAX 1024
double histogram_upper(int32_t schema, int32_t index);
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
