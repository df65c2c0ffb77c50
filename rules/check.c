// SPDX-License-Identifier: Apache-2.0
// The type rules of PromQL: what promtool refuses although it parses.
#include "rules/parser.h"
#include <stdio.h>
#include <string.h>

static const char *described(enum value_type t)
{
    switch (t) {
    case TYPE_SCALAR: return "a scalar";
    case TYPE_STRING: return "a string";
    case TYPE_VECTOR: return "an instant vector";
    case TYPE_MATRIX: return "a range vector";
    }
    return "";
}

static void advise(const struct parser *p, const struct expr *arg, enum value_type want,
    char *hint, size_t size)
{
    int len = arg->end - arg->start;
    const char *text = p->lex.text + arg->start;
    if (want == TYPE_MATRIX && arg->kind == EXPR_SELECTOR && len < 60 &&
        !memchr(text, '\n', (size_t)len))
        snprintf(hint, size, "add a window, e.g. %.*s[5m]", len, text);
    else if (want == TYPE_MATRIX && arg->type == TYPE_VECTOR)
        snprintf(hint, size, "add a window, e.g. [5m:], or apply the function to a selector");
    else if (want == TYPE_VECTOR && arg->type == TYPE_MATRIX)
        snprintf(hint, size, "drop the window, or wrap it in a function such as rate(...)");
    else if (want == TYPE_VECTOR && arg->type == TYPE_SCALAR)
        snprintf(hint, size, "vector(...) makes one of a scalar");
    else if (want == TYPE_SCALAR && arg->type == TYPE_VECTOR)
        snprintf(hint, size, "scalar(...) makes one of a single series");
    else
        hint[0] = '\0';
}

static bool expect_type(
    struct parser *p, const struct expr *arg, enum value_type want, const char *who)
{
    char hint[192];
    if (arg->type == want)
        return true;
    advise(p, arg, want, hint, sizeof(hint));
    parser_fail(p, "T103", arg->start, arg->end, hint, "`%s` needs %s, this is %s", who,
        described(want), described(arg->type));
    return false;
}

static bool check_call(struct parser *p, struct expr *e)
{
    const struct function *f = e->fn;
    int name_end = e->start + (int)strlen(f->name);
    size_t least = f->variadic < 0 ? f->n_args - 1u : (size_t)(f->n_args - f->variadic);
    bool more = f->variadic < 0;

    if (e->n_args < least || (!more && e->n_args > f->n_args)) {
        const char *how = more || (f->variadic && e->n_args < least) ? "at least "
                          : f->variadic                              ? "at most "
                                                                     : "";
        size_t want = e->n_args < least ? least : f->n_args;
        parser_fail(p, "T105", e->start, name_end, "", "`%s` takes %s%zu argument%s, not %zu",
            f->name, how, want, want == 1 ? "" : "s", e->n_args);
        return false;
    }
    for (size_t i = 0; i < e->n_args; i++) {
        size_t k = i < f->n_args ? i : f->n_args - 1u;
        if (!expect_type(p, e->args[i], (enum value_type)f->args[k], f->name))
            return false;
    }
    e->type = (enum value_type)f->result;
    return true;
}

static bool check_aggregate(struct parser *p, struct expr *e)
{
    const char *name = agg_name(e->agg);
    if (!expect_type(p, e->lhs, TYPE_VECTOR, name))
        return false;
    if (e->param &&
        !expect_type(p, e->param, e->agg == AGG_COUNT_VALUES ? TYPE_STRING : TYPE_SCALAR, name))
        return false;
    e->type = TYPE_VECTOR;
    return true;
}

static bool comparison(enum binary_op op)
{
    return op >= OP_EQ && op <= OP_LE;
}

static bool operand(struct parser *p, const struct expr *e, enum binary_op op)
{
    if (e->type == TYPE_SCALAR || e->type == TYPE_VECTOR)
        return true;
    parser_fail(p, "T106", e->start, e->end,
        e->type == TYPE_MATRIX ? "wrap the window in a function such as rate(...)" : "",
        "`%s` works on scalars and instant vectors, this is %s", op_name(op),
        described(e->type));
    return false;
}

static bool check_matching(struct parser *p, struct expr *e, bool vectors, bool set)
{
    if (e->on) {
        for (size_t i = 0; i < e->n_names; i++) {
            for (size_t k = 0; k < e->n_include; k++) {
                if (!strcmp(e->names[i], e->include[k])) {
                    parser_fail(p, "T106", e->start, e->end, "",
                        "label `%.60s` cannot be both in on(...) and in group_%s(...)",
                        e->names[i], e->card == CARD_MANY_TO_ONE ? "left" : "right");
                    return false;
                }
            }
        }
    }
    if (!vectors && e->n_names) {
        parser_fail(p, "T106", e->start, e->end, "",
            "on(...) and ignoring(...) need an instant vector on both sides");
        return false;
    }
    if (set && e->card != CARD_ONE_TO_ONE && vectors) {
        parser_fail(p, "T106", e->start, e->end, "set operators always match many to many",
            "no group_left or group_right with `%s`", op_name(e->op));
        return false;
    }
    return true;
}

