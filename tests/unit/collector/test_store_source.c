// SPDX-License-Identifier: Apache-2.0
// What rules read of the store: samples one after another, and who is told of what.
#include "collector/store.h"
#include "tests/lib/run.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define T0 1000000LL

static const uint8_t ID1[16] = {1}, ID2[16] = {2};
static const struct store_options OPTIONS = {
    .retention_ms = 600000, .series_per_agent = 100, .series_max = 1000};

struct told {
    uint32_t id;
    int64_t t_ms;
    double v;
};
struct scene {
    struct store *s;
    const struct source *src;
    struct agent_store *a;
    struct told told[512];
    size_t n;
    char gone[64]; // a label of the series that was forgotten last
};

static void tell(void *ctx, uint32_t id, int64_t t_ms, double v)
{
    struct scene *c = ctx;
    CU_ASSERT_TRUE_FATAL(c->n < sizeof(c->told) / sizeof(c->told[0]));
    c->told[c->n++] = (struct told){id, t_ms, v};
    if (t_ms != INT64_MAX)
        return;
    struct labels l = c->src->labels(c->src->self, id);
    snprintf(c->gone, sizeof(c->gone), "%s", labels_get(&l, LABEL_NAME));
}

static void open_scene(struct scene *c, const struct store_options *o)
{
    *c = (struct scene){.s = store_new(o)};
    c->src = store_source(c->s);
    c->a = store_agent(c->s, ID1, "h", NULL, 0);
    c->src->watch(c->src->self, tell, c);
}

static void close_scene(struct scene *c)
{
    store_free(c->s);
}

static uint32_t declare(struct agent_store *a, uint32_t id, const char *name)
{
    struct batch_declare d = {.id = id, .name = name};
    return store_declare(a, &d);
}

static int give(
    struct agent_store *a, uint32_t interval, int64_t tick, int64_t t_ms, struct batch_sample m)
{
    struct batch_group g = {
        .interval_ms = interval, .tick = tick, .stamp_ms = t_ms, .samples = &m, .n = 1};
    return store_group(a, &g, t_ms, NULL, NULL);
}

static int sample(
    struct agent_store *a, uint32_t interval, int64_t tick, int64_t t_ms, uint32_t id, double v)
{
    return give(a, interval, tick, t_ms,
        (struct batch_sample){.id = id, .kind = SAMPLE_VALUE, .value = v});
}

// Whether exactly one thing was told since the last question, and this.
static bool told(struct scene *c, uint32_t id, int64_t t_ms)
{
    bool ok = c->n == 1 && c->told[0].id == id && c->told[0].t_ms == t_ms;
    c->n = 0;
    return ok;
}

static bool silence(struct scene *c)
{
    bool ok = c->n == 0;
    c->n = 0;
    return ok;
}

static void a_stored_row_is_told_and_a_duplicate_is_not(void)
{
    struct scene c;
    open_scene(&c, &OPTIONS);
    uint32_t id = declare(c.a, 1, "x");
    CU_ASSERT_TRUE(silence(&c));
    sample(c.a, 1000, 7, T0, 1, 5);
    CU_ASSERT_TRUE(told(&c, id, T0));
    sample(c.a, 1000, 7, T0, 1, 6);
    CU_ASSERT_TRUE(silence(&c));
    give(c.a, 1000, 8, T0 + 1000, (struct batch_sample){.id = 1, .kind = SAMPLE_ABSENT});
    CU_ASSERT_TRUE(silence(&c));
    give(c.a, 1000, 9, T0 + 2000, (struct batch_sample){.id = 1, .kind = SAMPLE_STALE});
    CU_ASSERT_TRUE(told(&c, id, T0 + 2000));
    sample(c.a, 1000, 3, T0 - 4000, 1, 2); // history that comes later
    CU_ASSERT_TRUE(told(&c, id, T0 - 4000));
    CU_ASSERT_TRUE(sample(c.a, 1000, 8, T0 + 1000, 9, 2) == 0 && silence(&c)); // not declared
    close_scene(&c);
}

