// SPDX-License-Identifier: Apache-2.0
#include "collector/lane.h"
#include "base/log.h"
#include "base/map.h"
#include "base/num.h"
#include "base/secret.h"
#include "collector/receiver_wire.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define REPLY_KEPT 256 // bytes of an answer shown in the log

// What one try needs. The first is there from the start, others when there is something to do for them.
struct connection {
    struct transfer transfer; // first: a transfer is its connection
    struct lane *lane;
    CURL *curl;
    struct receiver_wire *wire;
    bool flying;
    struct deliver_message message;
    char error[CURL_ERROR_SIZE];
    char reply[REPLY_KEPT];
    size_t reply_len;
    int64_t retry_after_ms;
};
struct lane {
    struct lane_options o;
    char id[BOARD_NAME_MAX + 48];
    struct deliver *deliver;
    struct connection *connections[DELIVER_FLIGHTS_MAX];
    struct board_receiver shown;
};

const char *lane_id(const struct lane *l)
{
    return l->id;
}

const char *lane_name(const struct lane *l)
{
    return l->shown.name;
}

uint32_t lane_number(const struct lane *l)
{
    return (uint32_t)l->o.number;
}

const struct route *lane_route(const struct lane *l)
{
    return l->o.route;
}

struct deliver *lane_queue(struct lane *l)
{
    return l->deliver;
}

static const struct integration *integration_of(const struct lane *l)
{
    return &l->o.receiver->integrations[l->o.integration];
}

const struct repair_terms *lane_repair(const struct lane *l)
{
    const struct integration *i = integration_of(l);
    return i->kind->repair ? &i->repair : NULL;
}

void lane_show(struct lane *t)
{
    struct deliver_stats s;
    if (!t->o.board)
        return;
    deliver_stats(t->deliver, &s);
    t->shown.queued = s.queued;
    t->shown.sent = s.sent;
    t->shown.failed = s.failed;
    t->shown.dropped = s.dropped;
    t->shown.alerts_dropped = s.alerts_dropped;
    board_receiver_set(t->o.board, t->o.number, &t->shown);
}

static void show_members(const struct connection *c, enum board_outcome outcome, int status)
{
    const struct lane *t = c->lane;
    int64_t wall_ms = clock_wall_ms(&t->o.clock);
    for (size_t i = 0; t->o.board && i < c->message.n_changed; i++) {
        struct board_delivery d = {
            .fingerprint = c->message.changed[i].fingerprint,
            .receiver = t->o.number,
            .outcome = outcome,
            .resolved = c->message.changed[i].resolved,
            .status = status,
            .at_ms = wall_ms,
            .tries = c->message.tries + 1,
        };
        board_delivery_set(t->o.board, &d);
    }
}

static size_t on_reply(char *data, size_t size, size_t n, void *ctx)
{
    struct connection *c = ctx;
    size_t room = sizeof(c->reply) - 1 - c->reply_len, take = size * n < room ? size * n : room;
    memcpy(c->reply + c->reply_len, data, take);
    c->reply_len += take;
    c->reply[c->reply_len] = '\0';
    return size * n;
}

// Retry-After in seconds, or as a date.
static size_t on_header(char *data, size_t size, size_t n, void *ctx)
{
    static const char NAME[] = "retry-after:";
    struct connection *c = ctx;
    size_t len = size * n, at = sizeof(NAME) - 1;
    if (len <= at || strncasecmp(data, NAME, at) != 0)
        return len;
    while (at < len && (data[at] == ' ' || data[at] == '\t'))
        at++;
    size_t end = len;
    while (end > at && (data[end - 1] == '\r' || data[end - 1] == '\n' || data[end - 1] == ' '))
        end--;
    char text[64];
    uint64_t seconds;
    if (end - at >= sizeof(text))
        return len;
    memcpy(text, data + at, end - at);
    text[end - at] = '\0';
    if (num_parse_u64(text, end - at, &seconds)) {
        c->retry_after_ms = seconds < 86400 ? (int64_t)seconds * 1000 : 86400 * 1000;
        return len;
    }
    time_t when = curl_getdate(text, NULL);
    if (when != -1) {
        int64_t wait = (int64_t)when * 1000 - clock_wall_ms(&c->lane->o.clock);
        c->retry_after_ms = wait > 0 ? wait : 0;
    }
    return len;
}

