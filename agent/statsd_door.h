// SPDX-License-Identifier: Apache-2.0
/*
 * A way in for datagrams, UDP or a UNIX socket, and the loop that takes them off it: STATSD_BATCH at a
 * time, STATSD_ROUNDS batches a turn, so that a flood does not keep the agent from anything else.
 *
 * What the kernel had no room for is counted by SO_MEMINFO, which tells the same number as SO_RXQ_OVFL but
 * also when nothing follows. A UNIX sender is told to wait: nothing is dropped there.
 *
 * Loop thread. Doors share a statsd_batch, which has the room the datagrams come into.
 */
#pragma once
#include "base/loop.h"
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

#define STATSD_BATCH    16
#define STATSD_ROUNDS   4
#define STATSD_DATAGRAM 65536
#define STATSD_BUFFER   (1u << 20) // of the socket, where allowed

struct statsd_batch {
    struct mmsghdr messages[STATSD_BATCH];
    struct iovec vectors[STATSD_BATCH];
    char *room; // of STATSD_BATCH datagrams; pages none has ever filled are not resident
};
int statsd_batch_init(struct statsd_batch *b); // 0, -ENOMEM
void statsd_batch_done(struct statsd_batch *b);

struct statsd_door {
    int fd; // -1: closed
    struct loop_io *io;
    char path[sizeof(((struct sockaddr_un *)0)->sun_path)]; // ours to take away; "": UDP
    uint32_t drops_seen;                                    // the kernel's counter wraps
    uint64_t drops;
};

// fn is called when there is something; it is to call statsd_door_read. Address and path are texts of
// the configuration. 0, -errno.
int statsd_door_udp(struct statsd_door *d, struct loop *loop, const char *host, uint16_t port,
    loop_io_fn *fn, void *ctx);
// A socket that an agent before us left at path is replaced, one that somebody answers on is not.
int statsd_door_unix(
    struct statsd_door *d, struct loop *loop, const char *path, loop_io_fn *fn, void *ctx);
void statsd_door_close(struct statsd_door *d);
// Takes a turn's worth; cut: the datagram was longer than STATSD_DATAGRAM.
void statsd_door_read(int fd, struct statsd_batch *b,
    void (*datagram)(void *ctx, const char *at, size_t len, bool cut), void *ctx);
void statsd_door_look(struct statsd_door *d); // at the kernel's count of drops
