// SPDX-License-Identifier: Apache-2.0
/*
 * io.prometheus.client.MetricFamily, each with its length before it. Read field by field instead of by a
 * generated reader: a family may hold ten thousand metrics, and what is needed at a time is one. The
 * fields used, as published with Prometheus's client model:
 *
 *     MetricFamily  name 1, type 3, metric 4          Metric    label 1, gauge 2, counter 3, summary 4,
 *     LabelPair     name 1, value 2                             untyped 5, timestamp_ms 6, histogram 7
 *     Gauge, Counter, Untyped  value 1                Summary   count 1, sum 2, quantile 3 (of 1, value 2)
 *     Histogram     exposition_histogram.c
 */
#include "agent/exposition_state.h"
#include "base/num.h"
#include "base/rune.h"
#include <errno.h>
#include <math.h>
#include <string.h>

// --- labels ------------------------------------------------------------------------------------------

static struct span text_of(struct fields f)
{
    return (struct span){(const char *)f.at, fields_left(&f)};
}

static bool take_pair(struct fields pair, struct span *name, struct span *value)
{
    struct field f;
    int rc;
    *name = *value = (struct span){"", 0};
    while ((rc = fields_next(&pair, &f)) == 1)
        if (f.type == FIELD_BYTES && f.number == 1)
            *name = text_of(f.body);
        else if (f.type == FIELD_BYTES && f.number == 2)
            *value = text_of(f.body);
    return rc == 0;
}

bool exposition_message_labels(struct exposition *x, const char **ret_name, struct err *err)
{
    struct fields r = x->metric;
    struct field f;
    struct span name, value;
    size_t more = strlen(x->suffix);
    char *whole = arena_alloc(&x->text, x->family.len + more + 1);
    if (!whole) {
        err_set(err, "out of memory");
        return false;
    }
    memcpy(whole, x->family.name, x->family.len);
    memcpy(whole + x->family.len, x->suffix, more + 1);
    *ret_name = whole;
    while (fields_next(&r, &f) == 1) { // they were read before
        if (f.number != 1 || f.type != FIELD_BYTES)
            continue;
        if (!take_pair(f.body, &name, &value) || !name.len || memchr(name.at, 0, name.len) ||
            memchr(value.at, 0, value.len) || !rune_text_ok(name.at, name.len) ||
            !rune_text_ok(value.at, value.len)) {
            exposition_bad(x, err, "%.200s: a label is not UTF-8", whole);
            return false;
        }
        if (!exposition_add_label(x, name.at, name.len, value.at, value.len, err))
            return false;
    }
    return !x->extra || exposition_add_label(x, x->extra, strlen(x->extra), x->extra_value,
                            strlen(x->extra_value), err);
}

// --- samples -----------------------------------------------------------------------------------------

// The key: name, labels as they are in the message, and what makes this one of several.
int exposition_give(
    struct exposition *x, const char *suffix, struct exposition_sample s, struct err *err)
{
    struct fields r = x->metric;
    struct field f;
    x->suffix = suffix;
    buf_reset(&x->key);
    buf_add(&x->key, x->family.name, x->family.len);
    buf_adds(&x->key, suffix);
    while (fields_next(&r, &f) == 1)
        if (f.number == 1 && f.type == FIELD_BYTES) {
            buf_addc(&x->key, '\xff');
            buf_add(&x->key, f.body.at, fields_left(&f.body));
        }
    if (x->extra) {
        buf_adds(&x->key, "\xff\xff");
        buf_adds(&x->key, x->extra_value);
    }
    if (x->key.failed) {
        err_set(err, "out of memory");
        return -ENOMEM;
    }
    size_t name_len = x->family.len + strlen(suffix);
    s.key = (const char *)x->key.data;
    s.key_len = x->key.len;
    s.has_stamp = x->has_stamp;
    s.stamp_ms = x->stamp_ms;
    s.kind = s.histogram ? SERIES_HISTOGRAM : exposition_kind(&x->family, s.key, name_len);
    s.unit = exposition_unit(s.key, name_len);
    return x->sample(x->ctx, x, &s, err) ? 0 : -EBADMSG;
}

int exposition_give_value(struct exposition *x, const char *suffix, double v, struct err *err)
{
    return exposition_give(x, suffix, (struct exposition_sample){.value = v}, err);
}

// A bound as OpenMetrics writes it: 1.0, 0.5, 1e+06, +Inf.
int exposition_give_bound(struct exposition *x, const char *suffix, const char *label,
    double bound, double v, struct err *err)
{
    char text[NUM_TEXT_MAX];
    size_t n = num_short(bound, text);
    bool whole = isfinite(bound) && !memchr(text, '.', n) && !memchr(text, 'e', n);
    x->extra = label;
    snprintf(x->extra_value, sizeof(x->extra_value), "%.*s%s", (int)n, text, whole ? ".0" : "");
    int rc = exposition_give_value(x, suffix, v, err);
    x->extra = NULL;
    return rc;
}

int exposition_broken(struct exposition *x, struct err *err)
{
    return exposition_bad(x, err, "%.200s: a message is broken", x->family.name);
}

static int take_simple(struct exposition *x, struct fields body, struct err *err)
{
    struct field f;
    double v = 0;
    int rc;
    while ((rc = fields_next(&body, &f)) == 1)
        if (f.number == 1 && f.type == FIELD_FIXED64)
            v = field_double(&f);
    return rc < 0 ? exposition_broken(x, err) : exposition_give_value(x, "", v, err);
}

