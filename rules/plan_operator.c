// SPDX-License-Identifier: Apache-2.0
// The general node of a plan: a result of the batch evaluator that is kept until an operand changes.
#include "rules/plan_node.h"
#include <errno.h>

struct operator_node {
    struct node n;
    struct arena held[2]; // of the value, and of the one before it
    bool at;
    struct arena names; // the labels of the elements, as long as they are the same
};

static bool same_shape(const struct value *a, const struct value *b)
{
    if (a->vector.n != b->vector.n)
        return false;
    for (size_t i = 0; i < a->vector.n; i++)
        if (!labels_equal(&a->vector.e[i].labels, &b->vector.e[i].labels))
            return false;
    return true;
}

static bool same_value(const struct value *a, const struct value *b)
{
    if (double_bits(a->scalar) != double_bits(b->scalar) || a->no_data != b->no_data ||
        a->silent != b->silent || a->string != b->string)
        return false;
    for (size_t i = 0; i < a->vector.n; i++)
        if (!element_same(&a->vector.e[i], &b->vector.e[i]))
            return false;
    return true;
}

// Takes a result in. Labels are copied once per shape, so that nothing here points into operands.
static int settle(struct plan *p, struct operator_node *o, struct value *v)
{
    struct node *n = &o->n;
    bool first = !n->version, kept = !first && same_shape(&n->out, v);
    if (kept && same_value(&n->out, v))
        return 0; // the value before stands, sample times included
    if (kept) {
        for (size_t i = 0; i < v->vector.n; i++)
            v->vector.e[i].labels = n->out.vector.e[i].labels;
    } else {
        struct arena names;
        arena_init(&names, EVAL_ARENA_MAX);
        for (size_t i = 0; i < v->vector.n; i++) {
            struct labels *l = &v->vector.e[i].labels;
            if (!labels_make(&names, l->l, l->n, l)) {
                arena_done(&names);
                return -ENOMEM;
            }
        }
        arena_done(&o->names);
        o->names = names;
    }
    n->out = *v;
    o->at = !o->at;
    if (kept)
        node_changed(p, n);
    else
        node_reshaped(p, n);
    return 0;
}

typedef int compute_fn(struct eval *e, const struct node *n, int64_t t_ms, struct value *ret);

static int compute(struct plan *p, struct node *n, int64_t t_ms, compute_fn *fn)
{
    struct operator_node *o = (struct operator_node *)n;
    struct eval *e = p->eval;
    struct arena scratch = e->arena;
    struct value v = {0};
    arena_reset(&o->held[!o->at]);
    o->held[!o->at].max = EVAL_ARENA_MAX;
    e->arena = o->held[!o->at];
    int rc = fn(e, n, t_ms, &v);
    o->held[!o->at] = e->arena;
    e->arena = scratch;
    return rc < 0 ? rc : settle(p, o, &v);
}

static int apply(struct eval *e, const struct node *n, int64_t t_ms, struct value *ret)
{
    return eval_apply(e, n->x, n->in, t_ms, ret);
}

static int operator_bring(struct plan *p, struct node *n, int64_t t_ms)
{
    return compute(p, n, t_ms, apply);
}

static int evaluate(struct eval *e, const struct node *n, int64_t t_ms, struct value *ret)
{
    return eval_node(e, n->x, t_ms, ret);
}

static int timer_bring(struct plan *p, struct node *n, int64_t t_ms)
{
    return compute(p, n, t_ms, evaluate);
}

static size_t operator_bytes(const struct node *n)
{
    const struct operator_node *o = (const struct operator_node *)n;
    return o->held[0].used + o->held[1].used + o->names.used;
}

static void operator_done(struct node *n)
{
    struct operator_node *o = (struct operator_node *)n;
    arena_done(&o->held[0]);
    arena_done(&o->held[1]);
    arena_done(&o->names);
}

const struct node_kind NODE_OPERATOR = {.name = "operator",
    .size = sizeof(struct operator_node),
    .bring = operator_bring,
    .bytes = operator_bytes,
    .done = operator_done};
const struct node_kind NODE_TIMER = {.name = "timer",
    .size = sizeof(struct operator_node),
    .bring = timer_bring,
    .bytes = operator_bytes,
    .done = operator_done};
