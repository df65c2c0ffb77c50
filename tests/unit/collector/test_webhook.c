// SPDX-License-Identifier: Apache-2.0
#include "collector/webhook.h"
#include "tests/lib/oom.h"
#include "tests/lib/run.h"
#include <cjson/cJSON.h>
#include <errno.h>
#include <string.h>

static const struct label WEB1[] = {
    {"alertname", "Slow"}, {"instance", "web-1"}, {"severity", "page"}};
static const struct label WEB2[] = {
    {"alertname", "Slow"}, {"instance", "web-2"}, {"severity", "page"}};
static const struct label SUMMARY[] = {{"summary", "a \"quoted\" text\nof two lines"}};
static const struct label GROUP[] = {{"alertname", "Slow"}};
static const struct labels L1 = {WEB1, 3}, L2 = {WEB2, 3}, A = {SUMMARY, 1}, G = {GROUP, 1};
static const struct webhook_alert ALERTS[] = {
    {.labels = &L1,
        .annotations = &A,
        .firing = true,
        .starts_at_ms = 1764044401123,
        .generator_url = "http://c/graph?g0.expr=up&g0.tab=1",
        .fingerprint = 0xabcULL},
    {.labels = &L2,
        .annotations = &A,
        .starts_at_ms = 1764044400000,
        .ends_at_ms = 1764044460050,
        .generator_url = "",
        .fingerprint = 0xffffffffffffffffULL},
};
static const struct webhook_message MESSAGE = {.receiver = "oncall",
    .external_url = "http://c",
    .group_key = "{}:{alertname=\"Slow\"}",
    .group_labels = &G,
    .alerts = ALERTS,
    .n = 2};

static void whole_body(void)
{
    static const char WANT[] =
        "{\"receiver\":\"oncall\",\"status\":\"firing\",\"alerts\":["
        "{\"status\":\"firing\",\"labels\":{\"alertname\":\"Slow\",\"instance\":\"web-1\","
        "\"severity\":\"page\"},"
        "\"annotations\":{\"summary\":\"a \\\"quoted\\\" text\\nof two lines\"},"
        "\"startsAt\":\"2025-11-25T04:20:01.123Z\",\"endsAt\":\"0001-01-01T00:00:00Z\","
        "\"generatorURL\":\"http://c/graph?g0.expr=up&g0.tab=1\","
        "\"fingerprint\":\"0000000000000abc\"},"
        "{\"status\":\"resolved\",\"labels\":{\"alertname\":\"Slow\",\"instance\":\"web-2\","
        "\"severity\":\"page\"},"
        "\"annotations\":{\"summary\":\"a \\\"quoted\\\" text\\nof two lines\"},"
        "\"startsAt\":\"2025-11-25T04:20:00.000Z\",\"endsAt\":\"2025-11-25T04:21:00.050Z\","
        "\"generatorURL\":\"\",\"fingerprint\":\"ffffffffffffffff\"}],"
        "\"groupLabels\":{\"alertname\":\"Slow\"},"
        "\"commonLabels\":{\"alertname\":\"Slow\",\"severity\":\"page\"},"
        "\"commonAnnotations\":{\"summary\":\"a \\\"quoted\\\" text\\nof two lines\"},"
        "\"externalURL\":\"http://c\",\"version\":\"4\","
        "\"groupKey\":\"{}:{alertname=\\\"Slow\\\"}\",\"truncatedAlerts\":0}";
    struct buf out;
    buf_init(&out, 1u << 20);
    CU_ASSERT_EQUAL(webhook_body(&MESSAGE, &out), 0);
    CU_ASSERT_STRING_EQUAL(buf_cstr(&out), WANT);
    buf_done(&out);
}

static void truncates(void)
{
    struct webhook_message m = MESSAGE;
    struct buf out;
    m.max_alerts = 1;
    buf_init(&out, 1u << 20);
    CU_ASSERT_EQUAL(webhook_body(&m, &out), 0);
    cJSON *j = cJSON_Parse(buf_cstr(&out));
    CU_ASSERT_PTR_NOT_NULL_FATAL(j);
    CU_ASSERT_EQUAL(cJSON_GetArraySize(cJSON_GetObjectItem(j, "alerts")), 1);
    CU_ASSERT_EQUAL(cJSON_GetObjectItem(j, "truncatedAlerts")->valueint, 1);
    // instance differs in the alert that was cut off, so it is not common.
    CU_ASSERT_PTR_NULL(cJSON_GetObjectItem(cJSON_GetObjectItem(j, "commonLabels"), "instance"));
    cJSON_Delete(j);
    buf_done(&out);
}

static void all_resolved(void)
{
    struct webhook_message m = MESSAGE;
    struct buf out;
    m.alerts = &ALERTS[1];
    m.n = 1;
    buf_init(&out, 1u << 20);
    CU_ASSERT_EQUAL(webhook_body(&m, &out), 0);
    cJSON *j = cJSON_Parse(buf_cstr(&out));
    CU_ASSERT_PTR_NOT_NULL_FATAL(j);
    CU_ASSERT_STRING_EQUAL(cJSON_GetObjectItem(j, "status")->valuestring, "resolved");
    CU_ASSERT_STRING_EQUAL(
        cJSON_GetObjectItem(cJSON_GetObjectItem(j, "commonLabels"), "instance")->valuestring,
        "web-2");
    cJSON_Delete(j);
    buf_done(&out);
}

static void expression_in_a_link(void)
{
    struct buf out;
    buf_init(&out, 4096);
    CU_ASSERT_EQUAL(webhook_generator_url("http://c", "rate(x[5m]) > 1", &out), 0);
    CU_ASSERT_STRING_EQUAL(
        buf_cstr(&out), "http://c/graph?g0.expr=rate%28x%5B5m%5D%29+%3E+1&g0.tab=1");
    buf_done(&out);
}

static void keys_of_groups(void)
{
    static const struct labels none = {0};
    struct buf out;
    buf_init(&out, 4096);
    webhook_group_key(NULL, &none, &out);
    CU_ASSERT_STRING_EQUAL(buf_cstr(&out), "{}:{}");
    buf_reset(&out);
    webhook_group_key(NULL, &G, &out);
    CU_ASSERT_STRING_EQUAL(buf_cstr(&out), "{}:{alertname=\"Slow\"}");
    buf_done(&out);
}

static void no_memory(void)
{
    for (int nth = 1;; nth++) {
        struct buf out;
        buf_init(&out, 1u << 20);
        oom_fail_at(nth);
        int rc = webhook_body(&MESSAGE, &out);
        bool hit = oom_stop();
        buf_done(&out);
        if (!hit) {
            CU_ASSERT_EQUAL(rc, 0);
            break;
        }
        CU_ASSERT_EQUAL(rc, -ENOMEM);
    }
}

static const struct test TESTS[] = {
    {"writes every field of version 4 in Alertmanager's order", whole_body},
    {"cuts at max_alerts and counts the rest", truncates},
    {"is resolved only when every alert is", all_resolved},
    {"links to the expression", expression_in_a_link},
    {"names a group as Alertmanager does", keys_of_groups},
    {"reports a failed allocation", no_memory},
};
int main(void)
{
    return test_main("webhook", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
