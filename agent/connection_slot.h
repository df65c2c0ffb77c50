// SPDX-License-Identifier: Apache-2.0
/*
 * What the kernel's and our half of the sampler "tcp.connections" share: memory in three maps, and
 * what is kept with each socket. Included by C for the kernel too: fixed-size types only.
 *
 *     head    who has which slot --+         one page each, mapped by us when the slot is taken
 *     ports   [slot] <-------------+-- listening ports of this host, of every network namespace
 *     dests   [0 = other][slot + 1] <-- where connections of this host go
 *     sockets (socket storage)      the role of a connection and its slot
 *
 * The kernel takes a free slot when it meets a port or a destination that has none; only user space
 * gives one back: it raises the slot's turn, moves or drops what was counted, zeroes the page, and
 * sets the key to 0 last. A connection remembers the turn it found: what ends after its slot was given
 * back is not counted for the slot's next holder (an outgoing one then counts as "other").
 *
 * A second file of programs that needs to know which connection is whose (request latency of
 * dependencies) includes bpf/connection_maps.bpf.h, and has kernel_load.c give it the maps of the first;
 * its own numbers go into an array of its own with connection_dests(options) + 1 elements and the
 * same index. For a socket with role CONNECTION_CLIENT the element is connection_dest_index(). User
 * space learns from dependency.h which index is which `dest`, and when it changes hands.
 */
#pragma once
#include "agent/kernel_cost.h"
#include "agent/latency_bucket.h"
#include <linux/types.h>

#define CONNECTION_PORTS     128 // a power of two; a page each
#define CONNECTION_DESTS_MAX 256 // a power of two
#define CONNECTION_BUCKETS   488
#define CONNECTION_LE        9  // bounds that rules may name, and one place for what is beyond
#define CONNECTION_LIFE_LOW  16 // 2^16 ns, 65 us, to 2^46 ns, 19.5 h: how long one is open
#define CONNECTION_CONNECT_LOW                                                                 \
    10 // 2^10 ns, 1 us, to 2^40 ns, 18 min: how long connecting takes
#define CONNECTION_OCTAVES 30

enum connection_role {
    CONNECTION_NONE,
    CONNECTION_SERVER,
    CONNECTION_CONNECTING, // SYN sent
    CONNECTION_CLIENT,
    CONNECTION_OVER,     // was a server's; closed, and its reset may still be told of
    CONNECTION_UNPLACED, // a server's, of a port there was no slot for
};

// How an accepted connection ended.
enum connection_end { CONNECTION_FIN, CONNECTION_RESET, CONNECTION_TIMEOUT, CONNECTION_ENDS };

// Why connecting failed.
enum connection_failure {
    CONNECTION_REFUSED,
    CONNECTION_UNANSWERED, // the kernel gave up
    CONNECTION_UNREACHABLE,
    CONNECTION_RESET_EARLY,
    CONNECTION_ABANDONED, // the program closed the socket before there was an answer
    CONNECTION_NO_PORT,   // no free local port to it
    CONNECTION_FAILURES
};

struct connection_socket {
    __u64 since_ns; // accepted, or SYN sent
    __u32 turn;
    __u16 slot; // of a client 0 = other, else slot + 1
    __u8 role;
    __u8 reset_sent;
};

struct connection_port {
    __u64 life[CONNECTION_BUCKETS]; // of those that are over
    __u64 life_ns;
    __u64 opened, closed[CONNECTION_ENDS];
    __u64 resets_received, resets_sent;
    __u64 cgroup;            // id of the socket's cgroup v2 folder, 0 = unknown
    __u64 le[CONNECTION_LE]; // of `life`
    __u64 rest[7];
};

struct connection_dest {
    __u64 connect[CONNECTION_BUCKETS]; // of those that succeeded
    __u64 connect_ns;
    __u64 opened, failed[CONNECTION_FAILURES];
    __u32 address[4]; // network order, IPv4 as ::ffff:a.b.c.d
    __u32 netns;      // 0 = ours, or the address is not loopback
    __u16 port;
    __u16 named;             // 1 = the three above are written
    __u64 le[CONNECTION_LE]; // of `connect`
    __u64 rest[4];
};
_Static_assert(sizeof(struct connection_port) == 4096, "a page");
_Static_assert(sizeof(struct connection_dest) == 4096, "a page");

struct connection_head {
    struct kernel_cost cost;
    __u64 refused;  // connections accepted at ports there was no slot for
    __u64 lost;     // changes of a connection that there was no memory to mark as counted
    __u64 accepted; // in the agent's own namespace, at whatever port
    __u32 watched;  // 1 = wake us for the next one (pulse.h)
    __u32 rest;
    __u64 ports[CONNECTION_PORTS]; // connection_port_key; 0 = free
    __u32 port_turns[CONNECTION_PORTS];
    __u64 dests[CONNECTION_DESTS_MAX]; // a hash of the destination; 0 = free
    __u32 dest_turns[CONNECTION_DESTS_MAX];
    __u64 life_le_ns[CONNECTION_LE - 1],
        connect_le_ns[CONNECTION_LE - 1]; // ascending, written by us
};

static inline __u64 connection_port_key(__u32 netns, __u16 port)
{
    return (__u64)netns << 16 | port;
}

static inline __u64 connection_mixed(__u64 h)
{
    h = (h ^ h >> 30) * 0xbf58476d1ce4e5b9ull;
    h = (h ^ h >> 27) * 0x94d049bb133111ebull;
    return h ^ h >> 31;
}

// Slot of a listening port, or -1; a free one is taken if asked for. Everybody looks in the same
// order, and a bounded number of places.
#define CONNECTION_PLACES 32
static inline int connection_port_slot(struct connection_head *h, __u64 key, int take)
{
    __u32 start = (__u32)connection_mixed(key);

    for (__u32 i = 0; i < CONNECTION_PLACES; i++) {
        __u32 at = start + i;
        // The compiler may not conclude that it is in range: the verifier has to see the mask.
        __asm__ volatile("" : "+r"(at));
        at &= CONNECTION_PORTS - 1;
        if (h->ports[at] == key)
            return (int)at;
    }
    for (__u32 i = 0; take && i < CONNECTION_PLACES; i++) {
        __u32 at = start + i;
        __asm__ volatile("" : "+r"(at));
        at &= CONNECTION_PORTS - 1;
        __u64 was = __sync_val_compare_and_swap(&h->ports[at], 0, key);
        if (was == 0 || was == key)
            return (int)at;
    }
    return -1;
}

// The element of `dests` that counts for a client's socket.
static inline __u32 connection_dest_index(
    const struct connection_head *h, const struct connection_socket *s)
{
    __u32 slot = s->slot;
    return slot && h->dest_turns[(slot - 1) & (CONNECTION_DESTS_MAX - 1)] == s->turn ? slot : 0;
}

// The place in `le` that counts a duration.
static inline __u32 connection_le_place(const __u64 bounds_ns[CONNECTION_LE - 1], __u64 ns)
{
    for (__u32 i = 0; i < CONNECTION_LE - 1; i++)
        if (ns <= bounds_ns[i])
            return i;
    return CONNECTION_LE - 1;
}

static inline __u32 connection_bucket(__u64 ns, __u32 low)
{
    if (ns < 1ull << low)
        ns = 1ull << low;
    if (ns > 1ull << (low + CONNECTION_OCTAVES))
        ns = 1ull << (low + CONNECTION_OCTAVES);
    return bucket_above(ns, low);
}
