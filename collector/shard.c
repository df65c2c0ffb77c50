// SPDX-License-Identifier: Apache-2.0
#include "collector/shard.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/thread.h"
#include "collector/live.h"
#include <errno.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>

// gcc 12's -fanalyzer loses the list that waits for the notifier, and takes it for leaked.
#ifndef __clang__
#pragma GCC diagnostic ignored "-Wanalyzer-malloc-leak"
#endif

#define FRAMES_PER_TURN 256 // then rules get their turn, however many frames wait
#define REQUESTS_MAX    1024
#define REPLIES_MAX     4096
#define OVERFLOW_MAX    100000 // notices kept while the notifier's ring is full
#define STALL_LOOK_MS   250
#define STALL_MIN_MS    100
#define SECOND_MS       1000
#define LOAD_WAIT_S     5

// A set of rules on its way in. Two hold it: main, which may give up waiting, and the shard.
struct load {
    struct ruleset *set;
    int rc;
    sem_t done;
    atomic_int refs;
};

struct overflow {
    struct overflow *next;
    struct notice *notice;
};

struct shard {
    struct shard_options o;
    struct pipeline *pipeline;
    struct live_subs *live;
    struct loop *loop;
    struct ring *frames, *notices, *requests, *replies, *loads;
    struct loop_timer *due, *second, *stall;
    atomic_size_t queued_bytes;
    atomic_llong excused_ms; // stalls of the ingest thread, not yet passed on
    struct notice **decided; // in this advance, not passed on yet
    size_t n_decided, cap_decided;
    struct overflow *overflow, **overflow_end;
    size_t n_overflow;
    uint64_t notices_lost;
    int64_t seen_ns; // end of the last turn's stall look
    pthread_t thread;
    bool running;
};

static int64_t wall_ms(const struct shard *s)
{
    return clock_wall_ms(&s->o.clock);
}

static int64_t mono_ms(const struct shard *s)
{
    return clock_mono_ns(&s->o.clock) / NS_PER_MS;
}

// --- other threads -----------------------------------------------------------------------------

// A frame without a host name stands for a closed connection: one ring keeps their order.
bool shard_push(struct shard *s, struct shard_input in)
{
    struct frame *f = in.frame;
    if (in.kind == SHARD_CLOSED) {
        f = calloc(1, sizeof(*f));
        if (!f)
            return false;
        arena_init(&f->arena, 0);
        memcpy(f->agent_id, in.agent_id, 16);
    }
    size_t bytes = sizeof(*f) + f->arena.used;
    atomic_fetch_add(&s->queued_bytes, bytes);
    if (ring_push(s->frames, f))
        return true;
    atomic_fetch_sub(&s->queued_bytes, bytes);
    if (in.kind == SHARD_CLOSED)
        frame_free(f);
    return false;
}

bool shard_busy(const struct shard *s)
{
    return ring_len(s->frames) > ring_capacity(s->frames) / 4 * 3 ||
           atomic_load(&s->queued_bytes) > SHARD_BYTES_MAX / 4 * 3;
}

void shard_excuse(struct shard *s, int64_t stalled_ms)
{
    atomic_fetch_add(&s->excused_ms, stalled_ms);
}

struct ring *shard_notices(struct shard *s)
{
    return s->notices;
}

struct ring *shard_replies(struct shard *s)
{
    return s->replies;
}

bool shard_request(struct shard *s, struct request *r)
{
    return ring_push(s->requests, r);
}

static void load_unref(struct load *l)
{
    if (atomic_fetch_sub(&l->refs, 1) > 1)
        return;
    ruleset_free(l->set);
    sem_destroy(&l->done);
    free(l);
}

int shard_load(struct shard *s, struct ruleset *set)
{
    struct load *l = calloc(1, sizeof(*l));
    if (!l) {
        ruleset_free(set);
        return -ENOMEM;
    }
    l->set = set;
    atomic_init(&l->refs, 2);
    sem_init(&l->done, 0, 0);
    if (!ring_push(s->loads, l)) {
        atomic_store(&l->refs, 1);
        load_unref(l);
        return -ETIMEDOUT;
    }
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += LOAD_WAIT_S;
    int rc;
    do
        rc = sem_timedwait(&l->done, &until);
    while (rc == -1 && errno == EINTR);
    rc = rc == -1 ? -ETIMEDOUT : l->rc;
    load_unref(l);
    return rc;
}

