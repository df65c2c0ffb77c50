// SPDX-License-Identifier: Apache-2.0
#include "agent/otlp.h"
#include "agent/otlp.pb-c.h"
#include "agent/otlp_json.h"
#include "agent/otlp_name.h"
#include "agent/tally.h"
#include "base/buf.h"
#include "base/num.h"
#include "wire/name.h"
#include "wire/unpack.h"
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define LABELS_MAX  (WIRE_LABELS_MAX - 4) // room for what the intake adds
#define KEY_MAX     (16u << 10)
#define NO_VALUE    1u // bit of flags: the series has no value at that time
#define BUCKETS_MAX 4096
#define STAMPS_MAX  (INTAKE_STAMPS_MAX - 1)

typedef Tocsin__Otlp__KeyValue KeyValue; // the generator's names are long

static const struct wire_label LABELS[] = {{"job", "otlp"}};

struct otlp {
    struct otlp_options o;
    struct intake *intake;
    struct tally sums; // of differences
    struct arena arena;
    struct buf key;
    // While a body is read:
    struct otlp_answer *answer;
    int64_t wall_ms;
    int64_t stamps[STAMPS_MAX];
    size_t n_stamps;
    struct wire_label resource[LABELS_MAX], labels[LABELS_MAX + 1];
    size_t n_resource, n_labels;
    bool no_memory;
};

struct otlp *otlp_new(struct output *out, const struct otlp_options *options)
{
    struct otlp *o = calloc(1, sizeof(*o));
    if (!o)
        return NULL;
    o->o = *options;
    arena_init(&o->arena, OTLP_ARENA_MAX);
    buf_init(&o->key, KEY_MAX);
    int rc = tally_init(&o->sums, options->series_limit * OTLP_SUMS_FACTOR);
    // What the resource says of job stands.
    o->intake = intake_new(out, &(struct intake_options){.source = "otlp",
                                    .labels = LABELS,
                                    .n_labels = 1,
                                    .honor_labels = true,
                                    .series_limit = options->series_limit,
                                    .age_ms = options->age_ms});
    if (rc == 0 && o->intake)
        return o;
    otlp_free(o, 0);
    return NULL;
}

void otlp_free(struct otlp *o, int64_t wall_ms)
{
    if (!o)
        return;
    intake_free(o->intake, wall_ms);
    tally_done(&o->sums);
    arena_done(&o->arena);
    buf_done(&o->key);
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
        for (char *c = a->reason; *c;
             c++) // it is sent back: a name cut in a character is no text
            if ((unsigned char)*c < ' ' || *c & 0x80)
                *c = '?';
    }
    a->rejected += points;
}

// --- labels --------------------------------------------------------------------------------------

static const char *value_text(struct otlp *o, const Tocsin__Otlp__AnyValue *v)
{
    char text[NUM_FIXED_MAX];
    size_t n = 0;
    if (!v)
        return NULL;
    switch (v->value_case) {
    case TOCSIN__OTLP__ANY_VALUE__VALUE_STRING_VALUE: return v->string_value;
    case TOCSIN__OTLP__ANY_VALUE__VALUE_BOOL_VALUE: return v->bool_value ? "true" : "false";
    case TOCSIN__OTLP__ANY_VALUE__VALUE_INT_VALUE:
        n = (size_t)snprintf(text, sizeof(text), "%" PRId64, v->int_value);
        break;
    case TOCSIN__OTLP__ANY_VALUE__VALUE_DOUBLE_VALUE:
        n = num_fixed(v->double_value, text);
        break;
    case TOCSIN__OTLP__ANY_VALUE__VALUE__NOT_SET:
    case _TOCSIN__OTLP__ANY_VALUE__VALUE__CASE_IS_INT_SIZE: return NULL;
    }
    const char *copy = arena_strndup(&o->arena, text, n);
    o->no_memory |= !copy;
    return copy;
}

