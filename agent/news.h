// SPDX-License-Identifier: Apache-2.0
/*
 * What is told of listeners that come and go: events, states, and when they leave.
 *
 *     change of a service -> news_change: its series and an event -> news_flush: a frame, at once
 *                                                                 -> news_flush_soon: after HOLD_NS
 *
 * A listener that went is told a moment later: word of the death that took it comes 0.1-0.4 ms after
 * it and belongs into the same frame. Nothing pages by the first half alone. (unix.listen learns of
 * what went by the death itself, or a second later: it has nothing to wait for.)
 *
 * Owned by tcp.listen, one for each network namespace, or by unix.listen; loop thread.
 */
#pragma once
#include "agent/sampler.h"
#include "agent/service.h"

#define NEWS_HOLD_NS    (1 * NS_PER_MS)
#define NEWS_TURNED_MAX 32
#define NEWS_DROPS_MS   1000

struct news {
    struct env *env;
    struct loop_timer *hold;
    bool told;       // events since the last flush
    bool held;       // ... which wait for word of a death
    int64_t went_ms; // wall clock of what went since the last flush; 0 = nothing
    void (*on_turn)(void *ctx, uint16_t port);
    void *on_turn_ctx;
    uint16_t
        turned[NEWS_TURNED_MAX]; // ports for on_turn; of more, their probes wait for their turn
    size_t n_turned;
};

int news_open(struct news *n, struct env *env); // 0, -ENOMEM
void news_done(struct news *n);
// As service_change_fn; a service that appeared gets its series here (shown.h), in a group that stays
// open for others of it, and one that ended loses them.
void news_change(struct news *n, struct service *s, enum service_change change,
    enum service_state from, const char *detail);
// Connections to the service were dropped: the first ones after a quiet second leave at once.
void news_drops(struct news *n, const struct service *s);
// Sends what was told, and then asks the ports that turned.
void news_flush(struct news *n);
void news_flush_unless_held(struct news *n);
void news_flush_soon(struct news *n);
