// SPDX-License-Identifier: Apache-2.0
// T0xx: files, YAML and the fields of a rule. C0xx: configuration of the daemons.
#include "cli/codes.h"

const struct code CODES_FILE[] = {
    ERROR("T000", "cannot-read", .summary = "a file or folder that was named cannot be read",
        .text =
            "It does not exist, or reading it is not allowed. A name given by hand is never\n"
            "skipped in silence: a check that passes because it read nothing helps nobody.\n"),
    ERROR("T001", "yaml-syntax", .summary = "the file is not YAML",
        .text =
            "Most often a line is indented differently from its neighbours, a quote is not\n"
            "closed, or a value that holds `: ` or ` #` is not quoted. Nothing behind such a\n"
            "place can be read, so it hides every other mistake of the file.\n",
        .example = "groups:\n"
                   "  - name: web\n"
                   "    rules:\n"
                   "      - alert: Down\n"
                   "         expr: up == 0\n",
        .fix = "groups:\n"
               "  - name: web\n"
               "    rules:\n"
               "      - alert: Down\n"
               "        expr: up == 0\n"),
    ERROR("T002", "duplicate-key", .summary = "a key stands twice in one map",
        .text = "Only one of the two values could count, and it is not the one you look at.\n",
        .example = "groups:\n"
                   "  - name: web\n"
                   "    rules:\n"
                   "      - alert: Down\n"
                   "        expr: up == 0\n"
                   "        for: 5m\n"
                   "        for: 10m\n",
        .fix = "groups:\n"
               "  - name: web\n"
               "    rules:\n"
               "      - alert: Down\n"
               "        expr: up == 0\n"
               "        for: 10m\n"),
    ERROR("T003", "yaml-limits",
        .summary = "the YAML is too large or too deeply nested to read",
        .text =
            "Lists and maps may be nested 100 deep and hold a million values, aliases counted\n"
            "as the copies they are. No rule file comes near; one that does was made to harm.\n"),
    ERROR("T004", "yaml-alias", .summary = "an alias (*name) has no anchor (&name) before it",
        .text =
            "An alias repeats the value that was marked with the anchor of that name earlier\n"
            "in the same file.\n",
        .example = "groups:\n"
                   "  - name: web\n"
                   "    rules:\n"
                   "      - alert: Down\n"
                   "        expr: up == 0\n"
                   "        labels: *page\n",
        .fix = "groups:\n"
               "  - name: web\n"
               "    rules:\n"
               "      - alert: Down\n"
               "        expr: up == 0\n"
               "        labels: &page {severity: page}\n"
               "      - alert: Slow\n"
               "        expr: probe_duration_seconds > 1\n"
               "        labels: *page\n"),
    ERROR("T005", "key-not-single", .summary = "a key is a list or a map",
        .text =
            "Keys are words. Braces or brackets in front of a colon are usually a value that\n"
            "should have been quoted.\n",
        .example = "groups:\n"
                   "  - name: web\n"
                   "    rules:\n"
                   "      - alert: Down\n"
                   "        expr: up == 0\n"
                   "        annotations:\n"
                   "          ? [summary]\n"
                   "          : it is down\n",
        .fix = "groups:\n"
               "  - name: web\n"
               "    rules:\n"
               "      - alert: Down\n"
               "        expr: up == 0\n"
               "        annotations:\n"
               "          summary: it is down\n"),
    ERROR("T006", "merge-not-map", .summary = "`<<` merges something that is not a map",
        .text =
            "`<<: *name` puts the pairs of a map that was anchored earlier into this one.\n",
        .example = "groups:\n"
                   "  - name: web\n"
                   "    rules:\n"
                   "      - alert: Down\n"
                   "        expr: up == 0\n"
                   "        <<: severity\n",
        .fix = "groups:\n"
               "  - name: web\n"
               "    rules:\n"
               "      - &defaults\n"
               "        alert: Down\n"
               "        expr: up == 0\n"
               "        for: 5m\n"
               "      - <<: *defaults\n"
               "        alert: DownForLong\n"
               "        for: 1h\n"),
    WARNING("T007", "not-read", .summary = "the file goes on behind the end of its document",
        .text =
            "A line that stands further left than the first key ends the document, and so does ---.\n"
            "What follows is not read, by Prometheus as well: its rules are silently missing.\n",
        .example = " groups:\n"
                   "- name: web\n"
                   "  rules: [{alert: Down, expr: up == 0}]\n",
        .fix = "groups:\n"
               "- name: web\n"
               "  rules: [{alert: Down, expr: up == 0}]\n"),
    ERROR("T010", "unknown-key", .summary = "a key that rule files do not have",
        .text =
            "Prometheus refuses it too: a mistyped `for` or `labels` would otherwise be an alert\n"
            "that pages at once, or nobody. What Tocsin adds to rules goes into an overrides\n"
            "document, never into the rule file.\n",
        .example = "groups:\n"
                   "  - name: web\n"
                   "    rules:\n"
                   "      - alert: Down\n"
                   "        expr: up == 0\n"
                   "        anotations: {summary: it is down}\n",
        .fix = "groups:\n"
               "  - name: web\n"
               "    rules:\n"
               "      - alert: Down\n"
               "        expr: up == 0\n"
               "        annotations: {summary: it is down}\n"),
    ERROR("T011", "wrong-kind", .summary = "a list, a map and a single value were confused",
        .text = "`groups` and `rules` are lists: each item begins with a dash. `labels` and\n"
                "`annotations` are maps. Everything else is a single value.\n",
        .example = "groups:\n"
                   "  - name: web\n"
                   "    rules:\n"
                   "      alert: Down\n"
                   "      expr: up == 0\n",
        .fix = "groups:\n"
               "  - name: web\n"
               "    rules:\n"
               "      - alert: Down\n"
               "        expr: up == 0\n"),
    ERROR("T012", "missing", .summary = "something that must be there is missing",
        .text =
            "A group needs a `name`; a rule needs `alert` or `record`, and `expr`; an override\n"
            "needs `rule` or `group`, and `set` or `disable`.\n",
        .example = "groups:\n"
                   "  - name: web\n"
                   "    rules:\n"
                   "      - alert: Down\n"
                   "        for: 5m\n",
        .fix = "groups:\n"
               "  - name: web\n"
               "    rules:\n"
               "      - alert: Down\n"
               "        expr: up == 0\n"
               "        for: 5m\n"),
    ERROR("T013", "bad-duration", .summary = "not a duration",
        .text =
            "A duration is whole numbers with the units y, w, d, h, m, s, ms, each at most once,\n"
            "the largest first: 30s, 1h30m, 250ms. There are no fractions and no blanks.\n",
        .example = "groups:\n"
                   "  - name: web\n"
                   "    rules:\n"
                   "      - alert: Down\n"
                   "        expr: up == 0\n"
                   "        for: 10sec\n",
        .fix = "groups:\n"
               "  - name: web\n"
               "    rules:\n"
               "      - alert: Down\n"
               "        expr: up == 0\n"
               "        for: 10s\n"),
    ERROR("T014", "bad-name", .summary = "this cannot be the name of a label or a metric",
        .text =
            "A label has a name, and `__name__` is set by `record`. A recorded metric is named\n"
            "without braces: its labels go under `labels:`.\n",
        .example = "groups:\n"
                   "  - name: web\n"
                   "    rules:\n"
                   "      - record: errors{kind=\"all\"}\n"
                   "        expr: sum(http_errors)\n",
        .fix = "groups:\n"
               "  - name: web\n"
               "    rules:\n"
               "      - record: errors\n"
               "        expr: sum(http_errors)\n"
               "        labels: {kind: all}\n"),
    ERROR("T015", "not-together", .summary = "two things in a rule exclude each other",
        .text =
            "A rule either pages (`alert`) or writes a series (`record`). What belongs to\n"
            "paging (`for`, `keep_firing_for`, `annotations`) has no meaning for a series.\n",
        .example = "groups:\n"
                   "  - name: web\n"
                   "    rules:\n"
                   "      - record: job:up:count\n"
                   "        expr: count by (job) (up)\n"
                   "        for: 5m\n",
        .fix = "groups:\n"
               "  - name: web\n"
               "    rules:\n"
               "      - record: job:up:count\n"
               "        expr: count by (job) (up)\n"),
    ERROR("T016", "group-twice", .summary = "a file has two groups of one name",
        .text = "A group is known by its file and name, in Prometheus as well.\n",
        .example = "groups:\n"
                   "  - name: web\n"
                   "    rules: [{alert: Down, expr: up == 0}]\n"
                   "  - name: web\n"
                   "    rules: [{alert: Slow, expr: probe_duration_seconds > 1}]\n",
        .fix = "groups:\n"
               "  - name: web\n"
               "    rules:\n"
               "      - {alert: Down, expr: up == 0}\n"
               "      - {alert: Slow, expr: probe_duration_seconds > 1}\n"),
    ERROR("T017", "bad-template", .summary = "a template in a label or annotation is wrong",
        .text =
            "`{{ ... }}` is compiled when the file is loaded, so that a mistyped function shows\n"
            "now and not in the page. There are $labels, $value, $externalURL and\n"
            "$externalLabels, and the functions of Prometheus, piped with |.\n",
        .example = "groups:\n"
                   "  - name: web\n"
                   "    rules:\n"
                   "      - alert: Slow\n"
                   "        expr: probe_duration_seconds > 1\n"
                   "        annotations: {summary: 'took {{ $value | humaniseDuration }}'}\n",
        .fix = "groups:\n"
               "  - name: web\n"
               "    rules:\n"
               "      - alert: Slow\n"
               "        expr: probe_duration_seconds > 1\n"
               "        annotations: {summary: 'took {{ $value | humanizeDuration }}'}\n"),
    ERROR("T018", "bad-number", .summary = "`limit` is not a whole number",
        .text =
            "The limit is how many alerts or series a rule of the group may give; 0 is none.\n",
        .example = "groups:\n"
                   "  - name: web\n"
                   "    limit: ten\n"
                   "    rules: [{alert: Down, expr: up == 0}]\n",
        .fix = "groups:\n"
               "  - name: web\n"
               "    limit: 10\n"
               "    rules: [{alert: Down, expr: up == 0}]\n"),
    ERROR("T019", "no-such-rule",
        .summary = "an override names a rule or group that is not there",
        .text =
            "`rule` is GROUP/NAME of a rule in the files that were given, `group` a group's name.\n"
            "Check the overrides together with the files they change.\n",
        .example = "overrides:\n"
                   "  - rule: web/Dwon\n"
                   "    set: {for: 1m}\n",
        .fix = "overrides:\n"
               "  - rule: web/Down\n"
               "    set: {for: 1m}\n"),
    ERROR("T020", "file-too-large", .summary = "the file is larger than 8 MiB",
        .text = "Split it: groups are independent of each other.\n"),
    ERROR("T021", "bad-value", .summary = "a field of an override has no such value",
        .text =
            "`evaluate` is interval (as Prometheus does) or arrival (a rule may also begin and fire\n"
            "the moment a sample comes in); `disable` is true or false. `flap` has a `window` of at\n"
            "most a week and a `max` of 1 to 100. `depends_on` lists rules and selectors of alerts.\n",
        .example = "overrides:\n"
                   "  - group: web\n"
                   "    disable: maybe\n",
        .fix = "overrides:\n"
               "  - group: web\n"
               "    disable: true\n"),
    ERROR("T022", "which-rule",
        .summary = "depends_on names an alert that more than one group has",
        .text = "A name alone will do when one group has it; otherwise write GROUP/NAME.\n",
        .example = "overrides:\n"
                   "  - rule: web/Slow\n"
                   "    set: {depends_on: [Down]}\n",
        .fix = "overrides:\n"
               "  - rule: web/Slow\n"
               "    set: {depends_on: [web/Down]}\n"),
    ERROR("T023", "depends-on-itself", .summary = "alerts that depend on each other",
        .text =
            "Each would be muted while another fires, and nobody would be told of any. A selector\n"
            "counts as every alert whose name it may have: what its other labels will be is known\n"
            "only when it fires. It never means the rule that has it.\n",
        .example = "overrides:\n"
                   "  - rule: web/Slow\n"
                   "    set: {depends_on: [web/Down]}\n"
                   "  - rule: web/Down\n"
                   "    set: {depends_on: ['{severity=\"page\"}']}\n",
        .fix = "overrides:\n"
               "  - rule: web/Slow\n"
               "    set: {depends_on: [web/Down]}\n"
               "  - rule: web/Down\n"
               "    set: {depends_on: ['{alertname=~\"Power.*\", severity=\"page\"}']}\n"),
    ERROR("T040", "series-lines", .summary = "an input series of a unit test has a line break",
        .text =
            "A series is one line: its name and labels, and the values behind it in `values`.\n"),
    ERROR("T041", "test-value", .summary = "a value in a unit test is of the wrong kind",
        .text =
            "Numbers, times, true and false, and histograms are written as promtool's unit tests\n"
            "have them.\n"),
    ERROR("T042", "test-too-long", .summary = "a unit test needs too many evaluations",
        .text =
            "From 0 to its last `eval_time` every group is evaluated at each evaluation_interval.\n"),
    ERROR("T043", "order-twice", .summary = "a group stands twice in group_eval_order",
        .text = "The list names the groups in the order they are evaluated, each once.\n"),
    ERROR("T044", "no-rule-file", .summary = "a unit test names rule files that are not there",
        .text =
            "promtool only warns, tests nothing and says SUCCESS. Names and patterns are relative\n"
            "to the test file.\n"),
    WARNING("T045", "series-overlooked",
        .summary = "a unit test's series below this one are not read",
        .text =
            "promtool joins the series to one text and stops at an empty line, which a block scalar\n"
            "that ends with a line break makes. The same happens here, so that a test means the\n"
            "same in both; write |- instead of |.\n"),
    WARNING("T046", "not-laid-out", .summary = "`rules fmt` leaves an expression as it is",
        .text =
            "A comment in it stands where no line can be broken, in the braces of a selector or in\n"
            "the labels of `by`, or the value has an anchor, a tag, or stands inside { } and would\n"
            "need several lines. Move the comment to a line of its own, or write the rule as a block.\n"),
    ERROR("T047", "layout-refused",
        .summary = "`rules fmt` would have changed what a file says",
        .text =
            "What is laid out is read again before it is written. It did not say the same, so the\n"
            "file was not touched. That is a fault of this program.\n"),
    {0},
};

