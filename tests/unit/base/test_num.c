// SPDX-License-Identifier: Apache-2.0
#include "base/num.h"
#include "tests/lib/run.h"
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

// What Prometheus 2.42 printed for {{ $value }} in an annotation, by promtool.
static const struct {
    double v;
    const char *text;
} SHORT[] = {
    {0, "0"},
    {-0.0, "-0"},
    {1, "1"},
    {100000, "100000"},
    {999999, "999999"},
    {1000000, "1e+06"},
    {123456789, "1.23456789e+08"},
    {100000.5, "100000.5"},
    {1234567.5, "1.2345675e+06"},
    {0.1, "0.1"},
    {0.0001, "0.0001"},
    {0.00001, "1e-05"},
    {0.000123456, "0.000123456"},
    {1e20, "1e+20"},
    {1e21, "1e+21"},
    {1e22, "1e+22"},
    {1e100, "1e+100"},
    {-2.5e-7, "-2.5e-07"},
    {5e-324, "5e-324"},
    {1.7976931348623157e308, "1.7976931348623157e+308"},
    {0.1 + 0.2, "0.30000000000000004"},
    {0x1p-44, "5.684341886080802e-14"},
    {9007199254740992, "9.007199254740992e+15"},
    {123456, "123456"},
    {12345.678, "12345.678"},
    {INFINITY, "+Inf"},
    {-INFINITY, "-Inf"},
    {NAN, "NaN"},
};

static void prints_like_go(void)
{
    for (size_t i = 0; i < sizeof(SHORT) / sizeof(SHORT[0]); i++) {
        char text[NUM_TEXT_MAX];
        size_t n = num_short(SHORT[i].v, text);
        CU_ASSERT_STRING_EQUAL(text, SHORT[i].text);
        CU_ASSERT_EQUAL(n, strlen(text));
    }
}

static void fixed_is(double v, const char *want)
{
    char text[NUM_FIXED_MAX];
    CU_ASSERT_EQUAL(num_fixed(v, text), strlen(want));
    CU_ASSERT_STRING_EQUAL(text, want);
}

static void prints_without_exponent(void)
{
    fixed_is(0, "0");
    fixed_is(-0.0, "-0");
    fixed_is(1e21, "1000000000000000000000");
    fixed_is(0.00001, "0.00001");
    fixed_is(-123.456, "-123.456");
    fixed_is(0x1p53, "9007199254740992");
    fixed_is(1700000000.123, "1700000000.123");
    fixed_is(NAN, "NaN");
    fixed_is(-INFINITY, "-Inf");
    char text[NUM_FIXED_MAX];
    CU_ASSERT_EQUAL(num_fixed(-5e-324, text), 327);
    CU_ASSERT_EQUAL(num_fixed(-1.7976931348623157e308, text), 310);
}

static uint64_t next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state ^ *state >> 29;
}

static void reads_back_the_same(void)
{
    uint64_t state = 7;
    for (int i = 0; i < 20000; i++) {
        uint64_t bits = next_random(&state);
        double v, back;
        if (i < 2046)
            bits = (uint64_t)(i + 1) << 52; // each power of two, where the gaps change
        memcpy(&v, &bits, sizeof(v));
        if (!isfinite(v))
            continue;
        char text[NUM_FIXED_MAX], brief[NUM_TEXT_MAX];
        size_t n = num_fixed(v, text);
        CU_ASSERT_TRUE(num_parse(text, n, &back) && back == v);
        n = num_short(v, brief);
        CU_ASSERT_TRUE(num_parse(brief, n, &back) && back == v);
    }
}

static double parsed(const char *s)
{
    double v = -12345;
    CU_ASSERT_TRUE(num_parse(s, strlen(s), &v));
    return v;
}

static void reads_numbers(void)
{
    CU_ASSERT_EQUAL(parsed("1"), 1);
    CU_ASSERT_EQUAL(parsed("+1.5e3"), 1500);
    CU_ASSERT_EQUAL(parsed("-.5"), -0.5);
    CU_ASSERT_EQUAL(parsed("5."), 5);
    CU_ASSERT_EQUAL(parsed("0x1F"), 31);
    CU_ASSERT_EQUAL(parsed("0x1p-2"), 0.25);
    CU_ASSERT_EQUAL(parsed("1_000_000"), 1000000);
    CU_ASSERT_EQUAL(parsed("inf"), INFINITY);
    CU_ASSERT_EQUAL(parsed("-Inf"), -INFINITY);
    CU_ASSERT_EQUAL(parsed("+Infinity"), INFINITY);
    CU_ASSERT_TRUE(isnan(parsed("NaN")));
}

// Decimals of up to 18 digits, so that both ways are taken, beside strtod.
static void reads_decimals_as_strtod_does(void)
{
    uint64_t state = 7;
    for (int i = 0; i < 200000; i++) {
        char text[40];
        uint64_t v = next_random(&state) >> (next_random(&state) % 60);
        int n = snprintf(text, sizeof(text), "%s%llu",
            i & 1   ? "-"
            : i & 2 ? "+"
                    : "",
            (unsigned long long)(v % 1000000000000000000u));
        int sign = i % 4 != 0,
            point = sign + (int)(next_random(&state) % (uint64_t)(n - sign + 1));
        memmove(text + point + 1, text + point, (size_t)(n - point) + 1);
        text[point] = '.';
        double read = 0, want = strtod(text, NULL);
        CU_ASSERT_TRUE(num_parse(text, (size_t)n + 1, &read));
        CU_ASSERT_EQUAL(memcmp(&read, &want, sizeof(read)), 0);
    }
}

