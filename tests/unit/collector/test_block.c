// SPDX-License-Identifier: Apache-2.0
#include "collector/block.h"
#include "tests/lib/oom.h"
#include "tests/lib/run.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int64_t budget;

static struct block *with_columns(uint32_t n)
{
    budget = 64 << 20;
    struct block *b = block_new(1000, 60000, &budget);
    for (uint32_t i = 0; i < n; i++)
        block_add_column(b);
    return b;
}

static bool put(struct block *b, uint32_t col, int64_t tick, int64_t t_ms, double v)
{
    struct block_row row;
    CU_ASSERT_EQUAL_FATAL(block_row(b, tick, t_ms, &row), 0);
    return block_set(&row, col, v);
}

static void rows_come_back_in_time_whatever_their_order(void)
{
    struct block *b = with_columns(3);
    static const int64_t ORDER[] = {7, 3, 5, 4, 6, 100, 2};
    for (size_t i = 0; i < 7; i++)
        CU_ASSERT_TRUE(put(b, 1, ORDER[i], ORDER[i] * 1000, (double)ORDER[i]));
    struct points out = {0};
    CU_ASSERT_EQUAL(block_range(b, 1, 2000, 200000, &out), 0);
    // (from, to]: the row at 2000 is not asked for.
    CU_ASSERT_EQUAL_FATAL(out.n, 6);
    static const double WANT[] = {3, 4, 5, 6, 7, 100};
    for (size_t i = 0; i < 6; i++) {
        CU_ASSERT_EQUAL(out.p[i].v, WANT[i]);
        CU_ASSERT_EQUAL(out.p[i].t_ms, (int64_t)WANT[i] * 1000);
    }
    out.n = 0;
    block_range(b, 0, 0, 200000, &out);
    CU_ASSERT_EQUAL(out.n, 0);
    free(out.p);
    block_free(b);
}

static void a_replayed_row_changes_nothing(void)
{
    struct block *b = with_columns(2);
    CU_ASSERT_TRUE(put(b, 0, 10, 10000, 1));
    CU_ASSERT_FALSE(put(b, 0, 10, 10007, 2));
    CU_ASSERT_TRUE(put(b, 1, 10, 10007, 3));
    struct point p;
    CU_ASSERT_TRUE(block_latest(b, 0, INT64_MAX, &p));
    CU_ASSERT_EQUAL(p.v, 1);
    CU_ASSERT_TRUE(block_latest(b, 1, INT64_MAX, &p));
    CU_ASSERT_EQUAL(p.t_ms, 10000); // a row has one time
    block_free(b);
}

static void latest_looks_back_over_holes(void)
{
    struct block *b = with_columns(2);
    put(b, 0, 1, 1000, 1);
    for (int64_t t = 2; t < 100; t++)
        put(b, 1, t, t * 1000, 9);
    struct point p;
    CU_ASSERT_TRUE(block_latest(b, 0, 99000, &p));
    CU_ASSERT_EQUAL(p.t_ms, 1000);
    CU_ASSERT_FALSE(block_latest(b, 0, 999, &p));
    CU_ASSERT_TRUE(block_latest(b, 1, 50500, &p));
    CU_ASSERT_EQUAL(p.t_ms, 50000);
    block_free(b);
}

static void the_oldest_rows_go_and_late_ones_are_told(void)
{
    struct block *b = with_columns(1);
    put(b, 0, 1, 1000, 1);
    put(b, 0, 1000, 1000000, 2);
    struct block_row row;
    CU_ASSERT_EQUAL(block_row(b, 1, 1000, &row), -ERANGE);
    CU_ASSERT_EQUAL(block_row(b, -1, 1000, &row), -ERANGE);
    CU_ASSERT_EQUAL(block_row(b, INT64_MAX, 1000, &row), -ERANGE);
    struct points out = {0};
    block_range(b, 0, 0, INT64_MAX, &out);
    CU_ASSERT_EQUAL(out.n, 1);
    free(out.p);
    block_free(b);
}

static void a_clock_set_back_leaves_rising_times(void)
{
    struct block *b = with_columns(1);
    static const int64_t T[] = {1000, 2000, 3000, 2500, 3500};
    for (int i = 0; i < 5; i++)
        put(b, 0, i, T[i], i);
    struct points out = {0};
    block_range(b, 0, 0, INT64_MAX, &out);
    CU_ASSERT_EQUAL(out.n, 4);
    for (size_t i = 1; i < out.n; i++)
        CU_ASSERT_TRUE(out.p[i].t_ms > out.p[i - 1].t_ms);
    free(out.p);
    block_free(b);
}

static void columns_added_later_keep_the_old_ones(void)
{
    struct block *b = with_columns(1);
    put(b, 0, 5, 5000, 5);
    for (uint32_t col = 1; col < 500; col++) {
        CU_ASSERT_EQUAL(block_add_column(b), col);
        put(b, col, 5 + col % 7, (5 + col % 7) * 1000, col);
    }
    struct point p;
    for (uint32_t col = 0; col < 500; col++) {
        CU_ASSERT_TRUE_FATAL(block_latest(b, col, INT64_MAX, &p));
        CU_ASSERT_EQUAL(p.v, col ? col : 5);
    }
    block_free(b);
}

