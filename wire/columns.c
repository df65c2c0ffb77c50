// SPDX-License-Identifier: Apache-2.0
#include "wire/columns.h"
#include <errno.h>
#include <stdlib.h>

static void *carve(uint8_t *block, size_t *at, size_t n, size_t size)
{
    void *p = block ? block + *at : NULL;

    *at += (n * size + 7) & ~(size_t)7;
    return p;
}

// With block NULL: only the size. One list of pieces for both, so they cannot disagree.
static size_t columns_lay(struct columns *k, uint8_t *block, const struct columns_need *need)
{
    size_t at = 0;

    k->group_at = carve(block, &at, need->groups, sizeof(*k->group_at));
    k->groups = carve(block, &at, need->groups, sizeof(*k->groups));
    k->histogram_at = carve(block, &at, need->histograms, sizeof(*k->histogram_at));
    k->histograms = carve(block, &at, need->histograms, sizeof(*k->histograms));
    k->event_at = carve(block, &at, need->events, sizeof(*k->event_at));
    k->events = carve(block, &at, need->events, sizeof(*k->events));
    k->ints = carve(block, &at, need->samples, sizeof(*k->ints));
    k->raws = carve(block, &at, need->samples, sizeof(*k->raws));
    k->deltas = carve(block, &at, need->buckets, sizeof(*k->deltas));
    k->runs = carve(block, &at, need->samples, 2 * sizeof(*k->runs));
    k->resets = carve(block, &at, need->samples, sizeof(*k->resets));
    k->stale = carve(block, &at, need->samples, sizeof(*k->stale));
    k->indexes = carve(block, &at, need->buckets, sizeof(*k->indexes));
    k->kinds = carve(block, &at, need->samples / 4 + need->groups + 1, 1);
    return at;
}

int columns_open(struct columns_block *b, const struct columns_need *need, struct columns *ret)
{
    size_t size = columns_lay(ret, NULL, need);

    if (size > b->cap) {
        size_t cap = size + size / 8;
        uint8_t *more = malloc(cap);
        if (!more)
            return -ENOMEM;
        free(b->data);
        b->data = more;
        b->cap = cap;
    }
    columns_lay(ret, b->data, need);
    return 0;
}
