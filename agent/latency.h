// SPDX-License-Identifier: Apache-2.0
/*
 * Sampler "tcp.latency": how long each service takes to begin its answer, without touching it:
 * tocsin_service_request_duration_seconds (histogram), tocsin_service_exchanges_total, and of TCP
 * tocsin_service_in_flight, the connections on which a request waits.
 *
 *     tick: which port or path is whose --> memory shared with the kernel --> counts of each service
 *           what rules compare with ------>
 *           which destination is whose ---> (calls.h) the same as clients see it
 *
 * An exchange is what came in until something goes out: a request of HTTP/1, Redis or PostgreSQL;
 * pipelined requests are one. TLS handshakes are none on ports known to speak it (config_tls.h). See
 * bpf/latency.bpf.c for the clock and latency_shared.h for what is told apart by size.
 *
 * A service is looked at from the tick after it was found. Its series appear with its first exchange
 * and end with it. What the programs cost is part of this sampler's CPU time; when that is too much
 * (kernel_cost.h) they are taken out of the kernel, the series end and the reason is told.
 *
 * Needs tcp.listen, CAP_BPF and CAP_PERFMON at the start, and Linux 6.3.
 */
#pragma once
#include "agent/latency_shared.h"
#include "agent/sampler.h"

extern const struct sampler_ops latency_sampler;

// Buckets of the wire from those of the kernel; index and count hold LATENCY_BUCKETS. Returns how
// many observations they hold.
uint64_t latency_read(
    const struct latency_slot *slot, int32_t *index, uint64_t *count, struct wire_histogram *h);
// The sampler's tick on memory of the caller's, for tests; freed by ops->close.
int latency_attach(struct sampler *s, struct latency_shared *memory);
