// SPDX-License-Identifier: Apache-2.0
/*
 * One frame is built in two steps: its columns are laid out in one block that the chain keeps
 * (sized before the first sample is looked at, so filling it cannot fail half-way), then
 * protobuf-c packs them, around the declares, which are kept packed. The chain's values are updated while filling. That is safe because any
 * error makes the next frame a key frame, which refers to none of them.
 */
#include "wire/encode.h"
#include "wire/cell.h"
#include "wire/name.h"
#include "wire/repair_pack.h"
#include "wire/rows.h"
#include "wire/tocsin.pb-c.h"
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define INTEGER_MAX 9007199254740992.0 // 2^53: above it not every integer is a double

enum { HAS_LAST = 1, RETIRING = 2 };
enum { KIND_SAME, KIND_INT, KIND_RAW, KIND_ABSENT };

struct series {
    uint32_t id;
    uint16_t declare_len;
    uint8_t kind; // enum series_kind
    uint8_t flags;
    uint8_t *declare;  // as key frames repeat it, field of a Frame
    struct cell *cell; // histograms
    double last;
};

struct chain_out {
    struct rows series;
    uint32_t next;      // id to be declared
    uint32_t told;      // ids below were declared in a frame
    uint32_t *retiring; // rising; told with the next frame
    size_t n_retiring, cap_retiring;
    uint64_t seq;
    unsigned since_key;
    bool want_key;
    uint32_t charge; // of all cells that hold a histogram, see cell_charge
    uint8_t *scratch;
    size_t scratch_cap;
};

struct chain_out *chain_out_new(void)
{
    struct chain_out *c = calloc(1, sizeof(*c));

    if (c) {
        rows_init(&c->series, sizeof(struct series));
        c->next = c->told = 1;
        c->want_key = true;
    }
    return c;
}

static void series_done(struct series *s)
{
    free(s->declare);
    free(s->cell);
}

void chain_out_free(struct chain_out *c)
{
    if (!c)
        return;
    for (uint32_t i = 0; i < c->series.n; i++)
        series_done(rows_nth(&c->series, i));
    rows_done(&c->series);
    free(c->retiring);
    free(c->scratch);
    free(c);
}

void chain_out_want_key(struct chain_out *c)
{
    c->want_key = true;
}

// Protobuf-c's structs have no const; it does not write through these.
static char *borrow(const char *text)
{
    return text ? (char *)(uintptr_t)text : (char *)(uintptr_t) "";
}

// Tag and length of a field 5 of at most 2 MiB, then the message: a Frame's `declares`.
#define DECLARE_TAG   (5 << 3 | 2)
#define DECLARE_EXTRA 4
_Static_assert(
    WIRE_LABELS_MAX *(WIRE_NAME_MAX + WIRE_VALUE_MAX + 16) + WIRE_NAME_MAX + 64 < UINT16_MAX,
    "declare_len holds it");

static int declare_pack(const struct batch_declare *d, struct series *s)
{
    Tocsin__V1__Declare m;
    Tocsin__V1__Label labels[WIRE_LABELS_MAX], *pointers[WIRE_LABELS_MAX];
    tocsin__v1__declare__init(&m);
    m.id = d->id;
    m.kind = (Tocsin__V1__Kind)d->kind;
    m.name = borrow(d->name);
    m.unit = borrow(d->unit);
    m.n_labels = d->n_labels;
    m.labels = pointers;
    for (size_t i = 0; i < d->n_labels; i++) {
        tocsin__v1__label__init(&labels[i]);
        labels[i].name = borrow(d->labels[i].name);
        labels[i].value = borrow(d->labels[i].value);
        pointers[i] = &labels[i];
    }
    size_t size = tocsin__v1__declare__get_packed_size(&m), rest = size;
    uint8_t *p = malloc(DECLARE_EXTRA + size), *at = p;
    if (!p)
        return -ENOMEM;
    *at++ = DECLARE_TAG;
    for (; rest >= 0x80; rest >>= 7)
        *at++ = (uint8_t)(rest | 0x80);
    *at++ = (uint8_t)rest;
    at += tocsin__v1__declare__pack(&m, at);
    s->declare = p;
    s->declare_len = (uint16_t)(at - p);
    s->kind = (uint8_t)d->kind;
    return 0;
}

