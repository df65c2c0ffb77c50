// SPDX-License-Identifier: Apache-2.0
// The incremental evaluator beside the batch evaluator: one history, the same elements.
#include "tests/lib/oom.h"
#include "tests/unit/rules/pair.h"
#include <errno.h>

static const char *const EXPRESSIONS[] = {
    "g",
    "g > 3",
    "g{a=\"1\"} offset 7s",
    "g offset -3s",
    "{__name__=~\"g|h\"}",
    "-g",
    "abs(g - 4) > bool 1",
    "rate(c[30s])",
    "increase(c[20s] offset 5s)",
    "irate(c[15s])",
    "idelta(g[15s])",
    "delta(g[30s])",
    "deriv(g[40s])",
    "predict_linear(g[40s], 10)",
    "changes(g[30s])",
    "resets(c[1m])",
    "sum_over_time(g[30s])",
    "avg_over_time(g[30s])",
    "min_over_time(g[30s])",
    "max_over_time(g[30s])",
    "count_over_time(g[17s])",
    "last_over_time(g[30s])",
    "present_over_time(g[10s])",
    "stddev_over_time(g[30s])",
    "quantile_over_time(0.9, g[30s])",
    "quantile_over_time(scalar(g{a=\"1\",b=\"x\"}) / 10, g[30s])",
    "rate({__name__=~\"c|d\"}[30s])",
    "rate(g[5m])",
    "increase(c[5m] offset -4s)",
    "irate(c[2s])",
    "sum_over_time(g[5m] offset -5s)",
    "avg_over_time(c[5m])",
    "min_over_time(c[2m])",
    "max_over_time(g[5m] offset 3s)",
    "stdvar_over_time(g[5m])",
    "stddev_over_time(c[3m])",
    "quantile_over_time(0.5, c[5m])",
    "quantile_over_time(1.5, g[30s])",
    "quantile_over_time(scalar(h{a=\"2\",b=\"x\"}) / 10, c[5m])",
    "changes(c[5m])",
    "resets(g[5m])",
    "deriv(c[5m])",
    "predict_linear(c[5m] offset 10s, 3600)",
    "predict_linear(g[1m], scalar(h{a=\"1\",b=\"y\"}))",
    "count_over_time({__name__=~\"g|n\"}[1m])",
    "max_over_time({__name__=~\"n|c\"}[1m])",
    "sum_over_time(n[1m])",
    "rate(n[5m])",
    "increase(n[20s] offset 4s)",
    "delta(n[1m])",
    "irate(n[30s])",
    "histogram_quantile(0.5, increase(n[5m]))",
    "last_over_time(n[30s])",
    "sum by (a) (rate(c[30s]))",
    "sum without (b) (g)",
    "avg(g)",
    "max by (b) (g) - min by (b) (g)",
    "count(g > 3)",
    "stddev by (a) (g)",
    "group(g)",
    "topk(2, g)",
    "bottomk by (a) (1, g)",
    "quantile(0.5, g)",
    "count_values(\"v\", g)",
    "rate(c[30s]) / on (a, b) rate(d[30s])",
    "g + on (a) group_left sum by (a) (h)",
    "g * on (a) h",
    "g == on (a, b) h",
    "g and on (a) (h > 2)",
    "g unless h > 4",
    "g > 5 or h > 5",
    "g > 2 or on () vector(0)",
    "absent(g{a=\"9\"})",
    "absent(g)",
    "absent_over_time(g[10s])",
    "absent_over_time(g{a=\"1\",b=\"x\"}[5s] offset 2s)",
    "absent_over_time({__name__=~\"g|n\"}[1s])",
    "absent_over_time(n{a=\"2\"}[3s])",
    "time() - timestamp(g)",
    "timestamp(g)",
    "scalar(sum(g))",
    "vector(time())",
    "hour() + minute(g)",
    "label_replace(g, \"z\", \"$1!\", \"a\", \"(.*)\")",
    "label_join(g, \"z\", \"-\", \"a\", \"b\")",
    "histogram_quantile(0.9, sum by (le, a) (rate(b_bucket[30s])))",
    "histogram_quantile(0.5, b_bucket)",
    "max_over_time(rate(c[20s])[1m:7s])",
    "g @ 1000",
    "sort_desc(g)",
    "clamp(g, 2, scalar(h{a=\"1\",b=\"x\"}))",
    "sum(g) > 10 and on () sum(h) > 3",
    "histogram_count(n)",
    "histogram_quantile(0.9, rate(n[30s]))",
    "sum(increase(n[30s]))",
    "n",
    "1 + 2",
};
#define N_EXPRESSIONS (sizeof(EXPRESSIONS) / sizeof(EXPRESSIONS[0]))

