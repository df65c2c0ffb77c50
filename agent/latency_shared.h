// SPDX-License-Identifier: Apache-2.0
/*
 * The memory that the kernel's and our half of the sampler "tcp.latency" share. Included by C for the
 * kernel too: fixed-size types only.
 *
 *     local port of a TCP socket   -> ports, keys by place --+
 *     name of a UNIX socket (hash) -> names, one a slot -----+--> slot: counts, written by the kernel
 *
 * The tables come first and are mapped whole, slots page by page as they are given away: what is not
 * used is no memory of the agent's. All but the slots and the cost is written by us.
 */
#pragma once
#include "agent/connection_slot.h"
#include "agent/kernel_cost.h"
#include "agent/latency_bucket.h"
#include "agent/latency_name.h"
#include <linux/types.h>

#define LATENCY_SLOTS        128  // a power of two, below 256
#define LATENCY_PORTS        1024 // places, a power of two
#define LATENCY_PLACES       8    // a port is at its own place or one of the next
#define LATENCY_TLS_PORTS    128  // of destinations that are known to speak TLS
#define LATENCY_THRESHOLDS   8    // that rules may ask to be counted exactly
#define LATENCY_NO_THRESHOLD (~0ull)

// Of one request more bytes than this after the first: it is an upload, and its clock starts at the
// last of them. Below it the clock starts at the first, so that waiting behind another counts.
#define LATENCY_UPLOAD_BYTES 16384
// The same for UNIX sockets, which do not tell bytes: pieces (writes, up to some 32 KiB each).
#define LATENCY_UPLOAD_PIECES 8
// A TLS 1.3 client ends its handshake with at most so many bytes, one of 1.2 with more.
#define LATENCY_TLS_FINISHED 80
// What says goodbye in TLS 1.3 and 1.2 (close_notify), and is no request.
#define LATENCY_TLS_GOODBYE_13 24
#define LATENCY_TLS_GOODBYE_12 31

// One service. Set to nothing by us when it is given away.
struct latency_slot {
    __u64 count[LATENCY_BUCKETS];
    __u64 sum_ns;
    // Exchanges above the threshold before and at most this one.
    __u64 at_most[LATENCY_THRESHOLDS];
    __s64 in_flight; // TCP: sockets on which a request waits for its answer
    __u64 rest[6];
};
_Static_assert(sizeof(struct latency_slot) == 4096, "a page");

// Calls of one destination, of the same index as connection_slot.h's. Written by the kernel.
#define LATENCY_CALL_LOW 9 // 2^9 ns, half a microsecond, to 2^39 ns
struct latency_call {
    __u64 count[CONNECTION_BUCKETS];
    __u64 sum_ns;
    __u64 at_most[LATENCY_THRESHOLDS]; // as of a slot
    __u64 rest[15];
};
_Static_assert(sizeof(struct latency_call) == 4096, "a page");

struct latency_port {
    __u64 key; // latency_port_key; 0 = never used, 1 = given back
    __u8 slot, tls;
    __u8 rest[6];
};

struct latency_shared {
    struct kernel_cost cost; // written by the kernel
    __u64
        thresholds_ns[LATENCY_THRESHOLDS]; // ascending; those not used are LATENCY_NO_THRESHOLD
    __u64 call_thresholds_ns[LATENCY_THRESHOLDS];
    __u16 tls_ports[LATENCY_TLS_PORTS]; // of destinations; 0 ends them
    __u64 names[LATENCY_SLOTS];         // latency_name_key; 0 = none
    __u32 life[LATENCY_SLOTS];          // +1 each time the slot is given away
    __u32 generation;                   // +1 with each change of `names`
    struct latency_port ports[LATENCY_PORTS];
    struct latency_slot slots[LATENCY_SLOTS] __attribute__((aligned(4096)));
};

static inline __u64 latency_port_key(__u32 netns, __u16 port)
{
    return 1ull << 63 | (__u64)netns << 16 | port;
}

static inline __u32 latency_port_place(__u64 key)
{
    return (__u32)((key * 0x9e3779b97f4a7c15ull) >> 54) & (LATENCY_PORTS - 1);
}

// The same path in another network namespace is most likely another's file.
static inline __u64 latency_name_key(__u32 netns, __u64 hash)
{
    return hash ^ ((__u64)netns << 32 | 1) ? hash ^ ((__u64)netns << 32 | 1) : 1;
}
