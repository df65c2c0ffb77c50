// SPDX-License-Identifier: Apache-2.0
// Operators of the incremental evaluator: structures that are kept while series come and go.
#include "tests/lib/oom.h"
#include "tests/unit/rules/pair.h"
#include <errno.h>

static const char *const EXPRESSIONS[] = {
    "g > 3",
    "3 < bool g",
    "g ^ 2 % 7",
    "10 / g",
    "+g",
    "-(g > 3)",
    "-{__name__=~\"g|h\"}",
    "{__name__=~\"g|h\"} >= 4",
    "abs({__name__=~\"g|n\"})",
    "{__name__=~\"g|n\"} * 2",
    "(g or h) * 2",
    "(g > 5 or h) + 1",
    "round(g, 0.5)",
    "clamp(g, scalar(h{a=\"1\",b=\"x\"}), 5)",
    "clamp(g, 6, 5)",
    "g > scalar(h{a=\"1\",b=\"x\"})",
    "minute(g * 1000)",
    "timestamp(g > 2)",
    "sum(g)",
    "sum by (a) (g)",
    "sum without (b) ({__name__=~\"g|h\"})",
    "avg by (b) (g)",
    "min by (a) ({__name__=~\"g|n\"})",
    "max(g > 4)",
    "count by (a) (g)",
    "count({__name__=~\"g|n\"})",
    "group by (b) (h)",
    "stddev by (a) (g)",
    "stdvar(h)",
    "sum({__name__=~\"g|n\"})",
    "sum by (a) (n)",
    "quantile by (a) (0.7, g)",
    "quantile(scalar(h{a=\"1\",b=\"x\"}) / 10, g)",
    "sum(sum by (a) (g))",
    "topk by (a) (1, g) + 1",
    "topk(2, g)",
    "bottomk by (b) (scalar(h{a=\"1\",b=\"x\"}), {__name__=~\"g|n\"})",
    "sum by (a) (topk(2, g))",
    "count_values by (a) (\"v\", g > 5)",
    "g + h",
    "g / on (a, b) h",
    "g + on (a) h",
    "g - ignoring (b) h",
    "g > h",
    "g > on (a, b) h",
    "g != bool on (a) h",
    "g > on (a) group_left h",
    "g * on (a) group_left h",
    "g * on (a) group_left (b) h",
    "h + on (b) group_right (a) g",
    "h <= ignoring (b) group_right g",
    "g * on (a) group_left (c) (v > 2)",
    "(g or h) / on (a, b) g",
    "g / on (a) group_left sum by (a) (g)",
    "sum by (a) (g) > on (a) count by (a) (h)",
    "n + n",
    "g + n",
    "g and h",
    "g and on (a) (h > 4)",
    "g unless on (b) (h > 6)",
    "g or h",
    "g or on (a) h",
    "(g > 4 or h > 4) unless on (a) v",
    "n and g",
    "n or g",
    "absent(h > 8)",
    "absent(g) or h",
    "label_replace(g, \"z\", \"$1\", \"b\", \"(x|y)\")",
    "label_replace(g, \"b\", \"same\", \"b\", \".*\")",
    "label_join(g, \"a\", \"-\", \"b\")",
    "label_replace({__name__=~\"g|n\"}, \"z\", \"$1\", \"a\", \"(.*)\")",
    "sum by (z) (label_replace(g, \"z\", \"$1\", \"a\", \"(.*)\"))",
    "histogram_quantile(0.9, bucket)",
    "histogram_quantile(scalar(h{a=\"1\",b=\"x\"}) / 10, bucket)",
    "histogram_quantile(0.5, sum by (le) (bucket))",
    "histogram_quantile(0.5, {__name__=~\"bucket|n\"})",
    "histogram_quantile(0.5, bucket) > on (a) group_left h",
    "scalar(g{a=\"1\"}) + 1",
    "sum(g) > 10 and on () sum(h) > 3",
    "max_over_time(g[20s]) - min_over_time(g[20s]) > 2",
    "max_over_time(sum by (a) (g)[20s:3s])",
    "rate(g[30s:5s])",
    "avg_over_time((g > 4)[15s:1s] offset 3s)",
    "sum_over_time((-g)[20s:2s])",
    "last_over_time((g or h)[20s:7s])",
    "count_over_time({__name__=~\"g|h\"}[10s:2s])",
    "count_over_time({__name__=~\"g|n\"}[10s:2s])",
    "quantile_over_time(scalar(h{a=\"1\",b=\"x\"}) / 10, g[20s:4s])",
    "predict_linear(g[20s:2s], 60)",
    "deriv(vector(scalar(g{a=\"1\",b=\"x\"}))[20s:2s])",
    "max_over_time(avg_over_time(g[10s] offset -4s)[20s:3s])",
    "min_over_time(max_over_time(g[10s:2s])[20s:5s] offset -2s)",
    "sum by (a) (changes((h > 4)[30s:4s])) > 1",
    "absent_over_time(h[5s:1s])",
    "max_over_time(vector(time())[20s:3s])",
    "sum_over_time((g * on (a) group_left (c) v)[10s:2s])",
    "stddev_over_time(absent(h > 8)[20s:3s])",
};
#define N_EXPRESSIONS (sizeof(EXPRESSIONS) / sizeof(EXPRESSIONS[0]))

