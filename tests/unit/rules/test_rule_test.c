// SPDX-License-Identifier: Apache-2.0
#include "base/regex.h"
#include "rules/rule_test.h"
#include "tests/lib/oom.h"
#include "tests/lib/run.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

static struct buf out;

static void print_item(const struct rule_test_item *x)
{
    labels_print(&x->labels, &out);
    if (x->annotations.n)
        labels_print(&x->annotations, &out);
    if (x->histogram)
        buf_addf(&out, " %s", x->histogram);
    else
        buf_addf(&out, " %g", x->value);
}

// "name: alert A@5 ok; expr x@0 FAILED -{...} 1 +{...} 2\n"
static void print_result(void *ctx, const struct rule_test_result *r)
{
    (void)ctx;
    buf_addf(&out, "%s:", r->name);
    for (size_t i = 0; i < r->n_cases; i++) {
        const struct rule_test_case *c = &r->cases[i];
        buf_addf(&out, " %s@%d %s", c->what, (int)(c->at_ms / 1000),
            !c->run     ? "not run"
            : c->passed ? "ok"
                        : "FAILED");
        for (size_t k = 0; k < c->n_pairs; k++) {
            if (c->pairs[k].same)
                continue;
            buf_adds(&out, " -");
            if (c->pairs[k].expected)
                print_item(c->pairs[k].expected);
            buf_adds(&out, " +");
            if (c->pairs[k].got)
                print_item(c->pairs[k].got);
        }
        for (size_t k = 0; !c->passed && k < c->n_timelines; k++) {
            buf_adds(&out, " <");
            for (size_t n = 0; n < c->timelines[k].n; n++)
                buf_addf(&out, "%c%d", "ipf"[c->timelines[k].changes[n].to],
                    (int)(c->timelines[k].changes[n].t_ms / 1000));
            buf_adds(&out, ">");
        }
        if (c->error)
            buf_addf(&out, " (%s)", c->error);
        if (c->note)
            buf_addf(&out, " [%s]", c->note);
        buf_addc(&out, ';');
    }
    if (r->error)
        buf_addf(&out, " ended: %s", r->error);
    buf_addc(&out, '\n');
}

static const char *run_with(
    const char *tests, const char *rules, const struct rule_test_options *o)
{
    struct diags d;
    diags_init(&d);
    buf_done(&out);
    buf_init(&out, 1u << 20);
    struct rule_tests *t = rule_tests_read(tests, strlen(tests), &d);
    CU_ASSERT_FATAL(t != NULL);
    if (d.errors)
        diags_print(&d, "t", tests, strlen(tests), &out);
    struct rule_test_text text = {"r.yaml", rules, strlen(rules)};
    if (!d.errors)
        CU_ASSERT_EQUAL(rule_tests_run(t, &text, 1, o, print_result, NULL), 0);
    rule_tests_free(t);
    diags_done(&d);
    return buf_cstr(&out);
}

static const char *run(const char *tests, const char *rules)
{
    static const struct rule_test_options strict;
    return run_with(tests, rules, &strict);
}

#define SAME(got, expected)                                                                    \
    do {                                                                                       \
        const char *g_ = (got);                                                                \
        if (strcmp(g_, expected))                                                              \
            printf("got      %s\nexpected %s\n", g_, expected);                                \
        CU_ASSERT_STRING_EQUAL(g_, expected);                                                  \
    } while (0)

#define DOWN                                                                                   \
    "groups:\n- name: g\n  interval: 1h\n  rules:\n  - alert: Down\n    expr: up == 0\n"       \
    "    for: 2m\n    labels: {severity: page}\n"                                              \
    "    annotations: {what: '{{ $labels.i }}', none: '{{ $labels.none }}'}\n"
#define INPUT "  input_series: [{series: 'up{i=\"a\"}', values: '1 1 0x9'}]\n"

static void fires_on_its_ticks(void)
{
    SAME(run("tests:\n- interval: 1m\n  name: n\n" INPUT "  alert_rule_test:\n"
             "  - {eval_time: 3m59s, alertname: Down}\n"
             "  - eval_time: 4m\n    alertname: Down\n    exp_alerts:\n"
             "    - exp_labels: {i: a, severity: page}\n"
             "      exp_annotations: {what: a, none: ''}\n"
             "  - {eval_time: 4m30s, alertname: Down}\n",
             DOWN),
        "n: Down@239 ok; Down@240 ok; Down@270 FAILED - "
        "+{alertname=\"Down\", i=\"a\", severity=\"page\"}{none=\"\", what=\"a\"} 0 <p120f240>;\n");
}

