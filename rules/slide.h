// SPDX-License-Identifier: Apache-2.0
/*
 * What a function over a range keeps of one series, so that moving its window on costs what came
 * and what left, not what is in it. Pure: samples are handed in, nothing is read or remembered
 * but the state.
 *
 *             evicted          in the window: n            pushed
 *     ... o    o    |  first  o    o    o    o   last  |  o ...
 *                  from                                to
 *
 *     slide_fill   from a whole window, once, and again when asked to
 *     slide_push   one sample, newer than all before
 *     slide_evict  the oldest; the caller brings the one that is the oldest then
 *     slide_read   the value, the same as the batch evaluator's, or SLIDE_ASK
 *
 * No state grows with the window but the list of a counter's resets. What cannot be kept small
 * exactly is kept in part, and when that part is not enough (the maximum left and no successor is
 * known; a sum whose last bit depends on the order of addition; moments of values that hardly
 * differ) slide_read says SLIDE_ASK: the caller computes this one value from the samples and fills
 * the state anew. What is returned without asking:
 *
 *     first, last, present, count, changes, resets, irate, idelta, rate, increase, delta, min, max,
 *     sum and quantile_over_time: bit for bit what range_fn.c makes of the same samples (a zero that
 *     is a quantile may have the other sign)
 *     avg_over_time within 1e-15, stddev and stdvar, deriv and predict_linear within 1e-9,
 *     relative
 *
 * Sums are double-double: two doubles that hold 106 bits. Adding and taking away loses nothing
 * that a double could show, while a plain running sum is off by 110 % after one spike of 1e15.
 * Extremes: the monotonic queue (each sample drops the smaller ones before it), its first eight.
 * Quantiles: the 24 sorted values around the rank, and how many are below and above.
 *
 * Functions of the newest samples only (last, present, irate, idelta) never evict: they keep two
 * samples and look at their times.
 *
 * Of native histograms a state keeps but the times, and whether the values between the first and the
 * last are needed at all: SLIDE_HISTOGRAMS.
 *
 * Stale markers are not samples. The owner of the memory is the caller: slide_size
 * bytes, zeroed; slide_done frees what a state holds besides. 0 or -ENOMEM, after which the state
 * is not `ready` and has to be filled.
 */
#pragma once
#include "rules/eval_node.h"

struct slide_sample {
    int64_t t_ms;
    double v;
};
struct slide {                 // every state begins with it
    struct slide_sample first; // oldest; of a function of the newest: the one before the last
    struct slide_sample last;
    uint32_t n; // samples; of a function of the newest: at most 2
    bool ready; // filled, and nothing failed since
    bool hist;  // its samples are histograms: see SLIDE_HISTOGRAMS
};
struct slide_kind;
struct slide_call {
    const struct slide_kind *kind;
    int fn; // enum function_id
    bool compat_2_42;
};

struct slide_call slide_call(int fn, bool compat_2_42);
bool slide_moves(int fn); // false: a window of it is computed from its samples each time
size_t slide_size(const struct slide_call *c);
size_t slide_held(const struct slide_call *c, const struct slide *s); // bytes besides
void slide_done(const struct slide_call *c, struct slide *s);
bool slide_is_tail(
    const struct slide_call *c); // a function of the newest samples: never evicts

// Forgets what it knew. p has no stale markers and no histograms. param: what the next read will be
// for; another one costs an SLIDE_ASK.
int slide_fill(
    const struct slide_call *c, struct slide *s, const struct point *p, size_t n, double param);
int slide_push(const struct slide_call *c, struct slide *s, int64_t t_ms, double v);
// The oldest sample leaves and `next` is the oldest then: there must be two.
void slide_evict(const struct slide_call *c, struct slide *s, struct slide_sample next);

enum slide_verdict { SLIDE_NONE, SLIDE_VALUE, SLIDE_ASK };
// The window's bounds are read from w, its samples are not. There must be a sample.
enum slide_verdict slide_read(const struct slide_call *c, struct slide *s,
    const struct window *w, double param, double *ret);
// Whether the value changes with the time although no sample comes or leaves.
bool slide_drifts(const struct slide_call *c, const struct slide *s);
// The state of a range of histograms, for rate, increase and delta; it fits where the function's own
// is. A sample's value is 1 if it is a break: reset, or of another schema than the one before.
extern const struct slide_call SLIDE_HISTOGRAMS;
uint32_t slide_breaks(const struct slide *s); // in the window
// The value stands until the sample of this time leaves the window; INT64_MAX: for ever.
int64_t slide_leaves_ms(const struct slide_call *c, const struct slide *s);
