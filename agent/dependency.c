// SPDX-License-Identifier: Apache-2.0
#include "agent/dependency.h"
#include "agent/config_read.h"
#include "agent/connection_le.h"
#include "agent/kernel.h"
#include "agent/listen.h"
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// A service shows up a moment after it was found, and has the name.
#define NAME_TICKS      3
#define CONNECT_SECONDS "tocsin_dependency_connect_duration_seconds"

static const char *const ERRORS[CONNECTION_FAILURES] = {
    [CONNECTION_REFUSED] = "refused",
    [CONNECTION_UNANSWERED] = "timeout",
    [CONNECTION_UNREACHABLE] = "unreachable",
    [CONNECTION_RESET_EARLY] = "reset",
    [CONNECTION_ABANDONED] = "abandoned",
    [CONNECTION_NO_PORT] = "no_port",
};
// These are there, at 0, before the first of them: the first is a growth.
static const bool ALWAYS[CONNECTION_FAILURES] = {[CONNECTION_REFUSED] = true,
    [CONNECTION_UNANSWERED] = true,
    [CONNECTION_UNREACHABLE] = true,
    [CONNECTION_RESET_EARLY] = true};

struct row { // of equal labels
    char dest[DEPENDENCY_DEST_MAX];
    char port[8], netns[12];                                // "" = no such label
    uint32_t slots;                                         // that belong to it; 0 = free
    uint32_t duration, opened, failed[CONNECTION_FAILURES]; // ids
};

struct slot {
    bool mapped; // its page may be touched
    uint32_t ticks;
    int row;                   // -1 = not named
    uint64_t connects, active; // active: since the period began
};

struct dependencies {
    struct connection_memory memory;
    struct kernel_part *part;
    uint32_t n; // with "other"
    struct row *rows;
    struct slot *slots;
    int64_t period_ns;
    struct connection_le le;
    void (*on_move)(void *ctx, uint32_t from, uint32_t to);
    void *on_move_ctx;
};

struct dependencies *dependencies_new(
    const struct connection_memory *m, struct kernel_part *part)
{
    struct dependencies *d = calloc(1, sizeof(*d));

    if (!d)
        return NULL;
    d->memory = *m;
    d->part = part;
    d->n = m->n_dests + 1;
    d->le = (struct connection_le){
        .name = CONNECT_SECONDS, .bounds_ns = m->head->connect_le_ns, .rows = d->n};
    d->rows = calloc(d->n, sizeof(*d->rows));
    d->slots = calloc(d->n, sizeof(*d->slots));
    if (!d->rows || !d->slots) {
        dependencies_free(d);
        return NULL;
    }
    for (uint32_t i = 0; i < d->n; i++)
        d->slots[i].row = -1;
    return d;
}

void dependencies_free(struct dependencies *d)
{
    if (!d)
        return;
    connection_le_done(&d->le);
    free(d->rows);
    free(d->slots);
    free(d);
}

// --- names ---------------------------------------------------------------------------------------

// False: not yet.
static bool name_of(
    const struct connection_dest *p, const struct env *env, uint32_t ticks, struct row *ret)
{
    char address[INET6_ADDRSTRLEN] = "";
    bool v4 = p->address[0] == 0 && p->address[1] == 0 && p->address[2] == htonl(0xffff);

    *ret = (struct row){0};
    inet_ntop(
        v4 ? AF_INET : AF_INET6, v4 ? &p->address[3] : p->address, address, sizeof(address));
    if (p->netns)
        snprintf(ret->netns, sizeof(ret->netns), "%u", p->netns);
    struct listen *l = p->netns && env->listen ? listen_in(env->listen, p->netns) : env->listen;
    if (l && config_is_this_host(address, env->config ? env->config->host : "")) {
        const struct service *v = listen_service(l, p->port);
        if (v) {
            snprintf(ret->dest, sizeof(ret->dest), "%s", v->name);
            snprintf(ret->port, sizeof(ret->port), "%u", p->port);
            return true;
        }
        if (ticks < NAME_TICKS)
            return false;
    }
    snprintf(ret->dest, sizeof(ret->dest), v4 ? "%s:%u" : "[%s]:%u", address, p->port);
    return true;
}

static size_t labels_of(const struct row *r, struct wire_label labels[static DEPENDENCY_LABELS])
{
    size_t n = 0;

    labels[n++] = (struct wire_label){"job", "dependency"};
    labels[n++] = (struct wire_label){"dest", r->dest};
    if (r->port[0])
        labels[n++] = (struct wire_label){"port", r->port};
    if (r->netns[0])
        labels[n++] = (struct wire_label){"netns", r->netns};
    return n;
}

