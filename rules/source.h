// SPDX-License-Identifier: Apache-2.0
/*
 * Where expressions read samples: an interface, so that the same evaluator serves the live
 * collector (its row blocks), `tocsin rules test` (series notation) and the tests.
 * collector/store.c implements it. Everything happens in the caller's thread.
 *
 * Times are int64 milliseconds of collector time. Series ids are dense and never reused.
 */
#pragma once
#include "rules/element.h"
#include "rules/matcher.h"

struct point {
    int64_t t_ms;
    double v;                  // may be the stale marker
    const struct histogram *h; // NULL for a float
};
struct points { // caller-owned, grows; one is reused over many reads
    struct point *p;
    size_t n, cap;
};
struct series_ids {
    uint32_t *id;
    size_t n, cap;
};

// Called for each sample that is stored, whoever writes it, with its value (the absent NaN: it is a
// histogram, or has to be looked up). With INT64_MIN when the source of the
// series falls silent or speaks again, or samples within the retention had to be given up; with
// INT64_MAX when the series is about to be forgotten: its labels are gone after that.
typedef void source_watch_fn(void *ctx, uint32_t id, int64_t t_ms, double v);

struct source {
    void *self;
    // Rises whenever a series is born or forgotten: cached selections are valid while it stands.
    uint64_t (*generation)(void *self);
    // All series the matchers accept, rising ids, appended to out. 0, -ENOMEM.
    int (*select)(void *self, const struct matcher *m, size_t n, struct series_ids *out);
    // Lives as long as the series; none of one that is forgotten.
    struct labels (*labels)(void *self, uint32_t id);
    // Samples in (from_ms, to_ms], rising time, stale markers included, holes left out. Appended.
    // Histograms in them live until the next call that feeds samples. 0, -ENOMEM.
    int (*range)(void *self, uint32_t id, int64_t from_ms, int64_t to_ms, struct points *out);
    // Newest sample at or before t_ms, however old. false = none.
    bool (*latest)(void *self, uint32_t id, int64_t t_ms, struct point *ret);
    // Oldest sample after t_ms. false = none.
    bool (*next)(void *self, uint32_t id, int64_t t_ms, struct point *ret);
    // One watcher, who keeps what it made of the samples; NULL ends it.
    void (*watch)(void *self, source_watch_fn *fn, void *ctx);
    // The series' source is silent at this moment (not ended): see NO_DATA.
    bool (*silent)(void *self, uint32_t id);
    // Writes a recorded sample (recording rules, ALERTS); creates the series. v may be the stale
    // marker, or the absent NaN: then nothing is written, but the series counts as silent until
    // its next sample. A second sample at the same time replaces the first (an arrival and a grid
    // evaluation can meet). Visible to the next rule of the same tick. 0, -ENOMEM, -ENOSPC
    // (series limit).
    int (*record)(
        void *self, const struct labels *s, int64_t t_ms, double v, const struct histogram *h);
};

// Room for one more; grows the array. false on no memory. For those who implement a source.
bool points_add(struct points *p, int64_t t_ms, double v, const struct histogram *h);
bool points_append(struct points *p, const struct point *more, size_t n);
bool series_ids_add(struct series_ids *s, uint32_t id);
