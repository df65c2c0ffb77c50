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

struct push {
    struct wire_session session;
    int lane;    // 0 live, 1 backfill
    uint64_t id; // repeat it in the reply
    int64_t sent_us, clock_offset_us, round_trip_us;
    size_t n_frames;
    const void *impl;
};

// The receiver's side of a chain: last values by id. One per (session, lane). It remembers the
// session of its key frame, so a frame of another one is -ESTALE. Belongs to one thread.
struct chain_in;
struct chain_in *chain_in_new(void);             // NULL: out of memory
void chain_in_free(struct chain_in *c);          // NULL allowed
uint64_t chain_in_seq(const struct chain_in *c); // state is that after this seq; 0 = none
size_t chain_in_bytes(const struct chain_in *c);

// 0; -EBADMSG (not a Push, or over a limit; err says which); -EPROTONOSUPPORT (ret->session is
// filled, its versions do not include WIRE_PROTOCOL); -ENOMEM (arena ceiling).
int push_open(
    const uint8_t *body, size_t len, struct arena *a, struct push *ret, struct err *err);
// Decodes frame i against the chain. 0; -ESTALE: base_seq is not what the chain holds (chain
// untouched: ask for a key frame); -EBADMSG: not a frame; -ENOMEM: arena ceiling or memory. After
// the last two the chain is empty, seq 0. Duplicates are the caller's to drop by push_peek: a key
// frame is always taken and moves the chain, also back. The batch lives in the arena.
int push_frame(const struct push *p, size_t i, struct chain_in *c, struct arena *a,
    struct batch *ret, struct err *err);
// Seq and base (0 = key frame) of frame i without decoding its samples: for duplicates and
// ordering. 0 or -EBADMSG.
int push_peek(const struct push *p, size_t i, uint64_t *ret_seq, uint64_t *ret_base);

// 0, -EBADMSG, -ENOMEM. Strings that are not there are NULL.
int reply_decode(
    const uint8_t *body, size_t len, struct arena *a, struct wire_reply *ret, struct err *err);
// 0, -EBADMSG, -ENOMEM.
int repair_decode(
    const uint8_t *data, size_t len, struct arena *a, struct wire_repair *ret, struct err *err);
int repair_result_decode(const uint8_t *data, size_t len, struct arena *a,
    struct wire_repair_result *ret, struct err *err);
