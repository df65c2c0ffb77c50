// SPDX-License-Identifier: Apache-2.0
// What an operator costs per element: the incremental evaluator beside the batch evaluator, one
// history, all series with a new value every 5 s. CPU of evaluation only; leaves (selectors and
// windows) and the operators above them apart.
//     operators [series, 10000] [evaluations, 20]
#include "rules/memory_source.h"
#include "rules/parse.h"
#include "rules/plan.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define T0      1000000000000LL
#define STEP_MS 5000
#define WARM    14 // evaluations until a window of a minute is full
#define GROUP   100
#define BOUNDS  10

struct shape {
    const char *name, *text;
    const char *leaves[2]; // read before, so that what follows is the operators alone
};
static const struct shape SHAPES[] = {
    {"threshold", "x > 900", {"x"}},
    {"sum by", "sum by (group) (x)", {"x"}},
    {"quantile by", "quantile by (group) (0.9, x)", {"x"}},
    {"rate ratio", "rate(failed[1m]) / rate(asked[1m]) > 0.5",
        {"rate(failed[1m])", "rate(asked[1m])"}},
    {"group_left", "x * on (instance) group_left (version) info", {"x", "info"}},
    {"unless", "x > 500 unless on (instance) (info > 2)", {"x", "info"}},
    {"label_replace", "label_replace(x, \"host\", \"$1\", \"instance\", \"(.*)\")", {"x"}},
    {"subquery", "max_over_time(sum by (group) (x)[1m:5s])", {"x"}},
    {"quantile", "histogram_quantile(0.9, sum by (le, group) (rate(bucket[1m])))",
        {"rate(bucket[1m])"}},
};

static double cpu_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void fail(const char *what)
{
    fprintf(stderr, "operators: %s\n", what);
    exit(1);
}

struct bench {
    struct memory_source *m;
    struct source src;
    struct plan *plan;
    struct eval *batch;
    uint32_t *id;
    size_t n;
};

static void series(
    struct bench *b, const char *name, uint32_t i, const char *more, const char *value)
{
    char instance[16], group[16];
    snprintf(instance, sizeof(instance), "%u", i / GROUP);
    snprintf(group, sizeof(group), "%u", i / GROUP);
    char member[16];
    snprintf(member, sizeof(member), "%u", i);
    const struct label l[] = {{LABEL_NAME, name}, {"group", group}, {"instance", instance},
        {"member", member}, {more, value}};
    struct arena a;
    struct labels s;
    arena_init(&a, 0);
    if (!labels_make(&a, l, more ? 5 : 4, &s) ||
        memory_source_series(b->m, &s, &b->id[b->n++]) < 0)
        fail("no memory");
    arena_done(&a);
}

// Only the series the expression reads.
static void make_series(struct bench *b, const struct shape *s, uint32_t n)
{
    const char *leaf = s->leaves[0];
    b->id = malloc(4 * (size_t)n * sizeof(*b->id) + 64);
    if (!b->id)
        fail("no memory");
    for (uint32_t i = 0; i < n; i++) {
        char le[16];
        snprintf(le, sizeof(le), i % BOUNDS == BOUNDS - 1 ? "+Inf" : "%u", i % BOUNDS);
        if (strstr(leaf, "x"))
            series(b, "x", i, NULL, NULL);
        if (strstr(leaf, "bucket"))
            series(b, "bucket", i, "le", le);
        if (strstr(leaf, "failed"))
            series(b, i % 2 ? "failed" : "asked", i - i % 2, NULL, NULL);
    }
    for (uint32_t i = 0; s->leaves[1] && !strcmp(s->leaves[1], "info") && i < n / GROUP; i++)
        series(b, "info", i * GROUP, "version", "1.2");
}

static void parse(const char *text, struct arena *a, struct expr_root *x)
{
    struct parse_error why;
    arena_init(a, 0);
    if (expr_parse(text, strlen(text), a, x, &why) != 0)
        fail(text);
}

static struct plan_expr *plan_text(struct bench *b, const char *text)
{
    struct arena a;
    struct expr_root x;
    struct plan_expr *e;
    parse(text, &a, &x);
    if (plan_add(b->plan, &x, &e) < 0)
        fail("no memory");
    expr_done(&x);
    arena_done(&a);
    return e;
}

