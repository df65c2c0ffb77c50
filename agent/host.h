// SPDX-License-Identifier: Apache-2.0
/*
 * What the host samplers (host_*.c) share. Names, labels and values are those of node_exporter,
 * digit for digit, so that its rules and dashboards work unchanged; job="node".
 *
 * Things that come and go (devices, mounts, CPUs) are rows: found by name with a cursor, because
 * the kernel lists them in the same order each time, and swept when a round did not see them.
 */
#pragma once
#include "agent/output.h"
#include "agent/procfile.h"
#include "agent/sampler.h"

// One series with up to three labels beside job; a NULL name ends them.
uint32_t host_series(struct output *o, const char *name, enum series_kind kind,
    const char *unit, const struct wire_label *labels);
// Fills reason as "FILE: why" and returns rc.
int host_unavailable(struct sampler *s, const char *file, int rc);

#define HOST_ROW_IDS  20
#define HOST_ROWS_MAX 4096
struct host_row {
    uint32_t ids[HOST_ROW_IDS];
    uint64_t round;
    int fd; // -1; closed with the row
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
    sampler_host_load;
