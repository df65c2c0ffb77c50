// SPDX-License-Identifier: Apache-2.0
#include "collector/api.h"
#include "collector/params.h"
#include "tests/lib/run.h"
#include <CUnit/CUnit.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct request *new_request(enum request_kind kind)
{
    struct request *r = calloc(1, sizeof(*r));
    r->kind = kind;
    buf_init(&r->body, 1024);
    return r;
}

static int form(struct request *r, const char *text, struct err *err)
{
    return params_form(r, text, strlen(text), err);
}

static void times_are_read_as_prometheus_reads_them(void)
{
    static const struct {
        const char *text;
        int rc;
        int64_t ms;
    } cases[] = {
        {"0", 0, 0},
        {"1690000000", 0, 1690000000000},
        {"1690000000.123", 0, 1690000000123},
        {"1.69e9", 0, 1690000000000},
        {"1970-01-01T00:00:01Z", 0, 1000},
        {"1970-01-01T00:00:01.5Z", 0, 1500},
        {"1970-01-01T01:00:00+01:00", 0, 0},
        {"1969-12-31T23:00:00-01:00", 0, 0},
        {"", -EINVAL, 0},
        {"NaN", -EINVAL, 0},
        {"1e300", -EINVAL, 0},
        {"yesterday", -EINVAL, 0},
        {"1970-01-01T00:00:01", -EINVAL, 0},
        {"1970-01-01T00:00:01.Z", -EINVAL, 0},
        {"1970-01-01T00:00:01Zx", -EINVAL, 0},
        {"1970-01-01T00:00:00+99:00", -EINVAL, 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        int64_t ms = 0;
        CU_ASSERT_EQUAL(params_time(cases[i].text, &ms), cases[i].rc);
        CU_ASSERT_EQUAL(ms, cases[i].ms);
    }
}

static void a_form_is_decoded_and_unknown_names_are_ignored(void)
{
    struct request *r = new_request(REQUEST_QUERY_RANGE);
    struct err err = {0};
    CU_ASSERT_EQUAL(
        form(r,
            "query=sum+by+%28a%29%20%28x%7Bb%3D%22c%26d%22%7D%29&start=1&end=61&step=15s&dedup=1&",
            &err),
        0);
    CU_ASSERT_STRING_EQUAL(r->expr, "sum by (a) (x{b=\"c&d\"})");
    CU_ASSERT_EQUAL(r->start_ms, 1000);
    CU_ASSERT_EQUAL(r->end_ms, 61000);
    CU_ASSERT_EQUAL(r->step_ms, 15000);
    CU_ASSERT_EQUAL(params_check(r, &err), 0);
    request_free(r);
}

static void selectors_stand_on_lines_of_their_own(void)
{
    struct request *r = new_request(REQUEST_SERIES);
    struct err err = {0};
    r->expr = strdup("series");
    CU_ASSERT_EQUAL(form(r, "match[]=up&match[]=%7Ba%3D%22b%22%2C%0Ac%3D%22d%22%7D", &err), 0);
    CU_ASSERT_STRING_EQUAL(r->expr, "series\nup\n{a=\"b\", c=\"d\"}");
    request_free(r);
}

static void what_is_wrong_is_said(void)
{
    static const struct {
        enum request_kind kind;
        const char *form, *says;
    } cases[] = {
        {REQUEST_QUERY, "", "\"query\" is missing"},
        {REQUEST_QUERY, "query=up&time=soon", "invalid parameter \"time\""},
        {REQUEST_QUERY_RANGE, "query=up&start=1&end=2", "\"step\" is missing"},
        {REQUEST_QUERY_RANGE, "query=up&start=1&end=2&step=-1", "positive duration"},
        {REQUEST_QUERY_RANGE, "query=up&start=1&end=2&step=0", "positive duration"},
        {REQUEST_QUERY_RANGE, "query=up&start=1&end=2&step=nan", "positive duration"},
        {REQUEST_QUERY_RANGE, "query=up&start=1&end=2&step=0.0001", "positive duration"},
        {REQUEST_QUERY, "query=up&limit=many", "not a number"},
        {REQUEST_QUERY, "query=%4", "not well encoded"},
        {REQUEST_QUERY, "query=%zz", "not well encoded"},
        {REQUEST_QUERY, "query=%00", "not well encoded"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct request *r = new_request(cases[i].kind);
        struct err err = {0};
        int rc = form(r, cases[i].form, &err);
        if (rc == 0)
            rc = params_check(r, &err);
        CU_ASSERT_EQUAL(rc, -EINVAL);
        CU_ASSERT_PTR_NOT_NULL(strstr(err.msg, cases[i].says));
        request_free(r);
    }
}

static void a_query_too_long_is_refused(void)
{
    struct request *r = new_request(REQUEST_QUERY);
    struct err err = {0};
    size_t n = 70000;
    char *text = malloc(n + 1);
    memset(text, 'a', n);
    memcpy(text, "query=", 6);
    text[n] = '\0';
    CU_ASSERT_EQUAL(form(r, text, &err), -E2BIG);
    free(text);
    request_free(r);
}

static const struct test TESTS[] = {
    {"times are read as Prometheus reads them", times_are_read_as_prometheus_reads_them},
    {"a form is decoded and unknown names are ignored",
        a_form_is_decoded_and_unknown_names_are_ignored},
    {"selectors stand on lines of their own", selectors_stand_on_lines_of_their_own},
    {"what is wrong is said", what_is_wrong_is_said},
    {"a query too long is refused", a_query_too_long_is_refused},
};

int main(void)
{
    return test_main("params", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
