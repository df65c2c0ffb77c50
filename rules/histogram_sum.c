// SPDX-License-Identifier: Apache-2.0
#include "rules/histogram_sum.h"
#include "rules/sum.h"
#include <errno.h>
#include <math.h>
#include <string.h>

void histogram_sum_init(struct histogram_sum *s, struct arena *a)
{
    *s = (struct histogram_sum){.arena = a};
}

static bool side_room(struct arena *a, struct sum_side *s, uint32_t cap)
{
    s->cap = cap ? cap : 1;
    s->index = arena_alloc(a, s->cap * sizeof(*s->index));
    s->count = arena_alloc(a, s->cap * sizeof(*s->count));
    s->rest = arena_alloc(a, s->cap * sizeof(*s->rest));
    return s->index && s->count && s->rest;
}

// Neighbours that fall into one bucket become it; map gives the new index of each.
static void side_fold(
    struct sum_side *s, int32_t (*map)(const void *ctx, int32_t i), const void *ctx)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < s->n; i++) {
        int32_t at = map(ctx, s->index[i]);
        if (n && s->index[n - 1] == at) {
            sum_add(s->count[i], &s->count[n - 1], &s->rest[n - 1]);
            sum_add(s->rest[i], &s->count[n - 1], &s->rest[n - 1]);
            continue;
        }
        s->index[n] = at;
        s->count[n] = s->count[i];
        s->rest[n++] = s->rest[i];
    }
    s->n = n;
}

static int32_t coarser(const void *ctx, int32_t i)
{
    return histogram_coarser_index(i, *(const int32_t *)ctx);
}

// Where a custom bucket goes when only the common bounds are left.
struct bounds {
    const double *from, *to;
    uint32_t n_from, n_to;
};

static int32_t common(const void *ctx, int32_t i)
{
    const struct bounds *b = ctx;
    uint32_t low = 0, high = b->n_to;
    if (i < 0 || (uint32_t)i >= b->n_from)
        return (int32_t)b->n_to;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (b->to[mid] >= b->from[i])
            high = mid;
        else
            low = mid + 1;
    }
    return (int32_t)low;
}

// A member as it is folded in: its own arrays, or a mapped copy.
static int mapped(struct arena *a, struct histogram_side *s,
    int32_t (*map)(const void *ctx, int32_t i), const void *ctx)
{
    struct sum_side copy;
    if (!s->n)
        return 0;
    if (!side_room(a, &copy, s->n))
        return -ENOMEM;
    copy.n = s->n;
    memcpy(copy.index, s->index, s->n * sizeof(*copy.index));
    memcpy(copy.count, s->count, s->n * sizeof(*copy.count));
    memset(copy.rest, 0, s->n * sizeof(*copy.rest));
    side_fold(&copy, map, ctx);
    for (uint32_t i = 0; i < copy.n; i++)
        copy.count[i] += copy.rest[i];
    *s = (struct histogram_side){copy.n, copy.index, copy.count};
    return 0;
}

// True when every bucket of the member has its place already.
static bool fits(const struct sum_side *s, const struct histogram_side *h)
{
    uint32_t i = 0;
    for (uint32_t k = 0; k < h->n; k++) {
        while (i < s->n && s->index[i] < h->index[k])
            i++;
        if (i == s->n || s->index[i] != h->index[k])
            return false;
    }
    return true;
}

static int side_widen(struct arena *a, struct sum_side *s, const struct histogram_side *h)
{
    struct sum_side wide;
    uint32_t i = 0, k = 0;
    if (!side_room(a, &wide, s->n + h->n))
        return -ENOMEM;
    wide.n = 0;
    while (i < s->n || k < h->n) {
        bool own = k == h->n || (i < s->n && s->index[i] <= h->index[k]);
        bool both = own && k < h->n && s->index[i] == h->index[k];
        wide.index[wide.n] = own ? s->index[i] : h->index[k];
        wide.count[wide.n] = own ? s->count[i] : 0;
        wide.rest[wide.n++] = own ? s->rest[i] : 0;
        i += own;
        k += !own || both;
    }
    *s = wide;
    return 0;
}

