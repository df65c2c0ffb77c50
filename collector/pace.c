// SPDX-License-Identifier: Apache-2.0
#include "collector/pace.h"

void pace_add(struct pace *p, int64_t took_ns)
{
    if (took_ns > PACE_SLOW_NS) {
        p->quick = 0;
        p->slow++;
        p->behind |= p->slow >= PACE_SLOW_MAX || took_ns > PACE_STUCK_NS;
        return;
    }
    p->slow = 0;
    p->quick++;
    if (p->quick >= PACE_QUICK_MIN)
        p->behind = false;
}

bool pace_unsure(const struct pace *p)
{
    return p->slow || p->behind;
}
