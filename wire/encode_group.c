// SPDX-License-Identifier: Apache-2.0
/*
 * Values into columns, against what the receiver holds. The chain's last values are updated on the way: an
 * error makes the next frame a key frame, which refers to none of them.
 */
#include "wire/cell.h"
#include "wire/chain_out.h"
#include <errno.h>
#include <math.h>
#include <string.h>

void chain_out_forget(struct chain_out *c, struct series *s)
{
    if (s->flags & HAS_LAST && s->cell)
        c->charge -= cell_charge(s->cell->n);
    s->flags &= (uint8_t)~HAS_LAST;
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
    return fabs(v) <= COLUMN_INTEGER_MAX && v == trunc(v) && !(v == 0 && signbit(v));
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

    chain_out_forget(c, series);
    int rc = cell_set(&series->cell, h);
    if (rc < 0)
        return rc;
    c->charge += cell_charge(series->cell->n);
    series->flags |= HAS_LAST;
    return c->charge > WIRE_CHAIN_BUCKETS_MAX ? -EINVAL : 0;
}

int chain_out_group(struct chain_out *c, struct columns *k, const struct batch *b,
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
            chain_out_forget(c, series);
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
