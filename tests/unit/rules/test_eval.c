// SPDX-License-Identifier: Apache-2.0
// The evaluator as 3.x differs from the 2.42 that promtool here can check: range edges, lookback,
// stale markers, subqueries, @; range queries, limits and failing allocations.
#include "tests/lib/oom.h"
#include "tests/unit/rules/scene.h"
#include <errno.h>

static void range_edges(void)
{
    struct scene s;
    scene_open(&s);
    for (int t = 0; t <= 10; t++)
        scene_put(&s, "x", t * 1000, t);
    // (t - range, t]
    check(&s, "count_over_time(x[5s])", "{} 5");
    check(&s, "min_over_time(x[5s])", "{} 6");
    check(&s, "count_over_time(x[1ms])", "{} 1");
    check(&s, "count_over_time(x[5s] offset 1s)", "{} 5");
    check(&s, "count_over_time(x[5s] offset -3s)", "{} 2");
    check(&s, "count_over_time(x[5s] @ 3)", "{} 4");
    check(&s, "count_over_time(x[5s] @ 3 offset 3s)", "{} 1");
    check(&s, "rate(x[1s])", "");
    check(&s, "rate(x[2s])", "{} 1");
    check(&s, "increase(x[2s])", "{} 2");
    scene_close(&s);
}

static void lookback_edges(void)
{
    struct scene s;
    scene_open(&s);
    scene_put(&s, "x", 0, 1);
    s.t_ms = 299999;
    check(&s, "x", "x 1");
    s.t_ms = 300000;
    check(&s, "x", "");
    check(&s, "x offset 1ms", "x 1");
    check(&s, "x @ 299.999", "x 1");
    s.t_ms = -1;
    check(&s, "x", "");
    check(&s, "x offset -1ms", "x 1");
    scene_close(&s);
}

static void stale_markers(void)
{
    struct scene s;
    scene_open(&s);
    scene_put(&s, "x", 1000, 1);
    scene_put(&s, "x", 2000, double_from_bits(NAN_STALE_BITS));
    // Other NaNs are values, whatever their payload.
    scene_put(&s, "y", 2000, double_from_bits(NAN_NORMAL_BITS));
    scene_put(&s, "z", 2000, double_from_bits(0x7ff8000000001234ULL));
    s.t_ms = 3000;
    check(&s, "x", "");
    check(&s, "x offset 1001ms", "x 1");
    check(&s, "count_over_time(x[1m])", "{} 1");
    check(&s, "last_over_time(x[1m])", "x 1");
    check(&s, "y", "y nan");
    check(&s, "z", "z nan");
    check(&s, "count_over_time(z[1m])", "{} 1");
    scene_put(&s, "x", 3000, 3);
    check(&s, "x", "x 3");
    check(&s, "changes(x[1m])", "{} 1"); // the marker between them is not a sample
    scene_close(&s);
}

static void subqueries(void)
{
    struct scene s;
    scene_open(&s);
    s.t_ms = 60000;
    // Multiples of the step, the first one after the left edge.
    check(&s, "count_over_time(vector(1)[60s:20s])", "{} 3");
    check(&s, "min_over_time(vector(time())[60s:20s])", "{} 20");
    check(&s, "max_over_time(vector(time())[60s:20s])", "{} 60");
    check(&s, "count_over_time(vector(1)[59s:20s])", "{} 3");
    check(&s, "min_over_time(vector(time())[50s:7s])", "{} 14");
    check(&s, "max_over_time(vector(time())[50s:7s])", "{} 56");
    check(&s, "count_over_time(vector(1)[60s:])", "{} 1");
    check(&s, "count_over_time(vector(1)[2m:])", "{} 2");
    check(&s, "count_over_time(vector(1)[60s:20s] offset 1ms)", "{} 3");
    check(&s, "max_over_time(vector(time())[60s:20s] offset 1ms)", "{} 40");
    check(&s, "max_over_time(vector(time())[60s:20s] @ 30)", "{} 20");
    s.t_ms = -1000;
    // Division truncates towards zero below it, as in Prometheus.
    check(&s, "max_over_time(vector(time())[60s:20s])", "{} -20");
    check(&s, "min_over_time(vector(time())[60s:20s])", "{} -60");
    scene_close(&s);
}

