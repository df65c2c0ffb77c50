// SPDX-License-Identifier: Apache-2.0
/*
 * What the two parts of the pipeline share: pipeline.c (frames, time, rules) and known_agent.c (each
 * agent: who it is, whether it lives, how far it is heard). Shard thread. Times: collector wall ms, but
 * where monotonic is said.
 */
#pragma once
#include "base/map.h"
#include "collector/pipeline.h"

struct agent {
    struct agent *next;
    struct pipeline *p;
    uint8_t id[16];
    uint64_t epoch, nonce; // 0 = not heard yet
    char *host, *version;
    struct wire_label *labels; // one block with its strings
    size_t n_labels;
    struct agent_store *store;
    struct liveness live;
    uint64_t first_seq, last_seq, frames; // of the running session
    uint64_t oldest_seq;                  // it held when its session came to us; 0 = unsaid
    bool expected;                        // by the inventory: known to an earlier run
    int64_t came_ms;                      // when that was, monotonic
    int64_t last_frame_ms, last_seen_ms, skew_ms;
    int64_t watermark_ms;             // newest live frame, collector time; 0 = none
    int64_t sweep_ms;                 // 0 = nothing to sweep
    double up;                        // last recorded; NaN = none
    int64_t up_ms;                    // its time
    int64_t down_from_ms, down_to_ms; // last time up was 0
    uint64_t goodbye_seq;             // of the running session, 0 = none
    bool silent;                      // what there is of it is not how things are now
    bool refused_before;
    bool dirty; // the inventory does not know yet
    int64_t noted_ms;
};

struct pipeline {
    struct pipeline_options o;
    struct store *store;
    struct engine *engine;
    struct map agents;
    struct agent *first;
    size_t n_agents;
    int64_t now_ms, mono_ms;
    int64_t alive_next; // no liveness deadline before this, monotonic
    int64_t house_ms;   // next housekeeping, wall
    int64_t watermark_ms;
    const struct agent
        *slowest; // who holds the watermark back: only its moves need a look at all
    bool watermark_moved;
    bool warm; // rules are evaluated
    int64_t started_ms;
    uint64_t notice_id;
    struct pipeline_stats stats;
    struct feed_ctx {
        struct engine *engine;
        bool live, event;
    } feed;
};

// pipeline.c
void pipeline_clocks(struct pipeline *p, int64_t now_ms, int64_t mono_ms);
// Records and, when live, tells the engine. l is sorted.
void pipeline_put(struct pipeline *p, const struct label *l, size_t n, int64_t t_ms, double v,
    bool feed, bool event);

// known_agent.c
struct agent *agent_add(struct pipeline *p, const uint8_t id[16], const char *host,
    const char *version, const struct wire_label *labels,
    size_t n); // NULL: no memory, too many
void agent_free(struct agent *a);
void agent_session(struct agent *a, const struct frame *f); // a session we do not know
void agent_count_seq(struct agent *a, uint64_t seq);
void agent_heard(struct agent *a, int64_t t_ms, bool backfill);
// up = 1 at each tick of the agent; history filled in later leaves the time out in which we said 0.
void agent_tick_up(struct agent *a, int64_t t_ms, bool backfill);
void agent_silence(struct agent *a, bool silent);
// It is over with this agent as planned: its series end, and nobody waits for it.
void agent_end(struct agent *a, int64_t t_ms);
void agent_alive(struct agent *a);               // what time alone does to it
void agent_house(struct agent *a, int64_t t_ms); // each second
// One that said goodbye and whose series have all gone too.
bool agent_over(const struct agent *a);
// Whether the windows of its series are what they were before we started.
bool agent_caught_up(const struct agent *a);
