// SPDX-License-Identifier: Apache-2.0
// Window states: smallest, largest, and any rank between.
#include "rules/slide_kind.h"
#include <errno.h>
#include <math.h>
#include <stdlib.h>

// --- min, max ------------------------------------------------------------------------------------

// The largest sample, the largest after it, the largest after that: a ring. What comes drops the
// smaller ones at the end. When it is full, a smaller one is not kept: `cut`. Then the queue may run
// empty before the window does, at most once in EXTREMES evictions.
#define EXTREMES 8
struct slide_extreme {
    struct slide s;
    struct slide_sample q[EXTREMES]; // for a minimum with the sign turned
    uint32_t nan;
    uint32_t head, n;
    bool cut;
};

static void extreme_push(struct slide_extreme *m, int64_t t_ms, double v)
{
    // Equal ones drop too, unless they are zeros of different sign: the older one counts.
    while (m->n) {
        double end = m->q[(m->head + m->n - 1) % EXTREMES].v;
        if (!(end < v) && double_bits(end) != double_bits(v))
            break;
        m->n--;
        m->cut = false;
    }
    if (m->n == EXTREMES)
        m->cut = true;
    if (!m->cut)
        m->q[(m->head + m->n++) % EXTREMES] = (struct slide_sample){t_ms, v};
}

static int max_push(struct slide *s, struct slide_sample x)
{
    struct slide_extreme *m = (struct slide_extreme *)s;
    if (isnan(x.v))
        m->nan++;
    else
        extreme_push(m, x.t_ms, x.v);
    return 0;
}

static int min_push(struct slide *s, struct slide_sample x)
{
    return max_push(s, (struct slide_sample){x.t_ms, -x.v});
}

static void extreme_evict(struct slide *s, struct slide_sample next)
{
    struct slide_extreme *m = (struct slide_extreme *)s;
    (void)next;
    m->nan -= isnan(s->first.v);
    if (m->n && m->q[m->head].t_ms == s->first.t_ms) {
        m->head = (m->head + 1) % EXTREMES;
        m->n--;
    }
}

static enum slide_verdict extreme_read(const struct slide_call *c, struct slide *s,
    const struct window *w, double param, double *ret)
{
    const struct slide_extreme *m = (const struct slide_extreme *)s;
    (void)w;
    (void)param;
    if (m->nan == s->n)
        *ret = s->last.v;
    else if (m->n)
        *ret = c->kind == &SLIDE_MIN ? -m->q[m->head].v : m->q[m->head].v;
    else
        return SLIDE_ASK;
    return SLIDE_VALUE;
}

const struct slide_kind SLIDE_MIN = {.size = sizeof(struct slide_extreme),
    .push = min_push,
    .evict = extreme_evict,
    .read = extreme_read};
const struct slide_kind SLIDE_MAX = {.size = sizeof(struct slide_extreme),
    .push = max_push,
    .evict = extreme_evict,
    .read = extreme_read};

// --- quantile ------------------------------------------------------------------------------------

//     below | v[0] .. v[n - 1] | above          sorted, NaN first
//
// What comes or leaves outside of v only counts. The rank wanders within v as the window moves; when
// it leaves it, or v runs out, the next read asks.
#define RANKS 24
struct slide_quantile {
    struct slide s;
    double v[RANKS];
    uint32_t below, above;
    uint32_t goal; // the rank last read
    uint32_t n;
};

static bool less(double a, double b)
{
    return !(a >= b) && b == b;
}

