// SPDX-License-Identifier: Apache-2.0
// When the engine has to do something.
#include "rules/engine_state.h"

int64_t group_due_ms(const struct engine *e, const struct group_state *g, int64_t tick_ms)
{
    (void)g;
    return e->watermark_ms >= tick_ms ? tick_ms : tick_ms + e->o.grace_ms;
}

int64_t arrival_due_ms(const struct engine *e, const struct rule_state *r)
{
    if (r->dirty_ms == INT64_MIN)
        return NEVER;
    if (r->urgent || r->drained_ms == INT64_MIN)
        return e->now_ms;
    int64_t open = r->drained_ms + e->o.arrival_gap_ms;
    return open > e->now_ms ? open : e->now_ms;
}

int64_t timer_due_ms(
    const struct engine *e, const struct group_state *g, const struct rule_state *r)
{
    if (r->timer_ms == NEVER)
        return NEVER;
    // A grid tick before it that is still to come decides first.
    if (g->next_ms < r->timer_ms) {
        int64_t tick = group_due_ms(e, g, g->next_ms);
        return tick > r->timer_ms ? tick : r->timer_ms;
    }
    return r->timer_ms;
}

void rule_set_timer(struct rule_state *r)
{
    if (!r->on_arrival_too)
        return;
    r->timer_ms = NEVER;
    for (size_t i = 0; i < r->alerts.n; i++) {
        const struct alert *a = &r->alerts.slot[i]->a;
        int64_t at = a->active_at_ms + a->silent_ms + r->rule->for_ms;
        if (a->state == ALERT_PENDING && !r->alerts.slot[i]->silent && at > r->tried_ms &&
            at < r->timer_ms)
            r->timer_ms = at;
    }
}

void mark_dirty(struct group_state *g, struct rule_state *r, int64_t t_ms, bool event)
{
    if (t_ms <= g->last_tick_ms)
        return; // late: the next tick sees it
    if (t_ms > r->dirty_ms)
        r->dirty_ms = t_ms;
    r->urgent |= event;
}

void engine_watermark(struct engine *e, int64_t t_ms)
{
    e->watermark_ms = t_ms;
}

int64_t engine_next(const struct engine *e)
{
    int64_t next = NEVER;
    if (e->retired || e->retry || e->n_fresh || e->fresh_lost || (!e->started && e->n_groups))
        return e->now_ms;
    if (e->arrivals.n && !e->arrivals.open)
        return e->now_ms; // some do not know their series yet
    for (size_t i = 0; i < e->n_groups; i++) {
        const struct group_state *g = &e->groups[i];
        int64_t at = g->next_ms == INT64_MIN ? e->now_ms : group_due_ms(e, g, g->next_ms);
        if (at < next)
            next = at;
    }
    for (size_t i = 0; i < e->arrivals.n; i++) {
        const struct group_state *g = &e->groups[e->arrivals.rule[i].group];
        const struct rule_state *r = &g->rules[e->arrivals.rule[i].rule];
        int64_t arrival = arrival_due_ms(e, r), timer = timer_due_ms(e, g, r);
        if (arrival < next)
            next = arrival;
        if (timer < next)
            next = timer;
    }
    return next;
}
