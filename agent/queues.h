// SPDX-License-Identifier: Apache-2.0
/*
 * The accept queues of listeners we know already, asked for by address instead of by a dump.
 *
 * A dump of the LISTEN state walks the kernel's whole table of listeners (16,384 buckets on a
 * 16 GiB host), which on a host that did something else meanwhile costs 35 us however few there
 * are. Asking for four sockets costs 10 us. So most looks ask, and only some looks are dumps,
 * which find new listeners.
 *
 * The addresses of those that went are asked for too, while they may come back: who is back is
 * found by the next look, at a fifth of the price of a dump.
 *
 * One of several SO_REUSEPORT sockets cannot be told by its address, and from some number on a dump
 * is cheaper: for such a set of sockets queues_ask says so and all looks are dumps.
 *
 * Owned by tcp.listen, loop thread. No allocation.
 */
#pragma once
#include "agent/netlink.h"
#include "agent/sockdiag.h"

#define QUEUES_MAX      16
#define QUEUES_GONE_MAX 8

struct queues {
    size_t n; // of requests; 0 = dump instead
    uint64_t cookies[QUEUES_MAX];
    uint16_t ports[QUEUES_MAX];
    size_t n_gone;
    uint16_t gone_ports[QUEUES_GONE_MAX];
    uint8_t gone[QUEUES_GONE_MAX * SOCKDIAG_ASK_SIZE];
    uint8_t requests[(QUEUES_MAX + QUEUES_GONE_MAX) * SOCKDIAG_ASK_SIZE]; // gone ones last
};

// The sockets to ask for from now on: those of a whole dump. Ports that listen again are gone no more.
void queues_learn(struct queues *q, const struct sockdiag *view, size_t n);
// The listeners of that port went, and the dump that says so is about to be learned: ask for them too,
// and no more for those that went first when they are many.
void queues_gone(struct queues *q, uint16_t port);
// None of them is expected back any more.
void queues_gone_forget(struct queues *q);
// Asks; answers are written to the `n` sockets in the order they were learned in. 0; -EAGAIN: take a
// dump, for instance because one is back; -errno.
int queues_ask(struct queues *q, struct netlink *nl, struct sockdiag *ret);
