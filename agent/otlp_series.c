// SPDX-License-Identifier: Apache-2.0
#include "agent/otlp_series.h"
#include "wire/name.h"
#include <errno.h>
#include <math.h>
#include <string.h>

#define SERIES_LABELS (OTLP_LABELS_MAX + 1)
#define KEY_MAX       (16u << 10)

static const struct wire_label LABELS[] = {{"job", "otlp"}};

int otlp_series_init(struct otlp_series *s, struct output *out, size_t series_limit,
    int64_t age_ms, struct arena *arena)
{
    s->labels.arena = arena;
    buf_init(&s->key, KEY_MAX);
    int rc = tally_init(&s->sums, series_limit * OTLP_SUMS_FACTOR);
    // What the resource says of job stands.
    s->intake = intake_new(out, &(struct intake_options){.source = "otlp",
                                    .labels = LABELS,
                                    .n_labels = 1,
                                    .honor_labels = true,
                                    .series_limit = series_limit,
                                    .age_ms = age_ms});
    return rc < 0 ? rc : s->intake ? 0 : -ENOMEM;
}

void otlp_series_done(struct otlp_series *s, int64_t wall_ms)
{
    intake_free(s->intake, wall_ms);
    tally_done(&s->sums);
    buf_done(&s->key);
}

void otlp_series_begin(struct otlp_series *s, int64_t wall_ms)
{
    s->wall_ms = wall_ms;
    s->n_stamps = 0;
    s->labels.no_memory = false;
    intake_begin(s->intake, wall_ms);
}

void otlp_series_end(struct otlp_series *s)
{
    intake_end(s->intake, true, NULL);
}

void otlp_series_age(struct otlp_series *s, int64_t wall_ms, int64_t age_ms)
{
    otlp_series_begin(s, wall_ms);
    otlp_series_end(s);
    tally_sweep(&s->sums, (wall_ms - age_ms) * 1000000);
}

// The labels of the point, with one more where there is one. Returns how many.
static size_t labels_with(const struct otlp_series *s, const struct wire_label *extra,
    struct wire_label l[static SERIES_LABELS])
{
    size_t n = 0;
    if (extra)
        l[n++] = *extra;
    memcpy(l + n, s->labels.l, s->labels.n * sizeof(*l));
    return n + s->labels.n;
}

static bool make_key(struct otlp_series *s, const char *name, const struct wire_label *extra)
{
    struct wire_label l[SERIES_LABELS];
    return intake_key(&s->key, name, l, labels_with(s, extra, l));
}

// The series of the key. 0: err.
static uint32_t series_of(struct otlp_series *s, const char *name,
    const struct wire_label *extra, enum series_kind kind, const char *unit, struct err *err)
{
    struct wire_label l[SERIES_LABELS];
    uint32_t series = intake_find(s->intake, s->key.data, s->key.len);
    if (series)
        return series;
    return intake_add(s->intake, s->key.data, s->key.len, name, l, labels_with(s, extra, l),
        kind, wire_text_ok(unit, 0, WIRE_UNIT_MAX) ? unit : "", err);
}

// At most OTLP_STAMPS_MAX times in one body: those beyond, and any that lie far off, are now.
int64_t otlp_series_stamp(struct otlp_series *s, uint64_t time_ns)
{
    int64_t ms = (int64_t)(time_ns / 1000000);
    if (ms < s->wall_ms - OTLP_LATE_MS || ms > s->wall_ms + OTLP_EARLY_MS)
        return 0;
    for (size_t i = 0; i < s->n_stamps; i++)
        if (s->stamps[i] == ms)
            return ms;
    if (s->n_stamps == OTLP_STAMPS_MAX)
        return 0;
    s->stamps[s->n_stamps++] = ms;
    return ms;
}

// The sum so far of the series whose key was made. NULL: rejected.
static struct tally_entry *sum_of(struct otlp_series *s, enum tally_kind kind)
{
    struct tally_entry *e = tally_at(&s->sums, s->key.data, s->key.len, kind);
    if (!e || e->kind != kind)
        return NULL;
    e->touched_ns = s->wall_ms * 1000000;
    return e;
}

bool otlp_series_number(struct otlp_series *s, const struct otlp_point *p, const char *name,
    const struct wire_label *extra, enum series_kind kind, double value, struct err *err)
{
    err_set(err, "out of room");
    if (!make_key(s, name, extra))
        return false;
    if (p->delta) {
        struct tally_entry *e = sum_of(s, TALLY_GAUGE);
        if (!e)
            return false;
        value = e->value += value;
    }
    uint32_t series = series_of(s, name, extra, kind, p->unit, err);
    if (!series)
        return false;
    intake_set(s->intake, series, value, p->stamp_ms);
    return true;
}

// --- exponential histograms ----------------------------------------------------------------------

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

bool otlp_series_exponential(struct otlp_series *s, const struct otlp_point *p,
    const Tocsin__Otlp__ExponentialPoint *m, struct err *err)
{
    struct expo once, *e = &once;
    struct tally_entry *sum = NULL;
    uint32_t series = 0;
    err_set(err, "out of room");
    if (make_key(s, p->name, NULL))
        series = series_of(s, p->name, NULL, SERIES_HISTOGRAM, p->unit, err);
    if (series && p->delta)
        sum = sum_of(s, TALLY_TIMER);
    if (!series || (p->delta && !sum))
        return false;
    expo_init(&once, WIRE_SCALE);
    const char *fault = add_point(&once, m);
    if (!fault && sum) {
        // First alone, so that a broken point leaves the sum as it was.
        e = &sum->expo;
        fault = add_point(e, m);
    }
    if (fault) {
        err_set(err, "%s", fault);
    } else {
        struct wire_histogram h = expo_wire(e);
        h.zero_threshold =
            isfinite(m->zero_threshold) && m->zero_threshold > 0 ? m->zero_threshold : 0;
        intake_set_histogram(s->intake, series, &h, p->stamp_ms);
    }
    expo_done(&once);
    return !fault;
}
