// SPDX-License-Identifier: Apache-2.0
// Operators of a plan that make one element of one: place i is the operand's place i.
#include "rules/plan_operator.h"
#include <errno.h>
#include <stdlib.h>

static int map_structure(struct plan *p, struct operator_node *o)
{
    struct mapping m = mapping_of(o->n.x, o->n.in, 0);
    const struct vector *in = m.over;
    struct labels *l = eval_alloc(p->eval, in->n, sizeof(*l));
    bool views = true;
    int rc = 0;
    if (!l)
        return eval_full(p->eval, in->n, sizeof(*l));
    for (size_t i = 0; i < in->n; i++) {
        const struct labels *all = &in->e[i].labels;
        l[i] = *all;
        if (m.keeps_name)
            continue;
        if (!drop_name(p->eval, all, &l[i]))
            return -ENOMEM;
        views &= !l[i].n || l[i].l == all->l || l[i].l == all->l + 1;
    }
    if (!m.keeps_name)
        rc = operator_twins(p, l, in->n, &o->twin);
    if (rc == 0)
        rc = operator_places(p, o, l, in->n, !views);
    return rc < 0 ? rc : 1;
}

static int map_numbers(struct plan *p, struct operator_node *o, int64_t t_ms, bool *changed)
{
    struct mapping m = mapping_of(o->n.x, o->n.in, t_ms);
    struct vector *out = &o->n.out.vector;
    for (size_t i = 0; i < out->n; i++) {
        struct element el = m.over->e[i];
        if (el.hist)
            return 0;
        int rc = mapping_element(p->eval, &m, &el);
        if (rc < 0)
            return rc;
        if (rc == 0)
            element_clear(&el);
        place_put(&out->e[i], &el, changed);
    }
    int rc = operator_twins_meet(p, o);
    return rc < 0 ? rc : !rc;
}

const struct operator_kind NODE_MAP = {.k = {.name = "map",
                                           .size = sizeof(struct operator_node),
                                           .bring = operator_bring,
                                           .bytes = operator_bytes,
                                           .done = operator_done},
    .structure = map_structure,
    .numbers = map_numbers};
