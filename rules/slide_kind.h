// SPDX-License-Identifier: Apache-2.0
// What the kinds of window state share. Only rules/slide*.c include it.
#pragma once
#include "rules/slide.h"

struct slide_kind {
    size_t size;
    bool tail; // keeps the two newest samples and never evicts
    // Before a fill: what is fixed until the next one. NULL: the state is zero.
    void (*begin)(struct slide *s, const struct point *p, size_t n);
    // In place of a push for each sample, the base is filled already; may be NULL.
    int (*fill)(struct slide *s, const struct point *p, size_t n, double param);
    // The base still is as before the push or eviction; both may be NULL.
    int (*push)(struct slide *s, struct slide_sample x);
    void (*evict)(struct slide *s, struct slide_sample next);
    enum slide_verdict (*read)(const struct slide_call *c, struct slide *s,
        const struct window *w, double param, double *ret);
    bool (*drifts)(const struct slide_call *c, const struct slide *s); // NULL: never
};

// A double-double: the value is hi + lo.
struct dd {
    double hi, lo;
};
static inline void dd_add(struct dd *a, double v)
{
    double s = a->hi + v, b = s - a->hi, rest = (a->hi - (s - b)) + (v - b) + a->lo;
    a->hi = s + rest;
    a->lo = rest - (a->hi - s);
}
// The error of one addition is below 4 * ROUND^2 of the largest sum.
#define ROUND 0x1p-53

extern const struct slide_kind SLIDE_SUM, SLIDE_AVG;            // slide_sum.c
extern const struct slide_kind SLIDE_MOMENTS, SLIDE_REGRESSION; // slide_moment.c
extern const struct slide_kind SLIDE_MIN, SLIDE_MAX;            // slide_order.c
extern const struct slide_kind SLIDE_QUANTILE;
