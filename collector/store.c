// SPDX-License-Identifier: Apache-2.0
#include "collector/store.h"
#include "collector/series.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

// gcc 12's -fanalyzer loses the arrays that blocks and series own, and takes them for leaked.
#ifndef __clang__
#pragma GCC diagnostic ignored "-Wanalyzer-malloc-leak"
#endif

#define BLOCKS_MAX      32 // of one agent: sampling intervals times sessions still in memory
#define BYTES_PER_AGENT (128u << 20)
#define LABELS_MAX      (2 * WIRE_LABELS_MAX + 3)
#define DEFAULT_JOB     "node"

// What a wire id of the running session stands for.
struct wire_series {
    uint64_t hash;   // of the declaration: a key frame repeats it, and then nothing is to do
    uint32_t series; // 0 = not declared or retired, STORE_REFUSED = over a limit
};

struct agent_block {
    struct agent_block *next; // newest session first
    struct block *block;
    uint64_t session;
    uint32_t *col_of; // by wire id: 1 + column
    uint32_t n_wire;
    uint32_t *series_of; // by column
    uint32_t cap_cols;
};

struct agent_store {
    struct store *store;
    struct agent_store *next;
    uint8_t id[16];
    char *instance;
    struct label *host_labels; // sorted; strings in host_text
    char *host_text;
    size_t n_host;
    bool silent;
    uint64_t epoch, session; // session counts ours, from 1
    struct wire_series *wire;
    uint32_t n_wire;
    struct series *list; // those that have it as their agent
    size_t series;
    uint64_t refused;
    struct agent_block *blocks;
    size_t n_blocks;
    int64_t budget;
};

struct store {
    struct store_options o;
    struct series_table table;
    struct source source;
    struct map agents;
    struct agent_store *first;
    uint64_t samples, duplicates, refused, late;
    uint32_t expire_at; // next id to look at
};

// --- source ----------------------------------------------------------------------------------

static uint64_t src_generation(void *self)
{
    return ((struct store *)self)->table.generation;
}

static const struct labels *labels_of(void *ctx, uint32_t id)
{
    static const struct labels NONE;
    const struct series *x = series_by_id(ctx, id);
    return x ? x->labels : &NONE;
}

static int src_select(void *self, const struct matcher *m, size_t n, struct series_ids *out)
{
    struct store *s = self;
    return index_select(&s->table.index, m, n, labels_of, &s->table, out);
}

static struct labels src_labels(void *self, uint32_t id)
{
    const struct series *x = series_by_id(&((struct store *)self)->table, id);
    return x ? *x->labels : (struct labels){0};
}

// Puts what was appended from `mid` on in its place among what came from `first` on. Both halves
// rise; a time both have is kept from the half `mid` starts. Few points are out of place.
static void merge_tail(struct points *out, size_t first, size_t mid)
{
    if (mid == first || mid == out->n || out->p[mid].t_ms > out->p[mid - 1].t_ms)
        return;
    for (size_t i = mid; i < out->n; i++) {
        struct point x = out->p[i];
        size_t k = i;
        while (k > first && out->p[k - 1].t_ms > x.t_ms) {
            out->p[k] = out->p[k - 1];
            k--;
        }
        out->p[k] = x;
    }
    size_t n = first;
    for (size_t i = first; i < out->n; i++) {
        if (n > first && out->p[n - 1].t_ms == out->p[i].t_ms)
            n--;
        out->p[n++] = out->p[i];
    }
    out->n = n;
}

static int src_range(
    void *self, uint32_t id, int64_t from_ms, int64_t to_ms, struct points *out)
{
    const struct series *x = series_by_id(&((struct store *)self)->table, id);
    if (!x)
        return 0;
    size_t first = out->n;
    for (const struct column_ref *c = x->cols; c; c = c->next) {
        size_t mid = out->n;
        if (block_range(c->in->block, c->col, from_ms, to_ms, out) < 0)
            return -ENOMEM;
        merge_tail(out, first, mid);
    }
    size_t mid = out->n;
    if (track_range(&x->track, from_ms, to_ms, out) < 0)
        return -ENOMEM;
    merge_tail(out, first, mid);
    return 0;
}