static int row_of(struct dependencies *d, const struct row *named)
{
    int free_row = -1;

    for (uint32_t i = 1; i < d->n; i++) {
        const struct row *r = &d->rows[i];
        if (!r->slots)
            free_row = free_row < 0 ? (int)i : free_row;
        else if (strcmp(r->dest, named->dest) == 0 && strcmp(r->port, named->port) == 0 &&
                 strcmp(r->netns, named->netns) == 0)
            return (int)i;
    }
    if (free_row >= 0) // there are as many rows as slots
        d->rows[free_row] = *named;
    return free_row;
}

static void row_leave(struct dependencies *d, struct output *o, int row)
{
    struct row *r = &d->rows[row];

    if (--r->slots)
        return;
    if (r->duration)
        output_end(o, r->duration);
    if (r->opened)
        output_end(o, r->opened);
    for (int i = 0; i < CONNECTION_FAILURES; i++)
        if (r->failed[i])
            output_end(o, r->failed[i]);
    connection_le_end(&d->le, (size_t)row, o);
    *r = (struct row){0};
}

int dependency_row(const struct dependencies *d, uint32_t index)
{
    return index < d->n ? d->slots[index].row : -1;
}

size_t dependency_labels(
    struct dependencies *d, int row, struct wire_label labels[static DEPENDENCY_LABELS])
{
    return labels_of(&d->rows[row], labels);
}

void dependency_active(struct dependencies *d, uint32_t index, uint64_t n)
{
    if (index < d->n)
        d->slots[index].active += n;
}

void dependency_on_move(
    struct dependencies *d, void (*fn)(void *ctx, uint32_t from, uint32_t to), void *ctx)
{
    d->on_move = fn;
    d->on_move_ctx = ctx;
}

// --- slots ---------------------------------------------------------------------------------------

static uint64_t read_once(const __u64 *at)
{
    return __atomic_load_n(at, __ATOMIC_RELAXED);
}

static uint64_t connects_of(const struct connection_dest *p)
{
    uint64_t n = read_once(&p->opened);
    for (int i = 0; i < CONNECTION_FAILURES; i++)
        n += read_once(&p->failed[i]);
    return n;
}

static void move_one(__u64 *from, __u64 *to)
{
    // The kernel may be adding to either.
    uint64_t n = __atomic_exchange_n(from, 0, __ATOMIC_RELAXED);
    if (n)
        __atomic_fetch_add(to, n, __ATOMIC_RELAXED);
}

static void give_back(struct dependencies *d, struct output *o, uint32_t index)
{
    struct slot *s = &d->slots[index];
    struct connection_dest *p = &d->memory.dests[index];
    uint32_t to = 0;

    for (uint32_t i = 1; i < d->n; i++)
        if (i != index && s->row >= 0 && d->slots[i].row == s->row)
            to = i;
    struct connection_dest *t = &d->memory.dests[to];
    // From here on its connections count as "other".
    __atomic_fetch_add(&d->memory.head->dest_turns[index - 1], 1, __ATOMIC_RELEASE);
    for (int i = 0; i < CONNECTION_BUCKETS; i++)
        move_one(&p->connect[i], &t->connect[i]);
    move_one(&p->connect_ns, &t->connect_ns);
    move_one(&p->opened, &t->opened);
    for (int i = 0; i < CONNECTION_LE; i++)
        move_one(&p->le[i], &t->le[i]);
    for (int i = 0; i < CONNECTION_FAILURES; i++)
        move_one(&p->failed[i], &t->failed[i]);
    if (d->on_move)
        d->on_move(d->on_move_ctx, index, to);
    if (s->row >= 0)
        row_leave(d, o, s->row);
    memset(p, 0, sizeof(*p));
    *s = (struct slot){.mapped = true, .row = -1};
    __atomic_store_n(&d->memory.head->dests[index - 1], 0, __ATOMIC_RELEASE);
}

static void slot_look(struct dependencies *d, const struct env *env, uint32_t index)
{
    struct slot *s = &d->slots[index];
    struct row named;
    bool taken = index == 0 || read_once(&d->memory.head->dests[index - 1]) != 0;

    if (!taken)
        return;
    if (!s->mapped &&
        kernel_part_need(d->part, &d->memory.dests[index], sizeof(d->memory.dests[index])) < 0)
        return;
    s->mapped = true;
    const struct connection_dest *p = &d->memory.dests[index];
    if (s->row >= 0)
        return;
    if (index == 0) {
        if (!connects_of(p))
            return;
        d->rows[0] = (struct row){.dest = "other"};
        s->row = 0;
    } else {
        if (!p->named || !name_of(p, env, s->ticks++, &named))
            return;
        s->row = row_of(d, &named);
    }
    if (s->row >= 0)
        d->rows[s->row].slots++;
}

