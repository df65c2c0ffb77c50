// SPDX-License-Identifier: Apache-2.0
#include "collector/store.h"
#include "collector/store_state.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

// gcc 12's -fanalyzer loses the arrays that blocks and series own, and takes them for leaked.
#ifndef __clang__
#pragma GCC diagnostic ignored "-Wanalyzer-malloc-leak"
#endif

#define BLOCKS_MAX      32 // of one agent: sampling intervals times sessions still in memory
#define BYTES_PER_AGENT (128u << 20)

struct store *store_new(const struct store_options *o)
{
    struct store *s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    s->o = *o;
    if (!s->o.bytes_per_agent)
        s->o.bytes_per_agent = BYTES_PER_AGENT;
    s->expire_at = 1;
    map_init(&s->agents);
    if (series_table_init(&s->table, o->series_max) < 0) {
        store_free(s);
        return NULL;
    }
    store_source_init(s);
    return s;
}

void store_free(struct store *s)
{
    if (!s)
        return;
    series_table_done(&s->table);
    while (s->first) {
        struct agent_store *next = s->first->next;
        agent_store_free(s->first);
        s->first = next;
    }
    map_done(&s->agents);
    free(s);
}

void store_retention(struct store *s, int64_t retention_ms)
{
    s->o.retention_ms = retention_ms;
    for (struct agent_store *a = s->first; a; a = a->next)
        for (struct agent_block *b = a->blocks; b; b = b->next)
            (void)block_retention(
                b->block, retention_ms); // no memory: it stays as short as it is
}

const struct source *store_source(const struct store *s)
{
    return &s->source;
}

// --- samples ---------------------------------------------------------------------------------

// The running session's block for an interval, made at its first group.
static struct agent_block *block_for(struct agent_store *a, uint32_t interval_ms)
{
    for (struct agent_block *b = a->blocks; b && b->session == a->session; b = b->next)
        if (block_interval_ms(b->block) == interval_ms)
            return b;
    if (a->n_blocks == BLOCKS_MAX) {
        struct agent_block **last = &a->blocks;
        while ((*last)->next)
            last = &(*last)->next;
        if ((*last)->session == a->session)
            return NULL;
        agent_block_drop(a, last);
    }
    struct agent_block *b = calloc(1, sizeof(*b));
    if (!b)
        return NULL;
    b->session = a->session;
    b->block = block_new(interval_ms, a->store->o.retention_ms, &a->budget);
    if (!b->block) {
        free(b);
        return NULL;
    }
    b->next = a->blocks;
    a->blocks = b;
    a->n_blocks++;
    return b;
}

static bool col_of_room(struct agent_block *b, uint32_t n_wire)
{
    if (n_wire <= b->n_wire)
        return true;
    uint32_t *col_of = realloc(b->col_of, n_wire * sizeof(*col_of));
    if (!col_of)
        return false;
    memset(col_of + b->n_wire, 0, (n_wire - b->n_wire) * sizeof(*col_of));
    b->col_of = col_of;
    b->n_wire = n_wire;
    return true;
}

static bool column_add(
    struct agent_block *b, uint32_t wire_id, struct series *x, uint32_t series)
{
    uint32_t n = block_columns(b->block);
    if (n == b->cap_cols) {
        uint32_t cap = b->cap_cols ? b->cap_cols * 2 : 64;
        uint32_t *series_of = realloc(b->series_of, cap * sizeof(*series_of));
        if (!series_of)
            return false;
        b->series_of = series_of;
        b->cap_cols = cap;
    }
    struct column_ref *ref = malloc(sizeof(*ref));
    uint32_t col = ref ? block_add_column(b->block) : BLOCK_NO_COLUMN;
    if (col == BLOCK_NO_COLUMN) {
        free(ref);
        return false;
    }
    *ref = (struct column_ref){.next = x->cols, .in = b, .col = col};
    x->cols = ref;
    b->series_of[col] = series;
    b->col_of[wire_id] = col + 1;
    return true;
}

// A column for each series of the group that has none, so that the row is wide enough.
static bool columns_for(
    struct agent_store *a, struct agent_block *b, const struct batch_group *g)
{
    if (!col_of_room(b, a->n_wire))
        return false;
    if (!b->col_of) // nothing is declared: every sample is passed over
        return true;
    for (size_t i = 0; i < g->n; i++) {
        uint32_t id = g->samples[i].id;
        if (id >= a->n_wire || b->col_of[id])
            continue;
        uint32_t series = a->wire[id].series;
        if (!series || series == STORE_REFUSED)
            continue;
        struct series *x = series_by_id(&a->store->table, series);
        if (x && !column_add(b, id, x, series))
            return false;
    }
    return true;
}

int store_put(
    struct store *s, struct series *x, int64_t t_ms, double v, const struct histogram *h)
{
    int rc = track_add(&x->track, t_ms, v, h, t_ms - s->o.retention_ms);
    if (rc != 1)
        return rc;
    s->samples++;
    store_told(s, x->id, t_ms, h ? double_from_bits(NAN_ABSENT_BITS) : v);
    return 1;
}

