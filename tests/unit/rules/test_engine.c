// SPDX-License-Identifier: Apache-2.0
// The joint feed / advance / read on a virtual clock: stale, late and replayed data, silence, and
// the exact millisecond at which something fires.
#include "rules/engine.h"
#include "rules/memory_source.h"
#include "tests/lib/oom.h"
#include "tests/lib/run.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define T0 1000000000000LL // a multiple of a second

struct bench {
    struct memory_source *m;
    struct source src;
    struct engine *e;
    uint32_t id;
    struct transitions ts;
};

static struct ruleset *rules(const char *yaml, const char *overrides)
{
    struct diags d;
    diags_init(&d);
    struct ruleset *set = ruleset_new();
    CU_ASSERT_FATAL(set != NULL);
    CU_ASSERT_EQUAL_FATAL(ruleset_add(set, "t.yml", yaml, strlen(yaml), &d), 0);
    if (overrides)
        CU_ASSERT_EQUAL_FATAL(
            ruleset_override(set, "o.yml", overrides, strlen(overrides), &d), 0);
    CU_ASSERT_EQUAL_FATAL(d.errors, 0);
    diags_done(&d);
    return set;
}

static uint32_t series(struct bench *b, const char *name, const char *instance)
{
    const struct label l[] = {{LABEL_NAME, name}, {"instance", instance}};
    struct labels s = {l, 2};
    uint32_t id = 0;
    CU_ASSERT_EQUAL(memory_source_series(b->m, &s, &id), 0);
    return id;
}

static bool batch; // every test runs with either evaluator

static void start(struct bench *b, const char *yaml, const char *overrides)
{
    memset(b, 0, sizeof(*b));
    b->m = memory_source_new();
    b->src = memory_source_interface(b->m);
    struct engine_options o = {.batch = batch};
    b->e = engine_new(&b->src, &o);
    CU_ASSERT_EQUAL_FATAL(engine_load(b->e, rules(yaml, overrides)), 0);
    b->id = series(b, "x", "a");
}

static void stop(struct bench *b)
{
    engine_free(b->e);
    memory_source_free(b->m);
}

static void put(struct bench *b, int64_t t_ms, double v)
{
    memory_source_add(b->m, b->id, t_ms, v, NULL);
}

static size_t at(struct bench *b, int64_t now_ms)
{
    CU_ASSERT_EQUAL(engine_advance(b->e, now_ms, &b->ts), 0);
    return b->ts.n;
}

static size_t tick(struct bench *b, int64_t now_ms)
{
    engine_watermark(b->e, now_ms);
    return at(b, now_ms);
}

#define GRID    "groups:\n- name: g\n  rules:\n  - alert: A\n    expr: x > 5\n"
#define ARRIVAL "overrides:\n- rule: g/A\n  set: {evaluate: arrival}\n"

static double stale(void)
{
    return double_from_bits(NAN_STALE_BITS);
}

static void stale_ends(void)
{
    struct bench b;
    start(&b, GRID, NULL);
    put(&b, T0 - 10, 9);
    CU_ASSERT_EQUAL(tick(&b, T0), 1);
    CU_ASSERT_EQUAL(b.ts.t[0].to, ALERT_FIRING);
    put(&b, T0 + 500, stale());
    CU_ASSERT_EQUAL(tick(&b, T0 + 1000), 1);
    CU_ASSERT_EQUAL(b.ts.t[0].to, ALERT_INACTIVE);
    CU_ASSERT_EQUAL(b.ts.t[0].at_ms, T0 + 1000);
    stop(&b);
}

static void late_waits(void)
{
    struct bench b;
    start(&b, GRID, ARRIVAL);
    put(&b, T0 - 10, 1);
    CU_ASSERT_EQUAL(tick(&b, T0), 0);
    put(&b, T0 - 5, 9);
    engine_feed(b.e, b.id, T0 - 5, true);
    CU_ASSERT_EQUAL(at(&b, T0 + 20), 0);
    CU_ASSERT_EQUAL(tick(&b, T0 + 1000), 1);
    CU_ASSERT_EQUAL(b.ts.t[0].at_ms, T0 + 1000);
    stop(&b);
}

