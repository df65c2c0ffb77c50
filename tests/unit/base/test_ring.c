// SPDX-License-Identifier: Apache-2.0
#include "base/ring.h"
#include "tests/lib/run.h"
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>

static bool readable(const struct ring *r)
{
    struct pollfd p = {.fd = ring_fd(r), .events = POLLIN};
    return poll(&p, 1, 0) == 1;
}

static void keeps_order_and_capacity(void)
{
    int items[5];
    struct ring *r = ring_new(4);
    CU_ASSERT_PTR_NOT_NULL_FATAL(r);
    CU_ASSERT_EQUAL(ring_capacity(r), 4);
    CU_ASSERT_PTR_NULL(ring_pop(r));
    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < 4; i++)
            CU_ASSERT_TRUE(ring_push(r, &items[i]));
        CU_ASSERT_FALSE(ring_push(r, &items[4]));
        CU_ASSERT_EQUAL(ring_len(r), 4);
        for (int i = 0; i < 4; i++)
            CU_ASSERT_PTR_EQUAL(ring_pop(r), &items[i]);
        CU_ASSERT_PTR_NULL(ring_pop(r));
    }
    ring_free(r);
    ring_free(NULL);
}

static void wakes_only_when_it_was_empty(void)
{
    int item;
    struct ring *r = ring_new(8);
    CU_ASSERT_PTR_NOT_NULL_FATAL(r);
    CU_ASSERT_FALSE(readable(r));
    ring_push(r, &item);
    CU_ASSERT_TRUE(readable(r));
    ring_drain_wakeup(r);
    CU_ASSERT_FALSE(readable(r));
    ring_push(r, &item); // one is still inside: the consumer is busy anyway
    CU_ASSERT_FALSE(readable(r));
    ring_pop(r);
    ring_pop(r);
    ring_push(r, &item);
    CU_ASSERT_TRUE(readable(r));
    ring_free(r);
}

static void all_at_once(void)
{
    int items[6];
    void *all[6];
    struct ring *r = ring_new(4);
    CU_ASSERT_PTR_NOT_NULL_FATAL(r);
    for (int i = 0; i < 6; i++)
        all[i] = &items[i];
    CU_ASSERT_EQUAL(ring_push_all(r, all, 0), 0);
    CU_ASSERT_FALSE(readable(r));
    CU_ASSERT_EQUAL(ring_push_all(r, all, 3), 3);
    CU_ASSERT_TRUE(readable(r));
    CU_ASSERT_EQUAL(ring_len(r), 3);
    CU_ASSERT_EQUAL(ring_push_all(r, all + 3, 3), 1); // as many as there is room for
    CU_ASSERT_EQUAL(ring_push_all(r, all + 4, 2), 0);
    for (int i = 0; i < 4; i++)
        CU_ASSERT_PTR_EQUAL(ring_pop(r), &items[i]);
    CU_ASSERT_PTR_NULL(ring_pop(r));
    ring_free(r);
}

static void refuses_odd_capacities(void)
{
    CU_ASSERT_PTR_NULL(ring_new(0));
    CU_ASSERT_PTR_NULL(ring_new(3));
    CU_ASSERT_EQUAL(errno, EINVAL);
    CU_ASSERT_PTR_NULL(ring_new((size_t)1 << 62));
}

#define ITEMS 200000
static uint32_t payload[ITEMS];

static void *produce(void *arg)
{
    struct ring *r = arg;
    for (uint32_t i = 0; i < ITEMS; i++) {
        payload[i] = i * 2654435761u; // plain stores: the ring must publish them
        while (!ring_push(r, &payload[i]))
            sched_yield();
    }
    return NULL;
}

// The consumer sleeps in poll without a time-out, so one lost wake-up hangs the test until the
// runner ends it.
static void two_threads(void)
{
    struct ring *r = ring_new(64);
    pthread_t producer;
    CU_ASSERT_PTR_NOT_NULL_FATAL(r);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&producer, NULL, produce, r), 0);
    uint32_t got = 0, wrong = 0;
    while (got < ITEMS) {
        struct pollfd p = {.fd = ring_fd(r), .events = POLLIN};
        if (poll(&p, 1, -1) != 1)
            continue;
        ring_drain_wakeup(r);
        for (uint32_t *item; (item = ring_pop(r)); got++)
            wrong += item != &payload[got] || *item != got * 2654435761u;
    }
    pthread_join(producer, NULL);
    CU_ASSERT_EQUAL(wrong, 0);
    CU_ASSERT_EQUAL(ring_len(r), 0);
    ring_free(r);
}

static const struct test TESTS[] = {
    {"keeps order and capacity", keeps_order_and_capacity},
    {"wakes only when it was empty", wakes_only_when_it_was_empty},
    {"takes several at once, as many as there is room for", all_at_once},
    {"refuses a capacity that is no power of two", refuses_odd_capacities},
    {"two threads lose no item and no wake-up", two_threads},
};

int main(void)
{
    return test_main("ring", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
