// SPDX-License-Identifier: Apache-2.0
#include "base/buf.h"
#include "tests/lib/oom.h"
#include "tests/lib/run.h"
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static void grows_to_its_ceiling(void)
{
    struct buf b;
    buf_init(&b, 100);
    for (int i = 0; i < 100; i++)
        CU_ASSERT_EQUAL(buf_addc(&b, (char)('a' + i % 26)), 0);
    CU_ASSERT_EQUAL(strlen(buf_cstr(&b)), 100);
    CU_ASSERT_EQUAL(buf_addc(&b, 'x'), -EMSGSIZE);
    CU_ASSERT_EQUAL(b.failed, -EMSGSIZE);
    CU_ASSERT_EQUAL(b.len, 100);
    buf_reset(&b);
    CU_ASSERT_EQUAL(buf_adds(&b, "again"), 0);
    CU_ASSERT_STRING_EQUAL(buf_cstr(&b), "again");
    buf_done(&b);
    buf_done(&b);
}

static void stays_failed(void)
{
    struct buf b;
    buf_init(&b, 4);
    CU_ASSERT_EQUAL(buf_adds(&b, "ab"), 0);
    CU_ASSERT_EQUAL(buf_adds(&b, "cde"), -EMSGSIZE);
    CU_ASSERT_EQUAL(buf_adds(&b, "c"), -EMSGSIZE);
    CU_ASSERT_EQUAL(buf_addf(&b, "%d", 1), -EMSGSIZE);
    CU_ASSERT_STRING_EQUAL(buf_cstr(&b), "ab");
    CU_ASSERT_EQUAL(buf_reserve(&b, SIZE_MAX), -EMSGSIZE);
    buf_done(&b);
}

static void formats_short_and_long(void)
{
    struct buf b;
    buf_init(&b, 4096);
    CU_ASSERT_EQUAL(buf_addf(&b, "%d-%s;", 42, "x"), 0);
    CU_ASSERT_EQUAL(buf_addf(&b, "%0*d", 1000, 7), 0);
    CU_ASSERT_EQUAL(b.len, 1005);
    CU_ASSERT_EQUAL(strncmp(buf_cstr(&b), "42-x;0000", 9), 0);
    CU_ASSERT_EQUAL(b.data[1004], '7');
    buf_done(&b);
    // Exactly as large as allowed.
    buf_init(&b, 1000);
    CU_ASSERT_EQUAL(buf_addf(&b, "%0*d", 1000, 7), 0);
    CU_ASSERT_EQUAL(strlen(buf_cstr(&b)), 1000);
    buf_done(&b);
}

static void drops_from_the_front(void)
{
    struct buf b;
    buf_init(&b, 64);
    buf_adds(&b, "hello world");
    buf_drop(&b, 6);
    CU_ASSERT_STRING_EQUAL(buf_cstr(&b), "world");
    buf_drop(&b, 0);
    CU_ASSERT_EQUAL(b.len, 5);
    buf_drop(&b, 99);
    CU_ASSERT_STRING_EQUAL(buf_cstr(&b), "");
    buf_done(&b);
}

static void reads_files(void)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/file", test_tmpdir());
    FILE *f = fopen(path, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    for (int i = 0; i < 10000; i++)
        fputc('z', f);
    fclose(f);
    struct buf b;
    buf_init(&b, 10000);
    buf_adds(&b, "");
    CU_ASSERT_EQUAL(buf_add_path(&b, path), 0);
    CU_ASSERT_EQUAL(b.len, 10000);
    buf_done(&b);
    buf_init(&b, 9999);
    buf_adds(&b, "kept");
    CU_ASSERT_EQUAL(buf_add_path(&b, path), -EMSGSIZE);
    CU_ASSERT_STRING_EQUAL(buf_cstr(&b), "kept");
    buf_done(&b);
    buf_init(&b, 10);
    CU_ASSERT_EQUAL(buf_add_path(&b, "/nonexistent/x"), -ENOENT);
    CU_ASSERT_EQUAL(buf_add_path(&b, test_tmpdir()), -EISDIR);
    buf_done(&b);
}

static void json_is(const char *text, size_t len, const char *want)
{
    struct buf b;
    buf_init(&b, 256);
    CU_ASSERT_EQUAL(buf_add_json(&b, text, len), 0);
    if (strcmp(buf_cstr(&b), want) != 0)
        printf("  got %s, want %s\n", buf_cstr(&b), want);
    CU_ASSERT_STRING_EQUAL(buf_cstr(&b), want);
    buf_done(&b);
}

static void quotes_json(void)
{
    json_is(NULL, 0, "\"\"");
    json_is("plain", 5, "\"plain\"");
    json_is("a\"b\\c\n\t\r", 8, "\"a\\\"b\\\\c\\n\\t\\r\"");
    json_is("\x01\x1f\x7f\0z", 5, "\"\\u0001\\u001f\\u007f\\u0000z\"");
    json_is(
        "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 9, "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"");
}

#define BAD "\xEF\xBF\xBD"
static void replaces_what_is_not_utf8(void)
{
    json_is("a\xff"
            "b",
        3, "\"a" BAD "b\"");
    json_is("\xc3", 1, "\"" BAD "\"");                 // cut short
    json_is("\xc0\x80", 2, "\"" BAD BAD "\"");         // overlong
    json_is("\xed\xa0\x80", 3, "\"" BAD BAD BAD "\""); // surrogate
    json_is("\xf4\x90\x80\x80", 4, "\"" BAD BAD BAD BAD "\"");
    json_is("\xe0\x9f\xbf", 3, "\"" BAD BAD BAD "\"");
}

static void any_split_is_the_same(void)
{
    static const char TEXT[] = "one \xc3\xa9 two";
    for (size_t i = 0; i < sizeof(TEXT); i++) {
        struct buf b;
        buf_init(&b, sizeof(TEXT));
        buf_add(&b, TEXT, i);
        buf_add(&b, TEXT + i, sizeof(TEXT) - 1 - i);
        CU_ASSERT_STRING_EQUAL(buf_cstr(&b), TEXT);
        buf_done(&b);
    }
}

static void failed_allocations(void)
{
    for (int nth = 1;; nth++) {
        struct buf b;
        buf_init(&b, 1 << 16);
        oom_fail_at(nth);
        int rc = buf_adds(&b, "start ");
        for (int i = 0; i < 100; i++)
            buf_add_json(&b, "some text \xff", 11);
        rc = buf_addf(&b, "%0*d", 3000, 1);
        bool hit = oom_stop();
        if (!hit) {
            CU_ASSERT_EQUAL(rc, 0);
            CU_ASSERT_EQUAL(b.failed, 0);
            buf_done(&b);
            CU_ASSERT_TRUE(nth > 3);
            return;
        }
        CU_ASSERT_EQUAL(rc, -ENOMEM);
        CU_ASSERT_EQUAL(b.failed, -ENOMEM);
        buf_done(&b);
    }
}

static const struct test TESTS[] = {
    {"grows to its ceiling and not beyond", grows_to_its_ceiling},
    {"keeps what it held and stays failed", stays_failed},
    {"formats short and long texts", formats_short_and_long},
    {"drops from the front", drops_from_the_front},
    {"reads a whole file or adds nothing", reads_files},
    {"quotes JSON", quotes_json},
    {"replaces bytes that are not UTF-8", replaces_what_is_not_utf8},
    {"any split gives the same bytes", any_split_is_the_same},
    {"every failed allocation is an error", failed_allocations},
};

int main(void)
{
    return test_main("buf", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
