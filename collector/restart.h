// SPDX-License-Identifier: Apache-2.0
/*
 * What an earlier run left: its alerts go on in their rules, and those whose rule is gone are over,
 * which is a change like any other: journalled, and told to whoever knew that they fired.
 *
 * Main thread, before the shard and the notifier run.
 */
#pragma once
#include "collector/journal.h"
#include "collector/pipeline.h"

struct restart {
    size_t taken;         // alerts that go on
    struct notice **over; // those that do not; each is the ring's once pushed
    size_t n_over, cap_over;
};
// Out of memory loses alerts that are gone from the rules; they are found again at the next start.
void restart_alerts(struct restart *r, struct journal *j, struct pipeline *p, int64_t now_ms);
// Hands those that are over to the notifier, and frees.
void restart_done(struct restart *r, struct ring *notices);
