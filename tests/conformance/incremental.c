// SPDX-License-Identifier: Apache-2.0
// The incremental evaluator in the table: all questions of a trial are one plan.
#include "rules/memory_source.h"
#include "rules/plan.h"
#include "tests/conformance/trial.h"
#include <stdlib.h>

struct incremental {
    const struct trial *t;
    struct memory_source *m;
    struct plan *plan;
    struct plan_expr **x; // by question
};

static void *open_plan(const struct trial *t)
{
    struct incremental *n = calloc(1, sizeof(*n));
    if (!n)
        abort();
    n->t = t;
    n->m = memory_source_new();
    n->x = calloc(t->n_q + 1, sizeof(struct plan_expr *));
    if (!n->m || !n->x)
        abort();
    struct source src = memory_source_interface(n->m);
    struct eval_options o = trial_options(t);
    n->plan = plan_new(&src, &o);
    if (!n->plan)
        abort();
    src.watch(src.self, plan_sample, n->plan);
    for (size_t i = 0; i < t->n_q; i++)
        if (plan_add(n->plan, &t->q[i].x, &n->x[i]) != 0)
            abort();
    return n;
}

static void take(void *self, size_t series, const struct sample *s)
{
    struct incremental *n = self;
    uint32_t id;
    if (memory_source_series(n->m, &n->t->h->series[series].labels, &id) != 0 ||
        memory_source_add(n->m, id, s->t_ms, s->v, NULL) < 0)
        abort();
}

static void fall_silent(void *self, size_t series, bool silent)
{
    struct incremental *n = self;
    uint32_t id;
    if (memory_source_series(n->m, &n->t->h->series[series].labels, &id) != 0)
        abort();
    memory_source_silence(n->m, id, silent);
}

static void answer(void *self, size_t q, size_t moment, struct arena *a, struct result *ret)
{
    struct incremental *n = self;
    struct value v = {0};
    struct err err = {0};
    // Now and then the expression goes and comes back, as in a reload: it starts anew.
    if ((q * 7 + moment) % 97 == 0) {
        plan_remove(n->plan, n->x[q]);
        if (plan_add(n->plan, &n->t->q[q].x, &n->x[q]) != 0)
            abort();
    }
    int rc = plan_read(n->plan, n->x[q], n->t->t[moment].t_ms, &v, &err);
    result_of_value(ret, a, rc, &v, &err);
}

static void finish(void *self)
{
    struct incremental *n = self;
    for (size_t i = 0; i < n->t->n_q; i++)
        plan_remove(n->plan, n->x[i]);
    plan_free(n->plan);
    memory_source_free(n->m);
    free(n->x);
    free(n);
}

const struct evaluator incremental_evaluator = {.name = "incremental",
    .open = open_plan,
    .feed = take,
    .silence = fall_silent,
    .read = answer,
    .close = finish};
