// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"
#include "base/thread.h"
#include "collector/api.h"
#include "collector/notify_state.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#define POLICIES_MAX 64 // reloads while the notifier is busy with something else

void notify_free(struct notify *n)
{
    while (n->held) {
        struct held *h = n->held;
        n->held = h->next;
        notify_held_free(h);
    }
    lanes_close(n->lanes);
    heartbeats_close(n->heartbeats);
    repairs_free(n->repairs);
    deliveries_free(n->deliveries);
    struct request *r;
    while (n->requests && (r = ring_pop(n->requests)))
        request_free(r);
    while (n->answers && (r = ring_pop(n->answers)))
        request_free(r);
    struct policies *p;
    while (n->policies && (p = ring_pop(n->policies)))
        policies_free(p);
    ring_free(n->policies);
    ring_free(n->requests);
    ring_free(n->answers);
    struct handover *h;
    if (n->handover)
        notify_handover_unref(n->handover);
    while (n->handovers && (h = ring_pop(n->handovers)))
        notify_handover_unref(h);
    ring_free(n->handovers);
    ledger_free(n->ledger);
    mutes_free(n->mutes);
    transfers_free(n->transfers);
    loop_free(n->loop);
    config_unref(n->o.config);
    curl_global_cleanup();
    free(n);
}

// A reminder of what is silenced or inhibited is what the mute is against.
static bool quiet(void *ctx, const struct notice *notice)
{
    const struct notify *n = ctx;
    return mutes_quiet(n->mutes, notice, notify_wall_ms(n));
}

static bool repair_muted(void *ctx, const char *id, const struct notice *notice)
{
    const struct notify *n = ctx;
    const struct lane *lane = lanes_named(n->lanes, id);
    return !lane || notify_muted(ctx, notice, lane_number(lane)) != 0;
}

static void repair_told(void *ctx, const char *id, uint64_t alert_id, enum told told)
{
    const struct notify *n = ctx;
    const struct lane *lane = lanes_named(n->lanes, id);
    if (lane)
        notify_learned(ctx, lane, alert_id, told);
}

static int open_repairs(struct notify *n, struct err *err)
{
    struct repairs_options o = {.link = n->o.repairs,
        .board = n->o.repair_board,
        .loop = n->loop,
        .clock = n->o.clock,
        .ctx = n,
        .pump = notify_pump,
        .muted = repair_muted,
        .told = repair_told};
    n->repairs = n->o.repairs ? repairs_new(&o) : NULL;
    if (n->repairs || !n->o.repairs)
        return 0;
    err_set(err, "out of memory");
    return -ENOMEM;
}

// Letters of a receiver that the configuration has no more can be shown and dismissed, not sent.
static void name_orphans(const struct notify *n)
{
    const struct letters *s = deliveries_letters(n->deliveries);
    for (size_t i = 0; i < s->n; i++)
        if (!lanes_named(n->lanes, s->l[i]->lane))
            log_warn("letter_without_receiver", "id=%llu receiver=%s hint=%s",
                (unsigned long long)s->l[i]->id, log_q(s->l[i]->receiver),
                log_q("no route leads to it any more: tocsin hooks show, or dismiss"));
}

static void beat_facts(void *ctx, struct heartbeat_facts *ret)
{
    const struct notify *n = ctx;
    struct deliver_stats s;
    ret->transitions = n->transitions;
    for (size_t i = 0; i < lanes_count(n->lanes); i++) {
        deliver_stats(lane_queue(lanes_at(n->lanes, i)), &s);
        ret->queued += s.queued;
    }
}

static int open_heartbeats(struct notify *n, struct err *err)
{
    struct heartbeats_options o = {.config = n->o.config,
        .version = n->o.version ? n->o.version : "",
        .instance = n->o.instance ? n->o.instance : "",
        .external_url = n->o.external_url,
        .vitals = n->o.vitals,
        .journal = n->o.journal,
        .board = n->o.board,
        .transfers = n->transfers,
        .clock = n->o.clock,
        .started_ms = n->started_ms,
        .facts = beat_facts,
        .ctx = n};
    n->heartbeats = o.vitals ? heartbeats_open(&o, err) : NULL;
    return o.vitals && !n->heartbeats ? -EINVAL : 0;
}

static int open_lanes(struct notify *n, struct err *err)
{
    struct config *c = n->o.config;
    struct ledger_options ledger = {.ctx = n,
        .route = notify_route_of,
        .take = notify_take,
        .muted = notify_muted,
        .say = notify_say,
        .again = notify_say_again,
        .nothing = notify_nothing};
    struct lanes_options lanes = {.config = c,
        .external_url = n->o.external_url,
        .board = n->o.board,
        .clock = n->o.clock,
        .transfers = n->transfers,
        .quiet = quiet,
        .quiet_ctx = n};
    struct deliveries_options deliveries = {n->o.journal, notify_writing, n};
    n->ledger = ledger_new(&ledger);
    n->deliveries = deliveries_new(&deliveries);
    n->mutes = mutes_new(c->inhibit, c->n_inhibit);
    n->started_ms = notify_wall_ms(n);
    if (!n->ledger || !n->mutes || !n->deliveries) {
        err_set(err, "out of memory");
        return -ENOMEM;
    }
    lanes.deliveries = n->deliveries;
    lanes.ledger = n->ledger;
    n->lanes = lanes_open(&lanes, err);
    if (n->lanes)
        name_orphans(n);
    return n->lanes ? 0 : -EINVAL;
}

// What the lane knows to fire; of a repair: that it was given up.
static int known(
    struct notify *n, struct lane *lane, const struct notice *notice, int64_t told_ms)
{
    if (!lane_repair(lane))
        return deliver_known(lane_queue(lane), notice, told_ms);
    if (n->repairs)
        repairs_gave_up(n->repairs, lane_id(lane), lane_repair(lane), notice);
    return 0;
}

