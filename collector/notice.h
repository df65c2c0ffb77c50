// SPDX-License-Identifier: Apache-2.0
/*
 * One alert transition as it leaves the pipeline: a copy that owns all its text in one heap block,
 * so that it can cross to the notify thread and stand in the journal. Freed by whoever holds it last.
 */
#pragma once
#include "rules/alert.h"

// What a receiver knows of an episode. Stands in files.
enum told { TOLD_NOTHING, TOLD_FIRING, TOLD_OVER };

struct notice {
    uint64_t id;       // rising, unique per collector run
    uint64_t alert_id; // of the episode; unique over runs
    uint64_t rule_identity, element_hash, fingerprint;
    struct labels labels, annotations;
    const char *group, *file, *expr;
    int line;
    enum alert_state from, to; // to INACTIVE from FIRING = resolved
    double value;
    int64_t starts_at_ms;           // Alertmanager's startsAt: when it began firing
    int64_t ends_at_ms;             // 0 while firing
    int64_t active_at_ms, cause_ms; // first true; the sample's time
    int64_t silent_ms;              // see struct alert
    int64_t decided_ms;             // wall clock when the transition was made
};
struct notice *notice_new(
    const struct transition *t, uint64_t id, int64_t decided_ms); // NULL: no memory
struct notice *notice_copy(const struct notice *n);               // NULL: no memory
// The alert as it was after the transition. Borrows everything from n.
struct alert notice_alert(const struct notice *n);
