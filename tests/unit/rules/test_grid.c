// SPDX-License-Identifier: Apache-2.0
/*
 * The engine as a whole on random histories and rules: on the grid it makes Prometheus's
 * transitions, by promtool 2.42 and by a model of its own; in which order, pieces and batches
 * samples come in between two ticks is all the same; and `evaluate: arrival` never fires for what
 * is not true. CONFORMANCE_SEED and CONFORMANCE_GRID (histories) change where it starts and how
 * long it goes.
 */
#include "tests/conformance/alert_model.h"
#include "tests/conformance/rig.h"
#include "tests/conformance/trial.h"
#include "tests/lib/run.h"
#include <stdlib.h>
#include <string.h>

#define TICKS_MAX 141

struct scenario {
    uint64_t seed;
    struct random r;
    struct history h;
    struct rules rules;
    int64_t grid_ms;
};

static void scenario_open(struct scenario *s, uint64_t seed)
{
    static const int64_t GRIDS[] = {5000, 10000, 20000};
    *s = (struct scenario){.seed = seed, .r = {seed}};
    history_make(&s->h, &s->r);
    s->grid_ms = RANDOM_PICK(&s->r, GRIDS);
    rules_make(&s->rules, &s->r, s->grid_ms);
}

static void scenario_close(struct scenario *s)
{
    rules_done(&s->rules);
    history_done(&s->h);
}

static uint64_t first_seed(void)
{
    const char *from = getenv("CONFORMANCE_SEED");
    return from ? strtoull(from, NULL, 10) : 1;
}

static uint64_t last_seed(uint64_t otherwise)
{
    const char *count = getenv("CONFORMANCE_GRID");
    return first_seed() + (count ? strtoull(count, NULL, 10) : otherwise);
}

static const struct sample *sample_of(const struct history *h, const struct arrival *a)
{
    return &h->series[a->series].s[a->sample];
}

// Feeds what has come in by then. Returns the next not fed.
static size_t feed_until(struct rig *g, size_t at, int64_t t_ms)
{
    while (at < g->h->n_order && sample_of(g->h, &g->h->order[at])->arrive_ms <= t_ms)
        rig_feed(g, &g->h->order[at++]);
    return at;
}

static void print_both(const char *what, const struct scenario *s, int64_t t_ms,
    const char *left, const struct result *x, const char *right, const struct result *y)
{
    struct buf text;
    buf_init(&text, 1u << 20);
    printf("seed %llu at %lld ms, grid %lld ms: %s\n", (unsigned long long)s->seed,
        (long long)t_ms, (long long)s->grid_ms, what);
    for (size_t i = 0, k = 0; i < x->n || k < y->n;) {
        int c = i == x->n ? 1 : k == y->n ? -1 : strcmp(x->row[i].labels, y->row[k].labels);
        if (c < 0 || (c == 0 && x->row[i].v != y->row[k].v))
            printf("  %s: %s %.17g\n", left, x->row[i].labels, x->row[i].v);
        if (c > 0 || (c == 0 && x->row[i].v != y->row[k].v))
            printf("  %s: %s %.17g\n", right, y->row[k].labels, y->row[k].v);
        i += c <= 0;
        k += c >= 0;
    }
    buf_done(&text);
    printf("%s\n", (const char *)s->rules.yaml.data);
}

// --- the model ----------------------------------------------------------
struct models {
    struct arena arena;
    struct alert_model *m; // by rule
    struct memory_source *source;
    struct eval *batch;
    size_t fed;
};

static void models_open(struct models *m, const struct scenario *s, bool compat_2_42)
{
    *m = (struct models){.source = memory_source_new()};
    arena_init(&m->arena, 0);
    m->m = calloc(RULES_MAX, sizeof(*m->m));
    struct source src = memory_source_interface(m->source);
    struct eval_options o = {
        .compat_2_42 = compat_2_42, .parity = true, .subquery_step_ms = s->grid_ms};
    m->batch = eval_new(&src, &o);
    CU_ASSERT_FATAL(m->m && m->batch);
    for (size_t i = 0; i < s->rules.n; i++) {
        const struct drafted *d = &s->rules.r[i];
        m->m[i] = (struct alert_model){
            .arena = &m->arena, .name = d->name, .for_ms = d->for_ms, .keep_ms = d->keep_ms};
    }
}

static void models_close(struct models *m)
{
    eval_free(m->batch);
    memory_source_free(m->source);
    free(m->m);
    arena_done(&m->arena);
}

