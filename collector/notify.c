// SPDX-License-Identifier: Apache-2.0
#include "collector/notify.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/thread.h"
#include "collector/api.h"
#include "collector/api_explain.h"
#include "collector/api_hooks.h"
#include "collector/api_v2.h"
#include "collector/deliveries.h"
#include "collector/fallback.h"
#include "collector/heartbeats.h"
#include "collector/lanes.h"
#include "collector/ledger.h"
#include "collector/mutes.h"
#include "collector/repairs.h"
#include "collector/reroute.h"
#include <errno.h>
#include <inttypes.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>

#define DRAIN_MAX     4096 // notices taken in one turn
#define REQUESTS_MAX  256
#define POLICIES_MAX  64 // reloads while the notifier is busy with something else
#define MUTES_LOOK_MS 1000
#define RELOAD_WAIT_S 5

// A configuration on its way in. Two hold it: main, which may give up waiting, and the notify thread.
enum handover_state { HANDOVER_WAITS, HANDOVER_TAKEN, HANDOVER_GIVEN_UP };
struct handover {
    struct config *config;
    int rc;
    struct err err;
    sem_t done;
    atomic_int state, refs;
};

// Decided together and not told to anybody yet: the journal has it on its way to the disk.
struct held {
    struct held *next;
    struct notice **n;
    size_t count;
    uint64_t tag;
    int64_t due_ms; // then it goes out whatever the disk does
    bool written;
};

struct notify {
    struct notify_options o;
    struct ring *notices;
    struct loop *loop;
    struct loop_io *ring_io;
    struct held *held, **held_end;
    uint64_t tag;
    bool acks_changed; // the board shows older ones
    bool anew;         // the journal lost its file, and has to be told what it held
    bool
        overtaken; // something went out before it was on disk, and the disk still owes an answer
    struct loop_timer *due_timer;
    struct transfers *transfers;
    struct lanes *lanes;
    struct heartbeats *heartbeats; // NULL: nobody says whether the rules turn
    uint64_t transitions;
    struct mutes *mutes;
    struct ledger *ledger;
    struct repairs *repairs; // NULL: nobody is asked for any
    struct deliveries *deliveries;
    struct ring *requests, *answers, *handovers;
    struct handover *handover; // to be taken when nothing is held
    struct ring *policies;     // of struct policies *
    int64_t started_ms;
    struct journal_write *writing; // what was learned in this turn
    pthread_t thread;
    atomic_int_fast64_t grace_ms; // set before loop_stop
};

static int64_t now_ms(const struct notify *n)
{
    return clock_mono_ns(&n->o.clock) / NS_PER_MS;
}

static int64_t wall_ms(const struct notify *n)
{
    return clock_wall_ms(&n->o.clock);
}

// --- what the ledger asks ------------------------------------------------------------------------

static size_t route_of(void *ctx, const struct labels *l, uint32_t *ret, size_t max)
{
    const struct notify *n = ctx;
    return lanes_of(n->lanes, l, ret, max);
}

static void keep_ack(struct notify *n, const struct ack *a, bool gone);

static void take(void *ctx, const struct notice *notice)
{
    struct notify *n = ctx;
    if (notice->to != ALERT_PENDING)
        silences_saw(mutes_silences(n->mutes), &notice->labels, wall_ms(n));
    const struct ack *a = acks_get(mutes_acks(n->mutes), notice->alert_id);
    if (a && notice->to == ALERT_INACTIVE)
        keep_ack(n, a, true);
    mutes_take(n->mutes, notice);
}

static unsigned muted(void *ctx, const struct notice *notice, uint32_t lane)
{
    const struct notify *n = ctx;
    const struct time_limits *times = &lane_route(lanes_at(n->lanes, lane))->times;
    return mutes_of(n->mutes, notice, lane, times, wall_ms(n));
}

