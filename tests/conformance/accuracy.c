// SPDX-License-Identifier: Apache-2.0
#include "tests/conformance/accuracy.h"
#include <math.h>
#include <string.h>

static enum accuracy loosest(enum accuracy a, enum accuracy b)
{
    return a > b ? a : b;
}

// What jumps needs exact operands.
static enum accuracy jumps(enum accuracy a)
{
    return a == ACCURACY_EXACT ? a : ACCURACY_UNSTABLE;
}

static const struct expr *bare(const struct expr *x)
{
    while (x->kind == EXPR_PAREN)
        x = x->lhs;
    return x;
}

// A constant that no mean or ratio of small whole numbers hits.
static bool odd_number(const struct expr *x)
{
    x = bare(x);
    return x->kind == EXPR_NUMBER && fmod(fabs(x->number) * 1000, 1) != 0;
}

static bool has_power(const struct expr *x)
{
    if (!x || (x->kind == EXPR_BINARY && x->op == OP_POW))
        return x != NULL;
    for (size_t i = 0; i < x->n_args; i++)
        if (has_power(x->args[i]))
            return true;
    return has_power(x->lhs) || has_power(x->rhs);
}

bool expr_extreme(const struct expr *x)
{
    if (!x)
        return false;
    if (x->kind == EXPR_BINARY && x->op == OP_POW &&
        (has_power(x->lhs) || x->rhs->kind != EXPR_NUMBER || !(fabs(x->rhs->number) <= 3)))
        return true;
    if (x->kind == EXPR_SELECTOR)
        return x->name && !strcmp(x->name, "n");
    for (size_t i = 0; i < x->n_args; i++)
        if (expr_extreme(x->args[i]))
            return true;
    return expr_extreme(x->lhs) || expr_extreme(x->rhs);
}

// Equal values of different series are likely, so which of them topk takes is anyone's choice.
static bool has_ties(const struct expr *x)
{
    x = bare(x);
    if (x->kind == EXPR_BINARY && x->rhs->kind == EXPR_NUMBER && !x->return_bool)
        x = x->lhs; // g >= 0: the NaN are away
    else
        return true;
    return x->kind != EXPR_SELECTOR || !x->name || strcmp(x->name, "g") != 0;
}

// No part of it is ever negative, so that nothing cancels out.
static bool positive(const struct expr *x)
{
    x = bare(x);
    switch (x->kind) {
    case EXPR_NUMBER: return x->number > 0;
    case EXPR_SELECTOR:
        return x->name && strcmp(x->name, "d") != 0 && strcmp(x->name, "n") != 0;
    case EXPR_MATRIX:
    case EXPR_SUBQUERY: return positive(x->lhs);
    case EXPR_AGGREGATE:
        return x->agg != AGG_STDDEV && x->agg != AGG_STDVAR && positive(x->lhs);
    case EXPR_BINARY:
        return (x->op == OP_ADD || x->op == OP_MUL || x->op == OP_DIV) && positive(x->lhs) &&
               positive(x->rhs);
    case EXPR_CALL:
        return (x->fn->id == FN_RATE || x->fn->id == FN_INCREASE || x->fn->id == FN_IRATE ||
                   x->fn->id == FN_AVG_OVER_TIME || x->fn->id == FN_SUM_OVER_TIME ||
                   x->fn->id == FN_CLAMP_MIN) &&
               positive(x->args[0]);
    case EXPR_STRING:
    case EXPR_UNARY:
    case EXPR_PAREN: return false;
    }
    return false;
}

static enum accuracy of_call(const struct expr *x)
{
    enum accuracy a = ACCURACY_EXACT;
    for (size_t i = 0; i < x->n_args; i++)
        a = loosest(a, accuracy_of(x->args[i]));
    switch (x->fn->id) {
    case FN_CEIL:
    case FN_FLOOR:
    case FN_ROUND:
    case FN_SGN:
    case FN_HOUR:
    case FN_MINUTE:
    case FN_MONTH:
    case FN_YEAR:
    case FN_DAY_OF_MONTH:
    case FN_DAY_OF_WEEK:
    case FN_DAY_OF_YEAR:
    case FN_DAYS_IN_MONTH:
    // A counter that falls by a rounding error was reset.
    case FN_RATE:
    case FN_INCREASE:
    case FN_IRATE:
    case FN_RESETS:
    case FN_CHANGES: return jumps(a);
    case FN_COUNT_OVER_TIME:
    case FN_PRESENT_OVER_TIME:
    case FN_ABSENT:
    case FN_ABSENT_OVER_TIME: return a == ACCURACY_UNSTABLE ? a : ACCURACY_EXACT;
    case FN_SUM_OVER_TIME: return expr_extreme(x) ? jumps(ACCURACY_NEAR) : a;
    case FN_LN:
    case FN_LOG2:
    case FN_LOG10:
        // Steep at zero.
        return a == ACCURACY_EXACT || positive(x->args[0]) ? loosest(a, ACCURACY_NEAR)
                                                           : ACCURACY_UNSTABLE;
    case FN_EXP:
    case FN_SIN:
    case FN_COS:
    case FN_ATAN:
    case FN_SINH:
    case FN_COSH:
    case FN_TANH:
    case FN_ASINH:
    case FN_DEG:
    case FN_RAD: return loosest(a, ACCURACY_NEAR);
    // Infinitely steep somewhere.
    case FN_SQRT: return jumps(a);
    case FN_TAN:
    case FN_ASIN:
    case FN_ACOS:
    case FN_ACOSH:
    case FN_ATANH: return a == ACCURACY_EXACT ? ACCURACY_NEAR : ACCURACY_UNSTABLE;
    case FN_AVG_OVER_TIME:
        return expr_extreme(x) ? ACCURACY_UNSTABLE : loosest(a, ACCURACY_NEAR);
    case FN_STDDEV_OVER_TIME:
    case FN_STDVAR_OVER_TIME:
    case FN_DERIV:
    case FN_PREDICT_LINEAR:
        return expr_extreme(x) ? ACCURACY_UNSTABLE : loosest(a, ACCURACY_ROUGH);
    case FN_HISTOGRAM_QUANTILE:
        // Jumps where the rank meets the end of a bucket that is followed by an empty one.
        return a == ACCURACY_EXACT || odd_number(x->args[0]) ? a : ACCURACY_UNSTABLE;
    default: return a;
    }
}

