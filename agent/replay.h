// SPDX-License-Identifier: Apache-2.0
/*
 * A range of frames a collector has asked for again, and how far it is sent: from the key frame before its
 * start, oldest first. One at a time; a range that was sent is not begun again for REPLAY_HOLD_NS, since the
 * reply that asks for it may have been under way when the last of it arrived.
 *
 * Zeroed: nothing to do. Loop thread; numbers only, the frames are the spool's.
 */
#pragma once
#include "agent/spool.h"
#include "base/clock.h"

#define REPLAY_HOLD_NS (2 * NS_PER_S)

struct replay {
    uint64_t next, end; // to send next, and last; next 0 = nothing to do
    uint64_t sent_from, sent_to;
    int64_t sent_ns;
};

// False: there is nothing to send, or nothing new.
bool replay_begin(
    struct replay *r, struct spool *s, uint64_t from, uint64_t to, int64_t now_ns);
// The frame to go on from, 0: it is over. Moves past what has left the spool meanwhile.
uint64_t replay_next(struct replay *r, const struct spool *s);
// A collector has taken first to last. need_key: in vain, its chain does not hold what came before.
void replay_taken(struct replay *r, const struct spool *s, uint64_t first, uint64_t last,
    bool need_key, int64_t now_ns);
