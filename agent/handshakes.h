// SPDX-License-Identifier: Apache-2.0
/*
 * Whose turn it is to make a TLS handshake. Each takes about 0.7 ms of our one thread: twenty begun in
 * one instant all end after the last of them, and the prober would measure itself (1.4 ms became 12.6).
 * So few are under way at once, and the others wait a moment before they begin:
 *
 *     enter -> [waiting, in order] -> go -> [under way, HANDSHAKES_MAX] -> leave
 *
 * What waits for its peer and not for us must hold nobody up: a place is lent for HANDSHAKE_HOLD_NS only,
 * and nobody waits longer than HANDSHAKE_WAIT_NS. This spreads bursts; it is no limit.
 *
 * Belongs to the loop's thread; allocates nothing but itself.
 */
#pragma once
#include "base/loop.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HANDSHAKES_MAX    3
#define HANDSHAKE_HOLD_NS (10LL * 1000000)
#define HANDSHAKE_WAIT_NS (50LL * 1000000)

struct handshakes;
struct handshake {
    // Called when its turn has come, never from within enter or leave.
    void (*go)(struct handshake *h, int64_t waited_ns);
    // Of handshakes.c; all zero is "nowhere":
    struct handshake *next, *prev;
    struct handshake_line *line;
    int64_t since_ns;
};

struct handshakes *handshakes_new(struct loop *loop); // NULL: memory
void handshakes_free(struct handshakes *s);           // NULL allowed; nobody is in it any more
// True: it may begin now, go is not called.
bool handshake_enter(struct handshakes *s, struct handshake *h, int64_t now_ns);
void handshake_leave(struct handshakes *s, struct handshake *h); // one that is nowhere is fine
