// SPDX-License-Identifier: Apache-2.0
#include "collector/viewer.h"
#include "collector/api.h"
#include "collector/command.h"
#include "collector/live.h"
#include "collector/ws.h"
#include "wire/live.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CODE_BAD_DATA   1007
#define CODE_TRY_LATER  1013
#define POINTS_ROWS_AT  LIVE_HEADER
#define POINTS_TIMES_AT (LIVE_HEADER + 8)
#define ANY_SEQ         UINT32_MAX
#define NS_PER_MS       1000000LL

struct watched {
    uint16_t id;
    bool fresh, lost;
    uint32_t
        seq; // of the newest message that came; while fresh, higher ones are of an earlier life
    int64_t fresh_ns;
    int64_t newest_ms; // of the newest point sent; at first what the client said it had
    int64_t window_ms, step_ms;
    char *expr;
};

struct viewer {
    struct viewer_options o;
    struct ws *ws;
    struct live_shared *going; // the message on its way
    struct outbox waiting;
    struct watched *subs;
    size_t n, cap;
    bool greeted; // the shard knows of us
};

// --- messages ----------------------------------------------------------------------------------

static uint64_t little(const uint8_t *at, unsigned bytes)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < bytes; i++)
        v |= (uint64_t)at[i] << (8 * i);
    return v;
}

static uint32_t message_seq(const struct live_out *m)
{
    return m->message.len >= LIVE_HEADER ? (uint32_t)little(m->message.data + 4, 4) : 0;
}

// Time of the last row of points, or 0.
static int64_t message_newest(const struct live_out *m)
{
    const struct buf *b = &m->message;
    if (m->type != LIVE_POINTS || b->len < POINTS_TIMES_AT)
        return 0;
    uint64_t rows = little(b->data + POINTS_ROWS_AT, 4);
    if (rows == 0 || b->len < POINTS_TIMES_AT + 8 * rows)
        return 0;
    uint64_t bits = little(b->data + POINTS_TIMES_AT + 8 * (rows - 1), 8);
    double t;
    memcpy(&t, &bits, sizeof(t));
    return (int64_t)t;
}

// --- subscriptions -----------------------------------------------------------------------------

static struct watched *watched_find(struct viewer *v, uint16_t id)
{
    for (size_t i = 0; i < v->n; i++)
        if (v->subs[i].id == id)
            return &v->subs[i];
    return NULL;
}

static void watched_remove(struct viewer *v, struct watched *w)
{
    free(w->expr);
    *w = v->subs[--v->n];
}

static struct request *request_of(
    const struct viewer *v, enum request_kind kind, const struct watched *w, uint16_t id)
{
    struct request *r = calloc(1, sizeof(*r));
    if (!r)
        return NULL;
    *r = (struct request){.kind = kind, .client = v->o.number, .sub = id};
    if (!w)
        return r;
    r->expr = strdup(w->expr);
    r->window_ms = w->window_ms;
    r->step_ms = w->step_ms;
    r->since_ms = w->newest_ms;
    if (r->expr)
        return r;
    request_free(r);
    return NULL;
}

static bool ask(struct viewer *v, enum request_kind kind, const struct watched *w, uint16_t id)
{
    struct request *r = request_of(v, kind, w, id);
    bool taken = r && v->o.ask(v->o.ctx, r);
    if (!taken)
        request_free(r);
    return taken;
}

static void greet(struct viewer *v)
{
    if (!v->greeted)
        v->greeted = ask(v, REQUEST_SUBSCRIBE, NULL, 0);
}

static bool ask_points(struct viewer *v, struct watched *w, uint32_t seq)
{
    if (!ask(v, REQUEST_SUBSCRIBE, w, w->id))
        return false;
    v->greeted = true;
    w->lost = false;
    w->fresh = true;
    w->seq = seq;
    w->fresh_ns = loop_now_ns(v->o.loop);
    return true;
}

// Whether a message of this subscription may go on to the client.
static bool watched_takes(struct viewer *v, struct watched *w, const struct live_out *m)
{
    uint32_t seq = message_seq(m);
    if (m->type == LIVE_ERROR)
        return true; // not numbered
    if (w->fresh && loop_now_ns(v->o.loop) - w->fresh_ns > VIEWER_FRESH_MS * NS_PER_MS)
        w->seq = ANY_SEQ;
    bool old = w->fresh && seq > w->seq;
    w->seq = seq;
    if (old)
        return false;
    w->fresh = false;
    return !w->lost;
}

// --- sending -----------------------------------------------------------------------------------

static void pump(struct viewer *v)
{
    struct live_shared *s;
    while (ws_idle(v->ws) && (s = outbox_take(&v->waiting))) {
        struct watched *w = watched_find(v, s->m->sub);
        int64_t newest = message_newest(s->m);
        if (w && newest > w->newest_ms)
            w->newest_ms = newest;
        if (ws_send(v->ws, s->m->message.data, s->m->message.len))
            live_shared_unref(s);
        else
            v->going = s;
    }
    // All has gone: what was dropped on the way is asked for again.
    for (size_t i = 0; i < v->n && !v->waiting.n && ws_idle(v->ws); i++)
        if (v->subs[i].lost)
            (void)ask_points(v, &v->subs[i], v->subs[i].seq);
}

static void on_ready(void *ctx)
{
    struct viewer *v = ctx;
    live_shared_unref(v->going);
    v->going = NULL;
    pump(v);
}

