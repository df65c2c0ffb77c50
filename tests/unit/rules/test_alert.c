// SPDX-License-Identifier: Apache-2.0
// The alert state machine on a one-second grid: pending, firing, kept, resolved, frozen, silent;
// and the ALERTS series it leaves.
#include "rules/engine.h"
#include "tests/unit/rules/scene.h"

#define T0 1000000000000LL // a multiple of a second

struct stage {
    struct scene s;
    struct engine *e;
    struct transitions ts;
    struct buf text;
};

static struct ruleset *ruleset_of(const char *group_keys, const char *rule)
{
    struct diags d;
    char yaml[2000];
    diags_init(&d);
    struct ruleset *set = ruleset_new();
    CU_ASSERT_FATAL(set != NULL);
    snprintf(yaml, sizeof(yaml), "groups:\n- name: g\n%s  rules:\n  - alert: A\n%s", group_keys,
        rule);
    CU_ASSERT_EQUAL_FATAL(ruleset_add(set, "t.yml", yaml, strlen(yaml), &d), 0);
    CU_ASSERT_EQUAL_FATAL(d.errors, 0);
    diags_done(&d);
    return set;
}

static void open_stage(struct stage *g, const char *group_keys, const char *rule)
{
    memset(g, 0, sizeof(*g));
    scene_open(&g->s);
    buf_init(&g->text, 65536);
    g->e = engine_new(&g->s.src, NULL);
    CU_ASSERT_FATAL(g->e != NULL);
    CU_ASSERT_EQUAL_FATAL(engine_load(g->e, ruleset_of(group_keys, rule)), 0);
}

static void close_stage(struct stage *g)
{
    engine_free(g->e);
    buf_done(&g->text);
    scene_close(&g->s);
}

// x{i="..."} at second s.
static void put(struct stage *g, const char *i, int s, double v)
{
    char selector[64];
    snprintf(selector, sizeof(selector), "x{i=\"%s\"}", i);
    scene_put(&g->s, selector, T0 + s * 1000LL, v);
}

// Runs the tick of second s: "i from>to" of every transition.
static const char *tick(struct stage *g, int s)
{
    int64_t now = T0 + s * 1000LL;
    engine_watermark(g->e, now);
    CU_ASSERT_EQUAL(engine_advance(g->e, now, &g->ts), 0);
    buf_reset(&g->text);
    for (size_t i = 0; i < g->ts.n; i++) {
        const struct transition *t = &g->ts.t[i];
        CU_ASSERT_EQUAL(t->at_ms, now);
        CU_ASSERT_EQUAL(t->alert->state, t->to);
        buf_addf(&g->text, "%s%s %s>%s", i ? "; " : "", labels_get(t->alert->labels, "i"),
            alert_state_name(t->from), alert_state_name(t->to));
    }
    return buf_cstr(&g->text);
}

static bool print_alert(
    void *ctx, const struct rule_group *g, const struct rule *r, const struct alert *a)
{
    struct buf *out = ctx;
    (void)g;
    (void)r;
    buf_addf(out, "%s%s %s %g%s", out->len ? "; " : "", labels_get(a->labels, "i"),
        alert_state_name(a->state), a->value, a->stale ? " stale" : "");
    return true;
}

// "i state value [stale]" of every active alert.
static const char *alerts(struct stage *g)
{
    buf_reset(&g->text);
    engine_each_alert(g->e, print_alert, &g->text);
    return buf_cstr(&g->text);
}

static bool first_alert(
    void *ctx, const struct rule_group *g, const struct rule *r, const struct alert *a)
{
    (void)g;
    (void)r;
    *(struct alert *)ctx = *a;
    return false;
}

static struct alert only(struct stage *g)
{
    struct alert a = {0};
    engine_each_alert(g->e, first_alert, &a);
    return a;
}

static bool first_rule(void *ctx, const struct rule_status *s)
{
    *(struct rule_status *)ctx = *s;
    return false;
}

static struct rule_status status(struct stage *g)
{
    struct rule_status s = {0};
    engine_each_rule(g->e, first_rule, &s);
    return s;
}

// What an expression gives at second s, over the series the engine wrote.
static const char *query(struct stage *g, int s, const char *expr)
{
    g->s.t_ms = T0 + s * 1000LL;
    return scene_eval(&g->s, expr);
}

#define same(got, want)                                                                        \
    do {                                                                                       \
        const char *got_ = (got);                                                              \
        if (strcmp(got_, want) != 0)                                                           \
            printf("%s:%d: \"%s\", not \"%s\"\n", __FILE__, __LINE__, got_, want);             \
        CU_ASSERT_STRING_EQUAL(got_, want);                                                    \
    } while (0)

