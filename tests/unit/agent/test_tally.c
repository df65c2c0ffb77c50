// SPDX-License-Identifier: Apache-2.0
#include "agent/tally.h"
#include "tests/lib/oom.h"
#include "tests/lib/run.h"
#include "wire/name.h"
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static double bound(int32_t scale, int32_t index)
{
    return exp2((double)index / exp2(scale));
}

static void buckets_hold(void)
{
    srand(1);
    for (int32_t scale = WIRE_SCALE_MIN; scale <= WIRE_SCALE_MAX; scale++) {
        for (int i = 0; i < test_rounds(5000); i++) {
            double v = ldexp(0.5 + rand() / (2.0 * RAND_MAX), rand() % 200 - 100);
            int32_t k = expo_index(scale, v);
            // The logarithm may be one ulp off at a bound that is no double.
            CU_ASSERT_TRUE(v <= bound(scale, k) * (1 + 1e-14));
            CU_ASSERT_TRUE(v > bound(scale, k - 1) * (1 - 1e-14));
        }
        // Powers of two are bounds, and belong to the bucket below.
        for (int e = -64; e <= 64; e++)
            CU_ASSERT_EQUAL(bound(scale, expo_index(scale, ldexp(1, e))),
                ldexp(1, scale >= 0 ? e : (int)(ceil(e / exp2(-scale)) * exp2(-scale))));
    }
}

// The same values in one go at the coarser scale.
static void merging(void)
{
    struct expo fine, coarse;
    expo_init(&fine, 8);
    srand(2);
    double values[3000];
    for (int i = 0; i < 3000; i++) {
        values[i] = ldexp(1 + rand() / (double)RAND_MAX, rand() % 40 - 20);
        CU_ASSERT_EQUAL(expo_observe(&fine, values[i], 1), 0);
    }
    CU_ASSERT_TRUE(fine.scale < 8); // 40 * 256 buckets do not fit
    CU_ASSERT_TRUE(fine.n <= WIRE_BUCKETS_MAX);
    expo_init(&coarse, fine.scale);
    for (int i = 0; i < 3000; i++)
        expo_observe(&coarse, values[i], 1);
    CU_ASSERT_EQUAL_FATAL(fine.n, coarse.n);
    CU_ASSERT_EQUAL(memcmp(fine.index, coarse.index, fine.n * sizeof(*fine.index)), 0);
    CU_ASSERT_EQUAL(memcmp(fine.count, coarse.count, fine.n * sizeof(*fine.count)), 0);
    CU_ASSERT_EQUAL(fine.total, 3000);
    struct wire_histogram h = expo_wire(&fine);
    CU_ASSERT_PTR_NULL(wire_histogram_fault(&h));
    // A finer histogram falls into what is there; a coarser one makes it coarse.
    CU_ASSERT_EQUAL(expo_add(&fine, 20, expo_index(8, 3.0) << 12, 5), 0);
    CU_ASSERT_EQUAL(expo_add(&fine, -4, 1, 7), 0);
    CU_ASSERT_EQUAL(fine.scale, -4);
    CU_ASSERT_EQUAL(fine.total, 3012);
    CU_ASSERT_EQUAL(expo_add(&fine, -5, 1, 7), -ERANGE);
    CU_ASSERT_EQUAL(expo_add(&fine, 4, INT32_MAX, 7), -ERANGE);
    CU_ASSERT_EQUAL(expo_add(&fine, 4, 1, INT64_MAX), -ERANGE);
    expo_done(&fine);
    expo_done(&coarse);
}

static void observations(void)
{
    struct expo e;
    expo_init(&e, 4);
    CU_ASSERT_EQUAL(expo_observe(&e, 0, 2), 0);
    CU_ASSERT_EQUAL(expo_observe(&e, 2, 3), 0);
    CU_ASSERT_EQUAL(expo_observe(&e, 5e-324, 1), 0);
    CU_ASSERT_EQUAL(expo_observe(&e, 1.7e308, 1), 0);
    CU_ASSERT_EQUAL(e.zero, 2);
    CU_ASSERT_EQUAL(e.total, 7);
    CU_ASSERT_EQUAL(e.n, 3);
    CU_ASSERT_EQUAL(e.index[1], 16);
    CU_ASSERT_EQUAL(e.count[1], 3);
    expo_done(&e);
}

static void entries(void)
{
    struct tally t;
    char key[16];
    CU_ASSERT_EQUAL(tally_init(&t, 100), 0);
    for (int i = 0; i < 150; i++) {
        int n = snprintf(key, sizeof(key), "k%d", i);
        struct tally_entry *e = tally_at(&t, key, (size_t)n, TALLY_COUNTER);
        CU_ASSERT_EQUAL(e != NULL, i < 100);
        if (e) {
            e->value = i;
            e->touched_ns = i;
        }
    }
    CU_ASSERT_EQUAL(tally_at(&t, "k7", 2, TALLY_GAUGE)->value, 7);
    CU_ASSERT_EQUAL(tally_at(&t, "k7", 2, TALLY_GAUGE)->kind, TALLY_COUNTER);
    CU_ASSERT_EQUAL(tally_sweep(&t, 50), 50);
    CU_ASSERT_EQUAL(t.by_key.n, 50);
    CU_ASSERT_EQUAL(tally_at(&t, "k99", 3, TALLY_COUNTER)->value, 99);
    tally_done(&t);
}

static void sets(void)
{
    struct tally t;
    CU_ASSERT_EQUAL(tally_init(&t, 10), 0);
    struct tally_entry *e = tally_at(&t, "s", 1, TALLY_SET);
    char member[16];
    for (int i = 0; i < 3000; i++) {
        int n = snprintf(member, sizeof(member), "m%d", i % 1000);
        CU_ASSERT_EQUAL(tally_member(&t, e, member, (size_t)n), 0);
    }
    CU_ASSERT_EQUAL(e->value, 0);
    tally_turn(&t);
    CU_ASSERT_EQUAL(e->value, 1000);
    tally_turn(&t);
    CU_ASSERT_EQUAL(e->value, 0);
    int rc = 0;
    for (int i = 0; rc == 0; i++) {
        int n = snprintf(member, sizeof(member), "m%d", i);
        rc = tally_member(&t, e, member, (size_t)n);
    }
    CU_ASSERT_EQUAL(rc, -ENOBUFS);
    tally_turn(&t);
    CU_ASSERT_EQUAL(e->value, TALLY_MEMBERS_MAX);
    tally_done(&t);
}

static void no_memory(void)
{
    for (int nth = 1;; nth++) {
        struct tally t;
        CU_ASSERT_EQUAL(tally_init(&t, 10), 0);
        oom_fail_at(nth);
        struct tally_entry *e = tally_at(&t, "s", 1, TALLY_SET);
        int rc = e ? tally_member(&t, e, "x", 1) : -ENOMEM;
        if (rc == 0)
            rc = expo_observe(&e->expo, 1, 1);
        bool hit = oom_stop();
        tally_done(&t);
        CU_ASSERT_EQUAL(rc, hit ? -ENOMEM : 0);
        if (!hit)
            break;
    }
}

static const struct test TESTS[] = {
    {"a value lies in its bucket, a power of two at its end", buckets_hold},
    {"merged buckets are those of the coarser scale", merging},
    {"zeros, extremes and weights", observations},
    {"entries are bounded, keep their kind and go when they are silent", entries},
    {"a set counts the members of the last span, up to a bound", sets},
    {"every failed allocation comes back", no_memory},
};

int main(void)
{
    return test_main("tally", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
