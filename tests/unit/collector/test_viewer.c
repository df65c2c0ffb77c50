// SPDX-License-Identifier: Apache-2.0
// One live client over a socket pair: what it may say, and what it gets when it is slow.
#include "collector/api.h"
#include "collector/live.h"
#include "collector/viewer.h"
#include "collector/ws.h"
#include "tests/lib/oom.h"
#include "tests/lib/run.h"
#include "tests/unit/collector/socket_client.h"
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#define TEXT_MAX  16384
#define ASKED_MAX 512
#define SILENT_MS 30000
#define NS_PER_MS 1000000LL

struct room {
    struct loop *loop;
    struct viewer *viewer;
    struct client client;
    int fd;
    struct request *asked[ASKED_MAX];
    size_t n, read;
    bool full; // the shard's ring
    bool gone;
};

static bool on_ask(void *ctx, struct request *r)
{
    struct room *m = ctx;
    if (m->full || m->n == ASKED_MAX)
        return false;
    m->asked[m->n++] = r;
    return true;
}

static int64_t wall_ms(void *ctx)
{
    (void)ctx;
    return 1700000000000;
}

static void on_closed(void *ctx, struct viewer *v)
{
    struct room *m = ctx;
    m->gone = true;
    viewer_free(v);
    m->viewer = NULL;
    close(m->fd);
    m->fd = -1;
}

static void room_enter(struct room *m)
{
    struct viewer_options o = {.loop = m->loop,
        .fd = m->fd,
        .number = 7,
        .text_max = TEXT_MAX,
        .wall_ms = wall_ms,
        .ask = on_ask,
        .closed = on_closed,
        .ctx = m};
    m->viewer = viewer_new(&o);
}

static void room_init(struct room *m, bool full)
{
    int fd[2];
    *m = (struct room){.full = full};
    CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
    m->fd = fd[0];
    m->client.fd = fd[1];
    buf_init(&m->client.in, 64u << 20);
    m->loop = loop_new();
    CU_ASSERT_PTR_NOT_NULL_FATAL(m->loop);
    room_enter(m);
    CU_ASSERT_PTR_NOT_NULL_FATAL(m->viewer);
}

static void room_done(struct room *m)
{
    viewer_free(m->viewer);
    if (m->fd != -1)
        close(m->fd);
    close(m->client.fd);
    buf_done(&m->client.in);
    for (size_t i = 0; i < m->n; i++)
        request_free(m->asked[i]);
    loop_free(m->loop);
}

static const struct request *next_asked(struct room *m)
{
    static const struct request NONE = {.kind = (enum request_kind)99, .expr = NULL};
    CU_ASSERT_TRUE(m->read < m->n);
    return m->read < m->n ? m->asked[m->read++] : &NONE;
}

static void enter(struct room *m)
{
    room_init(m, false);
    const struct request *r = next_asked(m);
    CU_ASSERT_EQUAL(r->kind, REQUEST_SUBSCRIBE);
    CU_ASSERT_EQUAL(r->client, 7);
    CU_ASSERT_PTR_NULL(r->expr);
}

static void subscribe(struct room *m, const char *text)
{
    client_command(&m->client, text);
    turn(m->loop);
}

static struct live_shared *message(enum live_type type, uint16_t sub, uint32_t seq, size_t len)
{
    struct live_out *o = calloc(1, sizeof(*o));
    struct live_head h = {.type = type, .sub = sub, .seq = seq};
    char *text = calloc(1, len + 1);
    o->sub = sub;
    o->type = (uint8_t)type;
    buf_init(&o->message, LIVE_PAYLOAD_MAX + LIVE_HEADER);
    CU_ASSERT_EQUAL(live_encode_json(&h, text, len, &o->message), 0);
    free(text);
    return live_shared_new(o);
}

