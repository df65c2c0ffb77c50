// SPDX-License-Identifier: Apache-2.0
#include "rules/sum.h"
#include <math.h>
#include <stdlib.h>

void sum_add(double v, double *sum, double *rest)
{
    double t = *sum + v;
    if (isinf(t))
        *rest = 0;
    else if (fabs(*sum) >= fabs(v))
        *rest += (*sum - t) + v;
    else
        *rest += (v - t) + *sum;
    *sum = t;
}

void mean_add(struct mean *m, double v)
{
    m->n++;
    if (m->n == 1) {
        m->sum = v;
        return;
    }
    if (!m->incremental) {
        double sum = m->sum, rest = m->rest;
        sum_add(v, &sum, &rest);
        if (!isinf(sum)) {
            m->sum = sum;
            m->rest = rest;
            return;
        }
        m->incremental = true;
        m->mean = m->sum / (m->n - 1);
        m->rest /= m->n - 1;
    }
    double q = (m->n - 1) / m->n;
    m->mean *= q;
    m->rest *= q;
    sum_add(v / m->n, &m->mean, &m->rest);
}

double mean_get(const struct mean *m)
{
    return m->incremental ? m->mean + m->rest : m->sum / m->n + m->rest / m->n;
}

double go_max(double a, double b)
{
    if (a == INFINITY || b == INFINITY)
        return INFINITY;
    if (isnan(a) || isnan(b))
        return NAN;
    if (a == 0 && b == 0)
        return signbit(a) ? b : a;
    return a > b ? a : b;
}

double go_min(double a, double b)
{
    if (a == -INFINITY || b == -INFINITY)
        return -INFINITY;
    if (isnan(a) || isnan(b))
        return NAN;
    if (a == 0 && b == 0)
        return signbit(a) ? a : b;
    return a < b ? a : b;
}

// NaN first, as Prometheus sorts them.
static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    if (isnan(x) || isnan(y))
        return isnan(y) - isnan(x);
    return (x > y) - (x < y);
}

bool quantile_rank(double q, size_t n, struct quantile_rank *r, double *ret)
{
    *ret = !n || isnan(q) ? NAN : q < 0 ? -INFINITY : INFINITY;
    if (!n || !(q >= 0 && q <= 1))
        return false;
    double rank = q * ((double)n - 1), lower = fmax(0, floor(rank));
    r->lower = (size_t)lower;
    r->upper = (size_t)fmin((double)n - 1, lower + 1);
    r->weight = rank - floor(rank);
    return true;
}

double quantile_between(const struct quantile_rank *r, double lower, double upper)
{
    return lower * (1 - r->weight) + upper * r->weight;
}

double quantile_of(double q, double *v, size_t n)
{
    struct quantile_rank r;
    double ret;
    if (!quantile_rank(q, n, &r, &ret))
        return ret;
    qsort(v, n, sizeof(*v), by_value);
    return quantile_between(&r, v[r.lower], v[r.upper]);
}