static void an_event_is_told_and_so_is_what_replaces_it(void)
{
    struct scene c;
    open_scene(&c, &OPTIONS);
    uint32_t id = declare(c.a, 1, "x");
    sample(c.a, 0, 0, T0, 1, 5);
    CU_ASSERT_TRUE(told(&c, id, T0));
    sample(c.a, 0, 0, T0, 1, 5);
    CU_ASSERT_TRUE(silence(&c));
    sample(c.a, 0, 0, T0, 1, 6);
    CU_ASSERT_TRUE(told(&c, id, T0));
    close_scene(&c);
}

static void a_sample_is_told_with_its_value(void)
{
    struct scene c;
    open_scene(&c, &OPTIONS);
    declare(c.a, 1, "x");
    struct label l[] = {{LABEL_NAME, "r"}};
    struct wire_histogram h = {.scale = 4, .zero_count = 3};
    sample(c.a, 1000, 7, T0, 1, 5);
    sample(c.a, 0, 0, T0 + 10, 1, 6);
    CU_ASSERT_EQUAL(store_record(c.s, &(struct labels){l, 1}, T0, 7, NULL, NULL), 0);
    give(c.a, 1000, 8, T0 + 1000, (struct batch_sample){.id = 1, .kind = SAMPLE_STALE});
    give(c.a, 1000, 9, T0 + 2000,
        (struct batch_sample){.id = 1, .kind = SAMPLE_HISTOGRAM, .hist = &h});
    give(c.a, 0, 0, T0 + 2001,
        (struct batch_sample){.id = 1, .kind = SAMPLE_HISTOGRAM, .hist = &h});
    CU_ASSERT_EQUAL_FATAL(c.n, 6);
    for (int i = 0; i < 3; i++)
        CU_ASSERT_EQUAL(c.told[i].v, 5 + i);
    CU_ASSERT_TRUE(is_stale(c.told[3].v));
    CU_ASSERT_EQUAL(double_bits(c.told[4].v), NAN_ABSENT_BITS);
    CU_ASSERT_EQUAL(double_bits(c.told[5].v), NAN_ABSENT_BITS);
    close_scene(&c);
}

static void recorded_samples_and_their_silence_are_told(void)
{
    struct scene c;
    open_scene(&c, &OPTIONS);
    struct label l[] = {{LABEL_NAME, "r"}};
    struct labels s = {l, 1};
    double absent = double_from_bits(NAN_ABSENT_BITS);
    uint32_t id = 0;
    CU_ASSERT_EQUAL(store_record(c.s, &s, T0, 1, NULL, &id), 0);
    CU_ASSERT_TRUE(told(&c, id, T0));
    CU_ASSERT_EQUAL(c.src->record(c.src->self, &s, T0 + 1000, 1, NULL), 0);
    CU_ASSERT_TRUE(told(&c, id, T0 + 1000));
    CU_ASSERT_EQUAL(c.src->record(c.src->self, &s, T0 + 1000, 1, NULL), 0);
    CU_ASSERT_TRUE(silence(&c));
    CU_ASSERT_EQUAL(c.src->record(c.src->self, &s, T0 + 1000, 2, NULL), 0);
    CU_ASSERT_TRUE(told(&c, id, T0 + 1000));
    for (int i = 0; i < 2; i++)
        CU_ASSERT_EQUAL(c.src->record(c.src->self, &s, T0 + 2000, absent, NULL), 0);
    CU_ASSERT_TRUE(told(&c, id, INT64_MIN));
    CU_ASSERT_TRUE(c.src->silent(c.src->self, id));
    CU_ASSERT_EQUAL(c.src->record(c.src->self, &s, T0 + 3000, 2, NULL), 0);
    CU_ASSERT_TRUE(c.n == 2 && c.told[0].t_ms == INT64_MIN && c.told[1].t_ms == T0 + 3000);
    close_scene(&c);
}

