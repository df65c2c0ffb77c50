// SPDX-License-Identifier: Apache-2.0
// Window states: the common part, and the functions of edges and pairs of samples.
#include "rules/slide.h"
#include "rules/slide_kind.h"
#include <errno.h>
#include <math.h>
#include <stdlib.h>

// --- the newest samples: last, present, irate, idelta ------------------------------------------

static enum slide_verdict last_read(const struct slide_call *c, struct slide *s,
    const struct window *w, double param, double *ret)
{
    (void)w;
    (void)param;
    *ret = c->fn == FN_PRESENT_OVER_TIME ? 1 : s->last.v;
    return SLIDE_VALUE;
}

static enum slide_verdict first_read(const struct slide_call *c, struct slide *s,
    const struct window *w, double param, double *ret)
{
    (void)c;
    (void)w;
    (void)param;
    *ret = s->first.v;
    return SLIDE_VALUE;
}

static enum slide_verdict instant_read(const struct slide_call *c, struct slide *s,
    const struct window *w, double param, double *ret)
{
    (void)param;
    if (s->n < 2 || s->first.t_ms <= w->from_ms - c->compat_2_42)
        return SLIDE_NONE;
    const struct point a = {.t_ms = s->first.t_ms, .v = s->first.v};
    const struct point b = {.t_ms = s->last.t_ms, .v = s->last.v};
    *ret = range_instant(&a, &b, c->fn == FN_IRATE);
    return SLIDE_VALUE;
}

// A function that keeps nothing: each value is computed from the samples.
static enum slide_verdict ask(const struct slide_call *c, struct slide *s,
    const struct window *w, double param, double *ret)
{
    (void)c;
    (void)s;
    (void)w;
    (void)param;
    (void)ret;
    return SLIDE_ASK;
}

static bool always(const struct slide_call *c, const struct slide *s)
{
    (void)c;
    (void)s;
    return true;
}

// --- counting ----------------------------------------------------------------------------------

static enum slide_verdict count_read(const struct slide_call *c, struct slide *s,
    const struct window *w, double param, double *ret)
{
    (void)c;
    (void)w;
    (void)param;
    *ret = s->n;
    return SLIDE_VALUE;
}

struct slide_pairs {
    struct slide s;
    uint32_t n; // pairs of neighbours that are a change, or a reset
};

static bool is_change(double a, double b)
{
    return a != b && !(isnan(a) && isnan(b));
}

static int changes_push(struct slide *s, struct slide_sample x)
{
    ((struct slide_pairs *)s)->n += s->n && is_change(s->last.v, x.v);
    return 0;
}

static void changes_evict(struct slide *s, struct slide_sample next)
{
    ((struct slide_pairs *)s)->n -= is_change(s->first.v, next.v);
}

static int resets_push(struct slide *s, struct slide_sample x)
{
    ((struct slide_pairs *)s)->n += s->n && x.v < s->last.v;
    return 0;
}

static void resets_evict(struct slide *s, struct slide_sample next)
{
    ((struct slide_pairs *)s)->n -= next.v < s->first.v;
}

static enum slide_verdict pairs_read(const struct slide_call *c, struct slide *s,
    const struct window *w, double param, double *ret)
{
    (void)c;
    (void)w;
    (void)param;
    *ret = ((const struct slide_pairs *)s)->n;
    return SLIDE_VALUE;
}

// --- rate, increase, delta ---------------------------------------------------------------------

static double extrapolated(
    const struct slide_call *c, const struct slide *s, const struct window *w, double moved)
{
    const struct range_span span = {.first_ms = s->first.t_ms,
        .last_ms = s->last.t_ms,
        .n = s->n,
        .start_value = s->first.v,
        .moved = moved};
    return moved * range_factor(c->fn, c->compat_2_42, w, &span);
}

// What has not moved has not moved anywhere. All else is extrapolated anew for each time: even while
// both edges move with the window, so that in exact numbers the product stands, its last bit does
// not.
static bool delta_drifts(const struct slide_call *c, const struct slide *s)
{
    (void)c;
    return s->n > 1 && s->last.v - s->first.v != 0;
}

