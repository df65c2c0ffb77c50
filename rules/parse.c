// SPDX-License-Identifier: Apache-2.0
#include "rules/parse.h"
#include "base/diag.h"
#include "rules/parser.h"
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

// Binding strength, weakest first. Unary minus binds like *, so -a^2 is -(a^2).
enum { LEVEL_OR = 1, LEVEL_AND, LEVEL_COMPARE, LEVEL_ADD, LEVEL_MUL, LEVEL_POW };

void parser_fail(struct parser *p, const char *code, int start, int end, const char *hint,
    const char *fmt, ...)
{
    va_list args;
    if (p->rc)
        return;
    p->rc = -EINVAL;
    struct parse_error *e = p->err;
    *e = (struct parse_error){.start = start, .end = end > start ? end : start + 1};
    snprintf(e->code, sizeof(e->code), "%s", code);
    snprintf(e->hint, sizeof(e->hint), "%s", hint);
    va_start(args, fmt);
    vsnprintf(e->msg, sizeof(e->msg), fmt, args);
    va_end(args);
}

static const char *const KEYWORDS[] = {"by", "without", "on", "ignoring", "group_left",
    "group_right", "bool", "offset", "and", "or", "unless", "atan2"};
#define N_KEYWORDS (sizeof(KEYWORDS) / sizeof(KEYWORDS[0]))

void parser_unexpected(struct parser *p, const char *expected)
{
    const struct token *t = &p->tok;
    char hint[64] = "";
    const char *near = t->kind == TOK_WORD
                           ? diag_nearest(p->lex.text + t->start, (size_t)(t->end - t->start),
                                 KEYWORDS, N_KEYWORDS)
                           : NULL;
    if (near)
        snprintf(hint, sizeof(hint), "did you mean %s?", near);
    if (t->kind == TOK_END)
        parser_fail(p, "T101", t->start, t->start + 1, "",
            "unexpected end of the expression, expected %s", expected);
    else
        parser_fail(p, "T101", t->start, t->end, hint, "unexpected `%.*s`, expected %s",
            t->end - t->start > 60 ? 60 : t->end - t->start, p->lex.text + t->start, expected);
}

bool parser_advance(struct parser *p)
{
    if (p->rc)
        return false;
    p->last_end = p->tok.end;
    int rc = lex_next(&p->lex, &p->tok);
    if (rc < 0)
        p->rc = rc;
    return rc == 0;
}

bool parser_expect(struct parser *p, enum token_kind kind, const char *expected)
{
    if (p->tok.kind != kind) {
        parser_unexpected(p, expected);
        return false;
    }
    return parser_advance(p);
}

void *parser_alloc(struct parser *p, size_t size)
{
    void *m = arena_alloc(p->arena, size);
    if (!m && p->rc == 0)
        p->rc = -ENOMEM;
    return m;
}

bool parser_word(const struct parser *p, const char *word)
{
    return lex_is_word(&p->lex, &p->tok, word);
}

struct expr *parser_node(struct parser *p, enum expr_kind kind, int start)
{
    struct expr *e = parser_alloc(p, sizeof(*e));
    if (!e)
        return NULL;
    e->kind = kind;
    e->start = start;
    e->end = start;
    e->height = 1;
    return e;
}

static struct expr *finish(struct parser *p, struct expr *e)
{
    e->end = p->last_end;
    return check_node(p, e) ? e : NULL;
}

// --- what stands alone -----------------------------------------------------------------------
static struct expr *literal(struct parser *p)
{
    struct expr *e =
        parser_node(p, p->tok.kind == TOK_STRING ? EXPR_STRING : EXPR_NUMBER, p->tok.start);
    if (!e)
        return NULL;
    e->number = p->tok.number;
    e->string = p->tok.string;
    e->string_len = p->tok.string_len;
    return parser_advance(p) ? finish(p, e) : NULL;
}

