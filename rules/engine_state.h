// SPDX-License-Identifier: Apache-2.0
/* What the parts of the engine share: engine.c, schedule.c, arrival.c, rule_run.c,
 * carry.c, engine_clock.c. */
#pragma once
#include "rules/alert_set.h"
#include "rules/arrival.h"
#include "rules/engine.h"
#include "rules/plan.h"
#include "rules/recorded.h"

#define NEVER INT64_MAX

// What is evaluated at the same instants moves forward together: the grid, arrivals, and each query
// offset on either.
struct engine_clock {
    struct plan *plan;
    bool arrival;
    int64_t offset_ms;
    size_t expressions;
    struct engine_clock *next;
};
struct reading { // an expression on a clock
    struct engine_clock *clock;
    struct plan_expr *x; // NULL: the rule is not evaluated on it
    uint64_t quiet;      // plan_version of a result that holds nothing; 0 = none
};

struct rule_state {
    // What a tick of a rule with nothing to do looks at comes first: rules are many.
    const struct rule *rule;
    struct reading on_grid;
    bool disabled, on_arrival_too, records, failed;
    bool urgent;      // an event: no gap
    int64_t dirty_ms; // newest sample not evaluated yet; INT64_MIN = clean
    int64_t retry_ms; // grid tick that failed for want of memory; INT64_MIN = none
    int64_t last_ms, last_ns, total_ns;
    uint64_t evaluations;
    struct alert_set alerts;
    struct recorded recorded;
    size_t elements;
    // evaluate: arrival
    struct reading on_arrival;
    int64_t drained_ms;            // when it was last drained, now of advance
    int64_t tried_ms;              // newest arrival or timer evaluation
    int64_t timer_ms;              // a pending alert may fire then; NEVER = none
    struct selections *selections; // of the batch evaluator; NULL = not in use
    char error[256];
};
struct group_state {
    const struct rule_group *group;
    int64_t interval_ms;
    int64_t next_ms; // next tick; INT64_MIN before the first advance
    int64_t last_tick_ms;
    uint64_t missed;
    struct rule_state *rules;
};
struct retired { // a ruleset that transitions may still point into
    struct ruleset *set;
    struct group_state *groups;
    size_t n_groups;
    struct retired *next;
};
// One thing to do at one instant of collector time.
struct work {
    int64_t t_ms;
    uint32_t group;
    enum { WORK_RETRY, WORK_TICK, WORK_ARRIVAL } kind;
    uint32_t rule;
};
struct engine {
    struct source src;
    struct engine_options o;
    struct eval *eval; // of the batch evaluator; its arena also holds what one rule_run makes
    struct engine_clock *clocks;
    struct ruleset *set;
    struct group_state *groups;
    size_t n_groups;
    struct retired *retired; // to be ended by the next advance
    struct retired *ended;   // ended by the last advance, freed by the next
    struct transition_list out;
    int64_t now_ms, watermark_ms;
    uint64_t last_alert_id;
    bool started;
    bool sweep;        // a rule has alerts that ended in the last advance
    bool retry;        // a rule has a tick to be tried again
    struct work *work; // of one advance
    size_t cap_work;
    struct audience audience; // of the arrival rules
    struct arrivals arrivals;
    size_t forgotten; // series, since the arrival rules selected
    struct fresh {
        uint32_t id;
        bool event;
        int64_t t_ms;
    } * fresh; // fed of series that are not offered yet
    size_t n_fresh, cap_fresh;
    bool fresh_lost; // no memory to remember one: everything is dirty
    int64_t fresh_lost_ms;
    // While a rule writes: its samples are fed too, as an event if it was drained by one.
    struct rule_state *writer;
    bool chained; // a rule was marked by what another wrote
};

// schedule.c
int64_t group_due_ms(const struct engine *e, const struct group_state *g, int64_t tick_ms);
int64_t arrival_due_ms(const struct engine *e, const struct rule_state *r);
int64_t timer_due_ms(
    const struct engine *e, const struct group_state *g, const struct rule_state *r);
void rule_set_timer(struct rule_state *r);
void mark_dirty(struct group_state *g, struct rule_state *r, int64_t t_ms, bool event);

// rule_run.c: one evaluation of one rule. 0 or -ENOMEM; everything else becomes the rule's health.
int rule_run(
    struct engine *e, struct group_state *g, struct rule_state *r, int64_t t_ms, bool grid);

// engine_clock.c
static inline bool engine_is_batch(const struct engine *e)
{
    return e->o.batch || !e->src.watch;
}
struct eval_options engine_eval_options(const struct engine *e); // engine.c
int rule_readings_open(struct engine *e, const struct group_state *g, struct rule_state *r);
void rule_readings_close(struct engine *e, struct rule_state *r);
void engine_sample(void *engine, uint32_t id, int64_t t_ms, double v); // a source_watch_fn

// carry.c
void group_states_free(struct engine *e, struct group_state *g, size_t n);
int retired_end(struct engine *e, int64_t t_ms);
void retired_free(struct engine *e, struct retired *r);
