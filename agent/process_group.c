// SPDX-License-Identifier: Apache-2.0
#include "agent/process_group.h"
#include <stdlib.h>
#include <string.h>

enum { NUM_PROCS, CPU_USER, CPU_SYSTEM, RESIDENT, VIRTUAL, THREADS, MINOR, MAJOR, OLDEST };
static const struct {
    const char *name, *unit;
    enum series_kind kind;
    const char *label, *value;
} SERIES[GROUP_IDS] = {
    [NUM_PROCS] = {"namedprocess_namegroup_num_procs", "1", SERIES_GAUGE, NULL, NULL},
    [CPU_USER] = {"namedprocess_namegroup_cpu_seconds_total", "s", SERIES_COUNTER, "mode",
        "user"},
    [CPU_SYSTEM] = {"namedprocess_namegroup_cpu_seconds_total", "s", SERIES_COUNTER, "mode",
        "system"},
    [RESIDENT] = {"namedprocess_namegroup_memory_bytes", "By", SERIES_GAUGE, "memtype",
        "resident"},
    [VIRTUAL] = {"namedprocess_namegroup_memory_bytes", "By", SERIES_GAUGE, "memtype",
        "virtual"},
    [THREADS] = {"namedprocess_namegroup_num_threads", "1", SERIES_GAUGE, NULL, NULL},
    [MINOR] = {"namedprocess_namegroup_minor_page_faults_total", "1", SERIES_COUNTER, NULL,
        NULL},
    [MAJOR] = {"namedprocess_namegroup_major_page_faults_total", "1", SERIES_COUNTER, NULL,
        NULL},
    [OLDEST] = {"namedprocess_namegroup_oldest_start_time_seconds", "s", SERIES_GAUGE, NULL,
        NULL},
};

void groups_done(struct groups *g)
{
    for (size_t i = 0; i < g->n; i++)
        free(g->list[i].service);
    free(g->list);
    free(g->order);
    *g = (struct groups){0};
}

void groups_begin(struct groups *g)
{
    for (size_t i = 0; i < g->n; i++) {
        struct group *one = &g->list[i];
        one->processes = one->threads = one->virtual_bytes = one->resident_pages = 0;
        one->oldest = UINT64_MAX;
        one->spent = 0;
    }
}