// ( a, b, ... ): appends to *ret. The opening parenthesis is the token looked at.
static bool arguments(struct parser *p, struct expr ***ret, size_t *ret_n)
{
    size_t cap = 0;
    int open = p->tok.start;
    if (!parser_expect(p, TOK_LPAREN, "`(`"))
        return false;
    while (p->tok.kind != TOK_RPAREN || *ret_n) {
        if (*ret_n && p->tok.kind == TOK_RPAREN) {
            parser_fail(p, "T101", p->tok.start, p->tok.end, "",
                "no trailing comma in the arguments of a call");
            return false;
        }
        struct expr *e = parse_expr(p, LEVEL_OR);
        if (!e)
            return false;
        if (*ret_n == cap) {
            struct expr **more = parser_alloc(p, (cap ? cap * 2 : 4) * sizeof(*more));
            if (!more)
                return false;
            if (*ret_n)
                memcpy(more, *ret, *ret_n * sizeof(*more));
            *ret = more;
            cap = cap ? cap * 2 : 4;
        }
        (*ret)[(*ret_n)++] = e;
        if (p->tok.kind != TOK_COMMA)
            break;
        if (!parser_advance(p))
            return false;
    }
    if (p->tok.kind == TOK_END) {
        parser_fail(p, "T101", open, open + 1, "", "this parenthesis is never closed");
        return false;
    }
    return parser_expect(p, TOK_RPAREN, "`,` or `)`");
}

static const struct {
    const char *old, *advice;
} renamed[] = {
    {"holt_winters", "it is called double_exponential_smoothing since Prometheus 3"},
    {"default_rollup", "a MetricsQL function; last_over_time is the nearest in PromQL"},
    {"median_over_time", "a MetricsQL function; write quantile_over_time(0.5, ...)"},
    {"increase_pure", "a MetricsQL function; write increase(...)"},
    {"rollup_rate", "a MetricsQL function; write rate(...)"},
    {"range_over_time", "a MetricsQL function; write max_over_time(...) - min_over_time(...)"},
    {"alias", "a MetricsQL function; label_replace can set a name"},
    {"label_set", "a MetricsQL function; write label_replace(...)"},
    {"drop_common_labels", "removed in Prometheus 2"},
    {"count_scalar", "removed in Prometheus 2"},
};

// Among names equally near, the one people write most.
static const char *nearest_function(const char *name, size_t len)
{
    static const char *const common[] = {"rate", "increase", "sum", "max", "min", "avg",
        "count", "topk", "quantile", "count_values", "group", "stddev", "stdvar", "bottomk"};
    const char *candidates[FN_N + sizeof(common) / sizeof(common[0]) + N_KEYWORDS];
    size_t n = 0, n_names;
    const char *const *names = function_names(&n_names);
    for (size_t i = 0; i < sizeof(common) / sizeof(common[0]); i++)
        candidates[n++] = common[i];
    for (size_t i = 0; i < N_KEYWORDS; i++)
        candidates[n++] = KEYWORDS[i];
    for (size_t i = 0; i < n_names; i++)
        candidates[n++] = names[i];
    return diag_nearest(name, len, candidates, n);
}

static struct expr *call(struct parser *p)
{
    const char *name = p->lex.text + p->tok.start;
    size_t len = (size_t)(p->tok.end - p->tok.start);
    struct expr *e = parser_node(p, EXPR_CALL, p->tok.start);

    if (!e)
        return NULL;
    e->fn = function_find(name, len);
    if (!e->fn) {
        char hint[192] = "";
        const char *near = nearest_function(name, len);
        if (near)
            snprintf(hint, sizeof(hint), "did you mean %s?", near);
        for (size_t i = 0; i < sizeof(renamed) / sizeof(renamed[0]); i++)
            if (strlen(renamed[i].old) == len && !memcmp(renamed[i].old, name, len))
                snprintf(hint, sizeof(hint), "%s", renamed[i].advice);
        parser_fail(p, "T104", p->tok.start, p->tok.end, hint, "unknown function `%.*s`",
            len > 100 ? 100 : (int)len, name);
        return NULL;
    }
    // Before its arguments, which may be something that only this function takes.
    if (e->fn->experimental) {
        parser_fail(p, "T303", p->tok.start, p->tok.end, "",
            "function `%s` is experimental and not supported yet", e->fn->name);
        return NULL;
    }
    if (!parser_advance(p) || !arguments(p, &e->args, &e->n_args))
        return NULL;
    return finish(p, e);
}

