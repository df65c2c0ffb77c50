// SPDX-License-Identifier: Apache-2.0
#include "base/thread.h"
#include "tests/lib/run.h"
#include <signal.h>
#include <string.h>

struct seen {
    sigset_t blocked;
};

static void *look(void *ctx)
{
    struct seen *s = ctx;
    pthread_sigmask(SIG_SETMASK, NULL, &s->blocked);
    return NULL;
}

static void signals_stay_with_main(void)
{
    struct seen s;
    struct err err = {0};
    pthread_t t;
    sigset_t before, after;
    pthread_sigmask(SIG_SETMASK, NULL, &before);
    CU_ASSERT_EQUAL_FATAL(thread_start(&t, "looker", look, &s, &err), 0);
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    pthread_join(t, NULL);
    CU_ASSERT(sigismember(&s.blocked, SIGTERM));
    CU_ASSERT(sigismember(&s.blocked, SIGHUP));
    CU_ASSERT_EQUAL(sigismember(&after, SIGTERM), sigismember(&before, SIGTERM));
}

static const struct test TESTS[] = {
    {"a thread starts with all signals blocked, the starter keeps its own",
        signals_stay_with_main},
};

int main(void)
{
    return test_main("thread", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
