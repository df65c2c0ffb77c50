// SPDX-License-Identifier: Apache-2.0
#include "collector/index.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

// gcc 12's -fanalyzer loses the lists that pairs own, and takes them for leaked.
#ifndef __clang__
#pragma GCC diagnostic ignored "-Wanalyzer-malloc-leak"
#endif

struct index_pair {
    char *value; // NULL for the list of all series
    uint32_t *id;
    size_t n, cap;
};

struct index_name {
    struct index_pair **pairs;
    size_t n, cap;
};

// name 0 value: neither holds a NUL.
struct pair_key {
    char text[512];
    char *heap;
    const char *key;
    size_t len;
};

static bool pair_key(struct pair_key *k, const char *name, const char *value)
{
    size_t a = strlen(name) + 1, b = strlen(value);
    k->heap = NULL;
    k->len = a + b;
    char *to = k->text;
    if (k->len > sizeof(k->text)) {
        to = k->heap = malloc(k->len);
        if (!to)
            return false;
    }
    memcpy(to, name, a);
    memcpy(to + a, value, b);
    k->key = to;
    return true;
}

int index_init(struct index *x)
{
    *x = (struct index){.all = calloc(1, sizeof(struct index_pair))};
    map_init(&x->names);
    map_init(&x->pairs);
    return x->all ? 0 : -ENOMEM;
}

static void pair_free(struct index_pair *p)
{
    if (!p)
        return;
    free(p->value);
    free(p->id);
    free(p);
}

void index_done(struct index *x)
{
    size_t it = 0, len;
    const void *key;
    void *value;
    while (map_next(&x->pairs, &it, &key, &len, &value))
        pair_free(value);
    it = 0;
    while (map_next(&x->names, &it, &key, &len, &value)) {
        free(((struct index_name *)value)->pairs);
        free(value);
    }
    map_done(&x->pairs);
    map_done(&x->names);
    pair_free(x->all);
    x->all = NULL;
}

static struct index_pair *pair_get(const struct index *x, const char *name, const char *value)
{
    struct pair_key k;
    if (!pair_key(&k, name, value))
        return NULL;
    struct index_pair *p = map_get(&x->pairs, k.key, k.len);
    free(k.heap);
    return p;
}

static struct index_name *name_make(struct index *x, const char *name)
{
    struct index_name *n = map_get(&x->names, name, strlen(name));
    if (n)
        return n;
    n = calloc(1, sizeof(*n));
    if (n && map_set(&x->names, name, strlen(name), n) < 0) {
        free(n);
        n = NULL;
    }
    return n;
}

// The pair's list, made if there is none.
static struct index_pair *pair_make(struct index *x, const char *name, const char *value)
{
    struct pair_key k;
    if (!pair_key(&k, name, value))
        return NULL;
    struct index_pair *p = map_get(&x->pairs, k.key, k.len);
    if (p)
        goto out;
    struct index_name *n = name_make(x, name);
    if (!n)
        goto out;
    if (n->n == n->cap) {
        size_t cap = n->cap ? n->cap * 2 : 4;
        struct index_pair **pairs = realloc(n->pairs, cap * sizeof(struct index_pair *));
        if (!pairs)
            goto out;
        n->pairs = pairs;
        n->cap = cap;
    }
    p = calloc(1, sizeof(*p));
    if (!p)
        goto out;
    p->value = strdup(value);
    if (!p->value || map_set(&x->pairs, k.key, k.len, p) < 0) {
        pair_free(p);
        p = NULL;
        goto out;
    }
    n->pairs[n->n++] = p;
out:
    free(k.heap);
    return p;
}

static int list_add(struct index *x, struct index_pair *p, uint32_t id)
{
    if (p->n == p->cap) {
        size_t cap = p->cap ? p->cap * 2 : 4;
        uint32_t *ids = realloc(p->id, cap * sizeof(*ids));
        if (!ids)
            return -ENOMEM;
        x->bytes += (cap - p->cap) * sizeof(*ids);
        p->id = ids;
        p->cap = cap;
    }
    p->id[p->n++] = id;
    return 0;
}