#define RULE     "    expr: x > 5\n"
#define FOR_2    RULE "    for: 2s\n"
#define FOR_KEEP FOR_2 "    keep_firing_for: 3s\n"

static void pending_firing_resolved(void)
{
    struct stage g;
    open_stage(&g, "", FOR_2);
    put(&g, "1", 0, 9);
    same(tick(&g, 0), "1 inactive>pending");
    CU_ASSERT_EQUAL(only(&g).active_at_ms, T0);
    CU_ASSERT_EQUAL(only(&g).cause_ms, T0);
    put(&g, "2", 1, 8);
    same(tick(&g, 1), "2 inactive>pending");
    same(alerts(&g), "1 pending 9; 2 pending 8");
    put(&g, "1", 2, 7);
    same(tick(&g, 2), "1 pending>firing");
    CU_ASSERT_EQUAL(only(&g).fired_at_ms, T0 + 2000);
    CU_ASSERT_EQUAL(only(&g).active_at_ms, T0);
    put(&g, "2", 3, 1);
    same(tick(&g, 3), "2 pending>inactive");
    put(&g, "1", 4, 5);
    same(tick(&g, 4), "1 firing>inactive");
    CU_ASSERT_EQUAL(g.ts.t[0].alert->resolved_at_ms, T0 + 4000);
    CU_ASSERT_EQUAL(g.ts.t[0].alert->fired_at_ms, T0 + 2000);
    same(alerts(&g), "");
    // A new episode starts from the beginning.
    put(&g, "1", 5, 9);
    same(tick(&g, 5), "1 inactive>pending");
    CU_ASSERT_EQUAL(only(&g).active_at_ms, T0 + 5000);
    CU_ASSERT_EQUAL(only(&g).fired_at_ms, 0);
    close_stage(&g);
}

static void without_for(void)
{
    struct stage g;
    open_stage(&g, "", RULE);
    put(&g, "1", 0, 9);
    same(tick(&g, 0), "1 inactive>firing");
    put(&g, "1", 1, 10);
    same(tick(&g, 1), "");
    same(alerts(&g), "1 firing 10");
    close_stage(&g);
}

static void a_gap_resets(void)
{
    struct stage g;
    open_stage(&g, "", FOR_2);
    put(&g, "1", 0, 9);
    tick(&g, 0);
    put(&g, "1", 1, 1);
    same(tick(&g, 1), "1 pending>inactive");
    put(&g, "1", 2, 9);
    same(tick(&g, 2), "1 inactive>pending");
    same(tick(&g, 3), "");
    same(tick(&g, 4), "1 pending>firing");
    close_stage(&g);
}

static void keeps_firing(void)
{
    struct stage g;
    open_stage(&g, "", FOR_KEEP);
    put(&g, "1", 0, 9);
    tick(&g, 0);
    tick(&g, 1);
    same(tick(&g, 2), "1 pending>firing");
    put(&g, "1", 3, 1);
    same(tick(&g, 3), "");
    CU_ASSERT_EQUAL(only(&g).keep_since_ms, T0 + 3000);
    same(alerts(&g), "1 firing 9"); // value as last evaluated
    same(tick(&g, 5), "");
    same(tick(&g, 6), "1 firing>inactive");
    close_stage(&g);
}

static void keep_starts_over(void)
{
    struct stage g;
    open_stage(&g, "", FOR_KEEP);
    put(&g, "1", 0, 9);
    tick(&g, 0);
    tick(&g, 2);
    put(&g, "1", 3, 1);
    same(tick(&g, 3), "");
    put(&g, "1", 5, 9);
    same(tick(&g, 5), "");
    CU_ASSERT_EQUAL(only(&g).keep_since_ms, 0);
    CU_ASSERT_EQUAL(only(&g).active_at_ms, T0);
    put(&g, "1", 6, 1);
    same(tick(&g, 6), "");
    same(tick(&g, 8), "");
    same(tick(&g, 9), "1 firing>inactive");
    close_stage(&g);
}

static void pending_is_not_kept(void)
{
    struct stage g;
    open_stage(&g, "", FOR_KEEP);
    put(&g, "1", 0, 9);
    tick(&g, 0);
    put(&g, "1", 1, 1);
    same(tick(&g, 1), "1 pending>inactive");
    close_stage(&g);
}

