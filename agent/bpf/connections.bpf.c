// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/*
 * The kernel's half of the sampler "tcp.connections": connections accepted and made, from the
 * changes of state of each TCP socket on this host, whatever its network namespace.
 *
 *     SYN_RECV -> ESTABLISHED   accepted: one more opened of the port; the clock of its life starts
 *     CLOSE    -> SYN_SENT      connecting: the clock starts
 *     SYN_SENT -> ESTABLISHED   connected: it stops, one more opened of the destination
 *     SYN_SENT -> CLOSE         failed; sk_err says why
 *     ...      -> CLOSE         over; sk_err and the state before say how
 *
 * The kernel passes a program over while that program runs on the same CPU already: what a packet does
 * that interrupts a connect() or close() there would not be counted, some 0.5 % of short connections
 * on a host whose packets come by interrupts or are steered to other CPUs. So each program is there
 * twice: of the two at most one is interrupted, and the other is told of what comes then. Who comes
 * second leaves alone what the socket's mark says is counted; no socket is worked on by two CPUs at a
 * time. A change for whose mark there is no memory is not counted but `lost`.
 *
 * At the change to CLOSE skc_num is zero already unless the socket was bound: inet_sport still has
 * the port. Only the fields used are declared; libbpf finds them in the running kernel.
 */
#include "agent/bpf/connection_maps.bpf.h"
#include "agent/bpf/cost.bpf.h"
#include "agent/bpf/count.bpf.h"
#include "agent/bpf/sock.bpf.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <linux/bpf.h>

enum {
    ESTABLISHED = 1,
    SYN_SENT,
    SYN_RECV,
    FIN_WAIT1,
    FIN_WAIT2,
    TIME_WAIT,
    CLOSE,
    CLOSE_WAIT,
    LAST_ACK,
    LISTEN,
    CLOSING,
    NEW_SYN_RECV
};
enum twin { FIRST, SECOND };
enum { BROKEN_PIPE = 32, ABORTED = 103, RESET = 104, TIMED_OUT = 110, REFUSED = 111 };

struct inet_sock {
    __u16 inet_sport;
} __attribute__((preserve_access_index));

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, CONNECTION_PORTS);
    __type(key, __u32);
    __type(value, struct connection_port);
} ports SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, 1); // the number told apart + 1, set by the loader
    __type(key, __u32);
    __type(value, struct connection_dest);
} dests SEC(".maps");

// Wakes user space; what is in it says nothing.
struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, 4096);
} wakes SEC(".maps");

const volatile __u32 own_netns = 0, own_pid = 0;
const volatile __u32 n_dests = 0; // told apart; 0 = outgoing connections are not looked at
const volatile __u64 seed = 0;

static __always_inline __u32 netns_of(const struct sock *sk)
{
    return sk->__sk_common.skc_net.net->ns.inum;
}

// --- accepted ------------------------------------------------------------------------------------

static __always_inline struct connection_port *port_of(
    struct connection_head *h, const struct sock *sk, __u16 port, int take, __u32 *ret_slot)
{
    int slot = connection_port_slot(h, connection_port_key(netns_of(sk), port), take);

    if (slot < 0) {
        if (take)
            count_add(&h->refused, 1);
        return NULL;
    }
    *ret_slot = (__u32)slot;
    return bpf_map_lookup_elem(&ports, ret_slot);
}

static __always_inline void wake(struct connection_head *h, const struct sock *sk)
{
    __u64 nothing = 0;

    if (netns_of(sk) != own_netns)
        return;
    count_add(&h->accepted, 1);
    if (h->watched && __sync_val_compare_and_swap(&h->watched, 1, 0) == 1)
        bpf_ringbuf_output(&wakes, &nothing, sizeof(nothing), BPF_RB_FORCE_WAKEUP);
}

// The socket's mark, made if need be; NULL: no memory, and what it was for is lost.
static __always_inline struct connection_socket *mark(
    struct connection_head *h, struct sock *sk, enum twin twin)
{
    struct connection_socket *s =
        bpf_sk_storage_get(&sockets, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);

