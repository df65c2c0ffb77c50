// SPDX-License-Identifier: Apache-2.0
// Requests made with the generated encoder, taken, and looked at as they would travel.
#include "agent/otlp.h"
#include "agent/otlp.pb-c.h"
#include "agent/otlp_name.h"
#include "base/buf.h"
#include "tests/lib/oom.h"
#include "tests/lib/run.h"
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NOW_MS 1800000000000LL

typedef Tocsin__Otlp__KeyValue KeyValue;
typedef Tocsin__Otlp__NumberPoint NumberPoint;
typedef Tocsin__Otlp__Metric Metric;

static char *text(const char *s)
{
    return (char *)(uintptr_t)s;
}

// --- names ---------------------------------------------------------------------------------------

static void names(void)
{
    // What Prometheus's otlptranslator makes of them.
    static const struct {
        const char *name, *unit;
        enum otlp_kind kind;
        const char *want;
    } N[] = {
        {"system.disk.io", "By", OTLP_OTHER, "system_disk_io_bytes"},
        {"requests", "", OTLP_COUNTER, "requests_total"},
        {"requests_total", "", OTLP_COUNTER, "requests_total"},
        {"items", "1", OTLP_COUNTER, "items_total"},
        {"cpu_usage", "1", OTLP_GAUGE, "cpu_usage_ratio"},
        {"cpu_usage_ratio", "1", OTLP_GAUGE, "cpu_usage_ratio"},
        {"cpu_seconds_total", "s", OTLP_COUNTER, "cpu_seconds_total"},
        {"response_time", "ms", OTLP_GAUGE, "response_time_milliseconds"},
        {"response_time_seconds", "s", OTLP_GAUGE, "response_time_seconds"},
        {"requests", "1/s", OTLP_GAUGE, "requests_per_second"},
        {"throughput", "By/s", OTLP_GAUGE, "throughput_bytes_per_second"},
        {"custom_metric", "{custom}", OTLP_GAUGE, "custom_metric"},
        {"custom_metric", "By/{custom}", OTLP_GAUGE, "custom_metric_bytes"},
        {"custom_metric", "custom_unit", OTLP_GAUGE, "custom_metric_custom_unit"},
        {"custom_metric", "unit@with#special/chars", OTLP_GAUGE,
            "custom_metric_unit_with_special_per_chars"},
        {"metric__with__multiple", "unit__x", OTLP_GAUGE, "metric_with_multiple_unit_x"},
        {"123metric", "", OTLP_GAUGE, "_123metric"},
        {"metric@@##$$name", "", OTLP_GAUGE, "metric_name"},
        {"_leading.dots_", "", OTLP_GAUGE, "leading_dots"},
        {"http.server.duration", "s", OTLP_OTHER, "http_server_duration_seconds"},
        {"uptime", "d", OTLP_GAUGE, "uptime_days"},
        {"usage", "%", OTLP_GAUGE, "usage_percent"},
        {"namespace:rule", "", OTLP_GAUGE, "namespace:rule"},
    };
    char got[256];
    for (size_t i = 0; i < sizeof(N) / sizeof(N[0]); i++) {
        CU_ASSERT_TRUE(otlp_metric_name(N[i].name, N[i].unit, N[i].kind, got, sizeof(got)));
        CU_ASSERT_STRING_EQUAL(got, N[i].want);
    }
    CU_ASSERT_FALSE(otlp_metric_name("@#$%", "", OTLP_GAUGE, got, sizeof(got)));
    CU_ASSERT_FALSE(otlp_metric_name("", "s", OTLP_COUNTER, got, 4));
    static const char *const L[][2] = {{"label:with:colons", "label_with_colons"},
        {"label.with.dots", "label_with_dots"}, {"123label", "key_123label"},
        {"label!with&special$chars)", "label_with_special_chars_"}, {"_under", "key_under"},
        {"__two", "__two"}, {"foreign_\xe5\xad\x97\xe7\xac\xa6", "foreign___"}};
    for (size_t i = 0; i < sizeof(L) / sizeof(L[0]); i++) {
        CU_ASSERT_TRUE(otlp_label_name(L[i][0], got, sizeof(got)));
        CU_ASSERT_STRING_EQUAL(got, L[i][1]);
    }
    CU_ASSERT_FALSE(otlp_label_name("__", got, sizeof(got)));
    CU_ASSERT_FALSE(otlp_label_name("", got, sizeof(got)));
}

