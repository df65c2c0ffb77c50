// SPDX-License-Identifier: Apache-2.0
/*
 * The series this agent has: by name and labels, so that the same ones have the same id, and by id, so
 * that writing them needs neither.
 *
 *     catalogue_add(name, labels) -> id       found again, or new
 *     catalogue_at(id)            -> slot     what is kept of a series between its samples
 *     catalogue_end(slot)                     found no more by either; its text lives on ...
 *     catalogue_forget(ids)                   ... until here, as the frame that tells of it points there
 *
 * Memory follows the series that are there, not the ids there ever were (wire/rows.h). Owned by
 * struct output; loop thread.
 */
#pragma once
#include "wire/batch.h"
#include "wire/rows.h"

struct series;
struct slot {
    uint32_t id;
    uint32_t charge; // of its histogram, see cell_charge
    struct series *series;
    uint64_t group; // serial of the group it was written to last, see sample_groups.h
    uint32_t at;    // its place there
    bool ended;
    uint8_t writer; // of it, last
    bool stale;     // nothing was written since its last marker
};

struct catalogue {
    struct rows slots;
    uint32_t last_id;
    uint32_t *table; // open addressing, ids by hash; 0 empty, UINT32_MAX deleted
    size_t table_cap, table_used;
    uint64_t seed;
    size_t active;
    size_t text;                    // bytes of names and labels of those that are active
    uint32_t told;                  // ids up to here were in catalogue_news
    struct batch_declare *declares; // room for all ids after them
    size_t cap_declares;
};

void catalogue_init(struct catalogue *c);
void catalogue_done(struct catalogue *c);
// Labels in any order, copied. Returns the id; 0: not a valid series, over max or WIRE_ID_MAX, or out of
// memory.
uint32_t catalogue_add(struct catalogue *c, const char *name, const struct wire_label *labels,
    size_t n, enum series_kind kind, const char *unit, size_t max);
// NULL: it never was, or ended. Moves with the next catalogue_add or catalogue_forget.
struct slot *catalogue_at(struct catalogue *c, uint32_t id);
const char *catalogue_name(const struct slot *s);
void catalogue_end(struct catalogue *c, struct slot *s);
// Rising ids, all ended.
void catalogue_forget(struct catalogue *c, const uint32_t *ids, size_t n);
// Those added since the last call, also when they ended since; valid until catalogue_add or
// catalogue_forget. Cannot fail: there is room from the moment each was added.
struct batch_declare *catalogue_news(struct catalogue *c, size_t *ret_n);
