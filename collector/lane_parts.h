// SPDX-License-Identifier: Apache-2.0
/*
 * What the lane*.c share: its queue on the wire (lane.c), what is written down of it (lane_log.c), tests
 * and replays (lane_errand.c).
 */
#pragma once
#include "collector/connection.h"
#include "collector/deliveries.h"
#include "collector/lane.h"

struct lane {
    struct lane_options o;
    char id[BOARD_NAME_MAX + 48];
    struct deliver *deliver;
    // The first is there from the start, others when there is something to do for them.
    struct connection *connections[DELIVER_FLIGHTS_MAX];
    struct connection *aside; // of errands, so that no page waits for one
    struct errands errands;
    struct board_receiver shown;
    struct tally tally;
    // While deliver_done runs: what has landed.
    const struct connection *landed;
};

struct connection *lane_connect(struct lane *l, struct err *err); // NULL with err
const struct integration *lane_integration(const struct lane *l);
// A row of the log but for its outcome; NULL: no log, or no memory.
struct delivery *lane_row(
    const struct connection *c, enum delivery_kind kind, int status, int64_t took_us);
// For deliver_options: ctx is the lane.
void lane_lost(void *ctx, const struct deliver_message *m, enum deliver_loss why);
void lane_launch_errand(struct lane *l, int64_t now_ms, bool durable);
void lane_errand_landed(struct connection *c, int status, int64_t took_us, int64_t now_ms);
