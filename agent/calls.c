// SPDX-License-Identifier: Apache-2.0
#include "agent/calls.h"
#include "agent/kernel.h"
#include "agent/latency_table.h"
#include "agent/le_counts.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME "tocsin_dependency_request_duration_seconds"

struct call_row { // what a row of dependencies.h shows here
    char dest[DEPENDENCY_DEST_MAX], port[8], netns[12];
    uint32_t duration, exchanges; // ids, 0 = nothing yet
    struct le_counts le;
    uint64_t before; // exchanges, when counting for the bounds of `le` began
};

struct calls {
    struct latency_call *memory;
    struct kernel_part *part;
    uint32_t n;
    struct call_row *rows;
    bool *mapped;     // the page may be touched
    uint64_t *active; // exchanges that dependency_active has heard of
    uint64_t demand;  // version that was followed
};

struct calls *calls_new(struct latency_call *memory, uint32_t n, struct kernel_part *part)
{
    struct calls *c = calloc(1, sizeof(*c));

    if (!c)
        return NULL;
    *c = (struct calls){.memory = memory, .part = part, .n = n};
    c->rows = calloc(n + 1, sizeof(*c->rows));
    c->mapped = calloc(n + 1, sizeof(*c->mapped));
    c->active = calloc(n + 1, sizeof(*c->active));
    if (!c->rows || !c->mapped || !c->active) {
        calls_free(c, NULL);
        return NULL;
    }
    return c;
}

void calls_free(struct calls *c, struct dependencies *d)
{
    if (!c)
        return;
    if (d)
        dependency_on_move(d, NULL, NULL);
    free(c->rows);
    free(c->mapped);
    free(c->active);
    free(c);
}

static uint64_t read_once(const __u64 *at)
{
    return __atomic_load_n(at, __ATOMIC_RELAXED);
}

static void move_one(__u64 *from, __u64 *to)
{
    // The kernel may be adding to either.
    uint64_t n = __atomic_exchange_n(from, 0, __ATOMIC_RELAXED);
    if (n)
        __atomic_fetch_add(to, n, __ATOMIC_RELAXED);
}

static bool usable(struct calls *c, uint32_t index)
{
    if (index >= c->n)
        return false;
    if (!c->mapped[index])
        c->mapped[index] =
            kernel_part_need(c->part, &c->memory[index], sizeof(c->memory[index])) == 0;
    return c->mapped[index];
}

static void on_move(void *ctx, uint32_t from, uint32_t to)
{
    struct calls *c = ctx;

    if (!usable(c, from) || !usable(c, to))
        return;
    struct latency_call *a = &c->memory[from], *b = &c->memory[to];
    for (int i = 0; i < CONNECTION_BUCKETS; i++)
        move_one(&a->count[i], &b->count[i]);
    move_one(&a->sum_ns, &b->sum_ns);
    for (int i = 0; i < LATENCY_THRESHOLDS; i++)
        move_one(&a->at_most[i], &b->at_most[i]);
    c->active[to] += c->active[from];
    c->active[from] = 0;
}

static void row_end(struct call_row *r, struct output *o)
{
    output_end(o, r->duration);
    output_end(o, r->exchanges);
    le_counts_end(&r->le, o);
    *r = (struct call_row){0};
}

// The row has been given to another destination.
static bool is_other(const struct call_row *r, const struct wire_label *labels, size_t n)
{
    const char *port = "", *netns = "", *dest = "";

    for (size_t i = 0; i < n; i++) {
        if (strcmp(labels[i].name, "dest") == 0)
            dest = labels[i].value;
        else if (strcmp(labels[i].name, "port") == 0)
            port = labels[i].value;
        else if (strcmp(labels[i].name, "netns") == 0)
            netns = labels[i].value;
    }
    return strcmp(dest, r->dest) != 0 || strcmp(port, r->port) != 0 ||
           strcmp(netns, r->netns) != 0;
}

static void row_name(struct call_row *r, const struct wire_label *labels, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(labels[i].name, "dest") == 0)
            snprintf(r->dest, sizeof(r->dest), "%s", labels[i].value);
        else if (strcmp(labels[i].name, "port") == 0)
            snprintf(r->port, sizeof(r->port), "%s", labels[i].value);
        else if (strcmp(labels[i].name, "netns") == 0)
            snprintf(r->netns, sizeof(r->netns), "%s", labels[i].value);
    }
}

struct total {
    __u64 buckets[CONNECTION_BUCKETS], at_most[LATENCY_THRESHOLDS];
    uint64_t n, sum_ns;
};