static bool same(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static bool grow(struct groups *g)
{
    size_t cap = g->cap ? g->cap * 2 : 32;
    struct group *list = realloc(g->list, cap * sizeof(*list));
    if (!list)
        return false;
    g->list = list;
    uint32_t *order = realloc(g->order, cap * sizeof(*order));
    if (!order)
        return false;
    g->order = order;
    g->cap = cap;
    return true;
}

uint32_t groups_find(struct groups *g, const char *comm, const char *service)
{
    size_t at = g->n;

    for (size_t i = 0; i < g->n; i++) {
        if (!g->list[i].used)
            at = i;
        else if (strcmp(g->list[i].comm, comm) == 0 && same(g->list[i].service, service))
            return (uint32_t)i;
    }
    if (at == g->n && g->n >= GROUPS_MAX - 1 && (strcmp(comm, "other") != 0 || service))
        return groups_find(g, "other", NULL);
    if (at == g->n && g->n == g->cap && !grow(g))
        return GROUP_NONE;
    char *copy = service ? strdup(service) : NULL;
    if (service && !copy)
        return GROUP_NONE;
    struct group *one = &g->list[at];
    *one = (struct group){.service = copy, .used = true, .oldest = UINT64_MAX};
    memcpy(one->comm, comm, strnlen(comm, PROCESS_COMM_MAX - 1));
    g->n += at == g->n;
    return (uint32_t)at;
}

void group_add(struct group *g, const struct process_stat *s, const struct process_use *use)
{
    g->processes++;
    g->threads += s->threads;
    g->virtual_bytes += s->virtual_bytes;
    g->resident_pages += s->resident_pages;
    if (s->start < g->oldest)
        g->oldest = s->start;
    g->user += use->user;
    g->system += use->system;
    g->spent += use->user + use->system;
    g->minor_faults += use->minor_faults;
    g->major_faults += use->major_faults;
}

// --- which are shown -----------------------------------------------------------------------------

static uint64_t rank(const struct group *g, bool by_cpu)
{
    return by_cpu ? g->spent : g->resident_pages;
}

// Marks the first `top` of those that are in use; of equals the one that was found first.
static void mark(struct groups *g, size_t top, bool by_cpu)
{
    size_t n = 0;

    for (size_t i = 0; i < g->n; i++) {
        const struct group *one = &g->list[i];
        if (!one->used || !rank(one, by_cpu))
            continue;
        // The first ones so far, in order; top is small.
        size_t at = n < top ? n++ : top;
        while (at > 0 && rank(&g->list[g->order[at - 1]], by_cpu) < rank(one, by_cpu)) {
            if (at < top)
                g->order[at] = g->order[at - 1];
            at--;
        }
        if (at < top)
            g->order[at] = (uint32_t)i;
    }
    for (size_t i = 0; i < n; i++)
        g->list[g->order[i]].top = true;
}

static void hide(struct group *g, struct output *o)
{
    for (int i = 0; i < GROUP_IDS; i++) {
        output_end(o, g->ids[i]);
        g->ids[i] = 0;
    }
    g->shown = false;
}

static void show(struct group *g, struct output *o, const struct group_units *u)
{
    const double v[GROUP_IDS] = {
        [NUM_PROCS] = (double)g->processes,
        [CPU_USER] = (double)g->user / u->hz,
        [CPU_SYSTEM] = (double)g->system / u->hz,
        [RESIDENT] = (double)g->resident_pages * u->page_bytes,
        [VIRTUAL] = (double)g->virtual_bytes,
        [THREADS] = (double)g->threads,
        [MINOR] = (double)g->minor_faults,
        [MAJOR] = (double)g->major_faults,
        [OLDEST] = u->boot_s + (double)g->oldest / u->hz,
    };
    for (int i = 0; i < GROUP_IDS; i++) {
        struct wire_label l[4] = {{"job", "node"}, {"groupname", g->comm}};
        size_t n = 2;
        if (g->service)
            l[n++] = (struct wire_label){"service", g->service};
        if (SERIES[i].label)
            l[n++] = (struct wire_label){SERIES[i].label, SERIES[i].value};
        if (!g->shown)
            g->ids[i] = output_series(o, SERIES[i].name, l, n, SERIES[i].kind, SERIES[i].unit);
        if (i == OLDEST && !g->processes)
            output_absent(o, g->ids[i]);
        else
            output_set(o, g->ids[i], v[i]);
    }
    g->shown = true;
}

void groups_show(struct groups *g, struct output *o, size_t top, int64_t now_ns,
    const struct group_units *units)
{
    size_t shown = 0;

    if (top > g->n)
        top = g->n;
    for (size_t i = 0; i < g->n; i++)
        g->list[i].top = false;
    mark(g, top, true);
    mark(g, top, false);
    for (size_t i = 0; i < g->n; i++) {
        struct group *one = &g->list[i];
        if (one->top)
            one->top_ns = now_ns;
        else if (one->shown && now_ns - one->top_ns >= GROUP_KEEP_NS)
            hide(one, o);
        shown += one->shown && !one->top;
    }
    // Many that came and went: those that did so longest ago make room.
    while (shown > 2 * top) {
        struct group *oldest = NULL;
        for (size_t i = 0; i < g->n; i++)
            if (g->list[i].shown && !g->list[i].top &&
                (!oldest || g->list[i].top_ns < oldest->top_ns))
                oldest = &g->list[i];
        if (!oldest)
            break;
        hide(oldest, o);
        shown--;
    }
    for (size_t i = 0; i < g->n; i++) {
        struct group *one = &g->list[i];
        if (one->top || one->shown)
            show(one, o, units);
        else if (one->used && !one->processes) {
            free(one->service);
            *one = (struct group){0};
        }
    }
}

void groups_hide(struct groups *g, struct output *o)
{
    for (size_t i = 0; i < g->n; i++)
        if (g->list[i].shown)
            hide(&g->list[i], o);
}
