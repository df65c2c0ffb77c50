// SPDX-License-Identifier: Apache-2.0
// sum, avg, min, max, topk ... by (...) or without (...). A group is NO_DATA only when all its
// members are: as soon as one has a value the silent ones do not count.
#include "rules/eval_node.h"
#include "rules/histogram_sum.h"
#include <errno.h>
#include <math.h>
#include <stdlib.h>

// One of them is in use.
struct histograms {
    struct histogram_sum sum;
    struct histogram_mean mean;
};

// What its members come to.
struct group {
    struct histograms *h; // its histograms so far, NULL when there is none
    double value, rest, mean;
    struct mean avg;
    uint32_t n;           // members that have a value
    uint32_t silent;      // and those that have not, because their source is silent
    uint32_t live;        // those that have one which is more than a last word
    uint32_t first, room; // its part of the member array, where a function needs them all
    int64_t sample_ms;
    int64_t silent_ms;
    double last_known; // of the silent members
    bool mixed;        // floats and histograms together: no result
    bool kinds;        // exponential and custom histograms together: none either
};

static struct join_key group_key(const struct expr *x)
{
    return (struct join_key){
        .kind = x->without ? KEY_WITHOUT : KEY_ON, .names = x->names, .n = x->n_names};
}

int group_labels(
    struct eval *e, const struct expr *x, const struct labels *member, struct labels *ret)
{
    bool ok;
    if (x->without) {
        ok = x->n_names ? labels_drop(&e->arena, member, x->names, x->n_names, true, ret)
                        : drop_only_name(e, member, ret);
    } else if (!x->n_names) {
        *ret = (struct labels){0};
        ok = true;
    } else {
        ok = labels_keep(&e->arena, member, x->names, x->n_names, ret);
    }
    return ok ? 0 : -ENOMEM;
}

void note_ignored(struct eval *e, const struct expr *x)
{
    bool whole = x->agg == AGG_TOPK || x->agg == AGG_BOTTOMK;
    eval_note(e, whole ? x : x->lhs, ANNOTATION_INFO, "ignored histogram in %s aggregation",
        agg_name(x->agg));
}

static int add_histogram(
    struct eval *e, const struct expr *x, struct group *g, const struct element *el)
{
    int rc;
    if (x->agg == AGG_COUNT || x->agg == AGG_GROUP) {
        g->n++;
        return 0;
    }
    // min, max and the moments know floats only and look past histograms.
    if (x->agg != AGG_SUM && x->agg != AGG_AVG) {
        note_ignored(e, x);
        return 0;
    }
    g->n++;
    if (g->n > 1 && !g->h)
        g->mixed = true;
    if (g->mixed || g->kinds)
        return 0;
    if (!g->h) {
        g->h = eval_alloc(e, 1, sizeof(*g->h));
        if (!g->h)
            return eval_full(e, 1, sizeof(*g->h));
        histogram_sum_init(&g->h->sum, &e->arena);
        histogram_mean_init(&g->h->mean, &e->arena);
    }
    rc = x->agg == AGG_SUM ? histogram_sum_add(&g->h->sum, el->hist)
                           : histogram_mean_add(&g->h->mean, el->hist);
    if (rc == -EINVAL) {
        g->kinds = true;
        note_metric(e, x->lhs, ANNOTATION_WARNING,
            "vector contains a mix of histograms with exponential and custom buckets schemas for "
            "metric name",
            &el->labels);
        return 0;
    }
    return rc;
}

static int histogram_of(
    struct eval *e, const struct expr *x, const struct group *g, const struct histogram **ret)
{
    bool sum = x->agg == AGG_SUM;
    note_operation(
        e, x->lhs, histogram_sum_notes(sum ? &g->h->sum : &g->h->mean.sum), "aggregation");
    *ret = sum ? histogram_sum_get(&g->h->sum) : histogram_mean_get(&g->h->mean);
    return *ret ? 0 : -ENOMEM;
}

