// SPDX-License-Identifier: Apache-2.0
// Function calls on operands.
#include "rules/date.h"
#include "rules/eval_node.h"
#include <errno.h>
#include <math.h>
#include <stdlib.h>

static double date_part(int id, double v)
{
    if (isnan(v))
        return NAN;
    struct date d = date_of(v);
    switch (id) {
    case FN_DAY_OF_MONTH: return d.day;
    case FN_DAY_OF_WEEK: return d.weekday;
    case FN_DAY_OF_YEAR: return d.yearday;
    case FN_DAYS_IN_MONTH: return days_in_month(d.year, d.month);
    case FN_HOUR: return d.hour;
    case FN_MINUTE: return d.minute;
    case FN_MONTH: return d.month;
    default: return (double)d.year;
    }
}

static double map_one(int id, double v, const double *p)
{
    switch (id) {
    case FN_ABS: return fabs(v);
    case FN_ACOS: return acos(v);
    case FN_ACOSH: return acosh(v);
    case FN_ASIN: return asin(v);
    case FN_ASINH: return asinh(v);
    case FN_ATAN: return atan(v);
    case FN_ATANH: return atanh(v);
    case FN_CEIL: return ceil(v);
    case FN_CLAMP: return go_max(p[0], go_min(p[1], v));
    case FN_CLAMP_MAX: return go_min(p[0], v);
    case FN_CLAMP_MIN: return go_max(p[0], v);
    case FN_COS: return cos(v);
    case FN_COSH: return cosh(v);
    case FN_DEG: return v * 180 / M_PI;
    case FN_EXP: return exp(v);
    case FN_FLOOR: return floor(v);
    case FN_LN: return log(v);
    case FN_LOG10: return log10(v);
    case FN_LOG2: return log2(v);
    case FN_RAD: return v * M_PI / 180;
    case FN_ROUND: {
        // Multiplying by the inverse is what Prometheus does; it is not the same as dividing.
        double inverse = 1.0 / p[0];
        return floor(v * inverse + 0.5) / inverse;
    }
    case FN_SGN: return v < 0 ? -1 : v > 0 ? 1 : v;
    case FN_SIN: return sin(v);
    case FN_SINH: return sinh(v);
    case FN_SQRT: return sqrt(v);
    case FN_TAN: return tan(v);
    case FN_TANH: return tanh(v);
    default: return date_part(id, v);
    }
}

int map_function(struct eval *e, const struct mapping *m, struct element *el)
{
    (void)e;
    if (el->hist)
        return 0;
    if (m->unknown)
        el->state = ELEMENT_NO_DATA;
    else if (el->state == ELEMENT_VALUE)
        el->value = map_one(m->x->fn->id, el->value, m->p);
    return 1;
}

static double part_of(int id, const struct histogram *h)
{
    switch (id) {
    case FN_HISTOGRAM_COUNT: return h->count;
    case FN_HISTOGRAM_SUM: return h->sum;
    case FN_HISTOGRAM_AVG: return h->sum / h->count;
    case FN_HISTOGRAM_STDVAR: return histogram_variance(h);
    default: return sqrt(histogram_variance(h));
    }
}

int map_histogram_part(struct eval *e, const struct mapping *m, struct element *el)
{
    const struct histogram *h = el->hist;
    (void)e;
    if (!h)
        return 0;
    el->hist = NULL;
    el->value = part_of(m->x->fn->id, h);
    return 1;
}

int map_timestamp(struct eval *e, const struct mapping *m, struct element *el)
{
    // Of a selector: when the sample was taken. Of anything else: now.
    bool own = expr_inner(m->x->args[0])->kind == EXPR_SELECTOR;
    (void)e;
    el->value = (double)(own ? el->sample_ms : m->t_ms) / 1000;
    el->hist = NULL;
    return 1;
}

static int rising(const void *a, const void *b)
{
    double x = ((const struct element *)a)->value, y = ((const struct element *)b)->value;
    if (isnan(x) || isnan(y))
        return isnan(x) - isnan(y);
    return (x > y) - (x < y);
}

static int falling(const void *a, const void *b)
{
    double x = ((const struct element *)a)->value, y = ((const struct element *)b)->value;
    if (isnan(x) || isnan(y))
        return isnan(x) - isnan(y);
    return (x < y) - (x > y);
}

static int sorted(struct eval *e, const struct vector *in, bool descending, struct value *ret)
{
    int rc = vector_room(e, in->n, &ret->vector);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < in->n; i++)
        if (in->e[i].state != ELEMENT_FILTERED && !in->e[i].hist)
            vector_push(&ret->vector, &in->e[i]);
    if (ret->vector.n)
        qsort(ret->vector.e, ret->vector.n, sizeof(*ret->vector.e),
            descending ? falling : rising);
    return 0;
}

static void scalar_of(const struct vector *in, struct value *ret)
{
    const struct element *only = NULL, *silent = NULL;
    size_t n = 0;
    for (size_t i = 0; i < in->n; i++) {
        if (in->e[i].state == ELEMENT_VALUE && !in->e[i].hist) {
            only = &in->e[i];
            n++;
        } else if (in->e[i].state == ELEMENT_NO_DATA) {
            silent = &in->e[i];
        }
    }
    ret->type = TYPE_SCALAR;
    ret->scalar = n == 1 ? only->value : NAN;
    ret->no_data = n == 0 && silent;
    ret->silent = n == 1 && only->silent;
}

// No argument means vector(time()).
static int one_element(struct eval *e, const struct value *v, struct value *ret)
{
    int rc = vector_room(e, 1, &ret->vector);
    if (rc < 0)
        return rc;
    ret->type = TYPE_VECTOR;
    vector_push(&ret->vector, &(struct element){.value = v->scalar,
                                  .silent = v->silent,
                                  .state = v->no_data ? ELEMENT_NO_DATA : ELEMENT_VALUE});
    return 0;
}

int apply_call(struct eval *e, const struct expr *x, const struct value *in, int64_t t_ms,
    struct value *ret)
{
    ret->type = x->fn->result;
    switch (x->fn->id) {
    case FN_TIME: ret->scalar = (double)t_ms / 1000; return 0;
    case FN_PI: ret->scalar = M_PI; return 0;
    case FN_ABSENT: return apply_absent(e, x, in, ret);
    case FN_LABEL_REPLACE:
    case FN_LABEL_JOIN: return apply_relabel(e, x, in, ret);
    case FN_HISTOGRAM_QUANTILE: return apply_histogram_quantile(e, x, in, t_ms, ret);
    case FN_HISTOGRAM_FRACTION: return apply_histogram_fraction(e, x, in, ret);
    case FN_VECTOR: return one_element(e, in, ret);
    case FN_SCALAR: scalar_of(&in->vector, ret); return 0;
    case FN_SORT:
    case FN_SORT_DESC:
        if (e->start_ms != e->end_ms)
            eval_note(e, x, ANNOTATION_WARNING,
                "sort is ineffective for range queries since results are always ordered by labels");
        return sorted(e, &in->vector, x->fn->id == FN_SORT_DESC, ret);
    default: break;
    }
    // A function of elements that was given none is one of now.
    struct value now = {.type = TYPE_VECTOR};
    int rc = one_element(e, &(struct value){.scalar = (double)t_ms / 1000}, &now);
    if (rc < 0)
        return rc;
    struct mapping m = mapping_of(x, &now, t_ms);
    return apply_mapping(e, &m, ret);
}
