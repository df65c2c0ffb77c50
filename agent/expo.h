// SPDX-License-Identifier: Apache-2.0
/*
 * An exponential histogram that is added to: timers that are sent to us one by one, histograms that are
 * sent as differences. What comes out is what the wire holds (struct wire_histogram).
 *
 * Buckets are kept sorted and only where something fell. It begins at the scale given; when it would
 * need more than WIRE_BUCKETS_MAX buckets, or is handed coarser ones, pairs are merged and the scale is one
 * less: bounds of the coarser scale are bounds of the finer one, so that loses width and nothing else.
 *
 *     scale 4   ..(i-1](i]..      bucket i covers (2^((i-1)/16), 2^(i/16)]
 *     scale 3   ..(   k   ]..     k = ceil(i/2)
 *
 * One owner. Values below zero have no place on the wire: the caller refuses them.
 */
#pragma once
#include "wire/batch.h"

struct expo {
    int32_t scale;
    uint32_t n, cap;
    int32_t *index; // rising; one block with count
    uint64_t *count, zero, total;
    double sum;
};

void expo_init(struct expo *e, int32_t scale);
void expo_done(struct expo *e);
void expo_reset(struct expo *e, int32_t scale); // empty again; its memory stays
// times observations of value, finite and not negative. 0, -ENOMEM, -ERANGE (counts are at their end).
int expo_observe(struct expo *e, double value, uint64_t times);
// A bucket of a histogram at a scale of its own; scale may be any. The same errors.
int expo_add(struct expo *e, int32_t scale, int32_t index, uint64_t count);
int expo_add_zero(struct expo *e, uint64_t count);
// Bucket and exponent of a bound, for tests: the bucket a value falls into.
int32_t expo_index(int32_t scale, double value);
// Borrows its arrays.
struct wire_histogram expo_wire(const struct expo *e);
