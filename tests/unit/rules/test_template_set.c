// SPDX-License-Identifier: Apache-2.0
// Templates of messages. That they print what Alertmanager's do is tests/e2e/39-templates.mjs.
#include "rules/template_set.h"
#include "tests/lib/oom.h"
#include "tests/lib/run.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct label COMMON[] = {{"alertname", "Down"}, {"job", "a<b>"}, {"zone", "x"}};
static const struct label ONE[] = {
    {"alertname", "Down"}, {"instance", "i1"}, {"job", "a<b>"}, {"zone", "x"}};
static const struct label TWO[] = {
    {"alertname", "Down"}, {"instance", "i2"}, {"job", "a<b>"}, {"zone", "x"}};
static const struct label SAID[] = {{"summary", "\"q\" \n\\ é🔥"}, {"url", "javascript:x"}};
static const struct labels L[] = {{COMMON, 3}, {ONE, 4}, {TWO, 4}, {SAID, 2}, {COMMON, 1}};
static const struct template_alert ALERTS[] = {
    {"firing", &L[1], &L[3], 1764044401123, TEMPLATE_NO_TIME, "http://g/?a=b&c", "00ab"},
    {"resolved", &L[2], &L[3], 1764044401123, 1764044461000, "http://g", "00cd"}};
static const struct template_message MESSAGE = {
    "team", "firing", "http://c", ALERTS, 2, &L[4], &L[0], &L[3]};

static bool zone(void *ctx, const char *name, int64_t at_ms, int32_t *ret_offset_s)
{
    (void)ctx;
    (void)at_ms;
    *ret_offset_s = 3600;
    return !strcmp(name, "Europe/Berlin");
}

static const struct template_data DATA = {
    .message = &MESSAGE, .now_ms = 1764044491123, .zone = zone};

static int render(const char *file, const char *text, enum template_escape escape,
    struct buf *out, struct template_fault *f)
{
    struct arena a;
    int rc = -EINVAL;
    arena_init(&a, 0);
    buf_init(out, 1u << 16);
    struct template_set *s = template_set_new(&a);
    CU_ASSERT_PTR_NOT_NULL_FATAL(s);
    if (!file || ((rc = template_set_add(s, "dir/a.tmpl", file, strlen(file), f)) == 0 &&
                     (rc = template_set_check(s, f)) == 0)) {
        struct template *t = template_set_parse(s, text, strlen(text), f);
        rc = t ? template_render(t, &DATA, escape, out, f) : -EINVAL;
    }
    // The file's name and the fault's stay good as long as the arena.
    if (rc < 0)
        f->file = f->file ? "dir/a.tmpl" : NULL;
    arena_done(&a);
    return rc;
}

