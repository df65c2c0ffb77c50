// SPDX-License-Identifier: Apache-2.0
/*
 * Our half of the tables in the memory of latency_shared.h: which port or name has which slot. The kernel
 * reads them while we write, so an entry's key is written last and taken away first.
 *
 * Loop thread. Errors: false when there is no place near a port's own, or all slots are taken.
 */
#pragma once
#include "agent/latency_shared.h"
#include <stdbool.h>
#include <stddef.h>

void latency_table_init(struct latency_shared *m);
// The place of the key, NULL = it has none.
struct latency_port *latency_port_find(struct latency_shared *m, __u64 key);
bool latency_port_add(struct latency_shared *m, __u64 key, __u8 slot, bool tls);
void latency_port_drop(struct latency_shared *m, __u64 key);
// key 0: the slot has no name any more.
void latency_name_set(struct latency_shared *m, __u8 slot, __u64 key);
// Ascending, in seconds; at most LATENCY_THRESHOLDS. True when they are others now: what was counted for
// those before means nothing.
bool latency_thresholds_set(
    __u64 to[static LATENCY_THRESHOLDS], const double *seconds, size_t n);
