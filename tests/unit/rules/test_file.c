// SPDX-License-Identifier: Apache-2.0
#include "rules/file.h"
#include "tests/lib/oom.h"
#include "tests/lib/run.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char GOOD[] = "groups:\n"
                           "  - name: web\n"
                           "    interval: 5s\n"
                           "    query_offset: 1m\n"
                           "    limit: 10\n"
                           "    labels: {team: edge}\n"
                           "    rules:\n"
                           "      - record: job:hits:rate5m\n"
                           "        expr: sum by (job) (rate(hits_total[5m]))\n"
                           "        labels: {src: \"{{ raw }}\"}\n"
                           "      - alert: Errors High!\n"
                           "        expr: |\n"
                           "          rate(errors_total[1m])\n"
                           "            > 5\n"
                           "        for: 10m\n"
                           "        keep_firing_for: 1h\n"
                           "        labels: {severity: page, empty: }\n"
                           "        annotations:\n"
                           "          summary: 'x {{ $labels.job }}'\n"
                           "          odd-name: y\n"
                           "      - {alert: Number, expr: 1, for: 0}\n"
                           "  - name: nothing\n";

static void reads_every_field(void)
{
    struct diags d;
    diags_init(&d);
    struct ruleset *s = ruleset_new();
    CU_ASSERT_EQUAL(ruleset_add(s, "a.yaml", GOOD, strlen(GOOD), &d), 0);
    CU_ASSERT_EQUAL(d.n, 0);
    CU_ASSERT_EQUAL_FATAL(s->n_groups, 2);
    const struct rule_group *g = &s->groups[0];
    CU_ASSERT_STRING_EQUAL(g->name, "web");
    CU_ASSERT_STRING_EQUAL(g->file, "a.yaml");
    CU_ASSERT(g->interval_ms == 5000 && g->query_offset_ms == 60000 && g->limit == 10 &&
              g->line == 2);
    CU_ASSERT(g->n_labels == 1 && !strcmp(g->labels[0].text, "edge"));
    CU_ASSERT_EQUAL_FATAL(g->n_rules, 3);
    const struct rule *r = &g->rules[0];
    CU_ASSERT(r->kind == RULE_RECORD && !strcmp(r->name, "job:hits:rate5m") && r->line == 8);
    // Labels of recorded series are no templates.
    CU_ASSERT(r->n_labels == 1 && !r->labels[0].tmpl);
    r = &g->rules[1];
    CU_ASSERT(r->kind == RULE_ALERT && !strcmp(r->name, "Errors High!") && r->line == 11);
    CU_ASSERT(r->for_ms == 600000 && r->keep_firing_for_ms == 3600000);
    CU_ASSERT_EQUAL(r->evaluate, EVALUATE_INTERVAL);
    CU_ASSERT_EQUAL_FATAL(r->n_labels, 2);
    CU_ASSERT_STRING_EQUAL(r->labels[0].name, "empty");
    CU_ASSERT_STRING_EQUAL(r->labels[0].text, "");
    CU_ASSERT_STRING_EQUAL(r->labels[1].text, "page");
    CU_ASSERT_EQUAL_FATAL(r->n_annotations, 2);
    CU_ASSERT_STRING_EQUAL(r->annotations[0].name, "odd-name");
    CU_ASSERT(r->annotations[1].tmpl && !template_is_plain(r->annotations[1].tmpl));
    CU_ASSERT_EQUAL(r->expr.root->op, OP_GT);
    CU_ASSERT_EQUAL(g->rules[2].expr.root->type, TYPE_SCALAR);
    CU_ASSERT_EQUAL(s->groups[1].n_rules, 0);
    ruleset_free(s);
    diags_done(&d);
}

static void nothing_is_a_rule_file_too(void)
{
    static const char *const texts[] = {"", "groups:\n", "groups: []\n", "# only this\n"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct diags d;
        diags_init(&d);
        struct ruleset *s = ruleset_new();
        CU_ASSERT_EQUAL(ruleset_add(s, "a", texts[i], strlen(texts[i]), &d), 0);
        CU_ASSERT_EQUAL(s->n_groups, 0);
        ruleset_free(s);
        diags_done(&d);
    }
}

