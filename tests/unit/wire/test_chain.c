// SPDX-License-Identifier: Apache-2.0
/*
 * Both ends of a chain against each other: what goes in comes out bit for bit, and a receiver in
 * another state says so. The random batches are seeded, so a failure repeats.
 */
#include "tests/lib/oom.h"
#include "tests/lib/run.h"
#include "tests/unit/wire/same.h"
#include "wire/decode.h"
#include "wire/encode.h"
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SERIES_MAX     400
#define SAMPLES_MAX    4096
#define HISTOGRAMS_MAX 256

static const struct wire_session SESSION = {
    .epoch = 3, .nonce = 7, .host = "web1", .protocol_min = 1, .protocol_max = 1};

// An agent with random series, and a collector beside it.
struct pair {
    struct chain_out *out;
    struct chain_in *in;
    struct buf frame, body;
    struct arena arena;
    struct push push;
    uint32_t rng;
    uint64_t seq;
    uint32_t n; // ids declared
    enum series_kind kind[SERIES_MAX + 1];
    bool alive[SERIES_MAX + 1];
    double last[SERIES_MAX + 1];
    struct batch_sample samples[SAMPLES_MAX];
    struct wire_histogram histograms[HISTOGRAMS_MAX];
    int32_t index[HISTOGRAMS_MAX][20];
    uint64_t count[HISTOGRAMS_MAX][20];
    size_t n_samples, n_histograms;
    struct batch_group groups[4];
    struct batch batch;
};

static struct pair *pair_new(uint32_t seed)
{
    struct pair *p = calloc(1, sizeof(*p));

    p->rng = seed;
    p->out = chain_out_new();
    p->in = chain_in_new();
    buf_init(&p->frame, WIRE_UNPACKED_MAX);
    buf_init(&p->body, WIRE_BODY_MAX);
    arena_init(&p->arena, 32 << 20);
    return p;
}

static void pair_free(struct pair *p)
{
    chain_out_free(p->out);
    chain_in_free(p->in);
    buf_done(&p->frame);
    buf_done(&p->body);
    arena_done(&p->arena);
    free(p);
}

static uint32_t roll(struct pair *p, uint32_t below)
{
    p->rng = p->rng * 1664525u + 1013904223u;
    return (uint32_t)(((uint64_t)(p->rng >> 4) * below) >> 28);
}

static double of_bits(uint64_t bits)
{
    double v;

    memcpy(&v, &bits, sizeof(v));
    return v;
}

static double any_value(struct pair *p, double last)
{
    switch (roll(p, 12)) {
    case 0: return of_bits(0x7ff8000000000000u | roll(p, 1 << 20)); // NaN payloads
    case 1: return -0.0;
    case 2: return roll(p, 2) ? INFINITY : -INFINITY;
    case 3: return 9007199254740992.0 - roll(p, 3);
    case 4: return -9007199254740992.0 + roll(p, 3);
    case 5: return 9007199254740992.0 * (1 + roll(p, 9));
    case 6: return roll(p, 1000) / 100.0;
    case 7: return of_bits((uint64_t)roll(p, 1 << 28) << 36 | roll(p, 1 << 28));
    case 8:
    case 9: return last;
    default: return isfinite(last) ? last + (double)roll(p, 100000) - 300 : 5;
    }
}

static const struct wire_histogram *any_histogram(struct pair *p)
{
    size_t at = p->n_histograms++;
    struct wire_histogram *h = &p->histograms[at];
    int32_t index = (int32_t)roll(p, 12) - 8;

    *h = (struct wire_histogram){
        .scale = roll(p, 20) ? 4 : 3, .zero_threshold = roll(p, 20) ? 0 : 1e-9};
    h->sum = any_value(p, 4);
    h->zero_count = roll(p, 5);
    h->index = p->index[at];
    h->count = p->count[at];
    for (uint32_t n = roll(p, 20); h->n < n; h->n++) {
        p->index[at][h->n] = index;
        p->count[at][h->n] = roll(p, 9) ? roll(p, 6) + 1 : (uint64_t)roll(p, 1 << 28) << 30;
        index += 1 + (int32_t)roll(p, 3);
    }
    return h;
}