static bool series_latest(const struct series *x, int64_t t_ms, struct point *ret)
{
    // An event at the very millisecond of a tick is the later word.
    bool found = track_latest(&x->track, t_ms, ret);
    for (const struct column_ref *c = x->cols; c; c = c->next) {
        struct point p;
        if (block_latest(c->in->block, c->col, t_ms, &p) && (!found || p.t_ms > ret->t_ms)) {
            *ret = p;
            found = true;
        }
    }
    return found;
}

static bool src_latest(void *self, uint32_t id, int64_t t_ms, struct point *ret)
{
    const struct series *x = series_by_id(&((struct store *)self)->table, id);
    return x && series_latest(x, t_ms, ret);
}

static bool src_silent(void *self, uint32_t id)
{
    const struct series *x = series_by_id(&((struct store *)self)->table, id);
    return x && (x->silent || (x->agent && x->agent->silent));
}

static int src_record(
    void *self, const struct labels *l, int64_t t_ms, double v, const struct histogram *h)
{
    return store_record(self, l, t_ms, v, h, NULL);
}

// --- the store -------------------------------------------------------------------------------

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
    s->source = (struct source){.self = s,
        .generation = src_generation,
        .select = src_select,
        .labels = src_labels,
        .range = src_range,
        .latest = src_latest,
        .silent = src_silent,
        .record = src_record};
    return s;
}

static void agent_block_free(struct agent_block *b)
{
    if (!b)
        return;
    block_free(b->block);
    free(b->col_of);
    free(b->series_of);
    free(b);
}

static void agent_free(struct agent_store *a)
{
    while (a->blocks) {
        struct agent_block *next = a->blocks->next;
        agent_block_free(a->blocks);
        a->blocks = next;
    }
    free(a->wire);
    free(a->host_labels);
    free(a->host_text);
    free(a->instance);
    free(a);
}

void store_free(struct store *s)
{
    if (!s)
        return;
    series_table_done(&s->table);
    while (s->first) {
        struct agent_store *next = s->first->next;
        agent_free(s->first);
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

// --- agents ----------------------------------------------------------------------------------

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct label *)a)->name, ((const struct label *)b)->name);
}

static bool host_labels_copy(struct agent_store *a, const struct wire_label *l, size_t n)
{
    size_t bytes = 1;
    for (size_t i = 0; i < n; i++)
        bytes += strlen(l[i].name) + strlen(l[i].value) + 2;
    char *text = malloc(bytes);
    struct label *labels = calloc(n + 1, sizeof(*labels));
    if (!text || !labels) {
        free(text);
        free(labels);
        return false;
    }
    free(a->host_text);
    free(a->host_labels);
    a->host_text = text;
    a->host_labels = labels;
    a->n_host = n;
    for (size_t i = 0; i < n; i++) {
        labels[i].name = strcpy(text, l[i].name);
        text += strlen(text) + 1;
        labels[i].value = strcpy(text, l[i].value);
        text += strlen(text) + 1;
    }
    qsort(labels, n, sizeof(*labels), by_name);
    return true;
}

struct agent_store *store_agent(struct store *s, const uint8_t agent_id[16],
    const char *instance, const struct wire_label *host_labels, size_t n)
{
    if (n > WIRE_LABELS_MAX)
        n = WIRE_LABELS_MAX;
    struct agent_store *a = map_get(&s->agents, agent_id, 16);
    if (a) {
        char *name = strdup(instance);
        if (!name || !host_labels_copy(a, host_labels, n)) {
            free(name);
            return NULL;
        }
        free(a->instance);
        a->instance = name;
        return a;
    }
    a = calloc(1, sizeof(*a));
    if (!a)
        return NULL;
    a->store = s;
    memcpy(a->id, agent_id, 16);
    a->session = 1;
    a->budget = (int64_t)s->o.bytes_per_agent;
    a->instance = strdup(instance);
    if (!a->instance || !host_labels_copy(a, host_labels, n) ||
        map_set(&s->agents, agent_id, 16, a) < 0) {
        agent_free(a);
        return NULL;
    }
    a->next = s->first;
    s->first = a;
    return a;
}

static void column_unlink(struct series *x, const struct agent_block *b)
{
    for (struct column_ref **at = &x->cols; *at; at = &(*at)->next)
        if ((*at)->in == b) {
            struct column_ref *gone = *at;
            *at = gone->next;
            free(gone);
            return;
        }
}

