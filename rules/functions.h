// SPDX-License-Identifier: Apache-2.0
/* Every function of Prometheus 3.x: name and signature; which of them the evaluator has. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#define FUNCTION_ARGS_MAX 8

// X(id, name, result, "argument types", variadic, experimental), sorted by name. Types are
// v instant vector, m range vector, s scalar, t string.
#define FUNCTION_TABLE(X)                                                                      \
    X(ABS, "abs", 'v', "v", 0, 0)                                                              \
    X(ABSENT, "absent", 'v', "v", 0, 0)                                                        \
    X(ABSENT_OVER_TIME, "absent_over_time", 'v', "m", 0, 0)                                    \
    X(ACOS, "acos", 'v', "v", 0, 0)                                                            \
    X(ACOSH, "acosh", 'v', "v", 0, 0)                                                          \
    X(ASIN, "asin", 'v', "v", 0, 0)                                                            \
    X(ASINH, "asinh", 'v', "v", 0, 0)                                                          \
    X(ATAN, "atan", 'v', "v", 0, 0)                                                            \
    X(ATANH, "atanh", 'v', "v", 0, 0)                                                          \
    X(AVG_OVER_TIME, "avg_over_time", 'v', "m", 0, 0)                                          \
    X(CEIL, "ceil", 'v', "v", 0, 0)                                                            \
    X(CHANGES, "changes", 'v', "m", 0, 0)                                                      \
    X(CLAMP, "clamp", 'v', "vss", 0, 0)                                                        \
    X(CLAMP_MAX, "clamp_max", 'v', "vs", 0, 0)                                                 \
    X(CLAMP_MIN, "clamp_min", 'v', "vs", 0, 0)                                                 \
    X(COS, "cos", 'v', "v", 0, 0)                                                              \
    X(COSH, "cosh", 'v', "v", 0, 0)                                                            \
    X(COUNT_OVER_TIME, "count_over_time", 'v', "m", 0, 0)                                      \
    X(DAY_OF_MONTH, "day_of_month", 'v', "v", 1, 0)                                            \
    X(DAY_OF_WEEK, "day_of_week", 'v', "v", 1, 0)                                              \
    X(DAY_OF_YEAR, "day_of_year", 'v', "v", 1, 0)                                              \
    X(DAYS_IN_MONTH, "days_in_month", 'v', "v", 1, 0)                                          \
    X(DEG, "deg", 'v', "v", 0, 0)                                                              \
    X(DELTA, "delta", 'v', "m", 0, 0)                                                          \
    X(DERIV, "deriv", 'v', "m", 0, 0)                                                          \
    X(DOUBLE_EXPONENTIAL_SMOOTHING, "double_exponential_smoothing", 'v', "mss", 0, 1)          \
    X(END, "end", 's', "", 0, 1)                                                               \
    X(EXP, "exp", 'v', "v", 0, 0)                                                              \
    X(FIRST_OVER_TIME, "first_over_time", 'v', "m", 0, 0)                                      \
    X(FLOOR, "floor", 'v', "v", 0, 0)                                                          \
    X(HISTOGRAM_AVG, "histogram_avg", 'v', "v", 0, 0)                                          \
    X(HISTOGRAM_COUNT, "histogram_count", 'v', "v", 0, 0)                                      \
    X(HISTOGRAM_FRACTION, "histogram_fraction", 'v', "ssv", 0, 0)                              \
    X(HISTOGRAM_QUANTILE, "histogram_quantile", 'v', "sv", 0, 0)                               \
    X(HISTOGRAM_QUANTILES, "histogram_quantiles", 'v', "vts", -1, 1)                           \
    X(HISTOGRAM_STDDEV, "histogram_stddev", 'v', "v", 0, 0)                                    \
    X(HISTOGRAM_STDVAR, "histogram_stdvar", 'v', "v", 0, 0)                                    \
    X(HISTOGRAM_SUM, "histogram_sum", 'v', "v", 0, 0)                                          \
    X(HOUR, "hour", 'v', "v", 1, 0)                                                            \
    X(IDELTA, "idelta", 'v', "m", 0, 0)                                                        \
    X(INCREASE, "increase", 'v', "m", 0, 0)                                                    \
    X(INFO, "info", 'v', "vv", 1, 1)                                                           \
    X(INTEGRAL, "integral", 'v', "ms", 1, 1)                                                   \
    X(IRATE, "irate", 'v', "m", 0, 0)                                                          \
    X(LABEL_JOIN, "label_join", 'v', "vttt", -1, 0)                                            \
    X(LABEL_REPLACE, "label_replace", 'v', "vtttt", 0, 0)                                      \
    X(LAST_OVER_TIME, "last_over_time", 'v', "m", 0, 0)                                        \
    X(LN, "ln", 'v', "v", 0, 0)                                                                \
    X(LOG10, "log10", 'v', "v", 0, 0)                                                          \
    X(LOG2, "log2", 'v', "v", 0, 0)                                                            \
    X(MAD_OVER_TIME, "mad_over_time", 'v', "m", 0, 1)                                          \
    X(MAX_OF, "max_of", 's', "ss", 0, 1)                                                       \
    X(MAX_OVER_TIME, "max_over_time", 'v', "m", 0, 0)                                          \
    X(MIN_OF, "min_of", 's', "ss", 0, 1)                                                       \
    X(MIN_OVER_TIME, "min_over_time", 'v', "m", 0, 0)                                          \
    X(MINUTE, "minute", 'v', "v", 1, 0)                                                        \
    X(MONTH, "month", 'v', "v", 1, 0)                                                          \
    X(PI, "pi", 's', "", 0, 0)                                                                 \
    X(PREDICT_LINEAR, "predict_linear", 'v', "ms", 0, 0)                                       \
    X(PRESENT_OVER_TIME, "present_over_time", 'v', "m", 0, 0)                                  \
    X(QUANTILE_OVER_TIME, "quantile_over_time", 'v', "sm", 0, 0)                               \
    X(RAD, "rad", 'v', "v", 0, 0)                                                              \
    X(RANGE, "range", 's', "", 0, 1)                                                           \
    X(RATE, "rate", 'v', "m", 0, 0)                                                            \
    X(RESETS, "resets", 'v', "m", 0, 0)                                                        \
    X(ROUND, "round", 'v', "vs", 1, 0)                                                         \
    X(SCALAR, "scalar", 's', "v", 0, 0)                                                        \
    X(SGN, "sgn", 'v', "v", 0, 0)                                                              \
    X(SIN, "sin", 'v', "v", 0, 0)                                                              \
    X(SINH, "sinh", 'v', "v", 0, 0)                                                            \
    X(SORT, "sort", 'v', "v", 0, 0)                                                            \
    X(SORT_BY_LABEL, "sort_by_label", 'v', "vt", -1, 1)                                        \
    X(SORT_BY_LABEL_DESC, "sort_by_label_desc", 'v', "vt", -1, 1)                              \
    X(SORT_DESC, "sort_desc", 'v', "v", 0, 0)                                                  \
    X(SQRT, "sqrt", 'v', "v", 0, 0)                                                            \
    X(START, "start", 's', "", 0, 1)                                                           \
    X(START_TIMESTAMP, "start_timestamp", 'v', "v", 0, 1)                                      \
    X(STDDEV_OVER_TIME, "stddev_over_time", 'v', "m", 0, 0)                                    \
    X(STDVAR_OVER_TIME, "stdvar_over_time", 'v', "m", 0, 0)                                    \
    X(STEP, "step", 's', "", 0, 1)                                                             \
    X(SUM_OVER_TIME, "sum_over_time", 'v', "m", 0, 0)                                          \
    X(TAN, "tan", 'v', "v", 0, 0)                                                              \
    X(TANH, "tanh", 'v', "v", 0, 0)                                                            \
    X(TIME, "time", 's', "", 0, 0)                                                             \
    X(TIMESTAMP, "timestamp", 'v', "v", 0, 0)                                                  \
    X(TS_OF_FIRST_OVER_TIME, "ts_of_first_over_time", 'v', "m", 0, 1)                          \
    X(TS_OF_LAST_OVER_TIME, "ts_of_last_over_time", 'v', "m", 0, 1)                            \
    X(TS_OF_MAX_OVER_TIME, "ts_of_max_over_time", 'v', "m", 0, 1)                              \
    X(TS_OF_MIN_OVER_TIME, "ts_of_min_over_time", 'v', "m", 0, 1)                              \
    X(VECTOR, "vector", 'v', "s", 0, 0)                                                        \
    X(YEAR, "year", 'v', "v", 1, 0)

#define FUNCTION_ENUM(id, name, result, args, variadic, experimental) FN_##id,
enum function_id { FUNCTION_TABLE(FUNCTION_ENUM) FN_N };
#undef FUNCTION_ENUM

struct function {
    const char *name;
    int id;                                // enum function_id
    unsigned char args[FUNCTION_ARGS_MAX]; // enum value_type of each
    unsigned char n_args;
    // 0 = exactly n_args; k > 0 = up to k of the last are optional; -1 = any number, none
    // included, of the last one.
    signed char variadic;
    unsigned char result; // enum value_type
    bool experimental;
};
const struct function *function_find(const char *name, size_t len); // NULL
const char *const *function_names(size_t *ret_n);                   // sorted
