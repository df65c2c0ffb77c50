// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/*
 * The kernel's half of the sampler "tcp.latency": how long from the arrival of a request at a
 * service's socket to the first byte of the reply. Nothing is copied, nothing leaves the kernel but
 * counts: user space reads them from shared memory.
 *
 *     TCP   sk_data_ready ----> the clock of this socket starts, if it does not run
 *           sock_send_length -> it stops: one more in a bucket of the service's slot
 *     UNIX  sk_data_ready of the service's end -> starts;  of the other end: it was answered
 *     TCP, of who connected: the mirror image, sock_send_length starts and sk_data_ready stops
 *
 * The clock starts when the kernel has queued the data, so waiting to be accepted and for a CPU
 * counts. A reply may reach the client, and its next request us, before sock_send_length is told of
 * the first: what arrives after the reply was queued (write_seq moved) starts the next clock, and the
 * first stops no later. A UNIX socket has no such number, but its peer is woken within the send, so
 * there that wakes stops; what the service has not read by then is the next request.
 *
 * What is no request (latency_shared.h): of a TLS port the handshake, told from requests by who has
 * sent and read how many bytes, and the goodbye; a FIN.
 *
 * Only the fields used are declared; libbpf finds them in the running kernel.
 */
#include "agent/bpf/cost.bpf.h"
#include "agent/bpf/latency_client.bpf.h"
#include "agent/bpf/latency_service.bpf.h"
#include "agent/bpf/latency_unix.bpf.h"
#include <bpf/bpf_tracing.h>

// sent: bytes, or 0 when something came.
static __always_inline void tcp(struct latency_shared *m, struct sock *sk, __u32 sent)
{
    const struct latency_port *port;
    const struct connection_socket *client;
    const struct tcp_sock *tp;

    if (sk->__sk_common.skc_state == TCP_LISTEN)
        return;
    port = port_of(m, sk);
    client = port ? NULL : client_get(sk);
    if ((!port && !client) || !(tp = bpf_skc_to_tcp_sock(sk)))
        return;
    if (port && sent)
        replied(m, sk, tp, port);
    else if (port)
        arrived(m, sk, tp, port);
    else if (sent)
        client_sent(m, sk, client, tp, sent);
    else
        client_answered(m, sk, client, tp);
}

// --- programs -------------------------------------------------------------------------------------

/*
 * The kernel passes a program over while that program runs on the same CPU already (connections.bpf.c):
 * of what packets do in an interrupt of it only its twin is told. Being told twice of the same bytes
 * changes nothing: the clock runs already, and is_goodbye finds nothing new. UNIX sockets and
 * senders are not worked on in interrupts.
 */
static __always_inline void ready(struct sock *sk, int first)
{
    __u64 begun = cost_begin();
    struct latency_shared *m = shared_get();

    if (!m)
        return;
    if (sk->sk_protocol == IPPROTO_TCP)
        tcp(m, sk, 0);
    else if (first && sk->__sk_common.skc_family == AF_UNIX)
        unix_ready(m, sk);
    cost_end(&m->cost, begun);
}

SEC("tp_btf/sk_data_ready")
int BPF_PROG(data_ready, struct sock *sk)
{
    ready(sk, 1);
    return 0;
}

SEC("tp_btf/sk_data_ready")
int BPF_PROG(data_ready_too, struct sock *sk)
{
    if (sk->sk_protocol == IPPROTO_TCP)
        ready(sk, 0);
    return 0;
}

SEC("tp_btf/sock_send_length")
int BPF_PROG(send_length, struct sock *sk, int ret)
{
    __u64 begun = cost_begin();
    struct latency_shared *m = shared_get();

    if (m) {
        if (ret > 0 && sk->sk_protocol == IPPROTO_TCP)
            tcp(m, sk, (__u32)ret);
        else if (ret > 0 && sk->__sk_common.skc_family == AF_UNIX && sk->sk_shutdown)
            unix_answered(m, sk); // the client had it, and has closed, before unix_ready
        cost_end(&m->cost, begun);
    }
    return 0;
}

// Who goes unanswered waits no more; and the first answer of a TLS connection was the last.
static __always_inline void destroyed(struct sock *sk)
{
    struct latency_shared *m = shared_get();
    struct exchange *x = bpf_sk_storage_get(&exchanges, sk, NULL, 0);
    struct connection_socket *c;

    if (!m || !x)
        return;
    wait_end(m, x);
    if (clients && x->phase == PHASE_FINISH && x->finished && x->next > x->arrived &&
        (c = bpf_sk_storage_get(&sockets, sk, NULL, 0)) && c->role == CONNECTION_CLIENT)
        call_count(m, c, x->next - x->arrived);
    x->next = 0; // the twin counts no second time
}

SEC("tp_btf/tcp_destroy_sock")
int BPF_PROG(destroy_sock, struct sock *sk)
{
    destroyed(sk);
    return 0;
}

SEC("tp_btf/tcp_destroy_sock")
int BPF_PROG(destroy_sock_too, struct sock *sk)
{
    destroyed(sk);
    return 0;
}

char LICENSE[] SEC("license") = "GPL";
