// SPDX-License-Identifier: Apache-2.0
/*
 * One WebSocket to /v1/live of a collector. libcurl makes the connection (names, TLS), libwslay
 * the frames, wire/live.h gives the messages their meaning. Opening blocks for at most
 * CLIENT_CONNECT_MS for the connection and as long for the handshake; afterwards nothing blocks.
 */
#pragma once
#include "cli/verb.h"
#include <stdint.h>

struct live_client;
typedef void live_message_fn(void *ctx, const uint8_t *message, size_t len);

// CLI_YES, or CLI_UNREACHABLE, CLI_DENIED, CLI_USAGE with err. fn gets each binary message.
int live_client_open(const struct cli *c, live_message_fn *fn, void *ctx,
    struct live_client **ret, struct err *err);
void live_client_free(struct live_client *l); // NULL allowed
int live_client_fd(const struct live_client *l);
bool live_client_wants_write(const struct live_client *l);
int live_client_send(struct live_client *l, const char *json); // queued; -ENOMEM
// Writes what waits and reads what is there. 0, or -ECONNRESET when the connection is over.
int live_client_step(struct live_client *l);
