// SPDX-License-Identifier: Apache-2.0
// The handshake and the messages to many, through a real listener on loopback.
#include "collector/api.h"
#include "collector/hub.h"
#include "collector/ws.h"
#include "tests/lib/run.h"
#include "tests/unit/collector/socket_client.h"
#include <arpa/inet.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#define UPGRADE                                                                                \
    "GET /v1/live HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: keep-alive, "       \
    "Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "                              \
    "dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

struct house {
    struct loop *loop;
    struct listener *listener;
    struct shard *shard;
    struct hub *hub;
    struct sockaddr_storage address;
    socklen_t address_len;
    struct api_context api;
};

static enum MHD_Result on_request(void *ctx, struct listener_conn *conn,
    struct MHD_Connection *c, const char *url, const char *method, const char *upload,
    size_t *upload_len, void **req)
{
    struct house *h = ctx;
    (void)url;
    (void)method;
    (void)upload;
    (void)upload_len;
    if (!*req) {
        *req = h;
        return MHD_YES;
    }
    return hub_upgrade(h->hub, conn, c);
}

static void on_completed(
    void *ctx, struct listener_conn *conn, void **req, enum MHD_RequestTerminationCode why)
{
    (void)ctx;
    (void)conn;
    (void)req;
    (void)why;
}

