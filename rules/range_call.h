// SPDX-License-Identifier: Apache-2.0
/*
 * One function of a range vector at work on one window after the other. Private to
 * rules/range_fn.c, which knows the functions, and rules/range_histogram.c, which has what native
 * histograms need of them. Functions return 1, 0 when there is no result, or an error.
 */
#pragma once
#include "rules/eval_node.h"

// What one function makes of one window. false = nothing (too few samples, mixed kinds).
struct outcome {
    double v;
    const struct histogram *h;
};
struct range_call {
    int id;
    const struct expr *at; // the range vector, or the parameter: what annotations are about
    const struct expr *param_at;
    double param; // quantile, or seconds to predict
    bool unknown; // the parameter came from a silent source
    struct vector *out;
    bool compat;
    double *scratch; // for quantile_over_time
    size_t scratch_cap;
};

static inline bool all_floats(const struct window *w)
{
    return !w->n_hist;
}

static inline bool all_histograms(const struct window *w)
{
    return w->n_hist == w->n;
}

// A window with floats and histograms has no result: the annotation for it.
void range_note_mixed(struct eval *e, const struct range_call *c, const struct window *w);
// Last minus first, with what was lost at each reset of a counter added back.
int range_histogram_increase(struct eval *e, const struct range_call *c, const struct window *w,
    bool counter, const struct histogram **ret);
// The same of the last two samples; per second it is a counter.
int range_histogram_delta(struct eval *e, const struct range_call *c, const struct window *w,
    bool per_second, struct outcome *ret);
int range_histogram_sum(struct eval *e, const struct range_call *c, const struct window *w,
    bool mean, struct outcome *ret);
