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

static void mark_readers(struct engine *e, uint32_t id, int64_t t_ms, bool event)
{
    if (id >= e->n_ids)
        return;
    for (uint32_t i = e->first[id]; i < e->first[id + 1]; i++) {
        struct group_state *g = &e->groups[e->reader[i].group];
        mark_dirty(g, &g->rules[e->reader[i].rule], t_ms, event);
    }
}

void engine_feed(struct engine *e, uint32_t series, int64_t t_ms, bool event)
{
    if (!e->n_arrival)
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

// While the map is made: which rule reads which series, in the order of the rules.
struct pairs {
    struct reading_pair {
        uint32_t id;
        struct rule_place by;
    } * p;
    size_t n, cap;
};

static int pair_add(struct pairs *ps, uint32_t id, struct rule_place by)
{
    if (ps->n == ps->cap) {
        size_t cap = ps->cap ? ps->cap * 2 : 256;
        struct reading_pair *grown = realloc(ps->p, cap * sizeof(*grown));
        if (!grown)
            return -ENOMEM;
        ps->p = grown;
        ps->cap = cap;
    }
    ps->p[ps->n++] = (struct reading_pair){id, by};
    return 0;
}

static int pairs_of(
    struct engine *e, struct rule_place by, const struct expr *x, struct pairs *ps)
{
    int rc = 0;
    if (!x)
        return 0;
    if (x->kind == EXPR_SELECTOR) {
        struct series_ids ids = {0};
        rc = e->src.select(e->src.self, x->matchers, x->n_matchers, &ids);
        for (size_t i = 0; rc == 0 && i < ids.n; i++)
            rc = pair_add(ps, ids.id[i], by);
        free(ids.id);
        return rc;
    }
    rc = pairs_of(e, by, x->lhs, ps);
    if (rc == 0)
        rc = pairs_of(e, by, x->rhs, ps);
    if (rc == 0)
        rc = pairs_of(e, by, x->param, ps);
    for (size_t i = 0; rc == 0 && i < x->n_args; i++)
        rc = pairs_of(e, by, x->args[i], ps);
    return rc;
}

// The pairs by series: counted, then each put into its place.
static int map_by_series(struct engine *e, const struct pairs *ps)
{
    size_t n_ids = 0;
    for (size_t i = 0; i < ps->n; i++)
        n_ids = ps->p[i].id >= n_ids ? ps->p[i].id + (size_t)1 : n_ids;
    uint32_t *first = calloc(n_ids + 2, sizeof(*first));
    struct rule_place *reader = calloc(ps->n + 1, sizeof(*reader));
    if (!first || !reader) {
        free(first);
        free(reader);
        return -ENOMEM;
    }
    // Two places on, so that after filling in each entry is where its series begins.
    for (size_t i = 0; i < ps->n; i++)
        first[ps->p[i].id + 2]++;
    for (size_t i = 2; i < n_ids + 2; i++)
        first[i] += first[i - 1];
    for (size_t i = 0; i < ps->n; i++)
        reader[first[ps->p[i].id + 1]++] = ps->p[i].by;
    free(e->first);
    free(e->reader);
    e->first = first;
    e->reader = reader;
    e->n_ids = n_ids;
    return 0;
}

static int map_rebuild(struct engine *e)
{
    uint64_t generation = e->src.generation(e->src.self);
    struct pairs ps = {0};
    int rc = 0;
    if (e->map_valid && generation == e->generation)
        return 0;
    e->map_valid = false;
    for (size_t i = 0; rc == 0 && i < e->n_arrival; i++) {
        struct rule_place p = e->arrival[i];
        rc = pairs_of(e, p, e->groups[p.group].rules[p.rule].rule->expr.root, &ps);
    }
    if (rc == 0)
        rc = map_by_series(e, &ps);
    free(ps.p);
    if (rc < 0)
        return rc;
    e->generation = generation;
    e->map_valid = true;
    return 0;
}

int arrival_map_refresh(struct engine *e)
{
    if (!e->n_arrival) {
        e->n_fresh = 0;
        e->fresh_lost = false;
        return 0;
    }
    int rc = map_rebuild(e);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < e->n_fresh; i++)
        mark_readers(e, e->fresh[i].id, e->fresh[i].t_ms, e->fresh[i].event);
    e->n_fresh = 0;
    for (size_t i = 0; e->fresh_lost && i < e->n_arrival; i++) {
        struct group_state *g = &e->groups[e->arrival[i].group];
        mark_dirty(g, &g->rules[e->arrival[i].rule], e->fresh_lost_ms, true);
    }
    e->fresh_lost = false;
    return 0;
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
    for (size_t i = 0; i < e->n_groups; i++) {
        const struct group_state *g = &e->groups[i];
        int64_t at = g->next_ms == INT64_MIN ? e->now_ms : group_due_ms(e, g, g->next_ms);
        if (at < next)
            next = at;
    }
    for (size_t i = 0; i < e->n_arrival; i++) {
        const struct group_state *g = &e->groups[e->arrival[i].group];
        const struct rule_state *r = &g->rules[e->arrival[i].rule];
        int64_t arrival = arrival_due_ms(e, r), timer = timer_due_ms(e, g, r);
        if (arrival < next)
            next = arrival;
        if (timer < next)
            next = timer;
    }
    return next;
}
