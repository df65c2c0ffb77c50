// SPDX-License-Identifier: Apache-2.0
#include "collector/heartbeats.h"
#include "base/log.h"
#include "collector/connection.h"
#include "collector/journal.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct one {
    struct heartbeats *all;
    const struct config_heartbeat *config;
    struct heartbeat beat;
    struct connection *connection;
    struct board_heartbeat shown;
};

struct heartbeats {
    struct heartbeats_options o;
    struct one *one;
    size_t n;
    uint64_t number; // of the last one sent
};

static int64_t wall_ms(const struct heartbeats *h)
{
    return clock_wall_ms(&h->o.clock);
}

static void show(const struct heartbeats *h)
{
    struct board_heartbeat shown[HEARTBEATS_MAX];
    if (!h->o.board)
        return;
    for (size_t i = 0; i < h->n; i++)
        shown[i] = h->one[i].shown;
    board_heartbeats_set(h->o.board, shown, h->n);
}

// --- one that has ended --------------------------------------------------------------------------

static void on_landed(struct transfer *t, CURLcode code)
{
    struct connection *c = connection_of(t);
    struct one *one = c->o.owner;
    struct heartbeats *h = one->all;
    struct board_heartbeat *s = &one->shown;
    int64_t took_us, now = clock_mono_ns(&h->o.clock) / NS_PER_MS;
    int status = connection_landed(c, code, &took_us);
    bool ok = status >= 200 && status < 300;
    heartbeat_done(&one->beat, now, ok);
    s->last_status = status;
    if (ok) {
        if (s->failing_since_ms)
            log_info("heartbeat_again", "name=%s", log_q(s->name));
        s->sent++;
        s->last_sent_ms = wall_ms(h);
        s->failing_since_ms = 0;
        s->last_error[0] = '\0';
    } else {
        s->failed++;
        if (!s->failing_since_ms)
            s->failing_since_ms = wall_ms(h);
        if (status)
            snprintf(s->last_error, sizeof(s->last_error), "HTTP %d", status);
        else
            snprintf(s->last_error, sizeof(s->last_error), "%s", c->error);
        log_warn("heartbeat_failed", "name=%s to=%s error=%s retry_ms=%" PRId64, log_q(s->name),
            log_q(s->to), log_q(s->last_error), one->beat.due_ms - now);
    }
    show(h);
}

// --- one that is due -----------------------------------------------------------------------------

static bool launch(struct one *one, const struct vitals_view *shard)
{
    struct heartbeats *h = one->all;
    struct connection *c = one->connection;
    const struct journal *j = h->o.journal;
    struct heartbeat_facts f = {.name = one->config->name,
        .version = h->o.version,
        .instance = h->o.instance,
        .external_url = h->o.external_url,
        .wall_ms = wall_ms(h),
        .started_ms = h->o.started_ms,
        .journal = !j                ? "none"
                   : journal_slow(j) ? "slow"
                                     : "ok",
        .sent = one->shown.sent,
        .failed = one->shown.failed};
    h->o.facts(h->o.ctx, &f);
    buf_reset(&c->body);
    if (heartbeat_body(&f, shard, &c->body) != 0)
        return false;
    c->message = (struct deliver_message){.body = &c->body, .path = ""};
    snprintf(c->message.key, sizeof(c->message.key), "beat_%" PRIx64 "_%" PRIu64,
        (uint64_t)h->o.started_ms, ++h->number);
    return connection_try(c, true);
}

// An empty transaction is written too: a disk that died while nothing happened is known by the next one.
static void try_journal(const struct heartbeats *h)
{
    struct journal_write *w = h->o.journal ? journal_write_new() : NULL;
    if (w)
        (void)journal_commit(h->o.journal, w, 0);
}

// Says once why it is held, and once that it is not any more.
static void held(struct one *one)
{
    const char *now = one->beat.trouble ? one->beat.trouble : "";
    struct board_heartbeat *s = &one->shown;
    if (strcmp(s->held, now) == 0)
        return;
    if (*now && !s->sent) // we have only begun
        log_info("heartbeat_waits", "name=%s reason=%s", log_q(s->name), log_q(now));
    else if (*now)
        log_error("heartbeat_held", "name=%s reason=%s", log_q(s->name), log_q(now));
    else if (s->sent)
        log_info("heartbeat_goes_on", "name=%s", log_q(s->name));
    snprintf(s->held, sizeof(s->held), "%s", now);
    show(one->all);
}

