// SPDX-License-Identifier: Apache-2.0
#include "agent/otlp_port.h"
#include "agent/otlp.h"
#include "agent/otlp_json.h"
#include "agent/parts.h"
#include "base/listener.h"
#include "base/log.h"
#include "base/post_head.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <zlib.h>

#define PATH     "/v1/metrics"
#define PROTOBUF "application/x-protobuf"
#define JSON     "application/json"
#define RETRY_NS (5 * NS_PER_S)

// Of which answers are counted.
static const int CODES[] = {200, 400, 401, 403, 404, 405, 413, 415, 503};
#define N_CODES (sizeof(CODES) / sizeof(CODES[0]))

struct body {
    struct buf data;
    enum otlp_format format;
    bool gzip, too_large, no_room;
    size_t held; // of OTLP_HELD_MAX
};

struct port {
    struct env *env;
    struct schedule *schedule;
    struct sampler *sampler;
    struct otlp_config config; // text borrowed
    char *token;               // our copy: auth outlives a configuration
    struct listener *listener;
    struct auth auth;
    struct otlp *otlp; // NULL: not started
    size_t held;
    int64_t retry_ns;
    uint64_t answers[N_CODES], points, rejected;
    uint32_t ids_answers[N_CODES], id_points, id_rejected, id_listening;
    char reason[200]; // why it does not listen
};

// --- answers -------------------------------------------------------------------------------------

static enum MHD_Result send_answer(
    struct port *p, struct MHD_Connection *c, int status, const char *type, struct buf *text)
{
    struct MHD_Response *r =
        MHD_create_response_from_buffer(text->len, text->data, MHD_RESPMEM_MUST_COPY);
    buf_done(text);
    if (!r)
        return MHD_NO;
    for (size_t i = 0; i < N_CODES; i++)
        p->answers[i] += CODES[i] == status;
    MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    if (status == 401)
        MHD_add_response_header(r, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Bearer realm=\"tocsin\"");
    if (status == 405)
        MHD_add_response_header(r, MHD_HTTP_HEADER_ALLOW, "POST");
    if (status == 503)
        MHD_add_response_header(r, MHD_HTTP_HEADER_RETRY_AFTER, "1");
    enum MHD_Result rc = MHD_queue_response(c, (unsigned)status, r);
    MHD_destroy_response(r);
    return rc;
}

// Who sent JSON is told in JSON.
static enum MHD_Result refuse(struct port *p, struct MHD_Connection *c, enum otlp_format format,
    int status, const char *why)
{
    struct buf text;
    buf_init(&text, 4096);
    if (format == OTLP_JSON && otlp_json_status(status, why, &text) == 0)
        return send_answer(p, c, status, JSON, &text);
    buf_reset(&text);
    buf_addf(&text, "%s\n", why);
    return send_answer(p, c, status, "text/plain; charset=utf-8", &text);
}

// --- the head ------------------------------------------------------------------------------------

// What refuses a request before its body is read; 0 = nothing.
static int head_fault(const struct port *p, const struct post_head *h, const char *url,
    const char *method, const char **why)
{
    int status = post_head_fault(h, &p->auth, why);
    if (status)
        return status;
    *why = "metrics are posted to " PATH "; there is nothing else here";
    if (strcmp(url, PATH) != 0)
        return 404;
    *why = "only POST";
    if (strcmp(method, "POST") != 0)
        return 405;
    *why = "Content-Type must be " PROTOBUF " or " JSON;
    if (!post_head_type_is(h, PROTOBUF) && !post_head_type_is(h, JSON))
        return 415;
    *why = "Content-Encoding must be gzip or none";
    if (h->encoding && strcasecmp(h->encoding, "gzip") != 0 &&
        strcasecmp(h->encoding, "identity") != 0)
        return 415;
    *why = "a body may have 4 MiB: send smaller batches";
    if (post_head_over(h, OTLP_BODY_MAX))
        return 413;
    return 0;
}

static enum MHD_Result first_call(
    struct port *p, struct MHD_Connection *c, const char *url, const char *method, void **req)
{
    struct post_head h;
    const char *why = NULL;
    post_head_read(c, &h);
    int status = head_fault(p, &h, url, method, &why);
    enum otlp_format format = post_head_type_is(&h, JSON) ? OTLP_JSON : OTLP_PROTOBUF;
    if (status)
        return refuse(p, c, format, status, why);
    struct body *b = calloc(1, sizeof(*b));
    if (!b)
        return MHD_NO;
    buf_init(&b->data, OTLP_BODY_MAX);
    b->format = format;
    b->gzip = h.encoding && strcasecmp(h.encoding, "gzip") == 0;
    *req = b;
    return MHD_YES;
}

// --- the body ------------------------------------------------------------------------------------

