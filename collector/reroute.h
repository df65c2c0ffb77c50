// SPDX-License-Identifier: Apache-2.0
/*
 * What a reload that changed routes and receivers does to the alerts there are. Nothing is told twice,
 * and nothing is lost:
 *
 *     its lane is still one of its lanes     nothing happens
 *     another lane of the same destination   it stays with the lane that told it, in its group, until
 *     (same receiver, other matchers)        it is over
 *     it went to another receiver, which     that one is told that it fires. The one before hears its
 *     is told what it did not know           end, if it was told its beginning and is still a receiver
 *     queued where it no longer goes         taken out; what fires is said where it goes now, what
 *                                            began and ended meanwhile is moved there as it stands
 *     told in another's place              stays while its route has this fallback and is the alert's
 *     (fallback.h)
 *     there is no lane left for it           dropped, counted and logged
 *
 * Between lanes_commit and lanes_settle. Belongs to the notify thread.
 */
#pragma once
#include "collector/lanes.h"
#include "collector/ledger.h"

struct reroute {
    struct lanes *lanes;
    struct ledger *ledger;
    int64_t now_ms;
    void *ctx;
    // Of an alert that is over: this lane has nothing more to say about it, and so many lanes more have.
    void (*learned)(void *ctx, const struct lane *lane, uint64_t alert_id, enum told told);
    void (*owed)(void *ctx, uint64_t alert_id, size_t lanes);
    size_t moved, dropped; // changes that were queued; to be read afterwards
    // Of the alert that is looked at.
    size_t place;
};
int reroute_alerts(struct reroute *r); // 0; -ENOMEM: some go on where they were
