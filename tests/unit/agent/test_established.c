// SPDX-License-Identifier: Apache-2.0
// The booking rules without a kernel, then a real service on loopback.
#include "agent/connections.h"
#include "agent/established.h"
#include "agent/few.h"
#include "agent/listen.h"
#include "agent/opens.h"
#include "tests/lib/run.h"
#include <arpa/inet.h>
#include <errno.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static struct sockdiag sock(uint64_t cookie, unsigned state, uint64_t received, uint64_t sent)
{
    return (struct sockdiag){.cookie = cookie,
        .state = (uint8_t)state,
        .have = SOCKDIAG_HAS_INFO | SOCKDIAG_HAS_BYTES | SOCKDIAG_HAS_SENT,
        .bytes_received = received,
        .bytes_sent = sent,
        .bytes_acked = sent,
        .rtt_us = 100};
}

static void grows(void)
{
    struct connections c;
    struct traffic t = {0};
    struct sockdiag s = sock(7, SOCKDIAG_ESTABLISHED, 100, 50);

    connections_init(&c, 1);
    connections_begin(&c);
    connections_dump(&c, &t, &s, true);
    connections_dump(&c, &t, &s, true); // a dump may repeat a socket
    connections_sweep(&c, true);
    CU_ASSERT_EQUAL(t.opened, 1);
    CU_ASSERT_EQUAL(t.live[SOCKDIAG_ESTABLISHED], 1);
    CU_ASSERT_EQUAL(t.received, 100);
    s = sock(7, SOCKDIAG_CLOSE, 301, 80); // orderly: a FIN in each direction
    s.bytes_acked = 81;
    connections_final(&c, &t, &s);
    CU_ASSERT_EQUAL(t.received, 300);
    CU_ASSERT_EQUAL(t.sent, 80);
    CU_ASSERT_EQUAL(t.closed[CLOSED_FIN], 1);
    CU_ASSERT_EQUAL(c.n, 0);
    connections_done(&c);
}

static void reset_keeps(void)
{
    struct connections c;
    struct traffic t = {0};
    struct sockdiag s = sock(7, SOCKDIAG_ESTABLISHED, 100, 50);

    connections_init(&c, 1);
    connections_begin(&c);
    connections_dump(&c, &t, &s, true);
    connections_sweep(&c, true);
    s = sock(7, SOCKDIAG_CLOSE, 0, 0);
    connections_final(&c, &t, &s);
    CU_ASSERT_EQUAL(t.received, 100);
    CU_ASSERT_EQUAL(t.sent, 50);
    CU_ASSERT_EQUAL(t.closed[CLOSED_RESET], 1);
    connections_done(&c);
}

static struct sockdiag limited(uint64_t window_ms, uint64_t buffer_ms, uint64_t busy_ms)
{
    struct sockdiag s = sock(7, SOCKDIAG_ESTABLISHED, 0, 50);
    s.have |= SOCKDIAG_HAS_LIMITED;
    s.window_limited_us =
        window_ms * 1000 + 999; // the kernel's ticks are no whole milliseconds
    s.buffer_limited_us = buffer_ms * 1000;
    s.busy_us = s.window_limited_us + s.buffer_limited_us + busy_ms * 1000;
    return s;
}

static void look(
    struct connections *c, struct traffic *t, const struct sockdiag *s, bool opened)
{
    connections_begin(c);
    connections_dump(c, t, s, opened);
    connections_sweep(c, true);
}

static void check_limited(
    const struct traffic *t, uint64_t window, uint64_t buffer, uint64_t busy)
{
    CU_ASSERT_EQUAL(t->limited_ms[LIMITED_RECEIVER_WINDOW], window);
    CU_ASSERT_EQUAL(t->limited_ms[LIMITED_SEND_BUFFER], buffer);
    CU_ASSERT_EQUAL(t->limited_ms[LIMITED_BUSY], busy);
}

