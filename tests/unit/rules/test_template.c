// SPDX-License-Identifier: Apache-2.0
#include "rules/template.h"
#include "tests/lib/oom.h"
#include "tests/lib/run.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct label LABELS[] = {
    {LABEL_NAME, "m"}, {"a", "x"}, {"host", "web-1.example.net:9100"}, {"z", "Q w"}};
static const struct labels SET = {LABELS, 4};

static int expand(const char *text, const char *url, char *ret, size_t size)
{
    struct arena a;
    struct err err;
    struct buf out;
    struct template_data d = {.labels = &SET, .value = 1234567.5, .external_url = url};

    arena_init(&a, 0);
    buf_init(&out, size - 1);
    struct template *t = template_parse(text, strlen(text), &a, &err);
    if (!t)
        printf("%s: %d: %s\n", text, err.col, err.msg);
    CU_ASSERT_FATAL(t != NULL);
    int rc = template_expand(t, &d, &out);
    strcpy(ret, buf_cstr(&out));
    buf_done(&out);
    arena_done(&a);
    return rc;
}

// What promtool 2.42 prints for the same text, labels and value.
static const struct {
    const char *text, *expected;
} SAME[] = {
    {"{{ urlquery \"a b&c/\\u00e9~.\" }} {{ urlquery 1 2 \"x\" 3 4.5 }} {{ \"a%\" | urlquery }} "
     "{{ urlquery }}|{{ html \"<a>&'\\\"\" }}",
        "a+b%26c%2F%C3%A9~. 1+2x3+4.5 a%25 |&lt;a&gt;&amp;&#39;&#34;"},
    {"{{ $labels }} {{ $labels.a }} {{ $labels.none }}|",
        "map[__name__:m a:x host:web-1.example.net:9100 z:Q w] x |"},
    {"{{ $value }} {{ .Value }} {{ .Labels.a }}", "1.2345675e+06 1.2345675e+06 x"},
    {"{{ printf \"%s %d %v %.2f %q %t %%\" $labels.a 5 $value $value $labels.z true }}",
        "x 5 1.2345675e+06 1234567.50 \"Q w\" true %"},
    {"{{ printf \"%d\" $value }} {{ printf \"%s\" $value }} {{ printf \"%f\" 3 }} {{ printf \"%x\" 255 }}",
        "%!d(float64=1.2345675e+06) %!s(float64=1.2345675e+06) %!f(int=3) ff"},
    {"{{ printf \"%5.1f|%-8s|%08.3f|%+d|%e|%g|%5d|%05d\" $value \"ab\" $value 5 $value $value 7 7 }}",
        "1234567.5|ab      |1234567.500|+5|1.234568e+06|1.2345675e+06|    7|00007"},
    {"{{ printf \"%s\" }} {{ printf \"%d %d\" 1 }} {{ printf \"x\" 1 \"y\" }}",
        "%!s(MISSING) 1 %!d(MISSING) x%!(EXTRA int=1, string=y)"},
    {"{{ printf \"%!\" }} {{ printf \"%z\" 1 }}", "%!!(MISSING) %!z(int=1)"},
    {"{{ $value | humanize }} {{ 0.00123 | humanize }} {{ 1e30 | humanize }} {{ 0 | humanize }} {{ humanize 999.99 }} {{ humanize -1500.0 }}",
        "1.235M 1.23m 1e+06Y 0 1000 -1.5k"},
    {"{{ humanize1024 $value }} {{ humanize1024 0.5 }} {{ 1048576.0 | humanize1024 }}",
        "1.177Mi 0.5 1Mi"},
    {"{{ humanizeDuration 90 }} {{ humanizeDuration 0.0123 }} {{ humanizeDuration 1e6 }} {{ humanizeDuration -3700.0 }} {{ humanizeDuration 0 }} {{ humanizeDuration 59.5 }}",
        "1m 30s 12.3ms 11d 13h 46m 40s -1h 1m 40s 0s 59.5s"},
    {"{{ humanizePercentage 0.123456 }} {{ humanizePercentage 1e6 }} {{ humanizeTimestamp 1435065584.128 }}",
        "12.35% 1e+08% 2015-06-23 13:19:44.128 +0000 UTC"},
    {"{{ title \"hello wORLD foo-bar\" }} {{ toUpper \"a\xc3\xa9\" }} {{ toLower \"A\xc3\x89\" }}",
        "Hello WORLD Foo-Bar A\xc3\x89 a\xc3\xa9"},
    {"{{ match \"a.*\" \"xaby\" }} {{ reReplaceAll \"(.*)-([0-9])\" \"$2/${1}x\" \"web-1\" }} {{ $labels.host | stripPort }} {{ stripDomain $labels.host }}",
        "true 1/webx web-1.example.net web-1:9100"},
    {"{{ if eq $labels.a \"x\" }}yes{{ else }}no{{ end }} {{ if gt $value 5.0 }}big{{ else if lt $value 1.0 }}small{{ end }}",
        "yes big"},
    {"{{ with $labels.a }}[{{ . }}]{{ end }}{{ with $labels.no }}[{{ . }}]{{ else }}none{{ end }}",
        "[x]none"},
    {"a {{- /* c */ -}} b {{- \" x \" -}} c", "ab x c"},
    {"{{ and 1 0 }} {{ or \"\" \"z\" }} {{ not true }} {{ and $labels.a \"q\" }} {{ len \"abc\" }} {{ len $labels }}",
        "0 z false q 3 4"},
    {"{{ print 1 2 \"a\" 3 \"b\" \"c\" }}|{{ println \"a\" 1 }}|{{ print $value $labels.a }}",
        "1 2a3bc|a 1\n|1.2345675e+06x"},
    {"{{ \"quo\\\"te\" }} {{ `raw` }} {{ 'a' }} {{ 1e3 }} {{ 0x1f }} {{ 100000000.0 }} {{ 1.0 }} {{ true }}",
        "quo\"te raw 97 1000 31 1e+08 1 true"},
    {"{{ eq 1 2 1 }} {{ ne 1 2 }} {{ le 1.5 1.5 }} {{ ge \"b\" \"a\" }}",
        "true true true true"},
    {"{{ eq $value 1234567.5 }}", "true"},
    {"{{ printf \"%.1f\" ($value) }} {{ (printf \"%s\" \"a\") | toUpper }} {{ \"x\" | printf \"%s-%s\" \"y\" }}",
        "1234567.5 A y-x"},
    {"{{ $externalURL }} {{ $externalLabels }} {{ .ExternalURL }} {{ .ExternalLabels }}",
        " map[]  map[]"},
    {"{{ if $labels.none }}a{{ else }}b{{ end }}{{ if $value }}c{{ end }}{{ if 0 }}d{{ end }}{{ if 0.0 }}e{{ end }}",
        "bc"},
    {"{{ stripPort \"[::1]:80\" }} {{ stripPort \"nope\" }} {{ stripDomain \"a.b.c\" }} {{ stripDomain \"10.0.0.1:80\" }}",
        "::1 nope a 10.0.0.1:80"},
    {"{{ . }}", "{map[__name__:m a:x host:web-1.example.net:9100 z:Q w] map[]  1.2345675e+06}"},
    {"{{ $ }}", "{map[__name__:m a:x host:web-1.example.net:9100 z:Q w] map[]  1.2345675e+06}"},
    {"{{ $labels.a | }}", "x"},
    {"{{ 1_000 }} {{ 017 }}", "1000 15"},
    {"{{ print nil }}", "<nil>"},
    {"{{ printf \"%v %v\" $labels true }} {{ printf \"%q %v\" 65 'a' }}",
        "map[__name__:m a:x host:web-1.example.net:9100 z:Q w] true 'A' 97"},
    {"{{ printf \"%6.2f%%\" 12.345 }} {{ printf \"%t\" 1 }} {{ printf \"%d\" \"a\" }} {{ printf \"%.3s|%5s\" \"abcdef\" \"x\" }} {{ printf \"%c\" 65 }}",
        " 12.35% %!t(int=1) %!d(string=a) abc|    x A"},
    {"{{ printf \"%v\" 1000000 }} {{ printf \"%v\" 1000000.0 }} {{ printf \"%g\" 1e21 }} {{ printf \"%e\" 0.0 }} {{ printf \"%s\" true }} {{ printf \"%*d\" 5 3 }}",
        "1000000 1e+06 1e+21 0.000000e+00 %!s(bool=true)     3"},
    {"{{ $labels.a|toUpper }} {{$value|printf \"%.0f\"}}", "X 1234568"},
    {"{{ humanizeDuration 0.000001234 }} {{ humanizeDuration \"90\" }} {{ humanizeDuration 86400.5 }} {{ humanizeDuration 3600 }}",
        "1.234us 1m 30s 1d 0h 0m 0s 1h 0m 0s"},
    {"{{ humanize 1234567 }} {{ humanize 0.00001 }} {{ humanizePercentage 0.5 }} {{ humanizeTimestamp 0 }} {{ humanizeTimestamp 1.5 }}",
        "1.235M 10u 50% 1970-01-01 00:00:00 +0000 UTC 1970-01-01 00:00:01.5 +0000 UTC"},
    {"{{ if and (gt $value 1.0) (lt $value 2.0) }}a{{ else }}b{{ end }} {{ if not (eq $labels.a \"x\") }}n{{ end }}",
        "b "},
    {"{{ -1 }} {{ +1 }} {{ -1.5e3 }} {{ .5 }}", "-1 1 -1500 0.5"},
    {"{{ title \"\xc3\x89"
     "COLE a.b\" }} {{ title $labels.z }}",
        "\xc3\x89"
        "COLE A.B Q W"},
    {"{{ reReplaceAll \"a*\" \"-\" \"baac\" }} {{ reReplaceAll \"^x\" \"\" \"xx\" }} {{ reReplaceAll \"(?P<n>b+)\" \"<${n}>$$\" \"abbc\" }} {{ reReplaceAll \"b\" \"$1x\" \"abc\" }}",
        "-b-c- x a<bb>$c ac"},
};