static void declare_one(struct pair *p, enum series_kind kind)
{
    struct wire_label labels[2] = {{"job", "node"}, {"service", "s\xc3\xa9rvice"}};
    struct batch_declare d = {p->n + 1, "node_x:y_total", labels, roll(p, 3), kind, "By"};

    if (p->n == SERIES_MAX)
        return;
    CU_ASSERT_EQUAL_FATAL(chain_out_declare(p->out, &d), 0);
    p->n++;
    p->kind[p->n] = kind;
    p->alive[p->n] = true;
}

static void fill_group(struct pair *p, struct batch_group *g)
{
    *g = (struct batch_group){roll(p, 2) * 250, (int64_t)p->seq,
        p->batch.wall_ms - roll(p, 2000), p->samples + p->n_samples, 0};
    for (uint32_t id = 1; id <= p->n; id++) {
        if (!p->alive[id] || roll(p, 4) == 0)
            continue;
        struct batch_sample *s = &g->samples[g->n];
        *s = (struct batch_sample){.id = id, .kind = SAMPLE_VALUE, .reset = roll(p, 30) == 0};
        if (roll(p, 20) == 0)
            s->kind = SAMPLE_ABSENT;
        else if (roll(p, 20) == 0)
            s->kind = SAMPLE_STALE;
        else if (p->kind[id] == SERIES_HISTOGRAM && p->n_histograms == HISTOGRAMS_MAX)
            continue;
        else if (p->kind[id] == SERIES_HISTOGRAM)
            s->kind = SAMPLE_HISTOGRAM;
        if (s->kind == SAMPLE_STALE)
            s->reset = false;
        if (s->kind == SAMPLE_ABSENT && p->kind[id] == SERIES_HISTOGRAM)
            s->reset = false;
        if (s->kind == SAMPLE_VALUE)
            s->value = p->last[id] = any_value(p, p->last[id]);
        if (s->kind == SAMPLE_HISTOGRAM)
            s->hist = any_histogram(p);
        g->n++;
    }
    p->n_samples += g->n;
}

static const struct batch *any_batch(struct pair *p)
{
    static struct batch_event event = {9, 2, 1700000000123456, "nginx", "gone"};
    static struct wire_repair_result repair = {"0123/4", REPAIR_TIMED_OUT, -9, 60000, false,
        (const uint8_t *)"out\0put", 7, "too long"};

    p->seq++;
    p->batch = (struct batch){.seq = p->seq,
        .wall_ms = 1700000000000 + (int64_t)p->seq * 1000,
        .mono_ns = (int64_t)p->seq * 1000000000,
        .clock_step_ms = (int64_t)roll(p, 3) - 1,
        .groups = p->groups,
        .events = &event,
        .n_events = roll(p, 2),
        .repairs = &repair,
        .n_repairs = roll(p, 2)};
    p->n_samples = p->n_histograms = 0;
    if (roll(p, 3) == 0)
        declare_one(p, (enum series_kind)roll(p, 4));
    for (p->batch.n_groups = 0; p->batch.n_groups < roll(p, 4); p->batch.n_groups++)
        fill_group(p, &p->groups[p->batch.n_groups]);
    return &p->batch;
}

static void pack(struct pair *p, const struct wire_session *s)
{
    const uint8_t *frame = p->frame.data;
    size_t len = p->frame.len;
    struct push_meta meta = {.id = p->seq};

    buf_reset(&p->body);
    CU_ASSERT_EQUAL_FATAL(push_encode(s, &meta, &frame, &len, 1, &p->body), 0);
}

static bool encode(struct pair *p, const struct batch *b)
{
    bool key = false;

    buf_reset(&p->frame);
    CU_ASSERT_EQUAL_FATAL(chain_out_encode(p->out, b, &p->frame, &key), 0);
    pack(p, &SESSION);
    return key;
}

