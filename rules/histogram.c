// SPDX-License-Identifier: Apache-2.0
#include "rules/histogram.h"
#include <float.h>
#include <math.h>
#include <string.h>

double histogram_upper(int32_t schema, int32_t index)
{
    if (schema <= 0) {
        double e = ldexp((double)index, -schema);
        // The bucket that ends at 2^1024 ends at the largest double; the one above takes Inf.
        return e == 1024 ? DBL_MAX : e > 2000 ? INFINITY : e < -2000 ? 0 : ldexp(1.0, (int)e);
    }
    // Whole powers of two stay exact; only the fraction goes through exp2.
    int32_t per = (int32_t)1 << schema;
    int32_t whole = index / per - (index % per < 0);
    if (whole == 1024 && index % per == 0)
        return DBL_MAX;
    return ldexp(exp2((double)(index - whole * per) / per), whole);
}

static double bound(const struct histogram *h, int32_t i)
{
    if (h->schema != HISTOGRAM_CUSTOM)
        return histogram_upper(h->schema, i);
    return i < 0 ? -INFINITY : i < (int32_t)h->n_custom ? h->custom[i] : INFINITY;
}

void histogram_bounds(
    const struct histogram *h, int32_t i, double *ret_lower, double *ret_upper)
{
    *ret_lower = bound(h, i - 1);
    *ret_upper = bound(h, i);
}

static struct histogram *blank(struct arena *a, const struct histogram *like, size_t room)
{
    struct histogram *h = arena_alloc(a, sizeof(*h));
    if (!h)
        return NULL;
    *h = *like;
    h->positive.n = 0;
    h->positive.index = NULL;
    h->positive.count = NULL;
    room = room ? room : 1;
    h->positive.index = arena_alloc(a, room * sizeof(*h->positive.index));
    h->positive.count = arena_alloc(a, room * sizeof(*h->positive.count));
    return h->positive.index && h->positive.count ? h : NULL;
}

// Writable views of what blank() allocated.
static int32_t *indexes(struct histogram *h)
{
    union {
        const int32_t *in;
        int32_t *out;
    } u = {.in = h->positive.index};
    return u.out;
}

static double *buckets(struct histogram *h)
{
    union {
        const double *in;
        double *out;
    } u = {.in = h->positive.count};
    return u.out;
}

static bool side_copy(struct arena *a, struct histogram_side *side)
{
    int32_t *index = arena_alloc(a, (side->n ? side->n : 1) * sizeof(*index));
    double *count = arena_alloc(a, (side->n ? side->n : 1) * sizeof(*count));
    if (!index || !count)
        return false;
    if (side->n) {
        memcpy(index, side->index, side->n * sizeof(*index));
        memcpy(count, side->count, side->n * sizeof(*count));
    }
    side->index = index;
    side->count = count;
    return true;
}

const struct histogram *histogram_copy(struct arena *a, const struct histogram *h)
{
    struct histogram *c = arena_alloc(a, sizeof(*c));
    double *custom = h->n_custom ? arena_alloc(a, h->n_custom * sizeof(*custom)) : NULL;
    if (!c || (h->n_custom && !custom))
        return NULL;
    *c = *h;
    if (custom)
        memcpy(custom, h->custom, h->n_custom * sizeof(*custom));
    c->custom = custom;
    return side_copy(a, &c->positive) && side_copy(a, &c->negative) ? c : NULL;
}

// Bucket index in a schema that is `down` steps coarser: two neighbours become one.
static int32_t coarser_index(int32_t i, int32_t down)
{
    for (; down > 0 && i != 0 && i != 1; down--)
        i = i > 0 ? i / 2 + i % 2 : i / 2;
    return i;
}

static const struct histogram *coarser(
    struct arena *a, const struct histogram *h, int32_t schema)
{
    if (h->schema == schema)
        return h;
    struct histogram *c = blank(a, h, h->positive.n);
    if (!c)
        return NULL;
    for (uint32_t i = 0; i < h->positive.n; i++) {
        int32_t at = coarser_index(h->positive.index[i], h->schema - schema);
        if (c->positive.n && c->positive.index[c->positive.n - 1] == at) {
            buckets(c)[c->positive.n - 1] += h->positive.count[i];
        } else {
            indexes(c)[c->positive.n] = at;
            buckets(c)[c->positive.n++] = h->positive.count[i];
        }
    }
    c->schema = schema;
    return c;
}

// The zero bucket for a wider threshold: it takes in the buckets below. A populated bucket the
// threshold falls into is taken whole and moves the threshold up to its end.
static double zero_count_below(const struct histogram *h, double *threshold)
{
    double count = h->zero_count;
    if (*threshold <= h->zero_threshold)
        return count;
    for (uint32_t i = 0; i < h->positive.n; i++) {
        if (histogram_upper(h->schema, h->positive.index[i] - 1) >= *threshold)
            break;
        double upper = histogram_upper(h->schema, h->positive.index[i]);
        count += h->positive.count[i];
        if (upper > *threshold) {
            if (h->positive.count[i] != 0)
                *threshold = upper;
            break;
        }
    }
    return count;
}

static const struct histogram *with_zero_threshold(
    struct arena *a, const struct histogram *h, double threshold)
{
    if (h->zero_threshold == threshold)
        return h;
    struct histogram *c = blank(a, h, h->positive.n);
    if (!c)
        return NULL;
    c->zero_count = zero_count_below(h, &threshold);
    c->zero_threshold = threshold;
    for (uint32_t i = 0; i < h->positive.n; i++) {
        if (histogram_upper(h->schema, h->positive.index[i] - 1) < threshold)
            continue;
        indexes(c)[c->positive.n] = h->positive.index[i];
        buckets(c)[c->positive.n++] = h->positive.count[i];
    }
    return c;
}

