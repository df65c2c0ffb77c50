// SPDX-License-Identifier: Apache-2.0
/*
 * Requests to and answers from the kernel's inet_diag: bytes only, no socket, so a recorded dump or
 * a fuzzer's input reads like a live one.
 *
 * tcp_info grows with each kernel and the headers we compile with are older than the kernels we run
 * on. Fields are therefore read by our own offsets, and only as far as the attribute reaches: what
 * is not there is absent (see `have`), never zero.
 *
 * Addresses are 16 bytes in either family, IPv4 as ::ffff:a.b.c.d, because a dual-stack listener's
 * IPv4 clients come in the IPv6 dump that way and must compare equal to the others.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum sockdiag_state {
    SOCKDIAG_ESTABLISHED = 1,
    SOCKDIAG_SYN_SENT,
    SOCKDIAG_SYN_RECV,
    SOCKDIAG_FIN_WAIT1,
    SOCKDIAG_FIN_WAIT2,
    SOCKDIAG_TIME_WAIT,
    SOCKDIAG_CLOSE,
    SOCKDIAG_CLOSE_WAIT,
    SOCKDIAG_LAST_ACK,
    SOCKDIAG_LISTEN,
    SOCKDIAG_CLOSING,
    SOCKDIAG_NEW_SYN_RECV,
    SOCKDIAG_STATES
};
#define SOCKDIAG_BIT(state) (1u << (state))

// Groups of the destroy multicast, as the mask netlink_open takes.
#define SOCKDIAG_GROUPS_DESTROY ((1u << 0) | (1u << 2))

enum {
    SOCKDIAG_HAS_INFO = 1,  // rtt_us, retransmits
    SOCKDIAG_HAS_BYTES = 2, // bytes_acked, bytes_received, segments_out
    SOCKDIAG_HAS_SENT = 4,  // bytes_sent, bytes_retransmitted
    SOCKDIAG_HAS_DROPS = 8,
    SOCKDIAG_HAS_CGROUP = 16,
    SOCKDIAG_HAS_RATE = 32,    // min_rtt_us, delivery_rate, segments_in
    SOCKDIAG_HAS_LIMITED = 64, // busy_us, window_limited_us, buffer_limited_us
};

struct sockdiag {
    uint64_t cookie;    // never reused while the system runs
    uint64_t cgroup_id; // inode of the cgroup v2 folder
    uint64_t bytes_acked, bytes_received, bytes_sent, bytes_retransmitted;
    uint64_t
        delivery_rate; // bytes a second; 0 = not known, or the sender had too little to send
    // With something to send, in all; of it: the peer's window was full, our buffer was.
    uint64_t busy_us, window_limited_us, buffer_limited_us;
    uint32_t segments_out, segments_in, segments_retransmitted, rtt_us;
    uint32_t min_rtt_us;                // UINT32_MAX = none yet
    uint32_t receive_queue, send_queue; // LISTEN: waiting to be accepted, and their limit
    uint32_t drops, inode, uid;
    uint32_t receive_buffer; // bytes it may have; with drops
    uint32_t interface;      // bound to; 0 = any
    uint16_t local_port, peer_port;
    uint8_t family, state;
    uint8_t have;
    uint8_t local[16], peer[16];
};

// The request for both families in one walk. Returns its length; type and flags for netlink_send.
#define SOCKDIAG_REQUEST_MAX 72
size_t sockdiag_request(uint8_t buf[static SOCKDIAG_REQUEST_MAX], uint32_t states, bool info,
    bool memory, uint16_t *ret_type, uint16_t *ret_flags);
// The request for one family's UDP sockets that have no peer, with their memory and drops: who serves
// has no peer.
size_t sockdiag_request_udp(uint8_t buf[static SOCKDIAG_REQUEST_MAX], uint8_t family,
    uint16_t *ret_type, uint16_t *ret_flags);
// A whole message that asks for this one socket: with tcp_info, or with its memory and drops. Its
// nlmsg_seq is the sender's to fill in.
#define SOCKDIAG_ASK_SIZE 72
void sockdiag_ask(
    uint8_t message[static SOCKDIAG_ASK_SIZE], const struct sockdiag *s, bool info);
// True for the message types that sockdiag_parse reads.
bool sockdiag_is_socket(uint16_t type);
// Every field of *ret is written. -EBADMSG when shorter than its parts say, or of another family.
int sockdiag_parse(const uint8_t *body, size_t len, struct sockdiag *ret);
// Only the local port, for passing over sockets that nobody asks for; 0 when too short.
uint16_t sockdiag_local_port(const uint8_t *body, size_t len);
// "established", "syn_recv" ...; NULL for numbers that are none.
const char *sockdiag_state_name(unsigned state);
bool sockdiag_is_loopback(const uint8_t address[static 16]);