static void list_remove(struct index_pair *p, uint32_t id)
{
    size_t lo = 0, hi = p->n;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (p->id[mid] < id)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo < p->n && p->id[lo] == id) {
        memmove(p->id + lo, p->id + lo + 1, (p->n - lo - 1) * sizeof(*p->id));
        p->n--;
    }
}

// The last series of a pair is gone: forget the value, or churn would grow the index for ever.
static void pair_forget(struct index *x, const char *name, struct index_pair *p)
{
    struct index_name *n = map_get(&x->names, name, strlen(name));
    for (size_t i = 0; n && i < n->n; i++)
        if (n->pairs[i] == p) {
            n->pairs[i] = n->pairs[--n->n];
            break;
        }
    if (n && n->n == 0) {
        map_del(&x->names, name, strlen(name));
        free(n->pairs);
        free(n);
    }
    struct pair_key k;
    if (pair_key(&k, name, p->value))
        map_del(&x->pairs, k.key, k.len);
    free(k.heap);
    x->bytes -= p->cap * sizeof(*p->id);
    pair_free(p);
}

void index_remove(struct index *x, uint32_t id, const struct labels *l)
{
    list_remove(x->all, id);
    for (size_t i = 0; i < l->n; i++) {
        struct index_pair *p = pair_get(x, l->l[i].name, l->l[i].value);
        if (!p)
            continue;
        list_remove(p, id);
        if (p->n == 0)
            pair_forget(x, l->l[i].name, p);
    }
}

int index_add(struct index *x, uint32_t id, const struct labels *l)
{
    bool ok = list_add(x, x->all, id) == 0;
    for (size_t i = 0; ok && i < l->n; i++) {
        struct index_pair *p = pair_make(x, l->l[i].name, l->l[i].value);
        ok = p && list_add(x, p, id) == 0;
    }
    if (ok)
        return 0;
    index_remove(x, id, l);
    return -ENOMEM;
}

static int by_id(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

struct select {
    const struct matcher *m;
    size_t n;
    const struct labels *(*of)(void *ctx, uint32_t id);
    void *ctx;
    struct series_ids *out;
};

static int take(const struct select *s, const struct index_pair *p)
{
    for (size_t i = 0; i < p->n; i++)
        if (matchers_labels(s->m, s->n, s->of(s->ctx, p->id[i])) &&
            !series_ids_add(s->out, p->id[i]))
            return -ENOMEM;
    return 0;
}

// A regex or != over one label: the values it accepts, each with its list.
static int take_values(
    const struct select *s, const struct index_name *name, const struct matcher *m)
{
    size_t first = s->out->n;
    for (size_t i = 0; i < name->n; i++)
        if (matcher_value(m, name->pairs[i]->value) && take(s, name->pairs[i]) < 0)
            return -ENOMEM;
    if (s->out->n > first)
        qsort(s->out->id + first, s->out->n - first, sizeof(*s->out->id), by_id);
    return 0;
}

int index_select(const struct index *x, const struct matcher *m, size_t n,
    const struct labels *(*of)(void *ctx, uint32_t id), void *ctx, struct series_ids *out)
{
    struct select s = {.m = m, .n = n, .of = of, .ctx = ctx, .out = out};
    const struct index_pair *best = NULL;
    const struct matcher *spread = NULL;
    for (size_t i = 0; i < n; i++) {
        if (matcher_value(&m[i], ""))
            continue; // accepts series without the label: no list holds them all
        if (m[i].op == MATCH_EQ) {
            const struct index_pair *p = pair_get(x, m[i].name, m[i].value);
            if (!p)
                return 0;
            if (!best || p->n < best->n)
                best = p;
        } else if (!spread || m[i].op == MATCH_RE) {
            spread = &m[i];
        }
    }
    if (best)
        return take(&s, best);
    if (spread) {
        const struct index_name *name = map_get(&x->names, spread->name, strlen(spread->name));
        return name ? take_values(&s, name, spread) : 0;
    }
    return take(&s, x->all);
}
