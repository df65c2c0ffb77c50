// SPDX-License-Identifier: Apache-2.0
// What a window costs: CPU per sample and window of the incremental evaluator, one sample a second
// and series, evaluated every second, beside the batch evaluator over the same samples; being told
// of the sample, and a threshold over it, apart; and bytes per series, samples left out.
//     windows [series, 10000] [seconds, 30] [function over c[..] (counters) or x[..] (gauges)]...
#include "rules/memory_source.h"
#include "rules/parse.h"
#include "rules/plan.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define T0        1000000000000LL
#define WINDOWS   16
#define BATCH_RUN 3 // evaluations by the batch evaluator

struct family { // series of one name; left out when no expression is about it
    const char *name;
    uint32_t *id;
    double *value;
    size_t n;
};
struct window_bench {
    const char *text;
    struct plan *plan; // of its own, so that bytes are its own
    struct plan_expr *plain, *threshold;
    struct expr_root root;
    struct arena arena;
    struct family *family;
    double feed_s, plain_s, threshold_s, batch_s;
};

static double cpu_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void fail(const char *what)
{
    fprintf(stderr, "windows: %s\n", what);
    exit(1);
}

static uint64_t seed = 1;
static double noise(void)
{
    seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
    return (double)(seed >> 40) / (1 << 24);
}

static struct plan_expr *add(struct plan *p, const char *text)
{
    struct arena a;
    struct expr_root x;
    struct parse_error pe;
    struct plan_expr *ret;
    arena_init(&a, 0);
    if (expr_parse(text, strlen(text), &a, &x, &pe) != 0)
        fail("not PromQL");
    if (plan_add(p, &x, &ret) < 0)
        fail("no memory");
    expr_done(&x);
    arena_done(&a);
    return ret;
}

static const struct expr *range_of(const struct expr *call)
{
    for (size_t i = 0; i < call->n_args; i++)
        if (call->args[i]->kind == EXPR_MATRIX && call->args[i]->lhs->name)
            return call->args[i];
    fail("not a function over a range of c or x");
    return NULL;
}

static void open_window(struct window_bench *b, const struct source *src, const char *text)
{
    char with[256];
    struct parse_error pe;
    snprintf(with, sizeof(with), "%s > 1e18", text);
    b->text = text;
    b->plan = plan_new(src, NULL);
    if (!b->plan)
        fail("no memory");
    b->plain = add(b->plan, text);
    b->threshold = add(b->plan, with);
    arena_init(&b->arena, 0);
    if (expr_parse(text, strlen(text), &b->arena, &b->root, &pe) != 0)
        fail("not PromQL");
}

static size_t read_plan(struct window_bench *b, struct plan_expr *x, int64_t t_ms)
{
    struct value v;
    struct err err;
    if (plan_read(b->plan, x, t_ms, &v, &err) < 0)
        fail(err.msg);
    return v.vector.n;
}

static size_t read_batch(struct window_bench *b, struct eval *e, int64_t t_ms)
{
    struct value v;
    struct err err;
    eval_reset(e);
    if (eval_instant(e, &b->root, NULL, t_ms, &v, &err) < 0)
        fail(err.msg);
    return v.vector.n;
}

static void second(struct window_bench *b, int64_t t_ms)
{
    const struct family *f = b->family;
    double start = cpu_s();
    for (size_t i = 0; i < f->n; i++)
        plan_sample(b->plan, f->id[i], t_ms, f->value[i]);
    double fed = cpu_s();
    if (read_plan(b, b->plain, t_ms) != f->n)
        fail("a series is missing");
    double read = cpu_s();
    read_plan(b, b->threshold, t_ms);
    b->feed_s += fed - start;
    b->plain_s += read - fed;
    b->threshold_s += cpu_s() - read;
}

static void make_series(struct memory_source *m, struct family *f, size_t n)
{
    f->id = malloc(n * sizeof(*f->id));
    f->value = calloc(n, sizeof(*f->value));
    if (!f->id || !f->value)
        fail("no memory");
    for (; f->n < n; f->n++) {
        char member[24];
        snprintf(member, sizeof(member), "%zu", f->n);
        const struct label l[] = {{LABEL_NAME, f->name}, {"instance", member}};
        struct labels s = {l, 2};
        if (memory_source_series(m, &s, &f->id[f->n]) < 0)
            fail("no memory");
    }
}