static struct connection *connection_open(struct lane *t, struct err *err);

// The one that is free; NULL: none, and no memory for another.
static struct connection *connection_free(struct lane *t)
{
    struct err err = {0};
    for (size_t i = 0; i < DELIVER_FLIGHTS_MAX; i++) {
        if (!t->connections[i])
            t->connections[i] = connection_open(t, &err);
        if (!t->connections[i])
            return NULL; // its secrets cannot be read any more, or memory is out
        if (!t->connections[i]->flying)
            return t->connections[i];
    }
    return NULL;
}

static bool launch(struct lane *t, int64_t now, bool durable)
{
    if (deliver_next(t->deliver) > now)
        return false;
    struct connection *c = connection_free(t);
    if (!c || !deliver_take(t->deliver, now, &c->message))
        return false;
    c->reply_len = 0;
    c->reply[0] = '\0';
    c->error[0] = '\0';
    c->retry_after_ms = -1;
    c->flying =
        receiver_wire_try(c->wire, c->curl, &c->message, clock_wall_ms(&t->o.clock), durable) &&
        transfer_start(t->o.transfers, c->curl, &c->transfer) == 0;
    if (!c->flying)
        deliver_done(t->deliver, c->message.flight, now, 0, -1);
    return c->flying;
}

void lane_launch(struct lane *t, int64_t now, bool durable)
{
    while (launch(t, now, durable))
        ;
}

static void landed(struct transfer *transfer, CURLcode code)
{
    struct connection *c = (struct connection *)transfer;
    struct lane *t = c->lane;
    int status = receiver_wire_status(c->wire, c->curl, code);
    int64_t now = clock_mono_ns(&t->o.clock) / NS_PER_MS;
    c->flying = false;

    enum deliver_verdict v =
        deliver_done(t->deliver, c->message.flight, now, status, c->retry_after_ms);
    // message.changed is kept until something else takes its flight, so it may still be read here.
    t->shown.last_status = status;
    if (v == DELIVER_SENT) {
        t->shown.last_sent_ms = clock_wall_ms(&t->o.clock);
        t->shown.failing_since_ms = 0;
        t->shown.last_error[0] = '\0';
        show_members(c, BOARD_SENT, status);
        log_info("alert_delivered", "receiver=%s alerts=%zu tries=%u delay_ms=%lld",
            log_q(t->shown.name), c->message.n_changed, c->message.tries + 1,
            (long long)(c->message.decided_ms ? t->shown.last_sent_ms - c->message.decided_ms
                                              : 0));
        lane_show(t);
        return;
    }
    if (!t->shown.failing_since_ms)
        t->shown.failing_since_ms = clock_wall_ms(&t->o.clock);
    if (code == CURLE_OK)
        snprintf(t->shown.last_error, sizeof(t->shown.last_error), "HTTP %d%s%s", status,
            c->reply_len ? ": " : "", c->reply);
    else
        snprintf(t->shown.last_error, sizeof(t->shown.last_error), "%s",
            c->error[0] ? c->error : curl_easy_strerror(code));
    switch (v) {
    case DELIVER_SENT: break;
    case DELIVER_RETRY:
        show_members(c, BOARD_RETRYING, status);
        log_warn("alert_delivery_failed", "receiver=%s tries=%u error=%s", log_q(t->shown.name),
            c->message.tries + 1, log_q(t->shown.last_error));
        break;
    case DELIVER_DROPPED:
        show_members(c, BOARD_DROPPED, status);
        log_error("alert_delivery_dropped", "receiver=%s tries=%u error=%s",
            log_q(t->shown.name), c->message.tries + 1, log_q(t->shown.last_error));
        break;
    case DELIVER_GONE:
        show_members(c, BOARD_DROPPED, status);
        log_error("receiver_gone", "receiver=%s hint=%s", log_q(t->shown.name),
            log_q("it answered 410 Gone; nothing more is sent to it until a restart"));
        break;
    }
    lane_show(t);
}

