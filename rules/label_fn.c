// SPDX-License-Identifier: Apache-2.0
// Functions that make labels: label_replace, label_join, absent.
#include "rules/eval_node.h"
#include <errno.h>
#include <stdlib.h>

// gcc 12's -fanalyzer loses the arrays that selections own, and takes them for leaked.
#ifndef __clang__
#pragma GCC diagnostic ignored "-Wanalyzer-malloc-leak"
#endif

// Compiled once per call site; string arguments are constants.
static int pattern(
    struct eval *e, const struct expr *x, const char *text, const struct regex **ret)
{
    struct selections *s = e->sel;
    struct err why = {0};
    for (size_t i = 0; i < s->n_compiled; i++) {
        if (s->compiled[i].at == x && !strcmp(s->compiled[i].pattern, text)) {
            *ret = s->compiled[i].re;
            return 0;
        }
    }
    struct compiled *grown = realloc(s->compiled, (s->n_compiled + 1) * sizeof(*grown));
    if (!grown)
        return -ENOMEM;
    s->compiled = grown;
    struct compiled c = {.at = x, .pattern = strdup(text)};
    if (!c.pattern)
        return -ENOMEM;
    c.re = regex_new(text, strlen(text), &why);
    if (!c.re) {
        free(c.pattern);
        if (!why.col && strstr(why.msg, "memory"))
            return -ENOMEM;
        return eval_fail(e, "invalid regular expression in label_replace(): %s", why.msg);
    }
    s->compiled[s->n_compiled++] = c;
    *ret = c.re;
    return 0;
}

static int replace(
    struct eval *e, const struct expr *x, const struct value *operands, struct vector *v)
{
    const char *dst = operands[1].string, *replacement = operands[2].string,
               *src = operands[3].string, *text = operands[4].string;
    const struct regex *re = NULL;
    struct buf out;

    if (!label_name_valid(dst))
        return eval_fail(e, "invalid destination label name in label_replace(): \"%s\"", dst);
    int rc = pattern(e, x, text, &re);
    if (rc < 0)
        return rc;
    buf_init(&out, 1u << 20);
    for (size_t i = 0; i < v->n; i++) {
        struct regex_span spans[REGEX_GROUPS_MAX];
        struct labels before = v->e[i].labels;
        const char *value = labels_get(&before, src);
        size_t n = regex_captures(re, value, strlen(value), spans, REGEX_GROUPS_MAX);
        if (!n)
            continue;
        buf_reset(&out);
        regex_expand(re, replacement, strlen(replacement), value, spans, n, &out);
        buf_addc(&out, '\0');
        if (out.failed ||
            !labels_with(&e->arena, &before, dst, (const char *)out.data, &v->e[i].labels)) {
            rc = -ENOMEM;
            break;
        }
    }
    buf_done(&out);
    return rc;
}

static int join_values(
    struct eval *e, const struct expr *x, const struct value *operands, struct vector *v)
{
    const char *dst = operands[1].string, *separator = operands[2].string;
    struct buf out;
    int rc = 0;

    if (!label_name_valid(dst))
        return eval_fail(e, "invalid destination label name in label_join(): \"%s\"", dst);
    size_t n = x->n_args - 3;
    const char **from = eval_alloc(e, n ? n : 1, sizeof(*from));
    if (!from)
        return eval_full(e, n, sizeof(*from));
    for (size_t i = 0; rc == 0 && i < n; i++) {
        from[i] = operands[i + 3].string;
        if (!label_name_valid(from[i]))
            rc = eval_fail(e, "invalid source label name in label_join(): \"%s\"", from[i]);
    }
    if (rc < 0)
        return rc;
    buf_init(&out, 1u << 20);
    for (size_t i = 0; i < v->n; i++) {
        struct labels before = v->e[i].labels;
        buf_reset(&out);
        for (size_t k = 0; k < n; k++) {
            if (k)
                buf_adds(&out, separator);
            buf_adds(&out, labels_get(&before, from[k]));
        }
        buf_addc(&out, '\0');
        if (out.failed ||
            !labels_with(&e->arena, &before, dst, (const char *)out.data, &v->e[i].labels)) {
            rc = -ENOMEM;
            break;
        }
    }
    buf_done(&out);
    return rc;
}