int chain_out_declare(struct chain_out *c, const struct batch_declare *d)
{
    if (c->next > WIRE_ID_MAX)
        return -ENOSPC;
    if (d->id != c->next || !wire_metric_ok(d->name) ||
        !wire_text_ok(d->unit, 0, WIRE_UNIT_MAX) || d->kind < SERIES_GAUGE ||
        d->kind > SERIES_STATE || wire_labels_fault(d->labels, d->n_labels))
        return -EINVAL;
    struct series *s = rows_add(&c->series, d->id);
    if (!s)
        return -ENOMEM;
    int rc = declare_pack(d, s);
    if (rc < 0)
        rows_remove(&c->series, &d->id, 1);
    else
        c->next++;
    return rc;
}

int chain_out_retire(struct chain_out *c, uint32_t id)
{
    struct series *s = rows_at(&c->series, id);
    if (!s || s->flags & RETIRING)
        return -EINVAL;
    if (c->n_retiring == c->cap_retiring) {
        size_t cap = c->cap_retiring ? c->cap_retiring * 2 : 16;
        uint32_t *more = realloc(c->retiring, cap * sizeof(*more));
        if (!more)
            return -ENOMEM;
        c->retiring = more;
        c->cap_retiring = cap;
    }
    size_t at = c->n_retiring++;
    for (; at > 0 && c->retiring[at - 1] > id; at--)
        c->retiring[at] = c->retiring[at - 1];
    c->retiring[at] = id;
    s->flags |= RETIRING;
    return 0;
}

static void forget_last(struct chain_out *c, struct series *s)
{
    if (s->flags & HAS_LAST && s->cell)
        c->charge -= cell_charge(s->cell->n);
    s->flags &= (uint8_t)~HAS_LAST;
}

// What one frame needs at most, so that its columns can be laid out in one block.
struct need {
    size_t samples, groups, histograms, buckets, events;
};

// Also checks everything about the batch that does not depend on the order of samples.
static int frame_need(struct chain_out *c, const struct batch *b, struct need *ret)
{
    struct need need = {.groups = b->n_groups, .events = b->n_events};

    if (b->n_groups > WIRE_GROUPS_MAX || b->n_events > WIRE_EVENTS_MAX || b->wall_ms < 0 ||
        b->wall_ms > WIRE_WALL_MS_MAX)
        return -EINVAL;
    for (size_t g = 0; g < b->n_groups; g++) {
        const struct batch_group *group = &b->groups[g];
        if (group->n > WIRE_ID_MAX || group->interval_ms > WIRE_INTERVAL_MS_MAX ||
            group->stamp_ms > b->wall_ms + WIRE_STAMP_SPREAD_MS ||
            group->stamp_ms < b->wall_ms - WIRE_STAMP_SPREAD_MS)
            return -EINVAL;
        need.samples += group->n;
        for (size_t i = 0; i < group->n; i++) {
            const struct batch_sample *s = &group->samples[i];
            const struct series *series = rows_at(&c->series, s->id);
            if (!series)
                return -EINVAL;
            if (s->kind != SAMPLE_HISTOGRAM)
                continue;
            if (!s->hist || wire_histogram_fault(s->hist))
                return -EINVAL;
            // Twice: once as new buckets, once as the last ones of the next group's difference.
            need.buckets += 2 * s->hist->n + (series->cell ? series->cell->n : 0);
            need.histograms++;
        }
    }
    if (need.samples > WIRE_SAMPLES_MAX)
        return -EINVAL;
    for (size_t i = 0; i < b->n_events; i++) {
        const struct batch_event *e = &b->events[i];
        if (e->kind <= 0 || !wire_text_ok(e->service, 0, WIRE_VALUE_MAX) ||
            !wire_text_ok(e->detail, 0, WIRE_DETAIL_MAX))
            return -EINVAL;
    }
    if (b->n_repairs > WIRE_REPAIRS_MAX)
        return -EINVAL;
    for (size_t i = 0; i < b->n_repairs; i++)
        if (wire_repair_result_fault(&b->repairs[i]))
            return -EINVAL;
    *ret = need;
    return 0;
}

// The block of columns; each is carved off once and filled from its start.
struct columns {
    Tocsin__V1__Group **group_at, *groups;
    Tocsin__V1__Histogram **histogram_at, *histograms;
    Tocsin__V1__Event **event_at, *events;
    int64_t *ints, *deltas;
    double *raws;
    uint32_t *runs, *resets, *stale;
    int32_t *indexes;
    uint8_t *kinds;
};

