// SPDX-License-Identifier: Apache-2.0
/*
 * A netlink socket that never blocks, read one datagram at a time.
 *
 * The kernel builds a dump's next 32 KiB inside our receive call, so the size of the buffer is also
 * the longest piece of work between two looks at the clock: a walk over 100,000 sockets is some
 * thousand receives, and the caller decides after each whether to go on or to let the loop turn.
 *
 * All read into one buffer, which is a netlink socket's largest part: whoever receives uses the datagram up
 * before anybody receives again.
 *
 * Owned by one sampler, loop thread. Errors are -errno; -ENOBUFS from a receive says that
 * multicasts were lost and the caller must look at the whole table again.
 */
#pragma once
#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NETLINK_CHUNK 32768

struct netlink {
    int fd;         // -1 = closed
    uint32_t seq;   // of the last request
    uint8_t *chunk; // NETLINK_CHUNK bytes: the datagram received last, by whomever
};

// groups: bit n-1 = multicast group n. receive_bytes 0 = the system's default.
int netlink_open(struct netlink *nl, int protocol, uint32_t groups, int receive_bytes);
// The same with a socket that somebody else has made, ours from now on (closed also on failure).
int netlink_adopt(struct netlink *nl, int fd, uint32_t groups, int receive_bytes);
void netlink_close(struct netlink *nl);
// Filters in the kernel what the socket gets, before it would wake us; again: instead of before.
int netlink_filter(struct netlink *nl, const struct sock_filter *code, unsigned short n);
// Joins or leaves multicast groups, as netlink_open's.
int netlink_groups(struct netlink *nl, uint32_t groups, bool join);
// How many multicasts the kernel had no room for since the socket was made; wraps. 0, -errno.
int netlink_drops(const struct netlink *nl, uint32_t *ret);
// Sends header and body; header->nlmsg_len and nlmsg_seq are filled in.
int netlink_send(
    struct netlink *nl, uint16_t type, uint16_t flags, const void *body, size_t len);
// Whole messages behind each other in one datagram, all of the same new nlmsg_seq, which is written
// into them. Each must be well formed.
int netlink_send_all(struct netlink *nl, uint8_t *messages, size_t len);
// One datagram into nl->chunk: its length, 0 = nothing there now. Datagrams that were not sent by
// the kernel are dropped unseen.
int netlink_receive(struct netlink *nl);

// One message within a datagram.
struct netlink_message {
    uint16_t type, flags;
    uint32_t seq;
    const uint8_t *body;
    size_t len;
};
// Pure. Steps through `size` bytes from *offset (0 at first); false at the end or at a message whose
// length cannot be true.
bool netlink_next(
    const uint8_t *data, size_t size, size_t *offset, struct netlink_message *ret);
// The errno of an NLMSG_ERROR or NLMSG_DONE message as 0 / -errno.
int netlink_status(const struct netlink_message *m);
