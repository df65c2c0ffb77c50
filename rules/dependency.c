// SPDX-License-Identifier: Apache-2.0
#include "rules/dependency.h"
#include "rules/parse.h"
#include "rules/rule_text.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(a)   (sizeof(a) / sizeof((a)[0]))
#define CHAIN_TEXT 160

void dependencies_done(struct rule *rule)
{
    for (size_t i = 0; i < rule->n_depends; i++)
        expr_done(&rule->depends[i].selector);
    rule->depends = NULL;
    rule->n_depends = 0;
}

// --- one dependency ------------------------------------------------------------------------------

static bool names(const struct rule_group *g, const struct rule *rule, const char *wanted)
{
    size_t len = strlen(g->name);
    return !strncmp(wanted, g->name, len) && wanted[len] == '/' &&
           !strcmp(wanted + len + 1, rule->name);
}

// group/name of an alert that is there, or a name that one group alone has. False: marked.
static bool read_rule(struct reading *r, const struct yaml_node *n, struct dependency *ret)
{
    const struct rule_group *found = NULL;
    const struct rule *rule = NULL;
    char hint[192] = "";
    bool full = false;
    for (size_t i = 0; i < r->set->n_groups && !full; i++) {
        const struct rule_group *g = &r->set->groups[i];
        for (size_t k = 0; k < g->n_rules && !full; k++) {
            const struct rule *x = &g->rules[k];
            if (x->kind != RULE_ALERT || !x->name)
                continue;
            full = names(g, x, n->text);
            if (!full && strcmp(x->name, n->text))
                continue;
            if (!full && found && strcmp(found->name, g->name)) {
                snprintf(hint, sizeof(hint), "%.40s/%.40s or %.40s/%.40s?", found->name,
                    x->name, g->name, x->name);
                continue;
            }
            found = g;
            rule = x;
        }
    }
    if (!found) {
        reading_suggest_rule(r, n->text, hint, sizeof(hint));
        reading_mark(
            r, DIAG_ERROR, n, "T019", hint, "depends_on: no alert rule `%.100s`", n->text);
        return false;
    }
    if (!full && hint[0]) {
        reading_mark(r, DIAG_ERROR, n, "T022", hint,
            "depends_on: more than one group has an alert `%.100s`", n->text);
        return false;
    }
    ret->group = found->name;
    ret->rule = rule->name;
    return true;
}

static bool read_selector(struct reading *r, const struct yaml_node *n, struct dependency *ret)
{
    struct expr_root root;
    if (!reading_expr(r, n, &root))
        return false;
    const struct expr *x = root.root;
    if (x->kind != EXPR_SELECTOR || x->offset_given || x->at != AT_NONE) {
        reading_mark(r, DIAG_ERROR, n, "T021", "e.g. AgentDown{instance=\"db-1\"}",
            "depends_on: `%.100s` is no selector of alerts", n->text);
        expr_done(&root);
        return false;
    }
    ret->selector = root;
    return true;
}

static void read_equal(struct reading *r, const struct yaml_node *n, struct dependency *ret)
{
    static const char *INSTANCE[] = {"instance"};
    ret->equal = INSTANCE;
    ret->n_equal = 1;
    n = reading_seq(r, n, "equal");
    if (!n)
        return;
    ret->n_equal = 0;
    if (n->n > DEPENDENCY_EQUAL_MAX) {
        reading_mark(
            r, DIAG_ERROR, n, "T021", NULL, "equal: more than %d labels", DEPENDENCY_EQUAL_MAX);
        return;
    }
    ret->equal = reading_alloc(r, (n->n + 1) * sizeof(*ret->equal));
    for (size_t i = 0; ret->equal && i < n->n; i++) {
        const struct yaml_node *name = reading_scalar(r, n->items[i], "a label of equal");
        if (!name || !name->len) {
            if (n->items[i]->kind == YAML_NULL || name)
                reading_mark(
                    r, DIAG_ERROR, n->items[i], "T014", NULL, "equal: this is no label name");
            continue;
        }
        const char *copy = reading_copy(r, name->text, name->len);
        if (copy)
            ret->equal[ret->n_equal++] = copy;
    }
}

// A name, a selector, or a map that says one of both and `equal`.
static bool read_one(struct reading *r, const struct yaml_node *n, struct dependency *ret)
{
    static const char *const keys[] = {"rule", "alerts", "equal"};
    const struct yaml_node *rule = NULL, *alerts = NULL;
    ret->at = n;
    if (n->kind == YAML_MAP) {
        size_t errors = r->d->errors;
        if (!reading_map(r, n, "a dependency", keys, COUNT(keys)) || r->d->errors > errors)
            return false;
        rule = reading_scalar(r, yaml_get(n, "rule"), "rule");
        alerts = reading_scalar(r, yaml_get(n, "alerts"), "alerts");
    } else {
        const struct yaml_node *text = reading_scalar(r, n, "a dependency");
        *(text && strchr(text->text, '{') ? &alerts : &rule) = text;
    }
    if (!rule == !alerts) {
        reading_mark(r, DIAG_ERROR, n, "T012", "e.g. {rule: node/AgentDown, equal: [instance]}",
            "a dependency names a `rule` or `alerts`");
        return false;
    }
    read_equal(r, n->kind == YAML_MAP ? yaml_get(n, "equal") : NULL, ret);
    return rule ? read_rule(r, rule, ret) : read_selector(r, alerts, ret);
}

