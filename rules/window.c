// SPDX-License-Identifier: Apache-2.0
// Range selectors and subqueries: both hand their samples over one series at a time.
#include "rules/eval_node.h"
#include <errno.h>

// Where the window of a silent source ends: at its newest sample, so that neither rate() decays nor
// a sum shrinks while nobody speaks. False: it is not silent, or it ended in an orderly way.
static bool silent_since(struct eval *e, uint32_t id, int64_t to_ms, int64_t *ret_ms)
{
    struct point last;
    if (e->o.parity || !e->src.silent(e->src.self, id) ||
        !e->src.latest(e->src.self, id, INT64_MAX, &last))
        return false;
    if (last.t_ms > to_ms || (!last.h && is_stale(last.v)))
        return false;
    *ret_ms = last.t_ms;
    return true;
}

int window_of_series(struct eval *e, const struct expr *x, uint32_t id, int64_t t_ms,
    const struct labels *labels, struct window *w)
{
    struct points *p = &e->window;
    int64_t to_ms = eval_time(e, expr_inner(x->lhs), t_ms), last_ms = to_ms;
    *w = (struct window){
        .range_ms = x->range_ms, .t_ms = t_ms, .to_ms = to_ms, .labels = labels};
    w->silent = silent_since(e, id, to_ms, &last_ms);
    if (w->silent) {
        w->to_ms = last_ms;
        w->t_ms -= to_ms - last_ms;
    }
    w->from_ms = w->to_ms - x->range_ms;
    p->n = 0;
    // Beyond the lookback nothing is known any more: an empty window, which is NO_DATA.
    int rc = 0;
    if (!w->silent || last_ms > to_ms - e->o.lookback_ms)
        rc = e->src.range(e->src.self, id, w->from_ms - e->o.compat_2_42, w->to_ms, p);
    if (rc < 0)
        return rc;
    for (size_t k = 0; k < p->n; k++) {
        bool hist = p->p[k].h != NULL;
        if (!hist && is_stale(p->p[k].v))
            continue;
        w->n_hist += hist;
        if (w->n != k)
            p->p[w->n] = p->p[k];
        w->n++;
    }
    // From the newest, so that each still has the one before it as it is stored.
    for (size_t k = w->n; e->hints == HINTS_DETECTED && k-- > 1;)
        if (p->p[k].h && p->p[k - 1].h &&
            !(p->p[k].h = detected_hint(e, p->p[k - 1].h, p->p[k].h)))
            return -ENOMEM;
    w->p = p->p;
    e->samples += w->n;
    if (e->samples > EVAL_SAMPLES_MAX)
        return -E2BIG;
    return w->n || w->silent;
}

static int windows_of_selector(
    struct eval *e, const struct expr *x, int64_t t_ms, window_fn fn, void *ctx)
{
    const struct selection *s;
    int rc = selection_get(e, expr_inner(x->lhs), &s);
    for (size_t i = 0; rc >= 0 && i < s->ids.n; i++) {
        struct window w;
        rc = window_of_series(e, x, s->ids.id[i], t_ms, &s->labels[i], &w);
        if (rc > 0)
            rc = fn(e, &w, ctx);
    }
    return rc < 0 ? rc : 0;
}

// One series of a subquery while its steps are evaluated.
struct track {
    struct labels labels;
    struct point *p;
    size_t n, n_hist, cap;
    bool silent;
};
struct tracks {
    struct track *t;
    size_t n, cap;
};

static int track_add(struct eval *e, struct track *t, const struct point *p, size_t most)
{
    if (t->n == t->cap) {
        size_t cap = t->cap ? t->cap * 2 : 8;
        cap = cap > most ? most : cap;
        struct point *grown = eval_alloc(e, cap, sizeof(*grown));
        if (!grown)
            return eval_full(e, cap, sizeof(*grown));
        if (t->n)
            memcpy(grown, t->p, t->n * sizeof(*grown));
        t->p = grown;
        t->cap = cap;
    }
    t->p[t->n++] = *p;
    t->n_hist += p->h != NULL;
    return 0;
}

// Index over tracks, rebuilt larger when it fills: series may be born at any step.
static int tracks_room(struct eval *e, struct tracks *ts, struct join *j, size_t more)
{
    static const struct join_key ALL = {.kind = KEY_ALL};
    if (ts->n + more <= ts->cap)
        return 0;
    size_t cap = (ts->n + more) * 2;
    struct track *grown = eval_alloc(e, cap, sizeof(*grown));
    if (!grown)
        return eval_full(e, cap, sizeof(*grown));
    if (ts->n)
        memcpy(grown, ts->t, ts->n * sizeof(*grown));
    ts->t = grown;
    ts->cap = cap;
    int rc = join_init(e, j, cap);
    for (size_t i = 0; rc == 0 && i < ts->n; i++) {
        bool fresh;
        join_put(j, &ALL, &ts->t[i].labels, (uint32_t)i, &fresh);
    }
    return rc;
}

