// SPDX-License-Identifier: Apache-2.0
// Each page is read whole and in pieces of every size up to 7 bytes: the same samples, the same verdict.
#include "agent/exposition.h"
#include "tests/lib/oom.h"
#include "tests/lib/run.h"
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static struct {
    char text[16384];
    size_t len;
    int n;
} seen;

static void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void say(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(seen.text + seen.len, sizeof(seen.text) - seen.len, fmt, ap);
    va_end(ap);
    seen.len += (size_t)n;
}

// `x{a=b,} 1 @5 counter s; `
static bool sample(
    void *ctx, struct exposition *x, const struct exposition_sample *s, struct err *err)
{
    static const char *const KINDS[] = {"gauge", "counter", "histogram", "state"};
    const char *name;
    const struct wire_label *l;
    size_t n;
    char text[64];
    (void)ctx;
    if (!exposition_labels(x, &name, &l, &n, err))
        return false;
    seen.n++;
    say("%s{", name);
    for (size_t i = 0; i < n; i++) {
        say("%s=", l[i].name);
        say("%s,", l[i].value);
    }
    if (s->unsupported) {
        say("%s", "} unsupported");
    } else if (s->histogram) {
        snprintf(text, sizeof(text), "} scale %d zero %llu sum %g:", s->histogram->scale,
            (unsigned long long)s->histogram->zero_count, s->histogram->sum);
        say("%s", text);
        for (uint32_t i = 0; i < s->histogram->n && i < 20; i++) {
            snprintf(text, sizeof(text), " %d:%llu", s->histogram->index[i],
                (unsigned long long)s->histogram->count[i]);
            say("%s", text);
        }
    } else {
        snprintf(text, sizeof(text), "} %.17g", s->value);
        say("%s", text);
    }
    if (s->has_stamp) {
        snprintf(text, sizeof(text), " @%lld", (long long)s->stamp_ms);
        say("%s", text);
    }
    say(" %s", KINDS[s->kind]);
    say("%s%s; ", s->unit[0] ? " " : "", s->unit);
    return true;
}

static int read_in(struct exposition *x, enum exposition_format format, const void *page,
    size_t len, size_t piece, struct err *err)
{
    int rc = 0;
    seen.len = 0;
    seen.n = 0;
    seen.text[0] = '\0';
    exposition_begin(x, format);
    for (size_t at = 0; rc == 0 && at < len; at += piece)
        rc = exposition_feed(
            x, (const char *)page + at, piece < len - at ? piece : len - at, err);
    return rc < 0 ? rc : exposition_end(x, err);
}

// What it holds, or "line N: why".
static const char *read_bytes(enum exposition_format format, const void *page, size_t len)
{
    static char first[sizeof(seen.text)];
    struct exposition *x = exposition_new(sample, NULL);
    struct err err = {0};
    CU_ASSERT_PTR_NOT_NULL_FATAL(x);
    int rc = read_in(x, format, page, len, len ? len : 1, &err);
    snprintf(first, sizeof(first), "%s", rc < 0 ? err.msg : seen.text);
    for (size_t piece = 1; piece < 8; piece++) {
        struct err again = {0};
        CU_ASSERT_EQUAL(read_in(x, format, page, len, piece, &again), rc);
        CU_ASSERT_STRING_EQUAL(rc < 0 ? again.msg : seen.text, first);
    }
    exposition_free(x);
    return first;
}

static const char *text(const char *page)
{
    return read_bytes(EXPOSITION_TEXT, page, strlen(page));
}

static const char *om(const char *page)
{
    return read_bytes(EXPOSITION_OPENMETRICS, page, strlen(page));
}

static bool fails(const char *said, const char *why)
{
    bool good = strncmp(said, "line ", 5) == 0 && strstr(said, why);
    if (!good)
        printf("  said: %s\n", said);
    return good;
}

