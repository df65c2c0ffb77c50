// SPDX-License-Identifier: Apache-2.0
// FILTERED and NO_DATA through functions, selectors and absent: what a silent source may change
// and what it may not. Operators are in test_binary.c, aggregations in test_aggregate.c.
#include "tests/unit/rules/scene.h"

#define LONG_AGO (-400000) // out of the lookback of t = 10 s

// x: two live series and a silent one; q: only a silent one.
static void open_silent(struct scene *s)
{
    scene_open(s);
    scene_put(s, "x{i=\"1\"}", 9000, 5);
    scene_put(s, "x{i=\"2\"}", 9000, -2);
    scene_put(s, "x{i=\"3\"}", LONG_AGO, 7);
    scene_put(s, "q", LONG_AGO, 9);
    scene_silence(s, "x{i=\"3\"}");
    scene_silence(s, "q");
}

static void selector_states(void)
{
    struct scene s;
    open_silent(&s);
    check(&s, "x", "x{i=\"1\"} 5; x{i=\"2\"} -2; x{i=\"3\"} ?7");
    // Within the lookback a silent series still has its value, as in Prometheus.
    scene_silence(&s, "x{i=\"1\"}");
    check(&s, "x{i=\"1\"}", "x{i=\"1\"} 5");
    // An announced end is no silence.
    scene_put(&s, "x{i=\"3\"}", LONG_AGO + 1, double_from_bits(NAN_STALE_BITS));
    check(&s, "x{i=\"3\"}", "");
    scene_close(&s);
}

static void last_word_only(void)
{
    struct scene s;
    open_silent(&s);
    // Between two samples far apart there is a hole, not a silent source.
    scene_put(&s, "q", 20000, 1);
    check(&s, "q", "");
    check(&s, "last_over_time(q[1m])", "");
    scene_close(&s);
}

static void functions(void)
{
    struct scene s;
    open_silent(&s);
    check(&s, "abs(x)", "{i=\"1\"} 5; {i=\"2\"} 2; {i=\"3\"} ?7");
    check(&s, "abs(x > 0)", "{i=\"1\"} 5; {i=\"3\"} ?7");
    check(&s, "clamp(x, 0, 3)", "{i=\"1\"} 3; {i=\"2\"} 0; {i=\"3\"} ?7");
    check(&s, "timestamp(q)", "{} ?-400");
    check(&s, "sort(x)", "x{i=\"1\"} 5; x{i=\"2\"} -2; x{i=\"3\"} ?7");
    check(&s, "label_replace(q, \"a\", \"b\", \"\", \"\")", "q{a=\"b\"} ?9");
    check(&s, "label_join(q, \"a\", \"-\", \"__name__\")", "q{a=\"q\"} ?9");
    check(&s, "-x", "{i=\"1\"} -5; {i=\"2\"} 2; {i=\"3\"} ?-7");
    check(&s, "day_of_week(q)", "{} ?9");
    scene_close(&s);
}

static void range_functions(void)
{
    struct scene s;
    scene_open(&s);
    scene_put(&s, "c{i=\"1\"}", 1000, 1);
    scene_put(&s, "c{i=\"1\"}", 9000, 2);
    scene_put(&s, "c{i=\"2\"}", LONG_AGO, 1);
    scene_put(&s, "c{i=\"3\"}", 9000, 1);
    check(&s, "delta(c[8s])", "");
    check(&s, "last_over_time(c[1m])", "c{i=\"1\"} 2; c{i=\"3\"} 1");
    scene_silence(&s, "c{i=\"2\"}");
    scene_silence(&s, "c{i=\"3\"}");
    // Nothing in the window; and too few samples for a rate; and enough for a count.
    check(&s, "last_over_time(c[1m])", "c{i=\"1\"} 2; c{i=\"2\"} ?0; c{i=\"3\"} 1");
    check(&s, "delta(c[1m])", "{i=\"1\"} 1.625; {i=\"2\"} ?0; {i=\"3\"} ?0");
    check(&s, "count_over_time(c[1m])", "{i=\"1\"} 2; {i=\"2\"} ?0; {i=\"3\"} 1");
    check(&s, "max_over_time(c[1m:1s])", "{i=\"1\"} 2; {i=\"2\"} ?0; {i=\"3\"} 1");
    scene_close(&s);
}