static void prints_what_promtool_prints(void)
{
    char got[2000];
    for (size_t i = 0; i < sizeof(SAME) / sizeof(SAME[0]); i++) {
        CU_ASSERT_EQUAL(expand(SAME[i].text, NULL, got, sizeof(got)), 0);
        if (strcmp(got, SAME[i].expected))
            printf("%s\n   expected %s\n   got      %s\n", SAME[i].text, SAME[i].expected, got);
        CU_ASSERT_STRING_EQUAL(got, SAME[i].expected);
    }
}

static void knows_the_address_of_the_page(void)
{
    char got[200];
    CU_ASSERT_EQUAL(
        expand("{{ $externalURL }}/x {{ .ExternalURL }}", "http://h:1", got, sizeof(got)), 0);
    CU_ASSERT_STRING_EQUAL(got, "http://h:1/x http://h:1");
}

static void knows_the_external_labels(void)
{
    static const struct label pairs[] = {{"cluster", "c1"}, {"dc", "east"}};
    static const struct labels external = {pairs, 2};
    struct template_data d = {.labels = &SET, .value = 1, .external_labels = &external};
    const char *text = "{{ $externalLabels.dc }} {{ .ExternalLabels.cluster }} "
                       "{{ $externalLabels }} {{ $externalLabels.none }}|{{ . }}";
    struct arena a;
    struct err err;
    struct buf out;

    arena_init(&a, 0);
    buf_init(&out, 1000);
    struct template *t = template_parse(text, strlen(text), &a, &err);
    CU_ASSERT_FATAL(t != NULL);
    CU_ASSERT_EQUAL(template_expand(t, &d, &out), 0);
    CU_ASSERT_STRING_EQUAL(buf_cstr(&out),
        "east c1 map[cluster:c1 dc:east] |"
        "{map[__name__:m a:x host:web-1.example.net:9100 z:Q w] map[cluster:c1 dc:east]  1}");
    buf_done(&out);
    arena_done(&a);
}

