// SPDX-License-Identifier: Apache-2.0
/*
 * Which other network namespaces there are, and the samplers tcp.listen and tcp.established in each.
 *
 *     something forked, or 60 s --> LIST --> one we do not know --> OPEN --> two samplers, label netns
 *                                        --> one not listed for WATCH_GONE_NS --> they end
 *
 * Looked for only when a process was begun since the last look, at most each 3 s, and so seldom that
 * the program's walk over /proc stays under 0.2 % of a core. Without tocsin-agent-netns there is nothing
 * to ask, and nothing of this runs.
 *
 * Our sockets keep a namespace alive, so one that has no process any more is let go: its series end with
 * stale markers, a crash in it was told long before. A name that is in use already (two namespaces in one
 * container) gives way to the inode.
 *
 * Bounded: network_namespaces.max of agent.yaml, NETNS_MAX at most; those that are more are counted. One thing is
 * asked at a time and nothing is waited for. A part (parts.h), loop thread.
 */
#pragma once
#include "agent/parts.h"

#define WATCH_GONE_NS (10 * NS_PER_S)

extern const struct part_ops netns_part;

// What --doctor says of it; asks the program and waits for its answer, for a second at most. d NULL: none.
void netns_watch_doctor(
    const struct netns_door *d, const struct agent_config *c, struct buf *out);
