// SPDX-License-Identifier: Apache-2.0
#include "collector/session.h"
#include "tests/lib/run.h"
#include "wire/encode.h"
#include <stdlib.h>
#include <string.h>

// An agent that keeps every frame it made, as the spool does.
#define FRAMES_MAX 256
struct agent {
    struct wire_session session;
    struct chain_out *chain;
    uint8_t *frame[FRAMES_MAX];
    size_t len[FRAMES_MAX];
    uint64_t newest;
    int64_t sent_us, offset_us, round_trip_us;
};

struct world {
    struct sessions *table;
    struct session *s;
    struct arena arena;
    struct wire_reply reply;
    enum session_verdict verdict;
    int taken, duplicates, not_held, broken;
    uint64_t last_taken;
    int64_t now_ms;
};

static void agent_init(struct agent *a, uint64_t epoch, uint64_t nonce)
{
    *a = (struct agent){.session = {.agent_id = {7},
                            .epoch = epoch,
                            .nonce = nonce,
                            .host = "h",
                            .version = "1",
                            .protocol_min = 1,
                            .protocol_max = 1}};
    a->chain = chain_out_new();
    struct batch_declare d = {.id = 1, .name = "seq", .unit = ""};
    CU_ASSERT_EQUAL_FATAL(chain_out_declare(a->chain, &d), 0);
}

static void agent_done(struct agent *a)
{
    for (uint64_t i = 1; i <= a->newest; i++)
        free(a->frame[i]);
    chain_out_free(a->chain);
}

static void make(struct agent *a, bool key, int64_t step_ms)
{
    uint64_t seq = ++a->newest;
    struct batch_sample s = {.id = 1, .kind = SAMPLE_VALUE, .value = (double)seq};
    struct batch_group g = {.interval_ms = 1000,
        .tick = (int64_t)seq,
        .stamp_ms = (int64_t)seq * 1000,
        .samples = &s,
        .n = 1};
    struct batch b = {.seq = seq,
        .wall_ms = (int64_t)seq * 1000,
        .clock_step_ms = step_ms,
        .groups = &g,
        .n_groups = 1};
    struct buf out;
    bool was_key;
    buf_init(&out, 1 << 16);
    if (key)
        chain_out_want_key(a->chain);
    CU_ASSERT_EQUAL_FATAL(chain_out_encode(a->chain, &b, &out, &was_key), 0);
    a->frame[seq] = out.data;
    a->len[seq] = out.len;
}

static void make_to(struct agent *a, uint64_t to)
{
    while (a->newest < to)
        make(a, a->newest % 60 == 0, 0);
}

static void world_init(struct world *w)
{
    *w = (struct world){.table = sessions_new(4), .now_ms = 1000000};
    arena_init(&w->arena, 1 << 22);
}

static void world_done(struct world *w)
{
    sessions_free(w->table);
    arena_done(&w->arena);
}

// Frames from..to in one body on a lane.
static void send_body(struct world *w, struct agent *a, int lane, uint64_t from, uint64_t to)
{
    struct push_meta m = {.lane = lane,
        .sent_us = a->sent_us,
        .clock_offset_us = a->offset_us,
        .round_trip_us = a->round_trip_us,
        .id = 1};
    struct buf body;
    struct push p;
    struct err err;
    buf_init(&body, WIRE_BODY_MAX);
    a->session.newest_seq = a->newest;
    if (!a->session.oldest_seq)
        a->session.oldest_seq = 1;
    CU_ASSERT_EQUAL_FATAL(
        push_encode(&a->session, &m, (const uint8_t *const *)(a->frame + from), a->len + from,
            to >= from ? to - from + 1 : 0, &body),
        0);
    arena_reset(&w->arena);
    CU_ASSERT_EQUAL_FATAL(push_open(body.data, body.len, &w->arena, &p, &err), 0);
    w->verdict = session_of(w->table, &p, w->now_ms * 1000, w->now_ms, &w->s);
    w->taken = w->duplicates = w->not_held = w->broken = 0;
    if (w->verdict == SESSION_OK) {
        session_body_begin(w->s);
        for (size_t i = 0; i < p.n_frames; i++) {
            struct batch b;
            switch (session_frame(w->s, &p, i, &w->arena, &b, &err)) {
            case SESSION_TAKEN:
                w->taken++;
                w->last_taken = b.seq;
                CU_ASSERT_EQUAL(b.groups[0].samples[0].value, (double)b.seq);
                break;
            case SESSION_DUPLICATE: w->duplicates++; break;
            case SESSION_NOT_HELD: w->not_held++; break;
            case SESSION_BROKEN:
            case SESSION_NO_MEMORY: w->broken++; break;
            }
        }
        session_reply(w->s, &p, &w->reply);
    }
    buf_done(&body);
}