static const char *const NAMES[] = {"g", "h", "c", "d", "b_bucket", "n"};
static const char *const LES[] = {"0.1", "0.5", "1", "+Inf"};

// One random sample of a random series, now and then late, stale, not a number, of a new series.
static void random_sample(struct pair *p, int64_t now_ms)
{
    char selector[96];
    uint32_t kind = below(6), roll = below(100);
    int64_t t_ms = now_ms - (below(2) ? 1000 * below(2) : below(1500));
    if (roll < 4)
        t_ms -= below(60000);
    const char *name = NAMES[kind];
    char a[2] = {(char)('1' + below(3)), 0}, b[2] = {"xyz"[below(3)], 0};
    if (kind == 4)
        snprintf(selector, sizeof(selector), "%s{a=\"%s\",le=\"%s\"}", name, a, LES[below(4)]);
    else
        snprintf(selector, sizeof(selector), "%s{a=\"%s\",b=\"%s\"}", name, a, b);
    if (kind == 5) {
        int32_t index[2] = {3, 5};
        double bucket[2] = {(double)(now_ms / 1000), (double)(now_ms / 2000)};
        struct histogram h = {.schema = 4,
            .count = bucket[0] + bucket[1],
            .sum = 3,
            .positive = {.n = 2, .index = index, .count = bucket}};
        if (roll < 5)
            bucket[0] = bucket[1] = 1, h.count = 2;
        if (roll == 6)
            h.schema = 3;
        if (roll == 7)
            h.hint = (enum histogram_hint)below(4);
        if (roll == 8 || roll == 9)
            scene_put(&p->s, selector, t_ms, roll == 8 ? 5 : double_from_bits(NAN_STALE_BITS));
        scene_put_histogram(&p->s, selector, t_ms, &h);
        return;
    }
    double v = kind == 2 || kind == 3 || kind == 4
                   ? (roll < 8 ? below(5) : (double)(now_ms / 100 + below(50)))
                   : below(10) + below(100) / 100.0;
    if (roll == 50)
        v = NAN;
    if (roll == 51)
        v = INFINITY;
    if (roll == 52 || roll == 53)
        v = double_from_bits(NAN_STALE_BITS);
    scene_put(&p->s, selector, t_ms, v);
    if (roll == 60)
        memory_source_silence(p->s.m, scene_series(&p->s, selector), below(2));
}

static int64_t step(struct pair *p, int round, int64_t *now)
{
    (void)round;
    *now += below(4) ? 1000 : below(3) ? 100 + below(3000) : below(2) ? 300000 : below(400000);
    for (uint32_t k = below(40); k; k--)
        random_sample(p, *now);
    return *now - (below(3) ? 0 : below(900));
}

static void run_random(const struct eval_options *o, int rounds)
{
    pair_random(o, EXPRESSIONS, N_EXPRESSIONS, rounds, 60, 1000, step);
}

static void equals_batch(void)
{
    run_random(NULL, 40);
}

static void equals_batch_in_parity(void)
{
    static const struct eval_options O = {.parity = true};
    run_random(&O, 20);
}

static void equals_batch_in_compat(void)
{
    static const struct eval_options O = {.parity = true, .compat_2_42 = true};
    run_random(&O, 20);
}

