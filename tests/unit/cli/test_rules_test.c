// SPDX-License-Identifier: Apache-2.0
// `rules test`: the same verdicts as promtool, and what is shown of a failure.
#define VERB "test"
#include "tests/unit/cli/verb_run.h"
#include <sys/stat.h>

// --- beside promtool -----------------------------------------------------------------------------

static const char RULES[] =
    "groups:\n"
    "- name: first\n"
    "  interval: 1h\n"
    "  rules:\n"
    "  - record: y\n"
    "    expr: z + 1\n"
    "  - alert: Down\n"
    "    expr: up == 0\n"
    "    for: 2m\n"
    "    labels: {severity: page}\n"
    "    annotations:\n"
    "      what: '{{ $labels.i }} is {{ $value }} in {{ $externalLabels.dc }} {{ $externalURL }}'\n"
    "      empty: '{{ $labels.none }}'\n"
    "  - alert: Kept\n"
    "    expr: up == 0\n"
    "    keep_firing_for: 3m\n"
    "    labels: {none: '{{ $labels.none }}'}\n"
    "  - alert: Twice\n"
    "    expr: up == 0\n"
    "- name: second\n"
    "  rules:\n"
    "  - record: z\n"
    "    expr: x * 2\n"
    "    labels: {l: v}\n"
    "  - alert: Twice\n"
    "    expr: up == 0\n"
    "    labels: {again: 'yes'}\n"
    "  - alert: Window\n"
    "    expr: count_over_time(up[2m:]) < 2\n"
    "  - record: moving\n"
    "    expr: count_over_time(x[1m:])\n"
    "  - alert: Scalar\n"
    "    expr: vector(1) > 0\n"
    "    annotations: {query: '{{ printf \"%.2f\" $value }}'}\n";

#define UP           "  - {series: 'up{i=\"a\"}', values: '1 1 0x4 1x9'}\n"
#define X            "  - {series: x, values: '1+1x20'}\n"
#define TEST(series) "  input_series:\n" series
#define ALERT(time, name, rest)                                                                \
    "  alert_rule_test:\n  - {eval_time: " time ", alertname: " name ", exp_alerts: [" rest    \
    "]}\n"
#define EXPR(time, expr, rest)                                                                 \
    "  promql_expr_test:\n  - {expr: '" expr "', eval_time: " time ", exp_samples: [" rest     \
    "]}\n"
#define FIRES                                                                                  \
    "{exp_labels: {severity: page, i: a}, exp_annotations: {what: 'a is 0 in  ', empty: ''}}"

