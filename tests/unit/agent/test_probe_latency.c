// SPDX-License-Identifier: Apache-2.0
// The latency of a service that stalls, on a virtual clock: what the histogram says against the truth for
// the same questions, and against what somebody reports who waits for an answer before asking again.
#include "agent/probe.h"
#include "agent/probe_latency.h"
#include "base/clock.h"
#include "tests/lib/run.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SERVICE_NS NS_PER_MS // of an answer when it is not stalled
#define STARTS_MAX 60000

// Stalled for the first stall_ns of every period: who asks then is answered when it goes on.
struct service {
    int64_t period_ns, stall_ns;
};

static int64_t answered_at(const struct service *s, int64_t asked_ns)
{
    int64_t into = asked_ns % s->period_ns;
    return (into < s->stall_ns ? asked_ns - into + s->stall_ns : asked_ns) + SERVICE_NS;
}

// The engine's turns: PROBE_FLIGHTS side by side, each over at its answer or its timeout.
static void ask_at_a_fixed_rate(const struct service *s, int64_t step_ns, int64_t timeout_ns,
    size_t n, struct probe_latency *l)
{
    struct {
        int64_t due, over;
    } flights[PROBE_FLIGHTS] = {{0}};
    size_t flying = 0;
    for (size_t k = 0; k <= n; k++) {
        int64_t due = (int64_t)k * step_ns;
        // Ends before this turn, in their order.
        for (bool ended = true; ended;) {
            size_t first = flying;
            for (size_t i = 0; i < flying; i++)
                if (flights[i].over <= due &&
                    (first == flying || flights[i].over < flights[first].over))
                    first = i;
            ended = first < flying;
            if (!ended)
                continue;
            probe_latency_book(l, (double)(flights[first].over - flights[first].due) / 1e9);
            probe_latency_settle(l, flights[first].over, step_ns, timeout_ns);
            flights[first] = flights[--flying];
        }
        if (k == n)
            return;
        if (flying == PROBE_FLIGHTS) {
            probe_latency_owe(l, due, step_ns);
            continue;
        }
        int64_t over = answered_at(s, due);
        flights[flying].due = due;
        flights[flying++].over = over < due + timeout_ns ? over : due + timeout_ns;
    }
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

// Of every question that fell due.
static double truth(const struct service *s, int64_t step_ns, size_t n, double q)
{
    static double all[STARTS_MAX];
    for (size_t k = 0; k < n; k++)
        all[k] = (double)(answered_at(s, (int64_t)k * step_ns) - (int64_t)k * step_ns) / 1e9;
    qsort(all, n, sizeof(*all), by_value);
    return all[(size_t)ceil(q * (double)n) - 1];
}

// As Prometheus takes a quantile of a native histogram: exponential within a bucket.
static double quantile(const struct probe_latency *l, double q, uint64_t *ret_count)
{
    int32_t index[PROBE_BUCKETS];
    uint64_t count[PROBE_BUCKETS], total, before;
    struct wire_histogram h;
    probe_latency_read(l, index, count, &h);
    total = before = h.zero_count;
    for (size_t i = 0; i < h.n; i++)
        total += count[i];
    *ret_count = total;
    double rank = q * (double)total;
    for (size_t i = 0; i < h.n; i++) {
        if ((double)(before + count[i]) >= rank)
            return exp2((index[i] - 1 + (rank - (double)before) / (double)count[i]) / 16);
        before += count[i];
    }
    return NAN;
}

static void a_stall_is_in_the_p99(void)
{
    static const struct {
        int64_t step_ms, timeout_ms, period_ms, stall_ms;
    } CASES[] = {
        {10, 2000, 5000, 500}, // the study's: 100 questions a second
        {50, 2000, 5000, 500},
        {50, 2000, 5003, 500}, // no beat with the questions
        {250, 2000, 5000, 500},
        {250, 2000, 4999, 500},
        {1000, 2000, 4999, 500},
        {50, 2000, 10007, 1000},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct service s = {CASES[i].period_ms * NS_PER_MS, CASES[i].stall_ms * NS_PER_MS};
        int64_t step = CASES[i].step_ms * NS_PER_MS;
        size_t n = (size_t)(600 * NS_PER_S / step); // ten minutes
        struct probe_latency l = {0};
        uint64_t count;
        n = n < STARTS_MAX ? n : STARTS_MAX;
        ask_at_a_fixed_rate(&s, step, CASES[i].timeout_ms * NS_PER_MS, n, &l);
        double is = quantile(&l, 0.99, &count), should = truth(&s, step, n, 0.99);
        printf("every %4lld ms, stalled %lld ms each %lld: p99 %.1f ms, truth %.1f ms\n",
            (long long)CASES[i].step_ms, (long long)CASES[i].stall_ms,
            (long long)CASES[i].period_ms, is * 1e3, should * 1e3);
        CU_ASSERT_EQUAL(count, n); // no question is left out
        CU_ASSERT_TRUE(fabs(is / should - 1) < 0.05);
        double median = quantile(&l, 0.5, &count);
        CU_ASSERT_TRUE(fabs(median / truth(&s, step, n, 0.5) - 1) < 0.05);
    }
}

static void who_waits_for_answers_does_not_see_it(void)
{
    struct service s = {5 * NS_PER_S, 500 * NS_PER_MS};
    struct probe_latency l = {0};
    uint64_t count;
    for (int64_t at = 0; at < 600 * NS_PER_S;) {
        int64_t over = answered_at(&s, at);
        probe_latency_book(&l, (double)(over - at) / 1e9);
        at = over > at + 10 * NS_PER_MS ? over : at + 10 * NS_PER_MS;
    }
    CU_ASSERT_TRUE(quantile(&l, 0.99, &count) < 0.0011);
    CU_ASSERT_TRUE(truth(&s, 10 * NS_PER_MS, STARTS_MAX, 0.99) > 0.45);
}

static uint64_t counted(const struct probe_latency *l)
{
    uint64_t count;
    (void)quantile(l, 0.99, &count);
    return count;
}

static void a_timeout_is_a_lower_bound_for_all(void)
{
    // It never answers: three in flight, the rest owed, none longer than the timeout.
    struct service s = {3600 * NS_PER_S, 3600 * NS_PER_S};
    struct probe_latency l = {0};
    uint64_t count;
    ask_at_a_fixed_rate(&s, 50 * NS_PER_MS, 2 * NS_PER_S, 2000, &l);
    CU_ASSERT_TRUE(counted(&l) > 1950); // but those still in flight at the end
    CU_ASSERT_TRUE(quantile(&l, 1, &count) <= 2.1);
    CU_ASSERT_TRUE(quantile(&l, 0.5, &count) > 0.9);
}

static void what_waits_for_us_is_not_the_services(void)
{
    struct probe_latency l = {0};
    probe_latency_owe(&l, 100, 50);
    probe_latency_owe(&l, 150, 50);
    probe_latency_settle(&l, 120, 50, 1000); // answered at 120, then only numbers came
    CU_ASSERT_EQUAL(counted(&l), 1);
    probe_latency_settle(&l, 500, 50, 1000);
    CU_ASSERT_EQUAL(counted(&l), 1);
}

int main(void)
{
    static const struct test TESTS[] = {
        {"a stall is in the p99, within 5 %", a_stall_is_in_the_p99},
        {"who waits for answers does not see it", who_waits_for_answers_does_not_see_it},
        {"a timeout is a lower bound for all", a_timeout_is_a_lower_bound_for_all},
        {"what waits for us is not the service's", what_waits_for_us_is_not_the_services},
    };
    return test_main("probe_latency", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
