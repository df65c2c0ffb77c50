// SPDX-License-Identifier: Apache-2.0
/*
 * Every ceiling and every rule a hostile peer could break, one by one. Messages are written here
 * byte by byte, since the encoder refuses to make them (the last tests show that it does).
 */
#include "tests/lib/run.h"
#include "wire/decode.h"
#include "wire/encode.h"
#include <errno.h>
#include <lz4.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

// --- writing protobuf by hand ----------------------------------------------------------------

static void put_varint(struct buf *b, uint64_t v)
{
    for (; v >= 0x80; v >>= 7)
        buf_addc(b, (char)(v | 0x80));
    buf_addc(b, (char)v);
}

static uint64_t zigzag(int64_t v)
{
    return (uint64_t)v << 1 ^ (v < 0 ? UINT64_MAX : 0);
}

static void put_u(struct buf *b, unsigned field, uint64_t v)
{
    put_varint(b, field << 3);
    put_varint(b, v);
}

static void put_bytes(struct buf *b, unsigned field, const void *data, size_t len)
{
    put_varint(b, field << 3 | 2);
    put_varint(b, len);
    buf_add(b, data, len);
}

static void put_text(struct buf *b, unsigned field, const char *text)
{
    put_bytes(b, field, text, strlen(text));
}

static void put_double(struct buf *b, unsigned field, double v)
{
    put_varint(b, field << 3 | 1);
    buf_add(b, &v, sizeof(v));
}

// Moves what `from` holds into a field of `to`.
static void put_nested(struct buf *to, unsigned field, struct buf *from)
{
    put_bytes(to, field, from->data, from->len);
    buf_done(from);
}

static void put_packed(struct buf *b, unsigned field, const uint32_t *v, size_t n)
{
    struct buf inner;

    buf_init(&inner, 1 << 20);
    for (size_t i = 0; i < n; i++)
        put_varint(&inner, v[i]);
    if (n > 0)
        put_nested(b, field, &inner);
}

static void put_packed_signed(struct buf *b, unsigned field, const int64_t *v, size_t n)
{
    struct buf inner;

    buf_init(&inner, 1 << 20);
    for (size_t i = 0; i < n; i++)
        put_varint(&inner, zigzag(v[i]));
    if (n > 0)
        put_nested(b, field, &inner);
}

static void put_declare(struct buf *frame, uint32_t id, const char *name, unsigned kind)
{
    struct buf m;

    buf_init(&m, 1 << 16);
    put_u(&m, 1, id);
    put_text(&m, 2, name);
    put_u(&m, 4, kind);
    put_nested(frame, 5, &m);
}

// A sound session with one change.
struct who {
    size_t agent_id, boot_id;
    const char *host;
    uint32_t protocol_min, protocol_max;
};
static const struct who WHO = {16, 16, "h", 1, 1};

static void put_session(struct buf *body, const struct who *who)
{
    static const uint8_t ID[32];
    struct buf m;

    buf_init(&m, 1 << 16);
    put_bytes(&m, 1, ID, who->agent_id);
    put_text(&m, 4, who->host);
    put_u(&m, 5, who->protocol_min);
    put_u(&m, 6, who->protocol_max);
    put_bytes(&m, 11, ID, who->boot_id);
    put_nested(body, 1, &m);
}

// --- frames ----------------------------------------------------------------------------------

struct end {
    struct chain_in *c;
    struct arena a;
    struct err err;
};

static void end_init(struct end *e)
{
    *e = (struct end){.c = chain_in_new()};
    arena_init(&e->a, 64 << 20);
}

static void end_done(struct end *e)
{
    chain_in_free(e->c);
    arena_done(&e->a);
}

static int feed(struct end *e, const struct buf *frame, struct batch *ret)
{
    struct buf body;
    struct push p;
    struct batch b;

    buf_init(&body, WIRE_UNPACKED_MAX);
    put_session(&body, &WHO);
    put_bytes(&body, 3, frame->data, frame->len);
    int rc = push_open(body.data, body.len, &e->a, &p, &e->err);
    CU_ASSERT_EQUAL_FATAL(rc, 0);
    rc = push_frame(&p, 0, e->c, &e->a, ret ? ret : &b, &e->err);
    buf_done(&body);
    return rc;
}

static void put_head(struct buf *frame, uint64_t seq, uint64_t base)
{
    buf_init(frame, WIRE_UNPACKED_MAX);
    put_u(frame, 1, seq);
    put_u(frame, 2, base);
    put_u(frame, 3, 1000);
}

struct histogram_spec {
    uint32_t id;
    bool absolute, reset;
    int scale;
    double zero_threshold;
    int64_t zero_delta, indexes[4], deltas[4];
    size_t n_indexes, n_deltas;
};

struct group_spec {
    const char *says; // NULL: it is sound
    uint32_t runs[6];
    size_t n_runs;
    uint8_t kinds[4];
    size_t n_kinds;
    int64_t ints[4];
    size_t n_ints, n_raws;
    uint32_t resets[3], stale[3];
    size_t n_resets, n_stale;
    struct histogram_spec histograms[2];
    size_t n_histograms;
    uint32_t interval_ms;
    int64_t stamp_ms;
};

