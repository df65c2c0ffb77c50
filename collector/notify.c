// SPDX-License-Identifier: Apache-2.0
#include "collector/notify.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/thread.h"
#include "collector/api.h"
#include "collector/api_v2.h"
#include "collector/lane.h"
#include "collector/ledger.h"
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#define DRAIN_MAX     4096 // notices taken in one turn
#define REQUESTS_MAX  256
#define SWEEP_MS      60000
#define MUTES_LOOK_MS 1000

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
    bool
        overtaken; // something went out before it was on disk, and the disk still owes an answer
    struct loop_timer *curl_timer, *due_timer;
    CURLM *multi;
    struct lane **lanes; // those of route i: from first[i] to first[i + 1]
    size_t n_lanes;
    size_t first[ROUTES_MAX + 1];
    struct inhibitor *inhibitor;
    struct ledger *ledger;
    struct silences *silences;
    int64_t times_ms,
        times_from_ms; // until when, and from when on, lanes stay muted by time or not
    int64_t mutes_ms,
        sweep_ms; // when a silence begins or ends; when old ones are forgotten (wall)
    bool look;    // mutes changed: alerts have to be looked at
    struct ring *requests, *answers;
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

static void pump(struct notify *n);

// --- what the ledger asks ------------------------------------------------------------------------

static size_t lanes_of(void *ctx, const struct labels *l, uint32_t *ret, size_t max)
{
    const struct notify *n = ctx;
    const struct route *taken[LEDGER_LANES_MAX];
    size_t count = 0;
    size_t routes =
        n->o.config->route ? route_match(n->o.config->route, l, taken, LEDGER_LANES_MAX) : 0;
    for (size_t i = 0; i < routes; i++)
        for (size_t k = n->first[taken[i]->number]; k < n->first[taken[i]->number + 1]; k++)
            if (count < max)
                ret[count++] = (uint32_t)k;
    return count;
}

static void take(void *ctx, const struct notice *notice)
{
    const struct notify *n = ctx;
    inhibitor_take(n->inhibitor, notice);
}

static unsigned muted(void *ctx, const struct labels *l, uint32_t lane)
{
    const struct notify *n = ctx;
    const struct time_limits *times = &lane_route(n->lanes[lane])->times;
    int64_t wall = wall_ms(n);
    return (silences_muting(n->silences, l, wall, NULL, 0) ? MUTE_SILENCE : 0u) |
           (inhibitor_muted(n->inhibitor, l) ? MUTE_INHIBITION : 0u) |
           (time_limits_muted(times, wall) ? MUTE_TIME : 0u);
}

static void say(void *ctx, uint32_t number, const struct notice *notice)
{
    struct notify *n = ctx;
    struct lane *lane = n->lanes[number];
    if (deliver_add(lane_queue(lane), &notice, 1, now_ms(n)) < 0)
        log_error("alert_queue_out_of_memory", "receiver=%s", log_q(lane_name(lane)));
}

// --- what is written down ------------------------------------------------------------------------

static void learned(
    struct notify *n, const struct lane *lane, uint64_t alert_id, enum told told)
{
    if (!n->o.journal)
        return;
    if (!n->writing)
        n->writing = journal_write_new();
    // Without memory it is told again after a restart, with the same key.
    if (n->writing)
        (void)journal_write_told(
            n->writing, lane_id(lane), alert_id, told, clock_wall_ms(&n->o.clock));
}

static void nothing(void *ctx, uint32_t lane, uint64_t alert_id)
{
    struct notify *n = ctx;
    learned(n, n->lanes[lane], alert_id, TOLD_OVER);
}

// What the receivers have learned, so that a restart does not tell it again.
static void write_told(struct notify *n)
{
    for (size_t i = 0; i < n->n_lanes; i++) {
        size_t count;
        const struct deliver_told *told = deliver_told(lane_queue(n->lanes[i]), &count);
        for (size_t k = 0; k < count; k++)
            learned(n, n->lanes[i], told[k].alert_id, told[k].told);
    }
    if (n->writing)
        (void)journal_commit(n->o.journal, n->writing, 0);
    n->writing = NULL;
}

static int write_alert(struct notify *n, struct journal_write *w, const struct notice *notice)
{
    uint32_t lane[LEDGER_LANES_MAX];
    return journal_write_alert(w, notice, lanes_of(n, &notice->labels, lane, LEDGER_LANES_MAX));
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
        free(h->n[i]);
    free(h->n);
    free(h);
}