static int decode(struct pair *p, struct batch *ret)
{
    struct err err = {0};

    arena_reset(&p->arena);
    CU_ASSERT_EQUAL_FATAL(push_open(p->body.data, p->body.len, &p->arena, &p->push, &err), 0);
    return push_frame(&p->push, 0, p->in, &p->arena, ret, &err);
}

static void retire_some(struct pair *p)
{
    uint32_t id = p->n ? 1 + roll(p, p->n) : 0;

    if (id && p->alive[id] && roll(p, 4) == 0) {
        CU_ASSERT_EQUAL(chain_out_retire(p->out, id), 0);
        CU_ASSERT_EQUAL(chain_out_retire(p->out, id), -EINVAL);
        encode(p, any_batch(p));
        p->alive[id] = false;
    } else {
        encode(p, any_batch(p));
    }
}

static void random_batches(void)
{
    for (uint32_t seed = 1; seed <= 10; seed++) {
        struct pair *p = pair_new(seed);
        struct batch b;
        for (int i = 0; i < 400; i++) {
            if (roll(p, 50) == 0)
                chain_out_want_key(p->out);
            retire_some(p);
            CU_ASSERT_EQUAL_FATAL(decode(p, &b), 0);
            CU_ASSERT_TRUE_FATAL(same_batch(&p->batch, &b));
            CU_ASSERT_EQUAL(chain_in_seq(p->in), p->seq);
        }
        pair_free(p);
    }
}

static void lost_frames(void)
{
    struct pair *p = pair_new(77);
    struct batch b;
    int stale = 0, good = 0;

    for (int i = 0; i < 2000; i++) {
        bool key = encode(p, any_batch(p));
        if (!key && roll(p, 10) == 0)
            continue; // lost
        uint64_t before = chain_in_seq(p->in);
        int rc = decode(p, &b);
        if (key || before == p->seq - 1) {
            CU_ASSERT_EQUAL_FATAL(rc, 0);
            CU_ASSERT_TRUE_FATAL(same_batch(&p->batch, &b));
            good++;
        } else {
            CU_ASSERT_EQUAL_FATAL(rc, -ESTALE);
            CU_ASSERT_EQUAL(chain_in_seq(p->in), before);
            chain_out_want_key(p->out);
            stale++;
        }
    }
    CU_ASSERT_TRUE(stale > 50 && good > 1000);
    pair_free(p);
}

static void declare_and_value(
    struct pair *p, struct batch_sample *s, struct batch_group *g, struct batch *b)
{
    declare_one(p, SERIES_COUNTER);
    *s = (struct batch_sample){.id = 1, .kind = SAMPLE_VALUE, .value = 10};
    *g = (struct batch_group){1000, 1, 1000, s, 1};
    *b = (struct batch){.seq = 1, .wall_ms = 1000, .groups = g, .n_groups = 1};
}

static void replayed_frame(void)
{
    struct pair *p = pair_new(5);
    struct batch_sample s;
    struct batch_group g;
    struct batch b, ret;

    declare_and_value(p, &s, &g, &b);
    encode(p, &b);
    CU_ASSERT_EQUAL(decode(p, &ret), 0);
    b.seq = 2;
    s.value = 13;
    encode(p, &b);
    CU_ASSERT_EQUAL(decode(p, &ret), 0);
    CU_ASSERT_EQUAL(ret.base_seq, 1);
    CU_ASSERT_EQUAL(
        decode(p, &ret), -ESTALE); // again: its base is gone, nothing is applied twice
    CU_ASSERT_EQUAL(chain_in_seq(p->in), 2);
    uint64_t seq, base;
    CU_ASSERT_EQUAL(push_peek(&p->push, 0, &seq, &base), 0);
    CU_ASSERT_EQUAL(seq, 2);
    CU_ASSERT_EQUAL(base, 1);
    b.seq = 3;
    s.value = 14;
    encode(p, &b);
    CU_ASSERT_EQUAL(decode(p, &ret), 0);
    CU_ASSERT_EQUAL(ret.groups[0].samples[0].value, 14);
    pair_free(p);
}

