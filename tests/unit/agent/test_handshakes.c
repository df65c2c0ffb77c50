// SPDX-License-Identifier: Apache-2.0
// Turns for handshakes on a real loop; the times are arguments.
#include "agent/handshakes.h"
#include "base/clock.h"
#include "tests/lib/run.h"

#define N 8

static struct handshake all[N];
static int order[N], n_gone;

static void go(struct handshake *h, int64_t waited_ns)
{
    CU_ASSERT_TRUE(waited_ns >= 0);
    order[n_gone++] = (int)(h - all);
}

static int64_t now_ns(void)
{
    struct clock c = clock_system();
    return clock_mono_ns(&c);
}

static struct handshakes *open_world(struct loop **ret_loop)
{
    *ret_loop = loop_new();
    n_gone = 0;
    for (int i = 0; i < N; i++)
        all[i] = (struct handshake){.go = go};
    return handshakes_new(*ret_loop);
}

static void a_few_begin_and_the_others_follow_in_order(void)
{
    struct loop *loop;
    struct handshakes *s = open_world(&loop);
    int64_t now = now_ns() + 1000 * NS_PER_S; // far ahead: only a leave lets go
    for (int i = 0; i < N; i++)
        CU_ASSERT_EQUAL(handshake_enter(s, &all[i], now), i < HANDSHAKES_MAX);
    loop_once(loop, 0);
    CU_ASSERT_EQUAL(n_gone, 0);
    handshake_leave(s, &all[4]); // one that waits gives up
    handshake_leave(s, &all[0]);
    handshake_leave(s, &all[0]); // twice is fine
    CU_ASSERT_EQUAL(n_gone, 0);  // never from within
    handshakes_free(s);
    loop_free(loop);
}

static void a_place_that_is_left_is_taken_at_once(void)
{
    struct loop *loop;
    struct handshakes *s = open_world(&loop);
    int64_t now = now_ns();
    for (int i = 0; i < HANDSHAKES_MAX + 2; i++)
        handshake_enter(s, &all[i], now);
    handshake_leave(s, &all[1]);
    while (!n_gone)
        loop_once(loop, -1);
    CU_ASSERT_EQUAL(order[0], HANDSHAKES_MAX);
    handshakes_free(s);
    loop_free(loop);
}

static void a_peer_that_hangs_holds_nobody_up(void)
{
    struct loop *loop;
    struct handshakes *s = open_world(&loop);
    int64_t begun = now_ns();
    for (int i = 0; i < N; i++)
        handshake_enter(s, &all[i], begun); // nobody ever leaves
    while (n_gone < N - HANDSHAKES_MAX)
        loop_once(loop, -1);
    CU_ASSERT_TRUE(now_ns() - begun >= HANDSHAKE_HOLD_NS);
    for (int i = 0; i < n_gone; i++)
        CU_ASSERT_EQUAL(order[i], HANDSHAKES_MAX + i);
    handshakes_free(s);
    loop_free(loop);
}

static const struct test TESTS[] = {
    {"a few begin, the others wait", a_few_begin_and_the_others_follow_in_order},
    {"a place that is left is taken at once", a_place_that_is_left_is_taken_at_once},
    {"a peer that hangs holds nobody up", a_peer_that_hangs_holds_nobody_up},
};

int main(void)
{
    return test_main("handshakes", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
