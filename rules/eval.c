// SPDX-License-Identifier: Apache-2.0
#include "rules/eval.h"
#include "rules/eval_node.h"
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>

const struct label LABELS_GONE[1];

struct eval *eval_new(const struct source *src, const struct eval_options *o)
{
    struct eval *e = calloc(1, sizeof(*e));
    if (!e)
        return NULL;
    e->src = *src;
    if (o)
        e->o = *o;
    if (!e->o.lookback_ms)
        e->o.lookback_ms = EVAL_LOOKBACK_MS;
    if (!e->o.subquery_step_ms)
        e->o.subquery_step_ms = EVAL_SUBQUERY_STEP_MS;
    arena_init(&e->arena, EVAL_ARENA_MAX);
    arena_init(&e->results, EVAL_ARENA_MAX);
    return e;
}

void eval_free(struct eval *e)
{
    if (!e)
        return;
    arena_done(&e->arena);
    arena_done(&e->results);
    free(e->window.p);
    free(e);
}

void eval_reset(struct eval *e)
{
    arena_reset(&e->arena);
    arena_reset(&e->results);
}

void eval_annotate(struct eval *e, struct annotations *to)
{
    e->annotations = to;
}

void eval_note(
    struct eval *e, const struct expr *at, enum annotation_kind kind, const char *fmt, ...)
{
    va_list ap;
    if (!e->annotations)
        return;
    va_start(ap, fmt);
    annotations_add(e->annotations, kind, expr_inner(at)->start, NULL, fmt, ap);
    va_end(ap);
}

void eval_note_forced(struct eval *e, const struct expr *at, enum annotation_kind kind,
    const struct monotonicity *forced, const char *fmt, ...)
{
    va_list ap;
    if (!e->annotations)
        return;
    va_start(ap, fmt);
    annotations_add(e->annotations, kind, expr_inner(at)->start, forced, fmt, ap);
    va_end(ap);
}

void *eval_alloc(struct eval *e, size_t n, size_t size)
{
    if (n > EVAL_ARENA_MAX / size)
        return NULL;
    return arena_alloc(&e->arena, n * size);
}

int eval_full(struct eval *e, size_t n, size_t size)
{
    if (n > EVAL_ARENA_MAX / size || e->arena.used + n * size > EVAL_ARENA_MAX) {
        err_set(e->err, "the result needs more than %u MiB", EVAL_ARENA_MAX >> 20);
        return -E2BIG;
    }
    return -ENOMEM;
}

int eval_fail(struct eval *e, const char *fmt, ...)
{
    char msg[sizeof(e->err->msg)];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(msg, sizeof(msg), fmt, ap);
    va_end(ap);
    err_set(e->err, "%s", msg);
    return -EINVAL;
}

int vector_room(struct eval *e, size_t n, struct vector *ret)
{
    struct element *el = n ? eval_alloc(e, n, sizeof(*el)) : NULL;
    if (n && !el)
        return eval_full(e, n, sizeof(*el));
    *ret = (struct vector){.e = el, .cap = n};
    return 0;
}

bool drop_only_name(struct eval *e, const struct labels *s, struct labels *ret)
{
    if (s->n && !strcmp(s->l[0].name, LABEL_NAME)) {
        *ret = (struct labels){s->n > 1 ? s->l + 1 : NULL, s->n - 1};
        return true;
    }
    if (!*labels_get(s, LABEL_NAME)) {
        *ret = *s;
        return true;
    }
    return labels_drop(&e->arena, s, NULL, 0, true, ret);
}

bool drop_name(struct eval *e, const struct labels *s, struct labels *ret)
{
    static const char *const OTHERS[] = {"__type__", "__unit__"};
    if (!drop_only_name(e, s, ret))
        return false;
    for (size_t i = 0; i < ret->n && ret->l[i].name[0] <= '_'; i++)
        if (label_describes_metric(ret->l[i].name))
            return labels_drop(&e->arena, ret, OTHERS, 2, true, ret);
    return true;
}

int vector_unique(struct eval *e, const struct vector *v)
{
    static const struct join_key ALL = {.kind = KEY_ALL};
    struct join j;
    if (v->n < 2)
        return 0;
    int rc = join_init(e, &j, v->n);
    for (size_t i = 0; rc == 0 && i < v->n; i++) {
        bool fresh;
        if (v->e[i].state != ELEMENT_VALUE)
            continue;
        join_put(&j, &ALL, &v->e[i].labels, (uint32_t)i, &fresh);
        if (!fresh)
            return eval_fail(e, "vector cannot contain metrics with the same labelset");
    }
    return rc;
}

const struct expr *expr_inner(const struct expr *x)
{
    while (x->kind == EXPR_PAREN)
        x = x->lhs;
    return x;
}

const struct expr *expr_operand(const struct expr *x, size_t i)
{
    switch (x->kind) {
    case EXPR_CALL: return i < x->n_args ? x->args[i] : NULL;
    case EXPR_AGGREGATE: return i == 0 ? x->lhs : i == 1 ? x->param : NULL;
    case EXPR_BINARY: return i == 0 ? x->lhs : i == 1 ? x->rhs : NULL;
    case EXPR_UNARY:
    case EXPR_PAREN: return i == 0 ? x->lhs : NULL;
    case EXPR_NUMBER:
    case EXPR_STRING:
    case EXPR_SELECTOR:
    case EXPR_MATRIX:
    case EXPR_SUBQUERY: break;
    }
    return NULL;
}

