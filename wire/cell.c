// SPDX-License-Identifier: Apache-2.0
#include "wire/cell.h"
#include <errno.h>
#include <stdlib.h>

#define CAP_MIN 16

int cell_set(struct cell **c, const struct wire_histogram *h)
{
    uint32_t had = *c ? (*c)->cap : 0;
    uint32_t cap = had > 4 * CAP_MIN && h->n < had / 8 ? CAP_MIN : had;

    if (cap == 0)
        cap = CAP_MIN;
    while (cap < h->n)
        cap *= 2;
    if (cap != had) {
        struct cell *to = realloc(*c, sizeof(**c) + cap * sizeof((*c)->buckets[0]));
        if (!to)
            return -ENOMEM;
        to->cap = cap;
        *c = to;
    }
    struct cell *to = *c;
    to->scale = h->scale;
    to->zero_threshold = h->zero_threshold;
    to->sum = h->sum;
    to->zero_count = h->zero_count;
    to->n = 0;
    for (uint32_t i = 0; i < h->n; i++) {
        if (h->count[i] > 0)
            to->buckets[to->n++] = (struct cell_bucket){h->count[i], h->index[i]};
    }
    return 0;
}

size_t cell_bytes(const struct cell *c)
{
    return c ? sizeof(*c) + c->cap * sizeof(c->buckets[0]) : 0;
}
