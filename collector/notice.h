// SPDX-License-Identifier: Apache-2.0
/*
 * One alert transition as it leaves the pipeline: a copy that owns all its text in one heap block, so
 * that it can cross to the notify thread. It never changes, so the threads that need it share it: the
 * journal, the ledger, every queue and what a receiver knows hold the same one.
 */
#pragma once
#include "rules/alert.h"
#include <stdbool.h>

// What a receiver knows of an episode. Stands in files.
enum told { TOLD_NOTHING, TOLD_FIRING, TOLD_OVER };

struct notice {
    bool shared;       // on the heap, counted; else whoever made it lends it
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
// A copy with one more annotation, or another value of it. NULL: no memory.
struct notice *notice_annotated(const struct notice *n, const char *name, const char *value);
// A reference of one's own: to the same notice, or to a copy of one that is only lent. NULL: no memory.
const struct notice *notice_keep(const struct notice *n);
// Gives up a reference; frees with the last. Any thread. NULL allowed.
void notice_free(const struct notice *n);
// The alert as it was after the transition. Borrows everything from n.
struct alert notice_alert(const struct notice *n);
