// SPDX-License-Identifier: Apache-2.0
#include "agent/tally.h"
#include "base/secret.h"
#include <errno.h>
#include <stdlib.h>

// Open addressing; 0 is free, so a hash of 0 is told as 1.
struct tally_members {
    size_t n, cap;
    uint64_t hashes[];
};

int tally_init(struct tally *t, size_t max)
{
    *t = (struct tally){.max = max};
    map_init(&t->by_key);
    return random_bytes(&t->seed, sizeof(t->seed));
}

static void entry_free(struct tally_entry *e)
{
    expo_done(&e->expo);
    free(e->members);
    free(e);
}

void tally_done(struct tally *t)
{
    size_t it = 0;
    struct tally_entry *e;
    const void *key;
    size_t len;
    while (tally_next(t, &it, &key, &len, &e))
        entry_free(e);
    map_done(&t->by_key);
}

bool tally_next(const struct tally *t, size_t *it, const void **ret_key, size_t *ret_len,
    struct tally_entry **ret)
{
    void *value;
    if (!map_next(&t->by_key, it, ret_key, ret_len, &value))
        return false;
    *ret = value;
    return true;
}

struct tally_entry *tally_at(struct tally *t, const void *key, size_t len, enum tally_kind kind)
{
    struct tally_entry *e = map_get(&t->by_key, key, len);
    if (e || t->by_key.n >= t->max)
        return e;
    e = calloc(1, sizeof(*e));
    if (!e)
        return NULL;
    e->kind = kind;
    expo_init(&e->expo, WIRE_SCALE);
    if (map_set(&t->by_key, key, len, e) == 0)
        return e;
    entry_free(e);
    return NULL;
}

static bool members_add(struct tally_members *m, uint64_t hash)
{
    size_t at = hash & (m->cap - 1);
    while (m->hashes[at] && m->hashes[at] != hash)
        at = (at + 1) & (m->cap - 1);
    bool fresh = m->hashes[at] == 0;
    m->hashes[at] = hash;
    m->n += fresh;
    return fresh;
}

int tally_member(const struct tally *t, struct tally_entry *e, const void *member, size_t len)
{
    uint64_t hash = hash_bytes(member, len, t->seed);
    struct tally_members *m = e->members;
    if (m && m->n == TALLY_MEMBERS_MAX)
        return -ENOBUFS;
    if (!m || (m->n + 1) * 4 > m->cap * 3) {
        size_t cap = m ? m->cap * 2 : 16;
        struct tally_members *grown = calloc(1, sizeof(*grown) + cap * sizeof(uint64_t));
        if (!grown)
            return -ENOMEM;
        grown->cap = cap;
        for (size_t i = 0; m && i < m->cap; i++)
            if (m->hashes[i])
                members_add(grown, m->hashes[i]);
        free(m);
        e->members = m = grown;
    }
    members_add(m, hash ? hash : 1);
    return 0;
}

void tally_turn(struct tally *t)
{
    size_t it = 0, len;
    struct tally_entry *e;
    const void *key;
    while (tally_next(t, &it, &key, &len, &e))
        if (e->kind == TALLY_SET) {
            e->value = e->members ? (double)e->members->n : 0;
            free(e->members);
            e->members = NULL;
        }
}

size_t tally_sweep(struct tally *t, int64_t since_ns)
{
    size_t it = 0, len, gone = 0;
    struct tally_entry *e;
    const void *key;
    while (tally_next(t, &it, &key, &len, &e))
        if (e->touched_ns < since_ns) {
            map_del(&t->by_key, key, len);
            entry_free(e);
            gone++;
        }
    return gone;
}