static void held_up(void)
{
    struct connections c;
    struct traffic t = {0};
    struct sockdiag s = limited(200, 30, 4);

    connections_init(&c, 1);
    look(&c, &t, &s, true);
    check_limited(&t, 200, 30, 4);
    look(&c, &t, &s, true); // nothing new
    check_limited(&t, 200, 30, 4);
    s = limited(1200, 30, 5);
    look(&c, &t, &s, true);
    check_limited(&t, 1200, 30, 5);
    s = limited(1300, 31, 5);
    s.state = SOCKDIAG_CLOSE;
    s.bytes_acked = 51;
    connections_final(&c, &t, &s);
    check_limited(&t, 1300, 31, 5);
    // One that no walk has seen.
    s = limited(10, 20, 30);
    s.cookie = 8;
    connections_final(&c, &t, &s);
    check_limited(&t, 1310, 51, 35);
    // One that was there before us: only what it grows by; an abort clears it.
    s = limited(5000, 6000, 7000);
    look(&c, &t, &s, false);
    check_limited(&t, 1310, 51, 35);
    s = limited(5001, 6000, 7000);
    look(&c, &t, &s, false);
    check_limited(&t, 1311, 51, 35);
    s = sock(7, SOCKDIAG_CLOSE, 0, 0);
    s.have |= SOCKDIAG_HAS_LIMITED;
    connections_final(&c, &t, &s);
    check_limited(&t, 1311, 51, 35);
    // An older kernel does not say.
    s = sock(9, SOCKDIAG_ESTABLISHED, 0, 50);
    s.window_limited_us = s.busy_us = 1000000;
    look(&c, &t, &s, true);
    check_limited(&t, 1311, 51, 35);
    connections_done(&c);
}

// A connection that lives for years goes round: what it grew by between two looks is counted.
static void goes_round(void)
{
    const uint64_t ms = UINT64_C(1) << CONNECTION_LIMITED_BITS, bytes = UINT64_C(1)
                                                                        << CONNECTION_BYTE_BITS;
    struct connections c;
    struct traffic t = {0};
    struct sockdiag s = limited(5 * ms - 3, 0, 0);

    s.bytes_received = 5 * bytes - 10;
    connections_init(&c, 1);
    look(&c, &t, &s, false);
    s = limited(5 * ms + 4, 0, 0);
    s.bytes_received = 5 * bytes + 90;
    look(&c, &t, &s, false);
    check_limited(&t, 7, 0, 0);
    CU_ASSERT_EQUAL(t.received, 100);
    connections_done(&c);
}

// A service's number is free again when it ends, and its rows are nobody's.
static void services_end_and_come(void)
{
    struct connections c;
    struct traffic t[3] = {0};

    connections_init(&c, 1);
    for (uint64_t round = 0; round < 10; round++) {
        for (uint64_t i = 0; i < 3; i++) {
            struct sockdiag s = sock(100 * round + i + 1, SOCKDIAG_ESTABLISHED, i + 1, 0);
            look(&c, &t[i], &s, true);
        }
        CU_ASSERT_EQUAL(c.n_traffics, 3);
        CU_ASSERT_EQUAL(t[round % 3].received, round % 3 + 1);
        for (uint64_t i = 0; i < 3; i++) {
            connections_forget(&c, &t[i]);
            t[i] = (struct traffic){0};
        }
        CU_ASSERT_EQUAL(c.n, 0);
    }
    connections_forget(&c, &t[0]); // had none
    connections_done(&c);
}