static void *carve(uint8_t *block, size_t *at, size_t n, size_t size)
{
    void *p = block ? block + *at : NULL;

    *at += (n * size + 7) & ~(size_t)7;
    return p;
}

// With block NULL: only the size. One list of pieces for both, so they cannot disagree.
static size_t columns_lay(struct columns *k, uint8_t *block, const struct need *need)
{
    size_t at = 0;

    k->group_at = carve(block, &at, need->groups, sizeof(*k->group_at));
    k->groups = carve(block, &at, need->groups, sizeof(*k->groups));
    k->histogram_at = carve(block, &at, need->histograms, sizeof(*k->histogram_at));
    k->histograms = carve(block, &at, need->histograms, sizeof(*k->histograms));
    k->event_at = carve(block, &at, need->events, sizeof(*k->event_at));
    k->events = carve(block, &at, need->events, sizeof(*k->events));
    k->ints = carve(block, &at, need->samples, sizeof(*k->ints));
    k->raws = carve(block, &at, need->samples, sizeof(*k->raws));
    k->deltas = carve(block, &at, need->buckets, sizeof(*k->deltas));
    k->runs = carve(block, &at, need->samples, 2 * sizeof(*k->runs));
    k->resets = carve(block, &at, need->samples, sizeof(*k->resets));
    k->stale = carve(block, &at, need->samples, sizeof(*k->stale));
    k->indexes = carve(block, &at, need->buckets, sizeof(*k->indexes));
    k->kinds = carve(block, &at, need->samples / 4 + need->groups + 1, 1);
    return at;
}

static int columns_open(struct chain_out *c, const struct need *need, struct columns *ret)
{
    size_t size = columns_lay(ret, NULL, need);

    if (size > c->scratch_cap) {
        size_t cap = size + size / 8;
        uint8_t *more = malloc(cap);
        if (!more)
            return -ENOMEM;
        free(c->scratch);
        c->scratch = more;
        c->scratch_cap = cap;
    }
    columns_lay(ret, c->scratch, need);
    return 0;
}

static uint64_t bits_of(double v)
{
    uint64_t bits;

    memcpy(&bits, &v, sizeof(bits));
    return bits;
}

// -0.0 is none: the sum of integers gives +0.0.
static bool is_integer(double v)
{
    return fabs(v) <= INTEGER_MAX && v == trunc(v) && !(v == 0 && signbit(v));
}

// How v travels, given the last value; *ret_delta for KIND_INT. A varint of 7 bytes holds 49
// bits of zigzag; at 8 it is no shorter than the double.
static unsigned value_kind(const struct series *s, double v, int64_t *ret_delta)
{
    if (!(s->flags & HAS_LAST))
        return KIND_RAW;
    if (bits_of(v) == bits_of(s->last))
        return KIND_SAME;
    if (!is_integer(v) || !is_integer(s->last))
        return KIND_RAW;
    int64_t delta = (int64_t)v - (int64_t)s->last;
    if (delta >= INT64_C(1) << 48 || delta < -(INT64_C(1) << 48))
        return KIND_RAW;
    *ret_delta = delta;
    return KIND_INT;
}

static void add_bucket(Tocsin__V1__Histogram *m, int32_t *prev, int32_t index, int64_t delta)
{
    m->indexes[m->n_indexes++] = m->n_deltas == 0 ? index : index - *prev - 1;
    m->deltas[m->n_deltas++] = delta;
    *prev = index;
}

static int encode_histogram(
    struct chain_out *c, struct columns *k, struct series *series, const struct batch_sample *s)
{
    const struct wire_histogram *h = s->hist;
    Tocsin__V1__Histogram *m = k->histograms++;
    const struct cell *last = series->flags & HAS_LAST ? series->cell : NULL;
    int32_t prev = 0;
    uint32_t i = 0;