static const char *const NAMES[] = {"g", "g", "h", "h", "v", "bucket", "n"};
static const char *const LES[] = {"0.1", "1", "1.0", "+Inf", "none"};

static void some_selector(char *out, size_t size, const char *name)
{
    char a = (char)('1' + below(3)), b = "xyz"[below(3)];
    if (!strcmp(name, "bucket"))
        snprintf(out, size, "bucket{a=\"%c\",le=\"%s\"}", a, LES[below(5)]);
    else if (!strcmp(name, "v"))
        snprintf(out, size, "v{a=\"%c\",c=\"%c\"}", a, b);
    else
        snprintf(out, size, "%s{a=\"%c\",b=\"%c\"}", name, a, b);
}

// A sample, an end, a silence or the forgetting of some series.
static void something(struct pair *p, int64_t t_ms)
{
    char selector[96];
    const char *name = NAMES[below(7)];
    uint32_t roll = below(100);
    some_selector(selector, sizeof(selector), name);
    uint32_t id = scene_series(&p->s, selector);
    if (roll < 5) {
        CU_ASSERT_EQUAL(memory_source_forget(p->s.m, id), 0);
    } else if (roll < 9) {
        memory_source_silence(p->s.m, id, below(2));
    } else if (roll < 30) {
        memory_source_add(p->s.m, id, t_ms, double_from_bits(NAN_STALE_BITS), NULL);
    } else if (!strcmp(name, "n")) {
        int32_t index[2] = {3, 5};
        double count[2] = {1 + below(5), 1};
        struct histogram h = {
            .schema = 4, .count = count[0] + 1, .sum = 3, .positive = {2, index, count}};
        memory_source_add(p->s.m, id, t_ms, 0, &h);
    } else {
        if (roll > 90)
            t_ms -= below(20000);
        memory_source_add(p->s.m, id, t_ms, roll == 31 ? NAN : below(20) / 2.0, NULL);
    }
}

static int64_t step(struct pair *p, int round, int64_t *now)
{
    *now += below(9) ? 1000 : below(300000);
    for (uint32_t k = below(round % 2 ? 4 : 30); k; k--)
        something(p, *now);
    return *now;
}

static void run_random(const struct eval_options *o, int rounds)
{
    pair_random(o, EXPRESSIONS, N_EXPRESSIONS, rounds, 50, 5000, step);
}

static void equals_batch(void)
{
    run_random(NULL, 40);
}

static void equals_batch_in_parity(void)
{
    static const struct eval_options O = {.parity = true};
    run_random(&O, 15);
}

static void equals_batch_in_compat(void)
{
    static const struct eval_options O = {.parity = true, .compat_2_42 = true};
    run_random(&O, 15);
}

// One expression, read again and again.
struct single {
    struct pair p;
    const char *text;
    struct plan_expr *e;
    int64_t t_ms;
};

static void single_open(struct single *s, const char *text)
{
    pair_open(&s->p, NULL);
    s->text = text;
    s->e = add(&s->p, text);
    s->t_ms = 1000;
}

