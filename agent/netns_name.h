// SPDX-License-Identifier: Apache-2.0
/*
 * What people call a network namespace: the value of label netns.
 *
 *     `ip netns add blue`           blue                 /run/netns/blue is it
 *     a container or a unit's       3f9c1b2a7d05, shop   by the cgroup of a process in it
 *     else                          4026532281           its inode
 *
 * Asked once, when it is found. Needs no privilege: /proc/PID/cgroup is everybody's to read.
 */
#pragma once
#include "agent/netns.h"

struct identity_roots;

// run: "/run". pid: a process in it.
void netns_name(const struct identity_roots *r, const char *run, uint64_t inode, int32_t pid,
    char name[static NETNS_NAME_MAX]);
// The last resort, which is always free.
void netns_name_inode(uint64_t inode, char name[static NETNS_NAME_MAX]);
