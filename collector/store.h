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
 * A frame's group is one row: its series stand in contiguous slots, so a frame touches one block
 * (block.h). Rows are placed by tick, so a replayed frame fills its hole and a duplicate changes
 * nothing. Each session has blocks of its own, because its ticks start anew. Event samples
 * (interval 0) and recorded series (rules, ALERTS, up, our own counters) are irregular and kept as
 * runs per series (track.h); a reader sees both in one order of time.
 *
 * Sample time is int64 ms of collector time. Belongs to the shard thread; store_source() is what
 * rules read through. Rows older than the retention are overwritten.
 */
#pragma once
#include "rules/source.h"
#include "wire/batch.h"

struct store;
struct agent_store; // the series of one agent session chain

struct store_options {
    int64_t retention_ms;    // how far back a window may look; engine_reach_ms, at least 10 min
    size_t series_per_agent; // 20,000; the excess is refused and counted
    size_t series_max;       // whole collector
    size_t
        bytes_per_agent; // raw rows of one agent, 0 = 128 MiB; beyond it its windows get shorter
};
struct store *store_new(const struct store_options *o);
void store_free(struct store *s);
void store_retention(
    struct store *s, int64_t retention_ms); // after a reload; grows blocks lazily
const struct source *store_source(const struct store *s);

// An agent's series, found again by agent id: same name and labels = same series, across sessions.
struct agent_store *store_agent(struct store *s, const uint8_t agent_id[16],
    const char *instance, const struct wire_label *host_labels, size_t n);
void store_agent_forget(struct store *s, struct agent_store *a);
// Silent = not heard, not said goodbye: what source.silent answers for its series.
void store_agent_silent(struct agent_store *a, bool silent);
// The agent said goodbye (or its series were forgotten): stale markers for everything at t_ms.
void store_agent_end(struct agent_store *a, int64_t t_ms);
// New session: wire ids mean nothing any more.
void store_agent_session(struct agent_store *a, uint64_t epoch);
// What earlier sessions had and the running one never declared has ended: stale markers at t_ms.
void store_agent_sweep(struct agent_store *a, int64_t t_ms);

// Result of one declaration: series id, or STORE_REFUSED over a limit.
#define STORE_REFUSED UINT32_MAX
uint32_t store_declare(struct agent_store *a, const struct batch_declare *d);
uint32_t store_series_of(
    const struct agent_store *a, uint32_t wire_id);         // STORE_REFUSED if unknown
void store_retire(struct agent_store *a, uint32_t wire_id); // no samples will come any more

// Stores one group at collector time t_ms. fn is called for each sample that was new (not a
// duplicate), with its series id: the engine's feed; may be NULL. Returns samples stored; -ENOMEM;
// -ENOSPC: the agent's share of the memory is used up; -ERANGE: older than what is kept.
typedef void store_fed_fn(void *ctx, uint32_t series, int64_t t_ms);
int store_group(struct agent_store *a, const struct batch_group *g, int64_t t_ms,
    store_fed_fn *fn, void *ctx);

// Writes an irregular sample (up, own counters, what source.record writes); creates the series.
// ret_id may be NULL. v NAN_ABSENT_BITS: nothing is written, an existing series counts as silent until
// its next sample, *ret_id is not set. 0, -ENOMEM, -ENOSPC (series limit).
int store_record(struct store *s, const struct labels *l, int64_t t_ms, double v,
    const struct histogram *h, uint32_t *ret_id);
// Forgets series that ended more than the retention ago. A slice per call: one full round takes
// series / STORE_EXPIRE_SLICE calls.
#define STORE_EXPIRE_SLICE 4096
void store_expire(struct store *s, int64_t now_ms);

struct store_stats {
    size_t series, agents, blocks, bytes;
    uint64_t samples, duplicates, refused, late_overwritten;
};
void store_stats(const struct store *s, struct store_stats *ret);
size_t agent_store_series(const struct agent_store *a);
uint64_t agent_store_refused(const struct agent_store *a);
