// SPDX-License-Identifier: Apache-2.0
// The source the other tests stand on: order of arrival, replay, ranges, silence, recording.
#include "tests/lib/oom.h"
#include "tests/unit/rules/scene.h"
#include <errno.h>

static void any_order(void)
{
    struct scene s;
    struct points p = {0};
    scene_open(&s);
    uint32_t id = scene_series(&s, "x");
    static const int64_t ORDER[] = {30, 10, 50, 20, 40};
    for (size_t i = 0; i < 5; i++)
        CU_ASSERT_EQUAL(memory_source_add(s.m, id, ORDER[i], (double)ORDER[i], NULL), 1);
    CU_ASSERT_EQUAL(memory_source_samples(s.m, id), 5);
    CU_ASSERT_EQUAL(s.src.range(s.src.self, id, 0, 100, &p), 0);
    CU_ASSERT_EQUAL_FATAL(p.n, 5);
    for (size_t i = 0; i < 5; i++)
        CU_ASSERT_EQUAL(p.p[i].t_ms, (int64_t)(10 * i + 10));
    free(p.p);
    scene_close(&s);
}

static void half_open(void)
{
    struct scene s;
    struct points p = {0};
    scene_open(&s);
    uint32_t id = scene_series(&s, "x");
    for (int64_t t = 10; t <= 50; t += 10)
        memory_source_add(s.m, id, t, 1, NULL);
    CU_ASSERT_EQUAL(s.src.range(s.src.self, id, 10, 30, &p), 0);
    CU_ASSERT_EQUAL(p.n, 2);
    // Appended to what is there.
    CU_ASSERT_EQUAL(s.src.range(s.src.self, id, 49, 50, &p), 0);
    CU_ASSERT_EQUAL(p.n, 3);
    CU_ASSERT_EQUAL(p.p[2].t_ms, 50);
    CU_ASSERT_EQUAL(s.src.range(s.src.self, id, 50, 90, &p), 0);
    CU_ASSERT_EQUAL(s.src.range(s.src.self, id, 40, 10, &p), 0);
    CU_ASSERT_EQUAL(p.n, 3);
    free(p.p);
    scene_close(&s);
}

static void replay(void)
{
    struct scene s;
    struct point p;
    scene_open(&s);
    uint32_t id = scene_series(&s, "x");
    CU_ASSERT_EQUAL(memory_source_add(s.m, id, 10, 1, NULL), 1);
    CU_ASSERT_EQUAL(memory_source_add(s.m, id, 10, 2, NULL), 0);
    CU_ASSERT_TRUE(s.src.latest(s.src.self, id, 10, &p));
    CU_ASSERT_EQUAL(p.v, 1);
    CU_ASSERT_FALSE(s.src.latest(s.src.self, id, 9, &p));
    scene_close(&s);
}

static void histograms_are_copied(void)
{
    struct scene s;
    struct point p;
    int32_t index[] = {3};
    double bucket[] = {5};
    struct histogram h = {
        .count = 5, .positive.n = 1, .positive.index = index, .positive.count = bucket};
    scene_open(&s);
    uint32_t id = scene_series(&s, "x");
    memory_source_add(s.m, id, 10, 0, &h);
    index[0] = 9;
    bucket[0] = 0;
    h.count = 0;
    CU_ASSERT_TRUE(s.src.latest(s.src.self, id, 10, &p));
    CU_ASSERT_PTR_NOT_NULL_FATAL(p.h);
    CU_ASSERT_EQUAL(p.h->count, 5);
    CU_ASSERT_EQUAL(p.h->positive.index[0], 3);
    CU_ASSERT_EQUAL(p.h->positive.count[0], 5);
    scene_close(&s);
}

static void identities(void)
{
    struct scene s;
    scene_open(&s);
    uint64_t before = s.src.generation(s.src.self);
    uint32_t a = scene_series(&s, "x{a=\"1\",b=\"2\"}");
    CU_ASSERT(s.src.generation(s.src.self) > before);
    before = s.src.generation(s.src.self);
    CU_ASSERT_EQUAL(scene_series(&s, "x{b=\"2\",a=\"1\"}"), a);
    CU_ASSERT_EQUAL(s.src.generation(s.src.self), before);
    CU_ASSERT_NOT_EQUAL(scene_series(&s, "x{a=\"1\",b=\"3\"}"), a);
    // Bounds between names and values are no part of either.
    CU_ASSERT_NOT_EQUAL(scene_series(&s, "x{ab=\"c\"}"), scene_series(&s, "x{a=\"bc\"}"));
    CU_ASSERT_EQUAL(memory_source_count(s.m), 4);
    scene_close(&s);
}

static void records(void)
{
    struct scene s;
    static const struct label L[] = {{LABEL_NAME, "y"}};
    struct labels l = {L, 1};
    struct point p;
    scene_open(&s);
    CU_ASSERT_EQUAL(s.src.record(s.src.self, &l, 10, 1, NULL), 0);
    CU_ASSERT_EQUAL(s.src.record(s.src.self, &l, 10, 2, NULL), 0);
    uint32_t id = scene_series(&s, "y");
    CU_ASSERT_TRUE(s.src.latest(s.src.self, id, 10, &p));
    CU_ASSERT_EQUAL(p.v, 2); // the second replaces the first
    CU_ASSERT_EQUAL(
        s.src.record(s.src.self, &l, 20, double_from_bits(NAN_ABSENT_BITS), NULL), 0);
    CU_ASSERT_EQUAL(memory_source_samples(s.m, id), 1);
    CU_ASSERT_TRUE(s.src.silent(s.src.self, id));
    CU_ASSERT_EQUAL(s.src.record(s.src.self, &l, 30, 3, NULL), 0);
    CU_ASSERT_FALSE(s.src.silent(s.src.self, id));
    scene_close(&s);
}

static void without_memory(void)
{
    for (int nth = 1; nth < 100; nth++) {
        static const struct label L[] = {{LABEL_NAME, "x"}, {"a", "b"}};
        struct labels l = {L, 2};
        uint32_t id = 0;
        oom_fail_at(nth);
        struct memory_source *m = memory_source_new();
        int rc = m ? memory_source_series(m, &l, &id) : -ENOMEM;
        if (rc == 0)
            rc = memory_source_add(m, id, 1, 1, NULL);
        bool hit = oom_stop();
        CU_ASSERT_EQUAL(rc, hit ? -ENOMEM : 1);
        // And works once there is memory again.
        if (m) {
            CU_ASSERT_EQUAL(memory_source_series(m, &l, &id), 0);
            CU_ASSERT(memory_source_add(m, id, 2, 1, NULL) == 1);
        }
        memory_source_free(m);
        if (!hit)
            return;
    }
    CU_FAIL("it never stopped allocating");
}

static const struct test TESTS[] = {
    {"samples may arrive in any order", any_order},
    {"a range is open to the left and closed to the right", half_open},
    {"a replayed sample changes nothing", replay},
    {"histograms are copied in", histograms_are_copied},
    {"a label set is one series, whatever the order of its labels", identities},
    {"recording replaces, and the absent value only silences", records},
    {"a failed allocation is told and leaves it whole", without_memory},
};

int main(void)
{
    return test_main("memory_source", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
