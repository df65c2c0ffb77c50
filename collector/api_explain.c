// SPDX-License-Identifier: Apache-2.0
#include "collector/api_explain.h"
#include "base/num.h"
#include "collector/api.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SILENCES_SHOWN 16

struct question {
    struct arena arena;
    struct matcher_list matchers;
    uint64_t fingerprint;
    bool by_fingerprint;
};
struct explaining {
    const struct api_explain *a;
    const struct question *q;
    struct buf *b;
    size_t n;
    bool more;
};

static int question_add(
    struct question *q, const char *name, const char *value, struct err *err)
{
    char *end;
    if (strcmp(name, "filter") == 0)
        return matchers_parse(value, strlen(value), &q->arena, &q->matchers, err);
    if (strcmp(name, "fingerprint") != 0)
        return 0;
    errno = 0;
    q->fingerprint = strtoull(value, &end, 16);
    q->by_fingerprint = true;
    if (strlen(value) == 16 && !*end && !errno)
        return 0;
    err_set(err, "fingerprint is 16 hexadecimal digits");
    return -EINVAL;
}

static void time_or_null(struct buf *b, const char *name, int64_t ms)
{
    buf_addf(b, ",\"%s\":", name);
    if (ms == INT64_MAX)
        buf_adds(b, "null");
    else
        api_time_json(ms, b);
}

static void sentence(struct buf *b, const char *text)
{
    buf_adds(b, ",\"because\":");
    buf_add_json(b, text, strlen(text));
}

// --- mutes ---------------------------------------------------------------------------------------

static void mutes_json(unsigned mutes, struct buf *b)
{
    const char *gap = "";
    buf_adds(b, ",\"mutedBy\":[");
    for (unsigned bit = 1; bit && bit <= mutes; bit <<= 1) {
        const char *name = mutes & bit ? mute_name(bit) : "";
        if (!(mutes & bit))
            continue;
        buf_addf(b, "%s\"%s\"", gap, name ? name : "other");
        gap = ",";
    }
    buf_addc(b, ']');
}

// When all silences on it have ended; there is one at least.
static int64_t silenced_until(const struct api_explain *a, const struct labels *l)
{
    const char *ids[SILENCES_SHOWN];
    int64_t until = 0;
    size_t n = silences_muting(a->silences, l, a->wall_ms, ids, SILENCES_SHOWN);
    for (size_t i = 0; i < n && i < SILENCES_SHOWN; i++) {
        const struct silence *s = silences_get(a->silences, ids[i]);
        if (s && s->ends_ms > until)
            until = s->ends_ms;
    }
    return n > SILENCES_SHOWN || !until ? INT64_MAX : until;
}

static void silences_json(const struct api_explain *a, const struct labels *l, struct buf *b)
{
    const char *ids[SILENCES_SHOWN];
    size_t n = silences_muting(a->silences, l, a->wall_ms, ids, SILENCES_SHOWN);
    buf_adds(b, ",\"silences\":[");
    for (size_t i = 0; i < n && i < SILENCES_SHOWN; i++) {
        const struct silence *s = silences_get(a->silences, ids[i]);
        if (!s)
            continue;
        buf_addf(b, "%s{\"id\":\"%s\",\"by\":", i ? "," : "", s->id);
        buf_add_json(b, s->created_by, strlen(s->created_by));
        buf_adds(b, ",\"comment\":");
        buf_add_json(b, s->comment, strlen(s->comment));
        time_or_null(b, "until", s->ends_ms);
        buf_addc(b, '}');
    }
    buf_addc(b, ']');
}

static void ack_json(const struct api_explain *a, uint64_t alert_id, struct buf *b)
{
    const struct ack *ack = acks_get(a->acks, alert_id);
    if (!ack_active(ack, a->wall_ms))
        return;
    buf_adds(b, ",\"acknowledged\":{\"by\":");
    buf_add_json(b, ack->owner, strlen(ack->owner));
    buf_adds(b, ",\"comment\":");
    buf_add_json(b, ack->note, strlen(ack->note));
    time_or_null(b, "until", ack->until_ms);
    buf_addc(b, '}');
}

