// SPDX-License-Identifier: Apache-2.0
#include "rules/engine.h"
#include "rules/engine_state.h"
#include <errno.h>
#include <stdlib.h>

#define CHAIN_MAX 8 // rules that wait for one another, in one advance; more go on in the next

struct engine *engine_new(const struct source *src, const struct engine_options *o)
{
    struct engine *e = calloc(1, sizeof(*e));
    if (!e)
        return NULL;
    e->src = *src;
    if (o)
        e->o = *o;
    if (!e->o.interval_ms)
        e->o.interval_ms = ENGINE_INTERVAL_MS;
    if (!e->o.grace_ms)
        e->o.grace_ms = ENGINE_GRACE_MS;
    if (!e->o.arrival_gap_ms)
        e->o.arrival_gap_ms = ENGINE_ARRIVAL_GAP_MS;
    if (!e->o.elements_max)
        e->o.elements_max = 100000;
    e->watermark_ms = INT64_MIN;
    struct eval_options eo = engine_eval_options(e);
    e->eval = eval_new(src, &eo);
    if (!e->eval) {
        free(e);
        return NULL;
    }
    audience_init(&e->audience, &e->src);
    if (src->watch)
        src->watch(src->self, engine_sample, e);
    return e;
}

struct eval_options engine_eval_options(const struct engine *e)
{
    return (struct eval_options){.compat_2_42 = e->o.compat_2_42,
        .parity = e->o.parity,
        .subquery_step_ms = e->o.subquery_step_ms};
}

void engine_free(struct engine *e)
{
    if (!e)
        return;
    if (e->src.watch)
        e->src.watch(e->src.self, NULL, NULL);
    arrivals_close(&e->audience, &e->arrivals);
    audience_done(&e->audience);
    retired_free(e, e->retired);
    retired_free(e, e->ended);
    group_states_free(e, e->groups, e->n_groups);
    ruleset_free(e->set);
    eval_free(e->eval);
    free(e->out.t);
    free(e->work);
    free(e->fresh);
    free(e);
}

int64_t engine_reach_ms(const struct engine *e)
{
    int64_t reach = EVAL_LOOKBACK_MS;
    for (size_t i = 0; i < e->n_groups; i++) {
        const struct group_state *g = &e->groups[i];
        for (size_t k = 0; k < g->group->n_rules; k++) {
            int64_t r = expr_reach_ms(g->group->rules[k].expr.root) + EVAL_LOOKBACK_MS +
                        g->group->query_offset_ms;
            if (r > reach)
                reach = r;
        }
    }
    return reach;
}

static int by_time(const void *a, const void *b)
{
    const struct work *x = a, *y = b;
    if (x->t_ms != y->t_ms)
        return x->t_ms < y->t_ms ? -1 : 1;
    if (x->kind != y->kind)
        return x->kind < y->kind ? -1
                                 : 1; // the grid first: it may reset what an arrival starts
    if (x->group != y->group)
        return x->group < y->group ? -1 : 1;
    return (x->rule > y->rule) - (x->rule < y->rule);
}

static int64_t floor_to(int64_t t, int64_t step)
{
    int64_t q = t / step;
    return (q - (t % step < 0)) * step;
}

// The newest tick that is due; older ones that were not run count as missed.
static bool due_tick(const struct engine *e, const struct group_state *g, int64_t *ret)
{
    int64_t t = floor_to(e->now_ms, g->interval_ms);
    if (group_due_ms(e, g, t) > e->now_ms)
        t -= g->interval_ms;
    if (t < g->next_ms || group_due_ms(e, g, t) > e->now_ms)
        return false;
    *ret = t;
    return true;
}

static int run_on_grid(
    struct engine *e, struct group_state *g, struct rule_state *r, int64_t t_ms)
{
    int rc = rule_run(e, g, r, t_ms, true);
    r->retry_ms = rc < 0 ? t_ms : INT64_MIN;
    e->retry |= rc < 0;
    if (rc == 0 && r->dirty_ms <= t_ms) {
        r->dirty_ms = INT64_MIN; // seen by this tick
        r->urgent = false;
    }
    rule_set_timer(r);
    return rc;
}

