// SPDX-License-Identifier: Apache-2.0
#include "rules/histogram.h"
#include "base/num.h"
#include "rules/histogram_sum.h"
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

bool histogram_next(struct histogram_walk *w, struct histogram_bucket *ret)
{
    const struct histogram *h = w->h;
    uint32_t all = h->negative.n + 1 + h->positive.n;
    while (w->at < all) {
        uint32_t i = w->falling ? all - 1 - w->at : w->at;
        w->at++;
        if (i < h->negative.n) {
            uint32_t k = h->negative.n - 1 - i;
            double lower, upper;
            histogram_bounds(h, h->negative.index[k], &lower, &upper);
            *ret = (struct histogram_bucket){-upper, -lower, h->negative.count[k]};
            if (ret->upper < 0 && ret->upper > -h->zero_threshold)
                ret->upper = -h->zero_threshold;
            return true;
        }
        if (i > h->negative.n) {
            uint32_t k = i - h->negative.n - 1;
            histogram_bounds(h, h->positive.index[k], &ret->lower, &ret->upper);
            ret->count = h->positive.count[k];
            if (ret->lower > 0 && ret->lower < h->zero_threshold)
                ret->lower = h->zero_threshold;
            return true;
        }
        if (h->zero_count > 0) {
            *ret =
                (struct histogram_bucket){-h->zero_threshold, h->zero_threshold, h->zero_count};
            return true;
        }
    }
    return false;
}

bool histogram_mixable(const struct histogram *x, const struct histogram *y)
{
    return (x->schema == HISTOGRAM_CUSTOM) == (y->schema == HISTOGRAM_CUSTOM);
}

bool histogram_bounds_equal(const struct histogram *x, const struct histogram *y)
{
    if (x->n_custom != y->n_custom)
        return false;
    for (uint32_t i = 0; i < x->n_custom && x->custom != y->custom; i++)
        if (x->custom[i] != y->custom[i])
            return false;
    return true;
}

static bool side_equal(const struct histogram_side *x, const struct histogram_side *y)
{
    return x->n == y->n &&
           (!x->n || (!memcmp(x->index, y->index, x->n * sizeof(*x->index)) &&
                         !memcmp(x->count, y->count, x->n * sizeof(*x->count))));
}

static bool same_bits(double x, double y)
{
    return !memcmp(&x, &y, sizeof(x));
}

