// SPDX-License-Identifier: Apache-2.0
// The probe engine on a real loop against sockets of our own.
#include "agent/probe.h"
#include "agent/probe_state.h"
#include "tests/lib/run.h"
#include "wire/tocsin.pb-c.h"
#include <arpa/inet.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNS_MAX 32

static struct world {
    struct env env;
    struct schedule *schedule;
    struct transfers *transfers;
    struct probes *probes;
    struct agent_config *config;
    struct loop_io *io;
    int listen_fd, port;
    struct conn {
        int fd;
        struct loop_io *io;
        bool asked;
    } conns[CONNS_MAX];
    int accepted;
    int64_t accepted_ns[256];
    const char *answer; // NULL: accept and say nothing
    int n_events, kinds[64];
    char details[64][256];
    uint64_t seq;
    size_t wanted;
    char success_port[8]; // label `port` of probe_success
} w;

static void frame(void *ctx, int64_t wall_ms, int64_t mono_ns, enum schedule_frame why)
{
    (void)ctx;
    (void)why;
    const struct batch *b = output_take(w.env.out, ++w.seq, wall_ms, mono_ns);
    for (size_t i = 0; i < b->n_declares; i++)
        for (size_t k = 0; k < b->declares[i].n_labels; k++)
            if (strcmp(b->declares[i].name, "probe_success") == 0 &&
                strcmp(b->declares[i].labels[k].name, "port") == 0)
                snprintf(w.success_port, 8, "%s", b->declares[i].labels[k].value);
    for (size_t i = 0; i < b->n_events && w.n_events < 64; i++) {
        w.kinds[w.n_events] = b->events[i].kind;
        snprintf(w.details[w.n_events++], 256, "%s", b->events[i].detail);
    }
}

static void flush(void *core)
{
    (void)core;
    if (!schedule_running(w.schedule))
        frame(NULL, 1000, 1, false);
}

static void answer(struct conn *c, const char *text)
{
    if (write(c->fd, text, strlen(text)) < 0)
        CU_FAIL("write");
    loop_io_del(c->io);
    close(c->fd);
    *c = (struct conn){0};
}

static void on_request(void *ctx, int fd, uint32_t events)
{
    struct conn *c = ctx;
    char text[2048];
    (void)events;
    c->asked = read(fd, text, sizeof(text)) > 0;
    if (!c->asked)
        answer(c, "");
    else if (w.answer)
        answer(c, w.answer);
    // else it stays open and unanswered
}

static void on_client(void *ctx, int fd, uint32_t events)
{
    (void)ctx;
    (void)events;
    for (size_t i = 0; i < CONNS_MAX; i++)
        if (!w.conns[i].io) {
            // cppcheck-suppress nullPointer ; as in listener.c
            w.conns[i].fd = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
            if (w.accepted < 256)
                w.accepted_ns[w.accepted] = clock_mono_ns(&w.env.clock);
            w.accepted++;
            w.conns[i].io =
                loop_io_add(w.env.loop, w.conns[i].fd, EPOLLIN, on_request, &w.conns[i]);
            return;
        }
}

// The same port again when there was one.
static void open_port(bool listening)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
        .sin_port = htons((uint16_t)w.port)};
    socklen_t len = sizeof(a);
    int one = 1;
    w.listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(w.listen_fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    bind(w.listen_fd, (struct sockaddr *)&a, sizeof(a));
    getsockname(w.listen_fd, (struct sockaddr *)&a, &len);
    w.port = ntohs(a.sin_port);
    if (listening) {
        listen(w.listen_fd, 16);
        w.io = loop_io_add(w.env.loop, w.listen_fd, EPOLLIN, on_client, NULL);
    }
}

static void close_port(void)
{
    loop_io_del(w.io);
    w.io = NULL;
    close(w.listen_fd);
}

static void open_world(bool listening, const char *probe)
{
    char text[1024];
    size_t n = 0;
    struct buf problems;
    memset(&w, 0, sizeof(w));
    w.env = (struct env){.clock = clock_system(),
        .proc = "/proc",
        .flush = flush,
        .loop = loop_new(),
        .out = output_new()};
    open_port(listening);
    w.schedule = schedule_new(&w.env, frame, NULL);
    w.transfers = transfers_new(w.env.loop, NULL, NULL);
    w.probes = probes_new(&w.env, w.schedule, w.transfers);
    buf_init(&problems, 65536);
    for (const char *at = probe; *at && n < sizeof(text) - 8;)
        if (strncmp(at, "PORT", 4) == 0) {
            n += (size_t)snprintf(text + n, 8, "%d", w.port);
            at += 4;
        } else {
            text[n++] = *at++;
        }
    text[n] = '\0';
    CU_ASSERT_EQUAL_FATAL(config_parse(text, strlen(text), "t", &w.config, &problems), 0);
    buf_done(&problems);
    CU_ASSERT_EQUAL_FATAL(probes_apply(w.probes, w.config), 0);
    schedule_start(w.schedule, 0);
}