static void body_add(struct port *p, struct body *b, const char *data, size_t len)
{
    b->no_room |= p->held + len > OTLP_HELD_MAX;
    if (b->no_room || b->too_large)
        return;
    if (buf_add(&b->data, data, len) < 0) {
        b->too_large = true;
        return;
    }
    b->held += len;
    p->held += len;
}

// 0; -EBADMSG, -EMSGSIZE, -ENOMEM.
static int inflate_body(const struct buf *in, struct buf *out)
{
    z_stream z = {.next_in = in->data, .avail_in = (uInt)in->len};
    int rc = inflateInit2(&z, 15 + 16) == Z_OK ? 0 : -ENOMEM; // gzip, nothing else
    if (rc < 0)
        return rc;
    for (int state = Z_OK; rc == 0 && state != Z_STREAM_END;) {
        uint8_t piece[16 << 10];
        z.next_out = piece;
        z.avail_out = sizeof(piece);
        state = inflate(&z, Z_NO_FLUSH);
        rc = state == Z_OK || state == Z_STREAM_END
                 ? buf_add(out, piece, sizeof(piece) - z.avail_out)
                 : -EBADMSG;
    }
    inflateEnd(&z);
    return rc;
}

static enum MHD_Result whole_body(struct port *p, struct MHD_Connection *c, struct body *b)
{
    struct otlp_answer a;
    struct err err;
    struct buf plain, reply;
    if (b->no_room)
        return refuse(p, c, b->format, 503, "too many bodies at once");
    if (b->too_large)
        return refuse(p, c, b->format, 413, "a body may have 4 MiB: send smaller batches");
    int64_t begun = sampler_cpu_begin();
    buf_init(&plain, OTLP_BODY_MAX);
    int rc = b->gzip ? inflate_body(&b->data, &plain) : 0;
    if (rc == 0) {
        const struct buf *in = b->gzip ? &plain : &b->data;
        err_set(&err, "no request");
        rc = otlp_take(
            p->otlp, b->format, in->data, in->len, clock_wall_ms(&p->env->clock), &a, &err);
    } else {
        err_set(&err, rc == -EMSGSIZE ? "a body may have 4 MiB, unpacked: send smaller batches"
                                      : "not a gzip body");
    }
    buf_done(&plain);
    sampler_cpu_end(p->sampler, begun);
    if (rc == -EMSGSIZE)
        return refuse(p, c, b->format, 413, err.msg);
    if (rc == -EBADMSG)
        return refuse(p, c, b->format, 400, err.msg);
    if (rc < 0)
        return refuse(p, c, b->format, 503, "out of memory");
    p->points += a.points - a.rejected;
    p->rejected += a.rejected;
    buf_init(&reply, 1024);
    if (otlp_encode_answer(&a, b->format, &reply) < 0)
        return MHD_NO;
    return send_answer(p, c, 200, b->format == OTLP_JSON ? JSON : PROTOBUF, &reply);
}

static enum MHD_Result on_request(void *ctx, struct listener_conn *conn,
    struct MHD_Connection *c, const char *url, const char *method, const char *upload,
    size_t *upload_len, void **req)
{
    struct port *p = ctx;
    (void)conn;
    if (!*req)
        return first_call(p, c, url, method, req);
    if (*upload_len) {
        body_add(p, *req, upload, *upload_len);
        *upload_len = 0;
        return MHD_YES;
    }
    return whole_body(p, c, *req);
}

static void on_completed(
    void *ctx, struct listener_conn *conn, void **req, enum MHD_RequestTerminationCode why)
{
    struct port *p = ctx;
    struct body *b = *req;
    (void)conn;
    (void)why;
    if (!b)
        return;
    p->held -= b->held;
    buf_done(&b->data);
    free(b);
    *req = NULL;
}

// --- once a second -------------------------------------------------------------------------------

static void open_port(struct port *p, int64_t now_ns)
{
    const struct otlp_config *c = &p->config;
    char address[80];
    struct err err;
    struct listener_handler h = {.ctx = p, .request = on_request, .completed = on_completed};
    snprintf(
        address, sizeof(address), strchr(c->host, ':') ? "[%s]:%u" : "%s:%u", c->host, c->port);
    struct listener_options o = {.address = address,
        .connections_max = OTLP_CONNECTIONS,
        .per_ip_max = OTLP_CONNECTIONS};
    bool told = p->reason[0] != '\0';
    p->retry_ns = now_ns + RETRY_NS;
    p->reason[0] = '\0';
    if (listener_open(p->env->loop, &o, &h, &p->listener, &err) == 0) {
        p->auth = (struct auth){.token = p->token,
            .token_len = p->token ? strlen(p->token) : 0,
            .loopback = listener_loopback(p->listener)};
        return;
    }
    p->listener = NULL;
    snprintf(p->reason, sizeof(p->reason), "%.199s", err.msg);
    if (!told)
        log_warn("otlp_not_listening", "error=%s", log_q(p->reason));
}