// What is muted is told when the mutes have ended. That of inhibition nobody knows.
static void muted_json(struct explaining *x, const struct ledger_entry *e, size_t i)
{
    const struct lane *lane = lanes_at(x->a->lanes, e->lane[i]);
    const struct ack *ack = acks_get(x->a->acks, e->notice->alert_id);
    unsigned timed = MUTE_SILENCE | MUTE_TIME | MUTE_ACK, muted = e->muted[i];
    int64_t until = INT64_MAX;
    char text[160];
    if (!(muted & ~timed)) {
        int64_t ends[3] = {muted & MUTE_SILENCE ? silenced_until(x->a, &e->notice->labels) : 0,
            muted & MUTE_TIME ? time_limits_next(&lane_route(lane)->times, x->a->wall_ms) : 0,
            muted & MUTE_ACK && ack ? ack->until_ms : 0};
        until = 0;
        for (int k = 0; k < 3; k++)
            until = ends[k] > until ? ends[k] : until;
    }
    size_t at = (size_t)snprintf(text, sizeof(text), "it is held back:");
    for (unsigned bit = 1, n = 0; bit <= e->muted[i] && at < sizeof(text); bit <<= 1)
        if (e->muted[i] & bit) {
            const char *name = mute_name(bit);
            at += (size_t)snprintf(
                text + at, sizeof(text) - at, "%s %s", n++ ? "," : "", name ? name : "other");
        }
    time_or_null(x->b, "at", until);
    buf_adds(x->b, ",\"exact\":false,\"reason\":\"muted\"");
    sentence(x->b, text);
}

// --- the queue -----------------------------------------------------------------------------------

static const char *reason_name(enum deliver_reason reason)
{
    switch (reason) {
    case DELIVER_WHY_NOTHING: return "nothing";
    case DELIVER_WHY_NOW: return "now";
    case DELIVER_WHY_TURN: return "turn";
    case DELIVER_WHY_IN_FLIGHT: return "in_flight";
    case DELIVER_WHY_GROUP_WAIT: return "group_wait";
    case DELIVER_WHY_REFUSED: return "refused";
    case DELIVER_WHY_BACK_OFF: return "back_off";
    case DELIVER_WHY_RETRY_AFTER: return "retry_after";
    case DELIVER_WHY_REPEAT: return "repeat_interval";
    case DELIVER_WHY_NO_REPEAT: return "no_repeat";
    case DELIVER_WHY_HELD: return "time_interval";
    case DELIVER_WHY_QUIET: return "quiet";
    case DELIVER_WHY_GONE: return "gone";
    }
    return "";
}

static void answered(const struct deliver_why *w, char *text, size_t size)
{
    if (w->status > 0)
        snprintf(text, size, "it answered %d", w->status);
    else
        snprintf(text, size, "it does not answer");
}

static void reason_text(
    const struct deliver_why *w, const struct route *route, char *text, size_t size)
{
    char interval[NUM_TEXT_MAX], last[40];
    answered(w, last, sizeof(last));
    switch (w->reason) {
    case DELIVER_WHY_NOTHING: snprintf(text, size, "there is nothing to tell"); return;
    case DELIVER_WHY_NOW: snprintf(text, size, "it is being sent"); return;
    case DELIVER_WHY_TURN: snprintf(text, size, "other messages go to it first"); return;
    case DELIVER_WHY_IN_FLIGHT: snprintf(text, size, "it is sent and not answered yet"); return;
    case DELIVER_WHY_GROUP_WAIT:
        duration_print(route->group_wait_ms, interval);
        snprintf(text, size, "group_wait %s of the group's first message", interval);
        return;
    case DELIVER_WHY_REFUSED:
        snprintf(
            text, size, "waits for the receiver: %s to try %u of this message", last, w->tries);
        return;
    case DELIVER_WHY_BACK_OFF: snprintf(text, size, "waits for the receiver: %s", last); return;
    case DELIVER_WHY_RETRY_AFTER:
        snprintf(
            text, size, "waits for the receiver: %s and named the time (Retry-After)", last);
        return;
    case DELIVER_WHY_REPEAT:
        duration_print(route->repeat_interval_ms, interval);
        snprintf(text, size, "repeat_interval %s since last sent", interval);
        return;
    case DELIVER_WHY_NO_REPEAT: snprintf(text, size, "it knows, and is not reminded"); return;
    case DELIVER_WHY_HELD:
        snprintf(text, size, "it knows, and times of the route hold reminders back");
        return;
    case DELIVER_WHY_QUIET: snprintf(text, size, "it knows, and reminders are muted"); return;
    case DELIVER_WHY_GONE: snprintf(text, size, "the receiver is gone for good (410)"); return;
    }
}

static void queue_json(struct explaining *x, struct lane *lane, const struct labels *l)
{
    struct deliver_why why;
    char text[200];
    int64_t wall = x->a->wall_ms - x->a->now_ms;
    deliver_why(lane_queue(lane), l, x->a->now_ms, &why);
    reason_text(&why, lane_route(lane), text, sizeof(text));
    time_or_null(x->b, "at", why.at_ms == INT64_MAX ? INT64_MAX : why.at_ms + wall);
    buf_addf(x->b, ",\"exact\":%s,\"reason\":\"%s\"", why.exact ? "true" : "false",
        reason_name(why.reason));
    sentence(x->b, text);
    if (why.since_ms)
        time_or_null(x->b, "since", why.since_ms + wall);
    if (why.failing_since_ms)
        time_or_null(x->b, "failingSince", why.failing_since_ms + wall);
}

