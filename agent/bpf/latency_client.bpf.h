// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/* Calls of who connected, from the last byte of the request to the first of the answer. */
#pragma once
#include "agent/bpf/exchange.bpf.h"
#include <bpf/bpf_endian.h>

static __always_inline struct connection_socket *client_get(struct sock *sk)
{
    struct connection_socket *c;

    if (!clients || !(c = bpf_sk_storage_get(&sockets, sk, NULL, 0)) ||
        c->role != CONNECTION_CLIENT)
        return NULL;
    return c;
}

static __always_inline void call_count(
    const struct latency_shared *m, const struct connection_socket *c, __u64 ns)
{
    const struct connection_head *h = head_get();
    __u32 index = h ? connection_dest_index(h, c) : 0;
    struct latency_call *call = bpf_map_lookup_elem(&calls, &index);

    if (!call ||
        !count_at(call->count, CONNECTION_BUCKETS, connection_bucket(ns, LATENCY_CALL_LOW)))
        return;
    count_add(&call->sum_ns, ns);
    count_at_most(m->call_thresholds_ns, call->at_most, ns);
}

static __always_inline int is_tls_port(const struct latency_shared *m, __u16 port)
{
    for (int i = 0; i < LATENCY_TLS_PORTS && m->tls_ports[i]; i++)
        if (m->tls_ports[i] == port)
            return 1;
    return 0;
}

static __always_inline void call_phase(
    const struct latency_shared *m, const struct sock *sk, struct exchange *x)
{
    if (x->phase != PHASE_NEW)
        return;
    x->tls = (__u8)is_tls_port(m, bpf_ntohs(sk->__sk_common.skc_dport));
    x->phase = x->tls ? PHASE_HELLO : PHASE_OPEN;
}

// When the last segment left, if that was just now; else we are later than the send.
static __always_inline __u64 sent_at(const struct tcp_sock *tp)
{
    __u64 now = bpf_ktime_get_ns(), left = tp->tcp_wstamp_ns;

    return tp->snd_nxt == tp->write_seq && left < now && now - left < 1000000 ? left : now;
}

// TLS, the end of our handshake has to be sent yet, or a request behind it. Of the first request the
// answer cannot be told from session tickets: the last of what comes before the next request is it.
static __always_inline int tls_sent(const struct latency_shared *m,
    const struct connection_socket *c, const struct tcp_sock *tp, struct exchange *x)
{
    if (x->phase == PHASE_HELLO)
        return 0;
    if (tp->write_seq - x->mark_seq <= LATENCY_TLS_FINISHED) {
        if (tp->write_seq != x->mark_seq) // else it is the hello, told of late
            x->finished = 1;
        return 0;
    }
    if (x->next) {
        if (x->finished && x->next > x->arrived)
            call_count(m, c, x->next - x->arrived);
        x->phase = PHASE_OPEN;
        x->arrived = x->next = 0;
    }
    return 1;
}

static __always_inline void client_sent(const struct latency_shared *m, struct sock *sk,
    const struct connection_socket *c, const struct tcp_sock *tp, __u32 bytes)
{
    struct exchange *x = bpf_sk_storage_get(&exchanges, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);

    if (!x)
        return;
    call_phase(m, sk, x);
    if ((x->phase != PHASE_OPEN && !tls_sent(m, c, tp, x)) || tp->write_seq == x->write_seq)
        return; // the second: its answer was here before us
    if (!x->arrived && x->tls && is_tls_goodbye(bytes)) {
        x->write_seq = tp->write_seq; // what comes upon it answers nothing
    } else if (!x->arrived) {
        x->arrived = sent_at(tp);
        x->first_seq = tp->write_seq;
    } else if (tp->write_seq - x->first_seq > LATENCY_UPLOAD_BYTES) {
        x->arrived = sent_at(tp);
    }
}

static __always_inline void client_answered(const struct latency_shared *m, struct sock *sk,
    const struct connection_socket *c, const struct tcp_sock *tp)
{
    struct exchange *x = bpf_sk_storage_get(&exchanges, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
    __u64 now = bpf_ktime_get_ns(), begun;

    if (!x)
        return;
    call_phase(m, sk, x);
    // A FIN is no answer.
    if (sk->__sk_common.skc_state != TCP_ESTABLISHED && tp->rcv_nxt - tp->copied_seq <= 1) {
        if (x->phase == PHASE_OPEN)
            x->arrived = 0;
        return;
    }
    if (x->phase == PHASE_HELLO) {
        if (tp->bytes_sent) {
            x->phase = PHASE_FINISH;
            x->mark_seq = x->write_seq = tp->write_seq;
        }
        return;
    }
    if (x->phase == PHASE_FINISH) {
        if (x->arrived) {
            x->next = now;
        } else if (!x->finished && tp->write_seq - x->mark_seq > LATENCY_TLS_FINISHED) {
            // TLS 1.2: the end of the handshake, answered before sock_send_length is told of it.
            x->phase = PHASE_OPEN;
            x->write_seq = tp->write_seq;
        }
        return;
    }
    begun = x->arrived;
    // Answered before sock_send_length was told of what it answers.
    if (!begun && tp->bytes_sent && tp->write_seq != x->write_seq &&
        !(x->tls && is_tls_goodbye(tp->write_seq - x->write_seq)))
        begun = tp->tcp_wstamp_ns;
    if (begun && now >= begun)
        call_count(m, c, now - begun);
    x->arrived = 0;
    x->write_seq = tp->write_seq;
}