static void the_nearest_stand_together(void)
{
    SAME(run("tests:\n- interval: 1m\n" INPUT "  alert_rule_test:\n"
             "  - eval_time: 5m\n    alertname: Down\n    exp_alerts:\n"
             "    - {exp_labels: {i: b, severity: page}, exp_annotations: {what: b, none: }}\n"
             "    - {exp_labels: {i: a, severity: warn}, exp_annotations: {what: a}}\n",
             DOWN),
        ": Down@300 FAILED -{alertname=\"Down\", i=\"a\", severity=\"warn\"}{what=\"a\"} 0 "
        "+{alertname=\"Down\", i=\"a\", severity=\"page\"}{none=\"\", what=\"a\"} 0 "
        "-{alertname=\"Down\", i=\"b\", severity=\"page\"}{none=\"\", what=\"b\"} 0 +"
        " <p120f240>;\n");
}

static void a_part_is_enough_when_asked_for(void)
{
    static const struct rule_test_options partial = {.partial = true};
    // The first fits both, the second only one of them: who takes which matters.
    const char *tests =
        "tests:\n- interval: 1m\n  input_series:\n  - {series: 'up{i=\"a\"}', values: '0x9'}\n"
        "  - {series: 'up{i=\"b\"}', values: '0x9'}\n  alert_rule_test:\n"
        "  - {eval_time: 5m, alertname: Down, exp_alerts: [{exp_labels: {severity: page}},"
        " {exp_labels: {i: a}, exp_annotations: {what: a}}]}\n"
        "  - {eval_time: 5m, alertname: Down, exp_alerts: [{}]}\n";
    SAME(run_with(tests, DOWN, &partial),
        ": Down@300 ok; Down@300 FAILED - "
        "+{alertname=\"Down\", i=\"b\", severity=\"page\"}{none=\"\", what=\"b\"} 0"
        " <p0f120> <p0f120>;\n");
    CU_ASSERT_PTR_NOT_NULL(strstr(run(tests, DOWN), "Down@300 FAILED"));
}

static void samples_come_with_the_ticks(void)
{
    // The last tick is at 0, so the samples after it are not there yet: as in promtool.
    SAME(
        run("evaluation_interval: 1h\ntests:\n- interval: 1m\n"
            "  input_series: [{series: x, values: '1 2 3'}]\n"
            "  promql_expr_test: [{expr: x, eval_time: 2m, exp_samples: [{labels: x, value: 1}]}]\n",
            ""),
        ": x@120 ok;\n");
}

static void groups_run_in_the_order_given(void)
{
    const char *rules = "groups:\n- name: a\n  rules: [{record: y, expr: z}]\n"
                        "- name: b\n  rules: [{record: z, expr: x}]\n";
#define CHAIN                                                                                  \
    "tests:\n- interval: 1m\n  input_series: [{series: x, values: '1+1x9'}]\n"                 \
    "  promql_expr_test: [{expr: y, eval_time: 3m, exp_samples: [{labels: y, value: 4}]}]\n"
    CU_ASSERT_PTR_NOT_NULL(strstr(run(CHAIN, rules), "FAILED -y 4 +y 3"));
    SAME(run("group_eval_order: [b, a]\n" CHAIN, rules), ": y@180 ok;\n");
}

static void numbers_are_equal_to_the_bit(void)
{
#define SUM                                                                                             \
    "tests:\n- interval: 1m\n  input_series: [{series: x, values: '0.1'}, {series: y, values: '.2'}]\n" \
    "  promql_expr_test:\n"                                                                             \
    "  - {expr: x + on() y, exp_samples: [{labels: '{}', value: 0.3}]}\n"                               \
    "  - {expr: x * NaN, exp_samples: [{labels: '{}', value: .nan}]}\n"                                 \
    "  - {expr: 8 * 1e308, exp_samples: [{labels: '', value: .inf}, ]}\n"                               \
    "  - {expr: -1e308 * 10, exp_samples: [{value: -.Inf}]}\n"                                          \
    "  - {expr: '8', exp_samples: [{value: 010}]}\n"
    SAME(run(SUM, ""),
        ": x + on() y@0 FAILED -{} 0.3 +{} 0.3; x * NaN@0 FAILED -{} nan +{} nan;"
        " 8 * 1e308@0 ok; -1e308 * 10@0 ok; 8@0 ok;\n");
    SAME(run("fuzzy_compare: true\n" SUM, ""),
        ": x + on() y@0 ok; x * NaN@0 FAILED -{} nan +{} nan;"
        " 8 * 1e308@0 ok; -1e308 * 10@0 ok; 8@0 ok;\n");
}

