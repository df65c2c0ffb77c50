// SPDX-License-Identifier: Apache-2.0
#include "agent/sockdiag.h"
#include <arpa/inet.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

// Attribute types and slots that are the kernel's interface, whatever headers are installed.
enum {
    ATTRIBUTE_INFO = 2,
    ATTRIBUTE_MEMORY = 7,
    ATTRIBUTE_CGROUP = 21,
    MEMORY_RECEIVE_BUFFER = 1,
    MEMORY_DROPS = 8,
};

// Offsets within tcp_info.
enum {
    INFO_APP_LIMITED = 7, // lowest bit
    INFO_RTT = 68,
    INFO_TOTAL_RETRANS = 100,
    INFO_BYTES_ACKED = 120,
    INFO_BYTES_RECEIVED = 128,
    INFO_SEGS_OUT = 136,
    INFO_SEGS_IN = 140,
    INFO_MIN_RTT = 148,
    INFO_DELIVERY_RATE = 160,
    INFO_BUSY_TIME = 168,
    INFO_RWND_LIMITED = 176,
    INFO_SNDBUF_LIMITED = 184,
    INFO_BYTES_SENT = 200,
    INFO_BYTES_RETRANS = 208,
};

size_t sockdiag_request(uint8_t buf[static SOCKDIAG_REQUEST_MAX], uint32_t states, bool info,
    bool memory, uint16_t *ret_type, uint16_t *ret_flags)
{
    // The older of the two request forms: it is the one whose walk does not select a family, so
    // the hash table is walked once and not twice.
    struct inet_diag_req request = {.idiag_family = AF_INET, .idiag_states = states};

    _Static_assert(sizeof(request) <= SOCKDIAG_REQUEST_MAX, "the request fits");
    if (info)
        request.idiag_ext |= 1 << (ATTRIBUTE_INFO - 1);
    if (memory)
        request.idiag_ext |= 1 << (ATTRIBUTE_MEMORY - 1);
    memcpy(buf, &request, sizeof(request));
    *ret_type = TCPDIAG_GETSOCK;
    *ret_flags = NLM_F_DUMP;
    return sizeof(request);
}

size_t sockdiag_request_udp(uint8_t buf[static SOCKDIAG_REQUEST_MAX], uint8_t family,
    uint16_t *ret_type, uint16_t *ret_flags)
{
    struct inet_diag_req_v2 request = {.sdiag_family = family,
        .sdiag_protocol = IPPROTO_UDP,
        .idiag_ext = 1 << (ATTRIBUTE_MEMORY - 1),
        .idiag_states = SOCKDIAG_BIT(SOCKDIAG_CLOSE)};

    _Static_assert(sizeof(request) <= SOCKDIAG_REQUEST_MAX, "the request fits");
    memcpy(buf, &request, sizeof(request));
    *ret_type = SOCK_DIAG_BY_FAMILY;
    *ret_flags = NLM_F_DUMP;
    return sizeof(request);
}

void sockdiag_ask(
    uint8_t message[static SOCKDIAG_ASK_SIZE], const struct sockdiag *s, bool info)
{
    struct inet_diag_req_v2 request = {.sdiag_family = s->family,
        .sdiag_protocol = IPPROTO_TCP,
        .idiag_ext = (uint8_t)(1 << ((info ? ATTRIBUTE_INFO : ATTRIBUTE_MEMORY) - 1)),
        .idiag_states = UINT32_MAX};
    struct nlmsghdr header = {.nlmsg_len = SOCKDIAG_ASK_SIZE,
        .nlmsg_type = SOCK_DIAG_BY_FAMILY,
        .nlmsg_flags = NLM_F_REQUEST};

    _Static_assert(sizeof(header) + sizeof(request) == SOCKDIAG_ASK_SIZE, "no padding");
    size_t from = s->family == AF_INET6 ? 0 : 12; // IPv4 stands at the end of the 16 bytes
    request.id.idiag_sport = htons(s->local_port);
    request.id.idiag_dport = htons(s->peer_port);
    memcpy(request.id.idiag_src, s->local + from, 16 - from);
    memcpy(request.id.idiag_dst, s->peer + from, 16 - from);
    request.id.idiag_if = s->interface;
    request.id.idiag_cookie[0] = (uint32_t)s->cookie;
    request.id.idiag_cookie[1] = (uint32_t)(s->cookie >> 32);
    memcpy(message, &header, sizeof(header));
    memcpy(message + sizeof(header), &request, sizeof(request));
}

bool sockdiag_is_socket(uint16_t type)
{
    return type == TCPDIAG_GETSOCK || type == SOCK_DIAG_BY_FAMILY;
}

static uint32_t get32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}

static uint64_t get64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}

