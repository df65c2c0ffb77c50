// SPDX-License-Identifier: Apache-2.0
// A TCP connect to an address: done when the handshake is, then closed.
#include "agent/probe.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

static socklen_t parse(const char *host, uint16_t port, union address *to)
{
    memset(to, 0, sizeof(*to));
    if (inet_pton(AF_INET, host, &to->v4.sin_addr) == 1) {
        to->v4.sin_family = AF_INET;
        to->v4.sin_port = htons(port);
        return sizeof(to->v4);
    }
    if (inet_pton(AF_INET6, host, &to->v6.sin6_addr) == 1) {
        to->v6.sin6_family = AF_INET6;
        to->v6.sin6_port = htons(port);
        return sizeof(to->v6);
    }
    return 0;
}

bool probe_is_address(const char *host)
{
    union address to;
    return parse(host, 1, &to) != 0;
}

static const char *reason(int error)
{
    return error == ECONNREFUSED ? "connection refused" : strerror(error);
}

static void on_connected(void *ctx, int fd, uint32_t events)
{
    struct probe_attempt *a = ctx;
    struct probe_result r = {0};
    int error = 0;
    socklen_t len = sizeof(error);
    (void)events;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == -1)
        error = errno;
    r.success = error == 0;
    if (error)
        snprintf(r.detail, sizeof(r.detail), "%s", reason(error));
    probe_done(a, &r);
}

int probe_tcp_start(struct probe_attempt *a, const struct probe_config *c, struct loop *loop,
    char *detail, size_t size)
{
    union address to;
    socklen_t len = parse(c->host, c->port, &to);
    int fd = socket(to.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int rc = fd == -1 ? -errno : 0;
    // On loopback a refusal comes from connect itself; both ways end in the engine.
    if (rc == 0 && connect(fd, &to.any, len) == -1 && errno != EINPROGRESS)
        rc = -errno;
    if (rc == 0) {
        a->fd = fd;
        a->io = loop_io_add(loop, fd, EPOLLOUT, on_connected, a);
        if (a->io)
            return 0;
        rc = -ENOMEM;
        a->fd = -1;
    }
    snprintf(detail, size, "%s", reason(-rc));
    if (fd != -1)
        close(fd);
    return rc;
}

void probe_tcp_stop(struct probe_attempt *a)
{
    loop_io_del(a->io);
    a->io = NULL;
    if (a->fd != -1)
        close(a->fd);
    a->fd = -1;
}
