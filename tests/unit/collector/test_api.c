// SPDX-License-Identifier: Apache-2.0
// The query API's answers, byte for byte as Prometheus writes them; only RFC 3339 times always
// carry their milliseconds.
#include "collector/api.h"
#include "tests/lib/oom.h"
#include "tests/unit/collector/stage.h"
#include <cjson/cJSON.h>
#include <stdio.h>

#define OK(data) "{\"status\":\"success\",\"data\":" data "}"
#define LOAD     "{\"__name__\":\"load\",\"instance\":\"h1\",\"job\":\"node\"}"
#define LATENCY                                                                                \
    "{\"__name__\":\"latency\",\"instance\":\"h1\",\"job\":\"service\",\"service\":\"web\"}"

static char answered[1u << 16];

// The answer's body; it must be JSON whatever it says.
static const char *ask(struct stage *s, struct request *r, int status)
{
    request_answer(s->p, NULL, r, s->now_ms);
    CU_ASSERT_EQUAL(r->http_status, status);
    if (r->http_status != status)
        fprintf(stderr, "  %s: %s\n", r->expr ? r->expr : "", buf_cstr(&r->body));
    cJSON *json = cJSON_ParseWithLength((const char *)r->body.data, r->body.len);
    CU_ASSERT_PTR_NOT_NULL(json);
    cJSON_Delete(json);
    snprintf(answered, sizeof(answered), "%s", buf_cstr(&r->body));
    buf_done(&r->body);
    return answered;
}

static void expect(const char *got, const char *want)
{
    CU_ASSERT_STRING_EQUAL(got, want);
    if (strcmp(got, want) != 0)
        fprintf(stderr, "  got  %s\n  want %s\n", got, want);
}

static void has(const char *got, const char *part)
{
    CU_ASSERT_PTR_NOT_NULL(strstr(got, part));
    if (!strstr(got, part))
        fprintf(stderr, "  got  %s\n  want %s\n", got, part);
}

static const char *query(struct stage *s, const char *text, int64_t t_ms, int status)
{
    struct request r = {.kind = REQUEST_QUERY, .time_ms = t_ms};
    char expr[1024];
    snprintf(expr, sizeof(expr), "%s", text);
    r.expr = expr;
    return ask(s, &r, status);
}

static const char *range(struct stage *s, const char *text, int64_t start_ms, int64_t end_ms,
    int64_t step_ms, int status)
{
    struct request r = {.kind = REQUEST_QUERY_RANGE,
        .start_ms = start_ms,
        .end_ms = end_ms,
        .step_ms = step_ms};
    char expr[1024];
    snprintf(expr, sizeof(expr), "%s", text);
    r.expr = expr;
    return ask(s, &r, status);
}

static const char *names(struct stage *s, const char *text, size_t limit, int status)
{
    struct request r = {.kind = REQUEST_SERIES, .limit = limit};
    char expr[1024];
    snprintf(expr, sizeof(expr), "%s", text);
    r.expr = expr;
    return ask(s, &r, status);
}

static const char *plain(struct stage *s, enum request_kind kind)
{
    struct request r = {.kind = kind};
    return ask(s, &r, 200);
}

static void with_load(struct stage *s, const char *rules)
{
    stage_init(s, rules);
    for (int i = 0; i < 4; i++)
        stage_tick(s, i + 0.5); // 0.5 1.5 2.5 3.5 at T0 .. T0 + 3 s
}

static void an_instant_query_is_a_vector(void)
{
    struct stage s;
    with_load(&s, NULL);
    expect(query(&s, "load", T0 + 3000, 200),
        OK("{\"resultType\":\"vector\",\"result\":[{\"metric\":" LOAD
           ",\"value\":[1700000003,\"3.5\"]}]}"));
    expect(query(&s, "load", T0 + 1250, 200),
        OK("{\"resultType\":\"vector\",\"result\":[{\"metric\":" LOAD
           ",\"value\":[1700000001.250,\"1.5\"]}]}"));
    expect(query(&s, "sum(load) * 2", T0 + 3000, 200),
        OK("{\"resultType\":\"vector\",\"result\":[{\"metric\":{},\"value\":[1700000003,\"7\"]}"
           "]}"));
    expect(query(&s, "nothing_of_that_name", T0 + 3000, 200),
        OK("{\"resultType\":\"vector\",\"result\":[]}"));
    expect(query(&s, "load > 100", T0 + 3000, 200),
        OK("{\"resultType\":\"vector\",\"result\":[]}"));
    // Without a time it is now.
    has(query(&s, "load", 0, 200), "[1700000004,\"3.5\"]");
    stage_done(&s);
}