// Told apart on the status page: the second webhook of a receiver, the second route to it. The first
// webhook is nobody's second.
static void name(struct lane *t)
{
    const struct lane_options *o = &t->o;
    const struct integration *i = &o->receiver->integrations[o->integration];
    const char *kind = i->kind == &RECEIVER_WEBHOOK ? "" : i->kind->name;
    char integration[48] = "";
    if (o->receiver->n > 1)
        snprintf(integration, sizeof(integration), "/%s%zu", kind, i->number);
    snprintf(t->shown.name, sizeof(t->shown.name), "%.60s%s", o->receiver->name, integration);
    uint64_t route = hash_bytes(o->route->key, strlen(o->route->key), 0);
    snprintf(t->id, sizeof(t->id), "%.100s/%s%zu@%016" PRIx64, o->receiver->name, kind,
        i->number, o->route->parent ? route : 0);
}

static int open_queue(struct lane *t, struct err *err)
{
    const struct route *route = t->o.route;
    uint64_t seed = 0;
    random_bytes(&seed, sizeof(seed));
    const struct integration *i = integration_of(t);
    struct deliver_options o = {
        .receiver = t->o.receiver->name,
        .external_url = t->o.external_url,
        .route_key = route->key,
        .group_by = route->group_by,
        .n_group_by = route->n_group_by,
        .group_by_all = route->group_by_all || i->kind->one_alert,
        .group_wait_ms = route->group_wait_ms,
        .repeat_ms = route->repeat_interval_ms,
        .quiet = t->o.quiet,
        .quiet_ctx = t->o.quiet_ctx,
        .send_resolved = i->send_resolved,
        .max_alerts = i->max_alerts,
        .seed = seed,
        .make = i->kind->repair ? NULL : receiver_wire_make,
        .make_ctx = i->kind->repair ? NULL : t->connections[0]->wire,
        .flights = i->kind->mail ? 1 : DELIVER_FLIGHTS_MAX,
    };
    t->deliver = deliver_new(&o);
    if (t->deliver)
        return 0;
    err_set(err, "out of memory");
    return -ENOMEM;
}

static void connection_close(struct connection *c)
{
    if (!c)
        return;
    if (c->flying)
        transfer_stop(c->lane->o.transfers, c->curl);
    curl_easy_cleanup(c->curl);
    receiver_wire_close(c->wire);
    free(c);
}

static struct connection *connection_open(struct lane *t, struct err *err)
{
    struct connection *c = calloc(1, sizeof(*c));
    if (c)
        c->curl = curl_easy_init();
    if (!c || !c->curl) {
        err_set(err, "out of memory");
        connection_close(c);
        return NULL;
    }
    c->lane = t;
    c->transfer.done = landed;
    curl_easy_setopt(c->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c->curl, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(c->curl, CURLOPT_USERAGENT, "tocsin-collector");
    curl_easy_setopt(c->curl, CURLOPT_ERRORBUFFER, c->error);
    curl_easy_setopt(c->curl, CURLOPT_WRITEFUNCTION, on_reply);
    curl_easy_setopt(c->curl, CURLOPT_WRITEDATA, c);
    curl_easy_setopt(c->curl, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(c->curl, CURLOPT_HEADERDATA, c);
    const struct integration *i = integration_of(t);
    if (receiver_wire_open(i, &c->wire, err) == 0 &&
        receiver_wire_setup(c->wire, c->curl, err) == 0)
        return c;
    connection_close(c);
    return NULL;
}

struct lane *lane_open(const struct lane_options *o, struct err *err)
{
    struct lane *t = calloc(1, sizeof(*t));
    if (!t) {
        err_set(err, "out of memory");
        return NULL;
    }
    t->o = *o;
    name(t);
    if (!lane_repair(t))
        t->connections[0] = connection_open(t, err);
    if ((!lane_repair(t) && !t->connections[0]) || open_queue(t, err) < 0) {
        err_prefix(err, "receiver %s", t->shown.name);
        lane_close(t);
        return NULL;
    }
    lane_show(t);
    return t;
}

void lane_close(struct lane *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < DELIVER_FLIGHTS_MAX; i++)
        connection_close(t->connections[i]);
    deliver_free(t->deliver);
    free(t);
}