static void add_float(enum aggregate_op op, struct group *g, double v)
{
    g->n++;
    if (g->h)
        g->mixed = true;
    switch (op) {
    case AGG_SUM:
        if (g->n == 1)
            g->value = v;
        else
            sum_add(v, &g->value, &g->rest);
        break;
    case AGG_AVG: mean_add(&g->avg, v); break;
    case AGG_MIN:
        if (g->n == 1 || v < g->value || isnan(g->value))
            g->value = v;
        break;
    case AGG_MAX:
        if (g->n == 1 || v > g->value || isnan(g->value))
            g->value = v;
        break;
    case AGG_STDDEV:
    case AGG_STDVAR:
        if (g->n == 1) {
            g->mean = v;
            g->value = isfinite(v) ? 0 : NAN;
        } else {
            double delta = v - g->mean;
            g->mean += delta / g->n;
            g->value += delta * (v - g->mean);
        }
        break;
    case AGG_COUNT:
    case AGG_GROUP:
    case AGG_TOPK:
    case AGG_BOTTOMK:
    case AGG_QUANTILE:
    case AGG_COUNT_VALUES: break;
    }
}

static double result_of(enum aggregate_op op, const struct group *g)
{
    switch (op) {
    case AGG_SUM: return isinf(g->value) ? g->value : g->value + g->rest;
    case AGG_AVG: return mean_get(&g->avg);
    case AGG_MIN:
    case AGG_MAX: return g->value;
    case AGG_COUNT: return g->n;
    case AGG_GROUP: return 1;
    case AGG_STDVAR: return g->value / g->n;
    case AGG_STDDEV: return sqrt(g->value / g->n);
    case AGG_QUANTILE: return g->value;
    case AGG_TOPK:
    case AGG_BOTTOMK:
    case AGG_COUNT_VALUES: break;
    }
    return NAN;
}

int groups_find(
    struct eval *e, const struct expr *x, const struct vector *in, bool all, struct groups *ret)
{
    struct join_key key = group_key(x);
    struct join j;
    int rc = join_init(e, &j, in->n);
    if (rc < 0)
        return rc;
    ret->n = 0;
    ret->member = eval_alloc(e, in->n, sizeof(*ret->member));
    ret->of = eval_alloc(e, in->n, sizeof(*ret->of));
    if (!ret->member || !ret->of)
        return eval_full(e, in->n, sizeof(*ret->member));
    for (size_t i = 0; i < in->n; i++) {
        bool fresh;
        ret->of[i] = GROUP_NONE;
        if (in->e[i].state == ELEMENT_FILTERED && (!all || element_gone(&in->e[i])))
            continue;
        struct join_entry *en = join_put(&j, &key, &in->e[i].labels, ret->n, &fresh);
        if (fresh)
            ret->member[ret->n++] = &in->e[i].labels;
        ret->of[i] = en->value;
    }
    return 0;
}

// The newest word, the greater of two: the order of members is anyone's.
static void add_silent(struct group *g, const struct element *el)
{
    bool later = el->sample_ms > g->silent_ms, tie = el->sample_ms == g->silent_ms;
    if (!g->silent++ || later || (tie && (isnan(g->last_known) || el->value > g->last_known))) {
        g->silent_ms = el->sample_ms;
        g->last_known = el->value;
    }
}

static int groups_count(
    struct eval *e, const struct vector *in, const struct groups *gs, struct group **ret)
{
    struct group *all = eval_alloc(e, gs->n, sizeof(*all));
    if (!all)
        return eval_full(e, gs->n, sizeof(*all));
    for (size_t i = 0; i < in->n; i++) {
        const struct element *el = &in->e[i];
        if (el->state == ELEMENT_FILTERED)
            continue;
        struct group *g = &all[gs->of[i]];
        if (el->state == ELEMENT_NO_DATA) {
            add_silent(g, el);
        } else {
            g->room++;
            g->live += !el->silent;
        }
        if (el->sample_ms > g->sample_ms)
            g->sample_ms = el->sample_ms;
    }
    *ret = all;
    return 0;
}

