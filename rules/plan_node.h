// SPDX-License-Identifier: Apache-2.0
/*
 * What the parts of the incremental evaluator share: the nodes. Only rules/plan*.c include it.
 *
 * A node's value carries two numbers, both from one counter that only rises: `version` when a
 * value in it changed, `shape` when the labels of its elements, their number or order did. Whoever
 * caches something made of a node's labels (groups, join partners) keeps the shape it was made for
 * and drops it, without looking at it, when that changed: the labels may be gone with their series.
 *
 * plan_read brings a node to a time: first its operands, then itself by kind->bring.
 */
#pragma once
#include "base/map.h"
#include "rules/audience.h"
#include "rules/eval_node.h"
#include "rules/plan.h"

struct node;
struct node_kind {
    const char *name;
    size_t size; // of the struct that begins with a struct node
    // Brings n->out to t_ms; the operands are there already. Calls node_changed, node_reshaped.
    // 0, -EINVAL, -ENOMEM, -E2BIG. After a failure everything is computed anew next time.
    int (*bring)(struct plan *p, struct node *n, int64_t t_ms);
    size_t (*bytes)(const struct node *n);
    void (*done)(struct node *n);
    bool forward; // keeps what only moves forward in time
};

// The expression a node came from; lives as long as one of its nodes.
struct plan_text {
    struct arena arena;
    struct expr_root root;
    struct selections *selections; // for the parts the batch evaluator does
    uint32_t refs;
};

struct node {
    // What each read looks at comes first.
    uint64_t round; // of the plan, when it was brought
    const struct node_kind *kind;
    uint64_t version, shape;
    int64_t t_ms;   // to which time it was brought; INT64_MIN = never
    uint32_t fixed; // bit i: operand i is a constant; its value and version are in place
    bool failed;    // the last bring failed: nothing of it is to be believed
    bool reads_time;
    size_t n;
    struct node **child; // operands in the order of expr_operand
    uint64_t *seen;      // their versions at the last bring that succeeded
    struct value *in;    // their values, filled in before bring
    struct plan_text *text;
    const struct expr *x;
    struct value out;
    char *key;     // canonical text
    uint32_t refs; // nodes and expressions that read it
};

// What a leaf knows of one of its series; together, because every sample touches all of it.
struct slot {
    int64_t due_ms;    // when it has to be looked at without a sample; INT64_MIN = now
    int64_t newest_ms; // newest sample heard of: one after the window's end is still to come
    double v;          // its value; the absent NaN: not known
    bool late;         // what it has consumed already changed
    bool gone;         // the series is forgotten
    uint8_t came;      // samples newer than all before since the last bring: 0, 1, 2 = more
    uint8_t silence;   // of the series' source
};
enum { SILENCE_ASK, SILENCE_NO, SILENCE_YES };

// A node that reads series. Slot i of out is series ids.id[i]; one whose series was forgotten stays
// as an empty place without labels until there are many.
struct leaf {
    struct node n;
    const struct expr *selector, *range; // range: of a window
    int64_t offset_ms, range_ms;         // theirs: an expression is far away
    bool keep_name;
    struct listener hears;
    struct series_ids ids;
    struct slot *slot;
    int64_t wake_ms;    // the least of their due_ms
    uint32_t *from;     // where each slot was before the last move
    size_t room;        // of slot, from and out
    size_t gone;        // slots of series that are forgotten
    bool reshaped;      // a series was, since the last bring
    struct arena names; // label sets that lost their name
};
static inline struct leaf *leaf_of(struct listener *l)
{
    return (struct leaf *)((char *)l - offsetof(struct leaf, hears));
}

