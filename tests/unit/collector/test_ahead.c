// SPDX-License-Identifier: Apache-2.0
#include "collector/ahead.h"
#include "tests/lib/run.h"

#define NOW 1700000000000LL

static struct batch frame(struct batch_group *groups, size_t n)
{
    return (struct batch){.wall_ms = NOW, .groups = groups, .n_groups = n};
}

static void only_what_is_ahead(void)
{
    struct batch_group g[] = {
        {.tick = 1, .stamp_ms = NOW - 3600000, .n = 1},
        {.tick = 2, .stamp_ms = NOW + AHEAD_MS + 1, .n = 10},
        {.tick = 3, .stamp_ms = NOW + AHEAD_MS, .n = 100},
        {.tick = 4, .stamp_ms = NOW + 3600000, .n = 1000},
        {.tick = 5, .stamp_ms = NOW, .n = 10000},
    };
    struct batch b = frame(g, 5);
    struct ahead at = {0};
    ahead_leave_out(&b, 0, NOW, &at);
    CU_ASSERT_EQUAL_FATAL(b.n_groups, 3);
    CU_ASSERT_TRUE(g[0].tick == 1 && g[1].tick == 3 && g[2].tick == 5);
    CU_ASSERT_TRUE(at.samples == 1010 && at.by_ms == 3600000);
    CU_ASSERT_EQUAL(b.wall_ms, NOW);
}

// It is our clock that counts, and frames of one body add up.
static void by_the_collectors_clock(void)
{
    for (int64_t skew = -7200000; skew <= 7200000; skew += 7200000) {
        struct batch_group g[] = {
            {.stamp_ms = NOW - skew + 700000, .n = 1}, {.stamp_ms = NOW - skew, .n = 1}};
        struct batch b = frame(g, 2);
        struct ahead at = {.samples = 5, .by_ms = 800000};
        b.wall_ms = NOW - skew;
        ahead_leave_out(&b, skew, NOW, &at);
        CU_ASSERT_EQUAL(b.n_groups, 1);
        CU_ASSERT_TRUE(at.samples == 6 && at.by_ms == 800000);
        CU_ASSERT_EQUAL(b.wall_ms, NOW - skew);
    }
}

static void the_frames_own_time(void)
{
    struct batch b = frame(NULL, 0);
    struct ahead at = {0};
    b.wall_ms = WIRE_WALL_MS_MAX;
    ahead_leave_out(&b, 250, NOW, &at);
    CU_ASSERT_EQUAL(b.wall_ms + 250, NOW);
    b.wall_ms = NOW + AHEAD_MS;
    ahead_leave_out(&b, 0, NOW, &at);
    CU_ASSERT_EQUAL(b.wall_ms, NOW + AHEAD_MS);
    CU_ASSERT_EQUAL(at.samples, 0);
}

static const struct test TESTS[] = {
    {"only the groups that are ahead are left out", only_what_is_ahead},
    {"what is ahead is so by the collector's clock", by_the_collectors_clock},
    {"the frame's own time is held at now", the_frames_own_time},
};

int main(void)
{
    return test_main("ahead", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
