// SPDX-License-Identifier: Apache-2.0
// T2xx: rules that load but do not do what they look like.
#include "cli/codes.h"

const struct code CODES_LINT[] = {
    WARNING("T201", "value-in-label", .summary = "a label of an alert holds the value",
        .text =
            "Labels are what an alert is known by. One that changes with each evaluation makes a\n"
            "new alert each time, which never stays long enough for its `for` and sends a page of\n"
            "its own when it does. Annotations may change.\n",
        .example = "groups:\n"
                   "  - name: web\n"
                   "    rules:\n"
                   "      - alert: Slow\n"
                   "        expr: probe_duration_seconds > 1\n"
                   "        for: 5m\n"
                   "        labels: {seconds: '{{ $value }}'}\n",
        .fix = "groups:\n"
               "  - name: web\n"
               "    rules:\n"
               "      - alert: Slow\n"
               "        expr: probe_duration_seconds > 1\n"
               "        for: 5m\n"
               "        annotations: {seconds: '{{ $value }}'}\n"),
    WARNING("T202", "recorded-twice", .summary = "two rules of a group record the same series",
        .text =
            "Where their results have a series in common, one of the two values is lost, and it is\n"
            "not said which.\n",
        .example = "groups:\n"
                   "  - name: web\n"
                   "    rules:\n"
                   "      - {record: 'job:up:count', expr: count by (job) (up)}\n"
                   "      - {record: 'job:up:count', expr: sum by (job) (up)}\n",
        .fix = "groups:\n"
               "  - name: web\n"
               "    rules:\n"
               "      - {record: 'job:up:count', expr: count by (job) (up)}\n"
               "      - {record: 'job:up:sum', expr: sum by (job) (up)}\n"),
    WARNING("T203", "name-needs-quotes", .summary = "a name that must be quoted in expressions",
        .text =
            "Prometheus 3 takes any name, but Prometheus 2 and many programs that receive alerts\n"
            "do not.\n",
        .example = "groups:\n"
                   "  - name: web\n"
                   "    rules:\n"
                   "      - {alert: Down, expr: up == 0, labels: {on-call: web}}\n",
        .fix = "groups:\n"
               "  - name: web\n"
               "    rules:\n"
               "      - {alert: Down, expr: up == 0, labels: {on_call: web}}\n"),
    WARNING("T204", "group-in-two-files", .summary = "two files have a group of the same name",
        .text =
            "Both are loaded. An override that names the group, or a rule that both have, changes\n"
            "both.\n"),
    WARNING("T205", "rate-of-gauge", .summary = "`rate` of what is no counter",
        .text =
            "`rate`, `increase` and `irate` take every fall of the value for a restart of the\n"
            "counter and add it up again: of a value that goes up and down they make a number\n"
            "that means nothing. Told by the name, and only where it leaves little doubt.\n",
        .example = "rate(node_memory_MemFree_bytes[5m]) > 1e6",
        .fix = "deriv(node_memory_MemFree_bytes[5m]) > 1e6"),
    WARNING("T206", "delta-of-counter", .summary = "`delta` or `deriv` of a counter",
        .text =
            "A counter begins again at 0 when its program restarts. `delta` sees that as a large\n"
            "fall; `increase` and `rate` know better.\n",
        .example = "delta(http_errors_total[1h]) > 100",
        .fix = "increase(http_errors_total[1h]) > 100"),
    WARNING("T207", "rate-of-sum", .summary = "counters are added up before `rate`",
        .text =
            "When one of many counters restarts, their sum falls a little and `rate` takes that\n"
            "for a restart of the whole: a spike as high as the sum itself. The same when a series\n"
            "comes or goes. First rate, then sum.\n",
        .example = "rate(sum(http_errors_total)[5m:]) > 5",
        .fix = "sum(rate(http_errors_total[5m])) > 5"),
    WARNING("T208", "rate-of-recorded", .summary = "`rate` of a recorded sum or rate",
        .text =
            "As T207, but the sum is recorded by another rule; the rate of a rate is told here too.\n"
            "Record sum(rate(...)) instead and read that.\n",
        .example =
            "groups:\n"
            "  - name: web\n"
            "    rules:\n"
            "      - {record: 'job:errors:sum', expr: sum by (job) (http_errors_total)}\n"
            "      - {alert: Errors, expr: 'rate(job:errors:sum[5m]) > 5'}\n",
        .fix =
            "groups:\n"
            "  - name: web\n"
            "    rules:\n"
            "      - {record: 'job:errors:rate5m', expr: 'sum by (job) (rate(http_errors_total[5m]))'}\n"
            "      - {alert: Errors, expr: 'job:errors:rate5m > 5'}\n"),
    WARNING("T209", "range-too-short", .summary = "a range that holds too few samples",
        .text =
            "A rate needs two samples. A range of less than twice the sampling interval is mostly\n"
            "empty; one of less than four times is empty when one sample is lost. The interval\n"
            "is one second, or what --sampling says; of a subquery it is its step.\n",
        .example = "rate(http_errors_total[1s]) > 5",
        .fix = "rate(http_errors_total[30s]) > 5"),
    WARNING("T210", "no-series", .summary = "no series matches the selector now (--against)",
        .text =
            "The collector that was asked has none of this name. A mistyped name is an alert\n"
            "that is silent for ever. Names that the files themselves record are not asked for.\n"),
    WARNING("T211", "no-label", .summary = "no series of this name has the label (--against)",
        .text =
            "A matcher on a label that does not exist passes nothing, or with != everything.\n"),
    WARNING("T212", "no-value",
        .summary = "no series of this name has the label's value (--against)",
        .text = "The label exists, but not with a value that the matcher takes.\n"),
    WARNING("T213", "needless-regex",
        .summary = "a pattern that is plain text, or matches everything",
        .text =
            "`=~` with plain text is `=`, which is found by an index instead of trying every\n"
            "value. A pattern .* passes every value and the missing label too.\n",
        .example = "up{job=~\"web\"} == 0", .fix = "up{job=\"web\"} == 0"),
    WARNING("T214", "always-fires", .summary = "an alert that compares nothing",
        .text =
            "Every series that an alert's expression gives is an alert, whatever its value: also\n"
            "0. A comparison drops the series that are well; with `bool` it gives 0 or 1\n"
            "instead and drops none. Expressions that read no series, such as vector(1), are\n"
            "heartbeats and are not told.\n",
        .example = "up == bool 0", .fix = "up == 0"),
    WARNING("T215", "label-lost",
        .summary = "a template uses a label that the result does not have",
        .text =
            "Aggregation keeps the labels of by (...) alone, and `absent` those that it names with\n"
            "=. The others are empty in $labels, and so are those that the rule itself adds.\n",
        .example = "groups:\n"
                   "  - name: web\n"
                   "    rules:\n"
                   "      - alert: Errors\n"
                   "        expr: sum by (job) (rate(http_errors_total[5m])) > 5\n"
                   "        annotations: {summary: 'errors on {{ $labels.instance }}'}\n",
        .fix = "groups:\n"
               "  - name: web\n"
               "    rules:\n"
               "      - alert: Errors\n"
               "        expr: sum by (job, instance) (rate(http_errors_total[5m])) > 5\n"
               "        annotations: {summary: 'errors on {{ $labels.instance }}'}\n"),
    WARNING("T216", "always-holds", .summary = "a comparison that always holds",
        .text =
            "The left side cannot have a value for which it does not: it filters nothing and can be\n"
            "left out, or another limit was meant.\n",
        .example = "rate(http_errors_total[5m]) >= 0",
        .fix = "rate(http_errors_total[5m]) > 0"),
    WARNING("T217", "never-holds", .summary = "a comparison that never holds",
        .text =
            "The left side cannot have such a value, so the alert never fires. The usual case:\n"
            "count(...) of no series is no result, and never 0.\n",
        .example = "count(up{job=\"web\"}) == 0", .fix = "absent(up{job=\"web\"})"),
    WARNING("T218", "absent-of-pattern", .summary = "`absent` with a pattern",
        .text =
            "It fires when not one series matches. With a pattern for several, all of them must be\n"
            "gone, and the result cannot say which: the label of a pattern is not in it.\n",
        .example = "absent(up{job=~\"web|api\"})",
        .fix = "absent(up{job=\"web\"}) or absent(up{job=\"api\"})"),
    WARNING("T219", "for-below-interval",
        .summary = "`for` is shorter than the group's interval",
        .text =
            "A condition is looked at once per interval, so it takes a whole one to have held that\n"
            "long: the page comes later than `for` says.\n",
        .example = "groups:\n"
                   "  - name: web\n"
                   "    interval: 1m\n"
                   "    rules: [{alert: Down, expr: up == 0, for: 10s}]\n",
        .fix = "groups:\n"
               "  - name: web\n"
               "    interval: 5s\n"
               "    rules: [{alert: Down, expr: up == 0, for: 10s}]\n"),
    WARNING("T220", "alert-twice", .summary = "the same alert stands twice",
        .text =
            "Name, labels and expression are the same: both fire and resolve as one alert, and\n"
            "whichever is evaluated last has the last word.\n",
        .example = "groups:\n"
                   "  - name: web\n"
                   "    rules:\n"
                   "      - {alert: Down, expr: up == 0}\n"
                   "      - {alert: Down, expr: 'up==0'}\n",
        .fix = "groups:\n"
               "  - name: web\n"
               "    rules:\n"
               "      - {alert: Down, expr: up == 0, labels: {severity: ticket}}\n"
               "      - {alert: Down, expr: up == 0, for: 5m, labels: {severity: page}}\n"),
    WARNING("T221", "never-match", .summary = "the two sides of an operator can never match",
        .text =
            "Series of both sides are paired by equal labels. Here one side has a label that\n"
            "aggregation took from the other, so nothing is paired, the result is empty and the\n"
            "alert silent.\n",
        .example = "sum by (job, code) (http_errors) / sum by (job) (http_requests) > 0.1",
        .fix =
            "sum by (job, code) (http_errors) / on (job) group_left () sum by (job) (http_requests) > 0.1"),
    WARNING("T222", "le-lost", .summary = "`histogram_quantile` of buckets without `le`",
        .text =
            "The label `le` says where each bucket ends. Aggregating it away leaves nothing to\n"
            "compute a quantile from, and the result is empty.\n",
        .example = "histogram_quantile(0.99, sum by (job) (rate(http_seconds_bucket[5m]))) > 1",
        .fix =
            "histogram_quantile(0.99, sum by (job, le) (rate(http_seconds_bucket[5m]))) > 1"),
    WARNING("T223", "bad-quantile", .summary = "a quantile outside 0 to 1",
        .text =
            "The 95th percentile is 0.95. Above 1 the result is +Inf, below 0 it is -Inf.\n",
        .example = "quantile by (job) (95, probe_duration_seconds) > 1",
        .fix = "quantile by (job) (0.95, probe_duration_seconds) > 1"),
    WARNING("T224", "template-fails",
        .summary = "a template that fails whenever it is expanded",
        .text =
            "Prometheus loads it, and every alert then says <error expanding template: ...> in place\n"
            "of the text. The same happens here. Usual cases: a field that does not exist, a label\n"
            "behind |, a function with too few or too many arguments.\n",
        .example = "groups:\n"
                   "  - name: web\n"
                   "    rules:\n"
                   "      - alert: Down\n"
                   "        expr: up == 0\n"
                   "        annotations: {summary: '{{ $.labels.instance }} is down'}\n",
        .fix = "groups:\n"
               "  - name: web\n"
               "    rules:\n"
               "      - alert: Down\n"
               "        expr: up == 0\n"
               "        annotations: {summary: '{{ $labels.instance }} is down'}\n"),
    {0},
};
