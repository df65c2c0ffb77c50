// SPDX-License-Identifier: Apache-2.0
// Between which values an expression lies: enough to see that count(x) == 0 never holds.
#include "rules/lint_flow.h"
#include <math.h>

static const struct value_bounds ANY = {-INFINITY, INFINITY, true}, ONE = {1, 1, false},
                                 POSITIVE = {0, INFINITY, false},
                                 POSITIVE_OR_NAN = {0, INFINITY, true};

static bool comparison(enum binary_op op)
{
    return op >= OP_EQ && op <= OP_LE;
}

static struct value_bounds of_over_time(const struct expr *arg)
{
    return arg->kind == EXPR_SUBQUERY ? value_bounds(arg->lhs) : ANY;
}

static struct value_bounds of_call(const struct expr *e)
{
    switch (e->fn->id) {
    case FN_ABSENT:
    case FN_ABSENT_OVER_TIME:
    case FN_PRESENT_OVER_TIME: return ONE;
    case FN_COUNT_OVER_TIME: return (struct value_bounds){1, INFINITY, false};
    case FN_RATE:
    case FN_INCREASE:
    case FN_IRATE:
    case FN_RESETS:
    case FN_CHANGES:
    case FN_HISTOGRAM_COUNT:
    case FN_TIME: return POSITIVE;
    case FN_ABS:
    case FN_SQRT:
    case FN_EXP:
    case FN_STDDEV_OVER_TIME:
    case FN_STDVAR_OVER_TIME: return POSITIVE_OR_NAN;
    case FN_SGN: return (struct value_bounds){-1, 1, true};
    case FN_HISTOGRAM_FRACTION: return (struct value_bounds){0, 1, true};
    case FN_MINUTE: return (struct value_bounds){0, 59, false};
    case FN_HOUR: return (struct value_bounds){0, 23, false};
    case FN_DAY_OF_WEEK: return (struct value_bounds){0, 6, false};
    case FN_DAY_OF_MONTH: return (struct value_bounds){1, 31, false};
    case FN_DAYS_IN_MONTH: return (struct value_bounds){28, 31, false};
    case FN_DAY_OF_YEAR: return (struct value_bounds){1, 366, false};
    case FN_MONTH: return (struct value_bounds){1, 12, false};
    case FN_AVG_OVER_TIME:
    case FN_MIN_OVER_TIME:
    case FN_MAX_OVER_TIME:
    case FN_LAST_OVER_TIME:
    case FN_FIRST_OVER_TIME: return of_over_time(e->args[0]);
    case FN_VECTOR:
    case FN_SORT:
    case FN_SORT_DESC:
    case FN_LABEL_REPLACE:
    case FN_LABEL_JOIN: return value_bounds(e->args[0]);
    default: return ANY; // not one of our enums: every function there is
    }
}

static struct value_bounds of_aggregate(const struct expr *e)
{
    struct value_bounds inner = value_bounds(e->lhs);
    switch (e->agg) {
    case AGG_COUNT:
    case AGG_COUNT_VALUES: return (struct value_bounds){1, INFINITY, false};
    case AGG_GROUP: return ONE;
    case AGG_STDDEV:
    case AGG_STDVAR: return POSITIVE_OR_NAN;
    case AGG_SUM:
        // The sum of at least one.
        return (struct value_bounds){inner.low >= 0 ? inner.low : -INFINITY,
            inner.high <= 0 ? inner.high : INFINITY, inner.nan};
    case AGG_QUANTILE: return ANY; // of a level outside 0 to 1 it is infinite
    case AGG_AVG:
    case AGG_MIN:
    case AGG_MAX:
    case AGG_TOPK:
    case AGG_BOTTOMK: return inner;
    }
    return ANY;
}

