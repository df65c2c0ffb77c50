// SPDX-License-Identifier: Apache-2.0
/*
 * The kernel's half of "tcp.latency" (bpf/latency.bpf.c): put into the kernel, and its memory.
 *
 *     child: does the kernel's BTF name both tracepoints? -> load, attach --+ descriptors
 *     agent: map the memory, give up CAP_BPF and CAP_PERFMON <--------------+
 *
 * Reading the kernel's types takes 20 MB for a moment, of which an allocator keeps some: so a child
 * does it, once, and is gone when latency_kernel_open returns (some 50 ms).
 *
 * What can be done is asked of the kernel's own description of itself, never of its version. After
 * opening, all is plain reading and writing of memory: no system call, no privilege.
 *
 * A build without clang or libbpf (make BPF=no) has latency_kernel_open fail with that reason.
 */
#pragma once
#include "agent/latency_bucket.h"
#include <stddef.h>
#include <stdint.h>

struct latency_kernel; // the programs; they go when it is closed

// Whose tracepoints are missing from the BTF file, for a person; 0 = none, else -errno with why
// filled: -ENOENT no such file, -EINVAL not BTF, -ENOSYS a tracepoint is missing.
int latency_kernel_check(const char *btf, char *why, size_t size);
// netns: inode of the network namespace to look at. -errno with why filled; *ret then untouched.
int latency_kernel_open(const char *btf, uint32_t netns, struct latency_kernel **ret,
    struct latency_shared **memory, char *why, size_t size);
void latency_kernel_close(struct latency_kernel *k); // NULL allowed; its memory is gone
