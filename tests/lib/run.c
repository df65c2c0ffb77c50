// SPDX-License-Identifier: Apache-2.0
#include "tests/lib/run.h"
#include <CUnit/TestDB.h>
#include <CUnit/TestRun.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *program_name;
static unsigned passed, failed;
static char tmpdir[128];

static void print_failures(const char *test, const CU_pFailureRecord first)
{
    printf("FAIL %s: %s\n", program_name, test);
    for (CU_pFailureRecord f = first; f; f = f->pNext)
        printf("  %s:%u: %s\n", f->strFileName ? f->strFileName : "?", f->uiLineNumber,
            f->strCondition ? f->strCondition : "?");
}

static void test_done(
    const CU_pTest test, const CU_pSuite suite, const CU_pFailureRecord failure)
{
    (void)suite;
    if (failure) {
        failed++;
        print_failures(test->pName, failure);
    } else {
        passed++;
    }
    // A crash in the next test must not take this one's output with it.
    fflush(stdout);
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(path);
}

const char *test_tmpdir(void)
{
    if (!tmpdir[0]) {
        const char *base = getenv("TMPDIR");
        int n = snprintf(tmpdir, sizeof(tmpdir), "%s/tocsin-test-XXXXXX", base ? base : "/tmp");
        if (n < 0 || (size_t)n >= sizeof(tmpdir) || !mkdtemp(tmpdir)) {
            perror("mkdtemp");
            exit(2);
        }
    }
    return tmpdir;
}

int test_main(const char *program, const struct test *tests, size_t n)
{
    const char *only = getenv("TEST");
    program_name = program;
    if (CU_initialize_registry() != CUE_SUCCESS) {
        fprintf(stderr, "%s: CUnit: %s\n", program, CU_get_error_msg());
        return 2;
    }
    CU_pSuite suite = CU_add_suite(program, NULL, NULL);
    for (size_t i = 0; suite && i < n; i++) {
        if (only && !strstr(tests[i].name, only))
            continue;
        // Two tests of one name would hide each other in CUnit's registry.
        if (!CU_add_test(suite, tests[i].name, tests[i].fn) || CU_get_error() != CUE_SUCCESS) {
            fprintf(stderr, "%s: cannot add \"%s\": %s\n", program, tests[i].name,
                CU_get_error_msg());
            failed++;
        }
    }
    CU_set_test_complete_handler(test_done);
    CU_ErrorCode rc = CU_run_all_tests();
    if (rc != CUE_SUCCESS || passed + failed == 0)
        failed += !only;
    CU_cleanup_registry();
    if (tmpdir[0])
        nftw(tmpdir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    printf("%u passed, %u failed\n", passed, failed);
    fflush(stdout);
    return failed ? 1 : 0;
}