static void scalars_and_strings_have_types_of_their_own(void)
{
    struct stage s;
    with_load(&s, NULL);
    expect(query(&s, "1 + 1", T0 + 500, 200),
        OK("{\"resultType\":\"scalar\",\"result\":[1700000000.500,\"2\"]}"));
    expect(query(&s, "\"a\\\"b\"", T0, 200),
        OK("{\"resultType\":\"string\",\"result\":[1700000000,\"a\\\"b\"]}"));
    stage_done(&s);
}

static void numbers_are_written_as_prometheus_writes_them(void)
{
    static const struct {
        const char *expr, *text;
    } CASES[] = {
        {"0 / 0", "NaN"},
        {"1 / 0", "+Inf"},
        {"-1 / 0", "-Inf"},
        {"0.1", "0.1"},
        {"1e20", "100000000000000000000"},
        {"1e21", "1e+21"},
        {"0.000001", "0.000001"},
        {"0.0000001", "1e-07"},
        {"-0.5", "-0.5"},
        {"1 / 3", "0.3333333333333333"},
    };
    struct stage s;
    stage_init(&s, NULL);
    for (size_t i = 0; i < sizeof(CASES) / sizeof(*CASES); i++) {
        char want[200];
        snprintf(want, sizeof(want),
            OK("{\"resultType\":\"scalar\",\"result\":[1700000000,\"%s\"]}"), CASES[i].text);
        expect(query(&s, CASES[i].expr, T0, 200), want);
    }
    stage_done(&s);
}

static void samples_that_are_no_numbers_go_out_as_they_came(void)
{
    static const double ODD[] = {NAN, INFINITY, -INFINITY};
    struct stage s;
    stage_init(&s, NULL);
    for (int i = 0; i < 3; i++) {
        struct batch_sample one = {.id = 2, .kind = SAMPLE_VALUE, .value = ODD[i]};
        stage_frame(&s, &one, 1);
        stage_run(&s, s.now_ms + 1000);
    }
    expect(range(&s, "odd * 1", T0, T0 + 2000, 1000, 200),
        OK("{\"resultType\":\"matrix\",\"result\":[{\"metric\":{\"instance\":\"h1\",\"job\":"
           "\"node\"},\"values\":[[1700000000,\"NaN\"],[1700000001,\"+Inf\"],[1700000002,"
           "\"-Inf\"]]}]}"));
    stage_done(&s);
}

static void a_range_selector_gives_the_raw_samples(void)
{
    struct stage s;
    with_load(&s, NULL);
    expect(query(&s, "load[2s]", T0 + 3000, 200),
        OK("{\"resultType\":\"matrix\",\"result\":[{\"metric\":" LOAD
           ",\"values\":[[1700000002,\"2.5\"],[1700000003,\"3.5\"]]}]}"));
    expect(query(&s, "load[1s] offset 2s", T0 + 3000, 200),
        OK("{\"resultType\":\"matrix\",\"result\":[{\"metric\":" LOAD
           ",\"values\":[[1700000001,\"1.5\"]]}]}"));
    expect(query(&s, "(load * 2)[2s:1s]", T0 + 3000, 200),
        OK("{\"resultType\":\"matrix\",\"result\":[{\"metric\":{\"instance\":\"h1\",\"job\":"
           "\"node\"},\"values\":[[1700000002,\"5\"],[1700000003,\"7\"]]}]}"));
    stage_done(&s);
}