// --- the shard's thread ------------------------------------------------------------------------

static void overflow_add(struct shard *s, struct notice *n)
{
    struct overflow *o = s->n_overflow < OVERFLOW_MAX ? calloc(1, sizeof(*o)) : NULL;
    if (!o) {
        s->notices_lost++;
        log_error("notice_lost", "reason=%s lost=%llu", log_q("the notifier does not keep up"),
            (unsigned long long)s->notices_lost);
        notice_free(n);
        return;
    }
    o->notice = n;
    *s->overflow_end = o;
    s->overflow_end = &o->next;
    s->n_overflow++;
}

// What was decided together is seen by the notifier together, so that it goes in one message.
static void decided_out(struct shard *s)
{
    size_t n =
        s->overflow ? 0 : ring_push_all(s->notices, (void *const *)s->decided, s->n_decided);
    for (; n < s->n_decided; n++)
        overflow_add(s, s->decided[n]);
    s->n_decided = 0;
}

static void notice_out(void *ctx, struct notice *n)
{
    struct shard *s = ctx;
    if (s->live)
        live_subs_notice(s->live, n);
    if (s->n_decided == s->cap_decided) {
        size_t cap = s->cap_decided ? s->cap_decided * 2 : 64;
        struct notice **grown = realloc(s->decided, cap * sizeof(*grown));
        if (grown) {
            s->decided = grown;
            s->cap_decided = cap;
        } else {
            decided_out(s); // without memory in two messages rather than not at all
        }
    }
    if (s->n_decided < s->cap_decided)
        s->decided[s->n_decided++] = n;
    else
        overflow_add(s, n);
}

static void advance(struct shard *s)
{
    pipeline_advance(s->pipeline, wall_ms(s), mono_ms(s), notice_out, s);
    decided_out(s);
}

// Order is kept: nothing goes past the overflow.
static void overflow_out(struct shard *s)
{
    while (s->overflow && ring_push(s->notices, s->overflow->notice)) {
        struct overflow *o = s->overflow;
        s->overflow = o->next;
        s->n_overflow--;
        free(o);
    }
    if (!s->overflow)
        s->overflow_end = &s->overflow;
}

static bool reply_out(struct shard *s, struct request *r, struct live_out *m)
{
    struct reply_item *item = calloc(1, sizeof(*item));
    if (item) {
        *item = (struct reply_item){.request = r, .live = m};
        if (ring_push(s->replies, item))
            return true;
    }
    free(item);
    request_free(r);
    live_out_free(m);
    return false;
}

static bool live_emit(void *ctx, struct live_out *m)
{
    return reply_out(ctx, NULL, m);
}

static void queue_lengths(struct shard *s)
{
    if (s->o.api) {
        s->o.api->frames_queued = ring_len(s->frames);
        s->o.api->frames_max = ring_capacity(s->frames);
        s->o.api->notices_queued = ring_len(s->notices) + s->n_overflow;
        s->o.api->notices_max = ring_capacity(s->notices) + OVERFLOW_MAX;
        struct pipeline_stats stats;
        pipeline_stats(s->pipeline, &stats);
        s->o.api->notices_lost = s->notices_lost + stats.notices_lost;
    }
}

static void answer(struct shard *s, struct request *r)
{
    int64_t now = wall_ms(s);
    if (r->kind == REQUEST_SUBSCRIBE || r->kind == REQUEST_UNSUBSCRIBE ||
        r->kind == REQUEST_CLIENT_GONE) {
        if (s->live)
            live_subs_request(s->live, s->pipeline, r, now, live_emit, s);
        request_free(r);
        return;
    }
    queue_lengths(s);
    request_answer(s->pipeline, s->o.api, r, now);
    (void)reply_out(s, r, NULL);
}