static enum slide_verdict delta_read(const struct slide_call *c, struct slide *s,
    const struct window *w, double param, double *ret)
{
    (void)param;
    if (s->n < 2)
        return SLIDE_NONE;
    *ret = extrapolated(c, s, w, s->last.v - s->first.v);
    return SLIDE_VALUE;
}

// What a counter stood at before each of its resets, in the order of time: they are added up when
// read, in that order, because low bits depend on it. A ring.
struct slide_counter {
    struct slide s;
    double *lost;
    uint32_t head, n, cap;
};

static int counter_push(struct slide *s, struct slide_sample x)
{
    struct slide_counter *k = (struct slide_counter *)s;
    if (!s->n || !(x.v < s->last.v))
        return 0;
    if (k->n == k->cap) {
        uint32_t cap = k->cap ? k->cap * 2 : 4;
        double *grown = malloc(cap * sizeof(*grown));
        if (!grown)
            return -ENOMEM;
        for (uint32_t i = 0; i < k->n; i++)
            grown[i] = k->lost[(k->head + i) & (k->cap - 1)];
        free(k->lost);
        k->lost = grown;
        k->cap = cap;
        k->head = 0;
    }
    k->lost[(k->head + k->n++) & (k->cap - 1)] = s->last.v;
    return 0;
}

static void counter_evict(struct slide *s, struct slide_sample next)
{
    struct slide_counter *k = (struct slide_counter *)s;
    if (!(next.v < s->first.v))
        return;
    k->head = (k->head + 1) & (k->cap - 1);
    k->n--;
}

static bool counter_drifts(const struct slide_call *c, const struct slide *s)
{
    return ((const struct slide_counter *)s)->n || delta_drifts(c, s);
}

static enum slide_verdict counter_read(const struct slide_call *c, struct slide *s,
    const struct window *w, double param, double *ret)
{
    const struct slide_counter *k = (const struct slide_counter *)s;
    (void)param;
    if (s->n < 2)
        return SLIDE_NONE;
    double moved = s->last.v - s->first.v;
    for (uint32_t i = 0; i < k->n; i++)
        moved += k->lost[(k->head + i) & (k->cap - 1)];
    *ret = extrapolated(c, s, w, moved);
    return SLIDE_VALUE;
}

// --- histograms --------------------------------------------------------------------------------

static int breaks_push(struct slide *s, struct slide_sample x)
{
    ((struct slide_pairs *)s)->n += s->n && x.v != 0;
    return 0;
}

static void breaks_evict(struct slide *s, struct slide_sample next)
{
    ((struct slide_pairs *)s)->n -= next.v != 0;
}

uint32_t slide_breaks(const struct slide *s)
{
    return ((const struct slide_pairs *)s)->n;
}

// --- the kinds ---------------------------------------------------------------------------------

static const struct slide_kind NOTHING = {
    .size = sizeof(struct slide), .tail = true, .read = ask, .drifts = always};
static const struct slide_kind LAST = {
    .size = sizeof(struct slide), .tail = true, .read = last_read};
static const struct slide_kind INSTANT = {
    .size = sizeof(struct slide), .tail = true, .read = instant_read};
static const struct slide_kind FIRST = {.size = sizeof(struct slide), .read = first_read};
static const struct slide_kind COUNT = {.size = sizeof(struct slide), .read = count_read};
static const struct slide_kind CHANGES = {.size = sizeof(struct slide_pairs),
    .push = changes_push,
    .evict = changes_evict,
    .read = pairs_read};
static const struct slide_kind RESETS = {.size = sizeof(struct slide_pairs),
    .push = resets_push,
    .evict = resets_evict,
    .read = pairs_read};
static const struct slide_kind DELTA = {
    .size = sizeof(struct slide_pairs), .read = delta_read, .drifts = delta_drifts};
static const struct slide_kind COUNTER = {.size = sizeof(struct slide_counter),
    .push = counter_push,
    .evict = counter_evict,
    .read = counter_read,
    .drifts = counter_drifts};

static const struct slide_kind HISTOGRAMS = {.size = sizeof(struct slide_pairs),
    .push = breaks_push,
    .evict = breaks_evict,
    .read = ask};
const struct slide_call SLIDE_HISTOGRAMS = {.kind = &HISTOGRAMS};