static double read_cost(struct bench *b, struct plan_expr *e, int64_t t_ms, struct value *ret)
{
    struct err err = {0};
    double before = cpu_s();
    if (plan_read(b->plan, e, t_ms, ret, &err) < 0)
        fail(err.msg);
    return cpu_s() - before;
}

// The sum over all values: both evaluators have to have the same.
static double digest(const struct value *v)
{
    double sum = 0;
    for (size_t i = 0; i < v->vector.n; i++)
        if (v->vector.e[i].state == ELEMENT_VALUE && isfinite(v->vector.e[i].value))
            sum += v->vector.e[i].value + 1;
    return sum;
}

static size_t bytes_of(struct bench *b)
{
    struct plan_stats st;
    plan_stats(b->plan, &st);
    return st.bytes;
}

static void run(
    struct bench *b, const struct shape *s, int64_t *t_ms, int evaluations, uint32_t n)
{
    struct arena a;
    struct expr_root x;
    struct selections *sel;
    struct plan_expr *leaf[2] = {NULL}, *whole;
    struct value v, w = {0};
    struct err err = {0};
    double leaves = 0, operators = 0, batch = 0;
    parse(s->text, &a, &x);
    sel = selections_new(&x);
    for (int i = 0; i < 2 && s->leaves[i]; i++)
        leaf[i] = plan_text(b, s->leaves[i]);
    size_t bytes = 0;
    whole = plan_text(b, s->text);
    for (int k = 0; k < WARM + evaluations; k++, *t_ms += STEP_MS) {
        bool counts = k >= WARM;
        for (size_t i = 0; i < b->n; i++)
            memory_source_add(b->m, b->id[i], *t_ms,
                (double)(k * (int)(i % 7 + 1)) + (double)((i + (size_t)k * 131) % 1000), NULL);
        for (int i = 0; i < 2 && leaf[i]; i++)
            leaves += counts * read_cost(b, leaf[i], *t_ms, &v);
        if (k == 0)
            bytes = bytes_of(b);
        operators += counts * read_cost(b, whole, *t_ms, &v);
        if (k == 0)
            bytes = bytes_of(b) - bytes;
        if (!counts)
            continue;
        double before = cpu_s();
        eval_reset(b->batch);
        if (eval_instant(b->batch, &x, sel, *t_ms, &w, &err) < 0)
            fail(err.msg);
        batch += cpu_s() - before;
        double d = digest(&v), e = digest(&w);
        if (fabs(d - e) > 1e-9 * fabs(e))
            fail("the evaluators differ");
    }
    double per = 1e9 / evaluations / n;
    printf(
        "%-14s %7u series: leaves %6.1f + operators %6.1f = %6.1f ns per element; batch %7.1f "
        "(%.1f times); %.1f bytes kept per element by the operators\n",
        s->name, n, leaves * per, operators * per, (leaves + operators) * per, batch * per,
        batch / (leaves + operators), (double)bytes / n);
    plan_remove(b->plan, whole);
    for (int i = 0; i < 2; i++)
        plan_remove(b->plan, leaf[i]);
    selections_free(sel);
    expr_done(&x);
    arena_done(&a);
}

int main(int argc, char **argv)
{
    int n = argc > 1 ? atoi(argv[1]) : 10000, evaluations = argc > 2 ? atoi(argv[2]) : 20;
    if (n < GROUP || n > 1000000 || evaluations < 1 || evaluations > 1000)
        fail("usage: operators [series 100..1000000] [evaluations 1..1000]");
    for (size_t i = 0; i < sizeof(SHAPES) / sizeof(SHAPES[0]); i++) {
        struct bench b = {.m = memory_source_new()};
        int64_t t_ms = T0;
        if (!b.m)
            fail("no memory");
        b.src = memory_source_interface(b.m);
        b.plan = plan_new(&b.src, NULL);
        b.batch = eval_new(&b.src, NULL);
        if (!b.plan || !b.batch)
            fail("no memory");
        b.src.watch(b.src.self, plan_sample, b.plan);
        make_series(&b, &SHAPES[i], (uint32_t)n);
        run(&b, &SHAPES[i], &t_ms, evaluations, (uint32_t)n);
        plan_free(b.plan);
        eval_free(b.batch);
        memory_source_free(b.m);
        free(b.id);
    }
    return 0;
}