static int side_add(
    struct arena *a, struct sum_side *s, const struct histogram_side *h, double sign)
{
    if (!fits(s, h)) {
        int rc = side_widen(a, s, h);
        if (rc < 0)
            return rc;
    }
    for (uint32_t i = 0, k = 0; k < h->n; k++) {
        while (s->index[i] < h->index[k])
            i++;
        sum_add(sign * h->count[k], &s->count[i], &s->rest[i]);
    }
    return 0;
}

// What the zero bucket has swallowed.
static void side_cut(struct sum_side *s, int32_t schema, double threshold)
{
    uint32_t gone = 0;
    while (gone < s->n && histogram_upper(schema, s->index[gone] - 1) < threshold)
        gone++;
    s->n -= gone;
    s->index += gone;
    s->count += gone;
    s->rest += gone;
    s->cap -= gone;
}

static void skip_below(struct histogram_side *s, int32_t schema, double threshold)
{
    while (s->n && histogram_upper(schema, s->index[0]) <= threshold) {
        s->n--;
        s->index++;
        s->count++;
    }
}

// As take_below() of histogram.c, rounding errors included.
static bool own_below(struct histogram_sum *s, const struct sum_side *side, double *threshold,
    double *count, double *rest)
{
    for (uint32_t i = 0; i < side->n; i++) {
        double upper = histogram_upper(s->h.schema, side->index[i]);
        if (histogram_upper(s->h.schema, side->index[i] - 1) >= *threshold)
            break;
        sum_add(side->count[i], count, rest);
        sum_add(side->rest[i], count, rest);
        if (upper > *threshold) {
            if (side->count[i] + side->rest[i] == 0)
                break;
            *threshold = upper;
            return true;
        }
    }
    return false;
}

static void widen_zero(struct histogram_sum *s, double threshold)
{
    double count, rest;
    do {
        count = s->h.zero_count;
        rest = s->zero_rest;
        own_below(s, &s->positive, &threshold, &count, &rest);
    } while (own_below(s, &s->negative, &threshold, &count, &rest));
    s->h.zero_count = count;
    s->zero_rest = rest;
    s->h.zero_threshold = threshold;
    side_cut(&s->positive, s->h.schema, threshold);
    side_cut(&s->negative, s->h.schema, threshold);
}

// Each widening may end inside a bucket of the other and widen that one too.
static double reconcile_zero(struct histogram_sum *s, const struct histogram *h)
{
    double threshold = h->zero_threshold, count = h->zero_count;
    // A broken threshold widens nothing and must not keep the loop going.
    if (isnan(threshold) || isnan(s->h.zero_threshold))
        return count;
    while (threshold != s->h.zero_threshold) {
        if (s->h.zero_threshold > threshold) {
            threshold = s->h.zero_threshold;
            count = histogram_zero_count(h, &threshold);
        }
        if (threshold > s->h.zero_threshold)
            widen_zero(s, threshold);
    }
    return count;
}

static void merge_hints(struct histogram_sum *s, enum histogram_hint hint)
{
    s->reset_seen |= hint == HINT_RESET;
    s->not_reset_seen |= hint == HINT_NOT_RESET;
    if (s->h.hint == hint || s->h.hint == HINT_GAUGE)
        return;
    s->h.hint = hint == HINT_GAUGE ? HINT_GAUGE : HINT_UNKNOWN;
}

