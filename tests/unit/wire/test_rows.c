// SPDX-License-Identifier: Apache-2.0
#include "tests/lib/oom.h"
#include "tests/lib/run.h"
#include "wire/rows.h"
#include <errno.h>
#include <stdlib.h>

#define IDS 20000

struct row {
    uint32_t id;
    uint64_t value;
};

// Rising ids that come and go, beside an array of all there ever were.
static void agrees_with_an_array(void)
{
    static bool alive[IDS + 1];
    uint32_t gone[64], next = 1;
    size_t n_alive = 0;
    struct rows r;

    rows_init(&r, sizeof(struct row));
    srandom(7);
    while (next < IDS - 64) {
        for (long i = random() % 64; i > 0; i--) {
            next += 1 + (uint32_t)(random() % 2);
            struct row *row = rows_add(&r, next);
            CU_ASSERT_TRUE_FATAL(row && row->id == next && row->value == 0);
            row->value = next * 3ull;
            alive[next] = true;
            n_alive++;
        }
        // Some in the middle of nowhere, some neighbours, some that never were.
        size_t n_gone = 0;
        uint32_t id = (uint32_t)random() % (next + 1);
        for (; n_gone < (size_t)(random() % 64) && id <= next; id += (uint32_t)random() % 3)
            if (n_gone == 0 || gone[n_gone - 1] != id)
                gone[n_gone++] = id;
        rows_remove(&r, gone, n_gone);
        for (size_t i = 0; i < n_gone; i++) {
            n_alive -= alive[gone[i]];
            alive[gone[i]] = false;
        }
        CU_ASSERT_EQUAL_FATAL(r.n, n_alive);
        for (int i = 0; i < 200; i++) {
            uint32_t ask = i < 100 ? (uint32_t)i + next / 2 : (uint32_t)random() % (next + 2);
            const struct row *row = rows_at(&r, ask);
            CU_ASSERT_EQUAL(row != NULL, ask <= next && alive[ask]);
            CU_ASSERT_TRUE(!row || (row->id == ask && row->value == ask * 3ull));
        }
    }
    uint32_t at = 0;
    for (uint32_t id = 0; id <= next; id++) {
        CU_ASSERT_EQUAL(rows_find(&r, id), at);
        if (alive[id])
            CU_ASSERT_EQUAL(((const struct row *)rows_nth(&r, at++))->id, id);
    }
    CU_ASSERT_EQUAL(at, r.n);
    rows_done(&r);
}

// 99 that stay and a window of those that come and go: room for about those, whatever the ids.
static void memory_follows_the_living(void)
{
    struct rows r;

    rows_init(&r, sizeof(struct row));
    for (uint32_t id = 1; id <= IDS; id++) {
        CU_ASSERT_PTR_NOT_NULL_FATAL(rows_add(&r, id));
        uint32_t old = id - 50;
        if (id > 50 && old % (IDS / 100) != 0)
            rows_remove(&r, &old, 1);
    }
    CU_ASSERT_EQUAL(r.n, 99 + 50);
    CU_ASSERT_TRUE(r.cap <= 300);
    for (uint32_t id = 1; id <= IDS; id++)
        rows_remove(&r, &id, 1);
    CU_ASSERT_EQUAL(r.n, 0);
    CU_ASSERT_TRUE(r.cap <= 64);
    CU_ASSERT_PTR_NULL(rows_at(&r, IDS));
    rows_done(&r);
}

static void without_rows(void)
{
    struct rows r;
    const uint32_t id = 1;

    rows_init(&r, sizeof(struct row));
    CU_ASSERT_PTR_NULL(rows_at(&r, 1));
    CU_ASSERT_EQUAL(rows_find(&r, 1), 0);
    rows_remove(&r, &id, 1);
    rows_done(&r);
}

static void failed_allocations(void)
{
    for (int nth = 1;; nth++) {
        struct rows r;
        int failures = 0;
        rows_init(&r, sizeof(struct row));
        oom_fail_at(nth);
        for (uint32_t id = 1; id <= 1000; id++)
            failures += rows_add(&r, id) == NULL;
        // One that cannot shrink keeps its room.
        for (uint32_t id = 1; id < 1000; id++)
            rows_remove(&r, &id, 1);
        bool hit = oom_stop();
        CU_ASSERT_TRUE(failures <= hit);
        CU_ASSERT_TRUE(r.n == 1 && rows_at(&r, 1000));
        rows_done(&r);
        if (!hit)
            return;
    }
}

static const struct test TESTS[] = {
    {"agree with an array by id on random additions and removals", agrees_with_an_array},
    {"memory follows those that are alive", memory_follows_the_living},
    {"nothing is found where nothing is", without_rows},
    {"every failed allocation leaves them whole", failed_allocations},
};

int main(void)
{
    return test_main("rows", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
