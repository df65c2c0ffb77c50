// SPDX-License-Identifier: Apache-2.0
/*
 * Batches to bytes, on the agent. A chain holds what the receiver holds after the last frame
 * (last value of each id, last buckets of each histogram), so that only differences travel;
 * a key frame is made at the start, every WIRE_KEY_EVERY frames, when asked, and after an error.
 *
 * Encoded frames are what the spool keeps and what both lanes send unchanged: encoding is done
 * once. All of it belongs to one thread. Steady state does not allocate.
 */
#pragma once
#include "base/buf.h"
#include "base/err.h"
#include "wire/batch.h"

#define WIRE_KEY_EVERY 60

struct chain_out;
struct chain_out *chain_out_new(void);    // NULL: out of memory
void chain_out_free(struct chain_out *c); // NULL allowed
// Declares a series for all later frames; ids must rise by one from 1 and are never given twice.
// The chain keeps copies so that key frames can repeat them. 0, -ENOMEM; -EINVAL (id out of turn,
// not a Prometheus name, labels not sorted, empty value, over a limit); -ENOSPC: the session has
// used all WIRE_ID_MAX ids, start another one (new chain, epoch + 1, new nonce).
int chain_out_declare(struct chain_out *c, const struct batch_declare *d);
// The id may be listed in the next frame once more (as STALE, usually) and never after it.
// 0, -ENOMEM, -EINVAL: not alive.
int chain_out_retire(struct chain_out *c, uint32_t id);
void chain_out_want_key(struct chain_out *c);
// Appends one serialised Frame to out. batch->seq should be the last plus one; it must be above
// it, and a gap makes a key frame. base_seq, declares and retired of the batch are not read: the
// chain knows them. *ret_key tells whether a key frame was made. 0, -ENOMEM, -EMSGSIZE (out is
// full), -EINVAL (ids not rising or not alive, a histogram for another kind, stamps or counts
// over a limit). On an error nothing was added and the next frame will be a key frame.
int chain_out_encode(
    struct chain_out *c, const struct batch *b, struct buf *out, bool *ret_key);

// A body of n encoded frames. lz4 is used when it saves at least a tenth. 0, -ENOMEM, -EMSGSIZE
// (over WIRE_BODY_MAX or WIRE_UNPACKED_MAX: send fewer), -EINVAL (n over WIRE_FRAMES_MAX).
struct push_meta {
    int lane; // 0 live, 1 backfill
    int64_t sent_us, clock_offset_us, round_trip_us;
    uint64_t id; // counts the session's bodies from 1; the reply repeats it
};
int push_encode(const struct wire_session *s, const struct push_meta *m,
    const uint8_t *const *frames, const size_t *lens, size_t n, struct buf *out);
int reply_encode(const struct wire_reply *r, struct buf *out); // 0, -ENOMEM, -EMSGSIZE, -EINVAL
// One repair, one result by itself, as the agent's processes speak with each other. 0, -ENOMEM, -EMSGSIZE,
// -EINVAL.
int repair_encode(const struct wire_repair *r, struct buf *out);
int repair_result_encode(const struct wire_repair_result *r, struct buf *out);
