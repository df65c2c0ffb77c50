// SPDX-License-Identifier: Apache-2.0
// Which labels the result of an expression may have.
#include "rules/lint_flow.h"
#include <string.h>

struct flows {
    struct arena *arena;
    bool no_memory;
};

static const struct label_flow ANY = {.all = true}, NOTHING = {0};

static bool among(const char *name, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!strcmp(names[i], name))
            return true;
    return false;
}

bool label_flow_has(const struct label_flow *f, const char *name)
{
    return among(name, f->names, f->n) != f->all;
}

// The names of a that are (or are not) among b, and those of more. Too many: nothing is known.
static struct label_flow collect(struct flows *f, bool all, const struct label_flow *a,
    const struct label_flow *b, bool common, const struct label_flow *more)
{
    struct label_flow ret = {.all = all};
    size_t most = a->n + (more ? more->n : 0);

    // A ceiling of its own, so that a rule made to be expensive is only not looked into.
    bool full = f->arena->max && f->arena->used > f->arena->max / 2;
    if (most > FLOW_NAMES_MAX || full)
        return ANY;
    ret.names = arena_alloc(f->arena, (most ? most : 1) * sizeof(*ret.names));
    if (!ret.names) {
        f->no_memory = true;
        return ANY;
    }
    for (size_t i = 0; i < a->n; i++)
        if (!b || among(a->names[i], b->names, b->n) == common)
            ret.names[ret.n++] = a->names[i];
    for (size_t i = 0; more && i < more->n; i++)
        if (!among(more->names[i], ret.names, ret.n))
            ret.names[ret.n++] = more->names[i];
    return ret;
}

static struct label_flow keep(struct flows *f, struct label_flow a, const struct label_flow *by)
{
    return a.all ? collect(f, false, by, &a, false, NULL)
                 : collect(f, false, &a, by, true, NULL);
}

static struct label_flow drop(struct flows *f, struct label_flow a, const struct label_flow *by)
{
    return a.all ? collect(f, true, &a, NULL, true, by)
                 : collect(f, false, &a, by, false, NULL);
}

static struct label_flow plus(struct flows *f, struct label_flow a, const struct label_flow *by)
{
    return a.all ? collect(f, true, &a, by, false, NULL)
                 : collect(f, false, &a, NULL, true, by);
}

static struct label_flow unite(struct flows *f, struct label_flow a, struct label_flow b)
{
    if (a.all && b.all)
        return collect(f, true, &a, &b, true, NULL);
    return a.all ? plus(f, a, &b) : plus(f, b, &a);
}

// What two sides that must agree in every label can have.
static struct label_flow meet(struct flows *f, struct label_flow a, struct label_flow b)
{
    if (a.all)
        return b.all ? drop(f, a, &b) : keep(f, a, &b);
    return b.all ? drop(f, a, &b) : collect(f, false, &a, &b, true, NULL);
}

static struct label_flow of(struct flows *f, const struct expr *e);

static struct label_flow of_selector(struct flows *f, const struct expr *e)
{
    struct label_flow empty = {0};
    const char *names[FLOW_NAMES_MAX];
    empty.names = names;
    for (size_t i = 0; i < e->n_matchers && empty.n < FLOW_NAMES_MAX; i++)
        if (e->matchers[i].op == MATCH_EQ && !e->matchers[i].value[0])
            empty.names[empty.n++] = e->matchers[i].name;
    return drop(f, ANY, &empty);
}

// absent() has the labels that its selector names once and with one value.
static struct label_flow of_absent(struct flows *f, const struct expr *e)
{
    struct label_flow named = {0};
    const char *names[FLOW_NAMES_MAX];
    named.names = names;
    while (e->kind == EXPR_PAREN || e->kind == EXPR_MATRIX)
        e = e->lhs;
    for (size_t i = 0; e->kind == EXPR_SELECTOR && i < e->n_matchers; i++) {
        const struct matcher *m = &e->matchers[i];
        size_t same = 0;
        for (size_t k = 0; k < e->n_matchers; k++)
            same += !strcmp(e->matchers[k].name, m->name);
        if (same == 1 && m->op == MATCH_EQ && m->value[0] && named.n < FLOW_NAMES_MAX)
            named.names[named.n++] = m->name;
    }
    return collect(f, false, &named, NULL, true, NULL);
}

static struct label_flow of_call(struct flows *f, const struct expr *e)
{
    static const char *le[] = {"le"};
    static const struct label_flow le_only = {.names = le, .n = 1};