static uint32_t own_series(
    struct port *p, const char *name, const char *code, enum series_kind kind)
{
    struct wire_label l[] = {{"job", "tocsin"}, {"code", code}};
    return output_series(p->env->out, name, l, 2, kind, "1");
}

static void otlp_tick(struct sampler *sampler, const struct tick *t)
{
    struct port *p = sampler->state;
    struct output *o = p->env->out;
    if (!p->listener && t->now_ns >= p->retry_ns)
        open_port(p, t->now_ns);
    if (!p->id_points) {
        p->id_points = own_series(p, "tocsin_agent_otlp_points_total", NULL, SERIES_COUNTER);
        p->id_rejected =
            own_series(p, "tocsin_agent_otlp_rejected_points_total", NULL, SERIES_COUNTER);
        p->id_listening = own_series(p, "tocsin_agent_otlp_listening", NULL, SERIES_STATE);
    }
    output_set(o, p->id_points, (double)p->points);
    output_set(o, p->id_rejected, (double)p->rejected);
    output_set(o, p->id_listening, p->listener != NULL);
    for (size_t i = 0; i < N_CODES; i++) {
        char code[8];
        snprintf(code, sizeof(code), "%d", CODES[i]);
        if (p->answers[i] && !p->ids_answers[i])
            p->ids_answers[i] =
                own_series(p, "tocsin_agent_otlp_requests_total", code, SERIES_COUNTER);
        output_set(o, p->ids_answers[i], (double)p->answers[i]);
    }
    otlp_age(p->otlp, t->wall_ms);
}

static const struct sampler_ops SAMPLER_OTLP = {
    .name = "otlp", .interval_ms = 1000, .tick = otlp_tick};

// --- the part ------------------------------------------------------------------------------------

static void end_series(struct port *p)
{
    struct output *o = p->env->out;
    for (size_t i = 0; i < N_CODES; i++)
        output_end(o, p->ids_answers[i]);
    output_end(o, p->id_points);
    output_end(o, p->id_rejected);
    output_end(o, p->id_listening);
}

// wall_ms 0: the agent ends. It can be started again afterwards.
static void stop(struct port *p, int64_t wall_ms)
{
    listener_free(p->listener);
    otlp_free(p->otlp, wall_ms);
    if (wall_ms)
        end_series(p);
    if (p->sampler)
        schedule_drop(p->schedule, p->sampler);
    free(p->token);
    *p = (struct port){.env = p->env, .schedule = p->schedule};
}

static int start(struct port *p, const struct otlp_config *c)
{
    p->config = *c;
    p->token = c->token ? strdup(c->token) : NULL;
    p->otlp = otlp_new(p->env->out, &(struct otlp_options){.attributes = p->config.attributes,
                                        .n_attributes = c->n_attributes,
                                        .series_limit = c->series_limit,
                                        .age_ms = c->age_ms});
    p->sampler = schedule_add(p->schedule, &SAMPLER_OTLP, SAMPLER_OTLP.interval_ms, p);
    if ((c->token && !p->token) || !p->otlp || !p->sampler)
        return -ENOMEM;
    open_port(p, clock_mono_ns(&p->env->clock));
    return 0;
}

static bool same_config(const struct otlp_config *a, const struct otlp_config *b)
{
    bool same = a->wanted == b->wanted && config_same_text(a->host, b->host) &&
                a->port == b->port && config_same_text(a->token, b->token) &&
                a->age_ms == b->age_ms && a->series_limit == b->series_limit &&
                a->n_attributes == b->n_attributes;
    for (size_t i = 0; same && i < a->n_attributes; i++)
        same = config_same_text(a->attributes[i], b->attributes[i]);
    return same;
}

static int otlp_apply(void *state, const struct agent_config *c)
{
    struct port *p = state;
    if (p->otlp && same_config(&p->config, &c->otlp)) {
        p->config = c->otlp; // its text is borrowed
        return 0;
    }
    if (p->otlp) {
        int64_t wall_ms = clock_wall_ms(&p->env->clock);
        output_group(p->env->out, 0, 0, wall_ms);
        stop(p, wall_ms);
    }
    int rc = c->otlp.wanted ? start(p, &c->otlp) : 0;
    if (rc < 0)
        stop(p, 0);
    return rc;
}

static bool otlp_wanted(const struct agent_config *c)
{
    return c->otlp.wanted;
}

static void *otlp_open(struct env *env, struct schedule *s, struct transfers *m)
{
    struct port *p = calloc(1, sizeof(*p));
    (void)m;
    if (p)
        *p = (struct port){.env = env, .schedule = s};
    return p;
}

static void otlp_close(void *state)
{
    stop(state, 0);
    free(state);
}

const struct part_ops otlp_part = {.name = "otlp",
    .wanted = otlp_wanted,
    .open = otlp_open,
    .apply = otlp_apply,
    .free = otlp_close};
