// SPDX-License-Identifier: Apache-2.0
#include "agent/push.h"
#include "agent/destination.h"
#include "agent/lane.h"
#include "agent/replay.h"
#include "wire/decode.h"
#include "wire/encode.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FRAMES_PER_BODY     64
#define PATH                "/v1/frames"
#define LIVE_TIMEOUT_MS     5000L
#define BACKFILL_TIMEOUT_MS 10000L

struct stream {
    struct lane lane; // first: a lane is its stream
    struct pusher *p;
    bool knock;           // the last body failed: ask before anything is sent
    uint64_t first, last; // seqs in flight, 0 = an empty body
};

struct pusher {
    struct spool *spool;
    const struct clock *clock;
    const struct wire_session *session;
    struct push_hooks hooks;
    struct stream live, backfill;
    struct destination destination;
    struct loop_timer *ask;
    unsigned asks;        // already made of ASK_MS
    struct arena arena;   // of one reply
    uint64_t cut_seq;     // the frame that tells of the clock's last step; 0 = it is delivered
    uint64_t live_next;   // first seq the live stream has not delivered
    bool key_wanted;      // live waits for a key frame at or above live_next
    struct replay replay; // of the backfill stream
    uint64_t bodies;
    struct push_stats stats;
    bool noted_failure, noted_once;
};

static int64_t wall_us(const struct pusher *p)
{
    return p->clock->wall_ns(p->clock->ctx) / 1000;
}

static bool is_live(const struct stream *s)
{
    return s == &s->p->live;
}

static void pump(struct stream *s);

static void failed(struct stream *s, const char *why, int64_t wait_ms)
{
    struct pusher *p = s->p;
    p->stats.failures++;
    s->knock = true;
    if (is_live(s)) {
        p->stats.connected = false;
        destination_failed(&p->destination);
        if (!p->noted_failure)
            p->hooks.note(p->hooks.ctx, true, why);
        p->noted_failure = true;
    }
    lane_back_off(&s->lane, wait_ms);
}

// --- replies ---------------------------------------------------------------------------------

static void take_clock(struct stream *s, const struct wire_reply *r)
{
    struct pusher *p = s->p;
    if (s->last < p->cut_seq)
        return; // begun on the clock as it was before
    if (p->cut_seq)
        spool_forget(p->spool, p->cut_seq);
    p->cut_seq = 0;
    int64_t t1 = r->sent_us, t2 = r->received_us, t3 = r->replied_us, t4 = wall_us(p);
    int64_t round_trip = (t4 - t1) - (t3 - t2);
    if (t1 <= 0 || t2 <= 0 || t3 < t2 || t4 < t1 || round_trip < 0)
        return; // a clock stepped meanwhile
    p->stats.clock_offset_us = ((t2 - t1) + (t3 - t4)) / 2;
    p->stats.round_trip_us = round_trip > 0 ? round_trip : 1;
}

void push_clock_cut(struct pusher *p, uint64_t seq)
{
    p->cut_seq = seq;
    p->stats.round_trip_us = 0;
    if (!p->stats.connected)
        spool_forget(p->spool, seq);
}

static void take_resume(struct stream *s, const struct wire_reply *r)
{
    struct pusher *p = s->p;
    // Without an end: up to what this body has brought itself.
    uint64_t next = is_live(s) && s->first ? s->first : p->live_next;
    if (replay_begin(&p->replay, p->spool, r->resume_from,
            r->resume_to ? r->resume_to : next - 1, clock_mono_ns(p->clock)))
        pump(&p->backfill);
}

static void accepted(struct stream *s, const struct wire_reply *r)
{
    struct pusher *p = s->p;
    s->knock = false;
    lane_well(&s->lane);
    bool held = !r->need_key_frame && r->frames_not_held == 0;
    if (s->first && held)
        spool_delivered(p->spool, s->first, s->last, true);
    if (r->accepted_seq > p->stats.accepted_seq)
        p->stats.accepted_seq = r->accepted_seq;
    if (r->durable_seq > p->stats.durable_seq) {
        p->stats.durable_seq = r->durable_seq;
        spool_durable(p->spool, r->durable_seq);
    }
    if (is_live(s)) {
        destination_goaway(&p->destination, r->goaway_to, r->goaway_after_ms);
        destination_well(&p->destination);
        p->stats.connected = true;
        if (p->noted_failure || !p->noted_once)
            p->hooks.note(p->hooks.ctx, false, r->collector ? r->collector : "");
        p->noted_failure = false;
        p->noted_once = true;
        if (s->first)
            p->live_next = s->last + 1;
        if (r->need_key_frame) {
            p->key_wanted = true;
            p->stats.key_frames_asked++;
            p->hooks.want_key(p->hooks.ctx);
        }
    } else if (s->first) {
        p->stats.replayed_frames += s->last - s->first + 1;
        replay_taken(&p->replay, p->spool, s->first, s->last, r->need_key_frame,
            clock_mono_ns(p->clock));
    }
    if (r->retry_after_ms)
        lane_wait(&s->lane, r->retry_after_ms);
    take_resume(s, r);
}

