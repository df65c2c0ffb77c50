// SPDX-License-Identifier: Apache-2.0
#include "base/map.h"
#include "base/secret.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_CAP 16

struct map_slot {
    uint64_t hash;
    void *key; // NULL = never used, TOMB = deleted
    size_t len;
    void *value;
};

static char tomb;
#define TOMB ((void *)&tomb)

static uint64_t rotl(uint64_t x, int b)
{
    return x << b | x >> (64 - b);
}

static void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = rotl(v[1], 13) ^ v[0];
    v[0] = rotl(v[0], 32);
    v[2] += v[3];
    v[3] = rotl(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotl(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotl(v[1], 17) ^ v[2];
    v[2] = rotl(v[2], 32);
}

// SipHash-1-3; the second half of the key is derived from the first.
uint64_t hash_bytes(const void *data, size_t len, uint64_t seed)
{
    const uint8_t *p = data;
    uint64_t k0 = seed, k1 = rotl(seed, 29) * 0x9E3779B97F4A7C15u, word;
    uint64_t v[4] = {k0 ^ 0x736f6d6570736575u, k1 ^ 0x646f72616e646f6du,
        k0 ^ 0x6c7967656e657261u, k1 ^ 0x7465646279746573u};
    size_t left = len;
    for (; left >= 8; left -= 8, p += 8) {
        memcpy(&word, p, 8);
        v[3] ^= word;
        sip_round(v);
        v[0] ^= word;
    }
    word = (uint64_t)len << 56;
    for (size_t i = 0; i < left; i++)
        word |= (uint64_t)p[i] << (8 * i);
    v[3] ^= word;
    sip_round(v);
    v[0] ^= word;
    v[2] ^= 0xff;
    for (int i = 0; i < 3; i++)
        sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

void map_init(struct map *m)
{
    *m = (struct map){0};
    // Without randomness (not seen on Linux after boot) the address space layout has to do.
    if (random_bytes(&m->seed, sizeof(m->seed)) < 0)
        m->seed = (uint64_t)(uintptr_t)m ^ (uint64_t)(uintptr_t)&tomb << 32;
}

void map_done(struct map *m)
{
    if (!m)
        return;
    for (size_t i = 0; i < m->cap; i++)
        if (m->slots[i].key != TOMB)
            free(m->slots[i].key);
    free(m->slots);
    *m = (struct map){.seed = m->seed};
}

// The slot of the key, or NULL.
static struct map_slot *find(const struct map *m, const void *key, size_t len, uint64_t hash)
{
    if (m->cap == 0)
        return NULL;
    for (size_t i = hash & (m->cap - 1);; i = (i + 1) & (m->cap - 1)) {
        struct map_slot *s = &m->slots[i];
        if (!s->key)
            return NULL;
        if (s->key != TOMB && s->hash == hash && s->len == len &&
            (len == 0 || memcmp(s->key, key, len) == 0))
            return s;
    }
}

// The first slot the key may go to; the caller knows it is not in the map.
static struct map_slot *place(struct map_slot *slots, size_t cap, uint64_t hash)
{
    size_t i = hash & (cap - 1);
    while (slots[i].key && slots[i].key != TOMB)
        i = (i + 1) & (cap - 1);
    return &slots[i];
}

// At most three quarters in use, tombs included, so that a search always meets an empty slot.
static int make_room(struct map *m)
{
    if ((m->n + m->tombs + 1) * 4 <= m->cap * 3)
        return 0;
    size_t cap = m->cap ? m->cap : FIRST_CAP;
    while ((m->n + 1) * 2 > cap)
        cap *= 2;
    struct map_slot *slots = calloc(cap, sizeof(*slots));
    if (!slots)
        return -ENOMEM;
    for (size_t i = 0; i < m->cap; i++)
        if (m->slots[i].key && m->slots[i].key != TOMB)
            *place(slots, cap, m->slots[i].hash) = m->slots[i];
    free(m->slots);
    m->slots = slots;
    m->cap = cap;
    m->tombs = 0;
    return 0;
}

void *map_get(const struct map *m, const void *key, size_t len)
{
    const struct map_slot *s = find(m, key, len, hash_bytes(key, len, m->seed));
    return s ? s->value : NULL;
}

int map_set(struct map *m, const void *key, size_t len, void *value)
{
    uint64_t hash = hash_bytes(key, len, m->seed);
    struct map_slot *s = find(m, key, len, hash);
    if (s) {
        s->value = value;
        return 0;
    }
    void *copy = malloc(len ? len : 1);
    if (!copy || make_room(m) < 0) {
        free(copy);
        return -ENOMEM;
    }
    if (len > 0)
        memcpy(copy, key, len);
    s = place(m->slots, m->cap, hash);
    m->tombs -= s->key == TOMB;
    *s = (struct map_slot){.hash = hash, .key = copy, .len = len, .value = value};
    m->n++;
    return 0;
}

void *map_del(struct map *m, const void *key, size_t len)
{
    struct map_slot *s = find(m, key, len, hash_bytes(key, len, m->seed));
    if (!s)
        return NULL;
    void *value = s->value;
    free(s->key);
    *s = (struct map_slot){.key = TOMB};
    m->n--;
    m->tombs++;
    return value;
}

bool map_next(
    const struct map *m, size_t *it, const void **ret_key, size_t *ret_len, void **ret_value)
{
    while (*it < m->cap) {
        const struct map_slot *s = &m->slots[(*it)++];
        if (!s->key || s->key == TOMB)
            continue;
        if (ret_key)
            *ret_key = s->key;
        if (ret_len)
            *ret_len = s->len;
        if (ret_value)
            *ret_value = s->value;
        return true;
    }
    return false;
}
