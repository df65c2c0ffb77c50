// SPDX-License-Identifier: Apache-2.0
#include "rules/rule_test_file.h"
#include "base/num.h"
#include "base/when.h"
#include "rules/rule_text.h"
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define TESTS_ARENA_MAX (1u << 30)
#define TREE_ARENA_MAX  (512u << 20)
#define COUNT(a)        (sizeof(a) / sizeof((a)[0]))
#define INTERVAL_MS     60000
#define START_MAX_MS    (INT64_C(253402300800) * 1000) // year 10000

// --- single values -----------------------------------------------------------------------------

static const char *text_of(struct reading *r, const struct yaml_node *n, const char *what)
{
    n = reading_scalar(r, n, what);
    return n ? reading_copy(r, n->text, n->len) : NULL;
}

// A number as Go's YAML reads it: quoted text is none, infinity is .inf, a leading 0 is octal.
static bool number(const struct yaml_node *n, double *ret)
{
    const char *s = n->text + (n->text[0] == '-' || n->text[0] == '+');
    char *end;
    if (n->style != YAML_PLAIN)
        return false;
    if (!strcasecmp(s, ".inf")) {
        *ret = n->text[0] == '-' ? -INFINITY : INFINITY;
        return true;
    }
    if (!strcasecmp(n->text, ".nan")) {
        *ret = NAN;
        return true;
    }
    if (s[0] == '0' && s[1] && strspn(s, "01234567_") == strlen(s)) {
        double v = (double)strtoull(s, &end, 8);
        *ret = n->text[0] == '-' ? -v : v;
        return *end == '\0';
    }
    return (s[0] == '.' || (s[0] >= '0' && s[0] <= '9')) && num_parse(n->text, n->len, ret);
}

static double value_of(struct reading *r, const struct yaml_node *n)
{
    double v = 0;
    n = reading_scalar(r, n, "value");
    if (!n || number(n, &v))
        return v;
    const char *hint = n->style != YAML_PLAIN ? "write it without quotes" : "";
    if (n->style == YAML_PLAIN && strcasestr(n->text, "inf"))
        hint = n->text[0] == '-' ? "YAML writes -.inf" : "YAML writes .inf";
    else if (n->style == YAML_PLAIN && !strcasecmp(n->text, "nan"))
        hint = "YAML writes .nan, but nothing is equal to it: test the expression `x != x`";
    reading_mark(r, DIAG_ERROR, n, "T041", hint, "value: `%.60s` is not a number", n->text);
    return 0;
}

static bool flag_of(struct reading *r, const struct yaml_node *n, const char *what)
{
    static const char *const yes[] = {"true", "yes", "on", "y"};
    static const char *const no[] = {"false", "no", "off", "n"};
    n = reading_scalar(r, n, what);
    for (size_t i = 0; n && n->style == YAML_PLAIN && i < COUNT(yes); i++) {
        if (!strcasecmp(n->text, yes[i]))
            return true;
        if (!strcasecmp(n->text, no[i]))
            return false;
    }
    if (n)
        reading_mark(
            r, DIAG_ERROR, n, "T041", NULL, "%s is true or false, not `%.60s`", what, n->text);
    return false;
}

static int64_t start_of(struct reading *r, const struct yaml_node *n)
{
    int64_t ms;
    double seconds;
    n = reading_scalar(r, n, "start_timestamp");
    if (!n)
        return 0;
    if (num_parse(n->text, n->len, &seconds) && fabs(seconds) < START_MAX_MS / 1e3)
        return (int64_t)(seconds * 1000);
    if (when_parse(n->text, &ms))
        return ms;
    reading_mark(r, DIAG_ERROR, n, "T041", "seconds since 1970, or as 2026-11-25T04:20:00Z",
        "start_timestamp: `%.60s` is not an instant", n->text);
    return 0;
}

// --- maps and lists ----------------------------------------------------------------------------