// One row of points at t_ms in as many columns.
static struct live_shared *points(
    uint16_t sub, uint32_t seq, int64_t t_ms, uint32_t columns, uint8_t flags)
{
    struct live_out *o = calloc(1, sizeof(*o));
    struct live_head h = {.type = LIVE_POINTS, .flags = flags, .sub = sub, .seq = seq};
    double t = (double)t_ms;
    double *v = calloc(columns, sizeof(*v));
    uint32_t *ids = calloc(columns, sizeof(*ids));
    struct live_points p = {1, columns, &t, ids, v};
    o->sub = sub;
    o->type = LIVE_POINTS;
    buf_init(&o->message, LIVE_PAYLOAD_MAX + LIVE_HEADER);
    CU_ASSERT_EQUAL(live_encode_points(&h, &p, &o->message), 0);
    free(v);
    free(ids);
    return live_shared_new(o);
}

static void give(struct room *m, struct live_shared *s)
{
    viewer_send(m->viewer, s);
    live_shared_unref(s);
}

// Fills the socket: this message stays on its way until the client reads.
static void block(struct room *m)
{
    give(m, message(LIVE_HELLO, 0, 0, 4u << 20));
}

static void read_block(struct room *m)
{
    for (int i = 0; i < 500 && m->client.in.len < (4u << 20); i++) {
        turn(m->loop);
        client_read(&m->client);
    }
    turn(m->loop);
    client_expect(&m->client, LIVE_HELLO, 0);
    turn(m->loop);
}

// --- the handshake's key -----------------------------------------------------------------------

