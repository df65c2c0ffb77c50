// SPDX-License-Identifier: Apache-2.0
/*
 * What the ui thread asks of the shard, or (REQUEST_ALERTMANAGER) of the notifier, or (REQUEST_RELOAD) of the main thread, answered by message: the shard owns all samples and
 * rules, so it evaluates and renders the reply; the ui thread only moves bytes.
 *
 * Ownership of the request passes to the shard with shard_request and comes back through
 * shard_replies. LIVE requests produce further replies (live_out) until unsubscribed.
 */
#pragma once
#include "base/buf.h"
#include <stdbool.h>
#include <stdint.h>

enum request_kind {
    REQUEST_QUERY,        // /api/v1/query
    REQUEST_QUERY_RANGE,  // /api/v1/query_range
    REQUEST_SERIES,       // /api/v1/series, labels, label values: names for completion
    REQUEST_ALERTS,       // /api/v1/alerts
    REQUEST_RULES,        // /api/v1/rules
    REQUEST_STATUS,       // /api/v1/status/tocsin: agents, rules, queues, what is wrong first
    REQUEST_METRICS,      // /metrics: the shard's part
    REQUEST_ALERTMANAGER, // /api/v2/...: the notifier's
    REQUEST_HOOKS,        // /api/v1/hooks...: the same
    REQUEST_ARCHIVE,      // /api/v1/hooks/log: the archive's
    REQUEST_EVENTS,       // /api/v1/alerts/log: the archive's too
    REQUEST_RELOAD,       // /-/reload: the main thread's
    REQUEST_EXPLAIN,      // /api/v1/alerts/explain: the notifier's
    REQUEST_SUBSCRIBE,
    REQUEST_UNSUBSCRIBE,
    REQUEST_CLIENT_GONE, // live
};
#define REQUEST_REPLY_MAX (64u << 20)

struct request {
    enum request_kind kind;
    uint64_t client; // ui thread's connection number
    uint16_t sub;    // live: subscription id
    char *expr;      // heap; query text or match[] selector; NULL = none
    int64_t time_ms, start_ms, end_ms, step_ms, since_ms, window_ms;
    size_t limit;
    // REQUEST_ALERTMANAGER, _HOOKS, _ARCHIVE, _EVENTS: expr is the path.
    const char *method; // static
    struct buf query;   // name NUL value NUL ...
    struct buf posted;  // the body that came
    // Answer.
    int http_status;
    struct buf body;
};
void request_free(struct request *r);

// A ready binary WebSocket message for one or all clients, shared by reference count.
struct live_out {
    uint64_t client; // 0 = every client
    uint16_t sub;    // with type: what a slow client may merge
    uint8_t type;    // enum live_type
    struct buf message;
};
// Items of shard_replies are tagged.
struct reply_item {
    struct request *request; // one of the two
    struct live_out *live;
};
