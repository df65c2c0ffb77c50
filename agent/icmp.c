// SPDX-License-Identifier: Apache-2.0
#include "agent/icmp.h"
#include "base/clock.h"
#include "base/secret.h"
#include <errno.h>
#include <linux/errqueue.h>
#include <linux/icmp.h>
#include <linux/icmpv6.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

// Not in a header that goes along with the others: netinet/icmp6.h has its own struct icmp6_hdr.
#define ICMP6_FILTER_OPTION 1
#define HEADER              8
#define NONCE               8
#define PACKET              (HEADER + NONCE + 8) // slot 4, generation 4
#define READ_MAX            64                   // of one turn: others have to run too
#define ROOM                1024
#define HEARD_BYTES                                                                            \
    (1 << 20) // answers of many probes come in one turn; the host may allow less

enum { V4, V6, FAMILIES };

struct icmp {
    struct loop *loop;
    struct gate {
        struct icmp *icmp;
        struct loop_io *io;
        int fd, family;
        bool raw;
    } gates[FAMILIES];
    struct icmp_echo **slots; // NULL: free
    uint32_t n_slots, next_slot;
    uint32_t generation;
    uint16_t id;
    uint8_t nonce[NONCE];
};

static int64_t mono_ns(void)
{
    struct clock c = clock_system();
    return clock_mono_ns(&c);
}

// --- sockets -------------------------------------------------------------------------------------

