// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/*
 * Counting in shared memory, on any CPU and in whatever interrupts us.
 */
#pragma once
#include <linux/types.h> // bpf_helpers.h needs it before itself

#include <bpf/bpf_helpers.h>

static __always_inline void count_add(__u64 *counter, __u64 n)
{
    __sync_fetch_and_add(counter, n);
}

// One more in the place `at` of n; beyond them, nothing. False then.
static __always_inline int count_at(__u64 *counters, __u32 n, __u32 at)
{
    // The compiler may not conclude that it is in range: the verifier has to see the comparison.
    asm volatile("" : "+r"(at));
    if (at >= n)
        return 0;
    count_add(&counters[at], 1);
    return 1;
}