static void a_failing_rule_ends_its_test(void)
{
    SAME(
        run("tests:\n- interval: 1m\n  name: one\n  input_series:\n"
            "  - {series: 'x{a=\"1\"}', values: '1x9'}\n  - {series: 'x{a=\"2\"}', values: '_ 1x9'}\n"
            "  promql_expr_test: [{expr: y, eval_time: 2m}]\n"
            "- name: two\n  promql_expr_test: [{expr: y, eval_time: 2m}]\n",
            "groups:\n- name: g\n  rules: [{record: y, expr: x + on() x}]\n"),
        "one: y@120 not run; ended: rule `y` at 1m: found duplicate series on the right hand-side "
        "of +: x{a=\"1\"} and x{a=\"2\"};many-to-many matching not allowed: matching labels must "
        "be unique on one side\ntwo: y@120 ok;\n");
}

static void a_record_over_an_input_ends_it_too(void)
{
    const char *rules = "groups:\n- name: g\n  rules: [{record: y, expr: x * 2}]\n";
#define OVER(values)                                                                                  \
    "tests:\n- interval: 1m\n  input_series: [{series: x, values: 1x9}, {series: y, values: '" values \
    "'}]\n  promql_expr_test: [{expr: y, eval_time: 2m, exp_samples: [{labels: y, value: 2}]}]\n"
    SAME(run(OVER("2x9"), rules), ": y@120 ok;\n");
    SAME(run(OVER("2 3"), rules),
        ": y@120 not run; ended: at 1m a rule writes y, which has another sample for that time\n");
}

static void a_start_other_than_zero_moves_all(void)
{
    SAME(
        run("tests:\n- start_timestamp: 2026-01-01T00:00:00.5Z\n  interval: 1m\n"
            "  input_series: [{series: x, values: '1 2 3'}]\n  promql_expr_test:\n"
            "  - {expr: timestamp(x), eval_time: 1m, exp_samples: [{labels: '{}', value: "
            "1767225660.5}]}\n"
            "  - {expr: y, eval_time: 1m, exp_samples: [{labels: y, value: 2}]}\n"
            "  - {expr: time(), exp_samples: [{value: 1767225600.5}]}\n"
            "- start_timestamp: 100.5\n  promql_expr_test: [{expr: time(), exp_samples: [{value: "
            "100.5}]}]\n",
            "groups:\n- name: g\n  rules: [{record: y, expr: x}]\n"),
        ": timestamp(x)@60 ok; y@60 ok; time()@0 ok;\n: time()@0 ok;\n");
}

static void histograms_are_compared_as_text(void)
{
    SAME(
        run("tests:\n- interval: 1m\n  input_series:\n"
            "  - {series: h, values: '{{schema:0 count:2 sum:3 buckets:[1 1]}}x3'}\n"
            "  promql_expr_test:\n"
            "  - {expr: h, exp_samples: [{labels: h, histogram: '{{count:2 sum:3 buckets:[1 1]}}'}]}\n"
            "  - {expr: h, exp_samples: [{labels: h, histogram: '{{count:2 sum:4 buckets:[1 1]}}'}]}\n",
            ""),
        ": h@0 ok; h@0 FAILED -h {{count:2 sum:4 buckets:[1 1]}} "
        "+h {{count:2 sum:3 buckets:[1 1]}};\n");
}

static void an_unknown_alert_is_told(void)
{
    SAME(run("tests:\n- alert_rule_test: [{alertname: Dwn}, {alertname: Other}]\n", DOWN),
        ": Dwn@0 ok [no rule has this name: did you mean Down?]; "
        "Other@0 ok [no rule of the rule files has this name];\n");
}

static void the_later_of_two_series_counts(void)
{
    SAME(
        run("tests:\n- interval: 1m\n  input_series: [{series: x, values: 1x3}, {series: x, values: 2x3}]\n"
            "  promql_expr_test: [{expr: x, eval_time: 1m, exp_samples: [{labels: x, value: 2}]}]\n",
            ""),
        ": x@60 ok;\n");
}

static void only_chosen_tests_run(void)
{
    struct err err;
    struct rule_test_options o = {.run = regex_new("^b", 2, &err)};
    SAME(run_with("tests: [{name: ab}, {name: ba}, {name: c}, {}]\n", "", &o), "ba:\n");
    struct regex *re = regex_new("b|^$", 4, &err);
    regex_free((struct regex *)(uintptr_t)o.run);
    o.run = re;
    SAME(run_with("tests: [{name: ab}, {name: ba}, {name: c}, {}]\n", "", &o), "ab:\nba:\n:\n");
    regex_free(re);
}

