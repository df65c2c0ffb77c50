// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"
#include "collector/fallback.h"
#include "collector/notify_state.h"
#include <stdlib.h>
#include <string.h>

size_t notify_route_of(void *ctx, const struct labels *l, uint32_t *ret, size_t max)
{
    const struct notify *n = ctx;
    return lanes_of(n->lanes, l, ret, max);
}

void notify_take(void *ctx, const struct notice *notice)
{
    struct notify *n = ctx;
    if (notice->to != ALERT_PENDING)
        silences_saw(mutes_silences(n->mutes), &notice->labels, notify_wall_ms(n));
    const struct ack *a = acks_get(mutes_acks(n->mutes), notice->alert_id);
    if (a && notice->to == ALERT_INACTIVE)
        notify_keep_ack(n, a, true);
    mutes_take(n->mutes, notice);
}

unsigned notify_muted(void *ctx, const struct notice *notice, uint32_t lane)
{
    const struct notify *n = ctx;
    const struct time_limits *times = &lane_route(lanes_at(n->lanes, lane))->times;
    return mutes_of(n->mutes, notice, lane, times, notify_wall_ms(n));
}

void notify_say(void *ctx, uint32_t number, const struct notice *notice)
{
    struct notify *n = ctx;
    struct lane *lane = lanes_at(n->lanes, number);
    struct notice *marked = mutes_said(n->mutes, notice, number, notify_wall_ms(n));
    const struct notice *told = marked ? marked : notice;
    if (lane_repair(lane)) {
        if (n->repairs)
            repairs_say(n->repairs, lane_id(lane), lane_repair(lane), told);
    } else if (deliver_add(lane_queue(lane), &told, 1, notify_now_ms(n)) < 0) {
        log_error("alert_queue_out_of_memory", "receiver=%s", log_q(lane_name(lane)));
    }
    notice_free(marked);
}

void notify_say_again(void *ctx, uint32_t number, const struct notice *notice)
{
    struct notify *n = ctx;
    struct lane *lane = lanes_at(n->lanes, number);
    if (lane_repair(lane)) // it goes on by itself
        return;
    if (deliver_add(lane_queue(lane), &notice, 1, notify_now_ms(n)) < 0)
        log_error("alert_queue_out_of_memory", "receiver=%s", log_q(lane_name(lane)));
}

// What goes to the journal at the end of this turn. NULL: no journal, or no memory.
struct journal_write *notify_writing(void *ctx)
{
    struct notify *n = ctx;
    if (n->o.journal && !n->writing)
        n->writing = journal_write_new();
    return n->writing;
}

void notify_learned(void *ctx, const struct lane *lane, uint64_t alert_id, enum told told)
{
    const struct notify *n = ctx;
    struct journal_write *w = notify_writing(ctx);
    // Without memory it is told again after a restart, with the same key.
    if (w)
        (void)journal_write_told(w, lane_id(lane), alert_id, told, clock_wall_ms(&n->o.clock));
}

void notify_nothing(void *ctx, uint32_t lane, uint64_t alert_id)
{
    struct notify *n = ctx;
    notify_learned(n, lanes_at(n->lanes, lane), alert_id, TOLD_OVER);
}

// What the receivers have learned, so that a restart does not tell it again.
void notify_write_told(struct notify *n)
{
    for (size_t i = 0; i < lanes_count(n->lanes); i++) {
        size_t count;
        const struct deliver_told *told =
            deliver_told(lane_queue(lanes_at(n->lanes, i)), &count);
        for (size_t k = 0; k < count; k++)
            notify_learned(n, lanes_at(n->lanes, i), told[k].alert_id, told[k].told);
    }
    if (n->writing)
        (void)journal_commit(n->o.journal, n->writing, 0);
    n->writing = NULL;
}

int notify_write_alert(struct notify *n, struct journal_write *w, const struct notice *notice)
{
    uint32_t lane[LEDGER_LANES_MAX];
    struct ledger_lane there[LEDGER_LANES_MAX];
    size_t count = ledger_lanes(n->ledger, notice->alert_id, there);
    for (size_t i = 0; i < count; i++)
        lane[i] = there[i].lane;
    if (!count)
        count = lanes_of(n->lanes, &notice->labels, lane, LEDGER_LANES_MAX);
    unsigned mutes = 0;
    for (size_t i = 0; i < count; i++)
        mutes |= notify_muted(n, notice, lane[i]);
    return journal_write_alert(w, notice, count, mutes);
}

static bool write_entry(void *ctx, const struct ledger_entry *e)
{
    struct notify *n = ctx;
    return notify_write_alert(n, n->writing, e->notice) == 0;
}

static bool write_silence(void *ctx, const struct silence *s)
{
    notify_keep_silence(ctx, s, false);
    return true;
}

static void write_ack(void *ctx, const struct ack *a)
{
    notify_keep_ack(ctx, a, false);
}

// Not who was told: what is said here may still be in a queue. A crash tells it again, with its key.
// After what was decided before is with the ledger: an older state must not follow a newer one.
void notify_write_anew(struct notify *n)
{
    if (!n->anew || n->held)
        return;
    n->anew = false;
    if (!notify_writing(n))
        return;
    ledger_each(n->ledger, write_entry, n);
    silences_each(mutes_silences(n->mutes), write_silence, n);
    acks_each(mutes_acks(n->mutes), write_ack, n);
}

static size_t fallbacks_of(void *ctx, uint32_t from, uint32_t *ret, size_t max)
{
    const struct notify *n = ctx;
    return lanes_fallbacks(n->lanes, from, ret, max);
}

const char *notify_receiver_of(void *ctx, uint32_t lane)
{
    const struct notify *n = ctx;
    return lane_options(lanes_at(n->lanes, lane))->receiver->name;
}

static bool same_people(void *ctx, uint32_t a, uint32_t b)
{
    const struct notify *n = ctx;
    return strcmp(lane_destination(lanes_at(n->lanes, a)),
               lane_destination(lanes_at(n->lanes, b))) == 0;
}

// The journal may have the alert's end already, waiting for one lane less.
static void joined(void *ctx, uint64_t alert_id)
{
    const struct notify *n = ctx;
    if (n->held)
        notify_owed(ctx, alert_id, 1);
}

// Returns when to look next.
int64_t notify_fall_back(struct notify *n, int64_t now)
{
    const struct fallback f = {.ledger = n->ledger,
        .ctx = n,
        .lanes = fallbacks_of,
        .same = same_people,
        .muted = notify_muted,
        .say = notify_say,
        .joined = joined};
    int64_t due = INT64_MAX;
    for (size_t i = 0; i < lanes_count(n->lanes); i++) {
        struct lane *lane = lanes_at(n->lanes, i);
        size_t said = fallback_look(&f, (uint32_t)i, lane_queue(lane), now);
        int64_t next = deliver_late_next(lane_queue(lane));
        due = next < due ? next : due;
        if (!said)
            continue;
        const struct config_fallback *to =
            config_fallback(n->o.config, notify_receiver_of(n, (uint32_t)i));
        lane_fell_back(lane, said);
        log_warn("fallback", "receiver=%s to=%s alerts=%zu", log_q(lane_name(lane)),
            log_q(to ? to->to : ""), said);
    }
    return due;
}

void notify_owed(void *ctx, uint64_t alert_id, size_t lanes)
{
    struct journal_write *w = notify_writing(ctx);
    if (w)
        (void)journal_write_owed(w, alert_id, lanes);
}
