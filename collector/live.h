// SPDX-License-Identifier: Apache-2.0
/*
 * The shard's side of the live page: who subscribed to which expression, and what they are sent.
 *
 *     client 1 sub 3 --+
 *     client 2 sub 9 --+--> feed "sum by (service) (x)", step 1 s --> one evaluation per tick
 *
 * A subscription starts with its table (LIVE_SERIES) and the points of its window or since the
 * newest point the client has; then one row per step at grid times, and one more at once when an
 * alert changed, so that a chart shows the cause in the same moment as the alert. Series ids are
 * a hash of the labels, so that they mean the same after a reconnect or a restart.
 *
 * LIVE_STATE (JSON), to every client on change and at most 4 times a second:
 *
 *     {"alerts":[{"alertname","state":"firing|pending|resolved","stale","labels","annotations",
 *                 "value","active_at_ms","starts_at_ms","resolved_at_ms","cause_ms","decided_ms",
 *                 "fingerprint","group","deliveries":[{"receiver","outcome","resolved","status",
 *                 "at_ms","tries"}]}],
 *      "alerts_total":n, "agents":[{"host","state","version","last_frame_ms","seq","series",
 *      "refused","missing","skew_ms"}], "rules":{"total","unhealthy":[{"group","name","error"}]},
 *      "banner":""}
 *
 * Belongs to the shard thread. Bounded by LIVE_SUBS_MAX and LIVE_CLIENT_SUBS_MAX.
 */
#pragma once
#include "collector/api.h"

#define LIVE_SUBS_MAX         4096 // all clients
#define LIVE_CLIENT_SUBS_MAX  128
#define LIVE_COLUMNS_MAX      2000 // series of one subscription; the rest is cut, the client told
#define LIVE_STATE_ALERTS_MAX 1000 // firing first; alerts_total counts all
#define LIVE_STEPS_MAX        3600
#define LIVE_GRACE_MS         100 // how long after the grid time a row waits for its samples
#define LIVE_STATE_GAP_MS     250
#define LIVE_RESOLVED_MS      300000 // how long a resolved alert stays in LIVE_STATE

struct live_subs;
// Takes ownership of m always; false: it could not be passed on (the ring is full), and the
// subscription starts anew as soon as it can.
typedef bool live_emit_fn(void *ctx, struct live_out *m);

struct live_subs *live_subs_new(const struct api_context *c); // c borrowed; NULL: no memory
void live_subs_free(struct live_subs *s);
// SUBSCRIBE, UNSUBSCRIBE, CLIENT_GONE. The request stays the caller's. A client's first request
// also brings it the current LIVE_STATE; a SUBSCRIBE without expr asks for nothing else.
void live_subs_request(struct live_subs *s, struct pipeline *p, const struct request *r,
    int64_t now_ms, live_emit_fn *fn, void *ctx);
// A transition was made: the shard calls it for each notice before passing it on, so that the next
// live_subs_tick, due at once, shows it. Keeps what it needs.
void live_subs_notice(struct live_subs *s, const struct notice *n);
void live_subs_tick(
    struct live_subs *s, struct pipeline *p, int64_t now_ms, live_emit_fn *fn, void *ctx);
// Collector wall ms of the next tick with work; INT64_MAX = nobody is watching.
int64_t live_subs_next(const struct live_subs *s);
size_t live_subs_count(const struct live_subs *s);
