// SPDX-License-Identifier: Apache-2.0
/*
 * What tests of the incremental evaluator share: a plan and the batch evaluator over one history,
 * and whether both have the same elements, states and values (to twelve digits).
 */
#pragma once
#include "rules/plan.h"
#include "tests/unit/rules/scene.h"

struct pair {
    struct scene s;
    struct plan *plan;
    struct eval *batch;
};

static inline void pair_open(struct pair *p, const struct eval_options *o)
{
    scene_open(&p->s);
    if (o)
        p->s.o = *o;
    p->plan = plan_new(&p->s.src, o);
    p->batch = eval_new(&p->s.src, o);
    CU_ASSERT_FATAL(p->plan != NULL && p->batch != NULL);
    p->s.src.watch(p->s.src.self, plan_sample, p->plan);
}

static inline void pair_close(struct pair *p)
{
    plan_free(p->plan);
    eval_free(p->batch);
    scene_close(&p->s);
}

static inline struct plan_expr *add(struct pair *p, const char *text)
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

static inline bool is_empty_place(const struct element *el)
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
static inline bool is_leaf(const struct expr *x)
{
    if (x->kind == EXPR_CALL)
        return x->n_args && x->args[x->fn->id == FN_QUANTILE_OVER_TIME]->kind == EXPR_MATRIX;
    return x->kind == EXPR_SELECTOR && x->at == AT_NONE;
}

static inline void line_of(const struct element *el, bool leaf, struct line *ret)
{
    struct buf b;
    buf_init(&b, 65536);
    labels_print(&el->labels, &b);
    buf_addf(&b, " %d%d", el->state, el->silent);
    if (leaf)
        buf_addf(&b, " %lld", (long long)el->sample_ms);
    if (el->hist) {
        buf_addf(&b, " schema %d hint %d ", el->hist->schema, el->hist->hint);
        histogram_print(el->hist, &b);
    }
    *ret = (struct line){strdup(buf_cstr(&b)), el->hist ? 0 : el->value};
    buf_done(&b);
}

static inline int by_line(const void *a, const void *b)
{
    return strcmp(((const struct line *)a)->text, ((const struct line *)b)->text);
}

static inline void lines_of(const struct value *v, int rc, bool leaf, struct lines *ret)
{
    char text[32];
    ret->line = calloc(v->vector.n + 1, sizeof(*ret->line));
    if (!ret->line)
        abort();
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

static inline void lines_print(const char *who, const struct lines *l, const char *why)
{
    printf("  %s:", who);
    for (size_t i = 0; i < l->n; i++)
        printf(" %s = %.17g;", l->line[i].text, l->line[i].v);
    printf(" %s\n", why);
}

static inline void lines_done(struct lines *l)
{
    for (size_t i = 0; i < l->n; i++)
        free(l->line[i].text);
    free(l->line);
}

static inline bool near(double a, double b, double tolerance)
{
    if (isnan(a) || isnan(b))
        return isnan(a) && isnan(b);
    return double_bits(a) == double_bits(b) || fabs(a - b) <= tolerance * fabs(b);
}

static inline bool same_lines(const struct lines *a, const struct lines *b, double tolerance)
{
    bool same = a->n == b->n;
    for (size_t i = 0; same && i < a->n; i++)
        same = !strcmp(a->line[i].text, b->line[i].text) &&
               near(a->line[i].v, b->line[i].v, tolerance);
    return same;
}

// To the bit, but for functions that keep sums of products, or divide a sum.
static inline double tolerance_of(const char *text)
{
    if (strstr(text, "deriv") || strstr(text, "predict_linear") || strstr(text, "stddev") ||
        strstr(text, "stdvar"))
        return 1e-9;
    return strstr(text, "avg_over_time") ? 1e-14 : 0;
}

// Both evaluators at t_ms. Nothing printed, and true, when they agree, errors included.
static inline bool agree(struct pair *p, struct plan_expr *e, const char *text, int64_t t_ms)
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

static uint64_t seed; // of below()

static inline uint32_t below(uint32_t n)
{
    seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
    return (uint32_t)(seed >> 33) % n;
}

// Both evaluators over histories of `step`, which moves the time on and puts samples in, and returns
// when to ask. Each round is a history of its own; a mistake names the round.
static inline void pair_random(const struct eval_options *o, const char *const *text, size_t n,
    int rounds, int steps, uint64_t first_seed,
    int64_t (*step)(struct pair *p, int round, int64_t *now_ms))
{
    struct plan_expr **e = calloc(n, sizeof(*e));
    CU_ASSERT_FATAL(e != NULL);
    for (int round = 0; round < test_rounds(rounds); round++) {
        struct pair p;
        seed = first_seed + (uint64_t)round;
        pair_open(&p, o);
        for (size_t i = 0; i < n; i++)
            e[i] = add(&p, text[i]);
        bool ok = true;
        int64_t now = 1000000;
        for (int k = 0; ok && k < steps; k++) {
            int64_t t = step(&p, round, &now);
            for (size_t i = 0; ok && i < n; i++)
                if (below(5))
                    ok = agree(&p, e[i], text[i], t);
        }
        if (!ok)
            printf("round %d\n", round);
        CU_ASSERT_FATAL(ok);
        for (size_t i = 0; i < n; i++)
            plan_remove(p.plan, e[i]);
        pair_close(&p);
    }
    free(e);
}
