// SPDX-License-Identifier: Apache-2.0
/* Columns into values, absolute ones by what the chain holds, which is updated on the way. */
#include "wire/cell.h"
#include "wire/chain_in.h"
#include "wire/columns.h"
#include "wire/name.h"
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

// gcc 12's -fanalyzer loses the arrays that chains own, and takes them for leaked.
#ifndef __clang__
#pragma GCC diagnostic ignored "-Wanalyzer-malloc-leak"
#endif

void *reader_take(struct reader *r, size_t n, size_t size)
{
    return arena_alloc(r->unpack.arena, n ? n * size : 1);
}

void chain_in_drop(struct chain_in *c, uint32_t id)
{
    if (!c->cells || !c->cells[id])
        return;
    c->charge -= cell_charge(c->cells[id]->n);
    c->cells_bytes -= cell_bytes(c->cells[id]);
    free(c->cells[id]);
    c->cells[id] = NULL;
}

static bool is_integer(double v)
{
    return fabs(v) <= COLUMN_INTEGER_MAX && v == trunc(v);
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
    struct wire_histogram *h = reader_take(r, 1, sizeof(*h));
    int32_t *index = reader_take(r, room, sizeof(*index));
    uint64_t *count = reader_take(r, room, sizeof(*count));
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
            chain_in_drop(c, id);
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
                    sum > (int64_t)COLUMN_INTEGER_MAX || sum < -(int64_t)COLUMN_INTEGER_MAX)
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

int reader_group(
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
    ret->samples = reader_take(r, n, sizeof(*ret->samples));
    if (!ret->samples)
        return unpack_no_memory(r->err);
    struct weave w = {.m = m, .out = ret->samples};
    weave_look(&w);
    rc = read_columns(r, &w);
    return rc < 0 ? rc : mark_resets(r, m, ret);
}
