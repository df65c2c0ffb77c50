// SPDX-License-Identifier: Apache-2.0
#include "agent/otlp.h"
#include "agent/otlp.pb-c.h"
#include "agent/otlp_json.h"
#include "agent/otlp_name.h"
#include "agent/otlp_series.h"
#include "base/buf.h"
#include "base/num.h"
#include "wire/unpack.h"
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define NO_VALUE    1u // bit of flags: the series has no value at that time
#define BUCKETS_MAX 4096

struct otlp {
    int64_t age_ms;
    struct arena arena; // of one body
    struct otlp_series series;
    struct otlp_answer *answer; // to the body at hand
};

struct otlp *otlp_new(struct output *out, const struct otlp_options *options)
{
    struct otlp *o = calloc(1, sizeof(*o));
    if (!o)
        return NULL;
    o->age_ms = options->age_ms;
    arena_init(&o->arena, OTLP_ARENA_MAX);
    o->series.labels.listed = options->attributes;
    o->series.labels.n_listed = options->n_attributes;
    if (otlp_series_init(&o->series, out, options->series_limit, options->age_ms, &o->arena) ==
        0)
        return o;
    otlp_free(o, 0);
    return NULL;
}

void otlp_free(struct otlp *o, int64_t wall_ms)
{
    if (!o)
        return;
    otlp_series_done(&o->series, wall_ms);
    arena_done(&o->arena);
    free(o);
}

__attribute__((format(printf, 3, 4))) static void reject(
    struct otlp *o, uint64_t points, const char *fmt, ...)
{
    struct otlp_answer *a = o->answer;
    if (a->rejected == 0 && points > 0) {
        va_list args;
        va_start(args, fmt);
        vsnprintf(a->reason, sizeof(a->reason), fmt, args);
        va_end(args);
        // It is sent back: a name cut in a character is no text.
        for (char *c = a->reason; *c; c++)
            if ((unsigned char)*c < ' ' || *c & 0x80)
                *c = '?';
    }
    a->rejected += points;
}

// --- points --------------------------------------------------------------------------------------

// Looks at what all points have. False: it is through, rejected or without a value.
static bool begin_point(struct otlp *o, struct otlp_point *p, uint64_t time_ns, uint32_t flags,
    const char *fault, Tocsin__Otlp__KeyValue *const *attributes, size_t n)
{
    p->stamp_ms = otlp_series_stamp(&o->series, time_ns);
    o->answer->points++;
    if (flags & NO_VALUE)
        return false;
    if (!fault && !otlp_labels_point(&o->series.labels, attributes, n))
        fault = "attributes that cannot be labels";
    if (fault)
        reject(o, 1, "%s: %s", p->name, fault);
    return !fault;
}

static void take_numbers(struct otlp *o, struct otlp_point *p, enum series_kind kind,
    Tocsin__Otlp__NumberPoint *const *points, size_t n)
{
    struct err err;
    for (size_t i = 0; i < n; i++) {
        const Tocsin__Otlp__NumberPoint *m = points[i];
        bool whole = m->value_case == TOCSIN__OTLP__NUMBER_POINT__VALUE_AS_INT;
        bool real = m->value_case == TOCSIN__OTLP__NUMBER_POINT__VALUE_AS_DOUBLE;
        const char *fault = whole || real ? NULL : "a point has no value";
        if (begin_point(
                o, p, m->time_unix_nano, m->flags, fault, m->attributes, m->n_attributes) &&
            !otlp_series_number(&o->series, p, p->name, NULL, kind,
                whole ? (double)m->as_int : m->as_double, &err))
            reject(o, 1, "%s: %s", p->name, err.msg);
    }
}

// NAME_bucket, NAME_count and NAME_sum. False: err.
static bool put_buckets(struct otlp *o, const struct otlp_point *p,
    const Tocsin__Otlp__HistogramPoint *m, struct err *err)
{
    char name[WIRE_NAME_MAX + 16], le[NUM_FIXED_MAX + 1];
    uint64_t below = 0;
    bool ok = true;
    snprintf(name, sizeof(name), "%s_bucket", p->name);
    for (size_t i = 0; ok && i < m->n_explicit_bounds; i++) {
        below += m->bucket_counts[i];
        le[num_fixed(m->explicit_bounds[i], le)] = '\0';
        struct wire_label l = {"le", le};
        ok = otlp_series_number(&o->series, p, name, &l, SERIES_COUNTER, (double)below, err);
    }
    struct wire_label all = {"le", "+Inf"};
    ok = ok &&
         otlp_series_number(&o->series, p, name, &all, SERIES_COUNTER, (double)m->count, err);
    snprintf(name, sizeof(name), "%s_count", p->name);
    ok = ok &&
         otlp_series_number(&o->series, p, name, NULL, SERIES_COUNTER, (double)m->count, err);
    snprintf(name, sizeof(name), "%s_sum", p->name);
    return ok && (!m->has_sum || otlp_series_number(
                                     &o->series, p, name, NULL, SERIES_COUNTER, m->sum, err));
}