static void put_histogram(struct buf *group, const struct histogram_spec *h)
{
    struct buf m;

    buf_init(&m, 1 << 16);
    put_u(&m, 1, h->id);
    put_u(&m, 2, h->absolute);
    put_u(&m, 3, zigzag(h->scale));
    put_double(&m, 4, h->zero_threshold);
    put_u(&m, 5, zigzag(h->zero_delta));
    put_packed_signed(&m, 6, h->indexes, h->n_indexes);
    put_packed_signed(&m, 7, h->deltas, h->n_deltas);
    put_u(&m, 9, h->reset);
    put_nested(group, 10, &m);
}

static void put_group(struct buf *frame, const struct group_spec *g)
{
    static const double RAWS[4] = {1, 2, 3, 4};
    struct buf m;

    buf_init(&m, 1 << 20);
    put_u(&m, 1, g->interval_ms);
    put_u(&m, 3, zigzag(g->stamp_ms));
    put_packed(&m, 4, g->runs, g->n_runs);
    put_bytes(&m, 5, g->kinds, g->n_kinds);
    put_packed_signed(&m, 6, g->ints, g->n_ints);
    put_bytes(&m, 7, RAWS, g->n_raws * sizeof(double));
    put_packed(&m, 8, g->resets, g->n_resets);
    put_packed(&m, 9, g->stale, g->n_stale);
    for (size_t i = 0; i < g->n_histograms; i++)
        put_histogram(&m, &g->histograms[i]);
    put_nested(frame, 7, &m);
}

// Ids 1 (10), 2 (no value), 3 (histogram, bucket 4 has 5), 5 (2^53); 4 is not declared.
static void seed(struct end *e)
{
    struct chain_out *out = chain_out_new();
    struct wire_histogram h = {4, 0, 1, 0, 1, (const int32_t[]){4}, (const uint64_t[]){5}};
    struct batch_sample samples[] = {{1, SAMPLE_VALUE, false, 10, NULL},
        {3, SAMPLE_HISTOGRAM, false, 0, &h},
        {5, SAMPLE_VALUE, false, 9007199254740992.0, NULL}};
    struct batch_group group = {1000, 1, 1000, samples, 3};
    struct batch b = {.seq = 1, .wall_ms = 1000};
    struct buf frame;
    bool key;

    buf_init(&frame, 1 << 16);
    for (uint32_t id = 1; id <= 5; id++) {
        struct batch_declare d = {
            id, "x", NULL, 0, id == 3 ? SERIES_HISTOGRAM : SERIES_COUNTER, ""};
        CU_ASSERT_EQUAL(chain_out_declare(out, &d), 0);
    }
    CU_ASSERT_EQUAL(chain_out_retire(out, 4), 0);
    CU_ASSERT_EQUAL(chain_out_encode(out, &b, &frame, &key), 0);
    buf_reset(&frame);
    b = (struct batch){
        .seq = 3, .wall_ms = 1000, .groups = &group, .n_groups = 1}; // a gap: key frame
    CU_ASSERT_EQUAL(chain_out_encode(out, &b, &frame, &key), 0);
    CU_ASSERT_TRUE(key);
    CU_ASSERT_EQUAL_FATAL(feed(e, &frame, NULL), 0);
    CU_ASSERT_EQUAL(chain_in_seq(e->c), 3);
    buf_done(&frame);
    chain_out_free(out);
}

#define RUNS(...)  .runs = {__VA_ARGS__}, .n_runs = sizeof((uint32_t[]){__VA_ARGS__}) / 4
#define KINDS(...) .kinds = {__VA_ARGS__}, .n_kinds = sizeof((uint8_t[]){__VA_ARGS__})
#define CELL(...)  .histograms = {{__VA_ARGS__}}, .n_histograms = 1
#define ABS        .id = 3, .absolute = true