static void errors(void)
{
    struct scene s;
    scene_open(&s);
    scene_put(&s, "a{i=\"1\"}", 9000, 1);
    scene_put(&s, "a{i=\"2\"}", 9000, 1);
    check(&s, "label_replace(a, \"i\", \"\", \"\", \"\")",
        "vector cannot contain metrics with the same labelset");
    check(&s, "label_join(a, \"i\", \"\")",
        "vector cannot contain metrics with the same labelset");
    scene_put(&s, "b{i=\"1\"}", 9000, 1);
    check(&s, "count_over_time({__name__=~\"a|b\"}[1m])",
        "vector cannot contain metrics with the same labelset");
    check(&s, "count_over_time({__name__=~\"a|b\"}[1m:1s])",
        "vector cannot contain metrics with the same labelset");
    check(&s, "last_over_time({__name__=~\"a|b\",i=\"1\"}[1m])", "a{i=\"1\"} 1; b{i=\"1\"} 1");
    check(&s, "label_replace(a, \"i\", \"x\", \"i\", \"1\")", "a{i=\"2\"} 1; a{i=\"x\"} 1");
    scene_close(&s);
}

static int range_query(struct scene *s, const char *text, int64_t start, int64_t end,
    int64_t step, struct matrix *m, struct err *err)
{
    struct arena a;
    struct expr_root x;
    scene_parse(&a, text, &x);
    if (!s->e)
        s->e = eval_new(&s->src, &s->o);
    eval_reset(s->e);
    int rc = eval_range(s->e, &x, start, end, step, m, err);
    expr_done(&x);
    arena_done(&a);
    return rc;
}

static void ranges(void)
{
    struct scene s;
    struct matrix m;
    struct err err = {0};
    scene_open(&s);
    for (int t = 0; t <= 10; t++)
        scene_put(&s, "x{i=\"b\"}", t * 1000, t);
    scene_put(&s, "x{i=\"a\"}", 4000, 40);
    scene_put(&s, "x{i=\"a\"}", 5500, double_from_bits(NAN_STALE_BITS));
    CU_ASSERT_EQUAL(range_query(&s, "x", 3000, 7000, 1000, &m, &err), 0);
    CU_ASSERT_EQUAL(m.steps, 5);
    CU_ASSERT_EQUAL_FATAL(m.n, 2);
    CU_ASSERT_STRING_EQUAL(labels_get(&m.rows[0].labels, "i"), "a");
    CU_ASSERT_EQUAL(double_bits(m.rows[0].v[0]), NAN_ABSENT_BITS);
    CU_ASSERT_EQUAL(m.rows[0].v[1], 40);
    CU_ASSERT_EQUAL(m.rows[0].v[2], 40);
    CU_ASSERT_EQUAL(double_bits(m.rows[0].v[3]), NAN_ABSENT_BITS);
    for (size_t i = 0; i < 5; i++)
        CU_ASSERT_EQUAL(m.rows[1].v[i], (double)(i + 3));
    // Each step as the instant query there; @ start() and end() stand still.
    CU_ASSERT_EQUAL(
        range_query(&s, "sum(x{i=\"b\"} @ start()) + time()", 3000, 7000, 2000, &m, &err), 0);
    CU_ASSERT_EQUAL_FATAL(m.n, 1);
    CU_ASSERT_EQUAL(m.rows[0].v[0], 6);
    CU_ASSERT_EQUAL(m.rows[0].v[2], 10);
    CU_ASSERT_EQUAL(range_query(&s, "x{i=\"b\"} @ end()", 3000, 7000, 4000, &m, &err), 0);
    CU_ASSERT_EQUAL(m.rows[0].v[0], 7);
    CU_ASSERT_EQUAL(range_query(&s, "time()", 1000, 2500, 1000, &m, &err), 0);
    CU_ASSERT_EQUAL(m.steps, 2);
    CU_ASSERT_EQUAL(m.n, 1);
    CU_ASSERT_EQUAL(range_query(&s, "nothing", 0, 0, 1, &m, &err), 0);
    CU_ASSERT_EQUAL(m.n, 0);
    CU_ASSERT_EQUAL(range_query(&s, "x", 0, 11000, 1, &m, &err), -EINVAL);
    CU_ASSERT_EQUAL(range_query(&s, "x", 0, 10999, 1, &m, &err), 0);
    CU_ASSERT_EQUAL(range_query(&s, "x", 1, 0, 1, &m, &err), -EINVAL);
    CU_ASSERT_EQUAL(range_query(&s, "x", 0, 1, 0, &m, &err), -EINVAL);
    CU_ASSERT_EQUAL(range_query(&s, "x[1m]", 0, 1, 1, &m, &err), -EINVAL);
    scene_close(&s);
}

