// SPDX-License-Identifier: Apache-2.0
/*
 * One connection to a receiver: a handle of libcurl's that stays open between messages, the secrets it
 * sends with (receiver_wire.h), and what came back from the try on it.
 *
 * Belongs to a lane (or a heartbeat), and to the notify thread.
 */
#pragma once
#include "base/clock.h"
#include "base/err.h"
#include "base/transfer.h"
#include "collector/config.h"
#include "collector/deliver.h"
#include "collector/delivery.h"
#include "collector/errands.h"
#include "collector/receiver_wire.h"

struct lane;
struct connection_options { // borrowed, but
    struct config *config;  // that the integration is of: a reference is taken
    struct lane *lane;      // whose it is; NULL: owner's
    void *owner;
    const struct integration *integration;
    struct transfers *transfers;
    struct clock clock;
    void (*landed)(struct transfer *t, CURLcode code);
};
struct connection {
    struct transfer transfer; // first: a transfer is its connection
    struct connection_options o;
    struct lane *lane;
    CURL *curl;
    struct receiver_wire *wire;
    bool flying;
    bool stale;                     // the configuration has changed: it goes when it has landed
    struct deliver_message message; // what is on it
    bool errand;                    // not of the queue: body and path are here
    struct buf body, path;
    char error[CURL_ERROR_SIZE];
    char reply[DELIVERY_ANSWER_MAX + 1];
    size_t reply_len;
    int64_t retry_after_ms;
};
struct connection *connection_open(
    const struct connection_options *o, struct err *err); // NULL with err
void connection_close(struct connection *c);              // NULL allowed
// The integration says the same, in another configuration. Also while it flies.
void connection_move(
    struct connection *c, struct config *config, const struct integration *integration);
// Puts c->message on the wire. False: no memory.
bool connection_try(struct connection *c, bool durable);
struct connection *connection_of(struct transfer *t);
// The transfer has ended: its HTTP status, 0 = no answer, and how long it took. What error and reply
// say is masked from here on, and error says something when there was no answer.
int connection_landed(struct connection *c, CURLcode code, int64_t *ret_took_us);