static const struct {
    const char *text;
    int line, col;
    const char *msg;
} MISTAKES[] = {
    {"rule_files: a.yaml\n", 1, 13, "rule_files must be a list"},
    {"evaluation_intervall: 1m\n", 1, 1, "unknown key `evaluation_intervall`"},
    {"evaluation_interval: 1min\n", 1, 22, "is not a duration"},
    {"group_eval_order: [a, b, a]\n", 1, 26, "group `a` stands in the order already"},
    {"fuzzy_compare: maybe\n", 1, 16, "is true or false"},
    {"tests:\n- interval: 1m\n  input_series:\n  - series: 'x{a=\"1\"'\n    values: 1\n", 4, 21,
        "expected `,` or `}`"},
    {"tests:\n- input_series:\n  - series: x\n    values: 1 2 y 4\n", 4, 17, ""},
    {"tests:\n- input_series:\n  - values: 1 2\n", 3, 5, "needs `series`"},
    {"tests:\n- input_series:\n  - series: x\n    values: |\n      1 2\n      3 4\n", 5, 9,
        "a series is one line"},
    {"tests:\n- alert_rule_test:\n  - eval_time: 1m\n", 3, 5, "needs `alertname`"},
    {"tests:\n- promql_expr_test:\n  - eval_time: 1m\n", 3, 5, "needs `expr`"},
    {"tests:\n- promql_expr_test:\n  - expr: sum(\n", 3, 15, "unexpected end"},
    {"tests:\n- promql_expr_test:\n  - expr: x\n    exp_samples: [{labels: '{a=1}', value: 1}]\n",
        4, 32, "expected the label's value in quotes"},
    {"tests:\n- promql_expr_test:\n  - expr: x\n    exp_samples: [{labels: x, value: '1'}]\n",
        4, 38, "`1` is not a number"},
    {"tests:\n- promql_expr_test:\n  - expr: x\n    exp_samples: [{labels: x, value: Inf}]\n",
        4, 38, "`Inf` is not a number"},
    {"tests:\n- promql_expr_test:\n  - expr: x\n    exp_samples: [{labels: x, histogram: 5}]\n",
        4, 42, "not one histogram"},
    {"tests:\n- start_timestamp: yesterday\n", 2, 20, "not an instant"},
    {"evaluation_interval: 1ms\ntests:\n- alert_rule_test: [{alertname: A, eval_time: 1d}]\n",
        3, 3, "more than 10000000 evaluations"},
};

static void mistakes_have_places(void)
{
    for (size_t i = 0; i < sizeof(MISTAKES) / sizeof(MISTAKES[0]); i++) {
        struct diags d;
        diags_init(&d);
        const char *text = MISTAKES[i].text;
        struct rule_tests *t = rule_tests_read(text, strlen(text), &d);
        CU_ASSERT_EQUAL_FATAL(d.errors, 1);
        const struct diag *x = &d.items[0];
        if (x->line != MISTAKES[i].line || x->col != MISTAKES[i].col ||
            !strstr(x->msg, MISTAKES[i].msg))
            printf("%s: %d:%d %s\n", text, x->line, x->col, x->msg);
        CU_ASSERT_EQUAL(x->line, MISTAKES[i].line);
        CU_ASSERT_EQUAL(x->col, MISTAKES[i].col);
        CU_ASSERT_PTR_NOT_NULL(strstr(x->msg, MISTAKES[i].msg));
        rule_tests_free(t);
        diags_done(&d);
    }
}

// promtool reads all series as one text and stops at an empty line.
static void a_line_break_hides_the_series_below(void)
{
    const char *text =
        "tests:\n- interval: 1m\n  input_series:\n  - series: x\n    values: |\n      1 2\n"
        "  - {series: y, values: 1 2}\n  promql_expr_test: [{expr: y or x, exp_samples: "
        "[{labels: x, value: 1}]}]\n";
    struct diags d;
    diags_init(&d);
    struct rule_tests *t = rule_tests_read(text, strlen(text), &d);
    CU_ASSERT_EQUAL(d.errors, 0);
    CU_ASSERT_EQUAL_FATAL(d.n, 1);
    CU_ASSERT_STRING_EQUAL(d.items[0].code, "T045");
    CU_ASSERT_EQUAL(d.items[0].line, 5);
    rule_tests_free(t);
    diags_done(&d);
    SAME(run(text, ""), ": y or x@0 ok;\n");
}

