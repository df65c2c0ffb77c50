// SPDX-License-Identifier: Apache-2.0
/*
 * The shard thread: a pipeline with a loop around it. Other threads reach it only through rings:
 *
 *     ingest thread --frames, closes-->  shard  --notices-->  notify thread
 *     ui thread     --requests------->   shard  --replies-->  ui thread
 *     main thread   --rule sets------>   shard
 *
 * Every ring is bounded. A full frame ring is answered 429 by ingest before the session changed.
 */
#pragma once
#include "base/ring.h"
#include "collector/pipeline.h"

struct api_context;
struct shard;
struct shard_options {
    struct pipeline_options pipeline;
    struct clock clock;
    size_t frames_max;  // ring of frames, power of two
    size_t notices_max; // ring to the notifier
    struct api_context
        *api; // its queue lengths are written by the shard; NULL = no API, no live page
    // Agents to write down, called in the shard thread once a second and once at the end; owns the
    // note when it returns true. NULL = nobody does.
    bool (*note)(void *ctx, struct agent_note *n);
    // The collector's own series, called in the shard thread each second; NULL = none.
    void (*self)(void *ctx, struct pipeline *p, int64_t now_ms);
    void *ctx; // of both
};
#define SHARD_BYTES_MAX                                                                        \
    (64u << 20) // frames queued, all agents: above three quarters ingest answers 429
// Made without a thread, so that the inventory can fill the pipeline; owns `first` unless it fails.
struct shard *shard_new(const struct shard_options *o, struct ruleset *first, struct err *err);
struct pipeline *shard_pipeline(struct shard *s);  // before shard_start only
int shard_start(struct shard *s, struct err *err); // 0 or -errno
// Drains what is queued and joins. The rings stay: their consumers may empty them before shard_free.
void shard_stop(struct shard *s);
void shard_free(struct shard *s); // NULL allowed; frees what the rings still hold

// --- ingest thread ---
enum shard_input_kind { SHARD_FRAME, SHARD_CLOSED };
struct shard_input {
    enum shard_input_kind kind;
    struct frame *frame;  // SHARD_FRAME, owned
    uint8_t agent_id[16]; // SHARD_CLOSED
};
bool shard_push(struct shard *s, struct shard_input in); // false = full
bool shard_busy(const struct shard *s);                  // more than three quarters full

// This thread could not listen for so long: no agent is to be blamed for it.
void shard_excuse(struct shard *s, int64_t stalled_ms);

// --- notify thread ---
struct ring *shard_notices(struct shard *s); // of struct notice *

// --- ui thread: see request.h ---
struct request;
bool shard_request(struct shard *s, struct request *r); // false = full: 503
struct ring *shard_replies(
    struct shard *s); // of struct request *, answered, and struct live_out

// --- main thread ---
// Hands a set over and waits until the shard has taken it, at most 5 s. 0; -ENOMEM, -ETIMEDOUT: the old
// rules stay (the set is freed either way).
int shard_load(struct shard *s, struct ruleset *set);