static const struct {
    const char *text;
    enum template_escape escape;
    const char *want;
} PRINTED[] = {
    {"{{ .Receiver }} {{ .Status }} {{ .ExternalURL }} {{ .GroupLabels.alertname }}", 0,
        "team firing http://c Down"},
    {"{{ template \"slack.default.title\" . }}", 0, "[FIRING:1] Down (a<b> x)"},
    {"{{ range $i, $a := .Alerts }}{{ $i }}={{ $a.Labels.instance }}/{{ .Status }};{{ end }}",
        0, "0=i1/firing;1=i2/resolved;"},
    {"{{ len .Alerts.Firing }} {{ .Alerts.Resolved | len }} {{ (index .Alerts 1).Fingerprint }}",
        0, "1 1 00cd"},
    {"{{ .CommonLabels.SortedPairs.Names | join \",\" }} "
     "{{ (.CommonLabels.Remove (stringSlice \"zone\")).Values | join \",\" }}",
        0, "alertname,job,zone Down,a<b>"},
    {"{{ range .CommonLabels.SortedPairs }}{{ .Name }}={{ .Value }} {{ end }}", 0,
        "alertname=Down job=a<b> zone=x "},
    {"{{ range $k, $v := .CommonLabels }}{{ $k }}:{{ $v }} {{ end }}{{ .CommonLabels.none }}|",
        0, "alertname:Down job:a<b> zone:x |"},
    {"{{ (index .Alerts 0).StartsAt.Format \"Jan _2 2006 03:04:05.000PM Z07:00\" }} "
     "{{ (index .Alerts 0).StartsAt }} {{ (index .Alerts 0).EndsAt.IsZero }}",
        0, "Nov 25 2025 04:20:01.123AM Z 2025-11-25 04:20:01.123 +0000 UTC true"},
    {"{{ date \"15:04 -0700 MST\" (tz \"Europe/Berlin\" (index .Alerts 0).StartsAt) }} "
     "{{ since (index .Alerts 0).StartsAt }} "
     "{{ humanizeDuration (since (index .Alerts 0).StartsAt).Seconds }}",
        0, "05:20 +0100 +01 1m30s 1m 30s"},
    {"{{ $d := dict \"b\" 1 \"a\" (list 1 \"x\") }}{{ $d.a }} {{ toJson $d }} "
     "{{ append (list 1) 2 | toJson }} {{ trimSpace \" a \" }}{{ urlUnescape \"a%20b+c\" }}",
        0, "[1 x] {\"a\":[1,\"x\"],\"b\":1} [1,2] aa b c"},
    {"<p>{{ .CommonLabels.job }}</p><a href=\"{{ .CommonAnnotations.url }}\">"
     "<a href='http://h/?q={{ .CommonLabels.job }}'>{{ safeHtml \"<b>\" }}",
        TEMPLATE_HTML,
        "<p>a&lt;b&gt;</p><a href=\"#ZgotmplZ\"><a href='http://h/?q=a%3cb%3e'><b>"},
    {"<!-- > {{ .Status }} --><div title={{ .CommonLabels.job }} style=\"color: "
     "{{ .CommonLabels.job }}\">{{ range .Alerts }}<i class=\"{{ .Status }}\"/>{{ end }}",
        TEMPLATE_HTML,
        "<!-- >  --><div title=a&lt;b&gt; style=\"color: ZgotmplZ\">"
        "<i class=\"firing\"/><i class=\"resolved\"/>"},
    {"{\"s\": \"x {{ .CommonAnnotations.summary }}\", \"v\": {{ .CommonAnnotations.summary }}, "
     "\"n\": {{ len .Alerts }}, \"l\": {{ .GroupLabels }}, \"t\": \"{{ template "
     "\"__text_alert_list\" .Alerts.Resolved }}\"}",
        TEMPLATE_JSON,
        "{\"s\": \"x \\\"q\\\" \\n\\\\ é🔥\", \"v\": \"\\\"q\\\" \\n\\\\ é🔥\", \"n\": 2, \"l\": "
        "{\"alertname\":\"Down\"}, \"t\": \"Labels:\\n - alertname = Down\\n - instance = i2\\n "
        "- job = a<b>\\n - zone = x\\nAnnotations:\\n - summary = \\\"q\\\" \\n\\\\ é🔥\\n - url = "
        "javascript:x\\nSource: http://g\\n\"}"},
};

static void the_message_is_shown(void)
{
    for (size_t i = 0; i < sizeof(PRINTED) / sizeof(PRINTED[0]); i++) {
        struct template_fault f = {0};
        struct buf out;
        int rc = render(NULL, PRINTED[i].text, PRINTED[i].escape, &out, &f);
        if (rc || strcmp(buf_cstr(&out), PRINTED[i].want) != 0)
            printf("  %s\n  is   %s\n  want %s (%d:%d %s)\n", PRINTED[i].text, buf_cstr(&out),
                PRINTED[i].want, f.line, f.col, f.msg);
        CU_ASSERT_EQUAL(rc, 0);
        CU_ASSERT_STRING_EQUAL(buf_cstr(&out), PRINTED[i].want);
        buf_done(&out);
    }
}

