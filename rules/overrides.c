// SPDX-License-Identifier: Apache-2.0
/*
 * The overrides document: fields changed by group/name, so that stock files can stay as they are.
 * Later entries win over earlier ones.
 */
#include "base/num.h"
#include "rules/parse.h"
#include "rules/rule_text.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TREE_ARENA_MAX (512u << 20)
#define COUNT(a)       (sizeof(a) / sizeof((a)[0]))

bool ruleset_is_overrides(const char *text, size_t len)
{
    struct arena tree;
    struct diags ignored;
    bool yes = false;

    if (len > RULE_FILE_MAX)
        return false;
    arena_init(&tree, TREE_ARENA_MAX);
    diags_init(&ignored);
    const struct yaml_node *root = yaml_parse_all(text, len, &tree, &ignored);
    if (root) {
        yes = yaml_get(root, "overrides") != NULL;
    } else {
        // Broken YAML: its mistakes are to be told by the right reader all the same.
        static const char key[] = "overrides:";
        for (const char *at = text;
             !yes && at && (size_t)(text + len - at) >= sizeof(key) - 1;) {
            yes = !memcmp(at, key, sizeof(key) - 1);
            at = memchr(at, '\n', (size_t)(text + len - at));
            at = at ? at + 1 : NULL;
        }
    }
    diags_done(&ignored);
    arena_done(&tree);
    return yes;
}

// "group/name" of every rule, for "did you mean".
static void suggest(struct reading *r, const char *wanted, bool groups, char *hint, size_t size)
{
    const struct ruleset *s = r->set;
    size_t n = 0, total = groups ? s->n_groups : 0;

    hint[0] = '\0';
    for (size_t i = 0; i < s->n_groups && !groups; i++)
        total += s->groups[i].n_rules;
    const char **names = calloc(total ? total : 1, sizeof(*names));
    struct arena text;
    arena_init(&text, TREE_ARENA_MAX);
    for (size_t i = 0; names && i < s->n_groups; i++) {
        const struct rule_group *g = &s->groups[i];
        if (groups) {
            names[n++] = g->name;
            continue;
        }
        for (size_t k = 0; k < g->n_rules; k++) {
            const char *name = g->rules[k].name ? g->rules[k].name : "";
            size_t len = strlen(g->name) + strlen(name) + 2;
            char *both = arena_alloc(&text, len);
            if (!both)
                break;
            snprintf(both, len, "%s/%s", g->name, name);
            names[n++] = both;
            const char *slash = strrchr(wanted, '/');
            if (name[0] && !strcmp(slash ? slash + 1 : wanted, name))
                snprintf(hint, size, "did you mean %.150s?", both);
        }
    }
    const char *near = names ? diag_nearest(wanted, strlen(wanted), names, n) : NULL;
    if (near)
        snprintf(hint, size, "did you mean %.150s?", near);
    arena_done(&text);
    free(names);
}

void reading_suggest_rule(struct reading *r, const char *wanted, char *hint, size_t size)
{
    suggest(r, wanted, false, hint, size);
}

static void set_evaluate(struct reading *r, const struct yaml_node *n, enum evaluate_mode *ret)
{
    n = reading_scalar(r, n, "evaluate");
    if (!n)
        return;
    if (!strcmp(n->text, "arrival"))
        *ret = EVALUATE_ARRIVAL;
    else if (!strcmp(n->text, "interval"))
        *ret = EVALUATE_INTERVAL;
    else
        reading_mark(r, DIAG_ERROR, n, "T021", "interval or arrival",
            "evaluate: unknown mode `%.60s`", n->text);
}

static void set_no_data(struct reading *r, const struct yaml_node *n, enum no_data_policy *ret)
{
    static const char *const NAMES[] = {
        [NO_DATA_KEEP] = "keep", [NO_DATA_RESOLVE] = "resolve", [NO_DATA_ALERT] = "alert"};
    n = reading_scalar(r, n, "no_data");
    for (size_t i = 0; n && i < COUNT(NAMES); i++)
        if (!strcmp(n->text, NAMES[i])) {
            *ret = (enum no_data_policy)i;
            return;
        }
    if (n)
        reading_mark(r, DIAG_ERROR, n, "T021", "keep, resolve or alert",
            "no_data: unknown policy `%.60s`", n->text);
}

