// SPDX-License-Identifier: Apache-2.0
#include "collector/repair_board.h"
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct repair_board {
    pthread_mutex_t mutex;
    struct repair_stats stats;
    struct repair_row rows[REPAIR_ROWS_MAX];
    size_t n;
};

struct repair_board *repair_board_new(void)
{
    struct repair_board *b = calloc(1, sizeof(*b));
    if (b)
        pthread_mutex_init(&b->mutex, NULL);
    return b;
}

void repair_board_free(struct repair_board *b)
{
    if (!b)
        return;
    pthread_mutex_destroy(&b->mutex);
    free(b);
}

#define COPY(to, from) snprintf(to, sizeof(to), "%s", from)

struct filling {
    struct repair_board *b;
    bool given_up; // those are taken in this walk
};

static void add(void *ctx, const struct repair_view *v)
{
    struct filling *f = ctx;
    if ((v->state == REPAIR_GAVE_UP) != f->given_up || f->b->n == REPAIR_ROWS_MAX)
        return;
    struct repair_row *r = &f->b->rows[f->b->n++];
    r->state = v->state;
    r->attempts = v->attempts;
    r->give_up_after = v->give_up_after;
    r->outcome = v->outcome;
    r->code = v->code;
    r->duration_ms = v->duration_ms;
    COPY(r->receiver, v->lane);
    r->receiver[strcspn(r->receiver, "/")] = '\0'; // a lane's id begins with it
    COPY(r->instance, v->instance);
    COPY(r->action, v->action);
    COPY(r->alert, labels_get(&v->notice->labels, "alertname"));
    COPY(r->output, v->output);
    COPY(r->reason, v->reason);
    COPY(r->why, v->why);
}

void repair_board_set(struct repair_board *b, const struct repair_desk *d)
{
    pthread_mutex_lock(&b->mutex);
    b->stats = repair_desk_stats(d);
    b->n = 0;
    repair_desk_each(d, add, &(struct filling){b, true});
    repair_desk_each(d, add, &(struct filling){b, false});
    pthread_mutex_unlock(&b->mutex);
}

size_t repair_board_read(
    struct repair_board *b, struct repair_row *ret, size_t max, struct repair_stats *ret_stats)
{
    if (!b)
        return 0;
    pthread_mutex_lock(&b->mutex);
    size_t n = b->n < max ? b->n : max;
    if (ret && n)
        memcpy(ret, b->rows, n * sizeof(*ret));
    if (ret_stats)
        *ret_stats = b->stats;
    pthread_mutex_unlock(&b->mutex);
    return n;
}

static void text(const char *name, const char *value, struct buf *out)
{
    buf_addf(out, ",\"%s\":", name);
    buf_add_json(out, value, strlen(value));
}

void repair_board_json(struct repair_board *b, struct buf *out)
{
    struct repair_row *rows = b ? calloc(REPAIR_ROWS_MAX, sizeof(*rows)) : NULL;
    size_t n = rows ? repair_board_read(b, rows, REPAIR_ROWS_MAX, NULL) : 0;
    buf_addc(out, '[');
    for (size_t i = 0; i < n; i++) {
        const struct repair_row *r = &rows[i];
        buf_addf(out, "%s{\"state\":\"%s\"", i ? "," : "", repair_state_name(r->state));
        text("receiver", r->receiver, out);
        text("instance", r->instance, out);
        text("action", r->action, out);
        text("alert", r->alert, out);
        buf_addf(out, ",\"attempts\":%u,\"give_up_after\":%u", r->attempts, r->give_up_after);
        text("outcome", r->outcome ? repair_answer_name(r->outcome) : "", out);
        buf_addf(
            out, ",\"code\":%" PRId32 ",\"duration_ms\":%" PRIu32, r->code, r->duration_ms);
        text("output", r->output, out);
        text("reason", r->reason, out);
        text("why", r->why, out);
        buf_addc(out, '}');
    }
    buf_addc(out, ']');
    free(rows);
}

static void metric(
    const char *name, const char *type, const char *help, double v, struct buf *out)
{
    buf_addf(out, "# HELP %s %s\n# TYPE %s %s\n%s %.0f\n", name, help, name, type, name, v);
}

void repair_board_metrics(struct repair_board *b, struct buf *out)
{
    struct repair_stats s;
    if (!b)
        return;
    repair_board_read(b, NULL, 0, &s);
    metric("tocsin_repair_attempts_total", "counter", "Repairs that agents were asked for.",
        (double)s.asked, out);
    metric("tocsin_repair_succeeded_total", "counter",
        "Attempts that ended with exit status 0.", (double)s.succeeded, out);
    metric("tocsin_repair_failed_total", "counter", "Attempts that did not.", (double)s.failed,
        out);
    metric("tocsin_repair_gave_up_total", "counter", "Alerts whose repair was given up.",
        (double)s.gave_up, out);
    metric("tocsin_repair_dropped_total", "counter", "Alerts there was no room to repair.",
        (double)s.dropped, out);
    metric("tocsin_repair_active", "gauge", "Repairs asked for or running now.",
        (double)s.active, out);
    metric("tocsin_repair_waiting", "gauge", "Repairs that wait for their next look.",
        (double)s.waiting, out);
    metric("tocsin_repair_given_up", "gauge", "Alerts that fire and whose repair was given up.",
        (double)s.given_up, out);
}
