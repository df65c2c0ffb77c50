// SPDX-License-Identifier: Apache-2.0
/*
 * Bytes to batches, on the collector, and replies on the agent: the only place that sees
 * protobuf types, and where every limit on a peer's input is enforced.
 *
 * push_open checks the envelope. push_next returns the frames one by one, whose values are made
 * absolute with the session's chain. All memory of one body comes from the arena given, whose
 * ceiling bounds what a body may cost.
 */
#pragma once
#include "base/arena.h"
#include "base/err.h"
#include "wire/batch.h"

// Ceilings. A body over them is not a frame: 4xx.
#define WIRE_BODY_MAX       (1u << 20)   // compressed or not
#define WIRE_UNPACKED_MAX   (4u << 20)
#define WIRE_FRAMES_MAX     1024
#define WIRE_ID_MAX         65536        // ids per session, far above the 20,000 series kept
#define WIRE_LABELS_MAX     32
#define WIRE_NAME_MAX       256
#define WIRE_VALUE_MAX      1024
#define WIRE_EVENTS_MAX     256
#define WIRE_GROUPS_MAX     32

struct push {
    struct wire_session session;
    int lane;
    int64_t sent_us, clock_offset_us, round_trip_us;
    size_t n_frames;
    const void *impl;
};

// The receiver's side of a chain: last values by id. One per (session, lane).
struct chain_in;
struct chain_in *chain_in_new(void);
void chain_in_free(struct chain_in *c);
uint64_t chain_in_seq(const struct chain_in *c);     // state is that after this seq; 0 = none
size_t chain_in_bytes(const struct chain_in *c);

// 0; -EBADMSG (not a Push, or over a limit; err says which), -ENOMEM (arena ceiling).
int push_open(const uint8_t *body, size_t len, struct arena *a, struct push *ret, struct err *err);
// Decodes frame i against the chain. 0; -ESTALE: base_seq is not what the chain holds (chain
// untouched: ask for a key frame); -EBADMSG: not a frame (chain dropped). The batch lives in the arena.
int push_frame(const struct push *p, size_t i, struct chain_in *c, struct arena *a, struct batch *ret,
    struct err *err);
// Seq and key mark of frame i without decoding its samples: for duplicates and ordering.
int push_peek(const struct push *p, size_t i, uint64_t *ret_seq, uint64_t *ret_base);

int reply_decode(const uint8_t *body, size_t len, struct arena *a, struct wire_reply *ret, struct err *err);
