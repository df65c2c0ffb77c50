// SPDX-License-Identifier: Apache-2.0
// The {{...}} notation of native histograms: reading, judging and printing.
#include "base/num.h"
#include "rules/series_text_reader.h"
#include <errno.h>
#include <math.h>
#include <strings.h>

enum field {
    FIELD_SCHEMA,
    FIELD_SUM,
    FIELD_COUNT,
    FIELD_ZERO,
    FIELD_ZERO_WIDTH,
    FIELD_CUSTOM,
    FIELD_BUCKETS,
    FIELD_OFFSET,
    FIELD_NEGATIVE,
    FIELD_NEGATIVE_OFFSET,
    FIELD_HINT,
    FIELD_N,
};
static const char *const FIELDS[FIELD_N] = {"schema", "sum", "count", "z_bucket", "z_bucket_w",
    "custom_values", "buckets", "offset", "n_buckets", "n_offset", "counter_reset_hint"};
static const char *const HINTS[] = {"unknown", "reset", "not_reset", "gauge"};

struct list {
    double *v;
    size_t n, cap;
};

static int list_add(struct reader *r, struct list *l, double v)
{
    if (l->n == HISTOGRAM_BUCKETS_MAX)
        return reader_fail(
            r, r->at, r->at + 1, "", "more than %d buckets", HISTOGRAM_BUCKETS_MAX);
    if (l->n == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 8;
        double *grown = arena_alloc(r->arena, cap * sizeof(*grown));
        if (!grown)
            return -ENOMEM;
        if (l->n)
            memcpy(grown, l->v, l->n * sizeof(*grown));
        l->v = grown;
        l->cap = cap;
    }
    l->v[l->n++] = v;
    return 0;
}

// [1 2 3]
static int read_list(struct reader *r, struct list *ret)
{
    if (reader_peek(r) != '[')
        return reader_fail(r, r->at, r->at + 1, "", "expected `[` and counts");
    r->at++;
    for (;;) {
        double v;
        reader_blanks(r);
        if (reader_peek(r) == ']')
            break;
        int rc = reader_number(r, true, &v);
        if (rc == 0)
            rc = list_add(r, ret, v);
        if (rc < 0)
            return rc;
    }
    r->at++;
    return 0;
}

static size_t word_end(const struct reader *r)
{
    size_t end = r->at;
    while (end < r->len &&
           (r->text[end] == '_' || ((r->text[end] | 32) >= 'a' && (r->text[end] | 32) <= 'z')))
        end++;
    return end;
}

static bool word_is(const char *word, size_t len, const char *name)
{
    return strlen(name) == len && !strncasecmp(word, name, len);
}

static int read_hint(struct reader *r, struct histogram *h)
{
    size_t end = word_end(r);
    for (size_t i = 0; i < sizeof(HINTS) / sizeof(HINTS[0]); i++) {
        if (word_is(r->text + r->at, end - r->at, HINTS[i])) {
            h->hint = (enum histogram_hint)i;
            r->at = end;
            return 0;
        }
    }
    return reader_fail(r, r->at, end,
        "counter_reset_hint is unknown, reset, not_reset or gauge",
        "unknown counter reset hint");
}

static int read_whole(struct reader *r, int32_t *ret)
{
    size_t start = r->at;
    double v;
    int rc = reader_number(r, true, &v);
    if (rc < 0)
        return rc;
    if (!(fabs(v) <= 1 << 30) || v != floor(v))
        return reader_fail(r, start, r->at, "", "expected a whole number");
    *ret = (int32_t)v;
    return 0;
}

struct draft {
    struct histogram h;
    struct list custom, positive, negative;
    int32_t offset, negative_offset;
    bool seen[FIELD_N];
};

