// SPDX-License-Identifier: Apache-2.0
// Functions over a range vector: rate() and its family, *_over_time, regressions.
#include "rules/range_call.h"
#include <errno.h>
#include <math.h>

// The difference over the samples is extrapolated to the edges of the window, in the same order of
// operations as Prometheus, because low bits depend on it.
double range_factor(
    int id, bool compat_2_42, const struct window *w, const struct range_span *s)
{
    double to_start = (double)(s->first_ms - w->from_ms) / 1000;
    double to_end = (double)(w->to_ms - s->last_ms) / 1000;
    double sampled = (double)(s->last_ms - s->first_ms) / 1000;
    double spacing = sampled / (s->n - 1);
    double threshold = spacing * 1.1;
    // 2.51 moved the zero point after the half-spacing rule.
    bool zero_last = !compat_2_42;
    double zero = sampled * (s->start_value / s->moved);
    bool cap = id != FN_DELTA && s->moved > 0 && s->start_value >= 0;
    if (cap && !zero_last && zero < to_start)
        to_start = zero;
    if (to_start >= threshold)
        to_start = spacing / 2;
    if (cap && zero_last && zero < to_start)
        to_start = zero;
    if (to_end >= threshold)
        to_end = spacing / 2;
    double factor = sampled != 0 ? (sampled + to_start + to_end) / sampled : 1;
    if (id == FN_RATE)
        factor /= (double)w->range_ms / 1000;
    return factor;
}

// rate, increase, delta.
static int extrapolated(
    struct eval *e, const struct range_call *c, const struct window *w, struct outcome *ret)
{
    const struct point *first = &w->p[0], *last = &w->p[w->n - 1];
    bool counter = c->id != FN_DELTA, floats = all_floats(w);
    struct range_span s = {
        .first_ms = first->t_ms, .last_ms = last->t_ms, .n = (double)(w->n + w->left_out)};
    if (!floats && !all_histograms(w)) {
        range_note_mixed(e, c, w);
        return 0;
    }
    if (w->n < 2)
        return 0;
    if (floats) {
        s.moved = last->v - first->v;
        if (counter)
            for (size_t i = 1; i < w->n; i++)
                if (w->p[i].v < w->p[i - 1].v)
                    s.moved += w->p[i - 1].v;
        s.start_value = first->v;
    } else {
        int rc = range_histogram_increase(e, c, w, counter, &ret->h);
        if (rc <= 0)
            return rc;
        s.moved = ret->h->count;
        s.start_value = first->h->count;
    }
    double factor = range_factor(c->id, c->compat, w, &s);
    if (floats) {
        ret->v = s.moved * factor;
        return 1;
    }
    ret->h = histogram_scale(&e->arena, ret->h, factor);
    return ret->h ? 1 : -ENOMEM;
}

static int instant_delta(struct eval *e, const struct range_call *c, const struct window *w,
    bool per_second, struct outcome *ret)
{
    if (w->n < 2)
        return 0;
    const struct point *a = &w->p[w->n - 2], *b = &w->p[w->n - 1];
    if (a->t_ms == b->t_ms)
        return 0;
    if (!a->h != !b->h) {
        range_note_mixed(e, c, w);
        return 0;
    }
    if (b->h)
        return range_histogram_delta(e, c, w, per_second, ret);
    ret->v = range_instant(a, b, per_second);
    return 1;
}

static bool same_value(const struct point *a, const struct point *b)
{
    if (!a->h != !b->h)
        return false;
    return a->h ? histogram_equal(a->h, b->h) : a->v == b->v || (isnan(a->v) && isnan(b->v));
}

static double count_pairs(const struct window *w, bool resets)
{
    double n = 0;
    for (size_t i = 1; i < w->n; i++) {
        const struct point *a = &w->p[i - 1], *b = &w->p[i];
        if (!resets)
            n += !same_value(a, b);
        else if (a->h && b->h)
            n += histogram_is_reset(a->h, b->h);
        else
            n += !a->h != !b->h || b->v < a->v;
    }
    return n;
}

