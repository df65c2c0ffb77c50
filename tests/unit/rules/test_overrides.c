// SPDX-License-Identifier: Apache-2.0
#include "rules/file.h"
#include "tests/lib/oom.h"
#include "tests/lib/run.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char RULES[] =
    "groups:\n"
    "- name: web/a\n"
    "  rules:\n"
    "  - {alert: Slow, expr: x > 1, for: 5m, labels: {severity: page, team: edge}}\n"
    "  - {alert: Slow, expr: y > 1, for: 5m}\n"
    "  - {record: z, expr: y}\n"
    "- name: db\n"
    "  rules: [{alert: Full, expr: w, annotations: {summary: s}}, {alert: Both, expr: w}]\n"
    "- name: more\n"
    "  rules: [{alert: Both, expr: w}]\n";

struct bench {
    struct ruleset *s;
    struct diags d;
    int rc;
};

static void override(struct bench *b, const char *text)
{
    diags_init(&b->d);
    b->s = ruleset_new();
    CU_ASSERT_EQUAL_FATAL(ruleset_add(b->s, "r.yaml", RULES, strlen(RULES), &b->d), 0);
    b->rc = ruleset_override(b->s, "o.yaml", text, strlen(text), &b->d);
}

static void done(struct bench *b)
{
    ruleset_free(b->s);
    diags_done(&b->d);
}

static void changes_field_by_field(void)
{
    struct bench b;
    override(&b,
        "overrides:\n"
        "- rule: web/a/Slow\n"
        "  set: {evaluate: arrival, for: 0s, keep_firing_for: 1m, labels: {severity: ticket, team: , new: l}}\n"
        "- rule: db/Full\n"
        "  set: {expr: 'rate(w[1m]) > 2', annotations: {summary: \"{{ $value }}\"}}\n"
        "- {rule: web/a/z, disable: true}\n"
        "- {group: db, set: {interval: 10s}}\n");
    CU_ASSERT_EQUAL(b.rc, 0);
    // Both rules of that name.
    for (int i = 0; i < 2; i++) {
        const struct rule *r = &b.s->groups[0].rules[i];
        CU_ASSERT(r->evaluate == EVALUATE_ARRIVAL && r->for_ms == 0 &&
                  r->keep_firing_for_ms == 60000);
        CU_ASSERT_EQUAL_FATAL(r->n_labels, 2);
        CU_ASSERT_STRING_EQUAL(r->labels[0].name, "new");
        CU_ASSERT_STRING_EQUAL(r->labels[1].text, "ticket");
        CU_ASSERT(!r->disabled);
    }
    CU_ASSERT(b.s->groups[0].rules[2].disabled);
    const struct rule *full = &b.s->groups[1].rules[0];
    CU_ASSERT_EQUAL(full->expr.root->op, OP_GT);
    CU_ASSERT(template_uses_value(full->annotations[0].tmpl));
    CU_ASSERT_EQUAL(b.s->groups[1].interval_ms, 10000);
    done(&b);
}

static void the_last_one_wins(void)
{
    struct bench b;
    override(&b,
        "overrides:\n- {rule: db/Full, disable: true}\n- {rule: db/Full, disable: false, set: {for: 1m}}\n"
        "- {rule: db/Full, set: {for: 2m}}\n");
    CU_ASSERT_EQUAL(b.rc, 0);
    CU_ASSERT(!b.s->groups[1].rules[0].disabled);
    CU_ASSERT_EQUAL(b.s->groups[1].rules[0].for_ms, 120000);
    done(&b);
}

static void says_what_an_alert_depends_on(void)
{
    struct bench b;
    override(&b,
        "overrides:\n"
        "- rule: web/a/Slow\n"
        "  set: {depends_on: [Full, {rule: more/Both, equal: [site, rack]}, {alerts: 'Gone{x!=\"1\"}', equal: []}]}\n"
        "- {rule: db/Full, set: {depends_on: [more/Both], flap: {window: 10m, max: 6}}}\n"
        // A selector never means the rule that has it.
        "- {rule: more/Both, set: {depends_on: ['{alertname=~\"Both|Else\"}']}}\n"
        "- {rule: db/Both, set: {depends_on: [Full]}}\n"
        "- {rule: db/Both, set: {depends_on: }}\n");
    CU_ASSERT_EQUAL_FATAL(b.rc, 0);
    for (int i = 0; i < 2; i++) { // both rules of that name
        const struct rule *r = &b.s->groups[0].rules[i];
        CU_ASSERT_EQUAL_FATAL(r->n_depends, 3);
        const struct dependency *d = r->depends;
        CU_ASSERT(!strcmp(d[0].group, "db") && !strcmp(d[0].rule, "Full"));
        CU_ASSERT(d[0].n_equal == 1 && !strcmp(d[0].equal[0], "instance"));
        CU_ASSERT(!strcmp(d[1].group, "more") && d[1].n_equal == 2);
        CU_ASSERT(!strcmp(d[1].equal[0], "site") && !strcmp(d[1].equal[1], "rack"));
        CU_ASSERT(!d[2].rule && d[2].n_equal == 0 && d[2].selector.root->n_matchers == 2);
    }
    const struct rule *full = &b.s->groups[1].rules[0];
    CU_ASSERT(full->n_depends == 1 && full->flap.max == 6 && full->flap.window_ms == 600000);
    CU_ASSERT_EQUAL(b.s->groups[1].rules[1].n_depends, 0);
    CU_ASSERT_EQUAL(b.s->groups[2].rules[0].n_depends, 1);
    done(&b);
}

