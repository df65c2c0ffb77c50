// SPDX-License-Identifier: Apache-2.0
/*
 * One frame against one chain. The chain is updated while the frame is read; whatever goes wrong
 * after base_seq was found right empties it, so nothing half-applied is ever built upon: the
 * next frame is -ESTALE and a key frame is asked for. That costs less than a copy of the state
 * per frame, and a peer that sends bad frames only harms itself.
 */
#include "wire/decode.h"
#include "wire/cell.h"
#include "wire/name.h"
#include "wire/repair_pack.h"
#include "wire/tocsin.pb-c.h"
#include "wire/unpack.h"
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

// gcc 12's -fanalyzer loses the arrays that chains own, and takes them for leaked.
#ifndef __clang__
#pragma GCC diagnostic ignored "-Wanalyzer-malloc-leak"
#endif

#define INTEGER_MAX 9007199254740992.0 // 2^53

enum { DECLARED = 1, HAS_LAST = 2, IS_HISTOGRAM = 4 };
enum { KIND_SAME, KIND_INT, KIND_RAW, KIND_ABSENT };

struct chain_in {
    uint64_t seq;         // 0 = empty: no other field but the memory counts
    uint8_t agent_id[16]; // the session whose state this is
    uint64_t epoch, nonce;
    uint32_t n, cap;     // highest id declared + 1; ids there is room for
    uint8_t *flags;      // [id]
    double *last;        // [id], with HAS_LAST
    struct cell **cells; // [id]; NULL until the first histogram
    uint32_t charge;     // of all cells, see cell_charge
    size_t cells_bytes;
};

struct chain_in *chain_in_new(void)
{
    struct chain_in *c = calloc(1, sizeof(*c));

    if (c)
        c->n = 1;
    return c;
}

static void drop_cell(struct chain_in *c, uint32_t id)
{
    if (!c->cells || !c->cells[id])
        return;
    c->charge -= cell_charge(c->cells[id]->n);
    c->cells_bytes -= cell_bytes(c->cells[id]);
    free(c->cells[id]);
    c->cells[id] = NULL;
}