static int sum_over_time(struct eval *e, const struct range_call *c, const struct window *w,
    bool mean, struct outcome *ret)
{
    if (all_histograms(w))
        return range_histogram_sum(e, c, w, mean, ret);
    if (!all_floats(w)) {
        range_note_mixed(e, c, w);
        return 0;
    }
    if (mean) {
        struct mean m = {0};
        for (size_t i = 0; i < w->n; i++)
            mean_add(&m, w->p[i].v);
        ret->v = mean_get(&m);
        return 1;
    }
    double sum = 0, rest = 0;
    for (size_t i = 0; i < w->n; i++)
        sum_add(w->p[i].v, &sum, &rest);
    ret->v = isinf(sum) ? sum : sum + rest;
    return 1;
}

static double variance(const struct window *w)
{
    double n = 0, mean = 0, mean_rest = 0, aux = 0, aux_rest = 0;
    for (size_t i = 0; i < w->n; i++) {
        double v = w->p[i].v;
        n++;
        double delta = v - (mean + mean_rest);
        sum_add(delta / n, &mean, &mean_rest);
        sum_add(delta * (v - (mean + mean_rest)), &aux, &aux_rest);
    }
    return (aux + aux_rest) / n;
}

static double extreme(const struct window *w, bool max)
{
    double best = w->p[0].v;
    for (size_t i = 1; i < w->n; i++)
        if ((max ? w->p[i].v > best : w->p[i].v < best) || isnan(best))
            best = w->p[i].v;
    return best;
}

static void regression(
    const struct window *w, int64_t origin_ms, double *slope, double *intercept)
{
    double n = 0, x_sum = 0, x_rest = 0, y_sum = 0, y_rest = 0, xy = 0, xy_rest = 0, xx = 0,
           xx_rest = 0;
    bool constant = true;
    for (size_t i = 0; i < w->n; i++) {
        double y = w->p[i].v, x = (double)(w->p[i].t_ms - origin_ms) / 1e3;
        constant = constant && y == w->p[0].v;
        n++;
        sum_add(x, &x_sum, &x_rest);
        sum_add(y, &y_sum, &y_rest);
        sum_add(x * y, &xy, &xy_rest);
        sum_add(x * x, &xx, &xx_rest);
    }
    if (constant) {
        *slope = isinf(w->p[0].v) ? NAN : 0;
        *intercept = isinf(w->p[0].v) ? NAN : w->p[0].v;
        return;
    }
    x_sum += x_rest;
    y_sum += y_rest;
    xy += xy_rest;
    xx += xx_rest;
    double covariance = xy - x_sum * y_sum / n, spread = xx - x_sum * x_sum / n;
    *slope = covariance / spread;
    *intercept = y_sum / n - *slope * x_sum / n;
}

static int quantile_over_time(
    struct eval *e, struct range_call *c, const struct window *w, struct outcome *ret)
{
    if (w->n > c->scratch_cap) {
        c->scratch = eval_alloc(e, w->n * 2, sizeof(*c->scratch));
        if (!c->scratch)
            return eval_full(e, w->n * 2, sizeof(*c->scratch));
        c->scratch_cap = w->n * 2;
    }
    for (size_t i = 0; i < w->n; i++)
        c->scratch[i] = w->p[i].v;
    note_quantile(e, c->param_at, c->param);
    ret->v = quantile_of(c->param, c->scratch, w->n);
    return 1;
}

// A copy of the window without its histograms.
static int floats_of(struct eval *e, const struct window *w, struct window *ret)
{
    struct point *p = eval_alloc(e, w->n, sizeof(*p));
    if (!p)
        return eval_full(e, w->n, sizeof(*p));
    *ret = *w;
    ret->p = p;
    ret->n = ret->n_hist = 0;
    for (size_t i = 0; i < w->n; i++)
        if (!w->p[i].h)
            p[ret->n++] = w->p[i];
    return 0;
}