static void close_world(void)
{
    probes_free(w.probes);
    schedule_free(w.schedule);
    transfers_free(w.transfers);
    close_port();
    for (size_t i = 0; i < CONNS_MAX; i++)
        if (w.conns[i].io) {
            loop_io_del(w.conns[i].io);
            close(w.conns[i].fd);
        }
    output_free(w.env.out);
    loop_free(w.env.loop);
    config_free(w.config);
}

static void turn_until(bool (*done)(void))
{
    int64_t end = clock_mono_ns(&w.env.clock) + 5 * NS_PER_S;
    while (!done() && clock_mono_ns(&w.env.clock) < end)
        loop_once(w.env.loop, 20);
    CU_ASSERT_TRUE(done());
}

static bool has_series(void)
{
    return output_active(w.env.out) > 0;
}

static bool has_wanted(void)
{
    return output_active(w.env.out) >= w.wanted;
}

static bool one_accepted(void)
{
    return w.accepted >= 1;
}

static bool one_event(void)
{
    return w.n_events >= 1;
}

static bool three_events(void)
{
    return w.n_events >= 3;
}

static bool two_events(void)
{
    return w.n_events >= 2;
}

static void a_refused_connection_is_told_at_once(void)
{
    open_world(false, "probes: [{name: db, tcp: '127.0.0.1:PORT', every: 50ms}]\n");
    turn_until(one_event);
    CU_ASSERT_EQUAL(w.kinds[0], TOCSIN__V1__EVENT_KIND__EVENT_PROBE_CHANGED);
    CU_ASSERT_STRING_EQUAL(w.details[0], "probe db: connection refused");
    // The same verdict again is no news; an answer is.
    listen(w.listen_fd, 16);
    w.io = loop_io_add(w.env.loop, w.listen_fd, EPOLLIN, on_client, NULL);
    turn_until(two_events);
    CU_ASSERT_STRING_EQUAL(w.details[1], "probe db: answers again");
    close_world();
}

static void a_bad_status_is_named(void)
{
    open_world(true, "probes: [{name: web, http: 'http://127.0.0.1:PORT/', every: 50ms}]\n");
    w.answer = "HTTP/1.0 302 Found\r\nLocation: http://192.0.2.1/\r\nContent-Length: 0\r\n\r\n";
    for (int i = 0; i < 10; i++)
        loop_once(w.env.loop, 20);
    CU_ASSERT_EQUAL(w.n_events, 0); // not followed, and fine
    w.answer = "HTTP/1.0 500 Oh\r\nContent-Length: 0\r\n\r\n";
    turn_until(one_event);
    CU_ASSERT_STRING_EQUAL(w.details[0], "probe web: status 500");
    close_world();
}

static void a_missing_text_in_the_body_is_named(void)
{
    open_world(true,
        "probes: [{name: web, http: 'http://127.0.0.1:PORT/', body: ready, every: 50ms}]\n");
    w.answer = "HTTP/1.0 200 OK\r\nContent-Length: 8\r\n\r\nstarting";
    turn_until(one_event);
    CU_ASSERT_STRING_EQUAL(w.details[0], "probe web: the body does not hold \"ready\"");
    w.answer = "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nready";
    turn_until(two_events);
    close_world();
}

#define STATUS_PAGE                                                                            \
    "Active connections: 1 \nserver accepts handled requests\n 9 7 8 \n"                       \
    "Reading: 0 Writing: 1 Waiting: 0 \n"
#define PAGE_ANSWER "HTTP/1.0 200 OK\r\n\r\n" STATUS_PAGE

static void a_page_is_judged_by_what_it_is(void)
{
    open_world(
        true, "probes: [{name: web, nginx: 'http://127.0.0.1:PORT/status', every: 50ms}]\n");
    w.answer = PAGE_ANSWER;
    w.wanted = 8;
    turn_until(has_wanted);
    CU_ASSERT_EQUAL(w.n_events, 0);
    w.answer = "HTTP/1.0 200 OK\r\n\r\n<html>";
    turn_until(one_event);
    CU_ASSERT_STRING_EQUAL(w.details[0], "probe web: not a page of nginx");
    w.answer = PAGE_ANSWER;
    turn_until(two_events);
    w.answer = "HTTP/1.0 403 No\r\n\r\n";
    turn_until(three_events);
    CU_ASSERT_STRING_EQUAL(w.details[2], "probe web: status 403");
    close_world();
}

