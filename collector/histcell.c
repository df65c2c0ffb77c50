// SPDX-License-Identifier: Apache-2.0
#include "collector/histcell.h"
#include <stdlib.h>
#include <string.h>

// The arrays stand behind the struct: doubles first, they need the larger alignment.
static struct hist_cell *cell_new(uint32_t n, double **ret_bucket, int32_t **ret_index)
{
    size_t bytes = sizeof(struct hist_cell) + n * (sizeof(double) + sizeof(int32_t));
    struct hist_cell *c = malloc(bytes);
    if (!c)
        return NULL;
    *c = (struct hist_cell){.refs = 1, .bytes = bytes};
    *ret_bucket = (double *)(c + 1);
    void *behind = *ret_bucket + n; // doubles first: the stricter alignment
    *ret_index = behind;
    c->h.n = n;
    c->h.bucket = *ret_bucket;
    c->h.index = *ret_index;
    return c;
}

struct hist_cell *hist_cell_from_wire(const struct wire_histogram *w, bool reset)
{
    double *bucket;
    int32_t *index;
    struct hist_cell *c = cell_new(w->n, &bucket, &index);
    if (!c)
        return NULL;
    double count = (double)w->zero_count;
    for (uint32_t i = 0; i < w->n; i++) {
        bucket[i] = (double)w->count[i];
        index[i] = w->index[i];
        count += bucket[i];
    }
    c->h.schema = w->scale;
    c->h.zero_threshold = w->zero_threshold;
    c->h.zero_count = (double)w->zero_count;
    c->h.count = count;
    c->h.sum = w->sum;
    c->h.reset = reset;
    return c;
}

struct hist_cell *hist_cell_copy(const struct histogram *h)
{
    double *bucket;
    int32_t *index;
    struct hist_cell *c = cell_new(h->n, &bucket, &index);
    if (!c)
        return NULL;
    if (h->n) {
        memcpy(bucket, h->bucket, h->n * sizeof(*bucket));
        memcpy(index, h->index, h->n * sizeof(*index));
    }
    c->h = *h;
    c->h.bucket = bucket;
    c->h.index = index;
    return c;
}

struct hist_cell *hist_cell_ref(struct hist_cell *c)
{
    c->refs++;
    return c;
}

void hist_cell_unref(struct hist_cell *c)
{
    if (c && --c->refs == 0)
        free(c);
}

bool hist_cell_same(const struct hist_cell *c, const struct wire_histogram *w)
{
    const struct histogram *h = &c->h;
    if (h->reset || h->schema != w->scale || h->n != w->n || h->sum != w->sum ||
        h->zero_threshold != w->zero_threshold || h->zero_count != (double)w->zero_count)
        return false;
    for (uint32_t i = 0; i < w->n; i++)
        if (h->index[i] != w->index[i] || h->bucket[i] != (double)w->count[i])
            return false;
    return true;
}
