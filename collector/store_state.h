// SPDX-License-Identifier: Apache-2.0
/*
 * What the parts of the store share: store.c (samples), agent_store.c (agents, their series) and
 * store_source.c (what rules read). Only they include it.
 *
 * Who changes what a reader sees of a series tells the watcher in the same call, after the change:
 * a sample (store_told), silence (INT64_MIN), the end of the series itself (INT64_MAX).
 */
#pragma once
#include "collector/series.h"
#include "collector/store.h"

// What a wire id of the running session stands for.
struct wire_series {
    uint64_t hash;   // of the declaration: a key frame repeats it, and then nothing is to do
    uint32_t series; // 0 = not declared or retired, STORE_REFUSED = over a limit
};

// The rows of one session at one interval.
struct agent_block {
    struct agent_block *next; // newest session first
    struct block *block;
    uint64_t session;
    uint32_t *col_of; // by wire id: 1 + column
    uint32_t n_wire;
    uint32_t *series_of; // by column
    uint32_t cap_cols;
};

struct agent_store {
    struct store *store;
    struct agent_store *next;
    uint8_t id[16];
    char *instance;
    struct label *host_labels; // sorted; strings in host_text
    char *host_text;
    size_t n_host;
    bool silent;
    uint64_t epoch, session; // session counts ours, from 1
    struct wire_series *wire;
    uint32_t n_wire;
    struct series *list; // those that have it as their agent
    size_t series;
    uint64_t refused;
    struct agent_block *blocks;
    size_t n_blocks;
    int64_t budget;
};

struct store {
    struct store_options o;
    struct series_table table;
    struct source source;
    struct map agents;
    struct agent_store *first;
    uint64_t samples, duplicates, refused, late;
    uint32_t expire_at; // next id to look at
    source_watch_fn *watcher;
    void *watcher_ctx;
};

static inline void store_told(const struct store *s, uint32_t id, int64_t t_ms, double v)
{
    if (s->watcher)
        s->watcher(s->watcher_ctx, id, t_ms, v);
}

// store_source.c
void store_source_init(struct store *s);
bool series_latest(const struct series *x, int64_t t_ms, struct point *ret);
bool series_silent(const struct series *x);

// store.c: an irregular sample of a series. 1 stored, 0 already so, -ENOMEM.
int store_put(
    struct store *s, struct series *x, int64_t t_ms, double v, const struct histogram *h);

// agent_store.c
void agent_store_free(struct agent_store *a);
void agent_block_drop(struct agent_store *a, struct agent_block **at);
// The series and what is left of it are gone; no block may have a column of it.
void agent_series_drop(struct store *s, struct series *x);