static int reconcile_custom(
    struct histogram_sum *s, const struct histogram *h, struct histogram_side *member)
{
    if (histogram_bounds_equal(&s->h, h))
        return 0;
    uint32_t most = s->h.n_custom < h->n_custom ? s->h.n_custom : h->n_custom, n = 0;
    double *both = arena_alloc(s->arena, (most ? most : 1) * sizeof(*both));
    if (!both)
        return -ENOMEM;
    for (uint32_t i = 0, k = 0; i < s->h.n_custom && k < h->n_custom;) {
        double x = s->h.custom[i], y = h->custom[k];
        if (x == y)
            both[n++] = x;
        i += x <= y;
        k += y <= x;
    }
    struct bounds own = {s->h.custom, both, s->h.n_custom, n};
    struct bounds theirs = {h->custom, both, h->n_custom, n};
    int rc = mapped(s->arena, member, common, &theirs);
    if (rc < 0)
        return rc;
    side_fold(&s->positive, common, &own);
    s->h.custom = both;
    s->h.n_custom = n;
    s->reconciled = true;
    return 0;
}

static int reconcile_schema(struct histogram_sum *s, const struct histogram *h,
    struct histogram_side *positive, struct histogram_side *negative)
{
    int32_t down = h->schema - s->h.schema, up = -down;
    int rc = 0;
    if (down > 0) {
        rc = mapped(s->arena, positive, coarser, &down);
        if (rc == 0)
            rc = mapped(s->arena, negative, coarser, &down);
    } else if (up > 0) {
        side_fold(&s->positive, coarser, &up);
        side_fold(&s->negative, coarser, &up);
        s->h.schema = h->schema;
    }
    return rc;
}

static int fold(struct histogram_sum *s, const struct histogram *h, double sign)
{
    struct histogram_side positive = h->positive, negative = h->negative;
    int rc;
    if (!s->any) {
        s->any = true;
        s->h = *h;
        s->h.positive = s->h.negative = (struct histogram_side){0};
        s->h.count = sign * h->count;
        s->h.sum = sign * h->sum;
        s->h.zero_count = sign * h->zero_count;
        merge_hints(s, h->hint);
    } else {
        if (!histogram_mixable(&s->h, h))
            return -EINVAL;
        merge_hints(s, h->hint);
        if (h->schema == HISTOGRAM_CUSTOM) {
            rc = reconcile_custom(s, h, &positive);
        } else {
            double zero = reconcile_zero(s, h);
            sum_add(sign * zero, &s->h.zero_count, &s->zero_rest);
            // Before they are folded: a coarse bucket may reach into the zero bucket, and what lies
            // there is counted already. (Prometheus counts it twice.)
            skip_below(&positive, h->schema, s->h.zero_threshold);
            skip_below(&negative, h->schema, s->h.zero_threshold);
            rc = reconcile_schema(s, h, &positive, &negative);
        }
        if (rc < 0)
            return rc;
        sum_add(sign * h->count, &s->h.count, &s->count_rest);
        sum_add(sign * h->sum, &s->h.sum, &s->sum_rest);
    }
    rc = side_add(s->arena, &s->positive, &positive, sign);
    return rc < 0 ? rc : side_add(s->arena, &s->negative, &negative, sign);
}

int histogram_sum_add(struct histogram_sum *s, const struct histogram *h)
{
    return fold(s, h, 1);
}

int histogram_sum_sub(struct histogram_sum *s, const struct histogram *h)
{
    return fold(s, h, -1);
}

static bool side_get(
    const struct histogram_sum *s, const struct sum_side *side, struct histogram_side *ret)
{
    int32_t *index = arena_alloc(s->arena, (side->n ? side->n : 1) * sizeof(*index));
    double *count = arena_alloc(s->arena, (side->n ? side->n : 1) * sizeof(*count));
    uint32_t n = 0;
    if (!index || !count)
        return false;
    for (uint32_t i = 0; i < side->n; i++) {
        double v = side->count[i] + side->rest[i];
        if (v == 0)
            continue;
        index[n] = side->index[i];
        count[n++] = v;
    }
    *ret = (struct histogram_side){n, index, count};
    return true;
}

const struct histogram *histogram_sum_get(const struct histogram_sum *s)
{
    struct histogram *h = arena_alloc(s->arena, sizeof(*h));
    if (!h)
        return NULL;
    *h = s->h;
    h->count += s->count_rest;
    h->sum += s->sum_rest;
    h->zero_count += s->zero_rest;
    return side_get(s, &s->positive, &h->positive) && side_get(s, &s->negative, &h->negative)
               ? h
               : NULL;
}

