// SPDX-License-Identifier: Apache-2.0
// Operators of a plan: their places, and the general path, a result of the batch evaluator that is
// kept until an operand changes.
#include "rules/plan_operator.h"
#include <errno.h>
#include <stdlib.h>

// --- places --------------------------------------------------------------------------------------

static bool same_labels(const struct vector *v, const struct labels *l, size_t n)
{
    if (v->n != n)
        return false;
    for (size_t i = 0; i < n; i++)
        if (!labels_equal(&v->e[i].labels, &l[i]) ||
            element_gone(&v->e[i]) != (l[i].l == LABELS_GONE))
            return false;
    return true;
}

static const char *pack_string(const char *s, const char *before, char **at, size_t *size)
{
    if (before && !strcmp(s, before))
        return before;
    size_t len = strlen(s) + 1;
    *size += len;
    if (!*at)
        return s;
    char *to = *at;
    *at += len;
    return memcpy(to, s, len);
}

// Label sets one after the other in one block, first all pairs, then the strings; a string equal to
// that in the same place of the set before is kept once. to == NULL: only counts.
static size_t pack(const struct labels *l, size_t n, struct labels *to, void *block)
{
    size_t pairs = 0, size = 0;
    for (size_t i = 0; i < n; i++)
        pairs += l[i].n;
    struct label *pair = block;
    char *at = block ? (char *)block + pairs * sizeof(*pair) : NULL;
    struct labels before = {0};
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < l[i].n; k++) {
            const struct label *b = k < before.n ? &before.l[k] : NULL, *s = &l[i].l[k];
            const char *name = pack_string(s->name, b ? b->name : NULL, &at, &size);
            const char *value = pack_string(s->value, b ? b->value : NULL, &at, &size);
            if (to)
                pair[k] = (struct label){name, value};
        }
        before = l[i];
        if (to) {
            before = to[i] = l[i].n ? (struct labels){pair, l[i].n} : l[i];
            if (pair) // none of the sets has a label: there is no block
                pair += l[i].n;
        }
    }
    return pairs * sizeof(*pair) + size;
}

int operator_places(
    struct plan *p, struct operator_node *o, const struct labels *l, size_t n, bool copy)
{
    struct node *node = &o->n;
    if (node->version && copy && o->copied && same_labels(&node->out.vector, l, n))
        return 0;
    size_t size = copy ? pack(l, n, NULL, NULL) : 0;
    struct labels *packed = eval_alloc(p->eval, n, sizeof(*packed));
    struct element *e = malloc((n ? n : 1) * sizeof(*e));
    void *names = size ? malloc(size) : NULL;
    if (!packed || !e || (size && !names)) {
        free(e);
        free(names);
        return -ENOMEM;
    }
    if (copy) {
        pack(l, n, packed, names);
        l = packed;
    }
    for (size_t i = 0; i < n; i++) {
        e[i] = (struct element){.labels = l[i]};
        element_clear(&e[i]);
    }
    free(o->names);
    free(node->out.vector.e);
    o->names = names;
    o->names_size = size;
    o->copied = copy;
    node->out.type = TYPE_VECTOR;
    node->out.vector = (struct vector){.e = e, .n = n, .cap = n};
    node_reshaped(p, node);
    return 0;
}

int operator_twins(struct plan *p, const struct labels *l, size_t n, uint32_t **ret)
{
    static const struct join_key ALL = {.kind = KEY_ALL};
    struct join j;
    *ret = NULL;
    uint32_t *first = eval_alloc(p->eval, n, sizeof(*first));
    int rc = join_init(p->eval, &j, n);
    if (rc < 0 || !first)
        return rc < 0 ? rc : eval_full(p->eval, n, sizeof(*first));
    bool all_differ = true;
    for (uint32_t i = 0; i < n; i++) {
        bool fresh = true;
        first[i] = l[i].l == LABELS_GONE ? i : join_put(&j, &ALL, &l[i], i, &fresh)->value;
        all_differ &= fresh;
    }
    if (all_differ)
        return 0;
    *ret = heap_copy(first, n, sizeof(*first));
    return *ret ? 0 : -ENOMEM;
}

int operator_twins_meet(struct plan *p, const struct operator_node *o)
{
    const struct vector *v = &o->n.out.vector;
    bool *taken = o->twin ? eval_alloc(p->eval, v->n, sizeof(*taken)) : NULL;
    if (!taken)
        return o->twin ? eval_full(p->eval, v->n, sizeof(*taken)) : 0;
    for (size_t i = 0; i < v->n; i++) {
        if (v->e[i].state != ELEMENT_VALUE)
            continue;
        if (taken[o->twin[i]])
            return 1;
        taken[o->twin[i]] = true;
    }
    return 0;
}

// What the places were made from, not the places.
static void drop_structure(struct operator_node *o)
{
    const struct operator_kind *k = (const struct operator_kind *)o->n.kind;
    if (o->n.kind != &NODE_TIMER && k->drop)
        k->drop(o);
    free(o->twin);
    o->twin = NULL;
}

void *heap_copy(const void *from, size_t n, size_t size)
{
    void *to = malloc(n ? n * size : 1);
    return to && n ? memcpy(to, from, n * size) : to;
}

