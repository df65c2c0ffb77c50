// SPDX-License-Identifier: Apache-2.0
// The pusher against a small collector of our own on the same loop: plain sockets, scripted replies.
#include "agent/push.h"
#include "tests/lib/run.h"
#include "wire/decode.h"
#include "wire/encode.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNS_MAX 16

enum answer { OK, TOO_MANY, CLOSE, GARBAGE, BAD, LATE };

struct seen {
    int lane;
    uint64_t first, last; // 0: an empty body
    size_t frames, bytes;
};

static struct world {
    struct loop *loop;
    struct transfers *transfers;
    struct spool *spool;
    struct pusher *push;
    struct clock clock;
    struct wire_session session;
    struct chain_out *chain;
    struct loop_timer *late;
    int listen_fd;
    struct loop_io *listen_io;
    struct conn {
        int fd;
        struct loop_io *io;
        struct buf in;
    } conns[CONNS_MAX];
    int n_conns, n_late, late_fd[4];
    bool authorized, expected;
    // The script: answers to the bodies to come (OK after them), and what an OK says.
    enum answer answers[8];
    int n_answers, next_answer;
    struct wire_reply reply;
    int reply_times;
    struct seen seen[256];
    int n_seen;
    int keys_wanted, failures, successes;
    size_t repairs;
    int64_t repairs_sent_ns;
    uint64_t seq;
    char failure[256], told[256];
} w;

static void respond(int fd, const char *head, const uint8_t *body, size_t len)
{
    char text[512];
    int n =
        snprintf(text, sizeof(text), "HTTP/1.1 %s\r\nContent-Length: %zu\r\n\r\n", head, len);
    if (write(fd, text, (size_t)n) != n || (len && write(fd, body, len) != (ssize_t)len))
        CU_FAIL("write");
}

static void respond_ok(int fd)
{
    struct wire_reply r = {.protocol = 1, .collector = "test"};
    struct buf out;
    buf_init(&out, 4096);
    if (w.reply_times > 0) {
        w.reply_times--;
        r = w.reply;
        r.protocol = 1;
    }
    CU_ASSERT_EQUAL(reply_encode(&r, &out), 0);
    respond(fd, "200 OK", out.data, out.len);
    buf_done(&out);
}

static void take_body(const uint8_t *body, size_t len)
{
    struct arena a;
    struct push p;
    struct err err;
    struct seen *s = &w.seen[w.n_seen++ % 256];
    arena_init(&a, 8u << 20);
    *s = (struct seen){.bytes = len};
    CU_ASSERT_EQUAL(push_open(body, len, &a, &p, &err), 0);
    s->lane = p.lane;
    s->frames = p.n_frames;
    for (size_t i = 0; i < p.n_frames; i++) {
        uint64_t seq, base;
        CU_ASSERT_EQUAL(push_peek(&p, i, &seq, &base), 0);
        if (i == 0)
            s->first = seq;
        s->last = seq;
    }
    arena_done(&a);
}

static void conn_close(struct conn *c)
{
    loop_io_del(c->io);
    close(c->fd);
    buf_done(&c->in);
    *c = (struct conn){.fd = -1};
}

static void on_late(void *ctx, int64_t due, int64_t now)
{
    (void)ctx;
    (void)due;
    (void)now;
    for (int i = 0; i < w.n_late; i++)
        respond_ok(w.late_fd[i]);
    w.n_late = 0;
}

