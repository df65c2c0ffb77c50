// SPDX-License-Identifier: Apache-2.0
/*
 * What the agent and tocsin-agent-netns (netns_helper.c) say to each other over a seqpacket socket pair:
 * one ask, one answer, nothing else ever. Fixed sizes, both ends of one build on one host.
 *
 *     agent  -- netns_ask {LIST} ------------>  program    one walk over /proc
 *            <- netns_list --------------------            which namespaces have processes
 *     agent  -- netns_ask {OPEN, inode, pid} ->            setns, sockets, setns back
 *            <- netns_opened + descriptors ----            NETNS_FDS of them, in the order of netns.h
 *
 * The agent finds its end by NETNS_WIRE_ENV: a descriptor's number, or the reason why there is none.
 */
#pragma once
#include "agent/netns.h"
#include <stdint.h>

#define NETNS_WIRE_ENV "TOCSIN_NETNS"

enum netns_what { NETNS_LIST = 1, NETNS_OPEN = 2 };

struct netns_ask {
    uint32_t what;
    int32_t pid;    // OPEN: a process in it, as LIST has said
    uint64_t inode; // OPEN: refused when the process is elsewhere by now
};

struct netns_list {
    uint32_t what;
    int32_t rc;      // 0, -errno
    uint32_t n;      // of entries
    uint32_t found;  // in all, beside the program's own
    int64_t cost_ns; // CPU time it took
    struct netns_entry {
        uint64_t inode;
        int32_t pid, unused;
    } entries[NETNS_MAX];
};

struct netns_opened {
    uint32_t what;
    int32_t rc; // 0 = with descriptors; -errno, -ESTALE: the process is elsewhere
    uint64_t inode;
};
