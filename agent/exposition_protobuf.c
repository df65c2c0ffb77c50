// SPDX-License-Identifier: Apache-2.0
/*
 * io.prometheus.client.MetricFamily, each with its length before it. Read field by field instead of by a
 * generated reader: a family may hold ten thousand metrics, and what is needed at a time is one. The
 * fields used, as published with Prometheus's client model:
 *
 *     MetricFamily  name 1, type 3, metric 4          Metric    label 1, gauge 2, counter 3, summary 4,
 *     LabelPair     name 1, value 2                             untyped 5, timestamp_ms 6, histogram 7
 *     Gauge, Counter, Untyped  value 1                Summary   count 1, sum 2, quantile 3 (of 1, value 2)
 *     Histogram     count 1 (float 4), sum 2, bucket 3, schema 5, zero_threshold 6, zero_count 7 (float
 *                   8), negative_span 9, _delta 10, _count 11, positive_span 12, _delta 13, _count 14
 *     Bucket        cumulative_count 1 (float 4), upper_bound 2        BucketSpan  offset 1, length 2
 */
#include "agent/exposition_state.h"
#include "base/num.h"
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

// --- the wire of protobuf ----------------------------------------------------------------------------

struct reader {
    const uint8_t *at, *end;
};

enum wire_type { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 };

struct field {
    uint32_t number;
    enum wire_type type;
    uint64_t value; // VARINT and the bits of FIXED
    struct span bytes;
};

// 1 read, 0 not whole yet, -EBADMSG.
static int take_varint(struct reader *r, uint64_t *ret)
{
    uint64_t v = 0;
    const uint8_t *s = r->at;
    for (int shift = 0; shift < 70; shift += 7) {
        if (s == r->end)
            return 0;
        v |= (uint64_t)(*s & 0x7f) << (shift < 64 ? shift : 63);
        if (!(*s++ & 0x80)) {
            r->at = s;
            *ret = v;
            return 1;
        }
    }
    return -EBADMSG;
}

static int take_fixed(struct reader *r, size_t size, uint64_t *ret)
{
    if ((size_t)(r->end - r->at) < size)
        return 0;
    *ret = 0;
    memcpy(ret, r->at, size); // little-endian, as all hosts we build for
    r->at += size;
    return 1;
}

// As take_varint. Of BYTES that are not all there only *ret_wanted is set: how many there will be.
static int take_field(struct reader *r, struct field *f, uint64_t *ret_wanted)
{
    struct reader begun = *r;
    uint64_t key, len;
    int rc = take_varint(r, &key);
    if (rc != 1)
        return rc;
    if (key >> 3 == 0 || key >> 3 > UINT32_MAX)
        return -EBADMSG;
    *f = (struct field){.number = (uint32_t)(key >> 3), .type = (enum wire_type)(key & 7)};
    if (f->type == VARINT) {
        rc = take_varint(r, &f->value);
    } else if (f->type == FIXED64) {
        rc = take_fixed(r, 8, &f->value);
    } else if (f->type == FIXED32) {
        rc = take_fixed(r, 4, &f->value);
    } else if (f->type == BYTES) {
        rc = take_varint(r, &len);
        if (rc == 1 && len > (uint64_t)(r->end - r->at)) {
            *ret_wanted = len;
            rc = 0;
        }
        if (rc == 1) {
            f->bytes = (struct span){(const char *)r->at, (size_t)len};
            r->at += len;
        }
    } else {
        rc = -EBADMSG;
    }
    if (rc != 1)
        *r = begun;
    return rc;
}

static struct reader reader_of(struct span s)
{
    return (struct reader){(const uint8_t *)s.at, (const uint8_t *)s.at + s.len};
}

// The next field of a message that is whole. 1; 0 at its end; -EBADMSG.
static int next_field(struct reader *r, struct field *f)
{
    uint64_t wanted;
    if (r->at == r->end)
        return 0;
    int rc = take_field(r, f, &wanted);
    return rc == 0 ? -EBADMSG : rc;
}

