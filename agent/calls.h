// SPDX-License-Identifier: Apache-2.0
/*
 * Request latency as a client sees it: of the connections this host's processes made, how long from a
 * request sent until the answer begins, by destination (dependency.h, whose rows and labels these are):
 *
 *     tocsin_dependency_request_duration_seconds   histogram
 *     tocsin_dependency_exchanges_total
 *
 * The mirror image of a service's exchanges, with the same limits; the way to the destination and back
 * is part of it. Only connections made since the agent runs; of a TLS connection's first request the
 * last byte of the answer counts, since session tickets come before the first.
 *
 * Owned by tcp.latency, loop thread. Reads what the kernel counts in `calls` (latency_shared.h).
 */
#pragma once
#include "agent/dependency.h"
#include "agent/latency_shared.h"

struct calls;
// Of n elements of memory (0: nothing is shown). NULL: memory. part NULL: memory of a test's.
struct calls *calls_new(struct latency_call *memory, uint32_t n, struct kernel_part *part);
void calls_free(struct calls *c, struct dependencies *d); // d NULL: gone already
// The bounds that rules name are followed in m.
void calls_tick(
    struct calls *c, struct dependencies *d, struct latency_shared *m, const struct env *env);
void calls_end(struct calls *c, struct output *o); // the series end
