// SPDX-License-Identifier: Apache-2.0
#include "rules/file.h"
#include "base/map.h"
#include "base/num.h"
#include "rules/parse.h"
#include "rules/rule_text.h"
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SET_ARENA_MAX  (1u << 30)
#define YAML_ARENA_MAX (512u << 20)
#define COUNT(a)       (sizeof(a) / sizeof((a)[0]))

struct ruleset *ruleset_new(void)
{
    struct ruleset *s = calloc(1, sizeof(*s));
    if (s)
        arena_init(&s->arena, SET_ARENA_MAX);
    return s;
}

void rule_group_done(struct rule_group *g)
{
    for (size_t k = 0; k < g->n_rules; k++) {
        dependencies_done(&g->rules[k]);
        expr_done(&g->rules[k].expr);
    }
}

void ruleset_free(struct ruleset *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->n_groups; i++)
        rule_group_done(&s->groups[i]);
    arena_done(&s->arena);
    free(s);
}

static const struct yaml_node *filled(
    struct reading *r, const struct yaml_node *rule, const char *key)
{
    const struct yaml_node *n = reading_scalar(r, yaml_get(rule, key), key);
    return n && n->len ? n : NULL;
}

static const struct yaml_node *key_of(const struct yaml_node *map, const char *key)
{
    for (size_t i = 0; i < map->n; i++)
        if (!strcmp(map->keys[i]->text, key))
            return map->keys[i];
    return map;
}

static void check_record_name(struct reading *r, const struct yaml_node *n)
{
    if (strpbrk(n->text, "{}"))
        reading_mark(r, DIAG_ERROR, n, "T014",
            "labels go under `labels:`, a query under `expr:`",
            "`%.60s` cannot be recorded: braces in a metric name", n->text);
    else if (!metric_name_plain(n->text))
        reading_mark(r, DIAG_WARNING, n, "T203", "Prometheus 2 refuses it",
            "`%.60s` is a metric name that needs quotes in expressions", n->text);
}

static void read_kind(struct reading *r, const struct yaml_node *node, struct rule *rule)
{
    const struct yaml_node *alert = filled(r, node, "alert"),
                           *record = filled(r, node, "record");

    rule->kind = record && !alert ? RULE_RECORD : RULE_ALERT;
    rule->line = node->line;
    if (alert && record) {
        const struct yaml_node *a = key_of(node, "alert"), *b = key_of(node, "record");
        reading_mark(r, DIAG_ERROR, a->offset > b->offset ? a : b, "T015", "make it two rules",
            "a rule is an `alert` or a `record`, not both");
    }
    const struct yaml_node *name = alert ? alert : record;
    if (!name) {
        reading_mark(
            r, DIAG_ERROR, node, "T012", NULL, "a rule needs `alert` or `record` with a name");
        return;
    }
    rule->line = key_of(node, alert ? "alert" : "record")->line;
    rule->name = reading_copy(r, name->text, name->len);
    if (record && !alert)
        check_record_name(r, record);
}

// What only an alert may have, with what it means to say it is not empty.
static void alerts_only(
    struct reading *r, const struct yaml_node *node, const char *key, bool given)
{
    char msg[128];
    if (!given)
        return;
    snprintf(msg, sizeof(msg), "`%s` makes no sense in a recording rule", key);
    reading_mark(r, DIAG_ERROR, key_of(node, key), "T015", NULL, "%s", msg);
}

static void read_rule(struct reading *r, const struct yaml_node *node, struct rule *rule)
{
    static const char *const keys[] = {
        "record", "alert", "expr", "for", "keep_firing_for", "labels", "annotations"};

    if (node->kind == YAML_NULL) {
        reading_mark(
            r, DIAG_ERROR, node, "T012", NULL, "a rule needs `alert` or `record` with a name");
        return;
    }
    if (!reading_map(r, node, "a rule", keys, COUNT(keys)))
        return;
    read_kind(r, node, rule);
    const struct yaml_node *expr = reading_scalar(r, yaml_get(node, "expr"), "expr");
    const struct yaml_node *given = yaml_get(node, "expr");
    if (expr && expr->len)
        reading_expr(r, expr, &rule->expr);
    else if (!given || given->kind == YAML_NULL || given->kind == YAML_SCALAR)
        reading_mark(r, DIAG_ERROR, given ? key_of(node, "expr") : node, "T012", NULL,
            "a rule needs `expr`");
    rule->for_ms = reading_duration(r, yaml_get(node, "for"), "for");
    rule->keep_firing_for_ms =
        reading_duration(r, yaml_get(node, "keep_firing_for"), "keep_firing_for");
    bool alert = rule->kind == RULE_ALERT;
    reading_texts(
        r, yaml_get(node, "labels"), "labels", alert, true, &rule->labels, &rule->n_labels);
    reading_texts(r, yaml_get(node, "annotations"), "annotations", alert, false,
        &rule->annotations, &rule->n_annotations);
    if (alert)
        return;
    alerts_only(r, node, "for", rule->for_ms != 0);
    alerts_only(r, node, "keep_firing_for", rule->keep_firing_for_ms != 0);
    alerts_only(r, node, "annotations", rule->n_annotations != 0);
}