// When a route's times mute it or end that. Looked for rarely: it is a walk through a day's minutes.
static int64_t times_next(struct notify *n)
{
    int64_t wall = wall_ms(n);
    if (wall < n->times_ms && wall >= n->times_from_ms)
        return n->times_ms;
    n->times_ms = INT64_MAX;
    n->times_from_ms = wall;
    for (size_t i = 0; i < n->n_lanes; i++) {
        const struct time_limits *times = &lane_route(n->lanes[i])->times;
        int64_t next = time_limits_next(times, wall);
        n->times_ms = next < n->times_ms ? next : n->times_ms;
        deliver_hold(lane_queue(n->lanes[i]), time_limits_muted(times, wall));
    }
    return n->times_ms;
}

static void recheck(struct notify *n)
{
    bool moved = inhibitor_moved(n->inhibitor);
    if (!moved && !n->look)
        return;
    n->look = false;
    ledger_recheck(n->ledger);
    int64_t silences = silences_next(n->silences, wall_ms(n)), times = times_next(n);
    n->mutes_ms = silences < times ? silences : times;
}

static void keep_silence(struct notify *n, const struct silence *s, bool gone)
{
    if (n->o.journal && !n->writing)
        n->writing = journal_write_new();
    if (n->writing && journal_write_silence(n->writing, s, gone) < 0)
        log_error("journal_out_of_memory", "silence=%s", s->id);
}

static void forget_silence(void *ctx, const struct silence *s)
{
    keep_silence(ctx, s, true);
}

// Silences begin and end by the wall clock, which may be set: it is looked at each second.
static void mutes(struct notify *n)
{
    int64_t wall = wall_ms(n);
    n->look |= wall >= n->mutes_ms;
    if (wall >= n->sweep_ms) {
        n->sweep_ms = wall + SWEEP_MS;
        silences_sweep(n->silences, wall, forget_silence, n);
    }
}

// Hands on what is written, or has waited long enough, in the order of decision.
static void release(struct notify *n, int64_t now)
{
    bool any = false;
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
    mutes(n);
    recheck(n);
    if (!any)
        return;
    for (size_t i = 0; i < n->n_lanes; i++)
        lane_show(n->lanes[i]);
}

static void reap(struct notify *n)
{
    int left;
    CURLMsg *m;
    while ((m = curl_multi_info_read(n->multi, &left))) {
        CURLcode code = m->data.result;
        if (m->msg == CURLMSG_DONE)
            lane_landed(m->easy_handle, code, now_ms(n)); // m is gone from here on
    }
}

// Sends all that is due and sets the timer for what is not yet.
static void pump(struct notify *n)
{
    int64_t due = INT64_MAX, now = now_ms(n);
    reap(n);
    release(n, now);
    if (n->held)
        due = n->held->due_ms;
    if (n->mutes_ms != INT64_MAX) {
        int64_t wait = n->mutes_ms - wall_ms(n);
        int64_t at = now + (wait < 0 ? 0 : wait > MUTES_LOOK_MS ? MUTES_LOOK_MS : wait);
        due = at < due ? at : due;
    }
    for (size_t i = 0; i < n->n_lanes; i++) {
        lane_launch(n->lanes[i], now, !n->overtaken);
        int64_t d = deliver_next(lane_queue(n->lanes[i]));
        if (d < due)
            due = d;
    }
    write_told(n);
    if (due == INT64_MAX)
        loop_timer_stop(n->due_timer);
    else
        loop_timer_set(n->due_timer, due * NS_PER_MS);
}

static void on_due(void *ctx, int64_t due_ns, int64_t at_ns)
{
    (void)due_ns;
    (void)at_ns;
    pump(ctx);
}

// --- libcurl's sockets and timer in our loop ---
static void on_socket(void *ctx, int fd, uint32_t events)
{
    struct notify *n = ctx;
    int running, what = 0;
    if (events & (EPOLLIN | EPOLLHUP | EPOLLRDHUP))
        what |= CURL_CSELECT_IN;
    if (events & EPOLLOUT)
        what |= CURL_CSELECT_OUT;
    if (events & EPOLLERR)
        what |= CURL_CSELECT_ERR;
    curl_multi_socket_action(n->multi, fd, what, &running);
    pump(n);
}

static int watch_socket(CURL *easy, curl_socket_t fd, int what, void *ctx, void *socket_ctx)
{
    struct notify *n = ctx;
    struct loop_io *io = socket_ctx;
    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        loop_io_del(io);
        curl_multi_assign(n->multi, fd, NULL);
        return 0;
    }
    uint32_t events =
        (what & CURL_POLL_IN ? EPOLLIN : 0u) | (what & CURL_POLL_OUT ? EPOLLOUT : 0u);
    if (io)
        return loop_io_mod(io, events) < 0 ? -1 : 0;
    io = loop_io_add(n->loop, fd, events, on_socket, n);
    return io && curl_multi_assign(n->multi, fd, io) == CURLM_OK ? 0 : -1;
}