static double real(uint64_t bits)
{
    double v;
    memcpy(&v, &bits, sizeof(v));
    return v;
}

static int64_t unzigzag(uint64_t v)
{
    return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

// --- labels ------------------------------------------------------------------------------------------

static bool take_pair(struct span pair, struct span *name, struct span *value)
{
    struct reader r = reader_of(pair);
    struct field f;
    int rc;
    *name = *value = (struct span){"", 0};
    while ((rc = next_field(&r, &f)) == 1)
        if (f.type == BYTES && f.number == 1)
            *name = f.bytes;
        else if (f.type == BYTES && f.number == 2)
            *value = f.bytes;
    return rc == 0;
}

bool exposition_message_labels(struct exposition *x, const char **ret_name, struct err *err)
{
    struct reader r = reader_of(x->metric);
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
    while (next_field(&r, &f) == 1) { // they were read before
        if (f.number != 1 || f.type != BYTES)
            continue;
        if (!take_pair(f.bytes, &name, &value) || !name.len || memchr(name.at, 0, name.len) ||
            memchr(value.at, 0, value.len) || !exposition_utf8_ok(name.at, name.len) ||
            !exposition_utf8_ok(value.at, value.len)) {
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

struct metric {
    bool has_stamp;
    int64_t stamp_ms;
};

// The key: name, labels as they are in the message, and what makes this one of several.
static int give(struct exposition *x, const struct metric *m, const char *suffix,
    struct exposition_sample s, struct err *err)
{
    struct reader r = reader_of(x->metric);
    struct field f;
    x->suffix = suffix;
    buf_reset(&x->key);
    buf_add(&x->key, x->family.name, x->family.len);
    buf_adds(&x->key, suffix);
    while (next_field(&r, &f) == 1)
        if (f.number == 1 && f.type == BYTES) {
            buf_addc(&x->key, '\xff');
            buf_add(&x->key, f.bytes.at, f.bytes.len);
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
    s.has_stamp = m->has_stamp;
    s.stamp_ms = m->stamp_ms;
    s.kind = s.histogram ? SERIES_HISTOGRAM : exposition_kind(&x->family, s.key, name_len);
    s.unit = exposition_unit(s.key, name_len);
    return x->sample(x->ctx, x, &s, err) ? 0 : -EBADMSG;
}

static int give_value(
    struct exposition *x, const struct metric *m, const char *suffix, double v, struct err *err)
{
    return give(x, m, suffix, (struct exposition_sample){.value = v}, err);
}

// A bound as OpenMetrics writes it: 1.0, 0.5, 1e+06, +Inf.
static void set_extra(struct exposition *x, const char *label, double bound)
{
    char text[NUM_TEXT_MAX];
    size_t n = num_short(bound, text);
    bool whole = isfinite(bound) && !memchr(text, '.', n) && !memchr(text, 'e', n);
    x->extra = label;
    snprintf(x->extra_value, sizeof(x->extra_value), "%.*s%s", (int)n, text, whole ? ".0" : "");
}

static int bad(struct exposition *x, struct err *err)
{
    return exposition_bad(x, err, "%.200s: a message is broken", x->family.name);
}

static int take_simple(
    struct exposition *x, const struct metric *m, struct span body, struct err *err)
{
    struct reader r = reader_of(body);
    struct field f;
    double v = 0;
    int rc;
    while ((rc = next_field(&r, &f)) == 1)
        if (f.number == 1 && f.type == FIXED64)
            v = real(f.value);
    return rc < 0 ? bad(x, err) : give_value(x, m, "", v, err);
}

static int take_quantile(
    struct exposition *x, const struct metric *m, struct span body, struct err *err)
{
    struct reader r = reader_of(body);
    struct field f;
    double quantile = 0, v = 0;
    int rc;
    while ((rc = next_field(&r, &f)) == 1)
        if (f.type == FIXED64 && f.number == 1)
            quantile = real(f.value);
        else if (f.type == FIXED64 && f.number == 2)
            v = real(f.value);
    if (rc < 0)
        return bad(x, err);
    set_extra(x, "quantile", quantile);
    rc = give_value(x, m, "", v, err);
    x->extra = NULL;
    return rc;
}

static int take_summary(
    struct exposition *x, const struct metric *m, struct span body, struct err *err)
{
    struct reader r = reader_of(body);
    struct field f;
    double count = 0, sum = 0;
    int rc;
    while ((rc = next_field(&r, &f)) == 1)
        if (f.number == 1 && f.type == VARINT)
            count = (double)f.value;
        else if (f.number == 2 && f.type == FIXED64)
            sum = real(f.value);
    if (rc < 0)
        return bad(x, err);
    rc = give_value(x, m, "_count", count, err);
    if (rc == 0)
        rc = give_value(x, m, "_sum", sum, err);
    r = reader_of(body);
    while (rc == 0 && next_field(&r, &f) == 1)
        if (f.number == 3 && f.type == BYTES)
            rc = take_quantile(x, m, f.bytes, err);
    return rc;
}

// --- histograms --------------------------------------------------------------------------------------

struct histogram {
    double count, sum, zero_threshold;
    uint64_t zero_count;
    int32_t schema;
    bool native, unsupported, has_infinite;
};

static int take_bucket(struct exposition *x, const struct metric *m, struct histogram *h,
    struct span body, struct err *err)
{
    struct reader r = reader_of(body);
    struct field f;
    double count = 0, bound = 0;
    int rc;
    while ((rc = next_field(&r, &f)) == 1)
        if (f.number == 1 && f.type == VARINT)
            count = (double)f.value;
        else if (f.number == 4 && f.type == FIXED64 && real(f.value) > 0)
            count = real(f.value);
        else if (f.number == 2 && f.type == FIXED64)
            bound = real(f.value);
    if (rc < 0)
        return bad(x, err);
    h->has_infinite |= bound == INFINITY;
    set_extra(x, "le", bound);
    rc = give_value(x, m, "_bucket", count, err);
    x->extra = NULL;
    return rc;
}

static int give_classic(struct exposition *x, const struct metric *m, struct histogram *h,
    struct span body, struct err *err)
{
    struct reader r = reader_of(body);
    struct field f;
    int rc = give_value(x, m, "_count", h->count, err);
    if (rc == 0)
        rc = give_value(x, m, "_sum", h->sum, err);
    while (rc == 0 && next_field(&r, &f) == 1)
        if (f.number == 3 && f.type == BYTES)
            rc = take_bucket(x, m, h, f.bytes, err);
    if (rc == 0 && !h->has_infinite) { // it may be left out
        set_extra(x, "le", INFINITY);
        rc = give_value(x, m, "_bucket", h->count, err);
        x->extra = NULL;
    }
    return rc;
}

// The positive buckets as they stand: spans of numbers, and the difference of each count to the last.
struct buckets {
    struct reader spans, deltas; // fields of the histogram; deltas may be packed
    struct reader packed;
    int64_t count, index;
};

static int next_delta(struct buckets *b, int64_t *ret)
{
    struct field f;
    uint64_t v;
    for (;;) {
        if (b->packed.at < b->packed.end) {
            if (take_varint(&b->packed, &v) != 1)
                return -EBADMSG;
            *ret = unzigzag(v);
            return 1;
        }
        int rc = next_field(&b->deltas, &f);
        if (rc != 1)
            return rc;
        if (f.number == 13 && f.type == BYTES)
            b->packed = reader_of(f.bytes);
        if (f.number == 13 && f.type == VARINT) {
            *ret = unzigzag(f.value);
            return 1;
        }
    }
}

static int next_span(struct buckets *b, int64_t *ret_offset, uint64_t *ret_len)
{
    struct field f, part;
    int rc;
    while ((rc = next_field(&b->spans, &f)) == 1) {
        if (f.number != 12 || f.type != BYTES)
            continue;
        struct reader r = reader_of(f.bytes);
        *ret_offset = 0;
        *ret_len = 0;
        while ((rc = next_field(&r, &part)) == 1)
            if (part.number == 1 && part.type == VARINT)
                *ret_offset = unzigzag(part.value);
            else if (part.number == 2 && part.type == VARINT)
                *ret_len = part.value;
        return rc < 0 ? rc : 1;
    }
    return rc;
}

// 0 and the buckets in x; 1: more or stranger ones than we can keep; -EBADMSG.
static int read_buckets(struct exposition *x, struct span body, uint32_t *ret_n)
{
    struct buckets b = {.spans = reader_of(body), .deltas = reader_of(body)};
    int64_t offset, delta;
    uint64_t len;
    uint32_t n = 0;
    int rc;
    while ((rc = next_span(&b, &offset, &len)) == 1) {
        if (offset < -WIRE_INDEX_MAX || offset > WIRE_INDEX_MAX)
            return 1;
        b.index += offset;
        for (; len > 0; len--, b.index++) {
            rc = next_delta(&b, &delta);
            if (rc != 1)
                return -EBADMSG;
            if (__builtin_add_overflow(b.count, delta, &b.count) || b.count < 0)
                return -EBADMSG;
            if (b.index < -WIRE_INDEX_MAX || b.index > WIRE_INDEX_MAX ||
                (n && b.index <= x->native->index[n - 1]))
                return 1;
            if (b.count == 0)
                continue;
            if (n == NATIVE_MAX)
                return 1;
            x->native->index[n] = (int32_t)b.index;
            x->native->count[n++] = (uint64_t)b.count;
        }
    }
    *ret_n = n;
    return rc;
}

// Two neighbours become one until they fit the wire: i of scale s lies in ceil(i / 2) of s - 1.
static void coarsen(struct exposition *x, struct wire_histogram *h)
{
    while (h->n > WIRE_BUCKETS_MAX && h->scale > WIRE_SCALE_MIN) {
        uint32_t kept = 0;
        for (uint32_t i = 0; i < h->n; i++) {
            int32_t index = (x->native->index[i] + 1) >> 1;
            if (kept && x->native->index[kept - 1] == index) {
                x->native->count[kept - 1] += x->native->count[i];
                continue;
            }
            x->native->index[kept] = index;
            x->native->count[kept++] = x->native->count[i];
        }
        h->n = kept;
        h->scale--;
    }
}

static int give_native(struct exposition *x, const struct metric *m, const struct histogram *h,
    struct span body, struct err *err)
{
    if (!x->native && !(x->native = malloc(sizeof(*x->native)))) {
        err_set(err, "out of memory");
        return -ENOMEM;
    }
    struct wire_histogram w = {.scale = h->schema,
        .zero_threshold = h->zero_threshold,
        .zero_count = h->zero_count,
        .sum = h->sum,
        .index = x->native->index,
        .count = x->native->count};
    int rc = h->unsupported ? 1 : read_buckets(x, body, &w.n);
    if (rc < 0)
        return bad(x, err);
    if (rc == 0)
        coarsen(x, &w);
    return give(
        x, m, "", (struct exposition_sample){.histogram = &w, .unsupported = rc == 1}, err);
}

static int take_histogram(
    struct exposition *x, const struct metric *m, struct span body, struct err *err)
{
    struct reader r = reader_of(body);
    struct histogram h = {0};
    struct field f;
    int rc;
    while ((rc = next_field(&r, &f)) == 1) {
        double v = f.type == FIXED64 ? real(f.value) : 0;
        switch (f.number) {
        case 1: h.count = (double)f.value; break;
        case 2: h.sum = v; break;
        case 4: // of gauge histograms: counts that are no whole numbers
            if (v > 0)
                h.count = v;
            h.unsupported |= v > 0;
            break;
        case 5: h.schema = (int32_t)unzigzag(f.value); break;
        case 6:
            h.zero_threshold = v;
            h.native |= v > 0;
            break;
        case 7:
            h.zero_count = f.value;
            h.native |= f.value > 0;
            break;
        case 8:
            h.unsupported |= v > 0;
            h.native |= v > 0;
            break;
        case 9:
            h.native = true;
            h.unsupported |= f.bytes.len > 0; // negative observations
            break;
        case 11:
        case 14: h.unsupported = true; break;
        case 12: h.native = true; break;
        default: break;
        }
    }
    if (rc < 0)
        return bad(x, err);
    h.unsupported |= h.schema < WIRE_SCALE_MIN || h.schema > WIRE_SCALE_MAX;
    return h.native ? give_native(x, m, &h, body, err) : give_classic(x, m, &h, body, err);
}

// --- families ----------------------------------------------------------------------------------------

static int take_metric(struct exposition *x, struct span body, struct err *err)
{
    struct reader r = reader_of(body);
    struct metric m = {0};
    struct field f, kind = {0};
    struct span name, value;
    int rc;
    if (!x->family.len)
        return exposition_bad(x, err, "a metric stands before the name of its family");
    while ((rc = next_field(&r, &f)) == 1) {
        if (f.number == 6 && f.type == VARINT) {
            m.has_stamp = f.value != 0;
            m.stamp_ms = (int64_t)f.value;
        } else if (f.type == BYTES && f.number == 1) {
            if (!take_pair(f.bytes, &name, &value))
                return bad(x, err);
        } else if (f.type == BYTES && f.number >= 2 && f.number <= 7) {
            kind = f;
        }
    }
    if (rc < 0)
        return bad(x, err);
    x->metric = body;
    x->extra = NULL;
    switch (kind.number) {
    case 2:
    case 3:
    case 5: return take_simple(x, &m, kind.bytes, err);
    case 4: return take_summary(x, &m, kind.bytes, err);
    case 7: return take_histogram(x, &m, kind.bytes, err);
    default: return exposition_bad(x, err, "%.200s: a metric without a value", x->family.name);
    }
}

static int take_family_field(struct exposition *x, const struct field *f, struct err *err)
{
    static const enum family_type TYPES[] = {FAMILY_COUNTER, FAMILY_GAUGE, FAMILY_SUMMARY,
        FAMILY_UNKNOWN, FAMILY_HISTOGRAM, FAMILY_GAUGE_HISTOGRAM};
    if (f->number == 1 && f->type == BYTES) {
        if (!f->bytes.len || f->bytes.len > EXPOSITION_NAME_MAX ||
            memchr(f->bytes.at, 0, f->bytes.len))
            return exposition_bad(x, err, "the name of a family is none");
        memcpy(x->family.name, f->bytes.at, f->bytes.len);
        x->family.name[f->bytes.len] = '\0';
        x->family.len = f->bytes.len;
    } else if (f->number == 3 && f->type == VARINT) {
        x->family.type =
            f->value < sizeof(TYPES) / sizeof(TYPES[0]) ? TYPES[f->value] : FAMILY_UNKNOWN;
    } else if (f->number == 4 && f->type == BYTES) {
        return take_metric(x, f->bytes, err);
    }
    return 0;
}

int exposition_messages(
    struct exposition *x, const uint8_t *data, size_t len, size_t *ret_used, struct err *err)
{
    struct reader r = {data, data + len};
    int rc = 1;
    while (rc == 1 && r.at < r.end) {
        if (!x->in_family) {
            rc = take_varint(&r, &x->left);
            if (rc != 1)
                break;
            x->in_family = x->left > 0;
            x->family.len = 0;
            x->family.type = FAMILY_COUNTER; // of an enum the first is what is not said
            continue;
        }
        struct field f;
        uint64_t wanted = 0;
        struct reader part = r;
        if ((uint64_t)(part.end - part.at) > x->left)
            part.end = part.at + x->left;
        rc = take_field(&part, &f, &wanted);
        if (rc == 0 && ((uint64_t)(r.end - r.at) >= x->left || wanted > x->left))
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
