// SPDX-License-Identifier: Apache-2.0
// Block devices from /proc/diskstats; partitions, RAM disks and loops are left out, as
// node_exporter does.
#include "agent/host.h"
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

// Columns behind the device's name. Older kernels end after 11 or 15: those rows are not interned.
static const struct {
    const char *name, *unit;
    enum series_kind kind;
    double factor;
} COLUMNS[] = {
    {"node_disk_reads_completed_total", "1", SERIES_COUNTER, 1},
    {"node_disk_reads_merged_total", "1", SERIES_COUNTER, 1},
    {"node_disk_read_bytes_total", "By", SERIES_COUNTER, 512},
    {"node_disk_read_time_seconds_total", "s", SERIES_COUNTER, .001},
    {"node_disk_writes_completed_total", "1", SERIES_COUNTER, 1},
    {"node_disk_writes_merged_total", "1", SERIES_COUNTER, 1},
    {"node_disk_written_bytes_total", "By", SERIES_COUNTER, 512},
    {"node_disk_write_time_seconds_total", "s", SERIES_COUNTER, .001},
    {"node_disk_io_now", "1", SERIES_GAUGE, 1},
    {"node_disk_io_time_seconds_total", "s", SERIES_COUNTER, .001},
    {"node_disk_io_time_weighted_seconds_total", "s", SERIES_COUNTER, .001},
    {"node_disk_discards_completed_total", "1", SERIES_COUNTER, 1},
    {"node_disk_discards_merged_total", "1", SERIES_COUNTER, 1},
    {"node_disk_discarded_sectors_total", "1", SERIES_COUNTER, 1},
    {"node_disk_discard_time_seconds_total", "s", SERIES_COUNTER, .001},
    {"node_disk_flush_requests_total", "1", SERIES_COUNTER, 1},
    {"node_disk_flush_requests_time_seconds_total", "s", SERIES_COUNTER, .001},
};
enum { N_COLUMNS = sizeof(COLUMNS) / sizeof(COLUMNS[0]) };

struct disk {
    struct procfile stats;
    struct host_rows rows;
};

static void disk_close(struct sampler *s)
{
    struct disk *d = s->state;
    if (!d)
        return;
    procfile_done(&d->stats);
    host_rows_done(&d->rows);
    free(d);
    s->state = NULL;
}

static int disk_open(struct sampler *s)
{
    struct disk *d = s->state = calloc(1, sizeof(*d));
    if (!d)
        return host_unavailable(s, "diskstats", -ENOMEM);
    procfile_init(&d->stats);
    int rc = procfile_open(&d->stats, s->env->proc, "diskstats");
    return rc < 0 ? host_unavailable(s, "/proc/diskstats", rc) : 0;
}

// ^(ram|loop|fd|(h|s|v|xv)d[a-z]|nvme\d+n\d+p)\d+$
static bool is_left_out(const char *name, size_t len)
{
    const char *end = name + len;
    size_t digits = 0;
    while (digits < len && isdigit((unsigned char)end[-1 - (ptrdiff_t)digits]))
        digits++;
    if (digits == 0 || digits == len)
        return false;
    size_t head = len - digits;
    if ((head == 3 && memcmp(name, "ram", 3) == 0) ||
        (head == 4 && memcmp(name, "loop", 4) == 0) ||
        (head == 2 && memcmp(name, "fd", 2) == 0))
        return true;
    if (head == 3 && strchr("hsv", name[0]) && name[1] == 'd' &&
        islower((unsigned char)name[2]))
        return true;
    if (head == 4 && memcmp(name, "xvd", 3) == 0 && islower((unsigned char)name[3]))
        return true;
    if (head < 8 || memcmp(name, "nvme", 4) != 0 || name[head - 1] != 'p')
        return false;
    const char *p = name + 4, *stop = name + head - 1;
    while (p < stop && isdigit((unsigned char)*p))
        p++;
    if (p == name + 4 || p >= stop || *p++ != 'n' || p == stop)
        return false;
    while (p < stop && isdigit((unsigned char)*p))
        p++;
    return p == stop;
}

static void disk_tick(struct sampler *s, const struct tick *t)
{
    struct disk *d = s->state;
    struct output *o = s->env->out;
    (void)t;

    host_rows_begin(&d->rows);
    int rc = procfile_read(&d->stats);
    if (rc < 0) {
        for (size_t i = 0; i < d->rows.n; i++)
            for (int k = 0; k < N_COLUMNS; k++)
                output_absent(o, d->rows.rows[i].ids[k]);
        return;
    }
    for (const char *p = d->stats.text; *p; p = scan_line(p)) {
        uint64_t v;
        size_t len;
        p = scan_u64(p, &v);
        p = scan_u64(p, &v);
        const char *name = scan_word(&p, &len);
        if (!len || is_left_out(name, len))
            continue;
        bool is_new;
        struct host_row *row = host_rows_find(&d->rows, name, len, &is_new);
        for (int k = 0; row && k < N_COLUMNS && *p && *p != '\n'; k++) {
            p = scan_u64(p, &v);
            if (is_new)
                row->ids[k] = host_series(o, COLUMNS[k].name, COLUMNS[k].kind, COLUMNS[k].unit,
                    (struct wire_label[]){{"device", row->name}, {NULL, NULL}});
            output_set(o, row->ids[k], (double)v * COLUMNS[k].factor);
        }
    }
    host_rows_sweep(&d->rows, o);
}

const struct sampler_ops sampler_host_disk = {.name = "host.disk",
    .interval_ms = 1000,
    .open = disk_open,
    .tick = disk_tick,
    .close = disk_close};