static void refuses_what_is_no_number(void)
{
    static const char *const WRONG[] = {"", "+", ".", "-.", "1e", "1e+", "e5", "0x", "1 ", " 1",
        "1__0", "_1", "1_", "1_.5", "1._5", "1e400", "0xg", "1.2.3", "nanx", "in", "--1",
        "1e5e5", "1f"};
    for (size_t i = 0; i < sizeof(WRONG) / sizeof(WRONG[0]); i++) {
        double v;
        if (num_parse(WRONG[i], strlen(WRONG[i]), &v))
            printf("  read \"%s\" as %g\n", WRONG[i], v);
        CU_ASSERT_FALSE(num_parse(WRONG[i], strlen(WRONG[i]), &v));
    }
    char many[1000];
    double v;
    memset(many, '1', sizeof(many));
    CU_ASSERT_FALSE(num_parse(many, sizeof(many), &v));
}

static void reads_whole_numbers(void)
{
    uint64_t v = 0;
    CU_ASSERT_TRUE(num_parse_u64("18446744073709551615", 20, &v) && v == UINT64_MAX);
    CU_ASSERT_FALSE(num_parse_u64("18446744073709551616", 20, &v));
    CU_ASSERT_FALSE(num_parse_u64("", 0, &v));
    CU_ASSERT_FALSE(num_parse_u64("-1", 2, &v));
    CU_ASSERT_TRUE(num_parse_u64("12x", 2, &v) && v == 12);
}

static void reads_and_prints_durations(void)
{
    static const struct {
        const char *text;
        int64_t ms;
        const char *printed;
    } T[] = {{"0", 0, "0s"}, {"0s", 0, "0s"}, {"250ms", 250, "250ms"},
        {"1m30s", 90000, "1m30s"}, {"90s", 90000, "1m30s"}, {"1h", 3600000, "1h"},
        {"7d", 604800000, "1w"}, {"90d", 7776000000, "90d"}, {"1y", 31536000000, "1y"},
        {"36h", 129600000, "1d12h"}, {"1h30m5s7ms", 5405007, "1h30m5s7ms"}};
    for (size_t i = 0; i < sizeof(T) / sizeof(T[0]); i++) {
        int64_t ms = -1;
        char text[NUM_TEXT_MAX];
        CU_ASSERT_TRUE(duration_parse(T[i].text, strlen(T[i].text), &ms));
        CU_ASSERT_EQUAL(ms, T[i].ms);
        CU_ASSERT_EQUAL(duration_print(ms, text), strlen(T[i].printed));
        CU_ASSERT_STRING_EQUAL(text, T[i].printed);
    }
    static const char *const WRONG[] = {"", "1", "s", "1s1m", "1m1m", "-1s", "1.5h", "1 s",
        "1S", "00", "300y", "99999999999999999999s", "1m ", "ms"};
    for (size_t i = 0; i < sizeof(WRONG) / sizeof(WRONG[0]); i++) {
        int64_t ms;
        CU_ASSERT_FALSE(duration_parse(WRONG[i], strlen(WRONG[i]), &ms));
    }
    char text[NUM_TEXT_MAX];
    duration_print(-1500, text);
    CU_ASSERT_STRING_EQUAL(text, "-1s500ms");
    CU_ASSERT_TRUE(duration_print(INT64_MIN, text) < NUM_TEXT_MAX);
}

static void reads_sizes(void)
{
    uint64_t v = 0;
    CU_ASSERT_TRUE(size_parse("512", 3, &v) && v == 512);
    CU_ASSERT_TRUE(size_parse("64KiB", 5, &v) && v == 65536);
    CU_ASSERT_TRUE(size_parse("20MiB", 5, &v) && v == 20u << 20);
    CU_ASSERT_TRUE(size_parse("1GiB", 4, &v) && v == 1u << 30);
    CU_ASSERT_FALSE(size_parse("64kb", 4, &v));
    CU_ASSERT_FALSE(size_parse("KiB", 3, &v));
    CU_ASSERT_FALSE(size_parse("99999999999TiB", 14, &v));
    CU_ASSERT_FALSE(size_parse("", 0, &v));
}

static const struct test TESTS[] = {
    {"prints values as Prometheus templates do", prints_like_go},
    {"prints values without exponent as the query API does", prints_without_exponent},
    {"every printed value reads back as the same double", reads_back_the_same},
    {"reads numbers", reads_numbers},
    {"reads decimals as strtod does", reads_decimals_as_strtod_does},
    {"refuses what is no number", refuses_what_is_no_number},
    {"reads whole numbers up to their limit", reads_whole_numbers},
    {"reads and prints durations", reads_and_prints_durations},
    {"reads sizes", reads_sizes},
};

int main(void)
{
    return test_main("num", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