static void a_range_query_is_a_matrix_with_gaps_left_out(void)
{
    struct stage s;
    with_load(&s, NULL);
    expect(range(&s, "load", T0, T0 + 3000, 1500, 200),
        OK("{\"resultType\":\"matrix\",\"result\":[{\"metric\":" LOAD
           ",\"values\":[[1700000000,\"0.5\"],[1700000001.500,\"1.5\"],[1700000003,\"3.5\"]]}]"
           "}"));
    expect(range(&s, "load > 1 < 3", T0, T0 + 3000, 1000, 200),
        OK("{\"resultType\":\"matrix\",\"result\":[{\"metric\":" LOAD
           ",\"values\":[[1700000001,\"1.5\"],[1700000002,\"2.5\"]]}]}"));
    expect(range(&s, "load > 99", T0, T0 + 3000, 1000, 200),
        OK("{\"resultType\":\"matrix\",\"result\":[]}"));
    expect(range(&s, "3", T0, T0 + 1000, 1000, 200),
        OK("{\"resultType\":\"matrix\",\"result\":[{\"metric\":{},\"values\":[[1700000000,"
           "\"3\"],[1700000001,\"3\"]]}]}"));
    // One instant is a range too.
    has(range(&s, "load", T0, T0, 1000, 200), "\"values\":[[1700000000,\"0.5\"]]");
    stage_done(&s);
}

static void feed_histograms(struct stage *s)
{
    static const int32_t INDEX[] = {0, 16};
    stage_init(s, NULL);
    for (uint64_t i = 1; i <= 3; i++) {
        uint64_t count[] = {2 * i, i};
        struct wire_histogram h = {.scale = 4,
            .zero_threshold = 0.25,
            .sum = 3.5 * (double)i,
            .zero_count = i,
            .n = 2,
            .index = INDEX,
            .count = count};
        struct batch_sample one = {.id = 3, .kind = SAMPLE_HISTOGRAM, .hist = &h};
        stage_frame(s, &one, 1);
        stage_run(s, s->now_ms + 1000);
    }
}

static void a_native_histogram_lists_the_buckets_that_hold_something(void)
{
    struct stage s;
    feed_histograms(&s);
    // Bucket 0 of scale 4 ends at 1, bucket 16 at 2; the zero bucket includes both its ends.
    expect(query(&s, "latency", T0, 200),
        OK("{\"resultType\":\"vector\",\"result\":[{\"metric\":" LATENCY
           ",\"histogram\":[1700000000,{\"count\":\"4\",\"sum\":\"3.5\",\"buckets\":[[3,"
           "\"-0.25\",\"0.25\",\"1\"],[0,\"0.9576032806985737\",\"1\",\"2\"],[0,"
           "\"1.9152065613971474\",\"2\",\"1\"]]}]}]}"));
    expect(range(&s, "latency - latency", T0, T0, 1000, 200),
        OK("{\"resultType\":\"matrix\",\"result\":[{\"metric\":{\"instance\":\"h1\",\"job\":"
           "\"service\",\"service\":\"web\"},\"histograms\":[[1700000000,{\"count\":\"0\","
           "\"sum\":\"0\"}]]}]}"));
    has(range(&s, "latency", T0, T0 + 2000, 2000, 200),
        "\"histograms\":[[1700000000,{\"count\":\"4\",\"sum\":\"3.5\",");
    has(query(&s, "latency[1s]", T0 + 2000, 200),
        "\"histograms\":[[1700000002,{\"count\":\"12\",\"sum\":\"10.5\",");
    has(query(&s, "histogram_count(latency)", T0 + 2000, 200), "[1700000002,\"12\"]");
    stage_done(&s);
}

