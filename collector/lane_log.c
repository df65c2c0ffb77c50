// SPDX-License-Identifier: Apache-2.0
// What is written down of what a lane sends: rows of the delivery log, and dead letters.
#include "base/log.h"
#include "collector/lane_parts.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

// Without memory, or when it cannot be masked, the body is left out.
static const char *masked_body(
    const struct lane *t, const struct deliver_message *m, struct buf *masked)
{
    const struct receiver_wire *w = t->first->wire;
    if (!m->body || m->body->len > DELIVERY_BODY_MAX)
        return NULL;
    if (!receiver_wire_has_key(w))
        return (const char *)m->body->data;
    if (receiver_wire_mask(w, m->body->data, m->body->len, true, masked) < 0)
        return NULL;
    return (const char *)masked->data;
}

static struct delivery *row_of(const struct lane *t, const struct deliver_message *m,
    struct delivery *d, struct delivery_alert named[static DELIVERY_ALERTS_MAX])
{
    struct buf masked;
    buf_init(&masked, DELIVER_BODY_MAX);
    for (size_t i = 0; i < m->n_changed && m->changed && d->n_alerts < DELIVERY_ALERTS_MAX; i++)
        named[d->n_alerts++] = (struct delivery_alert){
            m->changed[i].fingerprint, m->changed[i].resolved, m->changed[i].name};
    d->lane = t->id;
    d->receiver = t->shown.name;
    d->to = lane_to(t);
    d->id = m->mark.id;
    d->key = m->key;
    d->first_ms = m->mark.first_ms;
    d->last_ms = clock_wall_ms(&t->o.clock);
    d->cause_ms = m->cause_ms;
    d->decided_ms = m->decided_ms;
    d->alerts = named;
    d->alerts_total = m->n_changed;
    d->body = masked_body(t, m, &masked);
    d->body_len = masked.len ? masked.len : m->body ? m->body->len : 0;
    struct delivery *copy = delivery_copy(d);
    buf_done(&masked);
    return copy;
}

struct delivery *lane_row(
    const struct connection *c, enum delivery_kind kind, int status, int64_t took_us)
{
    const struct lane *t = c->lane;
    struct delivery_alert named[DELIVERY_ALERTS_MAX];
    char error[CURL_ERROR_SIZE + 16];
    if (!t->o.deliveries)
        return NULL;
    bool ok = status >= 200 && status < 300;
    snprintf(error, sizeof(error), "%s", ok ? "" : c->error);
    if (!ok && !error[0])
        snprintf(error, sizeof(error), "HTTP %d", status);
    struct delivery d = {.kind = kind,
        .status = status,
        .tries = c->message.tries + 1,
        .took_us = took_us,
        .error = error,
        .answer = c->reply};
    return row_of(t, &c->message, &d, named);
}

static void say_why(const struct lane *t, enum deliver_loss why, char *ret, size_t size)
{
    const struct connection *c = t->landed;
    char last[BOARD_TEXT_MAX] = "";
    if (c && c->error[0])
        snprintf(last, sizeof(last), "%s", c->error);
    else if (c)
        snprintf(last, sizeof(last), "HTTP %d%s%.300s", t->shown.last_status,
            c->reply_len ? ": " : "", c->reply);
    switch (why) {
    case DELIVER_LOSS_REFUSED: snprintf(ret, size, "%s", last); return;
    case DELIVER_LOSS_OLD: snprintf(ret, size, "not told for 24 h, at last: %s", last); return;
    case DELIVER_LOSS_GONE: snprintf(ret, size, "the receiver answered 410 Gone"); return;
    case DELIVER_LOSS_FULL: snprintf(ret, size, "the queue was full"); return;
    }
}

static int bury(
    const struct lane *t, const struct deliver_message *m, uint64_t id, const char *why)
{
    const struct receiver_wire *w = t->first->wire;
    struct letter_alert *alerts = calloc(m->n_changed + 1, sizeof(*alerts));
    struct buf body, path;
    buf_init(&body, DELIVER_BODY_MAX);
    buf_init(&path, DELIVER_PATH_MAX);
    int rc = alerts ? receiver_wire_mask(w, m->body->data, m->body->len, true, &body) : -ENOMEM;
    if (rc == 0)
        rc = receiver_wire_mask(w, m->path, strlen(m->path), false, &path);
    for (size_t i = 0; rc == 0 && i < m->n_changed; i++)
        alerts[i] = (struct letter_alert){
            m->changed[i].alert_id, m->changed[i].fingerprint, m->changed[i].resolved};
    struct letter l = {.id = id,
        .lane = t->id,
        .receiver = t->shown.name,
        .key = m->key,
        .to = lane_to(t),
        .path = buf_cstr(&path),
        .why = why,
        .at_ms = clock_wall_ms(&t->o.clock),
        .cause_ms = m->cause_ms,
        .decided_ms = m->decided_ms,
        .status = t->landed ? t->shown.last_status : 0,
        .tries = t->landed ? m->tries + 1 : m->tries,
        .alerts = alerts,
        .n_alerts = m->n_changed,
        .body = (const char *)body.data,
        .body_len = body.len};
    if (rc == 0)
        deliveries_bury(t->o.deliveries, &l);
    buf_done(&body);
    buf_done(&path);
    free(alerts);
    return rc;
}

void lane_lost(void *ctx, const struct deliver_message *m, enum deliver_loss why)
{
    struct lane *t = ctx;
    struct delivery_alert named[DELIVERY_ALERTS_MAX];
    struct deliver_message unsent = *m;
    char text[BOARD_TEXT_MAX + 64];
    if (!t->o.deliveries)
        return;
    say_why(t, why, text, sizeof(text));
    if (!m->mark.id) { // it was never on its way: the log does not know it yet
        unsent.mark =
            (struct deliver_mark){deliveries_id(t->o.deliveries), clock_wall_ms(&t->o.clock)};
        struct delivery d = {.kind = DELIVERY_ALERT, .outcome = DELIVERY_FAILED, .error = text};
        deliveries_log(t->o.deliveries, row_of(t, &unsent, &d, named));
    }
    if (!m->body || bury(t, m, unsent.mark.id, text) < 0)
        log_error("letter_lost", "receiver=%s alerts=%zu", log_q(t->shown.name), m->n_changed);
}
