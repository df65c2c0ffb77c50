// SPDX-License-Identifier: Apache-2.0
#include "collector/ingest.h"
#include "base/buf.h"
#include "base/log.h"
#include "base/post_head.h"
#include "base/thread.h"
#include "collector/ahead.h"
#include "wire/encode.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>

#define PATH            "/v1/frames"
#define CONTENT_TYPE    "application/x-protobuf"
#define AGENTS_MAX      16384
#define BODY_KEEP       (128u << 10) // a buffer that grew beyond this is not kept
#define FREE_BODIES_MAX 64
#define ENVELOPE_MAX    (16u << 20) // arena of one body's envelope, decompressed frames in it
#define FRAME_MAX       (16u << 20) // arena of one frame
#define BODY_DECODED_MAX                                                                       \
    (32u << 20) // all frames of one body: a few bytes can stand for many samples
#define RETRY_AFTER_MS  1000
#define STALL_LOOK_MS   250
#define STALL_MIN_MS    100
#define CLOSED_RETRY_MS 50

struct body {
    struct body *next;
    struct buf data;
    bool dropped; // too large or out of memory: drained, then refused
};

// The handle of a connection's agent that closed while the shard's ring was full.
struct closing {
    struct closing *next;
    uint8_t agent_id[16];
};

struct ingest {
    struct ingest_options o;
    struct loop *loop;
    struct listener *listener;
    struct sessions *sessions;
    struct body *free_bodies;
    size_t n_free;
    struct demands *demands; // in force; NULL: none
    uint64_t demand;         // its number, 0 = none yet
    _Atomic(struct demands *) demands_next;
    struct repair_mail *mail; // NULL: nothing is asked for
    struct loop_io *orders;
    struct arena envelope;
    struct buf reply;
    struct closing *closing;
    struct loop_timer *stall, *retry;
    struct ingest_stats stats;
    pthread_t thread;
    bool running;
};

static int64_t mono_ms(const struct ingest *g)
{
    return clock_mono_ns(&g->o.clock) / NS_PER_MS;
}

static int64_t wall_us(const struct ingest *g)
{
    return g->o.clock.wall_ns(g->o.clock.ctx) / 1000;
}

// --- bodies ------------------------------------------------------------------------------------

static struct body *body_get(struct ingest *g)
{
    struct body *b = g->free_bodies;
    if (b) {
        g->free_bodies = b->next;
        g->n_free--;
        buf_reset(&b->data);
        b->dropped = false;
        return b;
    }
    b = calloc(1, sizeof(*b));
    if (b)
        buf_init(&b->data, WIRE_BODY_MAX);
    return b;
}

static void body_free(struct body *b)
{
    if (!b)
        return;
    buf_done(&b->data);
    free(b);
}

static void body_put(struct ingest *g, struct body *b)
{
    if (!b)
        return;
    if (g->n_free >= FREE_BODIES_MAX || b->data.cap > BODY_KEEP) {
        body_free(b);
        return;
    }
    b->next = g->free_bodies;
    g->free_bodies = b;
    g->n_free++;
}

// --- answers -----------------------------------------------------------------------------------

static enum MHD_Result answer(struct MHD_Connection *c, int status, const char *type,
    const void *data, size_t len, const char *extra, const char *extra_value)
{
    // MHD copies; it never writes to what it is given.
    union {
        const void *in;
        void *out;
    } bytes = {.in = data};
    struct MHD_Response *r =
        MHD_create_response_from_buffer(len, bytes.out, MHD_RESPMEM_MUST_COPY);
    if (!r)
        return MHD_NO;
    MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    if (extra)
        MHD_add_response_header(r, extra, extra_value);
    enum MHD_Result rc = MHD_queue_response(c, (unsigned)status, r);
    MHD_destroy_response(r);
    return rc;
}

