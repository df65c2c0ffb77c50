// SPDX-License-Identifier: Apache-2.0
/*
 * What the shard says of itself each second, for whoever tells the outside that alerting works
 * (heartbeats.h): that it turns, how late its evaluation is, and some counts.
 *
 *     shard thread --vitals_record--> atomics --vitals_read--> notify thread
 *
 * Each number is whole; two of one reading may be of different seconds. All zero: nothing was said yet.
 */
#pragma once
#include "collector/pipeline.h"
#include <stdatomic.h>

struct vitals {
    _Atomic int64_t seen_ms; // monotonic, of the last record
    _Atomic int64_t late_ms; // the evaluation that is due has been due for so long
    _Atomic int64_t
        evaluated_ms;         // wall clock, of the newest evaluation of any rule; 0 = none yet
    _Atomic uint64_t samples; // stored since the start
    _Atomic size_t rules, unhealthy, firing, pending;
    _Atomic size_t up, expected; // agents
};
struct vitals_view {
    int64_t seen_ms, late_ms, evaluated_ms;
    uint64_t samples;
    size_t rules, unhealthy, firing, pending, up, expected;
};
// Shard thread. now_ms is the wall clock.
void vitals_record(struct vitals *v, struct pipeline *p, int64_t now_ms, int64_t mono_ms);
void vitals_read(const struct vitals *v, struct vitals_view *ret); // any thread