// Sorted in; two attributes that become one label are both told, as Prometheus does: "a;b".
static bool put_label(
    struct otlp *o, struct wire_label *l, size_t *n, const char *name, const char *value)
{
    size_t at = *n;
    while (at > 0 && strcmp(l[at - 1].name, name) > 0)
        at--;
    if (at > 0 && strcmp(l[at - 1].name, name) == 0) {
        size_t size = strlen(l[at - 1].value) + strlen(value) + 2;
        char *both = arena_alloc(&o->arena, size);
        o->no_memory |= !both;
        if (!both)
            return false;
        snprintf(both, size, "%s;%s", l[at - 1].value, value);
        l[at - 1].value = both;
        return true;
    }
    if (*n == LABELS_MAX)
        return false;
    memmove(l + at + 1, l + at, (*n - at) * sizeof(*l));
    l[at] = (struct wire_label){name, value};
    ++*n;
    return true;
}

static bool put_attribute(struct otlp *o, struct wire_label *l, size_t *n, const KeyValue *kv)
{
    char name[WIRE_NAME_MAX + 1];
    const char *value = value_text(o, kv->value);
    if (!value || !value[0] || !kv->key)
        return !o->no_memory; // what is no label's value is left out
    if (!otlp_label_name(kv->key, name, sizeof(name)))
        return false;
    const char *copy = arena_strndup(&o->arena, name, strlen(name));
    o->no_memory |= !copy;
    return copy && put_label(o, l, n, copy, value);
}

static void set_label(struct wire_label *l, size_t *n, const char *name, const char *value)
{
    size_t at = 0;
    while (at < *n && strcmp(l[at].name, name) < 0)
        at++;
    if (at < *n && strcmp(l[at].name, name) == 0) {
        l[at].value = value;
    } else if (*n < LABELS_MAX) {
        memmove(l + at + 1, l + at, (*n - at) * sizeof(*l));
        l[at] = (struct wire_label){name, value};
        ++*n;
    }
}

static bool listed(const struct otlp *o, const char *key)
{
    for (size_t i = 0; i < o->o.n_attributes; i++)
        if (strcmp(o->o.attributes[i], key) == 0)
            return true;
    return false;
}

static void read_resource(struct otlp *o, const Tocsin__Otlp__Resource *r)
{
    const char *name = NULL, *space = NULL, *instance = NULL;
    o->n_resource = 0;
    for (size_t i = 0; r && i < r->n_attributes; i++) {
        const KeyValue *kv = r->attributes[i];
        const char *value = kv->key ? value_text(o, kv->value) : NULL;
        if (!value || !value[0])
            continue;
        if (strcmp(kv->key, "service.name") == 0)
            name = value;
        else if (strcmp(kv->key, "service.namespace") == 0)
            space = value;
        else if (strcmp(kv->key, "service.instance.id") == 0)
            instance = value;
        if (listed(o, kv->key))
            put_attribute(o, o->resource, &o->n_resource, kv);
    }
    if (name && space) {
        size_t size = strlen(name) + strlen(space) + 2;
        char *job = arena_alloc(&o->arena, size);
        o->no_memory |= !job;
        if (job)
            snprintf(job, size, "%s/%s", space, name);
        name = job;
    }
    if (name)
        set_label(o->resource, &o->n_resource, "job", name);
    if (instance)
        set_label(o->resource, &o->n_resource, "instance", instance);
}

// Those of the point and, above them, of its resource.
static bool read_labels(struct otlp *o, KeyValue *const *attributes, size_t n)
{
    o->n_labels = 0;
    for (size_t i = 0; i < n; i++)
        if (!put_attribute(o, o->labels, &o->n_labels, attributes[i]))
            return false;
    for (size_t i = 0; i < o->n_resource; i++)
        set_label(o->labels, &o->n_labels, o->resource[i].name, o->resource[i].value);
    return true;
}

// --- series --------------------------------------------------------------------------------------