static int store_events(struct agent_store *a, const struct batch_group *g, int64_t t_ms,
    store_fed_fn *fn, void *ctx)
{
    struct store *s = a->store;
    int stored = 0;
    for (size_t i = 0; i < g->n; i++) {
        const struct batch_sample *m = &g->samples[i];
        uint32_t id = store_series_of(a, m->id);
        struct series *x = id == STORE_REFUSED ? NULL : series_by_id(&s->table, id);
        if (!x || m->kind == SAMPLE_ABSENT)
            continue;
        struct hist_cell *h = NULL;
        double v = m->kind == SAMPLE_STALE ? double_from_bits(NAN_STALE_BITS) : m->value;
        if (m->kind == SAMPLE_HISTOGRAM) {
            h = hist_cell_from_wire(m->hist, m->reset);
            if (!h)
                return -ENOMEM;
            v = h->h.count;
        }
        int rc = store_put(s, x, t_ms, v, h ? &h->h : NULL);
        hist_cell_unref(h);
        if (rc < 0)
            return rc;
        s->duplicates += rc == 0;
        stored += rc;
        if (rc == 1 && fn)
            fn(ctx, id, t_ms);
    }
    return stored;
}

int store_group(struct agent_store *a, const struct batch_group *g, int64_t t_ms,
    store_fed_fn *fn, void *ctx)
{
    struct store *s = a->store;
    if (g->n == 0)
        return 0;
    if (g->interval_ms == 0)
        return store_events(a, g, t_ms, fn, ctx);
    struct agent_block *b = block_for(a, g->interval_ms);
    if (!b)
        return a->n_blocks == BLOCKS_MAX ? -ENOSPC : -ENOMEM;
    if (!columns_for(a, b, g))
        return -ENOMEM;
    struct block_row row;
    uint64_t shortened = block_shortened(b->block);
    int rc = block_row(b->block, g->tick, t_ms, &row);
    for (uint32_t c = 0; shortened != block_shortened(b->block) && c < block_columns(b->block);
         c++)
        store_told(s, b->series_of[c], INT64_MIN, 0);
    if (rc < 0) {
        s->late += rc == -ERANGE ? g->n : 0;
        return rc;
    }
    int stored = 0;
    for (size_t i = 0; i < g->n; i++) {
        const struct batch_sample *m = &g->samples[i];
        uint32_t col = m->id < b->n_wire ? b->col_of[m->id] : 0;
        if (col == 0 || m->kind == SAMPLE_ABSENT)
            continue;
        int kept;
        double told = m->kind == SAMPLE_STALE ? double_from_bits(NAN_STALE_BITS) : m->value;
        if (m->kind == SAMPLE_HISTOGRAM) {
            kept = block_set_histogram(&row, col - 1, m->hist, m->reset);
            told = double_from_bits(NAN_ABSENT_BITS);
        } else {
            kept = block_set(&row, col - 1, told);
        }
        if (kept < 0)
            return kept;
        stored += kept;
        s->duplicates += !kept;
        if (!kept)
            continue;
        uint32_t id = b->series_of[col - 1];
        store_told(s, id, row.t_ms, told);
        if (block_falls(b->block))
            store_told(s, id, INT64_MIN, 0);
        if (fn)
            fn(ctx, id, row.t_ms);
    }
    s->samples += (uint64_t)stored;
    return stored;
}

static void silence(const struct store *s, struct series *x, bool silent)
{
    bool before = series_silent(x);
    x->silent = silent;
    if (series_silent(x) != before)
        store_told(s, x->id, INT64_MIN, 0);
}

int store_record(struct store *s, const struct labels *l, int64_t t_ms, double v,
    const struct histogram *h, uint32_t *ret_id)
{
    struct series *x;
    if (double_bits(v) == NAN_ABSENT_BITS) {
        x = series_find(&s->table, l);
        if (x)
            silence(s, x, true);
        return 0;
    }
    int rc = series_intern(&s->table, l, &x);
    if (rc < 0)
        return rc;
    silence(s, x, false);
    rc = store_put(s, x, t_ms, v, h);
    if (rc < 0)
        return rc;
    if (ret_id)
        *ret_id = x->id;
    return 0;
}

// --- forgetting ------------------------------------------------------------------------------

void store_expire(struct store *s, int64_t now_ms)
{
    int64_t before = now_ms - s->o.retention_ms;
    for (struct agent_store *a = s->first; a; a = a->next)
        for (struct agent_block **at = &a->blocks; *at;) {
            if ((*at)->session != a->session && block_newest_ms((*at)->block) < before)
                agent_block_drop(a, at);
            else
                at = &(*at)->next;
        }
    for (uint32_t k = 0; k < STORE_EXPIRE_SLICE; k++) {
        if (s->expire_at >= s->table.n_ids) {
            s->expire_at = 1;
            return;
        }
        struct series *x = series_by_id(&s->table, s->expire_at++);
        struct point p;
        if (!x || x->declared || (series_latest(x, INT64_MAX, &p) && p.t_ms >= before))
            continue;
        agent_series_drop(s, x);
    }
}

// --- counts ----------------------------------------------------------------------------------

void store_stats(const struct store *s, struct store_stats *ret)
{
    *ret = (struct store_stats){.series = s->table.alive,
        .agents = s->agents.n,
        .samples = s->samples,
        .duplicates = s->duplicates,
        .refused = s->refused,
        .late_overwritten = s->late,
        .bytes = s->table.index.bytes + s->table.n_slots * sizeof(uint32_t) +
                 s->table.cap_ids * sizeof(struct series *) +
                 s->table.alive * sizeof(struct series)};
    for (const struct agent_store *a = s->first; a; a = a->next)
        for (const struct agent_block *b = a->blocks; b; b = b->next) {
            ret->blocks++;
            ret->bytes += block_bytes(b->block);
        }
}