static void say(void *ctx, uint32_t number, const struct notice *notice)
{
    struct notify *n = ctx;
    struct lane *lane = lanes_at(n->lanes, number);
    struct notice *marked = mutes_said(n->mutes, notice, number, wall_ms(n));
    const struct notice *told = marked ? marked : notice;
    if (lane_repair(lane)) {
        if (n->repairs)
            repairs_say(n->repairs, lane_id(lane), lane_repair(lane), told);
    } else if (deliver_add(lane_queue(lane), &told, 1, now_ms(n)) < 0) {
        log_error("alert_queue_out_of_memory", "receiver=%s", log_q(lane_name(lane)));
    }
    notice_free(marked);
}

static void say_again(void *ctx, uint32_t number, const struct notice *notice)
{
    struct notify *n = ctx;
    struct lane *lane = lanes_at(n->lanes, number);
    if (lane_repair(lane)) // it goes on by itself
        return;
    if (deliver_add(lane_queue(lane), &notice, 1, now_ms(n)) < 0)
        log_error("alert_queue_out_of_memory", "receiver=%s", log_q(lane_name(lane)));
}

// --- what is written down ------------------------------------------------------------------------

// What goes to the journal at the end of this turn. NULL: no journal, or no memory.
static struct journal_write *writing(void *ctx)
{
    struct notify *n = ctx;
    if (n->o.journal && !n->writing)
        n->writing = journal_write_new();
    return n->writing;
}

static void learned(
    struct notify *n, const struct lane *lane, uint64_t alert_id, enum told told)
{
    struct journal_write *w = writing(n);
    // Without memory it is told again after a restart, with the same key.
    if (w)
        (void)journal_write_told(w, lane_id(lane), alert_id, told, clock_wall_ms(&n->o.clock));
}

static void nothing(void *ctx, uint32_t lane, uint64_t alert_id)
{
    struct notify *n = ctx;
    learned(n, lanes_at(n->lanes, lane), alert_id, TOLD_OVER);
}

// What the receivers have learned, so that a restart does not tell it again.
static void write_told(struct notify *n)
{
    for (size_t i = 0; i < lanes_count(n->lanes); i++) {
        size_t count;
        const struct deliver_told *told =
            deliver_told(lane_queue(lanes_at(n->lanes, i)), &count);
        for (size_t k = 0; k < count; k++)
            learned(n, lanes_at(n->lanes, i), told[k].alert_id, told[k].told);
    }
    if (n->writing)
        (void)journal_commit(n->o.journal, n->writing, 0);
    n->writing = NULL;
}

static int write_alert(struct notify *n, struct journal_write *w, const struct notice *notice)
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
        mutes |= muted(n, notice, lane[i]);
    return journal_write_alert(w, notice, count, mutes);
}

// Sends the batch to the journal. False: nothing will come back, so nobody is to wait for it.
static bool write_down(
    struct notify *n, struct notice *const *batch, size_t count, uint64_t tag)
{
    struct journal_write *w = n->o.journal ? journal_write_new() : NULL;
    if (!w)
        return false;
    for (size_t i = 0; i < count; i++)
        if (write_alert(n, w, batch[i]) < 0) {
            log_error("journal_out_of_memory", "alerts=%zu", count - i);
            break;
        }
    return journal_commit(n->o.journal, w, tag);
}

// --- from decided to said ------------------------------------------------------------------------

static void held_free(struct held *h)
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

static void use_policies(struct notify *n, struct policies *p)
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
        use_policies(n, p);
        policies_free(p);
    }
}

static bool saw(void *ctx, const struct ledger_entry *e)
{
    struct notify *n = ctx;
    if (e->notice->to == ALERT_FIRING)
        silences_saw(mutes_silences(n->mutes), &e->notice->labels, wall_ms(n));
    return true;
}

static void silence_changed(void *ctx, const struct silence *s);

