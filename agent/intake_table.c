// SPDX-License-Identifier: Apache-2.0
#include "agent/intake_table.h"
#include "agent/intake.h"
#include "base/map.h"
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define TOMB UINT32_MAX

void intake_table_init(struct intake_table *t)
{
    *t = (struct intake_table){0};
    if (getrandom(&t->seed, sizeof(t->seed), GRND_NONBLOCK) != sizeof(t->seed))
        t->seed = (uint64_t)(uintptr_t)t;
}

void intake_table_done(struct intake_table *t)
{
    for (uint32_t i = 1; i <= t->n; i++)
        free(t->all[i].buckets);
    free(t->all);
    free(t->slots);
    *t = (struct intake_table){.seed = t->seed};
}

uint32_t intake_table_find(const struct intake_table *t, const void *key, size_t len)
{
    if (!t->n_slots)
        return 0;
    uint64_t hash = hash_bytes(key, len, t->seed);
    for (size_t at = hash & (t->n_slots - 1); t->slots[at]; at = (at + 1) & (t->n_slots - 1)) {
        uint32_t number = t->slots[at];
        if (number != TOMB && t->all[number].hash == hash && t->all[number].len == len)
            return number;
    }
    return 0;
}

static void place(struct intake_table *t, uint32_t number)
{
    size_t at = t->all[number].hash & (t->n_slots - 1);
    while (t->slots[at] && t->slots[at] != TOMB)
        at = (at + 1) & (t->n_slots - 1);
    t->used += t->slots[at] == 0;
    t->slots[at] = number;
}

static bool grow_slots(struct intake_table *t)
{
    if (t->n_slots && (t->used + 1) * 4 < t->n_slots * 3)
        return true;
    size_t n = 64;
    while (n < (t->live + 1) * 2)
        n *= 2;
    uint32_t *slots = calloc(n, sizeof(*slots));
    if (!slots)
        return false;
    free(t->slots);
    t->slots = slots;
    t->n_slots = n;
    t->used = 0;
    for (uint32_t i = 1; i <= t->n; i++)
        if (t->all[i].state != INTAKE_FREE)
            place(t, i);
    return true;
}

static uint32_t take_number(struct intake_table *t)
{
    if (t->free) {
        uint32_t number = t->free;
        t->free = t->all[number].len;
        return number;
    }
    if (t->n + 1 >= t->cap) {
        uint32_t cap = t->cap ? t->cap + t->cap / 2 : 32;
        struct intake_entry *all = realloc(t->all, cap * sizeof(*all));
        if (!all)
            return 0;
        t->all = all;
        t->cap = cap;
    }
    return ++t->n;
}

uint32_t intake_table_add(struct intake_table *t, const void *key, size_t len)
{
    if (t->live >= INTAKE_KNOWN_MAX || len > UINT32_MAX || !grow_slots(t))
        return 0;
    uint32_t number = take_number(t);
    if (!number)
        return 0;
    t->all[number] = (struct intake_entry){
        .hash = hash_bytes(key, len, t->seed), .len = (uint32_t)len, .state = INTAKE_REFUSED};
    place(t, number);
    t->live++;
    return number;
}

void intake_table_remove(struct intake_table *t, uint32_t number)
{
    struct intake_entry *e = &t->all[number];
    size_t at = e->hash & (t->n_slots - 1);
    while (t->slots[at] != number)
        at = (at + 1) & (t->n_slots - 1);
    t->slots[at] = TOMB;
    free(e->buckets);
    *e = (struct intake_entry){.len = t->free};
    t->free = number;
    t->live--;
}

bool intake_entry_keep(struct intake_entry *e, const struct wire_histogram *h)
{
    struct intake_buckets *b = e->buckets;
    if (!b || b->cap < h->n) {
        uint32_t cap = h->n + h->n / 4 + 4;
        // Counts first: they want the alignment.
        b = realloc(b, sizeof(*b) + cap * (sizeof(uint64_t) + sizeof(int32_t)));
        if (!b)
            return false;
        b->cap = cap;
        e->buckets = b;
    }
    uint64_t *count = (uint64_t *)(b + 1);
    int32_t *index = (int32_t *)(count + b->cap);
    if (h->n) {
        memcpy(count, h->count, h->n * sizeof(*count));
        memcpy(index, h->index, h->n * sizeof(*index));
    }
    b->h = *h;
    b->h.count = count;
    b->h.index = index;
    return true;
}
