// SPDX-License-Identifier: Apache-2.0
/*
 * The random numbers of a conformance run: splitmix64, so that one seed gives one run on every
 * machine and any seed is a good one. A value; whoever holds it owns it.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct random {
    uint64_t state;
};

static inline uint64_t random_bits(struct random *r)
{
    uint64_t x = r->state += 0x9e3779b97f4a7c15ULL;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
    return x ^ (x >> 31);
}

// [0, 1)
static inline double random_unit(struct random *r)
{
    return (double)(random_bits(r) >> 11) / 9007199254740992.0;
}

// 0 .. n-1
static inline int random_below(struct random *r, int n)
{
    return (int)(random_bits(r) % (uint64_t)n);
}

static inline bool random_chance(struct random *r, double p)
{
    return random_unit(r) < p;
}

#define RANDOM_PICK(r, array)                                                                  \
    ((array)[random_below(r, (int)(sizeof(array) / sizeof(*(array))))])