static bool aggregate_word(const struct parser *p, enum aggregate_op *ret)
{
    for (int i = 0; i <= AGG_COUNT_VALUES; i++) {
        if (parser_word(p, agg_name((enum aggregate_op)i))) {
            *ret = (enum aggregate_op)i;
            return true;
        }
    }
    return false;
}

// by (...) or without (...), if it stands here.
static bool grouping(struct parser *p, struct expr *e, bool *given)
{
    bool without = parser_word(p, "without");
    if (*given || (!without && !parser_word(p, "by")))
        return true;
    *given = true;
    e->without = without;
    return parser_advance(p) && parse_names(p, true, &e->names, &e->n_names);
}

static struct expr *aggregate(struct parser *p, enum aggregate_op op)
{
    struct expr *e = parser_node(p, EXPR_AGGREGATE, p->tok.start);
    struct expr **args = NULL;
    size_t n = 0, want = op == AGG_TOPK || op == AGG_BOTTOMK || op == AGG_QUANTILE ||
                                 op == AGG_COUNT_VALUES
                             ? 2
                             : 1;
    int name_end = p->tok.end;
    bool given = false;

    if (!e)
        return NULL;
    e->agg = op;
    if (!parser_advance(p) || !grouping(p, e, &given) || !arguments(p, &args, &n) ||
        !grouping(p, e, &given))
        return NULL;
    if (n != want) {
        parser_fail(p, "T105", e->start, name_end, "", "`%s` takes %zu argument%s, not %zu",
            agg_name(op), want, want == 1 ? "" : "s", n);
        return NULL;
    }
    e->param = want == 2 ? args[0] : NULL;
    e->lhs = args[want - 1];
    return finish(p, e);
}

static struct expr *paren(struct parser *p)
{
    struct expr *e = parser_node(p, EXPR_PAREN, p->tok.start);
    int open = p->tok.start;
    if (!e || !parser_advance(p))
        return NULL;
    e->lhs = parse_expr(p, LEVEL_OR);
    if (!e->lhs)
        return NULL;
    if (p->tok.kind == TOK_END) {
        parser_fail(p, "T101", open, open + 1, "", "this parenthesis is never closed");
        return NULL;
    }
    if (!parser_expect(p, TOK_RPAREN, "an operator or `)`"))
        return NULL;
    return finish(p, e);
}

// What stands behind the word looked at: `(`, by or without make it an aggregation.
static bool aggregates(struct parser *p)
{
    struct lexer look = p->lex;
    struct token next = {0};
    struct parse_error ignored;
    look.err = &ignored;
    if (lex_next(&look, &next) == -ENOMEM)
        p->rc = -ENOMEM;
    return next.kind == TOK_LPAREN || lex_is_word(&look, &next, "by") ||
           lex_is_word(&look, &next, "without");
}

static struct expr *word(struct parser *p)
{
    enum aggregate_op op;

    if (aggregate_word(p, &op)) {
        // `sum` alone is a metric; with something to work on behind it, it is the aggregation.
        bool yes = aggregates(p);
        return p->rc ? NULL : yes ? aggregate(p, op) : parse_selector(p);
    }
    if (metric_word_reserved(p->lex.text + p->tok.start, (size_t)(p->tok.end - p->tok.start))) {
        parser_unexpected(p, "an expression");
        return NULL;
    }
    if ((parser_word(p, "limitk") || parser_word(p, "limit_ratio")) && aggregates(p)) {
        parser_fail(p, "T303", p->tok.start, p->tok.end,
            "topk is the nearest that is not experimental",
            "`%.*s` is experimental and not supported yet", p->tok.end - p->tok.start,
            p->lex.text + p->tok.start);
        return NULL;
    }
    if (lex_ahead(&p->lex) == '(' && p->tok.kind == TOK_WORD)
        return call(p);
    return p->rc ? NULL : parse_selector(p);
}