static const struct group_spec GROUPS[] = {
    {NULL, RUNS(0, 2), KINDS(0x0e), .n_raws = 1,
        CELL(.id = 3, .indexes = {4}, .n_indexes = 1, .deltas = {-5}, .n_deltas = 1)},
    {NULL, RUNS(0, 1), KINDS(0x01), .ints = {-11}, .n_ints = 1, .resets = {1}, .n_resets = 1,
        .stale = {2, 3, 5}, .n_stale = 3},
    {"pairs", RUNS(0), KINDS(0x02), .n_raws = 1},
    {"a run of ids", RUNS(0, 0)},
    {"a run of ids", RUNS(0, 6), KINDS(0, 0)},
    {"a run of ids", RUNS(5, 1), KINDS(0x02), .n_raws = 1},
    {"a run of ids", RUNS(UINT32_MAX, UINT32_MAX), KINDS(0x02)},
    {"a run of ids", RUNS(0, 1, UINT32_MAX, 1), KINDS(0x02)},
    {"bytes of kinds", RUNS(0, 1)},
    {"bytes of kinds", RUNS(0, 1), KINDS(0x02, 0), .n_raws = 1},
    {"kinds for more", RUNS(0, 1), KINDS(0x0a), .n_raws = 1},
    {"id 4 is not declared", RUNS(3, 1), KINDS(0x02), .n_raws = 1},
    {"id 2 without a last value", RUNS(1, 1), KINDS(0x00)},
    {"id 2 without a last value", RUNS(1, 1), KINDS(0x01), .ints = {1}, .n_ints = 1},
    {"id 3 without a last value", RUNS(2, 1), KINDS(0x00)},
    {"a histogram's", RUNS(2, 1), KINDS(0x02), .n_raws = 1},
    {"fewer integers", RUNS(0, 1), KINDS(0x01)},
    {"fewer doubles", RUNS(0, 1), KINDS(0x02)},
    {"more numbers", RUNS(0, 1), KINDS(0x02), .n_raws = 2},
    {"more numbers", RUNS(0, 1), KINDS(0x00), .ints = {1}, .n_ints = 1},
    {"out of range", RUNS(4, 1), KINDS(0x01), .ints = {1}, .n_ints = 1},
    {"out of range", RUNS(4, 1), KINDS(0x01), .ints = {INT64_MAX}, .n_ints = 1},
    {"reset of id 2", RUNS(0, 1), KINDS(0x00), .resets = {2}, .n_resets = 1},
    {"reset of id 1", RUNS(0, 1), KINDS(0x00), .resets = {1, 1}, .n_resets = 2},
    {"reset of id 1", .stale = {1}, .n_stale = 1, .resets = {1}, .n_resets = 1},
    {"id 1 is there twice", RUNS(0, 1), KINDS(0x00), .stale = {1}, .n_stale = 1},
    {"id 0 is not declared", .stale = {0}, .n_stale = 1},
    {"id 4 is not declared", .stale = {4}, .n_stale = 1},
    {"is not declared", .stale = {UINT32_MAX}, .n_stale = 1},
    {"not in rising order", .stale = {2, 1}, .n_stale = 2},
    {"id 3 is not declared, or not in", .stale = {3}, .n_stale = 1, CELL(ABS)},
    {"id 1 is not a histogram", CELL(.id = 1, .absolute = true)},
    {"id 9 is not declared", CELL(.id = 9, .absolute = true)},
    {"fields of an absolute one", CELL(.id = 3, .reset = true)},
    {"fields of an absolute one", CELL(.id = 3, .scale = 4)},
    {"differ in number",
        CELL(ABS, .indexes = {1, 0}, .n_indexes = 2, .deltas = {1}, .n_deltas = 1)},
    {"do not rise",
        CELL(ABS, .indexes = {1, -1}, .n_indexes = 2, .deltas = {1, 1}, .n_deltas = 2)},
    {"bucket number", CELL(ABS, .indexes = {WIRE_INDEX_MAX + 1}, .n_indexes = 1, .deltas = {1},
                          .n_deltas = 1)},
    {"bucket number",
        CELL(ABS, .indexes = {1, INT32_MAX}, .n_indexes = 2, .deltas = {1, 1}, .n_deltas = 2)},
    {"turns negative",
        CELL(.id = 3, .indexes = {4}, .n_indexes = 1, .deltas = {-6}, .n_deltas = 1)},
    {"turns negative",
        CELL(.id = 3, .indexes = {5}, .n_indexes = 1, .deltas = {-1}, .n_deltas = 1)},
    {"turns negative", CELL(.id = 3, .zero_delta = -1)},
    {"overflow",
        CELL(.id = 3, .indexes = {4}, .n_indexes = 1, .deltas = {INT64_MAX}, .n_deltas = 1)},
    {"counts overflow", CELL(ABS, .zero_delta = INT64_MAX, .indexes = {4}, .n_indexes = 1,
                            .deltas = {1}, .n_deltas = 1)},
    {"scale", CELL(ABS, .scale = 9)},
    {"scale", CELL(ABS, .scale = -5)},
    {"zero threshold", CELL(ABS, .zero_threshold = -1)},
    {"zero threshold", CELL(ABS, .zero_threshold = NAN)},
    {"interval or stamp", .interval_ms = WIRE_INTERVAL_MS_MAX + 1},
    {"interval or stamp", .stamp_ms = WIRE_STAMP_SPREAD_MS + 1},
    {"interval or stamp", .stamp_ms = -WIRE_STAMP_SPREAD_MS - 1},
};

static void expect(struct end *e, const struct buf *frame, const char *says)
{
    int rc = feed(e, frame, NULL);

    if (!says) {
        CU_ASSERT_EQUAL(rc, 0);
        return;
    }
    CU_ASSERT_EQUAL(rc, -EBADMSG);
    CU_ASSERT_EQUAL(chain_in_seq(e->c), 0); // nothing half applied is built upon
    if (rc == 0 || !strstr(e->err.msg, says)) {
        CU_FAIL("another message than this");
        printf("wanted \"%s\", got %d \"%s\"\n", says, rc, rc ? e->err.msg : "");
    }
}

