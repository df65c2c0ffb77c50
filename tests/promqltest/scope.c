// SPDX-License-Identifier: Apache-2.0
#include "tests/promqltest/scope.h"
#include <string.h>

#define FUNCTIONS "--enable-feature=promql-experimental-functions"

const struct feature FEATURES[] = {
    {"info()", FUNCTIONS, "`info`"},
    {"double_exponential_smoothing()", FUNCTIONS, "`double_exponential_smoothing`"},
    {"mad_over_time()", FUNCTIONS, "`mad_over_time`"},
    {"sort_by_label()", FUNCTIONS, "`sort_by_label`"},
    {"sort_by_label_desc()", FUNCTIONS, "`sort_by_label_desc`"},
    {"ts_of_first_over_time()", FUNCTIONS, "`ts_of_first_over_time`"},
    {"ts_of_last_over_time()", FUNCTIONS, "`ts_of_last_over_time`"},
    {"ts_of_max_over_time()", FUNCTIONS, "`ts_of_max_over_time`"},
    {"ts_of_min_over_time()", FUNCTIONS, "`ts_of_min_over_time`"},
    {"histogram_quantiles()", FUNCTIONS, "`histogram_quantiles`"},
    {"start_timestamp()", FUNCTIONS, "`start_timestamp`"},
    {"max_of()", FUNCTIONS, "`max_of`"},
    {"min_of()", FUNCTIONS, "`min_of`"},
    {"start()", FUNCTIONS, "`start`"},
    {"end()", FUNCTIONS, "`end`"},
    {"range()", FUNCTIONS, "`range`"},
    {"step()", FUNCTIONS, "`step`"},
    {"limitk", FUNCTIONS, "`limitk`"},
    {"limit_ratio", FUNCTIONS, "`limit_ratio`"},
    {"duration arithmetic", "--enable-feature=promql-duration-expr", "arithmetic in durations"},
    {"anchored", "--enable-feature=promql-extended-range-selectors", "`anchored`"},
    {"smoothed", "--enable-feature=promql-extended-range-selectors", "`smoothed`"},
    {"fill modifiers", "--enable-feature=promql-binop-fill-modifiers", "`fill"},
    {"start timestamps", "--enable-feature=st-storage", NULL},
    {"delayed name removal", "--enable-feature=promql-delayed-name-removal", NULL},
};
const size_t N_FEATURES = sizeof(FEATURES) / sizeof(FEATURES[0]);

size_t feature_of_error(const struct parse_error *e)
{
    if (!strstr(e->msg, "not supported yet"))
        return N_FEATURES;
    for (size_t i = 0; i < N_FEATURES; i++)
        if (FEATURES[i].named && strstr(e->msg, FEATURES[i].named))
            return i;
    return N_FEATURES;
}

enum { START_TIMES = 2, DELAYED_NAMES = 1 }; // from the end of the table

static bool any_below(const struct expr *x, bool (*is)(const struct expr *x))
{
    if (!x)
        return false;
    if (is(x))
        return true;
    for (size_t i = 0; i < x->n_args; i++)
        if (any_below(x->args[i], is))
            return true;
    return any_below(x->lhs, is) || any_below(x->rhs, is) || any_below(x->param, is);
}

static bool reads_start_times(const struct expr *x)
{
    if (x->kind != EXPR_CALL)
        return false;
    int id = x->fn->id;
    return id == FN_RATE || id == FN_INCREASE || id == FN_IRATE || id == FN_RESETS;
}

size_t feature_of_data(const struct expr_root *x, const struct data_facts *d)
{
    bool reads = d->start_times && any_below(x->root, reads_start_times);
    return reads ? N_FEATURES - START_TIMES : N_FEATURES;
}

static bool loses_name(const struct expr *x)
{
    return x->kind == EXPR_CALL && x->fn->args[0] == TYPE_MATRIX &&
           x->fn->id != FN_LAST_OVER_TIME && x->fn->id != FN_FIRST_OVER_TIME;
}

// The name is asked for where it is lost already, or two metrics would meet there: where names go
// only at the very end, an aggregation or label_replace() in between still sees them.
static bool sees_name(const struct expr *x)
{
    bool labels =
        x->kind == EXPR_CALL && (x->fn->id == FN_LABEL_REPLACE || x->fn->id == FN_LABEL_JOIN);
    if (x->kind != EXPR_AGGREGATE && !labels)
        return false;
    return any_below(labels ? x->args[0] : x->lhs, loses_name);
}

static bool computes(const struct expr *x)
{
    return x->kind == EXPR_BINARY && x->op < OP_EQ;
}

// Type and unit take part in matching, and a result has them no more.
static bool matches_changed(const struct expr *x)
{
    bool sets = x->kind == EXPR_BINARY && (x->op == OP_AND || x->op == OP_OR);
    return sets && (any_below(x->lhs, computes) || any_below(x->rhs, computes));
}

size_t feature_of_result(const struct expr_root *x, const struct data_facts *d)
{
    bool delayed =
        any_below(x->root, sees_name) || (d->described && any_below(x->root, matches_changed));
    return delayed ? N_FEATURES - DELAYED_NAMES : N_FEATURES;
}