static void house_init(struct house *h)
{
    struct err err = {0};
    *h =
        (struct house){.loop = loop_new(), .api = {.version = "1", .external_url = "http://x"}};
    struct shard_options so = {.pipeline = {.store = {.retention_ms = 600000,
                                                .series_per_agent = 50,
                                                .series_max = 100}},
        .clock = clock_system(),
        .frames_max = 16,
        .notices_max = 16,
        .api = &h->api};
    h->shard = shard_new(&so, NULL, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(h->shard);
    struct hub_options ho = {.loop = h->loop,
        .shard = h->shard,
        .clock = clock_system(),
        .version = "1.2.3",
        .instance = "col \"1\"",
        .interval_ms = 1000};
    h->hub = hub_new(&ho);
    CU_ASSERT_PTR_NOT_NULL_FATAL(h->hub);
    struct listener_options lo = {.address = "127.0.0.1:0",
        .per_ip_max = HUB_CLIENTS_MAX + 20,
        .upgrade = true,
        .suspend = true};
    struct listener_handler lh = {h, on_request, on_completed, NULL};
    CU_ASSERT_EQUAL_FATAL(listener_open(h->loop, &lo, &lh, &h->listener, &err), 0);
    address_parse(listener_address(h->listener), &h->address, &h->address_len, &err);
}

static void house_done(struct house *h)
{
    hub_free(h->hub);
    listener_free(h->listener);
    shard_free(h->shard);
    loop_free(h->loop);
}

static void visit(struct house *h, struct client *c, const void *request, size_t len)
{
    *c = (struct client){.fd = socket(AF_INET, SOCK_STREAM, 0)};
    buf_init(&c->in, 1u << 20);
    CU_ASSERT_EQUAL_FATAL(connect(c->fd, (struct sockaddr *)&h->address, h->address_len), 0);
    client_write(c, request, len);
}

static void leave(struct client *c)
{
    close(c->fd);
    buf_done(&c->in);
}

// Takes the answer's head off what came; "" when none did.
static void answer_of(struct house *h, struct client *c, char *ret, size_t size)
{
    char *end = NULL;
    for (int i = 0; i < 200 && !end; i++) {
        loop_once(h->loop, 5);
        client_read(c);
        end = memmem(c->in.data, c->in.len, "\r\n\r\n", 4);
    }
    size_t len = end ? (size_t)(end - (char *)c->in.data) + 4 : 0;
    snprintf(ret, size, "%.*s", (int)len, c->in.data ? (const char *)c->in.data : "");
    buf_drop(&c->in, len);
}

// The next message, once the loop has brought it.
static uint32_t wait_for(struct house *h, struct client *c, enum live_type type, uint16_t sub)
{
    for (int i = 0; i < 200 && c->in.len == c->used; i++) {
        loop_once(h->loop, 5);
        client_read(c);
    }
    return client_expect(c, type, sub);
}

static void enter(struct house *h, struct client *c)
{
    char head[1024];
    visit(h, c, UPGRADE, sizeof(UPGRADE) - 1);
    answer_of(h, c, head, sizeof(head));
    CU_ASSERT_NSTRING_EQUAL(head, "HTTP/1.1 101 ", 13);
    wait_for(h, c, LIVE_HELLO, 0);
}

static struct live_out *state(uint64_t client, uint32_t seq)
{
    struct live_out *m = calloc(1, sizeof(*m));
    struct live_head head = {.type = LIVE_STATE, .seq = seq};
    *m = (struct live_out){.client = client, .type = LIVE_STATE};
    buf_init(&m->message, 1000);
    live_encode_json(&head, "{}", 2, &m->message);
    return m;
}

static void the_handshake_ends_in_a_hello(void)
{
    struct house h;
    struct client c;
    char head[1024];
    house_init(&h);
    visit(&h, &c, UPGRADE, sizeof(UPGRADE) - 1);
    answer_of(&h, &c, head, sizeof(head));
    CU_ASSERT_NSTRING_EQUAL(head, "HTTP/1.1 101 ", 13);
    CU_ASSERT_PTR_NOT_NULL(
        strstr(head, "\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
    CU_ASSERT_PTR_NOT_NULL(strcasestr(head, "\r\nUpgrade: websocket\r\n"));
    const char *connection = strcasestr(head, "\r\nConnection: Upgrade\r\n");
    CU_ASSERT_PTR_NOT_NULL(connection);
    CU_ASSERT_TRUE(connection && !strcasestr(connection + 2, "\r\nConnection:"));
    wait_for(&h, &c, LIVE_HELLO, 0);
    char json[256];
    snprintf(json, sizeof(json), "%.*s", (int)(c.len - LIVE_HEADER),
        (const char *)c.body + LIVE_HEADER);
    CU_ASSERT_NSTRING_EQUAL(
        json, "{\"version\":\"1.2.3\",\"instance\":\"col \\\"1\\\"\",\"server_ms\":1", 55);
    CU_ASSERT_PTR_NOT_NULL(strstr(json, ",\"interval_ms\":1000}"));
    CU_ASSERT_EQUAL(hub_clients(h.hub), 1);
    leave(&c);
    house_done(&h);
}

static void a_request_that_is_no_handshake_is_refused(void)
{
    static const struct {
        const char *headers, *status, *has;
    } CASES[] = {
        {"", "HTTP/1.1 426 ", "Sec-WebSocket-Version: 13"},
        {"Upgrade: h2c\r\nConnection: Upgrade\r\n", "HTTP/1.1 426 ",
            "Sec-WebSocket-Version: 13"},
        {"Upgrade: websocket\r\n", "HTTP/1.1 426 ", "Sec-WebSocket-Version: 13"},
        {"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 8\r\n"
         "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
            "HTTP/1.1 426 ", "Sec-WebSocket-Version: 13"},
        {"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n",
            "HTTP/1.1 400 ", ""},
        {"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
         "Sec-WebSocket-Key: short\r\n",
            "HTTP/1.1 400 ", ""},
    };
    struct house h;
    house_init(&h);
    for (size_t i = 0; i < sizeof(CASES) / sizeof(*CASES); i++) {
        char request[512], head[1024];
        struct client c;
        int n = snprintf(request, sizeof(request), "GET /v1/live HTTP/1.1\r\nHost: x\r\n%s\r\n",
            CASES[i].headers);
        visit(&h, &c, request, (size_t)n);
        answer_of(&h, &c, head, sizeof(head));
        CU_ASSERT_NSTRING_EQUAL(head, CASES[i].status, strlen(CASES[i].status));
        CU_ASSERT_PTR_NOT_NULL(strstr(head, CASES[i].has));
        leave(&c);
    }
    CU_ASSERT_EQUAL(hub_clients(h.hub), 0);
    house_done(&h);
}

static void frames_sent_with_the_handshake_are_read(void)
{
    static const char COMMAND[] = "{\"op\":\"subscribe\",\"id\":6}";
    struct house h;
    struct client c;
    uint8_t request[1024];
    char head[1024];
    house_init(&h);
    size_t len = sizeof(UPGRADE) - 1;
    memcpy(request, UPGRADE, len);
    len += frame_make(FIN_TEXT, COMMAND, sizeof(COMMAND) - 1, request + len);
    visit(&h, &c, request, len);
    answer_of(&h, &c, head, sizeof(head));
    wait_for(&h, &c, LIVE_HELLO, 0);
    wait_for(&h, &c, LIVE_ERROR, 6);
    leave(&c);
    house_done(&h);
}

static void a_message_goes_to_one_or_to_all(void)
{
    struct house h;
    struct client a, b;
    house_init(&h);
    enter(&h, &a);
    enter(&h, &b);
    CU_ASSERT_EQUAL(hub_clients(h.hub), 2);
    hub_deliver(h.hub, state(2, 10));
    hub_deliver(h.hub, state(99, 11)); // one that has left
    CU_ASSERT_EQUAL(wait_for(&h, &b, LIVE_STATE, 0), 10);
    hub_deliver(h.hub, state(0, 12));
    CU_ASSERT_EQUAL(wait_for(&h, &a, LIVE_STATE, 0), 12);
    CU_ASSERT_EQUAL(wait_for(&h, &b, LIVE_STATE, 0), 12);
    leave(&a);
    for (int i = 0; i < 200 && hub_clients(h.hub) > 1; i++)
        loop_once(h.loop, 5);
    CU_ASSERT_EQUAL(hub_clients(h.hub), 1);
    hub_deliver(h.hub, state(2, 13));
    CU_ASSERT_EQUAL(wait_for(&h, &b, LIVE_STATE, 0), 13);
    leave(&b);
    house_done(&h);
}

static void a_closed_connection_is_gone_from_the_listener_too(void)
{
    struct house h;
    struct client c;
    struct listener_stats s = {0};
    house_init(&h);
    enter(&h, &c);
    client_say(&c, FIN_CLOSE, "\x03\xe8", 2);
    for (int i = 0; i < 200 && !c.ended; i++) {
        loop_once(h.loop, 5);
        client_read(&c);
    }
    client_expect_close(&c, 1000);
    CU_ASSERT_TRUE(c.ended);
    CU_ASSERT_EQUAL(hub_clients(h.hub), 0);
    for (int i = 0; i < 200; i++) {
        listener_stats(h.listener, &s);
        if (!s.connections)
            break;
        loop_once(h.loop, 5);
    }
    CU_ASSERT_EQUAL(s.connections, 0);
    leave(&c);
    house_done(&h);
}

static void the_end_of_the_hub_closes_every_connection(void)
{
    struct house h;
    struct client a, b;
    house_init(&h);
    enter(&h, &a);
    enter(&h, &b);
    hub_deliver(h.hub, state(0, 1));
    house_done(&h);
    while (client_next(&a))
        ;
    while (client_next(&b))
        ;
    CU_ASSERT_TRUE(a.ended);
    CU_ASSERT_TRUE(b.ended);
    leave(&a);
    leave(&b);
}

static void one_client_over_the_limit_is_told_to_come_later(void)
{
    struct house h;
    static struct client c[HUB_CLIENTS_MAX + 1];
    char head[1024];
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max < 4096 ? files.rlim_max : 4096;
    setrlimit(RLIMIT_NOFILE, &files);
    house_init(&h);
    for (size_t i = 0; i < HUB_CLIENTS_MAX; i++)
        enter(&h, &c[i]);
    CU_ASSERT_EQUAL(hub_clients(h.hub), HUB_CLIENTS_MAX);
    visit(&h, &c[HUB_CLIENTS_MAX], UPGRADE, sizeof(UPGRADE) - 1);
    answer_of(&h, &c[HUB_CLIENTS_MAX], head, sizeof(head));
    CU_ASSERT_NSTRING_EQUAL(head, "HTTP/1.1 503 ", 13);
    // One leaves and makes room.
    leave(&c[0]);
    for (int i = 0; i < 200 && hub_clients(h.hub) == HUB_CLIENTS_MAX; i++)
        loop_once(h.loop, 5);
    enter(&h, &c[0]);
    for (size_t i = 0; i <= HUB_CLIENTS_MAX; i++)
        leave(&c[i]);
    house_done(&h);
}

static const struct test TESTS[] = {
    {"the handshake ends in a hello", the_handshake_ends_in_a_hello},
    {"a request that is no handshake is refused", a_request_that_is_no_handshake_is_refused},
    {"frames sent with the handshake are read", frames_sent_with_the_handshake_are_read},
    {"a message goes to one or to all", a_message_goes_to_one_or_to_all},
    {"a closed connection is gone from the listener too",
        a_closed_connection_is_gone_from_the_listener_too},
    {"the end of the hub closes every connection", the_end_of_the_hub_closes_every_connection},
    {"one client over the limit is told to come later",
        one_client_over_the_limit_is_told_to_come_later},
};

int main(void)
{
    return test_main("hub", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
