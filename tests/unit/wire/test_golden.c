// SPDX-License-Identifier: Apache-2.0
/*
 * The format is frozen: these bytes come out and these bytes are understood, for ever. A change
 * that turns this test red is a change that old agents or old collectors do not survive.
 *
 * The frames of golden/ are one chain, in the order of STEPS. `#` starts a comment there.
 */
#include "base/buf.h"
#include "tests/lib/run.h"
#include "tests/unit/wire/same.h"
#include "wire/decode.h"
#include "wire/encode.h"
#include <stdio.h>

#define WALL 1700000000000

static const struct wire_label HOST_LABELS[] = {{"env", "prod"}};
static const char *const CAPABILITIES[] = {"bpf"};
static const struct wire_sampler SAMPLERS[] = {{"listeners", 1000}, {"events", 0}};
static const struct wire_session SESSION = {
    .agent_id = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
    .boot_id = {0xf0, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa, 0xfb, 0xfc,
        0xfd, 0xfe, 0xff},
    .epoch = 3,
    .nonce = 0x0102030405060708,
    .newest_seq = 6,
    .oldest_seq = 1,
    .host = "web1",
    .version = "0.1.0",
    .protocol_min = 1,
    .protocol_max = 1,
    .labels = HOST_LABELS,
    .n_labels = 1,
    .capabilities = CAPABILITIES,
    .n_capabilities = 1,
    .samplers = SAMPLERS,
    .n_samplers = 2,
};

// --- the chain -------------------------------------------------------------------------------

#define VALUE(id, v)                                                                           \
    {                                                                                          \
        id, SAMPLE_VALUE, false, v, NULL                                                       \
    }
#define GROUPS(...)                                                                            \
    (struct batch_group[])                                                                     \
    {                                                                                          \
        __VA_ARGS__                                                                            \
    }
#define SAMPLES(...)                                                                           \
    (struct batch_sample[])                                                                    \
    {                                                                                          \
        __VA_ARGS__                                                                            \
    }
static const struct wire_histogram FIRST = {
    4, 1e-9, 0.75, 1, 3, (const int32_t[]){-20, -3, 5}, (const uint64_t[]){2, 300, 1}};
static const struct wire_histogram SECOND = {
    4, 1e-9, 1.5, 1, 4, (const int32_t[]){-20, -3, 4, 5}, (const uint64_t[]){2, 310, 7, 1}};

