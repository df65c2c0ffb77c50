// SPDX-License-Identifier: Apache-2.0
#include "agent/catalogue.h"
#include "wire/name.h"
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define TOMB          UINT32_MAX
#define DECLARES_KEPT 64

// One malloc: the struct, its labels, then the text they point into.
struct series {
    struct batch_declare d;
    uint64_t hash;
    struct wire_label labels[];
};

void catalogue_init(struct catalogue *c)
{
    *c = (struct catalogue){0};
    rows_init(&c->slots, sizeof(struct slot));
    if (getrandom(&c->seed, sizeof(c->seed), GRND_NONBLOCK) != sizeof(c->seed))
        c->seed = (uint64_t)(uintptr_t)c;
}

void catalogue_done(struct catalogue *c)
{
    for (uint32_t i = 0; i < c->slots.n; i++)
        free(((struct slot *)rows_nth(&c->slots, i))->series);
    rows_done(&c->slots);
    free(c->table);
    free(c->declares);
    *c = (struct catalogue){0};
}

static uint64_t hash_text(uint64_t h, const char *s)
{
    do {
        h = (h ^ (uint8_t)*s) * 0x100000001b3ULL;
    } while (*s++);
    return h;
}

static uint64_t hash_series(
    uint64_t seed, const char *name, const struct wire_label *l, size_t n)
{
    uint64_t h = hash_text(seed ^ 0xcbf29ce484222325ULL, name);
    for (size_t i = 0; i < n; i++)
        h = hash_text(hash_text(h, l[i].name), l[i].value);
    h ^= h >> 32;
    h *= 0xd6e8feb86659fd93ULL;
    return h ^ h >> 29;
}

static bool same_series(
    const struct series *s, const char *name, const struct wire_label *l, size_t n)
{
    if (s->d.n_labels != n || strcmp(s->d.name, name) != 0)
        return false;
    for (size_t i = 0; i < n; i++)
        if (strcmp(s->labels[i].name, l[i].name) != 0 ||
            strcmp(s->labels[i].value, l[i].value) != 0)
            return false;
    return true;
}

static size_t table_free(const struct catalogue *c, uint64_t hash)
{
    size_t at = hash & (c->table_cap - 1);
    while (c->table[at] && c->table[at] != TOMB)
        at = (at + 1) & (c->table_cap - 1);
    return at;
}

static int table_grow(struct catalogue *c)
{
    if (c->table_cap && (c->table_used + 1) * 4 < c->table_cap * 3)
        return 0;
    size_t cap = 64;
    while (cap < (c->active + 1) * 2)
        cap *= 2;
    uint32_t *table = calloc(cap, sizeof(*table));
    if (!table)
        return -1;
    free(c->table);
    c->table = table;
    c->table_cap = cap;
    c->table_used = c->active;
    for (uint32_t i = 0; i < c->slots.n; i++) {
        const struct slot *s = rows_nth(&c->slots, i);
        if (!s->ended)
            table[table_free(c, s->series->hash)] = s->id;
    }
    return 0;
}

static uint32_t table_find(
    struct catalogue *c, uint64_t hash, const char *name, const struct wire_label *l, size_t n)
{
    if (!c->table_cap)
        return 0;
    for (size_t at = hash & (c->table_cap - 1); c->table[at];
         at = (at + 1) & (c->table_cap - 1)) {
        if (c->table[at] == TOMB)
            continue;
        const struct slot *s = rows_at(&c->slots, c->table[at]);
        if (s->series->hash == hash && same_series(s->series, name, l, n))
            return s->id;
    }
    return 0;
}

static size_t text_of(const struct batch_declare *d)
{
    size_t n = strlen(d->name) + strlen(d->unit) + 8;
    for (size_t i = 0; i < d->n_labels; i++)
        n += strlen(d->labels[i].name) + strlen(d->labels[i].value) + 6;
    return n;
}