static void nodes_are_shared(void)
{
    struct pair p;
    struct plan_stats st;
    pair_open(&p, NULL);
    struct plan_expr *a = add(&p, "rate(c[5m]) > 1"), *b = add(&p, "rate( c[300s] ) > 1");
    struct plan_expr *c = add(&p, "rate(c[5m]) > 2");
    plan_stats(p.plan, &st);
    CU_ASSERT_EQUAL(st.nodes, 5); // the window, two constants, two comparisons
    plan_remove(p.plan, c);
    plan_stats(p.plan, &st);
    CU_ASSERT_EQUAL(st.nodes, 3);
    plan_remove(p.plan, a);
    plan_stats(p.plan, &st);
    CU_ASSERT_EQUAL(st.nodes, 3);
    plan_remove(p.plan, b);
    plan_stats(p.plan, &st);
    CU_ASSERT_EQUAL(st.nodes, 0);
    pair_close(&p);
}

static void unchanged_operands_compute_nothing(void)
{
    struct pair p;
    struct plan_stats before, after;
    struct value v;
    struct err err = {0};
    pair_open(&p, NULL);
    struct plan_expr *e = add(&p, "sum(g) > 1");
    scene_put(&p.s, "g{a=\"1\"}", 1000, 5);
    CU_ASSERT_EQUAL(plan_read(p.plan, e, 1000, &v, &err), 0);
    plan_stats(p.plan, &before);
    CU_ASSERT_EQUAL(plan_read(p.plan, e, 2000, &v, &err), 0);
    plan_stats(p.plan, &after);
    CU_ASSERT_EQUAL(before.computed, after.computed);
    CU_ASSERT_EQUAL_FATAL(v.vector.n, 1);
    CU_ASSERT_EQUAL(v.vector.e[0].value, 5);
    plan_remove(p.plan, e);
    pair_close(&p);
}

static void back_in_time_is_batch(void)
{
    struct pair p;
    struct plan_stats st;
    pair_open(&p, NULL);
    struct plan_expr *e = add(&p, "sum(g)");
    scene_put(&p.s, "g{a=\"1\"}", 1000, 5);
    scene_put(&p.s, "g{a=\"1\"}", 2000, 6);
    CU_ASSERT(agree(&p, e, "sum(g)", 3000));
    CU_ASSERT(agree(&p, e, "sum(g)", 1500));
    CU_ASSERT(agree(&p, e, "sum(g)", 3500));
    plan_stats(p.plan, &st);
    CU_ASSERT_EQUAL(st.batch_reads, 1);
    plan_remove(p.plan, e);
    pair_close(&p);
}

// A source that counts how often a plan looks into it, and how many samples it gets to see.
static struct source counted;
static uint64_t looks;

static int count_range(
    void *self, uint32_t id, int64_t from_ms, int64_t to_ms, struct points *out)
{
    size_t before = out->n;
    int rc = counted.range(self, id, from_ms, to_ms, out);
    looks += 1 + out->n - before;
    return rc;
}

static bool count_next(void *self, uint32_t id, int64_t t_ms, struct point *ret)
{
    looks++;
    return counted.next(self, id, t_ms, ret);
}

static uint64_t looks_of(struct pair *p, struct plan_expr *e, const char *text, int64_t t_ms)
{
    struct value v;
    struct err err = {0};
    looks = 0;
    CU_ASSERT_EQUAL(plan_read(p->plan, e, t_ms, &v, &err), 0);
    uint64_t n = looks;
    CU_ASSERT(agree(p, e, text, t_ms));
    return n;
}

static void pair_count(struct pair *p)
{
    counted = p->s.src;
    p->s.src.range = count_range;
    p->s.src.next = count_next;
    plan_free(p->plan);
    p->plan = plan_new(&p->s.src, NULL);
    p->s.src.watch(p->s.src.self, plan_sample, p->plan);
}

static void put_histogram(struct pair *p, int64_t t_ms)
{
    int32_t index[2] = {3, 5};
    double bucket[2] = {(double)t_ms, (double)t_ms * 2};
    struct histogram h = {.schema = 4,
        .count = bucket[0] + bucket[1],
        .sum = (double)t_ms,
        .positive = {.n = 2, .index = index, .count = bucket}};
    scene_put_histogram(&p->s, "n{a=\"1\"}", t_ms, &h);
}

