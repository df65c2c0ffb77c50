// SPDX-License-Identifier: Apache-2.0
/*
 * One client of the live page: its WebSocket, what it subscribed to, and what still has to go to
 * it. Knows nothing of HTTP; the hub makes one when a connection has been upgraded.
 *
 *     subscription:  fresh --first message--> flowing --points dropped--> lost
 *                      ^                                                   |
 *                      +---- asks the shard again, since the newest sent --+   when all has gone
 *
 * While fresh, messages of the subscription's earlier life are on their way through the ring.
 * They are told by their number, which starts anew with each life, and dropped: they would end up
 * behind the points that fill the gap.
 */
#pragma once
#include "base/loop.h"
#include "collector/outbox.h"

#define VIEWER_FRESH_MS 5000 // then a subscription takes what comes

struct viewer;
struct viewer_options {
    struct loop *loop;
    int fd;          // borrowed, non-blocking
    uint64_t number; // struct request's client
    size_t text_max; // bytes of one command
    int64_t (*wall_ms)(void *ctx);
    bool (*ask)(void *ctx, struct request *r);   // to the shard; owns r when true
    void (*closed)(void *ctx, struct viewer *v); // from the loop only; calls viewer_free
    void *ctx;
};

struct viewer *viewer_new(const struct viewer_options *o); // NULL: no memory
void viewer_free(struct viewer *v);                        // NULL allowed
uint64_t viewer_number(const struct viewer *v);
// Bytes that came with the request.
void viewer_feed(struct viewer *v, const void *data, size_t len);
// Queues or drops a message for this viewer; takes a reference of its own.
void viewer_send(struct viewer *v, struct live_shared *s);
// Once a second: asks what could not be asked before, ends a viewer that takes nothing.
void viewer_tick(struct viewer *v, int64_t now_ns, int64_t silent_ms);
