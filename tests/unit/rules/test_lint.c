// SPDX-License-Identifier: Apache-2.0
// Each warning with expressions that earn it and, beside them, ones that look alike and do not.
#include "rules/lint.h"
#include "tests/lib/oom.h"
#include "tests/lib/run.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

// The codes found in a file, "T205 T213", in the order of their places; sampled every 15 s.
static const char *found(const char *text)
{
    static char codes[200];
    struct ruleset *set = ruleset_new();
    struct lint_options o = {.sampling_ms = 15000};
    struct diags d;

    diags_init(&d);
    int rc = ruleset_add(set, "a.yaml", text, strlen(text), &d);
    if (rc < 0) {
        struct buf out;
        buf_init(&out, 65536);
        diags_print(&d, "a.yaml", text, strlen(text), &out);
        printf("%s\n%s", text, buf_cstr(&out));
        buf_done(&out);
    }
    CU_ASSERT_EQUAL(rc, 0);
    struct lint *l = lint_new(set, &o);
    CU_ASSERT_EQUAL(lint_file(l, "a.yaml", text, strlen(text), &d), 0);
    diags_sort(&d);
    codes[0] = '\0';
    for (size_t i = 0; i < d.n; i++)
        snprintf(codes + strlen(codes), sizeof(codes) - strlen(codes), "%s%s", i ? " " : "",
            d.items[i].code);
    CU_ASSERT_EQUAL(d.errors, 0);
    lint_free(l);
    diags_done(&d);
    ruleset_free(set);
    return codes;
}

static void expect_file(const char *codes, const char *text)
{
    const char *got = found(text);
    if (strcmp(got, codes))
        printf("%s\n  has \"%s\", not \"%s\"\n", text, got, codes);
    CU_ASSERT_STRING_EQUAL(got, codes);
}

static void expect(const char *codes, const char *expr)
{
    char text[2000];
    snprintf(text, sizeof(text),
        "groups:\n- name: a\n  rules:\n  - alert: A\n    expr: |\n      %s\n", expr);
    expect_file(codes, text);
}

// As a recording rule: what only alerts are told stays out.
static void expect_record(const char *codes, const char *expr)
{
    char text[2000];
    snprintf(text, sizeof(text),
        "groups:\n- name: a\n  rules:\n  - record: r\n    expr: |\n      %s\n", expr);
    expect_file(codes, text);
}

static void rates_of_gauges(void)
{
    expect("T205", "rate(node_memory_MemFree_bytes[5m]) > 1");
    expect("T205", "increase(disk_used_bytes[5m]) > 1");
    expect("T205", "sum by (job) (irate(up[5m])) > 1");
    expect("", "rate(node_network_receive_bytes_total[5m]) > 1");
    expect("", "rate(requests[5m]) > 1"); // nobody knows
    expect("", "rate(node_memory_scans_total[5m]) > 1");
    expect("", "rate({job=\"a\"}[5m]) > 1");
    expect("", "deriv(node_memory_MemFree_bytes[5m]) > 1");
}

static void deltas_of_counters(void)
{
    expect("T206", "delta(a_total[5m]) > 1");
    expect("T206", "deriv((a_total[5m])) > 1");
    expect("T206", "idelta(a_bucket{le=\"1\"}[5m]) > 1");
    expect("", "delta(a[5m]) > 1");
    expect("", "delta(a_count[5m]) > 1"); // a number of things may fall
    expect("", "predict_linear(a_total[1h], 3600) > 1");
}

static void rates_of_sums(void)
{
    expect("T207", "rate(sum(a_total)[5m:1m]) > 1");
    expect("T207", "increase((sum by (job) (a_total))[5m:1m]) > 1");
    expect("", "sum(rate(a_total[5m])) > 1");
    expect("", "rate(a_total[5m:1m]) > 1");
    expect("", "max_over_time(sum(rate(a_total[5m]))[1h:1m]) > 1");
    expect("", "rate(topk(3, a_total)[5m:1m]) > 1");
}