static void a_page_without_end_is_cut_off(void)
{
    static char endless[6000];
    open_world(
        true, "probes: [{name: web, nginx: 'http://127.0.0.1:PORT/status', every: 50ms}]\n");
    snprintf(endless, sizeof(endless), "HTTP/1.0 200 OK\r\n\r\n%5500s", "x");
    w.answer = endless;
    turn_until(one_event);
    CU_ASSERT_STRING_EQUAL(w.details[0], "probe web: the page is longer than 4 KiB");
    close_world();
}

static int64_t in_a_second(void *ctx)
{
    struct clock real = clock_system();
    (void)ctx;
    return real.mono_ns(real.ctx) + NS_PER_S;
}

// The host stalled: by the time the agent is at it, the start is a second late.
static void a_start_that_is_too_late_is_left_out(void)
{
    open_world(true, "probes: [{name: db, tcp: '127.0.0.1:PORT', every: 100ms}]\n");
    w.env.clock.mono_ns = in_a_second;
    turn_until(has_series);
    for (int i = 0; i < 20; i++)
        loop_once(w.env.loop, 20);
    CU_ASSERT_EQUAL(w.accepted, 0);
    w.env.clock = clock_system();
    turn_until(one_accepted);
    close_world();
}

static void a_hang_is_told_before_its_timeout_and_once(void)
{
    open_world(true,
        "probes: [{name: web, http: 'http://127.0.0.1:PORT/', every: 50ms, slow: 100ms, timeout: 400ms}]\n");
    int64_t begun = clock_mono_ns(&w.env.clock);
    turn_until(one_event);
    int64_t took = clock_mono_ns(&w.env.clock) - begun;
    CU_ASSERT_TRUE(took >= 95 * NS_PER_MS && took < 350 * NS_PER_MS);
    CU_ASSERT_EQUAL(w.kinds[0], TOCSIN__V1__EVENT_KIND__EVENT_PROBE_SLOW);
    turn_until(two_events);
    CU_ASSERT_EQUAL(w.kinds[1], TOCSIN__V1__EVENT_KIND__EVENT_PROBE_CHANGED);
    CU_ASSERT_STRING_EQUAL(w.details[1], "probe web: no answer within 400 ms");
    close_world();
}

static bool has_success(void)
{
    return w.success_port[0] != '\0';
}

static void a_local_target_has_its_port_from_the_first_sample(void)
{
    char port[8];
    open_world(true, "probes: [{name: db, tcp: '127.0.0.1:PORT', every: 50ms}]\n");
    w.answer = "";
    turn_until(has_success);
    snprintf(port, sizeof(port), "%d", w.port);
    CU_ASSERT_STRING_EQUAL(w.success_port, port);
    close_world();
}

static void a_port_that_turned_is_asked_out_of_turn(void)
{
    open_world(true, "probes: [{name: db, tcp: '127.0.0.1:PORT', every: 1h}]\n");
    w.answer = "";
    turn_until(has_success);
    close_port();
    probes_port_turned(w.probes, (uint16_t)(w.port + 1));
    for (int i = 0; i < 3; i++)
        loop_once(w.env.loop, 0);
    CU_ASSERT_EQUAL(w.n_events, 0); // another's port
    probes_port_turned(w.probes, (uint16_t)w.port);
    CU_ASSERT_EQUAL(w.n_events, 0); // not from within the call
    turn_until(one_event);
    CU_ASSERT_STRING_EQUAL(w.details[0], "probe db: connection refused");
    open_port(true);
    probes_port_turned(w.probes, (uint16_t)w.port);
    turn_until(two_events);
    CU_ASSERT_STRING_EQUAL(w.details[1], "probe db: answers again");
    close_world();
}

static bool two_accepted(void)
{
    return w.accepted >= 2;
}

static void turns_stay_what_they_were(void)
{
    open_world(true, "probes: [{name: db, tcp: '127.0.0.1:PORT', every: 1s}]\n");
    w.answer = "";
    turn_until(one_accepted);
    int64_t first = clock_mono_ns(&w.env.clock);
    while (clock_mono_ns(&w.env.clock) < first + 500 * NS_PER_MS)
        loop_once(w.env.loop, 20);
    CU_ASSERT_EQUAL(w.accepted, 1);
    probes_port_turned(w.probes, (uint16_t)w.port);
    turn_until(two_accepted);
    close_port();
    turn_until(one_event); // by the turn a second after the first, not after the second
    CU_ASSERT_TRUE(clock_mono_ns(&w.env.clock) < first + 1450 * NS_PER_MS);
    close_world();
}

