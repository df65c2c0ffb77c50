// SPDX-License-Identifier: Apache-2.0
/*
 * What a rule costs and how soon it tells, without a collector: its plan (plan.h), tried out on
 * made-up series that its selectors accept, and what passes at most between a condition's beginning
 * and the alert.
 *
 *     condition -> next sample -> next evaluation -> held for `for` -> alert
 *                  sampling       interval or gap
 *
 * Everything lives in the caller's arena. Pure.
 */
#pragma once
#include "rules/file.h"
#include "rules/plan.h"

struct explain_options {
    int64_t sampling_ms;    // how often samples come
    int64_t interval_ms;    // of groups that name none
    int64_t grace_ms;       // how long a tick waits for a late agent
    int64_t arrival_gap_ms; // between two evaluations on arrival
};
struct explain_line {
    int depth;
    const char *text, *kind;
    const char *anew; // why it is computed anew each time; NULL = it moves on
    int64_t reach_ms; // of a window
    double bytes;     // per element
    uint32_t parts;   // of the rule's expression that read it
};
struct explanation {
    struct explain_line *line; // root first
    size_t n;
    size_t selectors; // different ones
    double bytes;     // for a thousand series of each selector; < 0: no series could be made up
    bool moves;       // nothing is computed anew
    int64_t every_ms; // evaluation interval
    int64_t wait_ms;  // next sample, at most
    int64_t look_ms;  // and next evaluation, at most
    int64_t hold_ms;  // and `for`, on this clock
    int64_t offset_ms; // query_offset
    int64_t late_ms;   // more when an agent is late; 0 on arrival
};
int rule_explain(const struct rule_group *g, const struct rule *r,
    const struct explain_options *o, struct arena *a, struct explanation *ret); // 0, -ENOMEM
