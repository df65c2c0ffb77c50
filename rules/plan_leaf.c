// SPDX-License-Identifier: Apache-2.0
// Leaves of a plan: which series they read, who reads a series, and the instant selector.
#include "rules/plan_node.h"
#include <errno.h>
#include <stdlib.h>

void leaf_done(struct leaf *l)
{
    free(l->ids.id);
    free(l->slot);
    free(l->from);
    free(l->n.out.vector.e);
    arena_done(&l->names);
}

size_t leaf_bytes(const struct leaf *l)
{
    return l->ids.cap * sizeof(*l->ids.id) + l->names.used +
           l->ids.n * (sizeof(*l->slot) + sizeof(*l->from) + sizeof(struct element));
}

static int64_t newest(const struct source *src, uint32_t id)
{
    struct point last;
    return src->latest(src->self, id, INT64_MAX, &last) ? last.t_ms : INT64_MIN;
}

// The slots for another set of series: what stays moves, what is new has to be made.
static int move(struct plan *p, struct leaf *l, struct series_ids *ids)
{
    const struct source *src = &p->eval->src;
    size_t n = ids->n, room = n ? n : 1, k = 0;
    struct slot *slot = malloc(room * sizeof(*slot));
    uint32_t *from = malloc(room * sizeof(*from));
    struct element *e = calloc(room, sizeof(*e));
    struct arena names;
    arena_init(&names, 0);
    bool ok = slot && from && e;
    for (size_t i = 0; ok && i < n; i++) {
        uint32_t id = ids->id[i];
        struct labels all = src->labels(src->self, id), *labels = &e[i].labels;
        while (k < l->ids.n && l->ids.id[k] < id)
            k++;
        bool old = k < l->ids.n && l->ids.id[k] == id;
        if (old)
            e[i] = l->n.out.vector.e[k];
        else
            element_clear(&e[i]);
        from[i] = old ? (uint32_t)k : UINT32_MAX;
        slot[i] = old ? l->slot[k] : (struct slot){.newest_ms = newest(src, id), .late = true};
        slot[i].due_ms = INT64_MIN;
        *labels = all;
        if (!l->keep_name && *labels_get(&all, LABEL_NAME))
            ok = labels_drop(&names, &all, NULL, 0, true, labels);
    }
    if (!ok) {
        free(slot);
        free(from);
        free(e);
        arena_done(&names);
        return -ENOMEM;
    }
    leaf_done(l);
    l->slot = slot;
    l->from = from;
    l->names = names;
    l->ids = *ids;
    l->n.out.vector = (struct vector){.e = e, .n = n, .cap = room};
    *ids = (struct series_ids){0};
    return 0;
}

int leaf_select(struct plan *p, struct leaf *l, const uint32_t **from, bool *ret_moved)
{
    const struct source *src = &p->eval->src;
    uint64_t generation = src->generation(src->self);
    *ret_moved = false;
    if (l->selected && l->generation == generation)
        return 0;
    struct series_ids ids = {0};
    int rc = src->select(src->self, l->selector->matchers, l->selector->n_matchers, &ids);
    if (rc == 0)
        rc = plan_check(p, &l->n, ids.n);
    bool same = rc == 0 && l->n.out.vector.e && ids.n == l->ids.n &&
                (!ids.n || !memcmp(ids.id, l->ids.id, ids.n * sizeof(*ids.id)));
    if (rc == 0 && !same) {
        rc = move(p, l, &ids);
        p->readers_valid = false;
        l->n.out.type = TYPE_VECTOR;
        *ret_moved = rc == 0;
    }
    free(ids.id);
    if (rc < 0)
        return rc;
    // Samples were missed (see plan_sample): nothing that was known is certain.
    for (size_t i = 0; !l->selected && i < l->ids.n; i++) {
        l->slot[i] = (struct slot){
            .due_ms = INT64_MIN, .newest_ms = newest(src, l->ids.id[i]), .late = true};
    }
    if (*ret_moved || !l->selected)
        l->wake_ms = INT64_MIN;
    l->generation = generation;
    l->selected = true;
    *from = l->from;
    return 0;
}