static bool has_question(void)
{
    return w.conns[0].asked;
}

static void an_older_answer_does_not_overturn_a_younger_verdict(void)
{
    open_world(true, "probes: [{name: web, http: 'http://127.0.0.1:PORT/', every: 1h}]\n");
    turn_until(has_question);
    close_port();
    probes_port_turned(w.probes, (uint16_t)w.port);
    turn_until(one_event);
    CU_ASSERT_PTR_NOT_NULL(strstr(w.details[0], "not connected"));
    answer(&w.conns[0], "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n");
    for (int i = 0; i < 10; i++)
        loop_once(w.env.loop, 20);
    CU_ASSERT_EQUAL(w.n_events, 1);
    close_world();
}

static void a_reload_keeps_what_did_not_change(void)
{
    open_world(true, "probes: [{name: a, tcp: '127.0.0.1:PORT', every: 100ms}]\n");
    w.answer = "";
    turn_until(has_series);
    size_t series = output_active(w.env.out);
    uint32_t last = output_last_id(w.env.out);
    size_t common = 1; // of all probes together
    struct agent_config *next = NULL, *none = NULL;
    struct buf problems;
    char text[256];
    buf_init(&problems, 65536);
    snprintf(text, sizeof(text),
        "probes: [{name: b, tcp: '127.0.0.1:%d'}, {name: a, tcp: '127.0.0.1:%d', every: 100ms}]\n",
        w.port, w.port);
    CU_ASSERT_EQUAL_FATAL(config_parse(text, strlen(text), "t", &next, &problems), 0);
    CU_ASSERT_EQUAL(probes_apply(w.probes, next), 0);
    config_free(w.config);
    w.config = next;
    w.wanted = 2 * series - common;
    turn_until(has_wanted);
    CU_ASSERT_EQUAL(output_active(w.env.out), 2 * series - common);
    CU_ASSERT_EQUAL(output_last_id(w.env.out), 2 * last - common);
    CU_ASSERT_EQUAL_FATAL(config_parse("", 0, "t", &none, &problems), 0);
    CU_ASSERT_EQUAL(probes_apply(w.probes, none), 0);
    config_free(w.config);
    w.config = none;
    CU_ASSERT_EQUAL(output_active(w.env.out), 0);
    CU_ASSERT_EQUAL(schedule_count(w.schedule), 0);
    buf_done(&problems);
    close_world();
}

static bool wanted_accepted(void)
{
    return (size_t)w.accepted >= w.wanted;
}

#define A_TRAIN(rest)                                                                          \
    "probes: [{name: a, " rest "}, {name: b, " rest "}, {name: c, " rest "}, {name: d, " rest  \
    "}]\n"

static int64_t span_ns(int round)
{
    w.wanted = 4 * ((size_t)round + 1);
    turn_until(wanted_accepted);
    return w.accepted_ns[4 * round + 3] - w.accepted_ns[4 * round];
}

static void an_answer_gives_the_next_of_the_train_its_turn(void)
{
    int64_t shortest = INT64_MAX;
    open_world(true, A_TRAIN("http: 'http://127.0.0.1:PORT/', every: 100ms"));
    w.answer = "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n";
    for (int i = 0; i < 10; i++) { // of them one at least that nothing disturbed
        int64_t span = span_ns(i);
        shortest = span < shortest ? span : shortest;
    }
    CU_ASSERT_TRUE(shortest < 3 * PROBE_TRAIN_GAP_NS);
    // As often as each for itself.
    CU_ASSERT_TRUE(w.accepted_ns[36] - w.accepted_ns[0] > 800 * NS_PER_MS);
    close_world();
}

static void without_an_answer_the_next_has_its_own_turn(void)
{
    open_world(true, A_TRAIN("tcp: '127.0.0.1:PORT', send: x, expect: y, every: 100ms"));
    CU_ASSERT_TRUE(span_ns(0) > 2 * PROBE_TRAIN_GAP_NS);
    close_world();
}