// Ends what has had nothing to silence for as long as it was told to wait.
static void end_quiet(struct notify *n)
{
    int64_t wall = wall_ms(n);
    if (!silences_quiet_due(mutes_silences(n->mutes), wall))
        return;
    ledger_each(n->ledger, saw, n);
    silences_end_quiet(mutes_silences(n->mutes), wall, silence_changed, n);
    mutes_changed(n->mutes); // when to look next is another time
}

static void recheck(struct notify *n)
{
    int64_t wall = wall_ms(n);
    end_quiet(n);
    if (!mutes_moved(n->mutes, wall))
        return;
    ledger_recheck(n->ledger);
    mutes_looked(n->mutes, wall, lanes_times(n->lanes, wall));
}

static void keep_silence(struct notify *n, const struct silence *s, bool gone)
{
    struct journal_write *w = writing(n);
    if (w && journal_write_silence(w, s, gone) < 0)
        log_error("journal_out_of_memory", "silence=%s", s->id);
}

static void show_acks(struct notify *n)
{
    if (n->o.acks && ack_board_set(n->o.acks, mutes_acks(n->mutes)) && n->o.board)
        board_touch(n->o.board);
}

static void keep_ack(struct notify *n, const struct ack *a, bool gone)
{
    struct journal_write *w = writing(n);
    if (w && journal_write_ack(w, a, gone) < 0)
        log_error("journal_out_of_memory", "ack=%" PRIu64, a->alert_id);
    n->acks_changed = true;
}

static void forget_silence(void *ctx, const struct silence *s)
{
    keep_silence(ctx, s, true);
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
        held_free(h);
        any = true;
    }
    mutes_sweep(n->mutes, wall_ms(n), forget_silence, n);
    recheck(n);
    if (n->acks_changed)
        show_acks(n);
    n->acks_changed = false;
    if (!any)
        return;
    for (size_t i = 0; i < lanes_count(n->lanes); i++)
        lane_show(lanes_at(n->lanes, i));
}

static bool write_entry(void *ctx, const struct ledger_entry *e)
{
    struct notify *n = ctx;
    return write_alert(n, n->writing, e->notice) == 0;
}

static bool write_silence(void *ctx, const struct silence *s)
{
    keep_silence(ctx, s, false);
    return true;
}

static void write_ack(void *ctx, const struct ack *a)
{
    keep_ack(ctx, a, false);
}

// Not who was told: what is said here may still be in a queue. A crash tells it again, with its key.
// After what was decided before is with the ledger: an older state must not follow a newer one.
static void write_anew(struct notify *n)
{
    if (!n->anew || n->held)
        return;
    n->anew = false;
    if (!n->writing)
        n->writing = journal_write_new();
    if (!n->writing)
        return;
    ledger_each(n->ledger, write_entry, n);
    silences_each(mutes_silences(n->mutes), write_silence, n);
    acks_each(mutes_acks(n->mutes), write_ack, n);
}

static void take_over(struct notify *n);
static int64_t fall_back(struct notify *n, int64_t now);

// Sends all that is due and sets the timer for what is not yet.
static void pump(void *ctx)
{
    struct notify *n = ctx;
    int64_t due = INT64_MAX, now = now_ms(n);
    release(n, now);
    write_anew(n);
    take_over(n);
    due = fall_back(n, now);
    if (n->held && n->held->due_ms < due)
        due = n->held->due_ms;
    if (mutes_next(n->mutes) != INT64_MAX) { // the wall clock may be set: looked at each second
        int64_t wait = mutes_next(n->mutes) - wall_ms(n);
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
    write_told(n);
    if (due == INT64_MAX)
        loop_timer_stop(n->due_timer);
    else
        loop_timer_set(n->due_timer, due * NS_PER_MS);
}

static void on_policies(void *ctx, int fd, uint32_t events)
{
    struct notify *n = ctx;
    (void)fd;
    (void)events;
    ring_drain_wakeup(n->policies);
    pump(n);
}

static void on_due(void *ctx, int64_t due_ns, int64_t at_ns)
{
    (void)due_ns;
    (void)at_ns;
    pump(ctx);
}

// Takes what there is; what was decided together stays together. False: nothing.
static bool drain(struct notify *n)
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
    *h = (struct held){
        .n = own, .count = count, .tag = ++n->tag, .due_ms = now_ms(n) + NOTIFY_DURABLE_MS};
    h->written = !write_down(n, own, count, h->tag);
    *n->held_end = h;
    n->held_end = &h->next;
    return true;
}