static void on_conn(void *ctx, int fd, uint32_t events)
{
    struct conn *c = ctx;
    char text[16384];
    ssize_t n = read(fd, text, sizeof(text));
    (void)events;
    if (n <= 0) {
        conn_close(c);
        return;
    }
    buf_add(&c->in, text, (size_t)n);
    const char *all = buf_cstr(&c->in), *end = strstr(all, "\r\n\r\n");
    if (!end)
        return;
    const char *cl = strcasestr(all, "content-length:");
    size_t head = (size_t)(end + 4 - all),
           len = cl && cl < end ? strtoul(cl + 15, NULL, 10) : 0;
    if (c->in.len < head + len)
        return;
    CU_ASSERT_EQUAL(strncmp(all, "POST /v1/frames HTTP/1.1\r\n", 26), 0);
    const char *auth = strstr(all, "Authorization: Bearer sesame\r\n");
    w.authorized = auth && auth < end;
    const char *expect = strcasestr(all, "\r\nexpect:");
    w.expected = expect && expect < end;
    take_body(c->in.data + head, len);
    buf_drop(&c->in, head + len);
    enum answer a = w.next_answer < w.n_answers ? w.answers[w.next_answer++] : OK;
    switch (a) {
    case OK: respond_ok(fd); break;
    case TOO_MANY: respond(fd, "429 Too Many Requests\r\nRetry-After: 1", NULL, 0); break;
    case CLOSE: conn_close(c); break;
    case GARBAGE: respond(fd, "200 OK", (const uint8_t *)"\xff\xff\xff", 3); break;
    case BAD: respond(fd, "400 Bad Request", NULL, 0); break;
    case LATE:
        w.late_fd[w.n_late++] = fd;
        loop_timer_set(w.late, loop_now_ns(w.loop) + 50 * NS_PER_MS);
        break;
    }
}

static void on_accept(void *ctx, int fd, uint32_t events)
{
    (void)ctx;
    (void)events;
    // cppcheck-suppress nullPointer ; as in listener.c
    int conn = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
    for (int i = 0; i < CONNS_MAX; i++)
        if (w.conns[i].fd == -1) {
            w.conns[i].fd = conn;
            buf_init(&w.conns[i].in, 2u << 20);
            w.conns[i].io = loop_io_add(w.loop, conn, EPOLLIN, on_conn, &w.conns[i]);
            w.n_conns++;
            return;
        }
    close(conn);
}

static void want_key(void *ctx)
{
    (void)ctx;
    w.keys_wanted++;
    chain_out_want_key(w.chain);
}

static void note(void *ctx, bool failed, const char *text)
{
    (void)ctx;
    if (failed)
        snprintf(w.failure, sizeof(w.failure), "%s", text);
    w.failures += failed;
    w.successes += !failed;
}

static void told(void *ctx, const char *text)
{
    (void)ctx;
    snprintf(w.told, sizeof(w.told), "%s", text);
}

static void repairs(void *ctx, const struct wire_repair *asked, size_t n, int64_t sent_ns)
{
    (void)ctx;
    w.repairs += n;
    w.repairs_sent_ns = sent_ns;
    CU_ASSERT_STRING_EQUAL(asked[0].action, "restart");
}

static void frame_at(int64_t made_ns)
{
    struct buf out;
    bool key;
    struct batch_sample s = {.id = 1, .kind = SAMPLE_VALUE, .value = (double)w.seq};
    struct batch_group g = {.interval_ms = 1000,
        .tick = (int64_t)w.seq,
        .stamp_ms = 1000000,
        .samples = &s,
        .n = 1};
    struct batch b = {
        .seq = ++w.seq, .wall_ms = 1000000, .mono_ns = 1, .groups = &g, .n_groups = 1};
    buf_init(&out, 1u << 20);
    CU_ASSERT_EQUAL(chain_out_encode(w.chain, &b, &out, &key), 0);
    CU_ASSERT_EQUAL(spool_add(w.spool, w.seq, key, 1, made_ns, out.data, out.len), 0);
    buf_done(&out);
}

static void frame(void)
{
    frame_at(clock_mono_ns(&w.clock));
    push_kick(w.push);
}