static void late_frame(void)
{
    struct pair *p = pair_new(5);
    struct batch_sample s;
    struct batch_group g;
    struct batch b, ret;
    struct buf late;

    declare_and_value(p, &s, &g, &b);
    encode(p, &b);
    CU_ASSERT_EQUAL(decode(p, &ret), 0);
    b.seq = 2;
    encode(p, &b);
    buf_init(&late, WIRE_BODY_MAX);
    buf_add(&late, p->body.data, p->body.len);
    b.seq = 3;
    encode(p, &b);
    CU_ASSERT_EQUAL(decode(p, &ret), -ESTALE); // frame 2 is not here yet
    buf_reset(&p->body);
    buf_add(&p->body, late.data, late.len);
    CU_ASSERT_EQUAL(decode(p, &ret), 0); // late but in order: it still fits
    CU_ASSERT_EQUAL(chain_in_seq(p->in), 2);
    buf_done(&late);
    pair_free(p);
}

static void stale_ends_differences(void)
{
    struct pair *p = pair_new(5);
    struct batch_sample s;
    struct batch_group g;
    struct batch b, ret;

    declare_and_value(p, &s, &g, &b);
    encode(p, &b);
    CU_ASSERT_EQUAL(decode(p, &ret), 0);
    b.seq = 2;
    s.kind = SAMPLE_STALE;
    encode(p, &b);
    CU_ASSERT_EQUAL(decode(p, &ret), 0);
    CU_ASSERT_EQUAL(ret.groups[0].samples[0].kind, SAMPLE_STALE);
    b.seq = 3;
    s.kind = SAMPLE_VALUE;
    encode(p, &b);
    size_t raw = p->frame.len;
    CU_ASSERT_EQUAL(decode(p, &ret), 0);
    CU_ASSERT_EQUAL(ret.groups[0].samples[0].value, 10);
    b.seq = 4;
    s.kind = SAMPLE_ABSENT;
    encode(p, &b);
    CU_ASSERT_EQUAL(decode(p, &ret), 0);
    CU_ASSERT_EQUAL(ret.groups[0].samples[0].kind, SAMPLE_ABSENT);
    b.seq = 5;
    s.kind = SAMPLE_VALUE;
    encode(p, &b);
    CU_ASSERT_EQUAL(decode(p, &ret), 0); // absent left the last value: "same" is enough
    CU_ASSERT_EQUAL(ret.groups[0].samples[0].value, 10);
    CU_ASSERT_TRUE(p->frame.len + 8 <= raw);
    pair_free(p);
}

static void key_frame_forgets_unlisted(void)
{
    struct pair *p = pair_new(5);
    struct batch_sample s;
    struct batch_group g;
    struct batch b, ret;

    declare_and_value(p, &s, &g, &b);
    encode(p, &b);
    b.seq = 2;
    b.n_groups = 0;
    chain_out_want_key(p->out);
    CU_ASSERT_TRUE(encode(p, &b));
    CU_ASSERT_EQUAL(decode(p, &ret), 0);
    CU_ASSERT_EQUAL(ret.n_declares, 1);
    b.seq = 3;
    b.n_groups = 1;
    CU_ASSERT_FALSE(encode(p, &b));
    CU_ASSERT_EQUAL(decode(p, &ret), 0); // a receiver that began with frame 2 can read it
    CU_ASSERT_EQUAL(ret.groups[0].samples[0].value, 10);
    pair_free(p);
}

