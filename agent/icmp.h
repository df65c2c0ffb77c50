// SPDX-License-Identifier: Apache-2.0
/*
 * Echoes of many probes over one socket a family. A datagram ICMP socket needs no privilege, but
 * net.ipv4.ping_group_range has to hold the agent's group, and the kernel's default holds none; a raw
 * socket needs CAP_NET_RAW. Both are tried, once, and what cannot be had is a reason and no failure.
 *
 *     icmp_send -> slot in the table -> | number, generation, nonce | -> ... -> echoed -> slot -> done
 *
 * An answer is known by what we put into it, not by the kernel's id: it has to come from where we
 * asked, with the nonce of this process. Errors on the way (no route, an administrator's no) come over
 * the socket's error queue, often with only the first eight bytes of what was sent, so by sequence number.
 *
 * Loop thread. Memory: a pointer per echo in flight; sockets live as long as this.
 */
#pragma once
#include "base/loop.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct icmp;
struct icmp *icmp_new(struct loop *loop); // NULL: memory, or no randomness
void icmp_free(struct icmp *i);           // NULL allowed; echoes in flight are forgotten before
// Whether echoes of that family (AF_INET, AF_INET6) can be sent here; and why not.
bool icmp_usable(const struct icmp *i, int family);
#define ICMP_REASON                                                                            \
    "no ICMP socket: the group is not in net.ipv4.ping_group_range, no CAP_NET_RAW"
#define ICMP_FIX                                                                               \
    "sysctl -w net.ipv4.ping_group_range='0 2147483647', or CAP_NET_RAW for the agent"
// The same for a moment, without a table: for --doctor.
bool icmp_allowed(int family);

struct icmp_echo {
    // Answered (error 0), or known never to be (errno). Never from within icmp_send.
    void (*done)(struct icmp_echo *e);
    int error;
    int64_t at_ns; // monotonic, when it was known
    int hop_limit; // left of the answer's; -1: not told
    // Of icmp.c; all zero: not in flight.
    struct icmp *of;
    uint32_t slot;
    uint16_t sequence;
    int family;
    uint8_t to[16];
};
// 0, or -errno at once. Whoever sends sets the time limit and forgets it then.
int icmp_send(struct icmp *i, struct icmp_echo *e, const struct sockaddr *to, socklen_t len);
void icmp_forget(struct icmp_echo *e);