bool histogram_equal(const struct histogram *x, const struct histogram *y)
{
    return x->schema == y->schema && same_bits(x->count, y->count) &&
           same_bits(x->sum, y->sum) && x->zero_threshold == y->zero_threshold &&
           same_bits(x->zero_count, y->zero_count) && histogram_bounds_equal(x, y) &&
           side_equal(&x->negative, &y->negative) && side_equal(&x->positive, &y->positive);
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

const struct histogram *histogram_with_hint(
    struct arena *a, const struct histogram *h, enum histogram_hint hint)
{
    struct histogram *c = arena_alloc(a, sizeof(*c));
    if (c) {
        *c = *h;
        c->hint = hint;
    }
    return c;
}

// Counts times or through v; those that become nothing are dropped.
static bool side_times(struct arena *a, struct histogram_side *side, double v, bool divide)
{
    int32_t *index = arena_alloc(a, (side->n ? side->n : 1) * sizeof(*index));
    double *count = arena_alloc(a, (side->n ? side->n : 1) * sizeof(*count));
    uint32_t n = 0;
    if (!index || !count)
        return false;
    for (uint32_t i = 0; i < side->n; i++) {
        double c = divide ? side->count[i] / v : side->count[i] * v;
        if (c == 0)
            continue;
        index[n] = side->index[i];
        count[n++] = c;
    }
    *side = (struct histogram_side){n, index, count};
    return true;
}

const struct histogram *histogram_scale(
    struct arena *a, const struct histogram *h, double factor)
{
    struct histogram *c = arena_alloc(a, sizeof(*c));
    if (!c)
        return NULL;
    *c = *h;
    c->zero_count *= factor;
    c->count *= factor;
    c->sum *= factor;
    if (factor < 0)
        c->hint = HINT_GAUGE;
    return side_times(a, &c->positive, factor, false) &&
                   side_times(a, &c->negative, factor, false)
               ? c
               : NULL;
}

const struct histogram *histogram_divide(
    struct arena *a, const struct histogram *h, double divisor)
{
    struct histogram *c = arena_alloc(a, sizeof(*c));
    if (!c)
        return NULL;
    *c = *h;
    c->zero_count /= divisor;
    c->count /= divisor;
    c->sum /= divisor;
    if (divisor == 0) {
        c->positive = c->negative = (struct histogram_side){0};
        return c;
    }
    if (divisor < 0)
        c->hint = HINT_GAUGE;
    return side_times(a, &c->positive, divisor, true) &&
                   side_times(a, &c->negative, divisor, true)
               ? c
               : NULL;
}

static const struct histogram *combine(struct arena *a, const struct histogram *x,
    const struct histogram *y, bool subtract, unsigned *notes)
{
    struct histogram_sum s;
    histogram_sum_init(&s, a);
    if (histogram_sum_add(&s, x) < 0 ||
        (subtract ? histogram_sum_sub(&s, y) : histogram_sum_add(&s, y)) < 0)
        return NULL;
    if (notes)
        *notes |= histogram_sum_notes(&s);
    return histogram_sum_get(&s);
}

const struct histogram *histogram_add(
    struct arena *a, const struct histogram *x, const struct histogram *y, unsigned *notes)
{
    return combine(a, x, y, false, notes);
}

const struct histogram *histogram_sub(
    struct arena *a, const struct histogram *x, const struct histogram *y, unsigned *notes)
{
    return combine(a, x, y, true, notes);
}

// Adds what of one side lies below the threshold; true when it had to move up.
static bool take_below(const struct histogram *h, const struct histogram_side *side,
    double *threshold, double *count)
{
    for (uint32_t i = 0; i < side->n; i++) {
        double lower, upper;
        histogram_bounds(h, side->index[i], &lower, &upper);
        if (lower >= *threshold)
            break;
        *count += side->count[i];
        if (upper > *threshold) {
            if (side->count[i] == 0)
                break;
            *threshold = upper;
            return true;
        }
    }
    return false;
}

double histogram_zero_count(const struct histogram *h, double *threshold)
{
    double count;
    if (*threshold <= h->zero_threshold)
        return h->zero_count;
    // A threshold that moved on the negative side takes in more of the positive one.
    do {
        count = h->zero_count;
        take_below(h, &h->positive, threshold, &count);
    } while (take_below(h, &h->negative, threshold, &count));
    return count;
}

// gcc and clang shift arithmetically: rounded down, for negative indexes too.
int32_t histogram_coarser_index(int32_t i, int32_t down)
{
    return (int32_t)(((int64_t)i - 1) >> (down > 31 ? 31 : down)) + 1;
}

// One bucket of the coarser schema that starts at *i, which moves on.
static double folded(const struct histogram_side *s, int32_t down, uint32_t *i, int32_t *ret_at)
{
    double count = 0;
    *ret_at = histogram_coarser_index(s->index[*i], down);
    for (; *i < s->n && histogram_coarser_index(s->index[*i], down) == *ret_at; (*i)++)
        count += s->count[*i];
    return count;
}

// The usual case, of a counter that has the buckets it had.
static bool same_buckets_fell(
    const struct histogram_side *was, const struct histogram_side *is, bool *ret_fell)
{
    if (was->n != is->n ||
        (was->n && memcmp(was->index, is->index, was->n * sizeof(*was->index))))
        return false;
    bool fell = false;
    for (uint32_t i = 0; i < was->n; i++)
        fell |= is->count[i] < was->count[i];
    *ret_fell = fell;
    return true;
}

static bool side_fell(const struct histogram *before, const struct histogram_side *was,
    const struct histogram *after, const struct histogram_side *is)
{
    int32_t down = before->schema - after->schema;
    bool exponential = after->schema != HISTOGRAM_CUSTOM;
    uint32_t i = 0, j = 0;
    bool fell;
    if (!down && before->zero_threshold == after->zero_threshold &&
        same_buckets_fell(was, is, &fell))
        return fell;
    while (exponential && i < was->n &&
           histogram_upper(before->schema, was->index[i]) <= after->zero_threshold)
        i++; // these are in the zero bucket now
    while (i < was->n) {
        int32_t at;
        double had = folded(was, down, &i, &at);
        while (j < is->n && is->index[j] < at)
            j++;
        bool there = j < is->n && is->index[j] == at;
        if (there ? is->count[j] < had : had != 0)
            return true;
    }
    return false;
}

static double below_bound(const struct histogram *h, uint32_t bound_at, uint32_t *bucket)
{
    double count = 0;
    for (; *bucket < h->positive.n && h->positive.index[*bucket] <= (int32_t)bound_at;
         (*bucket)++)
        count += h->positive.count[*bucket];
    return count;
}

// Over the bounds they have in common, +Inf among them.
static bool custom_fell(const struct histogram *before, const struct histogram *after)
{
    uint32_t i = 0, j = 0, was = 0, is = 0;
    while (i <= before->n_custom && j <= after->n_custom) {
        double x = i < before->n_custom ? before->custom[i] : INFINITY;
        double y = j < after->n_custom ? after->custom[j] : INFINITY;
        if (x == y) {
            double had = below_bound(before, i, &was), has = below_bound(after, j, &is);
            if (has < had)
                return true;
        }
        i += x <= y;
        j += y <= x;
    }
    return false;
}

bool histogram_is_reset(const struct histogram *before, const struct histogram *after)
{
    if (after->hint == HINT_RESET)
        return true;
    if (after->hint == HINT_NOT_RESET)
        return false;
    if (after->count < before->count || !histogram_mixable(before, after))
        return true;
    if (after->schema == HISTOGRAM_CUSTOM && !histogram_bounds_equal(before, after))
        return custom_fell(before, after);
    double zero = after->zero_threshold;
    if (after->schema > before->schema || zero < before->zero_threshold)
        return true;
    // Ending inside a populated bucket of the earlier one, the new threshold cannot be its
    // continuation.
    double had_zero = histogram_zero_count(before, &zero);
    if (zero != after->zero_threshold || after->zero_count < had_zero)
        return true;
    return side_fell(before, &before->positive, after, &after->positive) ||
           side_fell(before, &before->negative, after, &after->negative);
}

static void print_bucket(
    const char *open, const struct histogram_bucket *b, const char *close, struct buf *out)
{
    char text[NUM_TEXT_MAX];
    buf_addf(out, ", %s", open);
    buf_add(out, text, num_short(b->lower, text));
    buf_addc(out, ',');
    buf_add(out, text, num_short(b->upper, text));
    buf_addf(out, "%s:", close);
    buf_add(out, text, num_short(b->count, text));
}

void histogram_print(const struct histogram *h, struct buf *out)
{
    char text[NUM_TEXT_MAX];
    buf_adds(out, "{count:");
    buf_add(out, text, num_short(h->count, text));
    buf_adds(out, ", sum:");
    buf_add(out, text, num_short(h->sum, text));
    // Bounds as they are, not cut off at the zero bucket.
    for (uint32_t i = h->negative.n; i--;) {
        struct histogram_bucket b = {.count = h->negative.count[i]};
        double lower, upper;
        histogram_bounds(h, h->negative.index[i], &lower, &upper);
        b.lower = -upper;
        b.upper = -lower;
        print_bucket("[", &b, ")", out);
    }
    if (h->zero_count != 0)
        print_bucket("[",
            &(struct histogram_bucket){-h->zero_threshold, h->zero_threshold, h->zero_count},
            "]", out);
    for (uint32_t i = 0; i < h->positive.n; i++) {
        struct histogram_bucket b = {.count = h->positive.count[i]};
        histogram_bounds(h, h->positive.index[i], &b.lower, &b.upper);
        bool lowest = h->schema == HISTOGRAM_CUSTOM && h->positive.index[i] == 0;
        print_bucket(lowest ? "[" : "(", &b, "]", out);
    }
    buf_addc(out, '}');
}
