// SPDX-License-Identifier: Apache-2.0
/*
 * One histogram as the store keeps it: a single heap block with a reference count, because an
 * idle service's latency histogram does not change from tick to tick and then all its rows hold
 * the same one. Belongs to the shard thread; the count is not atomic.
 */
#pragma once
#include "rules/histogram.h"
#include "wire/batch.h"

struct hist_cell {
    uint32_t refs;
    size_t bytes;
    struct histogram h; // its arrays follow in this block
};

// Both return a cell with one reference, or NULL: no memory.
struct hist_cell *hist_cell_from_wire(const struct wire_histogram *w, bool reset);
struct hist_cell *hist_cell_copy(const struct histogram *h);
struct hist_cell *hist_cell_ref(struct hist_cell *c);
void hist_cell_unref(struct hist_cell *c); // NULL allowed
// The wire histogram says nothing new over the cell.
bool hist_cell_same(const struct hist_cell *c, const struct wire_histogram *w);
