// SPDX-License-Identifier: Apache-2.0
/*
 * Sums and means of many native histograms, bucket by bucket, with the rounding errors carried
 * along (Neumaier), so that the order hardly matters. Members are folded in one by one; what they
 * differ in is brought to the coarser: schema, width of the zero bucket, custom bounds.
 *
 * Arrays come from the arena given to init and are reused while the layout stays the same. What
 * get returns is the arena's too and does not change with later additions.
 */
#pragma once
#include "rules/histogram.h"

struct sum_side {
    uint32_t n, cap;
    int32_t *index;
    double *count, *rest;
};
struct histogram_sum {
    struct arena *arena;
    struct histogram h; // layout, hint and totals; its sides are unused
    struct sum_side positive, negative;
    double count_rest, sum_rest, zero_rest;
    bool any, reset_seen, not_reset_seen, reconciled;
};
void histogram_sum_init(struct histogram_sum *s, struct arena *a);
// 0; -EINVAL: an exponential one cannot be added to a custom one, the sum is as before; -ENOMEM.
int histogram_sum_add(struct histogram_sum *s, const struct histogram *h);
int histogram_sum_sub(struct histogram_sum *s, const struct histogram *h);
const struct histogram *histogram_sum_get(const struct histogram_sum *s); // NULL: no memory
unsigned histogram_sum_notes(const struct histogram_sum *s);

// The mean stays finite where the sum would not: then it goes on incrementally.
struct histogram_mean {
    struct histogram_sum sum, trial;
    double n;
    bool incremental;
};
void histogram_mean_init(struct histogram_mean *m, struct arena *a);
int histogram_mean_add(struct histogram_mean *m, const struct histogram *h); // as sum_add
const struct histogram *histogram_mean_get(struct histogram_mean *m);