static int read_value(struct reader *r, enum field f, struct draft *d)
{
    switch (f) {
    case FIELD_SCHEMA: return read_whole(r, &d->h.schema);
    case FIELD_SUM: return reader_number(r, true, &d->h.sum);
    case FIELD_COUNT: return reader_number(r, true, &d->h.count);
    case FIELD_ZERO: return reader_number(r, true, &d->h.zero_count);
    case FIELD_ZERO_WIDTH: return reader_number(r, false, &d->h.zero_threshold);
    case FIELD_CUSTOM: return read_list(r, &d->custom);
    case FIELD_BUCKETS: return read_list(r, &d->positive);
    case FIELD_OFFSET: return read_whole(r, &d->offset);
    case FIELD_NEGATIVE: return read_list(r, &d->negative);
    case FIELD_NEGATIVE_OFFSET: return read_whole(r, &d->negative_offset);
    case FIELD_HINT: return read_hint(r, &d->h);
    case FIELD_N: break;
    }
    return -EINVAL;
}

static int read_field(struct reader *r, struct draft *d)
{
    size_t start = r->at, end = word_end(r);
    for (size_t f = 0; f < FIELD_N; f++) {
        if (!word_is(r->text + start, end - start, FIELDS[f]))
            continue;
        if (end == r->len || r->text[end] != ':')
            return reader_fail(r, start, end, "", "expected `:` behind %s", FIELDS[f]);
        if (d->seen[f])
            return reader_fail(r, start, end, "", "%s is given twice", FIELDS[f]);
        d->seen[f] = true;
        r->at = end + 1;
        return read_value(r, (enum field)f, d);
    }
    return reader_fail(r, start, end > start ? end : start + 1,
        "a histogram has schema, sum, count, z_bucket, z_bucket_w, buckets, offset, n_buckets, "
        "n_offset, custom_values and counter_reset_hint",
        "unknown field of a histogram");
}

// Buckets that hold something, as the evaluator keeps them.
static int make_side(
    struct reader *r, const struct list *l, int32_t offset, struct histogram_side *ret)
{
    int32_t *index = arena_alloc(r->arena, (l->n ? l->n : 1) * sizeof(*index));
    if (!index)
        return -ENOMEM;
    uint32_t n = 0;
    for (size_t i = 0; i < l->n; i++) {
        if (l->v[i] == 0)
            continue;
        index[n] = offset + (int32_t)i;
        l->v[n++] = l->v[i];
    }
    *ret = (struct histogram_side){n, index, l->v};
    return 0;
}

int reader_histogram(struct reader *r, const struct histogram **ret, bool *ret_hint)
{
    struct draft d = {0};
    size_t start = r->at;
    r->at += 2; // {{
    for (;;) {
        size_t before = r->at;
        reader_blanks(r);
        if (r->at + 1 < r->len && r->text[r->at] == '}' && r->text[r->at + 1] == '}')
            break;
        if (r->at == r->len)
            return reader_fail(r, start, r->len, "", "a histogram without its closing }}");
        if (before == r->at && before > start + 2)
            return reader_fail(r, r->at, r->at + 1, "", "expected a blank or }}");
        int rc = read_field(r, &d);
        if (rc < 0)
            return rc;
    }
    r->at += 2;
    struct histogram *h = arena_alloc(r->arena, sizeof(*h));
    if (!h)
        return -ENOMEM;
    *h = d.h;
    h->custom = d.custom.v;
    h->n_custom = (uint32_t)d.custom.n;
    int rc = make_side(r, &d.positive, d.offset, &h->positive);
    if (rc == 0)
        rc = make_side(r, &d.negative, d.negative_offset, &h->negative);
    *ret = h;
    *ret_hint = d.seen[FIELD_HINT];
    return rc;
}

static const char *side_fault(const struct histogram_side *s)
{
    for (uint32_t i = 0; i < s->n; i++)
        if (s->count[i] < 0)
            return "a bucket has a negative count";
    return NULL;
}