static void range_equals_instants(void)
{
    static const char *const EXPRS[] = {"x", "rate(x[4s])", "sum by (i) (x > 2)",
        "max_over_time(x[5s:2s])", "x / on(i) x offset 2s", "absent(x{i=\"a\"})"};
    struct scene s;
    scene_open(&s);
    for (int t = 0; t <= 20; t++) {
        scene_put(&s, "x{i=\"a\"}", t * 1000, t % 7);
        if (t % 3)
            scene_put(&s, "x{i=\"b\"}", t * 1000, t);
    }
    scene_put(&s, "x{i=\"a\"}", 15500, double_from_bits(NAN_STALE_BITS));
    for (size_t k = 0; k < sizeof(EXPRS) / sizeof(EXPRS[0]); k++) {
        struct matrix m;
        struct err err = {0};
        CU_ASSERT_EQUAL_FATAL(range_query(&s, EXPRS[k], 0, 20000, 500, &m, &err), 0);
        struct eval *other = eval_new(&s.src, NULL);
        for (size_t step = 0; step < m.steps; step++) {
            struct arena a;
            struct expr_root x;
            struct value v;
            size_t present = 0;
            scene_parse(&a, EXPRS[k], &x);
            eval_reset(other);
            CU_ASSERT_EQUAL(eval_instant(other, &x, NULL, (int64_t)step * 500, &v, &err), 0);
            for (size_t r = 0; r < m.n; r++)
                present += double_bits(m.rows[r].v[step]) != NAN_ABSENT_BITS;
            for (size_t i = 0; i < v.vector.n; i++) {
                if (v.vector.e[i].state != ELEMENT_VALUE)
                    continue;
                bool found = false;
                for (size_t r = 0; r < m.n; r++)
                    found |= labels_equal(&m.rows[r].labels, &v.vector.e[i].labels) &&
                             double_bits(m.rows[r].v[step]) == double_bits(v.vector.e[i].value);
                CU_ASSERT(found);
                present--;
            }
            CU_ASSERT_EQUAL(present, 0);
            expr_done(&x);
            arena_done(&a);
        }
        eval_free(other);
    }
    scene_close(&s);
}

static void selections_follow(void)
{
    struct scene s;
    struct arena a;
    struct expr_root x;
    struct value v;
    struct err err = {0};
    scene_open(&s);
    scene_put(&s, "x{i=\"1\"}", 9000, 1);
    scene_parse(&a, "x", &x);
    struct selections *sel = selections_new(&x);
    s.e = eval_new(&s.src, &s.o);
    CU_ASSERT_EQUAL(eval_instant(s.e, &x, sel, 10000, &v, &err), 0);
    CU_ASSERT_EQUAL(v.vector.n, 1);
    scene_put(&s, "x{i=\"2\"}", 9000, 1);
    CU_ASSERT_EQUAL(eval_instant(s.e, &x, sel, 10000, &v, &err), 0);
    CU_ASSERT_EQUAL(v.vector.n, 2);
    selections_free(sel);
    expr_done(&x);
    arena_done(&a);
    scene_close(&s);
}