    if (s->reset ||
        (last && (last->scale != h->scale || last->zero_threshold != h->zero_threshold)))
        last = NULL;
    tocsin__v1__histogram__init(m);
    m->id = s->id;
    m->reset = s->reset;
    m->absolute = !last;
    m->indexes = k->indexes;
    m->deltas = k->deltas;
    if (!last) {
        m->scale = h->scale;
        m->zero_threshold = h->zero_threshold;
    }
    m->zero_delta = (int64_t)h->zero_count - (int64_t)(last ? last->zero_count : 0);
    m->sum_xor = bits_of(h->sum) ^ (last ? bits_of(last->sum) : 0);
    for (uint32_t j = 0; j < h->n; j++) {
        for (; last && i < last->n && last->buckets[i].index < h->index[j]; i++)
            add_bucket(m, &prev, last->buckets[i].index, -(int64_t)last->buckets[i].count);
        int64_t delta = (int64_t)h->count[j];
        if (last && i < last->n && last->buckets[i].index == h->index[j])
            delta -= (int64_t)last->buckets[i++].count;
        if (delta != 0)
            add_bucket(m, &prev, h->index[j], delta);
    }
    for (; last && i < last->n; i++)
        add_bucket(m, &prev, last->buckets[i].index, -(int64_t)last->buckets[i].count);
    k->indexes += m->n_indexes;
    k->deltas += m->n_deltas;

    forget_last(c, series);
    int rc = cell_set(&series->cell, h);
    if (rc < 0)
        return rc;
    c->charge += cell_charge(series->cell->n);
    series->flags |= HAS_LAST;
    return c->charge > WIRE_CHAIN_BUCKETS_MAX ? -EINVAL : 0;
}

static int encode_group(struct chain_out *c, struct columns *k, const struct batch *b,
    const struct batch_group *group, Tocsin__V1__Group *m)
{
    uint32_t prev = 0;    // id before, of any column
    uint32_t run_end = 0; // last id of `runs` plus one; 0 = none yet
    size_t n = 0;         // ids in `runs`

    tocsin__v1__group__init(m);
    m->interval_ms = group->interval_ms;
    m->tick = group->tick;
    m->stamp_offset_ms = group->stamp_ms - b->wall_ms;
    m->runs = k->runs;
    m->kinds.data = k->kinds;
    m->ints = k->ints;
    m->raws = k->raws;
    m->resets = k->resets;
    m->stale = k->stale;
    m->histograms = k->histogram_at;
    for (size_t i = 0; i < group->n; i++) {
        const struct batch_sample *s = &group->samples[i];
        struct series *series = rows_at(&c->series, s->id); // there: frame_need looked
        bool is_histogram = series->kind == SERIES_HISTOGRAM;
        unsigned kind = KIND_ABSENT;
        int rc;

        if (s->id <= prev)
            return -EINVAL;
        prev = s->id;
        switch (s->kind) {
        case SAMPLE_STALE:
            forget_last(c, series);
            m->stale[m->n_stale++] = s->id;
            continue;
        case SAMPLE_HISTOGRAM:
            if (!is_histogram)
                return -EINVAL;
            m->histograms[m->n_histograms++] = k->histograms;
            rc = encode_histogram(c, k, series, s);
            if (rc < 0)
                return rc;
            continue;
        case SAMPLE_VALUE:
            if (is_histogram)
                return -EINVAL;
            kind = value_kind(series, s->value, &m->ints[m->n_ints]);
            if (kind == KIND_INT)
                m->n_ints++;
            if (kind == KIND_RAW)
                m->raws[m->n_raws++] = s->value;
            series->last = s->value;
            series->flags |= HAS_LAST;
            break;
        case SAMPLE_ABSENT: break;
        }
        if (s->reset)
            m->resets[m->n_resets++] = s->id;
        if (n == 0 || s->id != run_end) {
            m->runs[m->n_runs] = n == 0 ? s->id - 1 : s->id - run_end - 1;
            m->runs[m->n_runs + 1] = 0;
            m->n_runs += 2;
        }
        m->runs[m->n_runs - 1]++;
        run_end = s->id + 1;
        if (n % 4 == 0)
            m->kinds.data[n / 4] = 0;
        m->kinds.data[n / 4] |= (uint8_t)(kind << (n % 4 * 2));
        n++;
    }
    m->kinds.len = (n + 3) / 4;
    k->runs += m->n_runs;
    k->kinds += m->kinds.len;
    k->ints += m->n_ints;
    k->raws += m->n_raws;
    k->resets += m->n_resets;
    k->stale += m->n_stale;
    k->histogram_at += m->n_histograms;
    return 0;
}