// The samples of one frame; declares and retires before it where the step says so.
static struct step {
    const char *file;
    struct batch batch;
    uint32_t retire;
    bool key;
} STEPS[] = {
    {"key",
        {.seq = 1,
            .wall_ms = WALL,
            .mono_ns = 5000000000,
            .n_groups = 1,
            .groups = GROUPS({1000, 7, WALL, SAMPLES(VALUE(1, 1000), VALUE(2, 0.5)), 2})},
        0, true},
    {"delta",
        {.seq = 2,
            .wall_ms = WALL + 1000,
            .mono_ns = 6000000000,
            .clock_step_ms = -40,
            .n_groups = 2,
            .groups = GROUPS({250, 30, WALL + 750, SAMPLES(VALUE(3, -0.0)), 1},
                {1000, 8, WALL + 1000, SAMPLES(VALUE(1, 1003), VALUE(2, 0.5), VALUE(3, 2)),
                    3})},
        0, false},
    {"events",
        {.seq = 3,
            .wall_ms = WALL + 1200,
            .mono_ns = 6200000000,
            .n_groups = 1,
            .groups = GROUPS({0, 1, WALL + 1200, SAMPLES(VALUE(3, 0)), 1}),
            .n_events = 2,
            .events = (struct batch_event[]){{1, 2, 1700000001200300, "nginx", ""},
                {2, 3, 1700000001200301, "nginx", "killed by signal 9"}}},
        0, false},
    {"absent_stale_reset",
        {.seq = 4,
            .wall_ms = WALL + 2000,
            .mono_ns = 7000000000,
            .n_groups = 1,
            .groups = GROUPS({1000, 9, WALL + 2000,
                SAMPLES({1, SAMPLE_VALUE, true, 4, NULL}, {2, SAMPLE_ABSENT, false, 0, NULL},
                    {3, SAMPLE_STALE, false, 0, NULL}),
                3})},
        3, false},
    {"histogram_absolute",
        {.seq = 5,
            .wall_ms = WALL + 3000,
            .mono_ns = 8000000000,
            .n_groups = 1,
            .groups = GROUPS({1000, 10, WALL + 3000,
                SAMPLES(VALUE(1, 4), {4, SAMPLE_HISTOGRAM, false, 0, &FIRST}), 2})},
        0, false},
    {"histogram_delta",
        {.seq = 6,
            .wall_ms = WALL + 4000,
            .mono_ns = 9000000000,
            .n_groups = 1,
            .groups = GROUPS(
                {1000, 11, WALL + 4000, SAMPLES({4, SAMPLE_HISTOGRAM, false, 0, &SECOND}), 1})},
        0, false},
    {"repairs",
        {.seq = 7,
            .wall_ms = WALL + 5000,
            .mono_ns = 10000000000,
            .n_repairs = 2,
            .repairs = (struct wire_repair_result[]){{"a1/1", REPAIR_EXITED, 3, 250, true,
                                                         (const uint8_t *)"no\xff", 3, ""},
                {"b2/2", REPAIR_NOT_LISTED, 0, 0, false, NULL, 0, "no such action"}}},
        0, false},
};
#define N_STEPS (sizeof(STEPS) / sizeof(STEPS[0]))

static const struct wire_label LABELS[] = {{"job", "service"}, {"service", "nginx"}};
static const struct batch_declare DECLARES[] = {
    {1, "tocsin_service_bytes_total", LABELS, 2, SERIES_COUNTER, "By"},
    {2, "node_load1", LABELS, 1, SERIES_GAUGE, "1"},
    {3, "tocsin_service_listening", LABELS, 2, SERIES_STATE, ""},
    {4, "tocsin_service_rtt_seconds", LABELS, 2, SERIES_HISTOGRAM, "s"},
};

// The bytes of golden/NAME.hex.
static void read_hex(const char *name, struct buf *ret)
{
    char path[256];
    struct buf text;
    int high = -1;
    bool comment = false;

    snprintf(path, sizeof(path), "tests/unit/wire/golden/%s.hex", name);
    buf_init(&text, 1 << 20);
    buf_reset(ret);
    CU_ASSERT_EQUAL_FATAL(buf_add_path(&text, path), 0);
    for (size_t i = 0; i < text.len; i++) {
        char ch = (char)text.data[i];
        comment = ch == '#' || (comment && ch != '\n');
        int digit = ch >= '0' && ch <= '9'   ? ch - '0'
                    : ch >= 'a' && ch <= 'f' ? ch - 'a' + 10
                                             : -1;
        if (comment || digit < 0)
            continue;
        if (high >= 0)
            buf_addc(ret, (char)(high << 4 | digit));
        high = high >= 0 ? -1 : digit;
    }
    CU_ASSERT_TRUE_FATAL(high == -1 && ret->len > 0);
    buf_done(&text);
}

// True if equal; else prints what came out, ready to look at.
static bool same_bytes(const char *name, const struct buf *got, const struct buf *want)
{
    if (got->len == want->len && memcmp(got->data, want->data, got->len) == 0)
        return true;
    printf("%s: encoded ", name);
    for (size_t i = 0; i < got->len; i++)
        printf("%02x", got->data[i]);
    printf("\n");
    return false;
}

