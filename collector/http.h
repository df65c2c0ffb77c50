// SPDX-License-Identifier: Apache-2.0
/*
 * The ui thread: page, API, WebSocket and metrics on one port.
 *
 *     GET /  /app.js  /app.css          the page, embedded, gzip
 *     GET /v1/live                      WebSocket, see wire/live.h and hub.h
 *     /api/v1/...                       asked of the shard by message, see api.h
 *     /api/v1/hooks... /api/v2/...      of the notifier or the archive, api_hooks.h and api_v2.h
 *     GET /metrics /-/healthy /-/ready  probes
 *     POST /-/reload                    as SIGHUP, answered when it is done: 200, or 500 and why
 *     GET|POST /login                   the token typed once, kept in a cookie (off loopback)
 *
 * A request that needs the shard is suspended until the reply comes back through shard_replies,
 * at most HTTP_DEADLINE_MS; 503 when the shard's queue is full. Host and Origin are checked on
 * every request, the token where auth.h demands one; /-/healthy and /-/ready need none.
 */
#pragma once
#include "base/auth.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "collector/board.h"
#include "collector/shard.h"

#define HTTP_DEADLINE_MS 10000
#define HTTP_BODY_MAX    (128u << 10) // a form with a long query

struct http;
struct http_options {
    const char *address;                // "127.0.0.1:7311", port 0 = any
    size_t connections_max, per_ip_max; // 0 = the listener's defaults
    struct auth auth;                   // copied; its strings borrowed until http_stop
    const char *version;                // borrowed
    const char *instance;               // this host's name, borrowed
    int64_t interval_ms;                // of the rules, for LIVE_HELLO
    struct shard *shard;                // borrowed; only this thread asks it
    struct notify *notify;              // likewise; NULL: no Alertmanager API
    struct archive *archive;            // likewise; NULL: no delivery log
    // Requests to reload, to main, and back when it is done; NULL: there is no /-/reload.
    struct ring *reloads, *reloaded;
    struct board *board; // NULL allowed
    struct clock clock;
    // Further lines for /metrics from other threads' counters (ingest); may be NULL. Called in the
    // ui thread: what it reads must be atomic.
    void (*metrics)(void *ctx, struct buf *out);
    void *metrics_ctx;
};
// Binds and starts the thread; ready answers 503 until http_ready. NULL with err.
struct http *http_start(const struct http_options *o, struct err *err);
const char *http_address(const struct http *h); // really bound
void http_ready(struct http *h, bool ready);    // any thread: rules loaded, listeners open
void http_stop(struct http *h);                 // NULL allowed