static void replay_changes_nothing(void)
{
    struct bench b;
    start(&b, GRID, NULL);
    put(&b, T0 - 10, 9);
    CU_ASSERT_EQUAL(tick(&b, T0), 1);
    CU_ASSERT_EQUAL(memory_source_add(b.m, b.id, T0 - 10, 1, NULL), 0);
    CU_ASSERT_EQUAL(memory_source_samples(b.m, b.id), 1);
    CU_ASSERT_EQUAL(tick(&b, T0 + 1000), 0);
    stop(&b);
}

static bool see_stale(
    void *ctx, const struct rule_group *g, const struct rule *r, const struct alert *a)
{
    (void)g;
    (void)r;
    *(bool *)ctx = a->stale && a->state == ALERT_FIRING;
    return true;
}

static void silence_keeps(void)
{
    struct bench b;
    bool kept = false;
    start(&b, GRID, NULL);
    put(&b, T0 - 10, 9);
    CU_ASSERT_EQUAL(tick(&b, T0), 1);
    memory_source_silence(b.m, b.id, true);
    CU_ASSERT_EQUAL(tick(&b, T0 + 400000), 0);
    engine_each_alert(b.e, see_stale, &kept);
    CU_ASSERT_TRUE(kept);
    memory_source_silence(b.m, b.id, false);
    CU_ASSERT_EQUAL(tick(&b, T0 + 401000), 1);
    CU_ASSERT_EQUAL(b.ts.t[0].to, ALERT_INACTIVE);
    stop(&b);
}

static void silence_starts_nothing(void)
{
    struct bench b;
    start(&b, GRID, NULL);
    put(&b, T0 - 400000, 9);
    memory_source_silence(b.m, b.id, true);
    CU_ASSERT_EQUAL(tick(&b, T0), 0);
    stop(&b);
}

static void event_fires_at_once(void)
{
    struct bench b;
    start(&b, GRID, ARRIVAL);
    put(&b, T0, 1);
    tick(&b, T0);
    put(&b, T0 + 37, 9);
    engine_feed(b.e, b.id, T0 + 37, true);
    CU_ASSERT_TRUE(engine_next(b.e) <= T0 + 37);
    CU_ASSERT_EQUAL(at(&b, T0 + 37), 1);
    CU_ASSERT_EQUAL(b.ts.t[0].to, ALERT_FIRING);
    CU_ASSERT_EQUAL(b.ts.t[0].at_ms, T0 + 37);
    // Back to normal at once, but it resolves on the grid.
    put(&b, T0 + 60, 1);
    engine_feed(b.e, b.id, T0 + 60, true);
    CU_ASSERT_EQUAL(at(&b, T0 + 60), 0);
    CU_ASSERT_EQUAL(engine_next(b.e), T0 + 1250);
    CU_ASSERT_EQUAL(tick(&b, T0 + 1000), 1);
    CU_ASSERT_EQUAL(b.ts.t[0].to, ALERT_INACTIVE);
    stop(&b);
}

static void gap_between_drains(void)
{
    struct bench b;
    start(&b, GRID, ARRIVAL);
    put(&b, T0, 1);
    tick(&b, T0);
    engine_feed(b.e, b.id, T0 + 10, false);
    CU_ASSERT_TRUE(engine_next(b.e) <= T0 + 10);
    at(&b, T0 + 10);
    engine_feed(b.e, b.id, T0 + 20, false);
    CU_ASSERT_EQUAL(engine_next(b.e), T0 + 110);
    engine_feed(b.e, b.id, T0 + 30, true);
    CU_ASSERT_TRUE(engine_next(b.e) <= T0 + 30);
    stop(&b);
}