static void set_due(struct shard *s)
{
    int64_t next = pipeline_next(s->pipeline);
    if (s->live) {
        int64_t live = live_subs_next(s->live);
        next = live < next ? live : next;
    }
    if (s->overflow && wall_ms(s) + 20 < next)
        next = wall_ms(s) + 20;
    if (next == INT64_MAX) {
        loop_timer_stop(s->due);
        return;
    }
    int64_t wait_ms = next - wall_ms(s);
    if (wait_ms > SECOND_MS)
        wait_ms = SECOND_MS; // a wall clock that is set must not make us sleep for an hour
    loop_timer_set(
        s->due, clock_mono_ns(&s->o.clock) + (wait_ms > 0 ? wait_ms : 0) * NS_PER_MS);
}

// Own lateness first: silence we could not have heard must not count against an agent.
static void excuse(struct shard *s)
{
    int64_t late_ms = (clock_mono_ns(&s->o.clock) - s->seen_ns) / NS_PER_MS - STALL_LOOK_MS;
    int64_t ingest_ms = atomic_exchange(&s->excused_ms, 0);
    int64_t ms = late_ms > STALL_MIN_MS ? late_ms : 0;
    ms = ingest_ms > ms ? ingest_ms : ms;
    if (ms > 0)
        pipeline_stall(s->pipeline, ms);
    s->seen_ns = clock_mono_ns(&s->o.clock);
}

static bool frames_in(struct shard *s, size_t max)
{
    for (size_t i = 0; i < max; i++) {
        struct frame *f = ring_pop(s->frames);
        if (!f)
            return false;
        atomic_fetch_sub(&s->queued_bytes, sizeof(*f) + f->arena.used);
        if (f->host)
            pipeline_frame(s->pipeline, f, wall_ms(s), mono_ms(s));
        else
            pipeline_closed(s->pipeline, f->agent_id, wall_ms(s), mono_ms(s));
        frame_free(f);
    }
    return true;
}

static void loads_in(struct shard *s)
{
    struct load *l;
    while ((l = ring_pop(s->loads))) {
        l->rc = pipeline_load(s->pipeline, l->set);
        if (l->rc == 0)
            l->set = NULL;
        sem_post(&l->done);
        load_unref(l);
    }
}

static void turn(struct shard *s)
{
    excuse(s);
    loads_in(s);
    bool more = frames_in(s, FRAMES_PER_TURN);
    advance(s);
    overflow_out(s);
    struct request *r;
    while ((r = ring_pop(s->requests)))
        answer(s, r);
    if (s->live)
        live_subs_tick(s->live, s->pipeline, wall_ms(s), live_emit, s);
    set_due(s);
    if (more)
        loop_timer_set(s->due, clock_mono_ns(&s->o.clock));
}

static void on_ring(void *ctx, int fd, uint32_t events)
{
    struct shard *s = ctx;
    (void)fd;
    (void)events;
    ring_drain_wakeup(s->frames);
    ring_drain_wakeup(s->requests);
    ring_drain_wakeup(s->loads);
    turn(s);
}

static void on_due(void *ctx, int64_t due_ns, int64_t now_ns)
{
    (void)due_ns;
    (void)now_ns;
    turn(ctx);
}

static void on_stall_look(void *ctx, int64_t due_ns, int64_t now_ns)
{
    struct shard *s = ctx;
    (void)due_ns;
    excuse(s);
    loop_timer_set(s->stall, now_ns + STALL_LOOK_MS * NS_PER_MS);
}

static bool note_out(void *ctx, struct agent_note *n)
{
    struct shard *s = ctx;
    return s->o.note(s->o.ctx, n);
}

static void on_second(void *ctx, int64_t due_ns, int64_t now_ns)
{
    struct shard *s = ctx;
    (void)due_ns;
    if (s->o.note)
        pipeline_notes(s->pipeline, note_out, s);
    queue_lengths(s);
    if (s->o.self)
        s->o.self(s->o.ctx, s->pipeline, wall_ms(s));
    set_due(s);
    loop_timer_set(s->second, now_ns + SECOND_MS * NS_PER_MS);
}