// The least busy make room, if there is none.
static void make_room(struct dependencies *d, struct output *o)
{
    uint32_t n = d->n - 1, leave = n / 8 ? n / 8 : 1;

    for (uint32_t i = 1; i < d->n; i++)
        if (d->slots[i].row < 0)
            return;
    while (n && leave--) {
        uint32_t least = 0;
        for (uint32_t i = 1; i < d->n; i++)
            if (d->slots[i].row >= 0 && (!least || d->slots[i].active < d->slots[least].active))
                least = i;
        give_back(d, o, least);
    }
}

static void period(struct dependencies *d, struct output *o, int64_t now_ns)
{
    for (uint32_t i = 1; i < d->n; i++) {
        struct slot *s = &d->slots[i];
        if (s->row < 0)
            continue;
        uint64_t connects = connects_of(&d->memory.dests[i]);
        s->active += connects - s->connects;
        s->connects = connects;
    }
    if (!d->period_ns)
        d->period_ns = now_ns;
    if (now_ns - d->period_ns < DEPENDENCY_PERIOD_S * NS_PER_S)
        return;
    d->period_ns = now_ns;
    // Only when there is somebody who needs it.
    if (connects_of(&d->memory.dests[0]) != d->slots[0].connects)
        make_room(d, o);
    d->slots[0].connects = connects_of(&d->memory.dests[0]);
    for (uint32_t i = 1; i < d->n; i++)
        d->slots[i].active = 0;
}

// --- output --------------------------------------------------------------------------------------

static void declare(struct row *r, struct output *o, const uint64_t *failed)
{
    struct wire_label labels[DEPENDENCY_LABELS + 1];
    size_t n = labels_of(r, labels);

    if (!r->duration) {
        r->duration = output_series(o, CONNECT_SECONDS, labels, n, SERIES_HISTOGRAM, "seconds");
        r->opened = output_series(
            o, "tocsin_dependency_connections_opened_total", labels, n, SERIES_COUNTER, "");
    }
    for (int i = 0; i < CONNECTION_FAILURES; i++) {
        if (r->failed[i] || (!ALWAYS[i] && !failed[i]))
            continue;
        labels[n] = (struct wire_label){"error", ERRORS[i]};
        r->failed[i] = output_series(
            o, "tocsin_dependency_connect_failures_total", labels, n + 1, SERIES_COUNTER, "");
    }
}

static void show(struct dependencies *d, const struct env *env, int row)
{
    struct output *o = env->out;
    uint64_t le[CONNECTION_LE] = {0};
    struct wire_label labels[DEPENDENCY_LABELS];
    __u64 buckets[CONNECTION_BUCKETS] = {0};
    int32_t index[CONNECTION_BUCKETS];
    uint64_t count[CONNECTION_BUCKETS], opened = 0, sum_ns = 0,
                                        failed[CONNECTION_FAILURES] = {0};
    struct wire_histogram h;
    struct row *r = &d->rows[row];

    for (uint32_t i = 0; i < d->n; i++) {
        const struct connection_dest *p = &d->memory.dests[i];
        if (d->slots[i].row != row)
            continue;
        for (int b = 0; b < CONNECTION_BUCKETS; b++)
            buckets[b] += read_once(&p->connect[b]);
        sum_ns += read_once(&p->connect_ns);
        opened += read_once(&p->opened);
        for (int f = 0; f < CONNECTION_FAILURES; f++)
            failed[f] += read_once(&p->failed[f]);
        for (int k = 0; k < CONNECTION_LE; k++)
            le[k] += read_once(&p->le[k]);
    }
    declare(r, o, failed);
    connection_read(buckets, sum_ns, CONNECTION_CONNECT_LOW, index, count, &h);
    output_histogram(o, r->duration, &h);
    output_set(o, r->opened, (double)opened);
    for (int f = 0; f < CONNECTION_FAILURES; f++)
        if (r->failed[f])
            output_set(o, r->failed[f], (double)failed[f]);
    connection_le_write(&d->le, (size_t)row, o, env->demand, labels, labels_of(r, labels), le);
}

void dependencies_tick(struct dependencies *d, const struct env *env, int64_t now_ns)
{
    bool bounds = connection_le_follow(&d->le, env->demand);

    for (uint32_t i = 0; i < d->n; i++) {
        slot_look(d, env, i);
        for (int k = 0; bounds && d->slots[i].mapped && k < CONNECTION_LE; k++)
            __atomic_store_n(&d->memory.dests[i].le[k], 0, __ATOMIC_RELAXED);
    }
    period(d, env->out, now_ns);
    for (uint32_t i = 0; i < d->n; i++)
        if (d->rows[i].slots)
            show(d, env, (int)i);
}

void dependencies_end(struct dependencies *d, struct output *o)
{
    for (uint32_t i = 0; i < d->n; i++)
        if (d->slots[i].row >= 0) {
            row_leave(d, o, d->slots[i].row);
            d->slots[i].row = -1;
        }
}