static const struct {
    const char *what;
    int verdict; // exit status of both
    const char *top, *test;
} CASES[] = {
    {"fires", 0, "", TEST(UP) ALERT("4m", "Down", FIRES)},
    {"not pending ones", 0, "", TEST(UP) ALERT("3m", "Down", "")},
    {"an alert nobody expects", 1, "", TEST(UP) ALERT("4m", "Down", "")},
    {"the last tick before counts", 0, "", TEST(UP) ALERT("4m59s", "Down", FIRES)},
    {"the last tick before counts, and it is over", 1, "",
        TEST(UP) ALERT("7m30s", "Down", FIRES)},
    {"an annotation that came out empty must be expected", 1, "",
        TEST(UP) ALERT("4m", "Down",
            "{exp_labels: {severity: page, i: a}, exp_annotations: {what: 'a is 0 in  '}}")},
    {"an empty label is none", 1, "",
        TEST(UP) ALERT("4m", "Kept", "{exp_labels: {i: a, none: ''}}")},
    {"alertname may be said, and is overruled", 0, "",
        TEST(UP) ALERT("4m", "Kept", "{exp_labels: {i: a, alertname: Wrong}}")},
    {"no exp_labels", 1, "", TEST(UP) ALERT("4m", "Kept", "{}")},
    {"external labels and URL", 0, "",
        "  external_labels: {dc: east}\n  external_url: http://p\n" TEST(UP) ALERT("4m", "Down",
            "{exp_labels: {severity: page, i: a}, exp_annotations: {what: 'a is 0 in east http://p', "
            "empty: ''}}")},
    {"kept firing", 0, "", TEST(UP) ALERT("9m", "Kept", "{exp_labels: {i: a}}")},
    {"kept firing no longer", 0, "", TEST(UP) ALERT("10m", "Kept", "")},
    {"two rules of one name", 0, "",
        TEST(UP)
            ALERT("4m", "Twice", "{exp_labels: {i: a, again: 'yes'}}, {exp_labels: {i: a}}")},
    {"one of two rules of one name", 1, "",
        TEST(UP) ALERT("4m", "Twice", "{exp_labels: {i: a}}")},
    {"no rule of that name", 0, "", TEST(UP) ALERT("4m", "Nobody", "")},
    {"a scalar alert", 0, "",
        TEST(UP) ALERT("4m", "Scalar", "{exp_annotations: {query: '1.00'}}")},
    {"groups in order", 0, "group_eval_order: [second, first]\n",
        TEST(X) EXPR("3m", "y", "{labels: 'y{l=\"v\"}', value: 9}")},
    {"groups in the other order", 0, "group_eval_order: [first, second]\n",
        TEST(X) EXPR("3m", "y", "{labels: 'y{l=\"v\"}', value: 7}")},
    {"groups in the order twice", 1, "group_eval_order: [first, first]\n", TEST(X)},
    {"a subquery steps by evaluation_interval", 0, "evaluation_interval: 30s\n",
        TEST(X) EXPR("3m", "count_over_time(x[2m:])", "{labels: '{}', value: 5}")},
    {"samples behind the last tick are not there", 0, "evaluation_interval: 1h\n",
        TEST(X) EXPR("3m", "x", "{labels: x, value: 1}")},
    {"the subquery of a rule", 0, "evaluation_interval: 20s\n",
        TEST(X) EXPR("3m", "moving", "{labels: moving, value: 4}")},
    {"ALERTS of a pending one", 0, "",
        TEST(UP) EXPR("3m", "ALERTS{alertname=\"Down\"}",
            "{labels: 'ALERTS{alertname=\"Down\",alertstate=\"pending\",i=\"a\",severity=\"page\"}', "
            "value: 1}")},
    {"ALERTS_FOR_STATE", 0, "",
        TEST(UP) EXPR("4m", "ALERTS_FOR_STATE{alertname=\"Down\"}",
            "{labels: 'ALERTS_FOR_STATE{alertname=\"Down\",i=\"a\",severity=\"page\"}', value: 120}")},
    {"a scalar expression", 0, "", EXPR("3m", "time()", "{labels: '{}', value: 180}")},
    {"a scalar expression without labels", 0, "", EXPR("3m", "time()", "{value: 180}")},
    {"a string expression", 1, "", EXPR("3m", "\"a\"", "")},
    {"an expression that fails", 1, "",
        TEST(UP "  - {series: 'up{i=\"b\"}', values: '1x9'}\n") EXPR("3m", "up + on() up", "")},
    {"an expression that is none", 1, "", EXPR("3m", "sum(", "")},
    {"a sample too many", 1, "", TEST(X) EXPR("3m", "x", "")},
    {"a sample too few", 1, "",
        TEST(X) EXPR("3m", "x", "{labels: x, value: 4}, {labels: w, value: 4}")},
    {"another value", 1, "", TEST(X) EXPR("3m", "x", "{labels: x, value: 5}")},
    {"the last bit", 1, "", EXPR("0", "vector(0.1 + 0.2)", "{labels: '{}', value: 0.3}")},
    {"to the last bit", 0, "",
        EXPR("0", "vector(0.1 + 0.2)", "{labels: '{}', value: 0.30000000000000004}")},
    {"NaN is not NaN", 1, "", EXPR("0", "vector(NaN)", "{labels: '{}', value: .nan}")},
    {"infinity", 0, "", EXPR("0", "vector(-Inf)", "{labels: '{}', value: -.inf}")},
    {"infinity as PromQL writes it", 1, "",
        EXPR("0", "vector(Inf)", "{labels: '{}', value: Inf}")},
    {"minus zero", 0, "", EXPR("0", "vector(-0)", "{labels: '{}', value: 0}")},
    {"octal", 0, "", EXPR("0", "vector(8)", "{labels: '{}', value: 010}")},
    {"hexadecimal", 0, "", EXPR("0", "vector(26)", "{labels: '{}', value: 0x1A}")},
    {"underscores", 0, "", EXPR("0", "vector(1000)", "{labels: '{}', value: 1_000}")},
    {"a value in quotes", 1, "", EXPR("0", "vector(8)", "{labels: '{}', value: '8'}")},
    {"a value of nothing is 0", 0, "", EXPR("0", "vector(0)", "{labels: '{}', value: }")},
    {"a rule over an input", 1, "",
        TEST(X "  - {series: 'z{l=\"v\"}', values: '2 5'}\n") ALERT("4m", "Nobody", "")},
    {"a rule over an equal input", 0, "",
        TEST(X "  - {series: 'z{l=\"v\"}', values: '2+2x20'}\n") ALERT("4m", "Nobody", "")},
    {"an input behind a recorded one", 0, "",
        TEST(
            "  - {series: x, values: '1 1 stale'}\n  - {series: 'z{l=\"v\"}', values: '_ _ _ 7'}\n")
            EXPR("3m", "z", "{labels: 'z{l=\"v\"}', value: 7}")},
    {"stale ends a series", 0, "",
        TEST("  - {series: w, values: '1 1 stale _ 5'}\n") EXPR("3m", "w", "")},
    {"a hole is looked over", 0, "",
        TEST("  - {series: w, values: '1 2 _ _ 5'}\n")
            EXPR("3m", "w", "{labels: w, value: 2}")},
    {"the later of two equal series", 0, "",
        TEST("  - {series: w, values: '1x9'}\n  - {series: w, values: '2x5'}\n")
            EXPR("9m", "w", "{labels: w, value: 2}")},
    {"a series without a name", 0, "",
        TEST("  - {series: '{a=\"b\"}', values: '1x9'}\n")
            EXPR("1m", "{a=\"b\"}", "{labels: '{a=\"b\"}', value: 1}")},
    {"a series that is none", 1, "",
        TEST("  - {series: 'w{', values: '1x9'}\n") EXPR("1m", "w", "")},
    {"values that are none", 1, "",
        TEST("  - {series: w, values: '1 two'}\n") EXPR("1m", "w", "")},
    {"a line break hides what is below", 0, "",
        TEST("  - series: w\n    values: |\n      1x9\n  - {series: v, values: 1x9}\n")
            EXPR("1m", "v or w", "{labels: w, value: 1}")},
    {"two lines of values", 1, "",
        TEST("  - series: w\n    values: |\n      1 2\n      3 4\n") EXPR("1m", "w", "")},
    {"folded lines of values", 0, "",
        TEST("  - series: w\n    values: >-\n      1 2\n      3 4\n")
            EXPR("3m", "w", "{labels: w, value: 4}")},
    {"no alertname", 1, "", "  alert_rule_test:\n  - {eval_time: 1m}\n"},
    {"an unknown key", 1, "", "  alert_rule_tests:\n"},
    {"an unknown key at the top", 1, "evaluation_intervall: 1m\n", TEST(X)},
    {"a key twice", 1, "evaluation_interval: 1m\nevaluation_interval: 1m\n", TEST(X)},
    {"a duration that is none", 1, "evaluation_interval: 1min\n", TEST(X)},
    {"a time without unit", 1, "", EXPR("5", "x", "")},
    {"a bad expected label", 1, "", TEST(X) EXPR("1m", "x", "{labels: 'x{a=1}', value: 2}")},
    {"labels as a map", 1, "", TEST(X) EXPR("1m", "x", "{labels: {a: b}, value: 2}")},
};

