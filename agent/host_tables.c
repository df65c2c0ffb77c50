// SPDX-License-Identifier: Apache-2.0
/*
 * Tables of the kernel's network that fill up: tracked connections, neighbours, and what waits in
 * the queues of UDP sockets. They may be long, so they are read in pieces and less often.
 */
#include "agent/host.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const TRACKED[] = {"drop", "early_drop", "found", "ignore", "insert",
    "insert_failed", "invalid", "search_restart"};
enum { N_TRACKED = sizeof(TRACKED) / sizeof(TRACKED[0]), COLUMNS_MAX = 32 };

enum { ARP, UDP, UDP6, CONNTRACK, N_FILES };
static const char *const FILES[N_FILES] = {
    "net/arp", "net/udp", "net/udp6", "net/stat/nf_conntrack"};

struct tables {
    int files[N_FILES]; // -1: not there
    struct host_number entries, limit;
    struct host_rows neighbours;
    uint32_t tracked[N_TRACKED], queues[2][2]; // v4 v6, tx rx
    // While a file is read:
    uint64_t line;
    int column[COLUMNS_MAX]; // which of TRACKED; -1 = none
    double sums[N_TRACKED];
};

static void tables_close(struct sampler *s)
{
    struct tables *t = s->state;
    if (!t)
        return;
    for (int i = 0; i < N_FILES; i++)
        if (t->files[i] != -1)
            close(t->files[i]);
    host_number_done(&t->entries);
    host_number_done(&t->limit);
    host_rows_done(&t->neighbours);
    free(t);
    s->state = NULL;
}

static int tables_open(struct sampler *s)
{
    static const char *const IP[] = {"v4", "v6"}, *const QUEUE[] = {"tx", "rx"};
    struct output *o = s->env->out;
    struct tables *t = s->state = calloc(1, sizeof(*t));
    bool any = false;
    if (!t)
        return host_unavailable(s, "net/arp", -ENOMEM);
    for (int i = 0; i < N_FILES; i++) {
        char path[PATH_MAX];
        t->files[i] = snprintf(path, sizeof(path), "%s/%s", s->env->proc, FILES[i]) < PATH_MAX
                          ? open(path, O_RDONLY | O_CLOEXEC)
                          : -1;
        any = any || t->files[i] != -1;
    }
    int rc = any ? 0 : -errno;
    // Tracked is only where a firewall asks for it: not there is no fault.
    host_number_open(&t->entries, s->env->proc, "sys/net/netfilter/nf_conntrack_count", o,
        "node_nf_conntrack_entries", SERIES_GAUGE);
    host_number_open(&t->limit, s->env->proc, "sys/net/netfilter/nf_conntrack_max", o,
        "node_nf_conntrack_entries_limit", SERIES_GAUGE);
    for (int i = 0; i < N_TRACKED && t->files[CONNTRACK] != -1; i++) {
        char name[64];
        snprintf(name, sizeof(name), "node_nf_conntrack_stat_%s", TRACKED[i]);
        t->tracked[i] = host_series(o, name, SERIES_COUNTER, "1", NULL);
    }
    for (int v = 0; v < 2; v++)
        for (int q = 0; q < 2 && t->files[UDP + v] != -1; q++)
            t->queues[v][q] = host_series(o, "node_udp_queues", SERIES_GAUGE, "By",
                (struct wire_label[]){{"ip", IP[v]}, {"queue", QUEUE[q]}, {NULL, NULL}});
    return rc < 0 ? host_unavailable(s, "/proc/net", rc) : 0;
}

// "192.0.2.1  0x1  0x2  02:fc:00:00:00:05  *  eth0"
static void on_neighbour(void *ctx, const char *line)
{
    struct tables *t = ctx;
    const char *word = NULL;
    size_t len = 0;
    bool is_new;
    if (t->line++ == 0)
        return;
    for (int i = 0; i < 6; i++)
        word = scan_word(&line, &len);
    struct host_row *row = len ? host_rows_find(&t->neighbours, word, len, &is_new) : NULL;
    if (row)
        row->count++;
}

// "  sl: local remote st TX:RX ...", in hex.
static void on_udp(void *ctx, const char *line)
{
    struct tables *t = ctx;
    const char *word = NULL;
    size_t len = 0;
    char *rest;
    if (t->line++ == 0)
        return;
    for (int i = 0; i < 5; i++)
        word = scan_word(&line, &len);
    t->sums[0] += (double)strtoull(word, &rest, 16);
    if (*rest == ':')
        t->sums[1] += (double)strtoull(rest + 1, NULL, 16);
}

// A heading with names, then a line per CPU, in hex.
static void on_tracked(void *ctx, const char *line)
{
    struct tables *t = ctx;
    bool heading = t->line++ == 0;
    for (int at = 0; at < COLUMNS_MAX; at++) {
        size_t len;
        const char *word = scan_word(&line, &len);
        if (heading)
            t->column[at] = -1;
        if (!len && !heading)
            break;
        for (int i = 0; heading && i < N_TRACKED; i++)
            if (strlen(TRACKED[i]) == len && memcmp(TRACKED[i], word, len) == 0)
                t->column[at] = i;
        if (!heading && t->column[at] != -1)
            t->sums[t->column[at]] += (double)strtoull(word, NULL, 16);
    }
}

static bool read_table(struct tables *t, int file, void (*fn)(void *ctx, const char *line))
{
    t->line = 0;
    memset(t->sums, 0, sizeof(t->sums));
    return t->files[file] != -1 && host_each_line(t->files[file], fn, t) == 0;
}

static void neighbours_tick(struct tables *t, struct output *o)
{
    host_rows_begin(&t->neighbours);
    for (size_t i = 0; i < t->neighbours.n; i++)
        t->neighbours.rows[i].count = 0;
    bool ok = read_table(t, ARP, on_neighbour);
    for (size_t i = 0; i < t->neighbours.n; i++) {
        struct host_row *row = &t->neighbours.rows[i];
        if (!row->ids[0])
            row->ids[0] = host_series(o, "node_arp_entries", SERIES_GAUGE, "1",
                (struct wire_label[]){{"device", row->name}, {NULL, NULL}});
        if (ok)
            output_set(o, row->ids[0], row->count);
        else
            output_absent(o, row->ids[0]);
    }
    if (ok)
        host_rows_sweep(&t->neighbours, o);
}

static void tables_tick(struct sampler *s, const struct tick *tick)
{
    struct tables *t = s->state;
    struct output *o = s->env->out;
    (void)tick;

    neighbours_tick(t, o);
    for (int v = 0; v < 2; v++) {
        bool ok = read_table(t, UDP + v, on_udp);
        for (int q = 0; q < 2; q++)
            if (ok)
                output_set(o, t->queues[v][q], t->sums[q]);
            else
                output_absent(o, t->queues[v][q]);
    }
    bool ok = read_table(t, CONNTRACK, on_tracked);
    for (int i = 0; i < N_TRACKED; i++)
        if (ok)
            output_set(o, t->tracked[i], t->sums[i]);
        else
            output_absent(o, t->tracked[i]);
    host_number_tick(&t->entries, o);
    host_number_tick(&t->limit, o);
}

const struct sampler_ops sampler_host_tables = {.name = "host.tables",
    .interval_ms = 5000,
    .open = tables_open,
    .tick = tables_tick,
    .close = tables_close};
