// SPDX-License-Identifier: Apache-2.0
/*
 * Native histograms the obvious way, to judge rules/histogram.h by: every bucket in a plain array
 * by its index, every operation a loop over all of them, no care for speed. Written from the
 * definition of the type (bucket i of schema s ends at 2^(i / 2^s)) and the documented behaviour
 * of rate(), sum(), avg() and histogram_quantile(). A value, copied freely; finite counts only.
 */
#pragma once
#include "rules/histogram.h"

#define SLOW_REACH 256 // indexes -256 .. 255

struct slow_histogram {
    int schema;
    bool reset; // starts anew, whatever the counts say
    double zero_threshold, zero_count, count, sum;
    double positive[2 * SLOW_REACH], negative[2 * SLOW_REACH];
};

void slow_observe(struct slow_histogram *h, double v);
void slow_coarsen(struct slow_histogram *h, int schema);
// Takes all buckets below the threshold into the zero bucket; it lies between two buckets.
void slow_widen(struct slow_histogram *h, double threshold);
// *a += sign * b
void slow_add(struct slow_histogram *a, const struct slow_histogram *b, double sign);
void slow_scale(struct slow_histogram *h, double factor);
bool slow_is_reset(const struct slow_histogram *before, const struct slow_histogram *after);
double slow_quantile(double q, const struct slow_histogram *h);
double slow_fraction(double lower, double upper, const struct slow_histogram *h);
double slow_variance(const struct slow_histogram *h);

// The same value as the evaluators take it; arrays are in the arena.
struct histogram slow_convert(const struct slow_histogram *h, struct arena *a);
// Whether the evaluators' value is this one, each number to a relative tolerance.
bool slow_equal(
    const struct slow_histogram *want, const struct histogram *got, double tolerance);
