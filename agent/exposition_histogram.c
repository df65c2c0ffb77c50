// SPDX-License-Identifier: Apache-2.0
/*
 * Histograms of a protobuf page. One message may hold a classic one, which becomes the series Prometheus
 * keeps of it, and a native one, which is a single series and then stands for both:
 *
 *     Histogram     count 1 (float 4), sum 2, bucket 3, schema 5, zero_threshold 6, zero_count 7 (float
 *                   8), negative_span 9, _delta 10, _count 11, positive_span 12, _delta 13, _count 14
 *     Bucket        cumulative_count 1 (float 4), upper_bound 2        BucketSpan  offset 1, length 2
 *
 * Native buckets come as spans of numbers, and for each number the difference of its count to the one
 * before. They are gathered in an expo, which makes them as coarse as the wire wants.
 */
#include "agent/exposition_state.h"
#include <errno.h>
#include <math.h>

// What stands beside the buckets.
struct head {
    double count, sum, zero_threshold;
    uint64_t zero_count;
    int32_t schema;
    bool native, unsupported;
};

// --- classic -----------------------------------------------------------------------------------------

static int take_bucket(
    struct exposition *x, struct fields body, bool *has_infinite, struct err *err)
{
    struct field f;
    double count = 0, bound = 0;
    int rc;
    while ((rc = fields_next(&body, &f)) == 1)
        if (f.number == 1 && f.type == FIELD_VARINT)
            count = (double)f.value;
        else if (f.number == 4 && f.type == FIELD_FIXED64 && field_double(&f) > 0)
            count = field_double(&f);
        else if (f.number == 2 && f.type == FIELD_FIXED64)
            bound = field_double(&f);
    if (rc < 0)
        return exposition_broken(x, err);
    *has_infinite |= bound == INFINITY;
    return exposition_give_bound(x, "_bucket", "le", bound, count, err);
}

static int give_classic(
    struct exposition *x, const struct head *h, struct fields body, struct err *err)
{
    struct field f;
    bool has_infinite = false;
    int rc = exposition_give_value(x, "_count", h->count, err);
    if (rc == 0)
        rc = exposition_give_value(x, "_sum", h->sum, err);
    while (rc == 0 && fields_next(&body, &f) == 1)
        if (f.number == 3 && f.type == FIELD_BYTES)
            rc = take_bucket(x, f.body, &has_infinite, err);
    if (rc == 0 && !has_infinite) // it may be left out
        rc = exposition_give_bound(x, "_bucket", "le", INFINITY, h->count, err);
    return rc;
}

// --- native ------------------------------------------------------------------------------------------

// The positive buckets as they stand.
struct buckets {
    struct fields spans, deltas; // of the histogram; deltas may be packed
    struct fields packed;
};

static int next_delta(struct buckets *b, int64_t *ret)
{
    struct field f;
    uint64_t v;
    for (;;) {
        if (fields_left(&b->packed)) {
            if (fields_varint(&b->packed, &v) != 1)
                return -EBADMSG;
            *ret = field_zigzag(v);
            return 1;
        }
        int rc = fields_next(&b->deltas, &f);
        if (rc != 1)
            return rc;
        if (f.number == 13 && f.type == FIELD_BYTES)
            b->packed = f.body;
        if (f.number == 13 && f.type == FIELD_VARINT) {
            *ret = field_zigzag(f.value);
            return 1;
        }
    }
}

static int next_span(struct buckets *b, int64_t *ret_offset, uint64_t *ret_len)
{
    struct field f, part;
    int rc;
    while ((rc = fields_next(&b->spans, &f)) == 1) {
        if (f.number != 12 || f.type != FIELD_BYTES)
            continue;
        *ret_offset = 0;
        *ret_len = 0;
        while ((rc = fields_next(&f.body, &part)) == 1)
            if (part.number == 1 && part.type == FIELD_VARINT)
                *ret_offset = field_zigzag(part.value);
            else if (part.number == 2 && part.type == FIELD_VARINT)
                *ret_len = part.value;
        return rc < 0 ? rc : 1;
    }
    return rc;
}

// 0; -ERANGE: stranger buckets or larger counts than we can keep; -EBADMSG, -ENOMEM.
static int read_buckets(struct expo *e, int32_t schema, struct fields body)
{
    struct buckets b = {.spans = body, .deltas = body};
    int64_t offset, delta, count = 0, index = 0, last = -WIRE_INDEX_MAX - 1;
    uint64_t len;
    int rc;
    while ((rc = next_span(&b, &offset, &len)) == 1) {
        if (offset < -WIRE_INDEX_MAX || offset > WIRE_INDEX_MAX)
            return -ERANGE;
        index += offset;
        for (; len > 0; len--, index++) {
            if (next_delta(&b, &delta) != 1)
                return -EBADMSG;
            if (__builtin_add_overflow(count, delta, &count) || count < 0)
                return -EBADMSG;
            if (index < -WIRE_INDEX_MAX || index > WIRE_INDEX_MAX || index <= last)
                return -ERANGE;
            if (count == 0)
                continue;
            rc = expo_add(e, schema, (int32_t)index, (uint64_t)count);
            if (rc < 0)
                return rc;
            last = index;
        }
    }
    return rc;
}

static int give_native(
    struct exposition *x, const struct head *h, struct fields body, struct err *err)
{
    int rc = -ERANGE;
    if (!h->unsupported) {
        expo_reset(&x->native, h->schema);
        rc = expo_add_zero(&x->native, h->zero_count);
        if (rc == 0)
            rc = read_buckets(&x->native, h->schema, body);
    }
    if (rc == -ENOMEM) {
        err_set(err, "out of memory");
        return rc;
    }
    if (rc == -EBADMSG)
        return exposition_broken(x, err);
    struct wire_histogram w = expo_wire(&x->native);
    w.sum = h->sum;
    w.zero_threshold = h->zero_threshold;
    return exposition_give(
        x, "", (struct exposition_sample){.histogram = &w, .unsupported = rc == -ERANGE}, err);
}

int exposition_histogram(struct exposition *x, struct fields body, struct err *err)
{
    struct fields r = body;
    struct head h = {0};
    struct field f;
    int rc;
    while ((rc = fields_next(&r, &f)) == 1) {
        double v = f.type == FIELD_FIXED64 ? field_double(&f) : 0;
        switch (f.number) {
        case 1: h.count = (double)f.value; break;
        case 2: h.sum = v; break;
        case 4: // of gauge histograms: counts that are no whole numbers
            if (v > 0)
                h.count = v;
            h.unsupported |= v > 0;
            break;
        case 5: h.schema = (int32_t)field_zigzag(f.value); break;
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
            h.unsupported |= fields_left(&f.body) > 0; // negative observations
            break;
        case 11:
        case 14: h.unsupported = true; break;
        case 12: h.native = true; break;
        default: break;
        }
    }
    if (rc < 0)
        return exposition_broken(x, err);
    h.unsupported |= h.schema < WIRE_SCALE_MIN || h.schema > WIRE_SCALE_MAX;
    return h.native ? give_native(x, &h, body, err) : give_classic(x, &h, body, err);
}