static void encode_events(struct columns *k, const struct batch *b, Tocsin__V1__Frame *m)
{
    m->n_events = b->n_events;
    m->events = k->event_at;
    for (size_t i = 0; i < b->n_events; i++) {
        Tocsin__V1__Event *e = m->events[i] = &k->events[i];
        tocsin__v1__event__init(e);
        e->id = b->events[i].id;
        e->kind = (Tocsin__V1__EventKind)b->events[i].kind;
        e->wall_us = b->events[i].wall_us;
        e->service = borrow(b->events[i].service);
        e->detail = borrow(b->events[i].detail);
    }
}

// The frame in the order of its fields: those before the declares, the declares, those behind.
static int frame_pack(const struct chain_out *c, uint32_t first, const Tocsin__V1__Frame *head,
    const Tocsin__V1__Frame *tail, struct buf *out)
{
    size_t size =
        tocsin__v1__frame__get_packed_size(head) + tocsin__v1__frame__get_packed_size(tail);
    for (uint32_t i = first; i < c->series.n; i++)
        size += ((const struct series *)rows_nth(&c->series, i))->declare_len;
    if (size > WIRE_UNPACKED_MAX)
        return -EMSGSIZE;
    int rc = buf_reserve(out, size);
    if (rc < 0)
        return rc;
    out->len += tocsin__v1__frame__pack(head, out->data + out->len);
    for (uint32_t i = first; i < c->series.n; i++) {
        const struct series *s = rows_nth(&c->series, i);
        memcpy(out->data + out->len, s->declare, s->declare_len);
        out->len += s->declare_len;
    }
    out->len += tocsin__v1__frame__pack(tail, out->data + out->len);
    return 0;
}

static int encode_frame(struct chain_out *c, const struct batch *b, bool key, struct buf *out)
{
    Tocsin__V1__Frame head = TOCSIN__V1__FRAME__INIT, m = TOCSIN__V1__FRAME__INIT;
    Tocsin__V1__RepairResult repairs[WIRE_REPAIRS_MAX], *repair_at[WIRE_REPAIRS_MAX];
    struct columns k;
    struct need need;

    int rc = frame_need(c, b, &need);
    if (rc < 0)
        return rc;
    rc = columns_open(c, &need, &k);
    if (rc < 0)
        return rc;
    head.seq = b->seq;
    head.base_seq = key ? 0 : c->seq;
    head.wall_ms = b->wall_ms;
    head.mono_ns = b->mono_ns;
    m.clock_step_ms = b->clock_step_ms;
    for (uint32_t i = 0; key && i < c->series.n; i++)
        forget_last(c, rows_nth(&c->series, i));
    m.retired = c->retiring;
    m.n_retired = c->n_retiring;
    m.n_groups = b->n_groups;
    m.groups = k.group_at;
    for (size_t g = 0; g < b->n_groups; g++) {
        m.groups[g] = &k.groups[g];
        rc = encode_group(c, &k, b, &b->groups[g], m.groups[g]);
        if (rc < 0)
            return rc;
    }
    encode_events(&k, b, &m);
    m.repairs = repair_at;
    for (; m.n_repairs < b->n_repairs; m.n_repairs++) {
        repair_result_pack(&b->repairs[m.n_repairs], &repairs[m.n_repairs]);
        repair_at[m.n_repairs] = &repairs[m.n_repairs];
    }
    uint32_t first = key ? 0 : rows_find(&c->series, c->told);
    return frame_pack(c, first, &head, &m, out);
}

int chain_out_encode(struct chain_out *c, const struct batch *b, struct buf *out, bool *ret_key)
{
    if (b->seq <= c->seq) {
        c->want_key = true;
        return -EINVAL;
    }
    bool key = c->want_key || c->since_key + 1 >= WIRE_KEY_EVERY || b->seq != c->seq + 1;
    int rc = encode_frame(c, b, key, out);
    if (rc < 0) {
        c->want_key = true;
        return rc;
    }
    for (size_t i = 0; i < c->n_retiring; i++) {
        struct series *s = rows_at(&c->series, c->retiring[i]);
        forget_last(c, s);
        series_done(s);
    }
    rows_remove(&c->series, c->retiring, c->n_retiring);
    c->n_retiring = 0;
    c->told = c->next;
    c->seq = b->seq;
    c->since_key = key ? 0 : c->since_key + 1;
    c->want_key = false;
    *ret_key = key;
    return 0;
}