// How many of v are smaller than x, and with `equal` also those that are as large.
static uint32_t position(const struct slide_quantile *q, double x, bool equal)
{
    uint32_t lo = 0, hi = q->n;
    while (lo < hi) {
        uint32_t mid = (lo + hi) / 2;
        if (equal ? !less(x, q->v[mid]) : less(q->v[mid], x))
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

// Gives up the end of v that is farther from the rank.
static void drop_end(struct slide_quantile *q)
{
    q->n--;
    if (q->goal > q->below + q->n / 2) {
        q->below++;
        memmove(q->v, q->v + 1, q->n * sizeof(*q->v));
    } else {
        q->above++;
    }
}

static int quantile_push(struct slide *s, struct slide_sample x)
{
    struct slide_quantile *q = (struct slide_quantile *)s;
    if (!q->n && (q->below || q->above))
        return 0; // ran out: nobody knows where it belongs
    if (q->below && less(x.v, q->v[0])) {
        q->below++;
        return 0;
    }
    if (q->above && !less(x.v, q->v[q->n - 1])) {
        q->above++;
        return 0;
    }
    if (q->n == RANKS)
        drop_end(q);
    uint32_t at = position(q, x.v, true);
    if (at == 0 && q->below) {
        q->below++;
    } else if (at == q->n && q->above) {
        q->above++;
    } else {
        memmove(q->v + at + 1, q->v + at, (q->n - at) * sizeof(*q->v));
        q->v[at] = x.v;
        q->n++;
    }
    return 0;
}

static void quantile_evict(struct slide *s, struct slide_sample next)
{
    struct slide_quantile *q = (struct slide_quantile *)s;
    double v = s->first.v;
    (void)next;
    if (!q->n)
        return;
    if (less(v, q->v[0])) {
        q->below--;
    } else if (less(q->v[q->n - 1], v)) {
        q->above--;
    } else {
        uint32_t at = position(q, v, false);
        q->n--;
        memmove(q->v + at, q->v + at + 1, (q->n - at) * sizeof(*q->v));
    }
}

static enum slide_verdict quantile_read(const struct slide_call *c, struct slide *s,
    const struct window *w, double param, double *ret)
{
    struct slide_quantile *q = (struct slide_quantile *)s;
    struct quantile_rank r;
    (void)c;
    (void)w;
    if (!quantile_rank(param, s->n, &r, ret))
        return SLIDE_VALUE;
    if (q->n + q->below + q->above != s->n || r.lower < q->below || r.upper >= q->below + q->n)
        return SLIDE_ASK;
    q->goal = (uint32_t)r.lower;
    *ret = quantile_between(&r, q->v[r.lower - q->below], q->v[r.upper - q->below]);
    return SLIDE_VALUE;
}

// Orders v so that the k smallest come first: v[k - 1] and v[k] are where sorting would put them.
static void split(double *v, size_t n, size_t k)
{
    size_t lo = 0, hi = n;
    while (hi - lo > 1 && k > lo && k < hi) {
        double a = v[lo], b = v[lo + (hi - lo) / 2], c = v[hi - 1];
        double pivot = less(a, b) ? (less(b, c)      ? b
                                        : less(a, c) ? c
                                                     : a)
                                  : (less(a, c)      ? a
                                        : less(b, c) ? c
                                                     : b);
        // Three parts: smaller, equal, larger. Equal values, which are common, end it at once.
        size_t smaller = lo, i = lo, larger = hi;
        while (i < larger) {
            double x = v[i];
            if (less(x, pivot)) {
                v[i++] = v[smaller];
                v[smaller++] = x;
            } else if (less(pivot, x)) {
                v[i] = v[--larger];
                v[larger] = x;
            } else {
                i++;
            }
        }
        if (k <= smaller)
            hi = smaller;
        else if (k >= larger)
            lo = larger;
        else
            return;
    }
}

static void sort_few(double *v, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        double x = v[i];
        size_t at = i;
        for (; at && less(x, v[at - 1]); at--)
            v[at] = v[at - 1];
        v[at] = x;
    }
}

static int quantile_fill(struct slide *s, const struct point *p, size_t n, double param)
{
    struct slide_quantile *q = (struct slide_quantile *)s;
    struct quantile_rank r = {0};
    double ignored;
    double *v = malloc(n * sizeof(*v));
    if (!v)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++)
        v[i] = p[i].v;
    quantile_rank(param, n, &r, &ignored);
    // Room for the rank to wander to either side.
    size_t few = n < RANKS ? n : RANKS - 2, from = r.lower < few / 2 ? 0 : r.lower - few / 2;
    if (from > n - few)
        from = n - few;
    split(v, n, from);
    split(v + from, n - from, few);
    sort_few(v + from, few);
    memcpy(q->v, v + from, few * sizeof(*v));
    free(v);
    q->n = (uint32_t)few;
    q->below = (uint32_t)from;
    q->above = (uint32_t)(n - from - few);
    q->goal = (uint32_t)r.lower;
    return 0;
}

const struct slide_kind SLIDE_QUANTILE = {.size = sizeof(struct slide_quantile),
    .fill = quantile_fill,
    .push = quantile_push,
    .evict = quantile_evict,
    .read = quantile_read};