// Two series on the one side of a join: the evaluation fails and nothing moves.
static void failure_freezes(void)
{
    struct stage g;
    open_stage(&g, "", "    expr: x > 5 and on(i) x / on(i) y > 0\n    for: 2s\n");
    put(&g, "1", 0, 9);
    scene_put(&g.s, "y{i=\"1\"}", T0, 1);
    same(tick(&g, 0), "1 inactive>pending");
    scene_put(&g.s, "y{i=\"1\",dup=\"1\"}", T0 + 500, 1);
    same(tick(&g, 1), "");
    CU_ASSERT_STRING_EQUAL(status(&g).health, "err");
    CU_ASSERT_PTR_NOT_NULL(strstr(status(&g).error, "found duplicate series"));
    same(tick(&g, 2), "");
    put(&g, "1", 3, 1);
    same(tick(&g, 3), "");
    same(alerts(&g), "1 pending 9");
    // No marker was written while it failed, and no sample.
    same(query(&g, 3, "timestamp(ALERTS) - 1e9"),
        "{alertname=\"A\", alertstate=\"pending\", i=\"1\"} 0");
    scene_put(&g.s, "y{i=\"1\",dup=\"1\"}", T0 + 3500, double_from_bits(NAN_STALE_BITS));
    same(tick(&g, 4), "1 pending>inactive");
    CU_ASSERT_STRING_EQUAL(status(&g).health, "ok");
    CU_ASSERT_STRING_EQUAL(status(&g).error, "");
    close_stage(&g);
}

static void over_the_limit(void)
{
    struct stage g;
    open_stage(&g, "  limit: 2\n", RULE);
    put(&g, "1", 0, 9);
    put(&g, "2", 0, 9);
    same(tick(&g, 0), "1 inactive>firing; 2 inactive>firing");
    put(&g, "3", 1, 9);
    same(tick(&g, 1), "1 firing>inactive; 2 firing>inactive");
    CU_ASSERT_PTR_NOT_NULL(strstr(status(&g).error, "exceeded limit of 2 with 3 alerts"));
    same(alerts(&g), "");
    put(&g, "3", 2, 1);
    same(tick(&g, 2), "1 inactive>firing; 2 inactive>firing");
    CU_ASSERT_STRING_EQUAL(status(&g).health, "ok");
    close_stage(&g);
}

static void duplicates_after_templates(void)
{
    struct stage g;
    open_stage(&g, "", "    expr: x > 5\n    labels: {i: '{{ $labels.i | toUpper }}'}\n");
    put(&g, "a", 0, 9);
    same(tick(&g, 0), "A inactive>firing");
    put(&g, "A", 1, 9);
    put(&g, "b", 1, 9);
    same(tick(&g, 1), "");
    CU_ASSERT_PTR_NOT_NULL(
        strstr(status(&g).error, "same labelset after applying alert labels"));
    same(alerts(&g), "A firing 9"); // and b was not born either
    put(&g, "A", 2, 1);
    same(tick(&g, 2), "B inactive>firing");
    close_stage(&g);
}

static void value_in_a_label(void)
{
    struct stage g;
    open_stage(&g, "", FOR_2 "    labels: {i: 'v{{ $value }}'}\n");
    put(&g, "1", 0, 9);
    same(tick(&g, 0), "v9 inactive>pending");
    put(&g, "1", 1, 8);
    tick(&g, 1);
    same(alerts(&g), "v8 pending 8"); // another identity each time
    close_stage(&g);
}

static void annotations_follow_the_value(void)
{
    struct stage g;
    open_stage(&g, "", RULE "    keep_firing_for: 5s\n    annotations: {t: '{{ $value }}'}\n");
    put(&g, "1", 0, 9);
    tick(&g, 0);
    CU_ASSERT_STRING_EQUAL(labels_get(only(&g).annotations, "t"), "9");
    put(&g, "1", 1, 8);
    tick(&g, 1);
    CU_ASSERT_STRING_EQUAL(labels_get(only(&g).annotations, "t"), "8");
    put(&g, "1", 2, 1);
    tick(&g, 2);
    CU_ASSERT_STRING_EQUAL(labels_get(only(&g).annotations, "t"), "8");
    close_stage(&g);
}

static void silence_starts_nothing(void)
{
    struct stage g;
    open_stage(&g, "", RULE);
    put(&g, "1", -400, 9);
    scene_silence(&g.s, "x{i=\"1\"}");
    same(tick(&g, 0), "");
    same(alerts(&g), "");
    CU_ASSERT_EQUAL(status(&g).elements, 1);
    close_stage(&g);
}