// Name and labels as bytes, with one label more where there is one.
static bool make_key(struct otlp *o, const char *name, const struct wire_label *extra)
{
    buf_reset(&o->key);
    buf_add(&o->key, name, strlen(name) + 1);
    if (extra) {
        buf_add(&o->key, extra->name, strlen(extra->name) + 1);
        buf_add(&o->key, extra->value, strlen(extra->value) + 1);
    }
    for (size_t i = 0; i < o->n_labels; i++) {
        buf_add(&o->key, o->labels[i].name, strlen(o->labels[i].name) + 1);
        buf_add(&o->key, o->labels[i].value, strlen(o->labels[i].value) + 1);
    }
    return !o->key.failed;
}

// The series of the key. 0: err.
static uint32_t series_of(struct otlp *o, const char *name, const struct wire_label *extra,
    enum series_kind kind, const char *unit, struct err *err)
{
    struct wire_label l[LABELS_MAX + 1];
    size_t n = 0;
    uint32_t series = intake_find(o->intake, o->key.data, o->key.len);
    if (series)
        return series;
    if (extra)
        l[n++] = *extra;
    memcpy(l + n, o->labels, o->n_labels * sizeof(*l));
    return intake_add(o->intake, o->key.data, o->key.len, name, l, n + o->n_labels, kind,
        wire_text_ok(unit, 0, WIRE_UNIT_MAX) ? unit : "", err);
}

// At most STAMPS_MAX times in one body: those beyond, and any that lie far off, are now.
static int64_t stamp_of(struct otlp *o, uint64_t time_ns)
{
    int64_t ms = (int64_t)(time_ns / 1000000);
    if (ms < o->wall_ms - OTLP_LATE_MS || ms > o->wall_ms + OTLP_EARLY_MS)
        return 0;
    for (size_t i = 0; i < o->n_stamps; i++)
        if (o->stamps[i] == ms)
            return ms;
    if (o->n_stamps == STAMPS_MAX)
        return 0;
    o->stamps[o->n_stamps++] = ms;
    return ms;
}

struct point {
    const char *name, *unit;
    int64_t stamp_ms;
    bool delta;
};

// The sum so far of the series whose key was made. NULL: rejected.
static struct tally_entry *sum_of(struct otlp *o, enum tally_kind kind)
{
    struct tally_entry *e = tally_at(&o->sums, o->key.data, o->key.len, kind);
    if (!e || e->kind != kind)
        return NULL;
    e->touched_ns = o->wall_ms * 1000000;
    return e;
}

static bool put_number(struct otlp *o, const struct point *p, const char *name,
    const struct wire_label *extra, enum series_kind kind, double value, struct err *err)
{
    err_set(err, "out of room");
    if (!make_key(o, name, extra))
        return false;
    if (p->delta) {
        struct tally_entry *e = sum_of(o, TALLY_GAUGE);
        if (!e)
            return false;
        value = e->value += value;
    }
    uint32_t series = series_of(o, name, extra, kind, p->unit, err);
    if (!series)
        return false;
    intake_set(o->intake, series, value, p->stamp_ms);
    return true;
}

// --- points --------------------------------------------------------------------------------------

static void take_numbers(struct otlp *o, const struct point *of, enum series_kind kind,
    Tocsin__Otlp__NumberPoint *const *points, size_t n)
{
    struct err err;
    for (size_t i = 0; i < n; i++) {
        const Tocsin__Otlp__NumberPoint *m = points[i];
        struct point p = *of;
        bool whole = m->value_case == TOCSIN__OTLP__NUMBER_POINT__VALUE_AS_INT;
        p.stamp_ms = stamp_of(o, m->time_unix_nano);
        o->answer->points++;
        if (m->flags & NO_VALUE)
            continue;
        if (m->value_case != TOCSIN__OTLP__NUMBER_POINT__VALUE_AS_DOUBLE && !whole)
            reject(o, 1, "%s: a point has no value", p.name);
        else if (!read_labels(o, m->attributes, m->n_attributes))
            reject(o, 1, "%s: attributes that cannot be labels", p.name);
        else if (!put_number(
                     o, &p, p.name, NULL, kind, whole ? (double)m->as_int : m->as_double, &err))
            reject(o, 1, "%s: %s", p.name, err.msg);
    }
}

