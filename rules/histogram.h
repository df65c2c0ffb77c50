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
 * return values in an arena, NULL when it is full; they may share arrays with their arguments.
 * Sums of many are in rules/histogram_sum.h.
 */
#pragma once
#include "base/arena.h"
#include "base/buf.h"
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

// What an operation met that a user may want to know; ORed into *notes, which may be NULL.
enum histogram_note {
    HISTOGRAM_COLLISION = 1,  // one hint says reset, another not_reset
    HISTOGRAM_RECONCILED = 2, // custom bounds differ: only the common ones are left
    HISTOGRAM_NAN_RESULT = 4, // NaN observations decide the quantile
    HISTOGRAM_NAN_SKEW = 8,   // NaN observations, which lie in no bucket, shift the result
};

double histogram_upper(int32_t schema, int32_t index);
// Both bounds of bucket i of the positive side; the negative side mirrors them. The lowest custom
// bucket begins at -Inf, the highest ends at +Inf.
void histogram_bounds(
    const struct histogram *h, int32_t i, double *ret_lower, double *ret_upper);

// The buckets in rising order, or in falling: negative side, zero bucket, positive side. What the
// zero bucket covers of its neighbours is cut off them.
struct histogram_bucket {
    double lower, upper, count;
};
struct histogram_walk {
    const struct histogram *h;
    uint32_t at;
    bool falling;
};
bool histogram_next(struct histogram_walk *w, struct histogram_bucket *ret);

// Both exponential or both custom: only those add up.
bool histogram_mixable(const struct histogram *x, const struct histogram *y);
bool histogram_bounds_equal(const struct histogram *x, const struct histogram *y);
bool histogram_equal(const struct histogram *x, const struct histogram *y); // to the bit
// By hint, or by what fell.
bool histogram_is_reset(const struct histogram *before, const struct histogram *after);

const struct histogram *histogram_copy(struct arena *a, const struct histogram *h);
// A negative factor makes a gauge.
const struct histogram *histogram_scale(
    struct arena *a, const struct histogram *h, double factor);
// By zero: everything is infinite, no bucket is left.
const struct histogram *histogram_divide(
    struct arena *a, const struct histogram *h, double divisor);
const struct histogram *histogram_with_hint(
    struct arena *a, const struct histogram *h, enum histogram_hint hint);
// Of mixable ones. Different schemas are brought to the coarser, zero buckets to one width, custom
// bounds to the common ones.
const struct histogram *histogram_add(
    struct arena *a, const struct histogram *x, const struct histogram *y, unsigned *notes);
const struct histogram *histogram_sub(
    struct arena *a, const struct histogram *x, const struct histogram *y, unsigned *notes);
// h </ at keeps what is below `at` (upper), h >/ at what is above.
const struct histogram *histogram_trim(
    struct arena *a, const struct histogram *h, double at, bool upper);

// The zero bucket's count for a wider threshold: it takes in the buckets below. A populated bucket
// the threshold falls into is taken whole and moves the threshold up to its end.
double histogram_zero_count(const struct histogram *h, double *threshold);
int32_t histogram_coarser_index(
    int32_t i, int32_t down); // index in a schema `down` steps coarser

// Interpolation within a bucket is exponential, in the zero bucket and custom ones linear, as
// Prometheus 3.x. NaN when empty.
double histogram_quantile(double q, const struct histogram *h, unsigned *notes);
double histogram_fraction(
    double lower, double upper, const struct histogram *h, unsigned *notes);
double histogram_variance(const struct histogram *h);
// The part of bucket b below v.
double histogram_bucket_below(const struct histogram_bucket *b, double v, bool linear);
// {count:3, sum:4, (1,2]:3}: the label value count_values() makes of it.
void histogram_print(const struct histogram *h, struct buf *out);