static void refused(struct stream *s, long status)
{
    struct pusher *p = s->p;
    char why[128];
    const char *hint = status == 401 || status == 403 ? " (check token_file)"
                       : status == 404                ? " (is this the agents' port?)"
                                                      : "";
    snprintf(why, sizeof(why), "HTTP status %ld%s", status, hint);
    // What is no frame to the collector today will not be one tomorrow: leave it out.
    if (s->first && (status == 400 || status == 413 || status == 415 || status == 422)) {
        if (is_live(s)) {
            p->live_next = s->last + 1;
            p->key_wanted = true;
            p->hooks.want_key(p->hooks.ctx);
        } else {
            p->replay.next = 0;
        }
    }
    int64_t wait_ms = s->lane.retry_after_ms;
    failed(s, why, status == 429 && wait_ms == 0 ? 1000 : wait_ms);
}

static void answered(struct stream *s)
{
    struct pusher *p = s->p;
    struct err err;
    struct wire_reply r;
    int64_t wait_ms = s->lane.retry_after_ms;

    arena_reset(&p->arena);
    int rc = reply_decode(s->lane.reply.data, s->lane.reply.len, &p->arena, &r, &err);
    if (rc < 0) {
        failed(s, rc == -EBADMSG ? "the answer is not that of a collector" : strerror(-rc),
            wait_ms);
    } else if (r.protocol == 0 && r.reason) {
        failed(s, r.reason, wait_ms);
    } else {
        take_clock(s, &r);
        if (r.reason && p->hooks.told)
            p->hooks.told(p->hooks.ctx, r.reason);
        if (is_live(s) && r.n_repairs && p->hooks.repairs)
            p->hooks.repairs(p->hooks.ctx, r.repairs, r.n_repairs, s->lane.sent_ns);
        if (is_live(s) && r.has_demand && p->hooks.demand)
            p->hooks.demand(p->hooks.ctx, &r);
        accepted(s, &r);
    }
}

static void on_over(struct lane *l, long status, const char *error)
{
    struct stream *s = (struct stream *)l;
    if (status == 200)
        answered(s);
    else if (status)
        refused(s, status);
    else
        failed(s, error, l->retry_after_ms);
    pump(s);
}

static void on_wake(struct lane *l)
{
    pump((struct stream *)l);
}

// --- sending ---------------------------------------------------------------------------------

static void post(struct stream *s, const struct spool_frame *frames, size_t n)
{
    struct pusher *p = s->p;
    const uint8_t *data[FRAMES_PER_BODY];
    size_t lens[FRAMES_PER_BODY];
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0; i++) {
        data[i] = spool_bytes_of(p->spool, frames[i].seq);
        lens[i] = frames[i].len;
        rc = data[i] ? 0 : -ENOMEM;
    }
    struct wire_session session = *p->session;
    session.newest_seq = spool_newest(p->spool);
    session.oldest_seq = spool_oldest(p->spool);
    struct push_meta meta = {.lane = is_live(s) ? 0 : 1,
        .sent_us = wall_us(p),
        .clock_offset_us = p->stats.clock_offset_us,
        .round_trip_us = p->stats.round_trip_us,
        .id = ++p->bodies};
    buf_reset(&s->lane.body);
    s->first = n ? frames[0].seq : 0;
    s->last = n ? frames[n - 1].seq : 0;
    if (rc == 0)
        rc = push_encode(&session, &meta, data, lens, n, &s->lane.body);
    p->stats.bodies += rc == 0;
    if (rc == 0)
        rc = lane_send(&s->lane);
    if (rc < 0)
        failed(s, strerror(-rc), 0);
}

// As many frames from seq on as a body may hold; at least one, however long.
static size_t gather(const struct pusher *p, uint64_t seq, uint64_t to, size_t max_bytes,
    struct spool_frame frames[FRAMES_PER_BODY])
{
    size_t n = 0, bytes = 0;
    for (size_t i = spool_find(p->spool, seq); n < FRAMES_PER_BODY; i++) {
        if (!spool_at(p->spool, i, &frames[n]) || frames[n].seq > to)
            break;
        bytes += frames[n].len + 8;
        if (n > 0 && bytes > max_bytes)
            break;
        n++;
    }
    return n;
}

