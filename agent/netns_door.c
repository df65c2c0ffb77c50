// SPDX-License-Identifier: Apache-2.0
#include "agent/netns_door.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static bool is_our_kind(int fd)
{
    int type, domain;
    socklen_t a = sizeof(type), b = sizeof(domain);

    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &a) == 0 && type == SOCK_SEQPACKET &&
           getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &b) == 0 && domain == AF_UNIX;
}

void netns_door_open(struct netns_door *d)
{
    const char *text = getenv(NETNS_WIRE_ENV);
    char *end = NULL;
    long fd = text ? strtol(text, &end, 10) : -1;

    *d = (struct netns_door){.fd = -1};
    if (!text || !*text)
        snprintf(d->why, sizeof(d->why), "not started through tocsin-agent-netns");
    else if (*end)
        snprintf(d->why, sizeof(d->why), "%s", text);
    else if (fd < 3 || fd > 1 << 20 || !is_our_kind((int)fd))
        snprintf(d->why, sizeof(d->why), "%s=%.20s is no socket of tocsin-agent-netns",
            NETNS_WIRE_ENV, text);
    else if (fcntl((int)fd, F_SETFD, FD_CLOEXEC) == -1)
        snprintf(d->why, sizeof(d->why), "%s", strerror(errno));
    else
        d->fd = (int)fd;
}

void netns_door_keep(const struct netns_door *d)
{
    if (d->fd != -1)
        fcntl(d->fd, F_SETFD, 0);
}

int netns_door_ask(const struct netns_door *d, const struct netns_ask *a)
{
    return send(d->fd, a, sizeof(*a), MSG_NOSIGNAL | MSG_DONTWAIT) == -1 ? -errno : 0;
}

void netns_door_drop(int fds[static NETNS_FDS])
{
    for (int i = 0; i < NETNS_FDS; i++)
        if (fds[i] != -1)
            close(fds[i]);
    for (int i = 0; i < NETNS_FDS; i++)
        fds[i] = -1;
}

// How many descriptors came; more than NETNS_FDS are closed (the control block is rounded up).
static size_t take_fds(struct msghdr *m, int fds[static NETNS_FDS])
{
    struct cmsghdr *c = CMSG_FIRSTHDR(m);

    if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
        return 0;
    size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < n; i++) {
        int fd;
        memcpy(&fd, CMSG_DATA(c) + i * sizeof(fd), sizeof(fd));
        if (i < NETNS_FDS)
            fds[i] = fd;
        else
            close(fd);
    }
    return n;
}

int netns_door_receive(
    const struct netns_door *d, int wait_ms, union netns_answer *ret, int fds[static NETNS_FDS])
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(NETNS_FDS * sizeof(int))];
    } control = {0};
    union netns_answer a = {0};
    struct iovec iov = {&a, sizeof(a)};
    struct msghdr m = {.msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = control.bytes,
        .msg_controllen = sizeof(control.bytes)};
    struct pollfd p = {.fd = d->fd, .events = POLLIN};
    ssize_t n;

    for (int i = 0; i < NETNS_FDS; i++)
        fds[i] = -1;
    if (wait_ms > 0 && poll(&p, 1, wait_ms) == 0)
        return -EAGAIN;
    n = recvmsg(d->fd, &m, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (n == -1)
        return errno == EINTR || errno == EWOULDBLOCK ? -EAGAIN : -errno;
    if (n == 0)
        return -EPIPE;
    size_t n_fds = take_fds(&m, fds);
    bool list = n == (ssize_t)sizeof(a.list) && a.what == NETNS_LIST;
    bool opened = n == (ssize_t)sizeof(a.opened) && a.what == NETNS_OPEN;
    if ((list && n_fds == 0 && a.list.n <= NETNS_MAX) ||
        (opened && n_fds == (a.opened.rc == 0 ? NETNS_FDS : 0))) {
        *ret = a;
        return 0;
    }
    netns_door_drop(fds);
    return opened && a.opened.rc == 0 ? -EMFILE : -EBADMSG; // no room for them here
}
