// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/vagent.h"
#include "wire/decode.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define REQUEST_MAX (4u << 20)

int64_t vagent_mono_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

int64_t vagent_wall_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

_Noreturn void vagent_die(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(1);
}

void vagent_init(struct vagent *a, const char *host, uint64_t number)
{
    *a = (struct vagent){.fd = -1};
    a->chain = chain_out_new();
    if (!a->chain)
        vagent_die("memory");
    snprintf(a->host, sizeof(a->host), "%s", host);
    a->session = (struct wire_session){.host = a->host,
        .version = "load",
        .epoch = 1,
        .nonce = 1 + number,
        .protocol_min = WIRE_PROTOCOL,
        .protocol_max = WIRE_PROTOCOL,
        .oldest_seq = 1};
    memcpy(a->session.agent_id, "load", 4);
    memcpy(a->session.agent_id + 8, &number, sizeof(number));
    buf_init(&a->frame, REQUEST_MAX);
    buf_init(&a->body, REQUEST_MAX);
    buf_init(&a->request, REQUEST_MAX);
}

void vagent_done(struct vagent *a)
{
    vagent_disconnect(a);
    chain_out_free(a->chain);
    buf_done(&a->frame);
    buf_done(&a->body);
    buf_done(&a->request);
}

int vagent_connect(struct vagent *a, int port, uint32_t spread)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd == -1)
        return -errno;
    struct sockaddr_in from = {.sin_family = AF_INET};
    from.sin_addr.s_addr = htonl(0x7f000001u + spread);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int one = 1;
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
    if (bind(fd, (struct sockaddr *)&from, sizeof(from)) == -1 ||
        connect(fd, (struct sockaddr *)&to, sizeof(to)) == -1) {
        int rc = -errno;
        close(fd);
        return rc;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    fcntl(fd, F_SETFL, O_NONBLOCK);
    a->fd = fd;
    a->busy = false;
    return 0;
}

void vagent_disconnect(struct vagent *a)
{
    if (a->fd != -1)
        close(a->fd);
    a->fd = -1;
    a->busy = false;
}

static void make_request(struct vagent *a, struct batch_sample *samples, size_t n)
{
    a->seq++;
    int64_t now = vagent_wall_ms();
    struct batch_group g = {.interval_ms = 1000,
        .tick = (int64_t)a->seq,
        .stamp_ms = now,
        .samples = samples,
        .n = n};
    struct batch b = {.seq = a->seq,
        .wall_ms = now,
        .mono_ns = vagent_mono_ns(),
        .groups = &g,
        .n_groups = 1};
    bool key;
    buf_reset(&a->frame);
    if (chain_out_encode(a->chain, &b, &a->frame, &key) < 0)
        vagent_die("encode");
    a->session.newest_seq = a->seq;
    a->session.oldest_seq = a->seq;
    struct push_meta m = {.sent_us = now * 1000, .id = a->seq};
    const uint8_t *frames[] = {a->frame.data};
    buf_reset(&a->body);
    if (push_encode(&a->session, &m, frames, &a->frame.len, 1, &a->body) < 0)
        vagent_die("push");
    buf_reset(&a->request);
    buf_addf(&a->request,
        "POST /v1/frames HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/x-protobuf\r\n"
        "Content-Length: %zu\r\n\r\n",
        a->body.len);
    if (buf_add(&a->request, a->body.data, a->body.len) != 0)
        vagent_die("memory");
}

int vagent_push(struct vagent *a, struct batch_sample *samples, size_t n)
{
    make_request(a, samples, n);
    a->reply_len = 0;
    for (size_t sent = 0; sent < a->request.len;) {
        ssize_t w = send(a->fd, a->request.data + sent, a->request.len - sent, MSG_NOSIGNAL);
        if (w == -1 && errno == EAGAIN) {
            struct pollfd p = {.fd = a->fd, .events = POLLOUT};
            poll(&p, 1, 1000); // a first frame may be larger than the socket's buffer
            continue;
        }
        if (w == -1)
            return -errno;
        sent += (size_t)w;
    }
    a->busy = true;
    return 0;
}

enum vagent_answer vagent_read(struct vagent *a)
{
    ssize_t n = read(a->fd, a->reply + a->reply_len, sizeof(a->reply) - 1 - a->reply_len);
    if (n == -1 && errno == EAGAIN)
        return VAGENT_WAITING;
    if (n <= 0)
        return VAGENT_LOST;
    a->reply_len += (size_t)n;
    a->reply[a->reply_len] = '\0';
    char *body = strstr(a->reply, "\r\n\r\n");
    if (!body)
        return VAGENT_WAITING;
    char *length = strcasestr(a->reply, "content-length:");
    size_t want = length ? strtoul(length + 15, NULL, 10) : 0;
    body += 4;
    if ((size_t)(a->reply + a->reply_len - body) < want)
        return VAGENT_WAITING;
    a->busy = false;
    struct arena arena;
    struct wire_reply r;
    arena_init(&arena, 65536);
    bool ok = strncmp(a->reply, "HTTP/1.1 200", 12) == 0 &&
              reply_decode((uint8_t *)body, want, &arena, &r, NULL) == 0 && !r.need_key_frame;
    arena_done(&arena);
    if (ok)
        return VAGENT_TAKEN;
    chain_out_want_key(a->chain);
    return VAGENT_REFUSED;
}