static void rates_of_recorded_sums(void)
{
    expect_file("T208", "groups:\n- name: a\n  rules:\n"
                        "  - {record: s, expr: sum(a_total)}\n"
                        "  - {alert: A, expr: 'rate(s[5m]) > 1'}\n");
    expect_file("T208", "groups:\n- name: a\n  rules:\n"
                        "  - {alert: A, expr: 'rate(s[5m]) > 1'}\n"
                        "  - {record: s, expr: 'rate(a_total[5m])'}\n");
    expect_file("", "groups:\n- name: a\n  rules:\n"
                    "  - {record: s, expr: 'a_total{job=\"x\"}'}\n"
                    "  - {record: t, expr: sum(a_total)}\n"
                    "  - {alert: A, expr: 'rate(s[5m]) > t'}\n");
}

static void short_ranges(void)
{
    expect("T209", "rate(a_total[20s]) > 1");
    expect("T209", "rate(a_total[45s]) > 1");
    expect("", "rate(a_total[1m]) > 1");
    expect("", "max_over_time(a[20s]) > 1"); // one sample is enough
    expect("T209", "rate(a_total[5m:5m]) > 1");
    expect("", "rate(a_total[5m:1m]) > 1");
    expect("", "rate(a_total[5m:]) > 1");
}

static void needless_patterns(void)
{
    expect("T213", "up{job=~\"web\"} == 0");
    expect("T213", "up{job!~\"web-1\"} == 0");
    expect("T213", "up{job=~\".*\"} == 0");
    expect("T213", "up{job=~\"\"} == 0");
    expect("", "up{job=~\"web.*\"} == 0");
    expect("", "up{job=~\".+\"} == 0");
    expect("", "up{job=~\"a|b\"} == 0");
    expect("", "up{job=~\"www.example.com\"} == 0");
}

static void alerts_that_always_fire(void)
{
    expect("T214", "up");
    expect("T214", "up == bool 0");
    expect("T214", "sum by (job) (rate(a_total[5m]))");
    expect("T214", "up == 0 or a");
    expect("T214", "(a - b) / b");
    expect("", "up == 0");
    expect("", "absent(up)");
    expect("", "up unless on (job) b");
    expect("", "a and b > 1");
    expect("", "sum(up == 0)");
    expect("", "vector(1)");
    expect("", "vector(1) unless on () a");
    expect("", "ALERTS{alertname=\"B\"}");
    expect("", "net_info{operstate=\"down\"}");
    expect("T214", "net_info");
    expect("", "(a > 1) * on () group_left () b");
    expect_record("", "up");
}

static void labels_that_are_lost(void)
{
    static const char *const lost[] = {"sum by (job) (up) == 0", "sum(up) == 0", "absent(up)",
        "absent(up{instance=~\"x.+\"})", "sum without (instance) (up) == 0",
        "count by (job) (up) / on (job) count by (job) (a) > 1",
        "max by (job) (up) == on (job) group_left () sum by (job) (b)",
        "up{instance=\"\"} == 0", "up == on (job) b",
        "histogram_quantile(0.9, sum by (job, le) (rate(b_bucket[5m]))) > 1",
        "count_values(\"version\", up) > 1", "max_over_time(sum by (job) (up)[5m:1m]) > 1"};
    static const char *const kept[] = {"up == 0", "sum by (job, instance) (up) == 0",
        "absent(up{instance=\"x\"})", "sum without (job) (up) == 0",
        "topk by (job) (1, up) > 0",
        "label_replace(sum by (job) (up), \"instance\", \"$1\", \"job\", \"(.+)\") == 0",
        "sum by (job) (up) * on (job) group_left (instance) b > 1",
        "b * on (job) group_right () up > 1", "sum by (job) (up) == 0 or up == 0",
        "count_values(\"instance\", up) > 1", "up == ignoring (job) b", "-up > 1",
        "rate(a_total[5m]) > 1"};
    char text[600];
    for (size_t i = 0; i < sizeof(lost) / sizeof(lost[0]) + sizeof(kept) / sizeof(kept[0]);
         i++) {
        size_t n = sizeof(lost) / sizeof(lost[0]);
        snprintf(text, sizeof(text),
            "groups:\n- name: a\n  rules:\n  - alert: A\n    expr: '%s'\n"
            "    annotations: {s: '{{ $labels.instance }}'}\n",
            i < n ? lost[i] : kept[i - n]);
        bool regex = strstr(text, "=~") != NULL;
        expect_file(i >= n ? "" : regex ? "T218 T215" : "T215", text);
    }
    expect_file("T215", "groups:\n- name: a\n  rules:\n  - alert: A\n    expr: sum(up) == 0\n"
                        "    annotations: {s: 'on {{ .Labels.instance }}'}\n");
    expect_file("T215", "groups:\n- name: a\n  rules:\n  - alert: A\n    expr: sum(up) == 0\n"
                        "    labels: {severity: page}\n"
                        "    annotations: {s: '{{ $labels.severity }}'}\n");
    expect_file("", "groups:\n- name: a\n  rules:\n  - alert: A\n    expr: sum(up) == 0\n"
                    "    annotations: {s: '{{ $value }} {{ $labels }} labels.instance'}\n");
}

