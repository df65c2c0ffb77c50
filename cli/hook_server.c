// SPDX-License-Identifier: Apache-2.0
#include "cli/hook_server.h"
#include "base/when.h"
#include "cli/hook_request.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define LINES_MAX (16u << 20)

struct connection {
    struct hook_server *server;
    int fd; // -1 = free
    struct loop_io *io;
    struct buf in;
    bool continued; // "100 Continue" was said for the request that is under way
    int64_t heard_ns;
};

struct hook_server {
    struct loop *loop;
    struct hook_line_options options;
    FILE *out;
    int fd;
    uint16_t port;
    struct loop_io *io;
    struct connection connections[HOOK_CONNECTIONS_MAX];
};

static void connection_close(struct connection *c)
{
    if (c->fd < 0)
        return;
    loop_io_del(c->io);
    close(c->fd);
    buf_done(&c->in);
    c->io = NULL;
    c->fd = -1;
}

// The answer is a few bytes: a peer whose window cannot take them is not worth waiting for.
static bool answer(struct connection *c, const char *text)
{
    size_t len = strlen(text);
    return send(c->fd, text, len, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)len;
}

static void print(struct hook_server *s, const struct hook_request *r)
{
    struct buf lines;
    buf_init(&lines, LINES_MAX);
    hook_line(r->body, r->body_len, when_now_ms(), r->cause_ms, &s->options, &lines);
    if (lines.failed)
        fputs("a webhook was too large to be shown\n", s->out);
    else
        fwrite(lines.data, 1, lines.len, s->out);
    fflush(s->out);
    buf_done(&lines);
}

// Everything whole at the front of c->in. False: close.
static bool serve(struct connection *c)
{
    static const char *const OK[] = {
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"};
    while (c->in.len > 0) {
        struct hook_request r;
        bool expects;
        long n = hook_request_parse((const char *)c->in.data, c->in.len, &r, &expects);
        if (n < 0) {
            char text[80];
            snprintf(text, sizeof(text),
                "HTTP/1.1 %ld Refused\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", -n);
            (void)answer(c, text);
            return false;
        }
        if (n == 0) {
            if (expects && !c->continued)
                c->continued = answer(c, "HTTP/1.1 100 Continue\r\n\r\n");
            return true;
        }
        bool answered = answer(c, OK[r.keep_alive]);
        if (r.post)
            print(c->server, &r);
        c->continued = false;
        if (!answered || !r.keep_alive)
            return false;
        buf_drop(&c->in, (size_t)n);
    }
    return true;
}

static void on_bytes(void *ctx, int fd, uint32_t events)
{
    struct connection *c = ctx;
    char data[16384];
    (void)events;
    c->heard_ns = loop_now_ns(c->server->loop);
    ssize_t n = recv(fd, data, sizeof(data), MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0 || buf_add(&c->in, data, (size_t)n) < 0 || !serve(c))
        connection_close(c);
}

static struct connection *free_slot(struct hook_server *s)
{
    struct connection *oldest = &s->connections[0];
    for (size_t i = 0; i < HOOK_CONNECTIONS_MAX; i++) {
        struct connection *c = &s->connections[i];
        if (c->fd < 0)
            return c;
        if (c->heard_ns < oldest->heard_ns)
            oldest = c;
    }
    connection_close(oldest);
    return oldest;
}

static void on_accept(void *ctx, int fd, uint32_t events)
{
    struct hook_server *s = ctx;
    (void)events;
    // cppcheck-suppress nullPointer ; accept4 may be told to forget the peer's address
    int peer = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (peer < 0)
        return;
    struct connection *c = free_slot(s);
    *c = (struct connection){.server = s, .fd = peer, .heard_ns = loop_now_ns(s->loop)};
    buf_init(&c->in, HOOK_HEAD_MAX + HOOK_BODY_MAX + sizeof(char[16384]));
    c->io = loop_io_add(s->loop, peer, EPOLLIN, on_bytes, c);
    if (!c->io)
        connection_close(c);
}

static int open_port(uint16_t port, uint16_t *ret_port, struct err *err)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    socklen_t len = sizeof(a);
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd >= 0)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 64) < 0 ||
        getsockname(fd, (struct sockaddr *)&a, &len) < 0) {
        err_set(err, "127.0.0.1:%u: %s", port, strerror(errno));
        if (fd >= 0)
            close(fd);
        return -1;
    }
    *ret_port = ntohs(a.sin_port);
    return fd;
}

struct hook_server *hook_server_new(struct loop *loop, uint16_t port,
    const struct hook_line_options *o, FILE *out, struct err *err)
{
    struct hook_server *s = calloc(1, sizeof(*s));
    if (!s) {
        err_set(err, "out of memory");
        return NULL;
    }
    s->loop = loop;
    s->options = *o;
    s->out = out;
    for (size_t i = 0; i < HOOK_CONNECTIONS_MAX; i++)
        s->connections[i].fd = -1;
    s->fd = open_port(port, &s->port, err);
    if (s->fd >= 0) {
        s->io = loop_io_add(loop, s->fd, EPOLLIN, on_accept, s);
        if (s->io)
            return s;
        err_set(err, "127.0.0.1:%u: %s", port, strerror(errno));
    }
    hook_server_free(s);
    return NULL;
}

uint16_t hook_server_port(const struct hook_server *s)
{
    return s->port;
}

void hook_server_free(struct hook_server *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < HOOK_CONNECTIONS_MAX; i++)
        connection_close(&s->connections[i]);
    loop_io_del(s->io);
    if (s->fd >= 0)
        close(s->fd);
    free(s);
}