    if (!s && twin == SECOND)
        count_add(&h->lost, 1);
    return s;
}

static __always_inline void belongs(
    const struct connection_head *h, struct connection_socket *s, __u32 slot)
{
    s->slot = (__u16)slot;
    s->turn = h->port_turns[slot & (CONNECTION_PORTS - 1)];
}

static __always_inline void accepted(struct connection_head *h, struct sock *sk, enum twin twin)
{
    struct connection_socket *s = mark(h, sk, twin);
    struct connection_port *p;
    __u32 slot = 0;

    if (!s || s->role == CONNECTION_SERVER || s->role == CONNECTION_UNPLACED)
        return;
    s->role = CONNECTION_UNPLACED;
    wake(h, sk);
    p = port_of(h, sk, sk->__sk_common.skc_num, 1, &slot);
    if (!p)
        return;
    count_add(&p->opened, 1);
    if (!p->cgroup)
        p->cgroup = BPF_CORE_READ(sk, sk_cgrp_data.cgroup, kn, id);
    s->since_ns = bpf_ktime_get_ns();
    belongs(h, s, slot);
    s->role = CONNECTION_SERVER;
}

// The port of a connection that is a server's, NULL otherwise. Those that are older than us, and have
// no storage, are known by their local port.
static __always_inline struct connection_port *served(struct connection_head *h,
    struct sock *sk, const struct connection_socket *s, __u32 *ret_slot)
{
    if (!s || s->role == CONNECTION_NONE) {
        struct inet_sock *inet = (struct inet_sock *)sk;
        return port_of(h, sk, bpf_ntohs(BPF_CORE_READ(inet, inet_sport)), 0, ret_slot);
    }
    if (s->role != CONNECTION_SERVER && s->role != CONNECTION_OVER)
        return NULL;
    *ret_slot = s->slot;
    if (h->port_turns[*ret_slot & (CONNECTION_PORTS - 1)] != s->turn)
        return NULL;
    return bpf_map_lookup_elem(&ports, ret_slot);
}

static __always_inline enum connection_end end_of(const struct sock *sk, int before)
{
    int error = sk->sk_err;

    if (error == RESET || error == BROKEN_PIPE || error == ABORTED)
        return CONNECTION_RESET;
    if (error)
        return CONNECTION_TIMEOUT;
    // Nobody's fault: an orderly end, unless there was more to come when we closed.
    return before == FIN_WAIT2 || before == CLOSING || before == LAST_ACK ? CONNECTION_FIN
                                                                          : CONNECTION_RESET;
}

static __always_inline void over(
    struct connection_head *h, struct sock *sk, int before, enum twin twin)
{
    struct connection_socket *s = bpf_sk_storage_get(&sockets, sk, NULL, 0);
    struct connection_port *p;
    __u32 slot = 0;

    if ((s && s->role == CONNECTION_OVER) || !(p = served(h, sk, s, &slot)) ||
        (!s && !(s = mark(h, sk, twin))))
        return;
    int known = s->role == CONNECTION_SERVER;
    belongs(h, s, slot);
    s->role = CONNECTION_OVER;
    count_at(p->closed, CONNECTION_ENDS, end_of(sk, before));
    if (sk->sk_err == RESET || sk->sk_err == BROKEN_PIPE) // only a reset that came says so here
        count_add(&p->resets_received, 1);
    if (!known)
        return;
    __u64 life = bpf_ktime_get_ns() - s->since_ns;
    if (count_at(p->life, CONNECTION_BUCKETS, connection_bucket(life, CONNECTION_LIFE_LOW)))
        count_add(&p->life_ns, life);
    count_at(p->le, CONNECTION_LE, connection_le_place(h->life_le_ns, life));
}

// --- made ----------------------------------------------------------------------------------------

struct destination {
    __u32 address[4];
    __u32 netns;
    __u16 port;
};