// Functions that know floats only look past histograms, as Prometheus does.
static int float_function(
    struct eval *e, struct range_call *c, const struct window *w, struct outcome *ret)
{
    double slope, intercept;
    struct window floats;
    bool regress = c->id == FN_DERIV || c->id == FN_PREDICT_LINEAR;
    if (!all_floats(w)) {
        int rc = floats_of(e, w, &floats);
        if (rc < 0)
            return rc;
        if (floats.n)
            note_metric(e, c->at, ANNOTATION_INFO,
                "ignored histograms in a range containing both floats and histograms for metric "
                "name",
                w->labels);
        w = &floats;
    }
    if (w->n < (regress ? 2 : 1))
        return 0;
    switch (c->id) {
    case FN_MIN_OVER_TIME: ret->v = extreme(w, false); return 1;
    case FN_MAX_OVER_TIME: ret->v = extreme(w, true); return 1;
    case FN_STDVAR_OVER_TIME: ret->v = variance(w); return 1;
    case FN_STDDEV_OVER_TIME: ret->v = sqrt(variance(w)); return 1;
    case FN_QUANTILE_OVER_TIME: return quantile_over_time(e, c, w, ret);
    case FN_DERIV:
    case FN_PREDICT_LINEAR:
        regression(w, c->id == FN_DERIV ? w->p[0].t_ms : w->t_ms, &slope, &intercept);
        ret->v = c->id == FN_DERIV ? slope : slope * c->param + intercept;
        return 1;
    default: return 0;
    }
}

static int apply(
    struct eval *e, struct range_call *c, const struct window *w, struct outcome *ret)
{
    if (!w->n)
        return 0;
    switch (c->id) {
    case FN_RATE:
    case FN_INCREASE:
    case FN_DELTA: return extrapolated(e, c, w, ret);
    case FN_IRATE: return instant_delta(e, c, w, true, ret);
    case FN_IDELTA: return instant_delta(e, c, w, false, ret);
    case FN_CHANGES: ret->v = count_pairs(w, false); return 1;
    case FN_RESETS: ret->v = count_pairs(w, true); return 1;
    case FN_COUNT_OVER_TIME: ret->v = (double)w->n; return 1;
    case FN_PRESENT_OVER_TIME: ret->v = 1; return 1;
    case FN_FIRST_OVER_TIME: *ret = (struct outcome){w->p[0].v, w->p[0].h}; return 1;
    case FN_LAST_OVER_TIME:
        *ret = (struct outcome){w->p[w->n - 1].v, w->p[w->n - 1].h};
        return 1;
    case FN_SUM_OVER_TIME: return sum_over_time(e, c, w, false, ret);
    case FN_AVG_OVER_TIME: return sum_over_time(e, c, w, true, ret);
    default: return float_function(e, c, w, ret);
    }
}

bool range_call_supported(int id)
{
    switch (id) {
    case FN_RATE:
    case FN_INCREASE:
    case FN_DELTA:
    case FN_IRATE:
    case FN_IDELTA:
    case FN_CHANGES:
    case FN_RESETS:
    case FN_COUNT_OVER_TIME:
    case FN_PRESENT_OVER_TIME:
    case FN_FIRST_OVER_TIME:
    case FN_LAST_OVER_TIME:
    case FN_SUM_OVER_TIME:
    case FN_AVG_OVER_TIME:
    case FN_MIN_OVER_TIME:
    case FN_MAX_OVER_TIME:
    case FN_STDVAR_OVER_TIME:
    case FN_STDDEV_OVER_TIME:
    case FN_QUANTILE_OVER_TIME:
    case FN_DERIV:
    case FN_PREDICT_LINEAR: return true;
    default: return false;
    }
}

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);
    return n >= m && !strcmp(s + n - m, end);
}

