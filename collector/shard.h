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

struct shard;
struct shard_options {
    struct pipeline_options pipeline;
    struct clock clock;
    size_t frames_max;  // ring of frames, power of two
    size_t notices_max; // ring to the notifier
};
struct shard *shard_start(
    const struct shard_options *o, struct ruleset *first, struct err *err);
void shard_stop(struct shard *s); // drains what is queued, joins

// --- ingest thread ---
enum shard_input_kind { SHARD_FRAME, SHARD_CLOSED };
struct shard_input {
    enum shard_input_kind kind;
    struct frame *frame;  // SHARD_FRAME, owned
    uint8_t agent_id[16]; // SHARD_CLOSED
};
bool shard_push(struct shard *s, struct shard_input in); // false = full
bool shard_busy(const struct shard *s);                  // more than three quarters full

// --- notify thread ---
struct ring *shard_notices(struct shard *s); // of struct notice *

// --- ui thread: see request.h ---
struct request;
bool shard_request(struct shard *s, struct request *r); // false = full: 503
struct ring *shard_replies(
    struct shard *s); // of struct request *, answered, and struct live_out

// --- main thread ---
// Hands a set over; takes effect at the next turn. -EAGAIN when one is still waiting.
int shard_load(struct shard *s, struct ruleset *set);
