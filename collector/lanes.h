// SPDX-License-Identifier: Apache-2.0
/*
 * All lanes: for each node of the routing tree one lane per integration of its receiver. A lane's
 * number is its place here, and stays the same over reloads. Where the receiver has a fallback there is
 * also one per integration of that, and so on, to which no alert is routed.
 *
 * A reload finds the lanes of the new tree by their identity (lane_id): those keep queue, what their
 * receiver knows, and connections. What is left over:
 *
 *     LANE_LEAVING  its route is gone, its receiver is not: what it told is told to its end there
 *     LANE_RETIRED  its receiver is gone too: nobody is told; its place is free once it knows nothing
 *
 *     lanes_prepare --> lanes_commit --> alerts are given their lanes (reroute.h) --> lanes_settle
 *               \--> lanes_abandon
 *
 * Belongs to the notify thread.
 */
#pragma once
#include "collector/lane.h"

struct lanes_options {
    struct config *config;    // a reference is taken
    const char *external_url; // borrowed, as all below
    struct board *board;      // NULL allowed
    struct clock clock;
    struct transfers *transfers;
    bool (*quiet)(void *ctx, const struct notice *n); // see deliver.h
    void *quiet_ctx;
    struct deliveries *deliveries; // see lane.h, NULL allowed
    const struct ledger *ledger;
};
enum lane_life { LANE_ROUTED, LANE_LEAVING, LANE_RETIRED };
struct lanes;
struct lanes *lanes_open(const struct lanes_options *o, struct err *err); // NULL with err
void lanes_close(struct lanes *l);                                        // NULL allowed
size_t lanes_count(const struct lanes *l); // of places; each has a lane
struct lane *lanes_at(const struct lanes *l, size_t number);
struct lane *lanes_named(const struct lanes *l, const char *id); // its lane_id; NULL: none
enum lane_life lanes_life(const struct lanes *l, size_t number);
// Those that are told what this one is not (fallback.h). Returns how many.
size_t lanes_fallbacks(const struct lanes *l, size_t number, uint32_t *ret, size_t max);
// Whether it is in the configuration in force as one of these.
bool lanes_is_fallback(const struct lanes *l, size_t number);
// Those an alert with these labels goes to, in the order of the configuration. Returns how many.
size_t lanes_of(const struct lanes *l, const struct labels *labels, uint32_t *ret, size_t max);
// Has each lane repeat nothing while its route's times mute it. Returns when that or what is muted by
// time may be different (wall ms); INT64_MAX = never.
int64_t lanes_times(struct lanes *l, int64_t wall_ms);

// --- a reload ---
// Opens all that c needs and is not there. 0; -errno with err, and nothing has changed.
int lanes_prepare(struct lanes *l, struct config *c, struct err *err);
void lanes_abandon(struct lanes *l);
// From now on lanes_of answers as the new configuration says.
void lanes_commit(struct lanes *l);
// From lanes_commit to lanes_settle: as lanes_of answered before, and whether a lane was not there then.
size_t lanes_before(
    const struct lanes *l, const struct labels *labels, uint32_t *ret, size_t max);
bool lanes_is_new(const struct lanes *l, size_t number);
// Queues have been sifted: retires what nobody is left for.
void lanes_settle(struct lanes *l);
