// SPDX-License-Identifier: Apache-2.0
// What is read off one native histogram: quantiles, fractions, the variance.
#include "rules/histogram.h"
#include "rules/sum.h"
#include <math.h>

double histogram_bucket_below(const struct histogram_bucket *b, double v, bool linear)
{
    if (linear)
        return (v - b->lower) / (b->upper - b->lower);
    double lower = log2(fabs(b->lower)), upper = log2(fabs(b->upper)), at = log2(fabs(v));
    return v > 0 ? (at - lower) / (upper - lower) : 1 - (at - upper) / (lower - upper);
}

static void note(unsigned *notes, enum histogram_note what)
{
    if (notes)
        *notes |= (unsigned)what;
}

// Where all observations lie on one side of zero, so do those in the zero bucket.
static void halve_zero_bucket(const struct histogram *h, struct histogram_bucket *b)
{
    if (!h->negative.n && h->positive.n)
        b->lower = 0;
    else if (!h->positive.n && h->negative.n)
        b->upper = 0;
}

// Observations that lie in no bucket, as NaN does, only show in the count.
static bool counts_outside(const struct histogram *h, struct histogram_walk *w, double *seen)
{
    struct histogram_bucket b;
    while (histogram_next(w, &b))
        *seen += b.count;
    return *seen < h->count;
}

double histogram_quantile(double q, const struct histogram *h, unsigned *notes)
{
    if (q < 0)
        return -INFINITY;
    if (q > 1)
        return INFINITY;
    if (h->count == 0 || isnan(q))
        return NAN;
    // From the nearer end, as Prometheus does: fewer additions, and the same ones.
    bool custom = h->schema == HISTOGRAM_CUSTOM, maybe_nan = isnan(h->sum);
    bool rising = maybe_nan || q < 0.5;
    double rank = rising ? q * h->count : (1 - q) * h->count, seen = 0;
    struct histogram_walk w = {.h = h, .falling = !rising};
    struct histogram_bucket b = {0};
    while (histogram_next(&w, &b)) {
        seen += b.count;
        if (b.count != 0 && seen >= rank)
            break;
    }
    if (!custom && b.lower < 0 && b.upper > 0) {
        halve_zero_bucket(h, &b);
    } else if (custom && b.lower == -INFINITY) {
        if (b.upper <= 0)
            return b.upper;
        b.lower = 0;
    } else if (custom && b.upper == INFINITY) {
        return b.lower;
    }
    if (seen > h->count)
        seen = h->count;
    if (seen < rank) {
        if (!maybe_nan)
            return b.upper;
        note(notes, HISTOGRAM_NAN_RESULT);
        return NAN;
    }
    rank = rising ? rank - (seen - b.count) : seen - rank;
    if (maybe_nan && counts_outside(h, &w, &seen))
        note(notes, HISTOGRAM_NAN_SKEW);
    // Of the bucket the rank lies in. Prometheus 3.14, when the sum is NaN, has read on to the last
    // bucket here and takes that one.
    double part = rank / b.count;
    if (custom || (b.lower <= 0 && b.upper >= 0))
        return b.lower + (b.upper - b.lower) * part;
    double lower = log2(fabs(b.lower)), upper = log2(fabs(b.upper));
    if (b.lower > 0)
        return exp2(lower + (upper - lower) * part);
    return -exp2(upper + (lower - upper) * (1 - part));
}

// How many observations lie below v, when that is known once bucket b is reached.
static bool rank_at(
    const struct histogram_bucket *b, double v, double before, bool linear, double *ret)
{
    if (b->lower >= v) {
        *ret = before;
        return true;
    }
    if (!(b->upper > v))
        return false;
    if (linear && b->lower == -INFINITY)
        *ret = b->count;
    else
        *ret = before + b->count * histogram_bucket_below(b, v, linear);
    return true;
}

double histogram_fraction(
    double lower, double upper, const struct histogram *h, unsigned *notes)
{
    if (h->count == 0 || isnan(lower) || isnan(upper))
        return NAN;
    if (lower >= upper)
        return 0;
    struct histogram_walk w = {.h = h};
    struct histogram_bucket b;
    double before = 0, seen = 0, below_lower = 0, below_upper = 0;
    bool lower_known = false, upper_known = false;
    while (!(lower_known && upper_known) && histogram_next(&w, &b)) {
        bool zero = b.lower <= 0 && b.upper >= 0;
        bool linear = zero || h->schema == HISTOGRAM_CUSTOM;
        seen += b.count;
        if (zero)
            halve_zero_bucket(h, &b);
        if (!lower_known)
            lower_known = rank_at(&b, lower, before, linear, &below_lower);
        if (!upper_known)
            upper_known = rank_at(&b, upper, before, linear, &below_upper);
        before += b.count;
    }
    double count = h->count;
    if (isnan(h->sum)) {
        if (counts_outside(h, &w, &seen))
            note(notes, HISTOGRAM_NAN_SKEW);
        count = seen;
    }
    if (!lower_known || below_lower > count)
        below_lower = count;
    if (!upper_known || below_upper > count)
        below_upper = count;
    return (below_upper - below_lower) / h->count;
}

// Every observation is taken for the middle of its bucket: the geometric one, but the arithmetic
// one of custom buckets.
double histogram_variance(const struct histogram *h)
{
    struct histogram_walk w = {.h = h};
    struct histogram_bucket b;
    double mean = h->sum / h->count, sum = 0, rest = 0;
    while (histogram_next(&w, &b)) {
        double at;
        if (b.count == 0)
            continue;
        if (h->schema == HISTOGRAM_CUSTOM)
            at = (b.upper + b.lower) / 2;
        else if (b.lower <= 0 && b.upper >= 0)
            at = 0;
        else
            at = copysign(sqrt(b.upper * b.lower), b.upper);
        sum_add(b.count * (at - mean) * (at - mean), &sum, &rest);
    }
    return (sum + rest) / h->count;
}