// A counter of 10/s that falls silent: its rate is what it was, for as long as the lookback, and
// then unknown. Prometheus's would sink to nothing within the minute and resolve or page on the way.
static void silence_does_not_decay(void)
{
    struct scene s;
    scene_open(&s);
    for (int64_t t = 1; t <= 120; t++)
        scene_put(&s, "c", t * 1000, (double)t * 10);
    scene_silence(&s, "c");
    for (s.t_ms = 120000; s.t_ms < 420000; s.t_ms += 7000) {
        check(&s, "rate(c[1m])", "{} 10");
        check(&s, "rate(c[1m]) < 5", "");
        check(&s, "count_over_time(c[10m]) == 120", "{} 120");
    }
    s.t_ms = 420000;
    check(&s, "rate(c[1m])", "{} ?0");
    check(&s, "rate(c[10m])", "{} ?0");
    check(&s, "rate(c[1m]) < 5", "{} ?0");
    // What is asked of a time before the silence is not touched by it.
    s.t_ms = 150000;
    check(&s, "rate(c[1m] offset 30s)", "{} 10");
    scene_close(&s);
}

// a: live and a last word; b: only a last word. What is but a last word is told from what is known.
static void last_words_marked(void)
{
    struct scene s;
    scene_open(&s);
    scene_put(&s, "a{i=\"1\"}", 9000, 5);
    scene_put(&s, "a{i=\"2\"}", 9000, 6);
    for (int64_t t = 1; t <= 9; t++)
        scene_put(&s, "b{i=\"1\"}", t * 1000, (double)t);
    scene_put(&s, "h_bucket{le=\"1\"}", 9000, 1);
    scene_put(&s, "h_bucket{le=\"+Inf\"}", 9000, 2);
    scene_silence(&s, "a{i=\"2\"}");
    scene_silence(&s, "b{i=\"1\"}");
    s.show_silent = true;
    check(&s, "a", "a{i=\"1\"} 5; a{i=\"2\"} ~6");
    check(&s, "-abs(a) > -9", "{i=\"1\"} -5; {i=\"2\"} ~-6");
    check(&s, "a + 1", "{i=\"1\"} 6; {i=\"2\"} ~7");
    check(&s, "rate(b[5s])", "{i=\"1\"} ~1");
    check(&s, "last_over_time(b[5s:1s])", "b{i=\"1\"} ~9");
    // A pair is when one of it is, an aggregate when all its members are.
    check(&s, "a{i=\"1\"} - b", "{i=\"1\"} ~-4");
    check(&s, "a and b", "a{i=\"1\"} ~5");
    check(&s, "b or a", "a{i=\"2\"} ~6; b{i=\"1\"} ~9");
    check(&s, "sum(a)", "{} 11");
    check(&s, "max by (i) (a)", "{i=\"1\"} 5; {i=\"2\"} ~6");
    check(&s, "quantile(0, b)", "{} ~9");
    check(&s, "topk(1, a)", "a{i=\"2\"} ~6");
    check(&s, "count_values(\"v\", b)", "{v=\"9\"} ~1");
    check(&s, "count_values(\"v\", a > 0)", "{v=\"5\"} 1; {v=\"6\"} ~1");
    check(&s, "a{i=\"1\"} > scalar(b) - 5", "a{i=\"1\"} ~5");
    check(&s, "vector(scalar(b))", "{} ~9");
    check(&s, "histogram_quantile(0.5, h_bucket)", "{} 1");
    scene_silence(&s, "h_bucket{le=\"1\"}");
    check(&s, "histogram_quantile(0.5, h_bucket)", "{} 1");
    scene_silence(&s, "h_bucket{le=\"+Inf\"}");
    check(&s, "histogram_quantile(0.5, h_bucket)", "{} ~1");
    // Of a time before the silence nothing is.
    s.t_ms = 8000;
    check(&s, "b", "b{i=\"1\"} 8");
    scene_close(&s);
}

static void parity_marks_nothing(void)
{
    struct scene s;
    scene_open(&s);
    s.o.parity = s.show_silent = true;
    for (int64_t t = 1; t <= 9; t++)
        scene_put(&s, "b", t * 1000, (double)t);
    scene_silence(&s, "b");
    check(&s, "b", "b 9");
    s.t_ms = 12000;
    check(&s, "count_over_time(b[5s])", "{} 2");
    scene_close(&s);
}

static void scalars(void)
{
    struct scene s;
    open_silent(&s);
    check(&s, "scalar(q)", "?nan");
    check(&s, "scalar(x)", "nan");
    check(&s, "scalar(x{i=~\"1|3\"})", "5");
    check(&s, "scalar(q) + 1", "?nan");
    check(&s, "scalar(x > 0)", "5");
    check(&s, "vector(scalar(q))", "{} ?nan");
    check(&s, "scalar(nothing)", "nan");
    scene_close(&s);
}