static const char *histogram_fault(const Tocsin__Otlp__HistogramPoint *m)
{
    if (m->n_bucket_counts && m->n_bucket_counts != m->n_explicit_bounds + 1)
        return "buckets and bounds do not fit together";
    if (!m->n_bucket_counts && m->n_explicit_bounds)
        return "bounds without buckets";
    if (m->n_bucket_counts > BUCKETS_MAX)
        return "too many buckets";
    for (size_t i = 0; i < m->n_explicit_bounds; i++)
        if (!isfinite(m->explicit_bounds[i]) ||
            (i > 0 && m->explicit_bounds[i] <= m->explicit_bounds[i - 1]))
            return "bounds do not rise";
    return NULL;
}

static void take_histograms(
    struct otlp *o, struct otlp_point *p, const Tocsin__Otlp__Histogram *h)
{
    struct err err;
    for (size_t i = 0; i < h->n_data_points; i++) {
        const Tocsin__Otlp__HistogramPoint *m = h->data_points[i];
        if (begin_point(o, p, m->time_unix_nano, m->flags, histogram_fault(m), m->attributes,
                m->n_attributes) &&
            !put_buckets(o, p, m, &err))
            reject(o, 1, "%s: %s", p->name, err.msg);
    }
}

static const char *exponential_fault(const Tocsin__Otlp__ExponentialPoint *m)
{
    const Tocsin__Otlp__Buckets *b = m->negative;
    for (size_t i = 0; b && i < b->n_bucket_counts; i++)
        if (b->bucket_counts[i])
            return "negative observations have no place here";
    return NULL;
}

static void take_exponentials(
    struct otlp *o, struct otlp_point *p, const Tocsin__Otlp__ExponentialHistogram *h)
{
    struct err err;
    for (size_t i = 0; i < h->n_data_points; i++) {
        const Tocsin__Otlp__ExponentialPoint *m = h->data_points[i];
        if (begin_point(o, p, m->time_unix_nano, m->flags, exponential_fault(m), m->attributes,
                m->n_attributes) &&
            !otlp_series_exponential(&o->series, p, m, &err))
            reject(o, 1, "%s: %s", p->name, err.msg);
    }
}

static bool put_summary(struct otlp *o, const struct otlp_point *p,
    const Tocsin__Otlp__SummaryPoint *m, struct err *err)
{
    char name[WIRE_NAME_MAX + 16], text[NUM_FIXED_MAX + 1];
    bool ok = true;
    for (size_t i = 0; ok && i < m->n_quantile_values; i++) {
        text[num_fixed(m->quantile_values[i]->quantile, text)] = '\0';
        struct wire_label l = {"quantile", text};
        ok = otlp_series_number(
            &o->series, p, p->name, &l, SERIES_GAUGE, m->quantile_values[i]->value, err);
    }
    snprintf(name, sizeof(name), "%s_count", p->name);
    ok = ok &&
         otlp_series_number(&o->series, p, name, NULL, SERIES_COUNTER, (double)m->count, err);
    snprintf(name, sizeof(name), "%s_sum", p->name);
    return ok && otlp_series_number(&o->series, p, name, NULL, SERIES_COUNTER, m->sum, err);
}

static void take_summaries(struct otlp *o, struct otlp_point *p, const Tocsin__Otlp__Summary *s)
{
    struct err err;
    for (size_t i = 0; i < s->n_data_points; i++) {
        const Tocsin__Otlp__SummaryPoint *m = s->data_points[i];
        if (begin_point(
                o, p, m->time_unix_nano, m->flags, NULL, m->attributes, m->n_attributes) &&
            !put_summary(o, p, m, &err))
            reject(o, 1, "%s: %s", p->name, err.msg);
    }
}

// --- a metric ------------------------------------------------------------------------------------

static size_t points_of(const Tocsin__Otlp__Metric *m)
{
    switch (m->data_case) {
    case TOCSIN__OTLP__METRIC__DATA_GAUGE: return m->gauge->n_data_points;
    case TOCSIN__OTLP__METRIC__DATA_SUM: return m->sum->n_data_points;
    case TOCSIN__OTLP__METRIC__DATA_HISTOGRAM: return m->histogram->n_data_points;
    case TOCSIN__OTLP__METRIC__DATA_EXPONENTIAL_HISTOGRAM:
        return m->exponential_histogram->n_data_points;
    case TOCSIN__OTLP__METRIC__DATA_SUMMARY: return m->summary->n_data_points;
    case TOCSIN__OTLP__METRIC__DATA__NOT_SET:
    case _TOCSIN__OTLP__METRIC__DATA__CASE_IS_INT_SIZE: return 0;
    }
    return 0;
}

// False: it states none, and what its points mean is anybody's guess.
static bool temporality(Tocsin__Otlp__Temporality t, struct otlp_point *p)
{
    p->delta = t == TOCSIN__OTLP__TEMPORALITY__TEMPORALITY_DELTA;
    return p->delta || t == TOCSIN__OTLP__TEMPORALITY__TEMPORALITY_CUMULATIVE;
}