static void a_mistake_has_its_place(void)
{
    static const struct {
        const char *file, *text, *in;
        int line, col;
        const char *want;
    } CASES[] = {
        {NULL, "a\n {{ .Lables }}", NULL, 2, 6,
            "no field Lables in a value of type template.Data"},
        {NULL, "{{ range .Alerts }}\n{{ .Sta }}{{ end }}", NULL, 2, 5, "no field Sta"},
        {NULL, "{{ toUper .Status }}", NULL, 1, 4, "did you mean toUpper?"},
        {NULL, "{{ humanize 1 }}", NULL, 1, 4, "unknown function `humanize`"},
        {NULL, "{{ $labels.x }}", NULL, 1, 4, "undefined variable `$labels`"},
        {NULL, "x{{ template \"none\" }}", NULL, 1, 2, "template \"none\" is not defined"},
        {"{{ define \"x\" }}\n{{ .Foo }}{{ end }}", "{{ template \"x\" . }}", "dir/a.tmpl", 2,
            5, "no field Foo"},
        {"\n{{ define \"x\" }}", "", "dir/a.tmpl", 2, 1, "has no {{ end }}"},
        {"{{ define \"x\" }}{{ template \"y\" }}{{ end }}", "", "dir/a.tmpl", 1, 17,
            "template \"y\" is not defined"},
        {"{{ define \"x\" }}{{ template \"x\" . }}{{ end }}", "{{ template \"x\" }}",
            "dir/a.tmpl", 1, 33, "templates call each other too deeply"},
        {NULL, "{{ (index .Alerts 7).Status }}", NULL, 1, 5, "index out of range: 7"},
        {NULL, "{{ tz \"Mars\" (index .Alerts 0).StartsAt }}", NULL, 1, 4,
            "unknown time zone Mars"},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct template_fault f = {0};
        struct buf out;
        int rc = render(CASES[i].file, CASES[i].text, TEMPLATE_PLAIN, &out, &f);
        bool ok = rc == -EINVAL && f.line == CASES[i].line && f.col == CASES[i].col &&
                  strstr(f.msg, CASES[i].want) &&
                  !strcmp(f.file ? f.file : "", CASES[i].in ? CASES[i].in : "");
        if (!ok)
            printf("  case %zu: %d %s:%d:%d %s\n", i, rc, f.file ? f.file : "", f.line, f.col,
                f.msg);
        CU_ASSERT_TRUE(ok);
        CU_ASSERT_EQUAL(out.len, 0);
        buf_done(&out);
    }
}

static void files_build_on_each_other(void)
{
    struct template_fault f = {0};
    struct buf out;
    CU_ASSERT_EQUAL(render("{{ define \"__subject\" }}mine {{ .Status }}{{ end }}whole",
                        "{{ template \"slack.default.title\" . }}, {{ template \"a.tmpl\" }}, "
                        "{{ block \"own\" .Status }}<{{ . }}>{{ end }}",
                        TEMPLATE_PLAIN, &out, &f),
        0);
    CU_ASSERT_STRING_EQUAL(buf_cstr(&out), "mine firing, whole, <firing>");
    buf_done(&out);
}

static void a_run_is_bounded(void)
{
    static const char *const TEXTS[] = {
        "{{ range .Alerts }}{{ range $.Alerts }}{{ range $.Alerts }}{{ printf \"%1000d\" 1 }}"
        "{{ printf \"%1000d\" 1 }}{{ printf \"%1000d\" 1 }}{{ printf \"%1000d\" 1 }}{{ printf "
        "\"%1000d%1000d%1000d%1000d%1000d%1000d\" 1 2 3 4 5 6 }}{{ end }}{{ end }}{{ end }}",
        "{{ define \"x\" }}{{ template \"x\" . }}{{ template \"x\" . }}{{ end }}"
        "{{ template \"x\" . }}",
    };
    for (size_t i = 0; i < sizeof(TEXTS) / sizeof(TEXTS[0]); i++) {
        struct template_fault f = {0};
        struct buf out;
        CU_ASSERT_EQUAL(render(NULL, TEXTS[i], TEMPLATE_PLAIN, &out, &f), -EINVAL);
        CU_ASSERT_PTR_NOT_NULL(strstr(f.msg, i ? "too deeply" : "longer than 65536 bytes"));
        CU_ASSERT_EQUAL(out.len, 0);
        buf_done(&out);
    }
}