int plan_readers(struct plan *p)
{
    size_t n_ids = 0, total = 0;
    for (const struct leaf *l = p->leaves; l; l = l->next) {
        total += l->ids.n;
        if (l->ids.n && l->ids.id[l->ids.n - 1] >= n_ids)
            n_ids = l->ids.id[l->ids.n - 1] + (size_t)1;
    }
    uint32_t *first = calloc(n_ids + 2, sizeof(*first));
    struct reader *reader = malloc((total + 1) * sizeof(*reader));
    if (!first || !reader) {
        free(first);
        free(reader);
        return -ENOMEM;
    }
    // Two places on, so that after filling in each entry is where its series begins.
    for (const struct leaf *l = p->leaves; l; l = l->next)
        for (size_t i = 0; i < l->ids.n; i++)
            first[l->ids.id[i] + 2]++;
    for (size_t i = 2; i < n_ids + 2; i++)
        first[i] += first[i - 1];
    for (struct leaf *l = p->leaves; l; l = l->next)
        for (uint32_t i = 0; i < l->ids.n; i++)
            reader[first[l->ids.id[i] + 1]++] = (struct reader){l, i};
    free(p->first);
    free(p->reader);
    p->first = first;
    p->reader = reader;
    p->n_ids = n_ids;
    p->readers_valid = true;
    return 0;
}

// --- the instant selector ------------------------------------------------------------------------

// When the element has to be looked at again although no sample came.
static int64_t due_again(
    const struct plan *p, const struct leaf *l, uint32_t slot, bool present, int64_t at_ms)
{
    const struct element *el = &l->n.out.vector.e[slot];
    if (l->slot[slot].newest_ms > at_ms || (present && el->hist))
        return INT64_MIN; // one is still to come; a histogram lives only until the next sample
    if (!present || el->state == ELEMENT_NO_DATA)
        return INT64_MAX;
    return el->sample_ms + p->eval->o.lookback_ms + p->eval->o.compat_2_42 +
           l->selector->offset_ms;
}

static int select_bring(struct plan *p, struct node *n, int64_t t_ms)
{
    struct leaf *l = (struct leaf *)n;
    const uint32_t *from;
    bool moved, changed = false;
    l->keep_name = true;
    int rc = leaf_select(p, l, &from, &moved);
    if (rc < 0)
        return rc;
    if (moved)
        node_reshaped(p, n);
    if (l->wake_ms > t_ms)
        return 0;
    int64_t at_ms = t_ms - l->selector->offset_ms, wake = INT64_MAX;
    for (uint32_t i = 0; i < l->ids.n; i++) {
        if (l->slot[i].due_ms <= t_ms) {
            struct element *el = &n->out.vector.e[i], before = *el;
            bool present = selector_element(p->eval, l->ids.id[i], at_ms, el);
            if (!present)
                element_clear(el);
            changed |= !element_same(&before, el) || before.sample_ms != el->sample_ms;
            l->slot[i].late = false;
            l->slot[i].due_ms = due_again(p, l, i, present, at_ms);
        }
        if (l->slot[i].due_ms < wake)
            wake = l->slot[i].due_ms;
    }
    l->wake_ms = wake;
    if (changed)
        node_changed(p, n);
    return 0;
}

static void select_done(struct node *n)
{
    leaf_done((struct leaf *)n);
}

static size_t select_bytes(const struct node *n)
{
    return leaf_bytes((const struct leaf *)n);
}

const struct node_kind NODE_SELECT = {.name = "selector",
    .size = sizeof(struct leaf),
    .bring = select_bring,
    .bytes = select_bytes,
    .done = select_done,
    .forward = true};