static void a_silent_agent_is_told_once_for_each_series(void)
{
    struct scene c;
    open_scene(&c, &OPTIONS);
    uint32_t x = declare(c.a, 1, "x"), y = declare(c.a, 2, "y");
    for (int i = 0; i < 2; i++)
        store_agent_silent(c.a, true);
    CU_ASSERT_TRUE(c.n == 2 && c.told[0].t_ms == INT64_MIN && c.told[1].t_ms == INT64_MIN);
    CU_ASSERT_EQUAL(c.told[0].id + c.told[1].id, x + y);
    c.n = 0;
    // Another agent goes on with a series of the silent one.
    struct agent_store *other = store_agent(c.s, ID2, "h", NULL, 0);
    CU_ASSERT_EQUAL(declare(other, 1, "x"), x);
    CU_ASSERT_TRUE(told(&c, x, INT64_MIN));
    store_agent_silent(c.a, false);
    CU_ASSERT_TRUE(told(&c, y, INT64_MIN));
    close_scene(&c);
}

static void ends_and_sweeps_are_told(void)
{
    struct scene c;
    open_scene(&c, &OPTIONS);
    uint32_t x = declare(c.a, 1, "x"), y = declare(c.a, 2, "y");
    sample(c.a, 1000, 1, T0, 1, 5);
    sample(c.a, 1000, 1, T0, 2, 5);
    c.n = 0;
    store_agent_session(c.a, 2);
    CU_ASSERT_EQUAL(declare(c.a, 1, "x"), x);
    store_agent_sweep(c.a, T0 + 500);
    CU_ASSERT_TRUE(told(&c, y, T0 + 500));
    store_agent_end(c.a, T0 + 900);
    CU_ASSERT_TRUE(told(&c, x, T0 + 900));
    store_agent_end(c.a, T0 + 950);
    CU_ASSERT_TRUE(silence(&c));
    close_scene(&c);
}

static void a_forgotten_series_is_told_while_its_labels_live(void)
{
    struct scene c;
    open_scene(&c, &OPTIONS);
    uint32_t x = declare(c.a, 1, "x");
    sample(c.a, 0, 0, T0, 1, 5);
    store_retire(c.a, 1);
    c.n = 0;
    store_expire(c.s, T0 + 600000);
    CU_ASSERT_TRUE(silence(&c));
    store_expire(c.s, T0 + 600001);
    store_expire(c.s, T0 + 600001); // the round before had looked at it already
    CU_ASSERT_TRUE(told(&c, x, INT64_MAX));
    CU_ASSERT_STRING_EQUAL(c.gone, "x");
    close_scene(&c);
}

static void samples_given_up_for_want_of_memory_are_told(void)
{
    struct scene c;
    struct store_options o = OPTIONS;
    o.bytes_per_agent = 20000;
    open_scene(&c, &o);
    uint32_t x = declare(c.a, 1, "x");
    size_t lost = 0;
    for (int i = 0; i < 500; i++) {
        CU_ASSERT_EQUAL(sample(c.a, 1000, i, T0 + i * 1000, 1, i), 1);
        for (size_t k = 0; k < c.n; k++)
            lost += c.told[k].id == x && c.told[k].t_ms == INT64_MIN;
        c.n = 0;
    }
    struct points all = {0};
    CU_ASSERT_EQUAL(c.src->range(c.src->self, x, 0, INT64_MAX, &all), 0);
    CU_ASSERT_TRUE(lost > 0);
    CU_ASSERT_TRUE(all.n < 500);
    free(all.p);
    close_scene(&c);
}

static void nobody_is_told_after_the_watch_ended(void)
{
    struct scene c;
    open_scene(&c, &OPTIONS);
    declare(c.a, 1, "x");
    c.src->watch(c.src->self, NULL, NULL);
    sample(c.a, 1000, 7, T0, 1, 5);
    store_agent_silent(c.a, true);
    CU_ASSERT_TRUE(silence(&c));
    close_scene(&c);
}

static uint64_t seed;
static uint32_t below(uint32_t n)
{
    seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
    return (uint32_t)(seed >> 33) % n;
}

