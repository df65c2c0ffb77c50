// SPDX-License-Identifier: Apache-2.0
#include "agent/netns.h"
#include <errno.h>
#include <linux/netlink.h>
#include <stddef.h>

const char *netns_label(const struct netns *ns)
{
    return ns ? ns->name : "";
}

unsigned netns_sharers(const struct netns *ns)
{
    return ns ? *ns->sharers : 0;
}

int netns_take(struct netns *ns, enum netns_fd which)
{
    int fd = -1;

    if (ns) {
        fd = ns->fds[which];
        ns->fds[which] = -1;
    }
    return fd;
}

int netns_netlink(struct netns *ns, enum netns_fd which, struct netlink *nl, uint32_t groups,
    int receive_bytes)
{
    if (!ns)
        return netlink_open(nl, NETLINK_SOCK_DIAG, groups, receive_bytes);
    int fd = netns_take(ns, which);
    if (fd == -1)
        return -EBADF;
    return netlink_adopt(nl, fd, groups, receive_bytes);
}
