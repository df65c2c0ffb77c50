// SPDX-License-Identifier: Apache-2.0
#include "collector/track.h"
#include "tests/lib/oom.h"
#include "tests/lib/run.h"
#include <errno.h>
#include <stdlib.h>

static void equal_values_at_an_even_step_are_one_run(void)
{
    struct track t = {0};
    for (int64_t i = 0; i < 1000; i++)
        CU_ASSERT_EQUAL(track_add(&t, i * 1000, 1, NULL, INT64_MIN), 1);
    CU_ASSERT_EQUAL(t.n, 1);
    track_add(&t, 1000500, 0, NULL, INT64_MIN);
    CU_ASSERT_EQUAL(t.n, 2);
    struct points out = {0};
    track_range(&t, 996000, 2000000, &out);
    CU_ASSERT_EQUAL_FATAL(out.n, 4);
    CU_ASSERT_EQUAL(out.p[0].t_ms, 997000);
    CU_ASSERT_EQUAL(out.p[3].v, 0);
    struct point p;
    CU_ASSERT_TRUE(track_latest(&t, 500999, &p));
    CU_ASSERT_EQUAL(p.t_ms, 500000);
    free(out.p);
    track_done(&t);
}

static void one_millisecond_has_one_value_the_last_said(void)
{
    struct track t = {0};
    CU_ASSERT_EQUAL(track_add(&t, 10, 1, NULL, 0), 1);
    CU_ASSERT_EQUAL(track_add(&t, 10, 1, NULL, 0), 0);
    CU_ASSERT_EQUAL(track_add(&t, 10, 2, NULL, 0), 1);
    struct points out = {0};
    track_range(&t, 0, 100, &out);
    CU_ASSERT_EQUAL_FATAL(out.n, 1);
    CU_ASSERT_EQUAL(out.p[0].v, 2);
    free(out.p);
    track_done(&t);
}

static void old_runs_make_room(void)
{
    struct track t = {0};
    for (int64_t i = 0; i < 100000; i++)
        track_add(&t, i * 10, (double)(i % 2), NULL, i * 10 - 1000);
    CU_ASSERT_TRUE(t.cap <= 512);
    struct points out = {0};
    track_range(&t, 999990 - 1000, 999990, &out);
    CU_ASSERT_EQUAL(out.n, 100);
    free(out.p);
    track_done(&t);
}

static void agrees_with_an_array_on_random_writes(void)
{
    enum { N = 300 };
    for (unsigned seed = 0; seed < 60; seed++) {
        srand(seed);
        struct track t = {0};
        int want[N];
        for (int i = 0; i < N; i++)
            want[i] = -1;
        for (int k = 0; k < 600; k++) {
            // Mostly forward with even steps, so that runs form, then late ones that split them.
            int at = k < 150 ? k * 2 : rand() % N, v = rand() % 8 ? 1 : rand() % 3;
            int rc = track_add(&t, at, v, NULL, INT64_MIN);
            CU_ASSERT_EQUAL(rc, want[at] != v);
            want[at] = v;
        }
        struct points out = {0};
        for (int k = 0; k < 50; k++) {
            int from = rand() % N - 1, to = from + rand() % N;
            size_t n = 0;
            out.n = 0;
            track_range(&t, from, to, &out);
            for (int i = from + 1; i <= to && i < N; i++)
                if (want[i] >= 0) {
                    CU_ASSERT_TRUE_FATAL(n < out.n);
                    CU_ASSERT_EQUAL(out.p[n].t_ms, i);
                    CU_ASSERT_EQUAL(out.p[n].v, want[i]);
                    n++;
                }
            CU_ASSERT_EQUAL(n, out.n);
            struct point p;
            int last = to < N ? to : N - 1;
            while (last >= 0 && want[last] < 0)
                last--;
            CU_ASSERT_EQUAL(track_latest(&t, to, &p), last >= 0);
            if (last >= 0)
                CU_ASSERT_EQUAL(p.t_ms, last);
        }
        free(out.p);
        track_done(&t);
    }
}

static void histograms_are_copied_and_given_back(void)
{
    struct track t = {0};
    int32_t index = 4;
    double bucket = 6;
    struct histogram h = {.schema = 4,
        .positive.n = 1,
        .count = 6,
        .positive.index = &index,
        .positive.count = &bucket};
    CU_ASSERT_EQUAL(track_add(&t, 1, 6, &h, 0), 1);
    CU_ASSERT_EQUAL(track_add(&t, 2, 6, &h, 0), 1);
    bucket = 0;
    struct point p;
    CU_ASSERT_TRUE(track_latest(&t, 5, &p));
    CU_ASSERT_PTR_NOT_NULL_FATAL(p.h);
    CU_ASSERT_EQUAL(p.h->positive.count[0], 6);
    track_done(&t);
}

static void a_failed_allocation_is_an_error(void)
{
    for (int nth = 1;; nth++) {
        struct track t = {0};
        int32_t index = 4;
        double bucket = 6;
        struct histogram h = {.schema = 4,
            .positive.n = 1,
            .count = 6,
            .positive.index = &index,
            .positive.count = &bucket};
        oom_fail_at(nth);
        int rc = track_add(&t, 1, 6, &h, 0);
        bool hit = oom_stop();
        track_done(&t);
        if (!hit) {
            CU_ASSERT_EQUAL(rc, 1);
            break;
        }
        CU_ASSERT_EQUAL(rc, -ENOMEM);
    }
}

static const struct test TESTS[] = {
    {"equal values at an even step are one run", equal_values_at_an_even_step_are_one_run},
    {"one millisecond has one value, the last said",
        one_millisecond_has_one_value_the_last_said},
    {"old runs make room", old_runs_make_room},
    {"agrees with an array on random writes", agrees_with_an_array_on_random_writes},
    {"histograms are copied and given back", histograms_are_copied_and_given_back},
    {"a failed allocation is an error", a_failed_allocation_is_an_error},
};

int main(void)
{
    return test_main("track", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