static void on_written(void *ctx, int fd, uint32_t events)
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
    pump(n);
}

static void on_notices(void *ctx, int fd, uint32_t events)
{
    struct notify *n = ctx;
    bool any = false;
    (void)fd;
    (void)events;
    ring_drain_wakeup(n->notices);
    while (drain(n))
        any = true;
    if (any)
        pump(n);
}

// --- receivers that are not reached ---------------------------------------------------------------

static size_t fallbacks_of(void *ctx, uint32_t from, uint32_t *ret, size_t max)
{
    const struct notify *n = ctx;
    return lanes_fallbacks(n->lanes, from, ret, max);
}

static const char *receiver_of(void *ctx, uint32_t lane)
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

static void owed(void *ctx, uint64_t alert_id, size_t lanes);

// The journal may have the alert's end already, waiting for one lane less.
static void joined(void *ctx, uint64_t alert_id)
{
    const struct notify *n = ctx;
    if (n->held)
        owed(ctx, alert_id, 1);
}

// Returns when to look next.
static int64_t fall_back(struct notify *n, int64_t now)
{
    const struct fallback f = {.ledger = n->ledger,
        .ctx = n,
        .lanes = fallbacks_of,
        .same = same_people,
        .muted = muted,
        .say = say,
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
            config_fallback(n->o.config, receiver_of(n, (uint32_t)i));
        lane_fell_back(lane, said);
        log_warn("fallback", "receiver=%s to=%s alerts=%zu", log_q(lane_name(lane)),
            log_q(to ? to->to : ""), said);
    }
    return due;
}

// --- a reload ------------------------------------------------------------------------------------

static void handover_unref(struct handover *h)
{
    if (atomic_fetch_sub(&h->refs, 1) > 1)
        return;
    config_unref(h->config);
    sem_destroy(&h->done);
    free(h);
}

static void owed(void *ctx, uint64_t alert_id, size_t lanes)
{
    struct notify *n = ctx;
    if (n->o.journal && !n->writing)
        n->writing = journal_write_new();
    if (n->writing)
        (void)journal_write_owed(n->writing, alert_id, lanes);
}

static void lane_learned(void *ctx, const struct lane *lane, uint64_t alert_id, enum told told)
{
    learned(ctx, lane, alert_id, told);
}

static bool is_source(void *ctx, const struct ledger_entry *e)
{
    inhibitor_take(ctx, e->notice);
    return true;
}

// Whether the lane is still one of the alert's.
static bool repair_goes(void *ctx, const char *id, const struct notice *notice)
{
    const struct notify *n = ctx;
    uint32_t lane[LEDGER_LANES_MAX];
    size_t count = lanes_of(n->lanes, &notice->labels, lane, LEDGER_LANES_MAX);
    for (size_t i = 0; i < count; i++)
        if (strcmp(lane_id(lanes_at(n->lanes, lane[i])), id) == 0)
            return true;
    return false;
}