static void open_world(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(a);
    char url[64];
    memset(&w, 0, sizeof(w));
    for (int i = 0; i < CONNS_MAX; i++)
        w.conns[i].fd = -1;
    w.clock = clock_system();
    w.loop = loop_new();
    w.late = loop_timer_new(w.loop, on_late, NULL);
    w.listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bind(w.listen_fd, (struct sockaddr *)&a, sizeof(a));
    listen(w.listen_fd, 16);
    getsockname(w.listen_fd, (struct sockaddr *)&a, &len);
    w.listen_io = loop_io_add(w.loop, w.listen_fd, EPOLLIN, on_accept, NULL);
    snprintf(url, sizeof(url), "http://127.0.0.1:%u/", ntohs(a.sin_port));
    w.session = (struct wire_session){.agent_id = {1},
        .boot_id = {2},
        .epoch = 3,
        .nonce = 4,
        .host = "h",
        .version = "t",
        .protocol_min = 1,
        .protocol_max = 1};
    w.transfers = transfers_new(w.loop, NULL, NULL);
    w.spool = spool_new(SPOOL_BYTES_MAX, SPOOL_AGE_NS);
    w.chain = chain_out_new();
    struct batch_declare d = {.id = 1, .name = "x", .unit = "1"};
    CU_ASSERT_EQUAL(chain_out_declare(w.chain, &d), 0);
    w.push = push_new(w.loop, w.transfers, w.spool, &w.clock, &w.session,
        &(struct push_options){.collector = url, .token = "sesame"},
        &(struct push_hooks){
            .want_key = want_key, .note = note, .told = told, .repairs = repairs});
    CU_ASSERT_PTR_NOT_NULL_FATAL(w.push);
}

static void close_world(void)
{
    push_free(w.push);
    transfers_free(w.transfers);
    spool_free(w.spool);
    chain_out_free(w.chain);
    for (int i = 0; i < CONNS_MAX; i++)
        if (w.conns[i].fd != -1)
            conn_close(&w.conns[i]);
    loop_io_del(w.listen_io);
    close(w.listen_fd);
    loop_timer_free(w.late);
    loop_free(w.loop);
}

// Turns the loop until the condition holds or 5 s have gone.
#define UNTIL(condition)                                                                       \
    do {                                                                                       \
        int64_t end_ = clock_mono_ns(&w.clock) + 5 * NS_PER_S;                                 \
        while (!(condition) && clock_mono_ns(&w.clock) < end_)                                 \
            loop_once(w.loop, 20);                                                             \
        CU_ASSERT_TRUE(condition);                                                             \
    } while (0)

static void sends_in_order_on_one_connection(void)
{
    open_world();
    for (int i = 1; i <= 20; i++) {
        frame();
        UNTIL(push_idle(w.push));
        CU_ASSERT_EQUAL(w.seen[i - 1].first, (uint64_t)i);
        CU_ASSERT_EQUAL(w.seen[i - 1].last, (uint64_t)i);
    }
    CU_ASSERT_EQUAL(w.n_conns, 1);
    CU_ASSERT_TRUE(w.authorized);
    CU_ASSERT_FALSE(w.expected);
    CU_ASSERT_EQUAL(w.successes, 1);
    CU_ASSERT_EQUAL(w.failures, 0);
    close_world();
}

static void a_slow_reply_gathers_frames(void)
{
    open_world();
    w.answers[0] = LATE;
    w.n_answers = 1;
    frame();
    frame();
    frame();
    UNTIL(w.n_seen == 2 && push_idle(w.push));
    CU_ASSERT_EQUAL(w.seen[0].first, 1);
    CU_ASSERT_EQUAL(w.seen[1].first, 2);
    CU_ASSERT_EQUAL(w.seen[1].last, 3);
    close_world();
}

static void obeys_retry_after(void)
{
    open_world();
    w.answers[0] = TOO_MANY;
    w.n_answers = 1;
    int64_t begun = clock_mono_ns(&w.clock);
    frame();
    UNTIL(w.n_seen == 3 && push_idle(w.push));
    CU_ASSERT_TRUE(clock_mono_ns(&w.clock) - begun >= NS_PER_S);
    CU_ASSERT_EQUAL(w.seen[1].frames, 0); // it knocks first
    CU_ASSERT_EQUAL(w.seen[2].first, 1);  // and sends the same again
    CU_ASSERT_PTR_NOT_NULL(strstr(w.failure, "429"));
    close_world();
}

static void obeys_retry_after_ms(void)
{
    open_world();
    w.reply = (struct wire_reply){.retry_after_ms = 300};
    w.reply_times = 1;
    frame();
    UNTIL(w.n_seen == 1 && push_idle(w.push));
    int64_t begun = clock_mono_ns(&w.clock);
    frame();
    UNTIL(w.n_seen == 2);
    CU_ASSERT_TRUE(clock_mono_ns(&w.clock) - begun >= 250 * NS_PER_MS);
    CU_ASSERT_EQUAL(w.failures, 0);
    close_world();
}

