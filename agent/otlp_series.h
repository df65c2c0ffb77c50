// SPDX-License-Identifier: Apache-2.0
/*
 * Where the points of OpenTelemetry go: into series of an intake, differences (delta temporality) added up
 * before.
 *
 *     point, its labels --> key --> sum, if it is a difference --> intake
 *
 * A point keeps its own time when that is within OTLP_LATE_MS, else it counts as arriving now; of the times
 * of one body the intake takes INTAKE_STAMPS_MAX. Exponential histograms have the wire's bounds, but are
 * numbered by the lower one and may be finer.
 *
 * Owned by the otlp that reads bodies, loop thread. A point that has no place says why, which is all that
 * becomes of it.
 */
#pragma once
#include "agent/intake.h"
#include "agent/otlp_labels.h"
#include "agent/tally.h"
#include "base/buf.h"
#include "base/err.h"

#define OTLP_STAMPS_MAX  (INTAKE_STAMPS_MAX - 1)
#define OTLP_SUMS_FACTOR 2 // of the series there may be
#define OTLP_LATE_MS     (5 * 60 * 1000LL)
#define OTLP_EARLY_MS    1000

struct otlp_point {
    const char *name, *unit;
    int64_t stamp_ms; // 0: now
    bool delta;
};

struct otlp_series {
    struct intake *intake;
    struct tally sums; // of differences
    struct buf key;
    struct otlp_labels labels; // of the point at hand
    int64_t wall_ms;
    int64_t stamps[OTLP_STAMPS_MAX];
    size_t n_stamps;
};

// 0, -errno; otlp_series_done either way. arena: for texts of labels.
int otlp_series_init(struct otlp_series *s, struct output *out, size_t series_limit,
    int64_t age_ms, struct arena *arena);
void otlp_series_done(struct otlp_series *s, int64_t wall_ms); // as intake_free
// Around the points of a body; without any, what is too old ends all the same.
void otlp_series_begin(struct otlp_series *s, int64_t wall_ms);
void otlp_series_end(struct otlp_series *s);
void otlp_series_age(struct otlp_series *s, int64_t wall_ms, int64_t age_ms);

int64_t otlp_series_stamp(struct otlp_series *s, uint64_t time_ns); // for a point; 0: now
// Of the point's labels, and one more where there is one. False: err.
bool otlp_series_number(struct otlp_series *s, const struct otlp_point *p, const char *name,
    const struct wire_label *extra, enum series_kind kind, double value, struct err *err);
bool otlp_series_exponential(struct otlp_series *s, const struct otlp_point *p,
    const Tocsin__Otlp__ExponentialPoint *m, struct err *err);
