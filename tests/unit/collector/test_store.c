// SPDX-License-Identifier: Apache-2.0
#include "base/regex.h"
#include "collector/store.h"
#include "tests/lib/oom.h"
#include "tests/lib/run.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const uint8_t ID1[16] = {1}, ID2[16] = {2};
static const struct store_options OPTIONS = {
    .retention_ms = 600000, .series_per_agent = 100, .series_max = 1000};

static uint32_t declare(
    struct agent_store *a, uint32_t id, const char *name, const char *service)
{
    struct wire_label l[] = {{"job", "service"}, {"service", service}};
    struct batch_declare d = {.id = id, .name = name, .labels = l, .n_labels = 2};
    return store_declare(a, &d);
}

static int sample(
    struct agent_store *a, uint32_t interval, int64_t tick, int64_t t_ms, uint32_t id, double v)
{
    struct batch_sample s = {.id = id, .kind = SAMPLE_VALUE, .value = v};
    struct batch_group g = {
        .interval_ms = interval, .tick = tick, .stamp_ms = t_ms, .samples = &s, .n = 1};
    return store_group(a, &g, t_ms, NULL, NULL);
}

static size_t select_n(
    struct store *s, const struct matcher *m, size_t n, struct series_ids *ids)
{
    ids->n = 0;
    const struct source *src = store_source(s);
    CU_ASSERT_EQUAL(src->select(src->self, m, n, ids), 0);
    return ids->n;
}

static struct matcher eq(const char *name, const char *value)
{
    return (struct matcher){.op = MATCH_EQ, .name = name, .value = value};
}

static size_t points_of(
    struct store *s, uint32_t id, int64_t from, int64_t to, struct points *out)
{
    const struct source *src = store_source(s);
    out->n = 0;
    CU_ASSERT_EQUAL(src->range(src->self, id, from, to, out), 0);
    return out->n;
}

static void labels_are_the_samplers_then_the_hosts(void)
{
    struct store *s = store_new(&OPTIONS);
    struct wire_label host[] = {{"site", "fra"}, {"service", "lost"}};
    struct agent_store *a = store_agent(s, ID1, "web-1", host, 2);
    uint32_t id = declare(a, 1, "x", "nginx");
    const struct source *src = store_source(s);
    struct labels l = src->labels(src->self, id);
    struct buf b;
    buf_init(&b, 1000);
    labels_print(&l, &b);
    CU_ASSERT_STRING_EQUAL(buf_cstr(&b),
        "x{instance=\"web-1\", job=\"service\", service=\"nginx\", site=\"fra\"}");
    buf_reset(&b);
    struct batch_declare bare = {.id = 2, .name = "y"};
    l = src->labels(src->self, store_declare(a, &bare));
    labels_print(&l, &b);
    CU_ASSERT_STRING_EQUAL(
        buf_cstr(&b), "y{instance=\"web-1\", job=\"node\", service=\"lost\", site=\"fra\"}");
    buf_done(&b);
    store_free(s);
}

static void a_key_frame_repeats_and_nothing_is_born(void)
{
    struct store *s = store_new(&OPTIONS);
    struct agent_store *a = store_agent(s, ID1, "h", NULL, 0);
    const struct source *src = store_source(s);
    uint32_t id = declare(a, 1, "x", "a");
    uint64_t generation = src->generation(src->self);
    CU_ASSERT_EQUAL(declare(a, 1, "x", "a"), id);
    store_agent_session(a, 2);
    CU_ASSERT_EQUAL(store_series_of(a, 1), STORE_REFUSED);
    CU_ASSERT_EQUAL(declare(a, 9, "x", "a"), id);
    CU_ASSERT_EQUAL(store_series_of(a, 9), id);
    CU_ASSERT_EQUAL(src->generation(src->self), generation);
    CU_ASSERT_NOT_EQUAL(declare(a, 1, "x", "b"), id);
    CU_ASSERT_TRUE(src->generation(src->self) > generation);
    store_free(s);
}

