// SPDX-License-Identifier: Apache-2.0
/*
 * One integration of one route: its queue (deliver.h), and the connections that empty it
 * (receiver_wire.h). One request of each group is in flight, so its order is kept, and up to
 * DELIVER_FLIGHTS_MAX of several, so that a receiver that takes its time gets many groups in time; one
 * in all while it fails. A hung receiver delays nobody else. Connections stay open.
 *
 * Belongs to the notify thread.
 */
#pragma once
#include "base/clock.h"
#include "base/err.h"
#include "base/transfer.h"
#include "collector/board.h"
#include "collector/config.h"
#include "collector/deliver.h"

struct lane_options {
    const struct route *route; // borrowed, as everything here
    const struct config_receiver *receiver;
    size_t integration; // of the receiver
    size_t number;      // of all lanes: its place on the board
    const char *external_url;
    struct board *board; // NULL allowed
    struct clock clock;
    struct transfers *transfers;
    bool (*quiet)(void *ctx, const struct notice *n); // see deliver.h
    void *quiet_ctx;
};
struct lane;
struct lane *lane_open(const struct lane_options *o, struct err *err); // NULL with err
void lane_close(struct lane *l);                                       // NULL allowed
// In the journal: receiver, integration and route, so that a restart finds it again.
const char *lane_id(const struct lane *l);
const char *lane_name(const struct lane *l);
uint32_t lane_number(const struct lane *l);
const struct route *lane_route(const struct lane *l);
struct deliver *lane_queue(struct lane *l);
// What it asks agents for instead of sending messages; NULL: it sends. Then its queue stays empty.
const struct repair_terms *lane_repair(const struct lane *l);
// Puts on the wire what is due.
void lane_launch(struct lane *l, int64_t now_ms, bool durable);
void lane_show(struct lane *l); // queue lengths to the board
