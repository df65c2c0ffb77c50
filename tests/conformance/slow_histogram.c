// SPDX-License-Identifier: Apache-2.0
#include "tests/conformance/slow_histogram.h"
#include <math.h>
#include <stdlib.h>

#define EACH(i) for (int i = -SLOW_REACH; i < SLOW_REACH; i++)
#define AT(i)   ((i) + SLOW_REACH)

static double upper_of(int schema, int i)
{
    return pow(2, i / pow(2, schema));
}

static int index_of(int schema, double v)
{
    int i = (int)ceil(log2(v) * pow(2, schema));
    // The logarithm may be off by a little at a bound.
    while (upper_of(schema, i - 1) >= v)
        i--;
    while (upper_of(schema, i) < v)
        i++;
    if (i < -SLOW_REACH || i >= SLOW_REACH)
        abort();
    return i;
}

void slow_observe(struct slow_histogram *h, double v)
{
    h->count++;
    h->sum += v;
    if (fabs(v) <= h->zero_threshold)
        h->zero_count++;
    else
        (v > 0 ? h->positive : h->negative)[AT(index_of(h->schema, fabs(v)))]++;
}

void slow_coarsen(struct slow_histogram *h, int schema)
{
    struct slow_histogram old = *h;
    double down = pow(2, old.schema - schema);
    h->schema = schema;
    EACH(i)
    h->positive[AT(i)] = h->negative[AT(i)] = 0;
    EACH(i)
    {
        h->positive[AT((int)ceil(i / down))] += old.positive[AT(i)];
        h->negative[AT((int)ceil(i / down))] += old.negative[AT(i)];
    }
}

void slow_widen(struct slow_histogram *h, double threshold)
{
    if (threshold <= h->zero_threshold)
        return;
    h->zero_threshold = threshold;
    EACH(i)
    {
        if (upper_of(h->schema, i) > threshold)
            continue;
        h->zero_count += h->positive[AT(i)] + h->negative[AT(i)];
        h->positive[AT(i)] = h->negative[AT(i)] = 0;
    }
}

void slow_add(struct slow_histogram *a, const struct slow_histogram *b, double sign)
{
    struct slow_histogram other = *b;
    slow_widen(a, other.zero_threshold);
    slow_widen(&other, a->zero_threshold);
    if (a->schema > other.schema)
        slow_coarsen(a, other.schema);
    slow_coarsen(&other, a->schema);
    a->zero_count += sign * other.zero_count;
    a->count += sign * other.count;
    a->sum += sign * other.sum;
    EACH(i)
    {
        a->positive[AT(i)] += sign * other.positive[AT(i)];
        a->negative[AT(i)] += sign * other.negative[AT(i)];
    }
}

void slow_scale(struct slow_histogram *h, double factor)
{
    h->zero_count *= factor;
    h->count *= factor;
    h->sum *= factor;
    EACH(i)
    {
        h->positive[AT(i)] *= factor;
        h->negative[AT(i)] *= factor;
    }
}

bool slow_is_reset(const struct slow_histogram *before, const struct slow_histogram *after)
{
    if (after->reset || after->count < before->count || after->schema > before->schema ||
        after->zero_threshold < before->zero_threshold)
        return true;
    struct slow_histogram had = *before;
    slow_widen(&had, after->zero_threshold);
    slow_coarsen(&had, after->schema);
    if (after->zero_count < had.zero_count)
        return true;
    EACH(i)
    if (after->positive[AT(i)] < had.positive[AT(i)] ||
        after->negative[AT(i)] < had.negative[AT(i)])
        return true;
    return false;
}

struct bucket {
    double lower, upper, count;
};

// All populated buckets in rising order.
static int buckets_of(const struct slow_histogram *h, struct bucket ret[4 * SLOW_REACH + 1])
{
    int n = 0;
    bool above = false, below = false;
    for (int i = SLOW_REACH - 1; i >= -SLOW_REACH; i--)
        if (h->negative[AT(i)] != 0)
            ret[n++] = (struct bucket){
                -upper_of(h->schema, i), -upper_of(h->schema, i - 1), h->negative[AT(i)]};
    below = n > 0;
    EACH(i)
    above = above || h->positive[AT(i)] != 0;
    // With nothing on one side the zero bucket ends at zero there.
    if (h->zero_count != 0)
        ret[n++] = (struct bucket){above && !below ? 0 : -h->zero_threshold,
            below && !above ? 0 : h->zero_threshold, h->zero_count};
    EACH(i)
    if (h->positive[AT(i)] != 0)
        ret[n++] = (struct bucket){
            upper_of(h->schema, i - 1), upper_of(h->schema, i), h->positive[AT(i)]};
    return n;
}