static void reads_text(void)
{
    CU_ASSERT_STRING_EQUAL(text(""), "");
    CU_ASSERT_STRING_EQUAL(text("\n\n  \t\n# any comment\n#HELP\n# HELPx y\n"), "");
    CU_ASSERT_STRING_EQUAL(text("x 1"), "x{} 1 gauge; "); // the last line need not end
    CU_ASSERT_STRING_EQUAL(
        text("# HELP x what \\n it is\n# TYPE x counter\nx 1\nx_total 2\ny_bytes_total 3\n"),
        "x{} 1 counter; x_total{} 2 counter; y_bytes_total{} 3 counter By; ");
    CU_ASSERT_STRING_EQUAL(text("x{} 1\nx{a=\"1\"} 2 1234\n:a:b { a = \"1\" , b=\"2\",}3\n"),
        "x{} 1 gauge; x{a=1,} 2 @1234 gauge; :a:b{a=1,b=2,} 3 gauge; ");
    CU_ASSERT_STRING_EQUAL(
        text("x{a=\"q\\\"b\\\\n\\nl\\t}\"} 1\n"), "x{a=q\"b\\n\nl\\t},} 1 gauge; ");
    CU_ASSERT_STRING_EQUAL(
        text("a NaN\nb +Inf\nc -Inf\nd 1e3\ne -0.125\nf 12345678901234567890\n"),
        "a{} nan gauge; b{} inf gauge; c{} -inf gauge; d{} 1000 gauge; e{} -0.125 gauge; "
        "f{} 1.2345678901234567e+19 gauge; ");
    CU_ASSERT_STRING_EQUAL(
        text("# TYPE h histogram\nh_bucket{le=\"0.5\"} 1\nh_sum 2\nh_count 3\n"
             "# TYPE s_seconds summary\ns_seconds{quantile=\"0.5\"} 1\ns_seconds_sum 2\n"
             "s_seconds_count 3\n"),
        "h_bucket{le=0.5,} 1 counter 1; h_sum{} 2 counter; h_count{} 3 counter 1; "
        "s_seconds{quantile=0.5,} 1 gauge s; s_seconds_sum{} 2 counter s; "
        "s_seconds_count{} 3 counter 1; ");
}

static void refuses_bad_text(void)
{
    CU_ASSERT(fails(text("x 1\n9 1\n"), "line 2: the name of a metric"));
    CU_ASSERT(fails(text("x\n"), "no number"));
    CU_ASSERT(fails(text("x 1 2 3\n"), "behind the timestamp"));
    CU_ASSERT(fails(text("x 1 -2\n"), "timestamp"));
    CU_ASSERT(fails(text("x 0x10\n"), "no number"));
    CU_ASSERT(fails(text("x 1_0\n"), "no number"));
    CU_ASSERT(fails(text("x 1e999\n"), "no number"));
    CU_ASSERT(fails(text("x +NaN\n"), "no number"));
    CU_ASSERT(fails(text("x 1\r\n"), "no number"));
    CU_ASSERT(fails(text("x{a=\"1\" 2\n"), "label's name"));
    CU_ASSERT(fails(text("x{a=1} 2\n"), "in quotes"));
    CU_ASSERT(fails(text("x{a} 2\n"), "= is wanted"));
    CU_ASSERT(fails(text("x{=\"1\"} 2\n"), "label's name"));
    CU_ASSERT(fails(text("x{a=\"\xff\"} 2\n"), "UTF-8"));
    CU_ASSERT(fails(text("x{a=\"1\n\"} 2\n"), "in quotes"));
    CU_ASSERT(fails(text("# TYPE x thing\n"), "no type"));
    CU_ASSERT(fails(text("# TYPE x  counter\n"), "no type"));
    CU_ASSERT(fails(text("# HELP 9 x\n"), "behind `# HELP`"));
    CU_ASSERT(fails(text("# HELP x \xc0\n"), "UTF-8"));
    CU_ASSERT(fails(text("x y\n"), "no number"));
}

static void reads_openmetrics(void)
{
    CU_ASSERT_STRING_EQUAL(om("# EOF\n"), "");
    CU_ASSERT_STRING_EQUAL(om("# EOF"), "");
    CU_ASSERT_STRING_EQUAL(
        om("# HELP x_seconds some\n# TYPE x_seconds counter\n# UNIT x_seconds seconds\n"
           "x_seconds_total{a=\"1\"} 2 1.5 # {t=\"x\"} 0.5 1.5\nx_seconds_created 1e9\n"
           "# TYPE i info\ni_info{v=\"1\"} 1\n# EOF\n"),
        "x_seconds_total{a=1,} 2 @1500 counter s; i_info{v=1,} 1 gauge; ");
    // What is no counter may be called so.
    CU_ASSERT_STRING_EQUAL(
        om("# TYPE g gauge\ng 1\ng_created 5\ny{a=\"1\",b=\"2\"} 1 # {} 1\n# EOF\n"),
        "g{} 1 gauge; g_created{} 5 gauge; y{a=1,b=2,} 1 gauge; ");
    CU_ASSERT_STRING_EQUAL(
        om("# TYPE h histogram\nh_bucket{le=\"1.0\"} 1 # {trace_id=\"a\"} 0.67\nh_count 1\n"
           "h_sum 0.67\nh_created 1.0\n# EOF\n"),
        "h_bucket{le=1.0,} 1 counter 1; h_count{} 1 counter 1; h_sum{} 0.67000000000000004 "
        "counter; ");
}