static void groups_refused(void)
{
    for (size_t i = 0; i < sizeof(GROUPS) / sizeof(GROUPS[0]); i++) {
        struct end e;
        struct buf frame;
        end_init(&e);
        seed(&e);
        put_head(&frame, 4, 3);
        put_group(&frame, &GROUPS[i]);
        expect(&e, &frame, GROUPS[i].says);
        if (GROUPS[i].says) // an empty chain says so
            CU_ASSERT_EQUAL(feed(&e, &frame, NULL), -ESTALE);
        buf_done(&frame);
        end_done(&e);
    }
}

static void repeat(struct buf *b, char ch, size_t n)
{
    for (size_t i = 0; i < n; i++)
        buf_addc(b, ch);
}

static void declares_refused(void)
{
    static char long_name[WIRE_NAME_MAX + 2], long_value[WIRE_VALUE_MAX + 2];
    memset(long_name, 'a', WIRE_NAME_MAX + 1);
    memset(long_value, 'a', WIRE_VALUE_MAX + 1);
    const struct {
        const char *says;
        uint32_t id;
        const char *name, *unit, *labels[4];
    } cases[] = {
        {NULL, 6, "a:b_1", "By", {"a", "\xf0\x9f\x98\x80", "b", "1"}},
        {"not above", 5, "x", "", {0}},
        {"not above", 0, "x", "", {0}},
        {"not above", WIRE_ID_MAX + 1, "x", "", {0}},
        {"metric name", 6, "", "", {0}},
        {"metric name", 6, "1a", "", {0}},
        {"metric name", 6, "a-b", "", {0}},
        {"metric name", 6, "\xc3\xa9", "", {0}},
        {"metric name", 6, long_name, "", {0}},
        {"unit", 6, "x", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", {0}},
        {"unit", 6, "x", "\xff", {0}},
        {"label name", 6, "x", "", {"a:b", "1"}},
        {"collector's to set", 6, "x", "", {"instance", "1"}},
        {"collector's to set", 6, "x", "", {"__name__", "1"}},
        {"sorted", 6, "x", "", {"b", "1", "a", "1"}},
        {"sorted", 6, "x", "", {"a", "1", "a", "2"}},
        {"label value", 6, "x", "", {"a", ""}},
        {"label value", 6, "x", "", {"a", "\xc0\x80"}},
        {"label value", 6, "x", "", {"a", "\xed\xa0\x80"}},
        {"label value", 6, "x", "", {"a", "\xf4\x90\x80\x80"}},
        {"label value", 6, "x", "", {"a", "\xe2\x82"}},
        {"label value", 6, "x", "", {"a", long_value}},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct end e;
        struct buf frame, m;
        end_init(&e);
        seed(&e);
        put_head(&frame, 4, 3);
        buf_init(&m, 1 << 16);
        put_u(&m, 1, cases[i].id);
        put_text(&m, 2, cases[i].name);
        put_text(&m, 5, cases[i].unit);
        for (size_t k = 0; k < 4 && cases[i].labels[k]; k += 2) {
            struct buf label;
            buf_init(&label, 1 << 16);
            put_text(&label, 1, cases[i].labels[k]);
            put_text(&label, 2, cases[i].labels[k + 1]);
            put_nested(&m, 3, &label);
        }
        put_nested(&frame, 5, &m);
        expect(&e, &frame, cases[i].says);
        buf_done(&frame);
        end_done(&e);
    }
}

// One frame that breaks one ceiling; n picks it.
static const char *make_frame(int n, struct buf *frame)
{
    static const struct group_spec EMPTY = {0};
    struct buf m;

    put_head(frame, 4, 3);
    buf_init(&m, 1 << 20);
    switch (n) {
    case 0: put_u(frame, 1, 3); return "is not a Frame";        // seq not above base
    case 1: put_u(frame, 3, UINT64_MAX); return "out of range"; // before 1970
    case 2: put_u(frame, 3, WIRE_WALL_MS_MAX + 1); return "out of range";
    case 3:
        for (int i = 0; i <= WIRE_GROUPS_MAX; i++)
            put_group(frame, &EMPTY);
        return "out of range";
    case 4:
        for (int i = 0; i <= WIRE_EVENTS_MAX; i++)
            put_bytes(frame, 8, "\x10\x01", 2);
        return "events";
    case 5: put_bytes(frame, 8, "", 0); return "without a kind";
    case 6:
        put_u(&m, 2, 1);
        put_varint(&m, 5 << 3 | 2);
        put_varint(&m, WIRE_DETAIL_MAX + 1);
        repeat(&m, 'a', WIRE_DETAIL_MAX + 1);
        put_nested(frame, 8, &m);
        return "event's text";
    case 7: put_packed(frame, 6, (const uint32_t[]){4}, 1); return "retired id 4";
    case 8: put_packed(frame, 6, (const uint32_t[]){0}, 1); return "retired id 0";
    case 9: put_packed(frame, 6, (const uint32_t[]){2, 1}, 2); return "retired id 1";
    case 10: put_packed(frame, 6, (const uint32_t[]){2, 2}, 2); return "retired id 2";
    case 11:
        put_u(&m, 1, 6);
        put_text(&m, 2, "x");
        for (int i = 0; i <= WIRE_LABELS_MAX; i++)
            put_bytes(&m, 3, "", 0);
        put_nested(frame, 5, &m);
        return "too many labels";
    case 12: buf_addc(frame, '\x0c'); return "is not a Frame"; // wire type 4
    case 13: buf_add(frame, "\x3a\x7f", 2); return "is not a Frame";
    case 14: put_bytes(frame, 7, "\xff", 1); return "not a Frame message";
    case 15:
        for (int i = 0; i <= WIRE_REPAIRS_MAX; i++)
            put_bytes(frame, 10, "\x0a\x01x\x10\x01", 5);
        return "repair results";
    case 16: put_bytes(frame, 10, "\x0a\x01x", 3); return "without an outcome";
    case 17: put_bytes(frame, 10, "\x10\x01", 2); return "id is none";
    case 18: put_bytes(frame, 10, "\x0a\x01 \x10\x01", 5); return "id is none";
    case 19:
        put_text(&m, 1, "x");
        put_u(&m, 2, 1);
        put_varint(&m, 5 << 3 | 2);
        put_varint(&m, WIRE_REPAIR_OUTPUT_MAX + 1);
        repeat(&m, 'a', WIRE_REPAIR_OUTPUT_MAX + 1);
        put_nested(frame, 10, &m);
        return "output is too long";
    default: return NULL;
    }
}

static void frames_refused(void)
{
    for (int i = 0;; i++) {
        struct end e;
        struct buf frame;
        end_init(&e);
        seed(&e);
        const char *says = make_frame(i, &frame);
        expect(&e, &frame, says);
        buf_done(&frame);
        end_done(&e);
        if (!says)
            break;
    }
}

static void too_many_samples(void)
{
    static uint8_t kinds[WIRE_ID_MAX / 4];
    const uint32_t run[] = {0, WIRE_ID_MAX};
    struct end e;
    struct buf frame;

    memset(kinds, 0xff, sizeof(kinds)); // absent
    for (int groups = 2; groups <= 3; groups++) {
        end_init(&e);
        put_head(&frame, 1, 0);
        for (uint32_t id = 1; id <= WIRE_ID_MAX; id++)
            put_declare(&frame, id, "x", 0);
        for (int g = 0; g < groups; g++) {
            struct buf m;
            buf_init(&m, 1 << 20);
            put_packed(&m, 4, run, 2);
            put_bytes(&m, 5, kinds, sizeof(kinds));
            put_nested(&frame, 7, &m);
        }
        // Over a million bytes: as a body it would need lz4.
        struct push p = {0};
        struct buf body, list;
        buf_init(&list, WIRE_UNPACKED_MAX);
        buf_init(&body, WIRE_BODY_MAX);
        put_bytes(&list, 1, frame.data, frame.len);
        char *block = malloc(WIRE_BODY_MAX);
        int n = LZ4_compress_default((char *)list.data, block, (int)list.len, WIRE_BODY_MAX);
        put_session(&body, &WHO);
        put_bytes(&body, 4, block, (size_t)n);
        put_u(&body, 5, list.len);
        struct batch b;
        CU_ASSERT_EQUAL_FATAL(push_open(body.data, body.len, &e.a, &p, &e.err), 0);
        CU_ASSERT_EQUAL(push_frame(&p, 0, e.c, &e.a, &b, &e.err), groups == 2 ? 0 : -EBADMSG);
        CU_ASSERT_TRUE(groups == 2 || strstr(e.err.msg, "too many samples"));
        free(block);
        buf_done(&list);
        buf_done(&body);
        buf_done(&frame);
        end_done(&e);
    }
}

// As many full histograms as a session may hold, and one more; both ends draw the same line.
static void too_many_buckets(void)
{
    enum { FIT = WIRE_CHAIN_BUCKETS_MAX / (WIRE_BUCKETS_MAX + 16), ALL = FIT + 1 };
    static int32_t index[WIRE_BUCKETS_MAX + 1];
    static uint64_t count[WIRE_BUCKETS_MAX + 1];
    static int64_t zeros[WIRE_BUCKETS_MAX + 1], ones[WIRE_BUCKETS_MAX + 1];
    struct chain_out *out = chain_out_new();
    struct batch_sample samples[ALL];
    struct batch_group group = {1000, 1, 1000, samples, FIT};
    struct batch b = {.seq = 1, .wall_ms = 1000, .groups = &group, .n_groups = 1};
    struct wire_histogram h = {4, 0, 1, 0, WIRE_BUCKETS_MAX, index, count};
    struct buf frame;
    struct end e;
    bool key;

    buf_init(&frame, WIRE_UNPACKED_MAX);
    end_init(&e);
    for (int i = 0; i <= WIRE_BUCKETS_MAX; i++) {
        index[i] = i;
        count[i] = 1;
        ones[i] = 1;
    }
    for (uint32_t id = 1; id <= ALL; id++) {
        struct batch_declare d = {id, "x", NULL, 0, SERIES_HISTOGRAM, ""};
        samples[id - 1] = (struct batch_sample){id, SAMPLE_HISTOGRAM, false, 0, &h};
        CU_ASSERT_EQUAL(chain_out_declare(out, &d), 0);
    }
    CU_ASSERT_EQUAL(chain_out_encode(out, &b, &frame, &key), 0);
    CU_ASSERT_EQUAL(feed(&e, &frame, NULL), 0);
    buf_done(&frame);
    put_head(&frame, 2, 1);
    struct buf g, m;
    buf_init(&m, 1 << 20);
    buf_init(&g, 1 << 20);
    put_u(&m, 1, ALL);
    put_u(&m, 2, 1);
    put_packed_signed(&m, 6, zeros, WIRE_BUCKETS_MAX);
    put_packed_signed(&m, 7, ones, WIRE_BUCKETS_MAX);
    put_nested(&g, 10, &m);
    put_nested(&frame, 7, &g);
    expect(&e, &frame, "in one session");
    group.n = ALL;
    b.seq = 2;
    CU_ASSERT_EQUAL(chain_out_encode(out, &b, &frame, &key), -EINVAL);
    h.n++;
    group.n = 1;
    CU_ASSERT_EQUAL(chain_out_encode(out, &b, &frame, &key), -EINVAL);
    buf_done(&frame);
    end_done(&e);
    chain_out_free(out);
}

// --- bodies and replies ----------------------------------------------------------------------

static int open_rc(const struct buf *body, struct err *err)
{
    struct arena a;
    struct push p;

    arena_init(&a, 16 << 20);
    int rc = push_open(body->data, body->len, &a, &p, err);
    arena_done(&a);
    return rc;
}

static void sessions_refused(void)
{
    static char long_host[WIRE_HOST_MAX + 2];
    memset(long_host, 'h', WIRE_HOST_MAX + 1);
    const struct {
        int rc;
        struct who who;
    } cases[] = {
        {0, {16, 16, "h", 1, 1}},
        {0, {16, 16, "h", 0, 9}},
        {-EBADMSG, {15, 16, "h", 1, 1}},
        {-EBADMSG, {17, 16, "h", 1, 1}},
        {-EBADMSG, {16, 0, "h", 1, 1}},
        {-EBADMSG, {16, 16, "", 1, 1}},
        {-EBADMSG, {16, 16, "\xff", 1, 1}},
        {-EBADMSG, {16, 16, long_host, 1, 1}},
        {-EPROTONOSUPPORT, {16, 16, "h", 2, 3}},
        {-EPROTONOSUPPORT, {16, 16, "h", 0, 0}},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buf body;
        struct err err = {0};
        buf_init(&body, WIRE_BODY_MAX);
        put_session(&body, &cases[i].who);
        CU_ASSERT_EQUAL(open_rc(&body, &err), cases[i].rc);
        buf_done(&body);
    }
}

static const char *make_body(int n, struct buf *body)
{
    static const char PLAIN[200];
    char block[256];
    int len = LZ4_compress_default(PLAIN, block, sizeof(PLAIN), sizeof(block));

    put_session(body, &WHO);
    switch (n) {
    case 0: put_u(body, 2, 2); return "lane";
    case 1:
        put_bytes(body, 3, "\x08\x01", 2);
        put_bytes(body, 4, block, (size_t)len);
        put_u(body, 5, 200);
        return "in one body";
    case 2: put_bytes(body, 4, block, (size_t)len); return "uncompressed size";
    case 3:
        put_bytes(body, 4, block, (size_t)len);
        put_u(body, 5, WIRE_UNPACKED_MAX + 1);
        return "uncompressed size";
    case 4:
        put_bytes(body, 4, block, (size_t)len);
        put_u(body, 5, 201);
        return "lz4 block";
    case 5:
        put_bytes(body, 4, block, (size_t)len);
        put_u(body, 5, 199);
        return "lz4 block";
    case 6:
        put_bytes(body, 4, block, (size_t)len);
        put_u(body, 5, 200);
        return "FrameList"; // zeros are no message
    case 7:
        for (int i = 0; i <= WIRE_FRAMES_MAX; i++)
            put_bytes(body, 3, "\x08\x01", 2);
        return "frames in one body";
    case 8: repeat(body, 'x', WIRE_BODY_MAX); return "at most";
    case 9: buf_reset(body); return "agent_id";
    case 10: buf_addc(body, '\xff'); return "not a Push";
    default: return NULL;
    }
}

static void bodies_refused(void)
{
    for (int i = 0;; i++) {
        struct buf body;
        struct err err = {0};
        buf_init(&body, WIRE_UNPACKED_MAX);
        const char *says = make_body(i, &body);
        CU_ASSERT_EQUAL(open_rc(&body, &err), says ? -EBADMSG : 0);
        CU_ASSERT_TRUE(!says || strstr(err.msg, says));
        buf_done(&body);
        if (!says)
            break;
    }
}

static void replies_refused(void)
{
    static const char *names[WIRE_DEMANDS_MAX + 1];
    struct wire_reply r = {.faster = names, .n_faster = 1}, got;
    struct buf b;
    struct arena a;

    buf_init(&b, WIRE_UNPACKED_MAX);
    arena_init(&a, 16 << 20);
    names[0] = "not a name";
    CU_ASSERT_EQUAL(reply_encode(&r, &b), -EINVAL);
    CU_ASSERT_EQUAL(b.len, 0);
    for (int i = 0; i <= WIRE_DEMANDS_MAX; i++)
        names[i] = "x";
    r.n_faster = WIRE_DEMANDS_MAX + 1;
    CU_ASSERT_EQUAL(reply_encode(&r, &b), -EINVAL);
    r.n_faster = WIRE_DEMANDS_MAX;
    CU_ASSERT_EQUAL(reply_encode(&r, &b), 0);
    CU_ASSERT_EQUAL(reply_decode(b.data, b.len, &a, &got, NULL), 0);
    CU_ASSERT_EQUAL(got.n_faster, WIRE_DEMANDS_MAX);
    struct buf demand;
    buf_init(&demand, 1 << 16);
    put_text(&demand, 1, "not a name");
    buf_reset(&b);
    put_nested(&b, 6, &demand);
    CU_ASSERT_EQUAL(reply_decode(b.data, b.len, &a, &got, NULL), -EBADMSG);
    buf_reset(&b);
    put_text(&b, 5, "\xff");
    CU_ASSERT_EQUAL(reply_decode(b.data, b.len, &a, &got, NULL), -EBADMSG);
    buf_done(&b);
    arena_done(&a);
}

static void repairs_refused(void)
{
    struct wire_label labels[WIRE_REPAIR_PARAMETERS_MAX + 1] = {{"b", "1"}, {"a", "1"}};
    struct wire_repair repairs[WIRE_REPAIRS_MAX + 1] = {{.id = "x", .action = "restart"}},
                                                  *one = repairs;
    struct wire_reply r = {.repairs = repairs, .n_repairs = 1}, got;
    struct buf b, m;
    struct arena a;

    buf_init(&b, WIRE_UNPACKED_MAX);
    arena_init(&a, 16 << 20);
    CU_ASSERT_EQUAL(reply_encode(&r, &b), 0);
    one->parameters = labels;
    one->n_parameters = 2;
    CU_ASSERT_EQUAL(reply_encode(&r, &b), -EINVAL); // not sorted
    labels[1].name = "b";
    CU_ASSERT_EQUAL(reply_encode(&r, &b), -EINVAL); // one twice
    labels[1].name = "c:d";
    CU_ASSERT_EQUAL(reply_encode(&r, &b), -EINVAL);
    labels[1] = (struct wire_label){"instance", "web1"};
    CU_ASSERT_EQUAL(reply_encode(&r, &b), 0);
    labels[1].value = "";
    CU_ASSERT_EQUAL(reply_encode(&r, &b), -EINVAL);
    one->n_parameters = WIRE_REPAIR_PARAMETERS_MAX + 1;
    CU_ASSERT_EQUAL(reply_encode(&r, &b), -EINVAL);
    one->n_parameters = 0;
    one->action = "rm -rf";
    CU_ASSERT_EQUAL(reply_encode(&r, &b), -EINVAL);
    one->action = "../x";
    CU_ASSERT_EQUAL(reply_encode(&r, &b), -EINVAL);
    one->action = "restart";
    one->id = "";
    CU_ASSERT_EQUAL(reply_encode(&r, &b), -EINVAL);
    one->id = "x/1";
    one->valid_ms = WIRE_REPAIR_VALID_MS_MAX + 1;
    CU_ASSERT_EQUAL(reply_encode(&r, &b), -EINVAL);
    one->valid_ms = 1;
    for (size_t i = 1; i <= WIRE_REPAIRS_MAX; i++)
        repairs[i] = *one;
    r.n_repairs = WIRE_REPAIRS_MAX + 1;
    CU_ASSERT_EQUAL(reply_encode(&r, &b), -EINVAL);
    r.n_repairs = WIRE_REPAIRS_MAX;
    buf_reset(&b);
    CU_ASSERT_EQUAL(reply_encode(&r, &b), 0);
    CU_ASSERT_EQUAL(reply_decode(b.data, b.len, &a, &got, NULL), 0);
    CU_ASSERT_EQUAL(got.n_repairs, WIRE_REPAIRS_MAX);
    put_bytes(&b, 17, "\x0a\x01x\x12\x01x", 6);
    CU_ASSERT_EQUAL(reply_decode(b.data, b.len, &a, &got, NULL), -EBADMSG); // one too many
    for (int i = 0; i < 2; i++) { // an action that is none, too many parameters
        buf_reset(&b);
        buf_init(&m, 1 << 16);
        put_text(&m, 1, "x");
        put_text(&m, 2, i ? "x" : "a b");
        for (int k = 0; k <= WIRE_REPAIR_PARAMETERS_MAX * i; k++)
            put_bytes(&m, 3, "\x0a\x01x\x12\x01x", 6);
        put_nested(&b, 17, &m);
        CU_ASSERT_EQUAL(reply_decode(b.data, b.len, &a, &got, NULL), -EBADMSG);
    }
    buf_done(&b);
    arena_done(&a);
}

// --- the encoder refuses too -----------------------------------------------------------------

static void encoder_declares(void)
{
    struct chain_out *c = chain_out_new();
    struct wire_label label = {"a", "1"};
    struct batch_declare d = {1, "x", &label, 1, SERIES_GAUGE, ""};

    label.value = "";
    CU_ASSERT_EQUAL(chain_out_declare(c, &d), -EINVAL);
    label = (struct wire_label){"instance", "1"};
    CU_ASSERT_EQUAL(chain_out_declare(c, &d), -EINVAL);
    label.name = "a";
    d.name = "a b";
    CU_ASSERT_EQUAL(chain_out_declare(c, &d), -EINVAL);
    d.name = "x";
    d.id = 2;
    CU_ASSERT_EQUAL(chain_out_declare(c, &d), -EINVAL); // out of turn
    for (d.id = 1; d.id <= WIRE_ID_MAX; d.id++)
        CU_ASSERT_EQUAL_FATAL(chain_out_declare(c, &d), 0);
    CU_ASSERT_EQUAL(chain_out_declare(c, &d), -ENOSPC);
    CU_ASSERT_EQUAL(chain_out_retire(c, 0), -EINVAL);
    CU_ASSERT_EQUAL(chain_out_retire(c, WIRE_ID_MAX + 1), -EINVAL);
    chain_out_free(c);
}

static void encoder_batches(void)
{
    struct chain_out *c = chain_out_new();
    struct batch_declare d = {1, "x", NULL, 0, SERIES_GAUGE, ""};
    struct wire_histogram h = {.scale = 4};
    struct batch_sample s[2] = {
        {1, SAMPLE_VALUE, false, 1, NULL}, {1, SAMPLE_VALUE, false, 1, NULL}};
    struct batch_event event = {1, 1, 0, "", ""};
    struct batch_group g = {1000, 1, 1000, s, 1};
    struct batch b = {.seq = 1,
        .wall_ms = 1000,
        .groups = &g,
        .n_groups = 1,
        .events = &event,
        .n_events = 1};
    struct buf out;
    bool key;

    buf_init(&out, 8);
    CU_ASSERT_EQUAL(chain_out_declare(c, &d), 0);
    CU_ASSERT_EQUAL(chain_out_encode(c, &b, &out, &key), -EMSGSIZE);
    CU_ASSERT_EQUAL(out.len, 0);
    buf_done(&out);
    buf_init(&out, 1 << 16);
    g.n = 2;
    CU_ASSERT_EQUAL(chain_out_encode(c, &b, &out, &key), -EINVAL); // one id twice
    g.n = 1;
    s[0] = (struct batch_sample){1, SAMPLE_HISTOGRAM, false, 0, &h};
    CU_ASSERT_EQUAL(chain_out_encode(c, &b, &out, &key), -EINVAL); // a gauge
    s[0].kind = SAMPLE_VALUE;
    g.stamp_ms = 1001 + WIRE_STAMP_SPREAD_MS;
    CU_ASSERT_EQUAL(chain_out_encode(c, &b, &out, &key), -EINVAL);
    g.stamp_ms = 1000;
    event.detail = "\xff";
    CU_ASSERT_EQUAL(chain_out_encode(c, &b, &out, &key), -EINVAL);
    event.detail = NULL;
    struct wire_repair_result results[WIRE_REPAIRS_MAX + 1] = {{.id = "x"}};
    b.repairs = results;
    b.n_repairs = 1;
    CU_ASSERT_EQUAL(chain_out_encode(c, &b, &out, &key), -EINVAL); // no outcome
    results[0].outcome = REPAIR_EXITED;
    b.n_repairs = WIRE_REPAIRS_MAX + 1;
    CU_ASSERT_EQUAL(chain_out_encode(c, &b, &out, &key), -EINVAL);
    b.n_repairs = 1;
    CU_ASSERT_EQUAL(chain_out_encode(c, &b, &out, &key), 0);
    CU_ASSERT_TRUE(key);
    buf_done(&out);
    chain_out_free(c);
}

static const struct test TESTS[] = {
    {"a group that breaks a rule is refused and empties the chain", groups_refused},
    {"a declare that breaks a rule is refused", declares_refused},
    {"a frame that breaks a ceiling is refused", frames_refused},
    {"a frame has at most so many samples", too_many_samples},
    {"a session holds at most so many buckets", too_many_buckets},
    {"a session that is none is refused, another protocol is told apart", sessions_refused},
    {"a body that breaks a rule is refused", bodies_refused},
    {"a reply that breaks a rule is refused both ways", replies_refused},
    {"a repair that breaks a rule is refused both ways", repairs_refused},
    {"the encoder refuses what the decoder would, declaring", encoder_declares},
    {"the encoder refuses what the decoder would, in batches", encoder_batches},
};
int main(void)
{
    return test_main("limits", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