static void what_cannot_be_asked_is_bad_data(void)
{
    struct stage s;
    with_load(&s, NULL);
    has(query(&s, "", T0, 400), "{\"status\":\"error\",\"errorType\":\"bad_data\",\"error\":"
                                "\"invalid parameter \\\"query\\\": 1:1: parse error: ");
    has(query(&s, "sum(load", T0, 400),
        "\"errorType\":\"bad_data\",\"error\":\"invalid parameter \\\"query\\\": 1:");
    has(query(&s, "rate(load)", T0, 400), "\"errorType\":\"bad_data\"");
    has(query(&s, "\xff", T0, 400), "\"errorType\":\"bad_data\"");
    has(range(&s, "load", T0 + 1, T0, 1000, 400),
        "\"error\":\"invalid parameter \\\"end\\\": end timestamp must not be before start "
        "time\"");
    has(range(&s, "load", T0, T0 + 1, 0, 400), "zero or negative query resolution step");
    has(range(&s, "load", T0, T0 + 1, -1, 400), "zero or negative query resolution step");
    has(range(&s, "load", T0, T0 + 11000000, 1000, 400),
        "exceeded maximum resolution of 11,000 points per timeseries");
    has(range(&s, "load[1m]", T0, T0, 1000, 400),
        "invalid expression type \\\"range vector\\\" for range query, must be Scalar or "
        "instant Vector");
    has(range(&s, "\"x\"", T0, T0, 1000, 400), "invalid expression type \\\"string\\\"");
    stage_done(&s);
}

static void what_fails_while_it_is_evaluated_is_an_execution_error(void)
{
    struct stage s;
    with_load(&s, NULL);
    has(query(&s, "load + on(job) load", T0 + 3000, 200), "\"resultType\":\"vector\"");
    struct batch_sample two[] = {{.id = 1, .kind = SAMPLE_VALUE, .value = 1},
        {.id = 2, .kind = SAMPLE_VALUE, .value = 2}};
    stage_frame(&s, two, 2);
    has(query(&s, "{job=\"node\",__name__=~\"load|odd\"} + on(job) load", s.now_ms, 422),
        "{\"status\":\"error\",\"errorType\":\"execution\",\"error\":\"");
    stage_done(&s);
}

static void series_labels_and_values_can_be_listed(void)
{
    struct stage s;
    feed_histograms(&s);
    struct batch_sample one = {.id = 1, .kind = SAMPLE_VALUE, .value = 1};
    stage_frame(&s, &one, 1);
    expect(names(&s, "series\nload", 0, 200), OK("[" LOAD "]"));
    // A series that two selectors choose is listed once.
    expect(names(&s, "series\nload\n{__name__=\"load\"}\nlatency", 0, 200),
        OK("[" LOAD "," LATENCY "]"));
    expect(names(&s, "series\nnothing", 0, 200), OK("[]"));
    expect(names(&s, "series\nload\nlatency", 1, 200),
        "{\"status\":\"success\",\"data\":[" LOAD
        "],\"warnings\":[\"results truncated due to limit\"]}");
    expect(names(&s, "labels", 0, 200), OK("[\"__name__\",\"instance\",\"job\",\"service\"]"));
    expect(names(&s, "labels\nload", 0, 200), OK("[\"__name__\",\"instance\",\"job\"]"));
    expect(
        names(&s, "values job\n{job=~\"node|service\"}", 0, 200), OK("[\"node\",\"service\"]"));
    expect(names(&s, "values service", 0, 200), OK("[\"web\"]"));
    expect(names(&s, "values nix", 0, 200), OK("[]"));
    has(names(&s, "series", 0, 400), "\"error\":\"no match[] parameter provided\"");
    has(names(&s, "series\nrate(load[1m])", 0, 400), "\"errorType\":\"bad_data\"");
    has(names(&s, "series\nload{", 0, 400), "invalid parameter \\\"match[]\\\": 1:");
    has(names(&s, "values a-b", 0, 400), "invalid label name: \\\"a-b\\\"");
    stage_done(&s);
}

static const char RULES[] = "groups:\n"
                            "  - name: \"g \\\"1\\\"\"\n"
                            "    interval: 1s\n"
                            "    rules:\n"
                            "      - record: load:double\n"
                            "        expr: load * 2\n"
                            "        labels: {kind: sum}\n"
                            "      - alert: Busy\n"
                            "        expr: load > 3\n"
                            "        labels: {severity: page}\n"
                            "        annotations: {summary: 'load {{ $value }} on {{ "
                            "$labels.instance }}'}\n"
                            "      - alert: BusyLong\n"
                            "        expr: load > 3\n"
                            "        for: 5m\n"
                            "      - alert: Never\n"
                            "        expr: load > 1e9\n";
