// SPDX-License-Identifier: Apache-2.0
#include "rules/recorded.h"
#include <errno.h>
#include <stdlib.h>

void recorded_done(struct recorded *r)
{
    for (size_t i = 0; i < r->n; i++)
        free(r->s[i].labels);
    free(r->s);
    free(r->slot);
    *r = (struct recorded){0};
}

void recorded_begin(struct recorded *r)
{
    r->epoch++;
}

static void put(struct recorded *r, size_t i)
{
    size_t at = r->s[i].hash & (r->slots - 1);
    while (r->slot[at])
        at = (at + 1) & (r->slots - 1);
    r->slot[at] = (uint32_t)i + 1;
}

static void rebuild(struct recorded *r)
{
    if (r->slots)
        memset(r->slot, 0, r->slots * sizeof(*r->slot));
    for (size_t i = 0; i < r->n; i++)
        put(r, i);
}

static struct recorded_series *find(
    const struct recorded *r, uint64_t hash, const struct labels *l)
{
    if (!r->slots)
        return NULL;
    for (size_t at = hash & (r->slots - 1); r->slot[at]; at = (at + 1) & (r->slots - 1)) {
        struct recorded_series *s = &r->s[r->slot[at] - 1];
        if (s->hash == hash && labels_equal(s->labels, l))
            return s;
    }
    return NULL;
}

static int grow(struct recorded *r)
{
    size_t cap = r->cap ? r->cap * 2 : 8;
    struct recorded_series *s = realloc(r->s, cap * sizeof(*s));
    if (!s)
        return -ENOMEM;
    r->s = s;
    uint32_t *slot = calloc(cap * 2, sizeof(*slot));
    if (!slot)
        return -ENOMEM;
    free(r->slot);
    r->slot = slot;
    r->slots = cap * 2;
    r->cap = cap;
    rebuild(r);
    return 0;
}

int recorded_write(struct recorded *r, const struct source *src, const struct labels *l,
    int64_t t_ms, double v, const struct histogram *h)
{
    uint64_t hash = labels_hash(l);
    struct recorded_series *s = find(r, hash, l);
    bool absent = !h && double_bits(v) == NAN_ABSENT_BITS;
    if (!s && absent)
        return 0; // never written: nothing to keep
    if (!s) {
        int rc = r->n == r->cap ? grow(r) : 0;
        if (rc < 0)
            return rc;
        struct labels *copy = labels_dup(l);
        if (!copy)
            return -ENOMEM;
        rc = src->record(src->self, l, t_ms, v, h);
        if (rc < 0) {
            free(copy);
            return rc;
        }
        r->s[r->n] = (struct recorded_series){hash, copy, r->epoch};
        put(r, r->n++);
        return 0;
    }
    s->seen = r->epoch;
    return src->record(src->self, l, t_ms, v, h);
}

// A marker that cannot be written (no memory) leaves the series to be marked next time.
static bool mark(const struct source *src, const struct labels *l, int64_t t_ms)
{
    return src->record(src->self, l, t_ms, double_from_bits(NAN_STALE_BITS), NULL) == 0;
}

void recorded_end(struct recorded *r, const struct source *src, int64_t t_ms)
{
    size_t kept = 0;
    for (size_t i = 0; i < r->n; i++) {
        if (r->s[i].seen != r->epoch && mark(src, r->s[i].labels, t_ms))
            free(r->s[i].labels);
        else
            r->s[kept++] = r->s[i];
    }
    if (kept == r->n)
        return;
    r->n = kept;
    rebuild(r);
}

void recorded_stale(
    struct recorded *r, const struct source *src, const struct labels *l, int64_t t_ms)
{
    struct recorded_series *s = find(r, labels_hash(l), l);
    if (!s || !mark(src, l, t_ms))
        return;
    free(s->labels);
    *s = r->s[--r->n];
    rebuild(r);
}
