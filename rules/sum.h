// SPDX-License-Identifier: Apache-2.0
/*
 * Compensated summation (Neumaier) and the statistics built on it, operation for operation as
 * Prometheus 3 does them: results are to be equal to the bit.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

// rest gathers the rounding errors; the sum is *sum + *rest, *sum alone when that is infinite.
void sum_add(double v, double *sum, double *rest);
double quantile_of(double q, double *v, size_t n); // sorts v
struct quantile_rank {                             // between which of n sorted values it lies
    size_t lower, upper;
    double weight;
};
// False: it is *ret, whatever the values are.
bool quantile_rank(double q, size_t n, struct quantile_rank *r, double *ret);
double quantile_between(const struct quantile_rank *r, double lower, double upper);
double go_max(double a, double b); // an infinity wins, then NaN: not fmax
double go_min(double a, double b);
struct mean {
    double n, sum, rest, mean;
    bool incremental; // the plain sum overflowed
};
void mean_add(struct mean *m, double v);
double mean_get(const struct mean *m);
