// SPDX-License-Identifier: Apache-2.0
/*
 * The server's end of one WebSocket, on a socket that already speaks it (RFC 6455).
 *
 *     socket --bytes--> libwslay --text message--> handler
 *     socket <--frame header + message of ours--- ws_send        one on its way at a time
 *     socket <--pong, close--- libwslay                          only between messages
 *
 * libwslay reads and judges what a peer sends (masks, fragments, UTF-8, lengths). What we send
 * does not pass through it: its queue would copy each message for each viewer.
 *
 * Belongs to the loop's thread. The descriptor is borrowed, non-blocking, and only shut down here:
 * whoever opened it closes it after `closed`.
 */
#pragma once
#include "base/loop.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WS_LINGER_MS 2000 // after our close frame, for the peer to read it

struct ws;
struct ws_handler {
    void *ctx;
    void (*text)(void *ctx, const char *msg, size_t len); // not NUL-terminated; valid UTF-8
    void (*ready)(void *ctx);                             // the message of ws_send has gone
    // The connection is over: called once, from the loop only, never inside a call into ws. The
    // handler calls ws_free.
    void (*closed)(void *ctx);
};

// A longer text message than text_max closes with 1009. NULL: no memory.
struct ws *ws_new(struct loop *l, int fd, size_t text_max, const struct ws_handler *h);
void ws_free(struct ws *w); // without a word to the peer; NULL allowed
// Bytes that were read from the socket before ws_new.
void ws_feed(struct ws *w, const void *data, size_t len);
// Sends one binary message. True: it has gone, the next may follow. False: it is on its way and
// must stay as it is until `ready` or ws_free. Only when ws_idle.
bool ws_send(struct ws *w, const uint8_t *msg, size_t len);
bool ws_idle(const struct ws *w);
// Says why and ends; `closed` follows. At most 123 bytes of reason.
void ws_close(struct ws *w, uint16_t code, const char *reason);
// Once a second: ends a connection that has taken nothing for silent_ms.
void ws_tick(struct ws *w, int64_t now_ns, int64_t silent_ms);

// The value of Sec-WebSocket-Accept for a Sec-WebSocket-Key; false: not 16 bytes in base64.
#define WS_ACCEPT_SIZE 29
bool ws_accept(const char *key, char ret[WS_ACCEPT_SIZE]);