// --- a request -----------------------------------------------------------------------------------

static struct {
    struct output *out;
    struct otlp *otlp;
    struct otlp_answer answer;
    struct buf body, seen;
    struct batch_declare declares[256]; // by id; text copied
    uint64_t seq;
    int64_t now_ms;
} w;

static void open_world(const char *const *attributes, size_t n)
{
    memset(&w, 0, sizeof(w));
    w.now_ms = NOW_MS;
    w.out = output_new();
    buf_init(&w.body, 1u << 20);
    buf_init(&w.seen, 1u << 20);
    w.otlp = otlp_new(w.out, &(struct otlp_options){.attributes = attributes,
                                 .n_attributes = n,
                                 .series_limit = 1000,
                                 .age_ms = 300000});
    CU_ASSERT_PTR_NOT_NULL_FATAL(w.otlp);
}

static void close_world(void)
{
    otlp_free(w.otlp, 0);
    output_free(w.out);
    buf_done(&w.body);
    buf_done(&w.seen);
    for (size_t i = 0; i < 256; i++)
        free((void *)(uintptr_t)w.declares[i].name);
}

static void describe(const struct batch_declare *d)
{
    struct buf b;
    buf_init(&b, 4096);
    buf_addf(&b, "%s{", d->name);
    for (size_t i = 0; i < d->n_labels; i++)
        buf_addf(&b, "%s%s=%s", i ? "," : "", d->labels[i].name, d->labels[i].value);
    buf_adds(&b, "}");
    w.declares[d->id].name = strdup(buf_cstr(&b));
    w.declares[d->id].kind = d->kind;
    buf_done(&b);
}

// What left, one line each: "name{labels} kind value @ time behind NOW".
static const char *look(void)
{
    const struct batch *b = output_take(w.out, ++w.seq, w.now_ms, 1);
    buf_reset(&w.seen);
    for (size_t i = 0; i < b->n_declares; i++)
        describe(&b->declares[i]);
    for (size_t g = 0; g < b->n_groups; g++)
        for (size_t i = 0; i < b->groups[g].n; i++) {
            const struct batch_sample *s = &b->groups[g].samples[i];
            const char *name = w.declares[s->id].name;
            if (strncmp(name, "tocsin_", 7) == 0)
                continue;
            buf_addf(&w.seen, "%s %c", name, "gchs"[w.declares[s->id].kind]);
            if (s->kind == SAMPLE_HISTOGRAM) {
                buf_addf(&w.seen, "scale %d zero %llu sum %g:", s->hist->scale,
                    (unsigned long long)s->hist->zero_count, s->hist->sum);
                for (uint32_t k = 0; k < s->hist->n; k++)
                    buf_addf(&w.seen, " %d=%llu", s->hist->index[k],
                        (unsigned long long)s->hist->count[k]);
            } else if (s->kind == SAMPLE_STALE) {
                buf_adds(&w.seen, "stale");
            } else {
                buf_addf(&w.seen, "%g", s->value);
            }
            if (b->groups[g].stamp_ms != w.now_ms)
                buf_addf(&w.seen, " @%lld", (long long)(b->groups[g].stamp_ms - w.now_ms));
            buf_adds(&w.seen, "\n");
        }
    return buf_cstr(&w.seen);
}

static int take_bytes(void)
{
    struct err err;
    return otlp_take(w.otlp, OTLP_PROTOBUF, w.body.data, w.body.len, w.now_ms, &w.answer, &err);
}