// Whose FIN is in bytes_received? Ours never is, the peer's depends on who closed first.
static void peers_fin(void)
{
    static const struct {
        unsigned seen; // state of the last look, 0 = none
        uint32_t inode, unread;
        uint64_t received;
    } CASES[] = {
        {0, 0, 0, 100},                    // the peer closed first
        {0, 0, 1, 100},                    // we did, and let go; its FIN came in time
        {SOCKDIAG_ESTABLISHED, 0, 0, 100}, // waits to be accepted
        {SOCKDIAG_FIN_WAIT1, 7, 0, 100},   // we closed, and read on to its end
        {SOCKDIAG_FIN_WAIT1, 0, 0, 101},   // we let go: what comes later is not ours
        {SOCKDIAG_FIN_WAIT1, 0, 1, 100},
        {SOCKDIAG_LAST_ACK, 0, 0, 100},
    };

    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct connections c;
        struct traffic t = {0};
        struct sockdiag s = sock(7, CASES[i].seen, 10, 50);

        connections_init(&c, 1);
        s.inode = CASES[i].inode;
        if (CASES[i].seen) {
            connections_begin(&c);
            connections_dump(&c, &t, &s, true);
            connections_sweep(&c, true);
        }
        s = sock(7, SOCKDIAG_CLOSE, 101, 50);
        s.bytes_acked = 51;
        s.receive_queue = CASES[i].unread;
        connections_final(&c, &t, &s);
        CU_ASSERT_EQUAL(t.received, CASES[i].received);
        CU_ASSERT_EQUAL(t.closed[CLOSED_FIN], 1);
        connections_done(&c);
    }
}

static void late_answer(void)
{
    struct connections c;
    struct traffic t = {0};
    struct sockdiag s = sock(7, SOCKDIAG_CLOSE, 11, 0),
                    alive = sock(7, SOCKDIAG_ESTABLISHED, 10, 0);

    s.bytes_acked = 1;
    connections_init(&c, 1);
    connections_begin(&c);
    connections_final(&c, &t, &s);
    connections_dump(&c, &t, &alive, true); // written by the kernel before it closed
    connections_sweep(&c, true);
    CU_ASSERT_EQUAL(t.opened, 1);
    CU_ASSERT_EQUAL(t.received, 10);
    CU_ASSERT_EQUAL(
        t.closed[CLOSED_FIN] + t.closed[CLOSED_RESET] + t.closed[CLOSED_UNKNOWN], 1);
    CU_ASSERT_EQUAL(c.n, 0);
    connections_done(&c);
}

static void older_than_us(void)
{
    struct connections c;
    struct traffic t = {0};
    struct sockdiag s = sock(7, SOCKDIAG_ESTABLISHED, 1000, 50);

    connections_init(&c, 1);
    connections_begin(&c);
    connections_dump(&c, &t, &s, false);
    connections_sweep(&c, true);
    CU_ASSERT_EQUAL(t.opened, 0);
    CU_ASSERT_EQUAL(t.received, 0);
    for (uint64_t i = 0; i < 2; i++) { // its multicast was lost, not only late
        CU_ASSERT_EQUAL(t.closed[CLOSED_UNKNOWN], 0);
        connections_begin(&c);
        connections_sweep(&c, true);
    }
    CU_ASSERT_EQUAL(t.closed[CLOSED_UNKNOWN], 1);
    connections_done(&c);
}