static __always_inline int destination_of(const struct sock *sk, struct destination *d)
{
    int loopback;

    d->port = bpf_ntohs(sk->__sk_common.skc_dport);
    if (sk->__sk_common.skc_family == AF_INET) {
        d->address[0] = d->address[1] = 0;
        d->address[2] = bpf_htonl(0xffff);
        d->address[3] = sk->__sk_common.skc_daddr;
    } else if (sk->__sk_common.skc_family == AF_INET6) {
        for (int i = 0; i < 4; i++)
            d->address[i] = sk->__sk_common.skc_v6_daddr.in6_u.u6_addr32[i];
    } else {
        return 0;
    }
    loopback = !d->address[0] && !d->address[1] &&
               (d->address[2] ? (bpf_ntohl(d->address[3]) >> 24) == 127
                              : d->address[3] == bpf_htonl(1));
    d->netns = loopback ? netns_of(sk) : 0;
    if (d->netns == own_netns)
        d->netns = 0;
    return 1;
}

// Index of the destination in `dests`: its own, or 0 when all are taken.
static __always_inline __u32 dest_index(struct connection_head *h, const struct destination *d)
{
    __u64 key = connection_mixed(seed ^ ((__u64)d->address[0] << 32 | d->address[1]));
    __u32 start;

    key = connection_mixed(key ^ ((__u64)d->address[2] << 32 | d->address[3]));
    key = connection_mixed(key ^ ((__u64)d->netns << 32 | d->port));
    key |= !key;
    start = (__u32)key % n_dests;
    for (__u32 i = 0; i < n_dests && i < CONNECTION_DESTS_MAX; i++) {
        __u32 at = start + i;
        if (at >= n_dests)
            at -= n_dests;
        asm volatile("" : "+r"(at));
        at &= CONNECTION_DESTS_MAX - 1;
        if (h->dests[at] == key)
            return at + 1;
    }
    for (__u32 i = 0; i < n_dests && i < CONNECTION_DESTS_MAX; i++) {
        __u32 at = start + i;
        if (at >= n_dests)
            at -= n_dests;
        asm volatile("" : "+r"(at));
        at &= CONNECTION_DESTS_MAX - 1;
        if (h->dests[at])
            continue;
        __u64 was = __sync_val_compare_and_swap(&h->dests[at], 0, key);
        if (was == key)
            return at + 1;
        if (was)
            continue;
        __u32 index = at + 1;
        struct connection_dest *n = bpf_map_lookup_elem(&dests, &index);
        if (n) {
            for (int k = 0; k < 4; k++)
                n->address[k] = d->address[k];
            n->netns = d->netns;
            n->port = d->port;
            n->named = 1;
        }
        return index;
    }
    return 0;
}

static __always_inline void connecting(
    struct connection_head *h, struct sock *sk, enum twin twin)
{
    struct destination d = {};
    struct connection_socket *s;

    // The agent's own probes are no business of this host's services.
    if (!n_dests || bpf_get_current_pid_tgid() >> 32 == own_pid || !destination_of(sk, &d))
        return;
    s = mark(h, sk, twin);
    if (!s || s->role == CONNECTION_CONNECTING)
        return;
    s->slot = (__u16)dest_index(h, &d);
    s->turn = s->slot ? h->dest_turns[(s->slot - 1) & (CONNECTION_DESTS_MAX - 1)] : 0;
    s->since_ns = bpf_ktime_get_ns();
    s->role = CONNECTION_CONNECTING;
}

// Connecting is over, one way or the other: where it went, and since when. NULL: not one of ours.
static __always_inline struct connection_dest *answered(
    const struct connection_head *h, struct sock *sk, __u64 *ret_since_ns)
{
    struct connection_socket *s = bpf_sk_storage_get(&sockets, sk, NULL, 0);
    __u32 index;

    if (!s || s->role != CONNECTION_CONNECTING)
        return NULL;
    s->role = CONNECTION_CLIENT;
    *ret_since_ns = s->since_ns;
    index = connection_dest_index(h, s);
    return bpf_map_lookup_elem(&dests, &index);
}

