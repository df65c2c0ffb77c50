// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"
#include "base/thread.h"
#include "collector/notify_state.h"
#include <stdlib.h>
#include <string.h>

#define DRAIN_MAX     4096 // notices taken in one turn
#define MUTES_LOOK_MS 1000

// Sends the batch to the journal. False: nothing will come back, so nobody is to wait for it.
static bool write_down(
    struct notify *n, struct notice *const *batch, size_t count, uint64_t tag)
{
    struct journal_write *w = n->o.journal ? journal_write_new() : NULL;
    if (!w)
        return false;
    for (size_t i = 0; i < count; i++)
        if (notify_write_alert(n, w, batch[i]) < 0) {
            log_error("journal_out_of_memory", "alerts=%zu", count - i);
            break;
        }
    return journal_commit(n->o.journal, w, tag);
}

void notify_held_free(struct held *h)
{
    for (size_t i = 0; i < h->count; i++)
        notice_free(h->n[i]);
    free(h->n);
    free(h);
}

static bool fires_already(void *ctx, const struct ledger_entry *e)
{
    struct notify *n = ctx;
    if (e->notice->to == ALERT_FIRING)
        mutes_source(n->mutes, e->notice);
    return true;
}

void notify_use_policies(struct notify *n, struct policies *p)
{
    if (mutes_policies(n->mutes, p) < 0) {
        log_error("policies_out_of_memory", "hint=%s",
            log_q("depends_on and flap stay as they were before the reload"));
        return;
    }
    ledger_each(n->ledger, fires_already, n);
    mutes_changed(n->mutes);
}

// Whatever rules a notice is of, their policies were handed over before it was decided.
static void policies_in(struct notify *n)
{
    struct policies *p;
    while ((p = ring_pop(n->policies))) {
        notify_use_policies(n, p);
        policies_free(p);
    }
}

static bool saw(void *ctx, const struct ledger_entry *e)
{
    struct notify *n = ctx;
    if (e->notice->to == ALERT_FIRING)
        silences_saw(mutes_silences(n->mutes), &e->notice->labels, notify_wall_ms(n));
    return true;
}

// Ends what has had nothing to silence for as long as it was told to wait.
static void end_quiet(struct notify *n)
{
    int64_t wall = notify_wall_ms(n);
    if (!silences_quiet_due(mutes_silences(n->mutes), wall))
        return;
    ledger_each(n->ledger, saw, n);
    silences_end_quiet(mutes_silences(n->mutes), wall, notify_silence_changed, n);
    mutes_changed(n->mutes); // when to look next is another time
}

void notify_recheck(struct notify *n)
{
    int64_t wall = notify_wall_ms(n);
    end_quiet(n);
    if (!mutes_moved(n->mutes, wall))
        return;
    ledger_recheck(n->ledger);
    mutes_looked(n->mutes, wall, lanes_times(n->lanes, wall));
}

static void forget_silence(void *ctx, const struct silence *s)
{
    notify_keep_silence(ctx, s, true);
}

// Hands on what is written, or has waited long enough, in the order of decision.
static void release(struct notify *n, int64_t now)
{
    bool any = false;
    policies_in(n);
    while (n->held && (n->held->written || n->held->due_ms <= now)) {
        struct held *h = n->held;
        n->held = h->next;
        if (!n->held)
            n->held_end = &n->held;
        if (!h->written && !n->overtaken) {
            n->overtaken = true;
            log_error("page_before_journal", "waited_ms=%d hint=%s", NOTIFY_DURABLE_MS,
                log_q("the disk is slow or refuses; a crash now would forget these alerts"));
        }
        if (ledger_add(n->ledger, (const struct notice *const *)h->n, h->count) < 0)
            log_error("ledger_out_of_memory", "alerts=%zu", h->count);
        notify_held_free(h);
        any = true;
    }
    mutes_sweep(n->mutes, notify_wall_ms(n), forget_silence, n);
    notify_recheck(n);
    if (n->acks_changed)
        notify_show_acks(n);
    n->acks_changed = false;
    if (!any)
        return;
    for (size_t i = 0; i < lanes_count(n->lanes); i++)
        lane_show(lanes_at(n->lanes, i));
}

