// SPDX-License-Identifier: Apache-2.0
// A function over a range selector, as a leaf of a plan: one window state (slide.h) per series,
// moved from the window before to the new one. What has a silent source, or histograms of which
// more than the first and the last count, is computed from its samples, as is what a state asks for.
#include "rules/functions.h"
#include "rules/plan_node.h"
#include "rules/slide_follow.h"
#include <errno.h>
#include <stdlib.h>

struct window_node {
    struct leaf l;
    struct arena histograms; // results; those are made anew at each bring
    struct slide_call call;
    // For each slot slide_size bytes, and before them, unless the function never evicts, an ahead.
    unsigned char *state;
    size_t n, room;
    int64_t reached_ms; // the states are there, also when the bring failed after all
    bool doubt; // elements came or went since it was known that no two have the same labels
};

// One bring in progress.
struct move {
    struct plan *p;
    struct window_node *w;
    const struct expr *range;
    const struct value *param; // NULL = none
    int64_t t_ms;
    struct window win; // bounds of a source that is not silent
    struct follow follow;
};

static size_t stride(const struct window_node *w)
{
    return (slide_is_tail(&w->call) ? 0 : sizeof(struct ahead)) + slide_size(&w->call);
}

static struct slide *state_of(const struct window_node *w, size_t i)
{
    return (struct slide *)(w->state + (i + 1) * stride(w) - slide_size(&w->call));
}

static struct ahead *ahead_of(const struct window_node *w, size_t i)
{
    return slide_is_tail(&w->call) ? NULL : (struct ahead *)(w->state + i * stride(w));
}

static void states_free(struct window_node *w)
{
    for (size_t i = 0; i < w->n; i++)
        slide_done(&w->call, state_of(w, i));
    free(w->state);
    w->state = NULL;
    w->n = w->room = 0;
}

// Whether the slots before are where they were, and only new ones came behind them.
static bool stay(const struct window_node *w, const uint32_t *from)
{
    if (w->l.ids.n < w->n)
        return false;
    for (size_t i = 0; i < w->n; i++)
        if (from[i] != i)
            return false;
    return true;
}

static bool states_grow(struct window_node *w, size_t n)
{
    size_t size = stride(w);
    if (n > w->room) {
        size_t room = w->n ? n + n / 8 : n;
        unsigned char *grown = realloc(w->state, room * size);
        if (!grown)
            return false;
        w->state = grown;
        w->room = room;
    }
    memset(w->state + w->n * size, 0, (n - w->n) * size);
    w->n = n;
    return true;
}

// States for the series there are now. from: see leaf_select; NULL when nothing is known of the
// slots before.
static int states_move(struct window_node *w, const uint32_t *from)
{
    size_t n = w->l.ids.n, size = stride(w);
    if (w->n == n && !from)
        return 0;
    if (from && stay(w, from))
        return n == w->n || states_grow(w, n) ? 0 : -ENOMEM;
    struct window_node next = *w;
    next.state = n ? calloc(n, size) : NULL;
    if (n && !next.state) {
        states_free(w);
        return -ENOMEM;
    }
    for (size_t i = 0; from && i < n; i++) {
        if (from[i] >= w->n)
            continue;
        unsigned char *old = w->state + from[i] * size;
        memcpy(next.state + i * size, old, size);
        memset(old, 0, size); // what it owns went along
    }
    states_free(w);
    w->state = next.state;
    w->n = w->room = n;
    return 0;
}

// --- one slot ----------------------------------------------------------------------------------

static double param_of(const struct move *m)
{
    return m->param ? m->param->scalar : 0;
}

// When a slot with a state has to be looked at although no sample comes.
static int64_t due_again(const struct move *m, const struct slot *slot, const struct slide *s)
{
    if (slot->newest_ms > m->win.to_ms || slide_drifts(&m->w->call, s))
        return INT64_MIN;
    int64_t leaves_ms = slide_leaves_ms(&m->w->call, s);
    if (leaves_ms <= m->follow.left_ms || leaves_ms == INT64_MAX)
        return INT64_MAX;
    return leaves_ms + (m->t_ms - m->follow.left_ms);
}

// The silent last word stands until the lookback is over.
static int64_t silence_ends(const struct move *m, const struct window *win)
{
    int64_t end_ms = win->to_ms + m->p->eval->o.lookback_ms + (m->t_ms - m->win.to_ms);
    return end_ms > m->t_ms ? end_ms : INT64_MAX;
}

