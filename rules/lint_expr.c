// SPDX-License-Identifier: Apache-2.0
// Operators, matchers and comparisons that do not do what they look like.
#include "rules/lint_flow.h"
#include "rules/lint_rule.h"
#include <stdio.h>
#include <string.h>

const struct expr *lint_bare(const struct expr *e)
{
    while (e->kind == EXPR_PAREN)
        e = e->lhs;
    return e;
}

bool lint_reads_series(const struct expr *e)
{
    if (e->kind == EXPR_SELECTOR)
        return true;
    for (size_t i = 0; i < e->n_args; i++)
        if (lint_reads_series(e->args[i]))
            return true;
    return (e->lhs && lint_reads_series(e->lhs)) || (e->rhs && lint_reads_series(e->rhs)) ||
           (e->param && lint_reads_series(e->param));
}

// --- matchers --------------------------------------------------------------------------------
static void matchers(struct lint *l, const struct expr *e)
{
    for (size_t i = 0; i < e->n_matchers; i++) {
        const struct matcher *m = &e->matchers[i];
        char hint[192];
        if (m->op != MATCH_RE && m->op != MATCH_NRE)
            continue;
        const char *sign = m->op == MATCH_RE ? "=" : "!=";
        if (!strcmp(m->value, ".*")) {
            LINT_EXPR(l, "T213", e, m->op == MATCH_RE ? "leave it out" : "",
                "`%.60s%s\".*\"` matches %s", m->name, m->op == MATCH_RE ? "=~" : "!~",
                m->op == MATCH_RE ? "everything, and what lacks the label" : "nothing");
        } else if (!strpbrk(m->value, ".*+?|[](){}^$\\")) {
            snprintf(hint, sizeof(hint), "write %.60s%s\"%.60s\"", m->name, sign, m->value);
            LINT_EXPR(l, "T213", e, hint, "`%.60s` is matched by a pattern that is plain text",
                m->name);
        }
    }
}

// --- binary operators ------------------------------------------------------------------------
// "Is there any": count(x) > 0, absent(x) == 1. It filters nothing, and people mean it.
static bool is_there_any(const struct expr *e)
{
    const struct expr *left = lint_bare(e->lhs), *right = lint_bare(e->rhs);
    bool counts =
        (left->kind == EXPR_AGGREGATE && (left->agg == AGG_COUNT || left->agg == AGG_GROUP)) ||
        (left->kind == EXPR_CALL &&
            (left->fn->id == FN_ABSENT || left->fn->id == FN_ABSENT_OVER_TIME ||
                left->fn->id == FN_COUNT_OVER_TIME || left->fn->id == FN_PRESENT_OVER_TIME));
    return counts && right->kind == EXPR_NUMBER && (right->number == 0 || right->number == 1);
}

// Not the same at all times: it reads series or the clock.
static bool varies(const struct expr *e)
{
    if (e->kind == EXPR_CALL && e->n_args == 0)
        return true;
    for (size_t i = 0; i < e->n_args; i++)
        if (varies(e->args[i]))
            return true;
    return e->kind == EXPR_SELECTOR || (e->lhs && varies(e->lhs)) ||
           (e->rhs && varies(e->rhs)) || (e->param && varies(e->param));
}

static void comparison(struct lint *l, const struct expr *e)
{
    if (!varies(e->lhs) && !varies(e->rhs))
        return;
    int holds = value_compare(e);
    const struct expr *left = lint_bare(e->lhs);
    bool counts = left->kind == EXPR_AGGREGATE && left->agg == AGG_COUNT;
    if (holds < 0)
        LINT_EXPR(l, "T217", e,
            counts ? "a count of nothing is nothing, not 0: absent(...) is there for that" : "",
            "this comparison never holds");
    else if (holds > 0 && !is_there_any(e))
        LINT_EXPR(l, "T216", e, "", "this comparison always holds: it filters nothing");
}

static void matching(struct lint *l, const struct expr *e)
{
    bool left_has = false;
    const char *name;
    if (!label_flow_mismatch(&l->arena, e, &name, &left_has))
        l->no_memory = true;
    if (!name)
        return;
    LINT_EXPR(l, "T221", e,
        e->on ? "leave it out of on(...), or keep it on both sides"
              : "match on what both have: on (...), with group_left or group_right",
        "the two sides of `%s` never match: only the %s one has the label `%.60s`",
        op_name(e->op), left_has ? "left" : "right", name);
}

static void binary(struct lint *l, const struct expr *e)
{
    if (e->op >= OP_EQ && e->op <= OP_LE)
        comparison(l, e);
    matching(l, e);
}

void lint_expr(struct lint *l, const struct expr *e)
{
    switch (e->kind) {
    case EXPR_SELECTOR: matchers(l, e); break;
    case EXPR_BINARY: binary(l, e); break;
    case EXPR_CALL:
    case EXPR_AGGREGATE: lint_call(l, e); break;
    case EXPR_NUMBER:
    case EXPR_STRING:
    case EXPR_MATRIX:
    case EXPR_SUBQUERY:
    case EXPR_UNARY:
    case EXPR_PAREN: break;
    }
    for (size_t i = 0; i < e->n_args; i++)
        lint_expr(l, e->args[i]);
    if (e->param)
        lint_expr(l, e->param);
    if (e->lhs)
        lint_expr(l, e->lhs);
    if (e->rhs)
        lint_expr(l, e->rhs);
}