void dependencies_read(struct reading *r, const struct yaml_node *n, struct rule *rule)
{
    dependencies_done(rule);
    n = reading_seq(r, n, "depends_on");
    if (!n || !n->n)
        return;
    if (n->n > DEPENDENCIES_MAX) {
        reading_mark(r, DIAG_ERROR, n, "T021", "a selector stands for many rules",
            "depends_on: more than %d", DEPENDENCIES_MAX);
        return;
    }
    rule->depends = reading_alloc(r, n->n * sizeof(*rule->depends));
    for (size_t i = 0; rule->depends && i < n->n; i++)
        rule->n_depends += read_one(r, n->items[i], &rule->depends[rule->n_depends]);
}

// --- rules that depend on each other -------------------------------------------------------------

struct node {
    const struct rule_group *group;
    const struct rule *rule;
    enum { UNSEEN, OPEN, DONE } state;
};
struct walk {
    struct reading *r;
    struct node *nodes; // rules that depend on something
    size_t n;
    size_t *path;                   // nodes that are open, the way to where we are
    const struct dependency **edge; // by which each goes on
    size_t depth;
};

// Whether it may be about an alert of that rule: all but the name is known only when one fires.
static bool may_be(const struct dependency *d, const struct node *from, const struct node *to)
{
    if (d->rule)
        return !strcmp(d->group, to->group->name) && !strcmp(d->rule, to->rule->name);
    if (!strcmp(from->group->name, to->group->name) &&
        !strcmp(from->rule->name, to->rule->name))
        return false;
    const struct expr *s = d->selector.root;
    for (size_t i = 0; i < s->n_matchers; i++) {
        const struct matcher *m = &s->matchers[i];
        if ((!strcmp(m->name, LABEL_NAME) || !strcmp(m->name, "alertname")) &&
            !matcher_value(m, to->rule->name))
            return false;
    }
    return true;
}

static bool mark_circle(struct walk *w, size_t from)
{
    char chain[CHAIN_TEXT] = "";
    size_t used = 0;
    const struct dependency *at = NULL;
    bool selector = false;
    for (size_t i = from; i <= w->depth; i++) {
        const struct node *x = &w->nodes[w->path[i < w->depth ? i : from]];
        if (used < sizeof(chain))
            used += (size_t)snprintf(chain + used, sizeof(chain) - used, "%s%s/%s",
                i > from ? " -> " : "", x->group->name, x->rule->name);
        if (i == w->depth)
            break;
        // What stood before this document is no circle: it is closed by what it says last.
        if (w->edge[i]->at && (!at || w->edge[i]->at->offset > at->at->offset))
            at = w->edge[i];
        selector = selector || !w->edge[i]->rule;
    }
    if (!at)
        return false;
    if (w->depth - from == 1)
        reading_mark(w->r, DIAG_ERROR, at->at, "T023", NULL, "`%.100s` depends on itself",
            w->nodes[w->path[from]].rule->name);
    else
        reading_mark(w->r, DIAG_ERROR, at->at, "T023",
            selector ? "say in the selector which alerts it means: alertname=~..." : NULL,
            "depends_on goes in a circle, nobody would be told: %s", chain);
    return true;
}

// Depth first, with its stack by hand: as long as the chain of rules is. True: a circle is marked.
static bool walk_from(struct walk *w, size_t start, size_t *next_edge, size_t *next_node)
{
    w->depth = 0;
    w->path[w->depth++] = start;
    next_edge[0] = next_node[0] = 0;
    w->nodes[start].state = OPEN;
    while (w->depth) {
        size_t top = w->depth - 1;
        struct node *x = &w->nodes[w->path[top]];
        if (next_edge[top] == x->rule->n_depends) {
            x->state = DONE;
            w->depth--;
            continue;
        }
        if (next_node[top] == w->n) {
            next_edge[top]++;
            next_node[top] = 0;
            continue;
        }
        const struct dependency *d = &x->rule->depends[next_edge[top]];
        size_t to = next_node[top]++;
        if (w->nodes[to].state == DONE || !may_be(d, x, &w->nodes[to]))
            continue;
        w->edge[top] = d;
        if (w->nodes[to].state == OPEN) {
            size_t from = 0;
            while (w->path[from] != to)
                from++;
            if (mark_circle(w, from))
                return true;
            continue;
        }
        w->nodes[to].state = OPEN;
        w->path[w->depth] = to;
        next_edge[w->depth] = next_node[w->depth] = 0;
        w->depth++;
    }
    return false;
}

void dependencies_check(struct reading *r)
{
    const struct ruleset *s = r->set;
    struct walk w = {.r = r};
    size_t total = 0;
    for (size_t i = 0; i < s->n_groups; i++)
        for (size_t k = 0; k < s->groups[i].n_rules; k++)
            total += s->groups[i].rules[k].n_depends > 0;
    if (!total)
        return;
    w.nodes = calloc(total, sizeof(*w.nodes));
    w.path = calloc(total * 3, sizeof(*w.path));
    w.edge = calloc(total, sizeof(*w.edge));
    r->no_memory |= !w.nodes || !w.path || !w.edge;
    for (size_t i = 0; i < s->n_groups; i++)
        for (size_t k = 0; k < s->groups[i].n_rules; k++)
            if (s->groups[i].rules[k].n_depends && !r->no_memory)
                w.nodes[w.n++] = (struct node){&s->groups[i], &s->groups[i].rules[k], UNSEEN};
    bool marked = false;
    for (size_t i = 0; i < w.n && !marked; i++)
        if (w.nodes[i].state == UNSEEN)
            marked = walk_from(&w, i, w.path + total, w.path + total * 2);
    for (size_t i = 0; i < s->n_groups; i++)
        for (size_t k = 0; k < s->groups[i].n_rules; k++)
            for (size_t d = 0; d < s->groups[i].rules[k].n_depends; d++)
                s->groups[i].rules[k].depends[d].at = NULL;
    free(w.nodes);
    free(w.path);
    free(w.edge);
}