// next() from any time gives one after another what range() gives, and latest() its last.
static bool reads_agree(struct scene *c, uint32_t id, int64_t t_ms)
{
    struct points all = {0};
    struct point p;
    bool ok = c->src->range(c->src->self, id, t_ms, INT64_MAX, &all) == 0;
    int64_t at = t_ms;
    for (size_t i = 0; ok && i < all.n; i++) {
        ok = c->src->next(c->src->self, id, at, &p) && p.t_ms == all.p[i].t_ms &&
             p.v == all.p[i].v;
        at = p.t_ms;
    }
    ok = ok && !c->src->next(c->src->self, id, at, &p);
    all.n = 0;
    ok = ok && c->src->range(c->src->self, id, 0, t_ms, &all) == 0;
    bool some = c->src->latest(c->src->self, id, t_ms, &p);
    ok = ok && some == (all.n > 0) &&
         (!some || (p.t_ms == all.p[all.n - 1].t_ms && p.v == all.p[all.n - 1].v));
    free(all.p);
    return ok;
}

static void one_after_another_is_what_a_range_gives(void)
{
    int wrong = 0;
    for (int round = 0; round < 40; round++) {
        struct scene c;
        bool falls = round % 4 == 3;
        seed = (uint64_t)round + 1;
        open_scene(&c, &OPTIONS);
        c.src->watch(c.src->self, NULL, NULL);
        uint32_t x = declare(c.a, 1, "x");
        int64_t shift = 0;
        for (int64_t tick = 0, i = 0; i < 400; i++) {
            tick += 1 + (below(10) == 0) * below(200);
            int64_t t_ms = T0 + tick * 1000 + below(300) + shift;
            if (below(100) == 0) { // a new session, ticks from the start
                store_agent_session(c.a, (uint64_t)i + 2);
                declare(c.a, 1, "x");
                shift = t_ms - T0;
                tick = 0;
            }
            if (falls && below(60) == 0)
                shift -= below(20000);
            sample(c.a, 1000, tick, t_ms, 1, (double)i);
            if (below(5) == 0)
                sample(
                    c.a, 0, 0, t_ms + below(3000) - 1000, 1, below(2) ? 1 : 1000 + (double)i);
            if (below(8) == 0 && tick > 20) // history
                sample(c.a, 1000, tick - below(20), t_ms - 10000, 1, (double)-i);
        }
        for (int i = 0; i < 300; i++)
            wrong += !reads_agree(&c, x, T0 + below(2000000) - 1000);
        close_scene(&c);
    }
    CU_ASSERT_EQUAL(wrong, 0);
}

static void without_gaps_the_latest_is_the_last_of_the_range(void)
{
    struct scene c;
    int wrong = 0;
    open_scene(&c, &OPTIONS);
    c.src->watch(c.src->self, NULL, NULL);
    uint32_t x = declare(c.a, 1, "x");
    for (int64_t tick = 0; tick < 900; tick++)
        if (tick % 130 > 3)
            sample(c.a, 1000, tick, T0 + tick * 1000, 1, (double)tick);
    for (int64_t t = T0 - 5000; t < T0 + 905000; t += 250)
        wrong += !reads_agree(&c, x, t);
    CU_ASSERT_EQUAL(wrong, 0);
    close_scene(&c);
}

static const struct test TESTS[] = {
    {"a stored row is told and a duplicate is not",
        a_stored_row_is_told_and_a_duplicate_is_not},
    {"an event is told and so is what replaces it",
        an_event_is_told_and_so_is_what_replaces_it},
    {"a sample is told with its value", a_sample_is_told_with_its_value},
    {"recorded samples and their silence are told",
        recorded_samples_and_their_silence_are_told},
    {"a silent agent is told once for each series",
        a_silent_agent_is_told_once_for_each_series},
    {"ends and sweeps are told", ends_and_sweeps_are_told},
    {"a forgotten series is told while its labels live",
        a_forgotten_series_is_told_while_its_labels_live},
    {"samples given up for want of memory are told",
        samples_given_up_for_want_of_memory_are_told},
    {"nobody is told after the watch ended", nobody_is_told_after_the_watch_ended},
    {"one after another is what a range gives", one_after_another_is_what_a_range_gives},
    {"without gaps the latest is the last of the range",
        without_gaps_the_latest_is_the_last_of_the_range},
};

int main(void)
{
    return test_main("store_source", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
