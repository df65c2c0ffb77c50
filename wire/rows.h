// SPDX-License-Identifier: Apache-2.0
/*
 * What is known of the ids of a session that are alive, one row each. Ids rise and are never given
 * twice, so an array by id would keep the rows of all that ended; here memory follows those that are
 * alive.
 *
 * Rows stand in order of their id: a new one goes to the end, and those that ended go in one pass. Who
 * asks in rising order, as samplers and frames do, finds the row beside the last one; else it is a
 * binary search.
 *
 * Owned by who embeds it, in one thread. A row moves when rows are added or removed.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

struct rows {
    uint8_t *data;
    uint32_t size; // of a row: a struct whose first member is its id, a uint32_t
    uint32_t n, cap;
    uint32_t hint; // place asked for last
};

void rows_init(struct rows *r, size_t size);
void rows_done(struct rows *r); // what rows point to is the caller's, before
// Room for one more, so that the next rows_add cannot fail. 0, -ENOMEM.
int rows_reserve(struct rows *r);
// id is above all that were ever added. The row is zero but for its id. NULL: out of memory.
void *rows_add(struct rows *r, uint32_t id);
// NULL: not alive.
void *rows_at(struct rows *r, uint32_t id);
// Place of the first row at or above id; n when there is none.
uint32_t rows_find(const struct rows *r, uint32_t id);
// ids rise; those without a row are passed over.
void rows_remove(struct rows *r, const uint32_t *ids, size_t n);

static inline void *rows_nth(const struct rows *r, uint32_t at)
{
    return r->data + (size_t)at * r->size;
}