    if (e->fn->id == FN_ABSENT || e->fn->id == FN_ABSENT_OVER_TIME)
        return of_absent(f, e->args[0]);
    for (size_t i = 0; i < e->n_args; i++) {
        if (e->args[i]->type != TYPE_VECTOR && e->args[i]->type != TYPE_MATRIX)
            continue;
        struct label_flow of_arg = of(f, e->args[i]);
        if (e->fn->id == FN_HISTOGRAM_QUANTILE || e->fn->id == FN_HISTOGRAM_FRACTION)
            return drop(f, of_arg, &le_only);
        if (e->fn->id == FN_LABEL_REPLACE || e->fn->id == FN_LABEL_JOIN) {
            const char *target[1] = {e->args[1]->string};
            struct label_flow one = {.names = target, .n = 1};
            return target[0] ? plus(f, of_arg, &one) : ANY;
        }
        return e->fn->result == TYPE_VECTOR ? of_arg : NOTHING;
    }
    return NOTHING; // time(), vector(1), hour()
}

static struct label_flow of_aggregate(struct flows *f, const struct expr *e)
{
    struct label_flow inner = of(f, e->lhs), names = {.names = e->names, .n = e->n_names};

    if (e->agg == AGG_TOPK || e->agg == AGG_BOTTOMK)
        return inner;
    struct label_flow ret = e->without ? drop(f, inner, &names) : keep(f, inner, &names);
    if (e->agg != AGG_COUNT_VALUES)
        return ret;
    const char *target[1] = {e->param->string};
    struct label_flow one = {.names = target, .n = 1};
    return target[0] ? plus(f, ret, &one) : ANY;
}

static struct label_flow of_binary(struct flows *f, const struct expr *e)
{
    if (e->type == TYPE_SCALAR)
        return NOTHING;
    struct label_flow left = of(f, e->lhs), right = of(f, e->rhs),
                      names = {.names = e->names, .n = e->n_names},
                      include = {.names = e->include, .n = e->n_include};
    if (e->lhs->type == TYPE_SCALAR)
        return right;
    if (e->rhs->type == TYPE_SCALAR)
        return left;
    if (e->op == OP_OR)
        return unite(f, left, right);
    if (e->op == OP_AND || e->op == OP_UNLESS)
        return left;
    switch (e->card) {
    case CARD_MANY_TO_ONE: return plus(f, left, &include);
    case CARD_ONE_TO_MANY: return plus(f, right, &include);
    case CARD_ONE_TO_ONE:
    case CARD_MANY_TO_MANY: break;
    }
    struct label_flow both = meet(f, left, right);
    return e->on ? keep(f, both, &names) : drop(f, both, &names);
}

static struct label_flow of(struct flows *f, const struct expr *e)
{
    switch (e->kind) {
    case EXPR_NUMBER:
    case EXPR_STRING: return NOTHING;
    case EXPR_SELECTOR: return of_selector(f, e);
    case EXPR_MATRIX:
    case EXPR_SUBQUERY:
    case EXPR_UNARY:
    case EXPR_PAREN: return of(f, e->lhs);
    case EXPR_CALL: return of_call(f, e);
    case EXPR_AGGREGATE: return of_aggregate(f, e);
    case EXPR_BINARY: return of_binary(f, e);
    }
    return ANY;
}

bool label_flow(struct arena *a, const struct expr *e, struct label_flow *ret)
{
    struct flows f = {.arena = a};
    struct label_flow found = of(&f, e);
    if (f.no_memory)
        return false;
    *ret = found;
    return true;
}

// One that `has` is matched by and `lacks` cannot have.
static const char *only_in(
    const struct expr *e, const struct label_flow *has, const struct label_flow *lacks)
{
    if (has->all) // of those it is not known which there are
        return NULL;
    const char *const *names = e->on ? e->names : has->names;
    size_t n = e->on ? e->n_names : has->n;
    for (size_t i = 0; i < n; i++) {
        bool matched =
            e->on ? label_flow_has(has, names[i]) : !among(names[i], e->names, e->n_names);
        if (matched && !label_flow_has(lacks, names[i]))
            return names[i];
    }
    return NULL;
}

bool label_flow_mismatch(
    struct arena *a, const struct expr *e, const char **ret, bool *ret_left_has)
{
    struct flows f = {.arena = a};

    *ret = NULL;
    if (e->lhs->type != TYPE_VECTOR || e->rhs->type != TYPE_VECTOR || e->op == OP_OR)
        return true;
    struct label_flow left = of(&f, e->lhs), right = of(&f, e->rhs);
    if (f.no_memory)
        return false;
    *ret = only_in(e, &left, &right);
    *ret_left_has = *ret != NULL;
    if (!*ret)
        *ret = only_in(e, &right, &left);
    return true;
}
