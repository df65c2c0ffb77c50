// SPDX-License-Identifier: Apache-2.0
#include "rules/source.h"
#include <stdlib.h>
#include <string.h>

bool points_add(struct points *p, int64_t t_ms, double v, const struct histogram *h)
{
    if (p->n == p->cap) {
        size_t cap = p->cap ? p->cap * 2 : 64;
        struct point *q = realloc(p->p, cap * sizeof(*q));
        if (!q)
            return false;
        p->p = q;
        p->cap = cap;
    }
    p->p[p->n++] = (struct point){t_ms, v, h};
    return true;
}

bool points_append(struct points *p, const struct point *more, size_t n)
{
    if (!n)
        return true;
    if (p->cap - p->n < n) {
        size_t cap = (p->n + n) * 2;
        struct point *q = realloc(p->p, cap * sizeof(*q));
        if (!q)
            return false;
        p->p = q;
        p->cap = cap;
    }
    memcpy(p->p + p->n, more, n * sizeof(*more));
    p->n += n;
    return true;
}

bool series_ids_add(struct series_ids *s, uint32_t id)
{
    if (s->n == s->cap) {
        size_t cap = s->cap ? s->cap * 2 : 16;
        uint32_t *q = realloc(s->id, cap * sizeof(*q));
        if (!q)
            return false;
        s->id = q;
        s->cap = cap;
    }
    s->id[s->n++] = id;
    return true;
}
