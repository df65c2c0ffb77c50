// SPDX-License-Identifier: Apache-2.0
// The incremental evaluator beside the batch evaluator: one history, the same elements.
#include "rules/plan.h"
#include "tests/unit/rules/scene.h"

struct pair {
    struct scene s;
    struct plan *plan;
    struct eval *batch;
};

static void pair_open(struct pair *p, const struct eval_options *o)
{
    scene_open(&p->s);
    if (o)
        p->s.o = *o;
    p->plan = plan_new(&p->s.src, o);
    p->batch = eval_new(&p->s.src, o);
    CU_ASSERT_FATAL(p->plan != NULL && p->batch != NULL);
    p->s.src.watch(p->s.src.self, plan_sample, p->plan);
}

static void pair_close(struct pair *p)
{
    plan_free(p->plan);
    eval_free(p->batch);
    scene_close(&p->s);
}

static struct plan_expr *add(struct pair *p, const char *text)
{
    struct arena a;
    struct expr_root x;
    struct plan_expr *e = NULL;
    scene_parse(&a, text, &x);
    CU_ASSERT_EQUAL_FATAL(plan_add(p->plan, &x, &e), 0);
    expr_done(&x);
    arena_done(&a);
    return e;
}

static bool is_empty_place(const struct element *el)
{
    return el->state == ELEMENT_FILTERED;
}

// An element as text, and its value apart: that may differ by what the function allows.
struct line {
    char *text;
    double v;
};
struct lines {
    struct line *line;
    size_t n;
};

// The time of an operator's newest sample stands as long as its value does: only leaves are exact.
static bool is_leaf(const struct expr *x)
{
    if (x->kind == EXPR_CALL)
        return x->n_args && x->args[x->fn->id == FN_QUANTILE_OVER_TIME]->kind == EXPR_MATRIX;
    return x->kind == EXPR_SELECTOR && x->at == AT_NONE;
}

static void line_of(const struct element *el, bool leaf, struct line *ret)
{
    struct buf b;
    buf_init(&b, 65536);
    labels_print(&el->labels, &b);
    buf_addf(&b, " %d%d", el->state, el->silent);
    if (leaf)
        buf_addf(&b, " %lld", (long long)el->sample_ms);
    if (el->hist)
        buf_addf(&b, " hist %.17g %.17g %u %u", el->hist->count, el->hist->sum,
            el->hist->positive.n, el->hist->negative.n);
    *ret = (struct line){strdup(buf_cstr(&b)), el->hist ? 0 : el->value};
    buf_done(&b);
}

static int by_line(const void *a, const void *b)
{
    return strcmp(((const struct line *)a)->text, ((const struct line *)b)->text);
}

static void lines_of(const struct value *v, int rc, bool leaf, struct lines *ret)
{
    char text[32];
    ret->line = calloc(v->vector.n + 1, sizeof(*ret->line));
    ret->n = 0;
    if (rc < 0 || v->type == TYPE_SCALAR) {
        snprintf(text, sizeof(text), rc < 0 ? "error %d" : "scalar %d%d",
            rc < 0 ? rc : v->no_data, v->silent);
        ret->line[ret->n++] = (struct line){strdup(text), rc < 0 ? 0 : v->scalar};
    }
    for (size_t i = 0; rc == 0 && v->type != TYPE_SCALAR && i < v->vector.n; i++)
        if (!is_empty_place(&v->vector.e[i]))
            line_of(&v->vector.e[i], leaf, &ret->line[ret->n++]);
    qsort(ret->line, ret->n, sizeof(*ret->line), by_line);
}

static void lines_print(const char *who, const struct lines *l, const char *why)
{
    printf("  %s:", who);
    for (size_t i = 0; i < l->n; i++)
        printf(" %s = %.17g;", l->line[i].text, l->line[i].v);
    printf(" %s\n", why);
}

static void lines_done(struct lines *l)
{
    for (size_t i = 0; i < l->n; i++)
        free(l->line[i].text);
    free(l->line);
}