static bool by_edges(int fn)
{
    return fn == FN_RATE || fn == FN_INCREASE || fn == FN_DELTA;
}

// From all samples of the window. As range_apply.
static int compute_whole(struct move *m, uint32_t i, struct element *ret)
{
    struct window_node *w = m->w;
    struct slot *slot = &w->l.slot[i];
    struct slide *s = state_of(w, i);
    struct eval *e = m->p->eval;
    struct window win;
    s->ready = false;
    slot->due_ms = INT64_MIN;
    int rc = window_of_series(
        e, m->range, w->l.ids.id[i], m->t_ms, &w->l.n.out.vector.e[i].labels, &win);
    if (rc > 0)
        rc = range_apply(e, w->call.fn, m->param, &win, ret);
    if (rc < 0)
        return rc;
    if (win.silent) {
        if (!win.n_hist)
            slot->due_ms = silence_ends(m, &win);
        return rc;
    }
    if (!win.n && slot->newest_ms <= win.to_ms)
        slot->due_ms = INT64_MAX;
    if (!win.n || (win.n_hist && (win.n_hist < win.n || !by_edges(w->call.fn))))
        return rc;
    int begun = slide_begin(&m->follow, s, ahead_of(w, i), &win, param_of(m));
    if (begun < 0)
        return begun;
    if (!s->hist)
        slot->due_ms = due_again(m, slot, s);
    return rc;
}

// rate, increase and delta of histograms: from the first and the last, unless one between is reset.
// 1, 0 as range_apply; -EAGAIN.
static int read_histograms(const struct move *m, uint32_t id, const struct slide *s,
    const struct labels *labels, struct element *ret)
{
    struct eval *e = m->p->eval;
    struct point p[2];
    struct window win = m->win;
    if (slide_breaks(s) || !e->src.next(e->src.self, id, s->first.t_ms - 1, &p[0]) ||
        !e->src.latest(e->src.self, id, s->last.t_ms, &p[1]) || !p[0].h || !p[1].h ||
        p[0].t_ms != s->first.t_ms || p[1].t_ms != s->last.t_ms)
        return -EAGAIN;
    win.labels = labels;
    win.p = p;
    win.n = win.n_hist = s->n < 2 ? 1 : 2;
    win.left_out = s->n - win.n;
    return range_apply(e, m->w->call.fn, NULL, &win, ret);
}

// The usual case: nothing came, or one sample, of which the value is known. 1; 0: the source has to be
// asked; -ENOMEM.
static int push_one(const struct move *m, const struct slot *slot, struct slide *s)
{
    if (!slot->came)
        return 1;
    if (slot->came > 1 || s->hist || slot->newest_ms > m->win.to_ms ||
        double_bits(slot->v) == NAN_ABSENT_BITS)
        return 0;
    int rc = is_stale(slot->v) ? 0 : slide_push(&m->w->call, s, slot->newest_ms, slot->v);
    return rc < 0 ? rc : 1;
}

// Moves the state on and reads it. 1, 0 as range_apply; -EAGAIN: it has to be computed whole.
static int glide(const struct move *m, uint32_t i, struct element *ret)
{
    struct window_node *w = m->w;
    struct slot *slot = &w->l.slot[i];
    struct slide *s = state_of(w, i);
    uint32_t id = w->l.ids.id[i];
    if (!s->ready || slot->late || s->last.t_ms <= m->follow.left_ms)
        return -EAGAIN;
    if (leaf_silent(m->p, &w->l, i))
        return -EAGAIN;
    int rc = push_one(m, slot, s);
    if (rc < 0)
        return rc;
    rc = slide_follow(&m->follow, id, rc == 0, s, ahead_of(w, i));
    if (rc <= 0)
        return rc ? rc : -EAGAIN;
    if (s->hist) {
        slot->due_ms = INT64_MIN; // the result is in an arena that is emptied before each bring
        return read_histograms(m, id, s, &w->l.n.out.vector.e[i].labels, ret);
    }
    *ret = (struct element){.sample_ms = s->last.t_ms};
    if (m->param && m->param->no_data)
        ret->state = ELEMENT_NO_DATA;
    enum slide_verdict v = slide_read(&w->call, s, &m->win, param_of(m), &ret->value);
    if (v == SLIDE_ASK)
        return -EAGAIN;
    slot->due_ms = due_again(m, slot, s);
    return v == SLIDE_VALUE;
}