// NAME_bucket, NAME_count and NAME_sum. False: err.
static bool put_buckets(struct otlp *o, const struct point *p,
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
        ok = put_number(o, p, name, &l, SERIES_COUNTER, (double)below, err);
    }
    struct wire_label all = {"le", "+Inf"};
    ok = ok && put_number(o, p, name, &all, SERIES_COUNTER, (double)m->count, err);
    snprintf(name, sizeof(name), "%s_count", p->name);
    ok = ok && put_number(o, p, name, NULL, SERIES_COUNTER, (double)m->count, err);
    snprintf(name, sizeof(name), "%s_sum", p->name);
    return ok && (!m->has_sum || put_number(o, p, name, NULL, SERIES_COUNTER, m->sum, err));
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
    struct otlp *o, const struct point *of, const Tocsin__Otlp__Histogram *h)
{
    struct err err;
    for (size_t i = 0; i < h->n_data_points; i++) {
        const Tocsin__Otlp__HistogramPoint *m = h->data_points[i];
        struct point p = *of;
        p.stamp_ms = stamp_of(o, m->time_unix_nano);
        o->answer->points++;
        if (m->flags & NO_VALUE)
            continue;
        const char *fault = histogram_fault(m);
        if (fault)
            reject(o, 1, "%s: %s", p.name, fault);
        else if (!read_labels(o, m->attributes, m->n_attributes))
            reject(o, 1, "%s: attributes that cannot be labels", p.name);
        else if (!put_buckets(o, &p, m, &err))
            reject(o, 1, "%s: %s", p.name, err.msg);
    }
}

// Adds the point to e. NULL, or what is wrong with it; e is then of no use.
static const char *add_point(struct expo *e, const Tocsin__Otlp__ExponentialPoint *m)
{
    const Tocsin__Otlp__Buckets *b = m->positive;
    if (m->scale < WIRE_SCALE_MIN || m->scale > 20)
        return "scale out of range";
    if (expo_add_zero(e, m->zero_count) < 0)
        return "counts overflow";
    for (size_t i = 0; b && i < b->n_bucket_counts; i++) {
        // Theirs are numbered by the lower bound, ours by the upper.
        int64_t index = (int64_t)b->offset + (int64_t)i + 1;
        if (index < INT32_MIN || index > INT32_MAX)
            return "bucket out of range";
        int rc = expo_add(e, m->scale, (int32_t)index, b->bucket_counts[i]);
        if (rc < 0)
            return rc == -ENOMEM ? "out of memory" : "bucket out of range";
    }
    e->sum += m->has_sum ? m->sum : 0;
    return NULL;
}

static bool any_count(const Tocsin__Otlp__Buckets *b)
{
    for (size_t i = 0; b && i < b->n_bucket_counts; i++)
        if (b->bucket_counts[i])
            return true;
    return false;
}

static void put_exponential(
    struct otlp *o, const struct point *p, const Tocsin__Otlp__ExponentialPoint *m)
{
    struct expo once, *e = &once;
    struct err err = {.msg = "out of room"};
    expo_init(&once, WIRE_SCALE);
    uint32_t series = make_key(o, p->name, NULL)
                          ? series_of(o, p->name, NULL, SERIES_HISTOGRAM, p->unit, &err)
                          : 0;
    struct tally_entry *sum = series && p->delta ? sum_of(o, TALLY_TIMER) : NULL;
    const char *fault = series && (sum || !p->delta) ? add_point(&once, m) : err.msg;
    if (!fault && sum) {
        // First alone, so that a broken point leaves the sum as it was.
        e = &sum->expo;
        fault = add_point(e, m);
    }
    if (fault) {
        reject(o, 1, "%s: %s", p->name, fault);
    } else {
        struct wire_histogram h = expo_wire(e);
        h.zero_threshold =
            isfinite(m->zero_threshold) && m->zero_threshold > 0 ? m->zero_threshold : 0;
        intake_set_histogram(o->intake, series, &h, p->stamp_ms);
    }
    expo_done(&once);
}