static void key_frames_come(void)
{
    struct pair *p = pair_new(5);
    struct batch_sample s;
    struct batch_group g;
    struct batch b;
    bool key;

    declare_and_value(p, &s, &g, &b);
    for (b.seq = 1; b.seq <= 3 * WIRE_KEY_EVERY; b.seq++)
        CU_ASSERT_EQUAL(encode(p, &b), b.seq % WIRE_KEY_EVERY == 1);
    s.id = 9; // not declared
    CU_ASSERT_EQUAL(chain_out_encode(p->out, &b, &p->frame, &key), -EINVAL);
    s.id = 1;
    CU_ASSERT_TRUE(encode(p, &b));
    b.seq += 2; // a gap
    CU_ASSERT_TRUE(encode(p, &b));
    CU_ASSERT_EQUAL(
        chain_out_encode(p->out, &b, &p->frame, &key), -EINVAL); // not above the last
    pair_free(p);
}

static void other_session(void)
{
    struct pair *p = pair_new(5);
    struct batch_sample s;
    struct batch_group g;
    struct batch b, ret;
    struct wire_session other = SESSION;

    declare_and_value(p, &s, &g, &b);
    encode(p, &b);
    CU_ASSERT_EQUAL(decode(p, &ret), 0);
    b.seq = 2;
    encode(p, &b);
    other.nonce++;
    pack(p, &other);
    CU_ASSERT_EQUAL(decode(p, &ret), -ESTALE);
    pack(p, &SESSION);
    CU_ASSERT_EQUAL(decode(p, &ret), 0);
    pair_free(p);
}

static void truncated(void)
{
    struct pair *p = pair_new(11);
    struct batch b;
    struct push push = {.session = SESSION, .n_frames = 1};

    for (int i = 0; i < 20; i++)
        declare_one(p, (enum series_kind)(i % 4));
    for (int f = 0; f < 3; f++) {
        encode(p, any_batch(p));
        for (size_t len = 0; len < p->body.len; len++) {
            uint8_t *cut = malloc(len + 1); // exact size: one byte too far is seen
            struct arena a;
            struct chain_in *c = chain_in_new();
            arena_init(&a, 8 << 20);
            memcpy(cut, p->body.data, len);
            // A body cut between two fields is a Push with fewer of them, never other samples.
            if (push_open(cut, len, &a, &push, NULL) == 0 && push.n_frames > 0)
                CU_ASSERT_TRUE(
                    push_frame(&push, 0, c, &a, &b, NULL) != 0 || same_batch(&p->batch, &b));
            chain_in_free(c);
            arena_done(&a);
            free(cut);
        }
        CU_ASSERT_EQUAL(decode(p, &b), 0);
    }
    pair_free(p);
}

// Every allocation fails once: an error comes back, nothing leaks, and the next frame is whole.
static void failed_allocations(void)
{
    for (int nth = 1;; nth++) {
        struct pair *p = pair_new(13);
        struct batch b;
        bool key = false;
        for (int i = 0; i < 70; i++)
            declare_one(p, (enum series_kind)(i % 4));
        const struct batch *in = any_batch(p);
        p->batch.n_groups = 1;
        fill_group(p, &p->groups[0]);
        oom_fail_at(nth);
        int rc = chain_out_encode(p->out, in, &p->frame, &key);
        if (rc == 0) {
            const uint8_t *frame = p->frame.data;
            size_t len = p->frame.len;
            struct push_meta meta = {.id = 1};
            rc = push_encode(&SESSION, &meta, &frame, &len, 1, &p->body);
        }
        if (rc == 0)
            rc = push_open(p->body.data, p->body.len, &p->arena, &p->push, NULL);
        if (rc == 0)
            rc = push_frame(&p->push, 0, p->in, &p->arena, &b, NULL);
        bool hit = oom_stop();
        CU_ASSERT_EQUAL(rc, hit ? -ENOMEM : 0);
        if (rc != 0) {
            CU_ASSERT_EQUAL(chain_in_seq(p->in), 0);
            chain_out_want_key(p->out);
            p->batch.seq++;
            CU_ASSERT_TRUE(encode(p, in));
            CU_ASSERT_EQUAL(decode(p, &b), 0);
            CU_ASSERT_TRUE(same_batch(in, &b));
        }
        pair_free(p);
        if (!hit)
            break;
        CU_ASSERT_TRUE_FATAL(nth < 1000);
    }
}