// Every allocation of an evaluation fails once; then it works.
static void without_memory(void)
{
    static const char *const EXPRS[] = {"x", "sum by (i) (rate(x[5s]))", "x * on(i) x",
        "label_replace(x, \"a\", \"$1\", \"i\", \"(.*)\")", "max_over_time(x[5s:1s])",
        "topk(1, x) or quantile(0.5, x)", "count_values(\"v\", x)", "absent(nothing{a=\"b\"})",
        "sum(h) + avg(h)", "histogram_quantile(0.9, rate(h[10s]))",
        "histogram_fraction(0, 2, h) + histogram_stddev(h)", "h / 2 == h - h",
        "h </ 2 or h >/ 2", "avg_over_time(h[10s])", "count_values(\"v\", h)", "irate(h[10s])",
        "histogram_quantile(0.5, {__name__=~\"h|x\"})", "increase(h[10s:1s])"};
    static const int32_t INDEX[] = {1, 2};
    static const double COUNT[] = {1, 3};
    size_t failed = 0;
    struct scene s;
    scene_open(&s);
    for (int t = 0; t <= 10; t++) {
        struct histogram h = {.schema = t % 2,
            .count = 4 + t,
            .positive.n = 2,
            .positive.index = INDEX,
            .positive.count = COUNT,
            .zero_count = t};
        scene_put(&s, "x{i=\"1\"}", t * 1000, t);
        scene_put(&s, "x{i=\"2\"}", t * 1000, -t);
        scene_put_histogram(&s, "h", t * 1000, &h);
    }
    for (size_t k = 0; k < sizeof(EXPRS) / sizeof(EXPRS[0]); k++) {
        struct arena a;
        struct expr_root x;
        scene_parse(&a, EXPRS[k], &x);
        for (int pass = 0; pass < 2; pass++)
            for (int nth = 1;; nth++) {
                struct value v;
                struct matrix m;
                struct err err = {0};
                oom_fail_at(nth);
                struct eval *e = eval_new(&s.src, NULL);
                int rc = !e     ? -ENOMEM
                         : pass ? eval_range(e, &x, 5000, 10000, 1000, &m, &err)
                                : eval_instant(e, &x, NULL, 10000, &v, &err);
                bool hit = oom_stop();
                failed += hit;
                if (rc != (hit ? -ENOMEM : 0))
                    printf("%s: allocation %d: %d %s\n", EXPRS[k], nth, rc, err.msg);
                CU_ASSERT_EQUAL(rc, hit ? -ENOMEM : 0);
                // The same context works as soon as there is memory.
                if (e)
                    CU_ASSERT_EQUAL(eval_instant(e, &x, NULL, 10000, &v, &err), 0);
                eval_free(e);
                if (!hit || nth > 500)
                    break;
            }
        expr_done(&x);
        arena_done(&a);
    }
    CU_ASSERT(failed > 50);
    scene_close(&s);
}

static const struct test TESTS[] = {
    {"a range is open to the left", range_edges},
    {"the lookback is open to the left", lookback_edges},
    {"a stale marker ends a series and never shows in a range", stale_markers},
    {"subqueries step on absolute multiples", subqueries},
    {"a function that makes two label sets equal is an error", errors},
    {"range queries: rows, holes, @, limits", ranges},
    {"a range query equals its instants to the bit", range_equals_instants},
    {"cached selections follow newly born series", selections_follow},
    {"a failed allocation is told and leaves the context whole", without_memory},
};

int main(void)
{
    return test_main("eval", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
