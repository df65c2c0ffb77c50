// SPDX-License-Identifier: Apache-2.0
// Damping of alerts that swing, and dependencies between rules, as the notify thread sees them: rule
// files in, answers out, on a clock turned by hand. test_ledger.c goes through the orders of events.
#include "collector/flap.h"
#include "collector/mutes.h"
#include "tests/lib/oom.h"
#include "tests/lib/run.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char RULES[] =
    "groups:\n"
    "- {name: node, rules: [{alert: AgentDown, expr: x}, {alert: Twice, expr: x}, {alert: Twice, expr: y}]}\n"
    "- {name: web, rules: [{alert: Slow, expr: x}, {alert: Hot, expr: x}, {record: r, expr: x}]}\n";

struct stage {
    struct ruleset *set;
    struct policies *p;
    struct mutes *m;
    int64_t now_ms;
    uint64_t id;
};

static struct policies *read_policies(struct stage *s, const char *overrides)
{
    struct diags d;
    diags_init(&d);
    ruleset_free(s->set);
    s->set = ruleset_new();
    CU_ASSERT_EQUAL_FATAL(ruleset_add(s->set, "r", RULES, strlen(RULES), &d), 0);
    CU_ASSERT_EQUAL_FATAL(ruleset_override(s->set, "o", overrides, strlen(overrides), &d), 0);
    diags_done(&d);
    return policies_new(s->set);
}

static void open_stage(struct stage *s, const char *overrides)
{
    *s = (struct stage){.now_ms = 1700000000000};
    s->p = read_policies(s, overrides);
    s->m = mutes_new(NULL, 0);
    CU_ASSERT_EQUAL_FATAL(mutes_policies(s->m, s->p), 0);
}

static void close_stage(struct stage *s)
{
    mutes_free(s->m);
    policies_free(s->p);
    ruleset_free(s->set);
}

static const struct rule *rule_of(const struct stage *s, const char *name)
{
    for (size_t g = 0; g < s->set->n_groups; g++)
        for (size_t k = 0; k < s->set->groups[g].n_rules; k++)
            if (!strcmp(s->set->groups[g].rules[k].name, name))
                return &s->set->groups[g].rules[k];
    CU_FAIL_FATAL("no such rule");
    return NULL;
}

// An alert of the rule: NAME on an instance, and its notice.
struct one {
    struct label label[3];
    struct notice n;
};

static void alert(struct stage *s, struct one *a, const char *name, const char *instance)
{
    size_t n = 0;
    a->label[n++] = (struct label){"alertname", name};
    if (instance)
        a->label[n++] = (struct label){"instance", instance};
    a->n = (struct notice){.rule_identity = rule_of(s, name)->identity,
        .alert_id = ++s->id,
        .labels = {a->label, n},
        .fingerprint = instance ? (uint64_t)instance[0] : 1,
        .group = "",
        .file = "",
        .expr = ""};
}

static void change(struct stage *s, struct one *a, bool fires)
{
    a->n.id = ++s->id;
    a->n.decided_ms = s->now_ms;
    a->n.from = fires ? ALERT_PENDING : ALERT_FIRING;
    a->n.to = fires ? ALERT_FIRING : ALERT_INACTIVE;
    mutes_take(s->m, &a->n);
}

static unsigned muted(const struct stage *s, const struct one *a, uint32_t lane)
{
    static const struct time_limits always;
    return mutes_of(s->m, &a->n, lane, &always, s->now_ms);
}

// Whether what is said says that the alert flaps.
static bool says_so(struct stage *s, const struct one *a, uint32_t lane)
{
    struct notice *n = mutes_said(s->m, &a->n, lane, s->now_ms);
    bool marked = n && *labels_get(&n->annotations, FLAP_ANNOTATION);
    notice_free(n);
    return marked;
}

static bool begin_and_end(struct stage *s, struct one *a)
{
    change(s, a, true);
    bool marked = !muted(s, a, 1) && says_so(s, a, 1);
    s->now_ms += 1000;
    change(s, a, false);
    s->now_ms += 59000;
    return marked;
}

static const char SWINGS[] =
    "overrides: [{rule: web/Slow, set: {flap: {window: 10m, max: 4}}}]";

