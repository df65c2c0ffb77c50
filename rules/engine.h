// SPDX-License-Identifier: Apache-2.0
/*
 * The rule engine: feed, advance, read.
 *
 *     shard applies a frame -> source -> engine_feed(ids)      marks what depends on them dirty
 *     engine_next()         -> when the engine next wants to be called
 *     engine_advance(now)   -> evaluates what is due, writes recorded series, returns transitions
 *     engine_each_alert()   -> reads the state
 *
 * Groups tick at multiples of their interval T, all groups of one T on one snapshot, rules in
 * order, as soon as the watermark has passed T or at T + grace. Rules with `evaluate: arrival`
 * are also evaluated when a live sample they read arrives, at the newest complete frame time, at
 * most once per arrival_gap_ms after the first; an event drains at once.
 *
 * Expressions are kept up by the incremental evaluator (plan.h), one plan per clock: grid, arrival,
 * and each query offset. The engine is the source's watcher from engine_new to engine_free.
 *
 * Time only through arguments; belongs to one thread (the shard's); never blocks.
 */
#pragma once
#include "base/clock.h"
#include "rules/alert.h"
#include "rules/eval.h"
#include "rules/plan.h"

#define ENGINE_INTERVAL_MS    1000
#define ENGINE_GRACE_MS       250
#define ENGINE_ARRIVAL_GAP_MS 100

struct engine_options {
    int64_t interval_ms;                  // groups that name none; 0 = ENGINE_INTERVAL_MS
    int64_t grace_ms;                     // 0 = ENGINE_GRACE_MS
    int64_t arrival_gap_ms;               // 0 = ENGINE_ARRIVAL_GAP_MS
    size_t elements_max;                  // per rule; 0 = 100000
    size_t node_elements_max;             // of any part of an expression; 0 = 1000000
    int64_t subquery_step_ms;             // of `[1h:]`; 0 = EVAL_SUBQUERY_STEP_MS
    const char *external_url;             // borrowed; templates and generatorURL
    const struct labels *external_labels; // borrowed; templates; NULL = none
    alert_holds_fn *holds;                // NULL = alerts of an earlier run end like any other
    void *holds_ctx;
    const struct clock *clock; // only to measure cost; NULL = do not measure
    bool compat_2_42, parity;
    bool batch; // evaluate anew each time: the reference the plans are compared with
};
struct engine;
struct engine *engine_new(const struct source *src, const struct engine_options *o);
void engine_free(struct engine *e);
// Takes the set over. State of rules that did not change (same group, name, kind; labels; position among
// equals) is kept, alerts of rules that are gone are dropped with a transition to inactive at the
// next advance. 0, -ENOMEM (old rules stay, set still the caller's).
int engine_load(struct engine *e, struct ruleset *set);
// Longest range any rule reads, lookback included: how long the source must keep samples.
int64_t engine_reach_ms(const struct engine *e);

// A sample of a live frame was stored. event = from an event frame: drain without waiting for the gap.
void engine_feed(struct engine *e, uint32_t series, int64_t t_ms, bool event);
// Collector time up to which every live source has reported; see DECISIONS: groups need not wait for grace.
void engine_watermark(struct engine *e, int64_t t_ms);
// Monotone. INT64_MAX = nothing to do until fed. Same clock as now_ms of advance (collector wall ms).
int64_t engine_next(const struct engine *e);

struct transitions {
    const struct transition *t;
    size_t n;
};
// Evaluates everything due at now_ms. Result valid until the next call. 0; -ENOMEM: what could be
// done was done and the rest is tried again.
int engine_advance(struct engine *e, int64_t now_ms, struct transitions *ret);
// Instead of engine_advance, for unit tests of rules: every rule of every group once at t_ms, whatever
// the group's interval, in the order of the groups. Times must rise. 0, -ENOMEM.
int engine_tick(struct engine *e, int64_t t_ms, struct transitions *ret);

// An alert of an earlier run, before the first advance; copied. It goes on in the rule of this
// identity (file.h). 0; -ENOENT: there is none now; -EEXIST; -ENOMEM.
int engine_restore(struct engine *e, uint64_t rule_identity, const struct alert *a);
// Ids of alerts born from now on are above this.
void engine_alert_ids(struct engine *e, uint64_t last);

// All plans together; zeros with the batch evaluator.
void engine_plan_stats(const struct engine *e, struct plan_stats *ret);

struct rule_status {
    const struct rule_group *group;
    const struct rule *rule;
    const char *health;        // "unknown", "ok", "err"
    const char *error;         // "" when ok
    int64_t last_ms;           // evaluation time of the last run, 0 = never
    int64_t last_ns, total_ns; // cost
    uint64_t evaluations, missed;
    size_t elements, pending, firing; // elements: of the last result, what is false included
    enum alert_state state;           // worst of its alerts
};
// Stable order: file, group, rule; then labels. Return false from fn to stop.
void engine_each_rule(
    const struct engine *e, bool (*fn)(void *ctx, const struct rule_status *s), void *ctx);
void engine_each_alert(const struct engine *e,
    bool (*fn)(
        void *ctx, const struct rule_group *g, const struct rule *r, const struct alert *a),
    void *ctx);
