// SPDX-License-Identifier: Apache-2.0
// The operators </ and >/: what a histogram holds below or above a value. The sum is estimated anew
// from the middle of what is left of each bucket, as Prometheus does.
#include "rules/histogram.h"
#include <math.h>
#include <string.h>

struct kept {
    double count, middle;
};
struct trim {
    double at;
    bool upper, custom;
    bool changed;
    double count, sum;
};

static double middle(double lower, double upper, bool positive, bool linear)
{
    if (isinf(lower))
        return isinf(upper) ? 0 : upper > 0 ? upper / 2 : upper;
    if (isinf(upper))
        return lower;
    if (linear)
        return (lower + upper) / 2;
    double geometric = sqrt(fabs(lower * upper));
    return positive ? geometric : -geometric;
}

// The bucket that holds the value and has an end at infinity: how its observations are spread
// nobody knows. Below a positive bound they are taken to begin at 0.
static struct kept cut_infinite(const struct trim *t, const struct histogram_bucket *b)
{
    bool spread = isinf(b->lower) && !isinf(b->upper) && b->upper > 0;
    if (isinf(b->lower) && t->upper) {
        if (spread && t->at > 0)
            return (struct kept){b->count * t->at / b->upper, t->at / 2};
        return b->upper <= 0 ? (struct kept){b->count, t->at} : (struct kept){0, 0};
    }
    if (isinf(b->lower))
        return spread && t->at >= 0
                   ? (struct kept){b->count * (1 - t->at / b->upper), (t->at + b->upper) / 2}
                   : (struct kept){0, 0};
    return t->upper ? (struct kept){0, 0} : (struct kept){b->count, t->at};
}

static struct kept cut_bucket(
    const struct trim *t, const struct histogram_bucket *b, bool positive)
{
    if (t->upper ? b->upper <= t->at : b->lower >= t->at)
        return (struct kept){b->count, middle(b->lower, b->upper, positive, t->custom)};
    if (!(b->lower < t->at && b->upper > t->at))
        return (struct kept){0, 0};
    if (isinf(b->lower) || isinf(b->upper))
        return cut_infinite(t, b);
    double below = b->count * histogram_bucket_below(b, t->at, t->custom);
    if (t->upper)
        return (struct kept){below, middle(b->lower, t->at, positive, t->custom)};
    return (struct kept){b->count - below, middle(t->at, b->upper, positive, t->custom)};
}

static struct kept cut_zero(const struct trim *t, const struct histogram *h)
{
    double lower = -h->zero_threshold, upper = h->zero_threshold;
    if (h->negative.n && !h->positive.n)
        upper = 0;
    if (h->positive.n && !h->negative.n)
        lower = 0;
    struct kept none = {0, 0}, all = {h->zero_count, (lower + upper) / 2};
    if (t->at <= lower)
        return t->upper ? none : all;
    if (t->at >= upper)
        return t->upper ? all : none;
    double width = t->upper ? t->at - lower : upper - t->at;
    return (struct kept){
        h->zero_count * (width / (upper - lower)), (t->at + (t->upper ? lower : upper)) / 2};
}

static void keep(struct trim *t, struct kept k, double had)
{
    t->changed |= k.count != had;
    t->count += k.count;
    t->sum += k.middle * k.count;
}

static bool cut_side(struct arena *a, struct trim *t, const struct histogram *h,
    const struct histogram_side *side, bool positive, struct histogram_side *ret)
{
    int32_t *index = arena_alloc(a, (side->n ? side->n : 1) * sizeof(*index));
    double *count = arena_alloc(a, (side->n ? side->n : 1) * sizeof(*count));
    uint32_t n = 0;
    if (!index || !count)
        return false;
    for (uint32_t i = 0; i < side->n; i++) {
        struct histogram_bucket b = {.count = side->count[i]};
        double lower, upper;
        histogram_bounds(h, side->index[i], &lower, &upper);
        b.lower = positive ? lower : -upper;
        b.upper = positive ? upper : -lower;
        struct kept k = cut_bucket(t, &b, positive);
        keep(t, k, b.count);
        if (k.count == 0)
            continue;
        index[n] = side->index[i];
        count[n++] = k.count;
    }
    *ret = (struct histogram_side){n, index, count};
    return true;
}

const struct histogram *histogram_trim(
    struct arena *a, const struct histogram *h, double at, bool upper)
{
    struct trim t = {.at = at, .upper = upper, .custom = h->schema == HISTOGRAM_CUSTOM};
    struct histogram *c = arena_alloc(a, sizeof(*c));
    if (!c)
        return NULL;
    *c = *h;
    if (!cut_side(a, &t, h, &h->positive, true, &c->positive) ||
        !cut_side(a, &t, h, &h->negative, false, &c->negative))
        return NULL;
    if (h->zero_count > 0) {
        struct kept k = cut_zero(&t, h);
        keep(&t, k, h->zero_count);
        c->zero_count = k.count;
    }
    // Untouched, it keeps the sum that was measured.
    if (t.changed) {
        c->count = t.count;
        c->sum = t.sum;
    }
    return c;
}