static void grid_waits_for_grace(void)
{
    struct bench b;
    start(&b, GRID, NULL);
    at(&b, T0 - 1);
    put(&b, T0 - 10, 9);
    CU_ASSERT_EQUAL(engine_next(b.e), T0 + 250);
    CU_ASSERT_EQUAL(at(&b, T0 + 249), 0);
    CU_ASSERT_EQUAL(at(&b, T0 + 250), 1);
    CU_ASSERT_EQUAL(b.ts.t[0].at_ms, T0);
    engine_watermark(b.e, T0 + 1000);
    CU_ASSERT_EQUAL(engine_next(b.e), T0 + 1000);
    stop(&b);
}

static void arrival_timer(void)
{
    struct bench b;
    start(&b, GRID "    for: 200ms\n", ARRIVAL);
    put(&b, T0, 1);
    tick(&b, T0);
    put(&b, T0 + 40, 9);
    engine_feed(b.e, b.id, T0 + 40, true);
    CU_ASSERT_EQUAL(at(&b, T0 + 40), 1);
    CU_ASSERT_EQUAL(b.ts.t[0].to, ALERT_PENDING);
    CU_ASSERT_EQUAL(engine_next(b.e), T0 + 240);
    CU_ASSERT_EQUAL(at(&b, T0 + 239), 0);
    CU_ASSERT_EQUAL(at(&b, T0 + 240), 1);
    CU_ASSERT_EQUAL(b.ts.t[0].to, ALERT_FIRING);
    stop(&b);
}

static void open_tick_decides(void)
{
    struct bench b;
    start(&b, GRID "    for: 200ms\n", ARRIVAL);
    put(&b, T0, 1);
    tick(&b, T0);
    put(&b, T0 + 900, 9);
    engine_feed(b.e, b.id, T0 + 900, true);
    CU_ASSERT_EQUAL(at(&b, T0 + 900), 1);
    // The tick at +1000 is not evaluated before +1250: firing at +1100 has to wait for it.
    CU_ASSERT_EQUAL(at(&b, T0 + 1100), 0);
    CU_ASSERT_EQUAL(engine_next(b.e), T0 + 1250);
    CU_ASSERT_EQUAL(at(&b, T0 + 1250), 1);
    CU_ASSERT_EQUAL(b.ts.t[0].to, ALERT_FIRING);
    CU_ASSERT_EQUAL(b.ts.t[0].at_ms, T0 + 1100);
    stop(&b);
}

static void for_and_keep(void)
{
    struct bench b;
    start(&b, GRID "    for: 2s\n    keep_firing_for: 2s\n", NULL);
    put(&b, T0, 9);
    CU_ASSERT_EQUAL(tick(&b, T0), 1);
    CU_ASSERT_EQUAL(tick(&b, T0 + 1000), 0);
    CU_ASSERT_EQUAL(tick(&b, T0 + 2000), 1);
    CU_ASSERT_EQUAL(b.ts.t[0].to, ALERT_FIRING);
    put(&b, T0 + 2500, 1);
    CU_ASSERT_EQUAL(tick(&b, T0 + 3000), 0);
    CU_ASSERT_EQUAL(tick(&b, T0 + 4000), 0);
    CU_ASSERT_EQUAL(tick(&b, T0 + 5000), 1);
    CU_ASSERT_EQUAL(b.ts.t[0].to, ALERT_INACTIVE);
    stop(&b);
}

static void missed_are_counted(void)
{
    struct bench b;
    start(&b, GRID, NULL);
    put(&b, T0, 9);
    tick(&b, T0);
    CU_ASSERT_EQUAL(tick(&b, T0 + 5000), 0);
    CU_ASSERT_EQUAL(engine_next(b.e), T0 + 6250);
    stop(&b);
}

static void reload_keeps(void)
{
    struct bench b;
    start(&b, GRID, NULL);
    put(&b, T0, 9);
    CU_ASSERT_EQUAL(tick(&b, T0), 1);
    CU_ASSERT_EQUAL(engine_load(b.e, rules("groups:\n- name: g\n  rules:\n  - alert: A\n"
                                           "    expr: x > 6\n",
                                         NULL)),
        0);
    CU_ASSERT_EQUAL(tick(&b, T0 + 1000), 0);
    CU_ASSERT_EQUAL(engine_load(b.e, rules("groups:\n- name: g\n  rules:\n  - alert: B\n"
                                           "    expr: x > 60\n",
                                         NULL)),
        0);
    CU_ASSERT_EQUAL(tick(&b, T0 + 1500), 1);
    CU_ASSERT_EQUAL(b.ts.t[0].to, ALERT_INACTIVE);
    CU_ASSERT_STRING_EQUAL(b.ts.t[0].rule->name, "A");
    stop(&b);
}

