// SPDX-License-Identifier: Apache-2.0
/*
 * The samples of one agent session at one sampling interval: rows are ticks, columns are series.
 *
 *     slot of chunk k:   64 rows, as 8 tiles of 8 rows
 *
 *         tile   | col 0: 8 rows | col 1: 8 rows | ...      one cache line per column and tile
 *
 * A frame fills one row: with a whole row contiguous that would be one memcpy, but a rule reads one
 * column over minutes, and would then fetch a cache line for each value. With 8 rows of a column
 * in one line a frame still walks memory forward, and a window costs an eighth.
 *
 * Rows are placed by tick, chunks are made when a tick first falls into one, and the ring of chunks
 * is reused when it wraps. A row's time is stored once. A hole is NAN_ABSENT_BITS. Histogram
 * columns keep pointers beside. Pure: no clock, no agent, no label. Belongs to the shard thread.
 */
#pragma once
#include "collector/histcell.h"
#include "rules/source.h"

#define BLOCK_CHUNK_ROWS 64
#define BLOCK_TILE_ROWS  8
#define BLOCK_ROWS_MAX   131072
#define BLOCK_NO_COLUMN  UINT32_MAX

struct block;
// *budget is shared by an agent's blocks: bytes of chunks that may still be made.
struct block *block_new(uint32_t interval_ms, int64_t retention_ms, int64_t *budget);
void block_free(struct block *b); // NULL allowed
uint32_t block_interval_ms(const struct block *b);
int block_retention(struct block *b, int64_t retention_ms); // grows only. 0, -ENOMEM
uint32_t block_add_column(struct block *b);                 // BLOCK_NO_COLUMN: no memory
uint32_t block_columns(const struct block *b);

struct chunk;
struct block_row {
    struct block *b;
    struct chunk *chunk;
    int64_t row;
    int64_t t_ms; // the row's time: of whoever came first
};
// Opens the row of a tick. 0; -ERANGE: older than what is kept, or not a tick; -ENOMEM;
// -ENOSPC: the budget is used up and this block has nothing old to give.
int block_row(struct block *b, int64_t tick, int64_t t_ms, struct block_row *ret);
// False: the cell has a sample already, nothing changed. v must not be NAN_ABSENT_BITS.
bool block_set(const struct block_row *r, uint32_t col, double v);
// 1 stored, 0 had one already, -ENOMEM.
int block_set_histogram(
    const struct block_row *r, uint32_t col, const struct wire_histogram *w, bool reset);

// Samples of a column in (from, to], appended with rising time. 0, -ENOMEM.
int block_range(
    const struct block *b, uint32_t col, int64_t from_ms, int64_t to_ms, struct points *out);
bool block_latest(const struct block *b, uint32_t col, int64_t t_ms, struct point *ret);
// The first sample block_range would give for (t_ms, ...).
bool block_next(const struct block *b, uint32_t col, int64_t t_ms, struct point *ret);
// How often the oldest rows were given up, so that a reader has others than before.
uint64_t block_shortened(const struct block *b);
// The agent's clock was set back: a new row may hide others.
bool block_falls(const struct block *b);
int64_t block_newest_ms(const struct block *b); // INT64_MIN: empty
size_t block_bytes(const struct block *b);
