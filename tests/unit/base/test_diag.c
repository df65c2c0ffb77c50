// SPDX-License-Identifier: Apache-2.0
#include "base/diag.h"
#include "tests/lib/oom.h"
#include "tests/lib/run.h"
#include <string.h>

static void prints_is(const struct diags *d, const char *text, const char *want)
{
    struct buf out;
    buf_init(&out, 1 << 20);
    CU_ASSERT_EQUAL(diags_print(d, "rules.yaml", text, strlen(text), &out), 0);
    if (strcmp(buf_cstr(&out), want) != 0)
        printf("got:\n%s\nwant:\n%s\n", buf_cstr(&out), want);
    CU_ASSERT_STRING_EQUAL(buf_cstr(&out), want);
    buf_done(&out);
}

static void shows_the_place(void)
{
    struct diags d;
    diags_init(&d);
    diags_add(&d, DIAG_ERROR, "T103", 10, 9, 4, "add a window", "`%s` needs a range", "rate");
    prints_is(&d, "1\n2\n3\n4\n5\n6\n7\n8\n9\n  expr: rate(x)\r\nend\n",
        "error[T103]: `rate` needs a range\n"
        "  --> rules.yaml:10:9\n"
        "   |\n"
        "10 |   expr: rate(x)\n"
        "   |         ^^^^ add a window\n");
    CU_ASSERT_EQUAL(d.errors, 1);
    diags_done(&d);
    diags_done(&d);
}

static void carets_stand_under_characters(void)
{
    struct diags d;
    diags_init(&d);
    diags_add(&d, DIAG_WARNING, "T201", 1, 6, 3, NULL, "odd");
    prints_is(&d,
        "\t\xc3\xa9\xc3\xa9"
        "abc",
        "warning[T201]: odd\n"
        " --> rules.yaml:1:6\n"
        "  |\n"
        "1 | \t\xc3\xa9\xc3\xa9"
        "abc\n"
        "  | \t  ^^^\n");
    CU_ASSERT_EQUAL(d.errors, 0);
    diags_done(&d);
}

static void terminal_codes_are_not_passed_on(void)
{
    struct diags d;
    diags_init(&d);
    diags_add(&d, DIAG_ERROR, "T001", 1, 2, 99, NULL, "bad \x1b[31m\nx");
    prints_is(&d,
        "a\x1b"
        "b",
        "error[T001]: bad ?[31m?x\n"
        " --> rules.yaml:1:2\n"
        "  |\n"
        "1 | a?b\n"
        "  |  ^^\n");
    diags_done(&d);
}

static void without_a_place(void)
{
    struct diags d;
    diags_init(&d);
    diags_add(&d, DIAG_ERROR, "C001", 0, 0, 1, "try again", "cannot");
    diags_add(&d, DIAG_ERROR, "C002", 99, 1, 1, NULL, "beyond the end");
    prints_is(&d, "one line",
        "error[C001]: cannot\n --> rules.yaml\n  = try again\n"
        "\nerror[C002]: beyond the end\n  --> rules.yaml:99:1\n");
    diags_done(&d);
}

static void a_long_line_is_cut_around_the_place(void)
{
    char text[100001];
    struct diags d;
    struct buf out;
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    text[50000] = 'Y';
    diags_init(&d);
    diags_add(&d, DIAG_ERROR, "T001", 1, 50001, 1, NULL, "here");
    buf_init(&out, 2000);
    CU_ASSERT_EQUAL(diags_print(&d, "f", text, sizeof(text) - 1, &out), 0);
    const char *s = buf_cstr(&out), *source = strstr(s, "1 | ...");
    CU_ASSERT_PTR_NOT_NULL_FATAL(source);
    const char *caret = strchr(source, '^'), *marked = strchr(source, 'Y');
    CU_ASSERT_PTR_NOT_NULL_FATAL(caret);
    CU_ASSERT_PTR_NOT_NULL_FATAL(marked);
    const char *caret_line = strchr(source, '\n') + 1;
    CU_ASSERT_EQUAL(marked - source, caret - caret_line);
    buf_done(&out);
    diags_done(&d);
}

static void sorts_by_place_and_keeps_order(void)
{
    struct diags d;
    diags_init(&d);
    diags_add(&d, DIAG_ERROR, "c", 5, 1, 1, NULL, "x");
    diags_add(&d, DIAG_ERROR, "a", 2, 9, 1, NULL, "x");
    diags_add(&d, DIAG_ERROR, "b", 2, 9, 1, NULL, "x");
    diags_add(&d, DIAG_ERROR, "0", 2, 3, 1, NULL, "x");
    diags_sort(&d);
    for (size_t i = 0; i < 4; i++)
        CU_ASSERT_EQUAL(d.items[i].code[0], "0abc"[i]);
    diags_done(&d);
}

static void counts_what_it_does_not_keep(void)
{
    struct diags d;
    diags_init(&d);
    for (int i = 0; i < DIAG_MAX + 10; i++)
        diags_add(&d, DIAG_ERROR, "T001", 1, 1, 1, NULL, "x");
    CU_ASSERT_EQUAL(d.n, DIAG_MAX);
    CU_ASSERT_EQUAL(d.dropped, 10);
    CU_ASSERT_EQUAL(d.errors, DIAG_MAX + 10);
    diags_done(&d);
    // An error that finds no memory still counts: a bad file must not look good.
    diags_init(&d);
    oom_fail_at(1);
    diags_add(&d, DIAG_ERROR, "T001", 1, 1, 1, NULL, "x");
    CU_ASSERT_TRUE(oom_stop());
    CU_ASSERT_EQUAL(d.errors, 1);
    CU_ASSERT_EQUAL(d.dropped, 1);
    diags_done(&d);
}

static void finds_the_nearest_word(void)
{
    static const char *const WORDS[] = {"rate", "irate", "increase", "sum", "or"};
    CU_ASSERT_STRING_EQUAL(diag_nearest("rat", 3, WORDS, 5), "rate");
    CU_ASSERT_STRING_EQUAL(diag_nearest("incraese", 8, WORDS, 5), "increase");
    CU_ASSERT_STRING_EQUAL(diag_nearest("irat", 4, WORDS, 5), "irate");
    CU_ASSERT_PTR_NULL(diag_nearest("xy", 2, WORDS, 5));
    CU_ASSERT_PTR_NULL(diag_nearest("quantile", 8, WORDS, 5));
    CU_ASSERT_PTR_NULL(diag_nearest("", 0, WORDS, 5));
}

static const struct test TESTS[] = {
    {"shows the place, the line and the hint", shows_the_place},
    {"carets stand under characters, not bytes", carets_stand_under_characters},
    {"terminal codes are not passed on", terminal_codes_are_not_passed_on},
    {"a mistake without a place prints too", without_a_place},
    {"a long line is cut around the place", a_long_line_is_cut_around_the_place},
    {"sorts by place and keeps the order of equals", sorts_by_place_and_keeps_order},
    {"counts what it does not keep", counts_what_it_does_not_keep},
    {"finds the nearest word", finds_the_nearest_word},
};

int main(void)
{
    return test_main("diag", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