static void every_failed_allocation_is_told(void)
{
    const char *tests =
        "tests:\n- interval: 1m\n  name: n\n" INPUT "  alert_rule_test:\n"
        "  - eval_time: 4m\n    alertname: Down\n    exp_alerts: [{exp_labels: {i: a}}]\n"
        "  promql_expr_test: [{expr: up, exp_samples: [{labels: up, value: 1}]}]\n";
    struct rule_test_text text = {"r.yaml", DOWN, strlen(DOWN)};
    static const struct rule_test_options o = {.partial = true};
    for (int nth = 1;; nth++) {
        struct diags d;
        diags_init(&d);
        buf_done(&out);
        buf_init(&out, 1u << 20);
        oom_fail_at(nth);
        struct rule_tests *t = rule_tests_read(tests, strlen(tests), &d);
        int rc = !t || d.errors ? -ENOMEM : rule_tests_run(t, &text, 1, &o, print_result, NULL);
        bool hit = oom_stop();
        rule_tests_free(t);
        diags_done(&d);
        if (!hit) {
            CU_ASSERT_EQUAL(rc, 0);
            break;
        }
    }
}

// As promtool 2.42 has it, which expands anew at each evaluation.
static void a_template_asks_at_the_instant_of_the_alert(void)
{
    SAME(
        run("tests:\n- interval: 1m\n  name: n\n"
            "  input_series:\n  - {series: 'x{i=\"a\"}', values: '1x5'}\n"
            "  - {series: 'y{i=\"a\"}', values: '0+1x5'}\n  - {series: 'y{i=\"b\"}', values: '7x5'}\n"
            "  alert_rule_test:\n"
            "  - eval_time: 2m\n    alertname: A\n    exp_alerts:\n"
            "    - {exp_labels: {i: a}, exp_annotations: {s: 'a=2 b=7 2', t: ''}}\n"
            "  - eval_time: 4m\n    alertname: A\n    exp_alerts:\n"
            "    - {exp_labels: {i: a}, exp_annotations: {s: 'a=4 b=7 2', t: ''}}\n",
            "groups:\n- name: g\n  rules:\n  - alert: A\n    expr: x == 1\n    annotations:\n"
            "      s: '{{ range query \"y\" | sortByLabel \"i\" }}{{ .Labels.i }}={{ .Value }} {{ end }}{{ query \"count(y)\" | first | value }}'\n"
            "      t: '{{ with query \"nope\" }}something{{ end }}'\n"),
        "n: A@120 ok; A@240 ok;\n");
    CU_ASSERT_PTR_NOT_NULL(strstr(
        run("tests:\n- interval: 1m\n  name: n\n  input_series: [{series: x, values: '1x5'}]\n"
            "  alert_rule_test:\n  - {eval_time: 2m, alertname: A}\n",
            "groups:\n- name: g\n  rules:\n  - alert: A\n    expr: x == 1\n"
            "    annotations: {s: '{{ query \"x{\" }}'}\n"),
        "s=\"<error expanding template: query"));
}

static const struct test TESTS[] = {
    {"a template asks at the instant of the alert",
        a_template_asks_at_the_instant_of_the_alert},
    {"an alert fires on the last tick before the time of a case", fires_on_its_ticks},
    {"what is most alike stands together", the_nearest_stand_together},
    {"a part is enough when asked for", a_part_is_enough_when_asked_for},
    {"samples come with the ticks", samples_come_with_the_ticks},
    {"groups run in the order given", groups_run_in_the_order_given},
    {"numbers are equal to the bit, or one bit apart", numbers_are_equal_to_the_bit},
    {"a rule that fails ends its test only", a_failing_rule_ends_its_test},
    {"a rule that writes over an input ends it too", a_record_over_an_input_ends_it_too},
    {"a start other than zero moves all", a_start_other_than_zero_moves_all},
    {"histograms are compared", histograms_are_compared_as_text},
    {"an alert nobody has is told", an_unknown_alert_is_told},
    {"the later of two equal series counts", the_later_of_two_series_counts},
    {"only chosen tests run", only_chosen_tests_run},
    {"mistakes have places", mistakes_have_places},
    {"a line break hides the series below, and that is told",
        a_line_break_hides_the_series_below},
    {"every failed allocation is told", every_failed_allocation_is_told},
};

int main(void)
{
    int rc = test_main("rule_test", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
    buf_done(&out);
    return rc;
}
