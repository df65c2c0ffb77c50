// SPDX-License-Identifier: Apache-2.0
// What an overrides document changes in the life of an alert: the second threshold, tolerance for dips,
// what silence means.
#include "rules/engine.h"
#include "tests/unit/rules/scene.h"

#define T0 1000000000000LL // a multiple of a second

struct stage {
    struct scene s;
    struct engine *e;
    struct buf way;
};

static void open_stage(struct stage *g, const char *rule, const char *set)
{
    struct diags d;
    char yaml[1000], over[1000];
    memset(g, 0, sizeof(*g));
    scene_open(&g->s);
    buf_init(&g->way, 65536);
    g->e = engine_new(&g->s.src, NULL);
    struct ruleset *rules = ruleset_new();
    CU_ASSERT_FATAL(g->e != NULL && rules != NULL);
    diags_init(&d);
    snprintf(yaml, sizeof(yaml), "groups: [{name: g, rules: [{alert: A, %s}]}]", rule);
    snprintf(over, sizeof(over), "overrides: [{rule: g/A, set: {%s}}]", set);
    int rc = ruleset_add(rules, "t.yml", yaml, strlen(yaml), &d);
    if (rc == 0)
        rc = ruleset_override(rules, "o.yml", over, strlen(over), &d);
    if (d.n)
        printf("%s\n", d.items[0].msg);
    CU_ASSERT_EQUAL_FATAL(rc, 0);
    diags_done(&d);
    CU_ASSERT_EQUAL_FATAL(engine_load(g->e, rules), 0);
}

static void close_stage(struct stage *g)
{
    engine_free(g->e);
    buf_done(&g->way);
    scene_close(&g->s);
}

// A second with the value v, or none when it is NaN. What changed is added to the way: "3:firing".
static void second(struct stage *g, int s, double v)
{
    struct transitions ts;
    int64_t now = T0 + s * 1000LL;
    if (!isnan(v))
        scene_put(&g->s, "x{i=\"a\"}", now, v);
    engine_watermark(g->e, now);
    CU_ASSERT_EQUAL(engine_advance(g->e, now, &ts), 0);
    for (size_t i = 0; i < ts.n; i++)
        buf_addf(&g->way, "%s%d:%s", g->way.len ? " " : "", s, alert_state_name(ts.t[i].to));
}

static void expect(const char *rule, const char *set, const double *v, int n, const char *way)
{
    struct stage g;
    open_stage(&g, rule, set);
    for (int i = 0; i < n; i++)
        second(&g, i, v[i]);
    if (strcmp(buf_cstr(&g.way), way) != 0)
        printf("%s with %s: %s, not %s\n", rule, set, buf_cstr(&g.way), way);
    CU_ASSERT_STRING_EQUAL(buf_cstr(&g.way), way);
    close_stage(&g);
}
#define VALUES(...) (const double[]){__VA_ARGS__}, (int)(sizeof((double[]){__VA_ARGS__}) / 8)

static void it_ends_at_the_second_threshold(void)
{
    expect("expr: x > 90", "clear: 80", VALUES(91, 85, 81, 95, 80, 85), "0:firing 4:inactive");
    expect("expr: x >= 90", "clear: 80", VALUES(90, 80, 79.9), "0:firing 2:inactive");
    expect("expr: x < 5", "clear: 8", VALUES(4, 7, 8, 4), "0:firing 2:inactive 3:firing");
    expect("expr: 5 > x", "clear: 8", VALUES(4, 7, 8), "0:firing 2:inactive");
    expect("expr: 90 <= (x)", "clear: 80", VALUES(90, 80, 79), "0:firing 2:inactive");
    // Without it each dip ends the alert.
    expect("expr: x > 90", "for: 0s", VALUES(91, 85, 95), "0:firing 1:inactive 2:firing");
}

static void a_pending_alert_has_one_threshold(void)
{
    expect("expr: x > 90, for: 2s", "clear: 80", VALUES(91, 85, 91, 91, 91, 85),
        "0:pending 1:inactive 2:pending 4:firing");
}

static void it_must_be_clear_for_so_long(void)
{
    expect("expr: x > 90", "clear: 80, clear_for: 2s", VALUES(91, 79, 85, 79, 79, 79),
        "0:firing 5:inactive");
    expect("expr: x > 90", "clear_for: 2s", VALUES(91, 1, 1, 1), "0:firing 3:inactive");
}

static void dips_do_not_reset_for(void)
{
    expect("expr: x > 90, for: 4s", "for_tolerance: 2", VALUES(91, 1, 91, 1, 91),
        "0:pending 4:firing");
    expect("expr: x > 90, for: 4s", "for_tolerance: 1", VALUES(91, 1, 91, 1, 91),
        "0:pending 3:inactive 4:pending");
    // It fires only while it is true.
    expect("expr: x > 90, for: 2s", "for_tolerance: 2", VALUES(91, 91, 1, 91),
        "0:pending 3:firing");
    // And a dip while it fires is none of this.
    expect("expr: x > 90, for: 1s", "for_tolerance: 2", VALUES(91, 91, 1),
        "0:pending 1:firing 2:inactive");
}

static void silent(const char *set, double before, const char *way)
{
    struct stage g;
    open_stage(&g, "expr: x > 90", set);
    second(&g, 0, before);
    scene_silence(&g.s, "x{i=\"a\"}");
    second(&g, 1, NAN);
    second(&g, 400, NAN); // past the lookback
    second(&g, 401, NAN);
    if (strcmp(buf_cstr(&g.way), way) != 0)
        printf("%s: %s, not %s\n", set, buf_cstr(&g.way), way);
    CU_ASSERT_STRING_EQUAL(buf_cstr(&g.way), way);
    close_stage(&g);
}

static void silence_means_what_the_policy_says(void)
{
    silent("no_data: keep", 91, "0:firing");
    silent("no_data: resolve", 91, "0:firing 400:inactive");
    silent("no_data: alert", 91, "0:firing");
    silent("no_data: keep", 1, "");
    silent("no_data: alert", 1, "400:firing");
}

// An agent comes back and sends first what it kept: it was bad in second 3, long ago.
static void what_is_filled_in_is_not_now(void)
{
    struct stage g;
    open_stage(&g, "expr: x > 90", "for: 0s");
    second(&g, 0, 1);
    scene_silence(&g.s, "x{i=\"a\"}");
    scene_put(&g.s, "x{i=\"a\"}", T0 + 3000, 95);
    second(&g, 20, NAN);
    CU_ASSERT_STRING_EQUAL(buf_cstr(&g.way), "");
    // Just now is another matter: the last word of whoever fell silent with it.
    scene_put(&g.s, "x{i=\"a\"}", T0 + 20500, 96);
    second(&g, 21, NAN);
    CU_ASSERT_STRING_EQUAL(buf_cstr(&g.way), "21:firing");
    // And what it started goes on, old or not.
    second(&g, 40, NAN);
    CU_ASSERT_STRING_EQUAL(buf_cstr(&g.way), "21:firing");
    close_stage(&g);
}

static const struct test TESTS[] = {
    {"what is filled in afterwards starts nothing", what_is_filled_in_is_not_now},
    {"it ends at the second threshold", it_ends_at_the_second_threshold},
    {"a pending alert has one threshold", a_pending_alert_has_one_threshold},
    {"it must be clear for so long", it_must_be_clear_for_so_long},
    {"dips do not reset `for`", dips_do_not_reset_for},
    {"silence means what the policy says", silence_means_what_the_policy_says},
};

int main(void)
{
    return test_main("alert_policy", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
