// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"
#include "base/map.h"
#include "base/secret.h"
#include "collector/lane_parts.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define REPLY_LOGGED 255 // bytes of an answer shown in the log

const char *lane_id(const struct lane *l)
{
    return l->id;
}

const char *lane_destination(const struct lane *l)
{
    return l->destination;
}

const struct lane_options *lane_options(const struct lane *l)
{
    return &l->o;
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

const struct integration *lane_integration(const struct lane *t)
{
    return &t->o.receiver->integrations[t->o.integration];
}

const struct repair_terms *lane_repair(const struct lane *t)
{
    const struct integration *i = lane_integration(t);
    return i->kind->repair ? &i->repair : NULL;
}

const char *lane_kind(const struct lane *t)
{
    return lane_integration(t)->kind->name;
}

const char *lane_to(const struct lane *t)
{
    return t->first ? receiver_wire_to(t->first->wire) : "";
}

void lane_view(const struct lane *t, struct board_receiver *ret, struct tally_view *ret_tally)
{
    struct deliver_stats s;
    deliver_stats(t->deliver, &s);
    *ret = t->shown;
    ret->queued = s.queued;
    ret->gone = s.gone;
    tally_view(&t->tally, ret_tally);
}

void lane_show(struct lane *t)
{
    struct deliver_stats s;
    if (!t->o.board || t->retired)
        return;
    deliver_stats(t->deliver, &s);
    t->shown.queued = s.queued;
    t->shown.sent = s.sent;
    t->shown.failed = s.failed;
    t->shown.dropped = s.dropped;
    t->shown.alerts_dropped = s.alerts_dropped;
    t->shown.gone = s.gone;
    t->shown.letters =
        t->o.deliveries ? letters_of(deliveries_letters(t->o.deliveries), t->id) : 0;
    board_receiver_set(t->o.board, t->o.number, &t->shown);
}

void lane_fell_back(struct lane *t, size_t alerts)
{
    t->shown.fallback_alerts += alerts;
    lane_show(t);
}

static void show_members(const struct connection *c, enum board_outcome outcome, int status)
{
    const struct lane *t = c->lane;
    int64_t wall_ms = clock_wall_ms(&t->o.clock);
    for (size_t i = 0; t->o.board && !t->retired && i < c->message.n_changed; i++) {
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

static void landed(struct transfer *transfer, CURLcode code);

struct connection *lane_connect(struct lane *t, const struct lane_options *lo, struct err *err)
{
    struct connection_options o = {.config = lo->config,
        .lane = t,
        .integration = &lo->receiver->integrations[lo->integration],
        .transfers = lo->transfers,
        .clock = lo->clock,
        .landed = landed};
    return connection_open(&o, err);
}

// The one that is free; NULL: none, and no memory for another.
static struct connection *connection_free(struct lane *t)
{
    struct err err = {0};
    for (size_t i = 0; i < CONNECTIONS_MAX; i++)
        if (t->connections[i] && !t->connections[i]->flying)
            return t->connections[i];
    for (size_t i = 0; i < CONNECTIONS_MAX; i++)
        if (!t->connections[i]) // NULL: its secrets cannot be read any more, or memory is out
            return t->connections[i] = lane_connect(t, &t->o, &err);
    return NULL;
}

// A template that fails keeps nobody from hearing of the alert, but is to be mended.
static void show_trouble(struct lane *t)
{
    const char *text = receiver_wire_trouble(t->first->wire);
    if (!*text)
        return;
    t->shown.template_failures++;
    snprintf(t->shown.template_error, sizeof(t->shown.template_error), "%s", text);
    log_warn("message_template_failed", "receiver=%s error=%s hint=%s", log_q(t->shown.name),
        log_q(text), log_q("the message went out with the text it has by itself"));
    lane_show(t);
}

static bool launch(struct lane *t, int64_t now, bool durable)
{
    if (deliver_next(t->deliver) > now)
        return false;
    struct connection *c = connection_free(t);
    if (!c)
        return false;
    receiver_wire_now(t->first->wire, clock_wall_ms(&t->o.clock));
    if (!deliver_take(t->deliver, now, &c->message))
        return false;
    show_trouble(t);
    if (!c->message.mark.id && t->o.deliveries) {
        c->message.mark =
            (struct deliver_mark){deliveries_id(t->o.deliveries), clock_wall_ms(&t->o.clock)};
        deliver_mark(t->deliver, c->message.flight, c->message.mark);
    }
    if (!connection_try(c, durable))
        deliver_done(t->deliver, c->message.flight, now, 0, -1);
    return c->flying;
}

void lane_launch(struct lane *t, int64_t now, bool durable)
{
    while (launch(t, now, durable))
        ;
    lane_launch_errand(t, now, durable);
}

int64_t lane_next(const struct lane *t)
{
    int64_t queue = deliver_next(t->deliver);
    int64_t errand = errands_next(&t->errands, deliver_ready(t->deliver));
    return errand < queue ? errand : queue;
}

static void delivered(struct connection *c, CURLcode code)
{
    struct lane *t = c->lane;
    int64_t took_us, now = clock_mono_ns(&t->o.clock) / NS_PER_MS;
    int status = connection_landed(c, code, &took_us);
    if (c->stale && status == 410)
        status = 0; // that one is gone, and is not asked any more anyway
    if (c->errand) {
        lane_errand_landed(c, status, took_us, now);
        lane_show(t);
        return;
    }
    struct delivery *row = lane_row(c, DELIVERY_ALERT, status, took_us);
    t->landed = c;
    t->shown.last_status = status;
    enum deliver_verdict v =
        deliver_done(t->deliver, c->message.flight, now, status, c->retry_after_ms);
    t->landed = NULL;
    tally_add(&t->tally, v == DELIVER_SENT, took_us);
    if (row) {
        row->outcome = v == DELIVER_SENT    ? DELIVERY_SENT
                       : v == DELIVER_RETRY ? DELIVERY_RETRYING
                                            : DELIVERY_FAILED;
        deliveries_log(t->o.deliveries, row);
    }
    // message.changed is kept until something else takes its flight, so it may still be read here.
    if (v == DELIVER_SENT) {
        if (t->o.deliveries)
            deliveries_told(t->o.deliveries, t->id, c->message.key);
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
        snprintf(t->shown.last_error, sizeof(t->shown.last_error), "HTTP %d%s%.*s", status,
            c->reply_len ? ": " : "", REPLY_LOGGED, c->reply);
    else
        snprintf(t->shown.last_error, sizeof(t->shown.last_error), "%s", c->error);
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
            log_q("it answered 410 Gone; nothing more is sent to it until a reload"));
        break;
    }
    lane_show(t);
}

static void landed(struct transfer *transfer, CURLcode code)
{
    struct connection *c = connection_of(transfer);
    struct lane *t = c->lane;
    delivered(c, code);
    if (!c->stale)
        return;
    for (size_t i = 0; i < CONNECTIONS_MAX; i++)
        if (t->connections[i] == c)
            t->connections[i] = NULL;
    if (t->aside == c)
        t->aside = NULL;
    connection_close(c);
}

// Told apart on the status page: the second webhook of a receiver, the second route to it. The first
// webhook is nobody's second.
void lane_label(struct lane *t)
{
    const struct lane_options *o = &t->o;
    const struct integration *i = &o->receiver->integrations[o->integration];
    const char *kind = i->kind == &RECEIVER_WEBHOOK ? "" : i->kind->name;
    char integration[48] = "";
    if (o->receiver->n > 1)
        snprintf(integration, sizeof(integration), "/%s%zu", kind, i->number);
    snprintf(t->shown.name, sizeof(t->shown.name), "%.60s%s", o->receiver->name, integration);
    lane_identity(o, t->id);
    snprintf(t->destination, sizeof(t->destination), "%.100s/%s%zu", o->receiver->name, kind,
        i->number);
}

void lane_identity(const struct lane_options *o, char ret[static LANE_ID_MAX])
{
    const struct integration *i = &o->receiver->integrations[o->integration];
    const char *kind = i->kind == &RECEIVER_WEBHOOK ? "" : i->kind->name;
    const char *place = o->fallback_for;
    uint64_t route = o->route->parent ? hash_bytes(o->route->key, strlen(o->route->key), 0) : 0;
    if (place)
        route = hash_bytes(place, strlen(place), route);
    snprintf(ret, LANE_ID_MAX, "%.100s/%s%zu%c%016" PRIx64, o->receiver->name, kind, i->number,
        place ? '!' : '@', route);
}

struct deliver_options lane_queue_options(
    struct lane *t, const struct lane_options *o, const struct connection *first)
{
    const struct route *route = o->route;
    const struct integration *i = &o->receiver->integrations[o->integration];
    const struct config_fallback *fallback = config_fallback(o->config, o->receiver->name);
    return (struct deliver_options){
        .receiver = o->receiver->name,
        .external_url = o->external_url,
        .route_key = route->key,
        .group_by = route->group_by,
        .n_group_by = route->n_group_by,
        .group_by_all = route->group_by_all || i->kind->one_alert,
        .group_wait_ms = route->group_wait_ms,
        .repeat_ms = route->repeat_interval_ms,
        .quiet = o->quiet,
        .quiet_ctx = o->quiet_ctx,
        .send_resolved = i->send_resolved,
        .late_ms = fallback ? fallback->after_ms : 0,
        .fallback_for = o->fallback_for,
        .max_alerts = i->max_alerts,
        .make = first ? receiver_wire_make : NULL,
        .make_ctx = first ? first->wire : NULL,
        .lost = lane_lost,
        .lost_ctx = t,
        .flights = i->kind->mail ? 1 : DELIVER_FLIGHTS_MAX,
    };
}

static int open_queue(struct lane *t, struct err *err)
{
    struct deliver_options o = lane_queue_options(t, &t->o, t->first);
    random_bytes(&o.seed, sizeof(o.seed));
    t->deliver = deliver_new(&o);
    if (t->deliver)
        return 0;
    err_set(err, "out of memory");
    return -ENOMEM;
}

struct lane *lane_open(const struct lane_options *o, struct err *err)
{
    struct lane *t = calloc(1, sizeof(*t));
    if (!t) {
        err_set(err, "out of memory");
        return NULL;
    }
    t->o = *o;
    config_ref(o->config);
    config_ref(o->route_config);
    lane_label(t);
    if (!lane_repair(t))
        t->first = t->connections[0] = lane_connect(t, o, err);
    if ((!lane_repair(t) && !t->first) || open_queue(t, err) < 0) {
        err_prefix(err, "receiver %s", t->shown.name);
        lane_close(t);
        return NULL;
    }
    return t;
}

void lane_close(struct lane *t)
{
    if (!t)
        return;
    lane_abandon(t);
    for (size_t i = 0; i < CONNECTIONS_MAX; i++)
        connection_close(t->connections[i]);
    connection_close(t->aside);
    errands_done(&t->errands);
    deliver_free(t->deliver);
    config_unref(t->o.config);
    config_unref(t->o.route_config);
    free(t);
}
