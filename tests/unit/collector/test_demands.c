// SPDX-License-Identifier: Apache-2.0
#include "collector/demands.h"
#include "tests/lib/oom.h"
#include "tests/lib/run.h"
#include <stdio.h>
#include <string.h>

static struct ruleset *rules_of(const char *text, const char *overrides)
{
    struct ruleset *s = ruleset_new();
    struct diags d;
    diags_init(&d);
    CU_ASSERT_EQUAL_FATAL(ruleset_add(s, "r.yaml", text, strlen(text), &d), 0);
    if (overrides)
        CU_ASSERT_EQUAL_FATAL(
            ruleset_override(s, "o.yaml", overrides, strlen(overrides), &d), 0);
    diags_done(&d);
    return s;
}

static const char RULES[] =
    "groups:\n"
    "- name: web\n"
    "  rules:\n"
    "  - {alert: Slow, expr: 'rate(lat_bucket{le=\"0.3\"}[1m]) / rate(lat_bucket{le=\"+Inf\"}[1m]) < 0.9'}\n"
    "  - {record: fast, expr: 'sum(rate({__name__=\"lat_bucket\", le=\"0.1\"}[1m])) + sum(lat_bucket{le=\"0.30\"})'}\n"
    "  - {alert: Odd, expr: 'lat{le=\"1\"} + other_bucket{le=~\"1|2\"} + _bucket{le=\"1\"} > 0'}\n"
    "  - {alert: Full, expr: 'max_over_time(queue[1m:10s]) > topk(1, depth{zone=\"a\"}) or queue > 5'}\n"
    "  - {alert: Off, expr: 'gone_bucket{le=\"5\"} > 1'}\n";
static const char OVERRIDES[] = "overrides:\n"
                                "- {rule: web/Full, set: {evaluate: arrival}}\n"
                                "- {rule: web/Off, disable: true}\n";

static void named(void)
{
    struct ruleset *s = rules_of(RULES, OVERRIDES);
    struct demands *d = demands_of(s);
    CU_ASSERT_PTR_NOT_NULL_FATAL(d);
    CU_ASSERT_EQUAL_FATAL(d->n_thresholds, 2);
    CU_ASSERT_STRING_EQUAL(d->thresholds[0].name, "lat");
    CU_ASSERT_EQUAL(d->thresholds[0].value, 0.1);
    CU_ASSERT_STRING_EQUAL(d->thresholds[1].name, "lat");
    CU_ASSERT_EQUAL(d->thresholds[1].value, 0.3);
    CU_ASSERT_EQUAL_FATAL(d->n_faster, 2);
    CU_ASSERT_STRING_EQUAL(d->faster[0], "depth");
    CU_ASSERT_STRING_EQUAL(d->faster[1], "queue");
    demands_free(d);
    ruleset_free(s);
}

static void bounded(void)
{
    static char text[1u << 20];
    size_t at = (size_t)sprintf(text, "groups:\n- name: g\n  rules:\n"), bytes = 0;
    for (int i = 0; i < 3000; i++)
        at += (size_t)sprintf(
            text + at, "  - {record: r, expr: 'm%04d_bucket{le=\"%d\"}'}\n", i, i);
    struct ruleset *s = rules_of(text, NULL);
    struct demands *d = demands_of(s);
    CU_ASSERT_PTR_NOT_NULL_FATAL(d);
    CU_ASSERT_EQUAL(d->n_thresholds, WIRE_DEMANDS_MAX);
    for (size_t i = 0; i < d->n_thresholds; i++)
        bytes += strlen(d->thresholds[i].name);
    CU_ASSERT_TRUE(bytes <= DEMANDS_BYTES_MAX);
    demands_free(d);
    ruleset_free(s);
}

static void no_memory(void)
{
    struct ruleset *s = rules_of(RULES, OVERRIDES);
    for (int nth = 1;; nth++) {
        oom_fail_at(nth);
        struct demands *d = demands_of(s);
        bool hit = oom_stop();
        CU_ASSERT_EQUAL(d == NULL, hit);
        demands_free(d);
        if (!hit)
            break;
    }
    ruleset_free(s);
}

static const struct test TESTS[] = {
    {"bounds of classic buckets and what arrival rules read are demanded, each once", named},
    {"as many names as a reply holds", bounded},
    {"a failed allocation demands nothing", no_memory},
};

int main(void)
{
    return test_main("demands", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