static bool check_binary(struct parser *p, struct expr *e)
{
    bool set = e->op == OP_AND || e->op == OP_OR || e->op == OP_UNLESS;
    bool left_scalar = e->lhs->type == TYPE_SCALAR, right_scalar = e->rhs->type == TYPE_SCALAR;

    if (!operand(p, e->lhs, e->op) || !operand(p, e->rhs, e->op))
        return false;
    if (e->return_bool && !comparison(e->op)) {
        parser_fail(p, "T106", e->start, e->end, "",
            "`bool` only goes with comparisons, not with `%s`", op_name(e->op));
        return false;
    }
    if (comparison(e->op) && !e->return_bool && left_scalar && right_scalar) {
        char hint[32];
        snprintf(hint, sizeof(hint), "write %s bool", op_name(e->op));
        parser_fail(p, "T106", e->start, e->end, hint, "comparing two scalars needs `bool`");
        return false;
    }
    if ((e->op == OP_TRIM_UPPER || e->op == OP_TRIM_LOWER) && left_scalar && right_scalar) {
        parser_fail(p, "T106", e->start, e->end, "on the right stands the value it is cut at",
            "`%s` cuts histograms: it needs an instant vector on its left", op_name(e->op));
        return false;
    }
    if (set && (left_scalar || right_scalar)) {
        const struct expr *bad = left_scalar ? e->lhs : e->rhs;
        parser_fail(p, "T106", bad->start, bad->end,
            "vector(...) makes an instant vector of it",
            "`%s` needs an instant vector on both sides, this is a scalar", op_name(e->op));
        return false;
    }
    if (!check_matching(p, e, !left_scalar && !right_scalar, set))
        return false;
    if (set)
        e->card = CARD_MANY_TO_MANY;
    e->type = left_scalar && right_scalar ? TYPE_SCALAR : TYPE_VECTOR;
    return true;
}

static bool check_selector(struct parser *p, struct expr *e)
{
    e->type = TYPE_VECTOR;
    if (e->name)
        return true;
    for (size_t i = 0; i < e->n_matchers; i++)
        if (!matcher_value(&e->matchers[i], ""))
            return true;
    parser_fail(p, "T107", e->start, e->end,
        "name the metric, or one label that must not be empty",
        "this selects every series there is");
    return false;
}

static bool check_range(struct parser *p, struct expr *e)
{
    const struct expr *inner = e->lhs;
    if (e->kind == EXPR_SUBQUERY) {
        e->type = TYPE_MATRIX;
        if (inner->type == TYPE_VECTOR)
            return true;
        parser_fail(p, "T109", inner->start, inner->end, "",
            "a subquery needs an instant vector, this is %s", described(inner->type));
        return false;
    }
    e->type = TYPE_MATRIX;
    if (inner->kind != EXPR_SELECTOR) {
        parser_fail(p, "T109", inner->start, inner->end,
            inner->type == TYPE_VECTOR ? "a subquery takes any vector: [5m:]" : "",
            "a range goes behind a selector only");
        return false;
    }
    if (inner->offset_given || inner->at != AT_NONE) {
        parser_fail(p, "T109", inner->start, inner->end,
            "write the range first: metric[5m] offset 1h", "`%s` goes behind the range",
            inner->offset_given ? "offset" : "@");
        return false;
    }
    return true;
}

static void measure(struct expr *e)
{
    int h = 0;
    if (e->lhs && e->lhs->height > h)
        h = e->lhs->height;
    if (e->rhs && e->rhs->height > h)
        h = e->rhs->height;
    if (e->param && e->param->height > h)
        h = e->param->height;
    for (size_t i = 0; i < e->n_args; i++)
        if (e->args[i]->height > h)
            h = e->args[i]->height;
    e->height = h + 1;
}

bool check_node(struct parser *p, struct expr *e)
{
    measure(e);
    if (e->height > EXPR_HEIGHT_MAX) {
        parser_fail(p, "T110", e->start, e->end,
            "group it with parentheses, or record parts of it",
            "the expression has more than %d operators in a row", EXPR_HEIGHT_MAX);
        return false;
    }
    switch (e->kind) {
    case EXPR_NUMBER: e->type = TYPE_SCALAR; return true;
    case EXPR_STRING: e->type = TYPE_STRING; return true;
    case EXPR_SELECTOR: return check_selector(p, e);
    case EXPR_MATRIX:
    case EXPR_SUBQUERY: return check_range(p, e);
    case EXPR_CALL: return check_call(p, e);
    case EXPR_AGGREGATE: return check_aggregate(p, e);
    case EXPR_BINARY: return check_binary(p, e);
    case EXPR_UNARY:
        e->type = e->lhs->type;
        return operand(p, e->lhs, e->negative ? OP_SUB : OP_ADD);
    case EXPR_PAREN: e->type = e->lhs->type; return true;
    }
    return false;
}