static void one_message_says_that_it_flaps(void)
{
    struct stage s;
    struct one a, b;
    open_stage(&s, SWINGS);
    alert(&s, &a, "Slow", "a");
    alert(&s, &b, "Slow", "b");
    for (int i = 0; i < 4; i++) {
        CU_ASSERT_FALSE(begin_and_end(&s, &a));
        CU_ASSERT_EQUAL(muted(&s, &a, 1), 0);
    }
    CU_ASSERT_TRUE(begin_and_end(&s, &a));
    CU_ASSERT_EQUAL(muted(&s, &a, 1), MUTE_FLAP); // its end
    CU_ASSERT_FALSE(begin_and_end(&s, &a));
    CU_ASSERT_EQUAL(muted(&s, &a, 1), MUTE_FLAP);
    CU_ASSERT_TRUE(mutes_quiet(s.m, &a.n, s.now_ms));
    CU_ASSERT_EQUAL(muted(&s, &a, 2), 0); // a lane that has not heard of it
    change(&s, &a, true);
    CU_ASSERT_TRUE(says_so(&s, &a, 2));
    CU_ASSERT_EQUAL(muted(&s, &a, 2), MUTE_FLAP);
    CU_ASSERT_FALSE(begin_and_end(&s, &b)); // another alert of the rule
    CU_ASSERT_EQUAL(muted(&s, &b, 1), 0);
    close_stage(&s);
}

// Begins at 0, 1, 2, 3, 4 minutes; of the last ten no more than two are left from 12 on.
static void it_is_over_when_half_as_many_are_left_of_the_window(void)
{
    struct stage s;
    struct one a;
    open_stage(&s, SWINGS);
    alert(&s, &a, "Slow", "a");
    int64_t start = s.now_ms;
    mutes_looked(s.m, s.now_ms, INT64_MAX);
    for (int i = 0; i < 5; i++)
        begin_and_end(&s, &a);
    CU_ASSERT_FALSE(mutes_moved(s.m, s.now_ms));
    CU_ASSERT_EQUAL(mutes_next(s.m) - start, 12 * 60000);
    s.now_ms = start + 12 * 60000 - 1;
    CU_ASSERT_EQUAL(muted(&s, &a, 1), MUTE_FLAP);
    CU_ASSERT_FALSE(mutes_moved(s.m, s.now_ms));
    s.now_ms++;
    CU_ASSERT_EQUAL(muted(&s, &a, 1), 0);
    CU_ASSERT_TRUE(mutes_moved(s.m, s.now_ms));
    mutes_looked(s.m, s.now_ms, INT64_MAX);
    CU_ASSERT_EQUAL(mutes_next(s.m), INT64_MAX);
    // Calm, and told as ever until it is one too many again.
    CU_ASSERT_FALSE(begin_and_end(&s, &a)); // at 12, with 3 and 4
    CU_ASSERT_FALSE(begin_and_end(&s, &a)); // 13: 4, 12, 13
    CU_ASSERT_FALSE(begin_and_end(&s, &a));
    CU_ASSERT_FALSE(begin_and_end(&s, &a));
    CU_ASSERT_TRUE(begin_and_end(&s, &a)); // 16: 12 to 16
    close_stage(&s);
}

// They are counted before any is asked for; what began before the one too many is told all the same.
static void a_pair_before_it_is_never_swallowed_in_one_drain(void)
{
    struct stage s;
    struct one a, drain[12];
    open_stage(&s, SWINGS);
    alert(&s, &a, "Slow", "a");
    for (int i = 0; i < 12; i++) {
        change(&s, &a, i % 2 == 0);
        drain[i] = a;
        drain[i].n.labels.l = drain[i].label;
    }
    for (int i = 0; i < 12; i++) {
        CU_ASSERT_EQUAL(muted(&s, &drain[i], 1), i < 9 ? 0 : MUTE_FLAP);
        if (i < 9)
            CU_ASSERT_EQUAL(says_so(&s, &drain[i], 1), i == 8);
    }
    CU_ASSERT_EQUAL(
        muted(&s, &drain[7], 1), 0); // an end from before, held back by something else
    close_stage(&s);
}

static void a_clock_that_is_set_holds_back_no_longer_than_the_window(void)
{
    struct stage s;
    struct one a;
    open_stage(&s, SWINGS);
    alert(&s, &a, "Slow", "a");
    for (int i = 0; i < 5; i++)
        begin_and_end(&s, &a);
    mutes_looked(s.m, s.now_ms, INT64_MAX);
    CU_ASSERT_EQUAL(muted(&s, &a, 1), MUTE_FLAP);
    s.now_ms -= 86400000;
    CU_ASSERT_TRUE(mutes_moved(s.m, s.now_ms));
    CU_ASSERT_EQUAL(muted(&s, &a, 1), 0);
    close_stage(&s);
}

