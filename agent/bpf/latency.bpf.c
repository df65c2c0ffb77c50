// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/*
 * The kernel's half of the sampler "tcp.latency": how long from the arrival of a request at a
 * service's socket to the first byte of the reply. Nothing is copied, nothing leaves the kernel but
 * counts: user space reads them from shared memory.
 *
 *     sk_data_ready ---> the clock of this socket starts, if it does not run
 *     sock_send_length -> it stops: one more in a bucket of the port's slot
 *
 * The clock starts when the kernel has queued the data, so waiting to be accepted and for a CPU
 * counts. A reply may reach the client, and its next request us, before sock_send_length is told of
 * the first: what arrives after the reply was queued (write_seq moved) starts the next clock.
 *
 * Only the fields used are declared; libbpf finds them in the running kernel.
 */
#include "agent/bpf/cost.bpf.h"
#include "agent/latency_bucket.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <linux/bpf.h>

#define TCP_LISTEN  10
#define IPPROTO_TCP 6

struct ns_common {
    unsigned int inum;
} __attribute__((preserve_access_index));
struct net {
    struct ns_common ns;
} __attribute__((preserve_access_index));
typedef struct {
    struct net *net;
} possible_net_t;
struct sock_common {
    __u16 skc_num;
    volatile unsigned char skc_state;
    possible_net_t skc_net;
} __attribute__((preserve_access_index));
struct sock {
    struct sock_common __sk_common;
    __u16 sk_protocol;
} __attribute__((preserve_access_index));
struct tcp_sock {
    __u32 write_seq;
} __attribute__((preserve_access_index));

struct exchange {
    __u64 arrived, next; // ns, 0 = no request waits
    __u32 write_seq;     // when it arrived
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

const volatile __u32 own_netns = 0;

static __always_inline struct latency_shared *shared_get(void)
{
    int zero = 0;
    return bpf_map_lookup_elem(&shared, &zero);
}

// Slot + 1 of the service that listens on the socket's local port; 0 = none of ours.
static __always_inline __u32 slot_of(const struct latency_shared *m, const struct sock *sk)
{
    if (sk->sk_protocol != IPPROTO_TCP || sk->__sk_common.skc_state == TCP_LISTEN)
        return 0;
    __u32 slot = m->slot_of_port[sk->__sk_common.skc_num];
    if (!slot || sk->__sk_common.skc_net.net->ns.inum != own_netns)
        return 0;
    return slot;
}

static __always_inline void arrived(const struct latency_shared *m, struct sock *sk)
{
    struct exchange *x;
    struct tcp_sock *tp;

    if (!slot_of(m, sk))
        return;
    x = bpf_sk_storage_get(&exchanges, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
    tp = bpf_skc_to_tcp_sock(sk);
    if (!x || !tp)
        return;
    if (!x->arrived) {
        x->write_seq = tp->write_seq;
        x->arrived = bpf_ktime_get_ns();
    } else if (!x->next && x->write_seq != tp->write_seq) {
        x->next = bpf_ktime_get_ns();
    }
}

static __always_inline void replied(struct latency_shared *m, struct sock *sk)
{
    struct exchange *x;
    struct tcp_sock *tp;
    __u32 slot = slot_of(m, sk), bucket;
    __u64 now, begun;

    if (!slot)
        return;
    x = bpf_sk_storage_get(&exchanges, sk, NULL, 0);
    if (!x || !x->arrived)
        return;
    tp = bpf_skc_to_tcp_sock(sk);
    if (!tp)
        return;
    now = bpf_ktime_get_ns();
    begun = x->arrived;
    x->write_seq = tp->write_seq;
    x->arrived = x->next;
    x->next = 0;
    if (now < begun)
        return;
    bucket = latency_bucket(now - begun);
    slot--;
    // The compiler may not conclude that these are in range: the verifier has to see the masks.
    asm volatile("" : "+r"(bucket), "+r"(slot));
    bucket &= LATENCY_BUCKETS - 1;
    slot &= LATENCY_SLOTS - 1;
    __sync_fetch_and_add(&m->slots[slot].count[bucket], 1);
    __sync_fetch_and_add(&m->slots[slot].sum_ns, now - begun);
}

SEC("tp_btf/sk_data_ready")
int BPF_PROG(data_ready, struct sock *sk)
{
    __u64 begun = cost_begin();
    struct latency_shared *m = shared_get();

    if (m) {
        arrived(m, sk);
        cost_end(&m->cost, begun);
    }
    return 0;
}

SEC("tp_btf/sock_send_length")
int BPF_PROG(send_length, struct sock *sk, int ret)
{
    __u64 begun = cost_begin();
    struct latency_shared *m = shared_get();

    if (m) {
        if (ret > 0)
            replied(m, sk);
        cost_end(&m->cost, begun);
    }
    return 0;
}

char LICENSE[] SEC("license") = "GPL";