// Back to the state before any frame; keeps the arrays.
static void chain_clear(struct chain_in *c)
{
    for (uint32_t id = 1; c->cells && id < c->n; id++)
        drop_cell(c, id);
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

// What reading one frame hands around.
struct reader {
    struct chain_in *c;
    struct unpack unpack;
    struct err *err;
    size_t samples; // of the groups so far
};

static void *take(struct reader *r, size_t n, size_t size)
{
    return arena_alloc(r->unpack.arena, n ? n * size : 1);
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
    labels = take(r, m->n_labels, sizeof(*labels));
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

static bool is_integer(double v)
{
    return fabs(v) <= INTEGER_MAX && v == trunc(v);
}

// Adds the message's differences to `last` (NULL: absolute) into h, dropping empty buckets.
static const char *merge_buckets(const Tocsin__V1__Histogram *m, const struct cell *last,
    int32_t *index, uint64_t *count, uint32_t *ret_n)
{
    uint32_t n = 0, i = 0;
    int64_t at = 0;

    for (size_t j = 0; j < m->n_indexes; j++) {
        if (j > 0 && m->indexes[j] < 0)
            return "histogram buckets do not rise";
        at = j == 0 ? m->indexes[j] : at + m->indexes[j] + 1;
        if (at < -WIRE_INDEX_MAX || at > WIRE_INDEX_MAX)
            return "histogram bucket number out of range";
        for (; last && i < last->n && last->buckets[i].index < at; i++, n++) {
            index[n] = last->buckets[i].index;
            count[n] = last->buckets[i].count;
        }
        int64_t value = 0;
        if (last && i < last->n && last->buckets[i].index == at)
            value = (int64_t)last->buckets[i++].count;
        if (__builtin_add_overflow(value, m->deltas[j], &value) || value < 0)
            return "histogram count turns negative or overflows";
        if (value == 0)
            continue;
        index[n] = (int32_t)at;
        count[n++] = (uint64_t)value;
    }
    for (; last && i < last->n; i++, n++) {
        index[n] = last->buckets[i].index;
        count[n] = last->buckets[i].count;
    }
    *ret_n = n;
    return NULL;
}

static const char *check_histogram(const Tocsin__V1__Histogram *m, const struct cell *last)
{
    if (!last && !m->absolute)
        return "difference of a histogram without a last one";
    if (m->n_indexes != m->n_deltas)
        return "histogram counts and bucket numbers differ in number";
    if (m->n_indexes > 2 * WIRE_BUCKETS_MAX)
        return "too many histogram buckets";
    if (!m->absolute && (m->reset || m->scale != 0 || m->zero_threshold != 0))
        return "difference of a histogram with fields of an absolute one";
    return NULL;
}

static int read_histogram(
    struct reader *r, const Tocsin__V1__Histogram *m, struct batch_sample *ret)
{
    struct chain_in *c = r->c;
    struct cell *last = c->cells ? c->cells[m->id] : NULL;
    const char *fault = check_histogram(m, last);

    if (fault)
        return unpack_refuse(r->err, "id %u: %s", m->id, fault);
    if (m->absolute)
        last = NULL;
    size_t room = m->n_indexes + (last ? last->n : 0);
    struct wire_histogram *h = take(r, 1, sizeof(*h));
    int32_t *index = take(r, room, sizeof(*index));
    uint64_t *count = take(r, room, sizeof(*count));
    if (!h || !index || !count)
        return unpack_no_memory(r->err);
    fault = merge_buckets(m, last, index, count, &h->n);
    int64_t zero = last ? (int64_t)last->zero_count : 0;
    uint64_t sum = 0;
    if (last)
        memcpy(&sum, &last->sum, sizeof(sum));
    sum ^= m->sum_xor;
    memcpy(&h->sum, &sum, sizeof(sum));
    h->scale = last ? last->scale : m->scale;
    h->zero_threshold = last ? last->zero_threshold : m->zero_threshold;
    h->index = index;
    h->count = count;
    if (!fault && (__builtin_add_overflow(zero, m->zero_delta, &zero) || zero < 0))
        fault = "histogram count turns negative or overflows";
    h->zero_count = (uint64_t)zero;
    if (!fault)
        fault = wire_histogram_fault(h);
    if (fault)
        return unpack_refuse(r->err, "id %u: %s", m->id, fault);

    if (!c->cells && !(c->cells = calloc(c->cap, sizeof(struct cell *))))
        return unpack_no_memory(r->err);
    struct cell **cell = &c->cells[m->id];
    size_t had = cell_bytes(*cell);
    uint32_t had_charge = *cell ? cell_charge((*cell)->n) : 0;
    if (cell_set(cell, h) < 0)
        return unpack_no_memory(r->err);
    c->cells_bytes += cell_bytes(*cell) - had;
    c->charge += cell_charge((*cell)->n) - had_charge;
    if (c->charge > WIRE_CHAIN_BUCKETS_MAX)
        return unpack_refuse(r->err, "too many histogram buckets in one session");
    *ret = (struct batch_sample){m->id, SAMPLE_HISTOGRAM, m->reset, 0, h};
    return 0;
}

// Where reading one group stands. Stale markers and histograms are woven into the ids of `runs`,
// so that the samples come out rising.
struct weave {
    const Tocsin__V1__Group *m;
    struct batch_sample *out;
    size_t stale, histograms; // taken so far
    uint32_t prev;            // last id written
    uint32_t next;            // least id that waits in stale or histograms; UINT32_MAX = none
};

static void weave_look(struct weave *w)
{
    const Tocsin__V1__Group *m = w->m;

    w->next = UINT32_MAX;
    if (w->stale < m->n_stale)
        w->next = m->stale[w->stale];
    if (w->histograms < m->n_histograms && m->histograms[w->histograms]->id < w->next)
        w->next = m->histograms[w->histograms]->id;
}

// Writes the samples that wait below `limit`, an id of `runs` or the end.
static int weave_upto(struct reader *r, struct weave *w, uint32_t limit)
{
    const Tocsin__V1__Group *m = w->m;
    struct chain_in *c = r->c;

    while (w->next < limit) {
        uint32_t id = w->next;
        if (id <= w->prev || id >= c->n || !(c->flags[id] & DECLARED))
            return unpack_refuse(r->err, "id %u is not declared, or not in rising order", id);
        if (w->stale < m->n_stale && m->stale[w->stale] == id) {
            *w->out = (struct batch_sample){.id = id, .kind = SAMPLE_STALE};
            c->flags[id] &= (uint8_t)~HAS_LAST;
            drop_cell(c, id);
            w->stale++;
        } else {
            if (!(c->flags[id] & IS_HISTOGRAM))
                return unpack_refuse(r->err, "id %u is not a histogram", id);
            int rc = read_histogram(r, m->histograms[w->histograms], w->out);
            if (rc < 0)
                return rc;
            w->histograms++;
        }
        w->out++;
        w->prev = id;
        weave_look(w);
    }
    if (w->next == limit && limit != UINT32_MAX)
        return unpack_refuse(r->err, "id %u is there twice", limit);
    return 0;
}

// Walks the runs once before anything is allocated: how many ids, and all of them declared ones.
static int count_ids(struct reader *r, const Tocsin__V1__Group *m, size_t *ret)
{
    uint64_t next = 1; // least id the next run can start at
    size_t n = 0;

    if (m->n_runs % 2 != 0)
        return unpack_refuse(r->err, "runs are not pairs");
    for (size_t i = 0; i < m->n_runs; i += 2) {
        uint64_t first = next + m->runs[i];
        if (m->runs[i + 1] == 0 || first + m->runs[i + 1] > r->c->n)
            return unpack_refuse(r->err, "a run of ids is empty or leaves the declared ids");
        n += m->runs[i + 1];
        next = first + m->runs[i + 1] + 1;
    }
    if (m->kinds.len != (n + 3) / 4)
        return unpack_refuse(r->err, "%zu ids and %zu bytes of kinds", n, m->kinds.len);
    if (n % 4 != 0 && m->kinds.data[n / 4] >> (n % 4 * 2) != 0)
        return unpack_refuse(r->err, "kinds for more ids than there are");
    *ret = n;
    return 0;
}

static int read_columns(struct reader *r, struct weave *w)
{
    const Tocsin__V1__Group *m = w->m;
    struct chain_in *c = r->c;
    size_t k = 0, n_ints = 0, n_raws = 0;
    uint32_t next = 1;

    for (size_t i = 0; i < m->n_runs; i += 2) {
        uint32_t id = next + m->runs[i];
        uint32_t end = id + m->runs[i + 1];
        next = end + 1;
        for (; id < end; id++, k++) {
            if (id >= w->next) {
                int rc = weave_upto(r, w, id);
                if (rc < 0)
                    return rc;
            }
            unsigned kind = m->kinds.data[k / 4] >> (k % 4 * 2) & 3;
            uint8_t flags = c->flags[id];
            double value = c->last[id];
            if (!(flags & DECLARED))
                return unpack_refuse(r->err, "id %u is not declared", id);
            if (kind <= KIND_INT && !(flags & HAS_LAST))
                return unpack_refuse(r->err, "difference of id %u without a last value", id);
            if (kind == KIND_INT) {
                if (n_ints == m->n_ints)
                    return unpack_refuse(r->err, "fewer integers than kinds say");
                int64_t sum;
                if (!is_integer(value) ||
                    __builtin_add_overflow((int64_t)value, m->ints[n_ints++], &sum) ||
                    sum > (int64_t)INTEGER_MAX || sum < -(int64_t)INTEGER_MAX)
                    return unpack_refuse(r->err, "id %u: integer difference out of range", id);
                value = (double)sum;
            } else if (kind == KIND_RAW) {
                if (n_raws == m->n_raws || flags & IS_HISTOGRAM)
                    return unpack_refuse(
                        r->err, "fewer doubles than kinds say, or a histogram's");
                value = m->raws[n_raws++];
                c->flags[id] = flags | HAS_LAST;
            }
            c->last[id] = value;
            w->out->id = id;
            w->out->kind = kind == KIND_ABSENT ? SAMPLE_ABSENT : SAMPLE_VALUE;
            w->out->value = kind == KIND_ABSENT ? 0 : value;
            w->out++;
            w->prev = id;
        }
    }
    if (n_ints != m->n_ints || n_raws != m->n_raws)
        return unpack_refuse(r->err, "more numbers than kinds say");
    int rc = weave_upto(r, w, UINT32_MAX);
    if (rc == 0 && (w->stale != m->n_stale || w->histograms != m->n_histograms))
        rc = unpack_refuse(r->err, "id %u is not declared", UINT32_MAX);
    return rc;
}

static int mark_resets(struct reader *r, const Tocsin__V1__Group *m, struct batch_group *g)
{
    size_t at = 0;

    for (size_t i = 0; i < m->n_resets; i++) {
        while (at < g->n && g->samples[at].id < m->resets[i])
            at++;
        if (at == g->n || g->samples[at].id != m->resets[i] || g->samples[at].reset ||
            g->samples[at].kind == SAMPLE_STALE || g->samples[at].kind == SAMPLE_HISTOGRAM)
            return unpack_refuse(
                r->err, "reset of id %u, which has no value here", m->resets[i]);
        g->samples[at].reset = true;
    }
    return 0;
}

static int read_group(
    struct reader *r, const Tocsin__V1__Group *m, int64_t wall_ms, struct batch_group *ret)
{
    size_t n = 0;

    if (m->interval_ms > WIRE_INTERVAL_MS_MAX || m->stamp_offset_ms > WIRE_STAMP_SPREAD_MS ||
        m->stamp_offset_ms < -WIRE_STAMP_SPREAD_MS)
        return unpack_refuse(r->err, "a group's interval or stamp is out of range");
    int rc = count_ids(r, m, &n);
    if (rc < 0)
        return rc;
    n += m->n_stale + m->n_histograms;
    r->samples += n;
    if (r->samples > WIRE_SAMPLES_MAX)
        return unpack_refuse(r->err, "too many samples in one frame");
    *ret = (struct batch_group){m->interval_ms, m->tick, wall_ms + m->stamp_offset_ms, NULL, n};
    ret->samples = take(r, n, sizeof(*ret->samples));
    if (!ret->samples)
        return unpack_no_memory(r->err);
    struct weave w = {.m = m, .out = ret->samples};
    weave_look(&w);
    rc = read_columns(r, &w);
    return rc < 0 ? rc : mark_resets(r, m, ret);
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
        drop_cell(c, id);
    }
    return 0;
}

static int read_events(struct reader *r, const Tocsin__V1__Frame *m, struct batch *ret)
{
    if (m->n_events > WIRE_EVENTS_MAX)
        return unpack_refuse(r->err, "%zu events in one frame", m->n_events);
    ret->n_events = m->n_events;
    ret->events = take(r, m->n_events, sizeof(*ret->events));
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
    ret->declares = take(r, m->n_declares, sizeof(*ret->declares));
    ret->groups = take(r, m->n_groups, sizeof(*ret->groups));
    if (!ret->declares || !ret->groups)
        return unpack_no_memory(r->err);
    ret->n_declares = m->n_declares;
    ret->n_groups = m->n_groups;
    for (size_t i = 0; rc == 0 && i < m->n_declares; i++)
        rc = read_declare(r, m->declares[i], &ret->declares[i]);
    for (size_t i = 0; rc == 0 && i < m->n_groups; i++)
        rc = read_group(r, m->groups[i], m->wall_ms, &ret->groups[i]);
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