static void take_exponentials(
    struct otlp *o, const struct point *of, const Tocsin__Otlp__ExponentialHistogram *h)
{
    for (size_t i = 0; i < h->n_data_points; i++) {
        const Tocsin__Otlp__ExponentialPoint *m = h->data_points[i];
        struct point p = *of;
        p.stamp_ms = stamp_of(o, m->time_unix_nano);
        o->answer->points++;
        if (m->flags & NO_VALUE)
            continue;
        if (any_count(m->negative))
            reject(o, 1, "%s: negative observations have no place here", p.name);
        else if (!read_labels(o, m->attributes, m->n_attributes))
            reject(o, 1, "%s: attributes that cannot be labels", p.name);
        else
            put_exponential(o, &p, m);
    }
}

static bool put_summary(
    struct otlp *o, const struct point *p, const Tocsin__Otlp__SummaryPoint *m, struct err *err)
{
    char name[WIRE_NAME_MAX + 16], text[NUM_FIXED_MAX + 1];
    bool ok = true;
    for (size_t i = 0; ok && i < m->n_quantile_values; i++) {
        text[num_fixed(m->quantile_values[i]->quantile, text)] = '\0';
        struct wire_label l = {"quantile", text};
        ok = put_number(o, p, p->name, &l, SERIES_GAUGE, m->quantile_values[i]->value, err);
    }
    snprintf(name, sizeof(name), "%s_count", p->name);
    ok = ok && put_number(o, p, name, NULL, SERIES_COUNTER, (double)m->count, err);
    snprintf(name, sizeof(name), "%s_sum", p->name);
    return ok && put_number(o, p, name, NULL, SERIES_COUNTER, m->sum, err);
}

static void take_summaries(
    struct otlp *o, const struct point *of, const Tocsin__Otlp__Summary *s)
{
    struct err err;
    for (size_t i = 0; i < s->n_data_points; i++) {
        const Tocsin__Otlp__SummaryPoint *m = s->data_points[i];
        struct point p = *of;
        p.stamp_ms = stamp_of(o, m->time_unix_nano);
        o->answer->points++;
        if (m->flags & NO_VALUE)
            continue;
        if (!read_labels(o, m->attributes, m->n_attributes))
            reject(o, 1, "%s: attributes that cannot be labels", p.name);
        else if (!put_summary(o, &p, m, &err))
            reject(o, 1, "%s: %s", p.name, err.msg);
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
static bool temporality(Tocsin__Otlp__Temporality t, struct point *p)
{
    p->delta = t == TOCSIN__OTLP__TEMPORALITY__TEMPORALITY_DELTA;
    return p->delta || t == TOCSIN__OTLP__TEMPORALITY__TEMPORALITY_CUMULATIVE;
}

static void take_metric(struct otlp *o, const Tocsin__Otlp__Metric *m)
{
    char name[WIRE_NAME_MAX - 8]; // _bucket comes behind
    struct point p = {.name = name, .unit = m->unit ? m->unit : ""};
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
    o->wall_ms = wall_ms;
    o->n_stamps = 0;
    o->no_memory = false;
    intake_begin(o->intake, wall_ms);
    for (size_t i = 0; i < request->n_resource_metrics; i++) {
        const Tocsin__Otlp__ResourceMetrics *r = request->resource_metrics[i];
        read_resource(o, r->resource);
        for (size_t k = 0; k < r->n_scope_metrics; k++)
            for (size_t j = 0; j < r->scope_metrics[k]->n_metrics; j++)
                take_metric(o, r->scope_metrics[k]->metrics[j]);
    }
    intake_end(o->intake, true, NULL);
    return 0;
}

void otlp_age(struct otlp *o, int64_t wall_ms)
{
    intake_begin(o->intake, wall_ms);
    intake_end(o->intake, true, NULL);
    tally_sweep(&o->sums, (wall_ms - o->o.age_ms) * 1000000);
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