static void models_feed(struct models *m, const struct history *h, int64_t t_ms)
{
    for (; m->fed < h->n_order; m->fed++) {
        const struct arrival *a = &h->order[m->fed];
        const struct sample *x = sample_of(h, a);
        uint32_t id;
        if (x->arrive_ms > t_ms)
            return;
        CU_ASSERT_EQUAL(memory_source_series(m->source, &h->series[a->series].labels, &id), 0);
        memory_source_add(m->source, id, x->t_ms, x->v, NULL);
    }
}

// A rule that fails is marked in failed, unless that is NULL.
static void models_tick(
    struct models *m, const struct scenario *s, int64_t t_ms, bool failed[RULES_MAX])
{
    for (size_t i = 0; i < s->rules.n; i++) {
        struct value v = {0};
        struct err err = {0};
        if (!s->rules.r[i].alert || s->rules.r[i].recorded)
            continue;
        eval_reset(m->batch);
        int rc = eval_instant(m->batch, &s->rules.r[i].x, NULL, t_ms, &v, &err);
        bool ok = alert_model_step(&m->m[i], t_ms, rc, &v);
        if (failed && !ok)
            failed[i] = true;
    }
}

static void models_firing(
    const struct models *m, const struct scenario *s, struct arena *a, struct result *ret)
{
    for (size_t i = 0; i < s->rules.n; i++)
        for (size_t k = 0; k < m->m[i].n; k++)
            if (m->m[i].a[k].state == ALERT_FIRING)
                result_add(ret, a, m->m[i].a[k].labels, strlen(m->m[i].a[k].labels), 1);
    result_sort(ret);
}

// Without the alert that reads a recorded series: the model has none.
static void leave_out_recorded(struct result *r)
{
    size_t n = 0;
    for (size_t i = 0; i < r->n; i++)
        if (!strstr(r->row[i].labels, "alertname=\"R\""))
            r->row[n++] = r->row[i];
    r->n = n;
}

// --- promtool ------------------------------------------------------------------------------------
static bool grid_equals_promtool(struct scenario *s, size_t *ticks, size_t *alerts)
{
    struct moment m[TICKS_MAX];
    struct trial t;
    char path[600];
    size_t n = 0, fed = 0;
    snprintf(path, sizeof(path), "%s/rules.yml", test_tmpdir());
    FILE *f = fopen(path, "we");
    CU_ASSERT_FATAL(f && fwrite(s->rules.yaml.data, 1, s->rules.yaml.len, f));
    fclose(f);
    trial_init(&t, &s->h);
    t.step_ms = s->grid_ms;
    t.rule_file = path;
    CU_ASSERT_FATAL(trial_ask(&t, "{__name__=~\"ALERTS|ALERTS_FOR_STATE\"}"));
    for (int64_t at = 0; at <= HISTORY_END_MS; at += s->grid_ms)
        m[n++] = (struct moment){at, true};
    trial_at(&t, m, n);
    void *oracle = promtool_evaluator.open(&t);
    if (!oracle) {
        trial_done(&t);
        return false;
    }
    struct rig g;
    struct buf file;
    buf_init(&file, 64u << 20);
    trial_write_series(&t, &file);
    buf_adds(&file, "    alert_rule_test:\n");
    rig_open(&g, &s->h, &s->rules, NULL, s->grid_ms, true);
    bool same = true;
    for (size_t k = 0; k < n && same; k++) {
        struct result want, got = {0};
        fed = feed_until(&g, fed, m[k].t_ms);
        engine_watermark(g.e, m[k].t_ms);
        rig_advance(&g, m[k].t_ms);
        rig_alerts(&g, &t.arena, &got);
        promtool_evaluator.read(oracle, 0, k, &t.arena, &want);
        same = result_compare(&want, &got, 0, 0) == SAME;
        if (k % 9 == 8)
            rig_write_alerts(&g, &s->rules, m[k].t_ms, &file);
        ++*ticks;
        *alerts += got.n;
        if (!same)
            print_both(
                "other alerts than promtool's", s, m[k].t_ms, "promtool", &want, "here", &got);
    }
    CU_ASSERT_TRUE(same);
    CU_ASSERT_TRUE(promtool_passes(&file));
    buf_done(&file);
    rig_close(&g);
    promtool_evaluator.close(oracle);
    trial_done(&t);
    return true;
}

