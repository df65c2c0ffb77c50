// SPDX-License-Identifier: Apache-2.0
#include "base/arena.h"
#include "tests/lib/oom.h"
#include "tests/lib/run.h"
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static void gives_zeroed_aligned_memory(void)
{
    struct arena a;
    arena_init(&a, 0);
    for (int round = 0; round < 2; round++) {
        for (size_t size = 0; size < 3000; size += 7) {
            unsigned char *p = arena_alloc(&a, size);
            CU_ASSERT_PTR_NOT_NULL_FATAL(p);
            CU_ASSERT_EQUAL((uintptr_t)p % 16, 0);
            for (size_t i = 0; i < size; i++)
                if (p[i] != 0)
                    CU_FAIL_FATAL("memory is not zeroed");
            memset(p, 0xA5, size); // the next round must not see it
        }
        arena_reset(&a);
    }
    arena_done(&a);
    arena_done(&a);
}

static void keeps_to_its_ceiling(void)
{
    struct arena a;
    arena_init(&a, 160);
    CU_ASSERT_PTR_NOT_NULL(arena_alloc(&a, 100));
    CU_ASSERT_PTR_NULL(arena_alloc(&a, 64));
    CU_ASSERT_PTR_NOT_NULL(arena_alloc(&a, 48));
    CU_ASSERT_PTR_NULL(arena_alloc(&a, 1));
    CU_ASSERT_PTR_NULL(arena_alloc(&a, SIZE_MAX));
    CU_ASSERT_PTR_NULL(arena_strndup(&a, "x", SIZE_MAX));
    arena_reset(&a);
    CU_ASSERT_EQUAL(a.used, 0);
    CU_ASSERT_PTR_NOT_NULL(arena_alloc(&a, 160));
    arena_done(&a);
}

static void a_steady_round_does_not_allocate(void)
{
    struct arena a;
    arena_init(&a, 0);
    for (int round = 0; round < 10; round++) {
        if (round == 9)
            oom_fail_at(1);
        for (int i = 0; i < 2000; i++)
            CU_ASSERT_PTR_NOT_NULL_FATAL(arena_alloc(&a, 40));
        arena_reset(&a);
    }
    CU_ASSERT_FALSE(oom_stop());
    arena_done(&a);
}

static void copies_text(void)
{
    struct arena a;
    arena_init(&a, 0);
    CU_ASSERT_STRING_EQUAL(arena_strndup(&a, "hello", 3), "hel");
    CU_ASSERT_STRING_EQUAL(arena_strndup(&a, NULL, 0), "");
    arena_done(&a);
}

static void failed_allocations(void)
{
    for (int nth = 1;; nth++) {
        struct arena a;
        int got = 0;
        arena_init(&a, 0);
        oom_fail_at(nth);
        for (int i = 0; i < 1000; i++)
            got += arena_alloc(&a, 100) != NULL;
        bool hit = oom_stop();
        arena_done(&a);
        CU_ASSERT_EQUAL(got, hit ? 999 : 1000);
        if (!hit) {
            CU_ASSERT_TRUE(nth > 3);
            return;
        }
    }
}

static const struct test TESTS[] = {
    {"gives zeroed and aligned memory, after a reset too", gives_zeroed_aligned_memory},
    {"keeps to its ceiling", keeps_to_its_ceiling},
    {"a steady round does not allocate", a_steady_round_does_not_allocate},
    {"copies text", copies_text},
    {"a failed allocation gives NULL and the next one works", failed_allocations},
};

int main(void)
{
    return test_main("arena", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
