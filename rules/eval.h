// SPDX-License-Identifier: Apache-2.0
/*
 * The batch evaluator: an expression at one instant, or over a range of them, with Prometheus 3.x
 * semantics over a `struct source`. It answers queries and tests, drives rules today, and is the
 * reference the incremental evaluator has to equal.
 *
 * Results live in the context's arena until eval_reset. One context per thread.
 */
#pragma once
#include "base/err.h"
#include "rules/annotations.h"
#include "rules/ast.h"
#include "rules/source.h"

#define EVAL_LOOKBACK_MS      300000
#define EVAL_SUBQUERY_STEP_MS 60000
#define EVAL_SAMPLES_MAX      50000000 // per evaluation, as Prometheus
#define EVAL_ARENA_MAX        (256u << 20)

struct eval; // scratch memory, selection caches
struct eval_options {
    int64_t lookback_ms;      // 0 = EVAL_LOOKBACK_MS
    int64_t subquery_step_ms; // 0 = EVAL_SUBQUERY_STEP_MS
    bool compat_2_42;         // closed left boundary, old zero limit: differential tests only
    bool parity;              // ignore silent sources: `rules test`, differential tests
};
struct eval *eval_new(const struct source *src, const struct eval_options *o);
void eval_free(struct eval *e);
void eval_reset(struct eval *e);
// From now on warnings and infos are added to `to`, over any number of evaluations; NULL ends it.
void eval_annotate(struct eval *e, struct annotations *to);

struct value {
    enum value_type type;
    double scalar;
    bool no_data; // a scalar taken from a NO_DATA element
    bool silent;  // a scalar taken from a silent one
    const char *string;
    struct vector vector; // FILTERED and NO_DATA elements included, marked
};
// 0; -EINVAL with err (an evaluation error Prometheus would report too: many-to-many match ...);
// -ENOMEM; -E2BIG over a limit. selections may be NULL; otherwise per-expression caches, see below.
struct selections;
int eval_instant(struct eval *e, const struct expr_root *x, struct selections *sel,
    int64_t t_ms, struct value *ret, struct err *err);

// One row per output series, v[i] at start + i * step, NaN-absent (NAN_ABSENT_BITS) where there is nothing.
struct matrix_row {
    struct labels labels;
    double *v;
    const struct histogram **h; // NULL when all floats
};
struct matrix {
    int64_t start_ms, step_ms;
    size_t steps, n;
    struct matrix_row *rows; // sorted by labels
};
#define EVAL_STEPS_MAX 11000
int eval_range(struct eval *e, const struct expr_root *x, int64_t start_ms, int64_t end_ms,
    int64_t step_ms, struct matrix *ret, struct err *err);

// Which series each selector of an expression chose, valid for one generation of the source; kept
// by whoever evaluates an expression again and again (a rule, a live subscription).
struct selections *selections_new(const struct expr_root *x);
void selections_free(struct selections *s);
