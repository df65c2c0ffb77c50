// SPDX-License-Identifier: Apache-2.0
// Window states: variance and the line of least squares.
//
// Values are taken relative to one of their size (the mean when the state was filled), so that
// squares and products do not drown what they are about. A value counts with the same bits when it
// leaves as when it came. What is left of rounding is bounded at each read, the batch evaluator's own
// included: both are to differ by less than 1e-9 of the value, and if that is not certain, asked.
#include "rules/functions.h"
#include "rules/slide_kind.h"
#include <math.h>

#define TOLERANCE 2e-10

__extension__ typedef __int128 wide; // sums of squared milliseconds

// The mean; of values that are all the same, that value.
static double centre(const struct point *p, size_t n)
{
    double sum = 0, rest = 0, count = 0, least = INFINITY, most = -INFINITY;
    for (size_t i = 0; i < n; i++)
        if (isfinite(p[i].v)) {
            sum_add(p[i].v, &sum, &rest);
            least = p[i].v < least ? p[i].v : least;
            most = p[i].v > most ? p[i].v : most;
            count++;
        }
    double mean = (sum + rest) / count;
    if (least == most)
        return least;
    return isfinite(mean) ? mean : 0;
}

static double larger(double a, double b)
{
    return a > b ? a : b;
}

// --- variance ----------------------------------------------------------------------------------

struct slide_moments {
    struct slide s;
    double c;
    struct dd d, dd;       // sums of v - c and its square
    double peak;           // largest |v - c| since the fill
    uint32_t ops, strange; // strange: NaN and infinities in the window
};

static void moments_begin(struct slide *s, const struct point *p, size_t n)
{
    ((struct slide_moments *)s)->c = centre(p, n);
}

static int moments_push(struct slide *s, struct slide_sample x)
{
    struct slide_moments *m = (struct slide_moments *)s;
    double d = x.v - m->c;
    if (!isfinite(x.v)) {
        m->strange++;
        return 0;
    }
    dd_add(&m->d, d);
    dd_add(&m->dd, d * d);
    m->peak = larger(m->peak, fabs(d));
    m->ops++;
    return 0;
}

static void moments_evict(struct slide *s, struct slide_sample next)
{
    struct slide_moments *m = (struct slide_moments *)s;
    double d = s->first.v - m->c;
    (void)next;
    if (!isfinite(s->first.v)) {
        m->strange--;
        return;
    }
    dd_add(&m->d, -d);
    dd_add(&m->dd, -(d * d));
    m->ops++;
}

static enum slide_verdict moments_read(const struct slide_call *c, struct slide *s,
    const struct window *w, double param, double *ret)
{
    const struct slide_moments *m = (const struct slide_moments *)s;
    double n = s->n;
    (void)w;
    (void)param;
    *ret = m->strange ? NAN : 0;
    if (m->strange || s->n == 1 || m->peak == 0)
        return SLIDE_VALUE;
    double off = m->d.hi / n, shift = off * m->d.hi;
    double left = (m->dd.hi - shift) + m->dd.lo, variance = left / n;
    double error = 8 * ROUND * (m->dd.hi + shift) +
                   8 * ROUND * ROUND * m->ops * (n + 1) * m->peak * m->peak;
    // The batch evaluator rounds the mean before it subtracts it from each value.
    double mean = fabs(m->c + off), deviation = sqrt(variance);
    if (!(error <= TOLERANCE * left) || !(4 * ROUND * mean <= TOLERANCE * deviation))
        return SLIDE_ASK;
    *ret = c->fn == FN_STDDEV_OVER_TIME ? deviation : variance;
    return SLIDE_VALUE;
}

const struct slide_kind SLIDE_MOMENTS = {.size = sizeof(struct slide_moments),
    .begin = moments_begin,
    .push = moments_push,
    .evict = moments_evict,
    .read = moments_read};

// --- deriv, predict_linear -----------------------------------------------------------------------

struct slide_regression {
    struct slide s;
    int64_t epoch_ms;
    int64_t x; // sum of t - epoch
    wide xx;
    double c;
    struct dd y, xy; // sums of v - c, and of (t - epoch) * (v - c)
    double peak;     // largest |v - c| since the fill
    uint32_t ops, nan, infinite;
    uint32_t uneven; // pairs of neighbours that differ
};

