// SPDX-License-Identifier: Apache-2.0
#include "base/err.h"
#include "tests/lib/run.h"
#include <string.h>

static void set_replaces(void)
{
    struct err e = {.line = 3, .col = 4};
    err_set(&e, "no %s", "luck");
    CU_ASSERT_STRING_EQUAL(e.msg, "no luck");
    CU_ASSERT_EQUAL(e.line, 0);
    err_at(&e, 7, 9, "was: %s", e.msg);
    CU_ASSERT_STRING_EQUAL(e.msg, "was: no luck");
    CU_ASSERT_EQUAL(e.line, 7);
    CU_ASSERT_EQUAL(e.col, 9);
}

static void prefix_keeps_place(void)
{
    struct err e;
    err_at(&e, 2, 5, "bad value");
    err_prefix(&e, "%s.yaml", "web");
    CU_ASSERT_STRING_EQUAL(e.msg, "web.yaml: bad value");
    CU_ASSERT_EQUAL(e.line, 2);
}

static void long_text_is_cut(void)
{
    struct err e;
    char long_text[2000];
    memset(long_text, 'a', sizeof(long_text) - 1);
    long_text[sizeof(long_text) - 1] = '\0';
    err_set(&e, "%s", long_text);
    CU_ASSERT_EQUAL(strlen(e.msg), sizeof(e.msg) - 1);
    err_prefix(&e, "file");
    CU_ASSERT_EQUAL(strlen(e.msg), sizeof(e.msg) - 1);
    CU_ASSERT_EQUAL(strncmp(e.msg, "file: aaa", 9), 0);
    err_prefix(&e, "%s", long_text);
    CU_ASSERT_EQUAL(strlen(e.msg), sizeof(e.msg) - 1);
}

static void nothing_given(void)
{
    struct err e;
    err_set(NULL, "x");
    err_prefix(NULL, "x");
    err_set(&e, "%s", "");
    CU_ASSERT_TRUE(e.msg[0] != '\0');
}

static const struct test TESTS[] = {
    {"a new text replaces the old one and may quote it", set_replaces},
    {"a prefix goes in front and keeps the place", prefix_keeps_place},
    {"a text too long is cut, never overrun", long_text_is_cut},
    {"a NULL err is ignored and a message is never empty", nothing_given},
};

int main(void)
{
    return test_main("err", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
