// SPDX-License-Identifier: Apache-2.0
#include "collector/pace.h"
#include "tests/lib/run.h"

#define MS 1000000LL

static void one_slow_commit_is_nothing(void)
{
    struct pace p = {0};
    pace_add(&p, 3 * MS);
    CU_ASSERT_FALSE(pace_unsure(&p));
    pace_add(&p, 80 * MS);
    CU_ASSERT_FALSE(p.behind);
    CU_ASSERT_TRUE(pace_unsure(&p));
    pace_add(&p, 3 * MS);
    CU_ASSERT_FALSE(p.behind);
    CU_ASSERT_FALSE(pace_unsure(&p));
    pace_add(&p, 80 * MS);
    CU_ASSERT_FALSE(p.behind);
}

static void two_in_a_row_or_one_that_hangs(void)
{
    struct pace p = {0};
    pace_add(&p, 51 * MS);
    pace_add(&p, 51 * MS);
    CU_ASSERT_TRUE(p.behind);
    p = (struct pace){0};
    pace_add(&p, 2000 * MS);
    CU_ASSERT_TRUE(p.behind);
}

static void it_is_over_after_five_quick_ones(void)
{
    struct pace p = {0};
    pace_add(&p, 2000 * MS);
    for (int i = 0; i < 4; i++)
        pace_add(&p, 1 * MS);
    CU_ASSERT_TRUE(p.behind);
    pace_add(&p, 60 * MS); // and begins anew
    for (int i = 0; i < 4; i++)
        pace_add(&p, 1 * MS);
    CU_ASSERT_TRUE(p.behind);
    CU_ASSERT_TRUE(pace_unsure(&p));
    pace_add(&p, 1 * MS);
    CU_ASSERT_FALSE(p.behind);
    CU_ASSERT_FALSE(pace_unsure(&p));
}

static const struct test TESTS[] = {
    {"one slow commit is nothing", one_slow_commit_is_nothing},
    {"two slow ones in a row count, and one that hangs", two_in_a_row_or_one_that_hangs},
    {"it is over after five quick ones", it_is_over_after_five_quick_ones},
};

int main(void)
{
    return test_main("pace", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
