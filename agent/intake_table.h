// SPDX-License-Identifier: Apache-2.0
/*
 * The series an intake knows, by the hash of what their source calls them. Private to intake*.c.
 *
 *     slots (open addressing) -> number -> all[number]      numbers are given again, by a free list
 *
 * The key itself is not kept: a keyed 64-bit hash and the length stand for it. With 100,000 series
 * two of them meet once in 10^9 agents, and nobody outside knows the key of the hash.
 */
#pragma once
#include "wire/batch.h"

enum intake_state {
    INTAKE_FREE,
    INTAKE_KEPT,
    INTAKE_DROPPED, // by a rule
    INTAKE_OTHER,   // goes on in one that stands for several
    INTAKE_REFUSED, // no room, or more than the wire takes
};

struct intake_buckets {
    struct wire_histogram h; // points into this allocation
    uint32_t cap;
};

struct intake_entry {
    uint64_t hash;
    uint32_t len;   // of the key; of a free one: the next free one
    uint32_t id;    // of the output
    uint32_t round; // in which it was staged last
    uint8_t state, kind;
    bool stale;
    uint8_t other;                   // which of the others
    int64_t stamp_ms, stamp_sent_ms; // of its own, staged and sent; 0: the round's
    int64_t heard_ms;                // round that held it last; 0: none did
    double value, last;
    struct intake_buckets *buckets; // NULL: no histogram
};

struct intake_table {
    struct intake_entry *all; // from 1
    uint32_t n, cap, free, live;
    uint32_t *slots;
    size_t n_slots, used; // used: with tombs
    uint64_t seed;
};

void intake_table_init(struct intake_table *t);
void intake_table_done(struct intake_table *t);
uint32_t intake_table_find(const struct intake_table *t, const void *key, size_t len);
// One that is not there yet; its state is to be set. 0: memory, or INTAKE_KNOWN_MAX are there.
uint32_t intake_table_add(struct intake_table *t, const void *key, size_t len);
void intake_table_remove(struct intake_table *t, uint32_t number);
// Keeps a copy until the next one. False: memory.
bool intake_entry_keep(struct intake_entry *e, const struct wire_histogram *h);