static void encodes_these_frames(void)
{
    struct chain_out *c = chain_out_new();
    struct buf frame, want;
    bool key;

    buf_init(&frame, 1 << 16);
    buf_init(&want, 1 << 16);
    for (size_t i = 0; i < N_STEPS; i++) {
        if (i == 0) {
            for (size_t d = 0; d < 3; d++)
                CU_ASSERT_EQUAL(chain_out_declare(c, &DECLARES[d]), 0);
        }
        if (i == 4)
            CU_ASSERT_EQUAL(chain_out_declare(c, &DECLARES[3]), 0);
        if (STEPS[i].retire)
            CU_ASSERT_EQUAL(chain_out_retire(c, STEPS[i].retire), 0);
        buf_reset(&frame);
        CU_ASSERT_EQUAL_FATAL(chain_out_encode(c, &STEPS[i].batch, &frame, &key), 0);
        CU_ASSERT_EQUAL(key, STEPS[i].key);
        read_hex(STEPS[i].file, &want);
        CU_ASSERT_TRUE(same_bytes(STEPS[i].file, &frame, &want));
    }
    buf_done(&frame);
    buf_done(&want);
    chain_out_free(c);
}

static bool same_declare(const struct batch_declare *a, const struct batch_declare *b)
{
    bool same = a->id == b->id && strcmp(a->name, b->name) == 0 &&
                strcmp(a->unit, b->unit) == 0 && a->kind == b->kind &&
                a->n_labels == b->n_labels;

    for (size_t i = 0; same && i < a->n_labels; i++)
        same = strcmp(a->labels[i].name, b->labels[i].name) == 0 &&
               strcmp(a->labels[i].value, b->labels[i].value) == 0;
    return same;
}

static void decodes_these_frames(void)
{
    struct chain_in *c = chain_in_new();
    struct buf frame, body;
    struct arena a;
    size_t declared = 0;

    buf_init(&frame, 1 << 16);
    buf_init(&body, 1 << 16);
    arena_init(&a, 1 << 20);
    for (size_t i = 0; i < N_STEPS; i++) {
        struct push_meta meta = {.id = i + 1};
        struct push push;
        struct batch b;
        struct err err = {0};
        read_hex(STEPS[i].file, &frame);
        const uint8_t *bytes = frame.data;
        buf_reset(&body);
        CU_ASSERT_EQUAL_FATAL(push_encode(&SESSION, &meta, &bytes, &frame.len, 1, &body), 0);
        CU_ASSERT_EQUAL_FATAL(push_open(body.data, body.len, &a, &push, &err), 0);
        CU_ASSERT_EQUAL_FATAL(push_frame(&push, 0, c, &a, &b, &err), 0);
        CU_ASSERT_TRUE(same_batch(&STEPS[i].batch, &b));
        CU_ASSERT_EQUAL(b.base_seq, i);
        CU_ASSERT_EQUAL(b.n_retired, STEPS[i].retire ? 1 : 0);
        CU_ASSERT_TRUE(b.n_retired == 0 || b.retired[0] == STEPS[i].retire);
        for (size_t d = 0; d < b.n_declares; d++)
            CU_ASSERT_TRUE(declared < 4 && same_declare(&DECLARES[declared++], &b.declares[d]));
    }
    CU_ASSERT_EQUAL(declared, 4);
    buf_done(&frame);
    buf_done(&body);
    arena_done(&a);
    chain_in_free(c);
}

// --- the envelope ----------------------------------------------------------------------------