static struct value_bounds arithmetic(
    enum binary_op op, struct value_bounds a, struct value_bounds b)
{
    struct value_bounds r = ANY;
    bool nan = a.nan || b.nan;
    switch ((int)op) {
    case OP_ADD: r = (struct value_bounds){a.low + b.low, a.high + b.high, nan}; break;
    case OP_SUB: r = (struct value_bounds){a.low - b.high, a.high - b.low, nan}; break;
    case OP_MUL:
        if (a.low >= 0 && b.low >= 0)
            r = (struct value_bounds){a.low * b.low, a.high * b.high, nan};
        break;
    case OP_DIV:
        if (a.low >= 0 && b.low >= 0)
            r = POSITIVE_OR_NAN; // 0 / 0
        break;
    default: break;
    }
    return isnan(r.low) || isnan(r.high) ? ANY : r;
}

// What is left of a behind a filter.
static struct value_bounds filtered(
    enum binary_op op, struct value_bounds a, struct value_bounds b)
{
    bool above = op == OP_GT || op == OP_GE || op == OP_EQ;
    bool below = op == OP_LT || op == OP_LE || op == OP_EQ;
    struct value_bounds r = {above ? fmax(a.low, b.low) : a.low,
        below ? fmin(a.high, b.high) : a.high, a.nan && op == OP_NE};
    // A filter that lets nothing through says nothing about what comes out.
    return r.low > r.high ? ANY : r;
}

static struct value_bounds of_binary(const struct expr *e)
{
    if (comparison(e->op) && e->return_bool)
        return (struct value_bounds){0, 1, false};
    struct value_bounds a = value_bounds(e->lhs), b = value_bounds(e->rhs);
    if (comparison(e->op)) // between a scalar and a vector the vector's values stay
        return e->lhs->type == TYPE_SCALAR ? b : filtered(e->op, a, b);
    if (e->op == OP_AND || e->op == OP_UNLESS)
        return a;
    if (e->op == OP_OR)
        return (struct value_bounds){fmin(a.low, b.low), fmax(a.high, b.high), a.nan || b.nan};
    return arithmetic(e->op, a, b);
}

struct value_bounds value_bounds(const struct expr *e)
{
    switch (e->kind) {
    case EXPR_NUMBER:
        return isnan(e->number) ? ANY : (struct value_bounds){e->number, e->number, false};
    case EXPR_PAREN: return value_bounds(e->lhs);
    case EXPR_UNARY: {
        struct value_bounds inner = value_bounds(e->lhs);
        return e->negative ? (struct value_bounds){-inner.high, -inner.low, inner.nan} : inner;
    }
    case EXPR_CALL: return of_call(e);
    case EXPR_AGGREGATE: return of_aggregate(e);
    case EXPR_BINARY: return of_binary(e);
    case EXPR_STRING:
    case EXPR_SELECTOR:
    case EXPR_MATRIX:
    case EXPR_SUBQUERY: return ANY;
    }
    return ANY;
}

static int compare(enum binary_op op, struct value_bounds a, struct value_bounds b)
{
    bool apart = a.high < b.low || a.low > b.high;
    bool same = a.low == a.high && b.low == b.high && a.low == b.low;
    switch ((int)op) {
    case OP_EQ: return apart ? -1 : same;
    case OP_NE: return apart ? 1 : same ? -1 : 0;
    case OP_GT: return a.low > b.high ? 1 : a.high <= b.low ? -1 : 0;
    case OP_GE: return a.low >= b.high ? 1 : a.high < b.low ? -1 : 0;
    case OP_LT: return a.high < b.low ? 1 : a.low >= b.high ? -1 : 0;
    case OP_LE: return a.high <= b.low ? 1 : a.low > b.high ? -1 : 0;
    default: return 0;
    }
}

int value_compare(const struct expr *e)
{
    struct value_bounds a = value_bounds(e->lhs), b = value_bounds(e->rhs);
    int found = compare(e->op, a, b);
    // NaN equals nothing and is neither above nor below: to let all but NaN through is a use.
    if (!a.nan && !b.nan)
        return found;
    return e->op == OP_NE ? (found > 0) : found < 0 ? -1 : 0;
}