static void block_drop(struct agent_store *a, struct agent_block **at)
{
    struct agent_block *b = *at;
    for (uint32_t col = 0; col < block_columns(b->block); col++) {
        struct series *x = series_by_id(&a->store->table, b->series_of[col]);
        if (x)
            column_unlink(x, b);
    }
    *at = b->next;
    a->n_blocks--;
    agent_block_free(b);
}

// Moves a series to an agent, or to none.
static void series_owner(struct series *x, struct agent_store *a)
{
    if (x->agent == a)
        return;
    if (x->agent) {
        if (x->agent_prev)
            x->agent_prev->agent_next = x->agent_next;
        else
            x->agent->list = x->agent_next;
        if (x->agent_next)
            x->agent_next->agent_prev = x->agent_prev;
        x->agent->series--;
    }
    x->agent = a;
    x->agent_prev = NULL;
    x->agent_next = a ? a->list : NULL;
    if (!a)
        return;
    if (a->list)
        a->list->agent_prev = x;
    a->list = x;
    a->series++;
}

static void series_drop(struct store *s, struct series *x)
{
    series_owner(x, NULL);
    // Blocks keep the id by column; ids are not reused, so it just finds nothing.
    series_forget(&s->table, x);
}

void store_agent_forget(struct store *s, struct agent_store *a)
{
    while (a->blocks)
        block_drop(a, &a->blocks);
    while (a->list) {
        struct series *x = a->list;
        if (x->cols) // another agent wrote it too and will again
            series_owner(x, NULL);
        else
            series_drop(s, x);
    }
    for (struct agent_store **at = &s->first; *at; at = &(*at)->next)
        if (*at == a) {
            *at = a->next;
            break;
        }
    map_del(&s->agents, a->id, 16);
    agent_free(a);
}

void store_agent_silent(struct agent_store *a, bool silent)
{
    a->silent = silent;
}

// A stale marker after the newest sample, unless there is none or it ended already.
static void series_end(struct store *s, struct series *x, int64_t t_ms)
{
    struct point p;
    if (!series_latest(x, INT64_MAX, &p) || is_stale(p.v))
        return;
    if (t_ms <= p.t_ms)
        t_ms = p.t_ms + 1;
    (void)track_add(
        &x->track, t_ms, double_from_bits(NAN_STALE_BITS), NULL, t_ms - s->o.retention_ms);
}

void store_agent_end(struct agent_store *a, int64_t t_ms)
{
    for (struct series *x = a->list; x; x = x->agent_next)
        series_end(a->store, x, t_ms);
}

void store_agent_sweep(struct agent_store *a, int64_t t_ms)
{
    for (struct series *x = a->list; x; x = x->agent_next)
        if (!x->declared)
            series_end(a->store, x, t_ms);
}

void store_agent_session(struct agent_store *a, uint64_t epoch)
{
    for (uint32_t i = 0; i < a->n_wire; i++) {
        struct series *x = a->wire[i].series == STORE_REFUSED
                               ? NULL
                               : series_by_id(&a->store->table, a->wire[i].series);
        if (x && x->agent == a)
            x->declared = false;
    }
    free(a->wire);
    a->wire = NULL;
    a->n_wire = 0;
    a->refused = 0;
    a->epoch = epoch;
    a->session++;
}

// --- declarations ----------------------------------------------------------------------------

static uint64_t declare_hash(const struct store *s, const struct batch_declare *d)
{
    uint64_t h = hash_bytes(d->name, strlen(d->name) + 1, s->table.seed);
    for (size_t i = 0; i < d->n_labels; i++) {
        h = hash_bytes(d->labels[i].name, strlen(d->labels[i].name) + 1, h);
        h = hash_bytes(d->labels[i].value, strlen(d->labels[i].value) + 1, h);
    }
    return h ? h : 1;
}

static bool has_name(const struct label *l, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(l[i].name, name) == 0)
            return true;
    return false;
}

// The full label set: the sampler's labels win over the host's, instance is always the host.
static size_t full_labels(
    const struct agent_store *a, const struct batch_declare *d, struct label *l)
{
    size_t n = 0;
    l[n++] = (struct label){LABEL_NAME, d->name};
    l[n++] = (struct label){"instance", a->instance};
    for (size_t i = 0; i < d->n_labels && i < WIRE_LABELS_MAX; i++)
        if (!has_name(l, 2, d->labels[i].name))
            l[n++] = (struct label){d->labels[i].name, d->labels[i].value};
    for (size_t i = 0; i < a->n_host; i++)
        if (!has_name(l, n, a->host_labels[i].name))
            l[n++] = a->host_labels[i];
    if (!has_name(l, n, "job"))
        l[n++] = (struct label){"job", DEFAULT_JOB};
    qsort(l, n, sizeof(*l), by_name);
    return n;
}