static void windows_look_where_something_changed(void)
{
    static const char *const TEXT[] = {"rate(c[1m])", "max_over_time(c[1m])",
        "avg_over_time(c[1m])", "stddev_over_time(c[1m])", "quantile_over_time(0.9, c[1m])",
        "last_over_time(c[1m])", "increase(n[1m])"};
    for (size_t i = 0; i < sizeof(TEXT) / sizeof(TEXT[0]); i++) {
        struct pair p;
        pair_open(&p, NULL);
        pair_count(&p);
        struct plan_expr *e = add(&p, TEXT[i]);
        bool histograms = strstr(TEXT[i], "(n["); // the first of the window is read anew
        uint64_t n = 0;
        seed = 3;
        for (int64_t t = 1000; t <= 400000; t += 1000) {
            scene_put(&p.s, "c{a=\"1\"}", t, below(1000));
            scene_put(&p.s, "c{a=\"2\"}", t, 7);
            put_histogram(&p, t);
            uint64_t more = looks_of(&p, e, TEXT[i], t);
            n += t > 100000 ? more : 0;
        }
        // Of 600 samples, each: one look for what came, a fifth for what left, a few windows made
        // anew. Read whole, they would be 36,000.
        CU_ASSERT(n < 3000);
        // The rate of what stands still is settled, the other is extrapolated from its state.
        CU_ASSERT_EQUAL(looks_of(&p, e, TEXT[i], 400500), histograms);
        // One more sample of one series.
        scene_put(&p.s, "c{a=\"2\"}", 400700, 7);
        CU_ASSERT(looks_of(&p, e, TEXT[i], 400800) <= 8);
        plan_remove(p.plan, e);
        pair_close(&p);
    }
}

// Whatever allocation fails, the next read is right.
static void memory_comes_back(void)
{
    static const char *const TEXT[] = {"rate(c[1m])", "quantile_over_time(0.5, c[1m])",
        "max_over_time({__name__=~\"c|d\"}[1m])",
        "sum_over_time(sum by (a) (rate(c[20s]))[1m:7s])"};
    for (int nth = 1, hits = 1; hits; nth++) {
        struct pair p;
        struct plan_expr *e[4];
        struct value v;
        struct err err = {0};
        pair_open(&p, NULL);
        seed = 5;
        hits = 0;
        for (int i = 0; i < 4; i++)
            e[i] = add(&p, TEXT[i]);
        for (int64_t t = 1000; t < 200000; t += 1000) {
            static const char *const SERIES[] = {"c{a=\"1\"}", "c{a=\"2\"}", "d{a=\"3\"}"};
            for (int i = 0; i < 3; i++)
                if (i < 2 || t > 100000) // one is born later
                    scene_put(&p.s, SERIES[i], t, below(1000));
            if (t % 20000)
                continue;
            for (int i = 0; i < 4; i++) {
                oom_fail_at(nth);
                int rc = plan_read(p.plan, e[i], t, &v, &err);
                bool hit = oom_stop();
                hits += hit;
                CU_ASSERT(rc == 0 || (hit && rc == -ENOMEM));
                CU_ASSERT(agree(&p, e[i], TEXT[i], t));
            }
        }
        for (int i = 0; i < 4; i++)
            plan_remove(p.plan, e[i]);
        pair_close(&p);
    }
}

static const struct test TESTS[] = {
    {"random samples: the batch evaluator's elements", equals_batch},
    {"random samples, silence ignored", equals_batch_in_parity},
    {"random samples, as 2.42", equals_batch_in_compat},
    {"equal expressions are one node", nodes_are_shared},
    {"an operator whose operands stand is not computed", unchanged_operands_compute_nothing},
    {"a window looks only where a sample came or left", windows_look_where_something_changed},
    {"a read that found no memory is right the next time", memory_comes_back},
    {"an earlier time is answered by the batch evaluator", back_in_time_is_batch},
};

int main(void)
{
    return test_main("plan", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
