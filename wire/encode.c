// SPDX-License-Identifier: Apache-2.0
/*
 * One frame is built in two steps: its columns are filled (columns.h, encode_group.c), then protobuf-c
 * packs them, around the declares, which are kept packed.
 */
#include "wire/encode.h"
#include "wire/cell.h"
#include "wire/chain_out.h"
#include "wire/name.h"
#include "wire/pack.h"
#include "wire/repair_pack.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

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
    free(c->block.data);
    free(c);
}

void chain_out_want_key(struct chain_out *c)
{
    c->want_key = true;
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
    m.name = pack_borrow(d->name);
    m.unit = pack_borrow(d->unit);
    m.n_labels = d->n_labels;
    m.labels = pointers;
    for (size_t i = 0; i < d->n_labels; i++) {
        tocsin__v1__label__init(&labels[i]);
        labels[i].name = pack_borrow(d->labels[i].name);
        labels[i].value = pack_borrow(d->labels[i].value);
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

// Also checks everything about the batch that does not depend on the order of samples.
static int frame_need(struct chain_out *c, const struct batch *b, struct columns_need *ret)
{
    struct columns_need need = {.groups = b->n_groups, .events = b->n_events};

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
        e->service = pack_borrow(b->events[i].service);
        e->detail = pack_borrow(b->events[i].detail);
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
    struct columns_need need;

    int rc = frame_need(c, b, &need);
    if (rc < 0)
        return rc;
    rc = columns_open(&c->block, &need, &k);
    if (rc < 0)
        return rc;
    head.seq = b->seq;
    head.base_seq = key ? 0 : c->seq;
    head.wall_ms = b->wall_ms;
    head.mono_ns = b->mono_ns;
    m.clock_step_ms = b->clock_step_ms;
    for (uint32_t i = 0; key && i < c->series.n; i++)
        chain_out_forget(c, rows_nth(&c->series, i));
    m.retired = c->retiring;
    m.n_retired = c->n_retiring;
    m.n_groups = b->n_groups;
    m.groups = k.group_at;
    for (size_t g = 0; g < b->n_groups; g++) {
        m.groups[g] = &k.groups[g];
        rc = chain_out_group(c, &k, b, &b->groups[g], m.groups[g]);
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
        chain_out_forget(c, s);
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
