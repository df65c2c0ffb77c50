// SPDX-License-Identifier: Apache-2.0
/*
 * The series one rule writes, so that one it stops producing gets a stale marker at once.
 * Owns copies of their labels.
 */
#pragma once
#include "rules/source.h"

struct recorded_series {
    uint64_t hash;
    struct labels *labels;
    uint64_t seen;
};
struct recorded {
    struct recorded_series *s;
    size_t n, cap;
    uint32_t *slot; // series + 1, 0 = free
    size_t slots;
    uint64_t epoch;
};

// Between begin and end come the writes of one evaluation; end marks what was not written.
void recorded_begin(struct recorded *r);
// A sample; the absent NaN keeps the series without a sample (its source is silent).
// 0, -ENOMEM, -ENOSPC.
int recorded_write(struct recorded *r, const struct source *src, const struct labels *l,
    int64_t t_ms, double v, const struct histogram *h);
void recorded_end(struct recorded *r, const struct source *src, int64_t t_ms);
// Marks one series; it counts as gone.
void recorded_stale(
    struct recorded *r, const struct source *src, const struct labels *l, int64_t t_ms);
void recorded_done(struct recorded *r);
