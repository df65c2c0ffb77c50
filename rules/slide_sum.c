// SPDX-License-Identifier: Apache-2.0
// Window states: sums and means that move on, and how it is known that their last bit is right.
#include "rules/slide_kind.h"
#include <math.h>

struct slide_sum {
    struct slide s;
    struct dd sum; // of what is finite
    double peak;   // largest magnitude since the fill
    double least;  // smallest but zero
    uint32_t ops;  // additions since the fill
    uint32_t nan, up, down;
};

static void sum_begin(struct slide *s, const struct point *p, size_t n)
{
    (void)p;
    (void)n;
    ((struct slide_sum *)s)->least = INFINITY;
}

static void count_in(struct slide_sum *m, double v, uint32_t by)
{
    if (isnan(v))
        m->nan += by;
    else
        *(v > 0 ? &m->up : &m->down) += by;
}

static int sum_push(struct slide *s, struct slide_sample x)
{
    struct slide_sum *m = (struct slide_sum *)s;
    double size = fabs(x.v);
    if (!isfinite(x.v)) {
        count_in(m, x.v, 1);
        return 0;
    }
    dd_add(&m->sum, x.v);
    m->ops++;
    m->peak = size > m->peak ? size : m->peak;
    if (size < m->least && size > 0)
        m->least = size;
    return 0;
}

static void sum_evict(struct slide *s, struct slide_sample next)
{
    struct slide_sum *m = (struct slide_sum *)s;
    (void)next;
    if (!isfinite(s->first.v)) {
        count_in(m, s->first.v, UINT32_MAX);
        return;
    }
    dd_add(&m->sum, -s->first.v);
    m->ops++;
}

// What needs no sum. The batch evaluator's partial sums overflow nowhere if `reach` is no larger
// than this.
static bool settled(const struct slide_sum *m, double *ret)
{
    if (m->nan || (m->up && m->down))
        *ret = NAN;
    else if (m->up)
        *ret = INFINITY;
    else if (m->down)
        *ret = -INFINITY;
    else
        return false;
    return true;
}

// Whether nothing was ever rounded away: all values, so all sums, are multiples of the last bit of
// the smallest, and 53 bits hold every sum of n roundings. Nearly always so.
static bool exact(const struct slide_sum *m, double n, double reach)
{
    return ROUND * n * reach <= m->least;
}

// Otherwise, how far the true sum may be from ours, and from sum + rest of a compensated sum before
// its last rounding: there n roundings of a rest that is at most ROUND * n * reach, here the low
// parts of all additions.
static double doubt(const struct slide_sum *m, double n, double reach)
{
    return 2 * ROUND * ROUND * reach * (n * n + 2.0 * m->ops);
}

static enum slide_verdict sum_read(const struct slide_call *c, struct slide *s,
    const struct window *w, double param, double *ret)
{
    const struct slide_sum *m = (const struct slide_sum *)s;
    double n = s->n, reach = (n + 1) * m->peak;
    (void)c;
    (void)w;
    (void)param;
    if (!(reach < 0x1p1000))
        return SLIDE_ASK;
    if (settled(m, ret))
        return SLIDE_VALUE;
    double d = exact(m, n + 1, reach) ? 0 : doubt(m, n + 1, reach);
    double v = m->sum.hi + (m->sum.lo + d);
    if (m->sum.hi + (m->sum.lo - d) != v)
        return SLIDE_ASK; // either of two neighbours
    *ret = v;
    return SLIDE_VALUE;
}

static enum slide_verdict avg_read(const struct slide_call *c, struct slide *s,
    const struct window *w, double param, double *ret)
{
    const struct slide_sum *m = (const struct slide_sum *)s;
    double n = s->n, reach = (n + 1) * m->peak, size = fabs(m->sum.hi);
    (void)c;
    (void)w;
    (void)param;
    if (!(reach < 0x1p1000))
        return SLIDE_ASK;
    if (settled(m, ret))
        return SLIDE_VALUE;
    // Sum and rest are divided apart, so a sum that is mostly rest loses bits there.
    if (!(ROUND * (n + 1) * reach <= size && doubt(m, n + 1, reach) <= ROUND * size))
        return SLIDE_ASK;
    *ret = m->sum.hi / n + m->sum.lo / n;
    return SLIDE_VALUE;
}

const struct slide_kind SLIDE_SUM = {.size = sizeof(struct slide_sum),
    .begin = sum_begin,
    .push = sum_push,
    .evict = sum_evict,
    .read = sum_read};
const struct slide_kind SLIDE_AVG = {.size = sizeof(struct slide_sum),
    .begin = sum_begin,
    .push = sum_push,
    .evict = sum_evict,
    .read = avg_read};
