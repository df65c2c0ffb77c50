// SPDX-License-Identifier: Apache-2.0
#include "collector/live_state.h"
#include "base/map.h"
#include "base/num.h"
#include "collector/live.h"
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct resolved {
    struct labels *labels, *annotations;
    char *group;
    uint64_t fingerprint;
    double value;
    int64_t active_at_ms, starts_at_ms, resolved_at_ms, cause_ms, decided_ms;
};

struct live_state {
    const struct api_context *c;
    struct map decided;                          // fingerprint -> ms of its latest transition
    struct resolved resolved[LIVE_RESOLVED_MAX]; // a ring, newest at next - 1
    size_t next, n;
};

struct live_state *live_state_new(const struct api_context *c)
{
    struct live_state *s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    s->c = c;
    map_init(&s->decided);
    return s;
}

static void resolved_done(struct resolved *r)
{
    free(r->labels);
    free(r->annotations);
    free(r->group);
    *r = (struct resolved){0};
}

void live_state_free(struct live_state *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < LIVE_RESOLVED_MAX; i++)
        resolved_done(&s->resolved[i]);
    map_done(&s->decided);
    free(s);
}

void live_state_notice(struct live_state *s, const struct notice *n)
{
    if (n->to != ALERT_INACTIVE) {
        // Out of memory the page shows no decision time; nothing else depends on it.
        (void)map_set(&s->decided, &n->fingerprint, sizeof(n->fingerprint),
            (void *)(intptr_t)n->decided_ms);
        return;
    }
    int64_t decided_ms =
        (intptr_t)map_del(&s->decided, &n->fingerprint, sizeof(n->fingerprint));
    if (n->from != ALERT_FIRING)
        return;
    struct resolved *r = &s->resolved[s->next];
    resolved_done(r);
    *r = (struct resolved){
        .labels = labels_dup(&n->labels),
        .annotations = labels_dup(&n->annotations),
        .group = strdup(n->group ? n->group : ""),
        .fingerprint = n->fingerprint,
        .value = n->value,
        .active_at_ms = n->active_at_ms,
        .starts_at_ms = n->starts_at_ms,
        .resolved_at_ms = n->ends_at_ms,
        .cause_ms = n->cause_ms,
        .decided_ms = decided_ms ? decided_ms : n->decided_ms,
    };
    if (!r->labels || !r->annotations || !r->group) {
        resolved_done(r);
        return;
    }
    s->next = (s->next + 1) % LIVE_RESOLVED_MAX;
    if (s->n < LIVE_RESOLVED_MAX)
        s->n++;
}

static void add_text(const char *s, struct buf *out)
{
    buf_add_json(out, s, strlen(s));
}

static void add_value(double v, struct buf *out)
{
    char text[NUM_TEXT_MAX];
    size_t n = num_short(v, text);
    if (!isfinite(v))
        buf_addc(out, '"');
    buf_add(out, text, n);
    if (!isfinite(v))
        buf_addc(out, '"');
}

// One alert as shown, whether it lives or was resolved.
struct shown {
    const char *state, *group;
    bool stale;
    const struct labels *labels, *annotations;
    double value;
    int64_t active_at_ms, starts_at_ms, resolved_at_ms, cause_ms, decided_ms;
    uint64_t fingerprint;
    struct ack ack; // owner NULL: none
};

struct writer {
    struct live_state *s;
    struct buf *out;
    size_t alerts, shown; // all, and those written
    enum alert_state pass;
    struct board_receiver *receivers;
    size_t n_receivers;
    const struct ack_list *acks; // NULL: none
    int64_t now_ms;
    size_t rules, unhealthy, agents;
};

static void add_deliveries(struct writer *w, uint64_t fingerprint)
{
    struct board_delivery d[16];
    const struct api_context *c = w->s->c;
    size_t n = c && c->board ? board_deliveries(c->board, fingerprint, d, 16) : 0;
    buf_adds(w->out, ",\"deliveries\":[");
    for (size_t i = 0; i < n; i++) {
        buf_adds(w->out, i ? ",{\"receiver\":" : "{\"receiver\":");
        add_text(
            d[i].receiver < w->n_receivers ? w->receivers[d[i].receiver].name : "", w->out);
        buf_addf(w->out,
            ",\"outcome\":\"%s\",\"resolved\":%s,\"status\":%d,\"at_ms\":%" PRId64
            ",\"tries\":%u}",
            board_outcome_name(d[i].outcome), d[i].resolved ? "true" : "false", d[i].status,
            d[i].at_ms, d[i].tries);
    }
    buf_addc(w->out, ']');
}

static void ack_json(const struct ack *a, struct buf *out)
{
    buf_adds(out, ",\"ack\":{\"owner\":");
    add_text(a->owner, out);
    buf_adds(out, ",\"note\":");
    add_text(a->note, out);
    buf_addf(out, ",\"at_ms\":%" PRId64 ",\"until_ms\":%" PRId64 "}", a->at_ms, a->until_ms);
}

