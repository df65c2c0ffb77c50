// SPDX-License-Identifier: Apache-2.0
/*
 * How often the agent looks at what fills up between ticks: accept queues (tcp.listen), connections that
 * closed (closes.h).
 *
 *     busy    15 times a second, so that no 100 ms burst of a queue falls between two looks
 *     quiet   twice a second: the kernel has nothing to show and would wake us for the first thing
 *
 * Nothing comes into an accept queue or closes without having been accepted, and the program of
 * tcp.connections sees that. After PULSE_REST_NS in which it accepted nothing and no look found
 * anything, it is asked to wake us for the next one, once, and the looks become rare. Being woken 15
 * times a second for nothing was 0.11 % of a core on an idle host (18 wake-ups a second, of 0.28 %).
 *
 * What the agent's own probes have a service of this host accept, and what of it closes, is no news: with five
 * probes it was busy for ever, 0.1 % of a core. The program counts a probe's connection within the
 * agent's call of connect, so it is known by what was counted meanwhile.
 *
 * Without those programs it is always busy. The host's own network namespace only. Loop thread.
 */
#pragma once
#include "agent/connection_slot.h"
#include "base/loop.h"
#include <stdbool.h>

#define PULSE_BUSY_HZ  15
#define PULSE_QUIET_HZ 2
#define PULSE_REST_NS  1000000000LL

// Who looks: called when looks are wanted again, to look now.
struct pulse_hook {
    void (*wake)(void *ctx);
    void *ctx;
    struct pulse_hook *next;
};

struct pulse {
    struct loop *loop;
    struct connection_head *head; // NULL: nobody would wake us
    struct loop_io *io;
    void *consumer; // of the ring the kernel wakes us by: a page of ours, one of the kernel's
    const void *producer;
    struct pulse_hook *hooks;
    uint64_t accepted; // by the kernel when it was last compared
    uint64_t own;      // accepted, of our own probes
    int64_t base_ns;   // an instant of the grid
    int64_t busy_ns;   // the last time there was anything
    bool quiet;
};

void pulse_init(struct pulse *p, struct loop *loop);
// The memory of the program and its ring; both are borrowed until pulse_detach. -errno: always busy.
int pulse_attach(struct pulse *p, struct connection_head *head, int ring_fd);
void pulse_detach(struct pulse *p);

// Looks are at whole parts of a second from there: a tick, so that one wake-up does for both.
void pulse_align(struct pulse *p, int64_t base_ns);

void pulse_hook(struct pulse *p, struct pulse_hook *h); // borrowed; p NULL: nothing
void pulse_unhook(struct pulse *p, struct pulse_hook *h);

// After a look: when the next one is, on a grid that all who look share. p NULL: always busy.
int64_t pulse_next_ns(struct pulse *p, int64_t now_ns);
// The look found something that is not over: a queue that is not empty, a listener that may come back.
void pulse_seen(struct pulse *p, int64_t now_ns);
bool pulse_is_quiet(const struct pulse *p);

// Around the making of a connection of our own; connected: it came about. p NULL: nothing.
uint64_t pulse_own_begin(struct pulse *p);
void pulse_own_end(struct pulse *p, uint64_t begun, bool connected, int64_t now_ns);
// How many there were so far.
uint64_t pulse_own(const struct pulse *p);
