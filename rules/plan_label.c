// SPDX-License-Identifier: Apache-2.0
// Functions that make labels, in a plan: the labels are made once for each shape of the operand.
#include "rules/plan_operator.h"
#include <stdlib.h>

static int labels_structure(struct plan *p, struct operator_node *o)
{
    const struct vector *in = &o->n.in[0].vector;
    struct vector v;
    struct labels *l = eval_alloc(p->eval, in->n, sizeof(*l));
    int rc = l ? vector_room(p->eval, in->n, &v) : eval_full(p->eval, in->n, sizeof(*l));
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < in->n; i++)
        vector_push(&v, &in->e[i]);
    rc = relabel(p->eval, o->n.x, o->n.in, &v);
    for (size_t i = 0; i < in->n; i++)
        l[i] = element_gone(&in->e[i]) ? in->e[i].labels : v.e[i].labels;
    if (rc == 0)
        rc = operator_twins(p, l, in->n, &o->twin);
    if (rc == 0)
        rc = operator_places(p, o, l, in->n, true);
    return rc < 0 ? rc : 1;
}

static int labels_numbers(struct plan *p, struct operator_node *o, int64_t t_ms, bool *changed)
{
    const struct vector *in = &o->n.in[0].vector;
    struct vector *out = &o->n.out.vector;
    (void)t_ms;
    for (size_t i = 0; i < in->n; i++) {
        struct element el = in->e[i];
        if (el.hist)
            return 0;
        if (el.state == ELEMENT_FILTERED)
            element_clear(&el);
        place_put(&out->e[i], &el, changed);
    }
    int rc = operator_twins_meet(p, o);
    return rc < 0 ? rc : !rc;
}

const struct operator_kind NODE_LABELS = {.k = {.name = "labels",
                                              .size = sizeof(struct operator_node),
                                              .bring = operator_bring,
                                              .bytes = operator_bytes,
                                              .done = operator_done},
    .structure = labels_structure,
    .numbers = labels_numbers};

static int absent_structure(struct plan *p, struct operator_node *o)
{
    struct labels l;
    int rc = absent_labels(p->eval, o->n.x->args[0], &l);
    if (rc == 0)
        rc = operator_places(p, o, &l, 1, true);
    return rc < 0 ? rc : 1;
}

static int absent_numbers(struct plan *p, struct operator_node *o, int64_t t_ms, bool *changed)
{
    struct presence there = presence_of(&o->n.in[0].vector);
    struct element el;
    (void)p;
    (void)t_ms;
    if (!absent_result(&there, &el))
        element_clear(&el);
    place_put(&o->n.out.vector.e[0], &el, changed);
    return 1;
}

const struct operator_kind NODE_ABSENT = {.k = {.name = "absent",
                                              .size = sizeof(struct operator_node),
                                              .bring = operator_bring,
                                              .bytes = operator_bytes,
                                              .done = operator_done},
    .structure = absent_structure,
    .numbers = absent_numbers};
