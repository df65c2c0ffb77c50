// SPDX-License-Identifier: Apache-2.0
/*
 * Recent samples of every series, in memory, by source.
 *
 *     agent -> block per sampling interval -> rows are ticks, columns are series
 *
 *             col 0   col 1   col 2            raw doubles; a hole is NAN_ABSENT_BITS
 *     row 17   0.5     12     hist -> cells    a histogram column keeps pointers beside
 *     row 18   0.5     13      -
 *
 * A frame's group is one row: its series stand in contiguous slots, so a frame touches one block.
 * Rows are placed by tick, so a replayed frame fills its hole and a duplicate changes nothing;
 * the row's time is stored once. Event samples (interval 0) and recorded series (rules, ALERTS, up,
 * our own counters) are irregular and kept as one ring of points per series.
 *
 * Sample time is int64 ms of collector time. Belongs to the shard thread; store_source() is what
 * rules read through. Rows older than the retention are overwritten.
 */
#pragma once
#include "rules/source.h"
#include "wire/batch.h"

struct store;
struct agent_store;              // the series of one agent session chain

struct store_options {
    int64_t retention_ms;        // how far back a window may look; engine_reach_ms, at least 10 min
    size_t series_per_agent;     // 20,000; the excess is refused and counted
    size_t series_max;           // whole collector
};
struct store *store_new(const struct store_options *o);
void store_free(struct store *s);
void store_retention(struct store *s, int64_t retention_ms);     // after a reload; grows blocks lazily
const struct source *store_source(const struct store *s);

// An agent's series, found again by agent id: same name and labels = same series, across sessions.
struct agent_store *store_agent(struct store *s, const uint8_t agent_id[16], const char *instance,
    const struct wire_label *host_labels, size_t n);
void store_agent_forget(struct store *s, struct agent_store *a);
// Silent = not heard, not said goodbye: what source.silent answers for its series.
void store_agent_silent(struct agent_store *a, bool silent);
// The agent said goodbye (or its series were forgotten): stale markers for everything at t_ms.
void store_agent_end(struct agent_store *a, int64_t t_ms);
// New session: wire ids mean nothing any more.
void store_agent_session(struct agent_store *a, uint64_t epoch);

// Result of one declaration: series id, or STORE_REFUSED over a limit.
#define STORE_REFUSED UINT32_MAX
uint32_t store_declare(struct agent_store *a, const struct batch_declare *d);
uint32_t store_series_of(const struct agent_store *a, uint32_t wire_id);   // STORE_REFUSED if unknown

// Stores one group at collector time t_ms. fn is called for each sample that was new (not a
// duplicate), with its series id: the engine's feed. Returns samples stored, -ENOMEM.
typedef void store_fed_fn(void *ctx, uint32_t series, int64_t t_ms);
int store_group(struct agent_store *a, const struct batch_group *g, int64_t t_ms, store_fed_fn *fn, void *ctx);

struct store_stats {
    size_t series, agents, blocks, bytes;
    uint64_t samples, duplicates, refused, late_overwritten;
};
void store_stats(const struct store *s, struct store_stats *ret);
size_t agent_store_series(const struct agent_store *a);
uint64_t agent_store_refused(const struct agent_store *a);
