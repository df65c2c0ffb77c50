// SPDX-License-Identifier: Apache-2.0
// Functions over a range vector of native histograms.
#include "rules/histogram_sum.h"
#include "rules/range_call.h"
#include <errno.h>

static bool gauge(const struct point *p)
{
    return p->h->hint == HINT_GAUGE;
}

// What the operations on a range met, as annotations. False: kinds that do not mix, no result.
static bool range_mixes(
    struct eval *e, const struct range_call *c, const struct window *w, size_t from)
{
    for (size_t i = from + 1; i < w->n; i++) {
        if (histogram_mixable(w->p[from].h, w->p[i].h))
            continue;
        note_metric(e, c->at, ANNOTATION_WARNING,
            "vector contains a mix of histograms with exponential and custom buckets schemas for "
            "metric name",
            w->labels);
        return false;
    }
    return true;
}

static void note_kinds(
    struct eval *e, const struct range_call *c, const struct window *w, bool counter)
{
    size_t n_gauges = 0;
    if (!e->annotations)
        return;
    for (size_t i = 0; i < w->n; i++)
        n_gauges += gauge(&w->p[i]);
    if (counter && n_gauges)
        note_metric(e, c->at, ANNOTATION_WARNING,
            "this native histogram metric is not a counter:", w->labels);
    if (!counter && !(gauge(&w->p[0]) && gauge(&w->p[w->n - 1])))
        note_metric(e, c->at, ANNOTATION_WARNING,
            "this native histogram metric is not a gauge:", w->labels);
}

void range_note_mixed(struct eval *e, const struct range_call *c, const struct window *w)
{
    note_metric(e, c->at, ANNOTATION_WARNING,
        "encountered a mix of histograms and floats for metric name", w->labels);
}

// The result has the coarsest schema of the range, also of samples that do not enter it.
static const struct histogram *empty_like(
    struct eval *e, const struct histogram *h, int32_t schema)
{
    struct histogram *none = eval_alloc(e, 1, sizeof(*none));
    if (none)
        *none = (struct histogram){.schema = schema,
            .hint = h->hint,
            .zero_threshold = h->zero_threshold,
            .custom = h->custom,
            .n_custom = h->n_custom};
    return none;
}

static int32_t coarsest(const struct window *w, size_t from)
{
    int32_t schema = w->p[from].h->schema;
    for (size_t i = from; i < w->n; i++)
        if (w->p[i].h->schema < schema)
            schema = w->p[i].h->schema;
    return schema;
}

int range_histogram_increase(struct eval *e, const struct range_call *c, const struct window *w,
    bool counter, const struct histogram **ret)
{
    // A first sample that was lost right away does not count at all, not even with its schema.
    bool resets = counter && !w->left_out;
    size_t first = resets && histogram_is_reset(w->p[0].h, w->p[1].h);
    const struct histogram *h = w->p[w->n - 1].h;
    unsigned subtracted = 0, added = 0;
    note_kinds(e, c, w, counter);
    if (counter ? !range_mixes(e, c, w, first) : !histogram_mixable(w->p[0].h, h)) {
        if (!counter)
            range_mixes(e, c, w, 0);
        return 0;
    }
    if (!first)
        h = histogram_sub(&e->arena, h, w->p[0].h, &subtracted);
    if (h && counter && h->schema > coarsest(w, first)) {
        const struct histogram *coarse = empty_like(e, h, coarsest(w, first));
        h = coarse ? histogram_sub(&e->arena, h, coarse, NULL) : NULL;
    }
    for (size_t i = first + 1; h && resets && i < w->n; i++)
        if (histogram_is_reset(w->p[i - 1].h, w->p[i].h))
            h = histogram_add(&e->arena, h, w->p[i - 1].h, &added);
    note_operation(e, c->at, subtracted & HISTOGRAM_RECONCILED, "subtraction");
    note_operation(e, c->at, added & HISTOGRAM_RECONCILED, "addition");
    *ret = h ? histogram_with_hint(&e->arena, h, HINT_GAUGE) : NULL;
    return *ret ? 1 : -ENOMEM;
}

int range_histogram_delta(struct eval *e, const struct range_call *c, const struct window *w,
    bool per_second, struct outcome *ret)
{
    const struct window last = {.labels = w->labels, .p = w->p + w->n - 2, .n = 2};
    const struct histogram *a = last.p[0].h, *b = last.p[1].h;
    note_kinds(e, c, &last, per_second);
    if (!per_second || !histogram_is_reset(a, b)) {
        unsigned notes = 0;
        if (!range_mixes(e, c, &last, 0))
            return 0;
        b = histogram_sub(&e->arena, b, a, &notes);
        note_operation(e, c->at, notes & HISTOGRAM_RECONCILED, "subtraction");
    }
    if (b && per_second)
        b = histogram_divide(&e->arena, b, (double)(last.p[1].t_ms - last.p[0].t_ms) / 1000);
    ret->h = b ? histogram_with_hint(&e->arena, b, HINT_GAUGE) : NULL;
    return ret->h ? 1 : -ENOMEM;
}

double range_instant(const struct point *a, const struct point *b, bool per_second)
{
    double v = per_second && b->v < a->v ? b->v : b->v - a->v;
    return per_second ? v / ((double)(b->t_ms - a->t_ms) / 1000) : v;
}

int range_histogram_sum(struct eval *e, const struct range_call *c, const struct window *w,
    bool mean, struct outcome *ret)
{
    struct histogram_sum sum;
    struct histogram_mean avg;
    int rc = 0;
    if (!range_mixes(e, c, w, 0))
        return 0;
    histogram_sum_init(&sum, &e->arena);
    histogram_mean_init(&avg, &e->arena);
    for (size_t i = 0; rc == 0 && i < w->n; i++)
        rc = mean ? histogram_mean_add(&avg, w->p[i].h) : histogram_sum_add(&sum, w->p[i].h);
    if (rc < 0)
        return rc;
    note_operation(e, c->at, histogram_sum_notes(mean ? &avg.sum : &sum), "aggregation");
    ret->h = mean ? histogram_mean_get(&avg) : histogram_sum_get(&sum);
    return ret->h ? 1 : -ENOMEM;
}
