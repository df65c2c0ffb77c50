// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/*
 * The kernel's half of the sampler "tcp.latency": how long from the arrival of a request at a
 * service's socket to the first byte of the reply. Nothing is copied, nothing leaves the kernel but
 * counts: user space reads them from shared memory.
 *
 *     TCP   sk_data_ready ----> the clock of this socket starts, if it does not run
 *           sock_send_length -> it stops: one more in a bucket of the service's slot
 *     UNIX  sk_data_ready of the service's end -> starts;  of the other end: it was answered
 *
 * The clock starts when the kernel has queued the data, so waiting to be accepted and for a CPU
 * counts. A reply may reach the client, and its next request us, before sock_send_length is told of
 * the first: what arrives after the reply was queued (write_seq moved) starts the next clock. A UNIX
 * socket has no such number, but its peer is woken within the send, so there that wakes stops.
 *
 * What is no request (latency_shared.h): of a TLS port the handshake, told from requests by who has
 * sent and read how many bytes, and the goodbye; a FIN.
 *
 * Only the fields used are declared; libbpf finds them in the running kernel.
 */
#include "agent/bpf/cost.bpf.h"
#include "agent/latency_shared.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <linux/bpf.h>

#define TCP_ESTABLISHED 1
#define TCP_LISTEN      10
#define IPPROTO_TCP     6
#define AF_UNIX         1

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
    __u16 skc_num, skc_family;
    volatile unsigned char skc_state;
    possible_net_t skc_net;
} __attribute__((preserve_access_index));
struct sock {
    struct sock_common __sk_common;
    __u16 sk_protocol;
} __attribute__((preserve_access_index));
struct tcp_sock {
    __u32 write_seq, rcv_nxt, copied_seq;
    __u64 bytes_sent;
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
    __u64 arrived, next; // ns, 0 = no request waits
    __u32 write_seq;     // when it arrived
    __u32 first_seq;     // bytes received by then
    __u32 seen_seq;      // bytes received at the last look
    __u32 mark_seq;      // TLS: bytes received when the hello was answered
    __u32 life;          // of the slot in_flight was counted in
    __u32 generation;    // UNIX: of `slot`
    __u8 phase;
    __u8 slot;     // UNIX: + 1, 0 = nobody's; TCP: of in_flight
    __u8 waits;    // counted in in_flight
    __u8 pieces;   // UNIX
    __u8 finished; // TLS: the end of the handshake came alone
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

static __always_inline struct latency_shared *shared_get(void)
{
    int zero = 0;
    return bpf_map_lookup_elem(&shared, &zero);
}

// One more that took so long.
static __always_inline void count(struct latency_shared *m, __u32 slot, __u64 ns)
{
    __u32 bucket = latency_bucket(ns);

    // The compiler may not conclude that these are in range: the verifier has to see the masks.
    asm volatile("" : "+r"(bucket), "+r"(slot));
    bucket &= LATENCY_BUCKETS - 1;
    slot &= LATENCY_SLOTS - 1;
    __sync_fetch_and_add(&m->slots[slot].count[bucket], 1);
    __sync_fetch_and_add(&m->slots[slot].sum_ns, ns);
    for (int i = 0; i < LATENCY_THRESHOLDS; i++)
        if (ns <= m->thresholds_ns[i]) {
            __sync_fetch_and_add(&m->slots[slot].at_most[i], 1);
            break;
        }
}

static __always_inline void waits(struct latency_shared *m, __u32 slot, int change)
{
    asm volatile("" : "+r"(slot));
    slot &= LATENCY_SLOTS - 1;
    __sync_fetch_and_add(&m->slots[slot].in_flight, (__s64)change);
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

// Neither a FIN nor what TLS says before one is waited for.
static __always_inline int is_goodbye(
    const struct sock *sk, const struct tcp_sock *tp, const struct exchange *x, int tls)
{
    __u32 fin = sk->__sk_common.skc_state != TCP_ESTABLISHED, bytes = tp->rcv_nxt - x->seen_seq;

    if (fin && tp->rcv_nxt - tp->copied_seq <= 1)
        return 1;
    bytes -= fin;
    return tls && (bytes == LATENCY_TLS_GOODBYE_13 || bytes == LATENCY_TLS_GOODBYE_12);
}

static __always_inline void tcp_arrived(struct latency_shared *m, struct sock *sk)
{
    struct exchange *x;
    struct tcp_sock *tp;
    const struct latency_port *port;

    if (sk->__sk_common.skc_state == TCP_LISTEN || !(port = port_of(m, sk)))
        return;
    x = bpf_sk_storage_get(&exchanges, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
    tp = bpf_skc_to_tcp_sock(sk);
    if (!x || !tp)
        return;
    if (x->phase == PHASE_NEW) {
        x->phase = port->tls && !tp->bytes_sent ? PHASE_HELLO : PHASE_OPEN;
        x->seen_seq = tp->copied_seq;
    }
    if (x->phase == PHASE_FINISH) {
        if (tp->rcv_nxt - x->mark_seq <= LATENCY_TLS_FINISHED)
            x->finished = 1;
        else if (!x->arrived)
            start(m, x, tp, port->slot);
    } else if (x->phase == PHASE_ANSWERED) {
        x->phase = PHASE_OPEN;
        start(m, x, tp, port->slot);
    } else if (x->phase == PHASE_OPEN) {
        if (!x->arrived) {
            if (!is_goodbye(sk, tp, x, port->tls))
                start(m, x, tp, port->slot);
        } else if (x->write_seq == tp->write_seq) {
            if (tp->rcv_nxt - x->first_seq > LATENCY_UPLOAD_BYTES)
                x->arrived = bpf_ktime_get_ns();
        } else if (!x->next) {
            if (!is_goodbye(sk, tp, x, port->tls)) {
                x->next = bpf_ktime_get_ns();
                x->first_seq = tp->rcv_nxt;
            }
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
        x->mark_seq = tp->rcv_nxt;
        return 0;
    }
    // Until more is read than the end of a handshake, what goes out belongs to it: session tickets.
    if (x->phase == PHASE_FINISH && tp->copied_seq - x->mark_seq <= LATENCY_TLS_FINISHED)
        return 0;
    if (x->phase == PHASE_FINISH && !x->finished) {
        // TLS 1.2, or a request in one piece with the end of the handshake: what follows, tells.
        x->phase = PHASE_ANSWERED;
        wait_end(m, x);
        return 0;
    }
    x->phase = PHASE_OPEN;
    return 1;
}

static __always_inline void tcp_replied(struct latency_shared *m, struct sock *sk)
{
    struct exchange *x;
    struct tcp_sock *tp;
    const struct latency_port *port;
    __u64 now, begun;

    if (sk->__sk_common.skc_state == TCP_LISTEN || !(port = port_of(m, sk)))
        return;
    x = bpf_sk_storage_get(&exchanges, sk, NULL, 0);
    tp = bpf_skc_to_tcp_sock(sk);
    if (!x || !tp || (x->phase != PHASE_OPEN && !tls_replied(m, tp, x)) || !x->arrived)
        return;
    now = bpf_ktime_get_ns();
    begun = x->arrived;
    x->write_seq = tp->write_seq;
    x->arrived = x->next;
    x->next = 0;
    if (!x->arrived)
        wait_end(m, x);
    if (now >= begun)
        count(m, port->slot, now - begun);
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

    if (!x)
        return;
    if (x->phase == PHASE_NEW || x->generation != m->generation) {
        x->phase = PHASE_OPEN;
        x->generation = m->generation;
        x->slot = slot_of_name(m, sk, addr);
    }
    if (!x->slot)
        return;
    if (!x->arrived || x->pieces >= LATENCY_UPLOAD_PIECES)
        x->arrived = bpf_ktime_get_ns();
    if (x->pieces < LATENCY_UPLOAD_PIECES)
        x->pieces++;
}

static __always_inline void unix_ready(struct latency_shared *m, struct sock *sk)
{
    struct unix_sock *u = bpf_skc_to_unix_sock(sk);
    struct unix_address *addr;
    struct exchange *x;
    struct sock *peer;
    __u64 now;

    if (!u || sk->__sk_common.skc_state != TCP_ESTABLISHED)
        return;
    // Whoever was accepted has his listener's name; who connected has none.
    addr = u->addr;
    if (addr) {
        unix_arrived(m, sk, addr);
        return;
    }
    peer = u->peer;
    if (!peer || !(x = bpf_sk_storage_get(&exchanges, peer, NULL, 0)) || !x->slot ||
        !x->arrived)
        return;
    now = bpf_ktime_get_ns();
    if (now >= x->arrived)
        count(m, x->slot - 1, now - x->arrived);
    x->arrived = 0;
    x->pieces = 0;
}

// --- programs -------------------------------------------------------------------------------------

SEC("tp_btf/sk_data_ready")
int BPF_PROG(data_ready, struct sock *sk)
{
    __u64 begun = cost_begin();
    struct latency_shared *m = shared_get();

    if (m) {
        if (sk->sk_protocol == IPPROTO_TCP)
            tcp_arrived(m, sk);
        else if (sk->__sk_common.skc_family == AF_UNIX)
            unix_ready(m, sk);
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
        if (ret > 0 && sk->sk_protocol == IPPROTO_TCP)
            tcp_replied(m, sk);
        cost_end(&m->cost, begun);
    }
    return 0;
}

// Who goes unanswered waits no more.
SEC("tp_btf/tcp_destroy_sock")
int BPF_PROG(destroy_sock, struct sock *sk)
{
    struct latency_shared *m = shared_get();
    struct exchange *x = bpf_sk_storage_get(&exchanges, sk, NULL, 0);

    if (m && x)
        wait_end(m, x);
    return 0;
}

char LICENSE[] SEC("license") = "GPL";
