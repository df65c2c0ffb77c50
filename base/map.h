// SPDX-License-Identifier: Apache-2.0
/*
 * Hash map from bytes to a pointer, with a seeded hash so that a peer cannot aim at collisions.
 * Keys are copied. Open addressing; lookup does not allocate. Not for the sample path: that uses
 * dense ids.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct map_slot;
struct map {
    struct map_slot *slots;
    size_t n, cap, tombs;
    uint64_t seed;
};

void map_init(struct map *m);
void map_done(struct map *m); // frees keys, never values
void *map_get(const struct map *m, const void *key, size_t len);
int map_set(struct map *m, const void *key, size_t len, void *value); // 0, -ENOMEM; replaces
void *map_del(struct map *m, const void *key, size_t len);            // old value or NULL
// Walks in no order: start with *it = 0; false at the end.
bool map_next(
    const struct map *m, size_t *it, const void **ret_key, size_t *ret_len, void **ret_value);
uint64_t hash_bytes(const void *data, size_t len, uint64_t seed);