// x + sign * y, buckets merged by index.
static const struct histogram *combine(
    struct arena *a, const struct histogram *x, const struct histogram *y, double sign)
{
    int32_t schema = x->schema < y->schema ? x->schema : y->schema;
    double zero = fmax(x->zero_threshold, y->zero_threshold);
    if (isnan(zero))
        zero = 0; // two broken ones must not keep the loop going
    // Each widening may end inside a bucket of the other and widen that one too.
    while (x && y && (x->zero_threshold != zero || y->zero_threshold != zero)) {
        x = with_zero_threshold(a, x, zero);
        y = x ? with_zero_threshold(a, y, x->zero_threshold) : NULL;
        zero = y ? y->zero_threshold : zero;
    }
    if (!x || !y)
        return NULL;
    x = coarser(a, x, schema);
    y = coarser(a, y, schema);
    if (!x || !y)
        return NULL;
    struct histogram *c = blank(a, x, (size_t)x->positive.n + y->positive.n);
    if (!c)
        return NULL;
    uint32_t i = 0, j = 0;
    while (i < x->positive.n || j < y->positive.n) {
        bool left = j == y->positive.n ||
                    (i < x->positive.n && x->positive.index[i] <= y->positive.index[j]);
        bool right = i == x->positive.n ||
                     (j < y->positive.n && y->positive.index[j] <= x->positive.index[i]);
        double v = 0;
        indexes(c)[c->positive.n] = left ? x->positive.index[i] : y->positive.index[j];
        if (left)
            v = x->positive.count[i++];
        if (right)
            v += sign * y->positive.count[j++];
        if (v != 0)
            buckets(c)[c->positive.n++] = v;
    }
    c->zero_count = x->zero_count + sign * y->zero_count;
    c->count = x->count + sign * y->count;
    c->sum = x->sum + sign * y->sum;
    c->hint = HINT_UNKNOWN;
    return c;
}

const struct histogram *histogram_add(
    struct arena *a, const struct histogram *x, const struct histogram *y)
{
    return combine(a, x, y, 1);
}

const struct histogram *histogram_sub(
    struct arena *a, const struct histogram *x, const struct histogram *y)
{
    return combine(a, x, y, -1);
}

const struct histogram *histogram_scale(
    struct arena *a, const struct histogram *x, double factor)
{
    struct histogram *c = blank(a, x, x->positive.n);
    if (!c)
        return NULL;
    for (uint32_t i = 0; i < x->positive.n; i++) {
        indexes(c)[i] = x->positive.index[i];
        buckets(c)[i] = x->positive.count[i] * factor;
    }
    c->positive.n = x->positive.n;
    c->zero_count *= factor;
    c->count *= factor;
    c->sum *= factor;
    c->hint = HINT_UNKNOWN;
    return c;
}

bool histogram_is_reset(const struct histogram *before, const struct histogram *after)
{
    double zero = after->zero_threshold;
    if (after->hint == HINT_RESET || after->count < before->count ||
        after->schema > before->schema || zero < before->zero_threshold)
        return true;
    // Ending inside a populated bucket of the earlier one, the new threshold cannot be its
    // continuation.
    double had_zero = zero_count_below(before, &zero);
    if (zero != after->zero_threshold || after->zero_count < had_zero)
        return true;
    // A coarser successor holds the earlier buckets folded together.
    int32_t down = before->schema - after->schema;
    uint32_t j = 0;
    uint32_t i = 0;
    while (zero > before->zero_threshold && i < before->positive.n &&
           histogram_upper(before->schema, before->positive.index[i] - 1) < zero)
        i++; // these are in the zero bucket now
    while (i < before->positive.n) {
        int32_t at = coarser_index(before->positive.index[i], down);
        double had = 0;
        for (; i < before->positive.n && coarser_index(before->positive.index[i], down) == at;
             i++)
            had += before->positive.count[i];
        while (j < after->positive.n && after->positive.index[j] < at)
            j++;
        if ((j < after->positive.n && after->positive.index[j] == at ? after->positive.count[j]
                                                                     : 0) < had)
            return true;
    }
    return false;
}

double histogram_quantile(double q, const struct histogram *h)
{
    if (q < 0)
        return -INFINITY;
    if (q > 1)
        return INFINITY;
    if (h->count == 0 || isnan(q))
        return NAN;
    // From the nearer end, as Prometheus does: fewer additions, and the same ones.
    bool forward = isnan(h->sum) || q < 0.5;
    double rank = forward ? q * h->count : (1 - q) * h->count;
    double seen = 0, in = 0, lower = 0, upper = 0;
    uint32_t all = h->positive.n + 1; // the zero bucket comes first
    for (uint32_t k = 0; k < all; k++) {
        uint32_t i = forward ? k : all - 1 - k;
        double c = i ? h->positive.count[i - 1] : h->zero_count;
        if (c == 0)
            continue;
        in = c;
        // Of a histogram with nothing above zero Prometheus takes both halves of the zero bucket.
        lower = i               ? histogram_upper(h->schema, h->positive.index[i - 1] - 1)
                : h->positive.n ? 0
                                : -h->zero_threshold;
        upper = i ? histogram_upper(h->schema, h->positive.index[i - 1]) : h->zero_threshold;
        seen += c;
        if (seen >= rank)
            break;
    }
    if (in == 0)
        return NAN;
    if (seen > h->count)
        seen = h->count;
    if (seen < rank)
        return upper;
    rank = forward ? rank - (seen - in) : seen - rank;
    double part = rank / in;
    if (lower <= 0)
        return lower + (upper - lower) * part;
    double low = log2(lower), high = log2(upper);
    return exp2(low + (high - low) * part);
}
