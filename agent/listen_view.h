// SPDX-License-Identifier: Apache-2.0
/*
 * One dump of the kernel's LISTEN table, or of its UDP sockets without a peer, whole: who serves in
 * one network namespace at one instant.
 *
 * The kernel answers within our own calls, so nothing is waited for: 35 us on a cold cache however
 * few listeners there are, 0.2 ms for each family of UDP. Owned by tcp.listen or udp.listen, loop
 * thread; the memory grows to what was needed and stays.
 */
#pragma once
#include "agent/netlink.h"
#include "agent/sockdiag.h"

struct listen_view {
    struct sockdiag *sockets;
    size_t n, cap;
    size_t max; // the caller's: cap up to it
};

// 0; -EAGAIN: the table changed meanwhile, what is there is not whole; -ENOMEM, also when there are
// more than `max`; -errno.
int listen_view_read(struct listen_view *v, struct netlink *nl);
int listen_view_read_udp(struct listen_view *v, struct netlink *nl);
// Of a struct listen_view, for naming_keep: is that socket in it?
bool listen_view_has(const void *view, uint64_t cookie);
void listen_view_done(struct listen_view *v);
