// SPDX-License-Identifier: Apache-2.0
#include "collector/block.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

// gcc 12's -fanalyzer loses the histograms that chunks own, and takes them for leaked.
#ifndef __clang__
#pragma GCC diagnostic ignored "-Wanalyzer-malloc-leak"
#endif

struct chunk {
    int64_t number;       // row / BLOCK_CHUNK_ROWS; -1 = nothing here
    uint64_t present;     // bit per row that has a time
    uint32_t cols, hists; // room for
    double *v;            // [tile][col][row in tile]
    struct hist_cell **h; // [histogram column][row]
    int64_t t_ms[BLOCK_CHUNK_ROWS];
};

struct column {
    int64_t last_row; // newest row with a sample; -1 = none
    uint32_t hist;    // 1 + number among the histogram columns; 0 = floats only
};

struct block {
    uint32_t interval_ms;
    int64_t *budget;
    int64_t newest_row; // -1 = none
    bool falls;         // a row is older than the one before it: the agent's clock was set back
    struct chunk *slots;
    size_t n_slots;
    struct column *cols;
    uint32_t n_cols, cap_cols, n_hists;
    size_t bytes;
    uint64_t shortened;
};

#define ROW_MAX (INT64_C(1) << 53)

static size_t slots_for(uint32_t interval_ms, int64_t retention_ms)
{
    int64_t rows = retention_ms / (interval_ms ? interval_ms : 1) + 1;
    if (rows > BLOCK_ROWS_MAX)
        rows = BLOCK_ROWS_MAX;
    return (size_t)(rows / BLOCK_CHUNK_ROWS + 2);
}

struct block *block_new(uint32_t interval_ms, int64_t retention_ms, int64_t *budget)
{
    struct block *b = calloc(1, sizeof(*b));
    if (!b)
        return NULL;
    b->interval_ms = interval_ms;
    b->budget = budget;
    b->newest_row = -1;
    b->n_slots = slots_for(interval_ms, retention_ms);
    b->slots = calloc(b->n_slots, sizeof(*b->slots));
    if (!b->slots) {
        free(b);
        return NULL;
    }
    for (size_t i = 0; i < b->n_slots; i++)
        b->slots[i].number = -1;
    return b;
}

static size_t chunk_bytes(uint32_t cols, uint32_t hists)
{
    return (size_t)cols * BLOCK_CHUNK_ROWS * sizeof(double) +
           (size_t)hists * BLOCK_CHUNK_ROWS * sizeof(struct hist_cell *);
}

static void chunk_drop_histograms(struct block *b, struct chunk *c)
{
    for (size_t i = 0; i < (size_t)c->hists * BLOCK_CHUNK_ROWS; i++) {
        if (c->h[i] && c->h[i]->refs == 1) {
            b->bytes -= c->h[i]->bytes;
            *b->budget += (int64_t)c->h[i]->bytes;
        }
        hist_cell_unref(c->h[i]);
        c->h[i] = NULL;
    }
}

static void chunk_done(struct block *b, struct chunk *c)
{
    chunk_drop_histograms(b, c);
    size_t bytes = chunk_bytes(c->cols, c->hists);
    b->bytes -= bytes;
    *b->budget += (int64_t)bytes;
    free(c->v);
    free(c->h);
    *c = (struct chunk){.number = -1};
}

void block_free(struct block *b)
{
    if (!b)
        return;
    for (size_t i = 0; i < b->n_slots; i++)
        chunk_done(b, &b->slots[i]);
    free(b->slots);
    free(b->cols);
    free(b);
}

uint32_t block_interval_ms(const struct block *b)
{
    return b->interval_ms;
}

uint32_t block_columns(const struct block *b)
{
    return b->n_cols;
}

uint64_t block_shortened(const struct block *b)
{
    return b->shortened;
}

bool block_falls(const struct block *b)
{
    return b->falls;
}

size_t block_bytes(const struct block *b)
{
    return sizeof(*b) + b->bytes + b->n_slots * sizeof(*b->slots) +
           b->cap_cols * sizeof(*b->cols);
}

