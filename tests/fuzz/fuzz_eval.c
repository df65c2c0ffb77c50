// SPDX-License-Identifier: Apache-2.0
// links: rules base
/*
 * Up to the first newline an expression; behind it samples of eight small series, three bytes each:
 * which one and how many seconds later, what kind of value, the value. The batch evaluator answers
 * at several instants and over a range, the incremental one at the same instants as the samples
 * come; where both answer they must agree.
 */
#include "rules/memory_source.h"
#include "rules/parse.h"
#include "rules/plan.h"
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SAMPLES_MAX 200
#define POINTS_MAX  3000 // instants of a subquery, nested ones multiplied
#define START_MS    1000000
#define ASK_EVERY   5 // samples

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct label SERIES[][3] = {
    {{LABEL_NAME, "x"}, {"a", "1"}},
    {{LABEL_NAME, "x"}, {"a", "2"}},
    {{LABEL_NAME, "x"}, {"a", "2"}, {"b", "1"}},
    {{LABEL_NAME, "y"}, {"a", "1"}},
    {{LABEL_NAME, "c_total"}, {"a", "2"}, {"b", "1"}},
    {{LABEL_NAME, "z_bucket"}, {"a", "1"}, {"le", "1"}},
    {{LABEL_NAME, "z_bucket"}, {"a", "1"}, {"le", "+Inf"}},
    {{LABEL_NAME, "h"}, {"a", "1"}},
};
#define N_SERIES (sizeof(SERIES) / sizeof(SERIES[0]))
enum { HISTOGRAM = N_SERIES - 1 };

// Instants an evaluation of e asks for; rough is enough.
static double points(const struct expr *e)
{
    double n = 0;
    if (e->kind == EXPR_SUBQUERY) {
        int64_t step = e->step_ms ? e->step_ms : EVAL_SUBQUERY_STEP_MS;
        return ((double)e->range_ms / (double)step + 1) * (1 + points(e->lhs));
    }
    for (size_t i = 0; i < e->n_args; i++)
        n += points(e->args[i]);
    n += e->param ? points(e->param) : 0;
    n += e->lhs ? points(e->lhs) : 0;
    return n + (e->rhs ? points(e->rhs) : 1);
}

// Where rounding decides: sums of squares and regressions are computed another way step by step.
static bool rounds(const struct expr *e)
{
    if (e->kind == EXPR_CALL)
        switch (e->fn->id) {
        case FN_STDDEV_OVER_TIME:
        case FN_STDVAR_OVER_TIME:
        case FN_DERIV:
        case FN_PREDICT_LINEAR: return true;
        default: break; // of all the functions there are
        }
    for (size_t i = 0; i < e->n_args; i++)
        if (rounds(e->args[i]))
            return true;
    return (e->param && rounds(e->param)) || (e->lhs && rounds(e->lhs)) ||
           (e->rhs && rounds(e->rhs));
}

// --- samples ---------------------------------------------------------------------------------
static void feed_histogram(struct memory_source *m, uint32_t id, int64_t t_ms, const uint8_t *b)
{
    int32_t index[3] = {(int8_t)b[1] % 4, (int8_t)b[1] % 4 + 1, (int8_t)b[1] % 4 + 3};
    double count[3] = {b[2] & 7, b[2] >> 3 & 7, b[2] >> 6};
    struct histogram h = {.schema = b[1] & 1,
        .zero_threshold = 0.001,
        .zero_count = b[1] >> 6,
        .sum = b[2],
        .positive = {3, index, count}};
    h.count = h.zero_count + count[0] + count[1] + count[2];
    if (memory_source_add(m, id, t_ms, 0, &h) < 0)
        abort();
}

static double value_of(uint8_t kind, uint8_t byte)
{
    switch (kind % 32) {
    case 0: return double_from_bits(NAN_STALE_BITS);
    case 1: return NAN;
    case 2: return INFINITY;
    case 3: return -INFINITY;
    case 4: return -(double)byte;
    case 5: return byte / 8.0;
    default: return byte;
    }
}

static void feed(struct memory_source *m, const uint32_t *ids, int64_t *t_ms, const uint8_t *b)
{
    size_t series = b[0] % N_SERIES;
    *t_ms += (b[0] / N_SERIES) * 1000;
    if (series == HISTOGRAM && b[1] % 32)
        feed_histogram(m, ids[series], *t_ms, b);
    else if (memory_source_add(m, ids[series], *t_ms, value_of(b[1], b[2]), NULL) < 0)
        abort();
}

// --- both answers ----------------------------------------------------------------------------
static bool close_to(double a, double b)
{
    return double_bits(a) == double_bits(b) || (isnan(a) && isnan(b)) ||
           fabs(a - b) <= 1e-9 * fmax(1, fmax(fabs(a), fabs(b)));
}

static const struct element *find(const struct vector *v, const struct labels *l)
{
    for (size_t i = 0; i < v->n; i++)
        if (v->e[i].state == ELEMENT_VALUE && labels_equal(&v->e[i].labels, l))
            return &v->e[i];
    return NULL;
}