static enum MHD_Result refuse(struct MHD_Connection *c, int status, const char *why)
{
    char text[600];
    int n = snprintf(text, sizeof(text), "%s\n", why);
    size_t len = n < 0 ? 0 : (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1;
    const char *extra = NULL, *value = NULL;
    if (status == 401) {
        extra = MHD_HTTP_HEADER_WWW_AUTHENTICATE;
        value = "Bearer realm=\"tocsin\"";
    } else if (status == 405) {
        extra = MHD_HTTP_HEADER_ALLOW;
        value = "POST";
    } else if (status == 429) {
        extra = MHD_HTTP_HEADER_RETRY_AFTER;
        value = "1";
    }
    return answer(c, status, "text/plain; charset=utf-8", text, len, extra, value);
}

static enum MHD_Result reply_with(
    struct ingest *g, struct MHD_Connection *c, struct wire_reply *r)
{
    r->replied_us = wall_us(g);
    r->collector = g->o.version;
    buf_reset(&g->reply);
    if (reply_encode(r, &g->reply) < 0)
        return refuse(c, 500, "the reply could not be made");
    return answer(c, 200, CONTENT_TYPE, g->reply.data, g->reply.len, NULL, NULL);
}

// --- the first call: headers -------------------------------------------------------------------

// What refuses the request before its body is read; 0 = nothing.
static int head_fault(struct ingest *g, const struct post_head *h, const char *url,
    const char *method, const char **why)
{
    int status = post_head_fault(h, &g->o.auth, why);
    if (status) {
        g->stats.refused_auth += status != 400;
        return status;
    }
    if (strcmp(url, PATH) != 0) {
        *why = "agents post to " PATH "; the page and the API are on the other port";
        return 404;
    }
    if (strcmp(method, "POST") != 0) {
        *why = "only POST";
        return 405;
    }
    if (!post_head_type_is(h, CONTENT_TYPE) || h->encoding) {
        *why = "Content-Type must be " CONTENT_TYPE ", without Content-Encoding";
        return 415;
    }
    if (post_head_over(h, WIRE_BODY_MAX)) {
        *why = "the body is larger than 1 MiB: send fewer frames";
        return 413;
    }
    return 0;
}

static enum MHD_Result first_call(
    struct ingest *g, struct MHD_Connection *c, const char *url, const char *method, void **req)
{
    struct post_head h;
    const char *why = NULL;
    post_head_read(c, &h);
    int status = head_fault(g, &h, url, method, &why);
    if (status) {
        g->stats.refused_body++;
        return refuse(c, status, why);
    }
    *req = body_get(g);
    return *req ? MHD_YES : MHD_NO;
}

// --- the body ----------------------------------------------------------------------------------

static bool closed_push(struct ingest *g, const uint8_t agent_id[16])
{
    struct shard_input in = {.kind = SHARD_CLOSED};
    memcpy(in.agent_id, agent_id, 16);
    return shard_push(g->o.shard, in);
}

static void disconnect(struct ingest *g, struct session *s)
{
    if (!s || !session_disconnect(s) || closed_push(g, session_agent(s)))
        return;
    struct closing *k = calloc(1, sizeof(*k));
    if (!k)
        return; // the silence will tell, 2 s later
    memcpy(k->agent_id, session_agent(s), 16);
    k->next = g->closing;
    g->closing = k;
    loop_timer_set(g->retry, loop_now_ns(g->loop) + CLOSED_RETRY_MS * NS_PER_MS);
}

static void on_retry(void *ctx, int64_t due_ns, int64_t now_ns)
{
    struct ingest *g = ctx;
    (void)due_ns;
    while (g->closing && closed_push(g, g->closing->agent_id)) {
        struct closing *next = g->closing->next;
        free(g->closing);
        g->closing = next;
    }
    if (g->closing)
        loop_timer_set(g->retry, now_ns + CLOSED_RETRY_MS * NS_PER_MS);
}

static struct wire_label *labels_copy(struct arena *a, const struct wire_label *l, size_t n)
{
    struct wire_label *copy = arena_alloc(a, (n + 1) * sizeof(*copy));
    for (size_t i = 0; copy && i < n; i++) {
        copy[i].name = arena_strndup(a, l[i].name, strlen(l[i].name));
        copy[i].value = arena_strndup(a, l[i].value, strlen(l[i].value));
        if (!copy[i].name || !copy[i].value)
            return NULL;
    }
    return copy;
}

// Everything the shard wants to know beside the batch; in the frame's own arena, since it leaves us.
static bool frame_describe(struct frame *f, const struct push *p)
{
    const struct wire_session *w = &p->session;
    memcpy(f->agent_id, w->agent_id, 16);
    f->epoch = w->epoch;
    f->nonce = w->nonce;
    f->backfill = p->lane == 1;
    f->oldest_seq = p->session.oldest_seq;
    f->host = arena_strndup(&f->arena, w->host, strlen(w->host));
    f->version = arena_strndup(
        &f->arena, w->version ? w->version : "", w->version ? strlen(w->version) : 0);
    f->host_labels = labels_copy(&f->arena, w->labels, w->n_labels);
    f->n_host_labels = w->n_labels;
    return f->host && f->version && f->host_labels;
}

static void take_repairs(struct ingest *g, const struct session *s, const struct batch *b)
{
    for (size_t i = 0; g->mail && i < b->n_repairs; i++)
        repair_mail_result(g->mail, session_agent(s), &b->repairs[i], mono_ms(g));
}

static bool able(const struct wire_session *s)
{
    for (size_t i = 0; i < s->n_capabilities; i++)
        if (strcmp(s->capabilities[i], WIRE_CAPABILITY_REPAIRS) == 0)
            return true;
    return false;
}

// What the reply asks of this agent.
static void ask_repairs(struct ingest *g, struct session *s, const struct push *p,
    struct wire_repair asked[static MAIL_REPLY_MAX], struct wire_reply *reply)
{
    if (!g->mail || p->lane != 0)
        return;
    bool whole = reply->resume_from == 0 && !reply->need_key_frame;
    reply->repairs = asked;
    reply->n_repairs = repair_mail_body(g->mail, session_hearing(s), session_agent(s),
        p->session.host, whole, able(&p->session), mono_ms(g), asked);
}

static void demand(
    struct ingest *g, struct session *s, const struct push *p, struct wire_reply *reply)
{
    struct demands *next = atomic_exchange(&g->demands_next, NULL);
    if (next) {
        demands_free(g->demands);
        g->demands = next;
        g->demand++;
    }
    const struct demands *d = g->demands;
    if (!d || p->lane != 0 || !session_demand_due(s, g->demand, mono_ms(g)))
        return;
    reply->has_demand = true;
    reply->thresholds = d->thresholds;
    reply->n_thresholds = d->n_thresholds;
    reply->faster = d->faster;
    reply->n_faster = d->n_faster;
}

// Decodes the frames one by one and hands them over. 0, or the HTTP status that ends the body.
static int take_frames(struct ingest *g, struct session *s, const struct push *p,
    int64_t received_us, struct ahead *ahead, struct wire_reply *reply, struct err *err)
{
    size_t decoded = 0;
    for (size_t i = 0; i < p->n_frames; i++) {
        struct frame *f = calloc(1, sizeof(*f));
        if (!f || decoded > BODY_DECODED_MAX) {
            // What was not looked at counts as not sent: resume_from asks for it again.
            free(f);
            reply->retry_after_ms = RETRY_AFTER_MS;
            return 0;
        }
        arena_init(&f->arena, FRAME_MAX);
        enum session_take take = SESSION_NO_MEMORY;
        if (frame_describe(f, p))
            take = session_frame(s, p, i, &f->arena, &f->batch, err);
        decoded += f->arena.used;
        f->skew_ms = session_skew_ms(s);
        f->received_ms = received_us / 1000;
        if (take == SESSION_TAKEN) {
            take_repairs(g, s, &f->batch);
            ahead_leave_out(&f->batch, f->skew_ms, f->received_ms, ahead);
            g->stats.frames++;
            struct shard_input in = {.kind = SHARD_FRAME, .frame = f};
            // shard_busy left room for a whole body, and nobody else pushes.
            if (!shard_push(g->o.shard, in))
                frame_free(f);
            continue;
        }
        frame_free(f);
        g->stats.duplicates += take == SESSION_DUPLICATE;
        g->stats.not_held += take == SESSION_NOT_HELD;
        if (take == SESSION_BROKEN)
            return 400;
        if (take == SESSION_NO_MEMORY) {
            reply->retry_after_ms = RETRY_AFTER_MS;
            return 0;
        }
    }
    return 0;
}

static void told_ahead(struct ingest *g, const struct push *p, const struct ahead *ahead,
    struct wire_reply *reply, char why[static 128])
{
    if (!ahead->samples)
        return;
    g->stats.samples_ahead += ahead->samples;
    snprintf(why, 128, "%zu samples not taken: their time is up to %lld s ahead of ours",
        ahead->samples, (long long)(ahead->by_ms / 1000));
    reply->reason = why;
    log_warn("samples_ahead", "host=%s samples=%zu ahead_ms=%lld limit_ms=%lld hint=%s",
        log_q(p->session.host), ahead->samples, (long long)ahead->by_ms, AHEAD_MS,
        log_q("is the clock set, of the host or of who gives samples times of their own?"));
}

static enum MHD_Result whole_body(struct ingest *g, struct listener_conn *conn,
    struct MHD_Connection *c, const struct body *b)
{
    int64_t received_us = wall_us(g);
    struct wire_reply reply = {.protocol = WIRE_PROTOCOL, .received_us = received_us};
    struct push p = {0};
    struct err err = {0};
    if (b->dropped || b->data.failed)
        return refuse(c, 413, "the body is larger than 1 MiB: send fewer frames");
    if (shard_busy(g->o.shard)) {
        g->stats.refused_busy++;
        return refuse(c, 429, "busy, try again");
    }
    g->stats.bodies++;
    g->stats.bytes += b->data.len;
    arena_reset(&g->envelope);
    int rc = push_open(b->data.data, b->data.len, &g->envelope, &p, &err);
    if (rc == -EPROTONOSUPPORT) {
        reply.protocol = 0;
        reply.reason = "no common version of the protocol";
        return reply_with(g, c, &reply);
    }
    if (rc < 0) {
        g->stats.refused_body++;
        return refuse(c, 400, err.msg[0] ? err.msg : "not a Push message");
    }
    reply.push_id = p.id;
    reply.sent_us = p.sent_us;
    struct session *s = NULL;
    enum session_verdict v = session_of(g->sessions, &p, received_us, mono_ms(g), &s);
    if (v != SESSION_OK) {
        g->stats.refused_session++;
        reply.reason = session_reason(v);
        reply.retry_after_ms = RETRY_AFTER_MS;
        return reply_with(g, c, &reply);
    }
    if (conn->user != s) {
        session_connect(s);
        disconnect(g, conn->user);
        conn->user = s;
    }
    session_body_begin(s);
    struct ahead ahead = {0};
    char why[128];
    int status = take_frames(g, s, &p, received_us, &ahead, &reply, &err);
    told_ahead(g, &p, &ahead, &reply, why);
    if (status) {
        g->stats.refused_body++;
        return refuse(c, status, err.msg);
    }
    session_reply(s, &p, &reply);
    struct wire_repair asked[MAIL_REPLY_MAX];
    ask_repairs(g, s, &p, asked, &reply);
    demand(g, s, &p, &reply);
    return reply_with(g, c, &reply);
}

static enum MHD_Result on_request(void *ctx, struct listener_conn *conn,
    struct MHD_Connection *c, const char *url, const char *method, const char *upload,
    size_t *upload_len, void **req)
{
    struct ingest *g = ctx;
    if (!*req)
        return first_call(g, c, url, method, req);
    struct body *b = *req;
    if (*upload_len) {
        // A chunked body states no length; one that never ends is cut off.
        if (b->dropped)
            return MHD_NO;
        if (buf_add(&b->data, upload, *upload_len) < 0)
            b->dropped = true;
        *upload_len = 0;
        return MHD_YES;
    }
    return whole_body(g, conn, c, b);
}

static void on_completed(
    void *ctx, struct listener_conn *conn, void **req, enum MHD_RequestTerminationCode why)
{
    (void)conn;
    (void)why;
    body_put(ctx, *req);
    *req = NULL;
}

static void on_closed(void *ctx, struct listener_conn *conn)
{
    disconnect(ctx, conn->user);
    conn->user = NULL;
}

// --- the thread --------------------------------------------------------------------------------

static void on_stall(void *ctx, int64_t due_ns, int64_t now_ns)
{
    struct ingest *g = ctx;
    int64_t late_ms = (now_ns - due_ns) / NS_PER_MS;
    if (late_ms > STALL_MIN_MS)
        shard_excuse(g->o.shard, late_ms);
    struct listener_stats l;
    listener_stats(g->listener, &l);
    g->stats.connections = l.connections;
    g->stats.accepted = l.accepted;
    g->stats.refused_ip = l.refused_ip;
    g->stats.evicted = l.evicted;
    g->stats.overdue = l.overdue;
    g->stats.accept_paused = l.accept_paused;
    g->stats.sessions = sessions_count(g->sessions);
    if (g->mail)
        repair_mail_sweep(g->mail, mono_ms(g));
    loop_timer_set(g->stall, now_ns + STALL_LOOK_MS * NS_PER_MS);
}

static void on_orders(void *ctx, int fd, uint32_t events)
{
    struct ingest *g = ctx;
    struct repair_order *o;
    (void)fd;
    (void)events;
    ring_drain_wakeup(g->o.repairs->orders);
    while ((o = ring_pop(g->o.repairs->orders)))
        repair_mail_put(g->mail, o, mono_ms(g));
}

static bool answer_out(void *ctx, struct repair_answer *a)
{
    struct ingest *g = ctx;
    return ring_push(g->o.repairs->answers, a);
}

static int open_repairs(struct ingest *g)
{
    if (!g->o.repairs)
        return 0;
    g->mail = repair_mail_new(answer_out, g, mono_ms(g));
    g->orders = g->mail
                    ? loop_io_add(g->loop, ring_fd(g->o.repairs->orders), EPOLLIN, on_orders, g)
                    : NULL;
    return g->orders ? 0 : -ENOMEM;
}

static void *run(void *ctx)
{
    struct ingest *g = ctx;
    int rc = loop_run(g->loop);
    if (rc < 0)
        log_error("ingest_ended", "error=%s", log_q(strerror(-rc)));
    return NULL;
}

void ingest_free(struct ingest *g)
{
    if (!g)
        return;
    ingest_stop(g);
    loop_timer_free(g->stall);
    loop_timer_free(g->retry);
    listener_free(g->listener);
    loop_free(g->loop);
    sessions_free(g->sessions);
    while (g->free_bodies) {
        struct body *next = g->free_bodies->next;
        body_free(g->free_bodies);
        g->free_bodies = next;
    }
    while (g->closing) {
        struct closing *next = g->closing->next;
        free(g->closing);
        g->closing = next;
    }
    repair_mail_free(g->mail);
    demands_free(g->demands);
    demands_free(g->demands_next);
    arena_done(&g->envelope);
    buf_done(&g->reply);
    free(g);
}

void ingest_demand(struct ingest *g, struct demands *d)
{
    demands_free(atomic_exchange(&g->demands_next, d));
}

struct ingest *ingest_start(const struct ingest_options *o, struct err *err)
{
    struct ingest *g = calloc(1, sizeof(*g));
    if (!g) {
        sessions_free(o->known);
        err_set(err, "out of memory");
        return NULL;
    }
    g->o = *o;
    arena_init(&g->envelope, ENVELOPE_MAX);
    buf_init(&g->reply, 64u << 10);
    g->sessions =
        o->known ? o->known : sessions_new(o->agents_max ? o->agents_max : AGENTS_MAX);
    g->loop = loop_new();
    if (!g->sessions || !g->loop) {
        err_set(err, "cannot start the ingest loop: %s", strerror(errno));
        goto fail;
    }
    struct listener_options lo = {.address = o->address,
        .connections_max = o->connections_max,
        .per_ip_max = o->per_ip_max};
    struct listener_handler h = {
        .ctx = g, .request = on_request, .completed = on_completed, .closed = on_closed};
    if (listener_open(g->loop, &lo, &h, &g->listener, err) < 0)
        goto fail;
    g->o.auth.loopback = listener_loopback(g->listener);
    g->stall = loop_timer_new(g->loop, on_stall, g);
    g->retry = loop_timer_new(g->loop, on_retry, g);
    if (!g->stall || !g->retry || open_repairs(g) < 0) {
        err_set(err, "out of memory");
        goto fail;
    }
    loop_timer_set(g->stall, loop_now_ns(g->loop) + STALL_LOOK_MS * NS_PER_MS);
    if (thread_start(&g->thread, "ingest", run, g, err) < 0)
        goto fail;
    g->running = true;
    return g;
fail:
    ingest_free(g);
    return NULL;
}

const char *ingest_address(const struct ingest *g)
{
    return listener_address(g->listener);
}

const struct ingest_stats *ingest_stats(const struct ingest *g)
{
    return &g->stats;
}

void ingest_stop(struct ingest *g)
{
    if (!g || !g->running)
        return;
    loop_stop(g->loop);
    pthread_join(g->thread, NULL);
    g->running = false;
}