static void frames_in_order_leave_nothing_missing(void)
{
    struct world w;
    struct agent a;
    world_init(&w);
    agent_init(&a, 1, 11);
    for (uint64_t i = 1; i <= 100; i++) {
        make_to(&a, i);
        send_body(&w, &a, 0, i, i);
        CU_ASSERT_EQUAL(w.taken, 1);
        CU_ASSERT_EQUAL(w.reply.accepted_seq, i);
        CU_ASSERT_EQUAL(w.reply.resume_from, 0);
        CU_ASSERT_FALSE(w.reply.need_key_frame);
    }
    agent_done(&a);
    world_done(&w);
}

static void a_body_sent_twice_is_taken_once(void)
{
    struct world w;
    struct agent a;
    world_init(&w);
    agent_init(&a, 1, 11);
    make_to(&a, 65);
    send_body(&w, &a, 0, 1, 62);
    CU_ASSERT_EQUAL(w.taken, 62);
    send_body(&w, &a, 0, 1, 62);
    CU_ASSERT_EQUAL(w.taken, 0);
    CU_ASSERT_EQUAL(w.duplicates, 62);
    CU_ASSERT_FALSE(w.reply.need_key_frame);
    // 61 is a key frame: repeated alone it must not move the live chain back.
    send_body(&w, &a, 0, 61, 61);
    send_body(&w, &a, 0, 63, 65);
    CU_ASSERT_EQUAL(w.taken, 3);
    CU_ASSERT_FALSE(w.reply.need_key_frame);
    agent_done(&a);
    world_done(&w);
}

static void a_new_collector_asks_for_all_that_is_held(void)
{
    struct world w;
    struct agent a;
    world_init(&w);
    agent_init(&a, 3, 11);
    make_to(&a, 150);
    a.session.oldest_seq = 61;
    send_body(&w, &a, 0, 1, 0); // a hello
    CU_ASSERT_EQUAL(w.reply.resume_from, 61);
    send_body(&w, &a, 0, 150, 150); // a difference to a frame it never saw
    CU_ASSERT_EQUAL(w.not_held, 1);
    CU_ASSERT_TRUE(w.reply.need_key_frame);
    CU_ASSERT_EQUAL(w.reply.frames_not_held, 1);
    make(&a, true, 0);
    send_body(&w, &a, 0, 151, 151);
    CU_ASSERT_EQUAL(w.taken, 1);
    CU_ASSERT_EQUAL(w.reply.resume_from, 61);
    CU_ASSERT_EQUAL(w.reply.resume_to, 150);
    send_body(&w, &a, 1, 61, 100);
    CU_ASSERT_EQUAL(w.taken, 40);
    CU_ASSERT_EQUAL(w.reply.resume_from, 101);
    send_body(&w, &a, 1, 101, 150);
    CU_ASSERT_EQUAL(w.taken, 50);
    CU_ASSERT_EQUAL(w.reply.resume_from, 0);
    CU_ASSERT_EQUAL(w.reply.accepted_seq, 151);
    agent_done(&a);
    world_done(&w);
}

