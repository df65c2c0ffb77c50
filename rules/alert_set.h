// SPDX-License-Identifier: Apache-2.0
/*
 * The active alerts of one rule and the step that moves them: see the table in alert.h. An
 * evaluation is taken in as a whole or not at all: everything that needs memory happens before
 * the first change of state.
 *
 * Owned by the engine's rule; alerts that ended stay readable until alert_set_sweep.
 */
#pragma once
#include "rules/alert.h"

struct alert_slot {
    struct alert a;
    uint64_t value_bits;     // the annotations were expanded for this value
    uint64_t seen;           // epoch of the last evaluation that had it
    enum alert_state before; // at the start of this step
    int64_t step_ms;         // newest evaluation that had it
    bool silent;             // it had only the last word of a silent source, or not even that
    bool held;               // of an earlier run, and not evaluated since
    uint32_t misses;         // false evaluations while pending
};
struct slot_index {
    uint32_t *at; // slot + 1, 0 = free
    size_t mask, cap;
};
struct alert_set {
    struct alert_slot **slot; // sorted by labels, see unsorted
    size_t n, cap;
    struct alert_slot **ended; // since the last sweep
    size_t n_ended, cap_ended;
    struct slot_index by_fingerprint, by_element;
    uint64_t epoch;
    bool unsorted; // restored in another order: the next step sorts them, once for all
};

struct transition_list {
    struct transition *t;
    size_t n, cap;
};
struct alert_step {
    const struct rule_group *group;
    const struct rule *rule;
    int64_t t_ms;
    bool grid;            // may reset and resolve
    int64_t open_tick_ms; // grid tick not evaluated yet; INT64_MAX = none
    const char *external_url;
    const struct labels *external_labels;
    template_query_fn *query; // of templates; NULL = none
    void *query_ctx;
    // The last word of a silent source starts nothing when it is older than this: what is filled in
    // afterwards was true once, not now.
    int64_t fresh_ms;
    uint64_t *last_id; // of alerts; rises
    // Whether an alert of an earlier run goes on although nothing speaks for it; NULL = no.
    alert_holds_fn *holds;
    void *holds_ctx;
};
// Takes the elements of one evaluation in. 0; -EINVAL with err (two alerts with one label set: no
// change; over the limit: all alerts of the rule dropped, as in Prometheus); -ENOMEM: no change.
int alert_set_step(struct alert_set *s, const struct alert_step *step, const struct vector *v,
    struct arena *scratch, struct transition_list *out, struct err *err);
// An alert of an earlier run, copied, before the first step. 0, -EEXIST, -ENOMEM.
int alert_set_restore(struct alert_set *s, const struct alert *a);
// Ends every alert (its rule is gone).
int alert_set_drop(struct alert_set *s, const struct rule_group *g, const struct rule *r,
    int64_t t_ms, struct transition_list *out);
void alert_set_sweep(struct alert_set *s);
void alert_set_done(struct alert_set *s);
// Makes room for `more` transitions. 0, -ENOMEM.
int transition_list_reserve(struct transition_list *l, size_t more);
