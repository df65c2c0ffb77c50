// SPDX-License-Identifier: Apache-2.0
// The incremental evaluator over the store: whatever happens to agents, series and samples, it has
// the elements of the batch evaluator.
#include "collector/store.h"
#include "rules/parse.h"
#include "rules/plan.h"
#include "tests/lib/oom.h"
#include "tests/lib/run.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define T0     1000000000LL
#define AGENTS 3

static const struct store_options OPTIONS = {
    .retention_ms = 120000, .series_per_agent = 100, .series_max = 1000};

static const char *const EXPRESSIONS[] = {
    "m",
    "m{k=\"a\"}",
    "{k=\"b\"}",
    "{k=~\"a|c\",__name__!=\"e\"}",
    "m > 50",
    "sum by (k) (m)",
    "sum_over_time(m[10s])",
    "rate({__name__=~\"m|e\",k=\"a\"}[15s])",
    "max by (instance) (max_over_time(m[20s]))",
    "m / on (instance, k) group_left () sum by (instance, k) (e)",
    "count(e offset 3s)",
    "absent(m{k=\"c\"})",
    "r",
    "count_over_time(r[5s])",
};
#define N (sizeof(EXPRESSIONS) / sizeof(EXPRESSIONS[0]))

struct scene {
    struct store *s;
    const struct source *src;
    struct plan *plan;
    struct eval *batch;
    struct arena arena;
    struct expr_root root[N];
    struct plan_expr *x[N];
    struct agent_store *agent[AGENTS];
    int64_t tick[AGENTS];
    uint64_t epoch;
};

static uint64_t seed;
static uint32_t below(uint32_t n)
{
    seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
    return (uint32_t)(seed >> 33) % n;
}

static void add_expressions(struct scene *c, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++)
        CU_ASSERT_EQUAL_FATAL(plan_add(c->plan, &c->root[i], &c->x[i]), 0);
}

static void open_scene(struct scene *c, const struct store_options *o)
{
    *c = (struct scene){.s = store_new(o)};
    c->src = store_source(c->s);
    struct eval_options eo = {.lookback_ms = 20000};
    c->plan = plan_new(c->src, &eo);
    c->batch = eval_new(c->src, &eo);
    c->src->watch(c->src->self, plan_sample, c->plan);
    arena_init(&c->arena, 0);
    for (size_t i = 0; i < N; i++) {
        struct parse_error why;
        CU_ASSERT_EQUAL_FATAL(
            expr_parse(EXPRESSIONS[i], strlen(EXPRESSIONS[i]), &c->arena, &c->root[i], &why),
            0);
    }
    for (size_t i = 0; i < AGENTS; i++) {
        const uint8_t id[16] = {(uint8_t)(i + 1)};
        char name[8];
        snprintf(name, sizeof(name), "h%zu", i);
        c->agent[i] = store_agent(c->s, id, name, NULL, 0);
        c->tick[i] = (int64_t)i * 7;
    }
}

static void close_scene(struct scene *c)
{
    for (size_t i = 0; i < N; i++) {
        plan_remove(c->plan, c->x[i]);
        expr_done(&c->root[i]);
    }
    plan_free(c->plan);
    eval_free(c->batch);
    arena_done(&c->arena);
    store_free(c->s);
}

// Wire id w of an agent: three labels of two metrics.
static void declare(struct agent_store *a, uint32_t w)
{
    char k[2] = {(char)('a' + w % 3), 0};
    struct wire_label l[] = {{"k", k}};
    struct batch_declare d = {.id = w, .name = w < 3 ? "m" : "e", .labels = l, .n_labels = 1};
    store_declare(a, &d);
}

static void frame(struct scene *c, size_t who, int64_t t_ms)
{
    struct batch_sample m[6];
    struct batch_group g = {.interval_ms = 1000, .samples = m};
    if (below(20) == 0)
        c->tick[who] += below(5);
    g.tick = ++c->tick[who];
    if (below(12) == 0 && g.tick > 10) { // history
        g.tick -= 1 + below(8);
        t_ms -= 8000 - below(3000);
    }
    for (uint32_t w = 0; w < 6; w++) {
        if (below(30) == 0) {
            store_retire(c->agent[who], w);
            continue;
        }
        if (below(8) == 0)
            declare(c->agent[who], w);
        m[g.n++] = (struct batch_sample){.id = w,
            .kind = below(25) == 0 ? SAMPLE_STALE : SAMPLE_VALUE,
            .value = (double)below(100)};
    }
    if (below(10) == 0)
        g.interval_ms = 0;
    CU_ASSERT_TRUE(store_group(c->agent[who], &g, t_ms, NULL, NULL) >= -34);
}

static void record(struct scene *c, int64_t t_ms)
{
    struct label l[] = {{LABEL_NAME, "r"}, {"k", below(2) ? "a" : "b"}};
    struct labels labels = {l, 2};
    double v = below(6) == 0 ? double_from_bits(NAN_ABSENT_BITS) : (double)below(3);
    store_record(c->s, &labels, t_ms, v, NULL, NULL);
}