// Sends all that is due and sets the timer for what is not yet.
void notify_pump(void *ctx)
{
    struct notify *n = ctx;
    int64_t due = INT64_MAX, now = notify_now_ms(n);
    release(n, now);
    notify_write_anew(n);
    notify_take_over(n);
    due = notify_fall_back(n, now);
    if (n->held && n->held->due_ms < due)
        due = n->held->due_ms;
    if (mutes_next(n->mutes) != INT64_MAX) { // the wall clock may be set: looked at each second
        int64_t wait = mutes_next(n->mutes) - notify_wall_ms(n);
        int64_t at = now + (wait < 0 ? 0 : wait > MUTES_LOOK_MS ? MUTES_LOOK_MS : wait);
        due = at < due ? at : due;
    }
    for (size_t i = 0; i < lanes_count(n->lanes); i++) {
        lane_launch(lanes_at(n->lanes, i), now, !n->overtaken);
        int64_t d = lane_next(lanes_at(n->lanes, i));
        if (d < due)
            due = d;
    }
    if (n->heartbeats) {
        int64_t d = heartbeats_run(n->heartbeats, now);
        due = d < due ? d : due;
    }
    int64_t repair = n->repairs ? repairs_run(n->repairs, !n->overtaken) : INT64_MAX;
    due = repair < due ? repair : due;
    notify_write_told(n);
    if (due == INT64_MAX)
        loop_timer_stop(n->due_timer);
    else
        loop_timer_set(n->due_timer, due * NS_PER_MS);
}

void notify_on_policies(void *ctx, int fd, uint32_t events)
{
    struct notify *n = ctx;
    (void)fd;
    (void)events;
    ring_drain_wakeup(n->policies);
    notify_pump(n);
}

void notify_on_due(void *ctx, int64_t due_ns, int64_t at_ns)
{
    (void)due_ns;
    (void)at_ns;
    notify_pump(ctx);
}

// Takes what there is; what was decided together stays together. False: nothing.
bool notify_drain(struct notify *n)
{
    static _Thread_local struct notice *batch[DRAIN_MAX];
    size_t count = 0;
    struct notice *one;
    if (n->handover)
        return false; // first what was decided before is told
    while (count < DRAIN_MAX && (one = ring_pop(n->notices)))
        batch[count++] = one;
    if (!count)
        return false;
    n->transitions += count;
    struct held *h = calloc(1, sizeof(*h));
    struct notice **own = malloc(count * sizeof(*own));
    if (!h || !own) {
        log_error("notice_lost", "reason=%s lost=%zu", log_q("out of memory"), count);
        for (size_t i = 0; i < count; i++)
            notice_free(batch[i]);
        free(h);
        free(own);
        return true;
    }
    memcpy(own, batch, count * sizeof(*own));
    *h = (struct held){.n = own,
        .count = count,
        .tag = ++n->tag,
        .due_ms = notify_now_ms(n) + NOTIFY_DURABLE_MS};
    h->written = !write_down(n, own, count, h->tag);
    *n->held_end = h;
    n->held_end = &h->next;
    return true;
}

void notify_on_written(void *ctx, int fd, uint32_t events)
{
    struct notify *n = ctx;
    void *item;
    (void)fd;
    (void)events;
    ring_drain_wakeup(journal_done(n->o.journal));
    while ((item = ring_pop(journal_done(n->o.journal)))) {
        uint64_t tag = (uint64_t)(uintptr_t)item;
        n->anew = n->anew || tag == JOURNAL_ANEW;
        if (tag == JOURNAL_ANEW)
            continue;
        for (struct held *h = n->held; h && h->tag <= tag; h = h->next)
            h->written = true;
        if (tag == n->tag)
            n->overtaken = !journal_ok(n->o.journal);
    }
    notify_pump(n);
}

void notify_on_notices(void *ctx, int fd, uint32_t events)
{
    struct notify *n = ctx;
    bool any = false;
    (void)fd;
    (void)events;
    ring_drain_wakeup(n->notices);
    while (notify_drain(n))
        any = true;
    if (any)
        notify_pump(n);
}

bool notify_policies(struct notify *n, struct policies *p)
{
    if (ring_push(n->policies, policies_keep(p)))
        return true;
    policies_free(p);
    return false;
}

static bool busy(const struct notify *n)
{
    struct deliver_stats s;
    for (size_t i = 0; i < lanes_count(n->lanes); i++) {
        deliver_stats(lane_queue(lanes_at(n->lanes, i)), &s);
        if (s.queued)
            return true;
    }
    return n->held || ring_len(n->notices) > 0;
}

void *notify_run(void *ctx)
{
    struct notify *n = ctx;
    notify_pump(n);
    int rc = loop_run(n->loop);
    if (rc < 0)
        log_error("notify_loop_failed", "error=%s", log_q(strerror(-rc)));
    int64_t until = notify_now_ms(n) + atomic_load(&n->grace_ms);
    notify_on_notices(n, -1, 0);
    while (busy(n) && notify_now_ms(n) < until && loop_once(n->loop, 20) == 0)
        ;
    return NULL;
}

void notify_stop(struct notify *n, int64_t grace_ms)
{
    if (!n)
        return;
    atomic_store(&n->grace_ms, grace_ms);
    loop_stop(n->loop);
    pthread_join(n->thread, NULL);
    notify_free(n);
}
