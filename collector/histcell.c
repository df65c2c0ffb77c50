// SPDX-License-Identifier: Apache-2.0
#include "collector/histcell.h"
#include <stdlib.h>
#include <string.h>

// Room for the arrays of a histogram of this size behind the struct.
static struct hist_cell *cell_new(
    size_t buckets, size_t bounds, double **ret_doubles, int32_t **ret_ints)
{
    size_t doubles = buckets + bounds;
    size_t bytes =
        sizeof(struct hist_cell) + doubles * sizeof(double) + buckets * sizeof(int32_t);
    struct hist_cell *c = malloc(bytes);
    if (!c)
        return NULL;
    *c = (struct hist_cell){.refs = 1, .bytes = bytes};
    *ret_doubles = (double *)(c + 1);
    void *behind = *ret_doubles + doubles; // doubles first: the stricter alignment
    *ret_ints = behind;
    return c;
}

struct hist_cell *hist_cell_from_wire(const struct wire_histogram *w, bool reset)
{
    double *bucket;
    int32_t *index;
    struct hist_cell *c = cell_new(w->n, 0, &bucket, &index);
    if (!c)
        return NULL;
    double count = (double)w->zero_count;
    for (uint32_t i = 0; i < w->n; i++) {
        bucket[i] = (double)w->count[i];
        index[i] = w->index[i];
        count += bucket[i];
    }
    c->h.positive = (struct histogram_side){w->n, index, bucket};
    c->h.schema = w->scale;
    c->h.zero_threshold = w->zero_threshold;
    c->h.zero_count = (double)w->zero_count;
    c->h.count = count;
    c->h.sum = w->sum;
    c->h.hint = reset ? HINT_RESET : HINT_UNKNOWN;
    return c;
}

static struct histogram_side side_copy(
    const struct histogram_side *s, double **doubles, int32_t **ints)
{
    struct histogram_side copy = {s->n, *ints, *doubles};
    if (s->n) {
        memcpy(*doubles, s->count, s->n * sizeof(**doubles));
        memcpy(*ints, s->index, s->n * sizeof(**ints));
    }
    *doubles += s->n;
    *ints += s->n;
    return copy;
}

struct hist_cell *hist_cell_copy(const struct histogram *h)
{
    double *doubles;
    int32_t *ints;
    struct hist_cell *c =
        cell_new((size_t)h->positive.n + h->negative.n, h->n_custom, &doubles, &ints);
    if (!c)
        return NULL;
    c->h = *h;
    c->h.positive = side_copy(&h->positive, &doubles, &ints);
    c->h.negative = side_copy(&h->negative, &doubles, &ints);
    if (h->n_custom)
        memcpy(doubles, h->custom, h->n_custom * sizeof(*doubles));
    c->h.custom = doubles;
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
    if (h->hint == HINT_RESET || h->schema != w->scale || h->positive.n != w->n ||
        h->negative.n || h->sum != w->sum || h->zero_threshold != w->zero_threshold ||
        h->zero_count != (double)w->zero_count)
        return false;
    for (uint32_t i = 0; i < w->n; i++)
        if (h->positive.index[i] != w->index[i] || h->positive.count[i] != (double)w->count[i])
            return false;
    return true;
}