static __always_inline void connected(const struct connection_head *h, struct sock *sk)
{
    __u64 since_ns = 0;
    struct connection_dest *d = answered(h, sk, &since_ns);

    if (!d)
        return;
    __u64 took = bpf_ktime_get_ns() - since_ns;
    count_add(&d->opened, 1);
    __u32 bucket = connection_bucket(took, CONNECTION_CONNECT_LOW);
    if (count_at(d->connect, CONNECTION_BUCKETS, bucket))
        count_add(&d->connect_ns, took);
    count_at(d->le, CONNECTION_LE, connection_le_place(h->connect_le_ns, took));
}

static __always_inline enum connection_failure failure_of(const struct sock *sk)
{
    struct inet_sock *inet = (struct inet_sock *)sk;
    int error = sk->sk_err;

    if (error == REFUSED)
        return CONNECTION_REFUSED;
    if (error == TIMED_OUT)
        return CONNECTION_UNANSWERED;
    if (error == RESET || error == BROKEN_PIPE || error == ABORTED)
        return CONNECTION_RESET_EARLY;
    if (error)
        return CONNECTION_UNREACHABLE;
    return BPF_CORE_READ(inet, inet_sport) ? CONNECTION_ABANDONED : CONNECTION_NO_PORT;
}

static __always_inline void failed(const struct connection_head *h, struct sock *sk)
{
    __u64 since_ns = 0;
    struct connection_dest *d = answered(h, sk, &since_ns);

    if (d)
        count_at(d->failed, CONNECTION_FAILURES, failure_of(sk));
}

// --- what the kernel tells -----------------------------------------------------------------------

static __always_inline int changed(struct sock *sk, int before, int after, enum twin twin)
{
    if (after != ESTABLISHED && after != CLOSE && after != SYN_SENT)
        return 0;
    if (sk->sk_protocol != IPPROTO_TCP)
        return 0;
    __u64 begun = cost_begin();
    struct connection_head *h = head_get();
    if (!h)
        return 0;
    if (after == SYN_SENT)
        connecting(h, sk, twin);
    else if (after == ESTABLISHED && before == SYN_RECV)
        accepted(h, sk, twin);
    else if (after == ESTABLISHED && before == SYN_SENT)
        connected(h, sk);
    else if (after == CLOSE && before == SYN_SENT)
        failed(h, sk);
    else if (after == CLOSE && before != SYN_RECV && before != LISTEN && before != CLOSE)
        over(h, sk, before, twin);
    cost_end(&h->cost, begun);
    return 0;
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(set_state, struct sock *sk, int before, int after)
{
    return changed(sk, before, after, FIRST);
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(set_state_too, struct sock *sk, int before, int after)
{
    return changed(sk, before, after, SECOND);
}

// One for each connection: what is sent again for a socket that is over says nothing new.
static __always_inline int reset_sent(struct sock *sk, enum twin twin)
{
    struct connection_head *h = head_get();
    __u32 slot = 0;
    struct connection_socket *s;
    struct connection_port *p;

    if (!h || !sk)
        return 0;
    // What is no whole socket has no storage; a listener refuses what is no connection.
    int state = sk->__sk_common.skc_state;
    if (state == TIME_WAIT || state == NEW_SYN_RECV || state == LISTEN)
        return 0;
    s = bpf_sk_storage_get(&sockets, sk, NULL, 0);
    if (!(p = served(h, sk, s, &slot)) || (!s && !(s = mark(h, sk, twin))) || s->reset_sent)
        return 0;
    s->reset_sent = 1;
    count_add(&p->resets_sent, 1);
    return 0;
}

SEC("tp_btf/tcp_send_reset")
int BPF_PROG(send_reset, struct sock *sk)
{
    return reset_sent(sk, FIRST);
}

SEC("tp_btf/tcp_send_reset")
int BPF_PROG(send_reset_too, struct sock *sk)
{
    return reset_sent(sk, SECOND);
}

char LICENSE[] SEC("license") = "GPL";
