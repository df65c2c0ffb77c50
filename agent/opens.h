// SPDX-License-Identifier: Apache-2.0
/*
 * How many TCP connections a network namespace has opened since it began, by the kernel's own count:
 * the lines "Tcp:" of /proc/net/snmp.
 *
 * It is what else than the connections themselves says that something happened: whether a walk is
 * needed (few.h), how fast connections come (closes_limit.h) and how many of them were seen
 * (coverage.h). Read once a round, 12 us.
 *
 * Owned by tcp.established, loop thread.
 */
#pragma once
#include "agent/procfile.h"

struct opens {
    struct procfile snmp;
    bool known;               // the last reading told
    uint64_t passive, active; // accepted here, begun here
};

// fd: the file, ours from now on, or -1: that of the agent's own namespace, below proc. Without the file
// nothing is ever known.
void opens_open(struct opens *o, int fd, const char *proc);
void opens_done(struct opens *o);
void opens_read(struct opens *o);
// Pure. Both numbers in the text of /proc/net/snmp; false when one is not there.
bool opens_parse(const char *snmp, uint64_t *passive, uint64_t *active);