static void a_reload_keeps_what_did_not_change(void)
{
    struct stage s;
    struct one a;
    open_stage(&s, SWINGS);
    alert(&s, &a, "Slow", "a");
    for (int i = 0; i < 5; i++)
        begin_and_end(&s, &a);
    struct policies *same = read_policies(&s,
        "overrides: [{rule: web/Slow, set: {expr: z, flap: {window: 10m, max: 4}}}, {rule: web/Hot, set: {flap: {window: 1m, max: 1}}}]");
    CU_ASSERT_EQUAL(mutes_policies(s.m, same), 0);
    CU_ASSERT_EQUAL(muted(&s, &a, 1), MUTE_FLAP);
    struct policies *none = read_policies(&s, "overrides: []");
    CU_ASSERT_EQUAL(mutes_policies(s.m, none), 0);
    CU_ASSERT_EQUAL(muted(&s, &a, 1), 0);
    policies_free(same);
    policies_free(none);
    close_stage(&s);
}

static void calm_alerts_are_forgotten(void)
{
    struct stage s;
    struct flaps *f = flaps_new();
    struct one a;
    open_stage(&s, SWINGS);
    for (int i = 0; i < 1000; i++) {
        alert(&s, &a, "Slow", "a");
        a.n.fingerprint = (uint64_t)i;
        a.n.to = ALERT_FIRING;
        a.n.decided_ms = s.now_ms;
        for (int k = 0; k < (i % 2 ? 5 : 1); k++)
            flaps_take(f, s.p, &a.n);
    }
    CU_ASSERT_EQUAL(flaps_next(f, s.now_ms), s.now_ms + 600000);
    CU_ASSERT_TRUE(flaps_damped(f, &a.n, s.now_ms));
    flaps_sweep(f, s.now_ms + 599999);
    CU_ASSERT_TRUE(flaps_damped(f, &a.n, s.now_ms));
    flaps_sweep(f, s.now_ms + 600000);
    CU_ASSERT_FALSE(flaps_damped(f, &a.n, s.now_ms));
    CU_ASSERT_EQUAL(flaps_next(f, s.now_ms), INT64_MAX);
    flaps_free(f);
    close_stage(&s);
}

static void an_alert_waits_for_the_one_it_depends_on(void)
{
    struct stage s;
    struct one down, down_b, slow, global;
    open_stage(&s, "overrides: [{rule: web/Slow, set: {depends_on: [node/AgentDown]}}]");
    alert(&s, &down, "AgentDown", "a");
    alert(&s, &down_b, "AgentDown", "b");
    alert(&s, &slow, "Slow", "a");
    alert(&s, &global, "Slow", NULL);
    change(&s, &slow, true);
    change(&s, &down_b, true);
    CU_ASSERT_EQUAL(muted(&s, &slow, 1), 0); // another instance
    change(&s, &down, true);
    CU_ASSERT_EQUAL(muted(&s, &slow, 1), MUTE_DEPENDENCY);
    CU_ASSERT_TRUE(mutes_quiet(s.m, &slow.n, s.now_ms));
    CU_ASSERT_EQUAL(muted(&s, &global, 1), 0); // of no instance
    CU_ASSERT_EQUAL(muted(&s, &down, 1), 0);
    CU_ASSERT_TRUE(mutes_moved(s.m, s.now_ms));
    mutes_looked(s.m, s.now_ms, INT64_MAX);
    change(&s, &down, false);
    CU_ASSERT_TRUE(mutes_moved(s.m, s.now_ms));
    CU_ASSERT_EQUAL(muted(&s, &slow, 1), 0);
    close_stage(&s);
}

static void equal_and_selectors_say_which(void)
{
    struct stage s;
    struct one down, twice, slow, hot;
    open_stage(&s,
        "overrides:\n"
        "- {rule: web/Slow, set: {depends_on: [{rule: AgentDown, equal: []}, node/Twice]}}\n"
        "- {rule: web/Hot, set: {depends_on: ['AgentDown{instance!~\"b|c\"}']}}\n");
    alert(&s, &slow, "Slow", "a");
    alert(&s, &hot, "Hot", "b");
    alert(&s, &down, "AgentDown", "b");
    change(&s, &down, true);
    CU_ASSERT_EQUAL(muted(&s, &slow, 1), MUTE_DEPENDENCY); // wherever it is
    CU_ASSERT_EQUAL(muted(&s, &hot, 1), 0);                // not what the selector means
    change(&s, &down, false);
    alert(&s, &down, "AgentDown", "a");
    alert(&s, &hot, "Hot", "a");
    change(&s, &down, true);
    CU_ASSERT_EQUAL(muted(&s, &hot, 1), MUTE_DEPENDENCY);
    change(&s, &down, false);
    alert(&s, &twice, "Twice", "a");
    twice.n.rule_identity = rule_of(&s, "Twice")[1].identity; // the second of that name
    change(&s, &twice, true);
    CU_ASSERT_EQUAL(muted(&s, &slow, 1), MUTE_DEPENDENCY);
    CU_ASSERT_EQUAL(muted(&s, &hot, 1), 0);
    close_stage(&s);
}

