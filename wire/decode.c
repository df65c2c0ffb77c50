// SPDX-License-Identifier: Apache-2.0
/*
 * One frame against one chain. The chain is updated while the frame is read; whatever goes wrong
 * after base_seq was found right empties it, so nothing half-applied is ever built upon: the
 * next frame is -ESTALE and a key frame is asked for. That costs less than a copy of the state
 * per frame, and a peer that sends bad frames only harms itself.
 */
#include "wire/decode.h"
#include "wire/cell.h"
#include "wire/chain_in.h"
#include "wire/name.h"
#include "wire/repair_pack.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

// gcc 12's -fanalyzer loses the arrays that chains own, and takes them for leaked.
#ifndef __clang__
#pragma GCC diagnostic ignored "-Wanalyzer-malloc-leak"
#endif

struct chain_in *chain_in_new(void)
{
    struct chain_in *c = calloc(1, sizeof(*c));

    if (c)
        c->n = 1;
    return c;
}

// Back to the state before any frame; keeps the arrays.
static void chain_clear(struct chain_in *c)
{
    for (uint32_t id = 1; c->cells && id < c->n; id++)
        chain_in_drop(c, id);
    if (c->flags)
        memset(c->flags, 0, c->n);
    c->n = 1;
    c->seq = 0;
}

void chain_in_free(struct chain_in *c)
{
    if (!c)
        return;
    chain_clear(c);
    free(c->flags);
    free(c->last);
    free(c->cells);
    free(c);
}

uint64_t chain_in_seq(const struct chain_in *c)
{
    return c->seq;
}

size_t chain_in_bytes(const struct chain_in *c)
{
    size_t per_id = sizeof(*c->flags) + sizeof(*c->last) + (c->cells ? sizeof(*c->cells) : 0);

    return sizeof(*c) + c->cap * per_id + c->cells_bytes;
}

// Room for ids up to `id`. 0 or -ENOMEM; what could not grow is as it was.
static int chain_room(struct chain_in *c, uint32_t id)
{
    if (id < c->cap)
        return 0;
    uint32_t cap = c->cap ? c->cap : 64;
    while (cap <= id)
        cap *= 2;
    uint8_t *flags = realloc(c->flags, cap);
    if (!flags)
        return -ENOMEM;
    c->flags = flags;
    memset(flags + c->cap, 0, cap - c->cap);
    double *last = realloc(c->last, cap * sizeof(*last));
    if (!last)
        return -ENOMEM;
    c->last = last;
    memset(last + c->cap, 0, (cap - c->cap) * sizeof(*last));
    if (c->cells) {
        struct cell **cells = realloc(c->cells, cap * sizeof(struct cell *));
        if (!cells)
            return -ENOMEM;
        c->cells = cells;
        memset(cells + c->cap, 0, (cap - c->cap) * sizeof(struct cell *));
    }
    c->cap = cap;
    return 0;
}

static enum series_kind kind_of(Tocsin__V1__Kind kind)
{
    if (kind == TOCSIN__V1__KIND__KIND_COUNTER)
        return SERIES_COUNTER;
    if (kind == TOCSIN__V1__KIND__KIND_HISTOGRAM)
        return SERIES_HISTOGRAM;
    return kind == TOCSIN__V1__KIND__KIND_STATE ? SERIES_STATE : SERIES_GAUGE;
}

static int read_declare(
    struct reader *r, const Tocsin__V1__Declare *m, struct batch_declare *ret)
{
    struct chain_in *c = r->c;
    struct wire_label *labels;

    if (m->id < c->n || m->id > WIRE_ID_MAX)
        return unpack_refuse(r->err, "declared id %u is not above those before", m->id);
    if (m->n_labels > WIRE_LABELS_MAX)
        return unpack_refuse(r->err, "id %u: too many labels", m->id);
    labels = reader_take(r, m->n_labels, sizeof(*labels));
    if (!labels)
        return unpack_no_memory(r->err);
    for (size_t i = 0; i < m->n_labels; i++)
        labels[i] = (struct wire_label){m->labels[i]->name, m->labels[i]->value};
    const char *fault = wire_labels_fault(labels, m->n_labels);
    if (!fault && !wire_metric_ok(m->name))
        fault = "not a metric name";
    if (!fault && !wire_text_ok(m->unit, 0, WIRE_UNIT_MAX))
        fault = "unit is too long or not UTF-8";
    if (fault)
        return unpack_refuse(r->err, "id %u: %s", m->id, fault);
    if (chain_room(c, m->id) < 0)
        return unpack_no_memory(r->err);
    *ret =
        (struct batch_declare){m->id, m->name, labels, m->n_labels, kind_of(m->kind), m->unit};
    c->flags[m->id] = ret->kind == SERIES_HISTOGRAM ? DECLARED | IS_HISTOGRAM : DECLARED;
    c->n = m->id + 1;
    return 0;
}