static void differ(const struct expr_root *x, int64_t t_ms, const char *how)
{
    fprintf(stderr, "DIFFER at %lld ms, %s: %s\n", (long long)t_ms, how, x->text);
    abort();
}

static void compare(const struct expr_root *x, int64_t t_ms, int rc_a, const struct value *a,
    int rc_b, const struct value *b)
{
    // A limit may be met by one of them alone.
    if (rc_a == -E2BIG || rc_b == -E2BIG)
        return;
    if (rc_a != rc_b)
        differ(x, t_ms, "one fails");
    if (rc_a)
        return;
    if (a->type == TYPE_SCALAR && !close_to(a->scalar, b->scalar))
        differ(x, t_ms, "another number");
    if (a->type != TYPE_VECTOR)
        return;
    size_t n_a = 0, n_b = 0;
    for (size_t i = 0; i < b->vector.n; i++)
        n_b += b->vector.e[i].state == ELEMENT_VALUE;
    for (size_t i = 0; i < a->vector.n; i++) {
        const struct element *e = &a->vector.e[i];
        if (e->state != ELEMENT_VALUE)
            continue;
        n_a++;
        const struct element *other = find(&b->vector, &e->labels);
        if (!other)
            differ(x, t_ms, "only batch has an element");
        if (!e->hist != !other->hist)
            differ(x, t_ms, "a histogram and a float");
        if (!e->hist && !close_to(e->value, other->value))
            differ(x, t_ms, "another value");
        if (e->hist && !close_to(e->hist->count, other->hist->count))
            differ(x, t_ms, "another histogram");
    }
    if (n_a != n_b)
        differ(x, t_ms, "another number of elements");
}

struct run {
    const struct expr_root *x;
    struct eval *eval;
    struct plan *plan;
    struct plan_expr *in_plan;
    bool strict;
};

static void ask(struct run *r, int64_t t_ms)
{
    struct value batch, kept;
    struct err err = {0}, err_kept = {0};
    int rc = eval_instant(r->eval, r->x, NULL, t_ms, &batch, &err);
    if (rc == -EINVAL && !err.msg[0])
        abort();
    int rc_kept = plan_read(r->plan, r->in_plan, t_ms, &kept, &err_kept);
    if (r->strict)
        compare(r->x, t_ms, rc, &batch, rc_kept, &kept);
    eval_reset(r->eval);
}

static void run(const struct expr_root *x, const uint8_t *data, size_t size)
{
    struct memory_source *m = memory_source_new();
    struct source src = memory_source_interface(m);
    struct eval_options o = {.parity = true, .subquery_step_ms = 10000};
    struct run r = {.x = x,
        .eval = eval_new(&src, &o),
        .plan = plan_new(&src, &o),
        .strict = !rounds(x->root)};
    struct matrix range;
    struct err err = {0};
    uint32_t ids[N_SERIES];
    int64_t t_ms = START_MS;

    if (!m || !r.eval || !r.plan || plan_add(r.plan, x, &r.in_plan) < 0)
        abort();
    src.watch(src.self, plan_sample, r.plan);
    for (size_t i = 0; i < N_SERIES; i++) {
        struct labels l = {SERIES[i], SERIES[i][2].name ? 3 : 2};
        if (memory_source_series(m, &l, &ids[i]) < 0)
            abort();
    }
    size_t n = size / 3 < SAMPLES_MAX ? size / 3 : SAMPLES_MAX;
    for (size_t i = 0; i < n; i++) {
        feed(m, ids, &t_ms, data + 3 * i);
        if (i % ASK_EVERY == ASK_EVERY - 1)
            ask(&r, t_ms + (data[3 * i] & 3) * 500);
    }
    ask(&r, t_ms + 2000);
    ask(&r, t_ms + 290000);
    if (x->root->type == TYPE_VECTOR || x->root->type == TYPE_SCALAR) {
        int rc =
            eval_range(r.eval, x, START_MS, t_ms, (t_ms - START_MS) / 20 + 1, &range, &err);
        if (rc == -EINVAL && !err.msg[0])
            abort();
    }
    src.watch(src.self, NULL, NULL);
    plan_remove(r.plan, r.in_plan);
    plan_free(r.plan);
    eval_free(r.eval);
    memory_source_free(m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *newline = memchr(data, '\n', size);
    size_t len = newline ? (size_t)(newline - data) : size;
    struct arena arena;
    struct expr_root x;
    struct parse_error e = {0};

    arena_init(&arena, 64U << 20);
    if (expr_parse((const char *)data, len, &arena, &x, &e) == 0) {
        bool rule = x.root->type == TYPE_VECTOR || x.root->type == TYPE_SCALAR;
        if (rule && points(x.root) < POINTS_MAX)
            run(&x, newline ? newline + 1 : data, newline ? size - len - 1 : 0);
        expr_done(&x);
    }
    arena_done(&arena);
    return 0;
}
