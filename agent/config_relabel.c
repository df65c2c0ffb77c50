// SPDX-License-Identifier: Apache-2.0
// `relabel_configs` and `metric_relabel_configs` of agent.yaml, wherever they stand.
#include "agent/config_read.h"
#include "agent/relabel.h"
#include "base/num.h"
#include "wire/name.h"
#include <stddef.h>
#include <string.h>

struct reading {
    struct relabel_rule rule;
    bool bad;
};

static void read_string(struct config_reader *r, const struct yaml_node *n, void *to)
{
    const char **ret = to;
    if (!config_scalar(r, n))
        return;
    if (wire_text_ok(n->text, 0, WIRE_VALUE_MAX))
        *ret = config_keep(r, n->text, n->len);
    else
        config_bad(r, n, NULL, "up to %d bytes of UTF-8 are wanted here", WIRE_VALUE_MAX);
}

static void read_action(struct config_reader *r, const struct yaml_node *n, void *to)
{
    struct reading *reading = to;
    if (!config_scalar(r, n) || relabel_action_parse(n->text, &reading->rule.action))
        return;
    const char *names[RELABEL_ACTIONS], *near;
    char hint[96] = "";
    for (int i = 0; i < RELABEL_ACTIONS; i++)
        names[i] = relabel_action_name((enum relabel_action)i);
    near = diag_nearest(n->text, n->len, names, RELABEL_ACTIONS);
    if (near)
        snprintf(hint, sizeof(hint), "did you mean `%s`?", near);
    config_bad(r, n, near ? hint : "replace, keep, drop, hashmod, labelmap ...",
        "`%.40s` is no action", n->text);
    reading->bad = true;
}

static void read_source(struct config_reader *r, const struct yaml_node *n, void *to)
{
    struct reading *reading = to;
    if (n->kind != YAML_SEQ) {
        config_bad(r, n, "e.g. [__name__, job]", "source_labels are a list of names");
        return;
    }
    const char **names = arena_alloc(&r->c->arena, (n->n + 1) * sizeof(*names));
    if (!names) {
        r->oom = true;
        return;
    }
    size_t kept = 0;
    for (size_t i = 0; i < n->n; i++) {
        const struct yaml_node *item = n->items[i];
        if (!config_scalar(r, item))
            continue;
        if (!wire_metric_ok(item->text) || strchr(item->text, ':'))
            config_bad(r, item, NULL, "`%.60s` is not the name of a label", item->text);
        else
            names[kept++] = config_keep(r, item->text, item->len);
    }
    reading->rule.source = names;
    reading->rule.n_source = kept;
}

static void read_modulus(struct config_reader *r, const struct yaml_node *n, void *to)
{
    struct reading *reading = to;
    if (config_scalar(r, n) && !num_parse_u64(n->text, n->len, &reading->rule.modulus))
        config_bad(r, n, NULL, "`%.40s` is not a whole number", n->text);
}

static const struct config_key KEYS[] = {
    {"source_labels", read_source, 0, NULL},
    {"separator", read_string, offsetof(struct reading, rule.separator), NULL},
    {"regex", read_string, offsetof(struct reading, rule.pattern), NULL},
    {"modulus", read_modulus, 0, NULL},
    {"target_label", read_string, offsetof(struct reading, rule.target), NULL},
    {"replacement", read_string, offsetof(struct reading, rule.replacement), NULL},
    {"action", read_action, 0, NULL},
};

static void read_rule(
    struct config_reader *r, const struct yaml_node *n, struct relabel_rule *to)
{
    struct reading reading = {0};
    struct err err = {0};
    const char *key = NULL;
    size_t before = r->d->errors;
    config_section(r, n, KEYS, sizeof(KEYS) / sizeof(KEYS[0]), &reading, "a relabelling rule",
        "e.g. - {source_labels: [__name__], regex: go_.*, action: drop}");
    if (reading.bad || r->oom || r->d->errors > before)
        return;
    if (relabel_rule_ready(&reading.rule, &key, &err) < 0) {
        const struct yaml_node *at = yaml_get(n, key);
        config_bad(r, at ? at : n, NULL, "%s", err.msg);
        return;
    }
    *to = reading.rule;
}

void config_relabel(struct config_reader *r, const struct yaml_node *n, void *to)
{
    struct relabel *ret = to;
    if (n->kind != YAML_SEQ) {
        config_bad(r, n, NULL, "relabelling rules are a list");
        return;
    }
    if (n->n > RELABEL_RULES_MAX) {
        config_bad(
            r, n->items[RELABEL_RULES_MAX], NULL, "more than %d rules", RELABEL_RULES_MAX);
        return;
    }
    struct config_rules *owned = arena_alloc(&r->c->arena, sizeof(*owned));
    struct relabel_rule *rules = arena_alloc(&r->c->arena, (n->n + 1) * sizeof(*rules));
    if (!owned || !rules) {
        r->oom = true;
        return;
    }
    // What fails on the way leaves an empty rule, which is freed like the others.
    *owned = (struct config_rules){.rules = rules, .n = n->n, .next = r->c->rules};
    r->c->rules = owned;
    for (size_t i = 0; i < n->n; i++)
        read_rule(r, n->items[i], &rules[i]);
    *ret = (struct relabel){rules, n->n};
}

void config_free_relabel(struct agent_config *c)
{
    for (struct config_rules *o = c->rules; o; o = o->next)
        for (size_t i = 0; i < o->n; i++)
            relabel_rule_done(&o->rules[i]);
    c->rules = NULL;
}

static void add_field(struct buf *out, const char *before, const char *s)
{
    if (s)
        config_add_value(out, before, s);
}

void config_print_relabel(
    const struct relabel *r, const char *key, const char *indent, struct buf *out)
{
    if (!r->n)
        return;
    buf_addf(out, "\n%s%s:", indent, key);
    for (size_t i = 0; i < r->n; i++) {
        const struct relabel_rule *rule = &r->rules[i];
        buf_addf(out, "\n%s  - {action: %s", indent, relabel_action_name(rule->action));
        for (size_t k = 0; k < rule->n_source; k++)
            buf_addf(out, "%s%s", k ? ", " : ", source_labels: [", rule->source[k]);
        if (rule->n_source)
            buf_adds(out, "]");
        add_field(out, ", separator: ", rule->separator);
        add_field(out, ", regex: ", rule->pattern);
        if (rule->modulus)
            buf_addf(out, ", modulus: %llu", (unsigned long long)rule->modulus);
        add_field(out, ", target_label: ", rule->target);
        add_field(out, ", replacement: ", rule->replacement);
        buf_adds(out, "}");
    }
}
