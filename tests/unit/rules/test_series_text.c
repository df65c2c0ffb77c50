// SPDX-License-Identifier: Apache-2.0
#include "base/num.h"
#include "rules/series_text.h"
#include "tests/lib/oom.h"
#include "tests/lib/run.h"
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

// The points as text: "1 _ stale {{...}}", a hint that was given behind a histogram as "!".
static void print(const struct series_values *v, struct buf *out)
{
    for (size_t i = 0; i < v->n; i++) {
        char text[NUM_TEXT_MAX];
        if (i)
            buf_addc(out, ' ');
        if (v->v[i].omitted)
            buf_addc(out, '_');
        else if (v->v[i].h)
            series_histogram_print(v->v[i].h, out);
        else if (is_stale(v->v[i].v))
            buf_adds(out, "stale");
        else
            buf_add(out, text, num_short(v->v[i].v, text));
        if (v->v[i].hint_given)
            buf_addc(out, '!');
    }
}

static void check(const char *text, const char *expected)
{
    struct arena a;
    struct series_values v = {0};
    struct parse_error e;
    struct buf out;
    arena_init(&a, 0);
    buf_init(&out, 1u << 20);
    int rc = series_values_parse(text, strlen(text), &a, &v, &e);
    if (rc == 0)
        print(&v, &out);
    else
        buf_addf(&out, "%d-%d %s", e.start, e.end, e.msg);
    if (strcmp(buf_cstr(&out), expected) != 0) {
        printf("%s\n  is       %s\n  expected %s\n", text, buf_cstr(&out), expected);
        CU_FAIL("a series reads otherwise");
    }
    buf_done(&out);
    arena_done(&a);
}

static void points(void)
{
    check("", "");
    check("  ", "");
    check("1 2.5 -3 +4 1e3 .5 1e-2", "1 2.5 -3 4 1000 0.5 0.01");
    check("Inf -inf NaN +Inf nan", "+Inf -Inf NaN +Inf NaN");
    check("_ 1 stale _x3 2", "_ 1 stale _ _ _ 2");
    check("_x0 1", "1");
    check("1+2x3", "1 3 5 7");
    check("-2+4x3", "-2 2 6 10");
    check("10-2x2 7x2 1x0", "10 8 6 7 7 7 1");
    check("-1-1x1", "-1 -2");
    check("0x3", "0 0 0 0");
    check("1e2+1e1x2", "100 110 120");
    check("0+0.1x3", "0 0.1 0.2 0.30000000000000004"); // a sum, not a product
    check("1\n2\t3", "1 2 3");
}

static void histograms(void)
{
    check("{{}} {{ }}", "{{}} {{}}");
    check("{{schema:1 sum:-3 count:22 z_bucket:2 z_bucket_w:0.5 buckets:[5 10 7] offset:-3 "
          "n_buckets:[1 2] n_offset:2}}",
        "{{schema:1 count:22 sum:-3 z_bucket:2 z_bucket_w:0.5 offset:-3 buckets:[5 10 7] "
        "n_offset:2 n_buckets:[1 2]}}");
    check("{{buckets:[0 1 0 2 0]}}", "{{offset:1 buckets:[1 0 2]}}");
    check("{{schema:-53 custom_values:[5 10] buckets:[1 4 2]}}",
        "{{schema:-53 custom_values:[5 10] buckets:[1 4 2]}}");
    check("{{count:2 counter_reset_hint:gauge}}x1",
        "{{count:2 counter_reset_hint:gauge}}! {{count:2 counter_reset_hint:gauge}}!");
    check("{{count:1 buckets:[1]}}+{{count:2 buckets:[1 1]}}x2",
        "{{count:1 buckets:[1]}} {{count:3 buckets:[2 1]}} {{count:5 buckets:[3 2]}}");
    check("{{count:9 sum:5}}-{{count:2 sum:1}}x1", "{{count:9 sum:5}} {{count:7 sum:4}}");
    check("{{sum:NaN count:+Inf}}", "{{count:+Inf sum:NaN}}");
    check("1 {{count:1}} 2", "1 {{count:1}} 2");
}

