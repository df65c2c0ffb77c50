// SPDX-License-Identifier: Apache-2.0
// T1xx: expressions. T3xx: what exists in Prometheus but not here.
#include "cli/codes.h"

const struct code CODES_EXPR[] = {
    ERROR("T101", "syntax", .summary = "the expression cannot be read at this place",
        .text =
            "Something is missing, or too much: a parenthesis, an operator, a comma. The caret\n"
            "stands at the first word that does not fit, or at what was opened and never closed.\n",
        .example = "sum(rate(http_errors_total[5m]) > 5",
        .fix = "sum(rate(http_errors_total[5m])) > 5"),
    ERROR("T102", "bad-literal", .summary = "a number, a duration or a text in quotes is wrong",
        .text =
            "Durations have no fraction and name the largest unit first (1h30m). In double and\n"
            "single quotes a backslash begins an escape; write two, or use back quotes.\n",
        .example = "up{instance=~\"web\\d+\"} == 0", .fix = "up{instance=~\"web\\\\d+\"} == 0"),
    ERROR("T103", "wrong-type",
        .summary = "a function or aggregation was given another type than it takes",
        .text =
            "`rate` and the functions that end in _over_time work on a range of samples,\n"
            "metric[5m]; the others on one value per series, metric. Aggregations take the\n"
            "latter.\n",
        .example = "rate(http_errors_total) > 5", .fix = "rate(http_errors_total[5m]) > 5"),
    ERROR("T104", "unknown-function", .summary = "there is no function of this name",
        .text =
            "Functions are written in small letters. MetricsQL has more of them than PromQL; the\n"
            "hint names the nearest where there is one.\n",
        .example = "rat(http_errors_total[5m]) > 5", .fix = "rate(http_errors_total[5m]) > 5"),
    ERROR("T105", "argument-count",
        .summary = "a function was given too few or too many arguments",
        .text = "For aggregations with a parameter it comes first: topk(3, metric).\n",
        .example = "topk(probe_duration_seconds) > 1",
        .fix = "topk(3, probe_duration_seconds) > 1"),
    ERROR("T106", "bad-operands", .summary = "an operator does not work on these operands",
        .text =
            "Comparing two plain numbers needs `bool`, since there is no series to keep or drop.\n"
            "`and`, `or`, `unless` and on(...) need a vector on both sides; `bool` goes with\n"
            "comparisons only, group_left not with `and`, `or`, `unless`.\n",
        .example = "up == 0 and 5", .fix = "up == 0 and vector(5)"),
    ERROR("T107", "bad-selector", .summary = "a selector without a name, or with two",
        .text =
            "A selector names its metric once, in front of the braces or inside. Without a name it\n"
            "needs one matcher that an empty label does not pass, or it would select every\n"
            "series there is.\n",
        .example = "{job=~\".*\"} == 0", .fix = "{job=~\".+\"} == 0"),
    ERROR("T108", "bad-regex", .summary = "a regular expression is wrong",
        .text =
            "The syntax is RE2's: no look-ahead and no back references. A pattern matches the\n"
            "whole value, so ^ and $ are not needed.\n",
        .example = "up{job=~\"web(\"} == 0", .fix = "up{job=~\"web.+\"} == 0"),
    ERROR("T109", "misplaced-modifier",
        .summary = "a range, `offset` or `@` stands where it cannot",
        .text =
            "They belong to a selector, the range first: metric[5m] offset 1h. An expression takes\n"
            "a range with a colon, [5m:], and may have offset or @ behind that.\n",
        .example = "rate(http_errors_total offset 1h [5m]) > 5",
        .fix = "rate(http_errors_total[5m] offset 1h) > 5"),
    ERROR("T110", "too-long", .summary = "the expression is too long or too deeply nested",
        .text =
            "64 KiB, 200 levels of nesting and 500 operators in a row are the limits. Record parts\n"
            "of it as series of their own.\n"),
    ERROR("T111", "wrong-result", .summary = "a rule's expression gives a range or a text",
        .text = "A rule needs one value per series, or a number.\n",
        .example = "probe_duration_seconds[5m]",
        .fix = "avg_over_time(probe_duration_seconds[5m]) > 1"),
    ERROR("T112", "series-text", .summary = "the text of a unit test's series is wrong",
        .text =
            "name{label=\"value\"} in `series`; in `values` numbers, 1+2x10 (ten more, each 2 more),\n"
            "1x10 (the same ten times more), _ for no sample, _x5, stale and {{...}} for a native\n"
            "histogram.\n"),
    {0},
};

const struct code CODES_LATER[] = {
    ERROR("T302", "no-syntax-yet", .summary = "a form of expression that is not supported yet",
        .text =
            "Experimental in Prometheus 3 and off there by default: arithmetic in durations,\n"
            "`anchored` and `smoothed` ranges, fill(...).\n",
        .example = "rate(http_errors_total[5m * 2]) > 5",
        .fix = "rate(http_errors_total[10m]) > 5"),
    ERROR("T303", "experimental", .summary = "a function that is experimental in Prometheus",
        .text = "Its name or result may change there, and it is off there by default.\n",
        .example = "limitk(3, up) == 0", .fix = "topk(3, up) == 0"),
    ERROR("T304", "no-template-yet", .summary = "a part of templates that is not supported yet",
        .text =
            "The message names it. Put what it would say into the text another way, or leave\n"
            "it out.\n",
        .example = "groups:\n"
                   "  - name: web\n"
                   "    rules:\n"
                   "      - alert: Down\n"
                   "        expr: up == 0\n"
                   "        annotations: {summary: '{{ toTime 5 }}'}\n",
        .fix = "groups:\n"
               "  - name: web\n"
               "    rules:\n"
               "      - alert: Down\n"
               "        expr: up == 0\n"
               "        annotations: {summary: '{{ $labels.instance }} is down'}\n"),
    ERROR("T305", "no-override-yet", .summary = "an override that is not supported yet",
        .text = "An override names one rule or a whole group.\n",
        .example = "overrides:\n"
                   "  - group: web\n"
                   "    where: 'mount=\"/\"'\n"
                   "    disable: true\n",
        .fix = "overrides:\n"
               "  - group: web\n"
               "    disable: true\n"),
    {0},
};
