// SPDX-License-Identifier: Apache-2.0
/*
 * The WebSocket clients of the live page, in the ui thread.
 *
 *     browser --JSON commands--> hub --struct request--> shard
 *     browser <--binary--------- hub <--struct live_out-- shard
 *
 * Each client has one message on its way and, behind it, at most the newest of each kind that has
 * not gone yet: state replaces state; points that would pile up are dropped and the subscription
 * asks again since the newest point the client got. So a slow viewer gets less, never later, and
 * slows nobody. One that takes nothing for 30 s is closed.
 *
 * Messages are shared: one live_out is sent to many clients without a copy.
 */
#pragma once
#include "base/clock.h"
#include "base/listener.h"
#include "base/loop.h"
#include "collector/request.h"
#include "collector/shard.h"

#define HUB_CLIENTS_MAX 500
#define HUB_COMMAND_MAX 16384 // bytes of one command
#define HUB_SILENT_MS   30000

struct hub;
struct hub_options {
    struct loop *loop;
    struct shard *shard; // borrowed
    struct clock clock;
    const char *version, *instance; // borrowed; LIVE_HELLO
    int64_t interval_ms;
};
struct hub *hub_new(const struct hub_options *o); // NULL: no memory
void hub_free(struct hub *h);                     // closes all; NULL allowed
// Answers a GET with `Upgrade: websocket`: 101 and a new client, or 400 / 426 / 503. Host, Origin and token
// have been checked. Called in a call of the handler after its first one.
enum MHD_Result hub_upgrade(
    struct hub *h, struct listener_conn *conn, struct MHD_Connection *c);
// From shard_replies: owns m.
void hub_deliver(struct hub *h, struct live_out *m);
size_t hub_clients(const struct hub *h);
