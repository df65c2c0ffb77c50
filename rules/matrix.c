// SPDX-License-Identifier: Apache-2.0
// Range queries: an expression evaluated step by step, each series gathered into a row.
#include "base/map.h"
#include "rules/eval_node.h"
#include <errno.h>
#include <stdlib.h>

struct gather {
    struct matrix m;
    struct map rows; // labels, flattened -> row + 1
    size_t cap;
    struct buf key;
};

static int row_of(
    struct eval *e, struct gather *g, const struct labels *s, struct matrix_row **ret)
{
    buf_reset(&g->key);
    buf_addc(&g->key, 0);
    for (size_t i = 0; i < s->n; i++) {
        buf_add(&g->key, s->l[i].name, strlen(s->l[i].name) + 1);
        buf_add(&g->key, s->l[i].value, strlen(s->l[i].value) + 1);
    }
    if (g->key.failed)
        return -ENOMEM;
    uintptr_t at = (uintptr_t)map_get(&g->rows, g->key.data, g->key.len);
    if (at) {
        *ret = &g->m.rows[at - 1];
        return 0;
    }
    if (g->m.n == g->cap) {
        size_t cap = g->cap ? g->cap * 2 : 16;
        struct matrix_row *grown = arena_alloc(&e->results, cap * sizeof(*grown));
        if (!grown)
            return -ENOMEM;
        if (g->m.n)
            memcpy(grown, g->m.rows, g->m.n * sizeof(*grown));
        g->m.rows = grown;
        g->cap = cap;
    }
    struct matrix_row *row = &g->m.rows[g->m.n];
    *row = (struct matrix_row){0};
    row->v = arena_alloc(&e->results, g->m.steps * sizeof(*row->v));
    if (!row->v) {
        if (e->results.used + g->m.steps * sizeof(*row->v) <= EVAL_ARENA_MAX)
            return -ENOMEM;
        err_set(e->err, "the result needs more than %u MiB", EVAL_ARENA_MAX >> 20);
        return -E2BIG;
    }
    if (!labels_make(&e->results, s->l, s->n, &row->labels))
        return -ENOMEM;
    for (size_t i = 0; i < g->m.steps; i++)
        row->v[i] = double_from_bits(NAN_ABSENT_BITS);
    int rc = map_set(&g->rows, g->key.data, g->key.len, (void *)(uintptr_t)(g->m.n + 1));
    if (rc < 0)
        return rc;
    g->m.n++;
    *ret = row;
    return 0;
}

static int gather_step(struct eval *e, struct gather *g, const struct value *v, size_t step)
{
    struct element one = {.value = v->scalar};
    const struct element *el = v->type == TYPE_SCALAR ? &one : v->vector.e;
    size_t n = v->type == TYPE_SCALAR ? !v->no_data : v->vector.n;
    for (size_t i = 0; i < n; i++) {
        struct matrix_row *row;
        if (el[i].state != ELEMENT_VALUE)
            continue;
        int rc = row_of(e, g, &el[i].labels, &row);
        if (rc < 0)
            return rc;
        row->v[step] = el[i].value;
        if (!el[i].hist)
            continue;
        if (!row->h)
            row->h = arena_alloc(&e->results, g->m.steps * sizeof(*row->h));
        if (!row->h || !(row->h[step] = histogram_copy(&e->results, el[i].hist)))
            return -ENOMEM;
    }
    return 0;
}

static int by_labels(const void *a, const void *b)
{
    return labels_compare(
        &((const struct matrix_row *)a)->labels, &((const struct matrix_row *)b)->labels);
}

int eval_range(struct eval *e, const struct expr_root *x, int64_t start_ms, int64_t end_ms,
    int64_t step_ms, struct matrix *ret, struct err *err)
{
    struct gather g = {.m = {.start_ms = start_ms, .step_ms = step_ms}};
    int rc = 0;

    if (step_ms <= 0 || end_ms < start_ms || (end_ms - start_ms) / step_ms >= EVAL_STEPS_MAX) {
        err_set(err, "start, end and step must give 1 to %d points", EVAL_STEPS_MAX);
        return -EINVAL;
    }
    if (x->root->type != TYPE_SCALAR && x->root->type != TYPE_VECTOR) {
        err_set(err, "a range query needs a scalar or an instant vector, this is a %s",
            type_name(x->root->type));
        return -EINVAL;
    }
    struct selections *sel = selections_new(x);
    if (!sel)
        return -ENOMEM;
    map_init(&g.rows);
    buf_init(&g.key, 1u << 20);
    e->sel = sel;
    e->samples = 0;
    e->err = err;
    e->start_ms = start_ms;
    e->end_ms = end_ms;
    g.m.steps = (size_t)((end_ms - start_ms) / step_ms) + 1;
    for (size_t i = 0; rc == 0 && i < g.m.steps; i++) {
        struct value v;
        arena_reset(&e->arena);
        rc = eval_node(e, x->root, start_ms + (int64_t)i * step_ms, &v);
        if (rc == 0)
            rc = gather_step(e, &g, &v, i);
    }
    if (rc == -E2BIG && e->samples > EVAL_SAMPLES_MAX)
        err_set(err, "the query reads more than %d samples", EVAL_SAMPLES_MAX);
    if (rc == -ENOMEM)
        err_set(err, "out of memory");
    if (rc == 0) {
        if (g.m.n)
            qsort(g.m.rows, g.m.n, sizeof(*g.m.rows), by_labels);
        *ret = g.m;
    }
    e->sel = NULL;
    e->err = NULL;
    selections_free(sel);
    map_done(&g.rows);
    buf_done(&g.key);
    return rc;
}