static int tick(struct engine *e, struct group_state *g, int64_t t_ms)
{
    int failed = 0;
    g->missed += (uint64_t)((t_ms - g->next_ms) / g->interval_ms);
    g->next_ms = t_ms + g->interval_ms;
    g->last_tick_ms = t_ms;
    for (size_t k = 0; k < g->group->n_rules; k++) {
        if (g->rules[k].disabled)
            continue;
        for (size_t ahead = 1; ahead <= 3 && k + ahead < g->group->n_rules; ahead++)
            if (g->rules[k + ahead].on_grid.x)
                plan_soon(g->rules[k + ahead].on_grid.x, (int)ahead);
        int rc = run_on_grid(e, g, &g->rules[k], t_ms);
        failed = rc < 0 ? rc : failed;
    }
    return failed;
}

static int arrive(struct engine *e, struct group_state *g, struct rule_state *r, int64_t t_ms)
{
    bool drained = t_ms == r->dirty_ms;
    int rc = rule_run(e, g, r, t_ms, false);
    // Without memory it stays as dirty, or its timer as due, as it was: the next advance tries.
    if (rc < 0) {
        r->urgent |= drained;
        return rc;
    }
    if (drained) {
        r->dirty_ms = INT64_MIN;
        r->urgent = false;
        r->drained_ms = e->now_ms;
    }
    // While a tick before it is open, an alert whose time has come is tried again after that.
    if (g->next_ms >= t_ms && t_ms > r->tried_ms)
        r->tried_ms = t_ms;
    rule_set_timer(r);
    return 0;
}

static int add_work(struct engine *e, size_t *n, struct work w)
{
    if (*n == e->cap_work) {
        size_t cap = e->cap_work ? e->cap_work * 2 : 64;
        struct work *grown = realloc(e->work, cap * sizeof(*grown));
        if (!grown)
            return -ENOMEM;
        e->work = grown;
        e->cap_work = cap;
    }
    e->work[(*n)++] = w;
    return 0;
}

static int find_work(struct engine *e, size_t *n)
{
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < e->n_groups; i++) {
        struct group_state *g = &e->groups[i];
        int64_t t;
        if (due_tick(e, g, &t))
            rc = add_work(e, n, (struct work){t, i, WORK_TICK, 0});
        for (uint32_t k = 0; rc == 0 && e->retry && k < g->group->n_rules; k++)
            if (g->rules[k].retry_ms != INT64_MIN)
                rc = add_work(e, n, (struct work){g->rules[k].retry_ms, i, WORK_RETRY, k});
    }
    for (size_t i = 0; rc == 0 && i < e->arrivals.n; i++) {
        struct rule_place p = e->arrivals.rule[i];
        const struct rule_state *r = &e->groups[p.group].rules[p.rule];
        if (arrival_due_ms(e, r) <= e->now_ms)
            rc = add_work(e, n, (struct work){r->dirty_ms, p.group, WORK_ARRIVAL, p.rule});
    }
    return rc;
}

static int run_due(struct engine *e)
{
    size_t n = 0;
    int failed = find_work(e, &n);
    if (failed < 0)
        return failed;
    e->retry = false;
    if (n > 1)
        qsort(e->work, n, sizeof(*e->work), by_time);
    for (size_t i = 0; i < n; i++) {
        const struct work *w = &e->work[i];
        struct group_state *g = &e->groups[w->group];
        int rc = 0;
        if (w->kind == WORK_TICK)
            rc = tick(e, g, w->t_ms);
        else if (w->kind == WORK_RETRY)
            rc = run_on_grid(e, g, &g->rules[w->rule], w->t_ms);
        else if (g->rules[w->rule].dirty_ms == w->t_ms) // no tick has seen it meanwhile
            rc = arrive(e, g, &g->rules[w->rule], w->t_ms);
        failed = rc < 0 ? rc : failed;
    }
    // Timers last: what was evaluated above may have reset or fired the alert they wait for.
    for (size_t i = 0; i < e->arrivals.n; i++) {
        struct group_state *g = &e->groups[e->arrivals.rule[i].group];
        struct rule_state *r = &g->rules[e->arrivals.rule[i].rule];
        while (timer_due_ms(e, g, r) <= e->now_ms) {
            int64_t before = r->timer_ms;
            int rc = arrive(e, g, r, before);
            failed = rc < 0 ? rc : failed;
            if (r->timer_ms == before)
                break;
        }
    }
    return failed;
}