static void set_tolerance(struct reading *r, const struct yaml_node *n, uint32_t *ret)
{
    uint64_t count;
    n = reading_scalar(r, n, "for_tolerance");
    if (n && num_parse_u64(n->text, n->len, &count) && count <= 1000000)
        *ret = (uint32_t)count;
    else if (n)
        reading_mark(r, DIAG_ERROR, n, "T021", "how many false evaluations, e.g. 2",
            "for_tolerance: `%.60s` is no count", n->text);
}

// The expression compares a vector with a number, and by which operator seen from the vector.
static bool threshold(const struct expr *x, enum binary_op *ret_op, double *ret_limit)
{
    while (x->kind == EXPR_PAREN)
        x = x->lhs;
    if (x->kind != EXPR_BINARY || x->return_bool)
        return false;
    bool left = x->rhs->kind == EXPR_NUMBER, right = x->lhs->kind == EXPR_NUMBER;
    *ret_op = x->op;
    *ret_limit = left ? x->rhs->number : x->lhs->number;
    if (right) // 5 < x is x > 5
        *ret_op = x->op == OP_LT   ? OP_GT
                  : x->op == OP_LE ? OP_GE
                  : x->op == OP_GT ? OP_LT
                  : x->op == OP_GE ? OP_LE
                                   : x->op;
    return left != right &&
           (*ret_op == OP_GT || *ret_op == OP_GE || *ret_op == OP_LT || *ret_op == OP_LE);
}

static void set_clear(struct reading *r, const struct yaml_node *n, struct rule *rule)
{
    enum binary_op op;
    double limit, clear;
    n = reading_scalar(r, n, "clear");
    if (!n)
        return;
    if (!num_parse(n->text, n->len, &clear)) {
        reading_mark(r, DIAG_ERROR, n, "T021", NULL, "clear: `%.60s` is no number", n->text);
        return;
    }
    if (!threshold(rule->expr.root, &op, &limit)) {
        reading_mark(r, DIAG_ERROR, n, "T021", "e.g. expr: temperature > 90",
            "`clear` needs an expression that compares with one number by >, >=, < or <=");
        return;
    }
    bool above = op == OP_GT || op == OP_GE;
    if (above ? clear > limit : clear < limit) {
        reading_mark(r, DIAG_ERROR, n, "T021", NULL,
            "clear: %g is on the firing side of `%s %g`: the alert would end while it fires",
            clear, op_name(op), limit);
        return;
    }
    rule->has_clear = true;
    rule->clear = clear;
    rule->clear_op = op;
}

static bool set_disable(struct reading *r, const struct yaml_node *n, bool *ret)
{
    n = reading_scalar(r, n, "disable");
    if (!n)
        return false;
    if (strcmp(n->text, "true") && strcmp(n->text, "false")) {
        reading_mark(r, DIAG_ERROR, n, "T021", "true or false", "disable: `%.60s`", n->text);
        return false;
    }
    *ret = n->text[0] == 't';
    return true;
}

// Puts the pairs of `n` into the texts; a null takes one away.
static void merge_texts(struct reading *r, const struct yaml_node *n, const char *what,
    bool templated, bool labels, struct rule_text **texts, size_t *n_texts)
{
    struct rule_text *fresh = NULL;
    size_t n_fresh = 0, used = 0, i = 0, k = 0;

    if (!reading_texts(r, n, what, templated, labels, &fresh, &n_fresh) || !n ||
        n->kind != YAML_MAP)
        return;
    struct rule_text *all = reading_alloc(r, (*n_texts + n_fresh + 1) * sizeof(*all));
    if (!all)
        return;
    while (i < *n_texts || k < n_fresh) {
        int c = i == *n_texts ? 1 : k == n_fresh ? -1 : strcmp((*texts)[i].name, fresh[k].name);
        const struct rule_text *t = c < 0 ? &(*texts)[i] : &fresh[k];
        const struct yaml_node *given = c < 0 ? NULL : yaml_get(n, t->name);
        if (!given || given->kind != YAML_NULL)
            all[used++] = *t;
        i += c <= 0;
        k += c >= 0;
    }
    *texts = all;
    *n_texts = used;
}

static const struct yaml_node *key_of(const struct yaml_node *map, const char *key)
{
    for (size_t i = 0; i < map->n; i++)
        if (!strcmp(map->keys[i]->text, key))
            return map->keys[i];
    return map;
}

static void alerts_only(struct reading *r, const struct yaml_node *set, const char *key)
{
    if (yaml_get(set, key))
        reading_mark(r, DIAG_ERROR, key_of(set, key), "T015", NULL,
            "`%s` makes no sense in a recording rule", key);
}