static bool have_promtool(void)
{
    char version[200] = "";
    FILE *f = popen("promtool --version 2>&1", "re");
    if (f) {
        if (!fgets(version, sizeof(version), f))
            version[0] = '\0';
        pclose(f);
    }
    return strstr(version, "version 2.42") != NULL;
}

static int ask_promtool(const char *name)
{
    char command[900];
    snprintf(command, sizeof(command), "promtool test rules %s >%s.said 2>&1", path_of(name),
        path_of(name));
    int status = system(command);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void judges_as_promtool(void)
{
    bool oracle = have_promtool();
    if (!oracle)
        printf("without promtool 2.42 (Debian 12's prometheus package) only our verdicts\n");
    write_file("rules.yaml", RULES);
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        char name[40], text[4000];
        snprintf(name, sizeof(name), "case%zu.yaml", i);
        snprintf(text, sizeof(text), "rule_files: [rules.yaml]\n%stests:\n- interval: 1m\n%s",
            CASES[i].top, CASES[i].test);
        write_file(name, text);
        int ours = RUN("--compat=2.42", path_of(name));
        int theirs = oracle ? ask_promtool(name) : CASES[i].verdict;
        if (ours != CASES[i].verdict || theirs != CASES[i].verdict)
            printf(
                "%s: ours %d, promtool's %d\n%s\n%s", CASES[i].what, ours, theirs, text, out);
        CU_ASSERT_EQUAL(ours, CASES[i].verdict);
        CU_ASSERT_EQUAL(theirs, CASES[i].verdict);
    }
}