static void single_close(struct single *s)
{
    plan_remove(s->p.plan, s->e);
    pair_close(&s->p);
}

static void put(struct single *s, const char *selector, double v)
{
    scene_put(&s->p.s, selector, s->t_ms, v);
}

static void end(struct single *s, const char *selector)
{
    put(s, selector, double_from_bits(NAN_STALE_BITS));
}

static void forget(struct single *s, const char *selector)
{
    CU_ASSERT_EQUAL(memory_source_forget(s->p.s.m, scene_series(&s->p.s, selector)), 0);
}

// Whether both evaluators agree now; a second later it goes on.
static bool good(struct single *s)
{
    bool ok = agree(&s->p, s->e, s->text, s->t_ms);
    s->t_ms += 1000;
    return ok;
}

// Values that are there now, or -1 on an error.
static int present(struct single *s)
{
    struct value v;
    struct err err = {0};
    int n = 0;
    if (plan_read(s->p.plan, s->e, s->t_ms, &v, &err) < 0)
        return -1;
    for (size_t i = 0; i < v.vector.n; i++)
        n += v.vector.e[i].state == ELEMENT_VALUE;
    return n;
}

static size_t places(struct single *s)
{
    struct value v;
    struct err err = {0};
    CU_ASSERT_EQUAL_FATAL(plan_read(s->p.plan, s->e, s->t_ms, &v, &err), 0);
    return v.vector.n;
}

static void members_come_and_go(void)
{
    struct single s;
    single_open(&s, "sum by (a) (g)");
    put(&s, "g{a=\"1\",b=\"x\"}", 1);
    put(&s, "g{a=\"2\",b=\"x\"}", 2);
    CU_ASSERT(good(&s));
    put(&s, "g{a=\"1\",b=\"y\"}", 4);
    CU_ASSERT(good(&s));
    put(&s, "g{a=\"3\",b=\"y\"}", 8);
    CU_ASSERT(good(&s));
    CU_ASSERT_EQUAL(present(&s), 3);
    end(&s, "g{a=\"1\",b=\"x\"}");
    end(&s, "g{a=\"2\",b=\"x\"}");
    CU_ASSERT_EQUAL(present(&s), 2);
    CU_ASSERT(good(&s));
    forget(&s, "g{a=\"1\",b=\"x\"}");
    CU_ASSERT(good(&s));
    forget(&s, "g{a=\"2\",b=\"x\"}");
    CU_ASSERT(good(&s));
    CU_ASSERT_EQUAL(places(&s), 2);
    single_close(&s);
}

static void labels_that_stay_reshape_nobody(void)
{
    struct single s;
    struct plan_stats before, after;
    single_open(&s, "sum by (a) (g) > 1");
    put(&s, "g{a=\"1\",b=\"x\"}", 1);
    put(&s, "g{a=\"1\",b=\"y\"}", 0);
    CU_ASSERT(good(&s));
    // The group is the same and so is its sum: the comparison is not computed.
    plan_stats(s.p.plan, &before);
    put(&s, "g{a=\"1\",b=\"z\"}", 0);
    CU_ASSERT(good(&s));
    plan_stats(s.p.plan, &after);
    CU_ASSERT_EQUAL(after.computed - before.computed, 1);
    single_close(&s);
}

static void a_successor_takes_over(void)
{
    struct single s;
    single_open(&s, "g * on (a) group_left (c) v");
    put(&s, "g{a=\"1\",b=\"x\"}", 2);
    put(&s, "g{a=\"1\",b=\"y\"}", 3);
    put(&s, "v{a=\"1\",c=\"old\"}", 1);
    CU_ASSERT_EQUAL(present(&s), 2);
    CU_ASSERT(good(&s));
    end(&s, "v{a=\"1\",c=\"old\"}");
    CU_ASSERT_EQUAL(present(&s), 0);
    CU_ASSERT(good(&s));
    put(&s, "v{a=\"1\",c=\"new\"}", 10);
    CU_ASSERT_EQUAL(present(&s), 2);
    CU_ASSERT(good(&s));
    // Both at once: an error, and over when the old one ends again.
    put(&s, "v{a=\"1\",c=\"old\"}", 1);
    CU_ASSERT_EQUAL(present(&s), -1);
    CU_ASSERT(good(&s));
    end(&s, "v{a=\"1\",c=\"old\"}");
    CU_ASSERT_EQUAL(present(&s), 2);
    CU_ASSERT(good(&s));
    CU_ASSERT_EQUAL(places(&s), 4); // of the old pairs too
    forget(&s, "v{a=\"1\",c=\"old\"}");
    CU_ASSERT(good(&s));
    CU_ASSERT_EQUAL(places(&s), 2);
    single_close(&s);
}