static size_t read_limit(struct reading *r, const struct yaml_node *n)
{
    uint64_t v = 0;
    n = reading_scalar(r, n, "limit");
    if (!n)
        return 0;
    // Prometheus takes a negative number as no limit.
    bool negative = n->text[0] == '-';
    // YAML's numbers: 1e3 is whole too.
    double d;
    bool whole = num_parse_u64(n->text + negative, n->len - negative, &v);
    if (!whole && num_parse(n->text + negative, n->len - negative, &d) && d >= 0 && d < 9e15 &&
        d == floor(d)) {
        v = (uint64_t)d;
        whole = true;
    }
    if (!whole || v > INT64_MAX) {
        reading_mark(
            r, DIAG_ERROR, n, "T018", NULL, "limit: `%.60s` is not a whole number", n->text);
        return 0;
    }
    return negative ? 0 : (size_t)v;
}

static void read_group(struct reading *r, const struct yaml_node *node, struct rule_group *g)
{
    static const char *const keys[] = {
        "name", "interval", "query_offset", "limit", "labels", "rules"};

    g->file = r->file;
    g->line = node->line;
    g->name = "";
    if (node->kind != YAML_NULL && !reading_map(r, node, "a group", keys, COUNT(keys)))
        return;
    const struct yaml_node *name = filled(r, node, "name");
    if (name)
        g->name = reading_copy(r, name->text, name->len);
    else
        reading_mark(r, DIAG_ERROR, node, "T012", NULL, "a group needs a `name`");
    g->interval_ms = reading_duration(r, yaml_get(node, "interval"), "interval");
    g->query_offset_ms = reading_duration(r, yaml_get(node, "query_offset"), "query_offset");
    g->limit = read_limit(r, yaml_get(node, "limit"));
    reading_texts(r, yaml_get(node, "labels"), "labels", true, true, &g->labels, &g->n_labels);
    const struct yaml_node *rules = reading_seq(r, yaml_get(node, "rules"), "rules");
    if (!rules || r->no_memory)
        return;
    g->rules = reading_alloc(r, (rules->n ? rules->n : 1) * sizeof(*g->rules));
    for (size_t i = 0; g->rules && i < rules->n && !r->no_memory; i++)
        read_rule(r, rules->items[i], &g->rules[g->n_rules++]);
}

static bool same_labels(const struct rule *a, const struct rule *b)
{
    if (a->n_labels != b->n_labels)
        return false;
    for (size_t i = 0; i < a->n_labels; i++)
        if (strcmp(a->labels[i].name, b->labels[i].name) ||
            strcmp(a->labels[i].text, b->labels[i].text))
            return false;
    return true;
}

// Recording rules of a group that write the same series.
static void check_group(const struct rule_group *g, struct diags *d)
{
    struct map names;
    map_init(&names);
    for (size_t i = 0; i < g->n_rules; i++) {
        struct rule *rule = &g->rules[i];
        if (!rule->name || rule->kind != RULE_RECORD)
            continue;
        const struct rule *first = map_get(&names, rule->name, strlen(rule->name));
        if (first && same_labels(first, rule))
            diags_add(d, DIAG_WARNING, "T202", rule->line, 1, 1, "their samples may collide",
                "`%.60s` is recorded twice with the same labels, first at line %d", rule->name,
                first->line);
        else if (!first && map_set(&names, rule->name, strlen(rule->name), rule) < 0)
            break;
    }
    map_done(&names);
}

static bool room_for_groups(struct reading *r, size_t more)
{
    struct ruleset *s = r->set;
    if (s->n_groups + more <= s->cap_groups)
        return true;
    size_t cap =
        s->cap_groups * 2 > s->n_groups + more ? s->cap_groups * 2 : s->n_groups + more;
    struct rule_group *groups = reading_alloc(r, cap * sizeof(*groups));
    if (!groups)
        return false;
    if (s->n_groups)
        memcpy(groups, s->groups, s->n_groups * sizeof(*groups));
    s->groups = groups;
    s->cap_groups = cap;
    return true;
}