static struct series *series_new(const char *name, const struct wire_label *l, size_t n,
    enum series_kind kind, const char *unit)
{
    size_t size = sizeof(struct series) + n * sizeof(*l) + strlen(name) + strlen(unit) + 2;
    for (size_t i = 0; i < n; i++)
        size += strlen(l[i].name) + strlen(l[i].value) + 2;
    struct series *s = malloc(size);
    if (!s)
        return NULL;
    char *text = (char *)&s->labels[n];
    s->d =
        (struct batch_declare){.name = text, .labels = s->labels, .n_labels = n, .kind = kind};
    text = stpcpy(text, name) + 1;
    s->d.unit = text;
    text = stpcpy(text, unit) + 1;
    for (size_t i = 0; i < n; i++) {
        s->labels[i].name = text;
        text = stpcpy(text, l[i].name) + 1;
        s->labels[i].value = text;
        text = stpcpy(text, l[i].value) + 1;
    }
    return s;
}

// All arrays get their room now, so that catalogue_news cannot fail.
static int grow(struct catalogue *c)
{
    if (table_grow(c) < 0 || rows_reserve(&c->slots) < 0)
        return -1;
    size_t news = c->last_id + 1 - c->told;
    if (news > c->cap_declares) {
        size_t cap = c->cap_declares ? c->cap_declares * 2 : DECLARES_KEPT;
        struct batch_declare *d = realloc(c->declares, cap * sizeof(*d));
        if (!d)
            return -1;
        c->declares = d;
        c->cap_declares = cap;
    }
    return 0;
}

uint32_t catalogue_add(struct catalogue *c, const char *name, const struct wire_label *labels,
    size_t n, enum series_kind kind, const char *unit, size_t max)
{
    struct wire_label l[WIRE_LABELS_MAX];
    size_t kept = 0;

    if (n > WIRE_LABELS_MAX || !wire_metric_ok(name))
        return 0;
    for (size_t i = 0; i < n; i++) {
        if (!labels[i].value || !labels[i].value[0])
            continue; // an empty label is no label
        size_t at = kept++;
        for (; at > 0 && strcmp(l[at - 1].name, labels[i].name) > 0; at--)
            l[at] = l[at - 1];
        l[at] = labels[i];
    }
    // A mount point or a container's name is whatever bytes somebody chose; one label that is not
    // UTF-8 would have the whole frame refused, so it is kept out here.
    if (wire_labels_fault(l, kept))
        return 0;

    uint64_t hash = hash_series(c->seed, name, l, kept);
    uint32_t id = table_find(c, hash, name, l, kept);
    if (id)
        return id;
    if (c->active >= max || c->last_id + 1 >= WIRE_ID_MAX || grow(c) < 0)
        return 0;
    struct series *s = series_new(name, l, kept, kind, unit ? unit : "");
    if (!s)
        return 0;
    id = ++c->last_id;
    s->hash = hash;
    s->d.id = id;
    ((struct slot *)rows_add(&c->slots, id))->series = s;
    size_t at = table_free(c, hash);
    c->table_used += c->table[at] == 0;
    c->table[at] = id;
    c->active++;
    c->text += text_of(&s->d);
    return id;
}

struct slot *catalogue_at(struct catalogue *c, uint32_t id)
{
    struct slot *s = rows_at(&c->slots, id);
    return s && !s->ended ? s : NULL;
}

const char *catalogue_name(const struct slot *s)
{
    return s->series->d.name;
}

void catalogue_end(struct catalogue *c, struct slot *s)
{
    size_t at = s->series->hash & (c->table_cap - 1);
    while (c->table[at] != s->id)
        at = (at + 1) & (c->table_cap - 1);
    c->table[at] = TOMB;
    s->ended = true;
    c->active--;
    c->text -= text_of(&s->series->d);
}

void catalogue_forget(struct catalogue *c, const uint32_t *ids, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(((struct slot *)rows_at(&c->slots, ids[i]))->series);
    rows_remove(&c->slots, ids, n);
    if (c->cap_declares > DECLARES_KEPT && c->told == c->last_id) {
        // The first frame declares most of what there ever is.
        free(c->declares);
        c->declares = NULL;
        c->cap_declares = 0;
    }
}

struct batch_declare *catalogue_news(struct catalogue *c, size_t *ret_n)
{
    size_t n = 0;
    for (uint32_t i = rows_find(&c->slots, c->told + 1); i < c->slots.n; i++)
        c->declares[n++] = ((const struct slot *)rows_nth(&c->slots, i))->series->d;
    c->told = c->last_id;
    *ret_n = n;
    return c->declares;
}
