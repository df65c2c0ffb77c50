// SPDX-License-Identifier: Apache-2.0
// histogram_quantile over classic buckets in a plan: the sets of buckets by rising bound are kept.
#include "rules/plan_operator.h"
#include <errno.h>
#include <stdlib.h>

struct buckets_node {
    struct operator_node o;
    struct bucket_sets sets; // on the heap, without members
};

static void buckets_drop(struct operator_node *o)
{
    struct buckets_node *n = (struct buckets_node *)o;
    free(n->sets.first);
    free(n->sets.bucket);
    n->sets = (struct bucket_sets){0};
}

static int buckets_structure(struct plan *p, struct operator_node *o)
{
    struct buckets_node *n = (struct buckets_node *)o;
    const struct vector *in = &o->n.in[1].vector;
    struct bucket_sets found;
    int rc = buckets_find(p->eval, in, true, &found);
    if (rc < 0)
        return rc;
    struct labels *l = eval_alloc(p->eval, found.n, sizeof(*l));
    if (!l)
        return eval_full(p->eval, found.n, sizeof(*l));
    for (uint32_t i = 0; rc == 0 && i < found.n; i++)
        rc = bucket_labels(p->eval, found.member[i], &l[i]);
    if (rc < 0)
        return rc;
    n->sets.n = found.n;
    n->sets.first = heap_copy(found.first, found.n + 1, sizeof(*found.first));
    n->sets.bucket = heap_copy(found.bucket, found.first[found.n], sizeof(*found.bucket));
    if (!n->sets.first || !n->sets.bucket) {
        buckets_drop(o);
        return -ENOMEM;
    }
    rc = operator_places(p, o, l, found.n, true);
    return rc < 0 ? rc : 1;
}

static int buckets_numbers(struct plan *p, struct operator_node *o, int64_t t_ms, bool *changed)
{
    const struct buckets_node *n = (const struct buckets_node *)o;
    const struct value *q = &o->n.in[0];
    const struct vector *in = &o->n.in[1].vector;
    struct vector *out = &o->n.out.vector;
    (void)t_ms;
    for (size_t i = 0; i < in->n; i++)
        if (in->e[i].hist)
            return 0;
    struct bucket *room = buckets_room(p->eval, &n->sets);
    if (!room)
        return -ENOMEM;
    for (uint32_t i = 0; i < n->sets.n; i++) {
        struct element el;
        if (!bucket_result(p->eval, o->n.x, in, &n->sets, i, q, room, &el))
            element_clear(&el);
        place_put(&out->e[i], &el, changed);
    }
    return 1;
}

static size_t buckets_bytes(const struct operator_node *o)
{
    const struct bucket_sets *s = &((const struct buckets_node *)o)->sets;
    return s->first ? (s->n + 1) * sizeof(*s->first) + s->first[s->n] * sizeof(*s->bucket) : 0;
}

const struct operator_kind NODE_BUCKETS = {.k = {.name = "buckets",
                                               .size = sizeof(struct buckets_node),
                                               .bring = operator_bring,
                                               .bytes = operator_bytes,
                                               .done = operator_done},
    .structure = buckets_structure,
    .numbers = buckets_numbers,
    .drop = buckets_drop,
    .bytes = buckets_bytes};
