// SPDX-License-Identifier: Apache-2.0
#include "collector/repairs.h"
#include "base/log.h"
#include <stdlib.h>
#include <sys/epoll.h>

#define SHOW_MS 100 // between two looks of the board

struct repairs {
    struct repairs_options o;
    struct repair_desk *desk;
    struct loop_io *io;
    bool dirty; // the board shows something older
    int64_t shown_ms;
};

static int64_t now_ms(const struct repairs *r)
{
    return clock_mono_ns(&r->o.clock) / NS_PER_MS;
}

static bool send(void *ctx, struct repair_order *o)
{
    struct repairs *r = ctx;
    return ring_push(r->o.link->orders, o);
}

static bool muted(void *ctx, const char *lane, const struct notice *n)
{
    struct repairs *r = ctx;
    return r->o.muted(r->o.ctx, lane, n);
}

static void told(void *ctx, const char *lane, uint64_t alert_id, enum told t)
{
    struct repairs *r = ctx;
    r->o.told(r->o.ctx, lane, alert_id, t);
}

static void note(void *ctx, enum repair_event e, const struct repair_view *v)
{
    struct repairs *r = ctx;
    const char *alert = labels_get(&v->notice->labels, "alertname");
    bool well = v->outcome == REPAIR_EXITED && v->code == 0;
    r->dirty = true;
    switch (e) {
    case REPAIR_ASKS:
        log_info("repair_asked", "action=%s instance=%s alert=%s attempt=%u of=%u", v->action,
            log_q(v->instance), log_q(alert), v->attempts, v->give_up_after);
        break;
    case REPAIR_ENDS:
        log_event(well ? LOG_LEVEL_INFO : LOG_LEVEL_WARN, "repair_ended",
            "action=%s instance=%s alert=%s attempt=%u outcome=%s code=%d duration_ms=%u again=%d "
            "reason=%s output=%s",
            v->action, log_q(v->instance), log_q(alert), v->attempts,
            log_q(repair_answer_name(v->outcome)), v->code, v->duration_ms, v->again,
            log_q(v->reason), log_q(v->output));
        break;
    case REPAIR_GIVES_UP:
        log_error("repair_gave_up", "action=%s instance=%s alert=%s attempts=%u why=%s",
            v->action, log_q(v->instance), log_q(alert), v->attempts, log_q(v->why));
        break;
    case REPAIR_OVER:
        if (v->attempts)
            log_info("repair_over", "action=%s instance=%s alert=%s attempts=%u", v->action,
                log_q(v->instance), log_q(alert), v->attempts);
        break;
    }
}

static void on_answers(void *ctx, int fd, uint32_t events)
{
    struct repairs *r = ctx;
    struct repair_answer *a;
    (void)fd;
    (void)events;
    ring_drain_wakeup(r->o.link->answers);
    while ((a = ring_pop(r->o.link->answers))) {
        repair_desk_answer(r->desk, a, now_ms(r));
        r->dirty = true;
        free(a);
    }
    r->o.pump(r->o.ctx);
}

void repairs_say(struct repairs *r, const char *lane, const struct repair_terms *terms,
    const struct notice *n)
{
    r->dirty = true;
    if (repair_desk_take(r->desk, lane, terms, n, now_ms(r)) < 0)
        log_error("repair_dropped", "action=%s alert=%s hint=%s", terms->action,
            log_q(labels_get(&n->labels, "alertname")),
            log_q("too many alerts are being repaired, or memory is out"));
}

void repairs_gave_up(struct repairs *r, const char *lane, const struct repair_terms *terms,
    const struct notice *n)
{
    r->dirty = true;
    (void)repair_desk_gave_up(r->desk, lane, terms, n);
}

void repairs_reroute(
    struct repairs *r, bool (*goes)(void *ctx, const char *lane, const struct notice *n))
{
    r->dirty = true;
    repair_desk_reroute(r->desk, goes, r->o.ctx, now_ms(r));
}

void repairs_show(struct repairs *r)
{
    if (r->o.board)
        repair_board_set(r->o.board, r->desk);
    r->shown_ms = now_ms(r);
    r->dirty = false;
}

int64_t repairs_run(struct repairs *r, bool durable)
{
    int64_t now = now_ms(r);
    repair_desk_run(r->desk, now, durable);
    int64_t next = repair_desk_next(r->desk);
    if (!r->dirty || !r->o.board)
        return next;
    // In a storm each turn changes something; nobody looks that often.
    int64_t due = r->shown_ms + SHOW_MS;
    if (now < due)
        return due < next ? due : next;
    repairs_show(r);
    return next;
}

struct repairs *repairs_new(const struct repairs_options *o)
{
    struct repairs *r = calloc(1, sizeof(*r));
    struct repair_desk_options desk = {
        .ctx = r, .send = send, .muted = muted, .told = told, .note = note};
    if (!r)
        return NULL;
    r->o = *o;
    r->desk = repair_desk_new(&desk);
    r->io = loop_io_add(o->loop, ring_fd(o->link->answers), EPOLLIN, on_answers, r);
    if (r->desk && r->io)
        return r;
    repairs_free(r);
    return NULL;
}

void repairs_free(struct repairs *r)
{
    if (!r)
        return;
    loop_io_del(r->io);
    repair_desk_free(r->desk);
    free(r);
}