int relabel(struct eval *e, const struct expr *x, const struct value *in, struct vector *v)
{
    return x->fn->id == FN_LABEL_REPLACE ? replace(e, x, in, v) : join_values(e, x, in, v);
}

int apply_relabel(
    struct eval *e, const struct expr *x, const struct value *in, struct value *ret)
{
    const struct vector *from = &in[0].vector;
    int rc = vector_room(e, from->n, &ret->vector);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < from->n; i++)
        if (from->e[i].state != ELEMENT_FILTERED)
            vector_push(&ret->vector, &from->e[i]);
    rc = relabel(e, x, in, &ret->vector);
    return rc < 0 ? rc : vector_unique(e, &ret->vector);
}

// The labels an absent series would have: those its selector fixes with `=`. A later matcher on
// the same label takes it away again.
int absent_labels(struct eval *e, const struct expr *x, struct labels *ret)
{
    *ret = (struct labels){0};
    x = expr_inner(x);
    if (x->kind == EXPR_MATRIX)
        x = expr_inner(x->lhs);
    if (x->kind != EXPR_SELECTOR || !x->n_matchers)
        return 0;
    struct label *pair = eval_alloc(e, x->n_matchers, sizeof(*pair));
    bool *seen = eval_alloc(e, x->n_matchers, sizeof(*seen));
    if (!pair || !seen)
        return eval_full(e, x->n_matchers, sizeof(*pair));
    size_t n = 0;
    for (size_t i = 0; i < x->n_matchers; i++) {
        const struct matcher *m = &x->matchers[i];
        if (!strcmp(m->name, LABEL_NAME))
            continue;
        bool set_before = false;
        for (size_t k = 0; k < i; k++)
            set_before |= seen[k] && !strcmp(x->matchers[k].name, m->name);
        if (m->op == MATCH_EQ && !set_before) {
            seen[i] = true;
            pair[n++] = (struct label){m->name, m->value};
            continue;
        }
        size_t kept = 0;
        for (size_t k = 0; k < n; k++)
            if (strcmp(pair[k].name, m->name) != 0)
                pair[kept++] = pair[k];
        n = kept;
    }
    return labels_make(&e->arena, pair, n, ret) ? 0 : -ENOMEM;
}

static int on_window(struct eval *e, const struct window *w, void *ctx)
{
    struct presence *p = ctx;
    (void)e;
    p->value |= w->n > 0;
    p->silent |= w->silent;
    return 0;
}

bool absent_result(const struct presence *p, struct element *ret)
{
    if (p->value)
        return false;
    // Only silence: whether the thing is absent nobody knows.
    *ret = (struct element){.value = 1, .state = p->silent ? ELEMENT_NO_DATA : ELEMENT_VALUE};
    return true;
}

static int absent(
    struct eval *e, const struct expr *x, const struct presence *p, struct value *ret)
{
    struct element el;
    ret->type = TYPE_VECTOR;
    if (!absent_result(p, &el))
        return 0;
    int rc = absent_labels(e, x->args[0], &el.labels);
    if (rc == 0)
        rc = vector_room(e, 1, &ret->vector);
    if (rc == 0)
        vector_push(&ret->vector, &el);
    return rc;
}

struct presence presence_of(const struct vector *v)
{
    struct presence p = {0};
    for (size_t i = 0; i < v->n; i++) {
        p.value |= v->e[i].state == ELEMENT_VALUE;
        p.silent |= v->e[i].state == ELEMENT_NO_DATA;
    }
    return p;
}

int apply_absent(
    struct eval *e, const struct expr *x, const struct value *in, struct value *ret)
{
    struct presence p = presence_of(&in->vector);
    return absent(e, x, &p, ret);
}

int eval_absent_over_time(struct eval *e, const struct expr *x, int64_t t_ms, struct value *ret)
{
    struct presence p = {0};
    int rc = eval_windows(e, x->args[0], t_ms, on_window, &p);
    return rc < 0 ? rc : absent(e, x, &p, ret);
}