// All that may fail comes first.
static int change(struct notify *n, struct config *c, struct err *err)
{
    struct inhibitor *inhibitor = inhibitor_new(c->inhibit, c->n_inhibit);
    struct heartbeats *heartbeats = NULL;
    int rc = inhibitor ? 0 : -ENOMEM;
    if (!inhibitor)
        err_set(err, "out of memory");
    else if (n->heartbeats && !(heartbeats = heartbeats_anew(n->heartbeats, c, err)))
        rc = -EINVAL;
    if (rc == 0)
        rc = lanes_prepare(n->lanes, c, err);
    if (rc < 0) {
        heartbeats_close(heartbeats);
        inhibitor_free(inhibitor);
        return rc;
    }
    struct config *before = n->o.config;
    struct reroute r = {.lanes = n->lanes,
        .ledger = n->ledger,
        .now_ms = now_ms(n),
        .ctx = n,
        .learned = lane_learned,
        .owed = owed};
    ledger_each(n->ledger, is_source, inhibitor);
    mutes_inhibitor(n->mutes, inhibitor);
    lanes_commit(n->lanes);
    if (heartbeats)
        heartbeats_replace(&n->heartbeats, heartbeats);
    if (reroute_alerts(&r) < 0)
        log_error("ledger_out_of_memory", "hint=%s", log_q("some alerts stay where they were"));
    lanes_settle(n->lanes);
    if (n->repairs)
        repairs_reroute(n->repairs, repair_goes);
    n->o.config = config_ref(c);
    config_unref(before);
    if (r.moved || r.dropped)
        log_warn("alerts_rerouted", "moved=%zu dropped=%zu hint=%s", r.moved, r.dropped,
            log_q("they waited for a receiver they are no longer routed to"));
    return 0;
}

// Between two drains, when what was decided before is with its lanes.
static void take_over(struct notify *n)
{
    struct handover *h = n->handover;
    if (!h || n->held)
        return;
    int waits = HANDOVER_WAITS;
    n->handover = NULL;
    if (atomic_compare_exchange_strong(&h->state, &waits, HANDOVER_TAKEN)) {
        h->rc = change(n, h->config, &h->err);
        sem_post(&h->done);
        recheck(n);
    }
    handover_unref(h);
    // What came meanwhile waits in the ring, and its wake-up is spent.
    while (drain(n))
        ;
}

static void on_handovers(void *ctx, int fd, uint32_t events)
{
    struct notify *n = ctx;
    (void)fd;
    (void)events;
    ring_drain_wakeup(n->handovers);
    while (!n->handover && (n->handover = ring_pop(n->handovers)))
        pump(n);
}

static bool wait_done(struct handover *h)
{
    struct timespec until;
    int rc;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += RELOAD_WAIT_S;
    do
        rc = sem_timedwait(&h->done, &until);
    while (rc == -1 && errno == EINTR);
    int waits = HANDOVER_WAITS;
    if (rc == -1 && atomic_compare_exchange_strong(&h->state, &waits, HANDOVER_GIVEN_UP))
        return false;
    while (rc == -1) // it is being taken right now
        rc = sem_wait(&h->done);
    return true;
}

int notify_reload(struct notify *n, struct config *c, struct err *err)
{
    struct handover *h = calloc(1, sizeof(*h));
    if (!h) {
        err_set(err, "out of memory");
        return -ENOMEM;
    }
    h->config = config_ref(c);
    atomic_init(&h->state, HANDOVER_WAITS);
    atomic_init(&h->refs, 2);
    sem_init(&h->done, 0, 0);
    int rc = -ETIMEDOUT;
    if (!ring_push(n->handovers, h)) {
        handover_unref(h);
    } else if (wait_done(h)) {
        rc = h->rc;
        *err = h->err;
    }
    if (rc == -ETIMEDOUT)
        err_set(err, "the notifier did not answer in %d s", RELOAD_WAIT_S);
    handover_unref(h);
    return rc;
}

// --- Alertmanager's API --------------------------------------------------------------------------

static void silence_changed(void *ctx, const struct silence *s)
{
    struct notify *n = ctx;
    keep_silence(n, s, false);
    mutes_changed(n->mutes);
    int64_t wall = wall_ms(n);
    log_info("silence", "id=%s state=%s by=%s comment=%s", s->id,
        silence_state_name(silence_state_at(s, wall)), log_q(s->created_by), log_q(s->comment));
}

