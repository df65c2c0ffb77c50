// SPDX-License-Identifier: Apache-2.0
/*
 * The irregular samples of one series: events, recorded series, up, our own counters.
 *
 * Such series mostly repeat themselves (ALERTS is 1 at each tick for hours, a service's state
 * changes twice a day), so equal values at an even step are one run:
 *
 *     t_ms  1000  2000  3000  4000  4310        runs  {1000, step 1000, n 4, v 1} {4310, n 1, v 0}
 *     v        1     1     1     1     0
 *
 * Runs rise in time and do not overlap. A sample may arrive late (replay) and then splits a run.
 * A sample at a time that is taken replaces the value: the later word about one millisecond wins.
 * Pure; belongs to the shard thread.
 */
#pragma once
#include "collector/histcell.h"
#include "rules/source.h"

#define TRACK_RUNS_MAX 65536

struct track_run {
    int64_t t_ms; // of the first
    uint32_t step_ms, n;
    double v;
    struct hist_cell *h; // n is 1 then
};
struct track {
    struct track_run *runs; // a ring would save the memmove when old runs go; they go in bulk
    size_t n, cap;
};

void track_done(struct track *t);
// 1 stored, 0 already so, -ENOMEM. Runs that ended before drop_ms are forgotten when room is needed.
int track_add(
    struct track *t, int64_t t_ms, double v, const struct histogram *h, int64_t drop_ms);
int track_range(
    const struct track *t, int64_t from_ms, int64_t to_ms, struct points *out); // appends
bool track_latest(const struct track *t, int64_t t_ms, struct point *ret);
bool track_next(const struct track *t, int64_t t_ms, struct point *ret); // oldest after t_ms
int64_t track_newest_ms(const struct track *t);                          // INT64_MIN: empty
