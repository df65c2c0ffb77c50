// SPDX-License-Identifier: Apache-2.0
// Real UDP sockets and the real kernel. Where netlink is not permitted the tests say so and pass.
#include "agent/port_range.h"
#include "agent/udp_listen.h"
#include "tests/lib/run.h"
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct world {
    struct env env;
    struct sampler sampler;
    char port[8];
    uint64_t seq;
    uint32_t sockets, queue, drops;
    double sockets_is, queue_is, drops_is;
    bool ended;
    int64_t passed_ns;
};

static int64_t mono(void *ctx)
{
    const struct world *w = ctx;
    struct clock real = clock_system();
    return clock_mono_ns(&real) + w->passed_ns;
}

static int64_t wall(void *ctx)
{
    (void)ctx;
    return 0;
}

static bool world_open(struct world *w)
{
    *w = (struct world){.env = {.loop = loop_new(),
                            .out = output_new(),
                            .proc = "/proc",
                            .sys = "/sys",
                            .cgroup = test_tmpdir()}};
    w->env.clock = (struct clock){.mono_ns = mono, .wall_ns = wall, .ctx = w};
    w->sampler = (struct sampler){.ops = &udp_listen_sampler, .env = &w->env};
    if (udp_listen_sampler.open(&w->sampler) == 0)
        return true;
    printf("    skipped: %s\n", w->sampler.reason);
    return false;
}

static void world_close(struct world *w)
{
    udp_listen_sampler.close(&w->sampler);
    output_free(w->env.out);
    loop_free(w->env.loop);
}

static void turn(struct world *w)
{
    struct tick t = {.interval_ms = 1000, .n = (int64_t)++w->seq};

    output_group(w->env.out, 1000, t.n, 0);
    udp_listen_sampler.tick(&w->sampler, &t);
    loop_once(w->env.loop, 1);
    const struct batch *b = output_take(w->env.out, w->seq, 0, 0);
    for (size_t i = 0; i < b->n_declares; i++) {
        const struct batch_declare *d = &b->declares[i];
        bool mine = false;
        for (size_t k = 0; k < d->n_labels; k++)
            mine |= strcmp(d->labels[k].name, "port") == 0 &&
                    strcmp(d->labels[k].value, w->port) == 0;
        if (mine && strcmp(d->name, "tocsin_service_udp_sockets") == 0)
            w->sockets = d->id;
        if (mine && strcmp(d->name, "tocsin_service_udp_receive_queue_bytes") == 0)
            w->queue = d->id;
        if (mine && strcmp(d->name, "tocsin_service_udp_receive_drops_total") == 0)
            w->drops = d->id;
    }
    for (size_t g = 0; g < b->n_groups; g++)
        for (size_t i = 0; i < b->groups[g].n; i++) {
            const struct batch_sample *s = &b->groups[g].samples[i];
            w->ended |= s->kind == SAMPLE_STALE && w->drops && s->id == w->drops;
            if (s->kind != SAMPLE_VALUE || !s->id)
                continue;
            if (s->id == w->sockets)
                w->sockets_is = s->value;
            if (s->id == w->queue)
                w->queue_is = s->value;
            if (s->id == w->drops)
                w->drops_is = s->value;
        }
    w->passed_ns += NS_PER_S;
}

static int bound(struct world *w, uint16_t port)
{
    struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_addr = in6addr_loopback};
    socklen_t len = sizeof(a);
    int one = 1, small = 4096, fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    a.sin6_port = htons(port);
    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
    CU_ASSERT_EQUAL_FATAL(bind(fd, (struct sockaddr *)&a, len), 0);
    getsockname(fd, (struct sockaddr *)&a, &len);
    snprintf(w->port, sizeof(w->port), "%u", ntohs(a.sin6_port));
    return fd;
}

static int sender(const struct world *w)
{
    struct sockaddr_in6 a = {.sin6_family = AF_INET6,
        .sin6_addr = in6addr_loopback,
        .sin6_port = htons((uint16_t)atoi(w->port))};
    int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    CU_ASSERT_EQUAL_FATAL(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    return fd;
}

static void counts(void)
{
    struct world w;
    char data[512] = {0};

    if (!world_open(&w))
        goto out;
    int a = bound(&w, 0);
    for (int i = 0; i < 8; i++)
        turn(&w);
    CU_ASSERT_EQUAL(w.sockets, 0); // a port like a client's: not yet
    for (int i = 0; i < 20000 && !w.sockets; i++)
        turn(&w);
    CU_ASSERT_NOT_EQUAL_FATAL(w.sockets, 0);
    turn(&w);
    CU_ASSERT_EQUAL(w.sockets_is, 1);
    CU_ASSERT_EQUAL(w.drops_is, 0);
    int s = sender(&w);
    for (int i = 0; i < 200; i++)
        CU_ASSERT_EQUAL(send(s, data, sizeof(data), 0), sizeof(data));
    turn(&w);
    CU_ASSERT_TRUE(w.queue_is > 0);
    int received = 0;
    while (recv(a, data, sizeof(data), MSG_DONTWAIT) > 0)
        received++;
    // To the last one: what came is what was sent, less what was dropped.
    printf("    sent 200, received %d, dropped %.0f\n", received, w.drops_is);
    CU_ASSERT_EQUAL(received + w.drops_is, 200);
    double drops = w.drops_is;
    CU_ASSERT_TRUE(drops > 0);
    // The count outlives its socket.
    int b = bound(&w, (uint16_t)atoi(w.port));
    for (int i = 0; i < 20000 && w.sockets_is != 2; i++)
        turn(&w);
    CU_ASSERT_EQUAL(w.sockets_is, 2);
    close(a);
    turn(&w);
    CU_ASSERT_EQUAL(w.sockets_is, 1);
    CU_ASSERT_EQUAL(w.drops_is, drops);
    close(b);
    close(s);
    for (int i = 0; i < 10; i++)
        turn(&w);
    CU_ASSERT_TRUE(w.ended);
out:
    world_close(&w);
}

static void range(void)
{
    struct port_range r;
    port_range_read(&r, test_tmpdir());
    CU_ASSERT_TRUE(port_range_has(&r, 32768));
    CU_ASSERT_TRUE(port_range_has(&r, 60999));
    CU_ASSERT_FALSE(port_range_has(&r, 53));
    CU_ASSERT_FALSE(port_range_has(&r, 61000));
}

static const struct test TESTS[] = {
    {"ports of clients are those the kernel gives away", range},
    {"a service's sockets, what waits, and every datagram lost", counts},
};

int main(void)
{
    return test_main("udp_listen", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