static void comparisons_without_effect(void)
{
    expect("T216", "rate(a_total[5m]) >= 0");
    expect("T216", "count(up) > -1");
    expect("T216", "hour() < 24 and up == 0");
    expect("T217", "count(up) == 0");
    expect("T217", "count by (job) (up) < 1");
    expect("T217", "absent(up) == 0");
    expect("T217", "rate(a_total[5m]) < 0");
    expect("T217", "(up > 5) < 3");
    expect("T217", "hour() > 23 and up == 0");
    expect("", "count(up) > 0"); // is there any
    expect("", "absent(up) == 1");
    expect("", "rate(a_total[5m]) == 0");
    expect("", "a / b >= 0"); // all but 0/0
    expect("", "(count(up) or vector(0)) == 0");
    expect("", "delta(a[5m]) < 0");
    expect("", "a != a");
    expect("", "histogram_quantile(0.9, rate(a_bucket[5m])) >= 0");
    expect("", "vector(1) > 0");
    expect("", "5 < a");
}

static void absent_with_patterns(void)
{
    expect("T218", "absent(up{job=~\"a|b\"})");
    expect("T218", "absent_over_time(up{job=~\"a.*\"}[5m])");
    expect("", "absent(up{job=\"a\"})");
    expect("", "absent(up{job!~\"a.*\"})");
    expect("", "absent(sum(up{job=~\"a|b\"}))");
}

static void times_to_wait(void)
{
    expect_file("T219", "groups:\n- name: a\n  interval: 1m\n  rules:\n"
                        "  - {alert: A, expr: up == 0, for: 30s}\n");
    expect_file("", "groups:\n- name: a\n  interval: 1m\n  rules:\n"
                    "  - {alert: A, expr: up == 0, for: 1m}\n"
                    "  - {alert: B, expr: up == 0, for: 0s}\n"
                    "  - {alert: C, expr: up == 0}\n");
    expect_file("", "groups:\n- name: a\n  rules:\n"
                    "  - {alert: A, expr: up == 0, for: 1s}\n");
}

static void alerts_twice(void)
{
    expect_file("T220", "groups:\n- name: a\n  rules:\n  - {alert: A, expr: up == 0}\n"
                        "- name: b\n  rules:\n  - {alert: A, expr: '(up) ==0' }\n"
                        "  - {alert: A, expr: 'up ==0', for: 5m}\n");
    expect_file("", "groups:\n- name: a\n  rules:\n  - {alert: A, expr: up == 0}\n"
                    "  - {alert: A, expr: up == 1}\n"
                    "  - {alert: A, expr: up == 0, labels: {severity: page}}\n"
                    "  - {alert: B, expr: up == 0}\n");
}