// promtool gives up at the first rule that fails to be evaluated.
static void leave_out_failing(struct scenario *s)
{
    bool failed[RULES_MAX] = {false};
    struct models m;
    models_open(&m, s, true);
    for (int64_t t = 0; t <= HISTORY_END_MS; t += s->grid_ms) {
        models_feed(&m, &s->h, t);
        models_tick(&m, s, t, failed);
    }
    models_close(&m);
    for (size_t i = 0; i < s->rules.n; i++)
        s->rules.r[i].left_out = failed[i];
    rules_write(&s->rules, s->grid_ms);
}

static void ticks_are_promtools(void)
{
    size_t ticks = 0, alerts = 0;
    for (uint64_t seed = first_seed(); seed < last_seed(6); seed++) {
        struct scenario s;
        scenario_open(&s, seed);
        // promtool has every sample in time.
        for (size_t i = 0; i < s.h.n; i++)
            for (size_t k = 0; k < s.h.series[i].n; k++)
                s.h.series[i].s[k].arrive_ms = s.h.series[i].s[k].t_ms;
        history_sort(&s.h);
        leave_out_failing(&s);
        bool there = grid_equals_promtool(&s, &ticks, &alerts);
        scenario_close(&s);
        if (!there) {
            printf("skipped: needs promtool 2.42 (Debian 12's prometheus package)\n");
            return;
        }
    }
    printf("%zu ticks, %zu rows of ALERTS and ALERTS_FOR_STATE as promtool has them\n", ticks,
        alerts);
    CU_ASSERT_TRUE(alerts > ticks);
}

// --- the order of samples ------------------------------------------------------------------------
// The same samples until each tick, in another order and in pieces with the engine called between.
static void feed_shuffled(
    struct rig *g, struct random *r, size_t *at, int64_t last_tick_ms, int64_t t_ms)
{
    struct arrival piece[4096];
    size_t n = 0;
    while (*at < g->h->n_order && sample_of(g->h, &g->h->order[*at])->arrive_ms <= t_ms) {
        CU_ASSERT_FATAL(n < 4096);
        piece[n++] = g->h->order[(*at)++];
    }
    for (size_t i = n; i > 1; i--) {
        size_t k = (size_t)random_below(r, (int)i);
        struct arrival swap = piece[i - 1];
        piece[i - 1] = piece[k];
        piece[k] = swap;
    }
    for (size_t i = 0; i < n; i++) {
        rig_feed(g, &piece[i]);
        if (random_chance(r, 0.1))
            rig_advance(g, last_tick_ms + (t_ms - last_tick_ms) * (int64_t)i / (int64_t)n);
    }
}

static void print_first_other(uint64_t seed, const char *x, const char *y)
{
    while (*x && *y && !strncmp(x, y, strcspn(x, "\n") + 1)) {
        x += strcspn(x, "\n") + 1;
        y += strcspn(y, "\n") + 1;
    }
    printf("seed %llu: in order %.*s\n  and shuffled %.*s\n", (unsigned long long)seed,
        (int)strcspn(x, "\n"), x, (int)strcspn(y, "\n"), y);
}

static void order_is_all_the_same(void)
{
    size_t ticks = 0, transitions = 0;
    for (uint64_t seed = first_seed(); seed < last_seed(8); seed++) {
        struct scenario s;
        struct models m;
        struct rig in_order, shuffled;
        size_t fed = 0, fed_shuffled = 0;
        bool same = true;
        scenario_open(&s, seed);
        models_open(&m, &s, false);
        rig_open(&in_order, &s.h, &s.rules, NULL, s.grid_ms, false);
        rig_open(&shuffled, &s.h, &s.rules, NULL, s.grid_ms, false);
        for (int64_t t = 0; t <= HISTORY_END_MS && same; t += s.grid_ms, ticks++) {
            struct result want = {0}, got = {0};
            fed = feed_until(&in_order, fed, t);
            feed_shuffled(&shuffled, &s.r, &fed_shuffled, t ? t - s.grid_ms + 1 : 0, t);
            engine_watermark(in_order.e, t);
            engine_watermark(shuffled.e, t);
            rig_advance(&in_order, t);
            rig_advance(&shuffled, t);
            models_feed(&m, &s.h, t);
            models_tick(&m, &s, t, NULL);
            models_firing(&m, &s, &m.arena, &want);
            rig_firing(&in_order, &m.arena, &got);
            leave_out_recorded(&got);
            same = result_compare(&want, &got, 0, 0) == SAME;
            if (!same)
                print_both(
                    "other alerts than the model's", &s, t, "model", &want, "here", &got);
        }
        CU_ASSERT_TRUE(same);
        same = !strcmp(buf_cstr(&in_order.log), buf_cstr(&shuffled.log));
        if (!same)
            print_first_other(seed, buf_cstr(&in_order.log), buf_cstr(&shuffled.log));
        CU_ASSERT_TRUE(same);
        for (const char *c = buf_cstr(&in_order.log); *c; c++)
            transitions += *c == '\n';
        rig_close(&in_order);
        rig_close(&shuffled);
        models_close(&m);
        scenario_close(&s);
    }
    printf("%zu ticks, %zu transitions, the same in any order, by the model too\n", ticks,
        transitions);
    CU_ASSERT_TRUE(transitions > 100);
}

