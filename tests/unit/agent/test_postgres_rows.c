// SPDX-License-Identifier: Apache-2.0
// Rows of PostgreSQL byte by byte.
#include "agent/postgres_rows.h"
#include "tests/lib/run.h"
#include <stdio.h>
#include <string.h>

static char heard[512];

static void value(void *ctx, const char *name, const struct wire_label *labels, size_t n,
    enum series_kind kind, const char *unit, double v)
{
    size_t len = strlen(heard);
    (void)ctx;
    (void)kind;
    (void)unit;
    len += (size_t)snprintf(heard + len, sizeof(heard) - len, "%s", name);
    for (size_t i = 0; i < n; i++)
        len += (size_t)snprintf(
            heard + len, sizeof(heard) - len, " %s=%s", labels[i].name, labels[i].value);
    snprintf(heard + len, sizeof(heard) - len, " %g\n", v);
}

static const char *row(const char *body, size_t len)
{
    static const struct page_sink SINK = {.value = value};
    heard[0] = '\0';
    postgres_row(&SINK, (const uint8_t *)body, len);
    return heard;
}
#define ROW(s) row(s, sizeof(s) - 1)
#define NULL_  "\xff\xff\xff\xff"

static void a_row_is_a_series_of_ours(void)
{
    CU_ASSERT_STRING_EQUAL(ROW("\0\4\0\0\0\x08"
                               "activity\0\0\0\4shop\0\0\0\4idle\0\0\0\1"
                               "7"),
        "pg_stat_activity_count datname=shop state=idle 7\n");
    CU_ASSERT_STRING_EQUAL(ROW("\0\4\0\0\0\x09"
                               "deadlocks\0\0\0\4shop" NULL_ "\0\0\0\3"
                               "1e3"),
        "pg_stat_database_deadlocks datname=shop 1000\n");
    CU_ASSERT_STRING_EQUAL(ROW("\0\4\0\0\0\7waiting" NULL_ NULL_ "\0\0\0\1"
                               "0"),
        "tocsin_postgresql_locks_waiting 0\n");
}

static void what_is_not_ours_or_broken_is_passed_over(void)
{
    static const char WHOLE[] = "\0\4\0\0\0\7waiting" NULL_ NULL_ "\0\0\0\1"
                                "0";
    CU_ASSERT_STRING_EQUAL(ROW("\0\4\0\0\0\3who" NULL_ NULL_ "\0\0\0\1"
                               "0"),
        "");
    CU_ASSERT_STRING_EQUAL(ROW("\0\4" NULL_ NULL_ NULL_ NULL_), "");
    CU_ASSERT_STRING_EQUAL(ROW("\0\4\0\0\0\7waiting" NULL_ NULL_ NULL_), "");
    CU_ASSERT_STRING_EQUAL(ROW("\0\4\0\0\0\7waiting" NULL_ NULL_ "\0\0\0\2"
                               "no"),
        "");
    CU_ASSERT_STRING_EQUAL(ROW("\0\3\0\0\0\7waiting" NULL_ NULL_), "");
    for (size_t n = 0; n < sizeof(WHOLE) - 1; n++) {
        char cut[sizeof(WHOLE)];
        memcpy(cut, WHOLE, n);
        CU_ASSERT_STRING_EQUAL(row(cut, n), "");
    }
    CU_ASSERT_STRING_NOT_EQUAL(row(WHOLE, sizeof(WHOLE) - 1), "");
}

static const struct test TESTS[] = {
    {"a row is a series of ours", a_row_is_a_series_of_ours},
    {"what is not ours, or broken, is passed over", what_is_not_ours_or_broken_is_passed_over},
};

int main(void)
{
    return test_main("postgres_rows", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