static void parse_info(const uint8_t *p, size_t len, struct sockdiag *s)
{
    // The message's own state was read before: a FIN may have come since, and be in bytes_received.
    if (len > 0 && p[0] > 0 && p[0] < SOCKDIAG_STATES)
        s->state = p[0];
    if (len >= INFO_TOTAL_RETRANS + 4) {
        s->rtt_us = get32(p + INFO_RTT);
        s->segments_retransmitted = get32(p + INFO_TOTAL_RETRANS);
        s->have |= SOCKDIAG_HAS_INFO;
    }
    if (len >= INFO_SEGS_OUT + 4) {
        s->bytes_acked = get64(p + INFO_BYTES_ACKED);
        s->bytes_received = get64(p + INFO_BYTES_RECEIVED);
        s->segments_out = get32(p + INFO_SEGS_OUT);
        s->have |= SOCKDIAG_HAS_BYTES;
    }
    if (len >= INFO_DELIVERY_RATE + 8) {
        s->segments_in = get32(p + INFO_SEGS_IN);
        s->min_rtt_us = get32(p + INFO_MIN_RTT);
        // What an application that had nothing more to send got through says nothing of the path.
        if (!(p[INFO_APP_LIMITED] & 1))
            s->delivery_rate = get64(p + INFO_DELIVERY_RATE);
        s->have |= SOCKDIAG_HAS_RATE;
    }
    if (len >= INFO_SNDBUF_LIMITED + 8) {
        s->busy_us = get64(p + INFO_BUSY_TIME);
        s->window_limited_us = get64(p + INFO_RWND_LIMITED);
        s->buffer_limited_us = get64(p + INFO_SNDBUF_LIMITED);
        s->have |= SOCKDIAG_HAS_LIMITED;
    }
    if (len >= INFO_BYTES_RETRANS + 8) {
        s->bytes_sent = get64(p + INFO_BYTES_SENT);
        s->bytes_retransmitted = get64(p + INFO_BYTES_RETRANS);
        s->have |= SOCKDIAG_HAS_SENT;
    }
}

static void address(uint8_t to[16], uint8_t family, const uint32_t from[4])
{
    if (family == AF_INET6) {
        memcpy(to, from, 16);
        return;
    }
    memset(to, 0, 10);
    to[10] = to[11] = 0xff;
    memcpy(to + 12, from, 4);
}

int sockdiag_parse(const uint8_t *body, size_t len, struct sockdiag *ret)
{
    struct inet_diag_msg m;

    if (len < sizeof(m))
        return -EBADMSG;
    memcpy(&m, body, sizeof(m));
    if (m.idiag_family != AF_INET && m.idiag_family != AF_INET6)
        return -EBADMSG;
    memset(ret, 0, sizeof(*ret));
    ret->family = m.idiag_family;
    ret->state = m.idiag_state;
    ret->local_port = ntohs(m.id.idiag_sport);
    ret->peer_port = ntohs(m.id.idiag_dport);
    address(ret->local, m.idiag_family, m.id.idiag_src);
    address(ret->peer, m.idiag_family, m.id.idiag_dst);
    ret->cookie = (uint64_t)m.id.idiag_cookie[1] << 32 | m.id.idiag_cookie[0];
    ret->receive_queue = m.idiag_rqueue;
    ret->send_queue = m.idiag_wqueue;
    ret->interface = m.id.idiag_if;
    ret->uid = m.idiag_uid;
    ret->inode = m.idiag_inode;

    size_t at = NLMSG_ALIGN(sizeof(m));
    while (at < len && len - at >= NLA_HDRLEN) {
        struct nlattr head;
        memcpy(&head, body + at, sizeof(head));
        if (head.nla_len < NLA_HDRLEN || head.nla_len > len - at)
            return -EBADMSG;
        const uint8_t *value = body + at + NLA_HDRLEN;
        size_t n = head.nla_len - NLA_HDRLEN;
        switch (head.nla_type & NLA_TYPE_MASK) {
        case ATTRIBUTE_INFO: parse_info(value, n, ret); break;
        case ATTRIBUTE_MEMORY:
            if (n >= (MEMORY_DROPS + 1) * 4) {
                ret->drops = get32(value + MEMORY_DROPS * 4);
                ret->receive_buffer = get32(value + MEMORY_RECEIVE_BUFFER * 4);
                ret->have |= SOCKDIAG_HAS_DROPS;
            }
            break;
        case ATTRIBUTE_CGROUP:
            if (n >= 8) {
                ret->cgroup_id = get64(value);
                ret->have |= SOCKDIAG_HAS_CGROUP;
            }
            break;
        default: break; // others are for others
        }
        at += NLA_ALIGN((size_t)head.nla_len);
    }
    return 0;
}

uint16_t sockdiag_local_port(const uint8_t *body, size_t len)
{
    size_t at = offsetof(struct inet_diag_msg, id.idiag_sport);
    uint16_t port = 0;
    if (len >= at + sizeof(port))
        memcpy(&port, body + at, sizeof(port));
    return ntohs(port);
}

const char *sockdiag_state_name(unsigned state)
{
    static const char *const names[SOCKDIAG_STATES] = {
        [SOCKDIAG_ESTABLISHED] = "established",
        [SOCKDIAG_SYN_SENT] = "syn_sent",
        [SOCKDIAG_SYN_RECV] = "syn_recv",
        [SOCKDIAG_FIN_WAIT1] = "fin_wait1",
        [SOCKDIAG_FIN_WAIT2] = "fin_wait2",
        [SOCKDIAG_TIME_WAIT] = "time_wait",
        [SOCKDIAG_CLOSE] = "close",
        [SOCKDIAG_CLOSE_WAIT] = "close_wait",
        [SOCKDIAG_LAST_ACK] = "last_ack",
        [SOCKDIAG_LISTEN] = "listen",
        [SOCKDIAG_CLOSING] = "closing",
        [SOCKDIAG_NEW_SYN_RECV] = "syn_recv",
    };
    return state < SOCKDIAG_STATES ? names[state] : NULL;
}

bool sockdiag_is_loopback(const uint8_t address16[static 16])
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    static const uint8_t v6[16] = {[15] = 1};

    if (memcmp(address16, mapped, sizeof(mapped)) == 0)
        return address16[12] == 127;
    return memcmp(address16, v6, sizeof(v6)) == 0;
}