static KeyValue attribute(const char *key, const char *value)
{
    static Tocsin__Otlp__AnyValue values[64];
    static size_t n;
    Tocsin__Otlp__AnyValue *v = &values[n++ % 64];
    tocsin__otlp__any_value__init(v);
    v->value_case = TOCSIN__OTLP__ANY_VALUE__VALUE_STRING_VALUE;
    v->string_value = text(value);
    KeyValue kv = TOCSIN__OTLP__KEY_VALUE__INIT;
    kv.key = text(key);
    kv.value = v;
    return kv;
}

// One metric of one resource. attributes: of the resource.
static void send(Metric *m, KeyValue *attributes, size_t n)
{
    KeyValue *list[8];
    Metric *metrics[] = {m};
    Tocsin__Otlp__Resource resource = TOCSIN__OTLP__RESOURCE__INIT;
    Tocsin__Otlp__ScopeMetrics scope = TOCSIN__OTLP__SCOPE_METRICS__INIT, *scopes[] = {&scope};
    Tocsin__Otlp__ResourceMetrics rm = TOCSIN__OTLP__RESOURCE_METRICS__INIT, *rms[] = {&rm};
    Tocsin__Otlp__ExportRequest request = TOCSIN__OTLP__EXPORT_REQUEST__INIT;
    for (size_t i = 0; i < n; i++)
        list[i] = &attributes[i];
    resource.n_attributes = n;
    resource.attributes = list;
    scope.n_metrics = 1;
    scope.metrics = metrics;
    rm.resource = &resource;
    rm.n_scope_metrics = 1;
    rm.scope_metrics = scopes;
    request.n_resource_metrics = 1;
    request.resource_metrics = rms;
    buf_reset(&w.body);
    buf_reserve(&w.body, tocsin__otlp__export_request__get_packed_size(&request) + 1);
    w.body.len = tocsin__otlp__export_request__pack(&request, w.body.data);
    CU_ASSERT_EQUAL(take_bytes(), 0);
}

static void send_sum(const char *name, double value, bool monotonic,
    Tocsin__Otlp__Temporality temporality, uint64_t time_ms)
{
    NumberPoint p = TOCSIN__OTLP__NUMBER_POINT__INIT, *points[] = {&p};
    Tocsin__Otlp__Sum sum = TOCSIN__OTLP__SUM__INIT;
    Metric m = TOCSIN__OTLP__METRIC__INIT;
    KeyValue a = attribute("http.method", "GET"), *attributes[] = {&a};
    p.value_case = TOCSIN__OTLP__NUMBER_POINT__VALUE_AS_DOUBLE;
    p.as_double = value;
    p.has_time_unix_nano = true;
    p.time_unix_nano = time_ms * 1000000;
    p.n_attributes = 1;
    p.attributes = attributes;
    sum.n_data_points = 1;
    sum.data_points = points;
    sum.has_is_monotonic = sum.has_aggregation_temporality = true;
    sum.is_monotonic = monotonic;
    sum.aggregation_temporality = temporality;
    m.name = text(name);
    m.data_case = TOCSIN__OTLP__METRIC__DATA_SUM;
    m.sum = &sum;
    send(&m, NULL, 0);
}

#define DELTA      TOCSIN__OTLP__TEMPORALITY__TEMPORALITY_DELTA
#define CUMULATIVE TOCSIN__OTLP__TEMPORALITY__TEMPORALITY_CUMULATIVE

