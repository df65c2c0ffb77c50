// SPDX-License-Identifier: Apache-2.0
/*
 * The accept queues of listeners we know already, asked for by address instead of by a dump.
 *
 * A dump of the LISTEN state walks the kernel's whole table of listeners (16,384 buckets on a
 * 16 GiB host), which on a host that did something else meanwhile costs 35 us however few there
 * are. Asking for four sockets costs 10 us. So the 20 Hz look asks, and only every QUEUES_ROUNDS-th
 * look is a dump, which finds new listeners.
 *
 * One of several SO_REUSEPORT sockets cannot be told by its address, and from some number on a dump
 * is cheaper: for such a set of sockets queues_ask says so and all looks are dumps.
 *
 * Owned by tcp.listen, loop thread. No allocation.
 */
#pragma once
#include "agent/netlink.h"
#include "agent/sockdiag.h"

#define QUEUES_MAX    16
#define QUEUES_ROUNDS 10

struct queues {
    size_t n; // of requests; 0 = dump instead
    uint64_t cookies[QUEUES_MAX];
    uint8_t requests[QUEUES_MAX * SOCKDIAG_ASK_SIZE];
};

// The sockets to ask for from now on: those of a whole dump.
void queues_learn(struct queues *q, const struct sockdiag *view, size_t n);
// Asks; answers are written to the `n` sockets in the order they were learned in. 0; -EAGAIN: take a
// dump; -errno.
int queues_ask(struct queues *q, struct netlink *nl, struct sockdiag *ret);
