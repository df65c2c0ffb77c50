// SPDX-License-Identifier: Apache-2.0
#include "cli/template_data.h"
#include "tests/lib/oom.h"
#include "tests/lib/run.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

static void the_sample_is_a_message(void)
{
    struct template_message m;
    struct err err = {0};
    struct arena a;
    arena_init(&a, 0);
    CU_ASSERT_EQUAL_FATAL(
        template_data_parse(TEMPLATE_DATA_SAMPLE, strlen(TEMPLATE_DATA_SAMPLE), &a, &m, &err),
        0);
    CU_ASSERT_EQUAL_FATAL(m.n, 2);
    CU_ASSERT_STRING_EQUAL(m.status, "firing");
    CU_ASSERT_STRING_EQUAL(labels_get(m.alerts[1].labels, "instance"), "web-2");
    CU_ASSERT_EQUAL(m.alerts[0].ends_at_ms, TEMPLATE_NO_TIME);
    CU_ASSERT_EQUAL(m.alerts[1].ends_at_ms - m.alerts[1].starts_at_ms, 29000);
    arena_done(&a);
}

static void a_mistake_has_its_text(void)
{
    static const struct {
        const char *text, *want;
    } CASES[] = {
        {"", "no JSON object"},
        {"[]", "no JSON object"},
        {"{\"status\": 1}", "`status` is a text"},
        {"{\"commonLabels\": []}", "`commonLabels` is a map"},
        {"{\"commonLabels\": {\"a\": {}}}", "`a` is a text"},
        {"{\"alerts\": [{\"startsAt\": \"yesterday\"}]}", "`startsAt` is a time"},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct template_message m;
        struct err err = {0};
        struct arena a;
        arena_init(&a, 0);
        int rc = template_data_parse(CASES[i].text, strlen(CASES[i].text), &a, &m, &err);
        if (rc != -EINVAL || !strstr(err.msg, CASES[i].want))
            printf("  case %zu: %d %s\n", i, rc, err.msg);
        CU_ASSERT_EQUAL(rc, -EINVAL);
        CU_ASSERT_PTR_NOT_NULL(strstr(err.msg, CASES[i].want));
        arena_done(&a);
    }
}

static void every_failed_allocation_is_told(void)
{
    for (int nth = 1;; nth++) {
        struct template_message m;
        struct err err = {0};
        struct arena a;
        arena_init(&a, 0);
        oom_fail_at(nth);
        int rc = template_data_parse(
            TEMPLATE_DATA_SAMPLE, strlen(TEMPLATE_DATA_SAMPLE), &a, &m, &err);
        bool hit = oom_stop();
        CU_ASSERT_TRUE(rc == 0 || (hit && err.msg[0]));
        arena_done(&a);
        if (!hit)
            break;
    }
}

static const struct test TESTS[] = {
    {"the sample is a message", the_sample_is_a_message},
    {"a mistake has its text", a_mistake_has_its_text},
    {"every failed allocation is told", every_failed_allocation_is_told},
};

int main(void)
{
    return test_main("template_data", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
