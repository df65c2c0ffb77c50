// SPDX-License-Identifier: Apache-2.0
/*
 * One integration of one route: its queue (deliver.h), and the connections that empty it
 * (receiver_wire.h). One request of each group is in flight, so its order is kept, and up to
 * DELIVER_FLIGHTS_MAX of several, so that a receiver that takes its time gets many groups in time; one
 * in all while it fails. A hung receiver delays nobody else. Connections stay open.
 *
 * A reload changes a lane in two steps, because all lanes change or none does:
 *
 *     lane_prepare  opens what may fail: secrets from their files, a connection
 *     lane_commit   from now on messages are made and sent as the new configuration says. What is in
 *                   flight lands on its old connection, which then goes; its retry goes the new way. With
 *                   the same URL and secrets connections stay open.
 *
 * A lane holds a reference of the configuration its route is of, and of the one its receiver is of;
 * so does each connection of the one it was opened with.
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
#include "collector/letters.h"
#include "collector/tally.h"

struct deliveries;
struct ledger;
#define LANE_ID_MAX (BOARD_NAME_MAX + 48)
struct lane_options {
    struct config *route_config,
        *config;               // what they are of, which may differ; references are taken
    const struct route *route; // borrowed, as all below
    const struct config_receiver *receiver;
    size_t integration; // of the receiver
    size_t number;      // of all lanes: its place on the board
    const char
        *fallback_for; // the receiver in whose place it is told, of route_config; NULL: routed
    const char *external_url;
    struct board *board; // NULL allowed
    struct clock clock;
    struct transfers *transfers;
    bool (*quiet)(void *ctx, const struct notice *n); // see deliver.h
    void *quiet_ctx;
    struct deliveries *deliveries; // NULL: nothing is written down of what is sent
    const struct ledger *ledger;   // for replays
};
struct lane;
struct lane *lane_open(const struct lane_options *o, struct err *err); // NULL with err
void lane_close(struct lane *l);                                       // NULL allowed
int lane_prepare(struct lane *l, const struct lane_options *o, struct err *err); // 0; -errno
void lane_commit(struct lane *l);  // after lane_prepare
void lane_abandon(struct lane *l); // or this; nothing when it was not prepared
const struct lane_options *lane_options(const struct lane *l);
// Nobody is to be told any more: it is not shown, and waits for the ends of what its receiver knows.
void lane_retire(struct lane *l);
// Receiver and integration: two lanes of the same destination tell the same people.
const char *lane_destination(const struct lane *l);
// What lane_id would be.
void lane_identity(const struct lane_options *o, char ret[static LANE_ID_MAX]);
// In the journal: receiver, integration and route, so that a restart finds it again.
const char *lane_id(const struct lane *l);
const char *lane_name(const struct lane *l);
uint32_t lane_number(const struct lane *l);
const struct route *lane_route(const struct lane *l);
struct deliver *lane_queue(struct lane *l);
// What it asks agents for instead of sending messages; NULL: it sends. Then its queue stays empty.
const struct repair_terms *lane_repair(const struct lane *l);
void lane_view(const struct lane *l, struct board_receiver *ret, struct tally_view *ret_tally);
const char *lane_kind(const struct lane *l); // "slack"
const char *lane_to(const struct lane *l);   // where it sends, without secrets
// Puts on the wire what is due; when that is next.
int64_t lane_next(const struct lane *l);
void lane_launch(struct lane *l, int64_t now_ms, bool durable);
void lane_show(struct lane *l); // queue lengths to the board
// So many alerts were told to others because this one was not reached.
void lane_fell_back(struct lane *l, size_t alerts);

// --- beside the queue: errands.h ---
// The id of the row in the log that says what becomes of it; 0: too many wait, or no memory.
// anyway: also when by then an alert is not as the letter says, see standing.h.
uint64_t lane_replay(struct lane *l, const struct letter *letter, bool anyway);
// A drill: firing, then resolved where this integration is told of that. Returns how many ids, 0 to 2.
size_t lane_test(struct lane *l, uint64_t ret[static 2]);
bool lane_replaying(const struct lane *l, uint64_t letter);
