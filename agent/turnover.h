// SPDX-License-Identifier: Apache-2.0
/*
 * Sampler "tcp.connections": every connection of this host counted by the kernel as it opens and
 * closes, in whatever network namespace; see bpf/connections.bpf.c for where from.
 *
 *     ports  tocsin_service_connections_opened_total, _closed_total{how}      [1]
 *            tocsin_service_connection_duration_seconds (histogram, of those that are over)
 *            tocsin_service_resets_received_total, _resets_sent_total
 *     dests  dependency.h
 *
 * [1] One writer for each series, and no event twice: of a service that tcp.established carries,
 * tcp.established writes both, and takes the kernel's numbers with turnover_take while there are any:
 * the larger of the two counts of the same events (carried.h). When the programs are taken out it goes
 * on with its own. Of ports that nobody carries - those of other network namespaces; all, where
 * tcp.established is not available - this sampler writes them. Bytes are always tcp.established's.
 *
 * Exact in all that was tried (tests/e2e/28-connections.mjs, 29-rps.mjs), but for kernels that keep
 * programs from seeing what happens while process 1 is the current one, as that of a hosted machine did:
 * with packets steered between CPUs some 60 of 40,000 connections there.
 *
 * tocsin_agent_events_lost_total{source="tcp.connections"} counts connections accepted at ports there
 * was no slot for, changes there was no memory to mark, and in the agent's own network namespace
 * connections that no program was told of (untold.h). Of a service that tcp.established carries the
 * counts are whole all the same; what lacks these are durations.
 *
 * A port of another network namespace has a series from its first connection on, with the label
 * netns (the namespace's inode); its service is named by the cgroup of the socket. A port without a
 * connection for TURNOVER_KEEP_NS gives its slot back, and earlier when there is none left.
 *
 * Needs CAP_BPF and CAP_PERFMON at the start. Loop thread.
 */
#pragma once
#include "agent/connection_slot.h"
#include "agent/connections.h"
#include "agent/sampler.h"

#define TURNOVER_KEEP_NS  86400000000000LL // as long as a service that is down
#define TURNOVER_SPARE_NS 60000000000LL    // when slots are short

extern const struct sampler_ops turnover_sampler;

struct turnover;
// What was opened and closed at a port since the sampler began; netns 0 = the agent's own. False: it
// does not know, or no longer. Who takes it writes it (see [1]).
bool turnover_take(struct turnover *t, uint32_t netns, uint16_t port, uint64_t *ret_opened,
    uint64_t ret_closed[static CLOSED_HOWS]);

// Connections accepted in the agent's own network namespace so far, by the program's count. 0: out.
uint64_t turnover_accepted(const struct turnover *t);
// And what the kernel's PassiveOpens is now, read after `before`, which is turnover_accepted.
void turnover_compare(struct turnover *t, uint64_t before, uint64_t passive);

// Where connections of this host go; NULL: not looked at, or no longer.
struct dependencies *turnover_dependencies(struct turnover *t);

// The memory, for tests of the caller's.
struct connection_memory {
    struct connection_head *head;
    struct connection_port *ports; // CONNECTION_PORTS
    struct connection_dest *dests; // n_dests + 1
    uint32_t n_dests, own_netns;
};
// The sampler's tick on such memory; freed by ops->close.
int turnover_attach(struct sampler *s, const struct connection_memory *memory);
// Buckets of the wire from those of the kernel, index and count holding CONNECTION_BUCKETS.
void connection_read(const __u64 buckets[static CONNECTION_BUCKETS], uint64_t sum_ns, int low,
    int32_t *index, uint64_t *count, struct wire_histogram *ret);
