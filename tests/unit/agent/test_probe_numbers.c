// SPDX-License-Identifier: Apache-2.0
// What a service tells of itself, as series of its probe.
#include "agent/probe_numbers.h"
#include "base/clock.h"
#include "tests/lib/oom.h"
#include "tests/lib/run.h"
#include <string.h>

#define EVERY_MS 1000
#define OWN      2 // how many series there are and were refused

static const struct wire_label LABELS[] = {
    {NULL, NULL}, {"job", "probe"}, {"probe", "p"}, {"port", ""}, {"service", NULL}};

static struct numbers *new_numbers(struct output *out)
{
    return numbers_new(out, "p", LABELS, sizeof(LABELS) / sizeof(LABELS[0]));
}

static void tell(struct numbers *n, const char *queue, double value)
{
    struct wire_label label = {"queue", queue};
    struct page_sink sink = numbers_sink(n);
    sink.value(sink.ctx, "depth", &label, 1, SERIES_GAUGE, "1", value);
}

static void one_asks_at_a_time_and_not_too_often(void)
{
    struct output *out = output_new();
    struct numbers *n = new_numbers(out);
    int a, b;
    CU_ASSERT_TRUE(numbers_begin(n, &a, 1 * NS_PER_S, 1000, EVERY_MS));
    CU_ASSERT_FALSE(numbers_begin(n, &b, 9 * NS_PER_S, 9000, EVERY_MS)); // a is still at it
    numbers_end(n, &b, true);                                            // not its round
    CU_ASSERT_FALSE(numbers_begin(n, &b, 9 * NS_PER_S, 9000, EVERY_MS));
    numbers_end(n, &a, true);
    CU_ASSERT_FALSE(numbers_begin(n, &b, 1500 * NS_PER_MS, 1500, EVERY_MS));
    // A turn that is a little early is that turn.
    CU_ASSERT_TRUE(numbers_begin(n, &b, 1990 * NS_PER_MS, 1990, EVERY_MS));
    numbers_end(n, &b, true);
    numbers_free(n, 0);
    output_free(out);
}

// Stale markers and values of `depth` in what goes out.
static void look(struct output *out, size_t *values, size_t *stale)
{
    static uint64_t seq;
    const struct batch *b = output_take(out, ++seq, 5000, 5000);
    *values = *stale = 0;
    for (size_t g = 0; g < b->n_groups; g++)
        for (size_t i = 0; i < b->groups[g].n; i++)
            if (b->groups[g].samples[i].kind == SAMPLE_STALE)
                ++*stale;
            else
                ++*values;
}

static void what_is_no_longer_told_ends(void)
{
    struct output *out = output_new();
    struct numbers *n = new_numbers(out);
    size_t values, stale;
    int who;
    CU_ASSERT_TRUE(numbers_begin(n, &who, 1 * NS_PER_S, 1000, EVERY_MS));
    tell(n, "a", 1);
    tell(n, "b", 2);
    numbers_end(n, &who, true);
    look(out, &values, &stale);
    CU_ASSERT_EQUAL(values, 2 + OWN);
    CU_ASSERT_EQUAL(stale, 0);
    CU_ASSERT_TRUE(numbers_begin(n, &who, 2 * NS_PER_S, 2000, EVERY_MS));
    tell(n, "a", 1);
    numbers_end(n, &who, true);
    look(out, &values, &stale);
    CU_ASSERT_EQUAL(values, 1 + OWN);
    CU_ASSERT_EQUAL(stale, 1);
    // A round that failed half way: nothing of it, and the rest ends.
    CU_ASSERT_TRUE(numbers_begin(n, &who, 3 * NS_PER_S, 3000, EVERY_MS));
    tell(n, "a", 7);
    numbers_end(n, &who, false);
    look(out, &values, &stale);
    CU_ASSERT_EQUAL(values, OWN);
    CU_ASSERT_EQUAL(stale, 1);
    numbers_free(n, 4000);
    output_free(out);
}

static void failed_allocations(void)
{
    for (int nth = 1;; nth++) {
        struct output *out = output_new();
        oom_fail_at(nth);
        struct numbers *n = new_numbers(out);
        if (n && numbers_begin(n, &nth, NS_PER_S, 1000, EVERY_MS)) {
            tell(n, "a", 1);
            numbers_end(n, &nth, true);
        }
        bool hit = oom_stop();
        numbers_free(n, 0);
        output_free(out);
        if (!hit)
            break;
    }
}

int main(void)
{
    static const struct test TESTS[] = {
        {"one asks at a time, and not too often", one_asks_at_a_time_and_not_too_often},
        {"what is no longer told ends", what_is_no_longer_told_ends},
        {"failed allocations lose numbers and leak nothing", failed_allocations},
    };
    return test_main("probe_numbers", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