static void many_rows(void)
{
    struct connections c;
    struct traffic t = {0};

    connections_init(&c, 99);
    connections_begin(&c);
    for (uint64_t i = 1; i <= 5000; i++) {
        struct sockdiag s = sock(i * 3, SOCKDIAG_ESTABLISHED, i, 0);
        connections_dump(&c, &t, &s, true);
    }
    connections_sweep(&c, true);
    for (uint64_t i = 1; i <= 5000; i += 2) {
        struct sockdiag s = sock(i * 3, SOCKDIAG_CLOSE, i, 0);
        connections_final(&c, &t, &s);
    }
    CU_ASSERT_EQUAL(c.n, 2500);
    for (uint64_t i = 1; i <= 5000; i++) {
        const struct connection *row = connections_get(&c, i * 3);
        CU_ASSERT_EQUAL(row != NULL, i % 2 == 0);
        CU_ASSERT_TRUE(!row || (row->cookie == i * 3 && row->received == i));
    }
    // Close together, so that 18,000 sockets fit into 3 MiB with the rest of an agent.
    CU_ASSERT_TRUE(sizeof(struct connection) <= 40);
    CU_ASSERT_TRUE(c.cap <= 5000 + 5000 / 4 && c.n_slots == 8192);
    // What goes gives its memory back.
    for (uint64_t i = 2; i <= 4900; i += 2) {
        struct sockdiag s = sock(i * 3, SOCKDIAG_CLOSE, i, 0);
        connections_final(&c, &t, &s);
    }
    connections_begin(&c);
    connections_sweep(&c, false);
    CU_ASSERT_EQUAL(c.n, 50);
    CU_ASSERT_TRUE(c.cap < 200 && c.n_slots <= 256);
    for (uint64_t i = 1; i <= 5000; i++)
        CU_ASSERT_EQUAL(connections_get(&c, i * 3) != NULL, i % 2 == 0 && i > 4900);
    connections_forget(&c, &t);
    CU_ASSERT_EQUAL(c.n, 0);
    CU_ASSERT_PTR_NULL(connections_get(&c, 4902 * 3));
    connections_done(&c);
}

#define CLIENTS 1000

static double value_of(const struct batch *b, const uint32_t *id)
{
    for (size_t g = 0; *id && g < b->n_groups; g++)
        for (size_t i = 0; i < b->groups[g].n; i++)
            if (b->groups[g].samples[i].id == *id)
                return b->groups[g].samples[i].value;
    return -1;
}

static void walk(struct env *env, const struct sampler *e)
{
    uint64_t walks = established_last(e).walks;
    int64_t until = clock_mono_ns(&env->clock) + 5 * NS_PER_S;

    while (clock_mono_ns(&env->clock) < until && established_last(e).walks == walks)
        loop_once(env->loop, 50);
}

static void passive_opens(void)
{
    static const char SNMP[] =
        "Ip: Forwarding DefaultTTL\nIp: 1 64\n"
        "Tcp: RtoAlgorithm MaxConn ActiveOpens PassiveOpens AttemptFails\n"
        "Tcp: 1 -1 11 18446744073709551615 3\nUdp: InDatagrams\nUdp: 4\n";
    uint64_t n = 7, a = 7;

    CU_ASSERT_TRUE(opens_parse(SNMP, &n, &a));
    CU_ASSERT_EQUAL(n, UINT64_MAX);
    CU_ASSERT_EQUAL(a, 11);
    CU_ASSERT_FALSE(opens_parse("", &n, &a));
    CU_ASSERT_FALSE(opens_parse("Tcp: ActiveOpens PassiveOpens\nUdp: 1 2\n", &n, &a));
    CU_ASSERT_FALSE(opens_parse("Tcp: ActiveOpens\nTcp: 1\n", &n, &a));
    CU_ASSERT_FALSE(opens_parse("Tcp: ActiveOpens PassiveOpens\nTcp: 1\n", &n, &a));
}

static bool take_answer(void *ctx, const struct netlink_message *m)
{
    struct sockdiag *k = ctx;
    return sockdiag_parse(m->body, m->len, k) == 0 && k->state == SOCKDIAG_ESTABLISHED;
}