// A null takes it away.
static void set_flap(struct reading *r, const struct yaml_node *n, struct flap_limit *ret)
{
    static const char *const keys[] = {"window", "max"};
    const char example[] = "e.g. {window: 10m, max: 6}";
    uint64_t max = 0;
    *ret = (struct flap_limit){0};
    if (n->kind == YAML_NULL || !reading_map(r, n, "flap", keys, COUNT(keys)))
        return;
    const struct yaml_node *window = yaml_get(n, "window"), *count = yaml_get(n, "max");
    if (!window || !count) {
        reading_mark(r, DIAG_ERROR, n, "T012", example, "flap needs `window` and `max`");
        return;
    }
    size_t errors = r->d->errors;
    int64_t window_ms = reading_duration(r, window, "window");
    if (r->d->errors == errors && (window_ms <= 0 || window_ms > FLAP_WINDOW_MS))
        reading_mark(r, DIAG_ERROR, window, "T021", example,
            "window: more than nothing, and at most a week");
    count = reading_scalar(r, count, "max");
    if (count && (!num_parse_u64(count->text, count->len, &max) || !max || max > FLAP_MAX))
        reading_mark(r, DIAG_ERROR, count, "T021", example,
            "max: a count from 1 to %d, not `%.60s`", FLAP_MAX, count->text);
    if (r->d->errors == errors && max)
        *ret = (struct flap_limit){window_ms, (uint32_t)max};
}

static void set_rule(struct reading *r, const struct yaml_node *set, struct rule *rule)
{
    static const char *const keys[] = {"evaluate", "for", "keep_firing_for", "labels",
        "annotations", "expr", "clear", "clear_for", "no_data", "depends_on", "flap",
        "for_tolerance"};
    bool alert = rule->kind == RULE_ALERT;

    set = reading_map(r, set, "`set`", keys, COUNT(keys));
    if (!set)
        return;
    set_evaluate(r, yaml_get(set, "evaluate"), &rule->evaluate);
    if (!alert) {
        alerts_only(r, set, "for");
        alerts_only(r, set, "keep_firing_for");
        alerts_only(r, set, "annotations");
        alerts_only(r, set, "clear");
        alerts_only(r, set, "clear_for");
        alerts_only(r, set, "no_data");
        alerts_only(r, set, "for_tolerance");
        alerts_only(r, set, "depends_on");
        alerts_only(r, set, "flap");
    }
    if (yaml_get(set, "for"))
        rule->for_ms = reading_duration(r, yaml_get(set, "for"), "for");
    if (yaml_get(set, "keep_firing_for"))
        rule->keep_firing_for_ms =
            reading_duration(r, yaml_get(set, "keep_firing_for"), "keep_firing_for");
    merge_texts(
        r, yaml_get(set, "labels"), "labels", alert, true, &rule->labels, &rule->n_labels);
    if (alert)
        merge_texts(r, yaml_get(set, "annotations"), "annotations", true, false,
            &rule->annotations, &rule->n_annotations);
    const struct yaml_node *expr = reading_scalar(r, yaml_get(set, "expr"), "expr");
    struct expr_root root;
    if (expr && reading_expr(r, expr, &root)) {
        expr_done(&rule->expr);
        rule->expr = root;
    }
    if (!alert)
        return;
    if (yaml_get(set, "no_data"))
        set_no_data(r, yaml_get(set, "no_data"), &rule->no_data);
    if (yaml_get(set, "for_tolerance"))
        set_tolerance(r, yaml_get(set, "for_tolerance"), &rule->for_tolerance);
    if (yaml_get(set, "clear"))
        set_clear(r, yaml_get(set, "clear"), rule);
    if (yaml_get(set, "depends_on"))
        dependencies_read(r, yaml_get(set, "depends_on"), rule);
    if (yaml_get(set, "flap"))
        set_flap(r, yaml_get(set, "flap"), &rule->flap);
    // To be false for so long is what keep_firing_for asks for.
    int64_t clear_for = yaml_get(set, "clear_for")
                            ? reading_duration(r, yaml_get(set, "clear_for"), "clear_for")
                            : 0;
    if (clear_for > rule->keep_firing_for_ms)
        rule->keep_firing_for_ms = clear_for;
}

