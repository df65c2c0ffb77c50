// SPDX-License-Identifier: Apache-2.0
/*
 * A walk over the kernel's table of established connections, in slices between other work.
 *
 *     walk_begin -> request -> slice, slice, ... -> over(whole)
 *
 * About 1 us per socket, and 1.6 ms for an empty table on a cold cache. A slice is at most
 * WALK_SLICE_NS; the loop turns in between. A walk that has not ended after WALK_PATIENCE_NS is given
 * up. Whole = to the end, and the kernel does not say that the table changed under it.
 *
 * Owned by tcp.established, one for each network namespace, loop thread.
 */
#pragma once
#include "agent/netlink.h"
#include "agent/netns.h"
#include "agent/sampler.h"

#define WALK_SLICE_NS    150000
#define WALK_PATIENCE_NS (2 * NS_PER_S)

struct walk {
    struct sampler *sampler; // whose CPU time it is
    struct netlink netlink;
    struct loop_io *io;
    void (*socket)(void *ctx, const struct netlink_message *m); // each socket
    void (*over)(void *ctx, bool whole);
    void *ctx;
    uint32_t states; // asked for
    bool walking, torn;
    int64_t begun_ns;
    int64_t cost_ns,
        longest_ns; // of the walk under way, and of the last one until the next begins
    uint64_t seen;
};

// w's first five fields but the socket are the caller's. 0, -errno.
int walk_open(struct walk *w, struct sampler *s);
void walk_close(struct walk *w);
// False: one is under way and has time left.
bool walk_can_begin(struct walk *w);
// cpu_begun, wall_ns: readings of now, which the caller has. Calls back before it returns when the table
// is small.
void walk_begin(struct walk *w, int64_t cpu_begun, int64_t wall_ns);