static enum accuracy of_aggregate(const struct expr *x)
{
    const struct expr *of = bare(x->lhs);
    enum accuracy a = accuracy_of(of);
    if (x->param)
        a = loosest(a, accuracy_of(x->param));
    switch (x->agg) {
    case AGG_SUM:
        // Of all the series topk took, and not of some, the sum does not care which.
        if (of->kind == EXPR_AGGREGATE && (of->agg == AGG_TOPK || of->agg == AGG_BOTTOMK) &&
            !x->n_names && !x->without && accuracy_of(of->lhs) == ACCURACY_EXACT)
            a = ACCURACY_EXACT;
        return expr_extreme(of) ? ACCURACY_UNSTABLE : loosest(a, ACCURACY_NEAR);
    case AGG_AVG: return expr_extreme(of) ? ACCURACY_UNSTABLE : loosest(a, ACCURACY_NEAR);
    case AGG_STDDEV:
    case AGG_STDVAR: return expr_extreme(of) ? ACCURACY_UNSTABLE : loosest(a, ACCURACY_ROUGH);
    case AGG_MIN:
    case AGG_MAX:
    case AGG_QUANTILE: return a;
    case AGG_COUNT:
    case AGG_GROUP: return a == ACCURACY_UNSTABLE ? a : ACCURACY_EXACT;
    case AGG_TOPK:
    case AGG_BOTTOMK: return has_ties(of) ? ACCURACY_UNSTABLE : jumps(a);
    case AGG_COUNT_VALUES: return jumps(a);
    }
    return a;
}

static enum accuracy of_binary(const struct expr *x)
{
    enum accuracy l = accuracy_of(x->lhs), r = accuracy_of(x->rhs), both = loosest(l, r);
    switch (x->op) {
    case OP_ADD:
    case OP_SUB:
    case OP_MUL: return both;
    case OP_DIV: return r == ACCURACY_EXACT || positive(x->rhs) ? both : ACCURACY_UNSTABLE;
    case OP_MOD: return jumps(both);
    case OP_POW:
    case OP_ATAN2: return both == ACCURACY_EXACT ? ACCURACY_NEAR : ACCURACY_UNSTABLE;
    case OP_TRIM_UPPER:
    case OP_TRIM_LOWER: return jumps(both);
    case OP_EQ:
    case OP_NE:
    case OP_GT:
    case OP_LT:
    case OP_GE:
    case OP_LE:
        if (both == ACCURACY_UNSTABLE ||
            (both != ACCURACY_EXACT && !odd_number(x->lhs) && !odd_number(x->rhs)))
            return ACCURACY_UNSTABLE;
        return x->return_bool ? ACCURACY_EXACT : both;
    case OP_OR: return both;
    case OP_AND:
    case OP_UNLESS: return r == ACCURACY_UNSTABLE ? r : l;
    }
    return both;
}

enum accuracy accuracy_of(const struct expr *x)
{
    switch (x->kind) {
    case EXPR_NUMBER:
    case EXPR_STRING:
    case EXPR_SELECTOR:
    case EXPR_MATRIX: return ACCURACY_EXACT;
    case EXPR_SUBQUERY:
    case EXPR_UNARY:
    case EXPR_PAREN: return accuracy_of(x->lhs);
    case EXPR_CALL: return of_call(x);
    case EXPR_AGGREGATE: return of_aggregate(x);
    case EXPR_BINARY: return of_binary(x);
    }
    return ACCURACY_UNSTABLE;
}

double accuracy_tolerance(enum accuracy a)
{
    switch (a) {
    case ACCURACY_EXACT: return 0;
    case ACCURACY_NEAR: return 1e-12;
    case ACCURACY_ROUGH:
    case ACCURACY_UNSTABLE: return 1e-9;
    }
    return 0;
}

const char *accuracy_name(enum accuracy a)
{
    switch (a) {
    case ACCURACY_EXACT: return "to the bit";
    case ACCURACY_NEAR: return "to 1e-12";
    case ACCURACY_ROUGH: return "to 1e-9";
    case ACCURACY_UNSTABLE: return "to 1e-9, hand-written";
    }
    return "?";
}

bool expr_foresees(const struct expr *x)
{
    if (!x)
        return false;
    if (x->offset_ms < 0 || x->at == AT_TIME)
        return true;
    for (size_t i = 0; i < x->n_args; i++)
        if (expr_foresees(x->args[i]))
            return true;
    return expr_foresees(x->lhs) || expr_foresees(x->rhs) || expr_foresees(x->param);
}