double slow_quantile(double q, const struct slow_histogram *h)
{
    struct bucket b[4 * SLOW_REACH + 1];
    int n = buckets_of(h, b);
    double rank = q * h->count, seen = 0;
    if (h->count == 0)
        return NAN;
    for (int i = 0; i < n; i++) {
        double part = (rank - seen) / b[i].count;
        seen += b[i].count;
        if (seen < rank && i < n - 1)
            continue;
        if (b[i].lower <= 0 && b[i].upper >= 0)
            return b[i].lower + (b[i].upper - b[i].lower) * part;
        // Halfway up a bucket in rank is halfway in the logarithm.
        return b[i].lower * pow(b[i].upper / b[i].lower, part);
    }
    return NAN;
}

// How much of the count lies below v.
static double below(const struct slow_histogram *h, double v)
{
    struct bucket b[4 * SLOW_REACH + 1];
    int n = buckets_of(h, b);
    double sum = 0;
    for (int i = 0; i < n; i++) {
        if (b[i].upper <= v)
            sum += b[i].count;
        else if (b[i].lower >= v)
            continue;
        else if (b[i].lower <= 0 && b[i].upper >= 0)
            sum += b[i].count * (v - b[i].lower) / (b[i].upper - b[i].lower);
        else
            sum += b[i].count * log(v / b[i].lower) / log(b[i].upper / b[i].lower);
    }
    return sum;
}

double slow_fraction(double lower, double upper, const struct slow_histogram *h)
{
    return h->count == 0 ? NAN : (below(h, upper) - below(h, lower)) / h->count;
}

double slow_variance(const struct slow_histogram *h)
{
    struct bucket b[4 * SLOW_REACH + 1];
    int n = buckets_of(h, b);
    double mean = h->sum / h->count, sum = 0;
    for (int i = 0; i < n; i++) {
        double middle = sqrt(fabs(b[i].lower * b[i].upper)) * (b[i].lower < 0 ? -1 : 1);
        if (b[i].lower <= 0 && b[i].upper >= 0)
            middle = 0;
        sum += b[i].count * (middle - mean) * (middle - mean);
    }
    return sum / h->count;
}

static struct histogram_side side_of(const double *count, struct arena *a)
{
    struct histogram_side side = {0};
    int32_t *index = arena_alloc(a, 2 * SLOW_REACH * sizeof(*index));
    double *counts = arena_alloc(a, 2 * SLOW_REACH * sizeof(*counts));
    if (!index || !counts)
        abort();
    EACH(i)
    {
        if (count[AT(i)] == 0)
            continue;
        index[side.n] = i;
        counts[side.n++] = count[AT(i)];
    }
    side.index = index;
    side.count = counts;
    return side;
}

struct histogram slow_convert(const struct slow_histogram *h, struct arena *a)
{
    return (struct histogram){.schema = h->schema,
        .hint = h->reset ? HINT_RESET : HINT_UNKNOWN,
        .zero_threshold = h->zero_threshold,
        .zero_count = h->zero_count,
        .count = h->count,
        .sum = h->sum,
        .positive = side_of(h->positive, a),
        .negative = side_of(h->negative, a)};
}

static bool near(double a, double b, double floor)
{
    return a == b || (isnan(a) && isnan(b)) || fabs(a - b) <= floor;
}

static bool same_side(const double *want, const struct histogram_side *got, double floor)
{
    uint32_t k = 0;
    EACH(i)
    {
        while (k < got->n && got->index[k] < i)
            k++;
        double have = k < got->n && got->index[k] == i ? got->count[k] : 0;
        if (!near(want[AT(i)], have, floor))
            return false;
    }
    // Nothing outside of what the slow one reaches.
    return !got->n || (got->index[0] >= -SLOW_REACH && got->index[got->n - 1] < SLOW_REACH);
}

bool slow_equal(
    const struct slow_histogram *want, const struct histogram *got, double tolerance)
{
    double floor = tolerance * fmax(fabs(want->count), fabs(got->count));
    return want->schema == got->schema && want->zero_threshold == got->zero_threshold &&
           near(want->count, got->count, floor) &&
           near(want->zero_count, got->zero_count, floor) &&
           near(want->sum, got->sum, tolerance * fmax(1000, fabs(want->sum))) &&
           same_side(want->positive, &got->positive, floor) &&
           same_side(want->negative, &got->negative, floor);
}
