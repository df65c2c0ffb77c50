// SPDX-License-Identifier: Apache-2.0
/*
 * A real listener in the test's own thread, driven by loop_once; peers are plain sockets. Deadlines
 * are made short, and what is waited for is an event, never a time.
 */
#include "base/listener.h"
#include "tests/lib/run.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct world {
    struct loop *loop;
    struct listener *l;
    int requests, completed, closed;
};

static char body_marker;

static enum MHD_Result on_request(void *ctx, struct listener_conn *conn,
    struct MHD_Connection *c, const char *url, const char *method, const char *upload,
    size_t *upload_len, void **req)
{
    struct world *w = ctx;
    (void)conn;
    (void)url;
    (void)method;
    (void)upload;
    if (!*req) {
        *req = &body_marker;
        return MHD_YES;
    }
    if (*upload_len) {
        *upload_len = 0;
        return MHD_YES;
    }
    w->requests++;
    static char ok[] = "ok";
    struct MHD_Response *r = MHD_create_response_from_buffer(2, ok, MHD_RESPMEM_PERSISTENT);
    enum MHD_Result rc = MHD_queue_response(c, 200, r);
    MHD_destroy_response(r);
    return rc;
}

static void on_completed(
    void *ctx, struct listener_conn *conn, void **req, enum MHD_RequestTerminationCode why)
{
    struct world *w = ctx;
    (void)conn;
    (void)req;
    (void)why;
    w->completed++;
}

static void on_closed(void *ctx, struct listener_conn *conn)
{
    struct world *w = ctx;
    (void)conn;
    w->closed++;
}

static void world_init(struct world *w, struct listener_options o)
{
    struct err err;
    *w = (struct world){.loop = loop_new()};
    o.address = "127.0.0.1:0";
    struct listener_handler h = {w, on_request, on_completed, on_closed};
    CU_ASSERT_EQUAL_FATAL(listener_open(w->loop, &o, &h, &w->l, &err), 0);
}

static void world_done(struct world *w)
{
    listener_free(w->l);
    loop_free(w->loop);
}