// What the last advance handed out is let go of.
static void begin(struct engine *e, int64_t now_ms)
{
    retired_free(e, e->ended);
    e->ended = NULL;
    e->out.n = 0;
    if (now_ms > e->now_ms || !e->started)
        e->now_ms = now_ms;
    e->started = true;
    for (size_t i = 0; e->sweep && i < e->n_groups; i++)
        for (size_t k = 0; k < e->groups[i].group->n_rules; k++)
            alert_set_sweep(&e->groups[i].rules[k].alerts);
    e->sweep = false;
}

int engine_advance(struct engine *e, int64_t now_ms, struct transitions *ret)
{
    begin(e, now_ms);
    for (size_t i = 0; i < e->n_groups; i++) {
        struct group_state *g = &e->groups[i];
        if (g->next_ms == INT64_MIN)
            g->next_ms = floor_to(e->now_ms + g->interval_ms - 1, g->interval_ms);
    }
    int rc = retired_end(e, e->now_ms);
    int mapped = 0, ran = 0;
    // What one rule wrote may be what another waits for.
    for (int round = 0; round == 0 || (e->chained && round < CHAIN_MAX); round++) {
        e->chained = false;
        mapped = arrivals_refresh(e);
        ran = run_due(e); // what failed in the round before was tried again
    }
    *ret = (struct transitions){e->out.t, e->out.n};
    return rc < 0 ? rc : mapped < 0 ? mapped : ran;
}

int engine_tick(struct engine *e, int64_t t_ms, struct transitions *ret)
{
    begin(e, t_ms);
    int failed = retired_end(e, t_ms);
    for (size_t i = 0; i < e->n_groups; i++) {
        e->groups[i].next_ms = t_ms;
        int rc = tick(e, &e->groups[i], t_ms);
        failed = rc < 0 ? rc : failed;
    }
    e->n_fresh = 0; // nothing waits for arrivals here
    *ret = (struct transitions){e->out.t, e->out.n};
    return failed;
}

static void status_of(
    const struct group_state *g, const struct rule_state *r, struct rule_status *s)
{
    *s = (struct rule_status){.group = g->group,
        .rule = r->rule,
        .health = !r->evaluations ? "unknown"
                  : r->failed     ? "err"
                                  : "ok",
        .error = r->error,
        .last_ms = r->last_ms,
        .last_ns = r->last_ns,
        .total_ns = r->total_ns,
        .evaluations = r->evaluations,
        .missed = g->missed,
        .elements = r->elements};
    for (size_t i = 0; i < r->alerts.n; i++) {
        enum alert_state state = r->alerts.slot[i]->a.state;
        s->pending += state == ALERT_PENDING;
        s->firing += state == ALERT_FIRING;
        if (state > s->state)
            s->state = state;
    }
}

void engine_each_rule(
    const struct engine *e, bool (*fn)(void *ctx, const struct rule_status *s), void *ctx)
{
    for (size_t i = 0; i < e->n_groups; i++)
        for (size_t k = 0; k < e->groups[i].group->n_rules; k++) {
            struct rule_status s;
            status_of(&e->groups[i], &e->groups[i].rules[k], &s);
            if (!fn(ctx, &s))
                return;
        }
}

void engine_each_alert(const struct engine *e,
    bool (*fn)(
        void *ctx, const struct rule_group *g, const struct rule *r, const struct alert *a),
    void *ctx)
{
    for (size_t i = 0; i < e->n_groups; i++)
        for (size_t k = 0; k < e->groups[i].group->n_rules; k++) {
            const struct rule_state *r = &e->groups[i].rules[k];
            for (size_t a = 0; a < r->alerts.n; a++)
                if (!fn(ctx, e->groups[i].group, r->rule, &r->alerts.slot[a]->a))
                    return;
        }
}