const struct code CODES_CONFIG[] = {
    ERROR("C000", "config-missing", .summary = "the configuration file cannot be read",
        .text = "It does not exist, reading it is not allowed, or it is larger than 1 MiB.\n"),
    ERROR("C001", "config-value",
        .summary = "a key or value of a daemon's configuration is wrong",
        .text =
            "The key does not exist, or its value is of the wrong kind. The daemon does not start\n"
            "with it (exit status 78), and a reload keeps what it had. Printed by\n"
            "`tocsin-agent --check` and `tocsin-collector --check`.\n"),
    ERROR("C002", "config-range", .summary = "a value of the configuration is out of its range",
        .text = "The message names the smallest and the largest that is taken.\n"),
    ERROR("C003", "config-later",
        .summary = "a part of the configuration that is not supported yet",
        .text =
            "It is a known key, so it is refused rather than ignored: configuration that does\n"
            "nothing is worse than none.\n"),
    ERROR("C004", "config-listen",
        .summary = "an address to listen on is wrong or would be open to all",
        .text =
            "Off loopback a token is demanded, and `insecure_plaintext: true` as long as there is\n"
            "no TLS.\n"),
    ERROR("C005", "config-unread",
        .summary = "a file of the collector's configuration cannot be read",
        .text =
            "The configuration itself, or the alertmanager_file it names: it is not there, reading it\n"
            "is not allowed, or it is larger than 1 MiB. Relative paths start at the working\n"
            "directory.\n"),
    ERROR("C006", "config-file",
        .summary = "a file that the configuration needs cannot be used",
        .text =
            "A secret, a certificate or a URL's file is not there, cannot be read, or may be read or\n"
            "written by others than its owner. Nothing starts with half of what it was told.\n"),
    WARNING("C007", "config-secret-shown",
        .summary = "the configuration shows a secret, or alerts go out in plain text",
        .text =
            "A secret belongs into a file of its own, named by the key with `_file` at its end.\n"
            "Alertmanager's file is taken as it is, so there both are warnings.\n"),
    ERROR("C008", "config-plain", .summary = "alerts would go to another machine without TLS",
        .text =
            "Beyond this machine the URL of a receiver is https, or `insecure: true` stands beside\n"
            "it: on a network you trust.\n"),
    ERROR("C009", "config-template", .summary = "a template of a message is wrong",
        .text =
            "It does not parse, calls what is not defined, names a field that no alert has, or makes\n"
            "no JSON of a webhook's `body`. Templates are tried on alerts with odd characters, all\n"
            "firing, all resolved and both. What fails with some of them is a warning: then the\n"
            "message goes out with the text it has by itself.\n"),
    {0},
};
