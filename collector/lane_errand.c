// SPDX-License-Identifier: Apache-2.0
// Tests and replays: what a person has a lane send beside its queue.
#include "base/log.h"
#include "base/map.h"
#include "collector/lane_parts.h"
#include "collector/standing.h"
#include "collector/webhook.h"
#include <inttypes.h>
#include <string.h>

#define ERRAND_NEVER 400 // as if refused: there is no use in another try

static const struct label DRILL[] = {
    {"alertname", "TocsinTest"}, {"drill", "true"}, {"severity", "info"}};
static const struct label DRILL_SAYS[] = {
    {"description", "Sent by `tocsin hooks test` to see whether this receiver works."},
    {"summary", "This is a drill: nothing is wrong"}};

static uint64_t order(struct lane *t, struct errand *e)
{
    if (!t->o.deliveries)
        return 0;
    e->at_ms = clock_wall_ms(&t->o.clock);
    e->id = deliveries_id(t->o.deliveries);
    return errands_add(&t->errands, e) == 0 ? e->id : 0;
}

uint64_t lane_replay(struct lane *t, const struct letter *letter, bool anyway)
{
    struct errand e = {.letter = letter->id, .anyway = anyway};
    return order(t, &e);
}

bool lane_replaying(const struct lane *t, uint64_t letter)
{
    return errands_has(&t->errands, letter);
}

size_t lane_test(struct lane *t, uint64_t ret[static 2])
{
    struct errand e = {0};
    size_t n = 0;
    if ((ret[n] = order(t, &e)))
        n++;
    e.resolved = true;
    if (n && lane_integration(t)->send_resolved && (ret[n] = order(t, &e)))
        n++;
    return n;
}

static int make_drill(struct connection *c, const struct errand *e)
{
    const struct lane *t = c->lane;
    struct labels labels = {DRILL, 3}, says = {DRILL_SAYS, 2}, by = {DRILL, 1};
    struct deliver_message *m = &c->message;
    struct buf key;
    struct webhook_alert alert = {.labels = &labels,
        .annotations = &says,
        .firing = !e->resolved,
        .starts_at_ms = e->at_ms,
        .ends_at_ms = e->resolved ? clock_wall_ms(&t->o.clock) : 0,
        .generator_url = t->o.external_url,
        .fingerprint = labels_fingerprint(&labels),
        .value = 1,
        .active_at_ms = e->at_ms,
        .group = "tocsin",
        .file = ""};
    uint64_t a = hash_bytes(t->id, strlen(t->id), e->id), b = hash_bytes(&e->at_ms, 8, a);
    snprintf(m->key, sizeof(m->key), "%016" PRIx64 "%016" PRIx64, a, b);
    buf_init(&key, 4096);
    int rc = webhook_group_key(t->o.route->key, &by, &key);
    struct webhook_message w = {.receiver = t->o.receiver->name,
        .external_url = t->o.external_url,
        .group_key = buf_cstr(&key),
        .delivery_key = m->key,
        .group_labels = &by,
        .alerts = &alert,
        .n = 1};
    receiver_wire_now(t->first->wire, clock_wall_ms(&t->o.clock));
    if (rc == 0)
        rc = receiver_wire_make(t->first->wire, &w, &c->body, &c->path);
    buf_done(&key);
    return rc;
}

static int make_replay(struct connection *c, const struct letter *l)
{
    struct deliver_message *m = &c->message;
    int rc = receiver_wire_unmask(c->wire, l->body, l->body_len, true, &c->body);
    if (rc == 0)
        rc = receiver_wire_unmask(c->wire, l->path, strlen(l->path), false, &c->path);
    snprintf(m->key, sizeof(m->key), "%s", l->key);
    m->fallback_for = c->lane->o.fallback_for;
    m->cause_ms = l->cause_ms;
    m->decided_ms = l->decided_ms;
    return rc;
}

// What became of an errand that is not on a connection.
static void give_up(struct lane *t, const struct errand *e, const char *why)
{
    struct delivery d = {.id = e->id,
        .kind = e->letter ? DELIVERY_REPLAY : DELIVERY_TEST,
        .outcome = DELIVERY_FAILED,
        .of = e->letter,
        .lane = t->id,
        .receiver = t->shown.name,
        .to = lane_to(t),
        .tries = e->tries,
        .first_ms = e->at_ms,
        .last_ms = clock_wall_ms(&t->o.clock),
        .error = why};
    deliveries_log(t->o.deliveries, delivery_copy(&d));
}

