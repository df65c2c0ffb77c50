// SPDX-License-Identifier: Apache-2.0
// The notify thread against receivers of this process. Nothing waits for a fixed time: the test
// blocks until the receiver has the next request.
#include "collector/notice.h"
#include "collector/notify.h"
#include "collector/notify_state.h"
#include "collector/repair_board.h"
#include "tests/lib/run.h"
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PATIENCE_MS 8000

struct receiver {
    int listening, conn;
    char url[64];
    char request[65536];
};

static void receiver_open(struct receiver *r)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(a);
    r->conn = -1;
    r->listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CU_ASSERT_EQUAL_FATAL(bind(r->listening, (struct sockaddr *)&a, len), 0);
    CU_ASSERT_EQUAL_FATAL(listen(r->listening, 8), 0);
    getsockname(r->listening, (struct sockaddr *)&a, &len);
    snprintf(r->url, sizeof(r->url), "http://127.0.0.1:%d/hook", ntohs(a.sin_port));
}

static void receiver_close(struct receiver *r)
{
    if (r->conn != -1)
        close(r->conn);
    close(r->listening);
}

static bool readable(int fd, int timeout_ms)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return poll(&p, 1, timeout_ms) == 1;
}

// Reads one whole request; the body's start, or NULL when none came.
static const char *receiver_next(struct receiver *r)
{
    size_t got = 0, want = SIZE_MAX;
    for (;;) {
        if (r->conn == -1) {
            if (!readable(r->listening, PATIENCE_MS))
                return NULL;
            r->conn = accept(r->listening, NULL, NULL);
        }
        if (!readable(r->conn, PATIENCE_MS))
            return NULL;
        ssize_t n = read(r->conn, r->request + got, sizeof(r->request) - 1 - got);
        if (n <= 0) { // kept-alive connection was closed: the request comes on another
            close(r->conn);
            r->conn = -1;
            got = 0;
            continue;
        }
        got += (size_t)n;
        r->request[got] = '\0';
        char *head = strstr(r->request, "\r\n\r\n");
        const char *length = strstr(r->request, "Content-Length: ");
        if (head && length)
            want = (size_t)(head + 4 - r->request) + strtoul(length + 16, NULL, 10);
        if (got >= want)
            return head + 4;
    }
}

static void receiver_answer(struct receiver *r, const char *status_and_headers)
{
    char text[256];
    int n = snprintf(
        text, sizeof(text), "HTTP/1.1 %s\r\nContent-Length: 0\r\n\r\n", status_and_headers);
    CU_ASSERT_EQUAL(write(r->conn, text, (size_t)n), n);
}

static void header(const struct receiver *r, const char *name, char ret[static 128])
{
    const char *at = strstr(r->request, name);
    ret[0] = '\0';
    if (at)
        sscanf(at + strlen(name), ": %127[^\r]", ret);
}

static struct ring *notices;
static struct board *board;
static struct config config;
static struct route route;

