// SPDX-License-Identifier: Apache-2.0
// Aggregations of a plan: a place per group, and for each member the number of its group. topk and
// bottomk have the operand's places.
#include "rules/plan_operator.h"
#include <errno.h>
#include <stdlib.h>

struct aggregate_node {
    struct operator_node o;
    uint32_t *of; // group of each place of the operand
    size_t n;
    uint32_t n_groups;
};

static bool ranks(const struct expr *x)
{
    return x->agg == AGG_TOPK || x->agg == AGG_BOTTOMK;
}

static int aggregate_structure(struct plan *p, struct operator_node *o)
{
    struct aggregate_node *n = (struct aggregate_node *)o;
    const struct expr *x = o->n.x;
    const struct vector *in = &o->n.in[0].vector;
    struct groups gs;
    if (x->agg == AGG_COUNT_VALUES)
        return 0;
    int rc = groups_find(p->eval, x, in, true, &gs);
    if (rc < 0)
        return rc;
    size_t places = ranks(x) ? in->n : gs.n;
    struct labels *l = eval_alloc(p->eval, places, sizeof(*l));
    if (!l)
        return eval_full(p->eval, places, sizeof(*l));
    for (size_t i = 0; rc == 0 && i < places; i++)
        if (ranks(x))
            l[i] = in->e[i].labels;
        else
            rc = group_labels(p->eval, x, gs.member[i], &l[i]);
    if (rc < 0)
        return rc;
    n->of = heap_copy(gs.of, in->n, sizeof(*gs.of));
    n->n = in->n;
    n->n_groups = gs.n;
    if (!n->of)
        return -ENOMEM;
    rc = operator_places(p, o, l, places, !ranks(x));
    return rc < 0 ? rc : 1;
}

static int rank_numbers(struct plan *p, struct node *n, const struct groups *gs, bool *changed)
{
    const struct vector *in = &n->in[0].vector;
    bool *stays;
    int rc = rank_check(p->eval, n->x, n->in[1].scalar);
    if (rc == 0)
        rc = rank_marks(p->eval, n->x, in, gs, n->in[1].scalar, &stays);
    for (size_t i = 0; rc == 0 && i < in->n; i++) {
        struct element el = in->e[i];
        if (!stays[i])
            element_clear(&el);
        place_put(&n->out.vector.e[i], &el, changed);
    }
    return rc < 0 ? rc : 1;
}

static int aggregate_numbers(
    struct plan *p, struct operator_node *o, int64_t t_ms, bool *changed)
{
    const struct aggregate_node *n = (const struct aggregate_node *)o;
    struct node *node = &o->n;
    struct vector *out = &o->n.out.vector;
    struct groups gs = {.n = n->n_groups, .of = n->of};
    struct group *all;
    double param = node->x->param ? node->in[1].scalar : 0;
    (void)t_ms;
    // What a silent source would say is the parameter.
    if (node->x->param && node->in[1].no_data)
        return 0;
    if (ranks(node->x))
        return rank_numbers(p, node, &gs, changed);
    int rc = groups_fold(p->eval, node->x, &node->in[0].vector, &gs, param, &all);
    for (uint32_t i = 0; rc >= 0 && i < gs.n; i++) {
        struct element el;
        rc = group_result(p->eval, node->x, all, i, &el);
        if (rc == 0)
            element_clear(&el);
        else if (rc > 0 && el.hist)
            return 0;
        if (rc >= 0)
            place_put(&out->e[i], &el, changed);
    }
    return rc < 0 ? rc : 1;
}

static void aggregate_drop(struct operator_node *o)
{
    struct aggregate_node *n = (struct aggregate_node *)o;
    free(n->of);
    n->of = NULL;
    n->n = 0;
}

static size_t aggregate_bytes(const struct operator_node *o)
{
    return ((const struct aggregate_node *)o)->n * sizeof(uint32_t);
}

const struct operator_kind NODE_AGGREGATE = {.k = {.name = "aggregate",
                                                 .size = sizeof(struct aggregate_node),
                                                 .bring = operator_bring,
                                                 .bytes = operator_bytes,
                                                 .done = operator_done},
    .structure = aggregate_structure,
    .numbers = aggregate_numbers,
    .drop = aggregate_drop,
    .bytes = aggregate_bytes};
