// SPDX-License-Identifier: Apache-2.0
/*
 * The destroy multicast of connections: the kernel tells of each TCP socket that closes, with its final
 * counters.
 *
 *     kernel --> filter in the kernel --> buffer --> drained with the pulse, sooner when many
 *                 ports of services        8 MiB where CAP_NET_ADMIN allows, else net.core.rmem_max
 *                 connects that failed
 *
 * Being woken for each close costs ten times as much as taking them by the batch, so nothing wakes us. The
 * filter lets through what closes on a service's port, and connects that were never answered or were
 * refused: the client ends of this host's own connections are half of all events and would only take
 * room.
 *
 * What the buffer had no room for the kernel counts, to the last one: `lost`. A message that was lost had
 * passed the filter.
 *
 * Owned by tcp.established, one for each network namespace, loop thread.
 */
#pragma once
#include "agent/netlink.h"
#include "agent/netns.h"
#include "agent/pulse.h"
#include "agent/sampler.h"

#define CLOSES_PORTS_MAX  256 // of more services the filter lets all connections pass
#define CLOSES_OWN_OPEN   100
#define CLOSES_FILTER_MAX (2 * CLOSES_PORTS_MAX + 20)

struct closes {
    struct sampler *sampler; // whose CPU time it is
    struct netlink netlink;
    struct loop_timer *timer;
    struct pulse_hook hook;
    // begin: a batch begins; event: each message in it; drained: the timer has looked, whatever there was.
    void (*begin)(void *ctx);
    void (*event)(void *ctx, const struct netlink_message *m);
    void (*drained)(void *ctx);
    void *ctx;
    bool left;      // not told of closes now, by our own wish
    bool roomy;     // the buffer is large
    bool overrun;   // since the buffer was last empty
    uint32_t drops; // the kernel's count at the last reading
    uint64_t lost;
    uint64_t own, own_open; // connections of our own probes: ever, and not seen to close
};

// The callbacks are the caller's. 0, -errno.
int closes_open(struct closes *c, struct sampler *s);
void closes_close(struct closes *c);
// Takes what is there. False: more than a slice's worth, the timer goes on with it.
bool closes_drain(struct closes *c);
// Drains when the loop turns next.
void closes_soon(struct closes *c);
// These are the ports of services now. -errno: the filter is as before.
int closes_ports(struct closes *c, const uint16_t *ports, size_t n);
// Stops being told, or is told again.
int closes_leave(struct closes *c, bool leave);
// Pure. Whether `taken` closes are more than those of our own probes' connections, of which there were `own`
// ever. Of what those leave open CLOSES_OWN_OPEN are remembered: a service may keep it, or its port be none
// of ours.
bool closes_of_others(struct closes *c, uint64_t own, uint64_t taken);
// Pure. The program for that; returns its length. n > CLOSES_PORTS_MAX: all connections.
unsigned short closes_filter(
    struct sock_filter code[static CLOSES_FILTER_MAX], const uint16_t *ports, size_t n);