static void feed(struct memory_source *m, struct family *f, int64_t t_ms)
{
    for (size_t i = 0; i < f->n; i++) {
        double *v = &f->value[i];
        *v = *f->name == 'c' ? *v + 100 * noise() : 0.5 * *v + noise();
        if (memory_source_add(m, f->id[i], t_ms, *v, NULL) < 0)
            fail("no memory");
    }
}

static void take_bytes(void *ctx, const struct plan_line *l)
{
    if (l->depth == 0)
        *(size_t *)ctx = l->bytes;
}

static void print(struct window_bench *b, int seconds)
{
    double n = (double)b->family->n, per = 1e9 / seconds / n;
    size_t bytes = 0;
    plan_describe(b->plan, b->plain, take_bytes, &bytes);
    printf("%-34s %8.0f %8.0f %10.0f %8.0f   %.0f\n", b->text, b->feed_s * per,
        b->plain_s * per, b->threshold_s * per, b->batch_s * 1e9 / BATCH_RUN / n,
        (double)bytes / n);
    plan_remove(b->plan, b->threshold);
    plan_remove(b->plan, b->plain);
    plan_free(b->plan);
    expr_done(&b->root);
    arena_done(&b->arena);
}

int main(int argc, char **argv)
{
    static const char *const DEFAULT[] = {"rate(c[1m])", "avg_over_time(x[5m])",
        "max_over_time(x[5m])", "quantile_over_time(0.9, x[5m])"};
    static struct window_bench bench[WINDOWS];
    struct family family[] = {{.name = "c"}, {.name = "x"}};
    int n = argc > 1 ? atoi(argv[1]) : 10000, seconds = argc > 2 ? atoi(argv[2]) : 30;
    int n_windows = argc > 3 ? argc - 3 : (int)(sizeof(DEFAULT) / sizeof(DEFAULT[0]));
    int warm_s = 0;
    if (n < 1 || n > 2000000 || seconds < BATCH_RUN || seconds > 3600 || n_windows > WINDOWS)
        fail("usage: windows [series 1..2000000] [seconds 3..3600] [expression]...");
    struct memory_source *m = memory_source_new();
    struct source src = memory_source_interface(m);
    struct eval *batch = eval_new(&src, NULL);
    if (!m || !batch)
        fail("no memory");
    for (int k = 0; k < n_windows; k++) {
        open_window(&bench[k], &src, argc > 3 ? argv[3 + k] : DEFAULT[k]);
        const struct expr *range = range_of(bench[k].root.root);
        struct family *f = &family[*range->lhs->name == 'x'];
        if (!f->n)
            make_series(m, f, (size_t)n);
        bench[k].family = f;
        warm_s =
            (int)(range->range_ms / 1000) > warm_s ? (int)(range->range_ms / 1000) : warm_s;
    }
    warm_s += 10;
    for (int s = 0; s < warm_s + seconds; s++) {
        int64_t t_ms = T0 + s * 1000LL;
        feed(m, &family[0], t_ms);
        feed(m, &family[1], t_ms);
        for (int k = 0; s >= warm_s - 2 && k < n_windows; k++) {
            struct window_bench *b = &bench[k];
            second(b, t_ms);
            if (s < warm_s) // the first one makes the states
                b->feed_s = b->plain_s = b->threshold_s = 0;
            double start = cpu_s();
            if (s >= warm_s && s < warm_s + BATCH_RUN)
                read_batch(b, batch, t_ms);
            b->batch_s += cpu_s() - start;
        }
    }
    printf("%d series, 1 s; ns of CPU per sample and window\n"
           "%-34s %8s %8s %10s %8s   %s\n",
        n, "", "told", "window", "threshold", "batch", "bytes per series");
    for (int k = 0; k < n_windows; k++)
        print(&bench[k], seconds);
    eval_free(batch);
    memory_source_free(m);
    for (int k = 0; k < 2; k++) {
        free(family[k].id);
        free(family[k].value);
    }
    return 0;
}