static void chain_in_one_tick(void)
{
    struct bench b;
    start(&b,
        "groups:\n- name: g\n  rules:\n  - record: y\n    expr: x * 2\n  - alert: A\n"
        "    expr: y > 5\n    labels: {severity: page}\n"
        "    annotations: {what: 'y is {{ $value }}'}\n",
        NULL);
    put(&b, T0, 4);
    CU_ASSERT_EQUAL(tick(&b, T0), 1);
    CU_ASSERT_STRING_EQUAL(labels_get(b.ts.t[0].alert->annotations, "what"), "y is 8");
    CU_ASSERT_STRING_EQUAL(labels_get(b.ts.t[0].alert->labels, "severity"), "page");
    put(&b, T0 + 10, stale());
    CU_ASSERT_EQUAL(tick(&b, T0 + 1000), 1);
    CU_ASSERT_EQUAL(b.ts.t[0].to, ALERT_INACTIVE);
    stop(&b);
}

// As promtool evaluates them: at any instant, whatever the interval, groups in their order.
static void ticks_by_hand(void)
{
    struct bench b;
    start(&b,
        "groups:\n- name: g\n  interval: 1h\n  rules:\n  - record: y\n    expr: x * 2\n"
        "- name: h\n  interval: 7m\n  rules:\n  - alert: A\n    expr: y > 5\n    for: 3s\n",
        NULL);
    put(&b, T0 + 17, 4);
    CU_ASSERT_EQUAL(engine_tick(b.e, T0 + 17, &b.ts), 0);
    CU_ASSERT_EQUAL_FATAL(b.ts.n, 1);
    CU_ASSERT_EQUAL(b.ts.t[0].to, ALERT_PENDING);
    CU_ASSERT_EQUAL(b.ts.t[0].at_ms, T0 + 17);
    CU_ASSERT_EQUAL(engine_tick(b.e, T0 + 3016, &b.ts), 0);
    CU_ASSERT_EQUAL(b.ts.n, 0);
    CU_ASSERT_EQUAL(engine_tick(b.e, T0 + 3017, &b.ts), 0);
    CU_ASSERT_EQUAL_FATAL(b.ts.n, 1);
    CU_ASSERT_EQUAL(b.ts.t[0].to, ALERT_FIRING);
    stop(&b);
}

// Silence goes through a recording rule: what it wrote is silent too, not ended.
static void silence_through_records(void)
{
    struct bench b;
    bool kept = false;
    start(&b,
        "groups:\n- name: g\n  rules:\n  - record: y\n    expr: x * 2\n  - alert: A\n"
        "    expr: y > 5\n",
        NULL);
    put(&b, T0, 9);
    CU_ASSERT_EQUAL(tick(&b, T0), 1);
    memory_source_silence(b.m, b.id, true);
    for (int64_t s = 1; s < 700; s++)
        CU_ASSERT_EQUAL(tick(&b, T0 + s * 1000), 0);
    engine_each_alert(b.e, see_stale, &kept);
    CU_ASSERT_TRUE(kept);
    // Heard again with a low value: it resolves at that tick.
    memory_source_silence(b.m, b.id, false);
    put(&b, T0 + 700000, 1);
    CU_ASSERT_EQUAL(tick(&b, T0 + 700000), 1);
    CU_ASSERT_EQUAL(b.ts.t[0].to, ALERT_INACTIVE);
    // An announced end goes through as well.
    put(&b, T0 + 701000, 9);
    CU_ASSERT_EQUAL(tick(&b, T0 + 701000), 1);
    put(&b, T0 + 701500, stale());
    CU_ASSERT_EQUAL(tick(&b, T0 + 702000), 1);
    CU_ASSERT_EQUAL(b.ts.t[0].to, ALERT_INACTIVE);
    stop(&b);
}