// --- what is shown ---------------------------------------------------------------------------------

#define FAILING                                                                                      \
    "rule_files: ['ru*.yaml']\ntests:\n- interval: 1m\n  name: goes down\n" TEST(                    \
        UP) "  alert_rule_test:\n"                                                                   \
            "  - eval_time: 5m\n    alertname: Down\n    exp_alerts:\n"                              \
            "    - {exp_labels: {i: a, severity: warn}, exp_annotations: {empty: '',\n"              \
            "       what: 'a is 0 in the north-west corner of the house'}}\n"                        \
            "    - {exp_labels: {i: b}}\n"                                                           \
            "  - {eval_time: 5m, alertname: Donw}\n"                                                 \
            "  promql_expr_test:\n  - expr: up or vector(3)\n    exp_samples:\n"                     \
            "    - {labels: 'up{i=\"a\"}', value: 1.5}\n    - {labels: up, value: 1}\n"              \
            "    - {labels: '{}', value: 3}\n- promql_expr_test: [{expr: 'vector(1)', exp_samples: " \
            "[{value: 1}]}]\n"

static void shows_what_differs(void)
{
    char expected[3000], f[400];
    write_file("rules.yaml", RULES);
    write_file("failing.yaml", FAILING);
    snprintf(f, sizeof(f), "%s", path_of("failing.yaml"));
    snprintf(expected, sizeof(expected),
        "FAIL  %s: goes down: 2 of 3 checks failed\n"
        "  alert Down at 5m  (%s:9:16)\n"
        "    {i=\"a\"}\n"
        "                expected  got\n"
        "      severity  warn      page\n"
        "      annotation what\n"
        "        expected  a is 0 in the north-west corner of the house\n"
        "        got       a is 0 in  \n"
        "                            ^\n"
        "    expected, not firing: {i=\"b\"}\n"
        "    timeline, one column is 1m: . inactive, p pending, F firing, ^ this check\n"
        "      {i=\"a\", severity=\"page\"}  ..ppFF\n"
        "                                     ^\n"
        "  warning: alert Donw (%s:14:32): no rule has this name: did you mean Down?\n"
        "  expr up or vector(3) at 0s  (%s:16:11)\n"
        "               expected  got\n"
        "    up         1         (none)\n"
        "    up{i=\"a\"}  1.5       1\n"
        "    and 1 as expected\n"
        "ok    %s:21 (1 check)\n"
        "1 file, 2 tests: 1 passed, 1 failed\n",
        f, f, f, f, f);
    CU_ASSERT_EQUAL(RUN(f), CLI_NO);
    if (strcmp(out, expected))
        printf("%s", out);
    CU_ASSERT_STRING_EQUAL(out, expected);
}