unsigned histogram_sum_notes(const struct histogram_sum *s)
{
    return (s->reset_seen && s->not_reset_seen ? HISTOGRAM_COLLISION : 0u) |
           (s->reconciled ? HISTOGRAM_RECONCILED : 0u);
}

static bool side_overflows(const struct sum_side *s)
{
    for (uint32_t i = 0; i < s->n; i++)
        if (isinf(s->count[i]))
            return true;
    return false;
}

static bool overflows(const struct histogram_sum *s)
{
    return isinf(s->h.count) || isinf(s->h.sum) || isinf(s->h.zero_count) ||
           side_overflows(&s->positive) || side_overflows(&s->negative);
}

static void side_scale(struct sum_side *s, double factor, bool divide)
{
    for (uint32_t i = 0; i < s->n; i++) {
        s->count[i] = divide ? s->count[i] / factor : s->count[i] * factor;
        s->rest[i] = divide ? s->rest[i] / factor : s->rest[i] * factor;
    }
}

static void sum_scale(struct histogram_sum *s, double factor, bool divide)
{
    double *all[] = {
        &s->h.count, &s->h.sum, &s->h.zero_count, &s->count_rest, &s->sum_rest, &s->zero_rest};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        *all[i] = divide ? *all[i] / factor : *all[i] * factor;
    side_scale(&s->positive, factor, divide);
    side_scale(&s->negative, factor, divide);
}

static int side_assign(struct arena *a, struct sum_side *to, const struct sum_side *from)
{
    if (to->cap < from->n && !side_room(a, to, from->n * 2))
        return -ENOMEM;
    to->n = from->n;
    if (from->n) {
        memcpy(to->index, from->index, from->n * sizeof(*to->index));
        memcpy(to->count, from->count, from->n * sizeof(*to->count));
        memcpy(to->rest, from->rest, from->n * sizeof(*to->rest));
    }
    return 0;
}

static int sum_assign(struct histogram_sum *to, const struct histogram_sum *from)
{
    struct sum_side positive = to->positive, negative = to->negative;
    int rc = side_assign(from->arena, &positive, &from->positive);
    if (rc == 0)
        rc = side_assign(from->arena, &negative, &from->negative);
    *to = *from;
    to->positive = positive;
    to->negative = negative;
    return rc;
}

void histogram_mean_init(struct histogram_mean *m, struct arena *a)
{
    *m = (struct histogram_mean){0};
    histogram_sum_init(&m->sum, a);
    histogram_sum_init(&m->trial, a);
}

int histogram_mean_add(struct histogram_mean *m, const struct histogram *h)
{
    int rc;
    if (m->n == 0) {
        m->n = 1;
        return histogram_sum_add(&m->sum, h);
    }
    if (!histogram_mixable(&m->sum.h, h))
        return -EINVAL;
    m->n++;
    if (!m->incremental) {
        rc = sum_assign(&m->trial, &m->sum);
        if (rc == 0)
            rc = histogram_sum_add(&m->trial, h);
        if (rc < 0)
            return rc;
        if (!overflows(&m->trial)) {
            struct histogram_sum better = m->trial;
            m->trial = m->sum;
            m->sum = better;
            return 0;
        }
        m->incremental = true;
        sum_scale(&m->sum, m->n - 1, true);
    }
    sum_scale(&m->sum, (m->n - 1) / m->n, false);
    const struct histogram *part = histogram_divide(m->sum.arena, h, m->n);
    return part ? histogram_sum_add(&m->sum, part) : -ENOMEM;
}

const struct histogram *histogram_mean_get(struct histogram_mean *m)
{
    if (m->incremental)
        return histogram_sum_get(&m->sum);
    if (sum_assign(&m->trial, &m->sum) < 0)
        return NULL;
    sum_scale(&m->trial, m->n, true);
    return histogram_sum_get(&m->trial);
}
