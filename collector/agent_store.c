// SPDX-License-Identifier: Apache-2.0
// The store's agents: which series are theirs, what wire ids stand for, how series end.
#include "collector/store_state.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

// gcc 12's -fanalyzer loses the arrays that blocks and series own, and takes them for leaked.
#ifndef __clang__
#pragma GCC diagnostic ignored "-Wanalyzer-malloc-leak"
#endif

#define LABELS_MAX  (2 * WIRE_LABELS_MAX + 3)
#define DEFAULT_JOB "node"

static void agent_block_free(struct agent_block *b)
{
    if (!b)
        return;
    block_free(b->block);
    free(b->col_of);
    free(b->series_of);
    free(b);
}

void agent_store_free(struct agent_store *a)
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
        agent_store_free(a);
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

void agent_block_drop(struct agent_store *a, struct agent_block **at)
{
    struct agent_block *b = *at;
    for (uint32_t col = 0; col < block_columns(b->block); col++) {
        struct series *x = series_by_id(&a->store->table, b->series_of[col]);
        if (!x)
            continue;
        column_unlink(x, b);
        store_told(a->store, x->id, INT64_MIN, 0);
    }
    *at = b->next;
    a->n_blocks--;
    agent_block_free(b);
}

// Moves a series to an agent, or to none.
static void series_owner(struct store *s, struct series *x, struct agent_store *a)
{
    bool silent = series_silent(x);
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
    if (a) {
        if (a->list)
            a->list->agent_prev = x;
        a->list = x;
        a->series++;
    }
    if (series_silent(x) != silent)
        store_told(s, x->id, INT64_MIN, 0);
}

void agent_series_drop(struct store *s, struct series *x)
{
    series_owner(s, x, NULL);
    store_told(s, x->id, INT64_MAX, 0);
    // Blocks keep the id by column; ids are not reused, so it just finds nothing.
    series_forget(&s->table, x);
}

void store_agent_forget(struct store *s, struct agent_store *a)
{
    while (a->blocks)
        agent_block_drop(a, &a->blocks);
    while (a->list) {
        struct series *x = a->list;
        if (x->cols) // another agent wrote it too and will again
            series_owner(s, x, NULL);
        else
            agent_series_drop(s, x);
    }
    for (struct agent_store **at = &s->first; *at; at = &(*at)->next)
        if (*at == a) {
            *at = a->next;
            break;
        }
    map_del(&s->agents, a->id, 16);
    agent_store_free(a);
}

void store_agent_silent(struct agent_store *a, bool silent)
{
    if (a->silent == silent)
        return;
    a->silent = silent;
    for (const struct series *x = a->list; x; x = x->agent_next)
        if (!x->silent)
            store_told(a->store, x->id, INT64_MIN, 0);
}

// A stale marker after the newest sample, unless there is none or it ended already.
static void series_end(struct store *s, struct series *x, int64_t t_ms)
{
    struct point p;
    if (!series_latest(x, INT64_MAX, &p) || is_stale(p.v))
        return;
    if (t_ms <= p.t_ms)
        t_ms = p.t_ms + 1;
    (void)store_put(s, x, t_ms, double_from_bits(NAN_STALE_BITS), NULL);
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
    series_owner(s, x, a);
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

size_t agent_store_series(const struct agent_store *a)
{
    return a->series;
}

uint64_t agent_store_refused(const struct agent_store *a)
{
    return a->refused;
}
