// SPDX-License-Identifier: Apache-2.0
#include "rules/lint.h"
#include "base/num.h"
#include "rules/lint_flow.h"
#include "rules/lint_rule.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RULE_ARENA_MAX (64u << 20)
#define KEY_MAX        (4u << 20)

struct lint *lint_new(const struct ruleset *s, const struct lint_options *o)
{
    struct lint *l = calloc(1, sizeof(*l));
    if (!l)
        return NULL;
    l->set = s;
    l->options = *o;
    map_init(&l->recorded);
    map_init(&l->seen);
    arena_init(&l->arena, RULE_ARENA_MAX);
    for (size_t i = 0; i < s->n_groups; i++) {
        for (size_t k = 0; k < s->groups[i].n_rules; k++) {
            struct rule *rule = &s->groups[i].rules[k];
            if (rule->kind == RULE_RECORD && rule->name &&
                !map_get(&l->recorded, rule->name, strlen(rule->name)) &&
                map_set(&l->recorded, rule->name, strlen(rule->name), rule) < 0) {
                lint_free(l);
                return NULL;
            }
        }
    }
    return l;
}

void lint_free(struct lint *l)
{
    if (!l)
        return;
    map_done(&l->recorded);
    map_done(&l->seen);
    arena_done(&l->arena);
    free(l);
}

// --- alerts ----------------------------------------------------------------------------------
// Series that say by being there, not by their value: alerts, and info series that are picked by
// what their labels tell.
static bool is_fact(const struct expr *e)
{
    size_t len = e->name ? strlen(e->name) : 0;
    if (len == 0)
        return false;
    bool info = (len > 5 && !strcmp(e->name + len - 5, "_info")) ||
                (len > 9 && !strcmp(e->name + len - 9, "_metadata"));
    return !strcmp(e->name, "ALERTS") || (info && e->n_matchers > 1);
}

// Whether what comes out depends on more than that there is a series: on a value, or on another
// series being there or not.
static bool filters(const struct expr *e)
{
    switch (e->kind) {
    case EXPR_SELECTOR: return is_fact(e);
    case EXPR_NUMBER:
    case EXPR_STRING: return false;
    case EXPR_CALL:
        if (e->fn->id == FN_ABSENT || e->fn->id == FN_ABSENT_OVER_TIME)
            return true;
        for (size_t i = 0; i < e->n_args; i++)
            if (filters(e->args[i]))
                return true;
        return false;
    case EXPR_BINARY:
        if (e->op >= OP_EQ && e->op <= OP_LE && !e->return_bool)
            return true;
        if (e->op == OP_OR)
            return filters(e->lhs) && filters(e->rhs);
        return e->op == OP_UNLESS || filters(e->lhs) || filters(e->rhs);
    case EXPR_AGGREGATE:
    case EXPR_MATRIX:
    case EXPR_SUBQUERY:
    case EXPR_UNARY:
    case EXPR_PAREN: return filters(e->lhs);
    }
    return true;
}

static void always(struct lint *l, const struct expr *e)
{
    // vector(1) and its like are heartbeats: to fire always is what they are for.
    if (filters(e) || !lint_reads_series(e))
        return;
    const struct expr *bare = lint_bare(e);
    bool is_bool = bare->kind == EXPR_BINARY && bare->return_bool;
    LINT_EXPR(l, "T214", e, is_bool ? "leave `bool` out" : "compare it with something: ... > 0",
        is_bool ? "this alert fires for 0 as well as for 1: `bool` filters nothing"
                : "this alert fires for every series there is, whatever its value");
}

