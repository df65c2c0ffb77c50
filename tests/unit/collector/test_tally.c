// SPDX-License-Identifier: Apache-2.0
#include "collector/tally.h"
#include "tests/lib/run.h"

static void quantiles_of_the_last(void)
{
    struct tally t = {0};
    struct tally_view v;
    tally_view(&t, &v);
    CU_ASSERT_EQUAL(v.tries, 0);
    tally_add(&t, false, 7);
    tally_view(&t, &v);
    CU_ASSERT_EQUAL(v.p50_us, 7);
    CU_ASSERT_EQUAL(v.p99_us, 7);
    CU_ASSERT_EQUAL(v.ok, 0);
    for (int i = 1; i <= TALLY_TRIES; i++)
        tally_add(&t, i > 100, i);
    tally_view(&t, &v);
    CU_ASSERT_EQUAL(v.tries, TALLY_TRIES);
    CU_ASSERT_EQUAL(v.ok, TALLY_TRIES - 100);
    CU_ASSERT_EQUAL(v.p50_us, 128);
    CU_ASSERT_EQUAL(v.p99_us, 254);
    tally_add(&t, true, INT64_MAX);
    tally_view(&t, &v);
    CU_ASSERT_EQUAL(v.tries, TALLY_TRIES);
}

int main(void)
{
    static const struct test TESTS[] = {
        {"quantiles and share are of the last tries", quantiles_of_the_last},
    };
    return test_main("tally", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
