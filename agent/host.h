// SPDX-License-Identifier: Apache-2.0
/*
 * What the host samplers (host_*.c) share. Names, labels and values are those of node_exporter,
 * digit for digit, so that its rules and dashboards work unchanged; job="node".
 *
 * Of its default set this is left out, on purpose (tests/unit/agent/test_host.c holds the list
 * against Debian's node_exporter):
 *
 *     go_*, process_*, promhttp_*, node_exporter_*, node_scrape_*, node_textfile_*   about itself
 *     node_disk_info, node_dmi_info, node_selinux_*     what the machine is, not how it does
 *     a speed that is not known (-125000 bytes/s)        a wrong number is worse than none
 *     hwmon, thermal_zone, cooling_device, powersupply, rapl, edac, nvme, infiniband,
 *     fibrechannel, tapestats                            drivers that may block a read for seconds
 *     nfs, nfsd, xfs, zfs, btrfs, bcache, ipvs           for the few hosts that have them: scrape
 *     cpufreq, schedstat                                 a read wakes idle CPUs, for 2 per CPU
 *
 * Things that come and go (devices, mounts, CPUs) are rows: found by name with a cursor, because
 * the kernel lists them in the same order each time, and swept when a round did not see them.
 */
#pragma once
#include "agent/output.h"
#include "agent/procfile.h"
#include "agent/sampler.h"

// One series with up to three labels beside job; a NULL name ends them.
// A label whose value is empty is left out: to Prometheus that is the same.
uint32_t host_series(struct output *o, const char *name, enum series_kind kind,
    const char *unit, const struct wire_label *labels);
// Fills reason as "FILE: why" and returns rc.
int host_unavailable(struct sampler *s, const char *file, int rc);

// A file that holds one number, kept open.
struct host_number {
    int fd; // -1: not open, then neither of these does anything
    uint32_t id;
};
void host_number_open(struct host_number *n, const char *root, const char *path,
    struct output *o, const char *name, enum series_kind kind);
void host_number_tick(const struct host_number *n, struct output *o);
void host_number_done(struct host_number *n);
// Reads a small file into text, NUL-terminated, without its last line end. Its length or -errno. A relative
// path is looked for in the folder dir, which is else AT_FDCWD.
int host_read_text(int dir, const char *path, char *text, size_t size);
// Hands over each line of a file kept open, from its start, cut at 511 bytes: for tables of any
// length, in the memory of one piece. -errno.
int host_each_line(int fd, void (*fn)(void *ctx, const char *line), void *ctx);

#define HOST_ROW_IDS  20
#define HOST_ROWS_MAX 4096
struct host_row {
    uint32_t ids[HOST_ROW_IDS];
    uint64_t round;
    int fd;              // -1; closed with the row
    double count, value; // for who adds up or remembers
    void *own;           // the same, from malloc; freed with the row
    char *name;
};
struct host_rows {
    struct host_row *rows;
    size_t n, cap, cursor;
    uint64_t round;
};

void host_rows_begin(struct host_rows *r); // a new round
// The row called name, marked as seen; *ret_new when its series are still to be interned. NULL: no
// memory, or more than HOST_ROWS_MAX. Valid until the next find.
struct host_row *host_rows_find(
    struct host_rows *r, const char *name, size_t len, bool *ret_new);
void host_rows_sweep(struct host_rows *r, struct output *o); // ends the series of rows not seen
void host_rows_done(struct host_rows *r);

extern const struct sampler_ops sampler_host_cpu, sampler_host_memory, sampler_host_disk,
    sampler_host_filesystem, sampler_host_network, sampler_host_netstat, sampler_host_pressure,
    sampler_host_load, sampler_host_netclass, sampler_host_tables, sampler_host_clock,
    sampler_host_raid;
