// SPDX-License-Identifier: Apache-2.0
#include "agent/repair_book.h"
#include "tests/lib/oom.h"
#include "tests/lib/run.h"
#include <stdio.h>
#include <string.h>

#define WALL    1700000000000
#define HOUR_MS (3600 * 1000LL)

static const struct repair_action LIST[] = {
    {.name = "restart",
        .argv = {"/bin/true"},
        .n_argv = 1,
        .timeout_ms = 5000,
        .max_per_hour = 2},
    {.name = "clean",
        .argv = {"/bin/true"},
        .n_argv = 1,
        .timeout_ms = 5000,
        .max_per_hour = 60},
};

static struct wire_repair_result got;

// Asks at wall WALL + ms, with a request that is fresh.
static const struct repair_action *ask(
    struct repair_book *b, const char *id, const char *action, int64_t ms)
{
    struct wire_repair r = {.id = id, .action = action};
    return repair_book_ask(b, &r, 1000, 1000, WALL + ms, &got);
}

static void end(struct repair_book *b, const char *id, int code)
{
    struct wire_repair_result r = {
        .id = id, .outcome = REPAIR_EXITED, .code = code, .duration_ms = 70};
    repair_book_end(b, &r);
}

static void an_id_runs_once(void)
{
    struct repair_book *b = repair_book_new(LIST, 2);
    CU_ASSERT_PTR_EQUAL(ask(b, "k/1", "restart", 0), &LIST[0]);
    CU_ASSERT_PTR_NULL(ask(b, "k/1", "restart", 10));
    CU_ASSERT_TRUE(got.outcome == REPAIR_STARTED && got.again && got.duration_ms == 5000);
    end(b, "k/1", 3);
    CU_ASSERT_PTR_NULL(ask(b, "k/1", "restart", 20));
    CU_ASSERT_TRUE(got.outcome == REPAIR_EXITED && got.code == 3 && got.duration_ms == 70);
    CU_ASSERT_PTR_NULL(ask(b, "k/1", "clean", 20)); // whatever is asked for with it
    CU_ASSERT_PTR_EQUAL(ask(b, "k/2", "restart", 30), &LIST[0]);
    repair_book_free(b);
}

static void what_is_too_old_is_not_run(void)
{
    struct repair_book *b = repair_book_new(LIST, 2);
    struct wire_repair r = {.id = "k/1", .action = "restart"};
    CU_ASSERT_PTR_NULL(repair_book_ask(b, &r, 999, 1000, WALL, &got));
    CU_ASSERT_EQUAL(got.outcome, REPAIR_EXPIRED);
    CU_ASSERT_PTR_NOT_NULL(repair_book_ask(b, &r, 1000, 1000, WALL, &got));
    // Of what was run the answer stays, however old the question.
    CU_ASSERT_PTR_NULL(repair_book_ask(b, &r, 1000, 9000, WALL, &got));
    CU_ASSERT_EQUAL(got.outcome, REPAIR_STARTED);
    repair_book_free(b);
}

static void one_at_a_time_of_an_action(void)
{
    struct repair_book *b = repair_book_new(LIST, 2);
    CU_ASSERT_PTR_NOT_NULL(ask(b, "a", "restart", 0));
    CU_ASSERT_PTR_NULL(ask(b, "b", "restart", 0));
    CU_ASSERT_EQUAL(got.outcome, REPAIR_BUSY);
    CU_ASSERT_PTR_NOT_NULL(ask(b, "c", "clean", 0)); // another may
    end(b, "a", 0);
    CU_ASSERT_PTR_NOT_NULL(ask(b, "b", "restart", 0));
    repair_book_free(b);
}

static void the_budget_holds_whoever_asks(void)
{
    struct repair_book *b = repair_book_new(LIST, 2);
    char id[16];
    unsigned run = 0;
    for (int i = 0; i < 3600; i++) { // a collector that asks each second
        snprintf(id, sizeof(id), "k/%d", i);
        if (ask(b, id, "restart", i * 1000LL)) {
            end(b, id, 0);
            run++;
        } else {
            CU_ASSERT_EQUAL(got.outcome, REPAIR_OVER_BUDGET);
        }
    }
    CU_ASSERT_EQUAL(run, 2);
    CU_ASSERT_STRING_EQUAL(got.reason, "it ran 2 times within an hour, its max_per_hour");
    CU_ASSERT_PTR_NOT_NULL(ask(b, "later", "restart", HOUR_MS));
    end(b, "later", 0);
    // A clock set back makes no new budget.
    CU_ASSERT_PTR_NOT_NULL(ask(b, "other", "clean", 0));
    CU_ASSERT_PTR_NULL(ask(b, "back", "restart", -HOUR_MS));
    CU_ASSERT_EQUAL(got.outcome, REPAIR_OVER_BUDGET);
    repair_book_free(b);
}