static void survives(enum answer a, const char *why)
{
    open_world();
    w.answers[0] = a;
    w.n_answers = 1;
    frame();
    UNTIL(w.n_seen == 3 && push_idle(w.push));
    CU_ASSERT_EQUAL(w.seen[2].first, 1);
    CU_ASSERT_EQUAL(w.failures, 1);
    CU_ASSERT_EQUAL(w.successes, 1);
    CU_ASSERT_PTR_NOT_NULL(strstr(w.failure, why));
    close_world();
}

static void survives_a_closing_connection(void)
{
    survives(CLOSE, "mpty reply");
}

static void survives_garbage(void)
{
    survives(GARBAGE, "not that of a collector");
}

static void a_refused_frame_is_not_sent_again(void)
{
    open_world();
    w.answers[0] = BAD;
    w.n_answers = 1;
    frame();
    UNTIL(w.n_seen == 2);
    CU_ASSERT_EQUAL(w.keys_wanted, 1);
    frame();
    UNTIL(w.n_seen == 3 && push_idle(w.push));
    CU_ASSERT_EQUAL(w.seen[2].first, 2);
    close_world();
}

static void gives_a_key_frame_when_asked(void)
{
    open_world();
    frame();
    UNTIL(w.n_seen == 1 && push_idle(w.push));
    w.reply = (struct wire_reply){.need_key_frame = true, .frames_not_held = 1};
    w.reply_times = 1;
    frame();
    UNTIL(w.keys_wanted == 1);
    frame();
    UNTIL(w.n_seen == 3 && push_idle(w.push));
    struct spool_frame f;
    CU_ASSERT_TRUE(spool_at(w.spool, 2, &f) && f.key && f.seq == 3);
    CU_ASSERT_EQUAL(w.seen[2].first, 3);
    CU_ASSERT_TRUE(spool_at(w.spool, 1, &f) && !f.delivered);
    close_world();
}

static void replays_what_is_missing_from_the_key_frame_before(void)
{
    open_world();
    int64_t old = clock_mono_ns(&w.clock) - 100 * NS_PER_S;
    for (int i = 1; i <= 150; i++) // key frames at 1, 61, 121
        frame_at(old);
    frame(); // the live lane is behind: it wants a key frame and leaves the rest
    CU_ASSERT_EQUAL(w.keys_wanted, 1);
    CU_ASSERT_EQUAL(w.n_seen, 0);
    w.reply = (struct wire_reply){.accepted_seq = 152, .resume_from = 70};
    w.reply_times = 1;
    frame();
    UNTIL(push_stats(w.push)->replayed_frames == 152 - 61);
    CU_ASSERT_EQUAL(w.seen[0].first, 152);
    CU_ASSERT_EQUAL(w.seen[0].lane, 0);
    CU_ASSERT_EQUAL(w.seen[1].first, 61);
    uint64_t next = 61;
    for (int i = 1; i < w.n_seen; i++) {
        CU_ASSERT_EQUAL(w.seen[i].lane, 1);
        CU_ASSERT_EQUAL(w.seen[i].first, next);
        CU_ASSERT_TRUE(w.seen[i].bytes <= PUSH_BODY_MAX);
        next = w.seen[i].last + 1;
    }
    CU_ASSERT_EQUAL(next, 152);
    close_world();
}

static void an_outage_costs_no_key_frames(void)
{
    open_world();
    for (int i = 0; i < 3; i++)
        w.answers[i] = CLOSE;
    w.n_answers = 3;
    frame();
    UNTIL(w.n_seen >= 3);
    CU_ASSERT_EQUAL(w.seen[1].frames + w.seen[2].frames, 0);
    CU_ASSERT_EQUAL(w.keys_wanted, 0);
    CU_ASSERT_EQUAL(w.failures, 1); // told once
    close_world();
}

