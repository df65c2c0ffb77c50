// SPDX-License-Identifier: Apache-2.0
/*
 * Connections accepted in the agent's network namespace that no program was told of: what the kernel's
 * own counter (PassiveOpens) grew by beyond what the program of tcp.connections has counted. Pure.
 *
 *     the program's count | PassiveOpens | the program's count     one look
 *                         +-- the same before and after, else it says nothing
 *
 * A connection is in PassiveOpens some microseconds before its program runs; so only what two looks
 * say is believed, and a first look that fell in between is corrected by a later one. What is told is
 * never taken back. Whatever the cause, nothing is missed in silence: a kernel passes programs over
 * that are interrupted by themselves, and some hosted ones while process 1 is the current one.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct untold {
    bool begun;
    uint64_t base;  // PassiveOpens less what was counted, when nothing was missed yet
    uint64_t again; // missing at the look before
    uint64_t n;     // connections, for good
};

void untold_look(
    struct untold *u, uint64_t counted_before, uint64_t passive, uint64_t counted_after);
