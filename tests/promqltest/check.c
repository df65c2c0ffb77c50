// SPDX-License-Identifier: Apache-2.0
#include "tests/promqltest/check.h"
#include "rules/eval_node.h"
#include "tests/promqltest/expected.h"
#include <stdlib.h>

struct stage {
    const struct command *c;
    struct expr_root x;
    struct eval *e;
    struct annotations notes;
    struct check *result;
    struct buf *why;
};

static bool on_failure(struct stage *s, const char *message)
{
    bool wording;
    if (expected_failure(s->c, message, &wording)) {
        s->result->wording |= !wording;
        return true;
    }
    buf_addf(s->why, "error: %s", message);
    return false;
}

static bool expects_failure(struct stage *s)
{
    if (!command_expects(s->c, EXPECT_FAIL))
        return false;
    buf_adds(s->why, "an error is expected");
    return true;
}

static bool annotated(struct stage *s)
{
    return expected_annotations(s->c, &s->notes, s->x.text, s->why);
}

// --- range vectors -------------------------------------------------------------------------------

struct rows {
    struct row *row;
    size_t n, cap;
};

static int on_window(struct eval *e, const struct window *w, void *ctx)
{
    struct rows *rows = ctx;
    if (rows->n == rows->cap) {
        rows->cap = rows->cap ? rows->cap * 2 : 16;
        rows->row = realloc(rows->row, rows->cap * sizeof(*rows->row));
    }
    struct point *p = eval_alloc(e, w->n + 1, sizeof(*p));
    if (!rows->row || !p)
        abort();
    for (size_t i = 0; i < w->n; i++)
        p[i] = w->p[i];
    rows->row[rows->n++] = (struct row){*w->labels, p, w->n};
    return 0;
}

static bool check_windows(struct stage *s, int64_t t_ms)
{
    struct rows rows = {0};
    struct err err = {0};
    struct selections *sel = selections_new(&s->x);
    eval_reset(s->e);
    eval_begin(s->e, sel, t_ms, &err);
    int rc = eval_finish(s->e, eval_windows(s->e, s->x.root, t_ms, on_window, &rows));
    bool ok;
    if (rc < 0)
        ok = on_failure(s, err.msg);
    else
        ok = !expects_failure(s) && annotated(s) &&
             expected_rows(s->c, rows.row, rows.n, s->why);
    selections_free(sel);
    free(rows.row);
    return ok;
}

// --- range queries -------------------------------------------------------------------------------

static size_t points_of(const struct matrix *m, const struct matrix_row *row, struct point *p)
{
    size_t n = 0;
    for (size_t i = 0; i < m->steps; i++) {
        const struct histogram *h = row->h ? row->h[i] : NULL;
        if (h || double_bits(row->v[i]) != NAN_ABSENT_BITS)
            p[n++] = (struct point){m->start_ms + (int64_t)i * m->step_ms, row->v[i], h};
    }
    return n;
}

static bool check_matrix(struct stage *s, const struct matrix *m)
{
    struct row *rows = calloc(m->n + 1, sizeof(*rows));
    struct point *p = calloc(m->n * m->steps + 1, sizeof(*p));
    if (!rows || !p)
        abort();
    for (size_t i = 0; i < m->n; i++) {
        rows[i].labels = m->rows[i].labels;
        rows[i].p = p + i * m->steps;
        rows[i].n = points_of(m, &m->rows[i], p + i * m->steps);
    }
    bool ok = expected_rows(s->c, rows, m->n, s->why);
    free(rows);
    free(p);
    return ok;
}

static bool check_range(struct stage *s)
{
    struct matrix m;
    struct err err = {0};
    s->result->evaluations++;
    int rc = eval_range(s->e, &s->x, s->c->start_ms, s->c->end_ms, s->c->step_ms, &m, &err);
    if (rc < 0)
        return on_failure(s, err.msg);
    return !expects_failure(s) && annotated(s) && check_matrix(s, &m);
}

// --- instants ------------------------------------------------------------------------------------

// The middle of three steps of a minute, as a vector.
static bool check_middle(struct stage *s, int64_t t_ms)
{
    struct matrix m;
    struct err err = {0};
    struct value v = {.type = s->x.root->type};
    s->result->evaluations++;
    eval_annotate(s->e, NULL);
    int rc = eval_range(s->e, &s->x, t_ms - 60000, t_ms + 60000, 60000, &m, &err);
    eval_annotate(s->e, &s->notes);
    if (rc < 0) {
        buf_addf(s->why, "as a range: %s", err.msg);
        return false;
    }
    if (command_expects(s->c, EXPECT_ORDERED))
        return true;
    struct element *el = calloc(m.n + 1, sizeof(*el));
    if (!el)
        abort();
    v.vector.e = el;
    for (size_t i = 0; i < m.n; i++) {
        struct point p[3];
        size_t n = points_of(&m, &m.rows[i], p);
        for (size_t k = 0; k < n; k++)
            if (p[k].t_ms == t_ms)
                el[v.vector.n++] = (struct element){
                    .labels = m.rows[i].labels, .value = p[k].v, .hist = p[k].h};
    }
    if (v.type == TYPE_SCALAR)
        v.scalar = v.vector.n ? el[0].value : 0;
    bool ok = expected_value(s->c, &v, s->why);
    if (!ok)
        buf_adds(s->why, " (as a range)");
    free(el);
    return ok;
}

