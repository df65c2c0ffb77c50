// SPDX-License-Identifier: Apache-2.0
#include "agent/untold.h"

void untold_look(
    struct untold *u, uint64_t counted_before, uint64_t passive, uint64_t counted_after)
{
    uint64_t beyond = passive - counted_after;

    if (counted_before != counted_after)
        return;
    if (!u->begun || (int64_t)(beyond - u->base) < 0) {
        u->begun = true;
        u->base = beyond;
    }
    uint64_t missing = beyond - u->base;
    uint64_t sure = missing < u->again ? missing : u->again;
    if (sure > u->n)
        u->n = sure;
    u->again = missing;
}
