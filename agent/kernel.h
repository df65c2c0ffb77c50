// SPDX-License-Identifier: Apache-2.0
/*
 * Tier D: the agent's programs in the kernel (bpf/NAME.bpf.c), put there once, and their memory.
 *
 *     child: for each file: does the kernel's BTF name its tracepoints? -> load, attach --+ descriptors
 *     agent: give up CAP_BPF and CAP_PERFMON <--------------------------------------------+
 *            map what is used of their memory; a sampler owns the file it opened
 *
 * Reading the kernel's types takes 20 MB for a moment, of which an allocator keeps some: so a child
 * does it, once for all files, and is gone when kernel_open returns (some 50 ms).
 *
 * Each file is there or not on its own, with its own reason; what can be done is asked of the
 * kernel's own description of itself, never of its version. A file may share maps with one that was
 * loaded before it (kernel_load.c), and then is not there without it.
 *
 * After opening, all is plain reading and writing of memory: no system call, no privilege. Only the
 * pages that were asked for with kernel_part_need count as memory of ours.
 *
 * A build without clang or libbpf (make BPF=no) has every file missing for that reason.
 */
#pragma once
#include "agent/kernel_cost.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct env;
enum kernel_file { KERNEL_CONNECTIONS, KERNEL_LATENCY, KERNEL_FILES };
#define KERNEL_MAPS_MAX  4
#define KERNEL_LINKS_MAX 8

// What the programs are told when they are loaded.
struct kernel_options {
    uint32_t netns;        // inode of the agent's network namespace
    uint32_t pid;          // the agent's: its own connections are not looked at
    uint32_t dependencies; // how many are told apart; 0 = no outgoing connections are looked at
    uint64_t seed;         // of hashes
};

struct kernel;
struct kernel_part; // one file

// Loads all. NULL: memory. Gives up the capabilities in any case.
struct kernel *kernel_open(const struct env *env);
const struct kernel_options *kernel_options(const struct kernel *k);
void kernel_close(struct kernel *k); // NULL allowed; not the parts that were taken

// The file, for the caller to close; its programs run until then. -errno with why filled.
int kernel_part_open(
    struct kernel *k, enum kernel_file f, struct kernel_part **ret, char *why, size_t size);
void kernel_part_close(struct kernel_part *p); // NULL allowed; its memory is gone
// Memory of its nth map that user space reads (kernel_load.c lists them) and how long that is; NULL:
// there is none. Addresses only: touch what was needed.
void *kernel_part_memory(const struct kernel_part *p, size_t nth, size_t *ret_bytes);
// The map itself, the part's still: of a ring. -1: there is none.
int kernel_part_fd(const struct kernel_part *p, size_t nth);
// From now on these bytes of such memory may be read and written. -errno. p NULL: memory of a test's.
int kernel_part_need(struct kernel_part *p, const void *at, size_t bytes);

// Which of a file's tracepoints is missing from a BTF file, for a person; 0 = none, else -errno with
// why filled: -ENOENT no such file, -EINVAL not BTF, -ENOSYS a tracepoint is missing.
int kernel_check(const char *btf, enum kernel_file f, char *why, size_t size);

// --- for the loader ------------------------------------------------------------------------------

// Of the child's answer, one message for each file: links, then maps.
struct kernel_loaded {
    int rc;
    uint32_t links, maps;
    uint64_t bytes[KERNEL_MAPS_MAX];
    char why[160];
    int fds[KERNEL_LINKS_MAX + KERNEL_MAPS_MAX]; // not in the message
};
// Loads and attaches every file in this process, which is to end afterwards.
void kernel_load(const char *btf, const struct kernel_options *o,
    struct kernel_loaded answers[static KERNEL_FILES]);