static void pump_live(struct stream *s)
{
    struct pusher *p = s->p;
    struct spool_frame frames[FRAMES_PER_BODY], f;
    size_t i = spool_find(p->spool, p->live_next);

    if (s->knock) {
        post(s, NULL, 0);
        return;
    }
    if (i == spool_count(p->spool))
        return;
    spool_at(p->spool, i, &f);
    // Behind, or the frames before it are gone: the newest key frame among the last few will do,
    // else the next frame is to be one.
    int64_t fresh_ns = clock_mono_ns(p->clock) - PUSH_BEHIND_NS;
    bool behind = f.made_ns < fresh_ns || (f.seq > p->live_next && !f.key);
    if (behind || p->key_wanted) {
        size_t k = spool_count(p->spool);
        while (k > i && spool_at(p->spool, k - 1, &f) && !f.key)
            k--;
        if (k == i || f.made_ns < fresh_ns) {
            if (!p->key_wanted)
                p->hooks.want_key(p->hooks.ctx);
            p->key_wanted = true;
            return;
        }
        p->key_wanted = false;
        p->live_next = f.seq;
    }
    size_t n = gather(p, p->live_next, UINT64_MAX, WIRE_BODY_MAX / 2, frames);
    post(s, frames, n);
}

static void pump_backfill(struct stream *s)
{
    struct pusher *p = s->p;
    struct spool_frame frames[FRAMES_PER_BODY];
    uint64_t next = replay_next(&p->replay, p->spool);
    if (next)
        post(s, frames, gather(p, next, p->replay.end, PUSH_BODY_MAX - 1024, frames));
}

// When a rule has looked at an event, and when one that waits for its turn has.
static const int64_t ASK_MS[] = {20, 50, 180};
#define ASKS (sizeof(ASK_MS) / sizeof(ASK_MS[0]))

static void on_ask(void *ctx, int64_t due_ns, int64_t now_ns)
{
    struct pusher *p = ctx;
    (void)due_ns;
    if (++p->asks < ASKS)
        loop_timer_set(p->ask, now_ns + ASK_MS[p->asks] * NS_PER_MS);
    // With a body under way a reply comes anyway.
    if (lane_ready(&p->live.lane))
        post(&p->live, NULL, 0);
}

void push_ask_soon(struct pusher *p)
{
    p->asks = 0;
    loop_timer_set(p->ask, clock_mono_ns(p->clock) + ASK_MS[0] * NS_PER_MS);
}

static void pump(struct stream *s)
{
    if (!lane_ready(&s->lane))
        return;
    if (is_live(s))
        pump_live(s);
    else
        pump_backfill(s);
}

void push_kick(struct pusher *p)
{
    pump(&p->live);
}

bool push_idle(const struct pusher *p)
{
    return !p->live.lane.in_flight &&
           spool_find(p->spool, p->live_next) == spool_count(p->spool);
}

const struct push_stats *push_stats(const struct pusher *p)
{
    return &p->stats;
}

static int moved(void *ctx, const char *url)
{
    struct pusher *p = ctx;
    // curl keeps a copy of the old one until it has the new.
    int rc = lane_url(&p->live.lane, url);
    return rc < 0 ? rc : lane_url(&p->backfill.lane, url);
}

static int stream_init(struct stream *s, struct pusher *p, struct loop *loop,
    struct transfers *m, const struct push_options *o, long timeout_ms)
{
    s->p = p;
    s->lane.over = on_over;
    s->lane.wake = on_wake;
    return lane_init(&s->lane, loop, m, p->clock,
        &(struct lane_options){.body_max = WIRE_BODY_MAX + 4096,
            .timeout_ms = timeout_ms,
            .token = o->token,
            .ca_file = o->ca_file});
}

struct pusher *push_new(struct loop *loop, struct transfers *m, struct spool *spool,
    const struct clock *clock, const struct wire_session *session, const struct push_options *o,
    const struct push_hooks *h)
{
    struct pusher *p = calloc(1, sizeof(*p));
    if (!p)
        return NULL;
    p->spool = spool;
    p->clock = clock;
    p->session = session;
    p->hooks = *h;
    p->live_next = 1;
    p->destination.moved = moved;
    p->destination.ctx = p;
    arena_init(&p->arena, 256u << 10);
    p->ask = loop_timer_new(loop, on_ask, p);
    if (!p->ask || stream_init(&p->live, p, loop, m, o, LIVE_TIMEOUT_MS) < 0 ||
        stream_init(&p->backfill, p, loop, m, o, BACKFILL_TIMEOUT_MS) < 0 ||
        destination_init(&p->destination, loop, clock, o->collector, PATH) < 0 ||
        moved(p, p->destination.url) < 0) {
        push_free(p);
        return NULL;
    }
    return p;
}

void push_free(struct pusher *p)
{
    if (!p)
        return;
    lane_done(&p->live.lane);
    lane_done(&p->backfill.lane);
    destination_done(&p->destination);
    loop_timer_free(p->ask);
    arena_done(&p->arena);
    free(p);
}