static void pairs_of_equal_labels_share_a_place(void)
{
    struct single s;
    single_open(&s, "g + on (a) h");
    put(&s, "g{a=\"1\",b=\"x\"}", 2);
    put(&s, "h{a=\"1\",b=\"x\"}", 1);
    CU_ASSERT(good(&s));
    end(&s, "g{a=\"1\",b=\"x\"}");
    put(&s, "g{a=\"1\",b=\"y\"}", 7);
    CU_ASSERT_EQUAL(present(&s), 1);
    CU_ASSERT_EQUAL(places(&s), 1);
    CU_ASSERT(good(&s));
    put(&s, "g{a=\"1\",b=\"x\"}", 7);
    CU_ASSERT_EQUAL(present(&s), -1);
    CU_ASSERT(good(&s));
    single_close(&s);
}

static void more_candidates_than_are_kept(void)
{
    struct single s;
    char selector[64];
    single_open(&s, "g * on (a) group_left (c) v");
    for (int i = 0; i < 20; i++) {
        snprintf(selector, sizeof(selector), "g{a=\"1\",b=\"%d\"}", i);
        put(&s, selector, i);
    }
    // Of each version but the last the series has ended.
    for (int i = 0; i < 20; i++) {
        snprintf(selector, sizeof(selector), "v{a=\"1\",c=\"%d\"}", i);
        put(&s, selector, i);
        CU_ASSERT_EQUAL(present(&s), 20);
        CU_ASSERT(good(&s));
        end(&s, selector);
    }
    snprintf(selector, sizeof(selector), "v{a=\"1\",c=\"20\"}");
    put(&s, selector, 1);
    CU_ASSERT_EQUAL(places(&s), 20); // the general path's: those that are there
    single_close(&s);
}

static void names_that_collide(void)
{
    struct single s;
    single_open(&s, "-{__name__=~\"g|h\"}");
    put(&s, "g{a=\"1\"}", 2);
    put(&s, "h{a=\"1\"}", double_from_bits(NAN_STALE_BITS));
    CU_ASSERT_EQUAL(present(&s), 1);
    CU_ASSERT(good(&s));
    put(&s, "h{a=\"1\"}", 3);
    CU_ASSERT_EQUAL(present(&s), -1);
    CU_ASSERT(good(&s));
    end(&s, "g{a=\"1\"}");
    CU_ASSERT_EQUAL(present(&s), 1);
    CU_ASSERT(good(&s));
    single_close(&s);
}

static void a_histogram_changes_the_path(void)
{
    struct single s;
    int32_t index = 3;
    double count = 2;
    struct histogram h = {.schema = 4, .count = 2, .sum = 3, .positive = {1, &index, &count}};
    single_open(&s, "g * 2");
    put(&s, "g{a=\"1\"}", 2);
    put(&s, "g{a=\"2\"}", 3);
    CU_ASSERT(good(&s));
    scene_put_histogram(&s.p.s, "g{a=\"2\"}", s.t_ms, &h);
    CU_ASSERT(good(&s));
    put(&s, "g{a=\"2\"}", 5);
    CU_ASSERT(good(&s));
    single_close(&s);
}

static void feed(struct pair *p, int64_t t_ms, int step)
{
    static const char *const SERIES[] = {"g{a=\"1\",b=\"x\"}", "g{a=\"2\",b=\"x\"}",
        "g{a=\"3\",b=\"y\"}", "h{a=\"1\",b=\"x\"}", "h{a=\"2\",b=\"y\"}", "v{a=\"1\",c=\"x\"}",
        "bucket{a=\"1\",le=\"1\"}", "bucket{a=\"1\",le=\"+Inf\"}"};
    for (size_t i = 0; i < sizeof(SERIES) / sizeof(SERIES[0]); i++)
        scene_put(&p->s, SERIES[i], t_ms, (double)((size_t)step * 3 + i * 5 % 7));
}

