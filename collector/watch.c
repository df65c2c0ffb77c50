// SPDX-License-Identifier: Apache-2.0
#include "collector/watch.h"
#include "collector/journal.h"
#include <stdlib.h>
#include <string.h>

#define LABELS_MAX 6

struct writing {
    struct watch *w;
    struct pipeline *p;
    const char *instance;
    int64_t now_ms;
};

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct label *)a)->name, ((const struct label *)b)->name);
}

// Without memory or room the series is missing: what watches it has nothing to say.
static void put(const struct writing *at, const char *name, const struct label *more, size_t n,
    const char *instance, double v)
{
    struct label l[LABELS_MAX] = {
        {LABEL_NAME, name}, {"instance", instance}, {"job", "tocsin"}};
    for (size_t i = 0; i < n; i++)
        l[3 + i] = more[i];
    n += 3;
    qsort(l, n, sizeof(*l), by_name);
    struct labels labels = {l, n};
    (void)recorded_write(&at->w->series, pipeline_source(at->p), &labels, at->now_ms, v, NULL);
}

static bool rule(void *ctx, const struct rule_status *s)
{
    if (strcmp(s->health, "err") == 0) {
        const struct label l[] = {{"rule", s->rule->name}, {"rule_group", s->group->name}};
        const struct writing *at = ctx;
        put(at, "tocsin_rule_failed", l, 2, at->instance, 1);
    }
    return true;
}

static bool agent(void *ctx, const struct agent_info *a)
{
    const struct writing *at = ctx;
    if (a->state == LIVENESS_UP && a->newest_ms)
        put(at, "tocsin_agent_lag_seconds", NULL, 0, a->host,
            a->newest_ms < at->now_ms ? (double)(at->now_ms - a->newest_ms) / 1000 : 0);
    return true;
}

static void receivers(const struct writing *at, struct board *board)
{
    struct board_receiver *r = board ? calloc(BOARD_RECEIVERS_MAX, sizeof(*r)) : NULL;
    size_t n = r ? board_receivers_by_name(board, r, BOARD_RECEIVERS_MAX) : 0;
    for (size_t i = 0; i < n; i++) {
        const struct label l = {"receiver", r[i].name};
        int64_t failing_ms = r[i].failing_since_ms ? at->now_ms - r[i].failing_since_ms : 0;
        put(at, "tocsin_receiver_queued", &l, 1, at->instance, (double)r[i].queued);
        put(at, "tocsin_receiver_failing_seconds", &l, 1, at->instance,
            failing_ms > 0 ? (double)failing_ms / 1000 : 0);
        put(at, "tocsin_receiver_alerts_dropped_total", &l, 1, at->instance,
            (double)r[i].alerts_dropped);
        put(at, "tocsin_receiver_dead_letters", &l, 1, at->instance, (double)r[i].letters);
    }
    free(r);
}

static bool same_row(const struct repair_row *a, const struct repair_row *b)
{
    return strcmp(a->instance, b->instance) == 0 && strcmp(a->action, b->action) == 0 &&
           strcmp(a->alert, b->alert) == 0;
}

// Those that gave up stand first.
static void repairs(const struct writing *at, struct repair_board *board)
{
    struct repair_row *r = board ? calloc(REPAIR_ROWS_MAX, sizeof(*r)) : NULL;
    size_t n = r ? repair_board_read(board, r, REPAIR_ROWS_MAX, NULL) : 0;
    for (size_t i = 0; i < n && r[i].state == REPAIR_GAVE_UP; i++) {
        size_t k = 0;
        while (!same_row(&r[k], &r[i]))
            k++;
        const struct label l[] = {{"action", r[i].action}, {"alert", r[i].alert}};
        if (k == i) // two services of one host are one series
            put(at, "tocsin_repair_gave_up", l, 2,
                *r[i].instance ? r[i].instance : at->instance, 1);
    }
    free(r);
}

static void queue(const struct writing *at, const char *name, size_t length, size_t max)
{
    const struct label l = {"queue", name};
    put(at, "tocsin_collector_queue_ratio", &l, 1, at->instance,
        max ? (double)length / (double)max : 0);
}

void watch_record(struct watch *w, struct pipeline *p, const struct api_context *c,
    const char *instance, int64_t now_ms)
{
    struct writing at = {w, p, instance, now_ms};
    recorded_begin(&w->series);
    engine_each_rule(pipeline_engine(p), rule, &at);
    pipeline_each_agent(p, agent, &at);
    receivers(&at, c->board);
    repairs(&at, c->repairs);
    struct journal_stats journal = {0};
    if (c->journal)
        journal_stats(c->journal, &journal);
    queue(&at, "frames", c->frames_queued, c->frames_max);
    queue(&at, "notices", c->notices_queued, c->notices_max);
    queue(&at, "journal", journal.waiting, journal.waiting_max);
    put(&at, "tocsin_collector_notices_lost_total", NULL, 0, instance, (double)c->notices_lost);
    recorded_end(&w->series, pipeline_source(p), now_ms);
}

void watch_done(struct watch *w)
{
    recorded_done(&w->series);
}