static void a_reload_takes_one_out_of_a_train(void)
{
    struct agent_config *next = NULL;
    struct buf problems;
    char text[256];
    open_world(true, A_TRAIN("tcp: '127.0.0.1:PORT', every: 100ms"));
    w.answer = "";
    (void)span_ns(0);
    buf_init(&problems, 65536);
    snprintf(text, sizeof(text),
        "probes: [{name: a, tcp: '127.0.0.1:%d', every: 100ms}, "
        "{name: d, tcp: '127.0.0.1:%d', every: 100ms}]\n",
        w.port, w.port);
    CU_ASSERT_EQUAL_FATAL(config_parse(text, strlen(text), "t", &next, &problems), 0);
    CU_ASSERT_EQUAL(probes_apply(w.probes, next), 0);
    config_free(w.config);
    w.config = next;
    buf_done(&problems);
    w.wanted = (size_t)w.accepted + 20;
    turn_until(wanted_accepted);
    close_world();
}

// Each question of b ends by its timeout when its third turn after that comes, and not ahead of it.
static void ahead_of_its_turn_none_is_left_out(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    char text[256];
    int hangs = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CU_ASSERT_EQUAL_FATAL(bind(hangs, (struct sockaddr *)&at, len), 0);
    CU_ASSERT_EQUAL_FATAL(listen(hangs, 64), 0);
    getsockname(hangs, (struct sockaddr *)&at, &len);
    snprintf(text, sizeof(text),
        "probes: [{name: a, http: 'http://127.0.0.1:PORT/', every: 100ms}, {name: b, tcp: "
        "'127.0.0.1:%d', expect: y, every: 100ms, timeout: 300ms}]\n",
        ntohs(at.sin_port));
    open_world(true, text);
    w.answer = "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n";
    w.wanted = 20;
    turn_until(wanted_accepted);
    const struct probe *b = w.probes->all[1];
    CU_ASSERT_TRUE(b->skipped < 3); // a busy machine may cost one; it was every fourth
    close_world();
    close(hangs);
}

static uint32_t dropped(int fd)
{
    uint32_t info[SK_MEMINFO_VARS] = {0};
    socklen_t len = sizeof(info);
    CU_ASSERT_EQUAL(getsockopt(fd, SOL_SOCKET, SO_MEMINFO, info, &len), 0);
    return info[SK_MEMINFO_DROPS];
}

// What it counts as dropped is what its clients suffer: we are one of them, once.
static void a_full_queue_is_knocked_at_once(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    char text[256];
    int full = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int other = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CU_ASSERT_EQUAL_FATAL(bind(full, (struct sockaddr *)&at, len), 0);
    CU_ASSERT_EQUAL_FATAL(listen(full, 0), 0);
    getsockname(full, (struct sockaddr *)&at, &len);
    CU_ASSERT_EQUAL_FATAL(connect(other, (struct sockaddr *)&at, len), 0);
    snprintf(text, sizeof(text),
        "probes: [{name: a, http: 'http://127.0.0.1:%d/', every: 1h, slow: 50ms, timeout: 4s}]\n",
        ntohs(at.sin_port));
    open_world(true, text);
    turn_until(one_event); // no answer for 50 ms
    CU_ASSERT_EQUAL(dropped(full), 1);
    close(other);
    close(full);
    turn_until(two_events); // the kernel asks again within a second
    CU_ASSERT_STRING_EQUAL(w.details[1], "probe a: not connected: connection refused");
    close_world();
}

int main(void)
{
    static const struct test TESTS[] = {
        {"a refused connection is told at once", a_refused_connection_is_told_at_once},
        {"a bad status is named", a_bad_status_is_named},
        {"a missing text in the body is named", a_missing_text_in_the_body_is_named},
        {"a page is judged by what it is", a_page_is_judged_by_what_it_is},
        {"a page without end is cut off", a_page_without_end_is_cut_off},
        {"a start that is too late is left out", a_start_that_is_too_late_is_left_out},
        {"a hang is told before its timeout, and once",
            a_hang_is_told_before_its_timeout_and_once},
        {"a local target has its port from the first sample",
            a_local_target_has_its_port_from_the_first_sample},
        {"a port that turned is asked out of turn", a_port_that_turned_is_asked_out_of_turn},
        {"turns stay what they were", turns_stay_what_they_were},
        {"an older answer does not overturn a younger verdict",
            an_older_answer_does_not_overturn_a_younger_verdict},
        {"a reload keeps what did not change", a_reload_keeps_what_did_not_change},
        {"an answer gives the next of the train its turn",
            an_answer_gives_the_next_of_the_train_its_turn},
        {"without an answer the next has its own turn",
            without_an_answer_the_next_has_its_own_turn},
        {"ahead of its turn none is left out", ahead_of_its_turn_none_is_left_out},
        {"a full queue is knocked at once", a_full_queue_is_knocked_at_once},
        {"a reload takes one out of a train", a_reload_takes_one_out_of_a_train},
    };
    return test_main("probe", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