static void read_groups(struct reading *r, const struct yaml_node *list)
{
    struct ruleset *s = r->set;
    size_t at = 0, n = list->n;

    if (n == 0 || !room_for_groups(r, n))
        return;
    while (at < s->n_groups && strcmp(s->groups[at].file, r->file) <= 0)
        at++;
    memmove(&s->groups[at + n], &s->groups[at], (s->n_groups - at) * sizeof(*s->groups));
    memset(&s->groups[at], 0, n * sizeof(*s->groups));
    for (size_t i = 0; i < n; i++) {
        s->groups[at + i].file = r->file;
        s->groups[at + i].name = "";
    }
    s->n_groups += n;
    struct map names;
    map_init(&names);
    for (size_t i = 0; i < n && !r->no_memory; i++) {
        struct rule_group *g = &s->groups[at + i];
        read_group(r, list->items[i], g);
        check_group(g, r->d);
        if (!g->name || !g->name[0])
            continue;
        const struct rule_group *first = map_get(&names, g->name, strlen(g->name));
        const struct yaml_node *name = yaml_get(list->items[i], "name");
        if (first)
            reading_mark(r, DIAG_ERROR, name, "T016", NULL,
                "group `%.60s` stands in this file already, line %d", g->name, first->line);
        else if (map_set(&names, g->name, strlen(g->name), g) < 0)
            r->no_memory = true;
    }
    map_done(&names);
}

// Documents that people take for rule files: told once, not key by key.
static bool another_document(struct reading *r, const struct yaml_node *root)
{
    if (root->kind != YAML_MAP || yaml_get(root, "groups"))
        return false;
    const struct yaml_node *spec = yaml_get(root, "spec");
    if (yaml_get(root, "kind") && spec && spec->kind == YAML_MAP && yaml_get(spec, "groups"))
        reading_mark(r, DIAG_ERROR, key_of(root, "spec"), "T010",
            "a rule file begins with the `groups:` that stand in it",
            "this is a resource of Kubernetes, not a rule file");
    else if (yaml_get(root, "rule_files") && yaml_get(root, "tests"))
        reading_mark(r, DIAG_ERROR, key_of(root, "rule_files"), "T010",
            "tocsin rules test runs it", "this is a file of unit tests, not of rules");
    else
        return false;
    return true;
}

int ruleset_add(
    struct ruleset *s, const char *file, const char *text, size_t len, struct diags *d)
{
    static const char *const keys[] = {"groups"};
    struct reading r = {.set = s, .text = text, .len = len, .d = d};
    size_t errors = d->errors;
    struct arena tree;

    if (len > RULE_FILE_MAX) {
        diags_add(d, DIAG_ERROR, "T020", 1, 1, 1, NULL, "the file is larger than %u MiB",
            RULE_FILE_MAX >> 20);
        return -EINVAL;
    }
    arena_init(&tree, YAML_ARENA_MAX);
    r.file = reading_copy(&r, file, strlen(file));
    const struct yaml_node *root = r.file ? yaml_parse_all(text, len, &tree, d) : NULL;
    if (root && !another_document(&r, root) &&
        reading_map(&r, root, "a rule file", keys, COUNT(keys))) {
        const struct yaml_node *groups = reading_seq(&r, yaml_get(root, "groups"), "groups");
        if (groups)
            read_groups(&r, groups);
    }
    arena_done(&tree);
    if (r.no_memory) {
        diags_add(d, DIAG_ERROR, "T003", 0, 0, 1, NULL, "out of memory while reading rules");
        return -ENOMEM;
    }
    return d->errors > errors ? -EINVAL : 0;
}

void ruleset_check(struct ruleset *s, struct diags *d)
{
    struct map names;
    map_init(&names);
    for (size_t i = 0; i < s->n_groups; i++) {
        struct rule_group *g = &s->groups[i];
        const struct rule_group *first = map_get(&names, g->name, strlen(g->name));
        if (first && strcmp(first->file, g->file))
            diags_add(d, DIAG_WARNING, "T204", 0, 0, 1, "overrides reach both",
                "group `%.60s` of %.60s also stands in %.60s", g->name, g->file, first->file);
        else if (!first && map_set(&names, g->name, strlen(g->name), g) < 0)
            break;
    }
    map_done(&names);
}