static void failed_declares(void)
{
    for (int nth = 1;; nth++) {
        struct chain_out *c = chain_out_new();
        struct wire_label label = {"job", "node"};
        struct batch_declare d = {1, "x", &label, 1, SERIES_GAUGE, "1"};
        oom_fail_at(nth);
        int rc = chain_out_declare(c, &d);
        if (rc == 0)
            rc = chain_out_retire(c, 1);
        bool hit = oom_stop();
        CU_ASSERT_EQUAL(rc, hit ? -ENOMEM : 0);
        chain_out_free(c);
        if (!hit)
            break;
    }
}

static void arena_ceiling(void)
{
    struct pair *p = pair_new(13);
    struct batch b;

    for (int i = 0; i < 70; i++)
        declare_one(p, (enum series_kind)(i % 4));
    any_batch(p);
    p->batch.n_groups = 1;
    fill_group(p, &p->groups[0]);
    encode(p, &p->batch);
    int rc = -ENOMEM;
    for (size_t max = 64; rc != 0; max += 512) {
        struct arena a;
        arena_init(&a, max);
        rc = push_open(p->body.data, p->body.len, &a, &p->push, NULL);
        if (rc == 0)
            rc = push_frame(&p->push, 0, p->in, &a, &b, NULL);
        CU_ASSERT_TRUE(rc == 0 || (rc == -ENOMEM && chain_in_seq(p->in) == 0));
        arena_done(&a);
    }
    pair_free(p);
}

// What the backfill lane does: many frames in one body, from a key frame on, after newer ones.
static void replay_from_a_key_frame(void)
{
    struct pair *p = pair_new(21);
    struct buf all;
    const uint8_t *frames[40];
    size_t lens[40] = {0}, at[40] = {0}, n = 0, sum = 0;
    struct push_meta meta = {.lane = 1, .id = 1};
    struct batch b;

    for (int i = 0; i < 60; i++)
        declare_one(p, (enum series_kind)(i % 4));
    buf_init(&all, WIRE_UNPACKED_MAX);
    for (; n < 40; n++) {
        encode(p, any_batch(p));
        at[n] = all.len;
        lens[n] = p->frame.len;
        sum += lens[n];
        CU_ASSERT_EQUAL(buf_add(&all, p->frame.data, p->frame.len), 0);
        CU_ASSERT_EQUAL(decode(p, &b), 0); // live
    }
    for (size_t i = 0; i < n; i++)
        frames[i] = all.data + at[i];
    buf_reset(&p->body);
    CU_ASSERT_EQUAL_FATAL(push_encode(&SESSION, &meta, frames, lens, n, &p->body), 0);
    CU_ASSERT_TRUE(p->body.len < sum); // lz4 paid
    CU_ASSERT_EQUAL_FATAL(push_open(p->body.data, p->body.len, &p->arena, &p->push, NULL), 0);
    CU_ASSERT_EQUAL_FATAL(p->push.n_frames, n);
    CU_ASSERT_EQUAL(chain_in_seq(p->in), 40);
    CU_ASSERT_EQUAL(push_frame(&p->push, 1, p->in, &p->arena, &b, NULL), -ESTALE);
    for (size_t i = 0; i < n; i++) {
        uint64_t seq, base;
        CU_ASSERT_EQUAL_FATAL(push_frame(&p->push, i, p->in, &p->arena, &b, NULL), 0);
        CU_ASSERT_EQUAL(push_peek(&p->push, i, &seq, &base), 0);
        CU_ASSERT_TRUE(b.seq == i + 1 && seq == b.seq && base == b.base_seq);
    }
    CU_ASSERT_TRUE(same_batch(&p->batch, &b)); // the last one came out as it did live
    buf_done(&all);
    pair_free(p);
}