static void total_of(struct calls *c, const struct dependencies *d, int row, struct total *ret)
{
    memset(ret, 0, sizeof(*ret));
    for (uint32_t i = 0; i < c->n; i++) {
        if (dependency_row(d, i) != row || !usable(c, i))
            continue;
        const struct latency_call *p = &c->memory[i];
        for (int b = 0; b < CONNECTION_BUCKETS; b++) {
            uint64_t here = read_once(&p->count[b]);
            ret->buckets[b] += here;
            ret->n += here;
        }
        for (int b = 0; b < LATENCY_THRESHOLDS; b++)
            ret->at_most[b] += read_once(&p->at_most[b]);
        ret->sum_ns += read_once(&p->sum_ns);
    }
}

static void show_le(struct call_row *r, struct output *o, const struct total *t)
{
    uint64_t total = t->n - r->before, so_far = 0;

    for (size_t i = 0; i < r->le.n; i++) {
        so_far += t->at_most[i];
        r->le.counts[i] = so_far < total ? so_far : total;
    }
    r->le.counts[r->le.n] = total;
    le_counts_write(&r->le, o);
}

static void show(struct calls *c, struct dependencies *d, const struct env *env, int row)
{
    int32_t index[CONNECTION_BUCKETS];
    uint64_t count[CONNECTION_BUCKETS];
    struct wire_histogram h;
    struct total t;
    struct wire_label labels[DEPENDENCY_LABELS];
    struct call_row *r = &c->rows[row];
    size_t n = dependency_labels(d, row, labels);

    if (r->duration && is_other(r, labels, n))
        row_end(r, env->out);
    total_of(c, d, row, &t);
    if (!r->duration && !t.n)
        return;
    if (!r->duration) {
        row_name(r, labels, n);
        r->duration = output_series(env->out, NAME, labels, n, SERIES_HISTOGRAM, "seconds");
        r->exchanges = output_series(
            env->out, "tocsin_dependency_exchanges_total", labels, n, SERIES_COUNTER, "");
    }
    if (r->le.version != c->demand)
        le_counts_follow(&r->le, env->out, env->demand, NAME, labels, n);
    connection_read(t.buckets, t.sum_ns, LATENCY_CALL_LOW, index, count, &h);
    output_histogram(env->out, r->duration, &h);
    output_set(env->out, r->exchanges, (double)t.n);
    show_le(r, env->out, &t);
}

static void demand_follow(
    struct calls *c, struct dependencies *d, struct latency_shared *m, const struct env *env)
{
    double le[DEMAND_THRESHOLDS_MAX];
    struct total t;

    if (!env->demand || env->demand->version == c->demand)
        return;
    c->demand = env->demand->version;
    if (!latency_thresholds_set(
            m->call_thresholds_ns, le, demand_thresholds(env->demand, NAME, le)))
        return;
    for (uint32_t i = 0; i < c->n; i++)
        if (c->mapped[i])
            memset(c->memory[i].at_most, 0, sizeof(c->memory[i].at_most));
    for (uint32_t i = 0; i < c->n; i++) {
        total_of(c, d, (int)i, &t);
        c->rows[i].before = t.n;
    }
}

void calls_tick(
    struct calls *c, struct dependencies *d, struct latency_shared *m, const struct env *env)
{
    dependency_on_move(d, on_move, c);
    demand_follow(c, d, m, env);
    for (uint32_t i = 0; i < c->n; i++) {
        bool first = true;
        int row = dependency_row(d, i);
        uint64_t n = 0;
        if (row < 0 || !usable(c, i))
            continue;
        for (int b = 0; b < CONNECTION_BUCKETS; b++)
            n += read_once(&c->memory[i].count[b]);
        dependency_active(d, i, n - c->active[i]);
        c->active[i] = n;
        for (uint32_t k = 0; k < i && first; k++)
            first = dependency_row(d, k) != row;
        if (first)
            show(c, d, env, row);
    }
    // Rows that nobody belongs to any more.
    for (uint32_t r = 0; r < c->n; r++) {
        bool there = !c->rows[r].duration;
        for (uint32_t i = 0; i < c->n && !there; i++)
            there = dependency_row(d, i) == (int)r;
        if (!there)
            row_end(&c->rows[r], env->out);
    }
}

void calls_end(struct calls *c, struct output *o)
{
    for (uint32_t i = 0; c && i < c->n; i++)
        if (c->rows[i].duration)
            row_end(&c->rows[i], o);
}