static void set_group(struct reading *r, const struct yaml_node *set, struct rule_group *g)
{
    static const char *const keys[] = {"interval", "query_offset", "labels"};
    set = reading_map(r, set, "`set`", keys, COUNT(keys));
    if (!set)
        return;
    if (yaml_get(set, "interval"))
        g->interval_ms = reading_duration(r, yaml_get(set, "interval"), "interval");
    if (yaml_get(set, "query_offset"))
        g->query_offset_ms = reading_duration(r, yaml_get(set, "query_offset"), "query_offset");
    merge_texts(r, yaml_get(set, "labels"), "labels", true, true, &g->labels, &g->n_labels);
}

static bool names_rule(const struct rule_group *g, const struct rule *rule, const char *wanted)
{
    size_t len = strlen(g->name);
    return rule->name && !strncmp(wanted, g->name, len) && wanted[len] == '/' &&
           !strcmp(wanted + len + 1, rule->name);
}

static void apply(
    struct reading *r, const struct yaml_node *item, const struct yaml_node *name, bool group)
{
    struct ruleset *s = r->set;
    const struct yaml_node *set = yaml_get(item, "set");
    bool disable = false, has_disable = set_disable(r, yaml_get(item, "disable"), &disable);
    size_t found = 0, errors = r->d->errors;

    // The same mistake shows once, however many rules of that name there are.
    for (size_t i = 0; i < s->n_groups && r->d->errors == errors; i++) {
        struct rule_group *g = &s->groups[i];
        bool whole = group && !strcmp(g->name, name->text);
        if (whole) {
            set_group(r, set, g);
            found++;
        }
        for (size_t k = 0; k < g->n_rules && r->d->errors == errors; k++) {
            struct rule *rule = &g->rules[k];
            if (!whole && (group || !names_rule(g, rule, name->text)))
                continue;
            if (!group)
                set_rule(r, set, rule);
            if (has_disable)
                rule->disabled = disable;
            found++;
        }
    }
    if (found)
        return;
    char hint[192];
    suggest(r, name->text, group, hint, sizeof(hint));
    reading_mark(r, DIAG_ERROR, name, "T019", hint, "no %s `%.100s`", group ? "group" : "rule",
        name->text);
}

static void read_item(struct reading *r, const struct yaml_node *item)
{
    static const char *const keys[] = {"rule", "group", "set", "disable", "where"};

    if (item->kind == YAML_NULL || !reading_map(r, item, "an override", keys, COUNT(keys)))
        return;
    if (yaml_get(item, "where"))
        reading_mark(
            r, DIAG_ERROR, key_of(item, "where"), "T305", NULL, "`where` is not supported yet");
    const struct yaml_node *rule = reading_scalar(r, yaml_get(item, "rule"), "rule");
    const struct yaml_node *group = reading_scalar(r, yaml_get(item, "group"), "group");
    if (!rule == !group) {
        reading_mark(r, DIAG_ERROR, item, "T012", NULL,
            "an override names a `rule: group/name` or a `group`");
        return;
    }
    if (!yaml_get(item, "set") && !yaml_get(item, "disable"))
        reading_mark(r, DIAG_ERROR, item, "T012", NULL, "an override needs `set` or `disable`");
    apply(r, item, rule ? rule : group, !rule);
}

int ruleset_override(
    struct ruleset *s, const char *file, const char *text, size_t len, struct diags *d)
{
    static const char *const keys[] = {"overrides"};
    struct reading r = {.set = s, .file = file, .text = text, .len = len, .d = d};
    size_t errors = d->errors;
    struct arena tree;

    if (len > RULE_FILE_MAX) {
        diags_add(d, DIAG_ERROR, "T020", 1, 1, 1, NULL, "the file is larger than %u MiB",
            RULE_FILE_MAX >> 20);
        return -EINVAL;
    }
    arena_init(&tree, TREE_ARENA_MAX);
    const struct yaml_node *root = yaml_parse_all(text, len, &tree, d);
    if (root && reading_map(&r, root, "an overrides document", keys, COUNT(keys))) {
        const struct yaml_node *list =
            reading_seq(&r, yaml_get(root, "overrides"), "overrides");
        for (size_t i = 0; list && i < list->n && !r.no_memory; i++)
            read_item(&r, list->items[i]);
        dependencies_check(&r);
    }
    arena_done(&tree);
    if (r.no_memory) {
        diags_add(
            d, DIAG_ERROR, "T003", 0, 0, 1, NULL, "out of memory while reading overrides");
        return -ENOMEM;
    }
    return d->errors > errors ? -EINVAL : 0;
}
