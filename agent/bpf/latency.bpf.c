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
#include "agent/bpf/connection_maps.bpf.h" // who connected, and which destination that is
#include "agent/bpf/cost.bpf.h"
#include "agent/bpf/count.bpf.h"
#include "agent/bpf/sock.bpf.h"
#include "agent/latency_shared.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <linux/bpf.h>

#define TCP_ESTABLISHED 1
#define TCP_LISTEN      10

struct tcp_sock {
    __u32 write_seq, rcv_nxt, copied_seq, snd_nxt;
    __u64 bytes_sent, bytes_received, tcp_wstamp_ns;
} __attribute__((preserve_access_index));
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

// --- TCP ------------------------------------------------------------------------------------------

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

static __always_inline int is_tls_goodbye(__u32 bytes)
{
    return bytes == LATENCY_TLS_GOODBYE_13 || bytes == LATENCY_TLS_GOODBYE_12;
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

// --- TCP, of who connected ------------------------------------------------------------------------

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

// --- UNIX -----------------------------------------------------------------------------------------

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

// --- all ---------------------------------------------------------------------------------------

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
