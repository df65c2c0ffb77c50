// SPDX-License-Identifier: Apache-2.0
/*
 * Connections counted exactly at the bounds that rules name (le_counts.h): one histogram of
 * tcp.connections, all its rows. The kernel counts each event in one of CONNECTION_LE places of the
 * row's page: the first bound it is within, or the last place.
 *
 *     demand --> bounds in the head --> places of each page --> NAME_bucket{le}, NAME_count
 *
 * Takes no memory until a rule asks. Owned by tcp.connections, loop thread.
 */
#pragma once
#include "agent/connection_slot.h"
#include "agent/le_counts.h"

struct connection_le {
    const char *name;     // of the histogram
    __u64 *bounds_ns;     // CONNECTION_LE - 1, in the head
    size_t rows;          // how many there can be
    uint64_t version;     // of the demand that was followed
    struct le_counts *of; // by row; NULL: nothing was ever asked for
};

// True: the bounds are others now, and the caller sets the places of its pages to 0.
bool connection_le_follow(struct connection_le *l, const struct demand *d);
// The samples of a tick. places: CONNECTION_LE, as the kernel counts them.
void connection_le_write(struct connection_le *l, size_t row, struct output *o,
    const struct demand *d, const struct wire_label *labels, size_t n, const uint64_t *places);
void connection_le_end(struct connection_le *l, size_t row, struct output *o);
void connection_le_done(struct connection_le *l);
