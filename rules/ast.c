// SPDX-License-Identifier: Apache-2.0
#include "rules/ast.h"
#include "base/num.h"
#include <string.h>
#include <strings.h>

const char *type_name(enum value_type t)
{
    switch (t) {
    case TYPE_SCALAR: return "scalar";
    case TYPE_STRING: return "string";
    case TYPE_VECTOR: return "vector";
    case TYPE_MATRIX: return "matrix";
    }
    return "";
}

const char *op_name(enum binary_op op)
{
    static const char *const names[] = {"+", "-", "*", "/", "%", "^", "atan2", "==", "!=", ">",
        "<", ">=", "<=", "and", "or", "unless", "</", ">/"};
    return names[op];
}

const char *agg_name(enum aggregate_op op)
{
    static const char *const names[] = {"sum", "avg", "min", "max", "count", "group", "stddev",
        "stdvar", "topk", "bottomk", "quantile", "count_values"};
    return names[op];
}

#define REACH_MAX (INT64_MAX / 2)

// A negative offset reads ahead and needs nothing kept.
static int64_t add(int64_t a, int64_t b)
{
    if (b > 0 && a > REACH_MAX - b)
        return REACH_MAX;
    return a + b > 0 ? a + b : 0;
}

static int64_t longer(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

int64_t expr_reach_ms(const struct expr *e)
{
    int64_t reach = 0;
    switch (e->kind) {
    case EXPR_NUMBER:
    case EXPR_STRING: return 0;
    case EXPR_SELECTOR: return add(0, e->offset_ms);
    case EXPR_MATRIX: return add(e->range_ms, e->lhs->offset_ms);
    case EXPR_SUBQUERY: return add(add(expr_reach_ms(e->lhs), e->range_ms), e->offset_ms);
    case EXPR_CALL:
        for (size_t i = 0; i < e->n_args; i++)
            reach = longer(reach, expr_reach_ms(e->args[i]));
        return reach;
    case EXPR_AGGREGATE:
        return e->param ? longer(expr_reach_ms(e->param), expr_reach_ms(e->lhs))
                        : expr_reach_ms(e->lhs);
    case EXPR_BINARY: return longer(expr_reach_ms(e->lhs), expr_reach_ms(e->rhs));
    case EXPR_UNARY:
    case EXPR_PAREN: return expr_reach_ms(e->lhs);
    }
    return 0;
}

static void print_names(const char *const *names, size_t n, struct buf *out)
{
    buf_addc(out, '(');
    for (size_t i = 0; i < n; i++) {
        if (i)
            buf_adds(out, ", ");
        if (label_name_plain(names[i]))
            buf_adds(out, names[i]);
        else
            label_quote(names[i], strlen(names[i]), out);
    }
    buf_addc(out, ')');
}

static void print_duration(int64_t ms, struct buf *out)
{
    char text[NUM_TEXT_MAX];
    duration_print(ms, text);
    buf_adds(out, text);
}

// Words that never begin an expression as a metric's name, or are numbers: such a name is quoted.
bool metric_word_reserved(const char *word, size_t len)
{
    static const char *const words[] = {
        "on", "ignoring", "group_left", "group_right", "bool", "atan2", "inf", "nan"};
    for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
        if (strlen(words[i]) == len && strncasecmp(words[i], word, len) == 0)
            return true;
    return false;
}

static void print_selector(const struct expr *e, struct buf *out)
{
    static const char *const ops[] = {"=", "!=", "=~", "!~"};
    bool plain = e->name && metric_name_plain(e->name) &&
                 !metric_word_reserved(e->name, strlen(e->name));
    bool comma = false;

    if (plain)
        buf_adds(out, e->name);
    if (plain && e->n_matchers == 1)
        return;
    buf_addc(out, '{');
    for (size_t i = 0; i < e->n_matchers; i++) {
        const struct matcher *m = &e->matchers[i];
        bool name = e->name && m->value == e->name;
        if (name && plain)
            continue;
        if (comma)
            buf_adds(out, ", ");
        comma = true;
        if (!name) {
            if (label_name_plain(m->name))
                buf_adds(out, m->name);
            else
                label_quote(m->name, strlen(m->name), out);
            buf_adds(out, ops[m->op]);
        }
        label_quote(m->value, strlen(m->value), out);
    }
    buf_addc(out, '}');
}

static void print_modifiers(const struct expr *e, struct buf *out)
{
    switch (e->at) {
    case AT_NONE: break;
    case AT_TIME:
        buf_addf(out, " @ %s%lld.%03lld", e->at_ms < 0 ? "-" : "",
            (long long)(e->at_ms / 1000 < 0 ? -(e->at_ms / 1000) : e->at_ms / 1000),
            (long long)(e->at_ms % 1000 < 0 ? -(e->at_ms % 1000) : e->at_ms % 1000));
        break;
    case AT_START: buf_adds(out, " @ start()"); break;
    case AT_END: buf_adds(out, " @ end()"); break;
    }
    if (e->offset_ms) {
        buf_adds(out, e->offset_ms < 0 ? " offset -" : " offset ");
        print_duration(e->offset_ms < 0 ? -e->offset_ms : e->offset_ms, out);
    }
}

static void print_binary(const struct expr *e, struct buf *out)
{
    expr_print(e->lhs, out);
    buf_addf(out, " %s ", op_name(e->op));
    if (e->return_bool)
        buf_adds(out, "bool ");
    if (e->matching_given) {
        buf_adds(out, e->on ? "on " : "ignoring ");
        print_names(e->names, e->n_names, out);
        buf_addc(out, ' ');
        if (e->card == CARD_MANY_TO_ONE || e->card == CARD_ONE_TO_MANY) {
            buf_adds(out, e->card == CARD_MANY_TO_ONE ? "group_left " : "group_right ");
            print_names(e->include, e->n_include, out);
            buf_addc(out, ' ');
        }
    }
    expr_print(e->rhs, out);
}

void expr_print(const struct expr *e, struct buf *out)
{
    char text[NUM_TEXT_MAX];
    switch (e->kind) {
    case EXPR_NUMBER:
        num_short(e->number, text);
        // "+Inf ^ 2" would read back as a plus in front of a power.
        buf_adds(out, text[0] == '+' ? text + 1 : text);
        break;
    case EXPR_STRING: label_quote(e->string, e->string_len, out); break;
    case EXPR_SELECTOR:
        print_selector(e, out);
        print_modifiers(e, out);
        break;
    case EXPR_MATRIX:
        print_selector(e->lhs, out);
        buf_addc(out, '[');
        print_duration(e->range_ms, out);
        buf_addc(out, ']');
        print_modifiers(e->lhs, out);
        break;
    case EXPR_SUBQUERY:
        expr_print(e->lhs, out);
        buf_addc(out, '[');
        print_duration(e->range_ms, out);
        buf_addc(out, ':');
        if (e->step_ms)
            print_duration(e->step_ms, out);
        buf_addc(out, ']');
        print_modifiers(e, out);
        break;
    case EXPR_CALL:
        buf_adds(out, e->fn->name);
        buf_addc(out, '(');
        for (size_t i = 0; i < e->n_args; i++) {
            if (i)
                buf_adds(out, ", ");
            expr_print(e->args[i], out);
        }
        buf_addc(out, ')');
        break;
    case EXPR_AGGREGATE:
        buf_adds(out, agg_name(e->agg));
        if (e->without || e->n_names) {
            buf_adds(out, e->without ? " without " : " by ");
            print_names(e->names, e->n_names, out);
            buf_addc(out, ' ');
        }
        buf_addc(out, '(');
        if (e->param) {
            expr_print(e->param, out);
            buf_adds(out, ", ");
        }
        expr_print(e->lhs, out);
        buf_addc(out, ')');
        break;
    case EXPR_BINARY: print_binary(e, out); break;
    case EXPR_UNARY:
        buf_addc(out, e->negative ? '-' : '+');
        expr_print(e->lhs, out);
        break;
    case EXPR_PAREN:
        buf_addc(out, '(');
        expr_print(e->lhs, out);
        buf_addc(out, ')');
        break;
    }
}
