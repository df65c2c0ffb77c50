// SPDX-License-Identifier: Apache-2.0
#include "agent/otlp_json.h"
#include "base/clock.h"
#include "tests/lib/oom.h"
#include "tests/lib/run.h"
#include <errno.h>
#include <malloc.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef Tocsin__Otlp__Metric Metric;
typedef Tocsin__Otlp__ExportRequest Request;

static struct arena arena;
static struct err err;

static int read_len(const char *text, size_t len, const Request **ret)
{
    // On the heap without an end, so that a read beyond it is seen.
    char *copy = malloc(len ? len : 1);
    CU_ASSERT_PTR_NOT_NULL_FATAL(copy);
    memcpy(copy, text, len);
    arena_done(&arena);
    arena_init(&arena, 24u << 20);
    err = (struct err){0};
    int rc = otlp_json_read(copy, len, &arena, ret, &err);
    free(copy);
    return rc;
}

static int read_text(const char *text, const Request **ret)
{
    return read_len(text, strlen(text), ret);
}

#define METRICS(list) "{\"resourceMetrics\":[{\"scopeMetrics\":[{\"metrics\":[" list "]}]}]}"

// The metric whose JSON this is; NULL: it was refused.
static const Metric *metric(const char *json)
{
    char text[4096];
    const Request *q;
    snprintf(text, sizeof(text), METRICS("%s"), json);
    if (read_text(text, &q) != 0)
        return NULL;
    CU_ASSERT_EQUAL_FATAL(q->n_resource_metrics, 1);
    CU_ASSERT_EQUAL_FATAL(q->resource_metrics[0]->scope_metrics[0]->n_metrics, 1);
    return q->resource_metrics[0]->scope_metrics[0]->metrics[0];
}

static const Tocsin__Otlp__NumberPoint *point(const char *json)
{
    char text[2048];
    snprintf(text, sizeof(text), "{\"gauge\":{\"dataPoints\":[%s]}}", json);
    const Metric *m = metric(text);
    return m ? m->gauge->data_points[0] : NULL;
}

static void every_kind(void)
{
    const Metric *m = metric(
        "{\"name\":\"h\",\"unit\":\"s\",\"description\":\"\",\"histogram\":{"
        "\"aggregationTemporality\":\"AGGREGATION_TEMPORALITY_DELTA\",\"dataPoints\":[{"
        "\"startTimeUnixNano\":\"1\",\"timeUnixNano\":\"18446744073709551615\",\"count\":\"6\","
        "\"sum\":10.5,\"bucketCounts\":[\"1\",2,\"3\"],\"explicitBounds\":[0.5,1],"
        "\"exemplars\":[{\"traceId\":\"5b8efff798038103d269b633813fc60c\",\"asDouble\":1}],"
        "\"min\":0.1,\"attributes\":[{\"key\":\"k\",\"value\":{\"boolValue\":true}}],"
        "\"flags\":1}]}}");
    CU_ASSERT_PTR_NOT_NULL_FATAL(m);
    CU_ASSERT_STRING_EQUAL(m->name, "h");
    CU_ASSERT_STRING_EQUAL(m->unit, "s");
    CU_ASSERT_EQUAL_FATAL(m->data_case, TOCSIN__OTLP__METRIC__DATA_HISTOGRAM);
    CU_ASSERT_EQUAL(
        m->histogram->aggregation_temporality, TOCSIN__OTLP__TEMPORALITY__TEMPORALITY_DELTA);
    const Tocsin__Otlp__HistogramPoint *h = m->histogram->data_points[0];
    CU_ASSERT_TRUE(h->has_time_unix_nano && h->time_unix_nano == UINT64_MAX);
    CU_ASSERT_TRUE(h->count == 6 && h->has_sum && h->sum == 10.5 && h->flags == 1);
    CU_ASSERT_TRUE(h->n_bucket_counts == 3 && h->bucket_counts[0] == 1 &&
                   h->bucket_counts[1] == 2 && h->bucket_counts[2] == 3);
    CU_ASSERT_TRUE(h->n_explicit_bounds == 2 && h->explicit_bounds[1] == 1);
    CU_ASSERT_EQUAL_FATAL(h->n_attributes, 1);
    CU_ASSERT_STRING_EQUAL(h->attributes[0]->key, "k");
    CU_ASSERT_TRUE(h->attributes[0]->value->bool_value);

    m = metric("{\"exponentialHistogram\":{\"aggregationTemporality\":2,\"dataPoints\":[{"
               "\"scale\":-3,\"zeroCount\":7,\"positive\":{\"offset\":-2147483648,"
               "\"bucketCounts\":[]},\"zeroThreshold\":\"Infinity\"}]}}");
    CU_ASSERT_PTR_NOT_NULL_FATAL(m);
    const Tocsin__Otlp__ExponentialPoint *e = m->exponential_histogram->data_points[0];
    CU_ASSERT_TRUE(e->scale == -3 && e->zero_count == 7 && isinf(e->zero_threshold));
    CU_ASSERT_TRUE(e->positive->offset == INT32_MIN && e->positive->n_bucket_counts == 0);
    CU_ASSERT_FALSE(e->has_sum);

    m = metric(
        "{\"summary\":{\"dataPoints\":[{\"quantileValues\":[{\"quantile\":0.5,\"value\":3}]"
        "}]}}");
    CU_ASSERT_PTR_NOT_NULL_FATAL(m);
    CU_ASSERT_EQUAL(m->summary->data_points[0]->quantile_values[0]->value, 3);
    CU_ASSERT_PTR_NULL(m->name);
}