static void retired_ids(void)
{
    struct pair *p = pair_new(5);
    struct batch_sample s;
    struct batch_group g;
    struct batch b, ret;
    bool key;

    declare_and_value(p, &s, &g, &b);
    encode(p, &b);
    CU_ASSERT_EQUAL(decode(p, &ret), 0);
    CU_ASSERT_EQUAL(chain_out_retire(p->out, 1), 0);
    b.seq = 2;
    s.kind = SAMPLE_STALE;
    encode(p, &b);
    CU_ASSERT_EQUAL(decode(p, &ret), 0);
    CU_ASSERT_TRUE(ret.n_retired == 1 && ret.retired[0] == 1 && ret.groups[0].n == 1);
    b.seq = 3;
    CU_ASSERT_EQUAL(chain_out_encode(p->out, &b, &p->frame, &key), -EINVAL);
    b.n_groups = 0;
    CU_ASSERT_TRUE(encode(p, &b)); // a key frame, after the error
    CU_ASSERT_EQUAL(decode(p, &ret), 0);
    CU_ASSERT_EQUAL(ret.n_declares, 0);
    pair_free(p);
}

// Retired in the frame that would have been lost: the key frame made instead still tells it.
static void retired_in_a_key_frame(void)
{
    struct pair *p = pair_new(5);
    struct batch_sample s;
    struct batch_group g;
    struct batch b, ret;

    declare_and_value(p, &s, &g, &b);
    CU_ASSERT_EQUAL(chain_out_retire(p->out, 1), 0);
    CU_ASSERT_TRUE(encode(p, &b));
    CU_ASSERT_EQUAL(decode(p, &ret), 0);
    CU_ASSERT_TRUE(ret.n_declares == 1 && ret.n_retired == 1 && ret.groups[0].n == 1);
    pair_free(p);
}

// A steady stream must not grow anything on either end.
static void steady_memory(void)
{
    struct pair *p = pair_new(31);
    struct batch b;

    for (int i = 0; i < 100; i++)
        declare_one(p, (enum series_kind)(i % 4));
    p->n_samples = p->n_histograms = 0;
    any_batch(p);
    p->batch.n_groups = 1;
    p->n_samples = p->n_histograms = 0;
    fill_group(p, &p->groups[0]);
    for (int i = 0; i < 2; i++, p->batch.seq++) {
        encode(p, &p->batch);
        CU_ASSERT_EQUAL(decode(p, &b), 0);
    }
    size_t bytes = chain_in_bytes(p->in);
    for (int i = 0; i < 50; i++, p->batch.seq++) {
        bool key;
        buf_reset(&p->frame);
        oom_fail_at(1);
        int rc = chain_out_encode(p->out, &p->batch, &p->frame, &key);
        CU_ASSERT_FALSE(oom_stop()); // not one allocation
        CU_ASSERT_EQUAL(rc, 0);
        pack(p, &SESSION);
        CU_ASSERT_EQUAL(decode(p, &b), 0);
    }
    CU_ASSERT_EQUAL(chain_in_bytes(p->in), bytes);
    pair_free(p);
}

static const struct test TESTS[] = {
    {"random batches come back bit for bit", random_batches},
    {"after a lost frame the receiver asks for a key frame and goes on with it", lost_frames},
    {"a replayed frame is not applied twice", replayed_frame},
    {"a late frame fits when it comes in order", late_frame},
    {"stale ends differences, absent does not", stale_ends_differences},
    {"a key frame forgets what it does not list", key_frame_forgets_unlisted},
    {"key frames come at the start, in turn, after an error and after a gap", key_frames_come},
    {"a body of many frames replays from its key frame", replay_from_a_key_frame},
    {"a retired id is listed once more and never again", retired_ids},
    {"a series retired before it was ever told is told whole", retired_in_a_key_frame},
    {"a steady stream allocates nothing and grows nothing", steady_memory},
    {"a frame of another session does not fit", other_session},
    {"a body cut anywhere is refused or whole", truncated},
    {"a failed allocation is an error and the next key frame repairs it", failed_allocations},
    {"a failed allocation while declaring leaks nothing", failed_declares},
    {"the arena's ceiling is an error, not a crash", arena_ceiling},
};
int main(void)
{
    return test_main("chain", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