static void resources(void)
{
    static const char *const LISTED[] = {"cloud.zone"};
    open_world(LISTED, 1);
    NumberPoint p = TOCSIN__OTLP__NUMBER_POINT__INIT, *points[] = {&p};
    Tocsin__Otlp__Gauge gauge = TOCSIN__OTLP__GAUGE__INIT;
    Metric m = TOCSIN__OTLP__METRIC__INIT;
    KeyValue own[] = {attribute("room", "b"), attribute("a.b", "1"), attribute("a-b", "2"),
        attribute("job", "mine"), attribute("empty", "")},
             *attributes[] = {&own[0], &own[1], &own[2], &own[3], &own[4]};
    p.value_case = TOCSIN__OTLP__NUMBER_POINT__VALUE_AS_INT;
    p.as_int = -7;
    p.n_attributes = 5;
    p.attributes = attributes;
    gauge.n_data_points = 1;
    gauge.data_points = points;
    m.name = text("temperature");
    m.unit = text("Cel");
    m.data_case = TOCSIN__OTLP__METRIC__DATA_GAUGE;
    m.gauge = &gauge;
    KeyValue r[] = {attribute("service.name", "cart"), attribute("service.namespace", "shop"),
        attribute("service.instance.id", "i-1"), attribute("cloud.zone", "z1"),
        attribute("host.name", "h")};
    send(&m, r, 5);
    CU_ASSERT_STRING_EQUAL(look(), "temperature_celsius{a_b=1;2,cloud_zone=z1,exported_"
                                   "instance=i-1,job=shop/cart,room=b} g-7\n");
    send(&m, r, 1);
    CU_ASSERT_STRING_EQUAL(look(), "temperature_celsius{a_b=1;2,job=cart,room=b} g-7\n");
    p.has_flags = true;
    p.flags = 1;
    send(&m, r, 1);
    CU_ASSERT_STRING_EQUAL(look(), "");
    CU_ASSERT_EQUAL(w.answer.rejected, 0);
    close_world();
}

static void sums(void)
{
    open_world(NULL, 0);
    send_sum("hits", 5, true, CUMULATIVE, NOW_MS - 3000);
    CU_ASSERT_STRING_EQUAL(look(), "hits_total{http_method=GET,job=otlp} c5 @-3000\n");
    send_sum("open", 5, false, CUMULATIVE, NOW_MS - 3600000); // from another age: now
    CU_ASSERT_STRING_EQUAL(look(), "open{http_method=GET,job=otlp} g5\n");
    for (int i = 1; i <= 3; i++) {
        send_sum("steps", 2, true, DELTA, 0);
        char want[80];
        snprintf(want, sizeof(want), "steps_total{http_method=GET,job=otlp} c%d\n", 2 * i);
        CU_ASSERT_STRING_EQUAL(look(), want);
    }
    send_sum("level", 3, false, DELTA, 0);
    look();
    send_sum("level", -1, false, DELTA, 0);
    CU_ASSERT_STRING_EQUAL(look(), "level{http_method=GET,job=otlp} g2\n");
    send_sum("odd", 3, true, TOCSIN__OTLP__TEMPORALITY__TEMPORALITY_UNSPECIFIED, 0);
    CU_ASSERT_EQUAL(w.answer.points, 1);
    CU_ASSERT_EQUAL(w.answer.rejected, 1);
    CU_ASSERT_STRING_EQUAL(w.answer.reason, "odd_total: neither delta nor cumulative");
    struct buf reply;
    buf_init(&reply, 1024);
    CU_ASSERT_EQUAL(otlp_encode_answer(&w.answer, OTLP_PROTOBUF, &reply), 0);
    Tocsin__Otlp__ExportResponse *r =
        tocsin__otlp__export_response__unpack(NULL, reply.len, reply.data);
    CU_ASSERT_EQUAL(r->partial_success->rejected_data_points, 1);
    CU_ASSERT_STRING_EQUAL(r->partial_success->error_message, w.answer.reason);
    tocsin__otlp__export_response__free_unpacked(r, NULL);
    buf_done(&reply);
    close_world();
}

