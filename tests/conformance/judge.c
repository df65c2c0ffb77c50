// SPDX-License-Identifier: Apache-2.0
#include "tests/conformance/judge.h"
#include "rules/memory_source.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct judge {
    struct memory_source *m;
    struct eval *e;
    const struct expr_root *root;
    int64_t t_ms;
    const char *theirs; // error of promtool alone; NULL = none
    double largest;
};

struct judge *judge_new(const struct trial *t, const struct question *q, int64_t t_ms)
{
    struct judge *j = calloc(1, sizeof(*j));
    if (!j)
        abort();
    *j = (struct judge){.m = memory_source_new(), .root = &q->x, .t_ms = t_ms};
    for (size_t i = 0; i < t->h->n; i++) {
        const struct series *s = &t->h->series[i];
        uint32_t id;
        if (!j->m || memory_source_series(j->m, &s->labels, &id) != 0)
            abort();
        for (size_t k = 0; k < s->n; k++)
            memory_source_add(j->m, id, s->s[k].t_ms, s->s[k].v, NULL);
    }
    struct source src = memory_source_interface(j->m);
    struct eval_options o = trial_options(t);
    j->e = eval_new(&src, &o);
    if (!j->e)
        abort();
    return j;
}

void judge_free(struct judge *j)
{
    eval_free(j->e);
    memory_source_free(j->m);
    free(j);
}

// The values of a part of the expression at j->t_ms, in the evaluator's arena.
static const struct element *part_values(struct judge *j, const struct expr *x, size_t *ret_n)
{
    static struct element one;
    struct expr_root part = *j->root;
    struct value v = {0};
    struct err err = {0};
    // The parts are read only, and so is the copy.
    union {
        const struct expr *in;
        struct expr *out;
    } u = {.in = x};
    *ret_n = 0;
    if (x->type != TYPE_VECTOR && x->type != TYPE_SCALAR)
        return NULL;
    part.root = u.out;
    if (eval_instant(j->e, &part, NULL, j->t_ms, &v, &err) != 0)
        return NULL;
    if (v.type == TYPE_SCALAR) {
        one = (struct element){.value = v.scalar};
        *ret_n = 1;
        return &one;
    }
    *ret_n = v.vector.n;
    return v.vector.e;
}

typedef bool look_fn(struct judge *j, const struct expr *x);

// Shows every part to fn until it says true; what is inside a range, all along it.
static bool look(struct judge *j, const struct expr *x, look_fn *fn)
{
    if (!x)
        return false;
    eval_reset(j->e);
    if (fn(j, x))
        return true;
    for (size_t i = 0; i < x->n_args; i++)
        if (look(j, x->args[i], fn))
            return true;
    // Of a subquery at its own steps, or some of them when there are many.
    int64_t t_ms = j->t_ms, end = t_ms - x->offset_ms;
    int64_t step = x->kind != EXPR_SUBQUERY ? x->range_ms / 8 : x->step_ms ? x->step_ms : 1000;
    int64_t stride = step > 0 ? step * (1 + x->range_ms / step / 100) : 1;
    if (x->kind == EXPR_SUBQUERY)
        end = end / step * step;
    bool found = false;
    for (j->t_ms = end; !found && j->t_ms >= end - x->range_ms; j->t_ms -= stride)
        found = look(j, x->lhs, fn);
    j->t_ms = t_ms;
    return found || look(j, x->rhs, fn) || look(j, x->param, fn);
}

static bool take_largest(struct judge *j, const struct expr *x)
{
    size_t n;
    const struct element *e = part_values(j, x, &n);
    for (size_t i = 0; i < n; i++)
        if (e[i].state == ELEMENT_VALUE && isfinite(e[i].value))
            j->largest = fmax(j->largest, fabs(e[i].value));
    return false;
}

double judge_largest(struct judge *j)
{
    look(j, j->root->root, take_largest);
    return j->largest;
}

static bool is_tie(struct judge *j, const struct expr *x)
{
    size_t n, m;
    if (x->kind != EXPR_BINARY || x->op < OP_EQ || x->op > OP_LE)
        return false;
    const struct element *left = part_values(j, x->lhs, &n);
    struct element first = n ? left[0] : (struct element){0};
    if (n == 1)
        left = &first; // a scalar's place is used again
    const struct element *right = part_values(j, x->rhs, &m);
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < m; k++) {
            double a = left[i].value, b = right[k].value;
            if (fabs(a - b) <= 1e-9 * fmax(1, fmax(fabs(a), fabs(b))))
                return true;
        }
    return false;
}

bool judge_tie(struct judge *j)
{
    return look(j, j->root->root, is_tie);
}

static bool has(const struct expr *x, enum expr_kind kind)
{
    if (!x || x->kind == kind)
        return x != NULL;
    for (size_t i = 0; i < x->n_args; i++)
        if (has(x->args[i], kind))
            return true;
    return has(x->lhs, kind) || has(x->rhs, kind) || has(x->param, kind);
}

static bool has_at(const struct expr *x)
{
    if (!x || x->at != AT_NONE)
        return x != NULL;
    for (size_t i = 0; i < x->n_args; i++)
        if (has_at(x->args[i]))
            return true;
    return has_at(x->lhs) || has_at(x->rhs) || has_at(x->param);
}

static bool is_known(struct judge *j, const struct expr *x)
{
    // 0 for the deviation of a single NaN or Inf, later NaN.
    if (x->kind == EXPR_AGGREGATE && (x->agg == AGG_STDDEV || x->agg == AGG_STDVAR)) {
        size_t n;
        const struct element *e = part_values(j, x->lhs, &n);
        for (size_t i = 0; i < n; i++)
            if (e[i].state == ELEMENT_VALUE && !isfinite(e[i].value))
                return true;
    }
    // Evaluates what is fixed inside a fixed subquery at the wrong one of the two times.
    if (x->kind == EXPR_SUBQUERY && x->at != AT_NONE && has_at(x->lhs))
        return true;
    // Minds two names that become one in a subquery even when they are not there together.
    if (j->theirs && strstr(j->theirs, "same labelset") && x->kind == EXPR_SUBQUERY)
        return true;
    if (x->kind != EXPR_CALL || !x->n_args)
        return false;
    // Has the samples of a fixed range at the first step only, or one too many, in this function.
    if (x->fn->id == FN_PREDICT_LINEAR && has_at(x->args[0]))
        return true;
    // Looks in vain for the sample of a selector with both @ and an offset.
    const struct expr *of = x->args[0];
    while (of->kind == EXPR_PAREN)
        of = of->lhs;
    if (x->fn->id == FN_TIMESTAMP && of->kind == EXPR_SELECTOR && of->at != AT_NONE &&
        of->offset_ms)
        return true;
    // Evaluates an inner subquery past the outer one's last step, and fails if that does.
    return j->theirs && x->args[0]->kind == EXPR_SUBQUERY &&
           has(x->args[0]->lhs, EXPR_SUBQUERY);
}

bool judge_known(struct judge *j, const char *theirs)
{
    j->theirs = theirs;
    return look(j, j->root->root, is_known);
}