static void body_both_ways(void)
{
    static const uint8_t FRAME[] = {0x08, 0x01}; // seq 1, a key frame with nothing in it
    const uint8_t *frame = FRAME;
    size_t len = sizeof(FRAME);
    struct push_meta meta = {1, 1700000000000001, -2500, 800, 42};
    struct buf body, want;
    struct arena a;
    struct push p;
    uint64_t seq, base;

    buf_init(&body, 1 << 16);
    buf_init(&want, 1 << 16);
    arena_init(&a, 1 << 20);
    read_hex("push", &want);
    CU_ASSERT_EQUAL(push_encode(&SESSION, &meta, &frame, &len, 1, &body), 0);
    CU_ASSERT_TRUE(same_bytes("push", &body, &want));
    CU_ASSERT_EQUAL_FATAL(push_open(want.data, want.len, &a, &p, NULL), 0);
    CU_ASSERT_EQUAL(p.lane, 1);
    CU_ASSERT_EQUAL(p.id, 42);
    CU_ASSERT_EQUAL(p.sent_us, 1700000000000001);
    CU_ASSERT_EQUAL(p.clock_offset_us, -2500);
    CU_ASSERT_EQUAL(p.round_trip_us, 800);
    CU_ASSERT_EQUAL(memcmp(p.session.agent_id, SESSION.agent_id, 16), 0);
    CU_ASSERT_EQUAL(memcmp(p.session.boot_id, SESSION.boot_id, 16), 0);
    CU_ASSERT_EQUAL(p.session.epoch, 3);
    CU_ASSERT_EQUAL(p.session.nonce, SESSION.nonce);
    CU_ASSERT_EQUAL(p.session.newest_seq, 6);
    CU_ASSERT_EQUAL(p.session.oldest_seq, 1);
    CU_ASSERT_STRING_EQUAL(p.session.host, "web1");
    CU_ASSERT_STRING_EQUAL(p.session.version, "0.1.0");
    CU_ASSERT_EQUAL(p.session.protocol_max, 1);
    CU_ASSERT_EQUAL_FATAL(p.session.n_labels, 1);
    CU_ASSERT_STRING_EQUAL(p.session.labels[0].value, "prod");
    CU_ASSERT_EQUAL_FATAL(p.session.n_capabilities, 1);
    CU_ASSERT_STRING_EQUAL(p.session.capabilities[0], "bpf");
    CU_ASSERT_EQUAL_FATAL(p.session.n_samplers, 2);
    CU_ASSERT_STRING_EQUAL(p.session.samplers[0].name, "listeners");
    CU_ASSERT_EQUAL(p.session.samplers[0].interval_ms, 1000);
    CU_ASSERT_EQUAL_FATAL(p.n_frames, 1);
    CU_ASSERT_EQUAL(push_peek(&p, 0, &seq, &base), 0);
    CU_ASSERT_TRUE(seq == 1 && base == 0);
    buf_done(&body);
    buf_done(&want);
    arena_done(&a);
}

static void reply_both_ways(void)
{
    static const char *const FASTER[] = {"tocsin_service_accept_queue"};
    static const struct wire_threshold THRESHOLDS[] = {{"tocsin_service_rtt_seconds", 0.25}};
    const struct wire_reply r = {.accepted_seq = 300,
        .durable_seq = 200,
        .resume_from = 201,
        .resume_to = 250,
        .retry_after_ms = 1500,
        .goaway_after_ms = 9000,
        .need_key_frame = true,
        .push_id = 42,
        .sent_us = 1700000000000001,
        .received_us = 1700000000000401,
        .replied_us = 1700000000000501,
        .protocol = 1,
        .series_over_limit = 5,
        .frames_not_held = 1,
        .goaway_to = "c2:7312",
        .collector = "0.1.0",
        .reason = "too many series",
        .has_demand = true,
        .faster = FASTER,
        .n_faster = 1,
        .thresholds = THRESHOLDS,
        .n_thresholds = 1};
    struct buf body, want;
    struct arena a;
    struct wire_reply got;

    buf_init(&body, 1 << 16);
    buf_init(&want, 1 << 16);
    arena_init(&a, 1 << 20);
    read_hex("reply", &want);
    CU_ASSERT_EQUAL(reply_encode(&r, &body), 0);
    CU_ASSERT_TRUE(same_bytes("reply", &body, &want));
    CU_ASSERT_EQUAL_FATAL(reply_decode(want.data, want.len, &a, &got, NULL), 0);
    CU_ASSERT_TRUE(got.accepted_seq == 300 && got.durable_seq == 200 && got.resume_from == 201);
    CU_ASSERT_TRUE(
        got.resume_to == 250 && got.retry_after_ms == 1500 && got.goaway_after_ms == 9000);
    CU_ASSERT_TRUE(got.need_key_frame && got.push_id == 42 && got.sent_us == r.sent_us);
    CU_ASSERT_TRUE(got.received_us == r.received_us && got.replied_us == r.replied_us);
    CU_ASSERT_TRUE(got.protocol == 1 && got.series_over_limit == 5 && got.frames_not_held == 1);
    CU_ASSERT_STRING_EQUAL(got.goaway_to, "c2:7312");
    CU_ASSERT_STRING_EQUAL(got.collector, "0.1.0");
    CU_ASSERT_STRING_EQUAL(got.reason, "too many series");
    CU_ASSERT_TRUE_FATAL(got.has_demand && got.n_faster == 1 && got.n_thresholds == 1);
    CU_ASSERT_STRING_EQUAL(got.faster[0], FASTER[0]);
    CU_ASSERT_STRING_EQUAL(got.thresholds[0].name, THRESHOLDS[0].name);
    CU_ASSERT_EQUAL(got.thresholds[0].value, 0.25);
    buf_done(&body);
    buf_done(&want);
    arena_done(&a);
}