static struct expr *primary(struct parser *p)
{
    struct expr *e = NULL;
    switch ((int)p->tok.kind) {
    case TOK_NUMBER:
    case TOK_DURATION:
    case TOK_STRING: e = literal(p); break;
    case TOK_LPAREN: e = paren(p); break;
    case TOK_LBRACE:
    case TOK_METRIC: e = parse_selector(p); break;
    case TOK_WORD: e = word(p); break;
    default: parser_unexpected(p, "an expression"); break;
    }
    return e ? parse_postfix(p, e) : NULL;
}

static struct expr *unary(struct parser *p)
{
    if (p->tok.kind != TOK_ADD && p->tok.kind != TOK_SUB)
        return primary(p);
    bool negative = p->tok.kind == TOK_SUB;
    int start = p->tok.start;
    if (!parser_advance(p))
        return NULL;
    struct expr *operand = parse_expr(p, LEVEL_POW);
    if (!operand)
        return NULL;
    if (operand->kind == EXPR_NUMBER) {
        operand->number = negative ? -operand->number : operand->number;
        operand->start = start;
        return operand;
    }
    struct expr *e = parser_node(p, EXPR_UNARY, start);
    if (!e)
        return NULL;
    e->negative = negative;
    e->lhs = operand;
    return finish(p, e);
}

// --- operators -------------------------------------------------------------------------------
static int binary_level(const struct parser *p, enum binary_op *ret)
{
    static const struct {
        enum token_kind kind;
        enum binary_op op;
        int level;
    } signs[] = {{TOK_ADD, OP_ADD, LEVEL_ADD}, {TOK_SUB, OP_SUB, LEVEL_ADD},
        {TOK_MUL, OP_MUL, LEVEL_MUL}, {TOK_DIV, OP_DIV, LEVEL_MUL},
        {TOK_MOD, OP_MOD, LEVEL_MUL}, {TOK_POW, OP_POW, LEVEL_POW},
        {TOK_EQ, OP_EQ, LEVEL_COMPARE}, {TOK_NE, OP_NE, LEVEL_COMPARE},
        {TOK_GT, OP_GT, LEVEL_COMPARE}, {TOK_LT, OP_LT, LEVEL_COMPARE},
        {TOK_GE, OP_GE, LEVEL_COMPARE}, {TOK_LE, OP_LE, LEVEL_COMPARE},
        {TOK_TRIM_UPPER, OP_TRIM_UPPER, LEVEL_COMPARE},
        {TOK_TRIM_LOWER, OP_TRIM_LOWER, LEVEL_COMPARE}};
    static const struct {
        const char *word;
        enum binary_op op;
        int level;
    } words[] = {{"or", OP_OR, LEVEL_OR}, {"and", OP_AND, LEVEL_AND},
        {"unless", OP_UNLESS, LEVEL_AND}, {"atan2", OP_ATAN2, LEVEL_MUL}};
    for (size_t i = 0; i < sizeof(signs) / sizeof(signs[0]); i++) {
        if (p->tok.kind == signs[i].kind) {
            *ret = signs[i].op;
            return signs[i].level;
        }
    }
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (parser_word(p, words[i].word)) {
            *ret = words[i].op;
            return words[i].level;
        }
    }
    return 0;
}

