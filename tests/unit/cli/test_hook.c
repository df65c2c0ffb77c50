// SPDX-License-Identifier: Apache-2.0
#include "base/loop.h"
#include "cli/hook_request.h"
#include "cli/hook_server.h"
#include "tests/lib/run.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BODY                                                                                   \
    "{\"alerts\":[{\"status\":\"firing\",\"labels\":{\"alertname\":\"Slow\",\"job\":\"node\"," \
    "\"instance\":\"web-1\"},\"annotations\":{\"summary\":\"is \\u001b[5m slow\"},"            \
    "\"startsAt\":\"2025-11-25T04:20:01.123Z\",\"endsAt\":\"0001-01-01T00:00:00Z\"},"          \
    "{\"status\":\"resolved\",\"labels\":{\"alertname\":\"Gone\"},\"annotations\":{},"         \
    "\"startsAt\":\"2025-11-25T04:00:00Z\",\"endsAt\":\"2025-11-25T04:20:01.163Z\","           \
    "\"causeAt\":\"2025-11-25T04:20:01.100Z\"}]}"
#define RECEIVED_MS 1764044401166

static void every_split(void)
{
    static const char TEXT[] =
        "POST /x HTTP/1.1\r\nHost: a\r\ncontent-length:  5 \r\n\r\nhello";
    struct hook_request r;
    bool expects;
    for (size_t n = 0; n < sizeof(TEXT) - 1; n++)
        CU_ASSERT_EQUAL(hook_request_parse(TEXT, n, &r, &expects), 0);
    CU_ASSERT_EQUAL(hook_request_parse(TEXT, sizeof(TEXT) - 1, &r, &expects), sizeof(TEXT) - 1);
    CU_ASSERT_TRUE(r.post && r.keep_alive);
    CU_ASSERT_EQUAL(r.body_len, 5);
    CU_ASSERT_NSTRING_EQUAL(r.body, "hello", 5);
}

static long verdict(const char *text)
{
    struct hook_request r;
    bool expects;
    return hook_request_parse(text, strlen(text), &r, &expects);
}

static void refuses(void)
{
    char *big = malloc(HOOK_HEAD_MAX + 1);
    CU_ASSERT_PTR_NOT_NULL_FATAL(big);
    memset(big, 'a', HOOK_HEAD_MAX);
    big[HOOK_HEAD_MAX] = '\0';
    CU_ASSERT_EQUAL(verdict(big), -431);
    free(big);
    CU_ASSERT_EQUAL(verdict("\r\n\r\n"), -400);
    CU_ASSERT_EQUAL(verdict("GET / HTTP/2.0\r\n\r\n"), -400);
    CU_ASSERT_EQUAL(verdict("POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n"), -400);
    CU_ASSERT_EQUAL(
        verdict("POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"), -400);
    CU_ASSERT_EQUAL(verdict("POST / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n"), -413);
    CU_ASSERT_EQUAL(verdict("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"), -411);
    CU_ASSERT_TRUE(verdict("GET / HTTP/1.0\r\n\r\n") > 0);
}

static void waits_for_continue(void)
{
    static const char TEXT[] =
        "POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n";
    struct hook_request r;
    bool expects;
    CU_ASSERT_EQUAL(hook_request_parse(TEXT, sizeof(TEXT) - 1, &r, &expects), 0);
    CU_ASSERT_TRUE(expects);
}

