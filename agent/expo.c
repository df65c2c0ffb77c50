// SPDX-License-Identifier: Apache-2.0
#include "agent/expo.h"
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SCALE_MAX 20 // of what is sent to us

void expo_init(struct expo *e, int32_t scale)
{
    *e = (struct expo){.scale = scale};
}

void expo_done(struct expo *e)
{
    free(e->count);
    *e = (struct expo){.scale = e->scale};
}

void expo_reset(struct expo *e, int32_t scale)
{
    e->scale = scale;
    e->n = 0;
    e->zero = e->total = 0;
    e->sum = 0;
}

int32_t expo_index(int32_t scale, double value)
{
    int exponent;
    // The mantissa alone: its logarithm is exact where the value is a power of two.
    double m = frexp(value, &exponent);
    if (scale <= 0) {
        // (2^(k-1), 2^k] holds mantissas above a half; a half itself belongs to the one below.
        int32_t k = m == 0.5 ? exponent - 1 : exponent;
        return (int32_t)(k + (1 << -scale) - 1) >> -scale;
    }
    return (int32_t)ceil(log2(m) * (1 << scale)) + exponent * (1 << scale);
}

// The number of the bucket that holds it, d scales further down.
static int32_t coarser(int64_t index, int d)
{
    return (int32_t)((index + (1LL << d) - 1) >> d);
}

static void rescale(struct expo *e)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < e->n; i++) {
        int32_t k = coarser(e->index[i], 1);
        if (kept && e->index[kept - 1] == k) {
            e->count[kept - 1] += e->count[i];
            continue;
        }
        e->index[kept] = k;
        e->count[kept++] = e->count[i];
    }
    e->n = kept;
    e->scale--;
}

static int grow(struct expo *e)
{
    uint32_t cap = e->cap ? e->cap * 2 : 8;
    uint64_t *block = malloc(cap * (sizeof(uint64_t) + sizeof(int32_t)));
    if (!block)
        return -ENOMEM;
    int32_t *index = (int32_t *)(block + cap);
    if (e->n) {
        memcpy(block, e->count, e->n * sizeof(*block));
        memcpy(index, e->index, e->n * sizeof(*index));
    }
    free(e->count);
    e->count = block;
    e->index = index;
    e->cap = cap;
    return 0;
}

// Where index stands or would stand.
static uint32_t place(const struct expo *e, int32_t index)
{
    uint32_t low = 0, high = e->n;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (e->index[mid] < index)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static bool room_for(const struct expo *e, uint64_t count)
{
    return count <= (uint64_t)INT64_MAX - e->total;
}

int expo_add(struct expo *e, int32_t scale, int32_t index, uint64_t count)
{
    if (!count)
        return 0;
    if (!room_for(e, count) || scale < WIRE_SCALE_MIN || scale > SCALE_MAX)
        return -ERANGE;
    while (e->scale > scale)
        rescale(e);
    for (;;) {
        int32_t k = coarser(index, scale - e->scale);
        if (k < -WIRE_INDEX_MAX || k > WIRE_INDEX_MAX)
            return -ERANGE; // beyond any double
        uint32_t at = place(e, k);
        bool there = at < e->n && e->index[at] == k;
        if (!there && e->n == WIRE_BUCKETS_MAX) {
            if (e->scale == WIRE_SCALE_MIN)
                return -ERANGE;
            rescale(e);
            continue;
        }
        if (!there && e->n == e->cap && grow(e) < 0)
            return -ENOMEM;
        if (!there) {
            memmove(e->index + at + 1, e->index + at, (e->n - at) * sizeof(*e->index));
            memmove(e->count + at + 1, e->count + at, (e->n - at) * sizeof(*e->count));
            e->index[at] = k;
            e->count[at] = 0;
            e->n++;
        }
        e->count[at] += count;
        e->total += count;
        return 0;
    }
}

int expo_add_zero(struct expo *e, uint64_t count)
{
    if (!room_for(e, count))
        return -ERANGE;
    e->zero += count;
    e->total += count;
    return 0;
}

int expo_observe(struct expo *e, double value, uint64_t times)
{
    int rc = value > 0 ? expo_add(e, e->scale, expo_index(e->scale, value), times)
                       : expo_add_zero(e, times);
    if (rc == 0)
        e->sum += value * (double)times;
    return rc;
}

struct wire_histogram expo_wire(const struct expo *e)
{
    return (struct wire_histogram){.scale = e->scale,
        .sum = e->sum,
        .zero_count = e->zero,
        .n = e->n,
        .index = e->index,
        .count = e->count};
}
