// SPDX-License-Identifier: Apache-2.0
/*
 * What the operators of a plan share. An operator keeps the structure of its result, which is what
 * follows from labels alone (groups, partners, labels of results), until the shape of an operand
 * changes, and redoes only the numbers when a version does:
 *
 *     operand reshaped -> drop, structure --1--> CACHED: numbers over fixed places
 *                                         \        | 0: a histogram, a mistake
 *                                         0\       v
 *                                           -> GENERAL: eval_apply, labels compared with the last
 *
 * Mistakes (a pair matched twice ...) are not told by the numbers: the general path finds them
 * again, and its words are the batch evaluator's.
 *
 * An operator owns its places. Their labels are views into an operand, good while its shape
 * stands, or copies in one block. Scratch memory is the evaluation's arena. One thread.
 */
#pragma once
#include "rules/plan_node.h"

struct operator_node {
    struct node n; // out.vector is a heap array
    enum { HOW_UNKNOWN, HOW_CACHED, HOW_GENERAL } how;
    bool copied; // labels of the places are in `names`, not views
    void *names; // one block, NULL when there is nothing to hold
    size_t names_size;
    uint32_t
        *twin; // part of the structure: places whose labels have become equal; NULL: none have
    struct arena histograms; // results of the general path
};

struct operator_kind {
    struct node_kind k; // bring = operator_bring
    // Makes the structure and gives the node its places (operator_places). The structure before
    // was dropped. 1; 0 = the general path, as long as the operands keep their shape; -errno.
    int (*structure)(struct plan *p, struct operator_node *o);
    // Puts a value into every place (place_put). 1, 0 = the general path, -errno.
    int (*numbers)(struct plan *p, struct operator_node *o, int64_t t_ms, bool *changed);
    void (*drop)(struct operator_node *o); // its own part of the structure; NULL = none
    size_t (*bytes)(const struct operator_node *o); // of the structure
};
int operator_bring(struct plan *p, struct node *n, int64_t t_ms);
// Takes a result of the batch evaluator in; anew: what the places hold was not told to anybody.
int operator_settle(struct plan *p, struct operator_node *o, const struct value *v, bool anew);
size_t operator_bytes(const struct node *n);
void operator_done(struct node *n);

// n empty places with these labels. copy: they are taken over into the node, and when they are
// those that the places have already nothing happens; otherwise the node is reshaped. 0, -ENOMEM.
int operator_places(
    struct plan *p, struct operator_node *o, const struct labels *l, size_t n, bool copy);
static inline void place_put(struct element *place, const struct element *el, bool *changed)
{
    *changed |= !element_same(place, el);
    place->state = el->state;
    place->silent = el->silent;
    place->value = el->value;
    place->hist = el->hist;
    place->sample_ms = el->sample_ms;
}

// Places that have equal labels: *ret is a heap array with the first of them for each, or NULL
// when all labels differ. 0, -errno.
int operator_twins(struct plan *p, const struct labels *l, size_t n, uint32_t **ret);
// Whether two twins have values at once, which Prometheus refuses. 1, 0, -errno.
int operator_twins_meet(struct plan *p, const struct operator_node *o);

// A heap copy of n things, NULL when there is no memory. Never NULL for n = 0.
void *heap_copy(const void *from, size_t n, size_t size);

extern const struct operator_kind NODE_MAP;       // plan_map.c
extern const struct operator_kind NODE_AGGREGATE; // plan_aggregate.c
extern const struct operator_kind NODE_JOIN;      // plan_join.c
extern const struct operator_kind NODE_SET;       // plan_set.c
extern const struct operator_kind NODE_BUCKETS;   // plan_bucket.c
extern const struct operator_kind NODE_LABELS;    // plan_label.c
extern const struct operator_kind NODE_ABSENT;    // plan_label.c