// --- evaluate: arrival ------------------------------------------------------------------------------
// What was true at the last ticks, by rule: an alert that fires may have been pending since then.
struct seen_tick {
    int64_t t_ms;
    struct result of[RULES_MAX];
};
struct arrival_run {
    const struct scenario *s;
    struct rig on_arrival, on_grid;
    struct eval *batch; // over the source of on_arrival
    struct arena arena; // of the ticks
    struct seen_tick tick[TICKS_MAX];
    size_t n_ticks, wrong;
};

// The alerts the rule's expression makes at t_ms of what has come in by now.
static void true_at(struct arrival_run *a, size_t rule, int64_t t_ms, struct result *ret)
{
    struct value v = {0};
    struct err err = {0};
    *ret = (struct result){0};
    eval_reset(a->batch);
    if (eval_instant(a->batch, &a->s->rules.r[rule].x, NULL, t_ms, &v, &err) != 0)
        return;
    for (size_t i = 0; i < v.vector.n; i++) {
        if (v.vector.e[i].state != ELEMENT_VALUE)
            continue;
        const char *l =
            alert_labels(&a->arena, &v.vector.e[i].labels, a->s->rules.r[rule].name);
        result_add(ret, &a->arena, l, strlen(l), v.vector.e[i].value);
    }
}

static bool holds(const struct result *r, const char *labels)
{
    for (size_t i = 0; i < r->n; i++)
        if (!strcmp(r->row[i].labels, labels))
            return true;
    return false;
}

static size_t rule_of(const struct scenario *s, const char *name)
{
    for (size_t i = 0; i < s->rules.n; i++)
        if (!strcmp(s->rules.r[i].name, name))
            return i;
    CU_FAIL_FATAL("a transition of no rule");
    return 0;
}

// An alert that fires is true now, was true at every tick since it was pending, and that is long
// enough ago.
static void check_firing(struct arrival_run *a, const struct transition *t)
{
    size_t rule = rule_of(a->s, t->rule->name);
    struct buf text;
    struct result now;
    const char *why = NULL;
    if (a->s->rules.r[rule].recorded)
        return;
    buf_init(&text, 65536);
    labels_print_flat(t->alert->labels, &text);
    const char *labels = buf_cstr(&text);
    true_at(a, rule, t->at_ms, &now);
    if (!holds(&now, labels))
        why = "is false at that time";
    if (t->at_ms - t->alert->active_at_ms < a->s->rules.r[rule].for_ms)
        why = "is not pending for long enough";
    for (size_t i = 0; i < a->n_ticks; i++)
        if (a->tick[i].t_ms >= t->alert->active_at_ms && a->tick[i].t_ms <= t->at_ms &&
            !holds(&a->tick[i].of[rule], labels))
            why = "was false at a tick since it is pending";
    if (why && a->wrong++ < 5)
        printf("seed %llu: %s fires at %lld ms, active at %lld ms, and %s: %s\n",
            (unsigned long long)a->s->seed, labels, (long long)t->at_ms,
            (long long)t->alert->active_at_ms, why, a->s->rules.r[rule].x.text);
    buf_done(&text);
}

// What fires on the grid fires on arrival too: never later.
static void check_not_later(struct arrival_run *a, int64_t tick_ms)
{
    struct result grid = {0}, arrival = {0};
    rig_firing(&a->on_grid, &a->arena, &grid);
    rig_firing(&a->on_arrival, &a->arena, &arrival);
    leave_out_recorded(&grid);
    for (size_t i = 0; i < grid.n; i++)
        if (!holds(&arrival, grid.row[i].labels) && a->wrong++ < 5)
            printf("seed %llu: %s fires on the grid at %lld ms and not on arrival\n",
                (unsigned long long)a->s->seed, grid.row[i].labels, (long long)tick_ms);
}