static void add_alert(struct writer *w, const struct shown *a)
{
    struct buf *out = w->out;
    w->alerts++;
    if (w->shown >= LIVE_STATE_ALERTS_MAX)
        return;
    buf_adds(out, w->shown++ ? ",{\"alertname\":" : "{\"alertname\":");
    add_text(labels_get(a->labels, "alertname"), out);
    buf_addf(out, ",\"state\":\"%s\",\"stale\":%s,\"group\":", a->state,
        a->stale ? "true" : "false");
    add_text(a->group, out);
    buf_adds(out, ",\"labels\":");
    labels_json(a->labels, out);
    buf_adds(out, ",\"annotations\":");
    labels_json(a->annotations, out);
    buf_adds(out, ",\"value\":");
    add_value(a->value, out);
    buf_addf(out,
        ",\"active_at_ms\":%" PRId64 ",\"starts_at_ms\":%" PRId64 ",\"resolved_at_ms\":%" PRId64
        ",\"cause_ms\":%" PRId64 ",\"decided_ms\":%" PRId64 ",\"fingerprint\":\"%016" PRIx64
        "\"",
        a->active_at_ms, a->starts_at_ms, a->resolved_at_ms, a->cause_ms, a->decided_ms,
        a->fingerprint);
    if (a->ack.owner)
        ack_json(&a->ack, out);
    add_deliveries(w, a->fingerprint);
    buf_addc(out, '}');
}

static bool each_alert(
    void *ctx, const struct rule_group *g, const struct rule *r, const struct alert *a)
{
    static const struct labels NONE;
    struct writer *w = ctx;
    (void)r;
    if (a->state != w->pass)
        return true;
    struct shown s = {
        .state = alert_state_name(a->state),
        .group = g->name,
        .stale = a->stale,
        .labels = a->labels,
        .annotations = a->annotations ? a->annotations : &NONE,
        .value = a->value,
        .active_at_ms = a->active_at_ms,
        .starts_at_ms = a->fired_at_ms,
        .cause_ms = a->cause_ms,
        .decided_ms =
            (intptr_t)map_get(&w->s->decided, &a->fingerprint, sizeof(a->fingerprint)),
        .fingerprint = a->fingerprint,
    };
    const struct ack *ack = w->acks ? ack_list_find(w->acks, a->id) : NULL;
    if (a->state == ALERT_FIRING && ack_active(ack, w->now_ms))
        s.ack = *ack;
    add_alert(w, &s);
    return true;
}

static void add_resolved(struct writer *w, int64_t now_ms)
{
    struct live_state *s = w->s;
    for (size_t i = 0; i < s->n; i++) {
        const struct resolved *r =
            &s->resolved[(s->next + LIVE_RESOLVED_MAX - 1 - i) % LIVE_RESOLVED_MAX];
        if (!r->labels || now_ms - r->resolved_at_ms > LIVE_RESOLVED_MS)
            break;
        struct shown a = {
            .state = "resolved",
            .group = r->group,
            .labels = r->labels,
            .annotations = r->annotations,
            .value = r->value,
            .active_at_ms = r->active_at_ms,
            .starts_at_ms = r->starts_at_ms,
            .resolved_at_ms = r->resolved_at_ms,
            .cause_ms = r->cause_ms,
            .decided_ms = r->decided_ms,
            .fingerprint = r->fingerprint,
        };
        add_alert(w, &a);
    }
}

static bool each_agent(void *ctx, const struct agent_info *a)
{
    struct writer *w = ctx;
    buf_adds(w->out, w->agents++ ? ",{\"host\":" : "{\"host\":");
    add_text(a->host ? a->host : "", w->out);
    buf_addf(w->out, ",\"state\":\"%s\",\"version\":", liveness_name(a->state));
    add_text(a->version ? a->version : "", w->out);
    buf_addf(w->out,
        ",\"last_frame_ms\":%" PRId64 ",\"seq\":%" PRIu64 ",\"series\":%zu,\"refused\":%" PRIu64
        ",\"missing\":%" PRIu64 ",\"skew_ms\":%" PRId64 "}",
        a->last_frame_ms, a->last_seq, a->series, a->refused, a->missing, a->skew_ms);
    return !w->out->failed;
}

static bool each_rule(void *ctx, const struct rule_status *r)
{
    struct writer *w = ctx;
    w->rules++;
    if (!r->error || !r->error[0] || w->unhealthy >= 50)
        return true;
    buf_adds(w->out, w->unhealthy++ ? ",{\"group\":" : "{\"group\":");
    add_text(r->group->name, w->out);
    buf_adds(w->out, ",\"name\":");
    add_text(r->rule->name, w->out);
    buf_adds(w->out, ",\"error\":");
    add_text(r->error, w->out);
    buf_addc(w->out, '}');
    return !w->out->failed;
}

int live_state_json(struct live_state *s, struct pipeline *p, int64_t now_ms, struct buf *out)
{
    struct writer w = {.s = s, .out = out, .now_ms = now_ms};
    char banner[BOARD_TEXT_MAX] = "";
    struct board *board = s->c ? s->c->board : NULL;
    if (board) {
        board_banner_read(board, banner);
        w.receivers = calloc(BOARD_RECEIVERS_MAX, sizeof(*w.receivers));
        if (w.receivers)
            w.n_receivers = board_receivers(board, w.receivers, BOARD_RECEIVERS_MAX);
    }
    w.acks = s->c && s->c->acks ? ack_board_read(s->c->acks) : NULL;
    buf_adds(out, "{\"alerts\":[");
    w.pass = ALERT_FIRING;
    engine_each_alert(pipeline_engine(p), each_alert, &w);
    w.pass = ALERT_PENDING;
    engine_each_alert(pipeline_engine(p), each_alert, &w);
    add_resolved(&w, now_ms);
    buf_addf(out, "],\"alerts_total\":%zu,\"agents\":[", w.alerts);
    pipeline_each_agent(p, each_agent, &w);
    buf_adds(out, "],\"rules\":{\"unhealthy\":[");
    engine_each_rule(pipeline_engine(p), each_rule, &w);
    buf_addf(out, "],\"total\":%zu},\"banner\":", w.rules);
    add_text(banner, out);
    buf_addc(out, '}');
    ack_list_free(w.acks);
    free(w.receivers);
    return out->failed;
}
