// SPDX-License-Identifier: Apache-2.0
#include "tests/lib/run.h"
#include "wire/live.h"
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct live_head HEAD = {LIVE_POINTS, LIVE_FLAG_SNAPSHOT, 0x0201, 0x06050403, 1.5};
static const struct live_points POINTS = {
    2, 1, (const double[]){1000, 2000}, (const uint32_t[]){7}, (const double[]){0.5, -0.0}};
// What web/ reads; a change here is a change there.
static const uint8_t BYTES[] = {
    3, 1, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0, 0, 0, 0, 0, 0, 0xf8, 0x3f, // header
    2, 0, 0, 0, 1, 0, 0, 0,                                                 // rows, columns
    0, 0, 0, 0, 0, 0x40, 0x8f, 0x40, 0, 0, 0, 0, 0, 0x40, 0x9f, 0x40,       // t_ms
    7, 0, 0, 0,                                                             // id
    0, 0, 0, 0, 0, 0, 0xe0, 0x3f, 0, 0, 0, 0, 0, 0, 0, 0x80,                // v
};

static void points_both_ways(void)
{
    struct buf out, store;
    struct live_head head;
    struct live_points p;
    const uint8_t *payload;
    size_t len;

    buf_init(&out, 1 << 16);
    buf_init(&store, 1 << 16);
    CU_ASSERT_EQUAL(live_encode_points(&HEAD, &POINTS, &out), 0);
    CU_ASSERT_EQUAL(out.len, sizeof(BYTES));
    CU_ASSERT_EQUAL(memcmp(out.data, BYTES, sizeof(BYTES)), 0);
    CU_ASSERT_EQUAL_FATAL(live_decode_head(BYTES, sizeof(BYTES), &head, &payload, &len), 0);
    CU_ASSERT_TRUE(head.type == HEAD.type && head.flags == HEAD.flags && head.sub == HEAD.sub);
    CU_ASSERT_TRUE(head.seq == HEAD.seq && head.server_ms == HEAD.server_ms);
    CU_ASSERT_EQUAL_FATAL(live_decode_points(payload, len, &store, &p), 0);
    CU_ASSERT_TRUE(p.rows == 2 && p.columns == 1 && p.ids[0] == 7);
    CU_ASSERT_TRUE(p.t_ms[0] == 1000 && p.t_ms[1] == 2000);
    CU_ASSERT_TRUE(p.v[0] == 0.5 && p.v[1] == 0 && signbit(p.v[1]));
    buf_done(&out);
    buf_done(&store);
}

static void json_both_ways(void)
{
    struct live_head head = {LIVE_ERROR, 0, 7, 9, 1.5}, got;
    struct buf out;
    const uint8_t *payload;
    size_t len;

    buf_init(&out, 1 << 16);
    CU_ASSERT_EQUAL(live_encode_json(&head, "{}", 2, &out), 0);
    CU_ASSERT_EQUAL(live_decode_head(out.data, out.len, &got, &payload, &len), 0);
    CU_ASSERT_TRUE(
        got.type == LIVE_ERROR && got.sub == 7 && len == 2 && memcmp(payload, "{}", 2) == 0);
    buf_reset(&out);
    head.type = LIVE_BEAT;
    CU_ASSERT_EQUAL(live_encode_json(&head, NULL, 0, &out), 0);
    CU_ASSERT_EQUAL(out.len, LIVE_HEADER);
    buf_done(&out);
}

static void cut_anywhere(void)
{
    struct buf store;
    struct live_head head;
    struct live_points p;
    const uint8_t *payload;
    size_t len;

    buf_init(&store, 1 << 16);
    for (size_t n = 0; n < sizeof(BYTES); n++) {
        uint8_t *cut = malloc(n + 1);
        memcpy(cut, BYTES, n);
        int rc = live_decode_head(cut, n, &head, &payload, &len);
        CU_ASSERT_EQUAL(rc, n < LIVE_HEADER ? -EBADMSG : 0);
        if (rc == 0)
            CU_ASSERT_EQUAL(live_decode_points(payload, len, &store, &p), -EBADMSG);
        free(cut);
    }
    buf_done(&store);
}

static void hostile_sizes(void)
{
    static const uint32_t sizes[][2] = {{UINT32_MAX, UINT32_MAX}, {1u << 29, 1}, {1, 1u << 30},
        {1u << 16, 1u << 16}, {0x80000000, 2}, {3, 1}, {2, 2}, {0, 0}};
    uint8_t bytes[sizeof(BYTES)];
    struct buf store;
    struct live_points p;

    buf_init(&store, 64 << 20);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        memcpy(bytes, BYTES, sizeof(BYTES));
        memcpy(bytes + LIVE_HEADER, sizes[i], 8);
        CU_ASSERT_EQUAL(
            live_decode_points(bytes + LIVE_HEADER, sizeof(bytes) - LIVE_HEADER, &store, &p),
            -EBADMSG);
    }
    CU_ASSERT_EQUAL(store.cap, 0); // refused before anything was allocated
    buf_done(&store);
}

static void ceilings(void)
{
    struct live_points p = POINTS;
    struct live_head head;
    struct buf out;
    uint8_t bytes[sizeof(BYTES)];
    const uint8_t *payload;
    size_t len;

    buf_init(&out, 40);
    CU_ASSERT_EQUAL(live_encode_points(&HEAD, &POINTS, &out), -EMSGSIZE);
    p.rows = p.columns = 1u << 20;
    CU_ASSERT_EQUAL(live_encode_points(&HEAD, &p, &out), -EMSGSIZE);
    CU_ASSERT_EQUAL(out.len, 0);
    memcpy(bytes, BYTES, sizeof(BYTES));
    bytes[0] = 0;
    CU_ASSERT_EQUAL(live_decode_head(bytes, sizeof(bytes), &head, &payload, &len), -EBADMSG);
    bytes[0] = LIVE_ERROR + 1;
    CU_ASSERT_EQUAL(live_decode_head(bytes, sizeof(bytes), &head, &payload, &len), -EBADMSG);
    buf_done(&out);
}

static const struct test TESTS[] = {
    {"points are these bytes, both ways", points_both_ways},
    {"JSON and beats go both ways", json_both_ways},
    {"a message cut anywhere is refused", cut_anywhere},
    {"sizes that do not fit the message allocate nothing", hostile_sizes},
    {"nothing over a ceiling is made, no unknown type is read", ceilings},
};
int main(void)
{
    return test_main("live", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