// bool, on/ignoring (...), group_left/right (...) behind an operator.
static bool modifiers(struct parser *p, struct expr *e)
{
    if (parser_word(p, "bool")) {
        e->return_bool = true;
        if (!parser_advance(p))
            return false;
    }
    if (!parser_word(p, "on") && !parser_word(p, "ignoring"))
        return true;
    e->matching_given = true;
    e->on = parser_word(p, "on");
    if (!parser_advance(p) || !parse_names(p, true, &e->names, &e->n_names))
        return false;
    if (parser_word(p, "group_left") || parser_word(p, "group_right")) {
        e->card = parser_word(p, "group_left") ? CARD_MANY_TO_ONE : CARD_ONE_TO_MANY;
        if (!parser_advance(p))
            return false;
        if (p->tok.kind == TOK_LPAREN && !parse_names(p, false, &e->include, &e->n_include))
            return false;
    }
    return true;
}

static bool refuse_fill(struct parser *p)
{
    bool fill =
        parser_word(p, "fill") || parser_word(p, "fill_left") || parser_word(p, "fill_right");
    if (!fill || lex_ahead(&p->lex) != '(')
        return true;
    parser_fail(p, "T302", p->tok.start, p->tok.end, "`or` with a constant can stand in",
        "`%.*s` is not supported yet", p->tok.end - p->tok.start, p->lex.text + p->tok.start);
    return false;
}

static struct expr *binary(struct parser *p, int level)
{
    struct expr *left = unary(p);
    enum binary_op op = OP_ADD;
    int strength;

    while (left && (strength = binary_level(p, &op)) >= level) {
        struct expr *e = parser_node(p, EXPR_BINARY, left->start);
        if (!e)
            return NULL;
        e->op = op;
        e->lhs = left;
        if (!parser_advance(p) || !modifiers(p, e) || !refuse_fill(p))
            return NULL;
        // ^ alone groups to the right.
        e->rhs = parse_expr(p, op == OP_POW ? LEVEL_POW : strength + 1);
        if (!e->rhs)
            return NULL;
        left = finish(p, e);
    }
    return left;
}

struct expr *parse_expr(struct parser *p, int level)
{
    if (++p->depth > EXPR_DEPTH_MAX) {
        parser_fail(p, "T110", p->tok.start, p->tok.end, "",
            "the expression is nested more than %d deep", EXPR_DEPTH_MAX);
        return NULL;
    }
    // Above LEVEL_POW there is nothing but a unary operand.
    struct expr *e = level > LEVEL_POW ? unary(p) : binary(p, level);
    p->depth--;
    return e;
}

int expr_parse(
    const char *text, size_t len, struct arena *a, struct expr_root *ret, struct parse_error *e)
{
    struct expr_root root = {.arena = a, .len = len};
    struct parser p = {.arena = a, .root = &root, .err = e};

    *ret = root;
    if (len > EXPR_TEXT_MAX) {
        parser_fail(
            &p, "T110", 0, 1, "", "the expression is longer than %d bytes", EXPR_TEXT_MAX);
        return p.rc;
    }
    root.text = arena_strndup(a, text, len);
    if (!root.text)
        return -ENOMEM;
    p.lex = (struct lexer){.text = root.text, .len = len, .arena = a, .err = e};
    if (parser_advance(&p) && p.tok.kind == TOK_END)
        parser_fail(&p, "T101", 0, 1, "", "the expression is empty");
    if (p.rc == 0)
        root.root = parse_expr(&p, LEVEL_OR);
    if (p.rc == 0 && p.tok.kind != TOK_END)
        parser_unexpected(&p, p.tok.kind == TOK_RPAREN
                                  ? "no more closing parentheses than open ones"
                                  : "an operator or the end");
    if (p.rc < 0) {
        expr_done(&root);
        return p.rc;
    }
    *ret = root;
    return 0;
}

void expr_done(struct expr_root *r)
{
    for (size_t i = 0; i < r->n_regexes; i++)
        regex_free(r->regexes[i]);
    free(r->regexes);
    r->regexes = NULL;
    r->n_regexes = 0;
}
