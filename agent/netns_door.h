// SPDX-License-Identifier: Apache-2.0
/*
 * The agent's end of the socket pair to tocsin-agent-netns (netns_wire.h): asks and takes answers, and
 * never waits.
 *
 * The descriptor is inherited, so it is claimed first of all in main, before there is a child that could
 * inherit it from us; only when the agent replaces itself by another run it is kept open.
 *
 * Owned by main.c, lent to who watches namespaces, loop thread. The program is trusted as far as the
 * kernel goes, its answers are checked for form.
 */
#pragma once
#include "agent/netns_wire.h"
#include <stddef.h>

struct netns_door {
    int fd;        // -1 = none
    char why[128]; // then: the reason, for a person
};

union netns_answer {
    uint32_t what;
    struct netns_list list;
    struct netns_opened opened;
};

// From the environment.
void netns_door_open(struct netns_door *d);
// It is to survive the exec that follows.
void netns_door_keep(const struct netns_door *d);
int netns_door_ask(const struct netns_door *d, const struct netns_ask *a); // 0, -errno
// 0 with the answer, and with descriptors (the caller's; else all -1) when it is an OPEN that succeeded.
// -EAGAIN: not yet. -EPIPE: the program has ended. -EBADMSG. wait_ms: how long to wait for it.
int netns_door_receive(const struct netns_door *d, int wait_ms, union netns_answer *ret,
    int fds[static NETNS_FDS]);
// Closes those that are open.
void netns_door_drop(int fds[static NETNS_FDS]);
