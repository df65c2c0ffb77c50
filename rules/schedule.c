// SPDX-License-Identifier: Apache-2.0
// When the engine has to do something, and which arrival rules a sample touches.
#include "rules/engine_state.h"
#include "rules/eval_node.h"
#include <errno.h>
#include <stdlib.h>

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
    r->timer_ms = NEVER;
    if (r->rule->evaluate != EVALUATE_ARRIVAL)
        return;
    for (size_t i = 0; i < r->alerts.n; i++) {
        const struct alert *a = &r->alerts.slot[i]->a;
        int64_t at = a->active_at_ms + r->rule->for_ms;
        if (a->state == ALERT_PENDING && !a->stale && at > r->tried_ms && at < r->timer_ms)
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

static bool has(const uint64_t *bits, size_t words, uint32_t id)
{
    return id / 64 < words && (bits[id / 64] >> (id % 64) & 1);
}

static void mark_readers(struct engine *e, uint32_t id, int64_t t_ms, bool event)
{
    if (!has(e->reads, e->words, id))
        return;
    for (size_t i = 0; i < e->n_groups; i++)
        for (size_t k = 0; k < e->groups[i].group->n_rules; k++) {
            struct rule_state *r = &e->groups[i].rules[k];
            if (has(r->reads, r->words, id))
                mark_dirty(&e->groups[i], r, t_ms, event);
        }
}

void engine_feed(struct engine *e, uint32_t series, int64_t t_ms, bool event)
{
    if (!e->any_arrival)
        return;
    if (e->map_valid && e->generation == e->src.generation(e->src.self)) {
        mark_readers(e, series, t_ms, event);
        return;
    }
    // Series are being born: the map is rebuilt once, at the next advance.
    if (e->n_fresh == e->cap_fresh) {
        size_t cap = e->cap_fresh ? e->cap_fresh * 2 : 64;
        struct fresh *grown = realloc(e->fresh, cap * sizeof(*grown));
        if (!grown) {
            e->fresh_lost = true;
            if (t_ms > e->fresh_lost_ms)
                e->fresh_lost_ms = t_ms;
            return;
        }
        e->fresh = grown;
        e->cap_fresh = cap;
    }
    e->fresh[e->n_fresh++] = (struct fresh){series, event, t_ms};
}

static int set_bit(uint64_t **bits, size_t *words, uint32_t id)
{
    size_t at = id / 64;
    if (at >= *words) {
        size_t n = (at + 1) * 2;
        uint64_t *grown = realloc(*bits, n * sizeof(*grown));
        if (!grown)
            return -ENOMEM;
        memset(grown + *words, 0, (n - *words) * sizeof(*grown));
        *bits = grown;
        *words = n;
    }
    (*bits)[at] |= 1ULL << (id % 64);
    return 0;
}

static int map_expr(struct engine *e, struct rule_state *r, const struct expr *x)
{
    int rc = 0;
    if (!x)
        return 0;
    if (x->kind == EXPR_SELECTOR) {
        struct series_ids ids = {0};
        rc = e->src.select(e->src.self, x->matchers, x->n_matchers, &ids);
        for (size_t i = 0; rc == 0 && i < ids.n; i++) {
            rc = set_bit(&r->reads, &r->words, ids.id[i]);
            if (rc == 0)
                rc = set_bit(&e->reads, &e->words, ids.id[i]);
        }
        free(ids.id);
        return rc;
    }
    rc = map_expr(e, r, x->lhs);
    if (rc == 0)
        rc = map_expr(e, r, x->rhs);
    if (rc == 0)
        rc = map_expr(e, r, x->param);
    for (size_t i = 0; rc == 0 && i < x->n_args; i++)
        rc = map_expr(e, r, x->args[i]);
    return rc;
}

int arrival_map_refresh(struct engine *e)
{
    if (!e->any_arrival)
        return 0;
    uint64_t generation = e->src.generation(e->src.self);
    if (!e->map_valid || generation != e->generation) {
        e->map_valid = false;
        if (e->words)
            memset(e->reads, 0, e->words * sizeof(*e->reads));
        for (size_t i = 0; i < e->n_groups; i++)
            for (size_t k = 0; k < e->groups[i].group->n_rules; k++) {
                struct rule_state *r = &e->groups[i].rules[k];
                if (r->rule->disabled || r->rule->evaluate != EVALUATE_ARRIVAL)
                    continue;
                if (r->words)
                    memset(r->reads, 0, r->words * sizeof(*r->reads));
                int rc = map_expr(e, r, r->rule->expr.root);
                if (rc < 0)
                    return rc;
            }
        e->generation = generation;
        e->map_valid = true;
    }
    for (size_t i = 0; i < e->n_fresh; i++)
        mark_readers(e, e->fresh[i].id, e->fresh[i].t_ms, e->fresh[i].event);
    e->n_fresh = 0;
    if (!e->fresh_lost)
        return 0;
    e->fresh_lost = false;
    for (size_t i = 0; i < e->n_groups; i++)
        for (size_t k = 0; k < e->groups[i].group->n_rules; k++)
            if (e->groups[i].rules[k].rule->evaluate == EVALUATE_ARRIVAL)
                mark_dirty(&e->groups[i], &e->groups[i].rules[k], e->fresh_lost_ms, true);
    return 0;
}

void engine_watermark(struct engine *e, int64_t t_ms)
{
    e->watermark_ms = t_ms;
}

int64_t engine_next(const struct engine *e)
{
    int64_t next = NEVER;
    if (e->retired || e->n_fresh || e->fresh_lost || (!e->started && e->n_groups))
        return e->now_ms;
    for (size_t i = 0; i < e->n_groups; i++) {
        const struct group_state *g = &e->groups[i];
        int64_t at = g->next_ms == INT64_MIN ? e->now_ms : group_due_ms(e, g, g->next_ms);
        if (at < next)
            next = at;
        for (size_t k = 0; k < g->group->n_rules; k++) {
            const struct rule_state *r = &g->rules[k];
            int64_t arrival = arrival_due_ms(e, r), timer = timer_due_ms(e, g, r);
            if (arrival < next)
                next = arrival;
            if (timer < next)
                next = timer;
        }
    }
    return next;
}