static void labels_of(
    struct reading *r, const struct yaml_node *n, const char *what, struct labels *ret)
{
    n = reading_map(r, n, what, NULL, 0);
    if (!n || !n->n)
        return;
    struct label *l = reading_alloc(r, n->n * sizeof(*l));
    size_t used = 0;
    for (size_t i = 0; l && i < n->n; i++) {
        const char *name = reading_copy(r, n->keys[i]->text, n->keys[i]->len), *value = "";
        if (n->items[i]->kind != YAML_NULL)
            value = text_of(r, n->items[i], n->keys[i]->text);
        if (name && value)
            l[used++] = (struct label){name, value};
    }
    // Not labels_make: an expected label that is empty must stay, to be seen to be wrong.
    for (size_t i = 1; l && i < used; i++) {
        struct label x = l[i];
        size_t k = i;
        for (; k > 0 && strcmp(l[k - 1].name, x.name) > 0; k--)
            l[k] = l[k - 1];
        l[k] = x;
    }
    *ret = (struct labels){l, used};
}

// Where a list stands and what it holds; an absent one is empty.
static const struct yaml_node *list_of(
    struct reading *r, const struct yaml_node *map, const char *key, size_t size, void *ret)
{
    const struct yaml_node *list = reading_seq(r, yaml_get(map, key), key);
    void *items = list && list->n ? reading_alloc(r, list->n * size) : NULL;
    memcpy(ret, &items, sizeof(items));
    return items ? list : NULL;
}

static void mark_parse(
    struct reading *r, const struct yaml_node *n, const struct parse_error *e)
{
    reading_mark_span(r, n, (size_t)e->start, (size_t)e->end, e->code, e->hint, e->msg);
}

static bool blank(const char *s)
{
    return s[strspn(s, " \t\r\n")] == '\0';
}

/*
 * promtool joins all series to one text, a line each, and stops reading it at an empty line. So a
 * block scalar that ends with a line break makes it overlook all series below: that is told.
 * Returns false when what follows is not to be read.
 */
static bool one_line(struct reading *r, const struct yaml_node *n, bool last, bool more)
{
    const char *newline = strchr(n->text, '\n');
    if (!newline)
        return true;
    size_t at = (size_t)(newline - n->text);
    if (!last || !blank(newline)) {
        reading_mark_span(r, n, at ? at - 1 : 0, at, "T040",
            "fold the lines with >- instead of |", "a series is one line");
        return false;
    }
    if (more)
        reading_mark(r, DIAG_WARNING, n, "T045", "end it with |- or >-",
            "promtool overlooks all series below a line break, and so they are here");
    return !more;
}

static bool read_series(struct reading *r, const struct yaml_node *item, bool more, size_t keep,
    struct test_series *ret, bool *ret_filled)
{
    static const char *const keys[] = {"series", "values"};
    struct parse_error e;

    *ret_filled = false;
    if (!reading_map(r, item, "an input series", keys, COUNT(keys)))
        return true;
    const struct yaml_node *series = reading_scalar(r, yaml_get(item, "series"), "series");
    const struct yaml_node *values = reading_scalar(r, yaml_get(item, "values"), "values");
    if (!series || !series->len) {
        reading_mark(r, DIAG_ERROR, item, "T012", NULL, "an input series needs `series`");
        return true;
    }
    bool go_on = one_line(r, series, false, more);
    int rc = series_labels_parse(series->text, series->len, &r->set->arena, &ret->labels, &e);
    if (rc == -EINVAL)
        mark_parse(r, series, &e);
    r->no_memory |= rc == -ENOMEM;
    *ret_filled = rc == 0;
    if (!values)
        return go_on;
    go_on = one_line(r, values, true, more) && go_on;
    rc = series_values_parse_first(
        values->text, values->len, keep, &r->set->arena, &ret->values, &e);
    if (rc == -EINVAL || rc == -E2BIG)
        mark_parse(r, values, &e);
    r->no_memory |= rc == -ENOMEM;
    return go_on;
}

