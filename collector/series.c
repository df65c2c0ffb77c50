// SPDX-License-Identifier: Apache-2.0
#include "collector/series.h"
#include "base/secret.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

int series_table_init(struct series_table *t, size_t max)
{
    *t = (struct series_table){.n_ids = 1, .max = max};
    // A failing random source leaves 0: lookups work, only collisions could be aimed at.
    (void)random_bytes(&t->seed, sizeof(t->seed));
    return index_init(&t->index);
}

static void series_free(struct series *s)
{
    if (!s)
        return;
    while (s->cols) {
        struct column_ref *next = s->cols->next;
        free(s->cols);
        s->cols = next;
    }
    track_done(&s->track);
    free(s->labels);
    free(s);
}

void series_table_done(struct series_table *t)
{
    for (uint32_t i = 1; i < t->n_ids; i++)
        series_free(t->by_id[i]);
    free(t->by_id);
    free(t->slots);
    index_done(&t->index);
    t->by_id = NULL;
    t->slots = NULL;
    t->n_ids = 0;
}

static uint64_t hash_labels(const struct series_table *t, const struct labels *l)
{
    uint64_t h = t->seed;
    for (size_t i = 0; i < l->n; i++) {
        h = hash_bytes(l->l[i].name, strlen(l->l[i].name) + 1, h);
        h = hash_bytes(l->l[i].value, strlen(l->l[i].value) + 1, h);
    }
    return h;
}

static size_t slot_of(const struct series_table *t, const struct labels *l, uint64_t hash)
{
    size_t i = hash & (t->n_slots - 1);
    for (; t->slots[i]; i = (i + 1) & (t->n_slots - 1)) {
        const struct series *s = t->by_id[t->slots[i]];
        if (s->hash == hash && labels_equal(s->labels, l))
            break;
    }
    return i;
}

struct series *series_find(const struct series_table *t, const struct labels *l)
{
    if (!t->n_slots)
        return NULL;
    return t->by_id[t->slots[slot_of(t, l, hash_labels(t, l))]];
}

static int grow_slots(struct series_table *t)
{
    if ((t->used + 1) * 4 <= t->n_slots * 3)
        return 0;
    size_t n = t->n_slots ? t->n_slots * 2 : 1024;
    uint32_t *slots = calloc(n, sizeof(*slots));
    if (!slots)
        return -ENOMEM;
    for (size_t k = 0; k < t->n_slots; k++) {
        if (!t->slots[k])
            continue;
        size_t i = t->by_id[t->slots[k]]->hash & (n - 1);
        while (slots[i])
            i = (i + 1) & (n - 1);
        slots[i] = t->slots[k];
    }
    free(t->slots);
    t->slots = slots;
    t->n_slots = n;
    return 0;
}

static int grow_ids(struct series_table *t)
{
    if (t->n_ids < t->cap_ids)
        return 0;
    uint32_t cap = t->cap_ids ? t->cap_ids * 2 : 1024;
    struct series **by_id = realloc(t->by_id, cap * sizeof(struct series *));
    if (!by_id)
        return -ENOMEM;
    by_id[0] = NULL;
    t->by_id = by_id;
    t->cap_ids = cap;
    return 0;
}

int series_intern(struct series_table *t, const struct labels *l, struct series **ret)
{
    // In this order: a table with slots has by_id[0], which series_find returns for an empty one.
    if (grow_ids(t) < 0 || grow_slots(t) < 0)
        return -ENOMEM;
    uint64_t hash = hash_labels(t, l);
    size_t i = slot_of(t, l, hash);
    if (t->slots[i]) {
        *ret = t->by_id[t->slots[i]];
        return 0;
    }
    if (t->alive >= t->max || t->n_ids == UINT32_MAX)
        return -ENOSPC;
    struct series *s = calloc(1, sizeof(*s));
    if (!s)
        return -ENOMEM;
    s->labels = labels_dup(l);
    s->hash = hash;
    s->id = t->n_ids;
    if (!s->labels || index_add(&t->index, s->id, s->labels) < 0) {
        series_free(s);
        return -ENOMEM;
    }
    t->by_id[t->n_ids++] = s;
    t->slots[i] = s->id;
    t->used++;
    t->alive++;
    t->generation++;
    *ret = s;
    return 0;
}

// Deleting from open addressing: what follows without a gap moves up.
static void slot_delete(struct series_table *t, size_t hole)
{
    size_t mask = t->n_slots - 1;
    t->slots[hole] = 0;
    for (size_t i = (hole + 1) & mask; t->slots[i]; i = (i + 1) & mask) {
        size_t home = t->by_id[t->slots[i]]->hash & mask;
        if (((i - home) & mask) >= ((i - hole) & mask)) {
            t->slots[hole] = t->slots[i];
            t->slots[i] = 0;
            hole = i;
        }
    }
    t->used--;
}

void series_forget(struct series_table *t, struct series *s)
{
    slot_delete(t, slot_of(t, s->labels, s->hash));
    index_remove(&t->index, s->id, s->labels);
    t->by_id[s->id] = NULL;
    t->alive--;
    t->generation++;
    series_free(s);
}
