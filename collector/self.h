// SPDX-License-Identifier: Apache-2.0
/*
 * The collector's counters about itself: the ingest thread's, the process's, whether reload and
 * inventory work. The same list is printed at /metrics (ui thread) and recorded as series of
 * job="tocsin" each second (shard thread), so that rules can watch the collector.
 *
 * The struct is filled by main before the threads start; what changes later is atomic.
 */
#pragma once
#include "base/buf.h"
#include "collector/ingest.h"
#include "collector/inventory.h"
#include "collector/journal.h"
#include <stdatomic.h>

struct self {
    _Atomic(const struct ingest_stats *) ingest; // NULL until it runs
    const struct inventory *inventory;
    const struct journal *journal;
    const char *version;
    atomic_bool reload_ok;
    _Atomic int64_t reloaded_ms;
};

void self_record(const struct self *s, struct pipeline *p, int64_t now_ms);
void self_metrics(const struct self *s, struct buf *out);