static void measures_the_collectors_clock(void)
{
    open_world();
    int64_t now = w.clock.wall_ns(NULL) / 1000;
    w.reply = (struct wire_reply){
        .sent_us = now, .received_us = now + 5000000, .replied_us = now + 5000000};
    w.reply_times = 1;
    frame();
    UNTIL(push_idle(w.push));
    CU_ASSERT_TRUE(push_stats(w.push)->round_trip_us > 0);
    CU_ASSERT_DOUBLE_EQUAL((double)push_stats(w.push)->clock_offset_us, 5e6, 1e6);
    close_world();
}

// A difference of the clocks is told again when the frame with the step has been answered; what was
// before it is not kept for a collector that does not know of the step.
static void a_step_of_the_clock(void)
{
    open_world();
    int64_t now = w.clock.wall_ns(NULL) / 1000;
    w.reply = (struct wire_reply){
        .sent_us = now, .received_us = now + 5000000, .replied_us = now + 5000000};
    w.reply_times = 10;
    frame();
    UNTIL(push_idle(w.push));
    CU_ASSERT_TRUE(push_stats(w.push)->round_trip_us > 0);
    push_clock_cut(w.push, w.seq + 2);
    CU_ASSERT_EQUAL(push_stats(w.push)->round_trip_us, 0);
    frame(); // of before the step
    UNTIL(push_idle(w.push));
    CU_ASSERT_EQUAL(push_stats(w.push)->round_trip_us, 0);
    CU_ASSERT_EQUAL(spool_oldest(w.spool), 1);
    chain_out_want_key(w.chain);
    frame();
    UNTIL(push_idle(w.push));
    CU_ASSERT_TRUE(push_stats(w.push)->round_trip_us > 0);
    CU_ASSERT_EQUAL(spool_oldest(w.spool), w.seq);
    CU_ASSERT_EQUAL(spool_dropped_frames(w.spool), 0); // they were heard
    close_world();
}

static void durable_frames_leave_the_spool(void)
{
    open_world();
    for (int i = 0; i < 70; i++) {
        frame();
        UNTIL(push_idle(w.push));
    }
    w.reply = (struct wire_reply){.accepted_seq = 71, .durable_seq = 65};
    w.reply_times = 1;
    frame();
    UNTIL(push_idle(w.push));
    CU_ASSERT_EQUAL(spool_oldest(w.spool), 61);
    CU_ASSERT_EQUAL(spool_dropped_frames(w.spool), 0);
    close_world();
}

// To a collector that is not there: it comes back to the configured one, with nothing lost.
static void comes_back_from_where_it_was_sent(void)
{
    int nobody = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(a);
    char to[64];
    open_world();
    CU_ASSERT_EQUAL_FATAL(bind(nobody, (struct sockaddr *)&a, len), 0);
    getsockname(nobody, (struct sockaddr *)&a, &len);
    snprintf(to, sizeof(to), "127.0.0.1:%d", ntohs(a.sin_port));
    w.reply = (struct wire_reply){.goaway_to = to};
    w.reply_times = 1;
    frame();
    UNTIL(w.n_seen == 1 && push_idle(w.push));
    loop_once(w.loop, 20); // the move
    frame();
    UNTIL(w.failures == 1);
    UNTIL(push_idle(w.push) && w.successes == 2);
    CU_ASSERT_EQUAL(w.seen[w.n_seen - 1].last, 2);
    CU_ASSERT_EQUAL(push_stats(w.push)->failures, 2);
    close(nobody);
    close_world();
}

static void goes_where_it_is_sent(void)
{
    struct sockaddr_in a;
    socklen_t len = sizeof(a);
    char to[64];
    open_world();
    getsockname(w.listen_fd, (struct sockaddr *)&a, &len);
    // The same collector by another name, so that a new connection shows the move.
    snprintf(to, sizeof(to), "localhost:%d", ntohs(a.sin_port));
    w.reply = (struct wire_reply){.goaway_to = to};
    w.reply_times = 1;
    frame();
    UNTIL(w.n_seen == 1 && push_idle(w.push));
    loop_once(w.loop, 20);
    frame();
    UNTIL(w.n_seen == 2 && push_idle(w.push));
    CU_ASSERT_EQUAL(w.n_conns, 2);
    CU_ASSERT_EQUAL(w.failures, 0);
    w.reply = (struct wire_reply){.goaway_to = "evil.example/x?y"};
    w.reply_times = 1;
    frame();
    UNTIL(w.n_seen == 3 && push_idle(w.push));
    loop_once(w.loop, 20);
    frame();
    UNTIL(w.n_seen == 4 && push_idle(w.push));
    CU_ASSERT_EQUAL(w.n_conns, 2); // what is no address is not followed
    close_world();
}