static const struct slide_kind *kind_of(int fn)
{
    switch (fn) {
    case FN_LAST_OVER_TIME:
    case FN_PRESENT_OVER_TIME: return &LAST;
    case FN_FIRST_OVER_TIME: return &FIRST;
    case FN_IRATE:
    case FN_IDELTA: return &INSTANT;
    case FN_COUNT_OVER_TIME: return &COUNT;
    case FN_CHANGES: return &CHANGES;
    case FN_RESETS: return &RESETS;
    case FN_DELTA: return &DELTA;
    case FN_RATE:
    case FN_INCREASE: return &COUNTER;
    case FN_SUM_OVER_TIME: return &SLIDE_SUM;
    case FN_AVG_OVER_TIME: return &SLIDE_AVG;
    case FN_STDDEV_OVER_TIME:
    case FN_STDVAR_OVER_TIME: return &SLIDE_MOMENTS;
    case FN_DERIV:
    case FN_PREDICT_LINEAR: return &SLIDE_REGRESSION;
    case FN_MIN_OVER_TIME: return &SLIDE_MIN;
    case FN_MAX_OVER_TIME: return &SLIDE_MAX;
    case FN_QUANTILE_OVER_TIME: return &SLIDE_QUANTILE;
    default: return &NOTHING;
    }
}

struct slide_call slide_call(int fn, bool compat_2_42)
{
    return (struct slide_call){kind_of(fn), fn, compat_2_42};
}

bool slide_moves(int fn)
{
    return kind_of(fn) != &NOTHING;
}

size_t slide_size(const struct slide_call *c)
{
    return c->kind->size;
}

size_t slide_held(const struct slide_call *c, const struct slide *s)
{
    return c->kind == &COUNTER && !s->hist
               ? ((const struct slide_counter *)s)->cap * sizeof(double)
               : 0;
}

void slide_done(const struct slide_call *c, struct slide *s)
{
    if (c->kind == &COUNTER && !s->hist)
        free(((struct slide_counter *)s)->lost);
    memset(s, 0, c->kind->size);
}

bool slide_is_tail(const struct slide_call *c)
{
    return c->kind->tail;
}

int slide_push(const struct slide_call *c, struct slide *s, int64_t t_ms, double v)
{
    struct slide_sample x = {t_ms, v};
    if (c->kind->tail) {
        s->first = s->last;
        s->n = s->n ? 2 : 1;
    } else {
        int rc = c->kind->push ? c->kind->push(s, x) : 0;
        if (rc < 0) {
            s->ready = false;
            return rc;
        }
        if (!s->n++)
            s->first = x;
    }
    s->last = x;
    return 0;
}

void slide_evict(const struct slide_call *c, struct slide *s, struct slide_sample next)
{
    if (c->kind->evict)
        c->kind->evict(s, next);
    s->first = next;
    s->n--;
}

int slide_fill(
    const struct slide_call *c, struct slide *s, const struct point *p, size_t n, double param)
{
    int rc = 0;
    slide_done(c, s);
    if (c->kind->begin)
        c->kind->begin(s, p, n);
    if (c->kind->fill && n) {
        s->first = (struct slide_sample){p[0].t_ms, p[0].v};
        s->last = (struct slide_sample){p[n - 1].t_ms, p[n - 1].v};
        s->n = (uint32_t)n;
        rc = c->kind->fill(s, p, n, param);
    } else {
        for (size_t i = 0; rc == 0 && i < n; i++)
            rc = slide_push(c, s, p[i].t_ms, p[i].v);
    }
    s->ready = rc == 0;
    return rc;
}

enum slide_verdict slide_read(const struct slide_call *c, struct slide *s,
    const struct window *w, double param, double *ret)
{
    return c->kind->read(c, s, w, param, ret);
}

bool slide_drifts(const struct slide_call *c, const struct slide *s)
{
    return c->kind->drifts && c->kind->drifts(c, s);
}

int64_t slide_leaves_ms(const struct slide_call *c, const struct slide *s)
{
    if (c->kind == &LAST)
        return s->last.t_ms;
    return s->n < 2 && c->kind == &INSTANT ? INT64_MAX : s->first.t_ms;
}