static void a_hole_is_filled_from_the_key_frame_before_it(void)
{
    struct world w;
    struct agent a;
    world_init(&w);
    agent_init(&a, 1, 11);
    make_to(&a, 130);
    send_body(&w, &a, 0, 1, 80);
    send_body(&w, &a, 0, 121, 130); // 121 is a key frame; 81..120 got lost
    CU_ASSERT_EQUAL(w.taken, 10);
    CU_ASSERT_EQUAL(w.reply.resume_from, 81);
    CU_ASSERT_EQUAL(w.reply.resume_to, 120);
    // The agent replays from the key frame at or below 81: 61..80 come again.
    send_body(&w, &a, 1, 61, 120);
    CU_ASSERT_EQUAL(w.duplicates, 20);
    CU_ASSERT_EQUAL(w.taken, 40);
    CU_ASSERT_EQUAL(w.reply.resume_from, 0);
    // What live sends next is not disturbed by the other lane.
    make_to(&a, 131);
    send_body(&w, &a, 0, 131, 131);
    CU_ASSERT_EQUAL(w.taken, 1);
    agent_done(&a);
    world_done(&w);
}

static void what_the_agent_let_go_is_not_asked_for(void)
{
    struct world w;
    struct agent a;
    world_init(&w);
    agent_init(&a, 1, 11);
    make_to(&a, 190);
    a.session.oldest_seq = 121;
    send_body(&w, &a, 0, 181, 190);
    CU_ASSERT_EQUAL(w.reply.resume_from, 121);
    a.session.oldest_seq = 181;
    send_body(&w, &a, 0, 1, 0);
    CU_ASSERT_EQUAL(w.reply.resume_from, 0);
    agent_done(&a);
    world_done(&w);
}

static void epochs_never_mix(void)
{
    struct world w;
    struct agent old, fresh;
    world_init(&w);
    agent_init(&old, 4, 11);
    agent_init(&fresh, 5, 12);
    make_to(&old, 10);
    make_to(&fresh, 3);
    send_body(&w, &old, 0, 1, 9);
    send_body(&w, &fresh, 0, 1, 3);
    CU_ASSERT_EQUAL(w.taken, 3);
    CU_ASSERT_EQUAL(w.reply.accepted_seq, 3);
    send_body(&w, &old, 0, 10, 10);
    CU_ASSERT_EQUAL(w.verdict, SESSION_OLD);
    CU_ASSERT_PTR_NOT_NULL(session_reason(w.verdict));
    agent_done(&old);
    agent_done(&fresh);
    world_done(&w);
}

static void the_inventory_knows_the_epoch(void)
{
    struct world w;
    struct agent a;
    world_init(&w);
    agent_init(&a, 4, 11);
    make_to(&a, 1);
    CU_ASSERT_EQUAL(sessions_known(w.table, a.session.agent_id, 5), 0);
    send_body(&w, &a, 0, 1, 1);
    CU_ASSERT_EQUAL(w.verdict, SESSION_OLD);
    a.session.epoch = 5; // the collector restarted, the agent did not
    send_body(&w, &a, 0, 1, 1);
    CU_ASSERT_EQUAL(w.verdict, SESSION_OK);
    CU_ASSERT_EQUAL(w.taken, 1);
    agent_done(&a);
    world_done(&w);
}

static void a_copied_state_directory_is_told(void)
{
    struct world w;
    struct agent a, clone;
    world_init(&w);
    agent_init(&a, 4, 11);
    agent_init(&clone, 4, 99);
    make_to(&a, 3);
    make_to(&clone, 1);
    send_body(&w, &a, 0, 1, 2);
    session_connect(w.s);
    w.now_ms += 60000;
    send_body(&w, &clone, 0, 1, 1);
    CU_ASSERT_EQUAL(w.verdict, SESSION_CLONE);
    send_body(&w, &a, 0, 3, 3);
    CU_ASSERT_EQUAL(w.taken, 1);
    // Once the first is gone for long, the second is just an agent whose epoch was not kept.
    CU_ASSERT_TRUE(session_disconnect(w.s));
    w.now_ms += 10001;
    send_body(&w, &clone, 0, 1, 1);
    CU_ASSERT_EQUAL(w.verdict, SESSION_OK);
    CU_ASSERT_EQUAL(w.reply.accepted_seq, 1);
    agent_done(&a);
    agent_done(&clone);
    world_done(&w);
}