static int take_quantile(struct exposition *x, struct fields body, struct err *err)
{
    struct field f;
    double quantile = 0, v = 0;
    int rc;
    while ((rc = fields_next(&body, &f)) == 1)
        if (f.type == FIELD_FIXED64 && f.number == 1)
            quantile = field_double(&f);
        else if (f.type == FIELD_FIXED64 && f.number == 2)
            v = field_double(&f);
    if (rc < 0)
        return exposition_broken(x, err);
    return exposition_give_bound(x, "", "quantile", quantile, v, err);
}

static int take_summary(struct exposition *x, struct fields body, struct err *err)
{
    struct fields r = body;
    struct field f;
    double count = 0, sum = 0;
    int rc;
    while ((rc = fields_next(&r, &f)) == 1)
        if (f.number == 1 && f.type == FIELD_VARINT)
            count = (double)f.value;
        else if (f.number == 2 && f.type == FIELD_FIXED64)
            sum = field_double(&f);
    if (rc < 0)
        return exposition_broken(x, err);
    rc = exposition_give_value(x, "_count", count, err);
    if (rc == 0)
        rc = exposition_give_value(x, "_sum", sum, err);
    while (rc == 0 && fields_next(&body, &f) == 1)
        if (f.number == 3 && f.type == FIELD_BYTES)
            rc = take_quantile(x, f.body, err);
    return rc;
}

// --- families ----------------------------------------------------------------------------------------

static int take_metric(struct exposition *x, struct fields body, struct err *err)
{
    struct fields r = body;
    struct field f, kind = {0};
    struct span name, value;
    int rc;
    if (!x->family.len)
        return exposition_bad(x, err, "a metric stands before the name of its family");
    x->has_stamp = false;
    x->stamp_ms = 0;
    while ((rc = fields_next(&r, &f)) == 1) {
        if (f.number == 6 && f.type == FIELD_VARINT) {
            x->has_stamp = f.value != 0;
            x->stamp_ms = (int64_t)f.value;
        } else if (f.type == FIELD_BYTES && f.number == 1) {
            if (!take_pair(f.body, &name, &value))
                return exposition_broken(x, err);
        } else if (f.type == FIELD_BYTES && f.number >= 2 && f.number <= 7) {
            kind = f;
        }
    }
    if (rc < 0)
        return exposition_broken(x, err);
    x->metric = body;
    x->extra = NULL;
    switch (kind.number) {
    case 2:
    case 3:
    case 5: return take_simple(x, kind.body, err);
    case 4: return take_summary(x, kind.body, err);
    case 7: return exposition_histogram(x, kind.body, err);
    default: return exposition_bad(x, err, "%.200s: a metric without a value", x->family.name);
    }
}

static int take_family_field(struct exposition *x, const struct field *f, struct err *err)
{
    static const enum family_type TYPES[] = {FAMILY_COUNTER, FAMILY_GAUGE, FAMILY_SUMMARY,
        FAMILY_UNKNOWN, FAMILY_HISTOGRAM, FAMILY_GAUGE_HISTOGRAM};
    if (f->number == 1 && f->type == FIELD_BYTES) {
        struct span name = text_of(f->body);
        if (!name.len || name.len > EXPOSITION_NAME_MAX || memchr(name.at, 0, name.len))
            return exposition_bad(x, err, "the name of a family is none");
        memcpy(x->family.name, name.at, name.len);
        x->family.name[name.len] = '\0';
        x->family.len = name.len;
    } else if (f->number == 3 && f->type == FIELD_VARINT) {
        x->family.type =
            f->value < sizeof(TYPES) / sizeof(TYPES[0]) ? TYPES[f->value] : FAMILY_UNKNOWN;
    } else if (f->number == 4 && f->type == FIELD_BYTES) {
        return take_metric(x, f->body, err);
    }
    return 0;
}

int exposition_messages(
    struct exposition *x, const uint8_t *data, size_t len, size_t *ret_used, struct err *err)
{
    struct fields r = fields_of(data, len);
    int rc = 1;
    while (rc == 1 && r.at < r.end) {
        if (!x->in_family) {
            rc = fields_varint(&r, &x->left);
            if (rc != 1)
                break;
            x->in_family = x->left > 0;
            x->family.len = 0;
            x->family.type = FAMILY_COUNTER; // of an enum the first is what is not said
            continue;
        }
        struct field f;
        uint64_t wanted = 0;
        struct fields part = r;
        if (fields_left(&part) > x->left)
            part.end = part.at + x->left;
        rc = fields_take(&part, &f, &wanted);
        if (rc == 0 && (fields_left(&r) >= x->left || wanted > x->left))
            rc = -EBADMSG; // the family ends before its field
        if (rc == 0 && wanted > EXPOSITION_LINE_MAX)
            return exposition_bad(
                x, err, "a metric has more than %u bytes", EXPOSITION_LINE_MAX);
        if (rc == 1) {
            x->left -= (uint64_t)(part.at - r.at);
            x->in_family = x->left > 0;
            r.at = part.at;
            int taken = take_family_field(x, &f, err);
            if (taken < 0)
                return taken;
        }
    }
    *ret_used = (size_t)(r.at - data);
    return rc < 0 ? exposition_bad(x, err, "this is no delimited protobuf") : 0;
}
