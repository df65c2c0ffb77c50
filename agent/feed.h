// SPDX-License-Identifier: Apache-2.0
/*
 * From samples to frames: takes what the samplers wrote, encodes it once, keeps it in the spool and
 * tells the pusher. One frame a second, and one at once when something happened. A storm of events
 * shares frames: after FEED_BURST at once there is one every FEED_GAP_NS, so that what matters is not
 * held up by a lesser event just before it.
 *
 * Every frame carries its own number as tocsin_agent_frame_seq, so a query can count what is
 * missing. Loop thread; borrows output, spool and pusher.
 */
#pragma once
#include "agent/output.h"
#include "agent/push.h"
#include "agent/schedule.h"
#include "agent/spool.h"

#define FEED_GAP_NS (10 * NS_PER_MS)
#define FEED_BURST  4

struct feed;
struct feed *feed_new(
    struct loop *loop, struct output *out, struct spool *spool); // NULL: memory
void feed_free(struct feed *f);
void feed_connect(struct feed *f, struct pusher *p, const struct schedule *s);
// The frame of a second: its number is in the open group already (feed_write_seq). 0 or why the
// samples were lost.
int feed_second(struct feed *f, int64_t wall_ms, int64_t mono_ns);
// A frame for what happened, now or when the gap is over.
int feed_event(struct feed *f, int64_t now_ns);
void feed_write_seq(struct feed *f); // into the group that is open
void feed_want_key(struct feed *f);
uint64_t feed_next_seq(const struct feed *f);
// A series could not be declared, for want of memory: every frame with a sample of it is lost, so the session is
// to begin anew.
bool feed_broken(const struct feed *f);
uint64_t feed_failures(const struct feed *f); // frames that could not be encoded or kept