// Mistakes that show only when the template runs. The whole text is replaced, as in Prometheus.
static const struct {
    const char *text, *expected;
} AT_RUN[] = {
    {"a {{ gt $value 5 }}",
        "<error expanding template: incompatible types for comparison: float64 and int>"},
    {"{{ len $value }}", "<error expanding template: len of a value of type float64>"},
    {"{{ humanize \"abc\" }}", "<error expanding template: cannot make a number of \"abc\">"},
    {"{{ toUpper 5 }}", "<error expanding template: expected text, found a value of type int>"},
    {"{{ reReplaceAll \"(\" \"\" \"x\" }}",
        "<error expanding template: bad regular expression: missing closing )>"},
    {"{{ with $labels.a }}{{ .Value }}{{ end }}",
        "<error expanding template: no field Value in a value of type string>"},
    {"{{ humanizeTimestamp 1e30 }}",
        "<error expanding template: 1e+30 does not fit into a time>"},
};

static void a_mistake_at_run_time_is_the_text(void)
{
    char got[2000];
    for (size_t i = 0; i < sizeof(AT_RUN) / sizeof(AT_RUN[0]); i++) {
        CU_ASSERT_EQUAL(expand(AT_RUN[i].text, NULL, got, sizeof(got)), -EINVAL);
        CU_ASSERT_STRING_EQUAL(got, AT_RUN[i].expected);
    }
}

