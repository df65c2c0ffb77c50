// SPDX-License-Identifier: Apache-2.0
#include "collector/heartbeat.h"
#include "collector/api.h"
#include <inttypes.h>
#include <string.h>

static const struct receiver_field NO_FIELDS[] = {{0}};
static const char *const NO_KEYS[] = {NULL};
const struct receiver_kind RECEIVER_HEARTBEAT = {
    .name = "heartbeat", .key = "heartbeats", .fields = NO_FIELDS, .not_yet = NO_KEYS};

const char *heartbeat_trouble(const struct heartbeat_state *s, int64_t now_ms)
{
    if (!s->shard.seen_ms)
        return "the rules have not begun yet";
    if (now_ms - s->shard.seen_ms > HEARTBEAT_STALE_MS)
        return "the thread of the rules hangs";
    // Else a collector that dies and is started again all the time would seem to live.
    if (s->shard.rules && !s->shard.evaluated_ms)
        return "no rule has been evaluated yet";
    if (s->shard.late_ms > HEARTBEAT_STALE_MS)
        return "evaluation of rules is late";
    if (!s->journal_ok)
        return "the journal of alerts cannot be written";
    return NULL;
}

enum heartbeat_step heartbeat_due(
    struct heartbeat *h, int64_t now_ms, const struct heartbeat_state *s)
{
    if (h->flying || now_ms < h->due_ms)
        return HEARTBEAT_WAIT;
    h->trouble = heartbeat_trouble(s, now_ms);
    if (h->trouble)
        return HEARTBEAT_HELD;
    h->flying = true;
    if (now_ms >= h->regular_ms) // the beat is kept, unless this one is a whole interval late
        h->regular_ms = h->regular_ms && now_ms - h->regular_ms < h->every_ms
                            ? h->regular_ms + h->every_ms
                            : now_ms + h->every_ms;
    return HEARTBEAT_SEND;
}

void heartbeat_done(struct heartbeat *h, int64_t now_ms, bool ok)
{
    int64_t longer = h->retry_ms ? h->retry_ms * 2 : HEARTBEAT_RETRY_MS;
    h->flying = false;
    h->retry_ms = ok ? 0 : longer < h->every_ms ? longer : h->every_ms;
    h->due_ms = h->regular_ms;
    if (!ok && now_ms + h->retry_ms < h->due_ms)
        h->due_ms = now_ms + h->retry_ms;
}

int64_t heartbeat_next(const struct heartbeat *h, int64_t now_ms)
{
    if (h->flying)
        return INT64_MAX;
    return h->trouble && h->due_ms <= now_ms ? now_ms + HEARTBEAT_LOOK_MS : h->due_ms;
}

static void text(struct buf *out, const char *key, const char *value)
{
    buf_addf(out, "\"%s\":", key);
    buf_add_json(out, value, strlen(value));
    buf_addc(out, ',');
}

static void time_of(struct buf *out, const char *key, int64_t wall_ms)
{
    buf_addf(out, "\"%s\":", key);
    api_time_json(wall_ms, out);
    buf_addc(out, ',');
}

int heartbeat_body(
    const struct heartbeat_facts *f, const struct vitals_view *shard, struct buf *out)
{
    int64_t ago = f->wall_ms - shard->evaluated_ms, up = f->wall_ms - f->started_ms;
    buf_addc(out, '{');
    text(out, "type", "tocsin.heartbeat");
    text(out, "name", f->name);
    buf_adds(out, "\"ok\":true,");
    text(out, "version", f->version);
    text(out, "instance", f->instance);
    text(out, "external_url", f->external_url);
    time_of(out, "timestamp", f->wall_ms);
    time_of(out, "started", f->started_ms);
    buf_addf(out,
        "\"uptime_ms\":%" PRId64 ",\"samples\":%" PRIu64
        ",\"rules\":{\"total\":%zu,\"unhealthy\":%zu},\"evaluated_ago_ms\":",
        up > 0 ? up : 0, shard->samples, shard->rules, shard->unhealthy);
    if (shard->evaluated_ms)
        buf_addf(out, "%" PRId64, ago > 0 ? ago : 0);
    else
        buf_adds(out, "null"); // there are no rules
    buf_addf(out,
        ",\"transitions\":%" PRIu64
        ",\"alerts\":{\"firing\":%zu,\"pending\":%zu,\"queued\":%zu},",
        f->transitions, shard->firing, shard->pending, f->queued);
    text(out, "journal", f->journal);
    buf_addf(out,
        "\"agents\":{\"up\":%zu,\"expected\":%zu},\"heartbeats\":{\"sent\":%" PRIu64
        ",\"failed\":%" PRIu64 "}}",
        shard->up, shard->expected, f->sent, f->failed);
    return out->failed;
}
