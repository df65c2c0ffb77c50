// SPDX-License-Identifier: Apache-2.0
#include "base/secret.h"
#include "tests/lib/oom.h"
#include "tests/lib/run.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static char path[300];

static void put(const char *text, size_t len, mode_t mode)
{
    snprintf(path, sizeof(path), "%s/token", test_tmpdir());
    remove(path);
    FILE *f = fopen(path, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    CU_ASSERT_EQUAL(fwrite(text, 1, len, f), len);
    fclose(f);
    CU_ASSERT_EQUAL(chmod(path, mode), 0);
}

static void reads_and_trims_one_newline(void)
{
    char *s = NULL;
    struct err e;
    put("s3cret\n", 7, 0600);
    CU_ASSERT_EQUAL(secret_read(path, &s, &e), 0);
    CU_ASSERT_STRING_EQUAL(s, "s3cret");
    secret_free(s);
    put("s3cret\n\n", 8, 0640);
    CU_ASSERT_EQUAL(secret_read(path, &s, &e), 0);
    CU_ASSERT_STRING_EQUAL(s, "s3cret\n");
    secret_free(s);
    secret_free(NULL);
}

static void refused(int want, const char *word)
{
    char *s = NULL;
    struct err e = {0};
    CU_ASSERT_EQUAL(secret_read(path, &s, &e), want);
    CU_ASSERT_PTR_NULL(s);
    CU_ASSERT_PTR_NOT_NULL(strstr(e.msg, word));
}

static void refuses_bad_files(void)
{
    static char large[SECRET_MAX + 2];
    memset(large, 'a', sizeof(large));
    put("x", 1, 0604);
    refused(-EPERM, "chmod");
    put("\n", 1, 0600);
    refused(-EINVAL, "empty");
    put("", 0, 0600);
    refused(-EINVAL, "empty");
    put("a\0b", 3, 0600);
    refused(-EINVAL, "NUL");
    put(large, sizeof(large), 0600);
    refused(-EMSGSIZE, "at most");
    put(large, SECRET_MAX + 1, 0600);
    refused(-EMSGSIZE, "at most");
    snprintf(path, sizeof(path), "%s", test_tmpdir());
    refused(-EINVAL, "regular");
    snprintf(path, sizeof(path), "/nonexistent/token");
    refused(-ENOENT, "No such file");
    put(large, SECRET_MAX, 0600);
    char *s;
    struct err e;
    CU_ASSERT_EQUAL(secret_read(path, &s, &e), 0);
    CU_ASSERT_EQUAL(strlen(s), SECRET_MAX);
    secret_free(s);
    oom_fail_at(1);
    CU_ASSERT_EQUAL(secret_read(path, &s, &e), -ENOMEM);
    CU_ASSERT_TRUE(oom_stop());
}

static void compares_whole_texts(void)
{
    CU_ASSERT_TRUE(secret_equal("abc", 3, "abc", 3));
    CU_ASSERT_TRUE(secret_equal("", 0, "", 0));
    CU_ASSERT_FALSE(secret_equal("abc", 3, "abd", 3));
    CU_ASSERT_FALSE(secret_equal("xbc", 3, "abc", 3));
    CU_ASSERT_FALSE(secret_equal("abc", 3, "abcd", 4));
    CU_ASSERT_FALSE(secret_equal("", 0, "a", 1));
}

static void random_bytes_differ(void)
{
    unsigned char a[300] = {0}, b[300] = {0};
    CU_ASSERT_EQUAL(random_bytes(a, sizeof(a)), 0);
    CU_ASSERT_EQUAL(random_bytes(b, sizeof(b)), 0);
    CU_ASSERT_NOT_EQUAL(memcmp(a, b, sizeof(a)), 0);
    CU_ASSERT_NOT_EQUAL(memcmp(a + 280, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20), 0);
}

static const struct test TESTS[] = {
    {"reads a secret and trims one newline", reads_and_trims_one_newline},
    {"refuses files that are no secret", refuses_bad_files},
    {"compares whole texts", compares_whole_texts},
    {"random bytes differ to the last", random_bytes_differ},
};

int main(void)
{
    return test_main("secret", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