// Both engines at one time of the clock. Ticks are seen through once their grace is over.
static void arrival_advance(struct arrival_run *a, int64_t now_ms)
{
    int64_t tick_ms = (int64_t)a->n_ticks * a->s->grid_ms;
    bool ticks = now_ms >= tick_ms + 250 && a->n_ticks < TICKS_MAX;
    if (ticks) {
        struct seen_tick *seen = &a->tick[a->n_ticks++];
        seen->t_ms = tick_ms;
        for (size_t i = 0; i < a->s->rules.n; i++)
            true_at(a, i, tick_ms, &seen->of[i]);
    }
    rig_advance(&a->on_arrival, now_ms);
    for (size_t i = 0; i < a->on_arrival.last.n; i++)
        if (a->on_arrival.last.t[i].to == ALERT_FIRING)
            check_firing(a, &a->on_arrival.last.t[i]);
    rig_advance(&a->on_grid, now_ms);
    if (ticks)
        check_not_later(a, tick_ms);
}

static int64_t next_of(const struct arrival_run *a)
{
    int64_t x = engine_next(a->on_arrival.e), y = engine_next(a->on_grid.e);
    return x < y ? x : y;
}

static void arrival_run(struct arrival_run *a)
{
    const struct history *h = &a->s->h;
    int64_t now_ms = 0;
    arrival_advance(a, 0);
    for (size_t i = 0; i < h->n_order; i++) {
        int64_t comes = sample_of(h, &h->order[i])->arrive_ms;
        // What the engines want to do before it comes, at the times they name.
        for (int64_t next = next_of(a); next < comes; next = next_of(a)) {
            now_ms = next > now_ms ? next : now_ms + 1;
            arrival_advance(a, now_ms);
        }
        now_ms = comes > now_ms ? comes : now_ms;
        rig_feed(&a->on_arrival, &h->order[i]);
        rig_feed(&a->on_grid, &h->order[i]);
        if (i + 1 == h->n_order || sample_of(h, &h->order[i + 1])->arrive_ms > comes)
            arrival_advance(a, now_ms);
    }
}

static void arrival_fires_what_is_true(void)
{
    size_t on_arrival = 0, on_grid = 0, wrong = 0;
    for (uint64_t seed = first_seed(); seed < last_seed(4); seed++) {
        static struct arrival_run a;
        struct scenario s;
        struct random later = {seed ^ 0x5a5a};
        scenario_open(&s, seed);
        // Each sample is a little under way, so some come after the tick they belong to.
        for (size_t i = 0; i < s.h.n; i++)
            for (size_t k = 0; k < s.h.series[i].n; k++)
                s.h.series[i].s[k].arrive_ms += 1 + random_below(&later, 400);
        history_sort(&s.h);
        a = (struct arrival_run){.s = &s};
        arena_init(&a.arena, 0);
        rig_open(&a.on_arrival, &s.h, &s.rules, buf_cstr(&s.rules.arrival), s.grid_ms, false);
        rig_open(&a.on_grid, &s.h, &s.rules, NULL, s.grid_ms, false);
        struct source src = memory_source_interface(a.on_arrival.m);
        struct eval_options o = {.parity = true, .subquery_step_ms = s.grid_ms};
        a.batch = eval_new(&src, &o);
        CU_ASSERT_FATAL(a.batch != NULL);
        arrival_run(&a);
        on_arrival += a.on_arrival.fired;
        on_grid += a.on_grid.fired;
        wrong += a.wrong;
        eval_free(a.batch);
        rig_close(&a.on_arrival);
        rig_close(&a.on_grid);
        arena_done(&a.arena);
        scenario_close(&s);
    }
    printf("%zu pages on the grid, %zu on arrival: %.1f %% more, none for what was false\n",
        on_grid, on_arrival,
        on_grid ? 100.0 * ((double)on_arrival - (double)on_grid) / (double)on_grid : 0);
    CU_ASSERT_EQUAL(wrong, 0);
    CU_ASSERT_TRUE(on_grid > 100 && on_arrival > on_grid);
}

static const struct test TESTS[] = {
    {"alerts are promtool's at every tick, to their annotations", ticks_are_promtools},
    {"alerts are the model's, in whatever order and pieces samples come in",
        order_is_all_the_same},
    {"evaluate: arrival never fires for what is false, nor later than the grid",
        arrival_fires_what_is_true},
};

int main(void)
{
    return test_main("grid", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