static void mistakes(void)
{
    check("1 x", "2-3 expected a number");
    check("1+2", "0-3 expected `x` and a number of steps");
    check("1+2x", "3-4 expected a number of steps behind `x`");
    check("1,2", "1-2 expected a blank between two values");
    check("0x1f", "3-4 expected a blank between two values");
    check("1 2 1+1x1000001", "7-15 a series has at most 1000000 points");
    check("1x999999 1", "10-10 a series has at most 1000000 points");
    check("stale1", "5-6 expected a blank between two values");
    check("{{count:1", "0-9 a histogram without its closing }}");
    check("{{count:1 count:2}}", "10-15 count is given twice");
    check("{{number:1}}", "2-8 unknown field of a histogram");
    check("{{count 1}}", "2-7 expected `:` behind count");
    check("{{schema:1.5}}", "9-12 expected a whole number");
    check("{{buckets:5}}", "10-11 expected `[` and counts");
    check("{{buckets:[5 x]}}", "13-14 expected a number");
    check("{{counter_reset_hint:maybe}}", "21-26 unknown counter reset hint");
    check("{{count:1}}+2", "12-13 expected another {{histogram}}");
    check("{{count:1}}+{{count:2}}", "0-23 expected `x` and a number of steps");
    check("{{schema:2}}+{{schema:1}}x2",
        "0-25 the step has the coarser schema 1, the start has 2");
    check("{{count:1}}{{count:1}}", "11-12 expected a blank between two values");
}

static void check_line(const char *text, const char *expected)
{
    struct arena a;
    struct labels l;
    struct series_values v = {0};
    struct parse_error e;
    struct buf out;
    arena_init(&a, 0);
    buf_init(&out, 1u << 20);
    int rc = series_line_parse(text, strlen(text), &a, &l, &v, &e);
    if (rc == 0) {
        labels_print(&l, &out);
        buf_addc(&out, ' ');
        print(&v, &out);
    } else {
        buf_addf(&out, "%d-%d %s", e.start, e.end, e.msg);
    }
    if (strcmp(buf_cstr(&out), expected) != 0) {
        printf("%s\n  is       %s\n  expected %s\n", text, buf_cstr(&out), expected);
        CU_FAIL("a series reads otherwise");
    }
    buf_done(&out);
    arena_done(&a);
}

static void lines(void)
{
    check_line("up 1 2", "up 1 2");
    check_line("up{} 1", "up 1");
    check_line("{} 1", "{} 1");
    check_line("up{b=\"2\", a='1',} 1", "up{a=\"1\", b=\"2\"} 1");
    check_line("a:b{x=\"\"} 1", "a:b 1"); // an empty label is none
    check_line("{\"a b\", \"c d\"=\"e\"} 1", "{\"a b\", \"c d\"=\"e\"} 1");
    check_line("up {{count:1}}", "up {{count:1}}");
    check_line("up {a=\"b\"} {{count:1}}", "up{a=\"b\"} {{count:1}}");
    check_line("nan{inf=\"1\"} _", "nan{inf=\"1\"} _");
    check_line("up{a=\"b\"}1", "9-10 expected a blank behind the labels");
    check_line("up{a=\"b\" 1", "9-10 expected `,` or `}` behind a label");
    check_line("up{a=b} 1", "5-6 expected the label's value in quotes");
    check_line("up{a=~\"b\"} 1", "4-6 expected `=` behind a label name");
    check_line("up{a=\"b\",a=\"c\"} 1", "9-10 a label is given twice");
    check_line("up{\"down\"} 1", "3-9 the metric name is given twice");
    check_line("1 2", "0-1 expected a name");
    check_line("\"up\" 2", "0-4 a quoted metric name stands inside braces");
}

static void only_labels(void)
{
    struct arena a;
    struct labels l;
    struct parse_error e;
    arena_init(&a, 0);
    static const char GOOD[] = "up{a=\"b\"}", BAD[] = "up{a=\"b\"} 1";
    CU_ASSERT_EQUAL(series_labels_parse(GOOD, strlen(GOOD), &a, &l, &e), 0);
    CU_ASSERT_EQUAL(l.n, 2);
    CU_ASSERT_EQUAL(series_labels_parse(BAD, strlen(BAD), &a, &l, &e), -EINVAL);
    CU_ASSERT_STRING_EQUAL(e.msg, "unexpected text behind the labels");
    CU_ASSERT_EQUAL(e.start, 10);
    arena_done(&a);
}

