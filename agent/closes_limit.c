// SPDX-License-Identifier: Apache-2.0
#include "agent/closes_limit.h"
#include "base/clock.h"

void closes_limit_init(struct closes_limit *l, uint64_t per_s)
{
    *l = (struct closes_limit){.per_s = per_s};
}

bool closes_limit_step(struct closes_limit *l, uint64_t opens, int64_t now_ns)
{
    int64_t took = now_ns - l->at_ns;
    bool first = l->at_ns == 0;

    if (!first && took <= 0)
        return false;
    double rate = first ? 0 : (double)(opens - l->opens) * NS_PER_S / (double)took;
    l->opens = opens;
    l->at_ns = now_ns;
    if (l->per_s == 0 || first)
        return false;
    bool other = l->over ? rate < (double)l->per_s / 2 : rate > (double)l->per_s;
    l->since_ns = other ? l->since_ns + took : 0;
    if (l->since_ns < (l->over ? CLOSES_CALM_NS : CLOSES_BUSY_NS))
        return false;
    l->over = !l->over;
    l->since_ns = 0;
    return true;
}