static void silence_ends_nothing(void)
{
    struct stage g;
    open_stage(&g, "", RULE);
    put(&g, "1", 0, 9);
    same(tick(&g, 0), "1 inactive>firing");
    scene_silence(&g.s, "x{i=\"1\"}");
    same(tick(&g, 299), "");
    same(alerts(&g), "1 firing 9 stale"); // the lookback still shows its value
    same(tick(&g, 301), "");
    same(alerts(&g), "1 firing 9 stale");
    same(tick(&g, 5000), "");
    same(alerts(&g), "1 firing 9 stale");
    same(
        query(&g, 5000, "ALERTS"), "ALERTS{alertname=\"A\", alertstate=\"firing\", i=\"1\"} 1");
    // It is heard again, and still too high.
    put(&g, "1", 5001, 10);
    memory_source_silence(g.s.m, scene_series(&g.s, "x{i=\"1\"}"), false);
    same(tick(&g, 5001), "");
    same(alerts(&g), "1 firing 10");
    CU_ASSERT_EQUAL(only(&g).active_at_ms, T0);
    close_stage(&g);
}

static void silent_pending_never_fires(void)
{
    struct stage g;
    open_stage(&g, "", RULE "    for: 6m\n");
    put(&g, "1", 0, 9);
    same(tick(&g, 0), "1 inactive>pending");
    scene_silence(&g.s, "x{i=\"1\"}");
    same(tick(&g, 301), "");
    same(tick(&g, 400), "");
    same(alerts(&g), "1 pending 9 stale");
    close_stage(&g);
}

// 30 s pending, 170 s of silence within the lookback, and 30 s more: only the 60 s count.
static void silence_does_not_count(void)
{
    struct stage g;
    open_stage(&g, "", RULE "    for: 1m\n");
    put(&g, "1", 0, 9);
    same(tick(&g, 0), "1 inactive>pending");
    for (int s = 1; s <= 30; s++)
        same(tick(&g, s), "");
    scene_silence(&g.s, "x{i=\"1\"}");
    for (int s = 31; s < 200; s++)
        same(tick(&g, s), "");
    same(alerts(&g), "1 pending 9 stale");
    put(&g, "1", 200, 9);
    memory_source_silence(g.s.m, scene_series(&g.s, "x{i=\"1\"}"), false);
    for (int s = 200; s < 229; s++)
        same(tick(&g, s), "");
    same(tick(&g, 229), "1 pending>firing");
    CU_ASSERT_EQUAL(only(&g).active_at_ms, T0);
    CU_ASSERT_EQUAL(only(&g).silent_ms, 169000);
    close_stage(&g);
}

// The same where the lookback ran out meanwhile: the return alone does not fire it.
static void unknown_does_not_count(void)
{
    struct stage g;
    open_stage(&g, "", RULE "    for: 1m\n");
    put(&g, "1", 0, 9);
    same(tick(&g, 0), "1 inactive>pending");
    scene_silence(&g.s, "x{i=\"1\"}");
    for (int s = 1; s < 400; s++)
        same(tick(&g, s), "");
    same(alerts(&g), "1 pending 9 stale");
    put(&g, "1", 400, 9);
    memory_source_silence(g.s.m, scene_series(&g.s, "x{i=\"1\"}"), false);
    for (int s = 400; s < 459; s++)
        same(tick(&g, s), "");
    same(tick(&g, 459), "1 pending>firing");
    close_stage(&g);
}

static void announced_end_resolves(void)
{
    struct stage g;
    open_stage(&g, "", RULE);
    put(&g, "1", 0, 9);
    tick(&g, 0);
    scene_silence(&g.s, "x{i=\"1\"}");
    put(&g, "1", 1, double_from_bits(NAN_STALE_BITS));
    same(tick(&g, 1), "1 firing>inactive");
    close_stage(&g);
}

static void kept_then_silent(void)
{
    struct stage g;
    open_stage(&g, "", RULE "    keep_firing_for: 10m\n");
    put(&g, "1", 0, 9);
    tick(&g, 0);
    put(&g, "1", 1, 1);
    tick(&g, 1);
    scene_silence(&g.s, "x{i=\"1\"}");
    tick(&g, 302);
    same(alerts(&g), "1 firing 9 stale");
    same(tick(&g, 602), "");
    CU_ASSERT_EQUAL(only(&g).keep_since_ms, T0 + 1000);
    close_stage(&g);
}