void viewer_send(struct viewer *v, struct live_shared *s)
{
    const struct live_out *m = s->m;
    struct watched *w = m->sub ? watched_find(v, m->sub) : NULL;
    bool data = m->type == LIVE_SERIES || m->type == LIVE_POINTS;
    if (m->message.len < LIVE_HEADER)
        return;
    if (m->sub && !w) {
        // The shard did not hear that it is over (its ring was full), or has not yet.
        if (data)
            (void)ask(v, REQUEST_UNSUBSCRIBE, NULL, m->sub);
        return;
    }
    if (w && !watched_takes(v, w, m))
        return;
    if (outbox_put(&v->waiting, s) < 0 && w && data)
        w->lost = true;
    pump(v);
}

// --- commands ----------------------------------------------------------------------------------

static void send_error(struct viewer *v, uint16_t sub, const char *text)
{
    struct live_out *m = calloc(1, sizeof(*m));
    struct buf json;
    if (!m)
        return;
    *m = (struct live_out){.client = v->o.number, .sub = sub, .type = LIVE_ERROR};
    struct live_head h = {
        .type = LIVE_ERROR, .sub = sub, .server_ms = (double)v->o.wall_ms(v->o.ctx)};
    buf_init(&json, 4096);
    buf_init(&m->message, 8192);
    buf_adds(&json, "{\"error\":");
    buf_add_json(&json, text, strlen(text));
    buf_adds(&json, ",\"line\":1,\"col\":1}");
    if (!json.failed)
        (void)live_encode_json(&h, (const char *)json.data, json.len, &m->message);
    buf_done(&json);
    struct live_shared *s = live_shared_new(m);
    if (!s)
        return;
    // Not viewer_send: a refused subscription is nobody's yet.
    if (m->message.len)
        (void)outbox_put(&v->waiting, s);
    live_shared_unref(s);
    pump(v);
}

static void subscribe(struct viewer *v, struct command *c)
{
    struct watched *w = watched_find(v, c->id);
    if (!w && v->n == LIVE_CLIENT_SUBS_MAX) {
        send_error(v, c->id, "too many subscriptions");
        return;
    }
    if (!w && v->n == v->cap) {
        size_t cap = v->cap ? v->cap * 2 : 8;
        struct watched *grown = realloc(v->subs, cap * sizeof(*grown));
        if (!grown) {
            send_error(v, c->id, "out of memory");
            return;
        }
        v->subs = grown;
        v->cap = cap;
    }
    uint32_t seq = w ? w->seq : ANY_SEQ;
    outbox_clear(&v->waiting, c->id);
    if (!w)
        v->subs[v->n++] = (struct watched){0};
    else
        free(w->expr);
    w = w ? w : &v->subs[v->n - 1];
    *w = (struct watched){.id = c->id,
        .expr = c->expr,
        .window_ms = c->window_ms,
        .step_ms = c->step_ms,
        .newest_ms = c->since_ms};
    c->expr = NULL;
    if (!ask_points(v, w, seq)) {
        watched_remove(v, w);
        send_error(v, c->id, "the collector is busy, try again");
    }
}

static void on_text(void *ctx, const char *text, size_t len)
{
    struct viewer *v = ctx;
    struct command c;
    struct err err = {0};
    int rc = command_parse(text, len, &c, &err);
    if (rc == -EBADMSG) {
        ws_close(v->ws, CODE_BAD_DATA, err.msg);
        return;
    }
    if (rc == -ENOMEM) {
        ws_close(v->ws, CODE_TRY_LATER, "out of memory");
        return;
    }
    if (rc < 0) {
        send_error(v, c.id, err.msg);
        return;
    }
    if (c.subscribe) {
        subscribe(v, &c);
    } else {
        struct watched *w = watched_find(v, c.id);
        if (w)
            watched_remove(v, w);
        outbox_clear(&v->waiting, c.id);
        (void)ask(v, REQUEST_UNSUBSCRIBE, NULL, c.id);
    }
    free(c.expr);
}

// --- life --------------------------------------------------------------------------------------

static void on_closed(void *ctx)
{
    struct viewer *v = ctx;
    v->o.closed(v->o.ctx, v);
}

struct viewer *viewer_new(const struct viewer_options *o)
{
    struct viewer *v = calloc(1, sizeof(*v));
    if (!v)
        return NULL;
    v->o = *o;
    struct ws_handler h = {.ctx = v, .text = on_text, .ready = on_ready, .closed = on_closed};
    v->ws = ws_new(o->loop, o->fd, o->text_max, &h);
    if (!v->ws) {
        free(v);
        return NULL;
    }
    greet(v);
    return v;
}

void viewer_free(struct viewer *v)
{
    if (!v)
        return;
    ws_free(v->ws);
    live_shared_unref(v->going);
    outbox_done(&v->waiting);
    for (size_t i = 0; i < v->n; i++)
        free(v->subs[i].expr);
    free(v->subs);
    free(v);
}

uint64_t viewer_number(const struct viewer *v)
{
    return v->o.number;
}

void viewer_feed(struct viewer *v, const void *data, size_t len)
{
    ws_feed(v->ws, data, len);
}

void viewer_tick(struct viewer *v, int64_t now_ns, int64_t silent_ms)
{
    greet(v);
    pump(v);
    ws_tick(v->ws, now_ns, silent_ms);
}