// A counter's name has one of these endings; rate() of anything else may be a mistake.
static void note_counter_name(
    struct eval *e, const struct range_call *c, const struct labels *s)
{
    static const char *const ENDS[] = {"_total", "_sum", "_count", "_bucket"};
    const char *name = labels_get(s, LABEL_NAME);
    if (!*name)
        return;
    for (size_t i = 0; i < sizeof(ENDS) / sizeof(ENDS[0]); i++)
        if (ends_with(name, ENDS[i]))
            return;
    note_metric(e, c->at, ANNOTATION_INFO,
        "metric might not be a counter, name does not end in _total/_sum/_count/_bucket:", s);
}

// Results grow as windows come: how many series there are is known to the source only.
static int push_grown(struct eval *e, struct vector *v, const struct element *el)
{
    if (v->n == v->cap) {
        struct vector grown;
        int rc = vector_room(e, v->cap ? v->cap * 2 : 16, &grown);
        if (rc < 0)
            return rc;
        if (v->n)
            memcpy(grown.e, v->e, v->n * sizeof(*v->e));
        grown.n = v->n;
        *v = grown;
    }
    vector_push(v, el);
    return 0;
}

static int element_of(
    struct eval *e, struct range_call *c, const struct window *w, struct element *ret)
{
    struct outcome got = {0};
    int rc = apply(e, c, w, &got);
    if (rc < 0 || (rc == 0 && !w->silent))
        return rc;
    bool known = rc && !c->unknown;
    if (e->annotations && known && !got.h && (c->id == FN_RATE || c->id == FN_INCREASE))
        note_counter_name(e, c, w->labels);
    *ret = (struct element){.value = got.v,
        .hist = got.h,
        .state = known ? ELEMENT_VALUE : ELEMENT_NO_DATA,
        .silent = w->silent,
        .sample_ms = w->n ? w->p[w->n - 1].t_ms : 0};
    return 1;
}

int range_apply(struct eval *e, int id, const struct value *param, const struct window *w,
    struct element *ret)
{
    struct range_call c = {.id = id, .compat = e->o.compat_2_42};
    if (param) {
        c.param = param->scalar;
        c.unknown = param->no_data;
    }
    return element_of(e, &c, w, ret);
}

bool range_keeps_name(int id)
{
    return id == FN_LAST_OVER_TIME || id == FN_FIRST_OVER_TIME;
}

static int on_window(struct eval *e, const struct window *w, void *ctx)
{
    struct range_call *c = ctx;
    struct element el;
    int rc = element_of(e, c, w, &el);
    if (rc <= 0)
        return rc;
    if (range_keeps_name(c->id))
        el.labels = *w->labels;
    else if (!drop_name(e, w->labels, &el.labels))
        return -ENOMEM;
    return push_grown(e, c->out, &el);
}

const struct expr *range_operands(const struct expr *x, const struct expr **ret_param)
{
    size_t at = x->fn->id == FN_QUANTILE_OVER_TIME;
    *ret_param = x->n_args > 1 ? x->args[1 - at] : NULL;
    return expr_inner(x->args[at]);
}

int eval_range_call(struct eval *e, const struct expr *x, int64_t t_ms, struct value *ret)
{
    struct range_call c = {.id = x->fn->id, .out = &ret->vector, .compat = e->o.compat_2_42};
    const struct expr *param;
    const struct expr *range = range_operands(x, &param);
    if (param) {
        struct value v;
        int rc = eval_node(e, param, t_ms, &v);
        if (rc < 0)
            return rc;
        c.param = v.scalar;
        c.unknown = v.no_data;
    }
    c.at = c.id == FN_QUANTILE_OVER_TIME ? param : range;
    c.param_at = param;
    ret->type = TYPE_VECTOR;
    int rc = eval_windows(e, range, t_ms, on_window, &c);
    if (rc < 0)
        return rc;
    // Series of one metric differ in more than the name that was dropped.
    if (range->kind == EXPR_MATRIX && expr_inner(range->lhs)->name)
        return 0;
    return vector_unique(e, &ret->vector);
}
