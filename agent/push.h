// SPDX-License-Identifier: Apache-2.0
/*
 * Frames from the spool to the collector, by HTTP POST on kept connections. Two lanes, one body
 * in flight on each:
 *
 *     live       the newest frames, in order, as they were encoded. When the first that waits is
 *                older than PUSH_BEHIND_NS (two frames missed their second) it jumps to the next
 *                key frame, and the collector asks for the rest
 *     backfill   what a reply's resume_from names, oldest first, bodies of at most 64 KiB, from
 *                the key frame before it
 *
 * After a failure the lane waits (lane.h; retry_after_ms of a reply is obeyed too) and knocks with an empty
 * body first, so that an outage costs no key frames. A frame counts as delivered when a reply has accepted its body; until then it is sent
 * again, and the collector drops what it has by seq.
 *
 * A reply's goaway_to moves both lanes to another collector (destination.h).
 *
 * Loop thread. Borrows the spool and the transfers. Nothing here logs: push_note is called.
 */
#pragma once
#include "agent/spool.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/transfer.h"
#include "wire/batch.h"

#define PUSH_BEHIND_NS (2500 * NS_PER_MS)
#define PUSH_BODY_MAX  (64u << 10)

struct push_stats {
    uint64_t bodies, failures, replayed_frames, key_frames_asked;
    uint64_t accepted_seq, durable_seq;
    int64_t clock_offset_us, round_trip_us; // round_trip_us 0: no exchange yet
    bool connected;                         // the last live body was answered with 200
};

struct push_options {
    const char *collector; // URL without path
    const char *token;     // NULL: none
    const char *ca_file;   // NULL: the system's
};

struct push_hooks {
    void (*want_key)(void *ctx); // the next frame should be a key frame
    // Once when it turns: text names the reason of a failure, or the collector.
    void (*note)(void *ctx, bool failed, const char *text);
    // A reply says what of its body was not taken, though the rest was. NULL: not told.
    void (*told)(void *ctx, const char *text);
    // A reply of the live lane asks for these; sent_ns: when the body it answers was sent. NULL: none are
    // taken.
    void (*repairs)(void *ctx, const struct wire_repair *asked, size_t n, int64_t sent_ns);
    // A reply of the live lane says what is wanted more of. NULL: not asked.
    void (*demand)(void *ctx, const struct wire_reply *r);
    void *ctx;
};

struct pusher;
// session is borrowed and read at each body, newest_seq and oldest_seq are filled in here. clock's wall
// is that of the frames' stamps, steps included: what is measured of it has to be true of them.
struct pusher *push_new(struct loop *loop, struct transfers *m, struct spool *spool,
    const struct clock *clock, const struct wire_session *session, const struct push_options *o,
    const struct push_hooks *h);
void push_free(struct pusher *p);
void push_kick(struct pusher *p); // the spool has news
// The wall clock stepped, and frame seq will say so. Until that one is answered nothing is told of the
// clocks' difference: the collector takes the step from the frame, and what stands before it in the
// same body is still of the old clock. Frames from before are then let go: to a collector that has not
// heard them in their turn (it started anew, or was away) their stamps would be an hour off, and samples
// from the future keep all that come after them out. The next frame should be a key frame.
void push_clock_cut(struct pusher *p, uint64_t seq);
// Asks for replies soon, by empty bodies: what the collector wants of us after the event just sent, it
// will know in a moment.
void push_ask_soon(struct pusher *p);
bool push_idle(const struct pusher *p); // live has nothing in flight and nothing to send
const struct push_stats *push_stats(const struct pusher *p);
