// SPDX-License-Identifier: Apache-2.0
/*
 * A PromQL expression as a tree. Lives in the arena it was parsed into, except compiled regexes,
 * which expr_done frees. Every node knows its byte span in the expression text.
 */
#pragma once
#include "rules/functions.h"
#include "rules/matcher.h"
#include <stdint.h>

enum value_type { TYPE_SCALAR, TYPE_STRING, TYPE_VECTOR, TYPE_MATRIX };

enum expr_kind {
    EXPR_NUMBER,
    EXPR_STRING,
    EXPR_SELECTOR,
    EXPR_MATRIX,
    EXPR_SUBQUERY,
    EXPR_CALL,
    EXPR_AGGREGATE,
    EXPR_BINARY,
    EXPR_UNARY,
    EXPR_PAREN,
};
enum binary_op {
    OP_ADD,
    OP_SUB,
    OP_MUL,
    OP_DIV,
    OP_MOD,
    OP_POW,
    OP_ATAN2,
    OP_EQ,
    OP_NE,
    OP_GT,
    OP_LT,
    OP_GE,
    OP_LE,
    OP_AND,
    OP_OR,
    OP_UNLESS,
    OP_TRIM_UPPER, // </
    OP_TRIM_LOWER, // >/
};
enum aggregate_op {
    AGG_SUM,
    AGG_AVG,
    AGG_MIN,
    AGG_MAX,
    AGG_COUNT,
    AGG_GROUP,
    AGG_STDDEV,
    AGG_STDVAR,
    AGG_TOPK,
    AGG_BOTTOMK,
    AGG_QUANTILE,
    AGG_COUNT_VALUES,
};
enum match_card { CARD_ONE_TO_ONE, CARD_MANY_TO_ONE, CARD_ONE_TO_MANY, CARD_MANY_TO_MANY };
enum at_kind { AT_NONE, AT_TIME, AT_START, AT_END };

struct expr {
    enum expr_kind kind;
    enum value_type type;
    int start, end; // byte span in the text
    // NUMBER, STRING
    double number;
    const char *string;
    size_t string_len;
    // SELECTOR (also the inner of MATRIX); modifiers of SELECTOR, MATRIX (on its selector) and SUBQUERY
    const char *name; // metric name or NULL; also among the matchers
    struct matcher *matchers;
    size_t n_matchers;
    int64_t offset_ms;
    bool offset_given;
    enum at_kind at;
    int64_t at_ms;
    // MATRIX, SUBQUERY: range; SUBQUERY: step, 0 = default
    int64_t range_ms, step_ms;
    // CALL
    const struct function *fn;
    // AGGREGATE: lhs is the vector, param its parameter or NULL
    enum aggregate_op agg;
    bool without;
    struct expr *param;
    // BINARY
    enum binary_op op;
    bool return_bool;
    bool on; // on(...) instead of ignoring(...)
    bool matching_given;
    enum match_card card;
    const char **include; // group_left(...) labels
    size_t n_include;
    // AGGREGATE by/without, BINARY on/ignoring: label names sorted, unique
    const char **names;
    size_t n_names;
    // children: lhs is the operand of MATRIX (a SELECTOR), SUBQUERY, AGGREGATE, UNARY, PAREN
    struct expr *lhs, *rhs;
    struct expr **args; // CALL
    size_t n_args;
    bool negative; // UNARY minus
    uint32_t slot; // number among the expression's SELECTORs, for caches
    int height;    // 1 = leaf; at most EXPR_HEIGHT_MAX
};

// Everything that walks a tree recurses, so a chain like a+a+a+... must end somewhere.
#define EXPR_HEIGHT_MAX 500

struct expr_root {
    struct arena *arena;
    struct expr *root;
    const char *text; // NUL-terminated copy in the arena
    size_t len;
    uint32_t n_slots; // selectors in it
    struct regex **regexes;
    size_t n_regexes;
};
const char *type_name(enum value_type t);
const char *op_name(enum binary_op op);
const char *agg_name(enum aggregate_op op);
// Longest look back in time a sample can matter for (range, offset, subquery; lookback not included).
int64_t expr_reach_ms(const struct expr *e);
// Canonical text.
void expr_print(const struct expr *e, struct buf *out);
bool metric_word_reserved(
    const char *word, size_t len); // `on`, `bool` ...: no metric name unless quoted
