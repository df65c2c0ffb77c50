// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/*
 * How a program measures itself: cost_begin first, cost_end last (agent/kernel_cost.h).
 */
#pragma once
#include "agent/bpf/count.bpf.h"
#include "agent/kernel_cost.h"
#include <bpf/bpf_helpers.h>
#include <linux/bpf.h>

static __always_inline __u64 cost_begin(void)
{
    return bpf_get_prandom_u32() % KERNEL_SAMPLED ? 0 : bpf_ktime_get_ns();
}

static __always_inline void cost_end(struct kernel_cost *c, __u64 begun)
{
    if (begun) {
        count_add(&c->sampled_runs, 1);
        count_add(&c->sampled_ns, bpf_ktime_get_ns() - begun);
    }
}