static void lines(void)
{
    struct buf out;
    struct hook_line_options o = {0};
    buf_init(&out, 1u << 16);
    CU_ASSERT_EQUAL(hook_line(BODY, sizeof(BODY) - 1, RECEIVED_MS, 0, &o, &out), 0);
    const char *text = buf_cstr(&out);
    CU_ASSERT_PTR_NOT_NULL(
        strstr(text, " firing   Slow {instance=\"web-1\"} is \uFFFD[5m slow  +43 ms\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, " resolved Gone {}  +3 ms (cause +66 ms)\n"));
    CU_ASSERT_PTR_NULL(strchr(text, '\033'));
    buf_reset(&out);
    o.json = true;
    CU_ASSERT_EQUAL(hook_line(BODY, sizeof(BODY) - 1, RECEIVED_MS, 0, &o, &out), 0);
    text = buf_cstr(&out);
    CU_ASSERT_PTR_NOT_NULL(
        strstr(text, "\"status\":\"firing\",\"alertname\":\"Slow\",\"delay_ms\":43,"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "\"delay_ms\":3,\"cause_delay_ms\":66,"));
    buf_reset(&out);
    o.json = false;
    CU_ASSERT_EQUAL(hook_line("\033[2J", 4, RECEIVED_MS, 0, &o, &out), 0);
    CU_ASSERT_PTR_NOT_NULL(
        strstr(buf_cstr(&out), "not an alert webhook (4 bytes): \uFFFD[2J\n"));
    buf_done(&out);
}

static int64_t cause_header(const char *value)
{
    char text[200];
    struct hook_request r = {0};
    bool expects;
    int n = snprintf(text, sizeof(text), "POST / HTTP/1.1\r\n%s\r\n\r\n", value);
    CU_ASSERT_EQUAL(hook_request_parse(text, (size_t)n, &r, &expects), n);
    return r.cause_ms;
}

static void cause_of_message(void)
{
    struct buf out;
    struct hook_line_options o = {0};
    CU_ASSERT_EQUAL(cause_header("tocsin-cause-ms: 1764044401120 "), 1764044401120);
    CU_ASSERT_EQUAL(cause_header("Host: a"), 0);
    CU_ASSERT_EQUAL(cause_header("Tocsin-Cause-Ms: soon"), 0);
    CU_ASSERT_EQUAL(cause_header("Tocsin-Cause-Ms: -5"), 0);
    CU_ASSERT_EQUAL(cause_header("Tocsin-Cause-Ms: 18446744073709551615"), 0);
    buf_init(&out, 1u << 16);
    // The first alert changed after that cause; the second names its own.
    CU_ASSERT_EQUAL(hook_line(BODY, sizeof(BODY) - 1, RECEIVED_MS, 1764044401120, &o, &out), 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(buf_cstr(&out), "[5m slow  +43 ms (cause +46 ms)\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(buf_cstr(&out), " resolved Gone {}  +3 ms (cause +66 ms)\n"));
    // It stood before what changed: the message's cause is not its own.
    buf_reset(&out);
    CU_ASSERT_EQUAL(hook_line(BODY, sizeof(BODY) - 1, RECEIVED_MS, 1764044401124, &o, &out), 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(buf_cstr(&out), "[5m slow  +43 ms\n"));
    buf_done(&out);
}

struct world {
    struct loop *loop;
    struct hook_server *server;
    FILE *out;
    char *text;
    size_t len;
};

static void world_init(struct world *w)
{
    struct err err = {0};
    static const struct hook_line_options OPTIONS;
    *w = (struct world){.loop = loop_new()};
    w->out = open_memstream(&w->text, &w->len);
    CU_ASSERT_PTR_NOT_NULL_FATAL(w->loop);
    CU_ASSERT_PTR_NOT_NULL_FATAL(w->out);
    w->server = hook_server_new(w->loop, 0, &OPTIONS, w->out, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(w->server);
}

static void world_done(struct world *w)
{
    hook_server_free(w->server);
    loop_free(w->loop);
    fclose(w->out);
    free(w->text);
}

static int dial(const struct world *w)
{
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_port = htons(hook_server_port(w->server))};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CU_ASSERT_EQUAL_FATAL(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    return fd;
}

// Turns the loop until the peer has something to read; the bytes, 0 for closed.
static ssize_t answer(struct world *w, int fd, char *text, size_t size)
{
    for (int i = 0; i < 1000; i++) {
        ssize_t n = recv(fd, text, size - 1, MSG_DONTWAIT);
        if (n >= 0) {
            text[n] = '\0';
            return n;
        }
        loop_once(w->loop, 10);
    }
    return -1;
}

static void several_connections(void)
{
    struct world w;
    char text[500], request[sizeof(BODY) + 100];
    world_init(&w);
    int n = snprintf(request, sizeof(request),
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n%s", sizeof(BODY) - 1, BODY);
    int a = dial(&w), b = dial(&w);
    // The first stalls in its body; the second is answered all the same, twice.
    CU_ASSERT_EQUAL(send(a, request, (size_t)n - 9, 0), n - 9);
    for (int i = 0; i < 2; i++) {
        CU_ASSERT_EQUAL(send(b, request, (size_t)n, 0), n);
        CU_ASSERT_TRUE(answer(&w, b, text, sizeof(text)) > 0);
        CU_ASSERT_NSTRING_EQUAL(text, "HTTP/1.1 200 OK\r\n", 17);
    }
    CU_ASSERT_EQUAL(send(a, request + n - 9, 9, 0), 9);
    CU_ASSERT_TRUE(answer(&w, a, text, sizeof(text)) > 0);
    int count = 0;
    for (const char *p = w.text; (p = strstr(p, " firing ")); p++)
        count++;
    CU_ASSERT_EQUAL(count, 3);
    close(a);
    close(b);
    world_done(&w);
}

static void makes_room(void)
{
    struct world w;
    char text[500];
    int idle[HOOK_CONNECTIONS_MAX];
    world_init(&w);
    for (size_t i = 0; i < HOOK_CONNECTIONS_MAX; i++) {
        idle[i] = dial(&w);
        loop_once(w.loop, 100);
    }
    int fd = dial(&w);
    CU_ASSERT_EQUAL(send(fd, "GET / HTTP/1.1\r\n\r\n", 18, 0), 18);
    CU_ASSERT_TRUE(answer(&w, fd, text, sizeof(text)) > 0);
    CU_ASSERT_EQUAL(answer(&w, idle[0], text, sizeof(text)), 0);
    for (size_t i = 0; i < HOOK_CONNECTIONS_MAX; i++)
        close(idle[i]);
    close(fd);
    world_done(&w);
}

static void refusal_closes(void)
{
    struct world w;
    char text[500];
    world_init(&w);
    int fd = dial(&w);
    CU_ASSERT_EQUAL(send(fd, "nonsense\r\n\r\n", 12, 0), 12);
    CU_ASSERT_TRUE(answer(&w, fd, text, sizeof(text)) > 0);
    CU_ASSERT_NSTRING_EQUAL(text, "HTTP/1.1 400 ", 13);
    CU_ASSERT_EQUAL(answer(&w, fd, text, sizeof(text)), 0);
    close(fd);
    world_done(&w);
}

static const struct test TESTS[] = {
    {"any split of a request gives the same request", every_split},
    {"what is no bounded HTTP/1 request is refused by its status", refuses},
    {"a sender that waits for 100 Continue is known", waits_for_continue},
    {"one line per alert with delay from start, end and cause", lines},
    {"the message's header tells the cause of what changed", cause_of_message},
    {"several connections, kept alive, none waits for another", several_connections},
    {"the connection idle longest makes room", makes_room},
    {"a refused request is answered, then closed", refusal_closes},
};
int main(void)
{
    return test_main("hook", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