static const struct {
    const char *text, *code;
    int line, col, len;
    const char *msg, *hint;
} BAD[] = {
    {"overrides: [{rule: db/Ful, disable: true}]", "T019", 1, 20, 6, "no rule `db/Ful`",
        "did you mean db/Full?"},
    {"overrides: [{rule: web/Full, disable: true}]", "T019", 1, 20, 8, "no rule",
        "did you mean db/Full?"},
    {"overrides: [{rule: Full, disable: true}]", "T019", 1, 20, 4, "no rule",
        "did you mean db/Full?"},
    {"overrides: [{group: dbs, disable: true}]", "T019", 1, 21, 3, "no group", ""},
    {"overrides: [{rule: db/Full}]", "T012", 1, 13, 15, "needs `set` or `disable`", ""},
    {"overrides: [{disable: true}]", "T012", 1, 13, 15, "names a `rule", ""},
    {"overrides: [{rule: db/Full, group: db, disable: true}]", "T012", 1, 13, 41,
        "names a `rule", ""},
    {"overrides: [{rule: db/Full, disabled: true, set: {for: 1s}}]", "T010", 1, 29, 8,
        "unknown key", "did you mean disable?"},
    {"overrides: [{rule: db/Full, disable: maybe}]", "T021", 1, 38, 5, "disable: `maybe`",
        "true or false"},
    {"overrides: [{rule: db/Full, where: x, disable: true}]", "T305", 1, 29, 5,
        "not supported yet", ""},
    {"overrides: [{rule: db/Full, set: {evalute: arrival}}]", "T010", 1, 35, 7, "unknown key",
        "evaluate"},
    {"overrides: [{rule: db/Full, set: {evaluate: soon}}]", "T021", 1, 45, 4, "unknown mode",
        "arrival"},
    {"overrides: [{rule: db/Full, set: {clear: 10}}]", "T021", 1, 42, 2,
        "`clear` needs an expression", "temperature"},
    {"overrides: [{rule: db/Full, set: {expr: 'x > 5', clear: 6}}]", "T021", 1, 57, 1,
        "on the firing side of `> 5`", ""},
    {"overrides: [{rule: db/Full, set: {clear_for: soon}}]", "T013", 1, 46, 4, "not a duration",
        ""},
    {"overrides: [{rule: db/Full, set: {no_data: maybe}}]", "T021", 1, 44, 5,
        "unknown policy `maybe`", "keep"},
    {"overrides: [{rule: db/Full, set: {depends_on: [web/Slow]}}]", "T019", 1, 48, 8,
        "no alert rule `web/Slow`", "did you mean web/a/Slow?"},
    {"overrides: [{rule: db/Full, set: {depends_on: [web/a/z]}}]", "T019", 1, 48, 7,
        "no alert rule", ""},
    {"overrides: [{rule: db/Full, set: {depends_on: db/Full}}]", "T011", 1, 47, 7,
        "must be a list", ""},
    {"overrides: [{rule: web/a/Slow, set: {depends_on: [Both]}}]", "T022", 1, 51, 4,
        "more than one group", "db/Both or more/Both?"},
    {"overrides: [{rule: db/Full, set: {depends_on: [Full]}}]", "T023", 1, 48, 4,
        "`Full` depends on itself", ""},
    {"overrides: [{rule: web/a/Slow, set: {depends_on: [web/a/Slow]}}]", "T023", 1, 51, 10,
        "depends on itself", ""},
    {"overrides:\n- {rule: db/Full, set: {depends_on: [{rule: db/Both}]}}\n"
     "- {rule: db/Both, set: {depends_on: [more/Both]}}\n"
     "- {rule: more/Both, set: {depends_on: [db/Full]}}\n",
        "T023", 4, 40, 7, "db/Full -> db/Both -> more/Both -> db/Full", ""},
    {"overrides:\n- {rule: db/Full, set: {depends_on: [web/a/Slow]}}\n"
     "- {rule: web/a/Slow, set: {depends_on: ['{team=\"x\"}']}}\n",
        "T023", 3, 41, 12, "goes in a circle", "alertname"},
    {"overrides: [{rule: db/Full, set: {depends_on: ['Slow{']}}]", "T101", 1, 54, 1,
        "unexpected end", ""},
    {"overrides: [{rule: db/Full, set: {depends_on: ['sum(Slow{a=\"b\"})']}}]", "T021", 1, 48,
        18, "no selector of alerts", "AgentDown"},
    {"overrides: [{rule: db/Full, set: {depends_on: [{rules: Slow}]}}]", "T010", 1, 49, 5,
        "unknown key `rules`", "did you mean rule?"},
    {"overrides: [{rule: db/Full, set: {depends_on: [{equal: [a]}]}}]", "T012", 1, 48, 12,
        "names a `rule` or `alerts`", ""},
    {"overrides: [{rule: db/Full, set: {depends_on: [{rule: Slow, equal: host}]}}]", "T011", 1,
        68, 4, "equal must be a list", ""},
    {"overrides: [{rule: web/a/z, set: {depends_on: [Full]}}]", "T015", 1, 35, 10,
        "recording rule", ""},
    {"overrides: [{rule: db/Full, set: {flap: {}}}]", "T012", 1, 41, 2,
        "needs `window` and `max`", "10m"},
    {"overrides: [{rule: db/Full, set: {flap: {window: 10m, max: 0}}}]", "T021", 1, 60, 1,
        "from 1 to 100", ""},
    {"overrides: [{rule: db/Full, set: {flap: {window: 0s, max: 2}}}]", "T021", 1, 50, 2,
        "at most a week", ""},
    {"overrides: [{rule: db/Full, set: {flap: {window: often, max: 2}}}]", "T013", 1, 50, 5,
        "not a duration", ""},
    {"overrides: [{rule: db/Full, set: {for_tolerance: -2}}]", "T021", 1, 50, 2,
        "`-2` is no count", "false evaluations"},
    {"overrides: [{rule: db/Full, set: {for: 5}}]", "T013", 1, 40, 1, "not a duration", "5s"},
    {"overrides: [{rule: db/Full, set: {expr: rate(w)}}]", "T103", 1, 46, 1, "range vector",
        ""},
    {"overrides: [{rule: web/a/Slow, set: {expr: rate(w)}}]", "T103", 1, 49, 1, "range vector",
        ""},
    {"overrides: [{rule: web/a/z, set: {for: 5m}}]", "T015", 1, 35, 3, "recording rule", ""},
    {"overrides: [{group: db, set: {for: 5m}}]", "T010", 1, 31, 3, "unknown key", ""},
    {"overrides: 5", "T011", 1, 12, 1, "must be a list", ""},
    {"groups: []\noverrides: []", "T010", 1, 1, 6, "unknown key `groups`", ""},
};

