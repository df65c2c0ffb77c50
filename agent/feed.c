// SPDX-License-Identifier: Apache-2.0
#include "agent/feed.h"
#include "base/buf.h"
#include "wire/encode.h"
#include <stdlib.h>

struct feed {
    struct output *out;
    struct spool *spool;
    struct pusher *push;
    const struct schedule *schedule;
    struct chain_out *chain;
    struct buf frame;
    struct loop_timer *timer; // an event frame that waits for the gap
    uint64_t next_seq, failures;
    int64_t stamp_ms; // of the newest frame: two frames of one millisecond would be one sample
    int64_t
        earned_ns; // event frames are paid from here: FEED_GAP_NS each, FEED_BURST saved up at most
    uint32_t seq_id;
    bool waiting, broken;
};

static void on_gap(void *ctx, int64_t due_ns, int64_t now_ns)
{
    struct feed *f = ctx;
    (void)due_ns;
    f->waiting = false;
    if (output_urgent(f->out))
        feed_event(f, now_ns);
}

struct feed *feed_new(struct loop *loop, struct output *out, struct spool *spool)
{
    struct feed *f = calloc(1, sizeof(*f));
    if (!f)
        return NULL;
    f->out = out;
    f->spool = spool;
    f->next_seq = 1;
    f->earned_ns = INT64_MIN / 2;
    buf_init(&f->frame, WIRE_UNPACKED_MAX - (64u << 10)); // and the envelope
    f->chain = chain_out_new();
    f->timer = loop_timer_new(loop, on_gap, f);
    if (!f->chain || !f->timer) {
        feed_free(f);
        return NULL;
    }
    f->seq_id = output_series(out, "tocsin_agent_frame_seq",
        (struct wire_label[]){{"job", "tocsin"}}, 1, SERIES_GAUGE, "1");
    return f;
}

void feed_free(struct feed *f)
{
    if (!f)
        return;
    chain_out_free(f->chain);
    loop_timer_free(f->timer);
    buf_done(&f->frame);
    free(f);
}

void feed_connect(struct feed *f, struct pusher *p, const struct schedule *s)
{
    f->push = p;
    f->schedule = s;
}

static int make(struct feed *f, int64_t wall_ms, int64_t mono_ns)
{
    bool key = false;
    uint32_t samples = 0;
    int rc = 0;
    uint64_t seq = f->next_seq++;
    const struct batch *b = output_take(f->out, seq, wall_ms, mono_ns);
    for (size_t i = 0; i < b->n_declares && rc == 0; i++)
        rc = chain_out_declare(f->chain, &b->declares[i]);
    f->broken |= rc < 0;
    for (size_t i = 0; i < b->n_retired && rc == 0; i++)
        rc = chain_out_retire(f->chain, b->retired[i]);
    for (size_t i = 0; i < b->n_groups; i++)
        samples += (uint32_t)b->groups[i].n;
    buf_reset(&f->frame);
    if (rc == 0)
        rc = chain_out_encode(f->chain, b, &f->frame, &key);
    if (rc == 0)
        rc = spool_add(f->spool, seq, key, samples, mono_ns, f->frame.data, f->frame.len);
    if (rc < 0) {
        f->failures++;
        chain_out_want_key(f->chain);
        return rc;
    }
    if (spool_wants_key(f->spool))
        chain_out_want_key(f->chain);
    if (f->push)
        push_kick(f->push);
    return 0;
}

int feed_second(struct feed *f, int64_t wall_ms, int64_t mono_ns)
{
    f->stamp_ms = wall_ms > f->stamp_ms ? wall_ms : f->stamp_ms;
    return make(f, wall_ms, mono_ns);
}

int feed_event(struct feed *f, int64_t now_ns)
{
    if (now_ns - f->earned_ns < FEED_GAP_NS) {
        if (!f->waiting)
            loop_timer_set(f->timer, f->earned_ns + FEED_GAP_NS);
        f->waiting = true;
        return 0;
    }
    if (now_ns - f->earned_ns > FEED_BURST * FEED_GAP_NS)
        f->earned_ns = now_ns - FEED_BURST * FEED_GAP_NS;
    f->earned_ns += FEED_GAP_NS;
    int64_t wall_ms = schedule_wall_us(f->schedule, now_ns) / 1000;
    int64_t stamp_ms = wall_ms, behind = f->stamp_ms - wall_ms;
    if (behind >= 0 && behind <= FEED_BURST) // a clock that was set back is another matter
        stamp_ms = f->stamp_ms + 1;
    output_group(f->out, 0, 0, stamp_ms);
    f->stamp_ms = stamp_ms;
    feed_write_seq(f);
    return make(f, wall_ms, now_ns);
}

void feed_write_seq(struct feed *f)
{
    output_set(f->out, f->seq_id, (double)f->next_seq);
}

void feed_want_key(struct feed *f)
{
    chain_out_want_key(f->chain);
}

uint64_t feed_next_seq(const struct feed *f)
{
    return f->next_seq;
}

bool feed_broken(const struct feed *f)
{
    return f->broken;
}

uint64_t feed_failures(const struct feed *f)
{
    return f->failures;
}