static void the_key_of_the_standard_is_accepted(void)
{
    char accept[WS_ACCEPT_SIZE];
    CU_ASSERT_TRUE(ws_accept("dGhlIHNhbXBsZSBub25jZQ==", accept));
    CU_ASSERT_STRING_EQUAL(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

static void a_key_of_another_length_or_alphabet_is_refused(void)
{
    static const char *const BAD[] = {"", "abc", "dGhlIHNhbXBsZSBub25jZQ=", "==",
        "dGhlIHNhbXBsZSBub25jZQ===", "dGhlIHNhbXBsZSBub25j\x01Q==", "dGhlIHNhbXBsZSBub25jZQAA",
        "dGhlIHNhbXBsZSBub25jZ==="};
    char accept[WS_ACCEPT_SIZE];
    for (size_t i = 0; i < sizeof(BAD) / sizeof(*BAD); i++)
        CU_ASSERT_FALSE(ws_accept(BAD[i], accept));
}

// --- commands ----------------------------------------------------------------------------------

static void a_subscription_reaches_the_shard_as_it_was_said(void)
{
    struct room m;
    enter(&m);
    subscribe(&m, "{\"op\":\"subscribe\",\"id\":65535,\"expr\":\"up == 1\",\"window_ms\":60000,"
                  "\"step_ms\":500,\"since_ms\":1700000000123}");
    const struct request *r = next_asked(&m);
    CU_ASSERT_EQUAL(r->kind, REQUEST_SUBSCRIBE);
    CU_ASSERT_EQUAL(r->client, 7);
    CU_ASSERT_EQUAL(r->sub, 65535);
    CU_ASSERT_STRING_EQUAL(r->expr, "up == 1");
    CU_ASSERT_EQUAL(r->window_ms, 60000);
    CU_ASSERT_EQUAL(r->step_ms, 500);
    CU_ASSERT_EQUAL(r->since_ms, 1700000000123);
    subscribe(&m, "{\"op\":\"unsubscribe\",\"id\":65535}");
    r = next_asked(&m);
    CU_ASSERT_EQUAL(r->kind, REQUEST_UNSUBSCRIBE);
    CU_ASSERT_EQUAL(r->sub, 65535);
    CU_ASSERT_EQUAL(m.n, 3);
    CU_ASSERT_FALSE(client_next(&m.client));
    room_done(&m);
}

static void a_command_cut_anywhere_is_the_same_command(void)
{
    static const char TEXT[] = "{\"op\":\"subscribe\",\"id\":3,\"expr\":\"up\"}";
    uint8_t frame[128];
    size_t len = frame_make(FIN_TEXT, TEXT, sizeof(TEXT) - 1, frame);
    for (size_t cut = 1; cut < len; cut++) {
        struct room m;
        enter(&m);
        client_write(&m.client, frame, cut);
        turn(m.loop);
        CU_ASSERT_EQUAL(m.n, 1);
        client_write(&m.client, frame + cut, len - cut);
        turn(m.loop);
        CU_ASSERT_STRING_EQUAL(next_asked(&m)->expr, "up");
        room_done(&m);
    }
}

static void fragments_are_joined_and_a_ping_between_them_is_answered(void)
{
    struct room m;
    enter(&m);
    client_say(&m.client, 0x01, "{\"op\":\"subscr", 13);
    turn(m.loop);
    client_say(&m.client, FIN_PING, "hello", 5);
    client_say(&m.client, 0x00, "ibe\",\"id\":9,", 12);
    turn(m.loop);
    CU_ASSERT_EQUAL(m.n, 1);
    client_say(&m.client, 0x80, "\"expr\":\"up\"}", 12);
    turn(m.loop);
    CU_ASSERT_EQUAL(next_asked(&m)->sub, 9);
    CU_ASSERT_TRUE(client_next(&m.client));
    CU_ASSERT_EQUAL(m.client.op, FIN_PONG);
    CU_ASSERT_EQUAL(m.client.len, 5);
    CU_ASSERT_NSTRING_EQUAL(m.client.body, "hello", 5);
    room_done(&m);
}

static void bytes_that_came_with_the_request_are_read_first(void)
{
    static const char TEXT[] = "{\"op\":\"subscribe\",\"id\":4,\"expr\":\"up\"}";
    uint8_t frame[128];
    size_t len = frame_make(FIN_TEXT, TEXT, sizeof(TEXT) - 1, frame);
    struct room m;
    enter(&m);
    client_write(&m.client, frame + 10, len - 10);
    viewer_feed(m.viewer, frame, 10);
    turn(m.loop);
    CU_ASSERT_EQUAL(next_asked(&m)->sub, 4);
    room_done(&m);
}

static void a_mistake_is_answered_with_an_error_for_its_subscription(void)
{
    static const struct {
        const char *text;
        uint16_t sub;
        const char *says;
    } CASES[] = {
        {"{\"op\":\"subscribe\",\"id\":5}", 5, "`expr` is missing"},
        {"{\"op\":\"subscribe\",\"id\":5,\"expr\":\"\"}", 5, "`expr` is missing"},
        {"{\"op\":\"subscribe\",\"id\":5,\"expr\":12}", 5, "`expr` is missing"},
        {"{\"op\":\"dance\",\"id\":5}", 5, "`op` must be"},
        {"{\"id\":5}", 5, "`op` must be"},
        {"{\"op\":\"subscribe\",\"id\":0,\"expr\":\"up\"}", 0, "`id` must be"},
        {"{\"op\":\"subscribe\",\"id\":65536,\"expr\":\"up\"}", 0, "`id` must be"},
        {"{\"op\":\"subscribe\",\"id\":1.5,\"expr\":\"up\"}", 0, "`id` must be"},
        {"{\"op\":\"subscribe\",\"id\":\"1\",\"expr\":\"up\"}", 0, "`id` must be"},
        {"{\"op\":\"unsubscribe\"}", 0, "`id` must be"},
        {"{\"op\":\"subscribe\",\"id\":5,\"expr\":\"up\",\"window_ms\":-1}", 5, "`window_ms`"},
        {"{\"op\":\"subscribe\",\"id\":5,\"expr\":\"up\",\"window_ms\":1e9}", 5, "`window_ms`"},
        {"{\"op\":\"subscribe\",\"id\":5,\"expr\":\"up\",\"step_ms\":\"x\"}", 5, "`step_ms`"},
        {"{\"op\":\"subscribe\",\"id\":5,\"expr\":\"up\",\"since_ms\":1e300}", 5, "`since_ms`"},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(*CASES); i++) {
        struct room m;
        enter(&m);
        subscribe(&m, CASES[i].text);
        client_expect(&m.client, LIVE_ERROR, CASES[i].sub);
        char text[512];
        snprintf(text, sizeof(text), "%.*s", (int)(m.client.len - LIVE_HEADER),
            (const char *)m.client.body + LIVE_HEADER);
        CU_ASSERT_PTR_NOT_NULL(strstr(text, CASES[i].says));
        CU_ASSERT_EQUAL(m.n, 1);
        CU_ASSERT_FALSE(m.gone);
        room_done(&m);
    }
}

static void what_is_not_a_command_closes_the_connection(void)
{
    static const char *const BAD[] = {
        "", "no", "{", "[]", "7", "{}x", "{\"op\":\"subscribe\"", "\"op\""};
    for (size_t i = 0; i < sizeof(BAD) / sizeof(*BAD); i++) {
        struct room m;
        enter(&m);
        subscribe(&m, BAD[i]);
        client_expect_close(&m.client, 1007);
        client_say(&m.client, FIN_CLOSE, "\x03\xef", 2);
        shutdown(m.client.fd, SHUT_WR);
        turn(m.loop);
        CU_ASSERT_TRUE(m.gone);
        room_done(&m);
    }
}

static void deep_json_is_refused_and_not_followed(void)
{
    struct room m;
    char text[TEXT_MAX];
    enter(&m);
    memset(text, '[', sizeof(text));
    client_say(&m.client, FIN_TEXT, text, sizeof(text));
    turn(m.loop);
    client_expect_close(&m.client, 1007);
    room_done(&m);
}

static void a_command_over_the_limit_closes_with_1009(void)
{
    struct room m;
    char text[TEXT_MAX + 1];
    enter(&m);
    memset(text, ' ', sizeof(text));
    client_say(&m.client, FIN_TEXT, text, sizeof(text));
    turn(m.loop);
    client_expect_close(&m.client, 1009);
    room_done(&m);
    // In pieces as well.
    enter(&m);
    client_say(&m.client, 0x01, text, TEXT_MAX);
    client_say(&m.client, 0x80, text, 1);
    turn(m.loop);
    client_expect_close(&m.client, 1009);
    room_done(&m);
    // The length alone is enough: nobody waits for what it promises.
    enter(&m);
    client_write(&m.client, "\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff\1\2\3\4x", 15);
    turn(m.loop);
    client_expect_close(&m.client, 1009);
    room_done(&m);
}

static void what_breaks_the_protocol_closes_the_connection(void)
{
    static const struct {
        const char *bytes;
        size_t len;
        int code;
    } CASES[] = {
        {"\x82\x81\1\2\3\4x", 7, 1003},      // binary
        {"\x81\x02{}", 4, 1002},             // not masked
        {"\xf1\x81\1\2\3\4x", 7, 1002},      // reserved bits
        {"\x83\x81\1\2\3\4x", 7, 1002},      // an opcode nobody defined
        {"\x80\x81\1\2\3\4x", 7, 1002},      // goes on with nothing
        {"\x09\x81\1\2\3\4x", 7, 0},         // a ping in fragments
        {"\x89\xfe\x00\x7e\1\2\3\4x", 9, 0}, // a long ping
        {"\x81\x81\1\2\3\4\xfe", 7, 1007},   // not UTF-8
        {"\x88\x81\1\2\3\4x", 7, 0},         // half a code
        {"GET / HTTP/1.1\r\n\r\n", 18, 1002},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(*CASES); i++) {
        struct room m;
        enter(&m);
        client_write(&m.client, CASES[i].bytes, CASES[i].len);
        turn(m.loop);
        client_expect_close(&m.client, CASES[i].code);
        shutdown(m.client.fd, SHUT_WR);
        turn(m.loop);
        CU_ASSERT_TRUE(m.gone);
        CU_ASSERT_EQUAL(m.n, 1);
        room_done(&m);
    }
}

static void random_bytes_never_hang_or_crash(void)
{
    unsigned seed = 1;
    for (int round = 0; round < 500; round++) {
        struct room m;
        uint8_t bytes[64];
        enter(&m);
        for (size_t i = 0; i < sizeof(bytes); i++)
            bytes[i] = (uint8_t)(rand_r(&seed) >> 7);
        if (round % 2)
            bytes[0] = FIN_TEXT;
        client_write(&m.client, bytes, sizeof(bytes));
        shutdown(m.client.fd, SHUT_WR);
        turn(m.loop);
        CU_ASSERT_TRUE(m.gone);
        room_done(&m);
    }
}

// --- the end -----------------------------------------------------------------------------------

static void a_close_is_answered_and_ends_the_connection(void)
{
    struct room m;
    enter(&m);
    client_say(&m.client, FIN_CLOSE, "\x03\xe8", 2);
    turn(m.loop);
    client_expect_close(&m.client, 1000);
    CU_ASSERT_TRUE(m.gone);
    CU_ASSERT_FALSE(client_next(&m.client));
    CU_ASSERT_TRUE(m.client.ended);
    room_done(&m);
}

static void a_peer_that_vanishes_ends_the_connection(void)
{
    struct room m;
    enter(&m);
    shutdown(m.client.fd, SHUT_RDWR);
    turn(m.loop);
    CU_ASSERT_TRUE(m.gone);
    room_done(&m);
}

static void a_peer_that_ignores_our_close_is_left_after_two_seconds(void)
{
    struct room m;
    enter(&m);
    subscribe(&m, "no");
    int64_t now = loop_now_ns(m.loop);
    viewer_tick(m.viewer, now + (WS_LINGER_MS - 100) * NS_PER_MS, SILENT_MS);
    turn(m.loop);
    CU_ASSERT_FALSE(m.gone);
    viewer_tick(m.viewer, now + (WS_LINGER_MS + 100) * NS_PER_MS, SILENT_MS);
    turn(m.loop);
    CU_ASSERT_TRUE(m.gone);
    room_done(&m);
}

static void one_that_takes_nothing_for_thirty_seconds_is_closed(void)
{
    struct room m;
    enter(&m);
    int64_t now = loop_now_ns(m.loop);
    viewer_tick(m.viewer, now + 3600000 * NS_PER_MS, SILENT_MS);
    turn(m.loop);
    CU_ASSERT_FALSE(m.gone); // there was nothing to take
    block(&m);
    turn(m.loop);
    now = loop_now_ns(m.loop);
    viewer_tick(m.viewer, now + 29000 * NS_PER_MS, SILENT_MS);
    turn(m.loop);
    CU_ASSERT_FALSE(m.gone);
    viewer_tick(m.viewer, now + 31000 * NS_PER_MS, SILENT_MS);
    turn(m.loop);
    CU_ASSERT_TRUE(m.gone);
    room_done(&m);
}

static void one_that_pings_and_does_not_read_is_closed(void)
{
    struct room m;
    enter(&m);
    block(&m);
    for (int i = 0; i < 100 && !m.gone; i++) {
        client_say(&m.client, FIN_PING, "x", 1);
        turn(m.loop);
    }
    CU_ASSERT_TRUE(m.gone);
    room_done(&m);
}

// --- messages ----------------------------------------------------------------------------------

static void messages_of_every_length_arrive_whole(void)
{
    static const size_t LEN[] = {0, 1, 109, 110, 200, 65519, 65520, 70000, 3u << 20};
    struct room m;
    enter(&m);
    for (size_t i = 0; i < sizeof(LEN) / sizeof(*LEN); i++) {
        give(&m, message(LIVE_STATE, 0, (uint32_t)i, LEN[i]));
        bool came = false;
        for (int k = 0; k < 500 && !(came = client_next(&m.client)); k++)
            turn(m.loop);
        CU_ASSERT_TRUE(came);
        CU_ASSERT_EQUAL(m.client.len, LEN[i] + LIVE_HEADER);
        CU_ASSERT_EQUAL(m.client.body[4], i);
    }
    room_done(&m);
}

static void a_pong_waits_for_the_end_of_the_message(void)
{
    struct room m;
    enter(&m);
    block(&m);
    client_say(&m.client, FIN_PING, "x", 1);
    turn(m.loop);
    read_block(&m); // a pong inside would have broken this frame
    CU_ASSERT_TRUE(client_next(&m.client));
    CU_ASSERT_EQUAL(m.client.op, FIN_PONG);
    room_done(&m);
}

static void a_slow_viewer_gets_the_newest_state_only(void)
{
    struct room m;
    enter(&m);
    block(&m);
    for (uint32_t i = 1; i <= 10; i++) {
        give(&m, message(LIVE_STATE, 0, i, 100));
        give(&m, message(LIVE_BEAT, 0, i, 0));
    }
    read_block(&m);
    CU_ASSERT_EQUAL(client_expect(&m.client, LIVE_STATE, 0), 10);
    CU_ASSERT_EQUAL(client_expect(&m.client, LIVE_BEAT, 0), 10);
    CU_ASSERT_FALSE(client_next(&m.client));
    room_done(&m);
}

static void points_that_pile_up_are_asked_for_again(void)
{
    struct room m;
    enter(&m);
    subscribe(&m, "{\"op\":\"subscribe\",\"id\":2,\"expr\":\"up\",\"window_ms\":60000}");
    next_asked(&m);
    give(&m, message(LIVE_SERIES, 2, 1, 50));
    give(&m, points(2, 2, 1000, 3, LIVE_FLAG_SNAPSHOT));
    turn(m.loop);
    client_expect(&m.client, LIVE_SERIES, 2);
    client_expect(&m.client, LIVE_POINTS, 2);
    block(&m);
    give(&m, points(2, 3, 2000, 3, 0)); // waits
    give(&m, points(2, 4, 3000, 3, 0)); // one too many
    give(&m, points(2, 5, 4000, 3, 0));
    CU_ASSERT_EQUAL(m.n, 2);
    read_block(&m);
    CU_ASSERT_EQUAL(client_expect(&m.client, LIVE_POINTS, 2), 3);
    CU_ASSERT_FALSE(client_next(&m.client));
    // All has gone: what was dropped is asked for, since the newest that was sent.
    const struct request *r = next_asked(&m);
    CU_ASSERT_EQUAL(r->kind, REQUEST_SUBSCRIBE);
    CU_ASSERT_EQUAL(r->sub, 2);
    CU_ASSERT_STRING_EQUAL(r->expr, "up");
    CU_ASSERT_EQUAL(r->since_ms, 2000);
    CU_ASSERT_EQUAL(r->window_ms, 60000);
    // What the earlier life still had in the ring would come out of order.
    give(&m, points(2, 6, 5000, 3, 0));
    give(&m, message(LIVE_SERIES, 2, 7, 50));
    give(&m, points(2, 8, 6000, 3, 0));
    CU_ASSERT_FALSE(client_next(&m.client));
    // The new life: its numbers start anew.
    give(&m, message(LIVE_SERIES, 2, 1, 50));
    give(&m, points(2, 2, 6000, 3, 0));
    give(&m, points(2, 3, 7000, 3, 0));
    CU_ASSERT_EQUAL(client_expect(&m.client, LIVE_SERIES, 2), 1);
    CU_ASSERT_EQUAL(client_expect(&m.client, LIVE_POINTS, 2), 2);
    CU_ASSERT_EQUAL(client_expect(&m.client, LIVE_POINTS, 2), 3);
    CU_ASSERT_EQUAL(m.n, 3);
    room_done(&m);
}

static void a_snapshot_replaces_points_that_wait_and_follows_its_table(void)
{
    struct room m;
    enter(&m);
    subscribe(&m, "{\"op\":\"subscribe\",\"id\":2,\"expr\":\"up\"}");
    block(&m);
    give(&m, message(LIVE_SERIES, 2, 1, 50));
    give(&m, points(2, 2, 1000, 1, 0));
    give(&m, message(LIVE_STATE, 0, 1, 10));
    give(&m, message(LIVE_SERIES, 2, 3, 50));
    give(&m, points(2, 4, 2000, 1, LIVE_FLAG_SNAPSHOT));
    read_block(&m);
    CU_ASSERT_EQUAL(client_expect(&m.client, LIVE_SERIES, 2), 3);
    CU_ASSERT_EQUAL(client_expect(&m.client, LIVE_STATE, 0), 1);
    CU_ASSERT_EQUAL(client_expect(&m.client, LIVE_POINTS, 2), 4);
    CU_ASSERT_FALSE(client_next(&m.client));
    CU_ASSERT_EQUAL(m.n, 2); // nothing was lost
    room_done(&m);
}

static void what_waits_is_bounded_in_bytes(void)
{
    struct room m;
    enter(&m);
    block(&m);
    for (uint16_t id = 1; id <= 10; id++) {
        char text[100];
        snprintf(text, sizeof(text), "{\"op\":\"subscribe\",\"id\":%d,\"expr\":\"up\"}", id);
        subscribe(&m, text);
        give(&m, points(id, 1, 1000, 400000, 0)); // 4.8 MB each
    }
    size_t before = m.n;
    read_block(&m);
    size_t came = 0;
    for (int i = 0; i < 5000 && came < 6; i++) {
        turn(m.loop);
        came += client_next(&m.client);
    }
    turn(m.loop);
    CU_ASSERT_EQUAL(came, 6); // 32 MiB hold six
    CU_ASSERT_FALSE(client_next(&m.client));
    CU_ASSERT_EQUAL(m.n - before, 4); // the others are asked for again
    room_done(&m);
}

static void a_message_of_a_subscription_that_ended_is_dropped_and_the_shard_told(void)
{
    struct room m;
    enter(&m);
    give(&m, points(3, 1, 1000, 1, 0));
    const struct request *r = next_asked(&m);
    CU_ASSERT_EQUAL(r->kind, REQUEST_UNSUBSCRIBE);
    CU_ASSERT_EQUAL(r->sub, 3);
    CU_ASSERT_FALSE(client_next(&m.client));
    room_done(&m);
}

static void an_unsubscription_takes_what_waits_with_it(void)
{
    struct room m;
    enter(&m);
    subscribe(&m, "{\"op\":\"subscribe\",\"id\":2,\"expr\":\"up\"}");
    block(&m);
    give(&m, message(LIVE_SERIES, 2, 1, 50));
    give(&m, points(2, 2, 1000, 1, 0));
    give(&m, message(LIVE_STATE, 0, 1, 10));
    subscribe(&m, "{\"op\":\"unsubscribe\",\"id\":2}");
    read_block(&m);
    CU_ASSERT_EQUAL(client_expect(&m.client, LIVE_STATE, 0), 1);
    CU_ASSERT_FALSE(client_next(&m.client));
    room_done(&m);
}

static void a_busy_shard_is_an_error_for_the_subscription(void)
{
    struct room m;
    room_init(&m, true);
    CU_ASSERT_EQUAL(m.n, 0);
    subscribe(&m, "{\"op\":\"subscribe\",\"id\":2,\"expr\":\"up\"}");
    client_expect(&m.client, LIVE_ERROR, 2);
    CU_ASSERT_EQUAL(m.n, 0);
    // The state is asked for as soon as it can be.
    m.full = false;
    viewer_tick(m.viewer, loop_now_ns(m.loop), SILENT_MS);
    CU_ASSERT_PTR_NULL(next_asked(&m)->expr);
    viewer_tick(m.viewer, loop_now_ns(m.loop), SILENT_MS);
    CU_ASSERT_EQUAL(m.n, 1);
    room_done(&m);
}

static void subscriptions_of_one_client_are_limited(void)
{
    struct room m;
    enter(&m);
    for (int id = 1; id <= LIVE_CLIENT_SUBS_MAX + 1; id++) {
        char text[100];
        snprintf(text, sizeof(text), "{\"op\":\"subscribe\",\"id\":%d,\"expr\":\"up\"}", id);
        subscribe(&m, text);
    }
    client_expect(&m.client, LIVE_ERROR, LIVE_CLIENT_SUBS_MAX + 1);
    CU_ASSERT_EQUAL(m.n, LIVE_CLIENT_SUBS_MAX + 1);
    // The same id again is not one more.
    subscribe(&m, "{\"op\":\"subscribe\",\"id\":1,\"expr\":\"down\"}");
    CU_ASSERT_STRING_EQUAL(m.asked[m.n - 1]->expr, "down");
    room_done(&m);
}

static void one_message_serves_many_viewers(void)
{
    struct room a, b;
    enter(&a);
    enter(&b);
    struct live_shared *s = message(LIVE_STATE, 0, 5, 1000);
    block(&b);
    viewer_send(a.viewer, s);
    viewer_send(b.viewer, s);
    live_shared_unref(s);
    turn(a.loop);
    CU_ASSERT_EQUAL(client_expect(&a.client, LIVE_STATE, 0), 5);
    room_done(&a);
    read_block(&b);
    CU_ASSERT_EQUAL(client_expect(&b.client, LIVE_STATE, 0), 5);
    room_done(&b);
}

static void every_failed_allocation_leaves_a_viewer_that_works_or_none(void)
{
    for (int nth = 1;; nth++) {
        struct room m;
        uint8_t frame[128];
        static const char TEXT[] = "{\"op\":\"subscribe\",\"id\":2,\"expr\":\"up\"}";
        room_init(&m, false);
        viewer_free(m.viewer);
        m.viewer = NULL;
        size_t len = frame_make(FIN_TEXT, TEXT, sizeof(TEXT) - 1, frame);
        struct live_shared *s = message(LIVE_STATE, 0, 5, 1000);
        oom_fail_at(nth);
        room_enter(&m);
        if (m.viewer) {
            viewer_feed(m.viewer, frame, len);
            viewer_send(m.viewer, s);
        }
        bool hit = oom_stop();
        live_shared_unref(s);
        turn(m.loop);
        if (m.viewer) {
            subscribe(&m, "{\"op\":\"subscribe\",\"id\":3,\"expr\":\"up\"}");
            bool refused = m.gone;
            while (client_next(&m.client))
                refused |= m.client.op == FIN_CLOSE;
            CU_ASSERT_TRUE(refused || m.asked[m.n - 1]->sub == 3);
        }
        room_done(&m);
        if (!hit)
            break;
    }
}

static const struct test TESTS[] = {
    {"the key of the standard is accepted", the_key_of_the_standard_is_accepted},
    {"a key of another length or alphabet is refused",
        a_key_of_another_length_or_alphabet_is_refused},
    {"a subscription reaches the shard as it was said",
        a_subscription_reaches_the_shard_as_it_was_said},
    {"a command cut anywhere is the same command", a_command_cut_anywhere_is_the_same_command},
    {"fragments are joined and a ping between them is answered",
        fragments_are_joined_and_a_ping_between_them_is_answered},
    {"bytes that came with the request are read first",
        bytes_that_came_with_the_request_are_read_first},
    {"a mistake is answered with an error for its subscription",
        a_mistake_is_answered_with_an_error_for_its_subscription},
    {"what is not a command closes the connection",
        what_is_not_a_command_closes_the_connection},
    {"deep JSON is refused and not followed", deep_json_is_refused_and_not_followed},
    {"a command over the limit closes with 1009", a_command_over_the_limit_closes_with_1009},
    {"what breaks the protocol closes the connection",
        what_breaks_the_protocol_closes_the_connection},
    {"random bytes never hang or crash", random_bytes_never_hang_or_crash},
    {"a close is answered and ends the connection",
        a_close_is_answered_and_ends_the_connection},
    {"a peer that vanishes ends the connection", a_peer_that_vanishes_ends_the_connection},
    {"a peer that ignores our close is left after two seconds",
        a_peer_that_ignores_our_close_is_left_after_two_seconds},
    {"one that takes nothing for thirty seconds is closed",
        one_that_takes_nothing_for_thirty_seconds_is_closed},
    {"one that pings and does not read is closed", one_that_pings_and_does_not_read_is_closed},
    {"messages of every length arrive whole", messages_of_every_length_arrive_whole},
    {"a pong waits for the end of the message", a_pong_waits_for_the_end_of_the_message},
    {"a slow viewer gets the newest state only", a_slow_viewer_gets_the_newest_state_only},
    {"points that pile up are asked for again", points_that_pile_up_are_asked_for_again},
    {"a snapshot replaces points that wait and follows its table",
        a_snapshot_replaces_points_that_wait_and_follows_its_table},
    {"what waits is bounded in bytes", what_waits_is_bounded_in_bytes},
    {"a message of a subscription that ended is dropped and the shard told",
        a_message_of_a_subscription_that_ended_is_dropped_and_the_shard_told},
    {"an unsubscription takes what waits with it", an_unsubscription_takes_what_waits_with_it},
    {"a busy shard is an error for the subscription",
        a_busy_shard_is_an_error_for_the_subscription},
    {"subscriptions of one client are limited", subscriptions_of_one_client_are_limited},
    {"one message serves many viewers", one_message_serves_many_viewers},
    {"every failed allocation leaves a viewer that works or none",
        every_failed_allocation_leaves_a_viewer_that_works_or_none},
};

int main(void)
{
    return test_main("viewer", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
