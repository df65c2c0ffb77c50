// SPDX-License-Identifier: Apache-2.0
/*
 * Every series the collector knows, by dense id and by label set. One label set is one series,
 * whoever sends it: an agent that was installed anew writes on where the old one ended.
 *
 * Ids are never reused; the place of a forgotten series stays NULL. Belongs to the shard thread.
 */
#pragma once
#include "collector/block.h"
#include "collector/index.h"
#include "collector/track.h"

struct agent_store;
struct agent_block;

// Where regular samples of a series are: one column per session and sampling interval.
struct column_ref {
    struct column_ref *next; // newest first
    struct agent_block *in;
    uint32_t col;
};

struct series {
    struct labels *labels; // one heap block
    uint64_t hash;
    uint32_t id;
    bool declared;             // by the running session of its agent: samples may come
    bool silent;               // recorded: what it was computed from is silent
    struct agent_store *agent; // last to declare it; NULL = recorded
    struct series *agent_next, *agent_prev; // in the agent's list
    struct column_ref *cols;
    struct track track;
};

struct series_table {
    struct series **by_id; // [0] is never used
    uint32_t n_ids, cap_ids;
    uint32_t *slots; // id, 0 = empty; open addressing
    size_t n_slots, used, alive, max;
    uint64_t seed, generation;
    struct index index;
};

int series_table_init(struct series_table *t, size_t max); // 0, -ENOMEM
void series_table_done(struct series_table *t);
struct series *series_find(const struct series_table *t, const struct labels *l); // NULL
// Finds or makes. 0; -ENOSPC: the table is full; -ENOMEM. l is sorted and is copied.
int series_intern(struct series_table *t, const struct labels *l, struct series **ret);
// Its columns must be unlinked by the caller first.
void series_forget(struct series_table *t, struct series *s);
static inline struct series *series_by_id(const struct series_table *t, uint32_t id)
{
    return id < t->n_ids ? t->by_id[id] : NULL;
}