static void faults(void)
{
    static const char *const BAD[] = {"{{schema:9}}", "{{schema:-5}}", "{{count:-1}}",
        "{{z_bucket:-1}}", "{{buckets:[1 -1]}}", "{{n_buckets:[-1]}}", "{{custom_values:[1]}}",
        "{{schema:-53 custom_values:[1 1]}}", "{{schema:-53 custom_values:[1 Inf]}}",
        "{{schema:-53 custom_values:[NaN]}}",
        "{{schema:-53 custom_values:[1] buckets:[1 1 1]}}",
        "{{schema:-53 custom_values:[1] offset:-1 buckets:[1]}}", "{{schema:-53 z_bucket:1}}",
        "{{schema:-53 n_buckets:[1]}}"};
    struct arena a;
    struct series_values v;
    struct parse_error e;
    arena_init(&a, 0);
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
        CU_ASSERT_EQUAL_FATAL(series_values_parse(BAD[i], strlen(BAD[i]), &a, &v, &e), 0);
        if (!histogram_fault(v.v[0].h)) {
            printf("%s\n", BAD[i]);
            CU_FAIL("a broken histogram is taken for a good one");
        }
    }
    static const char GOOD[] = "{{schema:-53 custom_values:[-1 2] buckets:[1 1 1]}} {{schema:8 "
                               "z_bucket:2 buckets:[1] n_buckets:[2]}}";
    CU_ASSERT_EQUAL_FATAL(series_values_parse(GOOD, strlen(GOOD), &a, &v, &e), 0);
    CU_ASSERT_PTR_NULL(histogram_fault(v.v[0].h));
    CU_ASSERT_PTR_NULL(histogram_fault(v.v[1].h));
    arena_done(&a);
}

static void no_memory(void)
{
    static const char TEXT[] = "up{a=\"b\"} 1+1x40 {{buckets:[1 2 3 4 5 6 7 8 9] n_buckets:[1] "
                               "schema:0}}+{{buckets:[1]}}x20";
    for (int nth = 1;; nth++) {
        struct arena a;
        struct labels l;
        struct series_values v;
        struct parse_error e;
        arena_init(&a, 0);
        oom_fail_at(nth);
        int rc = series_line_parse(TEXT, strlen(TEXT), &a, &l, &v, &e);
        bool hit = oom_stop();
        arena_done(&a);
        if (!hit) {
            CU_ASSERT_EQUAL(rc, 0);
            break;
        }
        CU_ASSERT_EQUAL(rc, -ENOMEM);
    }
    // An arena with a ceiling ends it too.
    for (size_t max = 64; max < 4000; max += 64) {
        struct arena a;
        struct labels l;
        struct series_values v;
        struct parse_error e;
        arena_init(&a, max);
        CU_ASSERT_EQUAL(series_line_parse(TEXT, strlen(TEXT), &a, &l, &v, &e), -ENOMEM);
        arena_done(&a);
    }
}

// For a test of five minutes people write as many points as come to mind.
static void only_the_first(void)
{
    static const struct {
        const char *text, *expected;
    } CASES[] = {{"1 2", "1 2"}, {"1x10000000", "1 1 1"},
        {"1+1x99999999999 _x5 stale", "1 2 3"}, {"1 _x10000000 3", "1 _ _"},
        {"1 2 3 4 5", "1 2 3"},
        {"{{count:1}}+{{count:1}}x5000000", "{{count:1}} {{count:2}} {{count:3}}"}};
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct arena a;
        struct series_values v;
        struct parse_error e;
        struct buf out;
        const char *text = CASES[i].text;
        arena_init(&a, 0);
        buf_init(&out, 1u << 20);
        CU_ASSERT_EQUAL_FATAL(series_values_parse_first(text, strlen(text), 3, &a, &v, &e), 0);
        print(&v, &out);
        CU_ASSERT_STRING_EQUAL(buf_cstr(&out), CASES[i].expected);
        // What is not kept is read all the same.
        CU_ASSERT_EQUAL(series_values_parse_first("1x9 oops", 8, 3, &a, &v, &e), -EINVAL);
        CU_ASSERT_EQUAL(e.start, 4);
        buf_done(&out);
        arena_done(&a);
    }
}

static const struct test TESTS[] = {
    {"points, holes, steps and stale markers", points},
    {"histograms and their steps", histograms},
    {"mistakes are named at their place", mistakes},
    {"labels and points on one line", lines},
    {"labels alone have nothing behind them", only_labels},
    {"a histogram that cannot be one is recognised", faults},
    {"only the first so many are kept", only_the_first},
    {"running out of memory is an error", no_memory},
};

int main(void)
{
    return test_main("series_text", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
