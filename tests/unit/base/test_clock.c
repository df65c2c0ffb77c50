// SPDX-License-Identifier: Apache-2.0
#include "base/clock.h"
#include "tests/lib/run.h"

static void system_clock_moves_forward(void)
{
    struct clock c = clock_system();
    int64_t a = clock_mono_ns(&c), b = clock_mono_ns(&c);
    CU_ASSERT_TRUE(b >= a);
    CU_ASSERT_TRUE(clock_wall_ms(&c) > 1700000000000);
}

static void manual_clock_is_turned_by_hand(void)
{
    struct clock_manual m = {.mono_ns = 5, .wall_ns = 1700000000 * NS_PER_S};
    struct clock c = clock_manual(&m);
    clock_manual_advance(&m, 250 * NS_PER_MS);
    CU_ASSERT_EQUAL(clock_mono_ns(&c), 250 * NS_PER_MS + 5);
    CU_ASSERT_EQUAL(clock_wall_ms(&c), 1700000000250);
}

static const struct test TESTS[] = {
    {"the system clock moves forward", system_clock_moves_forward},
    {"a manual clock is turned by hand", manual_clock_is_turned_by_hand},
};

int main(void)
{
    return test_main("clock", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