static void says_that_nan_equals_nothing(void)
{
    write_file("nan.yaml",
        "tests:\n- interval: 1m\n" EXPR("0", "vector(NaN)", "{labels: '{}', value: .nan}"));
    CU_ASSERT_EQUAL(RUN(path_of("nan.yaml")), CLI_NO);
    CU_ASSERT_PTR_NOT_NULL(strstr(out, "    {}  NaN       NaN\n    NaN is equal to nothing"));
}

static void says_when_prometheus_2_would_pass(void)
{
    write_file("old.yaml", "tests:\n- interval: 1m\n" TEST(X) EXPR(
                               "3m", "count_over_time(x[1m])", "{labels: '{}', value: 2}"));
    CU_ASSERT_EQUAL(RUN(path_of("old.yaml")), CLI_NO);
    CU_ASSERT_PTR_NOT_NULL(
        strstr(out, "    {}  2         1\n  passes with --compat=2.42: before"));
    CU_ASSERT_EQUAL(RUN("--json", path_of("old.yaml")), CLI_NO);
    CU_ASSERT_PTR_NOT_NULL(strstr(out, "\",\"passes with --compat=2.42"));
    CU_ASSERT_EQUAL(RUN("--compat=2.42", path_of("old.yaml")), CLI_YES);
    CU_ASSERT_PTR_NULL(strstr(out, "passes with"));
    write_file("never.yaml",
        "tests:\n- interval: 1m\n" TEST(X) EXPR("3m", "x", "{labels: x, value: 2}"));
    CU_ASSERT_EQUAL(RUN(path_of("never.yaml")), CLI_NO);
    CU_ASSERT_PTR_NULL(strstr(out, "passes with"));
}

static void chooses_by_name(void)
{
    write_file("rules.yaml", RULES);
    write_file("failing.yaml", FAILING);
    CU_ASSERT_EQUAL(RUN("--run", "^$", path_of("failing.yaml")), CLI_YES);
    CU_ASSERT_PTR_NOT_NULL(strstr(out, "1 file, 1 test: 1 passed, 0 failed\n"));
    CU_ASSERT_EQUAL(RUN("--run=down", path_of("failing.yaml")), CLI_NO);
    CU_ASSERT_EQUAL(RUN("--run=nobody", path_of("failing.yaml")), CLI_NO);
    CU_ASSERT_STRING_EQUAL(err.msg, "--run nobody: no test has such a name");
    CU_ASSERT_EQUAL(RUN("--run=(", path_of("failing.yaml")), CLI_USAGE);
    CU_ASSERT_EQUAL(run(0, NULL), CLI_USAGE);
}

static void a_part_is_enough(void)
{
    write_file("rules.yaml", RULES);
    write_file("part.yaml", "rule_files: [rules.yaml]\ntests:\n- interval: 1m\n" TEST(UP)
                                ALERT("4m", "Down", "{exp_labels: {severity: page}}"));
    CU_ASSERT_EQUAL(RUN(path_of("part.yaml")), CLI_NO);
    CU_ASSERT_EQUAL(RUN("--partial", path_of("part.yaml")), CLI_YES);
}

static void missing_files_are_mistakes(void)
{
    char f[400];
    write_file("missing.yaml", "rule_files:\n  - rules.yaml\n  - no/such-*.yaml\ntests: []\n");
    snprintf(f, sizeof(f), "%s", path_of("missing.yaml"));
    CU_ASSERT_EQUAL(RUN(f), CLI_NO);
    CU_ASSERT_PTR_NOT_NULL(strstr(out, "error[T044]: there is no such file: "));
    CU_ASSERT_PTR_NOT_NULL(strstr(out, "missing.yaml:3:5\n"));
    CU_ASSERT_PTR_NOT_NULL(
        strstr(out, "1 file, 0 tests: 0 passed, 0 failed, 1 file with mistakes\n"));
    CU_ASSERT_EQUAL(RUN(path_of("nothing.yaml")), CLI_NO);
    CU_ASSERT_PTR_NOT_NULL(strstr(out, "cannot read it: No such file or directory"));
    write_file("broken.yaml", "groups: [{name: a, rules: [{alert: A, expr: 'sum('}]}]\n");
    write_file("with.yaml", "rule_files: [broken.yaml]\ntests: []\n");
    CU_ASSERT_EQUAL(RUN(path_of("with.yaml")), CLI_NO);
    CU_ASSERT_PTR_NOT_NULL(strstr(out, "broken.yaml:1:"));
}

