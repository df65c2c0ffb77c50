// SPDX-License-Identifier: Apache-2.0
/*
 * Simulated agents against a collector on loopback, over the real protocol: open loop, each agent's
 * frame is due at a fixed time of each second whatever happened to the last, and the delay from due
 * time to acknowledgement is what is reported.
 *
 *     load PORT AGENTS SERIES SECONDS
 *
 * Values are a mix: two fifths counters, the rest gauges of which a third stand still. Sources are
 * spread over 127.0.0.x, 200 agents each. Prints frames, samples, refused frames and the delay's
 * median, p99 and maximum.
 */
#include "base/buf.h"
#include "wire/decode.h"
#include "wire/encode.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define AGENTS_PER_ADDRESS 200
#define REQUEST_MAX        (1u << 20)

struct vagent {
    int fd;
    struct chain_out *chain;
    struct batch_sample *samples;
    struct wire_session session;
    char host[32];
    struct buf request;
    size_t sent;
    char reply[2048];
    size_t reply_len;
    uint64_t seq;
    int64_t due_ns;
    bool busy;
};

struct tally {
    uint64_t frames, samples, refused, late;
    double *delay_ms;
    size_t n, cap;
};

static int64_t mono_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static int64_t wall_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

static void die(const char *what)
{
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int dial(int port, size_t agent)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        die("socket");
    struct sockaddr_in from = {.sin_family = AF_INET};
    from.sin_addr.s_addr = htonl(0x7f000001u + (uint32_t)(1 + agent / AGENTS_PER_ADDRESS));
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int one = 1;
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
    if (bind(fd, (struct sockaddr *)&from, sizeof(from)) < 0 ||
        connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
        die("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

static void vagent_init(struct vagent *a, size_t number, size_t series, int port)
{
    a->chain = chain_out_new();
    a->samples = calloc(series, sizeof(*a->samples));
    if (!a->chain || !a->samples)
        die("memory");
    for (size_t i = 0; i < series; i++) {
        char name[48], dev[24];
        snprintf(name, sizeof(name), "load_metric_%zu%s", i / 10, i % 5 < 2 ? "_total" : "");
        snprintf(dev, sizeof(dev), "d%zu", i % 10);
        struct wire_label labels[] = {{"device", dev}, {"job", "load"}};
        struct batch_declare d = {.id = (uint32_t)i + 1,
            .name = name,
            .labels = labels,
            .n_labels = 2,
            .kind = i % 5 < 2 ? SERIES_COUNTER : SERIES_GAUGE,
            .unit = "1"};
        if (chain_out_declare(a->chain, &d) < 0)
            die("declare");
        a->samples[i] = (struct batch_sample){.id = d.id, .kind = SAMPLE_VALUE};
    }
    snprintf(a->host, sizeof(a->host), "load-%04zu", number);
    a->session = (struct wire_session){.host = a->host,
        .version = "load",
        .epoch = 1,
        .nonce = 1 + number,
        .protocol_min = WIRE_PROTOCOL,
        .protocol_max = WIRE_PROTOCOL,
        .oldest_seq = 1};
    memcpy(a->session.agent_id, "load", 4);
    memcpy(a->session.agent_id + 8, &number, sizeof(number));
    buf_init(&a->request, REQUEST_MAX);
    a->fd = dial(port, number);
}

static void values_step(struct vagent *a, size_t series)
{
    for (size_t i = 0; i < series; i++) {
        double *v = &a->samples[i].value;
        if (i % 5 < 2)
            *v += (double)(random() % 1000);
        else if (i % 3)
            *v = (double)(random() % 100000) / 100;
    }
}

static void frame_start(struct vagent *a, size_t series, struct buf *frame)
{
    values_step(a, series);
    a->seq++;
    int64_t now = wall_ms();
    struct batch_group g = {.interval_ms = 1000,
        .tick = (int64_t)a->seq,
        .stamp_ms = now,
        .samples = a->samples,
        .n = series};
    struct batch b = {
        .seq = a->seq, .wall_ms = now, .mono_ns = mono_ns(), .groups = &g, .n_groups = 1};
    bool key;
    buf_reset(frame);
    if (chain_out_encode(a->chain, &b, frame, &key) < 0)
        die("encode");
    a->session.newest_seq = a->seq;
    a->session.oldest_seq = a->seq;
    struct push_meta m = {.sent_us = now * 1000, .id = a->seq};
    const uint8_t *frames[] = {frame->data};
    static struct buf body;
    if (!body.max)
        buf_init(&body, WIRE_BODY_MAX);
    buf_reset(&body);
    if (push_encode(&a->session, &m, frames, &frame->len, 1, &body) < 0)
        die("push");
    buf_reset(&a->request);
    buf_addf(&a->request,
        "POST /v1/frames HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/x-protobuf\r\n"
        "Content-Length: %zu\r\n\r\n",
        body.len);
    buf_add(&a->request, body.data, body.len);
    a->sent = 0;
    a->reply_len = 0;
    a->busy = true;
}

static void vagent_write(struct vagent *a)
{
    while (a->sent < a->request.len) {
        ssize_t n = write(a->fd, a->request.data + a->sent, a->request.len - a->sent);
        if (n < 0 && errno == EAGAIN) {
            struct pollfd p = {.fd = a->fd, .events = POLLOUT};
            poll(&p, 1, 1000); // a first frame may be larger than the socket's buffer
            continue;
        }
        if (n <= 0)
            die("write");
        a->sent += (size_t)n;
    }
}

static void delay_add(struct tally *t, double ms)
{
    if (t->n == t->cap) {
        t->cap = t->cap ? t->cap * 2 : 4096;
        t->delay_ms = realloc(t->delay_ms, t->cap * sizeof(*t->delay_ms));
        if (!t->delay_ms)
            die("memory");
    }
    t->delay_ms[t->n++] = ms;
}

// True when the whole reply has come.
static bool vagent_read(struct vagent *a, size_t series, struct tally *t)
{
    ssize_t n = read(a->fd, a->reply + a->reply_len, sizeof(a->reply) - 1 - a->reply_len);
    if (n < 0 && errno == EAGAIN)
        return false;
    if (n <= 0)
        die("the collector closed a connection");
    a->reply_len += (size_t)n;
    a->reply[a->reply_len] = '\0';
    char *body = strstr(a->reply, "\r\n\r\n");
    if (!body)
        return false;
    char *length = strcasestr(a->reply, "content-length:");
    size_t want = length ? strtoul(length + 15, NULL, 10) : 0;
    body += 4;
    if ((size_t)(a->reply + a->reply_len - body) < want)
        return false;
    a->busy = false;
    struct arena arena;
    struct wire_reply r;
    arena_init(&arena, 65536);
    bool ok = strncmp(a->reply, "HTTP/1.1 200", 12) == 0 &&
              reply_decode((uint8_t *)body, want, &arena, &r, NULL) == 0 && !r.need_key_frame;
    arena_done(&arena);
    if (ok) {
        t->frames++;
        t->samples += series;
        delay_add(t, (double)(mono_ns() - a->due_ns) / 1e6);
    } else {
        t->refused++;
        chain_out_want_key(a->chain);
    }
    return true;
}

static int by_value(const void *x, const void *y)
{
    double a = *(const double *)x, b = *(const double *)y;
    return a < b ? -1 : a > b;
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        fprintf(stderr, "usage: load PORT AGENTS SERIES SECONDS\n");
        return 2;
    }
    int port = atoi(argv[1]);
    size_t n = strtoul(argv[2], NULL, 10), series = strtoul(argv[3], NULL, 10);
    int64_t seconds = strtol(argv[4], NULL, 10);
    if (!port || !n || !series || seconds <= 0)
        return 2;
    struct vagent *agents = calloc(n, sizeof(*agents));
    struct buf frame;
    struct tally tally = {0};
    int ep = epoll_create1(EPOLL_CLOEXEC);
    buf_init(&frame, REQUEST_MAX);
    if (!agents || ep < 0)
        die("start");
    for (size_t i = 0; i < n; i++) {
        vagent_init(&agents[i], i, series, port);
        struct epoll_event e = {.events = EPOLLIN, .data.u64 = i};
        epoll_ctl(ep, EPOLL_CTL_ADD, agents[i].fd, &e);
    }
    // Slot k belongs to agent k % n; an agent that still waits for an answer misses its slot.
    int64_t start = mono_ns() + 100000000LL, slots = seconds * (int64_t)n, slot = 0;
    int64_t drain_until = start + (seconds + 2) * 1000000000LL;
    size_t waiting = 0;
    while (slot < slots || (waiting && mono_ns() < drain_until)) {
        int64_t due;
        while (slot < slots && (due = start + slot * 1000000000LL / (int64_t)n) <= mono_ns()) {
            struct vagent *a = &agents[slot++ % (int64_t)n];
            if (a->busy) {
                tally.late++;
                continue;
            }
            a->due_ns = due;
            frame_start(a, series, &frame);
            vagent_write(a);
            waiting++;
        }
        struct epoll_event ev[64];
        int got = epoll_wait(ep, ev, 64, 1);
        for (int i = 0; i < got; i++) {
            struct vagent *a = &agents[ev[i].data.u64];
            if (a->busy && vagent_read(a, series, &tally))
                waiting--;
        }
    }
    if (!tally.n)
        die("no frame was acknowledged");
    qsort(tally.delay_ms, tally.n, sizeof(double), by_value);
    printf(
        "frames %llu samples %llu refused %llu late %llu delay_ms p50 %.2f p99 %.2f max %.2f\n",
        (unsigned long long)tally.frames, (unsigned long long)tally.samples,
        (unsigned long long)tally.refused, (unsigned long long)tally.late,
        tally.delay_ms[tally.n / 2], tally.delay_ms[tally.n * 99 / 100],
        tally.delay_ms[tally.n - 1]);
    return 0;
}