bool expr_reads_window(const struct expr *x)
{
    return x->kind == EXPR_CALL &&
           (range_call_supported(x->fn->id) || x->fn->id == FN_ABSENT_OVER_TIME);
}

int eval_apply(struct eval *e, const struct expr *x, const struct value *in, int64_t t_ms,
    struct value *ret)
{
    *ret = (struct value){.type = x->type};
    if (maps_elements(x)) {
        struct mapping m = mapping_of(x, in, t_ms);
        return apply_mapping(e, &m, ret);
    }
    switch (x->kind) {
    case EXPR_CALL: return apply_call(e, x, in, t_ms, ret);
    case EXPR_AGGREGATE: return apply_aggregate(e, x, in, ret);
    case EXPR_BINARY: return apply_binary(e, x, in, ret);
    case EXPR_UNARY: return apply_unary(x, in, ret);
    case EXPR_PAREN: *ret = in[0]; return 0;
    case EXPR_NUMBER:
    case EXPR_STRING:
    case EXPR_SELECTOR:
    case EXPR_MATRIX:
    case EXPR_SUBQUERY: break;
    }
    return eval_fail(e, "not an operator");
}

enum reset_hints hints_below(const struct eval *e, const struct expr *x)
{
    if (!e->annotations || e->hints == HINTS_NEVER_DETECTED)
        return e->hints;
    if (x->kind == EXPR_BINARY && (x->op == OP_TRIM_UPPER || x->op == OP_TRIM_LOWER))
        return HINTS_NEVER_DETECTED;
    if (x->kind != EXPR_CALL)
        return e->hints;
    switch (x->fn->id) {
    case FN_HISTOGRAM_COUNT:
    case FN_HISTOGRAM_SUM:
    case FN_HISTOGRAM_AVG: return HINTS_DETECTED;
    case FN_HISTOGRAM_QUANTILE:
    case FN_HISTOGRAM_FRACTION: return HINTS_NEVER_DETECTED;
    default: return e->hints;
    }
}

const struct histogram *detected_hint(
    struct eval *e, const struct histogram *before, const struct histogram *h)
{
    if (h->hint != HINT_UNKNOWN || !before)
        return h;
    return histogram_with_hint(
        &e->arena, h, histogram_is_reset(before, h) ? HINT_RESET : HINT_NOT_RESET);
}

static int eval_operands(struct eval *e, const struct expr *x, int64_t t_ms, struct value *ret)
{
    struct value few[4], *in = few;
    size_t n = 0;
    int rc = 0;
    while (expr_operand(x, n))
        n++;
    if (n > sizeof(few) / sizeof(few[0])) {
        in = eval_alloc(e, n, sizeof(*in));
        if (!in)
            return eval_full(e, n, sizeof(*in));
    }
    enum reset_hints hints = e->hints;
    e->hints = hints_below(e, x);
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = eval_node(e, expr_operand(x, i), t_ms, &in[i]);
    e->hints = hints;
    return rc < 0 ? rc : eval_apply(e, x, in, t_ms, ret);
}

static int eval_call(struct eval *e, const struct expr *x, int64_t t_ms, struct value *ret)
{
    if (!expr_reads_window(x))
        return eval_operands(e, x, t_ms, ret);
    return x->fn->id == FN_ABSENT_OVER_TIME ? eval_absent_over_time(e, x, t_ms, ret)
                                            : eval_range_call(e, x, t_ms, ret);
}

int eval_node(struct eval *e, const struct expr *x, int64_t t_ms, struct value *ret)
{
    *ret = (struct value){.type = x->type};
    switch (x->kind) {
    case EXPR_NUMBER: ret->scalar = x->number; return 0;
    case EXPR_STRING: ret->string = x->string; return 0;
    case EXPR_PAREN: return eval_node(e, x->lhs, t_ms, ret);
    case EXPR_SELECTOR: return eval_selector(e, x, t_ms, ret);
    case EXPR_CALL: return eval_call(e, x, t_ms, ret);
    case EXPR_AGGREGATE:
    case EXPR_BINARY:
    case EXPR_UNARY: return eval_operands(e, x, t_ms, ret);
    case EXPR_MATRIX:
    case EXPR_SUBQUERY: break;
    }
    return eval_fail(
        e, "a range vector has no value at one instant; use a function such as rate()");
}

void eval_begin(struct eval *e, struct selections *sel, int64_t t_ms, struct err *err)
{
    e->sel = sel;
    e->samples = 0;
    e->err = err;
    e->start_ms = e->end_ms = t_ms;
}

int eval_finish(struct eval *e, int rc)
{
    if (rc == -E2BIG && e->samples > EVAL_SAMPLES_MAX)
        err_set(e->err, "the query reads more than %d samples", EVAL_SAMPLES_MAX);
    if (rc == -ENOMEM)
        err_set(e->err, "out of memory");
    e->sel = NULL;
    e->err = NULL;
    return rc;
}

int eval_instant(struct eval *e, const struct expr_root *x, struct selections *sel,
    int64_t t_ms, struct value *ret, struct err *err)
{
    struct selections *own = sel ? NULL : selections_new(x);
    struct value v;
    if (!sel && !own)
        return -ENOMEM;
    eval_begin(e, sel ? sel : own, t_ms, err);
    int rc = eval_finish(e, eval_node(e, x->root, t_ms, &v));
    selections_free(own);
    if (rc == 0)
        *ret = v;
    return rc;
}