int64_t heartbeats_run(struct heartbeats *h, int64_t now_ms)
{
    bool any = false;
    struct heartbeat_state state = {.journal_ok = !h->o.journal || journal_ok(h->o.journal)};
    int64_t due = INT64_MAX;
    if (h->n)
        vitals_read(h->o.vitals, &state.shard);
    for (size_t i = 0; i < h->n; i++) {
        struct one *one = &h->one[i];
        enum heartbeat_step step = heartbeat_due(&one->beat, now_ms, &state);
        if (step != HEARTBEAT_WAIT)
            held(one);
        if (step == HEARTBEAT_SEND && !launch(one, &state.shard)) {
            log_error("heartbeat_out_of_memory", "name=%s", log_q(one->config->name));
            heartbeat_done(&one->beat, now_ms, false);
            one->shown.failed++;
        }
        any = any || step == HEARTBEAT_SEND;
        int64_t next = heartbeat_next(&one->beat, now_ms);
        due = next < due ? next : due;
    }
    if (any)
        try_journal(h);
    return due;
}

// --- life ----------------------------------------------------------------------------------------

void heartbeats_close(struct heartbeats *h)
{
    if (!h)
        return;
    for (size_t i = 0; i < h->n; i++)
        connection_close(h->one[i].connection);
    config_unref(h->o.config);
    free(h->one);
    free(h);
}

static struct heartbeats *open_all(const struct heartbeats_options *o, struct err *err)
{
    const struct config *c = o->config;
    struct heartbeats *h = calloc(1, sizeof(*h));
    err_set(err, "out of memory"); // until something better is known
    if (!h)
        return NULL;
    h->o = *o;
    config_ref(h->o.config);
    h->one = calloc(c->n_heartbeats ? c->n_heartbeats : 1, sizeof(*h->one));
    if (!h->one)
        goto fail;
    for (; h->n < c->n_heartbeats; h->n++) {
        struct one *one = &h->one[h->n];
        *one = (struct one){.all = h, .config = &c->heartbeats[h->n]};
        struct connection_options co = {.config = o->config,
            .integration = &one->config->to,
            .transfers = o->transfers,
            .clock = o->clock,
            .landed = on_landed,
            .owner = one};
        one->beat.every_ms = one->config->every_ms;
        one->connection = connection_open(&co, err);
        if (!one->connection) {
            err_prefix(err, "heartbeat %s", one->config->name);
            goto fail;
        }
        snprintf(one->shown.name, sizeof(one->shown.name), "%s", one->config->name);
        snprintf(one->shown.to, sizeof(one->shown.to), "%s",
            receiver_wire_to(one->connection->wire));
    }
    return h;
fail:
    heartbeats_close(h);
    return NULL;
}

struct heartbeats *heartbeats_open(const struct heartbeats_options *o, struct err *err)
{
    struct heartbeats *h = open_all(o, err);
    if (h)
        show(h);
    return h;
}

struct heartbeats *heartbeats_anew(
    const struct heartbeats *h, struct config *config, struct err *err)
{
    struct heartbeats_options o = h->o;
    o.config = config;
    return open_all(&o, err);
}

static void take_over(struct one *to, struct one *from)
{
    to->shown.sent = from->shown.sent;
    to->shown.failed = from->shown.failed;
    to->shown.last_sent_ms = from->shown.last_sent_ms;
    if (to->beat.every_ms != from->beat.every_ms ||
        !receiver_wire_same(to->connection->wire, from->connection->wire))
        return;
    struct connection *fresh = to->connection;
    to->connection = from->connection;
    from->connection = NULL;
    connection_move(to->connection, to->all->o.config, &to->config->to);
    to->connection->o.owner = to;
    connection_close(fresh);
    to->shown = from->shown;
    to->beat = from->beat;
}

void heartbeats_replace(struct heartbeats **h, struct heartbeats *anew)
{
    struct heartbeats *old = *h;
    anew->number = old->number;
    for (size_t i = 0; i < anew->n; i++)
        for (size_t k = 0; k < old->n; k++)
            if (strcmp(anew->one[i].config->name, old->one[k].config->name) == 0)
                take_over(&anew->one[i], &old->one[k]);
    heartbeats_close(old);
    *h = anew;
    show(anew);
}