static void the_offset_is_fixed_and_slewed_when_it_drifts(void)
{
    struct world w;
    struct agent a;
    world_init(&w);
    agent_init(&a, 1, 11);
    make_to(&a, 10);
    a.sent_us = w.now_ms * 1000 - 15000; // 15 ms on the way: the same clock
    send_body(&w, &a, 0, 1, 1);
    CU_ASSERT_EQUAL(session_skew_ms(w.s), 0);
    a.round_trip_us = 1000;
    a.offset_us = 19000;
    w.now_ms += 1000;
    send_body(&w, &a, 0, 2, 2);
    CU_ASSERT_EQUAL(session_skew_ms(w.s), 0);
    a.offset_us = 250000;
    w.now_ms += 1000;
    send_body(&w, &a, 0, 3, 3);
    CU_ASSERT_EQUAL(session_skew_ms(w.s), 100); // a tenth of the second that passed
    w.now_ms += 1000;
    send_body(&w, &a, 0, 4, 4);
    w.now_ms += 1000;
    send_body(&w, &a, 0, 5, 5);
    CU_ASSERT_EQUAL(session_skew_ms(w.s), 250);
    a.offset_us = -7200000000; // two hours: a clock that was set
    w.now_ms += 1000;
    send_body(&w, &a, 0, 6, 6);
    CU_ASSERT_EQUAL(session_skew_ms(w.s), -7200000);
    a.round_trip_us = 0;
    make(&a, false, 60000); // and one that says so itself
    send_body(&w, &a, 0, 7, 11);
    CU_ASSERT_EQUAL(session_skew_ms(w.s), -7260000);
    agent_done(&a);
    world_done(&w);
}

static void a_clock_that_is_off_from_the_start_is_seen(void)
{
    struct world w;
    struct agent a;
    world_init(&w);
    agent_init(&a, 1, 11);
    make_to(&a, 1);
    a.sent_us = w.now_ms * 1000 + 90000000;
    send_body(&w, &a, 0, 1, 1);
    CU_ASSERT_EQUAL(session_skew_ms(w.s), -90000);
    agent_done(&a);
    world_done(&w);
}

static void the_table_is_bounded(void)
{
    struct world w;
    struct agent a;
    world_init(&w);
    agent_init(&a, 1, 11);
    make_to(&a, 1);
    for (uint8_t i = 0; i < 6; i++) {
        a.session.agent_id[0] = i;
        send_body(&w, &a, 0, 1, 1);
        CU_ASSERT_EQUAL(w.verdict, i < 4 ? SESSION_OK : SESSION_FULL);
    }
    w.now_ms += 60001; // silent ones without a connection make room
    send_body(&w, &a, 0, 1, 1);
    CU_ASSERT_EQUAL(w.verdict, SESSION_OK);
    CU_ASSERT_EQUAL(sessions_count(w.table), 4);
    agent_done(&a);
    world_done(&w);
}

static const struct test TESTS[] = {
    {"frames in order leave nothing missing", frames_in_order_leave_nothing_missing},
    {"a body sent twice is taken once", a_body_sent_twice_is_taken_once},
    {"a new collector asks for all that is held", a_new_collector_asks_for_all_that_is_held},
    {"a hole is filled from the key frame before it",
        a_hole_is_filled_from_the_key_frame_before_it},
    {"what the agent let go is not asked for", what_the_agent_let_go_is_not_asked_for},
    {"epochs never mix", epochs_never_mix},
    {"the inventory knows the epoch", the_inventory_knows_the_epoch},
    {"a copied state directory is told", a_copied_state_directory_is_told},
    {"the offset is fixed and slewed when it drifts",
        the_offset_is_fixed_and_slewed_when_it_drifts},
    {"a clock that is off from the start is seen", a_clock_that_is_off_from_the_start_is_seen},
    {"the table is bounded", the_table_is_bounded},
};

int main(void)
{
    return test_main("session", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
