// SPDX-License-Identifier: Apache-2.0
/*
 * The notify thread's side of repairs: the desk (repair_desk.h) with its rings to the ingest thread, its
 * log and the board that shows it. Belongs to the notify thread.
 */
#pragma once
#include "base/clock.h"
#include "base/loop.h"
#include "collector/repair_board.h"

struct repairs_options {
    struct repair_link *link;   // borrowed, as the board
    struct repair_board *board; // NULL allowed
    struct loop *loop;
    struct clock clock;
    void *ctx;
    void (*pump)(void *ctx); // answers have come: repairs_run is due
    bool (*muted)(void *ctx, const char *lane, const struct notice *n); // see repair_desk.h
    void (*told)(void *ctx, const char *lane, uint64_t alert_id, enum told told);
};
struct repairs;
struct repairs *repairs_new(const struct repairs_options *o); // NULL: no memory
void repairs_free(struct repairs *r);                         // NULL allowed
// The lane is told of an alert that fires or is over.
void repairs_say(struct repairs *r, const char *lane, const struct repair_terms *terms,
    const struct notice *n);
// Of the journal: this lane had given up.
void repairs_gave_up(struct repairs *r, const char *lane, const struct repair_terms *terms,
    const struct notice *n);
// Routes have changed: see repair_desk_reroute.
void repairs_reroute(
    struct repairs *r, bool (*goes)(void *ctx, const char *lane, const struct notice *n));
// On the board, now. After the journal was read and before the shard runs: RepairGaveUp would be over else until
// the first turn here.
void repairs_show(struct repairs *r);
// Does what is due; returns when there is more, in monotonic ms. INT64_MAX = not by itself.
int64_t repairs_run(struct repairs *r, bool durable);