// A depends on B, B on C: what fires decides, not what was told.
static void a_chain_mutes_all_but_its_cause(void)
{
    struct stage s;
    struct one down, hot, slow;
    open_stage(&s, "overrides:\n"
                   "- {rule: web/Slow, set: {depends_on: [web/Hot]}}\n"
                   "- {rule: web/Hot, set: {depends_on: [node/AgentDown]}}\n");
    alert(&s, &down, "AgentDown", "a");
    alert(&s, &hot, "Hot", "a");
    alert(&s, &slow, "Slow", "a");
    change(&s, &slow, true);
    change(&s, &hot, true);
    change(&s, &down, true);
    CU_ASSERT_EQUAL(muted(&s, &slow, 1), MUTE_DEPENDENCY);
    CU_ASSERT_EQUAL(muted(&s, &hot, 1), MUTE_DEPENDENCY);
    CU_ASSERT_EQUAL(muted(&s, &down, 1), 0);
    change(&s, &hot, false); // its grandparent is no reason
    CU_ASSERT_EQUAL(muted(&s, &slow, 1), 0);
    close_stage(&s);
}

static void policies_outlive_their_rules_or_fail_whole(void)
{
    static const char TEXT[] =
        "overrides:\n"
        "- {rule: web/Slow, set: {depends_on: [AgentDown, Twice, 'Hot{a=~\"b.c\"}'], flap: {window: 1m, max: 2}}}\n"
        "- {rule: node/Twice, disable: true}\n";
    struct stage s = {0};
    struct policies *p = read_policies(&s, TEXT);
    for (int nth = 1;; nth++) {
        oom_fail_at(nth);
        struct policies *tried = policies_new(s.set);
        bool hit = oom_stop();
        CU_ASSERT_EQUAL(!tried, hit);
        policies_free(tried);
        if (!hit)
            break;
    }
    uint64_t slow = rule_of(&s, "Slow")->identity;
    ruleset_free(s.set);
    size_t n;
    const struct inhibit_rule *r = policies_dependencies(p, &n);
    CU_ASSERT_EQUAL_FATAL(n, 2); // those of rules that are disabled never fire
    CU_ASSERT(r[0].source_rule && r[0].target_rule == slow && !r[1].source_rule);
    CU_ASSERT_STRING_EQUAL(r[1].source.m[1].name, "a");
    CU_ASSERT_EQUAL(policies_flap(p, slow).max, 2);
    CU_ASSERT_EQUAL(policies_flap(p, slow + 1).max, 0);
    policies_free(p);
}

static void without_memory_it_is_told_as_ever(void)
{
    struct stage s;
    struct one a;
    open_stage(&s, "overrides: [{rule: web/Slow, set: {flap: {window: 1m, max: 1}}}]");
    alert(&s, &a, "Slow", "a");
    for (int nth = 1;; nth++) {
        struct flaps *f = flaps_new();
        oom_fail_at(nth);
        for (int i = 0; i < 3; i++) {
            a.n.id = (uint64_t)i + 1;
            a.n.to = ALERT_FIRING;
            a.n.decided_ms = s.now_ms;
            flaps_take(f, s.p, &a.n);
            if (!flaps_muted(f, &a.n, 1, s.now_ms))
                notice_free(flaps_said(f, &a.n, 1, s.now_ms));
        }
        bool hit = oom_stop();
        flaps_free(f);
        if (!hit)
            break;
    }
    close_stage(&s);
}

static const struct test TESTS[] = {
    {"one message says that an alert flaps, on each lane, then nothing",
        one_message_says_that_it_flaps},
    {"it is over when half as many begins are left of the window",
        it_is_over_when_half_as_many_are_left_of_the_window},
    {"a pair from before is never swallowed, not even in the same drain",
        a_pair_before_it_is_never_swallowed_in_one_drain},
    {"a clock that is set holds back no longer than the window",
        a_clock_that_is_set_holds_back_no_longer_than_the_window},
    {"a reload keeps what did not change", a_reload_keeps_what_did_not_change},
    {"calm alerts are forgotten", calm_alerts_are_forgotten},
    {"an alert waits for the one it depends on, of its instance",
        an_alert_waits_for_the_one_it_depends_on},
    {"equal and selectors say which alerts", equal_and_selectors_say_which},
    {"a chain mutes all but its cause", a_chain_mutes_all_but_its_cause},
    {"policies outlive their rules, or fail as a whole",
        policies_outlive_their_rules_or_fail_whole},
    {"without memory it is told as ever", without_memory_it_is_told_as_ever},
};

int main(void)
{
    return test_main("flap", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