// A connection is asked for by its address; when it is gone a walk is wanted.
static void followed_without_a_walk(void)
{
    struct netlink nl;
    struct few few = {0};
    struct opens opens;
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(a);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), client, server;

    opens_open(&opens, -1, "/proc");
    if (netlink_open(&nl, NETLINK_SOCK_DIAG, 0, 0) != 0) {
        printf("    skipped: no sock_diag here\n");
        goto out;
    }
    CU_ASSERT_EQUAL_FATAL(bind(fd, (struct sockaddr *)&a, len), 0);
    CU_ASSERT_EQUAL_FATAL(listen(fd, 4), 0);
    getsockname(fd, (struct sockaddr *)&a, &len);
    client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CU_ASSERT_EQUAL_FATAL(connect(client, (struct sockaddr *)&a, sizeof(a)), 0);
    server = accept(fd, NULL, NULL);
    opens_read(&opens);
    few_begin(&few, &opens);
    CU_ASSERT_TRUE(few.usable);
    struct sockdiag k = {
        .family = AF_INET, .local_port = ntohs(a.sin_port), .cookie = UINT64_MAX};
    struct sockaddr_in peer;
    len = sizeof(peer);
    getpeername(server, (struct sockaddr *)&peer, &len);
    k.peer_port = ntohs(peer.sin_port);
    k.local[10] = k.local[11] = k.peer[10] = k.peer[11] = 0xff;
    memcpy(k.local + 12, &a.sin_addr, 4);
    memcpy(k.peer + 12, &peer.sin_addr, 4);
    few_add(&few, &k); // the cookie of all ones asks whatever socket has the address
    few_end(&few, true);
    CU_ASSERT_EQUAL(few.n, 1);
    struct sockdiag got = {0};
    CU_ASSERT_EQUAL(send(client, "hello", 5, 0), 5);
    CU_ASSERT_EQUAL(few_ask(&few, &nl, take_answer, &got), 0);
    CU_ASSERT_EQUAL(got.local_port, k.local_port);
    CU_ASSERT_EQUAL(got.peer_port, k.peer_port);
    CU_ASSERT_EQUAL(got.state, SOCKDIAG_ESTABLISHED);
    CU_ASSERT_EQUAL(got.bytes_received, 5);
    close(client);
    close(server);
    CU_ASSERT_EQUAL(few_ask(&few, &nl, take_answer, &got), -EAGAIN);
    netlink_close(&nl);
out:
    opens_done(&opens);
    close(fd);
}