static int read_retired(struct reader *r, const Tocsin__V1__Frame *m, struct batch *ret)
{
    struct chain_in *c = r->c;

    ret->retired = m->retired;
    ret->n_retired = m->n_retired;
    for (size_t i = 0; i < m->n_retired; i++) {
        uint32_t id = m->retired[i];
        if (id == 0 || id >= c->n || !(c->flags[id] & DECLARED) ||
            (i > 0 && id <= m->retired[i - 1]))
            return unpack_refuse(r->err, "retired id %u is not declared, or not rising", id);
        c->flags[id] = 0;
        chain_in_drop(c, id);
    }
    return 0;
}

static int read_events(struct reader *r, const Tocsin__V1__Frame *m, struct batch *ret)
{
    if (m->n_events > WIRE_EVENTS_MAX)
        return unpack_refuse(r->err, "%zu events in one frame", m->n_events);
    ret->n_events = m->n_events;
    ret->events = reader_take(r, m->n_events, sizeof(*ret->events));
    if (!ret->events)
        return unpack_no_memory(r->err);
    for (size_t i = 0; i < m->n_events; i++) {
        const Tocsin__V1__Event *e = m->events[i];
        if (!wire_text_ok(e->service, 0, WIRE_VALUE_MAX) ||
            !wire_text_ok(e->detail, 0, WIRE_DETAIL_MAX))
            return unpack_refuse(r->err, "an event's text is too long or not UTF-8");
        if ((int)e->kind <= 0)
            return unpack_refuse(r->err, "an event without a kind");
        ret->events[i] =
            (struct batch_event){e->id, (int)e->kind, e->wall_us, e->service, e->detail};
    }
    return 0;
}

static int read_frame(struct reader *r, const Tocsin__V1__Frame *m, struct batch *ret)
{
    int rc = 0;

    ret->seq = m->seq;
    ret->base_seq = m->base_seq;
    ret->wall_ms = m->wall_ms;
    ret->mono_ns = m->mono_ns;
    ret->clock_step_ms = m->clock_step_ms;
    ret->declares = reader_take(r, m->n_declares, sizeof(*ret->declares));
    ret->groups = reader_take(r, m->n_groups, sizeof(*ret->groups));
    if (!ret->declares || !ret->groups)
        return unpack_no_memory(r->err);
    ret->n_declares = m->n_declares;
    ret->n_groups = m->n_groups;
    for (size_t i = 0; rc == 0 && i < m->n_declares; i++)
        rc = read_declare(r, m->declares[i], &ret->declares[i]);
    for (size_t i = 0; rc == 0 && i < m->n_groups; i++)
        rc = reader_group(r, m->groups[i], m->wall_ms, &ret->groups[i]);
    if (rc == 0)
        rc = read_retired(r, m, ret);
    if (rc == 0)
        rc = read_events(r, m, ret);
    return rc < 0 ? rc : repair_results_unpack(r->unpack.arena, m, ret, r->err);
}

static bool same_session(const struct chain_in *c, const struct wire_session *s)
{
    return c->epoch == s->epoch && c->nonce == s->nonce &&
           memcmp(c->agent_id, s->agent_id, sizeof(c->agent_id)) == 0;
}

int push_frame(const struct push *p, size_t i, struct chain_in *c, struct arena *a,
    struct batch *ret, struct err *err)
{
    const ProtobufCBinaryData *bytes = (const ProtobufCBinaryData *)p->impl + i;
    struct reader r = {.c = c, .err = err};
    struct batch batch = {0};
    uint64_t seq, base_seq;
    const void *m;

    int rc = push_peek(p, i, &seq, &base_seq);
    if (rc < 0) {
        err_set(err, "frame %zu is not a Frame message", i);
        goto out;
    }
    if (base_seq != 0 && (c->seq != base_seq || !same_session(c, &p->session))) {
        err_set(err, "frame %llu refers to frame %llu, which is not the last one here",
            (unsigned long long)seq, (unsigned long long)base_seq);
        return -ESTALE;
    }
    unpack_init(&r.unpack, a);
    rc = unpack_message(
        &r.unpack, &tocsin__v1__frame__descriptor, bytes->data, bytes->len, &m, err);
    if (rc < 0)
        goto out;
    const Tocsin__V1__Frame *frame = m;
    if (frame->seq != seq || frame->base_seq != base_seq || seq <= base_seq ||
        frame->wall_ms < 0 || frame->wall_ms > WIRE_WALL_MS_MAX ||
        frame->n_groups > WIRE_GROUPS_MAX) {
        rc = unpack_refuse(err, "frame's seq, time or number of groups is out of range");
        goto out;
    }
    if (frame->base_seq == 0)
        chain_clear(c);
    rc = read_frame(&r, frame, &batch);
    if (rc < 0)
        goto out;
    c->seq = frame->seq;
    c->epoch = p->session.epoch;
    c->nonce = p->session.nonce;
    memcpy(c->agent_id, p->session.agent_id, sizeof(c->agent_id));
    *ret = batch;
out:
    if (rc < 0)
        chain_clear(c);
    return rc;
}