// Values behind the last tick are never seen.
static void read_input(
    struct reading *r, const struct yaml_node *map, int64_t end_ms, struct test_group *g)
{
    size_t keep = g->interval_ms ? (size_t)(end_ms / g->interval_ms) + 1 : 1;
    const struct yaml_node *list =
        list_of(r, map, "input_series", sizeof(*g->series), &g->series);
    bool go_on = true;
    for (size_t i = 0; list && go_on && i < list->n && !r->no_memory; i++) {
        bool filled;
        go_on = read_series(
            r, list->items[i], i + 1 < list->n, keep, &g->series[g->n_series], &filled);
        g->n_series += filled;
    }
}

// --- what is expected ----------------------------------------------------------------------------

static void read_alerts(struct reading *r, const struct yaml_node *map, struct test_case *c)
{
    static const char *const keys[] = {"exp_labels", "exp_annotations"};
    const struct yaml_node *list =
        list_of(r, map, "exp_alerts", sizeof(*c->expected), &c->expected);
    for (size_t i = 0; list && i < list->n && !r->no_memory; i++) {
        struct rule_test_item *x = &c->expected[c->n_expected++];
        const struct yaml_node *item =
            reading_map(r, list->items[i], "an expected alert", keys, COUNT(keys));
        struct labels named = {0};
        if (item) {
            labels_of(r, yaml_get(item, "exp_labels"), "exp_labels", &named);
            labels_of(r, yaml_get(item, "exp_annotations"), "exp_annotations", &x->annotations);
        }
        struct label *l = reading_alloc(r, (named.n + 1) * sizeof(*l));
        if (!l)
            return;
        size_t n = 0;
        bool put = false;
        for (size_t k = 0; k <= named.n; k++) {
            int order = k < named.n ? strcmp(named.l[k].name, "alertname") : 1;
            if (order >= 0 && !put) {
                l[n++] = (struct label){"alertname", c->what};
                put = true;
            }
            if (k < named.n && order != 0)
                l[n++] = named.l[k];
        }
        x->labels = (struct labels){l, n};
    }
}

static void read_sample(
    struct reading *r, const struct yaml_node *item, struct rule_test_item *x)
{
    static const char *const keys[] = {"labels", "value", "histogram"};
    struct parse_error e;

    if (!reading_map(r, item, "an expected sample", keys, COUNT(keys)))
        return;
    const struct yaml_node *labels = reading_scalar(r, yaml_get(item, "labels"), "labels");
    // Nothing, as for a scalar, is no labels.
    if (labels && !blank(labels->text)) {
        int rc = series_labels_parse(labels->text, labels->len, &r->set->arena, &x->labels, &e);
        if (rc == -EINVAL)
            mark_parse(r, labels, &e);
        r->no_memory |= rc == -ENOMEM;
    }
    const struct yaml_node *h = reading_scalar(r, yaml_get(item, "histogram"), "histogram");
    if (!h || !h->len) {
        x->value = value_of(r, yaml_get(item, "value"));
        return;
    }
    struct series_values v;
    int rc = series_values_parse(h->text, h->len, &r->set->arena, &v, &e);
    if (rc == -EINVAL || rc == -E2BIG) {
        mark_parse(r, h, &e);
        return;
    }
    if (rc == 0 && (v.n != 1 || !v.v[0].h)) {
        reading_mark(r, DIAG_ERROR, h, "T041", "as {{schema:0 count:2 sum:3 buckets:[1 1]}}",
            "histogram: this is not one histogram");
        return;
    }
    struct buf out;
    buf_init(&out, 1u << 20);
    if (rc == 0)
        series_histogram_print(v.v[0].h, &out);
    r->no_memory |= rc == -ENOMEM || out.failed;
    x->histogram = reading_copy(r, out.data ? (const char *)out.data : "", out.len);
    buf_done(&out);
}

static void place(struct test_case *c, const struct yaml_node *at)
{
    c->line = at->line;
    c->col = at->col;
    c->len = at->kind == YAML_SCALAR ? (int)(at->end - at->offset) : 1;
}