static void happen(struct scene *c, int64_t now_ms)
{
    for (size_t i = 0; i < AGENTS; i++) {
        struct agent_store *a = c->agent[i];
        if (below(100) == 0)
            store_agent_silent(a, below(2));
        if (below(150) == 0)
            store_agent_end(a, now_ms);
        if (below(150) == 0) {
            store_agent_session(a, ++c->epoch);
            c->tick[i] = 0;
            for (uint32_t w = 0; w < 4; w++)
                declare(a, w);
        }
        if (below(60) == 0)
            store_agent_sweep(a, now_ms);
        if (below(3))
            frame(c, i, now_ms - below(400));
    }
    if (below(2))
        record(c, now_ms - below(2) * 1000);
    store_expire(c->s, now_ms);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static char *text_of(const struct value *v, int rc)
{
    char **line = calloc(v->vector.n + 1, sizeof(char *));
    size_t n = 0;
    struct buf b;
    for (size_t i = 0; rc == 0 && i < v->vector.n; i++) {
        const struct element *el = &v->vector.e[i];
        if (el->state == ELEMENT_FILTERED)
            continue;
        buf_init(&b, 65536);
        labels_print(&el->labels, &b);
        buf_addf(&b, " %d%d %.12g\n", el->state, el->silent, el->value);
        line[n++] = strdup(buf_cstr(&b));
        buf_done(&b);
    }
    qsort(line, n, sizeof(char *), by_text);
    buf_init(&b, 1u << 20);
    buf_addf(&b, "%s", rc < 0 ? "error\n" : "");
    for (size_t i = 0; i < n; i++) {
        buf_addf(&b, "%s", line[i]);
        free(line[i]);
    }
    free(line);
    char *text = strdup(buf_cstr(&b));
    buf_done(&b);
    return text;
}

static bool agrees(struct scene *c, size_t i, int64_t t_ms)
{
    struct value got = {0}, want = {0};
    struct err err = {0};
    eval_reset(c->batch);
    int want_rc = eval_instant(c->batch, &c->root[i], NULL, t_ms, &want, &err);
    int got_rc = plan_read(c->plan, c->x[i], t_ms, &got, &err);
    char *g = text_of(&got, got_rc), *w = text_of(&want, want_rc);
    bool ok = !strcmp(g, w);
    if (!ok)
        printf("%s at %lld\nincremental\n%sbatch\n%s", EXPRESSIONS[i], (long long)t_ms, g, w);
    free(g);
    free(w);
    return ok;
}

static void the_plan_has_what_the_batch_evaluator_has(void)
{
    for (int round = 0; round < 12; round++) {
        struct scene c;
        int wrong = 0;
        struct store_options o = OPTIONS;
        if (round % 4 == 3)
            o.bytes_per_agent = 20000;
        seed = (uint64_t)round * 977 + 5;
        open_scene(&c, &o);
        add_expressions(&c, 0, N / 2);
        for (int64_t t = T0; t < T0 + 600000 && !wrong; t += 500) {
            if (t == T0 + 200000) // a reload adds the rest
                add_expressions(&c, N / 2, N);
            happen(&c, t);
            for (size_t i = 0; i < N && below(3) && !wrong; i++)
                if (c.x[i])
                    wrong += !agrees(&c, i, t);
        }
        CU_ASSERT_EQUAL(wrong, 0);
        close_scene(&c);
    }
}

// Forty series of one selector are forgotten, one by one, and as many born.
static void many_deaths_and_births_leave_no_trace(void)
{
    struct scene c;
    int wrong = 0;
    open_scene(&c, &OPTIONS);
    add_expressions(&c, 0, N);
    for (int i = 0; i < 600 && !wrong; i++) {
        int64_t t = T0 + i * 1000LL;
        char k[12];
        snprintf(k, sizeof(k), "%d", i);
        struct label l[] = {{LABEL_NAME, "m"}, {"k", k}};
        struct labels labels = {l, 2};
        CU_ASSERT_EQUAL(store_record(c.s, &labels, t, i, NULL, NULL), 0);
        store_expire(c.s, t);
        for (size_t x = 0; x < N && !wrong; x++)
            wrong += !agrees(&c, x, t);
    }
    struct plan_stats st;
    struct store_stats alive;
    plan_stats(c.plan, &st);
    store_stats(c.s, &alive);
    CU_ASSERT_EQUAL(wrong, 0);
    CU_ASSERT_TRUE(alive.series < 130);
    CU_ASSERT_TRUE(st.elements < N * 2 * 250); // places of the dead are given back
    CU_ASSERT_TRUE(st.selects <= 20);          // once for each leaf
    close_scene(&c);
}

static void no_failed_allocation_loses_a_sample(void)
{
    for (int nth = 1;; nth++) {
        struct scene c;
        int wrong = 0;
        seed = 99;
        open_scene(&c, &OPTIONS);
        add_expressions(&c, 0, N);
        for (int64_t t = T0; t < T0 + 20000; t += 1000) {
            happen(&c, t);
            if (t == T0 + 12000)
                for (size_t i = 0; i < N; i++)
                    wrong += !agrees(&c, i, t);
        }
        oom_fail_at(nth);
        struct value v;
        struct err err;
        for (uint32_t w = 0; w < 6; w++)
            declare(c.agent[0], w);
        frame(&c, 0, T0 + 20000);
        for (size_t i = 0; i < N; i++) {
            int rc = plan_read(c.plan, c.x[i], T0 + 20000, &v, &err);
            CU_ASSERT_TRUE(rc == 0 || rc == -12 || rc == -22);
        }
        bool hit = oom_stop();
        for (size_t i = 0; i < N; i++)
            wrong += !agrees(&c, i, T0 + 20000);
        frame(&c, 1, T0 + 21000);
        for (size_t i = 0; i < N; i++)
            wrong += !agrees(&c, i, T0 + 21000);
        CU_ASSERT_EQUAL(wrong, 0);
        close_scene(&c);
        if (!hit || wrong || nth > 3000)
            break;
    }
}

static const struct test TESTS[] = {
    {"the plan has what the batch evaluator has", the_plan_has_what_the_batch_evaluator_has},
    {"many deaths and births leave no trace", many_deaths_and_births_leave_no_trace},
    {"no failed allocation loses a sample", no_failed_allocation_loses_a_sample},
};

int main(void)
{
    return test_main("store_plan", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