static void sides_that_never_match(void)
{
    expect("T221", "sum by (a, b) (x) / sum by (a) (y) > 1");
    expect("T221", "sum by (a) (x) / sum(y) > 1");
    expect("T221", "sum by (a) (x) > 1 and sum by (a, b) (y)");
    expect("T221",
        "sum by (a) (x) / on (a) group_right (b) count by (a) (y) > 1 and sum by (c) (z)");
    expect("T221", "sum by (a) (x) / on (a, b) sum by (a, b) (y) > 1");
    expect("", "sum by (a, b) (x) / on (a) group_left () sum by (a) (y) > 1");
    expect("", "sum by (a, b) (x) / ignoring (b) group_left () sum by (a) (y) > 1");
    expect("", "sum by (a) (x) / sum by (a) (y) > 1");
    expect("", "x / sum by (a) (y) > 1"); // x may have no other label
    expect("", "sum(x) / sum(y) > 1");
    expect("", "x > 1 and on () sum by (a) (y)");
    expect("", "sum by (a) (x) > 1 or sum by (b) (y) > 1");
    expect("", "sum by (a) (x) > scalar(sum(y))");
}

static void quantiles(void)
{
    expect("T222", "histogram_quantile(0.9, sum(rate(a_bucket[5m]))) > 1");
    expect("T222", "histogram_quantile(0.9, sum without (le) (rate(a_bucket[5m]))) > 1");
    expect("", "histogram_quantile(0.9, sum by (le) (rate(a_bucket[5m]))) > 1");
    expect("", "histogram_quantile(0.9, sum by (job) (rate(a[5m]))) > 1"); // a native one
    expect("T223", "histogram_quantile(99, rate(a_bucket[5m])) > 1");
    expect("T223", "quantile_over_time(-1, a[5m]) > 1");
    expect("T223", "quantile(1.1, a) > 1");
    expect("", "quantile(1, a) > 1 and quantile(0, b) > 1");
    expect("", "quantile(scalar(q), a) > 1");
}

static void memory_runs_out_anywhere(void)
{
    static const char text[] = "groups:\n- name: a\n  rules:\n  - {record: r, expr: sum(up)}\n"
                               "  - alert: A\n    expr: sum by (a) (x) / sum(y) > 1\n"
                               "    annotations: {s: '{{ $labels.b }}'}\n";
    for (int nth = 1;; nth++) {
        struct ruleset *set = ruleset_new();
        struct lint_options o = {.sampling_ms = 1000};
        struct diags d;
        diags_init(&d);
        CU_ASSERT_EQUAL_FATAL(ruleset_add(set, "a", text, strlen(text), &d), 0);
        oom_fail_at(nth);
        struct lint *l = lint_new(set, &o);
        int rc = l ? lint_file(l, "a", text, strlen(text), &d) : -ENOMEM;
        bool hit = oom_stop();
        size_t n = d.n + d.dropped;
        lint_free(l);
        diags_done(&d);
        ruleset_free(set);
        if (!hit) {
            CU_ASSERT_EQUAL(rc, 0);
            CU_ASSERT_EQUAL(n, 2);
            break;
        }
        // A warning that found no room is counted; anything else is told.
        CU_ASSERT(rc == -ENOMEM || n == 2);
    }
}

static const struct test TESTS[] = {
    {"rate of what by its name is no counter is told", rates_of_gauges},
    {"delta and deriv of a counter are told", deltas_of_counters},
    {"rate of a sum is told, the sum of rates not", rates_of_sums},
    {"rate of a recorded sum or rate is told, whatever the order", rates_of_recorded_sums},
    {"a range below four samples is told where two are needed", short_ranges},
    {"a pattern that is plain text or passes everything is told", needless_patterns},
    {"an alert that compares nothing is told, a heartbeat not", alerts_that_always_fire},
    {"a label in a template that the result cannot have is told", labels_that_are_lost},
    {"a comparison that holds always or never is told", comparisons_without_effect},
    {"absent with a pattern is told", absent_with_patterns},
    {"a `for` shorter than the interval is told", times_to_wait},
    {"the same alert twice is told", alerts_twice},
    {"two sides that can never match are told", sides_that_never_match},
    {"quantiles without le or outside 0 to 1 are told", quantiles},
    {"memory may run out anywhere", memory_runs_out_anywhere},
};

int main(void)
{
    return test_main("lint", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