static bool wire_room(struct agent_store *a, uint32_t id)
{
    if (id < a->n_wire)
        return true;
    if (id > WIRE_ID_MAX)
        return false;
    uint32_t n = a->n_wire ? a->n_wire : 256;
    while (n <= id)
        n *= 2;
    struct wire_series *wire = realloc(a->wire, n * sizeof(*wire));
    if (!wire)
        return false;
    memset(wire + a->n_wire, 0, (n - a->n_wire) * sizeof(*wire));
    a->wire = wire;
    a->n_wire = n;
    return true;
}

uint32_t store_declare(struct agent_store *a, const struct batch_declare *d)
{
    struct store *s = a->store;
    if (!wire_room(a, d->id))
        return STORE_REFUSED;
    struct wire_series *w = &a->wire[d->id];
    uint64_t hash = declare_hash(s, d);
    bool refused_before = w->series == STORE_REFUSED && w->hash == hash;
    if (w->hash == hash && w->series && w->series != STORE_REFUSED &&
        series_by_id(&s->table, w->series))
        return w->series;

    struct label l[LABELS_MAX];
    struct labels full = {l, full_labels(a, d, l)};
    struct series *x = series_find(&s->table, &full);
    bool counts = !x || x->agent != a; // one more for this agent
    bool ok = !counts || a->series < s->o.series_per_agent;
    if (ok && !x)
        ok = series_intern(&s->table, &full, &x) == 0;
    w->hash = hash;
    if (!ok) {
        w->series = STORE_REFUSED;
        if (!refused_before) {
            a->refused++;
            s->refused++;
        }
        return STORE_REFUSED;
    }
    series_owner(x, a);
    x->declared = true;
    w->series = x->id;
    return x->id;
}

uint32_t store_series_of(const struct agent_store *a, uint32_t wire_id)
{
    if (wire_id >= a->n_wire || !a->wire[wire_id].series)
        return STORE_REFUSED;
    return a->wire[wire_id].series;
}

void store_retire(struct agent_store *a, uint32_t wire_id)
{
    uint32_t id = store_series_of(a, wire_id);
    if (id == STORE_REFUSED)
        return;
    struct series *x = series_by_id(&a->store->table, id);
    if (x && x->agent == a)
        x->declared = false;
    a->wire[wire_id] = (struct wire_series){0};
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
        block_drop(a, last);
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
        int rc = track_add(&x->track, t_ms, v, h ? &h->h : NULL, t_ms - s->o.retention_ms);
        hist_cell_unref(h);
        if (rc < 0)
            return rc;
        s->duplicates += rc == 0;
        s->samples += rc == 1;
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
    int rc = block_row(b->block, g->tick, t_ms, &row);
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
        if (m->kind == SAMPLE_HISTOGRAM)
            kept = block_set_histogram(&row, col - 1, m->hist, m->reset);
        else
            kept = block_set(&row, col - 1,
                m->kind == SAMPLE_STALE ? double_from_bits(NAN_STALE_BITS) : m->value);
        if (kept < 0)
            return kept;
        stored += kept;
        s->duplicates += !kept;
        if (kept && fn)
            fn(ctx, b->series_of[col - 1], row.t_ms);
    }
    s->samples += (uint64_t)stored;
    return stored;
}

int store_record(struct store *s, const struct labels *l, int64_t t_ms, double v,
    const struct histogram *h, uint32_t *ret_id)
{
    struct series *x;
    if (double_bits(v) == NAN_ABSENT_BITS) {
        x = series_find(&s->table, l);
        if (x)
            x->silent = true;
        return 0;
    }
    int rc = series_intern(&s->table, l, &x);
    if (rc < 0)
        return rc;
    x->silent = false;
    rc = track_add(&x->track, t_ms, v, h, t_ms - s->o.retention_ms);
    if (rc < 0)
        return rc;
    s->samples += rc == 1;
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
                block_drop(a, at);
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
        series_drop(s, x);
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

size_t agent_store_series(const struct agent_store *a)
{
    return a->series;
}

uint64_t agent_store_refused(const struct agent_store *a)
{
    return a->refused;
}