static void regression_begin(struct slide *s, const struct point *p, size_t n)
{
    struct slide_regression *g = (struct slide_regression *)s;
    g->c = centre(p, n);
    g->epoch_ms = n ? p[0].t_ms : 0;
}

static void regression_count(struct slide_regression *g, struct slide_sample x, int by)
{
    int64_t t = x.t_ms - g->epoch_ms;
    double d = x.v - g->c;
    g->x += by * t;
    g->xx += by * (wide)t * t;
    if (isnan(x.v)) {
        g->nan += (uint32_t)by;
    } else if (isinf(x.v)) {
        g->infinite += (uint32_t)by;
    } else {
        dd_add(&g->y, by * d);
        dd_add(&g->xy, by * ((double)t * d));
        g->peak = larger(g->peak, fabs(d));
        g->ops++;
    }
}

static int regression_push(struct slide *s, struct slide_sample x)
{
    struct slide_regression *g = (struct slide_regression *)s;
    regression_count(g, x, 1);
    g->uneven += s->n && x.v != s->last.v;
    return 0;
}

static void regression_evict(struct slide *s, struct slide_sample next)
{
    struct slide_regression *g = (struct slide_regression *)s;
    regression_count(g, s->first, -1);
    g->uneven -= s->first.v != next.v;
}

struct line {
    double slope, intercept; // per second; at the origin
    double error;            // of the slope, relative
    double mean_x, mean_y;
};

static void fit(const struct slide_regression *g, int64_t origin_ms, struct line *ret)
{
    double n = g->s.n, reach = (double)(g->s.last.t_ms - g->epoch_ms);
    // Times are integers: exact, wherever the origin is.
    wide by = g->epoch_ms - origin_ms, x = g->x + g->s.n * by;
    wide xx = g->xx + 2 * by * g->x + g->s.n * by * by;
    double spread = (double)(g->s.n * xx - x * x) / n;
    double shift = (double)g->x * g->y.hi / n;
    double together = (g->xy.hi - shift) + g->xy.lo;
    ret->mean_x = (double)x / n / 1000;
    ret->mean_y = g->c + g->y.hi / n;
    ret->slope = together / spread * 1000;
    ret->intercept = ret->mean_y - ret->slope * ret->mean_x;
    double ours = 8 * (fabs(g->xy.hi) + fabs(shift)) + 4 * n * reach * g->peak +
                  8 * ROUND * g->ops * (n + 1) * reach * g->peak;
    double theirs = 8 * fabs((double)x * ret->mean_y);
    ret->error = ROUND * ((ours + theirs) / fabs(together) + 8 * (double)xx / spread);
}

static enum slide_verdict regression_read(const struct slide_call *c, struct slide *s,
    const struct window *w, double param, double *ret)
{
    const struct slide_regression *g = (const struct slide_regression *)s;
    bool deriv = c->fn == FN_DERIV;
    struct line l;
    if (s->n < 2)
        return SLIDE_NONE;
    if (g->nan) {
        *ret = NAN;
        return SLIDE_VALUE;
    }
    // An epoch as far off as the window is long: products grow, so begin anew.
    if (g->infinite || s->first.t_ms - g->epoch_ms > w->range_ms)
        return SLIDE_ASK;
    if (!g->uneven) {
        *ret = deriv ? 0 : 0 * param + s->first.v;
        return SLIDE_VALUE;
    }
    fit(g, deriv ? s->first.t_ms : w->t_ms, &l);
    *ret = deriv ? l.slope : l.slope * param + l.intercept;
    double error = l.error * fabs(l.slope);
    if (!deriv)
        error = error * (fabs(param) + fabs(l.mean_x)) +
                8 * ROUND * (fabs(l.mean_y) + fabs(l.slope * l.mean_x));
    return error <= TOLERANCE * fabs(*ret) ? SLIDE_VALUE : SLIDE_ASK;
}

// A prediction is made from the time of evaluation on; a flat line needs none.
static bool regression_drifts(const struct slide_call *c, const struct slide *s)
{
    const struct slide_regression *g = (const struct slide_regression *)s;
    return c->fn == FN_PREDICT_LINEAR && s->n > 1 && (g->uneven || g->infinite);
}

const struct slide_kind SLIDE_REGRESSION = {.size = sizeof(struct slide_regression),
    .begin = regression_begin,
    .push = regression_push,
    .evict = regression_evict,
    .read = regression_read,
    .drifts = regression_drifts};
