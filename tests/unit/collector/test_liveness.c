// SPDX-License-Identifier: Apache-2.0
#include "collector/liveness.h"
#include "tests/lib/run.h"

#define T0 1000000

static struct liveness heard(void)
{
    struct liveness l;
    liveness_init(&l, T0);
    liveness_frame(&l, T0);
    return l;
}

static void silence_is_suspect_then_down(void)
{
    struct liveness l = heard();
    CU_ASSERT_EQUAL(liveness_next(&l), T0 + 1500);
    CU_ASSERT_FALSE(liveness_advance(&l, T0 + 1499));
    CU_ASSERT_TRUE(liveness_advance(&l, T0 + 1500));
    CU_ASSERT_EQUAL(l.state, LIVENESS_SUSPECT);
    CU_ASSERT_EQUAL(liveness_next(&l), T0 + 3000);
    CU_ASSERT_FALSE(liveness_advance(&l, T0 + 2999));
    CU_ASSERT_TRUE(liveness_advance(&l, T0 + 3000));
    CU_ASSERT_EQUAL(l.state, LIVENESS_DOWN);
    CU_ASSERT_EQUAL(liveness_next(&l), INT64_MAX);
}

static void a_close_is_suspect_at_once_and_down_after_a_second(void)
{
    struct liveness l = heard();
    CU_ASSERT_TRUE(liveness_closed(&l, T0 + 300));
    CU_ASSERT_EQUAL(l.state, LIVENESS_SUSPECT);
    CU_ASSERT_EQUAL(liveness_next(&l), T0 + 1300);
    CU_ASSERT_FALSE(liveness_advance(&l, T0 + 1299));
    CU_ASSERT_TRUE(liveness_advance(&l, T0 + 1300));
    CU_ASSERT_EQUAL(l.state, LIVENESS_DOWN);
}

static void a_late_close_does_not_excuse_earlier_silence(void)
{
    struct liveness l = heard();
    liveness_advance(&l, T0 + 1500);
    liveness_closed(&l, T0 + 2900);
    CU_ASSERT_TRUE(liveness_advance(&l, T0 + 3000));
    CU_ASSERT_EQUAL(l.state, LIVENESS_DOWN);
}

static void a_frame_in_time_takes_the_suspicion_away(void)
{
    struct liveness l = heard();
    liveness_closed(&l, T0 + 300);
    CU_ASSERT_TRUE(liveness_frame(&l, T0 + 900));
    CU_ASSERT_EQUAL(l.state, LIVENESS_UP);
    CU_ASSERT_FALSE(liveness_advance(&l, T0 + 1500));
    CU_ASSERT_EQUAL(liveness_next(&l), T0 + 2400);
}

static void a_goodbye_is_never_down(void)
{
    struct liveness l = heard();
    CU_ASSERT_TRUE(liveness_goodbye(&l, T0 + 100));
    CU_ASSERT_FALSE(liveness_closed(&l, T0 + 101));
    CU_ASSERT_FALSE(liveness_advance(&l, T0 + 1000000));
    CU_ASSERT_EQUAL(l.state, LIVENESS_GONE);
    CU_ASSERT_TRUE(liveness_frame(&l, T0 + 1000001));
}

static void own_stalls_move_every_deadline(void)
{
    struct liveness l = heard();
    liveness_stall(&l, 5000);
    CU_ASSERT_EQUAL(liveness_next(&l), T0 + 6500);
    CU_ASSERT_FALSE(liveness_advance(&l, T0 + 6499));
    liveness_advance(&l, T0 + 6500);
    CU_ASSERT_FALSE(liveness_advance(&l, T0 + 7999));
    CU_ASSERT_TRUE(liveness_advance(&l, T0 + 8000));

    l = heard();
    liveness_closed(&l, T0 + 10);
    liveness_stall(&l, 400);
    CU_ASSERT_FALSE(liveness_advance(&l, T0 + 1409));
    CU_ASSERT_TRUE(liveness_advance(&l, T0 + 1410));
    liveness_stall(&l, -7);
    liveness_frame(&l, T0 + 2000);
    CU_ASSERT_EQUAL(liveness_next(&l), T0 + 3500);
}

static void down_stays_down_whatever_closes(void)
{
    struct liveness l = heard();
    liveness_advance(&l, T0 + 3000);
    CU_ASSERT_EQUAL(l.state, LIVENESS_DOWN);
    CU_ASSERT_FALSE(liveness_closed(&l, T0 + 3100));
    CU_ASSERT_EQUAL(l.state, LIVENESS_DOWN);
    CU_ASSERT_STRING_EQUAL(liveness_name(l.state), "down");
}

static const struct test TESTS[] = {
    {"silence is suspect after a second and a half, down after three",
        silence_is_suspect_then_down},
    {"a close is suspect at once and down after a second",
        a_close_is_suspect_at_once_and_down_after_a_second},
    {"a late close does not excuse earlier silence",
        a_late_close_does_not_excuse_earlier_silence},
    {"a frame in time takes the suspicion away", a_frame_in_time_takes_the_suspicion_away},
    {"a goodbye is never down", a_goodbye_is_never_down},
    {"own stalls move every deadline", own_stalls_move_every_deadline},
    {"down stays down whatever closes", down_stays_down_whatever_closes},
};

int main(void)
{
    return test_main("liveness", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