static void one_text(struct lint *l, const struct label_flow *flow, const struct rule_text *t,
    const struct yaml_node *texts)
{
    const struct yaml_node *value = texts ? yaml_get(texts, t->name) : NULL;
    if (!t->tmpl || !value || value->kind != YAML_SCALAR)
        return;
    for (const struct template_label *u = template_labels(t->tmpl); u; u = u->next) {
        bool own = false;
        if (label_flow_has(flow, u->name))
            continue;
        for (size_t i = 0; i < l->site->rule->n_labels; i++)
            own |= !strcmp(l->site->rule->labels[i].name, u->name);
        site_warn(l->site, "T215", value, u->at, u->at + strlen(u->name),
            own ? "labels of the rule itself are not among $labels" : "keep it: by (...)",
            "the expression's result has no label `%.60s`: this is empty", u->name);
    }
}

static void texts(struct lint *l)
{
    const struct rule_site *s = l->site;
    const struct yaml_node *labels = yaml_get(s->node, "labels"),
                           *annotations = yaml_get(s->node, "annotations");
    struct label_flow flow;
    if (!label_flow(&l->arena, s->rule->expr.root, &flow)) {
        l->no_memory = true;
        return;
    }
    for (size_t i = 0; i < s->rule->n_labels; i++)
        one_text(l, &flow, &s->rule->labels[i], labels);
    for (size_t i = 0; i < s->rule->n_annotations; i++)
        one_text(l, &flow, &s->rule->annotations[i], annotations);
}

static void duration(struct lint *l)
{
    const struct rule_site *s = l->site;
    const struct yaml_node *at = yaml_get(s->node, "for");
    char interval[NUM_TEXT_MAX], given[NUM_TEXT_MAX];
    if (s->rule->for_ms <= 0 || s->rule->for_ms >= s->group->interval_ms || !at)
        return;
    duration_print(s->group->interval_ms, interval);
    duration_print(s->rule->for_ms, given);
    site_warn(s, "T219", at, 0, at->len, "",
        "the group is evaluated every %s: `for: %s` takes a whole interval all the same",
        interval, given);
}

static const char *file_of(const struct ruleset *s, const struct rule *rule)
{
    for (size_t i = 0; i < s->n_groups; i++) {
        const struct rule_group *g = &s->groups[i];
        for (size_t k = 0; k < g->n_rules; k++)
            if (&g->rules[k] == rule)
                return g->file;
    }
    return "";
}

// The same alert with the same labels on the same expression.
static void twice(struct lint *l)
{
    const struct rule *rule = l->site->rule;
    const struct yaml_node *name = yaml_get(l->site->node, "alert");
    struct buf key;
    buf_init(&key, KEY_MAX);
    buf_adds(&key, rule->name);
    for (size_t i = 0; i < rule->n_labels; i++)
        buf_addf(&key, "%c%s%c%s", 0, rule->labels[i].name, 0, rule->labels[i].text);
    buf_addc(&key, 0);
    expr_print(rule->expr.root, &key);
    struct rule *first = key.failed ? NULL : map_get(&l->seen, key.data, key.len);
    if (first && name)
        site_warn(l->site, "T220", name, 0, name->len, "one of them is enough",
            "the same alert with the same expression stands at %.100s:%d already",
            file_of(l->set, first), first->line);
    else if (key.failed == -ENOMEM)
        l->no_memory = true;
    else if (!key.failed && map_set(&l->seen, key.data, key.len,
                                &l->site->group->rules[rule - l->site->group->rules]) < 0)
        l->no_memory = true;
    buf_done(&key);
}

static int visit(void *ctx, const struct rule_site *site)
{
    struct lint *l = ctx;
    l->site = site;
    arena_reset(&l->arena);
    lint_expr(l, site->rule->expr.root);
    if (site->rule->kind == RULE_ALERT && site->rule->name) {
        always(l, site->rule->expr.root);
        texts(l);
        duration(l);
        twice(l);
    }
    site_forgive(site);
    return l->no_memory ? -ENOMEM : 0;
}

int lint_file(struct lint *l, const char *file, const char *text, size_t len, struct diags *d)
{
    return ruleset_sites(l->set, file, text, len, d, visit, l);
}
