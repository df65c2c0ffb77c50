// SPDX-License-Identifier: Apache-2.0
/*
 * The executor: a process of its own that runs the actions of agent.yaml, and is all of the agent that
 * can start anything. It is forked before the agent has opened a socket or a thread exists, and only
 * when there are `repairs`.
 *
 *     agent (network, samplers)                      executor (list, book, budget)
 *        reply's repairs --> seqpacket: expiry, Repair  -->  judged, written down, run
 *        frame's results <-- seqpacket: RepairResult    <--  one thread, one loop
 *
 * Why not from the agent itself: what reads the network should not be able to run anything but by
 * asking; the agent is one thread that must not wait for a file or a process; and the capabilities that
 * let it look into other processes must not reach an action. The executor gives them all up, so
 * actions run as the agent's user (or, where the agent is root, as `user` says) and with nothing else.
 *
 * Every request is judged here again from its bytes, whatever the agent thinks of it: the list, the
 * patterns, the budget and what was run before (repair_book.h, kept in STATE_DIR/repairs) hold even if
 * agent and collector are both in foreign hands.
 *
 * When the agent is gone it waits for what runs, at most its timeout, and ends.
 */
#pragma once
#include "agent/repair_list.h"
#include "base/err.h"

#define EXECUTOR_PACKET_MAX (16u << 10)
#define EXECUTOR_EXPIRY     8 // bytes before the Repair: CLOCK_MONOTONIC ns, little-endian

struct executor {
    int fd; // non-blocking, close-on-exec
    pid_t pid;
};
// Forks. In the executor it does not return. 0; -errno with err.
int executor_start(const struct repair_action *list, size_t n, const char *state_dir,
    struct executor *ret, struct err *err);