static void histograms_that_do_not_change_share_one_cell(void)
{
    struct block *b = with_columns(1);
    int32_t index[2] = {3, 9};
    uint64_t count[2] = {5, 7};
    struct wire_histogram w = {
        .scale = 4, .sum = 12.5, .zero_count = 1, .n = 2, .index = index, .count = count};
    struct block_row row;
    for (int64_t t = 0; t < 10; t++) {
        block_row(b, t, t * 1000, &row);
        CU_ASSERT_EQUAL(block_set_histogram(&row, 0, &w, false), 1);
    }
    CU_ASSERT_EQUAL(block_set_histogram(&row, 0, &w, false), 0);
    size_t before = block_bytes(b);
    count[1] = 8;
    block_row(b, 10, 10000, &row);
    CU_ASSERT_EQUAL(block_set_histogram(&row, 0, &w, false), 1);
    CU_ASSERT_TRUE(block_bytes(b) > before);
    struct points out = {0};
    block_range(b, 0, -1, 20000, &out);
    CU_ASSERT_EQUAL_FATAL(out.n, 11);
    CU_ASSERT_PTR_NOT_NULL_FATAL(out.p[0].h);
    CU_ASSERT_PTR_EQUAL(out.p[0].h, out.p[9].h);
    CU_ASSERT_EQUAL(out.p[9].h->count, 13);
    CU_ASSERT_EQUAL(out.p[10].h->count, 14);
    CU_ASSERT_EQUAL(out.p[10].h->positive.count[1], 8);
    free(out.p);
    block_free(b);
    CU_ASSERT_EQUAL(budget, 64 << 20); // everything was given back
}

static void over_the_budget_the_window_gets_shorter(void)
{
    budget = 3 * 64 * 8 * 8;
    struct block *b = block_new(1000, 600000, &budget);
    block_add_column(b);
    for (int64_t t = 0; t < 600; t++)
        CU_ASSERT_TRUE(put(b, 0, t, t * 1000, (double)t));
    struct points out = {0};
    block_range(b, 0, -1, INT64_MAX, &out);
    CU_ASSERT_TRUE(out.n >= 64 && out.n < 600);
    CU_ASSERT_EQUAL(out.p[out.n - 1].v, 599);
    CU_ASSERT_TRUE(budget >= 0);
    free(out.p);
    block_free(b);
}

static void more_retention_keeps_what_is_there(void)
{
    struct block *b = with_columns(1);
    for (int64_t t = 100; t < 160; t++)
        put(b, 0, t, t * 1000, (double)t);
    CU_ASSERT_EQUAL(block_retention(b, 3600000), 0);
    for (int64_t t = 160; t < 3000; t++)
        put(b, 0, t, t * 1000, (double)t);
    struct points out = {0};
    block_range(b, 0, 0, INT64_MAX, &out);
    CU_ASSERT_EQUAL(out.n, 2900);
    free(out.p);
    block_free(b);
}

// The obvious way: an array by tick. Random writes and reads must agree.
static void agrees_with_an_array_on_random_writes(void)
{
    enum { ROWS = 4000, COLS = 5 };
    static double want[COLS][ROWS];
    srand(7);
    struct block *b = with_columns(COLS);
    block_retention(b, ROWS * 1000);
    for (int c = 0; c < COLS; c++)
        for (int t = 0; t < ROWS; t++)
            want[c][t] = -1;
    for (int i = 0; i < 20000; i++) {
        int c = rand() % COLS, t = rand() % ROWS;
        bool stored = put(b, (uint32_t)c, t, t * 1000, i);
        CU_ASSERT_EQUAL(stored, want[c][t] < 0);
        if (stored)
            want[c][t] = i;
    }
    struct points out = {0};
    for (int k = 0; k < 200; k++) {
        int c = rand() % COLS, from = rand() % ROWS, to = from + rand() % 500;
        out.n = 0;
        block_range(b, (uint32_t)c, (int64_t)from * 1000, (int64_t)to * 1000, &out);
        size_t n = 0;
        for (int t = from + 1; t <= to && t < ROWS; t++)
            if (want[c][t] >= 0) {
                CU_ASSERT_TRUE_FATAL(n < out.n);
                CU_ASSERT_EQUAL(out.p[n].v, want[c][t]);
                n++;
            }
        CU_ASSERT_EQUAL(n, out.n);
    }
    free(out.p);
    block_free(b);
}

static void every_failed_allocation_is_an_error(void)
{
    for (int nth = 1;; nth++) {
        budget = 1 << 20;
        oom_fail_at(nth);
        struct block *b = block_new(1000, 60000, &budget);
        uint32_t col = b ? block_add_column(b) : BLOCK_NO_COLUMN;
        struct block_row row;
        int rc = col == BLOCK_NO_COLUMN ? -ENOMEM : block_row(b, 3, 3000, &row);
        int32_t index = 1;
        uint64_t count = 2;
        struct wire_histogram w = {.scale = 4, .n = 1, .index = &index, .count = &count};
        if (rc == 0)
            rc = block_set_histogram(&row, 0, &w, false);
        bool hit = oom_stop();
        block_free(b);
        if (!hit) {
            CU_ASSERT_EQUAL(rc, 1);
            break;
        }
        CU_ASSERT_EQUAL(rc, -ENOMEM);
    }
}

static const struct test TESTS[] = {
    {"rows come back in time whatever their order",
        rows_come_back_in_time_whatever_their_order},
    {"a replayed row changes nothing", a_replayed_row_changes_nothing},
    {"latest looks back over holes", latest_looks_back_over_holes},
    {"the oldest rows go and late ones are told", the_oldest_rows_go_and_late_ones_are_told},
    {"a clock set back leaves rising times", a_clock_set_back_leaves_rising_times},
    {"columns added later keep the old ones", columns_added_later_keep_the_old_ones},
    {"histograms that do not change share one cell",
        histograms_that_do_not_change_share_one_cell},
    {"over the budget the window gets shorter", over_the_budget_the_window_gets_shorter},
    {"more retention keeps what is there", more_retention_keeps_what_is_there},
    {"agrees with an array on random writes", agrees_with_an_array_on_random_writes},
    {"every failed allocation is an error", every_failed_allocation_is_an_error},
};

int main(void)
{
    return test_main("block", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
