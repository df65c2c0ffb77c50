// SPDX-License-Identifier: Apache-2.0
/*
 * What a file of programs costs, in memory it shares with us: one run in KERNEL_SAMPLED is timed, so
 * that the cost is known and costs little to know. Included by C for the kernel too.
 *
 * A sampler adds that to its CPU time, and above KERNEL_SHARE of a core over KERNEL_GUARD_S takes its
 * programs out of the kernel, for good: the capabilities to put them back are gone.
 */
#pragma once
#include <linux/types.h>

#define KERNEL_SAMPLED  64
#define KERNEL_ENTRY_NS 30 // what entering and leaving costs beside what a program can measure
// 10 %: about 110,000 exchanges a second where both ends are on this host (0.9 us each with what
// entering costs), more where one is. A service that does as many uses ten times that itself.
#define KERNEL_SHARE   0.10
#define KERNEL_GUARD_S 10

struct kernel_cost {
    __u64 sampled_runs, sampled_ns;
};

#ifndef __bpf__
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct kernel_guard {
    int64_t cost_ns, begun_cost_ns, begun_ns;
};

// CPU time of the programs so far, an estimate.
int64_t kernel_cost_ns(const struct kernel_cost *c);
// At each tick: adds what was spent since the last to *cpu_ns. True: too dear, with why filled.
bool kernel_guard(struct kernel_guard *g, const struct kernel_cost *c, int64_t now_ns,
    int64_t *cpu_ns, char *why, size_t size);
#endif
