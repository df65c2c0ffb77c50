// SPDX-License-Identifier: Apache-2.0
// `tocsin top` against a small WebSocket server.
#include "cli/top_view.h"
#include "cli/verb.h"
#include "tests/lib/run.h"
#include "wire/live.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct server {
    int fd;
    char url[64];
    const char *answer; // to the handshake
    bool speaks;        // sends a whole picture after it
    char asked[8192];   // what came, unmasked frames one after the other
    pthread_t thread;
};

static void send_frame(int fd, struct buf *message)
{
    struct buf b;
    buf_init(&b, 1u << 20);
    buf_addc(&b, (char)0x82);
    if (message->len < 126) {
        buf_addc(&b, (char)message->len);
    } else {
        buf_addc(&b, 126);
        buf_addc(&b, (char)(message->len >> 8));
        buf_addc(&b, (char)(message->len & 255));
    }
    buf_add(&b, message->data, message->len);
    send(fd, b.data, b.len, MSG_NOSIGNAL);
    buf_done(&b);
    buf_done(message);
}

static void send_json(int fd, enum live_type type, uint16_t sub, const char *text)
{
    struct live_head h = {.type = type, .sub = sub, .server_ms = 10000};
    struct buf b;
    buf_init(&b, 1u << 20);
    live_encode_json(&h, text, strlen(text), &b);
    send_frame(fd, &b);
}

static void send_points(int fd, uint16_t sub)
{
    struct live_head h = {.type = LIVE_POINTS, .sub = sub, .server_ms = 10000};
    struct live_points p = {.rows = 1,
        .columns = 1,
        .t_ms = (const double[]){10000},
        .ids = (const uint32_t[]){1},
        .v = (const double[]){1}};
    struct buf b;
    buf_init(&b, 1u << 20);
    live_encode_points(&h, &p, &b);
    send_frame(fd, &b);
}

static bool receive(int fd, void *to, size_t len)
{
    return recv(fd, to, len, MSG_WAITALL) == (ssize_t)len;
}

// One masked text frame below 64 KiB, appended to s->asked.
static bool read_frame(struct server *s, int fd)
{
    uint8_t head[2], more[2], mask[4];
    if (!receive(fd, head, 2))
        return false;
    size_t len = head[1] & 127, at = strlen(s->asked);
    if (len == 126) {
        if (!receive(fd, more, 2))
            return false;
        len = (size_t)(more[0] << 8 | more[1]);
    }
    if (len >= sizeof(s->asked) - at || !receive(fd, mask, 4) ||
        !receive(fd, s->asked + at, len))
        return false;
    for (size_t i = 0; i < len; i++)
        s->asked[at + i] = (char)(s->asked[at + i] ^ mask[i % 4]);
    return head[0] == 0x81 && (head[1] & 128);
}

static void *serve(void *ctx)
{
    struct server *s = ctx;
    int fd = accept(s->fd, NULL, NULL);
    char head[4096] = "";
    size_t len = 0;
    while (len < sizeof(head) - 1 && !strstr(head, "\r\n\r\n")) {
        ssize_t n = recv(fd, head + len, sizeof(head) - 1 - len, 0);
        if (n <= 0)
            break;
        len += (size_t)n;
        head[len] = '\0';
    }
    send(fd, s->answer, strlen(s->answer), MSG_NOSIGNAL);
    for (unsigned i = 0; s->speaks && i < TOP_SUBS; i++)
        if (!read_frame(s, fd))
            s->speaks = false;
    if (s->speaks) {
        send_json(fd, LIVE_HELLO, 0, "{\"version\":\"1\"}");
        for (uint16_t sub = 1; sub <= TOP_SUBS; sub++) {
            send_json(fd, LIVE_SERIES, sub,
                "[{\"id\":1,\"labels\":{\"instance\":\"web-1\",\"service\":\"nginx\",\"port\":"
                "\"80\",\"state\":\"up\"}}]");
            send_points(fd, sub);
        }
        send_json(fd, LIVE_STATE, 0,
            "{\"alerts\":[],\"agents\":[{\"host\":\"web-1\",\"state\":\"up\"}],"
            "\"rules\":{\"total\":8},\"banner\":\"\"}");
        (void)recv(fd, head, sizeof(head), 0); // until the client goes
    }
    close(fd);
    return NULL;
}

static int top(const char *answer, bool speaks, char **ret, struct err *err, char *asked)
{
    struct server s = {.answer = answer, .speaks = speaks};
    struct sockaddr_in a = {.sin_family = AF_INET};
    struct verb_args args = {0};
    socklen_t len = sizeof(a);
    size_t n = 0;
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    s.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CU_ASSERT_EQUAL_FATAL(bind(s.fd, (struct sockaddr *)&a, sizeof(a)), 0);
    CU_ASSERT_EQUAL_FATAL(listen(s.fd, 4), 0);
    CU_ASSERT_EQUAL_FATAL(getsockname(s.fd, (struct sockaddr *)&a, &len), 0);
    snprintf(s.url, sizeof(s.url), "http://127.0.0.1:%u", ntohs(a.sin_port));
    CU_ASSERT_EQUAL_FATAL(pthread_create(&s.thread, NULL, serve, &s), 0);
    struct cli c = {.url = s.url, .out = open_memstream(ret, &n)};
    *err = (struct err){0};
    int rc = top_main(&c, &args, err);
    fclose(c.out);
    pthread_join(s.thread, NULL);
    close(s.fd);
    if (asked)
        memcpy(asked, s.asked, sizeof(s.asked));
    return rc;
}

#define SWITCHED                                                                               \
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"        \
    "Sec-WebSocket-Accept: x\r\n\r\n"

static void one_picture(void)
{
    struct err err;
    char *out = NULL, asked[8192];
    CU_ASSERT_EQUAL(top(SWITCHED, true, &out, &err, asked), CLI_YES);
    CU_ASSERT_STRING_EQUAL(err.msg, "");
    CU_ASSERT_PTR_NOT_NULL(strstr(out, "agents 1, 1 up  rules 8  firing 0  pending 0\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(out, "nginx    web-1    80  up"));
    CU_ASSERT_PTR_NOT_NULL(strstr(asked,
        "{\"op\":\"subscribe\",\"id\":1,\"expr\":\"tocsin_service_state == 1\",\"window_ms\":"));
    free(out);
}

static void refused(void)
{
    static const struct {
        const char *answer;
        int rc;
        const char *says;
    } CASES[] = {
        {"HTTP/1.1 401 Unauthorized\r\n\r\n", CLI_DENIED, "give a token"},
        {"HTTP/1.1 404 Not Found\r\n\r\n", CLI_UNREACHABLE, "HTTP 404"},
        {"HTTP/1.1 101 Switching\r\nUpgrade: h2c\r\n\r\n", CLI_UNREACHABLE, "HTTP 101"},
        {"220 mail.example.com\r\n\r\n", CLI_UNREACHABLE, "no answer"},
        {"", CLI_UNREACHABLE, "no answer"},
        {SWITCHED, CLI_UNREACHABLE, "lost"},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct err err;
        char *out = NULL;
        CU_ASSERT_EQUAL(top(CASES[i].answer, false, &out, &err, NULL), CASES[i].rc);
        CU_ASSERT_PTR_NOT_NULL(strstr(err.msg, CASES[i].says));
        CU_ASSERT_STRING_EQUAL(out, "");
        free(out);
    }
}

static const struct test TESTS[] = {
    {"without a terminal, one picture and exit 0", one_picture},
    {"a refused or broken connection has its exit code", refused},
};
int main(void)
{
    return test_main("live_client", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