static void real_service(void)
{
    struct env env = {.loop = loop_new(),
        .out = output_new(),
        .clock = clock_system(),
        .proc = test_tmpdir(),
        .sys = "/sys",
        .cgroup = test_tmpdir()};
    struct sampler l = {.ops = &listen_sampler, .env = &env};
    struct sampler e = {.ops = &established_sampler, .env = &env, .interval_ms = 1000};
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(a);
    static int client[CLIENTS], server[CLIENTS];
    struct rlimit files = {4096, 4096};
    char data[1000] = {0};
    uint32_t opened = 0, received = 0, fin = 0, live = 0;

    setrlimit(RLIMIT_NOFILE, &files);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CU_ASSERT_EQUAL_FATAL(bind(fd, (struct sockaddr *)&a, len), 0);
    CU_ASSERT_EQUAL_FATAL(listen(fd, CLIENTS), 0);
    getsockname(fd, (struct sockaddr *)&a, &len);
    if (listen_sampler.open(&l) != 0 || established_sampler.open(&e) != 0) {
        printf("    skipped: %s%s\n", l.reason, e.reason);
        goto out;
    }
    int64_t until = clock_mono_ns(&env.clock) + 5 * NS_PER_S;
    while (clock_mono_ns(&env.clock) < until &&
           (!listen_service(env.listen, ntohs(a.sin_port)) || established_last(&e).walks == 0))
        loop_once(env.loop, 50);
    CU_ASSERT_PTR_NOT_NULL_FATAL(listen_service(env.listen, ntohs(a.sin_port)));
    struct tick t = {.interval_ms = 1000, .intended_ns = clock_mono_ns(&env.clock) - NS_PER_S};
    // A walk that knows the service: what comes after it is new. The tick begins one at once, its
    // deadline being in the past; but the one that ends first may have been under way before.
    for (int i = 0; i < 2; i++) {
        established_sampler.tick(&e, &t);
        walk(&env, &e);
    }
    for (int i = 0; i < CLIENTS; i++) {
        client[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        CU_ASSERT_EQUAL_FATAL(connect(client[i], (struct sockaddr *)&a, sizeof(a)), 0);
        server[i] = accept(fd, NULL, NULL);
        CU_ASSERT_EQUAL(send(client[i], data, sizeof(data), 0), (ssize_t)sizeof(data));
        CU_ASSERT_EQUAL(
            recv(server[i], data, sizeof(data), MSG_WAITALL), (ssize_t)sizeof(data));
    }
    established_sampler.tick(&e, &t);
    walk(&env, &e);
    struct established_walk w = established_last(&e);
    CU_ASSERT_TRUE(w.sockets >= 2 * CLIENTS);
    printf("    walk: %llu sockets, %.2f us each, longest slice %.0f us\n",
        (unsigned long long)w.sockets, (double)w.cpu_ns / 1e3 / (double)w.sockets,
        (double)w.longest_slice_ns / 1e3);
    for (int i = 0; i < CLIENTS; i++) {
        close(client[i]);
        CU_ASSERT_EQUAL(recv(server[i], data, sizeof(data), 0), 0);
        close(server[i]);
    }
    double closed = -1, bytes = -1, open = -1, alive = -1;
    uint64_t seq = 0;
    until = clock_mono_ns(&env.clock) + 5 * NS_PER_S;
    while (clock_mono_ns(&env.clock) < until && closed != CLIENTS) {
        loop_once(env.loop, 50);
        output_group(env.out, 1000, (int64_t)++seq, 0);
        established_sampler.tick(&e, &t);
        const struct batch *b = output_take(env.out, seq, 0, 0);
        char port[8];
        snprintf(port, sizeof(port), "%u", ntohs(a.sin_port));
        for (size_t i = 0; i < b->n_declares; i++) {
            const struct batch_declare *d = &b->declares[i];
            bool mine = false, is_fin = false, is_live = false;
            for (size_t k = 0; k < d->n_labels; k++) {
                mine |= strcmp(d->labels[k].value, port) == 0;
                is_fin |= strcmp(d->labels[k].value, "fin") == 0;
                is_live |= strcmp(d->labels[k].value, "established") == 0;
            }
            if (!mine)
                continue;
            if (strcmp(d->name, "tocsin_service_connections_opened_total") == 0)
                opened = d->id;
            if (strcmp(d->name, "tocsin_service_received_bytes_total") == 0)
                received = d->id;
            if (is_fin)
                fin = d->id;
            if (is_live)
                live = d->id;
        }
        closed = value_of(b, &fin);
        bytes = value_of(b, &received);
        open = value_of(b, &opened);
        alive = value_of(b, &live);
    }
    CU_ASSERT_EQUAL(open, CLIENTS);
    CU_ASSERT_EQUAL(closed, CLIENTS);
    CU_ASSERT_EQUAL(bytes, CLIENTS * 1000.0);
    CU_ASSERT_TRUE(alive >= 0);
out:
    established_sampler.close(&e);
    listen_sampler.close(&l);
    close(fd);
    output_free(env.out);
    loop_free(env.loop);
}

static const struct test TESTS[] = {
    {"books growth once and takes the FINs off", grows},
    {"keeps what an abort has cleared", reset_keeps},
    {"how long sending was held up is booked once, by what did it", held_up},
    {"counters that go round are booked by what they grew", goes_round},
    {"numbers of services are used again", services_end_and_come},
    {"takes the peer's FIN off where it has come", peers_fin},
    {"a dump's late answer does not open a closed connection again", late_answer},
    {"what is older than the agent is not growth, what is missed has closed", older_than_us},
    {"rows are found while others come and go", many_rows},
    {"finds the passive opens of /proc/net/snmp", passive_opens},
    {"a known connection is followed without a walk", followed_without_a_walk},
    {"counts a real service's connections and bytes exactly", real_service},
};

int main(void)
{
    return test_main("established", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
