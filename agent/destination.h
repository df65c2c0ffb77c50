// SPDX-License-Identifier: Apache-2.0
/*
 * Where frames go: the collector of the configuration, or the one it sent us to (goaway_to of a reply), by
 * "host:port" and with the scheme we use already. After DESTINATION_FAILURES in a row at that one it is
 * the configured one again.
 *
 * Loop thread. Owned by the pusher, must not move.
 */
#pragma once
#include "base/clock.h"
#include "base/loop.h"
#include <stdbool.h>

#define DESTINATION_FAILURES 2

struct destination {
    char *home, *url; // of the configuration, and in use: maybe the same text
    char *next;       // in use when the timer fires; NULL = stay
    const char *path;
    const struct clock *clock;
    struct loop_timer *timer;
    unsigned failures; // there, in a row
    // Send to url from now on. 0, or an error: then all stays as it is.
    int (*moved)(void *ctx, const char *url);
    void *ctx;
};

// moved and ctx stand already; it is not called for the first url. path is borrowed. 0, -ENOMEM;
// destination_done either way.
int destination_init(struct destination *d, struct loop *loop, const struct clock *clock,
    const char *collector, const char *path);
void destination_done(struct destination *d);
// What a peer sent: what is no address is passed over. NULL and "" are none.
void destination_goaway(struct destination *d, const char *to, int64_t after_ms);
void destination_failed(struct destination *d);
void destination_well(struct destination *d);
