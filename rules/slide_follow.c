// SPDX-License-Identifier: Apache-2.0
#include "rules/slide_follow.h"
#include <errno.h>

static const struct slide_call *call_of(const struct follow *f, const struct slide *s)
{
    return s->hist ? &SLIDE_HISTOGRAMS : f->call;
}

// What a sample counts as; before: the histogram before it, NULL if there is none.
static double value_of(const struct histogram *before, const struct point *p)
{
    if (!p->h)
        return p->v;
    return before && (before->schema != p->h->schema || histogram_is_reset(before, p->h));
}

static bool is_marker(const struct point *p)
{
    return !p->h && is_stale(p->v);
}

int slide_begin(const struct follow *f, struct slide *s, struct ahead *a,
    const struct window *w, double param)
{
    slide_done(f->call, s);
    if (a)
        a->at = a->n = 0;
    if (!w->n_hist)
        return slide_fill(f->call, s, w->p, w->n, param);
    for (size_t i = 0; i < w->n; i++)
        slide_push(
            &SLIDE_HISTOGRAMS, s, w->p[i].t_ms, value_of(i ? w->p[i - 1].h : NULL, &w->p[i]));
    s->ready = s->hist = true;
    return 0;
}

static int push_new(const struct follow *f, uint32_t id, struct slide *s)
{
    struct eval *e = f->e;
    struct points *p = &e->window;
    const struct histogram *before = NULL;
    p->n = 0;
    // What a histogram counts as depends on the one before it.
    int rc = e->src.range(e->src.self, id, s->last.t_ms - s->hist, f->to_ms, p);
    for (size_t k = 0; rc == 0 && k < p->n; k++) {
        if (is_marker(&p->p[k]))
            continue;
        if (!p->p[k].h == s->hist)
            return 0;
        if (!s->hist || before)
            rc = slide_push(call_of(f, s), s, p->p[k].t_ms, value_of(before, &p->p[k]));
        else if (p->p[k].t_ms != s->last.t_ms)
            return 0;
        before = p->p[k].h;
    }
    return rc < 0 ? rc : 1;
}

static bool ahead_add(struct ahead *a, struct point *before, const struct point *p)
{
    int64_t wait_ms = p->t_ms - before->t_ms;
    if (a->n == AHEAD || wait_ms > UINT32_MAX || (p->h && !before->h))
        return false;
    a->wait_ms[a->n] = (uint32_t)wait_ms;
    a->v[a->n++] = value_of(before->h, p);
    *before = *p;
    return true;
}

// Reads what follows the oldest sample. 1; 0 when nothing known does.
static int look_ahead(
    const struct follow *f, uint32_t id, const struct slide *s, struct ahead *a)
{
    struct eval *e = f->e;
    struct points *p = &e->window;
    struct point before = {.t_ms = s->first.t_ms}, one = before;
    int64_t last_ms = s->last.t_ms;
    int64_t to_ms = before.t_ms + (last_ms - before.t_ms) / s->n * (AHEAD + 1);
    a->at = a->n = 0;
    p->n = 0;
    int rc = e->src.range(
        e->src.self, id, before.t_ms - s->hist, to_ms < last_ms ? to_ms : last_ms, p);
    for (size_t k = 0; k < p->n; k++) {
        if (is_marker(&p->p[k]))
            continue;
        if (!p->p[k].h == s->hist)
            break;
        if (p->p[k].t_ms == s->first.t_ms)
            before = p->p[k];
        else if (!ahead_add(a, &before, &p->p[k]))
            break;
    }
    // A hole is longer than that.
    while (
        rc == 0 && !a->n && e->src.next(e->src.self, id, one.t_ms, &one) && one.t_ms <= last_ms)
        if (!is_marker(&one) && (!one.h == s->hist || !ahead_add(a, &before, &one)))
            break;
    return rc < 0 ? rc : a->n > 0;
}

static int evict_old(const struct follow *f, uint32_t id, struct slide *s, struct ahead *a)
{
    while (s->first.t_ms <= f->left_ms) {
        int rc = a->at < a->n ? 1 : look_ahead(f, id, s, a);
        if (rc <= 0)
            return rc;
        struct slide_sample next = {s->first.t_ms + a->wait_ms[a->at], a->v[a->at]};
        a->at++;
        if (s->n < 2 || next.t_ms > s->last.t_ms)
            return 0;
        slide_evict(call_of(f, s), s, next);
    }
    return (s->n == 1) == (s->first.t_ms == s->last.t_ms);
}

int slide_follow(
    const struct follow *f, uint32_t id, bool newer, struct slide *s, struct ahead *a)
{
    int rc = newer ? push_new(f, id, s) : 1;
    return rc > 0 && !slide_is_tail(f->call) ? evict_old(f, id, s, a) : rc;
}