static void numbers(void)
{
    static const struct {
        const char *json;
        int64_t want;
    } WHOLE[] = {{"5", 5}, {"\"5\"", 5}, {"-7", -7}, {"\"-7\"", -7}, {"1e3", 1000}, {"5.0", 5},
        {"\"9223372036854775807\"", INT64_MAX}, {"\"-9223372036854775808\"", INT64_MIN},
        {"-9223372036854775808", INT64_MIN}, {"\"9007199254740993\"", 9007199254740993},
        {"-0", 0}, {"\"-0\"", 0}};
    static const char *const NOT[] = {"1.5", "\"1.5\"", "\"\"", "\"-\"", "\" 5\"", "\"+5\"",
        "\"0x10\"", "9223372036854775808", "\"9223372036854775808\"",
        "\"-9223372036854775809\"", "1e300", "true", "{}", "[]", "\"5 \""};
    char text[128];
    for (size_t i = 0; i < sizeof(WHOLE) / sizeof(WHOLE[0]); i++) {
        snprintf(text, sizeof(text), "{\"asInt\":%s}", WHOLE[i].json);
        const Tocsin__Otlp__NumberPoint *p = point(text);
        CU_ASSERT_PTR_NOT_NULL_FATAL(p);
        CU_ASSERT_EQUAL(p->value_case, TOCSIN__OTLP__NUMBER_POINT__VALUE_AS_INT);
        CU_ASSERT_EQUAL(p->as_int, WHOLE[i].want);
    }
    for (size_t i = 0; i < sizeof(NOT) / sizeof(NOT[0]); i++) {
        snprintf(text, sizeof(text), "{\"asInt\":%s}", NOT[i]);
        CU_ASSERT_PTR_NULL(point(text));
        CU_ASSERT_STRING_EQUAL(err.msg, "`asInt` is not a whole number that fits");
    }
    CU_ASSERT_PTR_NULL(point("{\"timeUnixNano\":-1}"));
    CU_ASSERT_PTR_NULL(point("{\"timeUnixNano\":18446744073709551616}"));
    CU_ASSERT_PTR_NULL(point("{\"flags\":4294967296}"));
    CU_ASSERT_EQUAL(
        point("{\"timeUnixNano\":1800000000000000000}")->time_unix_nano, 1800000000000000000);
    CU_ASSERT_EQUAL(point("{\"asDouble\":\"1.5e3\"}")->as_double, 1500);
    CU_ASSERT_TRUE(isnan(point("{\"asDouble\":\"NaN\"}")->as_double));
    CU_ASSERT_EQUAL(point("{\"asDouble\":\"-Infinity\"}")->as_double, -INFINITY);
    CU_ASSERT_PTR_NULL(point("{\"asDouble\":\"much\"}"));
    CU_ASSERT_PTR_NULL(metric("{\"sum\":{\"isMonotonic\":1}}"));
    CU_ASSERT_PTR_NULL(metric("{\"sum\":{\"aggregationTemporality\":\"NEVER\"}}"));
    CU_ASSERT_STRING_EQUAL(err.msg, "`aggregationTemporality` is not one of its values");
    CU_ASSERT_PTR_NULL(metric("{\"name\":5}"));
    CU_ASSERT_PTR_NULL(metric("{\"gauge\":[]}"));
    CU_ASSERT_PTR_NULL(metric("{\"gauge\":{\"dataPoints\":{}}}"));
    CU_ASSERT_PTR_NULL(metric("null"));
}

static void what_is_not_known(void)
{
    const Request *q;
    // null is as if it was not there; of names only those of the mapping.
    const Metric *m = metric("{\"name\":null,\"unknown\":[[{\"a\":null}]],\"gauge\":{"
                             "\"data_points\":[{\"asInt\":1}]},\"\":1}");
    CU_ASSERT_PTR_NOT_NULL_FATAL(m);
    CU_ASSERT_TRUE(!m->name && m->gauge->n_data_points == 0);
    m = metric("{\"gauge\":{},\"sum\":{\"isMonotonic\":true}}"); // the last one counts
    CU_ASSERT_TRUE(m->data_case == TOCSIN__OTLP__METRIC__DATA_SUM && m->sum->is_monotonic);
    const Tocsin__Otlp__NumberPoint *p =
        point("{\"attributes\":[{\"key\":\"a\",\"value\":{\"arrayValue\":{\"values\":[{}]}}},"
              "{\"key\":\"b\\u00e4\\\"\",\"value\":{\"stringValue\":\"\"}}]}");
    CU_ASSERT_EQUAL(
        p->attributes[0]->value->value_case, TOCSIN__OTLP__ANY_VALUE__VALUE__NOT_SET);
    CU_ASSERT_STRING_EQUAL(p->attributes[1]->key, "b\xc3\xa4\"");
    CU_ASSERT_EQUAL(p->value_case, TOCSIN__OTLP__NUMBER_POINT__VALUE__NOT_SET);
    CU_ASSERT_EQUAL(read_text(" {}\r\n\t ", &q), 0);
    CU_ASSERT_EQUAL(q->n_resource_metrics, 0);
}