static const struct {
    const char *text;
    int col;
    const char *msg;
} AT_LOAD[] = {
    {"{{ $labels.a }", 1, "never closed"},
    {"x {{ foo }}", 6, "unknown function `foo`"},
    {"{{ humanise 1 }}", 4, "did you mean humanize?"},
    {"{{ if }}a{{ end }}", 7, "a value is missing"},
    {"a{{ end }}", 2, "no open if"},
    {"{{ else }}", 1, "no open if"},
    {"ab{{ if 1 }}", 3, "has no {{ end }}"},
    {"{{ if 1 }}{{ else }}{{ else }}{{ end }}", 21, "second `else`"},
    {"{{ \"abc }}", 4, "closing quote"},
    {"{{ 1 | 2 }}", 8, "stands a function"},
    {"{{ ($value }}", 4, "never closed"},
    {"{{ $value) }}", 10, "unexpected `)`"},
    {"{{}}", 3, "a value is missing"},
    {"{{ $nope }}", 4, "undefined variable"},
    {"{{ 1x }}", 4, "bad number"},
    {"{{ toTime 1 }}", 4, "`toTime` is not supported yet"},
    {"{{ $value = 5 }}", 4, "is not supported yet"},
    {"{{ if true }}{{ $x := 1 }}{{ end }}{{ $x }}", 39, "undefined variable `$x`"},
    {"{{ define \"a\" }}{{ $value }}{{ end }}", 20, "undefined variable `$value`"},
    {"{{ if true }}{{ define \"a\" }}{{ end }}{{ end }}", 14, "outside of everything"},
    {"{{ define \"a\" }}{{ end }}{{ define \"a\" }}{{ end }}", 26, "defined twice"},
    {"{{ define \"a\" }}x", 1, "has no {{ end }}"},
    {"{{ template a }}", 13, "in quotes"},
    {"{{ break }}", 1, "no range around"},
    {"{{ range $labels }}x", 1, "this `range` has no"},
    {"{{ range $a, $b, $c := $labels }}{{ end }}", 16, "too many variables"},
    {"{{ with $a, $b := 1 }}{{ end }}", 11, "too many variables"},
    {"{{ range $a, $b $labels }}{{ end }}", 17, "stands :="},
    {"{{ true.x }}", 8, "no fields"},
    {"{{ ..Value }}", 5, "unexpected `.`"},
    {"{{ eq -_1 5 }}", 7, "bad number"},
    {"{{ 1__0 }}", 4, "bad number"},
    {"{{ $labels.1er }}", 12, "begins with a letter"},
    {"{{ printf\"a\" }}", 10, "behind a name"},
    {"{{ if\"a\" }}x{{ end }}", 6, "behind a name"},
    {"{{ \"a\".x }}", 7, "no fields"},
    {"{{ $value | . }}", 13, "stands a function"},
    {"{{ 'ab' }}", 4, "one character"},
    {"{{/* a", 1, "never closed"},
    {"{{/* a */ 1 }}", 1, "comment"},
    {"{{ \"\\z\" }}", 5, "escape"},
};

