// SPDX-License-Identifier: Apache-2.0
/*
 * Sampler "tcp.established": connections by state, round-trip time, bytes, segments and closes of
 * each service, without touching it.
 *
 *     walk of the kernel's table, shortly before each tick --> live counts, growth of counters
 *     destroy multicast, drained 15 times a second -----> the rest of each closed connection
 *
 * The walk alone would miss every connection shorter than a second; the multicast alone would know
 * nothing of those that live. Together the counters are exact (connections.h has the rules).
 *
 * A walk costs about 1 us per socket and goes in slices between other work. It is begun so that it
 * ends when the tick comes. When it takes more than 1 % of a core the interval is stretched, and
 * interval_ms, which the core publishes, says so.
 *
 * A connection belongs to the service that listens on its local port. Needs tcp.listen, no privilege.
 */
#pragma once
#include "agent/sampler.h"

extern const struct sampler_ops established_sampler;

// For tests and --doctor: what the last whole walk saw and cost.
struct established_walk {
    uint64_t sockets;
    int64_t cpu_ns, longest_slice_ns;
    uint64_t walks, lost; // lost: multicasts the buffer had no room for, at least
};
struct established_walk established_last(const struct sampler *s);