#define BUSY                                                                                   \
    "{\"labels\":{\"alertname\":\"Busy\",\"instance\":\"h1\",\"job\":\"node\",\"severity\":"   \
    "\"page\"},\"annotations\":{\"summary\":\"load 3.5 on h1\"},\"state\":\"firing\","         \
    "\"activeAt\":\"2023-11-14T22:13:23.000Z\",\"value\":\"3.5e+00\"}"
#define BUSY_LONG                                                                                  \
    "{\"labels\":{\"alertname\":\"BusyLong\",\"instance\":\"h1\",\"job\":\"node\"},"               \
    "\"annotations\":{},\"state\":\"pending\",\"activeAt\":\"2023-11-14T22:13:23.000Z\",\"value\"" \
    ":\"3.5e+00\"}"

static void alerts_are_listed_as_prometheus_does(void)
{
    struct stage s;
    stage_init(&s, RULES);
    expect(plain(&s, REQUEST_ALERTS), OK("{\"alerts\":[]}"));
    stage_done(&s);
    with_load(&s, RULES);
    expect(plain(&s, REQUEST_ALERTS), OK("{\"alerts\":[" BUSY "," BUSY_LONG "]}"));
    stage_done(&s);
}

static void expect_rule(const cJSON *rule, const char *fields)
{
    // How long it took and when differ; the rest is compared as it stands.
    cJSON *copy = cJSON_Duplicate(rule, true);
    const cJSON *took = cJSON_GetObjectItem(copy, "evaluationTime");
    CU_ASSERT_TRUE(cJSON_IsNumber(took) && took->valuedouble >= 0 && took->valuedouble < 10);
    CU_ASSERT_STRING_EQUAL(cJSON_GetStringValue(cJSON_GetObjectItem(copy, "lastEvaluation")),
        "2023-11-14T22:13:23.000Z");
    cJSON_DeleteItemFromObject(copy, "evaluationTime");
    cJSON_DeleteItemFromObject(copy, "lastEvaluation");
    char *text = cJSON_PrintUnformatted(copy);
    expect(text, fields);
    cJSON_free(text);
    cJSON_Delete(copy);
}

static void rules_are_listed_with_their_alerts_and_health(void)
{
    struct stage s;
    with_load(&s, RULES);
    cJSON *json = cJSON_Parse(plain(&s, REQUEST_RULES));
    const cJSON *groups = cJSON_GetObjectItem(cJSON_GetObjectItem(json, "data"), "groups");
    CU_ASSERT_EQUAL_FATAL(cJSON_GetArraySize(groups), 1);
    const cJSON *group = cJSON_GetArrayItem(groups, 0);
    CU_ASSERT_STRING_EQUAL(cJSON_GetStringValue(cJSON_GetObjectItem(group, "name")), "g \"1\"");
    CU_ASSERT_STRING_EQUAL(
        cJSON_GetStringValue(cJSON_GetObjectItem(group, "file")), "rules.yaml");
    CU_ASSERT_EQUAL(cJSON_GetObjectItem(group, "interval")->valuedouble, 1);
    CU_ASSERT_EQUAL(cJSON_GetObjectItem(group, "limit")->valuedouble, 0);
    const cJSON *rules = cJSON_GetObjectItem(group, "rules");
    CU_ASSERT_EQUAL_FATAL(cJSON_GetArraySize(rules), 4);
    expect_rule(cJSON_GetArrayItem(rules, 0),
        "{\"name\":\"load:double\",\"query\":\"load * 2\",\"labels\":{\"kind\":\"sum\"},"
        "\"health\":\"ok\",\"elements\":1,\"type\":\"recording\"}");
    expect_rule(cJSON_GetArrayItem(rules, 1),
        "{\"state\":\"firing\",\"name\":\"Busy\",\"query\":\"load > 3\",\"duration\":0,"
        "\"keepFiringFor\":0,\"labels\":{\"severity\":\"page\"},\"annotations\":{\"summary\":"
        "\"load {{ $value }} on {{ $labels.instance }}\"},\"alerts\":[" BUSY
        "],\"health\":\"ok\",\"elements\":1,\"type\":\"alerting\"}");
    expect_rule(cJSON_GetArrayItem(rules, 2),
        "{\"state\":\"pending\",\"name\":\"BusyLong\",\"query\":\"load > 3\",\"duration\":300,"
        "\"keepFiringFor\":0,\"labels\":{},\"annotations\":{},\"alerts\":[" BUSY_LONG
        "],\"health\":\"ok\",\"elements\":1,\"type\":\"alerting\"}");
    expect_rule(cJSON_GetArrayItem(rules, 3),
        "{\"state\":\"inactive\",\"name\":\"Never\",\"query\":\"load > 1e9\",\"duration\":0,"
        "\"keepFiringFor\":0,\"labels\":{},\"annotations\":{},\"alerts\":[],\"health\":\"ok\",\"elements\":1,"
        "\"type\":\"alerting\"}");
    cJSON_Delete(json);
    // What the rules wrote can be queried.
    expect(query(&s, "load:double", T0 + 3000, 200),
        OK("{\"resultType\":\"vector\",\"result\":[{\"metric\":{\"__name__\":\"load:double\","
           "\"instance\":\"h1\",\"job\":\"node\",\"kind\":\"sum\"},\"value\":[1700000003,"
           "\"7\"]}]}"));
    has(query(&s, "ALERTS{alertname=\"Busy\"}", T0 + 3000, 200), "\"alertstate\":\"firing\"");
    stage_done(&s);
}

