// SPDX-License-Identifier: Apache-2.0
#include "wire/rows.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CAP_MIN 64

void rows_init(struct rows *r, size_t size)
{
    *r = (struct rows){.size = (uint32_t)size};
}

void rows_done(struct rows *r)
{
    free(r->data);
    rows_init(r, r->size);
}

static uint32_t id_at(const struct rows *r, uint32_t at)
{
    uint32_t id;

    memcpy(&id, rows_nth(r, at), sizeof(id));
    return id;
}

static int resize(struct rows *r, uint32_t cap)
{
    uint8_t *data = realloc(r->data, (size_t)cap * r->size);

    if (!data)
        return -ENOMEM;
    r->data = data;
    r->cap = cap;
    return 0;
}

int rows_reserve(struct rows *r)
{
    return r->n < r->cap ? 0 : resize(r, r->cap ? r->cap + r->cap / 2 : CAP_MIN);
}

void *rows_add(struct rows *r, uint32_t id)
{
    if (rows_reserve(r) < 0)
        return NULL;
    void *row = rows_nth(r, r->n++);
    memset(row, 0, r->size);
    memcpy(row, &id, sizeof(id));
    return row;
}

uint32_t rows_find(const struct rows *r, uint32_t id)
{
    uint32_t low = 0, high = r->n;

    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (id_at(r, mid) < id)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

void *rows_at(struct rows *r, uint32_t id)
{
    uint32_t at = r->hint;

    if (at >= r->n || id_at(r, at) != id) {
        if (++at >= r->n || id_at(r, at) != id)
            at = rows_find(r, id);
        if (at == r->n || id_at(r, at) != id)
            return NULL;
        r->hint = at;
    }
    return rows_nth(r, at);
}

void rows_remove(struct rows *r, const uint32_t *ids, size_t n)
{
    if (n == 0 || r->n == 0)
        return;
    uint32_t to = rows_find(r, ids[0]), from = to;

    for (size_t i = 0; i <= n; i++) {
        // What stays up to the next one that goes, in one piece.
        uint32_t end = i == n ? r->n : rows_find(r, ids[i]);
        memmove(rows_nth(r, to), rows_nth(r, from), (size_t)(end - from) * r->size);
        to += end - from;
        from = end + (i < n && end < r->n && id_at(r, end) == ids[i]);
    }
    r->n = to;
    if (r->cap > CAP_MIN && r->n < r->cap / 4)
        resize(r, r->n * 2 < CAP_MIN ? CAP_MIN : r->n * 2); // where it fails it is as it was
}