static void steady_state_allocates_nothing(void)
{
    int mistakes = 0;
    for (size_t i = 0; i < N_EXPRESSIONS; i++) {
        struct single s;
        struct value v;
        struct err err = {0};
        bool hit = false;
        int rc = 0;
        single_open(&s, EXPRESSIONS[i]);
        for (int step = 0; rc == 0 && !hit && step < 60; step++, s.t_ms += 1000) {
            feed(&s.p, s.t_ms, step);
            oom_fail_at(step < 50 ? 0 : 1);
            rc = plan_read(s.p.plan, s.e, s.t_ms, &v, &err);
            hit = oom_stop();
        }
        // count_values makes labels of values.
        hit &= !strstr(s.text, "count_values");
        if (hit)
            printf("%s allocates\n", s.text);
        CU_ASSERT(!hit);
        mistakes += rc == -EINVAL;
        CU_ASSERT(good(&s));
        single_close(&s);
    }
    CU_ASSERT(mistakes == 4); // labels that collide
}

static void one_allocation_fails(void)
{
    for (size_t i = 0; i < N_EXPRESSIONS; i++) {
        bool hit = true;
        for (int nth = 1; hit; nth++) {
            struct single s;
            struct value v;
            struct err err = {0};
            single_open(&s, EXPRESSIONS[i]);
            feed(&s.p, s.t_ms, 1);
            CU_ASSERT(good(&s));
            feed(&s.p, s.t_ms, 2);
            put(&s, "g{a=\"2\",b=\"z\"}", 1);
            put(&s, "h{a=\"3\",b=\"z\"}", 1);
            put(&s, "bucket{a=\"2\",le=\"+Inf\"}", 1);
            forget(&s, "g{a=\"3\",b=\"y\"}");
            oom_fail_at(nth);
            int rc = plan_read(s.p.plan, s.e, s.t_ms, &v, &err);
            hit = oom_stop();
            // A message that could not be put together is no reason to fail otherwise.
            CU_ASSERT(hit ? rc <= 0 : rc == 0 || rc == -EINVAL);
            CU_ASSERT(good(&s));
            feed(&s.p, s.t_ms, 3);
            bool ok = good(&s);
            CU_ASSERT(ok);
            if (!ok)
                printf("after allocation %d failed\n", nth);
            single_close(&s);
        }
    }
}

static struct source plain;
static size_t asked; // of the source for a sample

static bool counted(void *self, uint32_t id, int64_t t_ms, struct point *ret)
{
    asked++;
    return plain.latest(self, id, t_ms, ret);
}

// How often the source is asked for samples to read the expression at the next instant.
static size_t asks(struct single *s)
{
    asked = 0;
    (void)present(s);
    size_t n = asked;
    CU_ASSERT(good(s));
    return n;
}

static void a_step_is_evaluated_once(void)
{
    struct single s;
    pair_open(&s.p, NULL);
    plan_free(s.p.plan);
    plain = s.p.s.src;
    struct source counting = plain;
    counting.latest = counted;
    s.p.plan = plan_new(&counting, NULL);
    CU_ASSERT_FATAL(s.p.plan != NULL);
    plain.watch(plain.self, plan_sample, s.p.plan);
    s.text = "max_over_time((g > 0)[100s:10s])";
    s.e = add(&s.p, s.text);
    for (s.t_ms = 1000; s.t_ms < 200000; s.t_ms += 1000)
        put(&s, "g{a=\"1\"}", (double)(s.t_ms % 7000));
    s.t_ms = 181000;
    CU_ASSERT_EQUAL(asks(&s), 10); // at 181, then 182 s ...
    for (int i = 0; i < 8; i++)
        CU_ASSERT_EQUAL(asks(&s), 0);
    CU_ASSERT_EQUAL(asks(&s), 1); // 190 s
    // Late samples: the steps from there on, for the series it reads.
    scene_put(&s.p.s, "g{a=\"2\"}", 165500, 9);
    CU_ASSERT_EQUAL(asks(&s), 2 * 3);
    scene_put(&s.p.s, "h{a=\"2\"}", 165500, 9);
    CU_ASSERT_EQUAL(asks(&s), 0);
    single_close(&s);
}