static void overrides_are_applied(void)
{
    write_file("rules.yaml", RULES);
    write_file("over.yaml",
        "overrides: [{rule: first/Down, set: {for: 0s, labels: {severity: p}}}]\n");
    write_file("both.yaml",
        "rule_files: [over.yaml, rules.yaml]\ntests:\n- interval: 1m\n" TEST(UP)
            ALERT("2m", "Down", "{exp_labels: {severity: p, i: a}}"));
    CU_ASSERT_EQUAL(RUN("--partial", path_of("both.yaml")), CLI_YES);
}

static void writes_junit(void)
{
    char text[6000] = "", junit[400];
    snprintf(junit, sizeof(junit), "%s", path_of("out.xml"));
    write_file("rules.yaml", RULES);
    write_file("failing.yaml", FAILING);
    write_file("bad.yaml", "tests: <&>\n");
    CU_ASSERT_EQUAL(
        RUN("--junit", junit, path_of("failing.yaml"), path_of("bad.yaml")), CLI_NO);
    FILE *f = fopen(junit, "re");
    CU_ASSERT_FATAL(f != NULL);
    size_t n = fread(text, 1, sizeof(text) - 1, f);
    text[n] = '\0';
    fclose(f);
    CU_ASSERT_PTR_NOT_NULL(
        strstr(text, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n"));
    CU_ASSERT_PTR_NOT_NULL(
        strstr(text, "failing.yaml\" tests=\"2\" failures=\"1\" errors=\"0\">"));
    CU_ASSERT_PTR_NOT_NULL(
        strstr(text, "name=\"goes down\">\n      <failure message=\"alert Down\">"));
    CU_ASSERT_PTR_NOT_NULL(
        strstr(text, "{i=&quot;a&quot;, severity=&quot;page&quot;}  ..ppFF\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "bad.yaml\" tests=\"1\" failures=\"0\" errors=\"1\">"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "&lt;&amp;&gt;"));
    CU_ASSERT_EQUAL(RUN("--junit", "/nonexistent/x.xml", path_of("failing.yaml")), CLI_USAGE);
}

static void prints_json(void)
{
    write_file("rules.yaml", RULES);
    write_file("failing.yaml", FAILING);
    CU_ASSERT_EQUAL(RUN("--json", path_of("failing.yaml")), CLI_NO);
    CU_ASSERT_PTR_NOT_NULL(strstr(out,
        ",\"line\":3,\"name\":\"goes down\",\"passed\":false,\"problems\":[\"  alert Down at 5m"));
    CU_ASSERT_PTR_NOT_NULL(strstr(out, "\"name\":\"\",\"passed\":true,\"problems\":[]}"));
    CU_ASSERT_PTR_NOT_NULL(
        strstr(out, "],\"files\":1,\"passed\":1,\"failed\":1,\"bad_files\":0}\n"));
}

static const struct test TESTS[] = {
    {"judges as promtool does", judges_as_promtool},
    {"shows what differs and what became of the alert", shows_what_differs},
    {"says that NaN is equal to nothing", says_that_nan_equals_nothing},
    {"says when Prometheus 2 would pass a test", says_when_prometheus_2_would_pass},
    {"chooses tests by name", chooses_by_name},
    {"a part is enough when asked for", a_part_is_enough},
    {"a file that is missing or broken is a mistake", missing_files_are_mistakes},
    {"overrides are applied", overrides_are_applied},
    {"writes JUnit XML", writes_junit},
    {"prints JSON", prints_json},
};

int main(void)
{
    int rc = test_main("rules_test", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
    free(out);
    return rc;
}