static void silent_parameters(void)
{
    struct scene s;
    open_silent(&s);
    check(&s, "x{i=\"1\"} > scalar(q)", "x{i=\"1\"} ?5");
    check(&s, "x{i=\"1\"} + scalar(q)", "{i=\"1\"} ?5");
    check(&s, "clamp_max(x{i=\"1\"}, scalar(q))", "{i=\"1\"} ?5");
    check(&s, "round(x{i=\"1\"}, scalar(q))", "{i=\"1\"} ?5");
    check(&s, "clamp(x{i=\"1\"}, scalar(q), 3)", "{i=\"1\"} ?5");
    check(&s, "topk(scalar(q), x{i=\"1\"})", "x{i=\"1\"} ?5");
    check(&s, "quantile(scalar(q), x{i=\"1\"})", "{} ?5");
    check(&s, "quantile_over_time(scalar(q), x{i=\"1\"}[1m])", "{i=\"1\"} ?nan");
    scene_put(&s, "b{le=\"1\"}", 9000, 1);
    scene_put(&s, "b{le=\"+Inf\"}", 9000, 1);
    check(&s, "histogram_quantile(scalar(q), b)", "{} ?nan");
    scene_close(&s);
}

static void absence(void)
{
    struct scene s;
    open_silent(&s);
    check(&s, "absent(nothing{a=\"b\"})", "{a=\"b\"} 1");
    check(&s, "absent(x)", "");
    check(&s, "absent(x{i=\"3\"})", "{i=\"3\"} ?1");
    check(&s, "absent(q)", "{} ?1");
    check(&s, "absent(x > 100)", "{} ?1"); // one of them is silent
    check(&s, "absent(x{i=~\"1|2\"} > 100)", "{} 1");
    check(&s, "absent_over_time(q[1m])", "{} ?1");
    check(&s, "absent_over_time(x[1m])", "");
    check(&s, "absent_over_time(nothing[1m])", "{} 1");
    scene_close(&s);
}

static void filtered_is_missing(void)
{
    struct scene s;
    scene_open(&s);
    scene_put(&s, "x{i=\"1\"}", 9000, 5);
    scene_put(&s, "x{i=\"2\"}", 9000, 1);
    s.show_filtered = true;
    check(&s, "x > 3", "x{i=\"1\"} 5; x{i=\"2\"} !1");
    check(&s, "abs(x > 3)", "{i=\"1\"} 5");
    check(&s, "sort(x > 3)", "x{i=\"1\"} 5");
    check(&s, "timestamp(x > 3)", "{i=\"1\"} 10");
    check(&s, "-(x > 3)", "{i=\"1\"} -5");
    check(&s, "label_replace(x > 3, \"i\", \"9\", \"\", \"\")", "x{i=\"9\"} 5");
    check(&s, "scalar(x > 3)", "5");
    check(&s, "absent(x > 9)", "{} 1");
    check(&s, "(x > 3) > 4", "x{i=\"1\"} 5");
    check(&s, "count_over_time((x > 3)[3s:1s])", "{i=\"1\"} 2");
    scene_close(&s);
}

// With parity, or when nothing is silent, there is never a NO_DATA element.
static void parity_knows_no_silence(void)
{
    static const char *const EXPRS[] = {"x", "q", "abs(x)", "rate(x[1m])", "scalar(q)",
        "absent(q)", "sum(x)", "x + on() group_left() q", "x and on() q", "x unless on() q",
        "x or q", "count_values(\"v\", x)", "topk(5, x)", "max_over_time(x[1m:1s])",
        "absent_over_time(q[1m])", "quantile(0.5, x)", "last_over_time(q[1m])",
        "vector(scalar(q))"};
    struct scene a, b;
    open_silent(&a);
    a.o.parity = true;
    open_silent(&b);
    memory_source_silence(b.m, scene_series(&b, "x{i=\"3\"}"), false);
    memory_source_silence(b.m, scene_series(&b, "q"), false);
    for (size_t i = 0; i < sizeof(EXPRS) / sizeof(EXPRS[0]); i++) {
        char without[4096];
        snprintf(without, sizeof(without), "%s", scene_eval(&b, EXPRS[i]));
        CU_ASSERT_PTR_NULL(strchr(without, '?'));
        check(&a, EXPRS[i], without);
    }
    scene_close(&a);
    scene_close(&b);
}

static const struct test TESTS[] = {
    {"a selector keeps the last word of a silent source", selector_states},
    {"only the last word counts, not a hole before it", last_word_only},
    {"functions pass NO_DATA through and skip FILTERED", functions},
    {"range functions without enough samples are NO_DATA when silent", range_functions},
    {"a window of a silent source neither decays nor empties", silence_does_not_decay},
    {"a value that is but a last word is marked through every operator", last_words_marked},
    {"in parity no value is marked and no window moved", parity_marks_nothing},
    {"scalar() of silence is marked", scalars},
    {"a parameter from a silent source makes the result unknown", silent_parameters},
    {"absent() over silence is unknown, not true", absence},
    {"every operator treats a filtered element as missing", filtered_is_missing},
    {"without silence, and with parity, nothing is NO_DATA", parity_knows_no_silence},
};

int main(void)
{
    return test_main("element", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
