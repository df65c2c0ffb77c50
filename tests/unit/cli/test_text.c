// SPDX-License-Identifier: Apache-2.0
#include "base/when.h"
#include "cli/text.h"
#include "tests/lib/run.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static void cleans(void)
{
    struct buf b;
    buf_init(&b, 1000);
    text_clean("a\033[31mb\nc\x7f\xc2\x9b"
               "d é",
        &b);
    CU_ASSERT_STRING_EQUAL(buf_cstr(&b), "a\uFFFD[31mb\uFFFDc\uFFFD\uFFFDd é");
    buf_done(&b);
}

static char *printed(size_t width, bool color)
{
    static const char *const HEADINGS[] = {"NAME", ">N"};
    struct table t;
    char *text = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&text, &len);
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    table_init(&t, HEADINGS, 2);
    table_cell(&t, TEXT_BAD, "é");
    table_cell(&t, TEXT_PLAIN, "7");
    table_cell(&t, TEXT_PLAIN, "longer");
    table_cell(&t, TEXT_PLAIN, "1234");
    CU_ASSERT_TRUE(table_print(&t, width, color, f));
    table_done(&t);
    fclose(f);
    return text;
}

static void lines_up(void)
{
    char *text = printed(0, false);
    CU_ASSERT_STRING_EQUAL(text, "NAME       N\n"
                                 "é          7\n"
                                 "longer  1234\n");
    free(text);
}

static void cuts(void)
{
    char *text = printed(10, false);
    CU_ASSERT_STRING_EQUAL(text, "NAME  \n"
                                 "é     \n"
                                 "longer  1…\n");
    free(text);
    text = printed(4, false);
    CU_ASSERT_STRING_EQUAL(text, "NAME\né   \nlon…\n");
    free(text);
}

static void colors(void)
{
    char *text = printed(0, true);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "\033[1;31mé\033[0m          7\n"));
    free(text);
}

static void numbers(void)
{
    char t[TEXT_NUMBER_MAX];
    CU_ASSERT_STRING_EQUAL(text_number(3, TEXT_COUNT, t), "3");
    CU_ASSERT_STRING_EQUAL(text_number(123456, TEXT_COUNT, t), "123k");
    CU_ASSERT_STRING_EQUAL(text_number(0.5, TEXT_PER_SECOND, t), "0.50/s");
    CU_ASSERT_STRING_EQUAL(text_number(2.5e6, TEXT_PER_SECOND, t), "2.50M/s");
    CU_ASSERT_STRING_EQUAL(text_number(1536, TEXT_BYTES_PER_SECOND, t), "1.50 KiB/s");
    CU_ASSERT_STRING_EQUAL(text_number(0, TEXT_BYTES_PER_SECOND, t), "0 B/s");
    CU_ASSERT_STRING_EQUAL(text_number(0.00024, TEXT_SECONDS, t), "240 µs");
    CU_ASSERT_STRING_EQUAL(text_number(90, TEXT_SECONDS, t), "1 min");
    CU_ASSERT_STRING_EQUAL(text_number(NAN, TEXT_SECONDS, t), "–");
    CU_ASSERT_STRING_EQUAL(text_age(999, t), "999 ms");
    CU_ASSERT_STRING_EQUAL(text_age(-4200, t), "-4.2 s");
    CU_ASSERT_STRING_EQUAL(text_age(2 * 86400000LL, t), "2 d");
}

static void spark(void)
{
    struct buf b;
    buf_init(&b, 100);
    text_spark((const double[]){0, NAN, 5, 10}, 4, &b);
    CU_ASSERT_STRING_EQUAL(buf_cstr(&b), "▁ ▄█");
    buf_reset(&b);
    // The span of these two is not a finite number.
    text_spark((const double[]){-1.7e308, 1.7e308}, 2, &b);
    CU_ASSERT_STRING_EQUAL(buf_cstr(&b), "▁█");
    buf_done(&b);
}

static void instants(void)
{
    static const char *const BAD[] = {"", "2026-11-25", "2026-11-25T04:20:01",
        "2026-13-25T04:20:01Z", "2026-11-25T04:20:01.Z", "2026-11-25T04:20:01Zx",
        "2026-11-25T04:20:01+1:00"};
    int64_t ms = -1;
    CU_ASSERT_TRUE(when_parse("2025-11-25T04:20:01.123456789Z", &ms));
    CU_ASSERT_EQUAL(ms, 1764044401123);
    CU_ASSERT_TRUE(when_parse("2025-11-25T05:20:01.1+01:00", &ms));
    CU_ASSERT_EQUAL(ms, 1764044401100);
    CU_ASSERT_TRUE(when_parse("0001-01-01T00:00:00Z", &ms));
    CU_ASSERT_EQUAL(ms, 0);
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++)
        CU_ASSERT_FALSE(when_parse(BAD[i], &ms));
}

static const struct test TESTS[] = {
    {"control bytes never reach the terminal", cleans},
    {"columns line up by code points", lines_up},
    {"a line too long is cut at the width", cuts},
    {"colours take no room", colors},
    {"numbers have three digits and a unit", numbers},
    {"a sparkline spans lowest to highest, gaps stay blank", spark},
    {"instants are read with offset and fraction, anything else refused", instants},
};
int main(void)
{
    return test_main("text", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
