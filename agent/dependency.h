// SPDX-License-Identifier: Apache-2.0
/*
 * What this host depends on: where its processes connect to, one row for each destination.
 *
 *     tocsin_dependency_connect_duration_seconds   histogram: SYN sent until connected
 *     tocsin_dependency_connections_opened_total
 *     tocsin_dependency_connect_failures_total{error}
 *        refused, timeout, unreachable, reset; abandoned: the program closed the socket before an
 *        answer came; no_port: no free local port
 *
 * Label dest is "address:port", or the name of the service where one of this host listens there (with
 * its port as another label); netns where it is a loopback address of another network namespace.
 * What has the same labels is one row.
 *
 * The kernel gives a free slot to each destination it meets; the rest is dest="other". When all are
 * taken, once in DEPENDENCY_PERIOD_S the eighth with the fewest connects since the last time makes
 * room, its numbers move to a row of the same labels or to "other", so nothing that was counted is
 * lost; who connects often is the likelier to find the free slot. The agent's own connections do not
 * count; a connect that fails for want of a route never becomes a connection and is not seen.
 *
 * Owned by tcp.connections, loop thread.
 */
#pragma once
#include "agent/sampler.h"
#include "agent/turnover.h"

#define DEPENDENCIES_DEFAULT 50
#define DEPENDENCIES_MAX     256
#define DEPENDENCY_PERIOD_S  60
#define DEPENDENCY_DEST_MAX  160
#define DEPENDENCY_LABELS    4

struct dependencies;
struct kernel_part;
// Index 0 is "other", index n the kernel's slot n - 1. part NULL: memory of a test's. NULL: memory.
struct dependencies *dependencies_new(
    const struct connection_memory *m, struct kernel_part *part);
void dependencies_free(struct dependencies *d);
void dependencies_tick(struct dependencies *d, const struct env *env, int64_t now_ns);
void dependencies_end(struct dependencies *d, struct output *o); // of its series

// For who has more numbers of the same destinations: an array of the same indices. The row to which
// an index belongs (0 is "other"), the same for all of the same labels; -1 = nobody yet, not named.
int dependency_row(const struct dependencies *d, uint32_t index);
// Labels of a row for another series. They live as long as nothing else is called.
size_t dependency_labels(
    struct dependencies *d, int row, struct wire_label labels[static DEPENDENCY_LABELS]);
// That many exchanges more: a row that is busy over few connections keeps its slot.
void dependency_active(struct dependencies *d, uint32_t index, uint64_t n);
// Called when an index is given back: move what was counted there to the other one (after the call
// the row of `from` may be gone). One hook; NULL takes it away.
void dependency_on_move(
    struct dependencies *d, void (*fn)(void *ctx, uint32_t from, uint32_t to), void *ctx);
