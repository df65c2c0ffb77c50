// SPDX-License-Identifier: Apache-2.0
/*
 * The connections of services while they are few: asked for one by one instead of by a walk.
 *
 * A walk over the established sockets touches every bucket of the kernel's table (262,144 on a
 * 16 GiB host): 1.6 ms on a cold cache even when the table is empty, most of what an idle agent
 * cost. New connections to services are counted by the kernel as passive opens; while there is none
 * that we have not seen close, the connections of the last walk are all there are.
 *
 * Owned by tcp.established, loop thread. No allocation.
 */
#pragma once
#include "agent/netlink.h"
#include "agent/opens.h"
#include "agent/sockdiag.h"

#define FEW_MAX 32

struct few {
    size_t n;
    bool usable;           // a whole walk has filled it
    uint64_t opens;        // passive opens when that walk began
    uint64_t closed_since; // of sockets that walk did not see
    uint8_t requests[FEW_MAX * SOCKDIAG_ASK_SIZE];
};

// A walk begins, and what it sees. Beyond FEW_MAX they are not few. The opens were read before it: what
// opens during it makes another walk.
void few_begin(struct few *f, const struct opens *o);
void few_add(struct few *f, const struct sockdiag *s);
void few_end(struct few *f, bool whole);
// Are the sockets of the last walk all there can be, now that these opens were read?
bool few_complete(const struct few *f, const struct opens *o);
// Asks for them; each answer is one message for fn, which may refuse it. 0; -EAGAIN: one is gone or
// refused, walk; -errno.
int few_ask(struct few *f, struct netlink *nl,
    bool (*fn)(void *ctx, const struct netlink_message *m), void *ctx);