static void read_alert_case(
    struct reading *r, const struct yaml_node *item, struct test_case *c)
{
    static const char *const keys[] = {"eval_time", "alertname", "exp_alerts"};
    c->kind = RULE_TEST_ALERT;
    c->what = "";
    place(c, item);
    if (!reading_map(r, item, "an alert case", keys, COUNT(keys)))
        return;
    const struct yaml_node *name = reading_scalar(r, yaml_get(item, "alertname"), "alertname");
    if (!name || !name->len) {
        reading_mark(r, DIAG_ERROR, item, "T012", NULL, "an alert case needs `alertname`");
        return;
    }
    place(c, name);
    c->what = reading_copy(r, name->text, name->len);
    c->at_ms = reading_duration(r, yaml_get(item, "eval_time"), "eval_time");
    read_alerts(r, item, c);
}

static void read_expr_case(struct reading *r, const struct yaml_node *item, struct test_case *c)
{
    static const char *const keys[] = {"expr", "eval_time", "exp_samples"};
    c->kind = RULE_TEST_EXPR;
    c->what = "";
    place(c, item);
    if (!reading_map(r, item, "an expression case", keys, COUNT(keys)))
        return;
    const struct yaml_node *expr = reading_scalar(r, yaml_get(item, "expr"), "expr");
    if (!expr || !expr->len) {
        reading_mark(r, DIAG_ERROR, item, "T012", NULL, "an expression case needs `expr`");
        return;
    }
    place(c, expr);
    c->what = reading_copy(r, expr->text, expr->len);
    reading_expr(r, expr, &c->expr);
    c->at_ms = reading_duration(r, yaml_get(item, "eval_time"), "eval_time");
    const struct yaml_node *list =
        list_of(r, item, "exp_samples", sizeof(*c->expected), &c->expected);
    for (size_t i = 0; list && i < list->n && !r->no_memory; i++)
        read_sample(r, list->items[i], &c->expected[c->n_expected++]);
}

// --- the tests -----------------------------------------------------------------------------------

static void read_cases(struct reading *r, const struct yaml_node *map, struct test_group *g)
{
    const struct yaml_node *alerts =
        reading_seq(r, yaml_get(map, "alert_rule_test"), "alert_rule_test");
    const struct yaml_node *exprs =
        reading_seq(r, yaml_get(map, "promql_expr_test"), "promql_expr_test");
    size_t n_alerts = alerts ? alerts->n : 0, n = n_alerts + (exprs ? exprs->n : 0);
    g->cases = n ? reading_alloc(r, n * sizeof(*g->cases)) : NULL;
    for (size_t i = 0; g->cases && i < n && !r->no_memory; i++) {
        struct test_case *c = &g->cases[g->n_cases++];
        if (i < n_alerts)
            read_alert_case(r, alerts->items[i], c);
        else
            read_expr_case(r, exprs->items[i - n_alerts], c);
    }
}

static void read_test(
    struct reading *r, const struct yaml_node *item, int64_t interval_ms, struct test_group *g)
{
    static const char *const keys[] = {"interval", "input_series", "alert_rule_test",
        "promql_expr_test", "external_labels", "external_url", "name", "start_timestamp"};
    g->name = "";
    g->line = item->line;
    g->interval_ms = interval_ms;
    if (!reading_map(r, item, "a test", keys, COUNT(keys)))
        return;
    const char *name = text_of(r, yaml_get(item, "name"), "name");
    g->name = name ? name : "";
    int64_t own = reading_duration(r, yaml_get(item, "interval"), "interval");
    g->interval_ms = own ? own : interval_ms;
    g->start_ms = start_of(r, yaml_get(item, "start_timestamp"));
    g->external_url = text_of(r, yaml_get(item, "external_url"), "external_url");
    labels_of(r, yaml_get(item, "external_labels"), "external_labels", &g->external_labels);
    read_cases(r, item, g);
    int64_t end_ms = 0;
    for (size_t i = 0; i < g->n_cases; i++)
        if (g->cases[i].at_ms > end_ms)
            end_ms = g->cases[i].at_ms;
    read_input(r, item, end_ms, g);
    if (interval_ms && end_ms / interval_ms >= RULE_TEST_TICKS_MAX)
        reading_mark(r, DIAG_ERROR, item, "T042", "a larger evaluation_interval",
            "this test needs more than %d evaluations", RULE_TEST_TICKS_MAX);
}

