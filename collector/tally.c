// SPDX-License-Identifier: Apache-2.0
#include "collector/tally.h"
#include <stdlib.h>
#include <string.h>

void tally_add(struct tally *t, bool ok, int64_t took_us)
{
    size_t at = t->n++ % TALLY_TRIES;
    t->took_us[at] = took_us < 0 ? 0 : took_us > UINT32_MAX ? UINT32_MAX : (uint32_t)took_us;
    t->ok[at] = ok;
}

static int by_size(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

void tally_view(const struct tally *t, struct tally_view *ret)
{
    uint32_t sorted[TALLY_TRIES];
    size_t n = t->n < TALLY_TRIES ? t->n : TALLY_TRIES;
    *ret = (struct tally_view){.tries = n};
    if (!n)
        return;
    for (size_t i = 0; i < n; i++)
        ret->ok += t->ok[i];
    memcpy(sorted, t->took_us, n * sizeof(*sorted));
    qsort(sorted, n, sizeof(*sorted), by_size);
    ret->p50_us = sorted[(n - 1) / 2];
    ret->p99_us = sorted[(n * 99 + 99) / 100 - 1];
}
