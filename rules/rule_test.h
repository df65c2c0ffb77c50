// SPDX-License-Identifier: Apache-2.0
/*
 * Unit tests of rules in promtool's format: the text of a test file and of the rule files it names
 * in, verdicts out.
 *
 *     rule_files: [api.yaml]
 *     evaluation_interval: 1s
 *     tests:
 *       - name: a full queue pages at once
 *         interval: 1s
 *         input_series:
 *           - {series: 'queue{host="a"}', values: '0x5 9x5'}
 *         alert_rule_test:
 *           - {eval_time: 7s, alertname: QueueFull, exp_alerts: [{exp_labels: {host: a}}]}
 *         promql_expr_test:
 *           - {expr: queue, eval_time: 2s, exp_samples: [{labels: 'queue{host="a"}', value: 0}]}
 *
 * Verdicts are promtool's (cmd/promtool/unittest.go): every group once per evaluation_interval from
 * start_timestamp (default 0) to the last eval_time, in group_eval_order, whatever its own interval;
 * samples up to that tick are there and no later ones; an alert case looks at the last tick at or
 * before its eval_time and at firing alerts only; expressions are evaluated after the last tick;
 * numbers are equal to the bit (so NaN is equal to nothing), with fuzzy_compare or one bit apart; a
 * rule that cannot be evaluated ends its test. Stricter: every mistake of the file is told, with its
 * place, and a rule file may be an overrides document.
 *
 * One thread. What a result points to lives until the callback returns.
 */
#pragma once
#include "base/diag.h"
#include "rules/alert.h"

#define RULE_TEST_FILE_MAX  (64u << 20)
#define RULE_TEST_TICKS_MAX 10000000

struct rule_tests; // one test file
// NULL on no memory. d gets the mistakes; after an error the tests must not be run. text must live
// as long as the tests.
struct rule_tests *rule_tests_read(const char *text, size_t len, struct diags *d);
void rule_tests_free(struct rule_tests *t);

// What `rule_files` names: paths or globs, relative to the test file.
struct rule_test_pattern {
    const char *text;
    int line, col, len;
};
const struct rule_test_pattern *rule_tests_patterns(const struct rule_tests *t, size_t *ret_n);

// An alert or a sample, expected or found.
struct rule_test_item {
    struct labels labels;      // of an alert with alertname
    struct labels annotations; // alerts
    double value;              // samples
    const char *histogram;     // in series notation; NULL for a float
};
// What belongs together; one of them may be NULL. same: they agree.
struct rule_test_pair {
    const struct rule_test_item *expected, *got;
    bool same;
};
struct rule_test_change {
    int64_t t_ms; // since the start of the test
    enum alert_state to;
};
// What became of one alert during the test.
struct rule_test_timeline {
    struct labels labels;
    struct rule_test_change *changes;
    size_t n, cap;
};
enum rule_test_kind { RULE_TEST_ALERT, RULE_TEST_EXPR };
struct rule_test_case {
    enum rule_test_kind kind;
    const char *what; // alert name or expression
    int64_t at_ms;    // eval_time
    int line, col, len;
    bool run, passed;
    bool partial;      // what is expected may be a part
    const char *error; // why there is no result; NULL = there is one
    const char *note;  // no rule has such a name ...; NULL = none
    struct rule_test_pair *pairs;
    size_t n_pairs;
    struct rule_test_timeline *timelines; // of a failed alert case
    size_t n_timelines;
};
struct rule_test_result {
    const char *name; // "" = it has none
    int line;
    const char *error;           // what ended the test early; NULL = nothing did
    int64_t interval_ms, end_ms; // ticks stood at 0, interval_ms ... end_ms
    struct rule_test_case *cases;
    size_t n_cases, n_failed; // failed, or not run because of error
    bool passes_as_2_42;      // it failed, and would pass with compat_2_42
};

struct rule_test_text { // one rule file
    const char *file, *text;
    size_t len;
};
struct rule_test_options {
    bool partial; // expected labels and annotations may be some of those there are
    bool compat_2_42;
    const struct regex *run; // only tests whose name it finds a match in; NULL = all
};
// Runs the tests and hands over each result. 0; -EINVAL when a rule file has mistakes (check them
// before: they are not told here); -ENOMEM.
int rule_tests_run(const struct rule_tests *t, const struct rule_test_text *rules, size_t n,
    const struct rule_test_options *o, void (*fn)(void *ctx, const struct rule_test_result *r),
    void *ctx);