static bool out_of_date(const struct lane *t, const struct letter *l)
{
    struct standing now;
    standing_init(&now, t->o.ledger);
    bool differs = standing_differs(&now, l) > 0;
    standing_done(&now);
    return differs;
}

// Why it cannot be sent; NULL: it is ready.
static const char *prepare(struct connection *c, struct errand *e)
{
    const struct lane *t = c->lane;
    const struct letter *l =
        e->letter ? letters_get(deliveries_letters(t->o.deliveries), e->letter) : NULL;
    buf_reset(&c->body);
    buf_reset(&c->path);
    c->message = (struct deliver_message){.body = &c->body, .tries = e->tries};
    if (e->letter && !l)
        return "settled or dismissed meanwhile";
    if (l && !e->anyway && out_of_date(t, l))
        return "not sent: an alert is not as it says any more";
    int rc = l ? make_replay(c, l) : make_drill(c, e);
    c->message.path = buf_cstr(&c->path);
    if (!e->tries)
        e->first_ms = clock_wall_ms(&t->o.clock);
    c->message.mark = (struct deliver_mark){e->id, e->first_ms};
    return rc == 0 ? NULL : "out of memory";
}

void lane_launch_errand(struct lane *t, int64_t now, bool durable)
{
    struct err err = {0};
    if (errands_next(&t->errands, deliver_ready(t->deliver)) > now)
        return;
    if (!t->aside)
        t->aside = lane_connect(t, &t->o, &err);
    struct connection *c = t->aside;
    struct errand *e = errands_take(&t->errands), over;
    const char *why = c ? prepare(c, e) : err.msg;
    if (c)
        c->errand = true;
    if (!why && connection_try(c, durable))
        return;
    (void)errands_tried(&t->errands, now, ERRAND_NEVER, -1, &over);
    give_up(t, &over, why ? why : "out of memory");
}

// The receiver has it now. Of what fires on it will be told the end.
static void told(struct lane *t, const struct letter *l, int64_t now_ms)
{
    for (size_t i = 0; i < l->n_alerts; i++) {
        const struct notice *n =
            l->alerts[i].resolved ? NULL : ledger_notice(t->o.ledger, l->alerts[i].alert_id);
        if (n && n->to == ALERT_FIRING && deliver_heard(t->deliver, n, now_ms) < 0)
            log_error("alert_queue_out_of_memory", "receiver=%s", log_q(t->shown.name));
    }
}

void lane_errand_landed(struct connection *c, int status, int64_t took_us, int64_t now)
{
    struct lane *t = c->lane;
    struct errand e, other;
    enum errand_verdict v = errands_tried(&t->errands, now, status, c->retry_after_ms, &e);
    struct delivery *row =
        lane_row(c, e.letter ? DELIVERY_REPLAY : DELIVERY_TEST, status, took_us);
    if (row) {
        row->of = e.letter;
        row->outcome = v == ERRAND_SENT    ? DELIVERY_SENT
                       : v == ERRAND_AGAIN ? DELIVERY_RETRYING
                                           : DELIVERY_FAILED;
        deliveries_log(t->o.deliveries, row);
    }
    log_info(e.letter ? "letter_replayed" : "receiver_tested",
        "receiver=%s id=%llu status=%d tries=%u took_ms=%lld", log_q(t->shown.name),
        (unsigned long long)e.id, status, e.tries, (long long)(took_us / 1000));
    if (v == ERRAND_AWAY && e.letter)
        while (errands_drop(&t->errands, &other))
            give_up(t, &other, "not tried: the receiver does not answer");
    if (v != ERRAND_SENT)
        return;
    deliver_back(t->deliver);
    t->shown.failing_since_ms = 0;
    const struct letter *l =
        e.letter ? letters_get(deliveries_letters(t->o.deliveries), e.letter) : NULL;
    if (!l)
        return;
    told(t, l, now);
    deliveries_settle(t->o.deliveries, l->id);
}
