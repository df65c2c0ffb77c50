// SPDX-License-Identifier: Apache-2.0
// The clocks of the engine, each with its plan: what is evaluated on it only moves forward.
#include "rules/engine_state.h"
#include <errno.h>
#include <stdlib.h>

// A node may be larger than a result: sum(rate(x[5m])) reads all of x.
#define NODE_ELEMENTS_MAX 1000000

static struct engine_clock *clock_get(struct engine *e, bool arrival, int64_t offset_ms)
{
    struct engine_clock *c = e->clocks;
    while (c && (c->arrival != arrival || c->offset_ms != offset_ms))
        c = c->next;
    if (c)
        return c;
    struct eval_options eo = engine_eval_options(e);
    c = calloc(1, sizeof(*c));
    if (!c)
        return NULL;
    c->arrival = arrival;
    c->offset_ms = offset_ms;
    c->plan = plan_new(&e->src, &eo);
    if (!c->plan) {
        free(c);
        return NULL;
    }
    plan_limit(c->plan, e->o.node_elements_max ? e->o.node_elements_max : NODE_ELEMENTS_MAX);
    c->next = e->clocks;
    e->clocks = c;
    return c;
}

static void clock_release(struct engine *e, struct engine_clock *c)
{
    if (c->expressions)
        return;
    for (struct engine_clock **at = &e->clocks; *at; at = &(*at)->next)
        if (*at == c) {
            *at = c->next;
            break;
        }
    plan_free(c->plan);
    free(c);
}

static int reading_open(struct engine *e, const struct group_state *g,
    const struct rule_state *r, bool arrival, struct reading *ret)
{
    struct engine_clock *c = clock_get(e, arrival, g->group->query_offset_ms);
    if (!c)
        return -ENOMEM;
    int rc = plan_add(c->plan, &r->rule->expr, &ret->x);
    if (rc < 0) {
        clock_release(e, c);
        return rc;
    }
    ret->clock = c;
    ret->quiet = 0;
    c->expressions++;
    return 0;
}

static void reading_close(struct engine *e, struct reading *r)
{
    if (!r->x)
        return;
    plan_remove(r->clock->plan, r->x);
    r->clock->expressions--;
    clock_release(e, r->clock);
    *r = (struct reading){0};
}

int rule_readings_open(struct engine *e, const struct group_state *g, struct rule_state *r)
{
    if (engine_is_batch(e) || r->disabled)
        return 0;
    int rc = reading_open(e, g, r, false, &r->on_grid);
    if (rc == 0 && r->on_arrival_too)
        rc = reading_open(e, g, r, true, &r->on_arrival);
    return rc;
}

void rule_readings_close(struct engine *e, struct rule_state *r)
{
    reading_close(e, &r->on_grid);
    reading_close(e, &r->on_arrival);
}

// The watcher of the source: every sample is told to every plan, and what a rule writes to those that
// wait for arrivals.
void engine_sample(void *engine, uint32_t id, int64_t t_ms, double v)
{
    struct engine *e = engine;
    for (struct engine_clock *c = e->clocks; c; c = c->next)
        plan_sample(c->plan, id, t_ms, v);
    if (t_ms == INT64_MAX)
        arrival_forget(e);
    else if (e->writer && t_ms != INT64_MIN)
        engine_feed(e, id, t_ms, e->writer->urgent);
}

void engine_plan_stats(const struct engine *e, struct plan_stats *ret)
{
    *ret = (struct plan_stats){0};
    for (const struct engine_clock *c = e->clocks; c; c = c->next) {
        struct plan_stats one;
        plan_stats(c->plan, &one);
        ret->nodes += one.nodes;
        ret->leaves += one.leaves;
        ret->elements += one.elements;
        ret->bytes += one.bytes;
        ret->reads += one.reads;
        ret->batch_reads += one.batch_reads;
        ret->computed += one.computed;
        ret->kept += one.kept;
        ret->selects += one.selects;
    }
}
