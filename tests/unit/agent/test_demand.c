// SPDX-License-Identifier: Apache-2.0
#include "agent/demand.h"
#include "agent/le_counts.h"
#include "tests/lib/oom.h"
#include "tests/lib/run.h"
#include <math.h>
#include <string.h>

#define LATENCY "tocsin_probe_latency_seconds"

static const struct wire_threshold THRESHOLDS[] = {
    {LATENCY, 0.5}, {"other", 7}, {LATENCY, 0.1}, {LATENCY, 0.5}, {LATENCY, INFINITY}};
static const char *const FASTER[] = {"a", "b"};

static struct wire_reply reply_of(size_t n_thresholds, size_t n_faster)
{
    return (struct wire_reply){.has_demand = true,
        .thresholds = THRESHOLDS,
        .n_thresholds = n_thresholds,
        .faster = FASTER,
        .n_faster = n_faster};
}

static void taken(void)
{
    struct demand d;
    double le[DEMAND_THRESHOLDS_MAX];
    struct wire_reply r = reply_of(5, 2);

    CU_ASSERT_EQUAL(demand_thresholds(NULL, LATENCY, le), 0);
    CU_ASSERT_FALSE(demand_faster(NULL, "a"));
    demand_init(&d);
    CU_ASSERT_TRUE(demand_take(&d, &r));
    CU_ASSERT_EQUAL(demand_thresholds(&d, LATENCY, le), 2);
    CU_ASSERT_EQUAL(le[0], 0.1);
    CU_ASSERT_EQUAL(le[1], 0.5);
    CU_ASSERT_TRUE(demand_faster(&d, "b"));
    CU_ASSERT_FALSE(demand_faster(&d, "c"));
    CU_ASSERT_FALSE(demand_take(&d, &r)); // told again
    r.has_demand = false;
    r.n_faster = 0;
    CU_ASSERT_FALSE(demand_take(&d, &r)); // says nothing
    CU_ASSERT_TRUE(demand_faster(&d, "b"));
    r = reply_of(0, 1);
    CU_ASSERT_TRUE(demand_take(&d, &r));
    CU_ASSERT_EQUAL(demand_thresholds(&d, LATENCY, le), 0);
    CU_ASSERT_FALSE(demand_faster(&d, "b"));
    CU_ASSERT_EQUAL(d.version, 2);
    demand_done(&d);
}

static void lowest(void)
{
    struct wire_threshold many[DEMAND_THRESHOLDS_MAX + 4];
    double le[DEMAND_THRESHOLDS_MAX];
    struct demand d;
    size_t n = sizeof(many) / sizeof(many[0]);
    for (size_t i = 0; i < n; i++)
        many[i] = (struct wire_threshold){LATENCY, (double)(n - i)};
    struct wire_reply r = {.has_demand = true, .thresholds = many, .n_thresholds = n};
    demand_init(&d);
    CU_ASSERT_TRUE(demand_take(&d, &r));
    CU_ASSERT_EQUAL(demand_thresholds(&d, LATENCY, le), DEMAND_THRESHOLDS_MAX);
    for (size_t i = 0; i < DEMAND_THRESHOLDS_MAX; i++)
        CU_ASSERT_EQUAL(le[i], (double)(i + 1));
    demand_done(&d);
}

static void no_memory(void)
{
    struct wire_reply one = reply_of(0, 1), two = reply_of(5, 2);
    for (int nth = 1;; nth++) {
        struct demand d;
        demand_init(&d);
        CU_ASSERT_TRUE_FATAL(demand_take(&d, &one));
        oom_fail_at(nth);
        bool changed = demand_take(&d, &two);
        bool hit = oom_stop();
        CU_ASSERT_EQUAL(changed, !hit);
        CU_ASSERT_EQUAL(demand_faster(&d, "b"), !hit);
        CU_ASSERT_TRUE(demand_faster(&d, "a"));
        demand_done(&d);
        if (!hit)
            break;
    }
}