static void send_histogram(uint64_t *counts, size_t n_counts, double *bounds, size_t n_bounds,
    Tocsin__Otlp__Temporality temporality)
{
    Tocsin__Otlp__HistogramPoint p = TOCSIN__OTLP__HISTOGRAM_POINT__INIT, *points[] = {&p};
    Tocsin__Otlp__Histogram h = TOCSIN__OTLP__HISTOGRAM__INIT;
    Metric m = TOCSIN__OTLP__METRIC__INIT;
    p.has_count = p.has_sum = true;
    for (size_t i = 0; i < n_counts; i++)
        p.count += counts[i];
    p.sum = 4.5;
    p.n_bucket_counts = n_counts;
    p.bucket_counts = counts;
    p.n_explicit_bounds = n_bounds;
    p.explicit_bounds = bounds;
    h.n_data_points = 1;
    h.data_points = points;
    h.has_aggregation_temporality = true;
    h.aggregation_temporality = temporality;
    m.name = text("wait");
    m.unit = text("s");
    m.data_case = TOCSIN__OTLP__METRIC__DATA_HISTOGRAM;
    m.histogram = &h;
    send(&m, NULL, 0);
}

static void histograms(void)
{
    uint64_t counts[] = {1, 2, 4};
    double bounds[] = {0.1, 2.5}, wrong[] = {2.5, 0.1};
    open_world(NULL, 0);
    send_histogram(counts, 3, bounds, 2, CUMULATIVE);
    CU_ASSERT_STRING_EQUAL(look(), "wait_seconds_bucket{job=otlp,le=0.1} c1\n"
                                   "wait_seconds_bucket{job=otlp,le=2.5} c3\n"
                                   "wait_seconds_bucket{job=otlp,le=+Inf} c7\n"
                                   "wait_seconds_count{job=otlp} c7\n"
                                   "wait_seconds_sum{job=otlp} c4.5\n");
    send_histogram(counts, 2, bounds, 2, CUMULATIVE);
    CU_ASSERT_EQUAL(w.answer.rejected, 1);
    send_histogram(counts, 3, wrong, 2, CUMULATIVE);
    CU_ASSERT_EQUAL(w.answer.rejected, 1);
    close_world();
    open_world(NULL, 0);
    send_histogram(counts, 3, bounds, 2, DELTA);
    look();
    send_histogram(counts, 3, bounds, 2, DELTA);
    CU_ASSERT_STRING_EQUAL(look(), "wait_seconds_bucket{job=otlp,le=0.1} c2\n"
                                   "wait_seconds_bucket{job=otlp,le=2.5} c6\n"
                                   "wait_seconds_bucket{job=otlp,le=+Inf} c14\n"
                                   "wait_seconds_count{job=otlp} c14\n"
                                   "wait_seconds_sum{job=otlp} c9\n");
    close_world();
}

static void send_exponential(
    int32_t scale, int32_t offset, uint64_t *counts, size_t n, bool negative, bool delta)
{
    Tocsin__Otlp__ExponentialPoint p = TOCSIN__OTLP__EXPONENTIAL_POINT__INIT, *points[] = {&p};
    Tocsin__Otlp__ExponentialHistogram h = TOCSIN__OTLP__EXPONENTIAL_HISTOGRAM__INIT;
    Tocsin__Otlp__Buckets b = TOCSIN__OTLP__BUCKETS__INIT;
    Metric m = TOCSIN__OTLP__METRIC__INIT;
    b.has_offset = true;
    b.offset = offset;
    b.n_bucket_counts = n;
    b.bucket_counts = counts;
    p.has_scale = p.has_zero_count = p.has_sum = true;
    p.scale = scale;
    p.zero_count = 3;
    p.sum = 10;
    if (negative)
        p.negative = &b;
    else
        p.positive = &b;
    h.n_data_points = 1;
    h.data_points = points;
    h.has_aggregation_temporality = true;
    h.aggregation_temporality = delta ? DELTA : CUMULATIVE;
    m.name = text("size");
    m.data_case = TOCSIN__OTLP__METRIC__DATA_EXPONENTIAL_HISTOGRAM;
    m.exponential_histogram = &h;
    send(&m, NULL, 0);
}