// Whatever fails at T0 is done by the next advance, at the same instant, not by the next tick.
static void tick_is_retried(void)
{
    for (int nth = 1;; nth++) {
        struct bench b;
        start(&b, GRID, NULL);
        put(&b, T0, 9);
        engine_watermark(b.e, T0);
        oom_fail_at(nth);
        int rc = engine_advance(b.e, T0, &b.ts);
        bool hit = oom_stop();
        bool fired = b.ts.n == 1;
        // Without memory to remember who reads a series a plan selects anew, and nothing is lost.
        CU_ASSERT_TRUE(rc == -ENOMEM ? hit : rc == 0 && fired);
        CU_ASSERT_TRUE(rc == 0 || engine_next(b.e) <= T0);
        CU_ASSERT_EQUAL(at(&b, T0 + 1), !fired);
        if (!fired) {
            CU_ASSERT_EQUAL(b.ts.t[0].to, ALERT_FIRING);
            CU_ASSERT_EQUAL(b.ts.t[0].at_ms, T0);
        }
        CU_ASSERT_EQUAL(engine_next(b.e), T0 + 1250);
        CU_ASSERT_EQUAL(tick(&b, T0 + 1000), 0);
        stop(&b);
        if (!hit || nth > 1000)
            break;
    }
}

static void arrival_is_retried(void)
{
    for (int nth = 1;; nth++) {
        struct bench b;
        start(&b, GRID, ARRIVAL);
        put(&b, T0, 1);
        tick(&b, T0);
        put(&b, T0 + 100, 9);
        oom_fail_at(nth);
        engine_feed(b.e, b.id, T0 + 100, nth % 2);
        int rc = engine_advance(b.e, T0 + 100, &b.ts);
        bool hit = oom_stop();
        bool fired = b.ts.n == 1;
        CU_ASSERT_TRUE(rc == -ENOMEM ? hit : rc == 0 && fired);
        CU_ASSERT_TRUE(rc == 0 || engine_next(b.e) <= T0 + 100);
        CU_ASSERT_EQUAL(at(&b, T0 + 101), !fired);
        if (!fired)
            CU_ASSERT_EQUAL(b.ts.t[0].at_ms, T0 + 100);
        CU_ASSERT_EQUAL(engine_next(b.e), T0 + 1250);
        stop(&b);
        if (!hit || nth > 1000)
            break;
    }
}

static void timer_is_retried(void)
{
    for (int nth = 1;; nth++) {
        struct bench b;
        start(&b, GRID "    for: 200ms\n", ARRIVAL);
        put(&b, T0, 1);
        tick(&b, T0);
        put(&b, T0 + 40, 9);
        engine_feed(b.e, b.id, T0 + 40, true);
        CU_ASSERT_EQUAL(at(&b, T0 + 40), 1);
        oom_fail_at(nth);
        int rc = engine_advance(b.e, T0 + 240, &b.ts);
        bool hit = oom_stop();
        bool fired = b.ts.n == 1;
        // The stale marker of ALERTS{alertstate="pending"} may wait for the next tick.
        CU_ASSERT_TRUE(rc == -ENOMEM ? hit : rc == 0 && fired);
        CU_ASSERT_EQUAL(at(&b, T0 + 241), !fired);
        if (!fired)
            CU_ASSERT_EQUAL(b.ts.t[0].at_ms, T0 + 240);
        stop(&b);
        if (!hit || nth > 1000)
            break;
    }
}