static void *run(void *ctx)
{
    struct shard *s = ctx;
    s->seen_ns = clock_mono_ns(&s->o.clock);
    turn(s);
    int rc = loop_run(s->loop);
    if (rc < 0)
        log_error("shard_ended", "error=%s", log_q(strerror(-rc)));
    while (frames_in(s, FRAMES_PER_TURN))
        ;
    advance(s);
    overflow_out(s);
    if (s->o.note)
        pipeline_notes(s->pipeline, note_out, s);
    return NULL;
}

// --- life --------------------------------------------------------------------------------------

struct shard *shard_new(const struct shard_options *o, struct ruleset *first, struct err *err)
{
    struct shard *s = calloc(1, sizeof(*s));
    if (!s) {
        err_set(err, "out of memory");
        return NULL;
    }
    s->o = *o;
    s->overflow_end = &s->overflow;
    s->pipeline = pipeline_new(&o->pipeline, wall_ms(s), mono_ms(s));
    s->live = o->api ? live_subs_new(o->api) : NULL;
    s->loop = loop_new();
    s->frames = ring_new(o->frames_max);
    s->notices = ring_new(o->notices_max);
    s->requests = ring_new(REQUESTS_MAX);
    s->replies = ring_new(REPLIES_MAX);
    s->loads = ring_new(2);
    if (!s->pipeline || (o->api && !s->live) || !s->loop || !s->frames || !s->notices ||
        !s->requests || !s->replies || !s->loads)
        goto fail;
    s->due = loop_timer_new(s->loop, on_due, s);
    s->second = loop_timer_new(s->loop, on_second, s);
    s->stall = loop_timer_new(s->loop, on_stall_look, s);
    if (!s->due || !s->second || !s->stall ||
        !loop_io_add(s->loop, ring_fd(s->frames), EPOLLIN, on_ring, s) ||
        !loop_io_add(s->loop, ring_fd(s->requests), EPOLLIN, on_ring, s) ||
        !loop_io_add(s->loop, ring_fd(s->loads), EPOLLIN, on_ring, s))
        goto fail;
    if (first && pipeline_load(s->pipeline, first) < 0)
        goto fail;
    return s;
fail:
    err_set(err, "cannot make the shard: %s", strerror(errno ? errno : ENOMEM));
    shard_free(s);
    return NULL;
}

struct pipeline *shard_pipeline(struct shard *s)
{
    return s->pipeline;
}

int shard_start(struct shard *s, struct err *err)
{
    int64_t now_ns = clock_mono_ns(&s->o.clock);
    loop_timer_set(s->second, now_ns + SECOND_MS * NS_PER_MS);
    loop_timer_set(s->stall, now_ns + STALL_LOOK_MS * NS_PER_MS);
    int rc = thread_start(&s->thread, "shard", run, s, err);
    s->running = rc == 0;
    return rc;
}

void shard_stop(struct shard *s)
{
    if (!s || !s->running)
        return;
    loop_stop(s->loop);
    pthread_join(s->thread, NULL);
    s->running = false;
}

void shard_free(struct shard *s)
{
    if (!s)
        return;
    shard_stop(s);
    void *item;
    while (s->frames && (item = ring_pop(s->frames)))
        frame_free(item);
    while (s->notices && (item = ring_pop(s->notices)))
        notice_free(item);
    while (s->requests && (item = ring_pop(s->requests)))
        request_free(item);
    while (s->loads && (item = ring_pop(s->loads)))
        load_unref(item);
    while (s->replies && (item = ring_pop(s->replies))) {
        struct reply_item *r = item;
        request_free(r->request);
        live_out_free(r->live);
        free(r);
    }
    free(s->decided);
    while (s->overflow) {
        struct overflow *next = s->overflow->next;
        notice_free(s->overflow->notice);
        free(s->overflow);
        s->overflow = next;
    }
    loop_timer_free(s->due);
    loop_timer_free(s->second);
    loop_timer_free(s->stall);
    loop_free(s->loop);
    ring_free(s->frames);
    ring_free(s->notices);
    ring_free(s->requests);
    ring_free(s->replies);
    ring_free(s->loads);
    live_subs_free(s->live);
    pipeline_free(s->pipeline);
    free(s);
}
