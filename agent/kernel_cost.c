// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel_cost.h"
#include "base/clock.h"
#include <stdio.h>

int64_t kernel_cost_ns(const struct kernel_cost *c)
{
    return (int64_t)(c->sampled_ns + c->sampled_runs * KERNEL_ENTRY_NS) * KERNEL_SAMPLED;
}

bool kernel_guard(struct kernel_guard *g, const struct kernel_cost *c, int64_t now_ns,
    int64_t *cpu_ns, char *why, size_t size)
{
    int64_t cost = kernel_cost_ns(c), over = now_ns - g->begun_ns;
    bool first = !g->begun_ns;

    *cpu_ns += cost - g->cost_ns;
    g->cost_ns = cost;
    if (!first && over < KERNEL_GUARD_S * NS_PER_S)
        return false;
    double share = (double)(cost - g->begun_cost_ns) / (double)over;
    g->begun_ns = now_ns;
    g->begun_cost_ns = cost;
    if (first || share <= KERNEL_SHARE)
        return false;
    snprintf(why, size,
        "taken out of the kernel until the next start: %.1f %% of a core, %.0f allowed",
        share * 100, KERNEL_SHARE * 100);
    return true;
}