// A chunk is part of the window when its number is among the newest n_slots.
static const struct chunk *chunk_of(const struct block *b, int64_t number)
{
    if (number < 0)
        return NULL;
    const struct chunk *c = &b->slots[(size_t)number % b->n_slots];
    return c->number == number ? c : NULL;
}

static int64_t oldest_chunk(const struct block *b)
{
    int64_t first = b->newest_row / BLOCK_CHUNK_ROWS - (int64_t)b->n_slots + 1;
    return first < 0 ? 0 : first;
}

int block_retention(struct block *b, int64_t retention_ms)
{
    size_t n = slots_for(b->interval_ms, retention_ms);
    if (n <= b->n_slots)
        return 0;
    struct chunk *slots = calloc(n, sizeof(*slots));
    if (!slots)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++)
        slots[i].number = -1;
    int64_t oldest = b->newest_row < 0 ? 0 : oldest_chunk(b);
    for (size_t i = 0; i < b->n_slots; i++) {
        struct chunk *c = &b->slots[i];
        if (c->number >= oldest)
            slots[(size_t)c->number % n] = *c;
        else
            chunk_done(b, c);
    }
    free(b->slots);
    b->slots = slots;
    b->n_slots = n;
    return 0;
}

uint32_t block_add_column(struct block *b)
{
    if (b->n_cols == b->cap_cols) {
        uint32_t cap = b->cap_cols ? b->cap_cols * 2 : 64;
        struct column *cols = realloc(b->cols, cap * sizeof(*cols));
        if (!cols)
            return BLOCK_NO_COLUMN;
        b->cols = cols;
        b->cap_cols = cap;
    }
    b->cols[b->n_cols] = (struct column){.last_row = -1};
    return b->n_cols++;
}

static void fill_absent(double *v, size_t n)
{
    double absent = double_from_bits(NAN_ABSENT_BITS);
    for (size_t i = 0; i < n; i++)
        v[i] = absent;
}

// Columns are added in bursts (a service appears with all its series), so room grows by an eighth.
static int chunk_widen(struct block *b, struct chunk *c)
{
    if (c->cols >= b->n_cols)
        return 0;
    uint32_t cols = b->n_cols + b->n_cols / 8;
    cols = (cols + 7) & ~7u;
    int64_t more = (int64_t)(chunk_bytes(cols, 0) - chunk_bytes(c->cols, 0));
    if (more > *b->budget)
        return -ENOSPC;
    double *v = aligned_alloc(64, chunk_bytes(cols, 0));
    if (!v)
        return -ENOMEM;
    for (size_t tile = 0; tile < BLOCK_CHUNK_ROWS / BLOCK_TILE_ROWS; tile++) {
        double *to = v + tile * cols * BLOCK_TILE_ROWS;
        size_t had = (size_t)c->cols * BLOCK_TILE_ROWS;
        if (had)
            memcpy(to, c->v + tile * had, had * sizeof(*to));
        fill_absent(to + had, (size_t)cols * BLOCK_TILE_ROWS - had);
    }
    free(c->v);
    c->v = v;
    c->cols = cols;
    *b->budget -= more;
    b->bytes += (size_t)more;
    return 0;
}

static int chunk_hists(struct block *b, struct chunk *c)
{
    if (c->hists >= b->n_hists)
        return 0;
    size_t had = (size_t)c->hists * BLOCK_CHUNK_ROWS,
           want = (size_t)b->n_hists * BLOCK_CHUNK_ROWS;
    struct hist_cell **h = realloc(c->h, want * sizeof(struct hist_cell *));
    if (!h)
        return -ENOMEM;
    memset(h + had, 0, (want - had) * sizeof(struct hist_cell *));
    int64_t more = (int64_t)((want - had) * sizeof(struct hist_cell *));
    c->h = h;
    c->hists = b->n_hists;
    *b->budget -= more;
    b->bytes += (size_t)more;
    return 0;
}

