// SPDX-License-Identifier: Apache-2.0
// and, or, unless in a plan: each place knows the key it meets the other side under.
#include "rules/plan_operator.h"
#include <errno.h>
#include <stdlib.h>

// `and` and `unless` have the left side's places and ask the right one; `or` has both sides' places
// and those of the right one ask the left.
struct set_node {
    struct operator_node o;
    uint32_t *key; // of each place of both sides, left first; GROUP_NONE: nothing to meet
    size_t n;
    uint32_t n_keys;
};

static int set_structure(struct plan *p, struct operator_node *o)
{
    struct set_node *n = (struct set_node *)o;
    const struct expr *x = o->n.x;
    const struct vector *side[2] = {&o->n.in[0].vector, &o->n.in[1].vector};
    struct join_key on = match_key(x);
    struct join j;
    int deciding = x->op == OP_OR ? 0 : 1;
    size_t total = side[0]->n + side[1]->n, places = x->op == OP_OR ? total : side[0]->n;
    struct labels *l = eval_alloc(p->eval, places, sizeof(*l));
    uint32_t *key[2] = {eval_alloc(p->eval, total, sizeof(uint32_t))};
    int rc = join_init(p->eval, &j, side[deciding]->n);
    if (rc < 0 || !l || !key[0])
        return rc < 0 ? rc : eval_full(p->eval, places, sizeof(*l));
    key[1] = key[0] + side[0]->n;
    for (size_t i = 0; i < side[deciding]->n; i++) {
        bool fresh;
        key[deciding][i] =
            join_put(&j, &on, &side[deciding]->e[i].labels, (uint32_t)j.n, &fresh)->value;
    }
    for (size_t i = 0; i < side[!deciding]->n; i++) {
        const struct join_entry *en = join_find(&j, &on, &side[!deciding]->e[i].labels);
        key[!deciding][i] = en ? en->value : GROUP_NONE;
    }
    for (size_t i = 0; i < places; i++)
        l[i] = i < side[0]->n ? side[0]->e[i].labels : side[1]->e[i - side[0]->n].labels;
    n->key = heap_copy(key[0], total, sizeof(*n->key));
    n->n = total;
    n->n_keys = (uint32_t)j.n;
    if (!n->key)
        return -ENOMEM;
    rc = operator_places(p, o, l, places, false);
    return rc < 0 ? rc : 1;
}

static int set_numbers(struct plan *p, struct operator_node *o, int64_t t_ms, bool *changed)
{
    const struct set_node *n = (const struct set_node *)o;
    const struct expr *x = o->n.x;
    const struct vector *left = &o->n.in[0].vector, *right = &o->n.in[1].vector;
    const struct vector *deciding = x->op == OP_OR ? left : right;
    const uint32_t *key = n->key + (x->op == OP_OR ? 0 : left->n);
    struct vector *out = &o->n.out.vector;
    uint32_t *side = eval_alloc(p->eval, n->n_keys, sizeof(*side));
    (void)t_ms;
    if (!side)
        return eval_full(p->eval, n->n_keys, sizeof(*side));
    for (uint32_t i = 0; i < n->n_keys; i++)
        side[i] = SIDE_NONE;
    for (size_t i = 0; i < deciding->n; i++)
        side[key[i]] = side_join(side[key[i]], &deciding->e[i]);
    for (size_t i = 0; i < out->n; i++) {
        bool of_left = i < left->n;
        struct element el = of_left ? left->e[i] : right->e[i - left->n];
        uint32_t other = n->key[i] == GROUP_NONE ? SIDE_NONE : side[n->key[i]];
        if (el.hist)
            return 0;
        bool kept = x->op != OP_OR
                        ? set_keeps(x, other, &el)
                        : el.state != ELEMENT_FILTERED && (of_left || other == SIDE_NONE);
        if (!kept)
            element_clear(&el);
        place_put(&out->e[i], &el, changed);
    }
    return 1;
}

static void set_drop(struct operator_node *o)
{
    struct set_node *n = (struct set_node *)o;
    free(n->key);
    n->key = NULL;
    n->n = 0;
}

static size_t set_bytes(const struct operator_node *o)
{
    return ((const struct set_node *)o)->n * sizeof(uint32_t);
}

const struct operator_kind NODE_SET = {.k = {.name = "set",
                                           .size = sizeof(struct set_node),
                                           .bring = operator_bring,
                                           .bytes = operator_bytes,
                                           .done = operator_done},
    .structure = set_structure,
    .numbers = set_numbers,
    .drop = set_drop,
    .bytes = set_bytes};