static void a_mistake_has_code_place_and_words(void)
{
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
        struct bench b;
        override(&b, BAD[i].text);
        CU_ASSERT_EQUAL(b.rc, -EINVAL);
        CU_ASSERT_EQUAL_FATAL(b.d.n, 1);
        const struct diag *x = &b.d.items[0];
        if (strcmp(x->code, BAD[i].code) || x->line != BAD[i].line || x->col != BAD[i].col ||
            x->len != BAD[i].len || !strstr(x->msg, BAD[i].msg) ||
            !strstr(x->hint, BAD[i].hint)) {
            printf("%s %s %d:%d+%d %s (%s)\n", BAD[i].text, x->code, x->line, x->col, x->len,
                x->msg, x->hint);
            CU_FAIL("wrong mistake");
        }
        done(&b);
    }
}

static bool is_one(const char *text)
{
    return ruleset_is_overrides(text, strlen(text));
}

static void is_known_by_its_key(void)
{
    CU_ASSERT(is_one("overrides: []\n"));
    CU_ASSERT(is_one("# x\noverrides:\n- {rule: a/b, rule: c}\n"));
    CU_ASSERT(is_one("x: [\noverrides:\n- {"));
    CU_ASSERT(!is_one("groups: []\n"));
    CU_ASSERT(!is_one("groups: [\n"));
    CU_ASSERT(!is_one(""));
    CU_ASSERT(!is_one("a: {overrides: 1}\n"));
}

static void every_failed_allocation_is_told(void)
{
    static const char text[] =
        "overrides:\n- rule: web/a/Slow\n  set: {expr: y{a=~\"b.c\"} > 1, labels: {q: \"{{ $labels.x }}\"},\n"
        "    depends_on: [Full, 'Both{a=~\"b.c\"}', {rule: db/Both, equal: [a]}], flap: {window: 1m, max: 2}}\n"
        "- {rule: db/Ful, disable: true}\n";
    for (int nth = 1;; nth++) {
        struct bench b;
        override(&b, "overrides: []");
        oom_fail_at(nth);
        b.rc = ruleset_override(b.s, "o.yaml", text, strlen(text), &b.d);
        bool hit = oom_stop();
        CU_ASSERT(b.rc == -ENOMEM || b.rc == -EINVAL);
        CU_ASSERT(b.d.errors + b.d.dropped > 0);
        done(&b);
        if (!hit)
            break;
    }
}

static const struct test TESTS[] = {
    {"changes field by field", changes_field_by_field},
    {"the last one wins", the_last_one_wins},
    {"says what an alert depends on", says_what_an_alert_depends_on},
    {"a mistake has code, place and words", a_mistake_has_code_place_and_words},
    {"is known by its key", is_known_by_its_key},
    {"every failed allocation is told", every_failed_allocation_is_told},
};

int main(void)
{
    return test_main("overrides", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