static const char *custom_fault(const struct histogram *h)
{
    for (uint32_t i = 0; i < h->n_custom; i++) {
        if (isnan(h->custom[i]))
            return "a custom bound is NaN";
        if (i && h->custom[i] <= h->custom[i - 1])
            return "custom bounds must rise";
        if (h->custom[i] == INFINITY)
            return "the last custom bound is +Inf by itself";
    }
    if (h->zero_count != 0 || h->zero_threshold != 0)
        return "a histogram with custom bounds has no zero bucket";
    if (h->negative.n)
        return "a histogram with custom bounds has no negative buckets";
    if (h->positive.n && (h->positive.index[0] < 0 ||
                             h->positive.index[h->positive.n - 1] > (int32_t)h->n_custom))
        return "more buckets than custom bounds";
    return NULL;
}

const char *histogram_fault(const struct histogram *h)
{
    const char *why = NULL;
    if (h->schema == HISTOGRAM_CUSTOM)
        why = custom_fault(h);
    else if (h->schema < HISTOGRAM_SCHEMA_MIN || h->schema > HISTOGRAM_SCHEMA_MAX)
        return "the schema is neither -4 to 8 nor -53 for custom bounds";
    else if (h->n_custom)
        return "custom_values belong to schema -53";
    if (!why && (h->zero_count < 0 || h->count < 0))
        why = "a negative count";
    if (!why)
        why = side_fault(&h->positive);
    return why ? why : side_fault(&h->negative);
}

static void print_number(const char *name, double v, struct buf *out)
{
    char text[NUM_TEXT_MAX];
    buf_addf(out, " %s:", name);
    buf_add(out, text, num_short(v, text));
}

static void print_list(const char *name, const double *v, uint32_t n, struct buf *out)
{
    char text[NUM_TEXT_MAX];
    buf_addf(out, " %s:[", name);
    for (uint32_t i = 0; i < n; i++) {
        if (i)
            buf_addc(out, ' ');
        buf_add(out, text, num_short(v[i], text));
    }
    buf_addc(out, ']');
}

// The gaps between buckets as zeros, which is the only way the notation has.
static void print_side(
    const char *name, const char *offset, const struct histogram_side *s, struct buf *out)
{
    char text[NUM_TEXT_MAX];
    if (!s->n)
        return;
    if (s->index[0])
        buf_addf(out, " %s:%d", offset, s->index[0]);
    buf_addf(out, " %s:[", name);
    for (uint32_t i = 0; i < s->n; i++) {
        int64_t gap = i ? (int64_t)s->index[i] - s->index[i - 1] - 1 : 0;
        for (int64_t k = 0; k < gap && k < HISTOGRAM_BUCKETS_MAX; k++)
            buf_adds(out, " 0");
        if (i)
            buf_addc(out, ' ');
        buf_add(out, text, num_short(s->count[i], text));
    }
    buf_addc(out, ']');
}

void series_histogram_print(const struct histogram *h, struct buf *out)
{
    struct buf body;
    buf_init(&body, 1u << 20);
    if (h->schema)
        buf_addf(&body, " schema:%d", h->schema);
    if (h->count != 0)
        print_number("count", h->count, &body);
    if (h->sum != 0)
        print_number("sum", h->sum, &body);
    if (h->zero_count != 0)
        print_number("z_bucket", h->zero_count, &body);
    if (h->zero_threshold != 0)
        print_number("z_bucket_w", h->zero_threshold, &body);
    if (h->schema == HISTOGRAM_CUSTOM)
        print_list("custom_values", h->custom, h->n_custom, &body);
    if (h->hint != HINT_UNKNOWN)
        buf_addf(&body, " counter_reset_hint:%s", HINTS[h->hint]);
    print_side("buckets", "offset", &h->positive, &body);
    print_side("n_buckets", "n_offset", &h->negative, &body);
    buf_adds(out, "{{");
    buf_adds(out, body.len ? buf_cstr(&body) + 1 : "");
    buf_adds(out, "}}");
    if (body.failed)
        out->failed = true;
    buf_done(&body);
}
