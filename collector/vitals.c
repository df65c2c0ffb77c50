// SPDX-License-Identifier: Apache-2.0
#include "collector/vitals.h"

static bool count_rule(void *ctx, const struct rule_status *s)
{
    struct vitals_view *t = ctx;
    t->rules++;
    t->unhealthy += s->error && s->error[0];
    if (s->rule->kind == RULE_ALERT) {
        t->firing += s->firing;
        t->pending += s->pending;
    }
    if (s->last_ms > t->evaluated_ms)
        t->evaluated_ms = s->last_ms;
    return true;
}

static bool count_agent(void *ctx, const struct agent_info *a)
{
    struct vitals_view *t = ctx;
    t->up += a->state == LIVENESS_UP;
    t->expected += a->state != LIVENESS_GONE;
    return true;
}

void vitals_record(struct vitals *v, struct pipeline *p, int64_t now_ms, int64_t mono_ms)
{
    struct vitals_view t = {0};
    struct store_stats store;
    int64_t next = pipeline_next(p);
    engine_each_rule(pipeline_engine(p), count_rule, &t);
    pipeline_each_agent(p, count_agent, &t);
    store_stats(pipeline_store(p), &store);
    atomic_store(&v->samples, store.samples);
    atomic_store(&v->rules, t.rules);
    atomic_store(&v->unhealthy, t.unhealthy);
    atomic_store(&v->firing, t.firing);
    atomic_store(&v->pending, t.pending);
    atomic_store(&v->up, t.up);
    atomic_store(&v->expected, t.expected);
    if (t.evaluated_ms) // after a reload all rules may be new: that they were evaluated before holds
        atomic_store(&v->evaluated_ms, t.evaluated_ms);
    atomic_store(&v->late_ms, next < now_ms ? now_ms - next : 0);
    atomic_store(&v->seen_ms, mono_ms);
}

void vitals_read(const struct vitals *v, struct vitals_view *ret)
{
    *ret = (struct vitals_view){.seen_ms = atomic_load(&v->seen_ms),
        .late_ms = atomic_load(&v->late_ms),
        .evaluated_ms = atomic_load(&v->evaluated_ms),
        .samples = atomic_load(&v->samples),
        .rules = atomic_load(&v->rules),
        .unhealthy = atomic_load(&v->unhealthy),
        .firing = atomic_load(&v->firing),
        .pending = atomic_load(&v->pending),
        .up = atomic_load(&v->up),
        .expected = atomic_load(&v->expected)};
}
