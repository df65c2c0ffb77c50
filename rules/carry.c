// SPDX-License-Identifier: Apache-2.0
// A new set of rules takes over: unchanged rules keep their alerts and series, the rest ends.
#include "rules/engine_state.h"
#include <errno.h>
#include <stdlib.h>

static void rule_state_done(struct engine *e, struct rule_state *r)
{
    rule_readings_close(e, r);
    selections_free(r->selections);
    alert_set_done(&r->alerts);
    recorded_done(&r->recorded);
}

void group_states_free(struct engine *e, struct group_state *g, size_t n)
{
    for (size_t i = 0; g && i < n; i++) {
        for (size_t k = 0; g[i].rules && k < g[i].group->n_rules; k++)
            rule_state_done(e, &g[i].rules[k]);
        free(g[i].rules);
    }
    free(g);
}

static bool same_labels(const struct rule *a, const struct rule *b)
{
    if (a->n_labels != b->n_labels)
        return false;
    for (size_t i = 0; i < a->n_labels; i++)
        if (strcmp(a->labels[i].name, b->labels[i].name) != 0 ||
            strcmp(a->labels[i].text, b->labels[i].text) != 0)
            return false;
    return true;
}

static bool same_rule(const struct rule *a, const struct rule *b)
{
    return a->kind == b->kind && !strcmp(a->name, b->name) && same_labels(a, b);
}

// The old rule this one continues: the k-th of its equals is the k-th of theirs.
static struct rule_state *counterpart(
    struct group_state *old, const struct rule_group *g, size_t at)
{
    size_t place = 0;
    for (size_t i = 0; i < at; i++)
        place += same_rule(&g->rules[i], &g->rules[at]);
    for (size_t i = 0; i < old->group->n_rules; i++)
        if (same_rule(old->rules[i].rule, &g->rules[at]) && place-- == 0)
            return &old->rules[i];
    return NULL;
}

static struct group_state *old_group(struct engine *e, const struct rule_group *g)
{
    for (size_t i = 0; i < e->n_groups; i++)
        if (!strcmp(e->groups[i].group->name, g->name) &&
            !strcmp(e->groups[i].group->file ? e->groups[i].group->file : "",
                g->file ? g->file : ""))
            return &e->groups[i];
    return NULL;
}

// Moves what is worth keeping; nothing here can fail.
static void carry(struct engine *e, struct group_state *groups, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct group_state *g = &groups[i], *old = old_group(e, g->group);
        if (!old)
            continue;
        if (old->interval_ms == g->interval_ms) {
            g->next_ms = old->next_ms;
            g->missed = old->missed;
        }
        g->last_tick_ms = old->last_tick_ms;
        for (size_t k = 0; k < g->group->n_rules; k++) {
            struct rule_state *to = &g->rules[k], *from = counterpart(old, g->group, k);
            if (!from || to->disabled)
                continue;
            to->alerts = from->alerts;
            to->recorded = from->recorded;
            to->last_ms = from->last_ms;
            to->last_ns = from->last_ns;
            to->total_ns = from->total_ns;
            to->evaluations = from->evaluations;
            to->tried_ms = from->tried_ms;
            to->drained_ms = from->drained_ms;
            to->dirty_ms = from->dirty_ms;
            to->urgent = from->urgent;
            to->retry_ms = from->retry_ms;
            // Its annotations are the old rule's: no value equals this, so they are made anew.
            for (size_t a = 0; a < to->alerts.n; a++)
                to->alerts.slot[a]->value_bits = NAN_ABSENT_BITS;
            from->alerts = (struct alert_set){0};
            from->recorded = (struct recorded){0};
            rule_set_timer(to);
        }
    }
}

static int rule_open(struct engine *e, const struct group_state *g, struct rule_state *r)
{
    if (!engine_is_batch(e))
        return rule_readings_open(e, g, r);
    r->selections = selections_new(&r->rule->expr);
    return r->selections ? 0 : -ENOMEM;
}

int engine_load(struct engine *e, struct ruleset *set)
{
    size_t n = set->n_groups;
    ruleset_identify(set);
    struct arrivals arrivals = {0};
    struct group_state *groups = calloc(n ? n : 1, sizeof(*groups));
    struct retired *old = calloc(1, sizeof(*old));
    if (!groups || !old)
        goto oom;
    for (size_t i = 0; i < n; i++) {
        struct group_state *g = &groups[i];
        g->group = &set->groups[i];
        g->interval_ms = g->group->interval_ms ? g->group->interval_ms : e->o.interval_ms;
        g->next_ms = INT64_MIN;
        g->last_tick_ms = INT64_MIN;
        g->rules = calloc(g->group->n_rules ? g->group->n_rules : 1, sizeof(*g->rules));
        if (!g->rules)
            goto oom;
        for (size_t k = 0; k < g->group->n_rules; k++) {
            struct rule_state *r = &g->rules[k];
            r->rule = &g->group->rules[k];
            r->disabled = r->rule->disabled;
            r->on_arrival_too = !r->disabled && r->rule->evaluate == EVALUATE_ARRIVAL;
            r->records = r->rule->kind == RULE_RECORD;
            r->dirty_ms = r->drained_ms = r->tried_ms = r->retry_ms = INT64_MIN;
            r->timer_ms = NEVER;
        }
        // What did not change is found in the plans, because the old rules are still there.
        for (size_t k = 0; k < g->group->n_rules; k++)
            if (rule_open(e, g, &g->rules[k]) < 0)
                goto oom;
    }
    if (arrivals_open(&e->audience, groups, n, &arrivals) < 0)
        goto oom;
    carry(e, groups, n);
    for (size_t i = 0; i < e->n_groups; i++)
        for (size_t k = 0; k < e->groups[i].group->n_rules; k++)
            rule_readings_close(e, &e->groups[i].rules[k]);
    *old = (struct retired){e->set, e->groups, e->n_groups, e->retired};
    if (e->set)
        e->retired = old;
    else
        free(old);
    e->set = set;
    e->groups = groups;
    e->n_groups = n;
    arrivals_close(&e->audience, &e->arrivals);
    e->arrivals = arrivals;
    return 0;
oom:
    group_states_free(e, groups, groups ? n : 0);
    free(old);
    return -ENOMEM;
}

// Alerts of rules that are gone become inactive, their series end.
int retired_end(struct engine *e, int64_t t_ms)
{
    while (e->retired) {
        struct retired *r = e->retired;
        for (size_t i = 0; i < r->n_groups; i++)
            for (size_t k = 0; k < r->groups[i].group->n_rules; k++) {
                struct rule_state *s = &r->groups[i].rules[k];
                int rc = alert_set_drop(&s->alerts, r->groups[i].group, s->rule, t_ms, &e->out);
                if (rc < 0)
                    return rc;
                recorded_begin(&s->recorded);
                recorded_end(&s->recorded, &e->src, t_ms);
            }
        e->retired = r->next;
        r->next = e->ended;
        e->ended = r;
    }
    return 0;
}

void retired_free(struct engine *e, struct retired *r)
{
    while (r) {
        struct retired *next = r->next;
        group_states_free(e, r->groups, r->n_groups);
        ruleset_free(r->set);
        free(r);
        r = next;
    }
}
