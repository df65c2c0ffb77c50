// SPDX-License-Identifier: Apache-2.0
// Where the alerts of a rule are kept: slots in the order of their labels, found by two indexes.
#include "rules/alert_set.h"
#include "rules/alert_slot.h"
#include <errno.h>
#include <stdlib.h>

int transition_list_reserve(struct transition_list *l, size_t more)
{
    if (l->n + more <= l->cap)
        return 0;
    size_t cap = (l->n + more) * 2;
    struct transition *grown = realloc(l->t, cap * sizeof(*grown));
    if (!grown)
        return -ENOMEM;
    l->t = grown;
    l->cap = cap;
    return 0;
}

void alert_slot_free(struct alert_slot *s)
{
    if (!s)
        return;
    free(s->a.labels);
    free(s->a.annotations);
    free(s);
}

void alert_set_sweep(struct alert_set *s)
{
    for (size_t i = 0; i < s->n_ended; i++)
        alert_slot_free(s->ended[i]);
    s->n_ended = 0;
}

void alert_set_done(struct alert_set *s)
{
    alert_set_sweep(s);
    for (size_t i = 0; i < s->n; i++)
        alert_slot_free(s->slot[i]);
    free(s->slot);
    free(s->ended);
    free(s->by_fingerprint.at);
    free(s->by_element.at);
    *s = (struct alert_set){0};
}

static uint64_t key_of(const struct alert_set *s, const struct slot_index *x, size_t i)
{
    return x == &s->by_element ? s->slot[i]->a.element_hash : s->slot[i]->a.fingerprint;
}

void alert_index_put(const struct alert_set *s, struct slot_index *x, size_t i)
{
    size_t at = key_of(s, x, i) & x->mask;
    while (x->at[at])
        at = (at + 1) & x->mask;
    x->at[at] = (uint32_t)i + 1;
}

void alert_index_rebuild(struct alert_set *s, struct slot_index *x)
{
    if (!x->at)
        return;
    memset(x->at, 0, (x->mask + 1) * sizeof(*x->at));
    for (size_t i = 0; i < s->n; i++)
        alert_index_put(s, x, i);
}

static int index_room(struct alert_set *s, struct slot_index *x, size_t n)
{
    size_t cap = 16;
    while (cap < n * 2)
        cap *= 2;
    if (cap <= x->cap)
        return 0;
    uint32_t *grown = calloc(cap, sizeof(*grown));
    if (!grown)
        return -ENOMEM;
    free(x->at);
    x->at = grown;
    x->cap = cap;
    x->mask = cap - 1;
    alert_index_rebuild(s, x);
    return 0;
}

struct alert_slot *alert_find_labels(
    const struct alert_set *s, uint64_t fingerprint, const struct labels *l)
{
    const struct slot_index *x = &s->by_fingerprint;
    if (!x->at)
        return NULL;
    for (size_t at = fingerprint & x->mask; x->at[at]; at = (at + 1) & x->mask) {
        struct alert_slot *slot = s->slot[x->at[at] - 1];
        if (slot->a.fingerprint == fingerprint && labels_equal(slot->a.labels, l))
            return slot;
    }
    return NULL;
}

struct alert_slot *alert_find_element(const struct alert_set *s, uint64_t hash)
{
    const struct slot_index *x = &s->by_element;
    if (!x->at)
        return NULL;
    for (size_t at = hash & x->mask; x->at[at]; at = (at + 1) & x->mask)
        if (s->slot[x->at[at] - 1]->a.element_hash == hash)
            return s->slot[x->at[at] - 1];
    return NULL;
}

int alert_set_reserve(struct alert_set *s, size_t more)
{
    size_t want = s->n + more;
    if (want > s->cap) {
        size_t cap = want * 2;
        struct alert_slot **grown = realloc(s->slot, cap * sizeof(*grown));
        if (!grown)
            return -ENOMEM;
        s->slot = grown;
        s->cap = cap;
    }
    if (s->n_ended + want > s->cap_ended) {
        size_t cap = (s->n_ended + want) * 2;
        struct alert_slot **grown = realloc(s->ended, cap * sizeof(*grown));
        if (!grown)
            return -ENOMEM;
        s->ended = grown;
        s->cap_ended = cap;
    }
    int rc = index_room(s, &s->by_fingerprint, want);
    return rc < 0 ? rc : index_room(s, &s->by_element, want);
}

int alert_set_restore(struct alert_set *s, const struct alert *a)
{
    if (alert_find_labels(s, a->fingerprint, a->labels))
        return -EEXIST;
    int rc = alert_set_reserve(s, 1);
    struct alert_slot *slot = rc == 0 ? calloc(1, sizeof(*slot)) : NULL;
    if (!slot)
        return -ENOMEM;
    slot->a = *a;
    slot->a.labels = labels_dup(a->labels);
    slot->a.annotations = labels_dup(a->annotations);
    if (!slot->a.labels || !slot->a.annotations) {
        alert_slot_free(slot);
        return -ENOMEM;
    }
    slot->value_bits = NAN_ABSENT_BITS; // no value equals this: its texts are expanded anew
    slot->held = true;
    slot->a.stale = true;
    s->unsorted = s->unsorted ||
                  (s->n && labels_compare(s->slot[s->n - 1]->a.labels, slot->a.labels) > 0);
    s->slot[s->n++] = slot;
    alert_index_put(s, &s->by_fingerprint, s->n - 1);
    alert_index_put(s, &s->by_element, s->n - 1);
    return 0;
}