static void refuses_bad_openmetrics(void)
{
    CU_ASSERT(fails(om("x 1\n"), "# EOF"));
    CU_ASSERT(fails(om("# EOF\nx 1\n"), "behind # EOF"));
    CU_ASSERT(fails(om("\n# EOF\n"), "name of a metric"));
    CU_ASSERT(fails(om("# comment\n# EOF\n"), "no such comment"));
    CU_ASSERT(fails(om("x  1\n# EOF\n"), "no number"));
    CU_ASSERT(fails(om("x 1 \n# EOF\n"), "left behind the value"));
    CU_ASSERT(fails(om("x 1 nan\n# EOF\n"), "timestamp"));
    CU_ASSERT(fails(om("x 1 # 1\n# EOF\n"), "begins with its labels"));
    CU_ASSERT(fails(om("x 1 # {a=\"1\"}\n# EOF\n"), "value of an exemplar"));
    CU_ASSERT(fails(om("x{a=\"1\" b=\"2\"} 1\n# EOF\n"), "comma"));
    CU_ASSERT(fails(om("# UNIT x seconds\n# EOF\n"), "how the name ends"));
    CU_ASSERT(fails(om("# TYPE x untyped\n# EOF\n"), "no type"));
    CU_ASSERT(fails(om("# HELP x\n# EOF\n"), "blank is wanted"));
}

// --- protobuf ----------------------------------------------------------------------------------------

static struct {
    uint8_t at[4096];
    size_t len;
} pb;

static void byte(uint8_t b)
{
    pb.at[pb.len++] = b;
}

static void varint(uint64_t v)
{
    for (; v >= 0x80; v >>= 7)
        byte((uint8_t)(v | 0x80));
    byte((uint8_t)v);
}

static void number(int field, uint64_t v)
{
    varint((uint64_t)field << 3);
    varint(v);
}

static void fixed(int field, double v)
{
    varint((uint64_t)field << 3 | 1);
    memcpy(pb.at + pb.len, &v, 8);
    pb.len += 8;
}

static void bytes(int field, const void *data, size_t len)
{
    varint((uint64_t)field << 3 | 2);
    varint(len);
    memcpy(pb.at + pb.len, data, len);
    pb.len += len;
}

static void string(int field, const char *s)
{
    bytes(field, s, strlen(s));
}

static size_t opened[8];
static int n_opened;

// A message in a field, its length (below 16384, in two bytes) filled in by the close.
static void open_message(int field)
{
    if (field)
        varint((uint64_t)field << 3 | 2);
    opened[n_opened++] = pb.len;
    pb.len += 2;
}

static void close_message(void)
{
    size_t at = opened[--n_opened], len = pb.len - at - 2;
    pb.at[at] = (uint8_t)(len | 0x80);
    pb.at[at + 1] = (uint8_t)(len >> 7);
}

static void label(const char *name, const char *value)
{
    open_message(1);
    string(1, name);
    string(2, value);
    close_message();
}

static const char *protobuf(void)
{
    const char *said = read_bytes(EXPOSITION_PROTOBUF, pb.at, pb.len);
    pb.len = 0;
    return said;
}

static uint64_t zigzag(int64_t v)
{
    return v < 0 ? (~(uint64_t)v << 1) + 1 : (uint64_t)v << 1;
}

static void reads_protobuf(void)
{
    CU_ASSERT_STRING_EQUAL(protobuf(), "");
    open_message(0);
    string(1, "c_total");
    string(2, "help");
    number(3, 0);
    open_message(4);
    label("a", "1");
    open_message(3);
    fixed(1, 7);
    close_message();
    number(6, 1234);
    close_message();
    close_message();
    open_message(0);
    string(1, "s");
    number(3, 2);
    open_message(4);
    open_message(4);
    number(1, 3);
    fixed(2, 0.5);
    open_message(3);
    fixed(1, 0.5);
    fixed(2, 9);
    close_message();
    close_message();
    close_message();
    close_message();
    open_message(0);
    string(1, "h");
    number(3, 4);
    open_message(4);
    open_message(7);
    number(1, 3);
    fixed(2, 1.5);
    open_message(3);
    number(1, 2);
    fixed(2, 1);
    close_message();
    close_message();
    close_message();
    close_message();
    CU_ASSERT_STRING_EQUAL(protobuf(),
        "c_total{a=1,} 7 @1234 counter; s_count{} 3 counter 1; s_sum{} 0.5 counter; "
        "s{quantile=0.5,} 9 gauge; h_count{} 3 counter 1; h_sum{} 1.5 counter; "
        "h_bucket{le=1.0,} 2 counter 1; h_bucket{le=+Inf,} 3 counter 1; ");
}