#define RULE "groups: [{name: g, rules: [{"
static const struct {
    const char *text, *code;
    int line, col, len;
    const char *msg, *hint;
} BAD[] = {
    {"group: []\n", "T010", 1, 1, 5, "unknown key `group` in a rule file",
        "did you mean groups?"},
    {"groups: 5\n", "T011", 1, 9, 1, "must be a list", "-"},
    {"- a\n", "T011", 1, 1, 3, "must be a map", ""},
    {"groups: [5]\n", "T011", 1, 10, 1, "a group must be a map", ""},
    {"groups: [{rules: []}]\n", "T012", 1, 10, 11, "a group needs a `name`", ""},
    {"groups: [{name: g, interval: 5}]\n", "T013", 1, 30, 1, "`5` is not a duration",
        "did you mean 5s?"},
    {"groups: [{name: g, limit: x}]\n", "T018", 1, 27, 1, "not a whole number", ""},
    {"groups: [{name: g, limit: 1.5}]\n", "T018", 1, 27, 3, "not a whole number", ""},
    {"groups: [{name: g, partial: x}]\n", "T010", 1, 20, 7, "unknown key", ""},
    {"groups:\n- name: g\n- name: g\n", "T016", 3, 9, 1, "stands in this file already, line 2",
        ""},
    {RULE "alert: A, record: b, expr: x}]}]\n", "T015", 1, 39, 6, "not both", "two rules"},
    {RULE "expr: x}]}]\n", "T012", 1, 28, 9, "needs `alert` or `record`", ""},
    {RULE "alert: '', expr: x}]}]\n", "T012", 1, 28, 20, "needs `alert` or `record`", ""},
    {RULE "alert: A}]}]\n", "T012", 1, 28, 10, "needs `expr`", ""},
    {RULE "alert: A, expr: ''}]}]\n", "T012", 1, 39, 4, "needs `expr`", ""},
    {RULE "alert: A, expr: [x]}]}]\n", "T011", 1, 45, 3, "expr must be a single value", ""},
    {RULE "alert: A, expr: x, for: 10sec}]}]\n", "T013", 1, 53, 5, "for: `10sec`",
        "did you mean 10s?"},
    {RULE "alert: A, expr: x, for: ''}]}]\n", "T013", 1, 53, 2, "is not a duration", ""},
    {RULE "alert: A, expr: x, anotations: {}}]}]\n", "T010", 1, 48, 10, "unknown key",
        "annotations"},
    {RULE "alert: A, expr: x, expr: y}]}]\n", "T002", 1, 48, 4, "duplicate key `expr`", ""},
    {RULE "alert: A, expr: x, labels: {__name__: y}}]}]\n", "T014", 1, 57, 8,
        "`__name__` cannot be set", ""},
    {RULE "alert: A, expr: x, labels: {'': y}}]}]\n", "T014", 1, 57, 2, "no label name", ""},
    {RULE "alert: A, expr: x, labels: {a: [y]}}]}]\n", "T011", 1, 60, 3,
        "must be a single value", ""},
    {RULE "record: 'a{b}', expr: x}]}]\n", "T014", 1, 37, 6, "braces in a metric name",
        "labels"},
    {RULE "record: a, expr: x, for: 5m}]}]\n", "T015", 1, 49, 3, "`for` makes no sense", ""},
    {RULE "record: a, expr: x, annotations: {b: c}}]}]\n", "T015", 1, 49, 11,
        "`annotations` makes no sense", ""},
    {RULE "record: a, expr: 'x[5m]'}]}]\n", "T111", 1, 47, 5, "this is a range vector", "rate"},
    {RULE "record: a, expr: '\"x\"'}]}]\n", "T111", 1, 47, 3, "this is a string", ""},
    {RULE "record: a, expr: 'rat(x[5m])'}]}]\n", "T104", 1, 47, 3, "unknown function", "rate"},
    {RULE "record: a, expr: \"x{a=\\\"b\\\"} + rat(y)\"}]}]\n", "T104", 1, 60, 3,
        "unknown function", "rate"},
    {"groups:\n- name: g\n  rules:\n  - record: a\n    expr: |\n      sum(\n        rat(x[5m])\n      )\n",
        "T104", 7, 9, 3, "unknown function", ""},
    {"groups:\n- name: g\n  rules:\n  - record: a\n    expr: >-\n      sum(\n\n      rat(x[5m]))\n",
        "T104", 8, 7, 3, "unknown function", ""},
    {"groups:\n- name: g\n  rules:\n  - record: a\n    expr: sum(\n      x\n", "T101", 5, 14, 1,
        "never closed", ""},
    {RULE "alert: A, expr: x, annotations: {a: 'b {{ foo }}'}}]}]\n", "T017", 1, 71, 3,
        "unknown function `foo`", ""},
    {RULE "alert: A, expr: x, annotations: {a: '{{ toTime \"x\" }}'}}]}]\n", "T304", 1, 69, 6,
        "not supported yet", ""},
    {RULE "alert: A, expr: x, labels: {a: '{{ $value }}'}}]}]\n", "T201", 1, 60, 14,
        "never leaves pending", "annotation"},
    {RULE "alert: A, expr: x, labels: {a-b: y}}]}]\n", "T203", 1, 57, 3, "needs quotes", ""},
    {RULE "record: a b, expr: x}]}]\n", "T203", 1, 37, 3, "needs quotes", ""},
    {RULE "record: a, expr: x}, {record: a, expr: y}]}]\n", "T202", 1, 1, 1, "recorded twice",
        ""},
    {"kind: PrometheusRule\nspec: {groups: []}\nmetadata: {}\n", "T010", 2, 1, 4,
        "a resource of Kubernetes", "begins with the `groups:`"},
    {"rule_files: [a]\nevaluation_interval: 1m\ntests: []\n", "T010", 1, 1, 10,
        "a file of unit tests", "tocsin rules test"},
    {"a: b: c\n", "T001", 1, 5, 1, "mapping values", ""},
};

