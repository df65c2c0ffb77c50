// SPDX-License-Identifier: Apache-2.0
/*
 * What the lane*.c share: its queue on the wire (lane.c), what is written down of it (lane_log.c), tests
 * and replays (lane_errand.c), and what a reload changes (lane_change.c).
 */
#pragma once
#include "collector/connection.h"
#include "collector/deliveries.h"
#include "collector/lane.h"

// One that makes the bodies, beside as many stale ones as may be in flight.
#define CONNECTIONS_MAX (DELIVER_FLIGHTS_MAX + 1)
struct lane {
    struct lane_options o;
    char id[LANE_ID_MAX], destination[LANE_ID_MAX];
    struct deliver *deliver;
    // One is there from the start, others when there is something to do for them.
    struct connection *connections[CONNECTIONS_MAX];
    struct connection *first; // that one; never stale; NULL: it asks agents for repairs
    bool retired;             // not shown
    struct {
        struct lane_options o;
        struct connection *connection; // NULL: those there are will do
    } next;                            // from lane_prepare to lane_commit
    struct connection *aside;          // of errands, so that no page waits for one
    struct errands errands;
    struct board_receiver shown;
    struct tally tally;
    // While deliver_done runs: what has landed.
    const struct connection *landed;
};

struct connection *lane_connect(
    struct lane *l, const struct lane_options *o, struct err *err); // NULL with err
const struct integration *lane_integration(const struct lane *l);
void lane_label(struct lane *l); // from its options: what it is called
struct deliver_options lane_queue_options(
    struct lane *l, const struct lane_options *o, const struct connection *first);
// A row of the log but for its outcome; NULL: no log, or no memory.
struct delivery *lane_row(
    const struct connection *c, enum delivery_kind kind, int status, int64_t took_us);
// For deliver_options: ctx is the lane.
void lane_lost(void *ctx, const struct deliver_message *m, enum deliver_loss why);
void lane_launch_errand(struct lane *l, int64_t now_ms, bool durable);
void lane_errand_landed(struct connection *c, int status, int64_t took_us, int64_t now_ms);
