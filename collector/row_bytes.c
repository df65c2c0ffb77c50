// SPDX-License-Identifier: Apache-2.0
#include "collector/row_bytes.h"
#include "base/map.h"
#include <string.h>

bool row_text_add(struct buf *b, const char *s)
{
    return buf_add(b, s, strlen(s) + 1) == 0;
}

bool row_labels_add(struct buf *b, const struct labels *l)
{
    for (size_t i = 0; i < l->n; i++)
        if (!row_text_add(b, l->l[i].name) || !row_text_add(b, l->l[i].value))
            return false;
    return true;
}

struct buf row_blob(sqlite3_stmt *s, int column)
{
    return (struct buf){.data = (uint8_t *)(uintptr_t)sqlite3_column_blob(s, column),
        .len = (size_t)sqlite3_column_bytes(s, column)};
}

const char *row_text_next(const char **at, const char *end)
{
    const char *text = *at;
    const char *nul = text < end ? memchr(text, 0, (size_t)(end - text)) : NULL;
    if (!nul)
        return NULL;
    *at = nul + 1;
    return text;
}

bool row_labels(const struct buf *blob, struct arena *a, struct labels *ret)
{
    const char *at = (const char *)blob->data;
    const char *end = at ? at + blob->len : NULL, *first = at;
    size_t texts = 0;
    *ret = (struct labels){0};
    if (!at)
        return true;
    while (row_text_next(&at, end))
        texts++;
    if (at != end || texts % 2)
        return false;
    struct label *l = arena_alloc(a, (texts / 2 + 1) * sizeof(*l));
    if (!l)
        return false;
    for (size_t i = 0; i < texts / 2; i++) {
        l[i].name = row_text_next(&first, end);
        l[i].value = row_text_next(&first, end);
    }
    *ret = (struct labels){l, texts / 2};
    return true;
}

int64_t row_sum(const int64_t *number, size_t n, const struct buf *blob, size_t blobs)
{
    uint64_t h = hash_bytes(number, n * sizeof(*number), n);
    for (size_t i = 0; i < blobs; i++)
        h = hash_bytes(blob[i].data ? blob[i].data : (const uint8_t *)"", blob[i].len, h);
    return (int64_t)h;
}