// Over the budget the window becomes shorter rather than the newest sample being lost.
static bool give_oldest(struct block *b, int64_t keep)
{
    struct chunk *oldest = NULL;
    for (size_t i = 0; i < b->n_slots; i++) {
        struct chunk *c = &b->slots[i];
        if (c->number >= 0 && c->number < keep && (!oldest || c->number < oldest->number))
            oldest = c;
    }
    if (!oldest)
        return false;
    chunk_done(b, oldest);
    b->shortened++;
    return true;
}

static int chunk_open(struct block *b, int64_t number, struct chunk **ret)
{
    struct chunk *c = &b->slots[(size_t)number % b->n_slots];
    if (c->number != number) {
        b->shortened += b->falls; // it may have hidden what is in others
        chunk_drop_histograms(b, c);
        fill_absent(c->v, (size_t)c->cols * BLOCK_CHUNK_ROWS);
        c->number = number;
        c->present = 0;
    }
    for (;;) {
        int rc = chunk_widen(b, c);
        if (rc != -ENOSPC || !give_oldest(b, number)) {
            *ret = c;
            return rc;
        }
    }
}

// The nearest row before or after one that has a time; INT64_MIN or INT64_MAX when there is none.
static int64_t time_beside(const struct block *b, int64_t row, int step)
{
    int64_t end = step < 0 ? oldest_chunk(b) - 1 : b->newest_row / BLOCK_CHUNK_ROWS + 1;
    int r = (int)(row % BLOCK_CHUNK_ROWS);
    uint64_t beside = step < 0 ? (UINT64_C(1) << r) - 1 : ~UINT64_C(0) << r << 1;
    for (int64_t k = row / BLOCK_CHUNK_ROWS; k != end; k += step) {
        const struct chunk *c = chunk_of(b, k);
        uint64_t there = c ? c->present & beside : 0;
        if (there)
            return c->t_ms[step < 0 ? 63 - __builtin_clzll(there) : __builtin_ctzll(there)];
        beside = ~UINT64_C(0);
    }
    return step < 0 ? INT64_MIN : INT64_MAX;
}

int block_row(struct block *b, int64_t tick, int64_t t_ms, struct block_row *ret)
{
    if (tick < 0 || tick >= ROW_MAX)
        return -ERANGE;
    int64_t number = tick / BLOCK_CHUNK_ROWS;
    if (b->newest_row >= 0 && number < oldest_chunk(b))
        return -ERANGE;
    struct chunk *c;
    int rc = chunk_open(b, number, &c);
    if (rc < 0)
        return rc;
    int r = (int)(tick % BLOCK_CHUNK_ROWS);
    if (!(c->present >> r & 1)) {
        c->present |= UINT64_C(1) << r;
        c->t_ms[r] = t_ms;
        b->falls |= b->newest_row >= 0 &&
                    (time_beside(b, tick, -1) >= t_ms ||
                        (tick < b->newest_row && time_beside(b, tick, 1) <= t_ms));
    }
    if (tick > b->newest_row)
        b->newest_row = tick;
    *ret = (struct block_row){.b = b, .chunk = c, .row = tick, .t_ms = c->t_ms[r]};
    return 0;
}

static double *cell_at(const struct chunk *c, uint32_t col, int64_t row)
{
    size_t r = (size_t)(row % BLOCK_CHUNK_ROWS);
    size_t tile = r / BLOCK_TILE_ROWS;
    return &c->v[(tile * c->cols + col) * BLOCK_TILE_ROWS + r % BLOCK_TILE_ROWS];
}

static bool is_absent(double v)
{
    return double_bits(v) == NAN_ABSENT_BITS;
}

static void column_has(struct block *b, uint32_t col, int64_t row)
{
    if (row > b->cols[col].last_row)
        b->cols[col].last_row = row;
}

bool block_set(const struct block_row *r, uint32_t col, double v)
{
    if (col >= r->chunk->cols)
        return false;
    double *cell = cell_at(r->chunk, col, r->row);
    if (!is_absent(*cell))
        return false;
    *cell = v;
    column_has(r->b, col, r->row);
    return true;
}