static int bring_slot(struct move *m, uint32_t i, bool *changed)
{
    struct window_node *w = m->w;
    struct element *el = &w->l.n.out.vector.e[i], next = {0};
    int rc = glide(m, i, &next);
    if (rc == -EAGAIN) {
        next = (struct element){0};
        rc = compute_whole(m, i, &next);
    }
    if (rc < 0) {
        state_of(w, i)->ready = false;
        return rc;
    }
    next.labels = el->labels;
    if (rc == 0)
        element_clear(&next);
    w->doubt |= (next.state == ELEMENT_VALUE) != (el->state == ELEMENT_VALUE);
    *changed |= !element_same(&next, el) || next.sample_ms != el->sample_ms;
    *el = next;
    slot_brought(&w->l.slot[i], m->win.to_ms);
    return 0;
}

// --- the node ----------------------------------------------------------------------------------

// A window without a metric name may hold series that differ in nothing else.
static int unique(struct plan *p, struct window_node *w)
{
    const struct leaf *l = &w->l;
    if (l->selector->name || l->keep_name || !w->doubt)
        return 0;
    int rc = vector_unique(p->eval, &l->n.out.vector);
    w->doubt = rc < 0;
    return rc;
}

static int bring_slots(struct move *m, bool all)
{
    struct window_node *w = m->w;
    struct leaf *l = &w->l;
    struct eval *e = m->p->eval;
    struct arena scratch = e->arena;
    int64_t wake_ms = INT64_MAX;
    bool changed = false;
    int rc = 0;
    l->wake_ms = INT64_MIN;
    arena_reset(&w->histograms);
    e->arena = w->histograms;
    bool back = m->t_ms < w->reached_ms; // after a failure: the plan does not know of it
    w->reached_ms = m->t_ms;
    for (uint32_t i = 0; back && i < l->ids.n; i++)
        l->slot[i].late = true;
    for (uint32_t i = 0; rc == 0 && i < l->ids.n; i++) {
        if (all || back || l->slot[i].due_ms <= m->t_ms)
            rc = bring_slot(m, i, &changed);
        if (l->slot[i].due_ms < wake_ms)
            wake_ms = l->slot[i].due_ms;
    }
    w->histograms = e->arena;
    e->arena = scratch;
    if (changed)
        node_changed(m->p, &l->n);
    if (rc == 0)
        l->wake_ms = wake_ms;
    return rc;
}

static int window_bring(struct plan *p, struct node *n, int64_t t_ms)
{
    struct window_node *w = (struct window_node *)n;
    struct leaf *l = &w->l;
    const uint32_t *from;
    bool moved, param_moved = n->n && !n->fixed && n->seen[0] != n->child[0]->version;
    if (!w->call.kind) {
        w->call = slide_call(n->x->fn->id, p->eval->o.compat_2_42);
        l->keep_name = range_keeps_name(n->x->fn->id);
    }
    int rc = leaf_select(p, l, &from, &moved);
    if (rc < 0)
        return rc;
    if (moved) {
        node_reshaped(p, n);
        w->doubt = true;
    }
    rc = states_move(w, moved ? from : NULL);
    if (rc == 0 && (l->wake_ms <= t_ms || param_moved || t_ms < w->reached_ms)) {
        struct move m = {.p = p,
            .w = w,
            .range = l->range,
            .param = n->n ? &n->in[0] : NULL,
            .t_ms = t_ms,
            .win = {.range_ms = l->range_ms, .t_ms = t_ms}};
        m.win.to_ms = t_ms - l->offset_ms;
        m.win.from_ms = m.win.to_ms - l->range_ms;
        m.follow = (struct follow){.e = p->eval,
            .call = &w->call,
            .left_ms = m.win.from_ms - p->eval->o.compat_2_42,
            .to_ms = m.win.to_ms};
        rc = bring_slots(&m, param_moved);
    }
    return rc < 0 ? rc : unique(p, w);
}

static void window_done(struct node *n)
{
    struct window_node *w = (struct window_node *)n;
    states_free(w);
    leaf_done(&w->l);
    arena_done(&w->histograms);
}

static size_t window_bytes(const struct node *n)
{
    const struct window_node *w = (const struct window_node *)n;
    size_t bytes = leaf_bytes(&w->l) + w->histograms.used;
    if (w->state)
        bytes += w->room * stride(w);
    for (size_t i = 0; i < w->n; i++)
        bytes += slide_held(&w->call, state_of(w, i));
    return bytes;
}

const struct node_kind NODE_WINDOW = {.name = "window",
    .size = sizeof(struct window_node),
    .bring = window_bring,
    .bytes = window_bytes,
    .done = window_done,
    .forward = true};