static int dial(struct world *w, const char *from)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = inet_addr(from)};
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    to.sin_port = htons((uint16_t)atoi(strrchr(listener_address(w->l), ':') + 1));
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CU_ASSERT_EQUAL(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    CU_ASSERT_EQUAL_FATAL(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

static void say(int fd, const char *text)
{
    CU_ASSERT_EQUAL(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

// Turns the loop until the peer has an answer (its status) or an end (0); -1 = neither within the rounds.
static int hear(struct world *w, int fd, int rounds)
{
    char text[4096];
    for (int i = 0; i < rounds; i++) {
        loop_once(w->loop, 20);
        ssize_t n = recv(fd, text, sizeof(text) - 1, 0);
        if (n > 0) {
            text[n] = '\0';
            return atoi(text + 9);
        }
        if (n == 0 || (n == -1 && errno != EAGAIN))
            return 0;
    }
    return -1;
}

#define GET "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"

static void answers_and_keeps_the_connection(void)
{
    struct world w;
    world_init(&w, (struct listener_options){0});
    int fd = dial(&w, "127.0.0.1");
    for (int i = 0; i < 3; i++) {
        say(fd, GET);
        CU_ASSERT_EQUAL(hear(&w, fd, 100), 200);
    }
    CU_ASSERT_EQUAL(w.requests, 3);
    CU_ASSERT_EQUAL(w.closed, 0);
    struct listener_stats s;
    listener_stats(w.l, &s);
    CU_ASSERT_TRUE(s.connections == 1 && s.accepted == 1 && s.peers == 1);
    close(fd);
    for (int i = 0; i < 100 && !w.closed; i++)
        loop_once(w.loop, 20);
    listener_stats(w.l, &s);
    CU_ASSERT_TRUE(s.connections == 0 && s.peers == 0 && w.closed == 1);
    world_done(&w);
}

static void a_silent_connection_is_closed(void)
{
    struct world w;
    world_init(&w, (struct listener_options){.request_ms = 100});
    int fd = dial(&w, "127.0.0.1");
    CU_ASSERT_EQUAL(hear(&w, fd, 200), 0);
    struct listener_stats s;
    listener_stats(w.l, &s);
    CU_ASSERT_EQUAL(s.overdue, 1);
    close(fd);
    world_done(&w);
}

static void a_header_byte_now_and_then_does_not_help(void)
{
    struct world w;
    world_init(&w, (struct listener_options){.request_ms = 300});
    int fd = dial(&w, "127.0.0.1"), got = -1;
    static const char text[] = "GET / HTTP/1.1\r\nA: ";
    for (size_t i = 0; got == -1 && i < 200; i++) {
        if (send(fd, i < sizeof(text) - 1 ? text + i : "a", 1, MSG_NOSIGNAL) != 1)
            got = 0;
        else
            got = hear(&w, fd, 2);
    }
    CU_ASSERT_EQUAL(got, 0);
    close(fd);
    world_done(&w);
}

static void nor_on_a_connection_that_was_good_before(void)
{
    struct world w;
    world_init(&w, (struct listener_options){.request_ms = 300, .idle_ms = 600000});
    int fd = dial(&w, "127.0.0.1"), got = -1;
    say(fd, GET);
    CU_ASSERT_EQUAL(hear(&w, fd, 100), 200);
    static const char text[] = "GET / HTTP/1.1\r\nA: ";
    for (size_t i = 0; got == -1 && i < 400; i++) {
        if (send(fd, i < sizeof(text) - 1 ? text + i : "a", 1, MSG_NOSIGNAL) != 1)
            got = 0;
        else
            got = hear(&w, fd, 2);
    }
    CU_ASSERT_EQUAL(got, 0);
    close(fd);
    world_done(&w);
}

static void an_idle_connection_lives_to_its_own_deadline(void)
{
    struct world w;
    world_init(&w, (struct listener_options){.request_ms = 50, .idle_ms = 1200});
    int fd = dial(&w, "127.0.0.1");
    say(fd, GET);
    CU_ASSERT_EQUAL(hear(&w, fd, 100), 200);
    CU_ASSERT_EQUAL(hear(&w, fd, 20), -1); // well over request_ms
    say(fd, GET);
    CU_ASSERT_EQUAL(hear(&w, fd, 100), 200);
    CU_ASSERT_EQUAL(hear(&w, fd, 300), 0);
    close(fd);
    world_done(&w);
}

static void one_address_has_its_share_only(void)
{
    struct world w;
    world_init(&w, (struct listener_options){.per_ip_max = 3});
    int fd[5];
    for (int i = 0; i < 5; i++)
        fd[i] = dial(&w, "127.0.0.7");
    CU_ASSERT_EQUAL(hear(&w, fd[4], 100), 0);
    CU_ASSERT_EQUAL(hear(&w, fd[3], 100), 0);
    int other = dial(&w, "127.0.0.8");
    say(other, GET);
    CU_ASSERT_EQUAL(hear(&w, other, 100), 200);
    say(fd[0], GET);
    CU_ASSERT_EQUAL(hear(&w, fd[0], 100), 200);
    struct listener_stats s;
    listener_stats(w.l, &s);
    CU_ASSERT_EQUAL(s.refused_ip, 2);
    for (int i = 0; i < 5; i++)
        close(fd[i]);
    close(other);
    world_done(&w);
}

static void at_the_limit_the_oldest_silent_one_makes_room(void)
{
    struct world w;
    world_init(&w, (struct listener_options){.connections_max = 4});
    int good = dial(&w, "127.0.0.1");
    say(good, GET);
    CU_ASSERT_EQUAL(hear(&w, good, 100), 200);
    int idle[10];
    for (int i = 0; i < 10; i++) {
        idle[i] = dial(&w, "127.0.0.2");
        loop_once(w.loop, 20);
        loop_once(w.loop, 0);
    }
    int late = dial(&w, "127.0.0.3");
    say(late, GET);
    CU_ASSERT_EQUAL(hear(&w, late, 100), 200);
    say(good, GET);
    CU_ASSERT_EQUAL(hear(&w, good, 100), 200);
    CU_ASSERT_EQUAL(hear(&w, idle[0], 100), 0);
    struct listener_stats s;
    listener_stats(w.l, &s);
    CU_ASSERT_TRUE(s.evicted >= 7);
    CU_ASSERT_TRUE(s.connections <= 5);
    for (int i = 0; i < 10; i++)
        close(idle[i]);
    close(good);
    close(late);
    world_done(&w);
}

static void addresses_are_literal(void)
{
    static const char *const GOOD[] = {
        "127.0.0.1:0", "0.0.0.0:7312", "[::1]:7311", "localhost:1"};
    static const char *const BAD[] = {"", ":1", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x",
        "127.0.0.1:70000", "host:1", "::1:7", "[::1]", "[127.0.0.1]:1", "127.0.0.1:-1"};
    struct sockaddr_storage a;
    socklen_t len;
    struct err err;
    for (size_t i = 0; i < sizeof(GOOD) / sizeof(GOOD[0]); i++)
        CU_ASSERT_EQUAL(address_parse(GOOD[i], &a, &len, &err), 0);
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++)
        CU_ASSERT_EQUAL(address_parse(BAD[i], &a, &len, &err), -EINVAL);
    address_parse("127.3.4.5:1", &a, &len, &err);
    CU_ASSERT_TRUE(address_loopback(&a));
    address_parse("128.0.0.1:1", &a, &len, &err);
    CU_ASSERT_FALSE(address_loopback(&a));
}

static const struct test TESTS[] = {
    {"answers and keeps the connection", answers_and_keeps_the_connection},
    {"a silent connection is closed", a_silent_connection_is_closed},
    {"a header byte now and then does not help", a_header_byte_now_and_then_does_not_help},
    {"nor on a connection that was good before", nor_on_a_connection_that_was_good_before},
    {"an idle connection lives to its own deadline",
        an_idle_connection_lives_to_its_own_deadline},
    {"one address has its share only", one_address_has_its_share_only},
    {"at the limit the oldest silent one makes room",
        at_the_limit_the_oldest_silent_one_makes_room},
    {"addresses are literal", addresses_are_literal},
};

int main(void)
{
    return test_main("listener", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
