// SPDX-License-Identifier: Apache-2.0
/*
 * The rungs by which this agent sees the host's connections, and the sources beside them, as
 * --doctor prints them: what runs, what does not and why, and what would grant it.
 *
 *     A    listeners and their queues            no privilege
 *     B    established connections, walked       no privilege
 *     C    every closed connection               no privilege
 *     D    in the kernel: request latency, ...   CAP_BPF and CAP_PERFMON at the start
 *
 * A rung that is missing takes none of the others with it. The order is that of the rungs, then
 * that of samplers.c, so that the outputs of two hosts can be compared.
 *
 * A fix is a command or unit line that can be pasted. setcap replaces the capabilities of a file,
 * so each command names those the agent has already, too; where more than one row lacks some, the last
 * lines grant them all.
 */
#pragma once
#include "agent/schedule.h"
#include "base/buf.h"

// held: the capabilities of this process; exe: its file, as setcap wants it; root: it is user 0,
// which has what it may have already.
struct ladder_who {
    uint64_t held;
    const char *exe;
    bool root;
};
void ladder_self(struct ladder_who *ret, char exe[static 512]); // of this process
// Returns the number of samplers that are not available.
int ladder_print(const struct schedule *s, const struct ladder_who *who, struct buf *out);
