// SPDX-License-Identifier: Apache-2.0
#include "collector/restart.h"
#include <stdlib.h>

struct walk {
    struct restart *r;
    struct pipeline *p;
    int64_t now_ms;
};

static void is_over(struct restart *r, const struct notice *n, int64_t now_ms)
{
    if (r->n_over == r->cap_over) {
        size_t cap = r->cap_over ? r->cap_over * 2 : 16;
        struct notice **grown = realloc(r->over, cap * sizeof(struct notice *));
        if (!grown)
            return;
        r->over = grown;
        r->cap_over = cap;
    }
    struct notice *copy = notice_copy(n);
    if (!copy)
        return;
    copy->from = n->to;
    copy->to = ALERT_INACTIVE;
    copy->ends_at_ms = copy->decided_ms = now_ms;
    r->over[r->n_over++] = copy;
}

static void take_up(void *ctx, const struct journal_row *row)
{
    struct walk *w = ctx;
    if (row->notice->to == ALERT_INACTIVE)
        return; // over already: the notifier takes it up
    if (pipeline_restore(w->p, row->notice) == 0)
        w->r->taken++;
    else
        is_over(w->r, row->notice, w->now_ms);
}

void restart_alerts(struct restart *r, struct journal *j, struct pipeline *p, int64_t now_ms)
{
    struct walk w = {.r = r, .p = p, .now_ms = now_ms};
    *r = (struct restart){0};
    pipeline_alert_ids(p, journal_last_id(j));
    journal_each(j, take_up, &w);
}

void restart_done(struct restart *r, struct ring *notices)
{
    for (size_t i = 0; i < r->n_over; i++)
        if (!ring_push(notices, r->over[i]))
            notice_free(r->over[i]); // still in the journal: the next start finds it
    free(r->over);
    *r = (struct restart){0};
}