static void read_patterns(struct reading *r, const struct yaml_node *root, struct rule_tests *t)
{
    const struct yaml_node *list =
        list_of(r, root, "rule_files", sizeof(*t->patterns), &t->patterns);
    for (size_t i = 0; list && i < list->n; i++) {
        const struct yaml_node *n = reading_scalar(r, list->items[i], "a rule file");
        const char *text = n && n->len ? reading_copy(r, n->text, n->len) : NULL;
        if (text)
            t->patterns[t->n_patterns++] =
                (struct rule_test_pattern){text, n->line, n->col, (int)(n->end - n->offset)};
    }
}

static void read_order(struct reading *r, const struct yaml_node *root, struct rule_tests *t)
{
    const struct yaml_node *list =
        list_of(r, root, "group_eval_order", sizeof(*t->order), &t->order);
    for (size_t i = 0; list && i < list->n; i++) {
        const struct yaml_node *n = reading_scalar(r, list->items[i], "a group");
        const char *name = n ? reading_copy(r, n->text, n->len) : NULL;
        for (size_t k = 0; name && k < t->n_order; k++)
            if (!strcmp(t->order[k], name)) {
                reading_mark(r, DIAG_ERROR, n, "T043", NULL,
                    "group `%.60s` stands in the order already", name);
                name = NULL;
            }
        if (name)
            t->order[t->n_order++] = name;
    }
}

static void read_file(struct reading *r, const struct yaml_node *root, struct rule_tests *t)
{
    static const char *const keys[] = {
        "rule_files", "evaluation_interval", "group_eval_order", "tests", "fuzzy_compare"};
    if (!reading_map(r, root, "a test file", keys, COUNT(keys)))
        return;
    read_patterns(r, root, t);
    read_order(r, root, t);
    int64_t interval_ms =
        reading_duration(r, yaml_get(root, "evaluation_interval"), "evaluation_interval");
    if (interval_ms)
        t->interval_ms = interval_ms;
    t->fuzzy = flag_of(r, yaml_get(root, "fuzzy_compare"), "fuzzy_compare");
    const struct yaml_node *tests = list_of(r, root, "tests", sizeof(*t->tests), &t->tests);
    for (size_t i = 0; tests && i < tests->n && !r->no_memory; i++)
        read_test(r, tests->items[i], t->interval_ms, &t->tests[t->n_tests++]);
}

struct rule_tests *rule_tests_read(const char *text, size_t len, struct diags *d)
{
    struct rule_tests *t = calloc(1, sizeof(*t));
    struct arena tree;

    if (!t)
        return NULL;
    arena_init(&t->place.arena, TESTS_ARENA_MAX);
    t->interval_ms = INTERVAL_MS;
    if (len > RULE_TEST_FILE_MAX) {
        diags_add(d, DIAG_ERROR, "T020", 1, 1, 1, NULL, "the file is larger than %u MiB",
            RULE_TEST_FILE_MAX >> 20);
        return t;
    }
    struct reading r = {.set = &t->place, .text = text, .len = len, .d = d};
    arena_init(&tree, TREE_ARENA_MAX);
    const struct yaml_node *root = yaml_parse_all(text, len, &tree, d);
    if (root)
        read_file(&r, root, t);
    arena_done(&tree);
    if (r.no_memory) {
        rule_tests_free(t);
        return NULL;
    }
    return t;
}

void rule_tests_free(struct rule_tests *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < t->n_tests; i++)
        for (size_t k = 0; k < t->tests[i].n_cases; k++)
            expr_done(&t->tests[i].cases[k].expr);
    arena_done(&t->place.arena);
    free(t);
}

const struct rule_test_pattern *rule_tests_patterns(const struct rule_tests *t, size_t *ret_n)
{
    *ret_n = t->n_patterns;
    return t->patterns;
}