// An episode of the journal: what each lane knows of it.
static void restore(void *ctx, const struct journal_row *r)
{
    struct notify *n = ctx;
    uint32_t lane[LEDGER_LANES_MAX];
    enum told told[LEDGER_LANES_MAX];
    size_t count = 0;
    int64_t now = notify_now_ms(n), ago_ms = clock_wall_ms(&n->o.clock) - now;
    bool taken[LEDGER_LANES_MAX] = {0}; // of the rows
    uint32_t to[LEDGER_LANES_MAX];
    size_t n_to = lanes_of(n->lanes, &r->notice->labels, to, LEDGER_LANES_MAX);
    const struct notice *notice = notice_keep(r->notice);
    int rc = notice ? 0 : -ENOMEM;
    for (size_t i = 0; i < lanes_count(n->lanes); i++)
        for (size_t k = 0; k < r->n && count < LEDGER_LANES_MAX; k++) {
            if (strcmp(r->receiver[k], lane_id(lanes_at(n->lanes, i))) != 0)
                continue;
            // Of two routes with the same matchers only the first is the alert's.
            bool routed = false;
            for (size_t m = 0; m < n_to; m++)
                routed |= to[m] == i;
            if (k < LEDGER_LANES_MAX && taken[k] && !routed)
                continue;
            if (k < LEDGER_LANES_MAX)
                taken[k] = true;
            lane[count] = (uint32_t)i;
            told[count++] = r->told[k];
            if (r->told[k] == TOLD_FIRING && rc == 0)
                rc = known(n, lanes_at(n->lanes, i), notice, r->at_ms[k] - ago_ms);
        }
    if (rc == 0)
        rc = ledger_restore(n->ledger, notice, lane, told, count);
    const struct ack *ack = acks_get(mutes_acks(n->mutes), r->notice->alert_id);
    for (size_t i = 0; ack && i < lanes_count(n->lanes); i++)
        for (size_t k = 0; k < r->n; k++)
            if (r->at_ms[k] < ack->until_ms &&
                strcmp(r->receiver[k], lane_id(lanes_at(n->lanes, i))) == 0)
                ledger_raise(n->ledger, r->notice->alert_id, (uint32_t)i);
    notice_free(notice);
    if (rc < 0)
        log_error("ledger_out_of_memory", "alerts=1");
}

static void restore_silence(void *ctx, const struct silence *s, const char *matchers)
{
    struct notify *n = ctx;
    if (silences_restore(mutes_silences(n->mutes), s, matchers) < 0)
        log_error("silence_lost", "id=%s", s->id);
}

static void restore_ack(void *ctx, const struct ack *a)
{
    struct notify *n = ctx;
    n->acks_changed = true;
    if (acks_put(mutes_acks(n->mutes), a) < 0)
        log_error("ack_lost", "alert=%" PRIu64, a->alert_id);
}

static int open_journal(struct notify *n, struct err *err)
{
    if (!n->o.journal)
        return 0;
    journal_each_silence(n->o.journal, restore_silence, n);
    journal_each_ack(n->o.journal, restore_ack, n);
    journal_each(n->o.journal, restore, n);
    if (n->repairs)
        repairs_show(n->repairs);
    if (!loop_io_add(
            n->loop, ring_fd(journal_done(n->o.journal)), EPOLLIN, notify_on_written, n)) {
        err_set(err, "out of memory");
        return -ENOMEM;
    }
    return journal_start(n->o.journal, err);
}

struct notify *notify_start(
    const struct notify_options *o, struct ring *notices, struct err *err)
{
    struct notify *n = calloc(1, sizeof(*n));
    if (!n) {
        err_set(err, "out of memory");
        return NULL;
    }
    n->o = *o;
    config_ref(n->o.config);
    n->notices = notices;
    n->held_end = &n->held;
    curl_global_init(CURL_GLOBAL_DEFAULT);
    n->loop = loop_new();
    n->transfers = n->loop ? transfers_new(n->loop, notify_pump, n) : NULL;
    if (!n->transfers) {
        err_set(err, "cannot start the notifier: %s", strerror(errno));
        goto fail;
    }
    n->requests = ring_new(NOTIFY_REQUESTS_MAX);
    n->answers = ring_new(NOTIFY_REQUESTS_MAX * 2);
    n->policies = ring_new(POLICIES_MAX);
    n->handovers = ring_new(2);
    n->ring_io = n->requests && n->answers && n->policies && n->handovers
                     ? loop_io_add(n->loop, ring_fd(notices), EPOLLIN, notify_on_notices, n)
                     : NULL;
    if (n->ring_io &&
        (!loop_io_add(n->loop, ring_fd(n->requests), EPOLLIN, notify_on_requests, n) ||
            !loop_io_add(n->loop, ring_fd(n->handovers), EPOLLIN, notify_on_handovers, n) ||
            !loop_io_add(n->loop, ring_fd(n->policies), EPOLLIN, notify_on_policies, n)))
        n->ring_io = NULL;
    n->due_timer = loop_timer_new(n->loop, notify_on_due, n);
    if (!n->ring_io || !n->due_timer) {
        err_set(err, "cannot start the notifier: %s", strerror(errno));
        goto fail;
    }
    if (open_lanes(n, err) < 0 || open_heartbeats(n, err) < 0 || open_repairs(n, err) < 0 ||
        open_journal(n, err) < 0)
        goto fail;
    if (o->policies) // after the journal: alerts of an earlier run may be depended on
        notify_use_policies(n, o->policies);
    if (thread_start(&n->thread, "notify", notify_run, n, err) < 0)
        goto fail;
    return n;
fail:
    notify_free(n);
    return NULL;
}