static void a_restart_forgets_nothing(void)
{
    struct repair_book *b = repair_book_new(LIST, 2), *again = repair_book_new(LIST, 2);
    struct buf line;
    buf_init(&line, 4096);
    CU_ASSERT_PTR_NOT_NULL(ask(b, "k/1", "restart", 0));
    end(b, "k/1", 7);
    CU_ASSERT_EQUAL(repair_book_line(b, "k/1", &line), 0);
    line.len--; // its end
    CU_ASSERT_TRUE(repair_book_read(again, buf_cstr(&line), WALL));
    CU_ASSERT_PTR_NOT_NULL(ask(b, "k/2", "restart", 0));
    buf_reset(&line);
    CU_ASSERT_EQUAL(repair_book_line(b, "k/2", &line), 0);
    line.len--;
    CU_ASSERT_TRUE(repair_book_read(again, buf_cstr(&line), WALL));
    repair_book_opened(again);
    CU_ASSERT_PTR_NULL(ask(again, "k/1", "restart", 0));
    CU_ASSERT_TRUE(got.outcome == REPAIR_EXITED && got.code == 7 && got.again);
    CU_ASSERT_PTR_NULL(ask(again, "k/2", "restart", 0));
    CU_ASSERT_EQUAL(got.outcome, REPAIR_LOST); // started, and nobody saw its end
    CU_ASSERT_PTR_NULL(ask(again, "k/3", "restart", 1000));
    CU_ASSERT_EQUAL(got.outcome, REPAIR_OVER_BUDGET); // both count
    repair_book_free(b);
    repair_book_free(again);
    buf_done(&line);
}

static void lines_that_are_none_are_passed_over(void)
{
    static const char *const LINES[] = {"", "2", "1 a b 1 2 3 4", "2 a b c 2 3 4",
        "2 a restart 1 99 0 0", "2 a restart 1 0 0 0", "2 a restart 1 2 0 0 more",
        "2 a re/start 1 2 0 0"};
    struct repair_book *b = repair_book_new(LIST, 2);
    for (size_t i = 0; i < sizeof(LINES) / sizeof(LINES[0]); i++)
        CU_ASSERT_FALSE(repair_book_read(b, LINES[i], WALL));
    CU_ASSERT_TRUE(repair_book_read(b, "2 old restart 1 2 0 0", WALL)); // long ago: no matter
    CU_ASSERT_EQUAL(repair_book_count(b), 0);
    repair_book_free(b);
}

static void the_book_is_bounded(void)
{
    struct repair_book *b = repair_book_new(LIST, 2);
    char id[16];
    int64_t ms = 0;
    for (int i = 0; i < REPAIR_BOOK_MAX + 100; i++, ms += HOUR_MS / 50) {
        snprintf(id, sizeof(id), "k/%d", i);
        CU_ASSERT_PTR_NOT_NULL(ask(b, id, "clean", ms));
        end(b, id, 0);
    }
    CU_ASSERT_EQUAL(repair_book_count(b), REPAIR_BOOK_MAX);
    repair_book_free(b);
}

static void survives_failing_allocation(void)
{
    for (int nth = 1;; nth++) {
        oom_fail_at(nth);
        struct repair_book *b = repair_book_new(LIST, 2);
        if (b && !ask(b, "k/1", "restart", 0))
            CU_ASSERT_EQUAL(got.outcome, REPAIR_FAILED); // what cannot be remembered is not run
        bool hit = oom_stop();
        repair_book_free(b);
        if (!hit)
            break;
    }
}

static const struct test TESTS[] = {
    {"an id is run once, and answered as often as it is asked for", an_id_runs_once},
    {"a request that is too old is not run", what_is_too_old_is_not_run},
    {"an action runs once at a time", one_at_a_time_of_an_action},
    {"the budget of an hour holds, whoever asks how often", the_budget_holds_whoever_asks},
    {"a restart forgets nothing: what was started is not run again", a_restart_forgets_nothing},
    {"lines that are none are passed over", lines_that_are_none_are_passed_over},
    {"the book is bounded and forgets the oldest", the_book_is_bounded},
    {"what cannot be remembered is not run", survives_failing_allocation},
};
int main(void)
{
    return test_main("repair_book", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