static void ack_changed(void *ctx, const struct ack *a, const struct notice *about)
{
    struct notify *n = ctx;
    bool active = ack_active(a, wall_ms(n));
    struct event e = {.kind = active ? EVENT_ACKNOWLEDGED : EVENT_ACKNOWLEDGEMENT_ENDED,
        .at_ms = wall_ms(n),
        .alert_id = about->alert_id,
        .fingerprint = about->fingerprint,
        .cause_ms = about->cause_ms,
        .value = about->value,
        .labels = about->labels,
        .group = about->group,
        .file = about->file,
        .who = a->owner,
        .note = a->note,
        .subject = "",
        .matchers = "",
        .until_ms = a->until_ms};
    keep_ack(n, a, false);
    struct journal_write *w = writing(n);
    if (w && journal_write_event(w, &e) < 0)
        log_error("journal_out_of_memory", "ack=%" PRIu64, a->alert_id);
    mutes_changed(n->mutes);
    log_info("ack", "alert=%" PRIu64 " state=%s by=%s note=%s until_ms=%" PRId64, a->alert_id,
        active ? "active" : "ended", log_q(a->owner), log_q(a->note), a->until_ms);
}

static void explain(struct notify *n, struct request *r)
{
    struct api_explain a = {.lanes = n->lanes,
        .ledger = n->ledger,
        .silences = mutes_silences(n->mutes),
        .acks = mutes_acks(n->mutes),
        .now_ms = now_ms(n),
        .wall_ms = wall_ms(n)};
    api_explain_answer(&a, r);
}

static void on_requests(void *ctx, int fd, uint32_t events)
{
    struct notify *n = ctx;
    struct request *r;
    struct api_v2 a = {.config = n->o.config,
        .ledger = n->ledger,
        .silences = mutes_silences(n->mutes),
        .version = n->o.version ? n->o.version : "",
        .external_url = n->o.external_url,
        .started_ms = n->started_ms,
        .ctx = n,
        .receiver = receiver_of,
        .changed = silence_changed,
        .acks = mutes_acks(n->mutes),
        .acked = ack_changed};
    struct api_hooks hooks = {n->lanes, n->deliveries, n->ledger};
    (void)fd;
    (void)events;
    ring_drain_wakeup(n->requests);
    while ((r = ring_pop(n->requests))) {
        if (r->kind == REQUEST_HOOKS)
            api_hooks_answer(&hooks, r);
        else if (r->kind == REQUEST_EXPLAIN)
            explain(n, r);
        else
            api_v2_answer(&a, r, wall_ms(n));
        if (!ring_push(n->answers, r))
            request_free(r);
    }
    pump(n); // what a silence held back, or holds back now
}

bool notify_policies(struct notify *n, struct policies *p)
{
    if (ring_push(n->policies, policies_keep(p)))
        return true;
    policies_free(p);
    return false;
}

bool notify_ask(struct notify *n, struct request *r)
{
    return ring_push(n->requests, r);
}