static void every_failed_allocation_is_an_answer(void)
{
    struct stage s;
    with_load(&s, RULES);
    static const enum request_kind KINDS[] = {
        REQUEST_QUERY, REQUEST_QUERY_RANGE, REQUEST_SERIES, REQUEST_ALERTS, REQUEST_RULES};
    for (size_t k = 0; k < sizeof(KINDS) / sizeof(*KINDS); k++)
        for (int nth = 1;; nth++) {
            char expr[] = "labels\nload";
            char sum[] = "sum by (job) (load)";
            struct request r = {.kind = KINDS[k],
                .expr = KINDS[k] == REQUEST_SERIES ? expr : sum,
                .start_ms = T0,
                .end_ms = T0 + 3000,
                .step_ms = 1000};
            oom_fail_at(nth);
            request_answer(s.p, NULL, &r, s.now_ms);
            bool hit = oom_stop();
            CU_ASSERT_EQUAL(r.http_status, hit && r.http_status != 200 ? 503 : 200);
            // Even the error may not fit: then the body is empty, never half.
            cJSON *json = cJSON_ParseWithLength((const char *)r.body.data, r.body.len);
            CU_ASSERT_TRUE(json != NULL || r.body.len == 0);
            cJSON_Delete(json);
            buf_done(&r.body);
            if (!hit)
                break;
        }
    stage_done(&s);
}

static const struct test TESTS[] = {
    {"an instant query is a vector", an_instant_query_is_a_vector},
    {"scalars and strings have types of their own",
        scalars_and_strings_have_types_of_their_own},
    {"numbers are written as Prometheus writes them",
        numbers_are_written_as_prometheus_writes_them},
    {"samples that are no numbers go out as they came",
        samples_that_are_no_numbers_go_out_as_they_came},
    {"a range selector gives the raw samples", a_range_selector_gives_the_raw_samples},
    {"a range query is a matrix with gaps left out",
        a_range_query_is_a_matrix_with_gaps_left_out},
    {"a native histogram lists the buckets that hold something",
        a_native_histogram_lists_the_buckets_that_hold_something},
    {"what cannot be asked is bad data", what_cannot_be_asked_is_bad_data},
    {"what fails while it is evaluated is an execution error",
        what_fails_while_it_is_evaluated_is_an_execution_error},
    {"series, labels and values can be listed", series_labels_and_values_can_be_listed},
    {"alerts are listed as Prometheus does", alerts_are_listed_as_prometheus_does},
    {"rules are listed with their alerts and health",
        rules_are_listed_with_their_alerts_and_health},
    {"every failed allocation is an answer", every_failed_allocation_is_an_answer},
};

int main(void)
{
    return test_main("api", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
