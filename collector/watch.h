// SPDX-License-Identifier: Apache-2.0
/*
 * What the built-in rules look at (builtin.c), as series of job="tocsin", written each second:
 *
 *     tocsin_rule_failed{rule_group,rule}             1 while its last evaluation failed
 *     tocsin_receiver_queued{receiver}                alert changes that wait
 *     tocsin_receiver_failing_seconds{receiver}       since when nothing got through; 0 = it works
 *     tocsin_receiver_alerts_dropped_total{receiver}
 *     tocsin_repair_gave_up{instance,action,alert}    1 while the alert fires on
 *     tocsin_collector_queue_ratio{queue}             how full frames, notices and journal are: 1 = what comes
 *                                                     next is refused or lost
 *     tocsin_collector_notices_lost_total             transitions the notifier never heard of
 *     tocsin_receiver_dead_letters{receiver}          messages given up and kept, of all its routes
 *     tocsin_agent_lag_seconds{instance}              age of the newest sample of an agent that is up
 *
 * A series ends (stale marker) when its rule recovers, its alert is over, or its receiver or agent is
 * gone. Belongs to the shard thread.
 */
#pragma once
#include "collector/api.h"
#include "rules/recorded.h"

struct watch {
    struct recorded series;
};
void watch_record(struct watch *w, struct pipeline *p, const struct api_context *c,
    const char *instance, int64_t now_ms);
void watch_done(struct watch *w);