// One sample may stand at several steps, or the one with the reset at none: the counts must tell.
static const struct histogram *without_reset_hint(struct eval *e, const struct histogram *h)
{
    bool tells = h->hint == HINT_RESET || h->hint == HINT_NOT_RESET;
    return tells ? histogram_with_hint(&e->arena, h, HINT_UNKNOWN) : h;
}

static int track_step(struct eval *e, struct tracks *ts, struct join *j, const struct value *v,
    int64_t t_ms, size_t most)
{
    static const struct join_key ALL = {.kind = KEY_ALL};
    struct element one = {.value = v->scalar,
        .silent = v->silent,
        .state = v->no_data ? ELEMENT_NO_DATA : ELEMENT_VALUE};
    const struct element *el = v->type == TYPE_SCALAR ? &one : v->vector.e;
    size_t n = v->type == TYPE_SCALAR ? 1 : v->vector.n;
    int rc = tracks_room(e, ts, j, n);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        if (el[i].state == ELEMENT_FILTERED)
            continue;
        bool fresh;
        struct track *next = &ts->t[ts->n];
        *next = (struct track){.labels = el[i].labels};
        struct join_entry *en = join_put(j, &ALL, &next->labels, (uint32_t)ts->n, &fresh);
        ts->n += fresh;
        struct track *t = &ts->t[en->value];
        t->silent = el[i].state == ELEMENT_NO_DATA || el[i].silent;
        if (el[i].state == ELEMENT_NO_DATA)
            continue;
        if (t->n && t->p[t->n - 1].t_ms == t_ms)
            return eval_fail(e, "vector cannot contain metrics with the same labelset");
        const struct histogram *h = el[i].hist;
        if (h && !(h = without_reset_hint(e, h)))
            return -ENOMEM;
        rc = track_add(e, t, &(struct point){t_ms, el[i].value, h}, most);
        e->samples++;
    }
    if (rc == 0 && e->samples > EVAL_SAMPLES_MAX)
        rc = -E2BIG;
    return rc;
}

// Absolute multiples of the step, the first one inside the window. Division truncates towards zero,
// as Prometheus's does, hence both corrections.
int64_t subquery_first(const struct eval *e, const struct expr *x, int64_t from_ms)
{
    int64_t step = x->step_ms ? x->step_ms : e->o.subquery_step_ms;
    int64_t first = step * (from_ms / step);
    return first + ((e->o.compat_2_42 ? first < from_ms : first <= from_ms) ? step : 0);
}

static int windows_of_subquery(
    struct eval *e, const struct expr *x, int64_t t_ms, window_fn fn, void *ctx)
{
    struct tracks ts = {0};
    struct join j = {0};
    struct window w = {.range_ms = x->range_ms, .t_ms = t_ms};
    int64_t step = x->step_ms ? x->step_ms : e->o.subquery_step_ms;
    w.to_ms = eval_time(e, x, t_ms);
    w.from_ms = w.to_ms - x->range_ms;
    int64_t first = subquery_first(e, x, w.from_ms);
    if (first > w.to_ms)
        return 0;
    size_t most = (size_t)((w.to_ms - first) / step) + 1;
    enum reset_hints hints = e->hints;
    int rc = 0;
    e->hints = HINTS_NEVER_DETECTED;
    for (int64_t t = first; rc == 0 && t <= w.to_ms; t += step) {
        struct value v = {0};
        rc = eval_node(e, x->lhs, t, &v);
        if (rc == 0)
            rc = track_step(e, &ts, &j, &v, t, most);
    }
    e->hints = hints;
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < ts.n; i++) {
        w.labels = &ts.t[i].labels;
        w.p = ts.t[i].p;
        w.n = ts.t[i].n;
        w.n_hist = ts.t[i].n_hist;
        w.silent = ts.t[i].silent;
        rc = fn(e, &w, ctx);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int eval_windows(struct eval *e, const struct expr *x, int64_t t_ms, window_fn fn, void *ctx)
{
    x = expr_inner(x);
    return x->kind == EXPR_SUBQUERY ? windows_of_subquery(e, x, t_ms, fn, ctx)
                                    : windows_of_selector(e, x, t_ms, fn, ctx);
}