static void a_mistake_at_load_has_its_place(void)
{
    for (size_t i = 0; i < sizeof(AT_LOAD) / sizeof(AT_LOAD[0]); i++) {
        struct arena a;
        struct err err = {0};
        arena_init(&a, 0);
        struct template *t = template_parse(AT_LOAD[i].text, strlen(AT_LOAD[i].text), &a, &err);
        if (t || err.col != AT_LOAD[i].col || !strstr(err.msg, AT_LOAD[i].msg)) {
            printf("%s: %d: %s\n", AT_LOAD[i].text, err.col, err.msg);
            CU_FAIL("wrong mistake");
        }
        arena_done(&a);
    }
}

// --- queries and what goes over their results ------------------------------------------------
static int answer(void *ctx, const char *expr, size_t len, struct arena *a,
    struct template_sample **ret, size_t *ret_n, struct err *err)
{
    static const struct label L[3][3] = {{{LABEL_NAME, "y"}, {"a", "1"}, {"n", "m"}},
        {{LABEL_NAME, "y"}, {"a", "3"}, {"n", "b"}},
        {{LABEL_NAME, "y"}, {"a", "2"}, {"n", "z"}}};
    static const double v[3] = {1.5, 1, 7};
    (void)ctx;
    if (len == 2 && !memcmp(expr, "y{", 2)) {
        err_set(err, "unexpected end");
        return -EINVAL;
    }
    size_t n = len == 1 && expr[0] == 'y' ? 3 : len == 4 && !memcmp(expr, "one_", 4) ? 1 : 0;
    struct template_sample *s = arena_alloc(a, (n + 1) * sizeof(*s));
    if (!s)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++)
        s[i] = (struct template_sample){{L[i], 3}, v[i]};
    *ret = s;
    *ret_n = n;
    return 0;
}