static bool check_instant(struct stage *s, int64_t t_ms)
{
    struct value v;
    struct err err = {0};
    s->result->evaluations++;
    annotations_reset(&s->notes);
    if (s->x.root->type == TYPE_MATRIX)
        return check_windows(s, t_ms);
    eval_reset(s->e);
    int rc = eval_instant(s->e, &s->x, NULL, t_ms, &v, &err);
    if (rc < 0)
        return on_failure(s, err.msg);
    if (expects_failure(s) || !annotated(s) || !expected_value(s->c, &v, s->why))
        return false;
    return v.type == TYPE_STRING || check_middle(s, t_ms);
}

// Pins every selector that is not pinned yet. False: the expression depends on the time by itself.
static bool pin(struct expr *x, int64_t t_ms)
{
    bool ok = true;
    if (!x)
        return true;
    if ((x->kind == EXPR_SELECTOR || x->kind == EXPR_SUBQUERY) && x->at == AT_NONE) {
        x->at = AT_TIME;
        x->at_ms = t_ms;
    }
    if (x->kind == EXPR_SUBQUERY)
        return true; // what is inside moves with it
    if (x->kind == EXPR_CALL) {
        switch (x->fn->id) {
        case FN_DAYS_IN_MONTH:
        case FN_DAY_OF_MONTH:
        case FN_DAY_OF_WEEK:
        case FN_DAY_OF_YEAR:
        case FN_HOUR:
        case FN_MINUTE:
        case FN_MONTH:
        case FN_YEAR:
        case FN_PREDICT_LINEAR:
        case FN_TIME:
        case FN_TIMESTAMP: return false;
        default: break;
        }
        for (size_t i = 0; i < x->n_args; i++)
            ok &= pin(x->args[i], t_ms);
    }
    return pin(x->lhs, t_ms) && pin(x->rhs, t_ms) && pin(x->param, t_ms) && ok;
}

static bool check_pinned(struct stage *s)
{
    int64_t t = s->c->end_ms;
    const int64_t late[] = {-10 * t, 0, t / 5, t, 10 * t}, early[] = {-1000, 0, 1000};
    const int64_t *at = t ? late : early;
    if (!pin(s->x.root, t))
        return true;
    for (size_t i = 0; i < (t ? 5 : 3); i++)
        if (!check_instant(s, at[i])) {
            buf_addf(s->why, " (pinned with @, evaluated at %lld ms)", (long long)at[i]);
            return false;
        }
    return true;
}

static bool check_all(struct stage *s)
{
    if (s->c->range)
        return check_range(s);
    return check_instant(s, s->c->end_ms) && check_pinned(s);
}

struct check check_eval(const struct command *c, const struct source *src,
    const struct data_facts *data, struct buf *why)
{
    static const struct eval_options PARITY = {.parity = true};
    struct check result = {.verdict = VERDICT_FAILED, .feature = N_FEATURES};
    struct stage s = {.c = c, .result = &result, .why = why};
    struct parse_error e;
    struct arena a;
    arena_init(&a, 0);
    annotations_init(&s.notes);
    if (expr_parse(c->expr, strlen(c->expr), &a, &s.x, &e) < 0) {
        result.feature = feature_of_error(&e);
        if (result.feature < N_FEATURES)
            result.verdict = VERDICT_OUT;
        else if (on_failure(&s, e.msg))
            result.verdict = VERDICT_PASSED;
        goto out;
    }
    result.feature = feature_of_data(&s.x, data);
    if (result.feature < N_FEATURES) {
        result.verdict = VERDICT_OUT;
    } else {
        s.e = eval_new(src, &PARITY);
        if (!s.e)
            abort();
        eval_annotate(s.e, &s.notes);
        if (check_all(&s))
            result.verdict = VERDICT_PASSED;
        else if ((result.feature = feature_of_result(&s.x, data)) < N_FEATURES)
            result.verdict = VERDICT_OUT;
    }
    eval_free(s.e);
    expr_done(&s.x);
out:
    annotations_done(&s.notes);
    arena_done(&a);
    return result;
}