struct plan {
    struct eval *eval;
    struct map nodes; // by key
    struct audience audience;
    uint64_t clock;          // versions and shapes
    uint64_t round;          // rises with each time and each change of the source
    bool source_moved;       // since the last read
    int64_t t_ms, newest_ms; // of the last read, and the newest of all
    uint64_t generation;
    size_t elements_max;
    struct node **todo; // of one read
    size_t todo_room;
    struct subquery_node *subqueries; // plan_subquery.h
    int64_t steps_ms;                 // samples after this reach no step they keep
    struct plan_stats stats;
};
struct plan_step {
    struct node *node;
    size_t size; // steps of it and its operands
};
struct plan_expr {
    struct node *root;
    struct plan_text *text;
    uint64_t version; // of the root, as it was read last
    size_t n;
    struct plan_step step[]; // its nodes from the root down, constants left out
};

// plan.c
// -E2BIG when a node would have more elements than allowed.
int plan_check(struct plan *p, const struct node *n, size_t elements);
static inline void node_changed(struct plan *p, struct node *n)
{
    n->version = ++p->clock;
}
static inline void node_reshaped(struct plan *p, struct node *n)
{
    n->shape = n->version = ++p->clock;
}
// Nothing there: what an empty place holds.
static inline void element_clear(struct element *el)
{
    el->state = ELEMENT_FILTERED;
    el->silent = false;
    el->value = double_from_bits(NAN_ABSENT_BITS);
    el->hist = NULL;
}
static inline bool element_same(const struct element *a, const struct element *b)
{
    return double_bits(a->value) == double_bits(b->value) && a->state == b->state &&
           a->silent == b->silent && !a->hist && !b->hist;
}

// plan_leaf.c
void leaf_forget(struct leaf *l, uint32_t slot); // its series is no more
// What the source says is asked once, until it is told to be another.
static inline bool leaf_silent(const struct plan *p, struct leaf *l, uint32_t at)
{
    struct slot *slot = &l->slot[at];
    const struct source *src = &p->eval->src;
    if (p->eval->o.parity)
        return false;
    if (slot->silence == SILENCE_ASK)
        slot->silence = src->silent(src->self, l->ids.id[at]) ? SILENCE_YES : SILENCE_NO;
    return slot->silence == SILENCE_YES;
}
// A slot was brought to at_ms of its samples: what came since counts from here.
static inline void slot_brought(struct slot *slot, int64_t at_ms)
{
    slot->late = false;
    slot->came = slot->newest_ms > at_ms ? 2 : 0;
}
// Something was heard of one of its series: a sample at t_ms, or INT64_MIN.
static inline void leaf_sample(struct leaf *l, uint32_t at, int64_t t_ms, double v)
{
    struct slot *slot = &l->slot[at];
    if (t_ms == INT64_MAX) {
        leaf_forget(l, at);
        return;
    }
    // In order is in time: windows go on from the newest sample they have, not from their end.
    if (t_ms > slot->newest_ms) {
        slot->newest_ms = t_ms;
        slot->v = v;
        slot->came = slot->came ? 2 : 1;
    } else {
        slot->late = true;
        // Of two at one time the source says which counts.
        if (t_ms == slot->newest_ms || t_ms == INT64_MIN)
            slot->v = double_from_bits(NAN_ABSENT_BITS);
        if (t_ms == INT64_MIN)
            slot->silence = SILENCE_ASK;
    }
    slot->due_ms = INT64_MIN;
    l->wake_ms = INT64_MIN;
}
// Brings the slots of a leaf up to the source's series. from (may be NULL) receives for each new slot
// its old one or UINT32_MAX, valid until the next call; *ret_moved whether anything moved.
int leaf_select(struct plan *p, struct leaf *l, const uint32_t **from, bool *ret_moved);
void leaf_done(struct leaf *l);
size_t leaf_bytes(const struct leaf *l);
int leaf_open(struct plan *p, struct leaf *l); // begins to listen. 0, -ENOMEM

extern const struct node_kind NODE_SELECT; // plan_leaf.c: an instant selector
extern const struct node_kind NODE_WINDOW; // plan_window.c: a function over a range
extern const struct node_kind NODE_TIMER;  // plan_operator.c: evaluated anew each time
const struct node_kind *operator_kind_of(const struct expr *x); // of anything made of operands

static inline bool node_is_leaf(const struct node_kind *kind)
{
    return kind == &NODE_SELECT || kind == &NODE_WINDOW;
}