// What promtool 2.42 made of these in a unit test with the same series (one_ there: y{a="1"}).
static const struct {
    const char *text, *expected;
} QUERIES[] = {
    {"{{ range query \"y\" }}{{ .Labels.a }}:{{ .Value }} {{ end }}", "1:1.5 3:1 2:7 "},
    {"{{ query \"y\" | first | value }}", "1.5"},
    {"{{ with query \"nope\" }}a{{ else }}b{{ end }}", "b"},
    {"{{ range query \"y\" | sortByLabel \"n\" }}{{ .Labels.n }}{{ end }}", "bmz"},
    {"{{ len (query \"y\") }}", "3"},
    {"{{ index (query \"y\" | sortByLabel \"a\") 1 }}", "{map[__name__:y a:2 n:z] 7}"},
    {"{{ query \"one_\" | first }}", "{map[__name__:y a:1 n:m] 1.5}"},
    {"{{ printf \"%v\" (query \"one_\" | first) }}", "&{map[__name__:y a:1 n:m] 1.5}"},
    {"{{ query \"one_\" | first | label \"n\" }}", "m"},
    {"{{ with query \"one_\" }}{{ with . | first }}{{ .Value | humanize }}{{ end }}{{ end }}",
        "1.5"},
    {"{{ range $i, $e := query \"y\" | sortByLabel \"a\" }}{{ if $i }}, {{ end }}{{ $e.Labels.a }}{{ end }}",
        "1, 2, 3"},
    {"{{ range query \"y\" | sortByLabel \"a\" }}{{ if eq .Labels.a \"2\" }}{{ break }}{{ end }}{{ .Labels.a }}{{ end }}",
        "1"},
    {"{{ range query \"y\" | sortByLabel \"a\" }}{{ if eq .Labels.a \"2\" }}{{ continue }}{{ end }}{{ .Labels.a }}{{ end }}",
        "13"},
    {"{{ $s := 0 }}{{ range query \"y\" }}{{ $s = .Value }}{{ end }}{{ $s }}", "7"},
    {"{{ range query \"nope\" }}x{{ else }}none{{ end }}", "none"},
    {"{{- range $i, $v := query \"y\" | sortByLabel \"a\" -}} {{ $i }} {{- end -}}", "012"},
    {"{{ not (query \"nope\") }} {{ and (query \"y\") 1 }}", "true 1"},
    {"{{ define \"t\" }}<{{ .arg0 }},{{ .arg1 }},{{ .arg2 }}>{{ end }}{{ template \"t\" (args 1 \"x\") }}",
        "<1,x,<no value>>"},
    {"{{ block \"b\" 5 }}[{{ . }}]{{ end }}", "[5]"},
    {"{{ define \"t\" }}{{ . }}{{ end }}{{ template \"t\" }}", "<no value>"},
    {"{{ define \"t\" }}{{ $ }}{{ end }}{{ template \"t\" 5 }}", "5"},
    {"{{ range $k, $v := args \"p\" \"q\" }}{{ $k }}={{ $v }} {{ end }}", "arg0=p arg1=q "},
    {"{{ args 1 2.5 \"x\" }} {{ args }}", "map[arg0:1 arg1:2.5 arg2:x] map[]"},
    {"{{ index (args 1 2) \"arg1\" }}", "2"},
    {"{{ slice \"abcdef\" 1 3 }} {{ slice \"abc\" 1 }} {{ slice \"abc\" }}", "bc bc abc"},
    {"{{ index \"abc\" 1 }}", "98"},
    {"{{ graphLink \"up == 1 + x\" }} {{ tableLink \"\xc3\xa9/?&\" }}",
        "/graph?g0.expr=up+%3D%3D+1+%2B+x&g0.tab=0 /graph?g0.expr=%C3%A9%2F%3F%26&g0.tab=1"},
    {"{{ parseDuration \"1h30m\" }}", "5400"},
    {"{{ safeHtml \"<b>\" }}", "<b>"},
    {"{{ with $x := 5 }}{{ $x }}{{ . }}{{ end }}", "55"},
    {"{{ if $x := 0 }}{{ $x }}{{ else }}zero {{ $x }}{{ end }}", "zero 0"},
    {"{{ $a := \"x\" }}{{ if true }}{{ $a := \"y\" }}{{ $a }}{{ end }}{{ $a }}", "yx"},
    {"{{ $a := \"x\" }}{{ if true }}{{ $a = \"y\" }}{{ end }}{{ $a }}", "y"},
    {"{{ $x := 1 }}{{ $y := 2 }}{{ $x }}{{ $y }}{{ printf \"%d\" $x }}", "121"},
    {"{{ query \"nope\" | first }}",
        "<error expanding template: first() called on vector with no elements>"},
    {"{{ query \"y{\" }}", "<error expanding template: query \"y{\": unexpected end>"},
    {"{{ template \"nope\" }}", "<error expanding template: template \"nope\" is not defined>"},
    {"{{ range 5 }}x{{ end }}",
        "<error expanding template: range cannot go over a value of type int>"},
    {"{{ parseDuration \"x\" }}",
        "<error expanding template: not a valid duration string: \"x\">"},
    {"{{ slice \"abc\" 5 }}", "<error expanding template: index out of range: 5>"},
    {"{{ index (query \"y\") 9 }}", "<error expanding template: index out of range: 9>"},
    {"{{ label \"a\" 5 }}",
        "<error expanding template: expected a sample, found a value of type int>"},
    {"{{ range query \"y\" }}{{ .Foo }}{{ end }}",
        "<error expanding template: no field Foo in a value of type sample>"},
    {"{{ define \"a\" }}{{ template \"a\" . }}{{ end }}{{ template \"a\" }}",
        "<error expanding template: templates call each other too deeply>"},
};