static struct hist_cell *histogram_at(
    const struct block *b, const struct chunk *c, uint32_t col, int64_t row)
{
    uint32_t hist = b->cols[col].hist;
    return hist && hist <= c->hists
               ? c->h[(hist - 1) * BLOCK_CHUNK_ROWS + (size_t)(row % BLOCK_CHUNK_ROWS)]
               : NULL;
}

int block_set_histogram(
    const struct block_row *r, uint32_t col, const struct wire_histogram *w, bool reset)
{
    struct block *b = r->b;
    if (col >= r->chunk->cols)
        return 0;
    double *cell = cell_at(r->chunk, col, r->row);
    if (!is_absent(*cell))
        return 0;
    if (!b->cols[col].hist)
        b->cols[col].hist = ++b->n_hists;
    if (chunk_hists(b, r->chunk) < 0)
        return -ENOMEM;

    struct hist_cell *h = NULL;
    int64_t last = b->cols[col].last_row;
    const struct chunk *before = last >= 0 ? chunk_of(b, last / BLOCK_CHUNK_ROWS) : NULL;
    struct hist_cell *was = before ? histogram_at(b, before, col, last) : NULL;
    if (was && !reset && last < r->row && hist_cell_same(was, w)) {
        h = hist_cell_ref(was);
    } else {
        h = hist_cell_from_wire(w, reset);
        if (!h)
            return -ENOMEM;
        b->bytes += h->bytes;
        *b->budget -= (int64_t)h->bytes;
    }
    r->chunk
        ->h[(b->cols[col].hist - 1) * BLOCK_CHUNK_ROWS + (size_t)(r->row % BLOCK_CHUNK_ROWS)] =
        h;
    *cell = h->h.count;
    column_has(b, col, r->row);
    return 1;
}

static struct point point_at(
    const struct block *b, const struct chunk *c, uint32_t col, int64_t row, double v)
{
    const struct hist_cell *h = b->cols[col].hist ? histogram_at(b, c, col, row) : NULL;
    return (struct point){
        .t_ms = c->t_ms[row % BLOCK_CHUNK_ROWS], .v = v, .h = h ? &h->h : NULL};
}

// First and last time of a chunk's rows; the rows between lie between, unless times fall.
static void chunk_span(const struct chunk *c, int64_t *ret_first, int64_t *ret_last)
{
    *ret_first = c->t_ms[__builtin_ctzll(c->present)];
    *ret_last = c->t_ms[63 - __builtin_clzll(c->present)];
}

int64_t block_newest_ms(const struct block *b)
{
    const struct chunk *c =
        b->newest_row < 0 ? NULL : chunk_of(b, b->newest_row / BLOCK_CHUNK_ROWS);
    return c ? c->t_ms[b->newest_row % BLOCK_CHUNK_ROWS] : INT64_MIN;
}

// The chunk to look into for t_ms first: the newest that has a row at or before it. Rows are made at
// an even pace, so the guess is nearly always right; where times fall it is the end that is given.
static int64_t chunk_near(const struct block *b, int64_t t_ms, int64_t oldest, int64_t newest)
{
    int64_t newest_ms = block_newest_ms(b), behind = 0, first, last;
    if (newest_ms > t_ms && t_ms >= 0)
        behind = (newest_ms - t_ms) / (b->interval_ms ? b->interval_ms : 1);
    int64_t k = (b->newest_row - behind) / BLOCK_CHUNK_ROWS + 1;
    k = b->newest_row < behind || k < oldest ? oldest : k > newest ? newest : k;
    for (; k < newest; k++) {
        const struct chunk *c = chunk_of(b, k);
        if (!c || !c->present)
            continue;
        chunk_span(c, &first, &last);
        if (first > t_ms)
            break;
    }
    for (; k > oldest; k--) {
        const struct chunk *c = chunk_of(b, k);
        if (!c || !c->present)
            continue;
        chunk_span(c, &first, &last);
        if (first <= t_ms)
            break;
    }
    return k;
}