static void selects_by_every_kind_of_matcher(void)
{
    struct store *s = store_new(&OPTIONS);
    struct agent_store *a = store_agent(s, ID1, "h1", NULL, 0),
                       *b = store_agent(s, ID2, "h2", NULL, 0);
    uint32_t x1 = declare(a, 1, "x", "web"), x2 = declare(b, 1, "x", "web"),
             y = declare(a, 2, "y", "web-2");
    struct series_ids ids = {0};
    struct matcher m[3] = {eq(LABEL_NAME, "x")};
    CU_ASSERT_EQUAL(select_n(s, m, 1, &ids), 2);
    CU_ASSERT_TRUE(ids.id[0] == x1 && ids.id[1] == x2);
    m[1] = eq("instance", "h2");
    CU_ASSERT_EQUAL(select_n(s, m, 2, &ids), 1);
    m[1] = eq("nolabel", "");
    CU_ASSERT_EQUAL(select_n(s, m, 2, &ids), 2);
    m[1] = eq("nolabel", "v");
    CU_ASSERT_EQUAL(select_n(s, m, 2, &ids), 0);
    m[0] = (struct matcher){.op = MATCH_NE, .name = "service", .value = "web"};
    CU_ASSERT_EQUAL(select_n(s, m, 1, &ids), 1);
    CU_ASSERT_EQUAL(ids.id[0], y);
    struct err err;
    struct regex *re = regex_new("web.*", 5, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(re);
    m[0] = (struct matcher){.op = MATCH_RE, .name = "service", .value = "web.*", .re = re};
    CU_ASSERT_EQUAL(select_n(s, m, 1, &ids), 3);
    CU_ASSERT_TRUE(ids.id[0] < ids.id[1] && ids.id[1] < ids.id[2]);
    m[0].op = MATCH_NRE;
    CU_ASSERT_EQUAL(select_n(s, m, 1, &ids), 0);
    regex_free(re);
    free(ids.id);
    store_free(s);
}

static void events_and_ticks_are_read_in_one_order(void)
{
    struct store *s = store_new(&OPTIONS);
    struct agent_store *a = store_agent(s, ID1, "h", NULL, 0);
    uint32_t id = declare(a, 1, "listening", "a");
    for (int64_t t = 1; t <= 5; t++)
        CU_ASSERT_EQUAL(sample(a, 1000, t, t * 1000, 1, 1), 1);
    CU_ASSERT_EQUAL(sample(a, 0, 1, 3400, 1, 0), 1);
    CU_ASSERT_EQUAL(sample(a, 0, 2, 4000, 1, 2), 1); // at the very time of a tick
    struct points out = {0};
    CU_ASSERT_EQUAL_FATAL(points_of(s, id, 2000, 9000, &out), 4);
    static const int64_t T[] = {3000, 3400, 4000, 5000};
    static const double V[] = {1, 0, 2, 1};
    for (size_t i = 0; i < 4; i++)
        CU_ASSERT_TRUE(out.p[i].t_ms == T[i] && out.p[i].v == V[i]);
    struct point p;
    const struct source *src = store_source(s);
    CU_ASSERT_TRUE(src->latest(src->self, id, 3999, &p));
    CU_ASSERT_EQUAL(p.v, 0);
    CU_ASSERT_TRUE(src->latest(src->self, id, 4000, &p));
    CU_ASSERT_EQUAL(p.v, 2);
    free(out.p);
    store_free(s);
}

static void a_new_session_does_not_write_over_the_last(void)
{
    struct store *s = store_new(&OPTIONS);
    struct agent_store *a = store_agent(s, ID1, "h", NULL, 0);
    uint32_t id = declare(a, 1, "x", "a");
    for (int64_t t = 1; t <= 10; t++)
        sample(a, 1000, t, t * 1000, 1, (double)t);
    store_agent_session(a, 2);
    declare(a, 1, "x", "a");
    for (int64_t t = 1; t <= 10; t++)
        CU_ASSERT_EQUAL(sample(a, 1000, t, 10000 + t * 1000, 1, (double)(10 + t)), 1);
    struct points out = {0};
    CU_ASSERT_EQUAL_FATAL(points_of(s, id, 0, 100000, &out), 20);
    for (size_t i = 0; i < 20; i++)
        CU_ASSERT_EQUAL(out.p[i].v, (double)(i + 1));
    free(out.p);
    store_free(s);
}

static void what_is_over_the_limit_is_refused_once_and_counted(void)
{
    struct store *s = store_new(&OPTIONS);
    struct agent_store *a = store_agent(s, ID1, "h", NULL, 0),
                       *b = store_agent(s, ID2, "h2", NULL, 0);
    char name[32];
    for (int round = 0; round < 3; round++)
        for (uint32_t i = 1; i <= 150; i++) {
            snprintf(name, sizeof(name), "s%u", i);
            CU_ASSERT_EQUAL(declare(a, i, "x", name) == STORE_REFUSED, i > 100);
        }
    CU_ASSERT_EQUAL(agent_store_series(a), 100);
    CU_ASSERT_EQUAL(agent_store_refused(a), 50);
    CU_ASSERT_EQUAL(sample(a, 1000, 1, 1000, 120, 1), 0);
    CU_ASSERT_NOT_EQUAL(declare(b, 1, "x", "s1"), STORE_REFUSED);
    CU_ASSERT_EQUAL(store_declare(a, &(struct batch_declare){.id = UINT32_MAX, .name = "z"}),
        STORE_REFUSED);
    store_free(s);
}

static void silence_and_end_are_told_apart(void)
{
    struct store *s = store_new(&OPTIONS);
    struct agent_store *a = store_agent(s, ID1, "h", NULL, 0);
    const struct source *src = store_source(s);
    uint32_t id = declare(a, 1, "x", "a");
    sample(a, 1000, 1, 1000, 1, 7);
    store_agent_silent(a, true);
    CU_ASSERT_TRUE(src->silent(src->self, id));
    struct point p;
    CU_ASSERT_TRUE(src->latest(src->self, id, 9000, &p));
    CU_ASSERT_EQUAL(p.v, 7);
    store_agent_silent(a, false);
    store_agent_end(a, 1500);
    store_agent_end(a, 1600); // only once
    struct points out = {0};
    CU_ASSERT_EQUAL_FATAL(points_of(s, id, 0, 9000, &out), 2);
    CU_ASSERT_TRUE(is_stale(out.p[1].v));
    CU_ASSERT_EQUAL(out.p[1].t_ms, 1500);
    CU_ASSERT_FALSE(src->silent(src->self, id));
    free(out.p);
    store_free(s);
}

static void a_sweep_ends_only_what_the_new_session_lacks(void)
{
    struct store *s = store_new(&OPTIONS);
    struct agent_store *a = store_agent(s, ID1, "h", NULL, 0);
    uint32_t kept = declare(a, 1, "x", "kept"), gone = declare(a, 2, "x", "gone");
    sample(a, 1000, 1, 1000, 1, 1);
    sample(a, 1000, 1, 1000, 2, 1);
    store_agent_session(a, 2);
    declare(a, 1, "x", "kept");
    sample(a, 1000, 1, 2000, 1, 1);
    store_agent_sweep(a, 3000);
    struct point p;
    const struct source *src = store_source(s);
    CU_ASSERT_TRUE(src->latest(src->self, kept, 9000, &p) && !is_stale(p.v));
    CU_ASSERT_TRUE(src->latest(src->self, gone, 9000, &p) && is_stale(p.v));
    store_free(s);
}

static void a_series_that_ended_long_ago_is_forgotten(void)
{
    struct store *s = store_new(&OPTIONS);
    struct agent_store *a = store_agent(s, ID1, "h", NULL, 0);
    uint32_t gone = declare(a, 1, "x", "gone"), kept = declare(a, 2, "x", "kept");
    sample(a, 1000, 1, 1000, 1, 1);
    sample(a, 1000, 1, 1000, 2, 1);
    store_retire(a, 1);
    store_expire(s, 2000);
    struct series_ids ids = {0};
    struct matcher m = eq(LABEL_NAME, "x");
    CU_ASSERT_EQUAL(select_n(s, &m, 1, &ids), 2);
    store_expire(s, 602000);
    CU_ASSERT_EQUAL_FATAL(select_n(s, &m, 1, &ids), 1);
    CU_ASSERT_EQUAL(ids.id[0], kept);
    CU_ASSERT_EQUAL(agent_store_series(a), 1);
    CU_ASSERT_NOT_EQUAL(declare(a, 3, "x", "gone"), gone); // ids are not given twice
    CU_ASSERT_EQUAL(sample(a, 1000, 700, 700000, 3, 1), 1);
    free(ids.id);
    store_free(s);
}

static void recorded_series_can_be_silent(void)
{
    struct store *s = store_new(&OPTIONS);
    struct label l[] = {{LABEL_NAME, "rec"}, {"a", "b"}};
    struct labels labels = {l, 2};
    const struct source *src = store_source(s);
    double absent = double_from_bits(NAN_ABSENT_BITS);
    CU_ASSERT_EQUAL(src->record(src->self, &labels, 1000, absent, NULL), 0);
    struct series_ids ids = {0};
    struct matcher m = eq("a", "b");
    CU_ASSERT_EQUAL(select_n(s, &m, 1, &ids), 0);
    src->record(src->self, &labels, 1000, 5, NULL);
    CU_ASSERT_EQUAL_FATAL(select_n(s, &m, 1, &ids), 1);
    src->record(src->self, &labels, 2000, absent, NULL);
    CU_ASSERT_TRUE(src->silent(src->self, ids.id[0]));
    src->record(src->self, &labels, 3000, 6, NULL);
    CU_ASSERT_FALSE(src->silent(src->self, ids.id[0]));
    free(ids.id);
    store_free(s);
}

static void another_agent_of_the_same_host_goes_on_with_the_series(void)
{
    struct store *s = store_new(&OPTIONS);
    struct agent_store *a = store_agent(s, ID1, "h", NULL, 0),
                       *b = store_agent(s, ID2, "h", NULL, 0);
    uint32_t id = declare(a, 1, "x", "a");
    sample(a, 1000, 1, 1000, 1, 1);
    CU_ASSERT_EQUAL(declare(b, 1, "x", "a"), id);
    sample(b, 1000, 1, 2000, 1, 2);
    CU_ASSERT_EQUAL(agent_store_series(a), 0);
    CU_ASSERT_EQUAL(agent_store_series(b), 1);
    struct points out = {0};
    CU_ASSERT_EQUAL(points_of(s, id, 0, 9000, &out), 2);
    store_agent_forget(s, a);
    CU_ASSERT_EQUAL(points_of(s, id, 0, 9000, &out), 1);
    store_agent_forget(s, b);
    CU_ASSERT_EQUAL(points_of(s, id, 0, 9000, &out), 0);
    free(out.p);
    store_free(s);
}

static void no_failed_allocation_breaks_the_store(void)
{
    for (int nth = 1;; nth++) {
        oom_fail_at(nth);
        struct store *s = store_new(&OPTIONS);
        struct agent_store *a = s ? store_agent(s, ID1, "h", NULL, 0) : NULL;
        uint32_t id = a ? declare(a, 1, "x", "a") : STORE_REFUSED;
        int rc = a && id != STORE_REFUSED ? sample(a, 1000, 1, 1000, 1, 1) : -ENOMEM;
        bool hit = oom_stop();
        if (a && id != STORE_REFUSED && hit) // and it works once there is memory again
            CU_ASSERT_TRUE(sample(a, 1000, 2, 2000, 1, 1) == 1);
        store_free(s);
        if (!hit) {
            CU_ASSERT_EQUAL(rc, 1);
            break;
        }
    }
}

static const struct test TESTS[] = {
    {"labels are the sampler's, then the host's", labels_are_the_samplers_then_the_hosts},
    {"a key frame repeats and nothing is born", a_key_frame_repeats_and_nothing_is_born},
    {"selects by every kind of matcher", selects_by_every_kind_of_matcher},
    {"events and ticks are read in one order", events_and_ticks_are_read_in_one_order},
    {"a new session does not write over the last", a_new_session_does_not_write_over_the_last},
    {"what is over the limit is refused once and counted",
        what_is_over_the_limit_is_refused_once_and_counted},
    {"silence and end are told apart", silence_and_end_are_told_apart},
    {"a sweep ends only what the new session lacks",
        a_sweep_ends_only_what_the_new_session_lacks},
    {"a series that ended long ago is forgotten", a_series_that_ended_long_ago_is_forgotten},
    {"recorded series can be silent", recorded_series_can_be_silent},
    {"another agent of the same host goes on with the series",
        another_agent_of_the_same_host_goes_on_with_the_series},
    {"no failed allocation breaks the store", no_failed_allocation_breaks_the_store},
};

int main(void)
{
    return test_main("store", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