static void take_metric(struct otlp *o, const Tocsin__Otlp__Metric *m)
{
    char name[WIRE_NAME_MAX - 8]; // _bucket comes behind
    struct otlp_point p = {.name = name, .unit = m->unit ? m->unit : ""};
    bool sum = m->data_case == TOCSIN__OTLP__METRIC__DATA_SUM;
    enum otlp_kind kind = sum && m->sum->is_monotonic                        ? OTLP_COUNTER
                          : m->data_case == TOCSIN__OTLP__METRIC__DATA_GAUGE ? OTLP_GAUGE
                                                                             : OTLP_OTHER;
    bool stated = true;
    if (!m->name || !otlp_metric_name(m->name, p.unit, kind, name, sizeof(name))) {
        o->answer->points += points_of(m);
        reject(o, points_of(m), "`%.60s` is no name", m->name ? m->name : "");
        return;
    }
    switch (m->data_case) {
    case TOCSIN__OTLP__METRIC__DATA_GAUGE:
        take_numbers(o, &p, SERIES_GAUGE, m->gauge->data_points, m->gauge->n_data_points);
        break;
    case TOCSIN__OTLP__METRIC__DATA_SUM:
        stated = temporality(m->sum->aggregation_temporality, &p);
        if (stated)
            take_numbers(o, &p, m->sum->is_monotonic ? SERIES_COUNTER : SERIES_GAUGE,
                m->sum->data_points, m->sum->n_data_points);
        break;
    case TOCSIN__OTLP__METRIC__DATA_HISTOGRAM:
        stated = temporality(m->histogram->aggregation_temporality, &p);
        if (stated)
            take_histograms(o, &p, m->histogram);
        break;
    case TOCSIN__OTLP__METRIC__DATA_EXPONENTIAL_HISTOGRAM:
        stated = temporality(m->exponential_histogram->aggregation_temporality, &p);
        if (stated)
            take_exponentials(o, &p, m->exponential_histogram);
        break;
    case TOCSIN__OTLP__METRIC__DATA_SUMMARY: take_summaries(o, &p, m->summary); break;
    case TOCSIN__OTLP__METRIC__DATA__NOT_SET:
    case _TOCSIN__OTLP__METRIC__DATA__CASE_IS_INT_SIZE: break;
    }
    if (!stated) {
        o->answer->points += points_of(m);
        reject(o, points_of(m), "%s: neither delta nor cumulative", name);
    }
}

static int read_request(struct otlp *o, enum otlp_format format, const void *body, size_t len,
    const Tocsin__Otlp__ExportRequest **ret, struct err *err)
{
    struct unpack u;
    const void *m;
    arena_reset(&o->arena);
    if (format == OTLP_JSON)
        return otlp_json_read(body, len, &o->arena, ret, err);
    unpack_init(&u, &o->arena);
    int rc = unpack_message(&u, &tocsin__otlp__export_request__descriptor, body, len, &m, err);
    if (rc == 0)
        *ret = m;
    return rc;
}

int otlp_take(struct otlp *o, enum otlp_format format, const void *body, size_t len,
    int64_t wall_ms, struct otlp_answer *ret, struct err *err)
{
    const Tocsin__Otlp__ExportRequest *request;
    int rc = read_request(o, format, body, len, &request, err);
    if (rc < 0)
        return rc;
    *ret = (struct otlp_answer){0};
    o->answer = ret;
    otlp_series_begin(&o->series, wall_ms);
    for (size_t i = 0; i < request->n_resource_metrics; i++) {
        const Tocsin__Otlp__ResourceMetrics *r = request->resource_metrics[i];
        otlp_labels_resource(&o->series.labels, r->resource);
        for (size_t k = 0; k < r->n_scope_metrics; k++)
            for (size_t j = 0; j < r->scope_metrics[k]->n_metrics; j++)
                take_metric(o, r->scope_metrics[k]->metrics[j]);
    }
    otlp_series_end(&o->series);
    return 0;
}

void otlp_age(struct otlp *o, int64_t wall_ms)
{
    otlp_series_age(&o->series, wall_ms, o->age_ms);
}

int otlp_encode_answer(const struct otlp_answer *a, enum otlp_format format, struct buf *out)
{
    if (format == OTLP_JSON)
        return otlp_json_answer(a, out);
    char text[sizeof(a->reason)];
    Tocsin__Otlp__PartialSuccess partial = TOCSIN__OTLP__PARTIAL_SUCCESS__INIT;
    Tocsin__Otlp__ExportResponse response = TOCSIN__OTLP__EXPORT_RESPONSE__INIT;
    memcpy(text, a->reason, sizeof(text));
    partial.has_rejected_data_points = true;
    partial.rejected_data_points = (int64_t)a->rejected;
    partial.error_message = text;
    if (a->rejected)
        response.partial_success = &partial;
    size_t len = tocsin__otlp__export_response__get_packed_size(&response);
    if (buf_reserve(out, len + 1) < 0)
        return -ENOMEM;
    out->len += tocsin__otlp__export_response__pack(&response, out->data + out->len);
    return 0;
}