static void ended_series_leave_a_subquery(void)
{
    struct single s;
    char selector[64];
    single_open(&s, "sum_over_time((g > 0)[10s:1s])");
    for (int i = 0; i < 40; i++) {
        snprintf(selector, sizeof(selector), "g{a=\"%d\"}", i);
        put(&s, selector, 1 + i);
        CU_ASSERT(good(&s));
        end(&s, selector);
    }
    CU_ASSERT(places(&s) < 30);
    CU_ASSERT(good(&s));
    single_close(&s);
}

static void a_subquery_too_large_to_keep(void)
{
    struct single s;
    struct plan_stats st;
    char selector[64];
    single_open(&s, "count_over_time((g > 0)[4000s:1s])");
    s.t_ms = 4000000;
    for (int i = 0; i < 300; i++) {
        snprintf(selector, sizeof(selector), "g{a=\"%d\"}", i);
        put(&s, selector, 1);
    }
    CU_ASSERT(good(&s));
    plan_stats(s.p.plan, &st);
    CU_ASSERT(st.bytes < 400000);
    single_close(&s);
}

static void a_small_operator_stays_small(void)
{
    struct pair p;
    struct plan_stats before, after;
    struct plan_expr *e[200];
    struct value v;
    struct err err = {0};
    char selector[64], text[64];
    pair_open(&p, NULL);
    for (int i = 0; i < 10; i++) {
        snprintf(selector, sizeof(selector), "g{instance=\"host%d\"}", i);
        scene_put(&p.s, selector, 1000, i);
    }
    struct plan_expr *leaf = add(&p, "g");
    CU_ASSERT_EQUAL(plan_read(p.plan, leaf, 1000, &v, &err), 0);
    plan_stats(p.plan, &before);
    for (int i = 0; i < 200; i++) {
        snprintf(text, sizeof(text), i % 2 ? "sum by (instance) (g ^ %d)" : "g > %d", i);
        e[i] = add(&p, text);
        CU_ASSERT_EQUAL(plan_read(p.plan, e[i], 1000, &v, &err), 0);
    }
    plan_stats(p.plan, &after);
    // Ten places of 48 bytes, labels, operands and the node, its text and a constant.
    size_t each = (after.bytes - before.bytes) / (after.nodes - before.nodes);
    CU_ASSERT(each < 1024);
    if (each >= 1024)
        printf("%zu bytes per node\n", each);
    for (int i = 0; i < 200; i++)
        plan_remove(p.plan, e[i]);
    plan_remove(p.plan, leaf);
    pair_close(&p);
}

static const struct test TESTS[] = {
    {"random ends, silences and forgettings: the batch evaluator's elements", equals_batch},
    {"the same with silence ignored", equals_batch_in_parity},
    {"the same as 2.42", equals_batch_in_compat},
    {"members of a group come and go", members_come_and_go},
    {"a group that stays as it is reshapes nobody", labels_that_stay_reshape_nobody},
    {"a successor takes over as the partner", a_successor_takes_over},
    {"pairs of equal labels share a place", pairs_of_equal_labels_share_a_place},
    {"many candidates for a partner take the general path", more_candidates_than_are_kept},
    {"names that collide are an error while both are there", names_that_collide},
    {"a native histogram takes the general path", a_histogram_changes_the_path},
    {"in steady state nothing is allocated", steady_state_allocates_nothing},
    {"any one allocation may fail", one_allocation_fails},
    {"a step of a subquery is evaluated once", a_step_is_evaluated_once},
    {"series that ended leave a subquery", ended_series_leave_a_subquery},
    {"a subquery too large to keep is evaluated whole", a_subquery_too_large_to_keep},
    {"a small operator stays small", a_small_operator_stays_small},
};

int main(void)
{
    return test_main("plan operators", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
