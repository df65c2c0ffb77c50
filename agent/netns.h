// SPDX-License-Identifier: Apache-2.0
/*
 * A network namespace as a sampler sees it: its own one, or another whose sockets were opened for us.
 *
 * A netlink socket stays in the namespace it was made in, so whoever holds it reads that namespace's
 * tables without privilege and without going there. The samplers of TCP ask here for their sockets
 * and know nothing else of it: env->netns is NULL for the agent's own namespace, which opens them
 * itself; for another the descriptors came through netns_door.h.
 *
 *     env->netns NULL   socket(AF_NETLINK)         label netns absent
 *     env->netns ns     one of ns->fds, once       label netns="shop-db-1"
 *
 * Owned by netns_watch.c, loop thread; outlives the samplers that use it.
 */
#pragma once
#include "agent/netlink.h"
#include <stdint.h>

#define NETNS_MAX      64
#define NETNS_NAME_MAX 64

// What is opened in a namespace, in this order: sockets, and files of its /proc/net.
enum netns_fd {
    NETNS_LISTEN,         // dumps of listeners
    NETNS_LISTEN_DESTROY, // their closing
    NETNS_WALK,           // dumps of connections
    NETNS_CLOSES,         // their closing
    NETNS_SNMP,           // /proc/net/snmp
    NETNS_FDS
};

struct netns {
    uint64_t inode;
    char name[NETNS_NAME_MAX];
    int fds[NETNS_FDS]; // -1 = taken
    // How many share what may be spent on other namespaces: they are looked at that much less often.
    const unsigned *sharers;
};

// The value of label netns; "" = the agent's own, which has none.
const char *netns_label(const struct netns *ns);
unsigned netns_sharers(const struct netns *ns); // 0 = own
// A NETLINK_SOCK_DIAG socket in it; each kind can be had once. As netlink_open; -EBADF: taken.
int netns_netlink(struct netns *ns, enum netns_fd which, struct netlink *nl, uint32_t groups,
    int receive_bytes);
// The descriptor itself, the caller's from now on; -1: own namespace or taken.
int netns_take(struct netns *ns, enum netns_fd which);
