// SPDX-License-Identifier: Apache-2.0
// Network interfaces from /proc/net/dev, and whether each is up from sysfs.
#include "agent/host.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// Columns behind "name:".
static const char *const COLUMNS[] = {"receive_bytes", "receive_packets", "receive_errs",
    "receive_drop", "receive_fifo", "receive_frame", "receive_compressed", "receive_multicast",
    "transmit_bytes", "transmit_packets", "transmit_errs", "transmit_drop", "transmit_fifo",
    "transmit_colls", "transmit_carrier", "transmit_compressed"};
enum { N_COLUMNS = sizeof(COLUMNS) / sizeof(COLUMNS[0]), UP = N_COLUMNS };

struct network {
    struct procfile dev;
    struct host_rows rows;
};

static void network_close(struct sampler *s)
{
    struct network *n = s->state;
    if (!n)
        return;
    procfile_done(&n->dev);
    host_rows_done(&n->rows);
    free(n);
    s->state = NULL;
}

static int network_open(struct sampler *s)
{
    struct network *n = s->state = calloc(1, sizeof(*n));
    if (!n)
        return host_unavailable(s, "net/dev", -ENOMEM);
    procfile_init(&n->dev);
    int rc = procfile_open(&n->dev, s->env->proc, "net/dev");
    return rc < 0 ? host_unavailable(s, "/proc/net/dev", rc) : 0;
}

static void network_intern(struct sampler *s, struct host_row *row)
{
    struct wire_label device[] = {{"device", row->name}, {NULL, NULL}};
    char text[PATH_MAX];
    for (int k = 0; k < N_COLUMNS; k++) {
        snprintf(text, sizeof(text), "node_network_%s_total", COLUMNS[k]);
        row->ids[k] = host_series(
            s->env->out, text, SERIES_COUNTER, strstr(text, "bytes") ? "By" : "1", device);
    }
    if (strchr(row->name, '/') || snprintf(text, sizeof(text), "%s/class/net/%s/operstate",
                                      s->env->sys, row->name) >= (int)sizeof(text))
        return;
    row->fd = open(text, O_RDONLY | O_CLOEXEC);
    if (row->fd != -1)
        row->ids[UP] = host_series(s->env->out, "node_network_up", SERIES_GAUGE, "1", device);
}

static void network_tick(struct sampler *s, const struct tick *t)
{
    struct network *n = s->state;
    struct output *o = s->env->out;
    (void)t;

    host_rows_begin(&n->rows);
    if (procfile_read(&n->dev) < 0) {
        for (size_t i = 0; i < n->rows.n; i++)
            for (int k = 0; k <= UP; k++)
                output_absent(o, n->rows.rows[i].ids[k]);
        return;
    }
    // Two lines of heading, then "  eth0: 1 2 3 ...".
    const char *p = scan_line(scan_line(n->dev.text));
    for (; *p; p = scan_line(p)) {
        while (*p == ' ')
            p++;
        const char *name = p;
        while (*p && *p != ':' && *p != '\n')
            p++;
        if (*p != ':' || p == name)
            continue;
        bool is_new;
        struct host_row *row = host_rows_find(&n->rows, name, (size_t)(p - name), &is_new);
        if (!row)
            continue;
        if (is_new)
            network_intern(s, row);
        p++;
        for (int k = 0; k < N_COLUMNS; k++) {
            uint64_t v;
            p = scan_u64(p, &v);
            output_set(o, row->ids[k], (double)v);
        }
        char state[8];
        if (row->fd != -1) {
            ssize_t len = pread(row->fd, state, sizeof(state), 0);
            if (len > 0)
                output_set(o, row->ids[UP], len >= 3 && memcmp(state, "up\n", 3) == 0);
            else
                output_absent(o, row->ids[UP]);
        }
    }
    host_rows_sweep(&n->rows, o);
}

const struct sampler_ops sampler_host_network = {.name = "host.network",
    .interval_ms = 1000,
    .open = network_open,
    .tick = network_tick,
    .close = network_close};
