// SPDX-License-Identifier: Apache-2.0
/*
 * What an OpenTelemetry SDK sends, made series, as Prometheus's OTLP receiver does it. A body in, an
 * answer out; the HTTP part is otlp_port.h.
 *
 *     Gauge, Sum without monotony     gauge          Sum, monotonic       counter NAME_total
 *     Histogram                       NAME_bucket{le}, NAME_count, NAME_sum, counters
 *     ExponentialHistogram            native histogram: scale 4 at most, coarser where sent so
 *     Summary                         NAME{quantile}, NAME_count, NAME_sum
 *
 * Differences (delta temporality) are added up here, so they are counters like the others. Labels:
 * otlp_labels.h; service.instance.id leaves as exported_instance (instance is the host here). Names and
 * units: otlp_name.h. Times and sums: otlp_series.h.
 *
 * A point that has no place here is rejected, counted, and the reason of the first is told the sender:
 * negative buckets, bounds that do not rise, no temporality. Exemplars are skipped.
 *
 * Bounded: a body by the caller, its messages by OTLP_ARENA_MAX, series by the limits of the intake, sums by
 * twice that. Loop thread.
 */
#pragma once
#include "agent/intake.h"
#include "base/err.h"

#define OTLP_ARENA_MAX (24u << 20)

struct otlp;
struct otlp_options {
    const char *const *attributes; // of resources, that become labels; borrowed
    size_t n_attributes;
    size_t series_limit;
    int64_t age_ms; // of a series, from its last point on
};
struct otlp_answer {
    uint64_t points, rejected;
    char reason[200]; // of the first that was; "" = none
};

struct otlp *otlp_new(struct output *out, const struct otlp_options *o); // NULL: memory
void otlp_free(struct otlp *o, int64_t wall_ms);                         // as intake_free
enum otlp_format { OTLP_PROTOBUF, OTLP_JSON };                           // otlp_json.h
// An ExportMetricsServiceRequest. 0; -EBADMSG, -ENOMEM, of JSON -EMSGSIZE, with err: nothing of it counts.
int otlp_take(struct otlp *o, enum otlp_format format, const void *body, size_t len,
    int64_t wall_ms, struct otlp_answer *ret, struct err *err);
// Series whose last point is too long ago end. Called every few seconds.
void otlp_age(struct otlp *o, int64_t wall_ms);
// The answer as the protocol has it.
int otlp_encode_answer(const struct otlp_answer *a, enum otlp_format format, struct buf *out);
