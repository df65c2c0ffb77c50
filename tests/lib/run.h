// SPDX-License-Identifier: Apache-2.0
/*
 * The main() of a test program: a table of named functions using CUnit's assertions.
 *
 *     static const struct test TESTS[] = {
 *         {"keeps the largest until it ages out", keeps_largest},
 *     };
 *     int main(void)
 *     {
 *         return test_main("window", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
 *     }
 *
 * A failure is printed as file:line: condition. The last line is always `N passed, N failed`,
 * counting tests, not assertions. TEST=word in the environment runs only tests whose name holds
 * that word.
 */
#pragma once
#include <CUnit/CUnit.h>
#include <stddef.h>

struct test {
    const char *name;
    void (*fn)(void);
};

// Rounds of a random test: fewer where a sanitizer watches every load and store.
static inline int test_rounds(int n)
{
#if defined(__SANITIZE_THREAD__)
    return (n + 9) / 10;
#elif defined(__SANITIZE_ADDRESS__)
    return (n + 2) / 3;
#else
    return n;
#endif
}

int test_main(const char *program, const struct test *tests, size_t n); // exit status

// Folder for scratch files of this program, made on first use and removed at the end.
const char *test_tmpdir(void);