static void exponentials(void)
{
    uint64_t counts[] = {1, 0, 2, 3};
    open_world(NULL, 0);
    // Theirs: bucket i of scale 4 is (2^(i/16), 2^((i+1)/16)].
    send_exponential(4, -1, counts, 4, false, false);
    CU_ASSERT_STRING_EQUAL(look(), "size{job=otlp} hscale 4 zero 3 sum 10: 0=1 2=2 3=3\n");
    // Two scales finer: four buckets of theirs in one of ours.
    send_exponential(6, 0, counts, 4, false, false);
    CU_ASSERT_STRING_EQUAL(look(), "size{job=otlp} hscale 4 zero 3 sum 10: 1=6\n");
    send_exponential(20, -2, counts, 4, false, false);
    CU_ASSERT_STRING_EQUAL(look(), "size{job=otlp} hscale 4 zero 3 sum 10: 0=1 1=5\n");
    send_exponential(0, 5, counts, 4, false, false);
    CU_ASSERT_STRING_EQUAL(look(), "size{job=otlp} hscale 0 zero 3 sum 10: 6=1 8=2 9=3\n");
    send_exponential(4, -1, counts, 4, true, false);
    CU_ASSERT_EQUAL(w.answer.rejected, 1);
    send_exponential(21, -1, counts, 4, false, false);
    CU_ASSERT_EQUAL(w.answer.rejected, 1);
    send_exponential(4, INT32_MAX - 1, counts, 4, false, false);
    CU_ASSERT_EQUAL(w.answer.rejected, 1);
    close_world();
    open_world(NULL, 0);
    send_exponential(4, -1, counts, 4, false, true);
    look();
    send_exponential(4, -1, counts, 4, false, true);
    CU_ASSERT_STRING_EQUAL(look(), "size{job=otlp} hscale 4 zero 6 sum 20: 0=2 2=4 3=6\n");
    // A coarser one makes the sum coarse: 0 and 2, 3 of scale 4 are in 0 and 1, 2 of scale 3.
    send_exponential(3, -1, counts, 1, false, true);
    CU_ASSERT_STRING_EQUAL(look(), "size{job=otlp} hscale 3 zero 9 sum 30: 0=3 1=4 2=6\n");
    close_world();
}

static void summaries(void)
{
    Tocsin__Otlp__Quantile q = TOCSIN__OTLP__QUANTILE__INIT, *qs[] = {&q};
    Tocsin__Otlp__SummaryPoint p = TOCSIN__OTLP__SUMMARY_POINT__INIT, *points[] = {&p};
    Tocsin__Otlp__Summary s = TOCSIN__OTLP__SUMMARY__INIT;
    Metric m = TOCSIN__OTLP__METRIC__INIT;
    q.has_quantile = q.has_value = p.has_count = p.has_sum = true;
    q.quantile = 0.99;
    q.value = 7;
    p.count = 10;
    p.sum = 20;
    p.n_quantile_values = 1;
    p.quantile_values = qs;
    s.n_data_points = 1;
    s.data_points = points;
    m.name = text("rpc.time");
    m.data_case = TOCSIN__OTLP__METRIC__DATA_SUMMARY;
    m.summary = &s;
    open_world(NULL, 0);
    send(&m, NULL, 0);
    CU_ASSERT_STRING_EQUAL(look(),
        "rpc_time{job=otlp,quantile=0.99} g7\n"
        "rpc_time_count{job=otlp} c10\nrpc_time_sum{job=otlp} c20\n");
    close_world();
}

static void ages(void)
{
    open_world(NULL, 0);
    send_sum("hits", 5, true, DELTA, 0);
    look();
    w.now_ms += 299000;
    otlp_age(w.otlp, w.now_ms);
    CU_ASSERT_STRING_EQUAL(look(), "");
    w.now_ms += 2000;
    otlp_age(w.otlp, w.now_ms);
    CU_ASSERT_STRING_EQUAL(look(), "hits_total{http_method=GET,job=otlp} cstale\n");
    w.now_ms += 1000;
    send_sum("hits", 2, true, DELTA, 0);
    CU_ASSERT_STRING_EQUAL(look(), "hits_total{http_method=GET,job=otlp} c2\n");
    close_world();
}