static void queries_and_loops_give_what_promtool_prints(void)
{
    struct template_data d = {.labels = &SET, .value = 5, .query = answer};
    for (size_t i = 0; i < sizeof(QUERIES) / sizeof(QUERIES[0]); i++) {
        struct arena a;
        struct err err = {0};
        struct buf out;
        arena_init(&a, 0);
        buf_init(&out, 100000);
        struct template *t = template_parse(QUERIES[i].text, strlen(QUERIES[i].text), &a, &err);
        if (!t)
            printf("%s: %s\n", QUERIES[i].text, err.msg);
        CU_ASSERT_PTR_NOT_NULL_FATAL(t);
        template_expand(t, &d, &out);
        if (strcmp(buf_cstr(&out), QUERIES[i].expected))
            printf("%s: %s\n", QUERIES[i].text, buf_cstr(&out));
        CU_ASSERT_STRING_EQUAL(buf_cstr(&out), QUERIES[i].expected);
        CU_ASSERT_EQUAL(template_uses_query(t), strstr(QUERIES[i].text, "query") != NULL);
        buf_done(&out);
        arena_done(&a);
    }
}

static void loops_in_loops_end(void)
{
    char got[2000];
#define TEN "{{ range $ten }}"
#define END "{{ end }}"
    CU_ASSERT_EQUAL(expand("{{ $ten := args 1 2 3 4 5 6 7 8 9 10 }}" TEN TEN TEN TEN TEN TEN TEN
                           "{{ end }}" END END END END END END,
                        NULL, got, sizeof(got)),
        -EINVAL);
    CU_ASSERT_PTR_NOT_NULL(strstr(got, "more than 1000000 steps"));
    // What a template may use is bounded, and to reach that is its mistake, not a shortage.
    CU_ASSERT_EQUAL(expand("{{ $ten := args 1 2 3 4 5 6 7 8 9 10 }}" TEN TEN TEN TEN TEN
                           "{{ $x := printf \"%1000d\" 1 }}" END END END END END,
                        NULL, got, sizeof(got)),
        -EINVAL);
    CU_ASSERT_PTR_NOT_NULL(strstr(got, "more than 8 MiB"));
}

// promtool 2.42 accepts each of these (`check rules`), and the alert then says that it failed.
static const struct {
    const char *text;
    int col;
    const char *msg;
} DOUBTS[] = {
    {"{{ printf }}", 4, "takes at least 1 argument, not 0"},
    {"{{ humanize 1 2 }}", 4, "takes 1 argument, not 2"},
    {"{{ \"a\" \"b\" }}", 8, "takes no arguments"},
    {"{{ nil }}", 4, "nil is not a command"},
    {"{{ .Foo }}", 4, "no field `Foo`"},
    {"{{ $labels.a.b }}", 11, "no fields"},
    {"{{ $value.x }}", 10, "no fields"},
    {"{{ toUpper title }}", 12, "parentheses"},
    {"{{ $.labels.x }}", 5, "no field `labels`"},
    {"{{ $labels.a.b.c }}", 11, "no fields"},
    {"{{ .Labels.a.b }}", 14, "no fields"},
    {"{{ (humanize $value).x }}", 21, "no fields"},
    {"{{ $value | $labels.a }}", 13, "stands a function"},
    {"{{ $value humanize }}", 11, "takes no arguments"},
    {"{{ $value | humanize 5 }}", 13, "takes 1 argument, not 2"},
};

static void what_must_fail_when_it_runs_is_a_doubt(void)
{
    for (size_t i = 0; i < sizeof(DOUBTS) / sizeof(DOUBTS[0]); i++) {
        struct arena a;
        struct err err = {0};
        char got[2000];
        arena_init(&a, 0);
        struct template *t = template_parse(DOUBTS[i].text, strlen(DOUBTS[i].text), &a, &err);
        CU_ASSERT_PTR_NOT_NULL_FATAL(t);
        bool found = false;
        for (const struct template_doubt *d = template_doubts(t); d; d = d->next)
            found |= (int)d->at + 1 == DOUBTS[i].col && strstr(d->msg, DOUBTS[i].msg);
        CU_ASSERT_EQUAL(expand(DOUBTS[i].text, NULL, got, sizeof(got)), -EINVAL);
        bool told = !strncmp(got, "<error expanding template: ", 27);
        if (!found || !told)
            printf("%s: %s: %s\n", DOUBTS[i].text, err.msg, got);
        CU_ASSERT(found && told);
        arena_done(&a);
    }
}

