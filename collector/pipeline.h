// SPDX-License-Identifier: Apache-2.0
/*
 * batch -> store -> engine -> transitions: the one place that sees both the store and the rules.
 * No thread, no socket, no clock of its own, so that flow tests drive it on a virtual clock and
 * assert detection delay in milliseconds; shard.c gives it a thread, rings and a timer.
 *
 * Times: now_ms is the collector's wall clock in ms, non-decreasing (shard.c slews steps);
 * mono_ms for liveness.
 */
#pragma once
#include "collector/liveness.h"
#include "collector/notice.h"
#include "collector/store.h"
#include "rules/engine.h"

struct pipeline;
struct pipeline_options {
    struct engine_options engine;
    struct store_options store;
    int64_t
        start_grace_ms;   // agents known from the inventory may take this long to come back; no
                          // rule is evaluated before they are all back, or it is over
    const char *instance; // of the collector's own series; borrowed, NULL = "collector"
    size_t agents_max;    // 0 = 16384
};
struct pipeline *pipeline_new(
    const struct pipeline_options *o, int64_t now_ms, int64_t mono_ms);
void pipeline_free(struct pipeline *p);

// A decoded frame with everything the shard needs; owns its arena (the batch lives there).
struct frame {
    uint8_t agent_id[16];
    uint64_t epoch, nonce;
    uint64_t oldest_seq; // that the agent still held when it sent this; 0 = it did not say
    const char *host, *version;
    const struct wire_label *host_labels;
    size_t n_host_labels;
    bool backfill;   // fills windows, never pages
    int64_t skew_ms; // collector time = agent wall time + skew; fixed per session, slewed
    int64_t received_ms;
    struct batch batch;
    struct arena arena;
};
void frame_free(struct frame *f);

void pipeline_frame(struct pipeline *p, const struct frame *f, int64_t now_ms, int64_t mono_ms);
void pipeline_closed(
    struct pipeline *p, const uint8_t agent_id[16], int64_t now_ms, int64_t mono_ms);
void pipeline_stall(struct pipeline *p, int64_t stalled_ms);
// An agent the inventory remembers: it is expected, and AgentDown if it does not come.
void pipeline_expect(struct pipeline *p, const uint8_t agent_id[16], const char *host,
    const struct wire_label *labels, size_t n, int64_t last_seen_ms, int64_t mono_ms);
// An alert of an earlier run; before the first advance, after pipeline_load. It goes on, shown stale, until
// the agent it is about is heard again. 0; -ENOENT: its rule is gone; -EEXIST; -ENOMEM.
int pipeline_restore(struct pipeline *p, const struct notice *n);
// Ids of alerts of this run are above this.
void pipeline_alert_ids(struct pipeline *p, uint64_t last);
// All or nothing; the set's built-in rules (AgentDown, SeriesLimit) are already in it. 0, -ENOMEM.
int pipeline_load(struct pipeline *p, struct ruleset *set);

// Agents that changed since the last call (new session, goodbye, replaced, a minute older): what the
// inventory has to write down. `gone` = no longer expected.
struct agent_note {
    uint8_t agent_id[16];
    char *host;                // heap, the note's
    struct wire_label *labels; // one heap block with its strings
    size_t n_labels;
    uint64_t epoch;
    int64_t last_seen_ms;
    bool gone;
};
void agent_note_free(struct agent_note *n);
void pipeline_notes(struct pipeline *p, bool (*fn)(void *ctx, struct agent_note *n),
    void *ctx); // fn owns n; false = try again later

// Collector wall ms at which pipeline_advance next has work; INT64_MAX = none.
int64_t pipeline_next(const struct pipeline *p);
// Does what is due. Each transition becomes a notice handed to fn, which owns it.
typedef void pipeline_notice_fn(void *ctx, struct notice *n);
void pipeline_advance(
    struct pipeline *p, int64_t now_ms, int64_t mono_ms, pipeline_notice_fn *fn, void *ctx);

// Reading, for the API and the page; same thread.
struct agent_info {
    const uint8_t *agent_id;
    const char *host, *version;
    uint64_t epoch, last_seq, missing; // frames known to be missing
    enum liveness_state state;
    int64_t last_frame_ms; // collector wall ms; 0 = not heard since start
    int64_t newest_ms;     // of its live samples; 0 = none
    int64_t skew_ms;
    size_t series;
    uint64_t refused; // series over the limit
};
void pipeline_each_agent(
    const struct pipeline *p, bool (*fn)(void *ctx, const struct agent_info *a), void *ctx);
const struct source *pipeline_source(const struct pipeline *p);
const struct engine *pipeline_engine(const struct pipeline *p);
struct store *pipeline_store(struct pipeline *p);
struct pipeline_stats {
    uint64_t frames, backfilled, groups_refused, notices_lost, stalled_ms;
};
void pipeline_stats(const struct pipeline *p, struct pipeline_stats *ret);
// A sample of the collector's own, name and labels without job/instance (job="tocsin" is added).
void pipeline_record(struct pipeline *p, const char *name, const struct label *labels, size_t n,
    int64_t t_ms, double v);