static void broken(void)
{
    open_world(NULL, 0);
    buf_adds(&w.body, "\x0a\xff\xff\xff\xff\x0f");
    CU_ASSERT_EQUAL(take_bytes(), -EBADMSG);
    buf_reset(&w.body);
    CU_ASSERT_EQUAL(take_bytes(), 0); // nothing is a request with nothing in it
    CU_ASSERT_EQUAL(w.answer.points, 0);
    // Many small messages cost more than they say: the arena says when it is enough.
    struct buf many;
    buf_init(&many, 4u << 20);
    for (int i = 0; i < 1900000; i++)
        buf_add(&many, "\x0a", 2);
    struct err err;
    CU_ASSERT_EQUAL(
        otlp_take(w.otlp, OTLP_PROTOBUF, many.data, many.len, NOW_MS, &w.answer, &err),
        -ENOMEM);
    buf_done(&many);
    close_world();
}

static void no_memory(void)
{
    for (int nth = 1;; nth++) {
        struct output *out = output_new();
        oom_fail_at(nth);
        struct otlp *o =
            otlp_new(out, &(struct otlp_options){.series_limit = 10, .age_ms = 1000});
        bool hit = oom_stop();
        otlp_free(o, 0);
        output_free(out);
        if (!hit)
            break;
    }
}

// The same by JSON: what it means is asked of otlp_json.h's own tests.
static void json(void)
{
    static const char BODY[] =
        "{\"resourceMetrics\":[{\"resource\":{\"attributes\":[{\"key\":\"service.name\","
        "\"value\":{\"stringValue\":\"web\"}}]},\"scopeMetrics\":[{\"metrics\":["
        "{\"name\":\"hits\",\"sum\":{\"aggregationTemporality\":2,\"isMonotonic\":true,"
        "\"dataPoints\":[{\"asInt\":\"5\",\"timeUnixNano\":\"1799999997000000000\"}]}},"
        "{\"gauge\":{}}," // without points nothing of it is rejected
        "{\"name\":\"odd\",\"sum\":{\"dataPoints\":[{\"asDouble\":1}]}}]}]}]}";
    struct err err;
    struct buf reply;
    open_world(NULL, 0);
    CU_ASSERT_EQUAL(
        otlp_take(w.otlp, OTLP_JSON, BODY, sizeof(BODY) - 1, NOW_MS, &w.answer, &err), 0);
    CU_ASSERT_STRING_EQUAL(look(), "hits_total{job=web} c5 @-3000\n");
    CU_ASSERT_TRUE(w.answer.points == 2 && w.answer.rejected == 1);
    buf_init(&reply, 1024);
    CU_ASSERT_EQUAL(otlp_encode_answer(&w.answer, OTLP_JSON, &reply), 0);
    CU_ASSERT_STRING_EQUAL(buf_cstr(&reply),
        "{\"partialSuccess\":{\"rejectedDataPoints\":\"1\",\"errorMessage\":"
        "\"odd: neither delta nor cumulative\"}}");
    buf_done(&reply);
    close_world();
}

static const struct test TESTS[] = {
    {"names, units and labels are Prometheus's", names},
    {"resource attributes become job, exported_instance and what is listed", resources},
    {"sums, cumulative and in differences, and what states neither", sums},
    {"histograms with bounds become classic ones", histograms},
    {"exponential ones become native ones, of scale 4 at most", exponentials},
    {"summaries", summaries},
    {"what is not sent any more ends, and begins anew", ages},
    {"what is no request is refused, and what costs too much", broken},
    {"without memory there is no receiver", no_memory},
    {"a body of JSON is a body", json},
};

int main(void)
{
    return test_main("otlp", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