static void a_mistake_has_code_place_and_words(void)
{
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
        struct diags d;
        diags_init(&d);
        struct ruleset *s = ruleset_new();
        int rc = ruleset_add(s, "a", BAD[i].text, strlen(BAD[i].text), &d);
        bool warning = BAD[i].code[1] == '2';
        CU_ASSERT_EQUAL(rc, warning ? 0 : -EINVAL);
        CU_ASSERT_EQUAL_FATAL(d.n, 1);
        const struct diag *x = &d.items[0];
        if (strcmp(x->code, BAD[i].code) || x->line != BAD[i].line || x->col != BAD[i].col ||
            x->len != BAD[i].len || !strstr(x->msg, BAD[i].msg) ||
            !strstr(x->hint, BAD[i].hint)) {
            printf("%s%s %d:%d+%d %s (%s)\n", BAD[i].text, x->code, x->line, x->col, x->len,
                x->msg, x->hint);
            CU_FAIL("wrong mistake");
        }
        ruleset_free(s);
        diags_done(&d);
    }
}

static void a_broken_rule_does_not_hide_the_next(void)
{
    static const char text[] = "groups:\n- name: g\n  rules:\n"
                               "  - {alert: A, expr: rate(x), for: 5x}\n"
                               "  - {alert: B, expr: (y}\n"
                               "  - {expr: z}\n"
                               "  - {alert: C, exp: z}\n"
                               "- {name: h, rules: [{record: r, expr: '', for: 1m}]}\n";
    struct diags d;
    diags_init(&d);
    struct ruleset *s = ruleset_new();
    CU_ASSERT_EQUAL(ruleset_add(s, "a", text, strlen(text), &d), -EINVAL);
    CU_ASSERT_EQUAL(d.errors, 8);
    ruleset_free(s);
    diags_done(&d);
}

static void groups_stand_in_the_order_of_files(void)
{
    static const char text[] = "groups: [{name: one}, {name: two}]\n";
    struct diags d;
    diags_init(&d);
    struct ruleset *s = ruleset_new();
    CU_ASSERT_EQUAL(ruleset_add(s, "b", text, strlen(text), &d), 0);
    CU_ASSERT_EQUAL(ruleset_add(s, "c", text, strlen(text), &d), 0);
    CU_ASSERT_EQUAL(ruleset_add(s, "a", text, strlen(text), &d), 0);
    CU_ASSERT_EQUAL_FATAL(s->n_groups, 6);
    CU_ASSERT_STRING_EQUAL(s->groups[0].file, "a");
    CU_ASSERT_STRING_EQUAL(s->groups[1].name, "two");
    CU_ASSERT_STRING_EQUAL(s->groups[2].file, "b");
    CU_ASSERT_STRING_EQUAL(s->groups[5].file, "c");
    CU_ASSERT_EQUAL(d.n, 0);
    ruleset_check(s, &d);
    CU_ASSERT(d.errors == 0 && d.n == 4);
    CU_ASSERT_PTR_NOT_NULL(strstr(d.items[0].msg, "group `one` of b also stands in a"));
    ruleset_free(s);
    diags_done(&d);
}

static void every_failed_allocation_is_told(void)
{
    int nth = 1;
    for (;; nth++) {
        struct diags d;
        diags_init(&d);
        oom_fail_at(nth);
        struct ruleset *s = ruleset_new();
        int rc = s ? ruleset_add(s, "a.yaml", GOOD, strlen(GOOD), &d) : -ENOMEM;
        bool hit = oom_stop();
        CU_ASSERT(rc < 0 ? hit && (!s || d.errors || d.dropped) : true);
        CU_ASSERT(hit || rc == 0);
        ruleset_free(s);
        diags_done(&d);
        if (!hit)
            break;
    }
    CU_ASSERT(nth > 10);
}

static const struct test TESTS[] = {
    {"reads every field", reads_every_field},
    {"nothing is a rule file too", nothing_is_a_rule_file_too},
    {"a mistake has code, place and words", a_mistake_has_code_place_and_words},
    {"a broken rule does not hide the next", a_broken_rule_does_not_hide_the_next},
    {"groups stand in the order of files", groups_stand_in_the_order_of_files},
    {"every failed allocation is told", every_failed_allocation_is_told},
};

int main(void)
{
    return test_main("file", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
