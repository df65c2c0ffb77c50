// SPDX-License-Identifier: Apache-2.0
// Operators that make one element of one: what they share.
#include "rules/eval_node.h"
#include <errno.h>

typedef int map_fn(struct eval *e, const struct mapping *m, struct element *el);

// Of a call that takes a vector first and scalars after it; NULL for others.
static map_fn *function_of(const struct function *f)
{
    switch (f->id) {
    case FN_ABS:
    case FN_ACOS:
    case FN_ACOSH:
    case FN_ASIN:
    case FN_ASINH:
    case FN_ATAN:
    case FN_ATANH:
    case FN_CEIL:
    case FN_CLAMP:
    case FN_CLAMP_MAX:
    case FN_CLAMP_MIN:
    case FN_COS:
    case FN_COSH:
    case FN_DAY_OF_MONTH:
    case FN_DAY_OF_WEEK:
    case FN_DAY_OF_YEAR:
    case FN_DAYS_IN_MONTH:
    case FN_DEG:
    case FN_EXP:
    case FN_FLOOR:
    case FN_HOUR:
    case FN_LN:
    case FN_LOG10:
    case FN_LOG2:
    case FN_MINUTE:
    case FN_MONTH:
    case FN_RAD:
    case FN_ROUND:
    case FN_SGN:
    case FN_SIN:
    case FN_SINH:
    case FN_SQRT:
    case FN_TAN:
    case FN_TANH:
    case FN_YEAR: return map_function;
    case FN_HISTOGRAM_AVG:
    case FN_HISTOGRAM_COUNT:
    case FN_HISTOGRAM_STDDEV:
    case FN_HISTOGRAM_STDVAR:
    case FN_HISTOGRAM_SUM: return map_histogram_part;
    case FN_TIMESTAMP: return map_timestamp;
    default: return NULL;
    }
}

bool maps_elements(const struct expr *x)
{
    switch (x->kind) {
    case EXPR_UNARY: return x->type == TYPE_VECTOR;
    case EXPR_BINARY: return (x->lhs->type == TYPE_SCALAR) != (x->rhs->type == TYPE_SCALAR);
    case EXPR_CALL: return x->n_args && function_of(x->fn);
    case EXPR_NUMBER:
    case EXPR_STRING:
    case EXPR_SELECTOR:
    case EXPR_MATRIX:
    case EXPR_SUBQUERY:
    case EXPR_AGGREGATE:
    case EXPR_PAREN: break;
    }
    return false;
}

static void parameter(struct mapping *m, size_t i, const struct value *v)
{
    m->p[i] = v->scalar;
    m->unknown |= v->no_data;
    m->silent |= v->silent;
}

struct mapping mapping_of(const struct expr *x, const struct value *in, int64_t t_ms)
{
    struct mapping m = {.x = x, .over = &in[0].vector, .t_ms = t_ms};
    if (x->kind == EXPR_BINARY) {
        m.fn = map_scalar;
        m.scalar_left = x->lhs->type == TYPE_SCALAR;
        m.over = &in[m.scalar_left].vector;
        m.keeps_name = operator_keeps_name(x);
        parameter(&m, 0, &in[!m.scalar_left]);
    } else if (x->kind == EXPR_UNARY) {
        m.fn = map_sign;
        m.keeps_name = operator_keeps_name(x);
    } else {
        m.fn = function_of(x->fn);
        m.p[0] = x->fn->id == FN_ROUND ? 1 : 0;
        for (size_t i = 1; i < x->n_args && i < 3; i++)
            parameter(&m, i - 1, &in[i]);
        m.nothing = x->fn->id == FN_CLAMP && !m.unknown && m.p[0] > m.p[1];
    }
    return m;
}

int apply_mapping(struct eval *e, const struct mapping *m, struct value *ret)
{
    const struct vector *in = m->over;
    ret->type = TYPE_VECTOR;
    int rc = vector_room(e, in->n, &ret->vector);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < in->n; i++) {
        struct element el = in->e[i];
        rc = mapping_element(e, m, &el);
        if (rc < 0)
            return rc;
        if (rc == 0)
            continue;
        if (!m->keeps_name && !drop_name(e, &in->e[i].labels, &el.labels))
            return -ENOMEM;
        vector_push(&ret->vector, &el);
    }
    return m->keeps_name ? 0 : vector_unique(e, &ret->vector);
}
