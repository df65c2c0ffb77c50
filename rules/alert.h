// SPDX-License-Identifier: Apache-2.0
/*
 * The alert state machine of one rule: its elements by label set, each inactive, pending or firing.
 *
 *                    on arrival      on the grid
 *     -> pending        yes             yes
 *     -> firing         yes             yes      (held for `for`, true at each grid tick since)
 *     reset, resolve    no              yes
 *
 * so an alert is never later than Prometheus on the same grid and never resets more often.
 * keep_firing_for starts at the first false evaluation. A failed evaluation changes nothing.
 * With `clear` an evaluation is false for a firing alert only when its value has passed the second
 * threshold; `for_tolerance` false evaluations do not reset a pending one.
 * The last word of a silent source starts nothing once it is old: what an agent kept and sends later
 * was true then. A NO_DATA element neither starts nor ends an alert (stale = true while it lasts) unless the rule's
 * `no_data` says that it does, and the time a
 * pending one passes in silence does not count towards `for`.
 */
#pragma once
#include "rules/element.h"
#include "rules/file.h"

enum alert_state { ALERT_INACTIVE, ALERT_PENDING, ALERT_FIRING };

// Asked of an alert that an earlier run of the program left, when its expression says nothing now:
// true while those who could speak for it have not been heard yet. labels are the alert's.
typedef bool alert_holds_fn(void *ctx, const struct labels *labels);

struct alert {
    uint64_t id;                // of this episode; rises, also over restarts
    struct labels *labels;      // with alertname; heap
    struct labels *annotations; // as of the last true evaluation; heap
    uint64_t fingerprint;
    uint64_t element_hash; // labels of the element it came from, without the name
    enum alert_state state;
    bool stale; // its source is silent
    double value;
    int64_t active_at_ms;                // first true evaluation of this episode
    int64_t silent_ms;                   // pending since then, but its source silent
    int64_t fired_at_ms, resolved_at_ms; // 0 = not
    int64_t keep_since_ms;               // first false evaluation while kept firing; 0 = holds
    int64_t cause_ms;                    // sample time that made the latest change true
};

// What leaves the engine. All pointers live until the next engine_advance or engine_load.
struct transition {
    const struct rule_group *group;
    const struct rule *rule;
    const struct alert *alert;
    enum alert_state from, to;
    int64_t at_ms; // evaluation time
};
const char *alert_state_name(enum alert_state s);