static int set_timer(CURLM *multi, long timeout_ms, void *ctx)
{
    struct notify *n = ctx;
    (void)multi;
    if (timeout_ms < 0)
        loop_timer_stop(n->curl_timer);
    else
        loop_timer_set(
            n->curl_timer, clock_mono_ns(&n->o.clock) + (int64_t)timeout_ms * NS_PER_MS);
    return 0;
}

static void on_curl_timer(void *ctx, int64_t due_ns, int64_t at_ns)
{
    struct notify *n = ctx;
    int running;
    (void)due_ns;
    (void)at_ns;
    curl_multi_socket_action(n->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    pump(n);
}

// Takes what there is; what was decided together stays together. False: nothing.
static bool drain(struct notify *n)
{
    static _Thread_local struct notice *batch[DRAIN_MAX];
    size_t count = 0;
    struct notice *one;
    while (count < DRAIN_MAX && (one = ring_pop(n->notices)))
        batch[count++] = one;
    if (!count)
        return false;
    struct held *h = calloc(1, sizeof(*h));
    struct notice **own = malloc(count * sizeof(*own));
    if (!h || !own) {
        log_error("notice_lost", "reason=%s lost=%zu", log_q("out of memory"), count);
        for (size_t i = 0; i < count; i++)
            free(batch[i]);
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

// --- Alertmanager's API --------------------------------------------------------------------------

static const char *receiver_of(void *ctx, uint32_t lane)
{
    const struct notify *n = ctx;
    return lane_route(n->lanes[lane])->receiver;
}

static void silence_changed(void *ctx, const struct silence *s)
{
    struct notify *n = ctx;
    keep_silence(n, s, false);
    n->look = true;
    int64_t wall = wall_ms(n);
    log_info("silence", "id=%s state=%s by=%s comment=%s", s->id,
        silence_state_name(silence_state_at(s, wall)), log_q(s->created_by), log_q(s->comment));
}

static void on_requests(void *ctx, int fd, uint32_t events)
{
    struct notify *n = ctx;
    struct request *r;
    struct api_v2 a = {.config = n->o.config,
        .ledger = n->ledger,
        .silences = n->silences,
        .version = n->o.version ? n->o.version : "",
        .external_url = n->o.external_url,
        .started_ms = n->started_ms,
        .ctx = n,
        .receiver = receiver_of,
        .changed = silence_changed};
    (void)fd;
    (void)events;
    ring_drain_wakeup(n->requests);
    while ((r = ring_pop(n->requests))) {
        api_v2_answer(&a, r, wall_ms(n));
        if (!ring_push(n->answers, r))
            request_free(r);
    }
    pump(n); // what a silence held back, or holds back now
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
    for (size_t i = 0; i < n->n_lanes; i++) {
        deliver_stats(lane_queue(n->lanes[i]), &s);
        if (s.queued)
            return true;
    }
    return n->held || ring_len(n->notices) > 0;
}

static void *run(void *ctx)
{
    struct notify *n = ctx;
    n->look = true; // what an earlier run left
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
    for (size_t i = 0; i < n->n_lanes; i++)
        lane_close(n->lanes[i]);
    free(n->lanes);
    struct request *r;
    while (n->requests && (r = ring_pop(n->requests)))
        request_free(r);
    while (n->answers && (r = ring_pop(n->answers)))
        request_free(r);
    ring_free(n->requests);
    ring_free(n->answers);
    ledger_free(n->ledger);
    silences_free(n->silences);
    inhibitor_free(n->inhibitor);
    if (n->multi)
        curl_multi_cleanup(n->multi);
    loop_free(n->loop);
    curl_global_cleanup();
    free(n);
}

// A reminder of what is silenced or inhibited is what the mute is against.
static bool quiet(void *ctx, const struct labels *l)
{
    const struct notify *n = ctx;
    return silences_muting(n->silences, l, wall_ms(n), NULL, 0) ||
           inhibitor_muted(n->inhibitor, l);
}

struct opening {
    struct notify *n;
    struct err *err;
};

static bool open_route(void *ctx, const struct route *route)
{
    struct opening *o = ctx;
    struct notify *n = o->n;
    const struct config_receiver *r = config_receiver(n->o.config, route->receiver);
    if (!r) {
        err_set(o->err, "a route names receiver \"%s\", which is not there", route->receiver);
        return false;
    }
    n->first[route->number] = n->n_lanes;
    for (size_t i = 0; i < r->n; i++) {
        struct lane_options lo = {.route = route,
            .receiver = r,
            .integration = i,
            .number = n->n_lanes,
            .external_url = n->o.external_url,
            .board = n->o.board,
            .clock = n->o.clock,
            .multi = n->multi,
            .quiet = quiet,
            .quiet_ctx = n};
        struct lane **grown = realloc(n->lanes, (n->n_lanes + 1) * sizeof(struct lane *));
        if (!grown) {
            err_set(o->err, "out of memory");
            return false;
        }
        n->lanes = grown;
        n->lanes[n->n_lanes] = lane_open(&lo, o->err);
        if (!n->lanes[n->n_lanes])
            return false;
        n->n_lanes++;
    }
    n->first[route->number + 1] = n->n_lanes;
    return true;
}

static int open_lanes(struct notify *n, struct err *err)
{
    struct opening o = {n, err};
    const struct config *c = n->o.config;
    struct ledger_options lo = {.ctx = n,
        .route = lanes_of,
        .take = take,
        .muted = muted,
        .say = say,
        .nothing = nothing};
    n->ledger = ledger_new(&lo);
    n->inhibitor = inhibitor_new(c->inhibit, c->n_inhibit);
    n->silences = silences_new();
    n->mutes_ms = 0; // the first look says when to look next
    n->started_ms = wall_ms(n);
    if (!n->ledger || !n->inhibitor || !n->silences) {
        err_set(err, "out of memory");
        return -ENOMEM;
    }
    return !c->route || route_each(c->route, open_route, &o) ? 0 : -EINVAL;
}

// An episode of the journal: what each lane knows of it.
static void restore(void *ctx, const struct journal_row *r)
{
    struct notify *n = ctx;
    uint32_t lane[LEDGER_LANES_MAX];
    enum told told[LEDGER_LANES_MAX];
    size_t count = 0;
    int64_t now = now_ms(n), ago_ms = clock_wall_ms(&n->o.clock) - now;
    int rc = 0;
    for (size_t i = 0; i < n->n_lanes; i++)
        for (size_t k = 0; k < r->n && count < LEDGER_LANES_MAX; k++) {
            if (strcmp(r->receiver[k], lane_id(n->lanes[i])) != 0)
                continue;
            lane[count] = (uint32_t)i;
            told[count++] = r->told[k];
            if (r->told[k] == TOLD_FIRING && rc == 0)
                rc = deliver_known(lane_queue(n->lanes[i]), r->notice, r->at_ms[k] - ago_ms);
        }
    if (rc == 0)
        rc = ledger_restore(n->ledger, r->notice, lane, told, count);
    if (rc < 0)
        log_error("ledger_out_of_memory", "alerts=1");
}

static void restore_silence(void *ctx, const struct silence *s, const char *matchers)
{
    struct notify *n = ctx;
    if (silences_restore(n->silences, s, matchers) < 0)
        log_error("silence_lost", "id=%s", s->id);
}

static int open_journal(struct notify *n, struct err *err)
{
    if (!n->o.journal)
        return 0;
    journal_each_silence(n->o.journal, restore_silence, n);
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
    n->notices = notices;
    n->held_end = &n->held;
    curl_global_init(CURL_GLOBAL_DEFAULT);
    n->loop = loop_new();
    n->multi = curl_multi_init();
    if (!n->loop || !n->multi) {
        err_set(err, "cannot start the notifier: %s", strerror(errno));
        goto fail;
    }
    n->requests = ring_new(REQUESTS_MAX);
    n->answers = ring_new(REQUESTS_MAX * 2);
    n->ring_io = n->requests && n->answers
                     ? loop_io_add(n->loop, ring_fd(notices), EPOLLIN, on_notices, n)
                     : NULL;
    if (n->ring_io && !loop_io_add(n->loop, ring_fd(n->requests), EPOLLIN, on_requests, n))
        n->ring_io = NULL;
    n->curl_timer = loop_timer_new(n->loop, on_curl_timer, n);
    n->due_timer = loop_timer_new(n->loop, on_due, n);
    if (!n->ring_io || !n->curl_timer || !n->due_timer) {
        err_set(err, "cannot start the notifier: %s", strerror(errno));
        goto fail;
    }
    curl_multi_setopt(n->multi, CURLMOPT_SOCKETFUNCTION, watch_socket);
    curl_multi_setopt(n->multi, CURLMOPT_SOCKETDATA, n);
    curl_multi_setopt(n->multi, CURLMOPT_TIMERFUNCTION, set_timer);
    curl_multi_setopt(n->multi, CURLMOPT_TIMERDATA, n);
    if (open_lanes(n, err) < 0 || open_journal(n, err) < 0)
        goto fail;
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
