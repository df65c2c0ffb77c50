// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/*
 * A socket's exchange: whose clock runs since when, and where it is counted when it stops. For the three kinds
 * of latency.bpf.c: services at ports (latency_service), who connected (latency_client), UNIX sockets
 * (latency_unix).
 */
#pragma once
#include "agent/bpf/connection_maps.bpf.h" // who connected, and which destination that is
#include "agent/bpf/count.bpf.h"
#include "agent/bpf/sock.bpf.h"
#include "agent/latency_shared.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <linux/bpf.h>

#define TCP_ESTABLISHED 1
#define TCP_LISTEN      10

struct tcp_sock {
    __u32 write_seq, rcv_nxt, copied_seq, snd_nxt;
    __u64 bytes_sent, bytes_received, tcp_wstamp_ns;
} __attribute__((preserve_access_index));

enum phase {
    PHASE_NEW,
    PHASE_OPEN,   // what comes is a request, what goes a reply
    PHASE_HELLO,  // TLS: the client has yet to hear of us
    PHASE_FINISH, // it has, and the end of its handshake comes, perhaps with a request behind
    PHASE_ANSWERED, // ... it came in one piece with something; what we sent may have been either's answer
};

struct exchange {
    // ns, 0 = no request waits. UNIX, next: when the oldest that was not read came, or one before.
    __u64 arrived, next;
    __u32 write_seq;  // when it arrived
    __u32 first_seq;  // bytes received by then
    __u32 seen_seq;   // bytes received at the last look
    __u32 mark_seq;   // TLS: bytes received when the hello was answered; of who connected: sent
    __u32 life;       // of the slot in_flight was counted in
    __u32 generation; // UNIX: of `slot`
    __u8 phase;
    __u8 slot;     // UNIX: + 1, 0 = nobody's; TCP: of in_flight
    __u8 waits;    // counted in in_flight
    __u8 pieces;   // UNIX
    __u8 finished; // TLS: the end of the handshake came alone
    __u8 tls;      // of who connected
};

struct {
    __uint(type, BPF_MAP_TYPE_SK_STORAGE);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, int);
    __type(value, struct exchange);
} exchanges SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, 1);
    __type(key, int);
    __type(value, struct latency_shared);
} shared SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, 1); // those told apart + 1, set by the loader
    __type(key, __u32);
    __type(value, struct latency_call);
} calls SEC(".maps");

const volatile __u32 clients =
    0; // those two maps are of connections.bpf.c, and calls are timed

static __always_inline struct latency_shared *shared_get(void)
{
    int zero = 0;
    return bpf_map_lookup_elem(&shared, &zero);
}

// The lowest threshold that is not exceeded.
static __always_inline void count_at_most(
    const __u64 thresholds_ns[LATENCY_THRESHOLDS], __u64 *at_most, __u64 ns)
{
    for (int i = 0; i < LATENCY_THRESHOLDS && thresholds_ns[i] != LATENCY_NO_THRESHOLD; i++)
        if (ns <= thresholds_ns[i]) {
            count_add(&at_most[i], 1);
            break;
        }
}

static __always_inline struct latency_slot *slot_at(struct latency_shared *m, __u32 slot)
{
    // The compiler may not conclude that it is in range: the verifier has to see the mask.
    asm volatile("" : "+r"(slot));
    return &m->slots[slot & (LATENCY_SLOTS - 1)];
}

// One more that took so long.
static __always_inline void count(struct latency_shared *m, __u32 slot, __u64 ns)
{
    struct latency_slot *s = slot_at(m, slot);

    if (!count_at(s->count, LATENCY_BUCKETS, latency_bucket(ns)))
        return;
    count_add(&s->sum_ns, ns);
    count_at_most(m->thresholds_ns, s->at_most, ns);
}

static __always_inline void waits(struct latency_shared *m, __u32 slot, int change)
{
    __sync_fetch_and_add(&slot_at(m, slot)->in_flight, (__s64)change);
}

static __always_inline int is_tls_goodbye(__u32 bytes)
{
    return bytes == LATENCY_TLS_GOODBYE_13 || bytes == LATENCY_TLS_GOODBYE_12;
}