int block_range(
    const struct block *b, uint32_t col, int64_t from_ms, int64_t to_ms, struct points *out)
{
    if (b->newest_row < 0)
        return 0;
    // An agent whose clock was set back has rows with falling times: a reader is promised rising
    // ones, so the later claim of an instant is left out.
    int64_t last_ms = from_ms;
    int64_t k = oldest_chunk(b), end = b->cols[col].last_row / BLOCK_CHUNK_ROWS;
    if (!b->falls && k < end)
        k = chunk_near(b, from_ms, k, end);
    for (; k <= end; k++) {
        const struct chunk *c = chunk_of(b, k);
        if (!c || !c->present || col >= c->cols)
            continue;
        int64_t first, newest;
        chunk_span(c, &first, &newest);
        if (first > to_ms && !b->falls)
            break;
        if (newest <= from_ms && !b->falls)
            continue;
        for (uint64_t left = c->present; left; left &= left - 1) {
            int r = __builtin_ctzll(left);
            if (c->t_ms[r] <= last_ms)
                continue;
            double v = *cell_at(c, col, r);
            if (is_absent(v))
                continue;
            if (c->t_ms[r] > to_ms)
                return 0; // what follows is newer, or left out
            struct point p = point_at(b, c, col, r, v);
            if (!points_add(out, p.t_ms, p.v, p.h))
                return -ENOMEM;
            last_ms = p.t_ms;
        }
    }
    return 0;
}

// Where times fall: the last that block_range gives.
static bool latest_by_walk(const struct block *b, uint32_t col, int64_t t_ms, struct point *ret)
{
    int64_t last_ms = INT64_MIN, end = b->cols[col].last_row / BLOCK_CHUNK_ROWS;
    bool found = false;
    for (int64_t k = oldest_chunk(b); k <= end; k++) {
        const struct chunk *c = chunk_of(b, k);
        for (uint64_t left = c && col < c->cols ? c->present : 0; left; left &= left - 1) {
            int r = __builtin_ctzll(left);
            if (c->t_ms[r] <= last_ms)
                continue;
            double v = *cell_at(c, col, r);
            if (is_absent(v))
                continue;
            if (c->t_ms[r] > t_ms)
                return found;
            last_ms = c->t_ms[r];
            *ret = point_at(b, c, col, r, v);
            found = true;
        }
    }
    return found;
}

bool block_latest(const struct block *b, uint32_t col, int64_t t_ms, struct point *ret)
{
    int64_t last = b->cols[col].last_row;
    if (last < 0)
        return false;
    if (b->falls)
        return latest_by_walk(b, col, t_ms, ret);
    int64_t oldest = oldest_chunk(b), k = last / BLOCK_CHUNK_ROWS;
    if (k > oldest)
        k = chunk_near(b, t_ms, oldest, k);
    for (; k >= oldest; k--) {
        const struct chunk *c = chunk_of(b, k);
        if (!c || !c->present || col >= c->cols)
            continue;
        for (uint64_t left = c->present; left;) {
            int r = 63 - __builtin_clzll(left);
            left &= ~(UINT64_C(1) << r);
            if (c->t_ms[r] > t_ms)
                continue;
            double v = *cell_at(c, col, r);
            if (is_absent(v))
                continue;
            *ret = point_at(b, c, col, r, v);
            return true;
        }
    }
    return false;
}

bool block_next(const struct block *b, uint32_t col, int64_t t_ms, struct point *ret)
{
    int64_t last = b->cols[col].last_row;
    if (last < 0)
        return false;
    int64_t k = oldest_chunk(b), end = last / BLOCK_CHUNK_ROWS;
    if (!b->falls && k < end)
        k = chunk_near(b, t_ms, k, end);
    for (; k <= end; k++) {
        const struct chunk *c = chunk_of(b, k);
        if (!c || !c->present || col >= c->cols)
            continue;
        for (uint64_t left = c->present; left; left &= left - 1) {
            int r = __builtin_ctzll(left);
            if (c->t_ms[r] <= t_ms)
                continue;
            double v = *cell_at(c, col, r);
            if (is_absent(v))
                continue;
            *ret = point_at(b, c, col, r, v);
            return true;
        }
    }
    return false;
}
