// SPDX-License-Identifier: Apache-2.0
/*
 * The notify thread: takes notices from the shard's ring and delivers them to webhooks.
 *
 *     ring --> journal --> deliver (one per webhook: groups, order, back-off; pure) --> libcurl
 *
 * All members decided in one drain go in one message. Each receiver has its own queue and connections
 * (lane.h), one message of a group in flight, so that a group's order is kept and a hung receiver
 * delays nobody else. No redirects, 10 s per try. Results go to the board for status, metrics and the
 * page.
 *
 * Nothing is sent before the journal has it; but a disk that takes longer than NOTIFY_DURABLE_MS does
 * not hold a page back, which then carries Tocsin-Durable: false. What a receiver answered is written
 * down too, so that a restart goes on where this run ended.
 *
 * Headers beside the body: Idempotency-Key (the same over retries and restarts for the same
 * content), Tocsin-Cause-Ms (newest sample time that made a member change), Tocsin-Decided-Ms.
 */
#pragma once
#include "base/clock.h"
#include "base/err.h"
#include "base/ring.h"
#include "collector/ack_board.h"
#include "collector/board.h"
#include "collector/config.h"
#include "collector/journal.h"
#include "collector/policies.h"
#include "collector/repair_board.h"

#define NOTIFY_DURABLE_MS 50

struct notify;
struct request;
struct vitals;
struct notify_options {
    struct config *config;     // route and receivers; a reference is taken
    const char *external_url;  // resolved, no trailing slash; borrowed
    struct board *board;       // NULL allowed
    struct policies *policies; // of the rules; a reference is taken; NULL = none
    struct journal *journal;   // opened, not started: notify_start does; NULL = nothing is kept
    struct repair_link *repairs; // to the ingest thread; NULL = nobody is asked for repairs
    struct repair_board *repair_board; // NULL allowed
    struct ack_board *acks;            // NULL allowed
    struct clock clock;
    const char *version, *instance;
    const struct vitals *vitals; // of the shard, for heartbeats; NULL: there are none
};
// Reads url_file's, takes up what the journal says receivers have yet to hear, starts the threads. NULL with err. `notices` is popped only by this thread.
struct notify *notify_start(
    const struct notify_options *o, struct ring *notices, struct err *err);
// --- main thread: what the overrides say from now on; takes a reference. Before the shard gets the rules
// it is of: then no alert of theirs is looked at without. False = too many at once.
bool notify_policies(struct notify *n, struct policies *p);
// --- main thread ---
// Routes, receivers and their secrets, inhibition and times of another configuration, in one step between two
// drains: what was decided before is told as before (at most NOTIFY_DURABLE_MS). See lanes.h and
// reroute.h for what becomes of alerts. Takes a reference; waits for the answer, at most 5 s. 0, or
// -errno with err: nothing has changed.
int notify_reload(struct notify *n, struct config *c, struct err *err);

// --- ui thread: Alertmanager's API (api_v2.h) ---
bool notify_ask(struct notify *n, struct request *r); // false = full: 503
struct ring *notify_answers(struct notify *n);        // of struct request *, answered

// Tries what is queued for up to grace_ms, then joins. NULL allowed.
void notify_stop(struct notify *n, int64_t grace_ms);