static struct notify *start_at(
    struct receiver *const *r, size_t n, struct time_limits times, struct clock clock)
{
    static struct integration hooks[4];
    static struct config_receiver receiver;
    static const char *by[] = {"alertname"};
    struct err err;
    memset(hooks, 0, sizeof(hooks));
    for (size_t i = 0; i < n; i++) {
        hooks[i].kind = &RECEIVER_WEBHOOK;
        hooks[i].number = i;
        hooks[i].timeout_ms = 10000;
        hooks[i].url.text = r[i]->url;
        hooks[i].send_resolved = true;
    }
    receiver = (struct config_receiver){.name = "oncall", .integrations = hooks, .n = n};
    route = (struct route){.key = "{}"};
    config = (struct config){.route = &route, .receivers = &receiver, .n_receivers = 1};
    route.receiver = "oncall";
    route.group_by = by;
    route.n_group_by = 1;
    route.times = times;
    notices = ring_new(1024);
    board = board_new();
    struct notify_options o = {
        .config = &config, .external_url = "http://c", .board = board, .clock = clock};
    struct notify *made = notify_start(&o, notices, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(made);
    return made;
}

static struct notify *start(struct receiver *const *r, size_t n)
{
    return start_at(r, n, (struct time_limits){0}, clock_system());
}

static void stop(struct notify *n)
{
    notify_stop(n, 0);
    for (void *left; (left = ring_pop(notices));)
        free(left);
    ring_free(notices);
    board_free(board);
}

static struct notice *change_of(const char *name, int instance, bool firing, int64_t t)
{
    char host[16];
    snprintf(host, sizeof(host), "web-%d", instance);
    struct label l[] = {{"alertname", name}, {"instance", host}, {"severity", "page"}};
    struct labels labels = {l, 3};
    struct rule_group g = {.name = "g", .file = "f.yaml"};
    struct rule rule = {.name = name, .expr.text = "up == 0"};
    struct alert a = {.labels = &labels,
        .annotations = &(struct labels){0},
        .fingerprint = labels_fingerprint(&labels),
        .id = labels_fingerprint(&labels), // one episode at a time
        .active_at_ms = t,
        .fired_at_ms = t,
        .resolved_at_ms = firing ? 0 : t + 1,
        .cause_ms = t};
    struct transition tr = {.group = &g,
        .rule = &rule,
        .alert = &a,
        .from = firing ? ALERT_PENDING : ALERT_FIRING,
        .to = firing ? ALERT_FIRING : ALERT_INACTIVE,
        .at_ms = t};
    struct notice *n = notice_new(&tr, 1, t);
    CU_ASSERT_PTR_NOT_NULL_FATAL(n);
    return n;
}

static struct notice *change(const char *name, bool firing, int64_t t)
{
    return change_of(name, 1, firing, t);
}

static void delivers(void)
{
    static struct receiver r;
    char key[128], cause[128];
    receiver_open(&r);
    struct notify *n = start((struct receiver *[]){&r}, 1);
    ring_push(notices, change("Down", true, 5000));
    const char *body = receiver_next(&r);
    CU_ASSERT_PTR_NOT_NULL_FATAL(body);
    CU_ASSERT_PTR_NOT_NULL(strstr(body, "\"alertname\":\"Down\""));
    CU_ASSERT_EQUAL(strncmp(r.request, "POST /hook HTTP/1.1\r\n", 21), 0);
    header(&r, "Idempotency-Key", key);
    header(&r, "Tocsin-Cause-Ms", cause);
    CU_ASSERT_EQUAL(strlen(key), 32);
    CU_ASSERT_STRING_EQUAL(cause, "5000");
    receiver_answer(&r, "200 OK");
    // The next one comes on the same connection only after this answer.
    ring_push(notices, change("Down", false, 6000));
    body = receiver_next(&r);
    CU_ASSERT_PTR_NOT_NULL_FATAL(body);
    CU_ASSERT_PTR_NOT_NULL(strstr(body, "\"status\":\"resolved\""));
    struct board_receiver shown;
    CU_ASSERT_EQUAL(board_receivers(board, &shown, 1), 1);
    CU_ASSERT_STRING_EQUAL(shown.name, "oncall");
    CU_ASSERT_EQUAL(shown.sent, 1);
    stop(n);
    receiver_close(&r);
}

// Twenty alerts of one group, decided together: one message has all of them, though the notifier
// sleeps when the first comes.
static void decided_together(void)
{
    static struct receiver r;
    struct notice *all[20];
    receiver_open(&r);
    struct notify *n = start((struct receiver *[]){&r}, 1);
    for (int round = 0; round < 10; round++) {
        bool firing = round % 2 == 0;
        for (int i = 0; i < 20; i++)
            all[i] = change_of("Down", i, firing, 5000 + round);
        CU_ASSERT_EQUAL(ring_push_all(notices, (void *const *)all, 20), 20);
        const char *body = receiver_next(&r);
        CU_ASSERT_PTR_NOT_NULL_FATAL(body);
        int members = 0;
        for (const char *at = body; (at = strstr(at, "\"startsAt\"")); at++)
            members++;
        CU_ASSERT_EQUAL(members, 20);
        receiver_answer(&r, "200 OK");
    }
    stop(n);
    receiver_close(&r);
}

static void retries(void)
{
    static struct receiver r;
    char first[128], again[128];
    receiver_open(&r);
    struct notify *n = start((struct receiver *[]){&r}, 1);
    ring_push(notices, change("Down", true, 5000));
    CU_ASSERT_PTR_NOT_NULL_FATAL(receiver_next(&r));
    header(&r, "Idempotency-Key", first);
    ring_push(notices, change("Down", false, 6000));
    receiver_answer(&r, "503 Busy\r\nRetry-After: 0");
    CU_ASSERT_PTR_NOT_NULL_FATAL(receiver_next(&r));
    header(&r, "Idempotency-Key", again);
    CU_ASSERT_STRING_EQUAL(first, again);
    close(r.conn); // dies in the middle of the exchange
    r.conn = -1;
    const char *body = receiver_next(&r);
    CU_ASSERT_PTR_NOT_NULL_FATAL(body);
    CU_ASSERT_PTR_NOT_NULL(strstr(body, "\"status\":\"firing\""));
    receiver_answer(&r, "204 No Content");
    body = receiver_next(&r);
    CU_ASSERT_PTR_NOT_NULL_FATAL(body);
    CU_ASSERT_PTR_NOT_NULL(strstr(body, "\"status\":\"resolved\""));
    receiver_answer(&r, "200 OK");
    stop(n);
    receiver_close(&r);
}

static void hung_receiver(void)
{
    static struct receiver hung, fine;
    receiver_open(&hung); // accepts by its backlog and never answers
    receiver_open(&fine);
    struct notify *n = start((struct receiver *[]){&hung, &fine}, 2);
    for (int i = 0; i < 20; i++) {
        ring_push(notices, change("Down", i % 2 == 0, 5000 + i));
        const char *body = receiver_next(&fine);
        CU_ASSERT_PTR_NOT_NULL_FATAL(body);
        CU_ASSERT_PTR_NOT_NULL(
            strstr(body, i % 2 ? "\"status\":\"resolved\"" : "\"status\":\"firing\""));
        receiver_answer(&fine, "200 OK");
    }
    struct board_receiver shown[2];
    CU_ASSERT_EQUAL(board_receivers(board, shown, 2), 2);
    CU_ASSERT_EQUAL(shown[0].sent, 0);
    stop(n);
    receiver_close(&hung);
    receiver_close(&fine);
}

static void no_redirect(void)
{
    static struct receiver r, elsewhere;
    receiver_open(&r);
    receiver_open(&elsewhere);
    struct notify *n = start((struct receiver *[]){&r}, 1);
    char answer[128];
    snprintf(
        answer, sizeof(answer), "302 Found\r\nLocation: %s\r\nRetry-After: 0", elsewhere.url);
    ring_push(notices, change("Down", true, 5000));
    for (int i = 0; i < 3; i++) {
        CU_ASSERT_PTR_NOT_NULL_FATAL(receiver_next(&r));
        receiver_answer(&r, answer);
    }
    // Given up: the next change is what comes next, and nobody asked elsewhere.
    ring_push(notices, change("Other", true, 7000));
    const char *body = receiver_next(&r);
    CU_ASSERT_PTR_NOT_NULL_FATAL(body);
    CU_ASSERT_PTR_NOT_NULL(strstr(body, "\"alertname\":\"Other\""));
    CU_ASSERT_FALSE(readable(elsewhere.listening, 0));
    stop(n);
    receiver_close(&r);
    receiver_close(&elsewhere);
}

static void nowhere_to_send(void)
{
    struct err err;
    notices = ring_new(16);
    board = board_new();
    config = (struct config){.route = &route};
    route.receiver = "nobody";
    struct notify_options o = {
        .config = &config, .external_url = "http://c", .board = board, .clock = clock_system()};
    CU_ASSERT_PTR_NULL(notify_start(&o, notices, &err));
    CU_ASSERT_PTR_NOT_NULL(strstr(err.msg, "nobody"));
    config.route = NULL; // alerts are shown but sent nowhere
    struct notify *n = notify_start(&o, notices, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(n);
    ring_push(notices, change("Down", true, 5000));
    stop(n);
}

static atomic_int_fast64_t wall_ns;

static int64_t wall_by_hand(void *ctx)
{
    (void)ctx;
    return atomic_load(&wall_ns);
}

// Muted until nine o'clock. What began and ended before that is nobody's business; what still fires
// is said at nine, without anything else happening.
static void muted_by_time(void)
{
    static struct receiver r;
    static const struct time_range NIGHT = {0, 9 * 60};
    const struct time_spec spec = {.times = {.r = &NIGHT, .n = 1, .set = true}};
    const struct time_interval night = {.name = "night", .specs = &spec, .n = 1};
    const struct time_interval *mute[] = {&night};
    struct clock clock = clock_system();
    clock.wall_ns = wall_by_hand;
    int64_t nine = (20000 * 24 + 9) * 3600 * NS_PER_S;
    atomic_store(&wall_ns, nine - NS_PER_S);
    receiver_open(&r);
    struct notify *n = start_at(
        (struct receiver *[]){&r}, 1, (struct time_limits){.mute = mute, .n_mute = 1}, clock);
    ring_push(notices, change("Short", true, 5000));
    ring_push(notices, change("Short", false, 6000));
    ring_push(notices, change("Long", true, 7000));
    CU_ASSERT_FALSE(readable(r.listening, 50)); // a try would be here within a millisecond
    atomic_store(&wall_ns, nine);
    const char *body = receiver_next(&r);
    CU_ASSERT_PTR_NOT_NULL_FATAL(body);
    CU_ASSERT_PTR_NOT_NULL(strstr(body, "\"alertname\":\"Long\""));
    CU_ASSERT_PTR_NULL(strstr(body, "Short"));
    receiver_answer(&r, "200 OK");
    stop(n);
    receiver_close(&r);
}

static int64_t stands_still(void *ctx)
{
    (void)ctx;
    return NS_PER_S;
}

// Of an earlier run, and by a clock that stands still: the thread itself has shown nothing yet. The shard,
// which runs next, would take an alert that looks at it for over.
static void what_was_given_up_is_shown_from_the_start(void)
{
    static const char TEXT[] = "route: {receiver: r}\nreceivers:\n  - name: r\n    "
                               "repair_configs: [{action: restart}]\n";
    struct clock clock = clock_system();
    struct diags d;
    struct err err = {0};
    struct repair_row row;
    struct repair_link link;
    clock.mono_ns = stands_still;
    diags_init(&d);
    CU_ASSERT_EQUAL_FATAL(config_parse(TEXT, strlen(TEXT), &config, &d), 0);
    for (int turn = 0; turn < 2; turn++) {
        board = board_new();
        notices = ring_new(1024);
        link = (struct repair_link){ring_new(64), ring_new(64)};
        struct repair_board *repairs = repair_board_new();
        struct journal *j = journal_open(test_tmpdir(), &err);
        CU_ASSERT_PTR_NOT_NULL_FATAL(j);
        struct notify_options o = {.config = &config,
            .external_url = "http://c",
            .board = board,
            .journal = j,
            .repairs = &link,
            .repair_board = repairs,
            .clock = clock};
        struct notify *n = notify_start(&o, notices, &err);
        CU_ASSERT_PTR_NOT_NULL_FATAL(n);
        CU_ASSERT_EQUAL(repair_board_read(repairs, &row, 1, NULL), turn);
        CU_ASSERT_TRUE(
            turn == 0 || (row.state == REPAIR_GAVE_UP && strcmp(row.alert, "Down") == 0));
        struct notice *fired = change("Down", true, 5000);
        struct journal_write *w = journal_write_new();
        CU_ASSERT_EQUAL(journal_write_alert(w, fired, 1, 0), 0);
        CU_ASSERT_EQUAL(journal_write_told(w, lane_id(lanes_at(n->lanes, 0)), fired->alert_id,
                            TOLD_FIRING, 5000),
            0);
        CU_ASSERT_TRUE(journal_commit(j, w, 0));
        notice_free(fired);
        notify_stop(n, 0);
        journal_stop(j);
        repair_board_free(repairs);
        ring_free(link.orders);
        ring_free(link.answers);
        ring_free(notices);
        board_free(board);
    }
    config_done(&config);
    diags_done(&d);
}

static const struct test TESTS[] = {
    {"what was given up is shown before the first turn",
        what_was_given_up_is_shown_from_the_start},
    {"a route muted by time says what still holds when that ends", muted_by_time},
    {"delivers with its key and cause over one connection", delivers},
    {"sends what was decided together in one message", decided_together},
    {"retries the same message, then the next, in order", retries},
    {"is not delayed by a receiver that hangs", hung_receiver},
    {"does not follow a redirect", no_redirect},
    {"refuses a route to nobody", nowhere_to_send},
};
int main(void)
{
    return test_main("notify", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
