// SPDX-License-Identifier: Apache-2.0
// The engine on its plans beside the engine on the batch evaluator: the same samples, the same
// transitions and recorded series, whatever is reloaded and whatever memory fails.
#include "rules/engine.h"
#include "rules/memory_source.h"
#include "tests/lib/oom.h"
#include "tests/lib/run.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define T0     1000000000000LL
#define SERIES 14

static const char RULES[] = "groups:\n"
                            "- name: g\n"
                            "  interval: 1s\n"
                            "  rules:\n"
                            "  - record: job:x:sum\n"
                            "    expr: sum by (job) (x)\n"
                            "  - record: job:c:rate\n"
                            "    expr: sum by (job) (rate(c[10s]))\n"
                            "  - alert: High\n"
                            "    expr: job:x:sum > 60\n"
                            "    for: 2s\n"
                            "    annotations: {what: '{{ $labels.job }} is {{ $value }}'}\n"
                            "  - alert: Each\n"
                            "    expr: x > 35\n"
                            "    keep_firing_for: 3s\n"
                            "  - alert: Ratio\n"
                            "    expr: job:c:rate / on (job) job:x:sum > 0.3\n"
                            "- name: slow\n"
                            "  interval: 3s\n"
                            "  query_offset: 2s\n"
                            "  rules:\n"
                            "  - alert: Late\n"
                            "    expr: max_over_time(x[5s]) > 38 unless on (job) absent(c)\n"
                            "  - record: again\n"
                            "    expr: job:x:sum * 2\n"
                            "- name: quick\n"
                            "  interval: 2s\n"
                            "  rules:\n"
                            "  - alert: Now\n"
                            "    expr: x > 37\n"
                            "  - alert: Chain\n"
                            "    expr: job:x:sum > 70\n"
                            "    for: 1s\n"
                            "  - alert: Sub\n"
                            "    expr: avg_over_time(x[4s:1s]) > 30\n";
static const char ARRIVAL[] = "overrides:\n"
                              "- rule: quick/Now\n  set: {evaluate: arrival}\n"
                              "- rule: quick/Chain\n  set: {evaluate: arrival}\n"
                              "- rule: g/High\n  set: {evaluate: arrival}\n";
// The same, but for one rule gone, one changed, one new.
static const char CHANGED[] = "- name: other\n"
                              "  interval: 1s\n"
                              "  rules:\n"
                              "  - alert: New\n"
                              "    expr: min by (job) (x) > 10\n"
                              "  - record: new\n"
                              "    expr: x > 20\n";

struct side {
    struct memory_source *m;
    struct source src;
    struct engine *e;
    uint32_t id[SERIES];
    struct buf log;
};

static uint64_t seed;
static uint32_t below(uint32_t n)
{
    seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
    return (uint32_t)(seed >> 33) % n;
}

static struct ruleset *rules(bool changed, bool arrival)
{
    struct diags d;
    struct buf text;
    diags_init(&d);
    buf_init(&text, 65536);
    buf_addf(&text, "%s%s", RULES, changed ? CHANGED : "");
    struct ruleset *set = ruleset_new();
    CU_ASSERT_EQUAL_FATAL(ruleset_add(set, "r.yml", buf_cstr(&text), text.len, &d), 0);
    if (arrival)
        CU_ASSERT_EQUAL_FATAL(ruleset_override(set, "o.yml", ARRIVAL, strlen(ARRIVAL), &d), 0);
    CU_ASSERT_EQUAL_FATAL(d.errors, 0);
    diags_done(&d);
    buf_done(&text);
    return set;
}

static void side_series(struct side *s, size_t i)
{
    char instance[12];
    snprintf(instance, sizeof(instance), "%zu", i);
    const struct label l[] = {
        {LABEL_NAME, i % 3 ? "x" : "c"}, {"instance", instance}, {"job", i % 2 ? "a" : "b"}};
    struct labels labels = {l, 3};
    CU_ASSERT_EQUAL_FATAL(memory_source_series(s->m, &labels, &s->id[i]), 0);
}