static void repair_both_ways(void)
{
    static const struct wire_label PARAMETERS[] = {{"instance", "web1"}, {"service", "nginx"}};
    static const struct wire_repair REPAIRS[] = {
        {"a1/1", "restart-nginx", "ServiceDown", PARAMETERS, 2, 30000},
        {"b2/1", "x", "", NULL, 0, 0}};
    const struct wire_reply r = {.accepted_seq = 1, .repairs = REPAIRS, .n_repairs = 2};
    struct buf body, want;
    struct arena a;
    struct wire_reply got;

    buf_init(&body, 1 << 16);
    buf_init(&want, 1 << 16);
    arena_init(&a, 1 << 20);
    read_hex("reply_repairs", &want);
    CU_ASSERT_EQUAL(reply_encode(&r, &body), 0);
    CU_ASSERT_TRUE(same_bytes("reply_repairs", &body, &want));
    CU_ASSERT_EQUAL_FATAL(reply_decode(want.data, want.len, &a, &got, NULL), 0);
    CU_ASSERT_EQUAL_FATAL(got.n_repairs, 2);
    CU_ASSERT_STRING_EQUAL(got.repairs[0].id, "a1/1");
    CU_ASSERT_STRING_EQUAL(got.repairs[0].action, "restart-nginx");
    CU_ASSERT_STRING_EQUAL(got.repairs[0].alert, "ServiceDown");
    CU_ASSERT_EQUAL(got.repairs[0].valid_ms, 30000);
    CU_ASSERT_EQUAL_FATAL(got.repairs[0].n_parameters, 2);
    CU_ASSERT_STRING_EQUAL(got.repairs[0].parameters[0].name, "instance");
    CU_ASSERT_STRING_EQUAL(got.repairs[0].parameters[1].value, "nginx");
    CU_ASSERT_EQUAL(got.repairs[1].n_parameters, 0);
    buf_done(&body);
    buf_done(&want);
    arena_done(&a);
}

static void empty_reply(void)
{
    struct wire_reply got;
    struct arena a;
    static const uint8_t NOTHING[1];

    arena_init(&a, 1 << 16);
    CU_ASSERT_EQUAL(reply_decode(NOTHING, 0, &a, &got, NULL), 0);
    CU_ASSERT_TRUE(!got.goaway_to && !got.collector && !got.reason && !got.has_demand);
    CU_ASSERT_EQUAL(got.n_repairs, 0);
    arena_done(&a);
}

static const struct test TESTS[] = {
    {"the chain of golden frames is encoded to these bytes", encodes_these_frames},
    {"the golden frames are decoded to these fields", decodes_these_frames},
    {"the golden body goes both ways", body_both_ways},
    {"the golden reply goes both ways", reply_both_ways},
    {"a golden reply that asks for repairs goes both ways", repair_both_ways},
    {"an empty reply says nothing", empty_reply},
};
int main(void)
{
    return test_main("golden", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
