// SPDX-License-Identifier: Apache-2.0
/*
 * The last histogram of one id, as both ends of a chain keep it: what the next difference refers
 * to. Grows by doubling and shrinks when it is mostly empty; a steady histogram does not
 * allocate. Owned by its chain; free() releases it.
 */
#pragma once
#include "wire/batch.h"

struct cell {
    int32_t scale;
    double zero_threshold, sum;
    uint64_t zero_count;
    uint32_t n, cap;
    struct cell_bucket {
        uint64_t count;
        int32_t index;
    } buckets[];
};

// What a cell of n buckets counts against WIRE_CHAIN_BUCKETS_MAX. Both ends add up the same
// numbers, so the encoder never makes what the decoder refuses; the constant part bounds what
// many empty histograms cost.
static inline uint32_t cell_charge(uint32_t n)
{
    return n + 16;
}
// Replaces what *c holds (NULL: nothing yet) by h, without its empty buckets. 0 or -ENOMEM.
int cell_set(struct cell **c, const struct wire_histogram *h);
size_t cell_bytes(const struct cell *c); // NULL: 0