// spans (-2, 2), (3, 1): buckets -2, -1 and 3 with 4, 1 and 5.
static void open_native(void)
{
    static const int64_t DELTAS[] = {4, -3, 4};
    open_message(0);
    string(1, "h_seconds");
    number(3, 4);
    open_message(4);
    open_message(7);
    number(1, 12);
    fixed(2, 2.5);
    number(5, zigzag(3));
    fixed(6, 1e-9);
    number(7, 2);
    open_message(12);
    number(1, zigzag(-2));
    number(2, 2);
    close_message();
    open_message(12);
    number(1, zigzag(3));
    number(2, 1);
    close_message();
    for (int i = 0; i < 3; i++)
        number(13, zigzag(DELTAS[i]));
}

static void reads_native_histograms(void)
{
    open_native();
    close_message();
    close_message();
    close_message();
    CU_ASSERT_STRING_EQUAL(
        protobuf(), "h_seconds{} scale 3 zero 2 sum 2.5: -2:4 -1:1 3:5 histogram s; ");
    open_native();
    open_message(9);
    number(2, 1);
    close_message();
    close_message();
    close_message();
    close_message();
    CU_ASSERT_STRING_EQUAL(protobuf(), "h_seconds{} unsupported histogram s; ");
    // Packed, and with more buckets than the wire carries: they are joined two by two.
    open_message(0);
    string(1, "h");
    open_message(4);
    open_message(7);
    number(5, zigzag(8));
    open_message(12);
    number(1, zigzag(-1));
    number(2, 1200);
    close_message();
    uint8_t packed[1200] = {2}; // 1, and no change
    bytes(13, packed, sizeof(packed));
    close_message();
    close_message();
    close_message();
    const char *said = protobuf();
    CU_ASSERT_PTR_NOT_NULL(strstr(said, "h{} scale 6 zero 0 sum 0: 0:2 1:4 2:4"));
}

static void refuses_bad_protobuf(void)
{
    byte(5);
    CU_ASSERT_STRING_EQUAL(protobuf(), "the last message is cut");
    open_message(0);
    open_message(4);
    close_message();
    close_message();
    CU_ASSERT_STRING_EQUAL(protobuf(), "a metric stands before the name of its family");
    open_message(0);
    string(1, "x");
    open_message(4);
    close_message();
    close_message();
    CU_ASSERT_STRING_EQUAL(protobuf(), "x: a metric without a value");
    open_native();
    number(13, zigzag(-100)); // after the last bucket: passed over
    open_message(12);
    number(2, 1);
    close_message();
    close_message();
    close_message();
    close_message();
    CU_ASSERT_STRING_EQUAL(protobuf(), "h_seconds: a message is broken");
    byte(2);
    byte(4 << 3 | 2);
    byte(100); // longer than its family
    CU_ASSERT_STRING_EQUAL(protobuf(), "this is no delimited protobuf");
    open_message(0);
    string(1, "x");
    open_message(4);
    label("a", "\xff");
    open_message(2);
    fixed(1, 1);
    close_message();
    close_message();
    close_message();
    CU_ASSERT_STRING_EQUAL(protobuf(), "x: a label is not UTF-8");
}

static void knows_formats(void)
{
    enum exposition_format f;
    CU_ASSERT(exposition_format_of("", &f) && f == EXPOSITION_TEXT);
    CU_ASSERT(exposition_format_of("text/plain; version=0.0.4", &f) && f == EXPOSITION_TEXT);
    CU_ASSERT(exposition_format_of("application/openmetrics-text; version=1.0.0", &f) &&
              f == EXPOSITION_OPENMETRICS);
    CU_ASSERT(
        exposition_format_of("application/vnd.google.protobuf; "
                             "proto=io.prometheus.client.MetricFamily; encoding=delimited",
            &f) &&
        f == EXPOSITION_PROTOBUF);
}

static void out_of_memory_is_told(void)
{
    static const char PAGE[] = "x{a=\"\\\"1\"} 1\nx{b=\"2\"} 1 2\n";
    for (int nth = 1;; nth++) {
        struct err err = {0};
        oom_fail_at(nth);
        struct exposition *x = exposition_new(sample, NULL);
        int rc = x ? read_in(x, EXPOSITION_TEXT, PAGE, sizeof(PAGE) - 1, 5, &err) : -ENOMEM;
        bool hit = oom_stop();
        exposition_free(x);
        if (!hit) {
            CU_ASSERT_EQUAL(rc, 0);
            break;
        }
        CU_ASSERT(rc < 0);
    }
}

static const struct test TESTS[] = {
    {"reads text", reads_text},
    {"refuses bad text", refuses_bad_text},
    {"reads OpenMetrics", reads_openmetrics},
    {"refuses bad OpenMetrics", refuses_bad_openmetrics},
    {"reads protobuf", reads_protobuf},
    {"reads native histograms", reads_native_histograms},
    {"refuses bad protobuf", refuses_bad_protobuf},
    {"knows formats", knows_formats},
    {"out of memory is told", out_of_memory_is_told},
};

int main(void)
{
    return test_main("exposition", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