static int fold(struct eval *e, const struct expr *x, const struct vector *in,
    const struct groups *gs, struct group *all)
{
    for (size_t i = 0; i < in->n; i++) {
        const struct element *el = &in->e[i];
        if (el->state != ELEMENT_VALUE)
            continue;
        struct group *g = &all[gs->of[i]];
        int rc = 0;
        if (el->hist)
            rc = add_histogram(e, x, g, el);
        else
            add_float(x->agg, g, el->value);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int quantiles(struct eval *e, const struct expr *x, const struct vector *in,
    const struct groups *gs, double q, struct group *all)
{
    double *value = eval_alloc(e, in->n, sizeof(*value));
    note_quantile(e, x->param, q);
    if (!value)
        return eval_full(e, in->n, sizeof(*value));
    uint32_t at = 0;
    for (uint32_t i = 0; i < gs->n; i++) {
        all[i].first = at;
        at += all[i].room;
    }
    for (size_t i = 0; i < in->n; i++) {
        if (in->e[i].state != ELEMENT_VALUE)
            continue;
        if (in->e[i].hist) {
            note_ignored(e, x);
            continue;
        }
        struct group *g = &all[gs->of[i]];
        value[g->first + g->n++] = in->e[i].value;
    }
    for (uint32_t i = 0; i < gs->n; i++)
        all[i].value = quantile_of(q, value + all[i].first, all[i].n);
    return 0;
}

int groups_fold(struct eval *e, const struct expr *x, const struct vector *in,
    const struct groups *gs, double q, struct group **ret)
{
    int rc = groups_count(e, in, gs, ret);
    if (rc < 0)
        return rc;
    return x->agg == AGG_QUANTILE ? quantiles(e, x, in, gs, q, *ret) : fold(e, x, in, gs, *ret);
}

int group_result(struct eval *e, const struct expr *x, const struct group *all, uint32_t i,
    struct element *ret)
{
    const struct group *g = &all[i];
    struct element el = {.sample_ms = g->sample_ms, .silent = !g->live};
    if (g->mixed)
        eval_note(e, x->lhs, ANNOTATION_WARNING,
            "encountered a mix of histograms and floats for aggregation");
    if (g->mixed || g->kinds || (!g->n && !g->silent))
        return 0;
    if (!g->n) {
        if (g->room)
            return 0; // histograms only, for a function of floats
        el.state = ELEMENT_NO_DATA;
        el.value = g->last_known;
    } else if (g->h && (x->agg == AGG_SUM || x->agg == AGG_AVG)) {
        int rc = histogram_of(e, x, g, &el.hist);
        if (rc < 0)
            return rc;
    } else {
        el.value = result_of(x->agg, g);
    }
    *ret = el;
    return 1;
}

static int folded(struct eval *e, const struct expr *x, const struct vector *in,
    const struct groups *gs, double q, struct value *ret)
{
    struct group *g;
    int rc = groups_fold(e, x, in, gs, q, &g);
    if (rc == 0)
        rc = vector_room(e, gs->n, &ret->vector);
    for (uint32_t i = 0; rc == 0 && i < gs->n; i++) {
        struct element el;
        rc = group_result(e, x, g, i, &el);
        if (rc <= 0)
            continue;
        rc = group_labels(e, x, gs->member[i], &el.labels);
        if (rc == 0)
            vector_push(&ret->vector, &el);
    }
    return rc;
}

// A copy of the vector in which nothing is known.
static int all_unknown(struct eval *e, struct vector *v)
{
    struct vector copy;
    int rc = vector_room(e, v->n, &copy);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < v->n; i++) {
        struct element el = v->e[i];
        if (el.state == ELEMENT_FILTERED || el.hist)
            continue;
        el.state = ELEMENT_NO_DATA;
        vector_push(&copy, &el);
    }
    *v = copy;
    return 0;
}

int apply_aggregate(
    struct eval *e, const struct expr *x, const struct value *operands, struct value *ret)
{
    struct value in = operands[0], param = {0};
    struct groups gs = {0};
    int rc = 0;
    if (x->param)
        param = operands[1];
    ret->type = TYPE_VECTOR;
    if ((x->agg == AGG_TOPK || x->agg == AGG_BOTTOMK) && !param.no_data)
        rc = rank_check(e, x, param.scalar);
    if (rc < 0 || !in.vector.n)
        return rc;
    // What a silent source would say decides the result: nobody knows it.
    if (param.no_data) {
        rc = all_unknown(e, &in.vector);
        param.scalar = x->agg == AGG_QUANTILE ? 0.5 : (double)in.vector.n;
    }
    if (rc < 0)
        return rc;
    if (x->agg == AGG_COUNT_VALUES)
        return aggregate_count_values(e, x, &in.vector, param.string ? param.string : "", ret);
    rc = groups_find(e, x, &in.vector, false, &gs);
    if (rc < 0)
        return rc;
    if (x->agg == AGG_TOPK || x->agg == AGG_BOTTOMK)
        return rank_apply(e, x, &in.vector, &gs, param.scalar, ret);
    return folded(e, x, &in.vector, &gs, param.scalar, ret);
}
