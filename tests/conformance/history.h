// SPDX-License-Identifier: Apache-2.0
/*
 * A random history of samples, as a collector might get it: counters with resets, noisy and
 * small-valued gauges, holes, stale markers, NaN and infinities, series that are born and end on
 * the way, classic histograms; each sample with the time it is for and the time it comes in.
 *
 *     family    labels   what
 *     c         i, k     counters with resets
 *     g         i, k     gauges with all 53 bits in use, now and then NaN
 *     d         i, k     gauges of small whole numbers, often unchanged
 *     up        i, k     0 and 1
 *     info      k, z     constant
 *     n         i        infinities, NaN, both zeros, largest, smallest
 *     pod       i, k, p  short lives
 *     slow      i, k     a sample a minute
 *     h_bucket  h, le    a classic histogram that counts right; h_sum, h_count
 *     b_bucket  h, le    one whose buckets know nothing of each other
 *
 * Times are multiples of slot_ms (promtool knows one interval per test). Everything lives in the
 * history's arena.
 */
#pragma once
#include "rules/labels.h"
#include "tests/conformance/random.h"

#define HISTORY_END_MS 700000

struct sample {
    int64_t t_ms, arrive_ms;
    double v; // may be the stale marker
};
struct series {
    struct labels labels;
    struct sample *s; // rising t_ms
    size_t n, cap;
};
struct arrival { // one sample, in the order of coming in
    uint32_t series, sample;
};
struct history {
    struct arena arena;
    int64_t slot_ms;
    struct series *series;
    size_t n;
    struct arrival *order;
    size_t n_order;
    bool late; // some samples come after later ones
};

// Frees with history_done. Runs out of memory with an abort: it is a test.
void history_make(struct history *h, struct random *r);
void history_done(struct history *h);
// After arrive_ms changed: puts `order` right.
void history_sort(struct history *h);
// Those series and samples keep() is true for, in an arena of its own: for shrinking.
void history_subset(const struct history *from, struct history *ret,
    bool (*keep)(void *ctx, size_t series, size_t sample), void *ctx);
// Whether all samples up to t_ms have come in at t_ms.
bool history_settled(const struct history *h, int64_t t_ms);
// {__name__="c", i="1"}, as promtool prints it: the name among the other labels.
void labels_print_flat(const struct labels *l, struct buf *out);