// --- the general path ----------------------------------------------------------------------------

int operator_settle(struct plan *p, struct operator_node *o, const struct value *v, bool anew)
{
    struct node *n = &o->n;
    struct value *out = &n->out;
    bool changed = anew || !n->version || double_bits(out->scalar) != double_bits(v->scalar) ||
                   out->no_data != v->no_data || out->silent != v->silent ||
                   out->string != v->string;
    struct labels *l = eval_alloc(p->eval, v->vector.n, sizeof(*l));
    if (!l)
        return eval_full(p->eval, v->vector.n, sizeof(*l));
    for (size_t i = 0; i < v->vector.n; i++)
        l[i] = v->vector.e[i].labels;
    int rc = operator_places(p, o, l, v->vector.n, true);
    if (rc < 0)
        return rc;
    struct vector places = out->vector;
    *out = *v;
    out->vector = places;
    arena_reset(&o->histograms);
    o->histograms.max = EVAL_ARENA_MAX;
    for (size_t i = 0; i < places.n; i++) {
        struct element el = v->vector.e[i];
        if (el.hist && !(el.hist = histogram_copy(&o->histograms, el.hist)))
            return -ENOMEM;
        place_put(&places.e[i], &el, &changed);
    }
    if (!o->histograms.used)
        arena_done(&o->histograms);
    if (changed)
        node_changed(p, n);
    return 0;
}

int operator_bring(struct plan *p, struct node *n, int64_t t_ms)
{
    const struct operator_kind *k = (const struct operator_kind *)n->kind;
    struct operator_node *o = (struct operator_node *)n;
    struct value v = {0};
    int rc = 0;
    bool moved = false, changed = n->failed;
    // A shape comes from the same counter as a version: one after the version seen is news.
    for (size_t i = 0; i < n->n; i++)
        moved |= n->child[i]->shape > n->seen[i];
    if (moved) {
        drop_structure(o);
        o->how = HOW_UNKNOWN;
    }
    if (o->how == HOW_UNKNOWN) {
        rc = k->structure ? k->structure(p, o) : 0;
        if (rc < 0)
            return rc;
        o->how = rc ? HOW_CACHED : HOW_GENERAL;
    }
    if (o->how == HOW_CACHED) {
        rc = k->numbers(p, o, t_ms, &changed);
        if (rc > 0 && changed)
            node_changed(p, n);
        if (rc != 0)
            return rc < 0 ? rc : 0;
        drop_structure(o);
        o->how = HOW_GENERAL;
        changed = true; // some places may be overwritten
    }
    rc = eval_apply(p->eval, n->x, n->in, t_ms, &v);
    if (rc < 0)
        o->how = HOW_UNKNOWN; // when the mistake is over the numbers may do again
    return rc < 0 ? rc : operator_settle(p, o, &v, changed);
}

static int timer_bring(struct plan *p, struct node *n, int64_t t_ms)
{
    struct value v = {0};
    int rc = eval_node(p->eval, n->x, t_ms, &v);
    return rc < 0 ? rc : operator_settle(p, (struct operator_node *)n, &v, n->failed);
}

size_t operator_bytes(const struct node *n)
{
    const struct operator_node *o = (const struct operator_node *)n;
    const struct operator_kind *k = (const struct operator_kind *)n->kind;
    size_t own = n->kind != &NODE_TIMER && k->bytes ? k->bytes(o) : 0;
    own += o->twin ? n->out.vector.n * sizeof(*o->twin) : 0;
    return own + n->out.vector.cap * sizeof(*n->out.vector.e) + o->names_size +
           o->histograms.used;
}

void operator_done(struct node *n)
{
    struct operator_node *o = (struct operator_node *)n;
    drop_structure(o);
    free(o->names);
    free(n->out.vector.e);
    arena_done(&o->histograms);
}

static const struct operator_kind NODE_GENERAL = {.k = {.name = "operator",
                                                      .size = sizeof(struct operator_node),
                                                      .bring = operator_bring,
                                                      .bytes = operator_bytes,
                                                      .done = operator_done}};
const struct node_kind NODE_TIMER = {.name = "timer",
    .size = sizeof(struct operator_node),
    .bring = timer_bring,
    .bytes = operator_bytes,
    .done = operator_done};

const struct node_kind *operator_kind_of(const struct expr *x)
{
    if (maps_elements(x))
        return &NODE_MAP.k;
    if (x->kind == EXPR_AGGREGATE)
        return &NODE_AGGREGATE.k;
    if (x->kind == EXPR_BINARY && x->type == TYPE_VECTOR)
        return x->card == CARD_MANY_TO_MANY ? &NODE_SET.k : &NODE_JOIN.k;
    if (x->kind != EXPR_CALL)
        return &NODE_GENERAL.k;
    switch (x->fn->id) {
    case FN_HISTOGRAM_QUANTILE: return &NODE_BUCKETS.k;
    case FN_LABEL_REPLACE:
    case FN_LABEL_JOIN: return &NODE_LABELS.k;
    case FN_ABSENT:
    case FN_ABSENT_OVER_TIME: return &NODE_ABSENT.k;
    default: return &NODE_GENERAL.k;
    }
}
