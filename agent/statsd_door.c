// SPDX-License-Identifier: Apache-2.0
#include "agent/statsd_door.h"
#include <arpa/inet.h>
#include <errno.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

// --- datagrams -----------------------------------------------------------------------------------

int statsd_batch_init(struct statsd_batch *b)
{
    b->room = malloc((size_t)STATSD_BATCH * STATSD_DATAGRAM);
    if (!b->room)
        return -ENOMEM;
    for (int i = 0; i < STATSD_BATCH; i++) {
        b->vectors[i] = (struct iovec){b->room + (size_t)i * STATSD_DATAGRAM, STATSD_DATAGRAM};
        b->messages[i].msg_hdr = (struct msghdr){.msg_iov = &b->vectors[i], .msg_iovlen = 1};
    }
    return 0;
}

void statsd_batch_done(struct statsd_batch *b)
{
    free(b->room);
    b->room = NULL;
}

void statsd_door_read(int fd, struct statsd_batch *b,
    void (*datagram)(void *ctx, const char *at, size_t len, bool cut), void *ctx)
{
    for (int round = 0; round < STATSD_ROUNDS; round++) {
        int n = recvmmsg(fd, b->messages, STATSD_BATCH, MSG_DONTWAIT, NULL);
        for (int i = 0; i < n; i++)
            datagram(ctx, b->vectors[i].iov_base, b->messages[i].msg_len,
                b->messages[i].msg_hdr.msg_flags & MSG_TRUNC);
        if (n < STATSD_BATCH)
            break;
    }
}

void statsd_door_look(struct statsd_door *d)
{
    uint32_t info[SK_MEMINFO_VARS] = {0};
    socklen_t len = sizeof(info);
    if (d->fd == -1 || getsockopt(d->fd, SOL_SOCKET, SO_MEMINFO, info, &len) == -1)
        return;
    d->drops += (uint32_t)(info[SK_MEMINFO_DROPS] - d->drops_seen);
    d->drops_seen = info[SK_MEMINFO_DROPS];
}

// --- the socket ----------------------------------------------------------------------------------

void statsd_door_close(struct statsd_door *d)
{
    loop_io_del(d->io);
    d->io = NULL;
    if (d->path[0])
        unlink(d->path);
    d->path[0] = '\0';
    if (d->fd != -1)
        close(d->fd);
    d->fd = -1;
    d->drops_seen = 0;
}

static int door_open(struct statsd_door *d, struct loop *loop, const void *address,
    socklen_t len, loop_io_fn *fn, void *ctx)
{
    const struct sockaddr *a = address;
    int size = STATSD_BUFFER;
    d->fd = socket(a->sa_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (d->fd == -1)
        return -errno;
    // More than rmem_max where allowed.
    if (setsockopt(d->fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) == -1)
        setsockopt(d->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
    int rc = bind(d->fd, a, len) == -1 ? -errno : 0;
    if (rc == 0 && !(d->io = loop_io_add(loop, d->fd, EPOLLIN, fn, ctx)))
        rc = -ENOMEM;
    if (rc < 0)
        statsd_door_close(d);
    return rc;
}

int statsd_door_udp(struct statsd_door *d, struct loop *loop, const char *host, uint16_t port,
    loop_io_fn *fn, void *ctx)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    if (inet_pton(AF_INET, host, &in.sin_addr) == 1)
        return door_open(d, loop, &in, sizeof(in), fn, ctx);
    if (inet_pton(AF_INET6, host, &in6.sin6_addr) == 1)
        return door_open(d, loop, &in6, sizeof(in6), fn, ctx);
    return -EINVAL;
}

// Nobody answers there.
static bool left_behind(const struct sockaddr_un *un)
{
    struct stat st;
    if (lstat(un->sun_path, &st) == -1 || !S_ISSOCK(st.st_mode))
        return false;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool dead = fd != -1 && connect(fd, (const struct sockaddr *)un, sizeof(*un)) == -1 &&
                errno == ECONNREFUSED;
    if (fd != -1)
        close(fd);
    return dead;
}

int statsd_door_unix(
    struct statsd_door *d, struct loop *loop, const char *path, loop_io_fn *fn, void *ctx)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    snprintf(un.sun_path, sizeof(un.sun_path), "%s", path); // fits: config
    if (left_behind(&un))
        unlink(un.sun_path);
    int rc = door_open(d, loop, &un, sizeof(un), fn, ctx);
    if (rc < 0)
        return rc;
    memcpy(d->path, un.sun_path, sizeof(d->path));
    // Whoever runs on this host may tell us numbers, as over loopback.
    (void)chmod(d->path, 0666);
    return 0;
}
