// SPDX-License-Identifier: Apache-2.0
/*
 * The columns of a frame being encoded: one block, sized before the first sample is looked at, so that
 * filling it cannot fail half-way. Each column is carved off once and filled from its start.
 *
 * The block is kept from frame to frame by its chain; the columns point into it until the next
 * columns_open.
 */
#pragma once
#include "wire/tocsin.pb-c.h"
#include <stddef.h>
#include <stdint.h>

// What the column `kinds` says of a value, two bits each.
enum { KIND_SAME, KIND_INT, KIND_RAW, KIND_ABSENT };
// Differences of integers travel up to here: above 2^53 not every integer is a double.
#define COLUMN_INTEGER_MAX 9007199254740992.0

// What one frame takes at most.
struct columns_need {
    size_t samples, groups, histograms, buckets, events;
};

struct columns {
    Tocsin__V1__Group **group_at, *groups;
    Tocsin__V1__Histogram **histogram_at, *histograms;
    Tocsin__V1__Event **event_at, *events;
    int64_t *ints, *deltas;
    double *raws;
    uint32_t *runs, *resets, *stale;
    int32_t *indexes;
    uint8_t *kinds;
};

struct columns_block {
    uint8_t *data; // the chain frees it
    size_t cap;
};

int columns_open(struct columns_block *b, const struct columns_need *need,
    struct columns *ret); // 0, -ENOMEM