static void no_json(void)
{
    static const char WHOLE[] = METRICS("{\"name\":\"a\\\"b\",\"gauge\":{\"dataPoints\":"
                                        "[{\"asDouble\":-1.5e-3,\"flags\":0}]}}");
    static const char *const NOT[] = {"", " ", "[]", "5", "\"{}\"", "null", "{}{}", "{} x",
        "{\"resourceMetrics\":[{]}", "{'a':1}", "hello", "{\"a\":\"", "{\"a\":\"\\"};
    const Request *q;
    for (size_t i = 0; i < sizeof(NOT) / sizeof(NOT[0]); i++) {
        CU_ASSERT_EQUAL(read_text(NOT[i], &q), -EBADMSG);
        CU_ASSERT_TRUE(err.msg[0] != '\0');
    }
    CU_ASSERT_EQUAL(read_text("{\"resourceMetrics\":x}", &q), -EBADMSG);
    CU_ASSERT_STRING_EQUAL(err.msg, "not JSON from byte 19 on");
    for (size_t len = 0; len < sizeof(WHOLE) - 1; len++)
        CU_ASSERT_EQUAL(read_len(WHOLE, len, &q), -EBADMSG);
    CU_ASSERT_EQUAL(read_len(WHOLE, sizeof(WHOLE) - 1, &q), 0);
    CU_ASSERT_EQUAL(read_len("{}\0", 3, &q), -EBADMSG);
}

static char *repeated(const char *before, const char *piece, size_t n, const char *after)
{
    struct buf b;
    buf_init(&b, 16u << 20);
    buf_adds(&b, before);
    for (size_t i = 0; i < n; i++)
        buf_adds(&b, piece);
    buf_adds(&b, after);
    buf_addc(&b, '\0');
    return (char *)b.data;
}

static void bounds(void)
{
    const Request *q;
    char *deep = repeated("{\"a\":", "[", 100000, "");
    CU_ASSERT_EQUAL(read_text(deep, &q), -EBADMSG);
    CU_ASSERT_STRING_EQUAL(err.msg, "deeper than 64 levels");
    free(deep);
    char *many = repeated("{\"a\":[", "0,", 2000000, "0]}");
    int64_t before = (int64_t)mallinfo2().uordblks;
    CU_ASSERT_EQUAL(read_text(many, &q), -EMSGSIZE);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.msg, "100000 values"));
    CU_ASSERT_TRUE((int64_t)mallinfo2().uordblks - before < 1 << 20);
    free(many);
    many = repeated("{\"a\":[", "0,", OTLP_JSON_VALUES_MAX - 4, "0]}");
    CU_ASSERT_EQUAL(read_text(many, &q), 0);
    free(many);
    // Commas, brackets and quotes in text are text.
    char *text = repeated("{\"a\":\"", ",[{\\\"", 200000, "\"}");
    CU_ASSERT_EQUAL(read_text(text, &q), 0);
    free(text);
}

static void no_memory(void)
{
    static const char TEXT[] =
        METRICS("{\"name\":\"a\",\"gauge\":{\"dataPoints\":[{\"asInt\":1}]}}");
    for (int nth = 1; nth < 200; nth++) {
        const Request *q;
        struct arena a;
        struct err e = {0};
        arena_init(&a, 1u << 20);
        oom_fail_at(nth);
        int rc = otlp_json_read(TEXT, sizeof(TEXT) - 1, &a, &q, &e);
        bool hit = oom_stop();
        arena_done(&a);
        CU_ASSERT_TRUE(hit ? rc < 0 && e.msg[0] : rc == 0);
        if (!hit)
            return;
    }
    CU_FAIL("never ends");
}

static void statuses(void)
{
    struct buf b;
    buf_init(&b, 1024);
    CU_ASSERT_EQUAL(otlp_json_status(400, "a \"b\"\n", &b), 0);
    CU_ASSERT_STRING_EQUAL(buf_cstr(&b), "{\"code\":3,\"message\":\"a \\\"b\\\"\\n\"}");
    buf_done(&b);
}

static const struct test TESTS[] = {
    {"every kind of metric", every_kind},
    {"numbers as numbers and as text, within their bounds", numbers},
    {"what is not known is passed over", what_is_not_known},
    {"what is no JSON, or not all of it, is refused", no_json},
    {"depth and number of values are bounded before a tree is built", bounds},
    {"no failed allocation is missed", no_memory},
    {"a refusal is a status", statuses},
};

int main(void)
{
    return test_main("otlp_json", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
