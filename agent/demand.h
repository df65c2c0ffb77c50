// SPDX-License-Identifier: Apache-2.0
/*
 * What the collector wants more of, since its rules name it (Demand in wire/tocsin.proto):
 *
 *     thresholds   a rule reads NAME_bucket{le="0.3"}: count exactly what is at most 0.3, beside
 *                  the histogram NAME, whose buckets have bounds of their own (le_counts.h)
 *     faster       a rule with `evaluate: arrival` reads NAME: its sampler runs each
 *                  DEMAND_FASTER_MS, and what it found leaves at once (schedule.h)
 *
 * Replaced as a whole, looked at by whoever can serve it when `version` is another. Loop thread.
 */
#pragma once
#include "base/arena.h"
#include "wire/batch.h"

#define DEMAND_FASTER_MS      250
#define DEMAND_THRESHOLDS_MAX 8 // of one name; the lowest are kept

struct demand {
    struct arena arena;
    uint64_t version; // 0: nothing was ever demanded
    struct wire_threshold *thresholds;
    size_t n_thresholds;
    const char **faster;
    size_t n_faster;
};

void demand_init(struct demand *d);
void demand_done(struct demand *d);
// From a reply that has one. True when it is not what it was; without memory the old one stays.
bool demand_take(struct demand *d, const struct wire_reply *r);
// Rising, each once, none that is not finite. d NULL: none.
size_t demand_thresholds(
    const struct demand *d, const char *name, double ret[static DEMAND_THRESHOLDS_MAX]);
bool demand_faster(const struct demand *d, const char *name);
