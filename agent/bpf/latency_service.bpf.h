// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/* Requests at a service's port, from their arrival to the first byte of the reply. */
#pragma once
#include "agent/bpf/exchange.bpf.h"

// The place of the service that listens on the socket's local port; NULL = none of ours.
static __always_inline const struct latency_port *port_of(
    const struct latency_shared *m, const struct sock *sk)
{
    __u64 key = latency_port_key(sk->__sk_common.skc_net.net->ns.inum, sk->__sk_common.skc_num);
    __u32 place = latency_port_place(key);

    for (int i = 0; i < LATENCY_PLACES; i++) {
        __u32 at = place + i;
        asm volatile("" : "+r"(at));
        const struct latency_port *p = &m->ports[at & (LATENCY_PORTS - 1)];
        if (p->key == key)
            return p;
        if (!p->key)
            return NULL;
    }
    return NULL;
}

static __always_inline __u32 lives(const struct latency_shared *m, __u32 slot)
{
    asm volatile("" : "+r"(slot));
    return m->life[slot & (LATENCY_SLOTS - 1)];
}

static __always_inline void wait_begin(struct latency_shared *m, struct exchange *x, __u32 slot)
{
    x->slot = slot;
    x->life = lives(m, slot);
    x->waits = 1;
    waits(m, slot, 1);
}

static __always_inline void wait_end(struct latency_shared *m, struct exchange *x)
{
    if (x->waits && x->life == lives(m, x->slot))
        waits(m, x->slot, -1);
    x->waits = 0;
}

static __always_inline void start(
    struct latency_shared *m, struct exchange *x, const struct tcp_sock *tp, __u32 slot)
{
    x->arrived = bpf_ktime_get_ns();
    x->write_seq = tp->write_seq;
    x->first_seq = tp->rcv_nxt;
    if (!x->waits)
        wait_begin(m, x, slot);
}

// It came after the reply was queued, or while another was made.
static __always_inline void wait_next(struct exchange *x, const struct tcp_sock *tp)
{
    x->next = bpf_ktime_get_ns();
    x->first_seq = tp->rcv_nxt;
}

// More was read than the end of a handshake.
static __always_inline int is_past_finish(const struct tcp_sock *tp, const struct exchange *x)
{
    return tp->copied_seq - x->mark_seq > LATENCY_TLS_FINISHED;
}

// Neither a FIN nor what TLS says before one is waited for.
static __always_inline int is_goodbye(
    const struct sock *sk, const struct tcp_sock *tp, const struct exchange *x, int tls)
{
    __u32 fin = sk->__sk_common.skc_state != TCP_ESTABLISHED, bytes = tp->rcv_nxt - x->seen_seq;

    if (bytes <= fin)
        return 1;
    bytes -= fin;
    return tls && is_tls_goodbye(bytes);
}

static __always_inline void arrived(struct latency_shared *m, struct sock *sk,
    const struct tcp_sock *tp, const struct latency_port *port)
{
    struct exchange *x = bpf_sk_storage_get(&exchanges, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
    __u32 write_seq;

    if (!x)
        return;
    // `replied` may run at the same time. It sets write_seq last; the `next` that it was too early to see
    // is what waits now.
    write_seq = x->write_seq;
    barrier();
    if (!x->arrived && x->next)
        x->arrived = __sync_lock_test_and_set(&x->next, 0);
    if (x->phase == PHASE_NEW) {
        x->phase = port->tls && !tp->bytes_sent ? PHASE_HELLO : PHASE_OPEN;
        x->seen_seq = tp->copied_seq;
    }
    // Its answer is with the client before sock_send_length is told of it; and what the client says to that
    // may be received by then, so only here is known what the hello was.
    if (x->phase == PHASE_HELLO && tp->bytes_sent)
        x->phase = PHASE_FINISH;
    else if (x->phase == PHASE_HELLO)
        x->mark_seq = tp->rcv_nxt;
    if (x->phase == PHASE_FINISH) {
        if (tp->rcv_nxt - x->mark_seq <= LATENCY_TLS_FINISHED)
            x->finished = 1;
        else if (!x->arrived)
            start(m, x, tp, port->slot);
        else if (is_past_finish(tp, x) && write_seq != tp->write_seq && !x->next &&
                 !is_goodbye(sk, tp, x, 1))
            wait_next(x, tp);
    } else if (x->phase == PHASE_ANSWERED) {
        x->phase = PHASE_OPEN;
        start(m, x, tp, port->slot);
    } else if (x->phase == PHASE_OPEN) {
        if (!x->arrived) {
            if (!is_goodbye(sk, tp, x, port->tls))
                start(m, x, tp, port->slot);
        } else if (write_seq == tp->write_seq) {
            if (tp->rcv_nxt - x->first_seq > LATENCY_UPLOAD_BYTES)
                x->arrived = bpf_ktime_get_ns();
        } else if (!x->next) {
            if (!is_goodbye(sk, tp, x, port->tls))
                wait_next(x, tp);
        } else if (tp->rcv_nxt - x->first_seq > LATENCY_UPLOAD_BYTES) {
            x->next = bpf_ktime_get_ns();
        }
    }
    x->seen_seq = tp->rcv_nxt;
}

// Of a TLS connection that is being made: 0 = what was sent answers no request.
static __always_inline int tls_replied(
    struct latency_shared *m, const struct tcp_sock *tp, struct exchange *x)
{
    if (x->phase == PHASE_HELLO) {
        x->phase = PHASE_FINISH;
        return 0;
    }
    // Until then what goes out belongs to it: session tickets, once it was read, else more of the hello.
    if (x->phase == PHASE_FINISH && !is_past_finish(tp, x)) {
        if (tp->copied_seq != x->mark_seq)
            x->finished = 1;
        x->write_seq = tp->write_seq;
        return 0;
    }
    if (x->phase == PHASE_FINISH && !x->finished) {
        // TLS 1.2, or a request in one piece with the end of the handshake: what follows, tells.
        wait_end(m, x);
        x->phase = x->next ? PHASE_OPEN : PHASE_ANSWERED;
        if (x->next)
            x->arrived = __sync_lock_test_and_set(&x->next, 0);
        x->write_seq = tp->write_seq;
        return 0;
    }
    x->phase = PHASE_OPEN;
    return 1;
}

static __always_inline void replied(struct latency_shared *m, struct sock *sk,
    const struct tcp_sock *tp, const struct latency_port *port)
{
    struct exchange *x = bpf_sk_storage_get(&exchanges, sk, NULL, 0);
    __u64 now, begun, next;

    if (!x || (x->phase != PHASE_OPEN && !tls_replied(m, tp, x)) || (!x->arrived && !x->next))
        return;
    now = bpf_ktime_get_ns();
    next = __sync_lock_test_and_set(&x->next, 0);
    begun = x->arrived;
    if (!begun) {
        begun = next;
        next = 0;
    }
    x->arrived = next;
    barrier();
    x->write_seq = tp->write_seq;
    if (!next)
        wait_end(m, x);
    else if (next < now)
        now = next; // by then the reply was queued
    if (now >= begun)
        count(m, port->slot, now - begun);
}
