// SPDX-License-Identifier: Apache-2.0
/*
 * One dump of the kernel's LISTEN table, whole: the listeners of one network namespace at one
 * instant.
 *
 * The kernel answers within our own calls, so nothing is waited for: 35 us on a cold cache however
 * few there are. Owned by tcp.listen, loop thread; the memory grows to what was needed and stays.
 */
#pragma once
#include "agent/netlink.h"
#include "agent/sockdiag.h"

struct listen_view {
    struct sockdiag *sockets;
    size_t n, cap; // cap up to SERVICE_SOCKETS_MAX
};

// 0; -EAGAIN: the table changed meanwhile, what is there is not whole; -ENOMEM, also when there are
// more than SERVICE_SOCKETS_MAX; -errno.
int listen_view_read(struct listen_view *v, struct netlink *nl);
void listen_view_done(struct listen_view *v);
