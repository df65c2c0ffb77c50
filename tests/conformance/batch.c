// SPDX-License-Identifier: Apache-2.0
// The batch evaluator in the table, once told everything beforehand and once as samples come in.
#include "rules/memory_source.h"
#include "tests/conformance/trial.h"
#include <stdlib.h>

struct batch {
    const struct trial *t;
    struct memory_source *m;
    struct eval *e;
    struct selections **selections; // as a rule keeps them
};

static void take(void *self, size_t series, const struct sample *s)
{
    struct batch *b = self;
    uint32_t id;
    if (memory_source_series(b->m, &b->t->h->series[series].labels, &id) != 0 ||
        memory_source_add(b->m, id, s->t_ms, s->v, NULL) < 0)
        abort();
}

static void *open_live(const struct trial *t)
{
    struct batch *b = calloc(1, sizeof(*b));
    if (!b)
        abort();
    b->t = t;
    b->m = memory_source_new();
    b->selections = calloc(t->n_q + 1, sizeof(struct selections *));
    if (!b->m || !b->selections)
        abort();
    struct source src = memory_source_interface(b->m);
    struct eval_options o = trial_options(t);
    b->e = eval_new(&src, &o);
    for (size_t i = 0; i < t->n_q; i++)
        b->selections[i] = selections_new(&t->q[i].x);
    return b;
}

static void *open_whole(const struct trial *t)
{
    void *b = open_live(t);
    for (size_t i = 0; i < t->h->n_order; i++) {
        const struct arrival *a = &t->h->order[i];
        take(b, a->series, &t->h->series[a->series].s[a->sample]);
    }
    return b;
}

static void fall_silent(void *self, size_t series, bool silent)
{
    struct batch *b = self;
    uint32_t id;
    if (memory_source_series(b->m, &b->t->h->series[series].labels, &id) != 0)
        abort();
    memory_source_silence(b->m, id, silent);
}

static void answer(void *self, size_t q, size_t moment, struct arena *a, struct result *ret)
{
    struct batch *b = self;
    struct value v = {0};
    struct err err = {0};
    eval_reset(b->e);
    int rc =
        eval_instant(b->e, &b->t->q[q].x, b->selections[q], b->t->t[moment].t_ms, &v, &err);
    result_of_value(ret, a, rc, &v, &err);
}

static void finish(void *self)
{
    struct batch *b = self;
    for (size_t i = 0; i < b->t->n_q; i++)
        selections_free(b->selections[i]);
    free(b->selections);
    eval_free(b->e);
    memory_source_free(b->m);
    free(b);
}

const struct evaluator batch_evaluator = {
    .name = "batch, told all at once", .open = open_whole, .read = answer, .close = finish};
const struct evaluator live_batch_evaluator = {.name = "batch, told as samples come in",
    .open = open_live,
    .feed = take,
    .silence = fall_silent,
    .read = answer,
    .close = finish};