static void side_open(struct side *s, const struct engine_options *o, bool arrival)
{
    *s = (struct side){.m = memory_source_new()};
    s->src = memory_source_interface(s->m);
    s->e = engine_new(&s->src, o);
    buf_init(&s->log, 1u << 24);
    CU_ASSERT_EQUAL_FATAL(engine_load(s->e, rules(false, arrival)), 0);
    for (size_t i = 0; i < SERIES; i++)
        side_series(s, i);
}

static void side_close(struct side *s)
{
    engine_free(s->e);
    memory_source_free(s->m);
    buf_done(&s->log);
}

static int advance(struct side *s, int64_t now_ms)
{
    struct transitions ts;
    int rc = engine_advance(s->e, now_ms, &ts);
    for (size_t i = 0; i < ts.n; i++) {
        const struct transition *t = &ts.t[i];
        buf_addf(&s->log, "%lld %s ", (long long)t->at_ms, t->rule->name);
        labels_print(t->alert->labels, &s->log);
        labels_print(t->alert->annotations, &s->log);
        buf_addf(&s->log, " %s -> %s %.10g\n", alert_state_name(t->from),
            alert_state_name(t->to), t->alert->value);
    }
    return rc;
}

// Everything recorded, as text.
static void samples_of(struct side *s, struct buf *out)
{
    for (uint32_t id = SERIES; id < memory_source_count(s->m); id++) {
        struct labels l = s->src.labels(s->src.self, id);
        struct points p = {0};
        labels_print(&l, out);
        s->src.range(s->src.self, id, 0, INT64_MAX, &p);
        for (size_t i = 0; i < p.n; i++)
            buf_addf(out, " %lld:%.10g", (long long)p.p[i].t_ms,
                is_stale(p.p[i].v) ? -1e300 : p.p[i].v);
        buf_addf(out, "\n");
        free(p.p);
    }
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

// Lines in one order.
static char *sorted(struct buf *b)
{
    char *text = strdup(buf_cstr(b)), *line[40000], *save = NULL;
    size_t n = 0;
    for (char *l = strtok_r(text, "\n", &save); l && n < 40000; l = strtok_r(NULL, "\n", &save))
        line[n++] = l;
    if (n > 1)
        qsort(line, n, sizeof(line[0]), by_text);
    struct buf out;
    buf_init(&out, 1u << 24);
    for (size_t i = 0; i < n; i++)
        buf_addf(&out, "%s\n", line[i]);
    char *ret = strdup(buf_cstr(&out));
    buf_done(&out);
    free(text);
    return ret;
}

static bool same_lines(struct buf *a, struct buf *b)
{
    char *x = sorted(a), *y = sorted(b);
    bool same = !strcmp(x, y);
    for (size_t i = 0; !same; i++)
        if (x[i] != y[i] || !x[i]) {
            size_t from = i > 100 ? i - 100 : 0;
            printf("incremental\n%.300s\nbatch\n%.300s\n", x + from, y + from);
            break;
        }
    free(x);
    free(y);
    return same;
}

static bool same(struct side *a, struct side *b)
{
    struct buf x, y;
    buf_init(&x, 1u << 24);
    buf_init(&y, 1u << 24);
    samples_of(a, &x);
    samples_of(b, &y);
    bool ok = same_lines(&a->log, &b->log) && same_lines(&x, &y);
    buf_done(&x);
    buf_done(&y);
    return ok;
}

static bool alert_line(
    void *ctx, const struct rule_group *g, const struct rule *r, const struct alert *a)
{
    (void)g;
    buf_addf(ctx, "%s ", r->name);
    labels_print(a->labels, ctx);
    buf_addf(ctx, " %s %.10g\n", alert_state_name(a->state), a->value);
    return true;
}

// What there is now: alerts, and the last word of each recorded series.
static void state_of(struct side *s, struct buf *out)
{
    engine_each_alert(s->e, alert_line, out);
    for (uint32_t id = SERIES; id < memory_source_count(s->m); id++) {
        struct labels l = s->src.labels(s->src.self, id);
        struct point p;
        if (!s->src.latest(s->src.self, id, INT64_MAX, &p) || is_stale(p.v))
            continue;
        if (!strcmp(labels_get(&l, LABEL_NAME), "ALERTS_FOR_STATE"))
            p.v = 0; // since when: a tick later, perhaps
        labels_print(&l, out);
        buf_addf(out, " %lld:%.10g\n", (long long)p.t_ms, p.v);
    }
}

static bool same_state(struct side *a, struct side *b)
{
    struct buf x, y;
    buf_init(&x, 1u << 20);
    buf_init(&y, 1u << 20);
    state_of(a, &x);
    state_of(b, &y);
    bool ok = same_lines(&x, &y);
    buf_done(&x);
    buf_done(&y);
    return ok;
}

struct script { // one step of both
    size_t series;
    int64_t t_ms;
    double v;
    bool event, feed;
};

static void sample(struct side *s, const struct script *x)
{
    if (memory_source_add(s->m, s->id[x->series], x->t_ms, x->v, NULL) == 1 && x->feed)
        engine_feed(s->e, s->id[x->series], x->t_ms, x->event);
}

static struct script roll(int64_t now_ms, size_t series)
{
    struct script x = {.series = series,
        .t_ms = now_ms - below(300),
        .v = series % 3 ? below(40) : (double)((now_ms - T0) / 100),
        .event = below(10) == 0,
        .feed = below(12) != 0};
    if (below(40) == 0)
        x.v = double_from_bits(NAN_STALE_BITS);
    if (below(40) == 0)
        x.t_ms -= below(8000);
    return x;
}

static void step(struct side *s, size_t n, int64_t now_ms)
{
    for (size_t k = 0; k < n; k++) {
        struct script x = roll(now_ms, below(SERIES));
        for (int i = 0; i < 2; i++)
            sample(&s[i], &x);
    }
    if (below(30) == 0) {
        size_t which = below(SERIES);
        bool silent = below(2);
        for (int i = 0; i < 2; i++)
            memory_source_silence(s[i].m, s[i].id[which], silent);
    }
    bool mark = below(3) != 0;
    for (int i = 0; i < 2; i++) {
        if (mark)
            engine_watermark(s[i].e, now_ms - 200);
        while (engine_next(s[i].e) <= now_ms) {
            CU_ASSERT_EQUAL(advance(&s[i], now_ms), 0);
            if (engine_next(s[i].e) <= now_ms)
                now_ms++;
        }
    }
}

static void equal_to_batch(bool arrival)
{
    for (int round = 0; round < 8; round++) {
        struct side s[2];
        seed = (uint64_t)round + 17;
        side_open(&s[0], &(struct engine_options){0}, arrival);
        side_open(&s[1], &(struct engine_options){.batch = true}, arrival);
        for (int64_t i = 0; i < 600; i++) {
            if (i % 150 == 149)
                for (int k = 0; k < 2; k++)
                    CU_ASSERT_EQUAL(engine_load(s[k].e, rules(i / 150 % 2, arrival)), 0);
            step(s, below(8), T0 + i * 200);
        }
        CU_ASSERT_TRUE(same(&s[0], &s[1]));
        CU_ASSERT_TRUE(s[0].log.len > 1000);
        struct plan_stats st;
        engine_plan_stats(s[0].e, &st);
        CU_ASSERT_TRUE(st.reads > 500);
        if (!arrival)
            CU_ASSERT_EQUAL(st.batch_reads, 0);
        side_close(&s[0]);
        side_close(&s[1]);
    }
}

static void on_the_grid(void)
{
    equal_to_batch(false);
}

static void on_arrival(void)
{
    equal_to_batch(true);
}

// A rule that is tried again runs after its group, so the way there may differ, but not the end.
static void whatever_memory_fails(void)
{
    int hits = 0;
    for (int nth = 1;; nth++) {
        struct side s[2];
        bool hit = false;
        seed = 3;
        side_open(&s[0], &(struct engine_options){0}, true);
        side_open(&s[1], &(struct engine_options){.batch = true}, true);
        for (int64_t i = 0; i < 60; i++) {
            if (i == 20) {
                // A sample fires, a series is born, a tick is due: the plan lacks memory for one.
                struct script x = {4, T0 + i * 200, 39, true, true};
                for (int k = 0; k < 2; k++) {
                    engine_watermark(s[k].e, T0 + i * 200);
                    sample(&s[k], &x);
                    CU_ASSERT_EQUAL(memory_source_add(s[k].m, s[k].id[0], x.t_ms, 9, NULL), 1);
                }
                oom_fail_at(nth);
                int rc = advance(&s[0], T0 + i * 200);
                hit = oom_stop();
                CU_ASSERT_TRUE(rc == 0 || (hit && rc == -ENOMEM));
                CU_ASSERT_TRUE(rc == 0 || engine_next(s[0].e) <= T0 + i * 200);
                CU_ASSERT_EQUAL(advance(&s[0], T0 + i * 200), 0);
                CU_ASSERT_EQUAL(advance(&s[1], T0 + i * 200), 0);
                CU_ASSERT_EQUAL(advance(&s[1], T0 + i * 200), 0);
            } else if (i != 18 && i != 19) {
                step(s, below(6), T0 + i * 200);
            }
        }
        CU_ASSERT_TRUE(same_state(&s[0], &s[1]));
        hits += hit;
        side_close(&s[0]);
        side_close(&s[1]);
        if (!hit || nth > 2000)
            break;
    }
    CU_ASSERT_TRUE(hits > 20);
}

static void reload_keeps_windows(void)
{
    struct side s;
    struct plan_stats before, after;
    side_open(&s, &(struct engine_options){0}, true);
    for (int64_t i = 0; i < 50; i++) {
        for (size_t k = 0; k < SERIES; k++)
            sample(&s, &(struct script){k, T0 + i * 1000, (double)k, false, true});
        engine_watermark(s.e, T0 + i * 1000);
        advance(&s, T0 + i * 1000);
    }
    engine_plan_stats(s.e, &before);
    CU_ASSERT_EQUAL(engine_load(s.e, rules(false, true)), 0);
    engine_plan_stats(s.e, &after);
    CU_ASSERT_EQUAL(before.nodes, after.nodes);
    CU_ASSERT_EQUAL(before.elements, after.elements);
    CU_ASSERT_EQUAL(before.bytes, after.bytes);
    advance(&s, T0 + 50500);
    advance(&s, T0 + 51500);
    engine_plan_stats(s.e, &after);
    CU_ASSERT_EQUAL(before.selects, after.selects);
    // Two expressions more, one of them new altogether: only its leaf asks for series.
    CU_ASSERT_EQUAL(engine_load(s.e, rules(true, true)), 0);
    advance(&s, T0 + 52500);
    engine_plan_stats(s.e, &after);
    CU_ASSERT_EQUAL(before.selects, after.selects); // both read x, which others read too
    CU_ASSERT_EQUAL(after.nodes, before.nodes + 5);
    CU_ASSERT_EQUAL(engine_load(s.e, rules(false, true)), 0);
    engine_plan_stats(s.e, &after);
    CU_ASSERT_EQUAL(after.nodes, before.nodes);
    side_close(&s);
}

static const struct rule_status *found(struct side *s, const char *name);

static bool find(void *ctx, const struct rule_status *r)
{
    struct rule_status *want = ctx;
    if (strcmp(r->rule->name, want->error) != 0)
        return true;
    *want = *r;
    return false;
}

static const struct rule_status *found(struct side *s, const char *name)
{
    static struct rule_status r;
    r = (struct rule_status){.error = name};
    engine_each_rule(s->e, find, &r);
    return &r;
}

static void limits_name_the_rule(void)
{
    struct side s;
    struct engine_options o = {.elements_max = 8, .node_elements_max = 100};
    side_open(&s, &o, false);
    for (size_t k = 0; k < SERIES; k++)
        sample(&s, &(struct script){k, T0, 36, false, true});
    engine_watermark(s.e, T0);
    advance(&s, T0);
    CU_ASSERT_STRING_EQUAL(
        found(&s, "Each")->error, "g/Each: the result has 9 elements, more than 8");
    CU_ASSERT_STRING_EQUAL(found(&s, "job:x:sum")->health, "ok");
    CU_ASSERT_EQUAL(found(&s, "job:x:sum")->elements, 2);
    side_close(&s);
    o = (struct engine_options){.node_elements_max = 8};
    side_open(&s, &o, false);
    for (size_t k = 0; k < SERIES; k++)
        sample(&s, &(struct script){k, T0, 36, false, true});
    engine_watermark(s.e, T0);
    advance(&s, T0);
    CU_ASSERT_STRING_EQUAL(
        found(&s, "job:x:sum")->error, "g/job:x:sum: x has 9 elements, more than 8");
    CU_ASSERT_STRING_EQUAL(found(&s, "job:c:rate")->health, "ok");
    side_close(&s);
}

static void empty_places_are_no_elements(void)
{
    struct side s;
    side_open(&s, &(struct engine_options){0}, false);
    for (size_t k = 0; k < SERIES; k++)
        sample(&s, &(struct script){k, T0, 36, false, true});
    engine_watermark(s.e, T0);
    advance(&s, T0);
    CU_ASSERT_EQUAL(found(&s, "Each")->elements, 9);
    for (size_t k = 0; k < 3; k++)
        sample(
            &s, &(struct script){k, T0 + 500, double_from_bits(NAN_STALE_BITS), false, true});
    engine_watermark(s.e, T0 + 1000);
    advance(&s, T0 + 1000);
    CU_ASSERT_EQUAL(found(&s, "Each")->elements, 7);
    side_close(&s);
}

// The rules of a group read what the ones before wrote at that very tick, and a rule on arrival
// that reads a recorded series is evaluated when it is written.
static void recorded_series_reach_arrival_rules(void)
{
    struct side s;
    side_open(&s, &(struct engine_options){0}, true);
    for (int64_t i = 0; i < 5; i++) {
        for (size_t k = 0; k < SERIES; k++)
            sample(&s, &(struct script){k, T0 + i * 1000, i == 3 ? 30 : 1, false, false});
        engine_watermark(s.e, T0 + i * 1000);
        advance(&s, T0 + i * 1000);
    }
    // Chain ticks every 2 s and has to hold 1 s: begun at 3 s by what g recorded, fired at 4 s.
    CU_ASSERT_PTR_NOT_NULL(
        strstr(buf_cstr(&s.log), "1000000003000 Chain {alertname=\"Chain\", job=\"a\"}{}"
                                 " inactive -> pending"));
    side_close(&s);
}

static const struct test TESTS[] = {
    {"on the grid it is the batch evaluator's engine", on_the_grid},
    {"on arrival it is the batch evaluator's engine", on_arrival},
    {"whatever memory fails nothing is lost", whatever_memory_fails},
    {"a reload keeps windows and selects nothing again", reload_keeps_windows},
    {"limits name the rule and the part", limits_name_the_rule},
    {"empty places are no elements", empty_places_are_no_elements},
    {"recorded series reach arrival rules when they are written",
        recorded_series_reach_arrival_rules},
};

int main(void)
{
    return test_main("engine_plan", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
