// SPDX-License-Identifier: Apache-2.0
#include "collector/ahead.h"

void ahead_leave_out(struct batch *b, int64_t skew_ms, int64_t now_ms, struct ahead *at)
{
    int64_t now = now_ms - skew_ms; // on the agent's clock
    size_t kept = 0;

    if (b->wall_ms > now + AHEAD_MS)
        b->wall_ms = now;
    for (size_t i = 0; i < b->n_groups; i++) {
        const struct batch_group *g = &b->groups[i];
        if (g->stamp_ms <= now + AHEAD_MS) {
            b->groups[kept++] = *g;
            continue;
        }
        at->samples += g->n;
        if (g->stamp_ms - now > at->by_ms)
            at->by_ms = g->stamp_ms - now;
    }
    b->n_groups = kept;
}
