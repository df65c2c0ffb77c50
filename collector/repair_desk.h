// SPDX-License-Identifier: Apache-2.0
/*
 * Repairs that alerts ask for: a pure state machine. Beside a queue of messages (deliver.h) a receiver
 * may have `repair_configs`; what its lane is told of comes here instead.
 *
 *     fires --> waiting --order--> asked --started--> running --> well: waits whether the alert ends
 *                  ^  |              |                   |           |
 *                  |  +-- refused ---+-- not taken ------+-- failed -+-- still fires
 *                  +------- back-off, doubling ------------------------------+
 *                                        |  give_up_after attempts, or no use in another
 *                                        v
 *                                     gave up: RepairGaveUp pages (builtin.c)
 *
 * An attempt's id is made of the alert's episode and its number, so that it is the same in every run of
 * this program, and the agent runs an id once: after kill -9 attempts are asked for again from the
 * first, and those that were made are only answered again. That we gave up stands in the journal.
 *
 * No attempt is made while the alert is muted, while it is not on disk yet (a crash would make a second
 * episode of it), while the same action runs on that host for another alert, within `retry` of its end,
 * or beyond max_per_hour. The agent has a budget of its own, which holds whatever happens here.
 *
 * Belongs to the notify thread. now_ms is monotonic.
 */
#pragma once
#include "collector/notice.h"
#include "collector/repair_order.h"

#define REPAIR_EPISODES_MAX   10000
#define REPAIR_ACTIVE_MAX     256 // asked or running at once
#define REPAIR_BACKOFF_MAX_MS (3600 * 1000LL)

// An entry of repair_configs. Text lives in the configuration.
struct repair_terms {
    const char *action, *instance_label;
    const char *parameters[WIRE_REPAIR_PARAMETERS_MAX]; // labels, sorted
    size_t n_parameters;
    unsigned max_per_hour, give_up_after;
    int64_t retry_ms, expires_ms;
};

enum repair_state { REPAIR_WAITING, REPAIR_ASKED, REPAIR_RUNNING, REPAIR_WELL, REPAIR_GAVE_UP };
const char *repair_state_name(enum repair_state s);
enum repair_event { REPAIR_ASKS, REPAIR_ENDS, REPAIR_GIVES_UP, REPAIR_OVER };
// An episode as it is now, valid during the call.
struct repair_view {
    const char *lane; // lane_id
    const struct notice *notice;
    const char *instance, *action; // instance "": the alert does not say
    enum repair_state state;
    unsigned attempts, give_up_after;
    int outcome; // of the last attempt: enum repair_outcome, ORDER_...; 0 = none
    int32_t code;
    uint32_t duration_ms;
    const char *output, *reason; // of the last attempt; "" = none
    const char *why;             // it gave up, in a word or two: "attempts", "not listed"
    bool again;
    int64_t due_ms; // of what comes next; INT64_MAX = nothing does
};
struct repair_desk_options {
    void *ctx;
    // Takes o over. False: no room now, o is still ours.
    bool (*send)(void *ctx, struct repair_order *o);
    // Whether the lane must not hear of it now.
    bool (*muted)(void *ctx, const char *lane, const struct notice *n);
    // To be written down: TOLD_FIRING = gave up, TOLD_OVER.
    void (*told)(void *ctx, const char *lane, uint64_t alert_id, enum told told);
    void (*note)(void *ctx, enum repair_event e, const struct repair_view *v);
};
struct repair_stats {
    uint64_t asked, succeeded, failed, gave_up,
        dropped; // attempts; dropped: episodes over the limit
    size_t active, waiting, given_up;
};

struct repair_desk;
struct repair_desk *repair_desk_new(const struct repair_desk_options *o); // NULL: no memory
void repair_desk_free(struct repair_desk *d);                             // NULL allowed
// The alert fires, or is over. 0; -ENOMEM, -ENOBUFS: it gets no repair, which is counted.
int repair_desk_take(struct repair_desk *d, const char *lane, const struct repair_terms *terms,
    const struct notice *n, int64_t now_ms);
// An episode of an earlier run that had given up.
int repair_desk_gave_up(struct repair_desk *d, const char *lane,
    const struct repair_terms *terms, const struct notice *n);
// Routes have changed: ends the episodes of lanes that their alert does not go to any more.
void repair_desk_reroute(struct repair_desk *d,
    bool (*goes)(void *ctx, const char *lane, const struct notice *n), void *ctx,
    int64_t now_ms);
void repair_desk_answer(struct repair_desk *d, const struct repair_answer *a, int64_t now_ms);
// Does what is due; durable: everything that fires is on disk.
void repair_desk_run(struct repair_desk *d, int64_t now_ms, bool durable);
int64_t repair_desk_next(
    const struct repair_desk *d); // after a run; INT64_MAX = nothing is due by itself
void repair_desk_each(
    const struct repair_desk *d, void (*fn)(void *ctx, const struct repair_view *v), void *ctx);
struct repair_stats repair_desk_stats(const struct repair_desk *d);
