// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/* Requests at a UNIX socket with a name. */
#pragma once
#include "agent/bpf/exchange.bpf.h"

struct sockaddr_un {
    char sun_path[108];
} __attribute__((preserve_access_index));
struct unix_address {
    int len;
    struct sockaddr_un name[];
} __attribute__((preserve_access_index));
struct unix_sock {
    struct unix_address *addr;
    struct sock *peer;
} __attribute__((preserve_access_index));

// Slot + 1 of who listens at that name.
static __always_inline __u8 slot_of_name(
    const struct latency_shared *m, const struct sock *sk, const struct unix_address *addr)
{
    __u64 words[LATENCY_NAME_WORDS] = {0}, key;
    int len = addr->len - (int)sizeof(__u16);

    if (len < 1 || len > (int)sizeof(((struct sockaddr_un *)0)->sun_path) + 1 ||
        bpf_probe_read_kernel(words, len & 127, addr->name[0].sun_path))
        return 0;
    if ((char)words[0])
        len--; // a path is sent with its NUL
    key = latency_name_key(
        sk->__sk_common.skc_net.net->ns.inum, latency_name_hash(words, (__u32)len));
    for (int i = 0; i < LATENCY_SLOTS; i++)
        if (m->names[i] == key)
            return (__u8)(i + 1);
    return 0;
}

static __always_inline void unix_arrived(
    struct latency_shared *m, struct sock *sk, const struct unix_address *addr)
{
    struct exchange *x = bpf_sk_storage_get(&exchanges, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
    __u64 now = bpf_ktime_get_ns();

    if (!x)
        return;
    if (x->phase == PHASE_NEW || x->generation != m->generation) {
        x->phase = PHASE_OPEN;
        x->generation = m->generation;
        x->slot = slot_of_name(m, sk, addr);
    }
    if (!x->slot)
        return;
    // unix_answered, at the same time, may be about to stop the clock: it is told first.
    if (sk->sk_receive_queue.qlen <= 1)
        __sync_lock_test_and_set(&x->next, now);
    if (!x->arrived || x->pieces >= LATENCY_UPLOAD_PIECES)
        x->arrived = now;
    if (x->pieces < LATENCY_UPLOAD_PIECES)
        x->pieces++;
}

// Whoever reads without sleeping may have the answer, and have sent the next request, before we are told of
// the answer. sk: the service's end.
static __always_inline void unix_answered(struct latency_shared *m, struct sock *sk)
{
    struct exchange *x = bpf_sk_storage_get(&exchanges, sk, NULL, 0);
    __u64 now, begun;

    if (!x || !x->slot)
        return;
    now = bpf_ktime_get_ns();
    begun = __sync_lock_test_and_set(&x->arrived, 0);
    if (!begun)
        return;
    x->pieces = 0;
    if (sk->sk_receive_queue.qlen) {
        x->arrived = x->next > begun ? x->next : now;
        x->pieces = 1;
    }
    if (now >= begun)
        count(m, x->slot - 1, now - begun);
}

static __always_inline void unix_ready(struct latency_shared *m, struct sock *sk)
{
    struct unix_sock *u = bpf_skc_to_unix_sock(sk);
    struct unix_address *addr;
    struct sock *peer;

    if (!u || sk->__sk_common.skc_state != TCP_ESTABLISHED)
        return;
    // Whoever was accepted has his listener's name; who connected has none.
    addr = u->addr;
    if (addr) {
        unix_arrived(m, sk, addr);
        return;
    }
    peer = u->peer;
    if (peer)
        unix_answered(m, peer);
}