static int explore(const char *text, struct template_fault *f)
{
    struct arena a;
    arena_init(&a, 0);
    struct template_set *s = template_set_new(&a);
    CU_ASSERT_PTR_NOT_NULL_FATAL(s);
    struct template *t = template_set_parse(s, text, strlen(text), f);
    CU_ASSERT_PTR_NOT_NULL_FATAL(t);
    int rc = template_explore(t, &DATA, TEMPLATE_PLAIN, f);
    arena_done(&a);
    return rc;
}

static void both_ways_of_a_branch_are_looked_at(void)
{
    static const struct {
        const char *text;
        int col; // 0 = nothing is wrong
    } CASES[] = {
        {"{{ if eq .Status \"x\" }}{{ .Foo }}{{ end }}", 28},
        {"{{ if .Status }}a{{ else }}{{ .Foo }}{{ end }}", 32},
        {"{{ with .CommonLabels.none }}{{ $.Foo }}{{ end }}", 35},
        {"{{ range .CommonLabels.Remove .CommonLabels.Names }}a{{ else }}{{ .Foo }}{{ end }}",
            68},
        // Not with these alerts, but with others.
        {"{{ (index .Alerts 7).Status }}{{ index .CommonLabels.Values 9 }}", 0},
        {"{{ define \"x\" }}{{ if . }}{{ template \"x\" . }}{{ template \"x\" . }}{{ end }}{{ end }}"
         "{{ template \"x\" . }}",
            0},
        {"{{ range .Alerts }}{{ if eq .Status \"x\" }}{{ break }}{{ end }}{{ .Foo }}{{ end }}",
            67},
        {"{{ template \"email.default.html\" . }}{{ template \"opsgenie.default.description\" . }}",
            0},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct template_fault f = {0};
        int rc = explore(CASES[i].text, &f);
        if (rc != (CASES[i].col ? -EINVAL : 0) || (rc && f.col != CASES[i].col))
            printf("  case %zu: %d, %d:%d %s\n", i, rc, f.line, f.col, f.msg);
        CU_ASSERT_EQUAL(rc, CASES[i].col ? -EINVAL : 0);
        CU_ASSERT_TRUE(rc == 0 || f.col == CASES[i].col);
    }
}

static void every_failed_allocation_is_told(void)
{
    static const char text[] =
        "<p>{{ range .Alerts.Firing }}{{ .Labels.SortedPairs.Values | join \" \" | title }}"
        "{{ .StartsAt.Format \"2006\" }}{{ toJson .Labels }}{{ end }}"
        "{{ template \"slack.default.title\" . }}</p>";
    for (int nth = 1;; nth++) {
        struct arena a;
        struct template_fault f = {0};
        struct buf out;
        arena_init(&a, 0);
        buf_init(&out, 10000);
        oom_fail_at(nth);
        struct template_set *s = template_set_new(&a);
        struct template *t = s ? template_set_parse(s, text, strlen(text), &f) : NULL;
        int rc = t ? template_render(t, &DATA, TEMPLATE_HTML, &out, &f) : -ENOMEM;
        bool hit = oom_stop();
        if (s && !t)
            CU_ASSERT(f.line == 0 && f.msg[0]);
        CU_ASSERT(rc == 0 || rc == -ENOMEM || (hit && rc == -EINVAL));
        CU_ASSERT(hit || rc == 0);
        CU_ASSERT(rc == 0 || out.len == 0);
        buf_done(&out);
        arena_done(&a);
        if (!hit)
            break;
    }
}

static const struct test TESTS[] = {
    {"the message is shown", the_message_is_shown},
    {"a mistake has its place", a_mistake_has_its_place},
    {"files build on each other", files_build_on_each_other},
    {"a run is bounded", a_run_is_bounded},
    {"both ways of a branch are looked at", both_ways_of_a_branch_are_looked_at},
    {"every failed allocation is told", every_failed_allocation_is_told},
};

int main(void)
{
    return test_main("template_set", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
