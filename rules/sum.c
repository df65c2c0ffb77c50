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
    if (isnan(a) || isnan(b))
        return NAN;
    return a > b ? a : b;
}

double go_min(double a, double b)
{
    if (isnan(a) || isnan(b))
        return NAN;
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

double quantile_of(double q, double *v, size_t n)
{
    if (!n || isnan(q))
        return NAN;
    if (q < 0)
        return -INFINITY;
    if (q > 1)
        return INFINITY;
    qsort(v, n, sizeof(*v), by_value);
    double rank = q * ((double)n - 1);
    double lower = fmax(0, floor(rank)), upper = fmin((double)n - 1, lower + 1);
    double weight = rank - floor(rank);
    return v[(size_t)lower] * (1 - weight) + v[(size_t)upper] * weight;
}