static bool uses_value(const char *text)
{
    struct arena a;
    struct err err;
    arena_init(&a, 0);
    struct template *t = template_parse(text, strlen(text), &a, &err);
    CU_ASSERT_FATAL(t != NULL);
    bool yes = template_uses_value(t);
    CU_ASSERT_EQUAL(template_is_plain(t), strstr(text, "{{") == NULL);
    arena_done(&a);
    return yes;
}

static void knows_whether_it_uses_the_value(void)
{
    CU_ASSERT(uses_value("{{ if gt $value 5.0 }}a{{ end }}"));
    CU_ASSERT(uses_value("{{ printf \"%f\" (.Value) }}"));
    CU_ASSERT(uses_value("{{ $.Value }}"));
    CU_ASSERT(!uses_value("{{ $labels.Value }} {{ .Labels.a }}"));
    CU_ASSERT(!uses_value("$value"));
    CU_ASSERT(!uses_value(""));
}

static void nesting_is_bounded(void)
{
    char text[4000] = "";
    struct arena a;
    struct err err;
    for (int i = 0; i < 60; i++)
        strcat(text, "{{ if 1 }}");
    arena_init(&a, 0);
    CU_ASSERT_PTR_NULL(template_parse(text, strlen(text), &a, &err));
    CU_ASSERT_PTR_NOT_NULL(strstr(err.msg, "deeply"));
    strcpy(text, "{{ ");
    memset(text + 3, '(', 1000);
    memcpy(text + 1003, "}}", 3);
    CU_ASSERT_PTR_NULL(template_parse(text, 1005, &a, &err));
    CU_ASSERT_PTR_NOT_NULL(strstr(err.msg, "deeply"));
    arena_done(&a);
}

static void every_failed_allocation_is_told(void)
{
    static const char text[] =
        "{{ if eq $labels.a \"x\" }}{{ reReplaceAll \"(q)\" \"$1\" $labels.z | "
        "printf \"%v %s\" ($value) | title }}{{ else }}{{ stripDomain $labels.host }}{{ end }}";
    for (int nth = 1;; nth++) {
        struct arena a;
        struct err err = {0};
        struct buf out;
        struct template_data d = {.labels = &SET, .value = 1.5};
        arena_init(&a, 0);
        buf_init(&out, 1000);
        oom_fail_at(nth);
        struct template *t = template_parse(text, strlen(text), &a, &err);
        int rc = t ? template_expand(t, &d, &out) : -ENOMEM;
        bool hit = oom_stop();
        CU_ASSERT(t || (err.col == 0 && err.msg[0]));
        CU_ASSERT(hit ? rc < 0 || rc == 0 : rc == 0);
        if (rc == 0 && !out.failed)
            CU_ASSERT_STRING_EQUAL(buf_cstr(&out), "1.5 Q W");
        buf_done(&out);
        arena_done(&a);
        if (!hit)
            break;
    }
}

static const struct test TESTS[] = {
    {"prints what promtool prints", prints_what_promtool_prints},
    {"knows the address of the page", knows_the_address_of_the_page},
    {"knows the external labels", knows_the_external_labels},
    {"a mistake at run time becomes the text", a_mistake_at_run_time_is_the_text},
    {"queries and loops give what promtool prints",
        queries_and_loops_give_what_promtool_prints},
    {"loops in loops end", loops_in_loops_end},
    {"what must fail when it runs is a doubt", what_must_fail_when_it_runs_is_a_doubt},
    {"a mistake at load has its place", a_mistake_at_load_has_its_place},
    {"knows whether it uses the value", knows_whether_it_uses_the_value},
    {"nesting is bounded", nesting_is_bounded},
    {"every failed allocation is told", every_failed_allocation_is_told},
};

int main(void)
{
    return test_main("template", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