// --- an alert ------------------------------------------------------------------------------------

static void lane_json(struct explaining *x, const struct ledger_entry *e, size_t i)
{
    static const char *const SAID[] = {"nothing", "firing", "resolved"};
    struct lane *lane = lanes_at(x->a->lanes, e->lane[i]);
    struct buf *b = x->b;
    bool fires = e->notice->to == ALERT_FIRING;
    buf_adds(b, i ? ",{\"receiver\":" : "{\"receiver\":");
    buf_add_json(b, lane_name(lane), strlen(lane_name(lane)));
    buf_adds(b, ",\"route\":");
    buf_add_json(b, lane_route(lane)->key, strlen(lane_route(lane)->key));
    if (lane_options(lane)->fallback_for) {
        const char *place = lane_options(lane)->fallback_for;
        buf_adds(b, ",\"fallbackFor\":");
        buf_add_json(b, place, strlen(place));
    }
    buf_addf(b, ",\"told\":\"%s\"", SAID[e->said[i] <= TOLD_OVER ? e->said[i] : 0]);
    mutes_json(e->muted[i], b);
    if (lane_repair(lane)) {
        time_or_null(b, "at", INT64_MAX);
        buf_adds(b, ",\"exact\":true,\"reason\":\"repair\"");
        sentence(b, "the agent of the alert's host is asked, nobody is told");
    } else if (e->muted[i] && e->said[i] != (fires ? TOLD_FIRING : TOLD_OVER)) {
        muted_json(x, e, i);
    } else {
        queue_json(x, lane, &e->notice->labels);
    }
    buf_addc(b, '}');
}

static bool one_alert(void *ctx, const struct ledger_entry *e)
{
    struct explaining *x = ctx;
    const struct notice *n = e->notice;
    if ((x->q->by_fingerprint && n->fingerprint != x->q->fingerprint) ||
        !matchers_labels(x->q->matchers.m, x->q->matchers.n, &n->labels))
        return true;
    if (x->n == EXPLAIN_MAX) {
        x->more = true;
        return false;
    }
    buf_adds(x->b, x->n++ ? ",{\"labels\":" : "{\"labels\":");
    labels_json(&n->labels, x->b);
    buf_addf(x->b, ",\"fingerprint\":\"%016" PRIx64 "\",\"state\":\"%s\"", n->fingerprint,
        n->to == ALERT_FIRING ? "firing" : "resolved");
    time_or_null(x->b, "startsAt", n->starts_at_ms);
    silences_json(x->a, &n->labels, x->b);
    ack_json(x->a, n->alert_id, x->b);
    buf_adds(x->b, ",\"receivers\":[");
    for (size_t i = 0; i < e->n; i++)
        lane_json(x, e, i);
    buf_adds(x->b, "]}");
    return true;
}

void api_explain_answer(const struct api_explain *a, struct request *r)
{
    struct question q = {0};
    struct err err = {0};
    struct explaining x = {.a = a, .q = &q, .b = &r->body};
    const char *at = (const char *)r->query.data, *end = at ? at + r->query.len : at;
    int rc = 0;
    r->http_status = 200;
    arena_init(&q.arena, 1u << 20);
    while (rc == 0 && at < end) { // name NUL value NUL ...
        const char *value = at + strlen(at) + 1;
        rc = question_add(&q, at, value, &err);
        at = value + strlen(value) + 1;
    }
    if (r->method && strcmp(r->method, "GET") != 0 && strcmp(r->method, "HEAD") != 0) {
        api_error(r, 405, "bad_data", "this can only be read");
    } else if (rc < 0) {
        api_error(r, rc == -EINVAL ? 400 : 503, rc == -EINVAL ? "bad_data" : "unavailable",
            "%s", rc == -EINVAL ? err.msg : "out of memory");
    } else {
        buf_adds(x.b, "{\"status\":\"success\",\"data\":{\"alerts\":[");
        ledger_each(a->ledger, one_alert, &x);
        buf_addf(x.b, "],\"more\":%s}}", x.more ? "true" : "false");
        if (x.b->failed)
            api_error(r, 503, "unavailable", "the answer is too large, or memory is out");
    }
    matcher_list_done(&q.matchers);
    arena_done(&q.arena);
}