// The value of a series in the batch; NAN: it is not there.
static double value_of(const struct batch *b, const char *name, const char *le)
{
    static struct batch_declare known[16]; // ids are dense and few
    double ret = NAN;
    for (size_t i = 0; i < b->n_declares; i++)
        known[b->declares[i].id % 16] = b->declares[i];
    for (size_t i = 0; i < b->groups[0].n; i++) {
        const struct batch_sample *s = &b->groups[0].samples[i];
        const struct batch_declare *d = &known[s->id % 16];
        const char *is = "";
        for (size_t k = 0; k < d->n_labels; k++)
            if (strcmp(d->labels[k].name, "le") == 0)
                is = d->labels[k].value;
        if (s->kind == SAMPLE_VALUE && strcmp(d->name, name) == 0 && strcmp(is, le) == 0)
            ret = s->value;
    }
    return ret;
}

static void exact(void)
{
    const struct wire_label labels[] = {{"job", "probe"}, {"zone", "a"}};
    struct wire_threshold bounds[] = {{LATENCY, 0.25}, {LATENCY, 1}};
    struct wire_reply r = {.has_demand = true, .thresholds = bounds, .n_thresholds = 2};
    struct output *o = output_new();
    struct le_counts c = {0};
    struct demand d;

    CU_ASSERT_PTR_NOT_NULL_FATAL(o);
    demand_init(&d);
    output_group(o, 1000, 1, 1000);
    CU_ASSERT_FALSE(le_counts_follow(&c, o, &d, LATENCY, labels, 2));
    le_counts_observe(&c, 0.1);
    le_counts_write(&c, o);
    CU_ASSERT_EQUAL(output_active(o), 0);
    demand_take(&d, &r);
    CU_ASSERT_TRUE(le_counts_follow(&c, o, &d, LATENCY, labels, 2));
    CU_ASSERT_FALSE(le_counts_follow(&c, o, &d, LATENCY, labels, 2));
    const double seen[] = {0.1, 0.25, 0.2500001, 1, 1.5};
    for (size_t i = 0; i < 5; i++)
        le_counts_observe(&c, seen[i]);
    le_counts_write(&c, o);
    const struct batch *b = output_take(o, 1, 1000, 1000);
    CU_ASSERT_EQUAL(value_of(b, LATENCY "_bucket", "0.25"), 2);
    CU_ASSERT_EQUAL(value_of(b, LATENCY "_bucket", "1.0"), 4);
    CU_ASSERT_EQUAL(value_of(b, LATENCY "_bucket", "+Inf"), 5);
    CU_ASSERT_EQUAL(value_of(b, LATENCY "_count", ""), 5);

    r.n_thresholds = 1; // one is not asked for any more: all begin anew, together
    demand_take(&d, &r);
    output_group(o, 1000, 2, 2000);
    CU_ASSERT_TRUE(le_counts_follow(&c, o, &d, LATENCY, labels, 2));
    le_counts_observe(&c, 0.2);
    le_counts_write(&c, o);
    b = output_take(o, 2, 2000, 2000);
    CU_ASSERT_EQUAL(value_of(b, LATENCY "_bucket", "0.25"), 1);
    CU_ASSERT_EQUAL(value_of(b, LATENCY "_count", ""), 1);
    CU_ASSERT_TRUE(isnan(value_of(b, LATENCY "_bucket", "1.0")));
    le_counts_end(&c, o);
    output_take(o, 3, 3000, 3000);
    CU_ASSERT_EQUAL(output_active(o), 0);
    demand_done(&d);
    output_free(o);
}

static const struct test TESTS[] = {
    {"a demand replaces the one before, and counts as new only when it is", taken},
    {"of too many thresholds the lowest are kept, rising", lowest},
    {"without memory the demand before stays whole", no_memory},
    {"what is at most a bound is counted exactly, from when a rule names it", exact},
};

int main(void)
{
    return test_main("demand", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