struct ring *notify_answers(struct notify *n)
{
    return n->answers;
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

static void *run(void *ctx)
{
    struct notify *n = ctx;
    pump(n);
    int rc = loop_run(n->loop);
    if (rc < 0)
        log_error("notify_loop_failed", "error=%s", log_q(strerror(-rc)));
    int64_t until = now_ms(n) + atomic_load(&n->grace_ms);
    on_notices(n, -1, 0);
    while (busy(n) && now_ms(n) < until && loop_once(n->loop, 20) == 0)
        ;
    return NULL;
}

// --- start and stop ------------------------------------------------------------------------------

static void notify_free(struct notify *n)
{
    while (n->held) {
        struct held *h = n->held;
        n->held = h->next;
        held_free(h);
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
        handover_unref(n->handover);
    while (n->handovers && (h = ring_pop(n->handovers)))
        handover_unref(h);
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
    return mutes_quiet(n->mutes, notice, wall_ms(n));
}

static struct lane *lane_named(const struct notify *n, const char *id)
{
    for (size_t i = 0; i < lanes_count(n->lanes); i++)
        if (strcmp(lane_id(lanes_at(n->lanes, i)), id) == 0)
            return lanes_at(n->lanes, i);
    return NULL;
}

static bool repair_muted(void *ctx, const char *id, const struct notice *notice)
{
    const struct lane *lane = lane_named(ctx, id);
    return !lane || muted(ctx, notice, lane_number(lane)) != 0;
}

static void repair_told(void *ctx, const char *id, uint64_t alert_id, enum told told)
{
    struct notify *n = ctx;
    const struct lane *lane = lane_named(n, id);
    if (lane)
        learned(n, lane, alert_id, told);
}

static int open_repairs(struct notify *n, struct err *err)
{
    struct repairs_options o = {.link = n->o.repairs,
        .board = n->o.repair_board,
        .loop = n->loop,
        .clock = n->o.clock,
        .ctx = n,
        .pump = pump,
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
        if (!lane_named(n, s->l[i]->lane))
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
        .route = route_of,
        .take = take,
        .muted = muted,
        .say = say,
        .again = say_again,
        .nothing = nothing};
    struct lanes_options lanes = {.config = c,
        .external_url = n->o.external_url,
        .board = n->o.board,
        .clock = n->o.clock,
        .transfers = n->transfers,
        .quiet = quiet,
        .quiet_ctx = n};
    struct deliveries_options deliveries = {n->o.journal, writing, n};
    n->ledger = ledger_new(&ledger);
    n->deliveries = deliveries_new(&deliveries);
    n->mutes = mutes_new(c->inhibit, c->n_inhibit);
    n->started_ms = wall_ms(n);
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
    int64_t now = now_ms(n), ago_ms = clock_wall_ms(&n->o.clock) - now;
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
    if (!loop_io_add(n->loop, ring_fd(journal_done(n->o.journal)), EPOLLIN, on_written, n)) {
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
    n->transfers = n->loop ? transfers_new(n->loop, pump, n) : NULL;
    if (!n->transfers) {
        err_set(err, "cannot start the notifier: %s", strerror(errno));
        goto fail;
    }
    n->requests = ring_new(REQUESTS_MAX);
    n->answers = ring_new(REQUESTS_MAX * 2);
    n->policies = ring_new(POLICIES_MAX);
    n->handovers = ring_new(2);
    n->ring_io = n->requests && n->answers && n->policies && n->handovers
                     ? loop_io_add(n->loop, ring_fd(notices), EPOLLIN, on_notices, n)
                     : NULL;
    if (n->ring_io &&
        (!loop_io_add(n->loop, ring_fd(n->requests), EPOLLIN, on_requests, n) ||
            !loop_io_add(n->loop, ring_fd(n->handovers), EPOLLIN, on_handovers, n) ||
            !loop_io_add(n->loop, ring_fd(n->policies), EPOLLIN, on_policies, n)))
        n->ring_io = NULL;
    n->due_timer = loop_timer_new(n->loop, on_due, n);
    if (!n->ring_io || !n->due_timer) {
        err_set(err, "cannot start the notifier: %s", strerror(errno));
        goto fail;
    }
    if (open_lanes(n, err) < 0 || open_heartbeats(n, err) < 0 || open_repairs(n, err) < 0 ||
        open_journal(n, err) < 0)
        goto fail;
    if (o->policies) // after the journal: alerts of an earlier run may be depended on
        use_policies(n, o->policies);
    if (thread_start(&n->thread, "notify", run, n, err) < 0)
        goto fail;
    return n;
fail:
    notify_free(n);
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
