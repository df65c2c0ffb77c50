// SPDX-License-Identifier: Apache-2.0
/*
 * How many observations were at most 0.3 s, exactly: the series of a classic histogram at the bounds
 * that rules name (demand.h), beside the native histogram NAME whose bounds are 4 % apart.
 *
 *     NAME_bucket{le="0.3"}  NAME_bucket{le="+Inf"}  NAME_count       nothing where no rule asks
 *
 * so that a rule file made for classic histograms means what it says, and its ratio
 * rate(NAME_bucket{le="0.3"}[1m]) / ignoring(le) rate(NAME_count[1m]) is exact. Bounds are written as Prometheus 3
 * does: le="1.0". Counting begins when it is asked for: all series of one histogram begin together.
 *
 * Loop thread; who owns the histogram owns this.
 */
#pragma once
#include "agent/demand.h"
#include "agent/output.h"

struct le_counts {
    uint64_t version; // of the demand that was followed
    size_t n;         // 0: nothing is asked for
    double le[DEMAND_THRESHOLDS_MAX];
    uint32_t ids[DEMAND_THRESHOLDS_MAX + 1]; // the last: +Inf
    uint32_t count_id;
    uint64_t counts[DEMAND_THRESHOLDS_MAX + 1];
};

// Follows the demand for the histogram `name` of these labels. True when the bounds are others now: counts
// are 0 and the series new. labels as of output_series, at most WIRE_LABELS_MAX - 1.
bool le_counts_follow(struct le_counts *c, struct output *o, const struct demand *d,
    const char *name, const struct wire_label *labels, size_t n);
// For who counts itself: one more, in the unit of the bounds.
void le_counts_observe(struct le_counts *c, double v);
void le_counts_write(const struct le_counts *c, struct output *o);
void le_counts_end(struct le_counts *c, struct output *o); // the series end