static int open_socket(int family, bool *ret_raw)
{
    int protocol = family == AF_INET ? (int)IPPROTO_ICMP : (int)IPPROTO_ICMPV6;
    int fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
    *ret_raw = fd == -1;
    if (fd == -1)
        fd = socket(family, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
    return fd;
}

// A raw socket hears everybody's; only echo replies are let through.
static void narrow(const struct gate *g)
{
    uint32_t v4 = ~(1u << ICMP_ECHOREPLY), v6[8];
    memset(v6, 255, sizeof(v6));
    v6[ICMPV6_ECHO_REPLY >> 5] &= ~(1u << (ICMPV6_ECHO_REPLY & 31));
    if (g->raw && g->family == AF_INET)
        (void)setsockopt(g->fd, SOL_RAW, ICMP_FILTER, &v4, sizeof(v4));
    else if (g->raw)
        (void)setsockopt(g->fd, IPPROTO_ICMPV6, ICMP6_FILTER_OPTION, v6, sizeof(v6));
}

static void on_gate(void *ctx, int fd, uint32_t events);

static void open_gate(struct icmp *i, struct gate *g, int family)
{
    int one = 1, room = HEARD_BYTES;
    *g = (struct gate){.icmp = i, .family = family};
    g->fd = open_socket(family, &g->raw);
    if (g->fd == -1)
        return;
    narrow(g);
    (void)setsockopt(g->fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
    if (family == AF_INET) {
        (void)setsockopt(g->fd, IPPROTO_IP, IP_RECVTTL, &one, sizeof(one));
        (void)setsockopt(g->fd, IPPROTO_IP, IP_RECVERR, &one, sizeof(one));
    } else {
        (void)setsockopt(g->fd, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, &one, sizeof(one));
        (void)setsockopt(g->fd, IPPROTO_IPV6, IPV6_RECVERR, &one, sizeof(one));
    }
    g->io = loop_io_add(i->loop, g->fd, EPOLLIN, on_gate, g);
}

bool icmp_allowed(int family)
{
    bool raw;
    int fd = open_socket(family, &raw);
    if (fd != -1)
        close(fd);
    return fd != -1;
}

bool icmp_usable(const struct icmp *i, int family)
{
    return i->gates[family == AF_INET ? V4 : V6].io != NULL;
}

struct icmp *icmp_new(struct loop *loop)
{
    struct icmp *i = calloc(1, sizeof(*i));
    if (!i)
        return NULL;
    i->loop = loop;
    if (random_bytes(i->nonce, sizeof(i->nonce)) < 0 ||
        random_bytes(&i->id, sizeof(i->id)) < 0) {
        free(i);
        return NULL;
    }
    open_gate(i, &i->gates[V4], AF_INET);
    open_gate(i, &i->gates[V6], AF_INET6);
    return i;
}

void icmp_free(struct icmp *i)
{
    if (!i)
        return;
    for (int g = 0; g < FAMILIES; g++) {
        loop_io_del(i->gates[g].io);
        if (i->gates[g].fd != -1)
            close(i->gates[g].fd);
    }
    free(i->slots);
    free(i);
}

// --- what is in flight ---------------------------------------------------------------------------

static bool take_slot(struct icmp *i, struct icmp_echo *e)
{
    for (uint32_t n = 0; n < i->n_slots; n++) {
        uint32_t at = (i->next_slot + n) % i->n_slots;
        if (i->slots[at])
            continue;
        i->next_slot = at + 1;
        i->slots[at] = e;
        e->slot = at;
        return true;
    }
    uint32_t grown = i->n_slots ? i->n_slots * 2 : 8;
    struct icmp_echo **slots = realloc(i->slots, grown * sizeof(*slots));
    if (!slots)
        return false;
    memset(slots + i->n_slots, 0, (grown - i->n_slots) * sizeof(*slots));
    e->slot = i->n_slots;
    i->next_slot = e->slot + 1;
    i->slots = slots;
    i->n_slots = grown;
    slots[e->slot] = e;
    return true;
}

void icmp_forget(struct icmp_echo *e)
{
    if (!e->of)
        return;
    e->of->slots[e->slot] = NULL;
    e->of = NULL;
}

static void tell(struct icmp_echo *e, int error, int64_t at_ns, int hop_limit)
{
    icmp_forget(e);
    e->error = error;
    e->at_ns = at_ns;
    e->hop_limit = hop_limit;
    e->done(e);
}

static const void *address_of(const struct sockaddr *a, size_t *ret_len)
{
    *ret_len = a->sa_family == AF_INET ? 4 : 16;
    return a->sa_family == AF_INET ? (const void *)&((const struct sockaddr_in *)a)->sin_addr
                                   : (const void *)&((const struct sockaddr_in6 *)a)->sin6_addr;
}

static bool sent_to(const struct icmp_echo *e, const struct sockaddr *a)
{
    size_t len;
    const void *address = address_of(a, &len);
    return a->sa_family == e->family && memcmp(e->to, address, len) == 0;
}

// --- packets -------------------------------------------------------------------------------------

static uint16_t checksum(const uint8_t *p, size_t len)
{
    uint32_t sum = 0;
    for (size_t n = 0; n + 1 < len; n += 2)
        sum += (uint32_t)p[n] << 8 | p[n + 1];
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

int icmp_send(struct icmp *i, struct icmp_echo *e, const struct sockaddr *to, socklen_t len)
{
    struct gate *g = &i->gates[to->sa_family == AF_INET ? V4 : V6];
    uint8_t packet[PACKET] = {to->sa_family == AF_INET ? ICMP_ECHO : ICMPV6_ECHO_REQUEST};
    size_t address_len;
    const void *address = address_of(to, &address_len);
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } where = {0};
    if (!g->io)
        return -EACCES;
    if (len > sizeof(where) || !take_slot(i, e))
        return -ENOMEM;
    memcpy(&where, to, len);
    where.v4.sin_port = 0; // at the same place in both; a raw socket takes it for a protocol
    e->of = i;
    e->family = to->sa_family;
    memcpy(e->to, address, address_len);
    e->sequence = (uint16_t)++i->generation;
    packet[4] = (uint8_t)(i->id >> 8);
    packet[5] = (uint8_t)i->id;
    packet[6] = (uint8_t)(e->sequence >> 8);
    packet[7] = (uint8_t)e->sequence;
    memcpy(packet + HEADER, i->nonce, NONCE);
    memcpy(packet + HEADER + NONCE, &e->slot, 4);
    memcpy(packet + HEADER + NONCE + 4, &i->generation, 4);
    if (e->family == AF_INET) { // of IPv6 the kernel does it
        uint16_t sum = checksum(packet, sizeof(packet));
        packet[2] = (uint8_t)(sum >> 8);
        packet[3] = (uint8_t)sum;
    }
    // An error of an older echo may be waiting on the socket, and is reported here first.
    for (int tries = 0;; tries++) {
        if (sendto(g->fd, packet, sizeof(packet), MSG_DONTWAIT | MSG_NOSIGNAL, &where.any,
                len) != -1)
            return 0;
        int error = errno;
        if (error != EINTR && tries == 1) {
            icmp_forget(e);
            return -error;
        }
    }
}

// The slot of what we sent, if it is still in flight and this is its echo.
static struct icmp_echo *find(struct icmp *i, const uint8_t *p, size_t n)
{
    uint32_t slot, generation;
    if (n < PACKET || memcmp(p + HEADER, i->nonce, NONCE) != 0)
        return NULL;
    memcpy(&slot, p + HEADER + NONCE, 4);
    memcpy(&generation, p + HEADER + NONCE + 4, 4);
    struct icmp_echo *e = slot < i->n_slots ? i->slots[slot] : NULL;
    bool same =
        e && e->sequence == (uint16_t)generation && e->sequence == (uint16_t)(p[6] << 8 | p[7]);
    return same ? e : NULL;
}

static void take_answer(struct gate *g, struct msghdr *m, const uint8_t *p, size_t n)
{
    int hop_limit = -1;
    uint8_t reply = g->family == AF_INET ? ICMP_ECHOREPLY : ICMPV6_ECHO_REPLY;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c))
        if ((c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TTL) ||
            (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_HOPLIMIT))
            memcpy(&hop_limit, CMSG_DATA(c), sizeof(hop_limit));
    if (g->raw && g->family == AF_INET) { // with its IP header
        size_t head = n ? (size_t)(p[0] & 15) * 4 : 0;
        if (head < 20 || head > n)
            return;
        p += head;
        n -= head;
    }
    struct icmp_echo *e = n && p[0] == reply ? find(g->icmp, p, n) : NULL;
    if (e && sent_to(e, m->msg_name))
        tell(e, 0, mono_ns(), hop_limit);
}