static void load_without_memory(void)
{
    size_t failed = 0;
    for (int nth = 1;; nth++) {
        struct bench b;
        start(&b, GRID, NULL);
        put(&b, T0, 9);
        CU_ASSERT_EQUAL(tick(&b, T0), 1);
        struct ruleset *set = rules("groups:\n- name: h\n  rules:\n  - alert: B\n"
                                    "    expr: x > 6\n  - record: r\n    expr: x * 2\n",
            "overrides:\n- rule: h/B\n  set: {evaluate: arrival}\n");
        oom_fail_at(nth);
        int rc = engine_load(b.e, set);
        bool hit = oom_stop();
        CU_ASSERT_EQUAL(rc, hit ? -ENOMEM : 0);
        if (rc < 0) {
            ruleset_free(set);
            CU_ASSERT_EQUAL(tick(&b, T0 + 1000), 0); // the old rules go on
        } else {
            CU_ASSERT_EQUAL(tick(&b, T0 + 1000), 2); // A is gone, B fires
        }
        failed += hit;
        stop(&b);
        if (!hit || nth > 1000)
            break;
    }
    CU_ASSERT(failed > 3);
}

// Which rules a sample touches, with several rules over several series, some of them shared.
static void arrival_touches_readers(void)
{
    struct bench b;
    start(&b,
        "groups:\n- name: g\n  rules:\n  - alert: A\n    expr: x{instance=\"a\"} > 5\n"
        "  - alert: B\n    expr: x > 5\n  - alert: C\n    expr: z > 5 or x > 50\n"
        "  - alert: D\n    expr: x > 5\n",
        "overrides:\n- rule: g/A\n  set: {evaluate: arrival}\n"
        "- rule: g/B\n  set: {evaluate: arrival}\n"
        "- rule: g/C\n  set: {evaluate: arrival}\n");
    uint32_t second = series(&b, "x", "b"), third = series(&b, "z", "c");
    put(&b, T0, 1);
    tick(&b, T0);
    memory_source_add(b.m, second, T0 + 10, 9, NULL);
    engine_feed(b.e, second, T0 + 10, true);
    CU_ASSERT_EQUAL(at(&b, T0 + 10), 1);
    CU_ASSERT_STRING_EQUAL(b.ts.t[0].rule->name, "B");
    memory_source_add(b.m, third, T0 + 20, 9, NULL);
    engine_feed(b.e, third, T0 + 20, true);
    CU_ASSERT_EQUAL(at(&b, T0 + 20), 1);
    CU_ASSERT_STRING_EQUAL(b.ts.t[0].rule->name, "C");
    put(&b, T0 + 30, 60);
    engine_feed(b.e, b.id, T0 + 30, true);
    CU_ASSERT_EQUAL(
        at(&b, T0 + 30), 3); // A; one more of B; one more of C; D waits for the grid
    CU_ASSERT_EQUAL(tick(&b, T0 + 1000), 2);
    CU_ASSERT_STRING_EQUAL(b.ts.t[0].rule->name, "D");
    stop(&b);
}

static const struct test TESTS[] = {
    {"a stale marker ends an element at once and resolves", stale_ends},
    {"a late sample is seen by the next tick only", late_waits},
    {"a replayed sample changes nothing", replay_changes_nothing},
    {"a silent source keeps a firing alert", silence_keeps},
    {"a silent source starts nothing", silence_starts_nothing},
    {"an event fires in the very advance and resolves on the grid", event_fires_at_once},
    {"drains keep their distance, events do not", gap_between_drains},
    {"a tick runs when the watermark has passed or after the grace", grid_waits_for_grace},
    {"an arrival alert fires by timer at active-at plus for", arrival_timer},
    {"a tick still to come decides before the timer", open_tick_decides},
    {"for and keep_firing_for count on the grid", for_and_keep},
    {"missed ticks are not made up for", missed_are_counted},
    {"a reload keeps what did not change and ends what is gone", reload_keeps},
    {"a recorded series is seen by the next rule of its tick", chain_in_one_tick},
    {"a tick by hand evaluates every group at that instant", ticks_by_hand},
    {"a sample on arrival touches the rules that read it", arrival_touches_readers},
    {"silence goes through a recording rule", silence_through_records},
    {"a tick without memory is done by the next advance", tick_is_retried},
    {"an arrival without memory is done by the next advance", arrival_is_retried},
    {"a timer without memory is done by the next advance", timer_is_retried},
    {"a load without memory keeps the old rules", load_without_memory},
};

int main(void)
{
    int failed = test_main("engine", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
    batch = true;
    return failed | test_main("engine, batch", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
