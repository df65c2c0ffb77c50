// SPDX-License-Identifier: Apache-2.0
#include "collector/errands.h"
#include "tests/lib/oom.h"
#include "tests/lib/run.h"
#include <errno.h>

static void add(struct errands *s, uint64_t id, uint64_t letter)
{
    struct errand e = {.id = id, .letter = letter};
    CU_ASSERT_EQUAL(errands_add(s, &e), 0);
}

static enum errand_verdict tried(struct errands *s, int64_t now_ms, int status, uint64_t id)
{
    struct errand e;
    CU_ASSERT_EQUAL(errands_take(s)->id, id);
    CU_ASSERT_EQUAL(errands_next(s, 0), INT64_MAX); // one at a time
    enum errand_verdict v = errands_tried(s, now_ms, status, -1, &e);
    CU_ASSERT_EQUAL(e.id, id);
    return v;
}

static void tests_go_first(void)
{
    struct errands s = {0};
    CU_ASSERT_EQUAL(errands_next(&s, 0), INT64_MAX);
    add(&s, 1, 101);
    add(&s, 2, 0);
    add(&s, 3, 0);
    CU_ASSERT_EQUAL(errands_next(&s, 9000), 0); // whatever the receiver's back-off is
    CU_ASSERT_EQUAL(tried(&s, 10, 200, 2), ERRAND_SENT);
    CU_ASSERT_EQUAL(tried(&s, 10, 0, 3), ERRAND_AWAY); // no second try
    CU_ASSERT_EQUAL(errands_next(&s, 9000), 9000);
    CU_ASSERT_TRUE(errands_has(&s, 101));
    CU_ASSERT_EQUAL(tried(&s, 9000, 204, 1), ERRAND_SENT);
    CU_ASSERT_FALSE(errands_has(&s, 101));
    errands_done(&s);
}

static void a_test_does_not_pass_what_flies(void)
{
    struct errands s = {0};
    struct errand e;
    add(&s, 1, 101);
    CU_ASSERT_EQUAL(errands_take(&s)->id, 1);
    add(&s, 2, 0);
    CU_ASSERT_EQUAL(errands_tried(&s, 0, 200, -1, &e), ERRAND_SENT);
    CU_ASSERT_EQUAL(e.id, 1);
    CU_ASSERT_EQUAL(tried(&s, 0, 200, 2), ERRAND_SENT);
    errands_done(&s);
}

static void tries_again_while_away(void)
{
    struct errands s = {0};
    struct errand e;
    int64_t now = 1000, before = 0;
    add(&s, 1, 101);
    add(&s, 2, 102);
    for (int i = 1; i < ERRAND_TRIES_MAX; i++) {
        CU_ASSERT_EQUAL(tried(&s, now, 503, 1), ERRAND_AGAIN);
        int64_t wait = errands_next(&s, 0) - now;
        CU_ASSERT_TRUE(wait >= 2 * before && wait >= ERRAND_AGAIN_MS);
        before = wait;
        now += wait;
    }
    CU_ASSERT_EQUAL(tried(&s, now, 0, 1), ERRAND_AWAY);
    CU_ASSERT_TRUE(errands_drop(&s, &e));
    CU_ASSERT_EQUAL(e.id, 2);
    CU_ASSERT_FALSE(errands_drop(&s, &e));
    errands_done(&s);
}

static void obeys_retry_after(void)
{
    struct errands s = {0};
    struct errand e;
    add(&s, 1, 101);
    errands_take(&s);
    CU_ASSERT_EQUAL(errands_tried(&s, 1000, 429, 60000, &e), ERRAND_AGAIN);
    CU_ASSERT_EQUAL(errands_next(&s, 0), 61000);
    CU_ASSERT_EQUAL(errands_next(&s, 70000), 70000); // what the queue was told counts too
    errands_done(&s);
}

static void refused_is_refused(void)
{
    static const int STATUS[] = {301, 400, 404, 410, 422};
    for (size_t i = 0; i < 5; i++) {
        struct errands s = {0};
        add(&s, 1, 101);
        CU_ASSERT_EQUAL(tried(&s, 0, STATUS[i], 1), ERRAND_REFUSED);
        CU_ASSERT_EQUAL(s.n, 0);
        errands_done(&s);
    }
}

static void bounded(void)
{
    struct errands s = {0};
    struct errand e = {.id = 1, .letter = 1};
    for (int i = 0; i < ERRANDS_MAX; i++)
        CU_ASSERT_EQUAL(errands_add(&s, &e), 0);
    CU_ASSERT_EQUAL(errands_add(&s, &e), -ENOBUFS);
    errands_done(&s);
    oom_fail_at(1);
    CU_ASSERT_EQUAL(errands_add(&s, &e), -ENOMEM);
    CU_ASSERT_TRUE(oom_stop());
    CU_ASSERT_EQUAL(s.n, 0);
    errands_done(&s);
}

int main(void)
{
    static const struct test TESTS[] = {
        {"tests go first and at once, one at a time, with one try", tests_go_first},
        {"a test does not pass what is in flight", a_test_does_not_pass_what_flies},
        {"a replay is tried again while the receiver is away, then all are dropped",
            tries_again_while_away},
        {"Retry-After and the queue's back-off are obeyed", obeys_retry_after},
        {"what is refused is not tried again", refused_is_refused},
        {"bounded, and without memory as before", bounded},
    };
    return test_main("errands", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