// From the error queue: the name is where it was sent to, the data begins with our header.
static void take_error(struct gate *g, struct msghdr *m, const uint8_t *p, size_t n)
{
    struct sock_extended_err said = {0};
    struct icmp *i = g->icmp;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c))
        if ((c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR) ||
            (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_RECVERR))
            memcpy(&said, CMSG_DATA(c), sizeof(said));
    if (!said.ee_errno || n < HEADER || !m->msg_namelen)
        return;
    for (uint32_t at = 0; at < i->n_slots; at++) {
        struct icmp_echo *e = i->slots[at];
        if (e && e->sequence == (uint16_t)(p[6] << 8 | p[7]) && sent_to(e, m->msg_name)) {
            tell(e, (int)said.ee_errno, mono_ns(), -1);
            return;
        }
    }
}

static void drain(struct gate *g, int flags,
    void (*take)(struct gate *g, struct msghdr *m, const uint8_t *p, size_t n))
{
    for (int n = 0; n < READ_MAX; n++) {
        uint8_t packet[ROOM];
        struct sockaddr_storage from = {0};
        union {
            struct cmsghdr align;
            char room[256];
        } control;
        struct iovec io = {packet, sizeof(packet)};
        struct msghdr m = {.msg_name = &from,
            .msg_namelen = sizeof(from),
            .msg_iov = &io,
            .msg_iovlen = 1,
            .msg_control = &control,
            .msg_controllen = sizeof(control)};
        ssize_t got = recvmsg(g->fd, &m, MSG_DONTWAIT | flags);
        if (got == -1 && errno == EAGAIN)
            return;
        if (got >= 0)
            take(g, &m, packet, (size_t)got);
    }
}

static void on_gate(void *ctx, int fd, uint32_t events)
{
    struct gate *g = ctx;
    (void)fd;
    if (events & EPOLLERR)
        drain(g, MSG_ERRQUEUE, take_error);
    drain(g, 0, take_answer);
}