static void alerts_series(void)
{
    struct stage g;
    open_stage(&g, "", FOR_2 "    labels: {severity: page}\n");
    put(&g, "1", 0, 9);
    tick(&g, 0);
#define WHO "alertname=\"A\", "
    same(query(&g, 0, "ALERTS"),
        "ALERTS{" WHO "alertstate=\"pending\", i=\"1\", severity=\"page\"} 1");
    same(query(&g, 0, "ALERTS_FOR_STATE"),
        "ALERTS_FOR_STATE{" WHO "i=\"1\", severity=\"page\"} 1000000000");
    tick(&g, 1);
    tick(&g, 2);
    same(query(&g, 2, "ALERTS"),
        "ALERTS{" WHO "alertstate=\"firing\", i=\"1\", severity=\"page\"} 1");
    same(query(&g, 2, "ALERTS_FOR_STATE"),
        "ALERTS_FOR_STATE{" WHO "i=\"1\", severity=\"page\"} 1000000000");
    put(&g, "1", 3, 1);
    tick(&g, 3);
    same(query(&g, 3, "ALERTS"), "");
    same(query(&g, 3, "ALERTS_FOR_STATE"), "");
    same(query(&g, 2, "ALERTS"),
        "ALERTS{" WHO "alertstate=\"firing\", i=\"1\", severity=\"page\"} 1");
#undef WHO
    close_stage(&g);
}

static void longer_for_after_reload(void)
{
    struct stage g;
    open_stage(&g, "", FOR_2);
    put(&g, "1", 0, 9);
    tick(&g, 0);
    tick(&g, 1);
    same(tick(&g, 2), "1 pending>firing");
    CU_ASSERT_EQUAL(engine_load(g.e, ruleset_of("", RULE "    for: 5s\n")), 0);
    same(tick(&g, 3), "1 firing>pending");
    CU_ASSERT_EQUAL(only(&g).active_at_ms, T0);
    same(tick(&g, 4), "");
    same(tick(&g, 5), "1 pending>firing");
    // A shorter one fires what has waited long enough.
    CU_ASSERT_EQUAL(engine_load(g.e, ruleset_of("", RULE "    for: 1m\n")), 0);
    same(tick(&g, 6), "1 firing>pending");
    CU_ASSERT_EQUAL(engine_load(g.e, ruleset_of("", RULE)), 0);
    same(tick(&g, 7), "1 pending>firing");
    close_stage(&g);
}

static void disabled_at_reload(void)
{
    struct stage g;
    open_stage(&g, "", RULE);
    put(&g, "1", 0, 9);
    tick(&g, 0);
    struct ruleset *set = ruleset_of("", RULE);
    static const char OFF[] = "overrides:\n- rule: g/A\n  disable: true\n";
    struct diags d;
    diags_init(&d);
    CU_ASSERT_EQUAL(ruleset_override(set, "o.yml", OFF, strlen(OFF), &d), 0);
    diags_done(&d);
    CU_ASSERT_EQUAL(engine_load(g.e, set), 0);
    same(tick(&g, 1), "1 firing>inactive");
    same(query(&g, 1, "ALERTS"), "");
    close_stage(&g);
}

static const struct test TESTS[] = {
    {"pending, firing at active-at plus for, resolved", pending_firing_resolved},
    {"without for it fires at the first true evaluation", without_for},
    {"one false evaluation starts the waiting over", a_gap_resets},
    {"keep_firing_for counts from the first false evaluation", keeps_firing},
    {"a true evaluation ends the keeping", keep_starts_over},
    {"a pending alert is not kept", pending_is_not_kept},
    {"a failed evaluation freezes everything", failure_freezes},
    {"over the limit all alerts of the rule are dropped", over_the_limit},
    {"one label set twice after templates fails the rule", duplicates_after_templates},
    {"a value in a label makes a new alert each time", value_in_a_label},
    {"annotations are those of the last true evaluation", annotations_follow_the_value},
    {"a silent source starts no alert", silence_starts_nothing},
    {"a silent source ends no alert, which is shown stale", silence_ends_nothing},
    {"a pending alert never fires in silence", silent_pending_never_fires},
    {"silence within the lookback does not count towards `for`", silence_does_not_count},
    {"nor does silence beyond it", unknown_does_not_count},
    {"an announced end resolves even when the source is silent", announced_end_resolves},
    {"silence stops the keep_firing_for clock from ending an alert", kept_then_silent},
    {"ALERTS and ALERTS_FOR_STATE start, change and end with the alert", alerts_series},
    {"a longer for at a reload takes firing back to pending", longer_for_after_reload},
    {"a rule disabled at a reload resolves its alerts", disabled_at_reload},
};

int main(void)
{
    return test_main("alert", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