static bool near(double a, double b, double tolerance)
{
    if (isnan(a) || isnan(b))
        return isnan(a) && isnan(b);
    return double_bits(a) == double_bits(b) || fabs(a - b) <= tolerance * fabs(b);
}

static bool same_lines(const struct lines *a, const struct lines *b, double tolerance)
{
    bool same = a->n == b->n;
    for (size_t i = 0; same && i < a->n; i++)
        same = !strcmp(a->line[i].text, b->line[i].text) &&
               near(a->line[i].v, b->line[i].v, tolerance);
    return same;
}

// To the bit, but for functions that keep sums of products, or divide a sum.
static double tolerance_of(const char *text)
{
    if (strstr(text, "deriv") || strstr(text, "predict_linear") || strstr(text, "stddev") ||
        strstr(text, "stdvar"))
        return 1e-9;
    return strstr(text, "avg_over_time") ? 1e-14 : 0;
}

// Both evaluators at t_ms. Nothing printed, and true, when they agree, errors included.
static bool agree(struct pair *p, struct plan_expr *e, const char *text, int64_t t_ms)
{
    struct arena a;
    struct expr_root x;
    struct value got = {0}, want = {0};
    struct err got_err = {0}, want_err = {0};
    struct lines g, w;
    scene_parse(&a, text, &x);
    eval_reset(p->batch);
    int rc = eval_instant(p->batch, &x, NULL, t_ms, &want, &want_err);
    int got_rc = plan_read(p->plan, e, t_ms, &got, &got_err);
    lines_of(&want, rc, is_leaf(x.root), &w);
    lines_of(&got, got_rc, is_leaf(x.root), &g);
    bool ok = same_lines(&g, &w, tolerance_of(text));
    if (!ok) {
        printf("%s at %lld\n", text, (long long)t_ms);
        lines_print("incremental", &g, got_err.msg);
        lines_print("batch", &w, want_err.msg);
    }
    lines_done(&g);
    lines_done(&w);
    expr_done(&x);
    arena_done(&a);
    return ok;
}

static uint64_t seed;

static uint32_t below(uint32_t n)
{
    seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
    return (uint32_t)(seed >> 33) % n;
}

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

static void run_random(const struct eval_options *o, int rounds)
{
    for (int round = 0; round < rounds; round++) {
        struct pair p;
        struct plan_expr *e[N_EXPRESSIONS];
        seed = 1000 + (uint64_t)round;
        pair_open(&p, o);
        for (size_t i = 0; i < N_EXPRESSIONS; i++)
            e[i] = add(&p, EXPRESSIONS[i]);
        bool ok = true;
        int64_t now = 1000000;
        for (int step = 0; ok && step < 60; step++) {
            now += below(4)   ? 1000
                   : below(3) ? 100 + below(3000)
                   : below(2) ? 300000
                              : below(400000);
            for (uint32_t k = below(40); k; k--)
                random_sample(&p, now);
            int64_t t = now - (below(3) ? 0 : below(900));
            for (size_t i = 0; ok && i < N_EXPRESSIONS; i++)
                if (below(5))
                    ok = agree(&p, e[i], EXPRESSIONS[i], t);
        }
        if (!ok)
            printf("round %d\n", round);
        CU_ASSERT_FATAL(ok);
        for (size_t i = 0; i < N_EXPRESSIONS; i++)
            plan_remove(p.plan, e[i]);
        pair_close(&p);
    }
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

static const struct test TESTS[] = {
    {"random samples: the batch evaluator's elements", equals_batch},
    {"random samples, silence ignored", equals_batch_in_parity},
    {"random samples, as 2.42", equals_batch_in_compat},
    {"equal expressions are one node", nodes_are_shared},
    {"an operator whose operands stand is not computed", unchanged_operands_compute_nothing},
    {"an earlier time is answered by the batch evaluator", back_in_time_is_batch},
};

int main(void)
{
    return test_main("plan", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