static void hands_on_what_a_reply_asks_for(void)
{
    const struct wire_repair one = {.id = "a/1", .action = "restart", .valid_ms = 1000};
    open_world();
    w.reply = (struct wire_reply){.repairs = &one, .n_repairs = 1};
    w.reply_times = 1;
    w.answers[0] = LATE;
    w.n_answers = 1;
    int64_t before = clock_mono_ns(&w.clock);
    frame();
    int64_t after = clock_mono_ns(&w.clock);
    UNTIL(w.repairs == 1);
    // Its age counts from when the body was sent, not from when the late reply came.
    CU_ASSERT_TRUE(w.repairs_sent_ns >= before && w.repairs_sent_ns <= after);
    close_world();
}

static void hands_on_what_was_not_taken(void)
{
    open_world();
    frame();
    UNTIL(w.n_seen == 1 && push_idle(w.push));
    CU_ASSERT_STRING_EQUAL(w.told, "");
    w.reply = (struct wire_reply){.reason = "3 samples not taken"};
    w.reply_times = 1;
    frame();
    UNTIL(w.n_seen == 2 && push_idle(w.push));
    CU_ASSERT_STRING_EQUAL(w.told, "3 samples not taken");
    CU_ASSERT_EQUAL(w.failures, 0); // the body was taken, and is not sent again
    frame();
    UNTIL(w.n_seen == 3 && push_idle(w.push));
    CU_ASSERT_EQUAL(w.seen[2].first, 3);
    close_world();
}

static void asks_soon_by_empty_bodies(void)
{
    open_world();
    frame();
    UNTIL(w.n_seen == 1 && push_idle(w.push));
    push_ask_soon(w.push);
    UNTIL(w.n_seen == 4 && push_idle(w.push));
    for (int i = 1; i < 4; i++)
        CU_ASSERT_TRUE(w.seen[i].frames == 0 && w.seen[i].lane == 0);
    frame();
    UNTIL(w.n_seen == 5 && push_idle(w.push));
    CU_ASSERT_EQUAL(w.seen[4].first, 2);
    CU_ASSERT_EQUAL(w.failures, 0);
    close_world();
}

int main(void)
{
    static const struct test TESTS[] = {
        {"sends in order on one connection", sends_in_order_on_one_connection},
        {"a slow reply gathers frames", a_slow_reply_gathers_frames},
        {"obeys Retry-After of a 429", obeys_retry_after},
        {"obeys retry_after_ms", obeys_retry_after_ms},
        {"survives a closing connection", survives_a_closing_connection},
        {"survives a reply that is garbage", survives_garbage},
        {"a refused frame is not sent again", a_refused_frame_is_not_sent_again},
        {"gives a key frame when asked", gives_a_key_frame_when_asked},
        {"replays what is missing from the key frame before",
            replays_what_is_missing_from_the_key_frame_before},
        {"an outage costs no key frames", an_outage_costs_no_key_frames},
        {"measures the collector's clock", measures_the_collectors_clock},
        {"nothing is measured across a step of the clock", a_step_of_the_clock},
        {"goes where it is sent", goes_where_it_is_sent},
        {"comes back from where it was sent", comes_back_from_where_it_was_sent},
        {"hands on what a reply asks for, with when the body was sent",
            hands_on_what_a_reply_asks_for},
        {"hands on what of a body was not taken", hands_on_what_was_not_taken},
        {"asks soon by empty bodies", asks_soon_by_empty_bodies},
        {"durable frames leave the spool", durable_frames_leave_the_spool},
    };
    return test_main("push", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
