// SPDX-License-Identifier: Apache-2.0
// A function over a range selector, as a leaf of a plan.
#include "rules/plan_node.h"
#include <errno.h>

struct window_node {
    struct leaf l;
    struct arena histograms; // results; those are made anew at each bring
};

// A window without a metric name may hold series that differ in nothing else.
static int unique(struct plan *p, const struct leaf *l)
{
    return l->selector->name || l->keep_name ? 0 : vector_unique(p->eval, &l->n.out.vector);
}

static int window_bring(struct plan *p, struct node *n, int64_t t_ms)
{
    struct window_node *w = (struct window_node *)n;
    struct leaf *l = &w->l;
    struct eval *e = p->eval;
    const struct expr *param, *range = range_operands(n->x, &param);
    const uint32_t *from;
    bool moved, changed = false;
    l->keep_name = range_keeps_name(n->x->fn->id);
    int rc = leaf_select(p, l, &from, &moved);
    if (rc < 0)
        return rc;
    if (moved)
        node_reshaped(p, n);
    struct arena scratch = e->arena;
    arena_reset(&w->histograms);
    e->arena = w->histograms;
    for (uint32_t i = 0; rc >= 0 && i < l->ids.n; i++) {
        struct element *el = &n->out.vector.e[i], next = {0};
        struct window win;
        rc = window_of_series(e, range, l->ids.id[i], t_ms, &el->labels, &win);
        if (rc > 0)
            rc = range_apply(e, n->x->fn->id, param ? &n->in[0] : NULL, &win, &next);
        if (rc < 0)
            break;
        next.labels = el->labels;
        if (rc == 0)
            element_clear(&next);
        changed |= !element_same(&next, el) || next.sample_ms != el->sample_ms;
        *el = next;
        l->slot[i].late = false;
    }
    w->histograms = e->arena;
    e->arena = scratch;
    if (rc < 0)
        return rc;
    if (changed)
        node_changed(p, n);
    return unique(p, l);
}

static void window_done(struct node *n)
{
    leaf_done((struct leaf *)n);
    arena_done(&((struct window_node *)n)->histograms);
}

static size_t window_bytes(const struct node *n)
{
    return leaf_bytes((const struct leaf *)n) +
           ((const struct window_node *)n)->histograms.used;
}

const struct node_kind NODE_WINDOW = {.name = "window",
    .size = sizeof(struct window_node),
    .bring = window_bring,
    .bytes = window_bytes,
    .done = window_done,
    .forward = true};
