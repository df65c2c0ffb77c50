// SPDX-License-Identifier: Apache-2.0
#include "agent/feed.h"
#include "tests/lib/oom.h"
#include "tests/lib/run.h"

#define ROUNDS 8

// New series each round, some that end, on a virtual clock: a failed allocation costs frames that are counted,
// or the session says that it is broken.
static void failed_allocations(void)
{
    for (int nth = 1;; nth++) {
        struct loop *loop = loop_new();
        struct output *out = output_new();
        struct spool *spool = spool_new(1 << 20, SPOOL_AGE_NS);
        struct feed *f = feed_new(loop, out, spool);
        CU_ASSERT_PTR_NOT_NULL_FATAL(f);
        uint32_t id[ROUNDS] = {0};
        int64_t wall_ms = 1700000000000;
        size_t lost = 0;
        oom_fail_at(nth);
        for (int i = 0; i < ROUNDS; i++) {
            char name[] = "x0";
            name[1] = (char)('0' + i);
            output_group(out, 1000, i, wall_ms + i * 1000);
            for (int k = 0; k < 70 && i < 4; k++) {
                char value[] = {(char)('a' + k / 26), (char)('a' + k % 26), '\0'};
                struct wire_label l = {"k", value};
                id[i] = output_series(out, name, &l, 1, SERIES_GAUGE, "");
                output_set(out, id[i], k);
            }
            if (i >= 4)
                output_end(out, id[i - 4]);
            feed_write_seq(f);
            lost += feed_second(f, wall_ms + i * 1000, i * NS_PER_S) < 0;
        }
        bool hit = oom_stop();
        CU_ASSERT_EQUAL(lost, feed_failures(f));
        CU_ASSERT_TRUE(lost <= (hit ? 1 : 0) || feed_broken(f));
        CU_ASSERT_TRUE(hit || !feed_broken(f));
        if (!feed_broken(f)) {
            output_group(out, 1000, ROUNDS, wall_ms + ROUNDS * 1000);
            feed_write_seq(f);
            CU_ASSERT_EQUAL(feed_second(f, wall_ms + ROUNDS * 1000, ROUNDS * NS_PER_S), 0);
            CU_ASSERT_EQUAL(spool_newest(spool), feed_next_seq(f) - 1);
        }
        feed_free(f);
        spool_free(spool);
        output_free(out);
        loop_free(loop);
        if (!hit)
            return;
    }
}

static const struct test TESTS[] = {
    {"a failed allocation costs one frame, or the session says so", failed_allocations},
};

int main(void)
{
    return test_main("feed", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
