// SPDX-License-Identifier: Apache-2.0
#include "base/regex.h"
#include "base/rune.h"
#include "tests/lib/oom.h"
#include "tests/lib/run.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct regex *compiled(const char *pattern)
{
    struct err err = {0};
    struct regex *re = regex_new(pattern, strlen(pattern), &err);
    if (!re)
        printf("%s: %d: %s\n", pattern, err.col, err.msg);
    CU_ASSERT_FATAL(re != NULL);
    return re;
}

static const struct {
    const char *pattern, *text;
    bool matches;
} CASES[] = {
    {"", "", true},
    {"", "a", false},
    {"a", "a", true},
    {"a", "ab", false},
    {"a|b|cd", "cd", true},
    {"a|b|cd", "c", false},
    {"5..", "503", true},
    {"5..", "50", false},
    {"(5..|429)", "429", true},
    {".*", "", true},
    {".*", "line\nline", true},
    {".+", "", false},
    {".+", "\n", true},
    {"(?-s).+", "a\nb", false},
    {"foo.*", "foo", true},
    {"foo.+", "foo", false},
    {".*foo", "a foo", true},
    {".+foo.+", "xfoox", true},
    {".+foo.+", "foofoo", false},
    {".*foo.*|bar", "a foo b", true},
    {".*foo.*|bar", "bar", true},
    {".*foo.*|bar", "barr", false},
    {"1(\\.0)?", "1.0", true},
    {"1(\\.0)?", "1x0", false},
    {"(?i)Tail", "tAIL", true},
    {"(?i:a)b", "Ab", true},
    {"(?i:a)b", "AB", false},
    {"a(?i)b|c", "aB", true},
    {"a(?i)b|c", "C", true},
    {"(?i)\xc3\xa9t\xc3\xa9", "\xc3\x89T\xc3\x89", true},
    {"(?i)[a-c]+", "aBC", true},
    {"(?i)k", "\xe2\x84\xaa", true},
    {"(?i)\xc5\x82\xc3\xb3"
     "d\xc5\xba",
        "\xc5\x81\xc3\x93"
        "D\xc5\xb9",
        true}, // Lodz in Polish
    {"(?i)\xd0\xb9", "\xd0\x99", true},
    {"(?i)\xcf\x83", "\xcf\x82", true}, // the final sigma
    {"(?i)[^\xcf\x83]", "\xce\xa3", false},
    {"(?i)\xd5\xa1", "\xd4\xb1", true},         // Armenian
    {"(?i)\xe1\x8f\xb8", "\xe1\x8f\xb0", true}, // Cherokee, whose capitals came first
    {"(?i)i", "\xc4\xb1", false},               // Turkish: no simple folding
    {"\xc5\x82", "\xc5\x81", false},
    {"\xc3\xa9.", "\xc3\xa9\xc3\xa8", true},
    {"..", "\xc3\xa9", false},
    {"[^a]", "\n", true},
    {"[^a-z]", "m", false},
    {"[]a]+", "]a", true},
    {"[a-]+", "-a", true},
    {"[\\d_]+", "1_2", true},
    {"[[:alpha:]]+", "aZ", true},
    {"[[:^alpha:]]+", "12", true},
    {"[^[:digit:]]", "5", false},
    {"\\w+\\s\\W\\S\\D", "a_1 -xy", true},
    {"\\bfoo\\b", "foo", true},
    {"fo\\bo", "foo", false},
    {"fo\\Bo", "foo", true},
    {"^foo$", "foo", true},
    {"(?m)a$\n^b", "a\nb", true},
    {"a$\nb", "a\nb", false},
    {"a{2,3}", "aa", true},
    {"a{2,3}", "aaaa", false},
    {"a{2}", "aa", true},
    {"a{2,}", "aaaaa", true},
    {"a{,2}", "a{,2}", true},
    {"a{0}b", "b", true},
    {"(ab){0,2}c", "ababc", true},
    {"x{", "x{", true},
    {"\\Qa.b\\E+", "a.bbb", true},
    {"\\Qa.b", "a.b", true},
    {"ab\\Q\\E*", "abb", true},
    {"ab(?i)*c", "abbC", true},
    {"a*(?i)+", "aa", true},
    {"\\x41\\x{1F600}\\101\\t",
        "A\xf0\x9f\x98\x80"
        "A\t",
        true},
    {"\\.\\-\\_", ".-_", true},
    {"(?:a|ab)(?:c|bcd)", "abcd", true},
    {"(|a)+", "aaa", true},
    {"(a*)*", "aaaa", true},
    {"(a*)+b", "b", true},
    {"(?U)a*", "aa", true},
    {"(?P<x>a)(?<y>b)", "ab", true},
    {"a\xef\xbf\xbd", "a\xff", true},
};

static void matches_the_whole_text(void)
{
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct regex *re = compiled(CASES[i].pattern);
        const char *text = CASES[i].text;
        if (regex_full_match(re, text, strlen(text)) != CASES[i].matches) {
            printf("%s on %s\n", CASES[i].pattern, text);
            CU_FAIL("wrong answer");
        }
        // The machine, without the fast paths, says the same.
        struct regex_span span;
        CU_ASSERT_EQUAL(regex_captures(re, text, strlen(text), &span, 1) > 0, CASES[i].matches);
        regex_free(re);
    }
}

static const struct {
    const char *pattern, *msg;
    int col;
} BAD[] = {
    {"a(", "missing closing )", 2},
    {"a)", "unexpected )", 2},
    {"[a", "missing closing ]", 1},
    {"[z-a]", "invalid range", 2},
    {"*a", "missing argument", 1},
    {"(?i)*", "missing argument", 5},
    {"\\Q\\E*", "missing argument", 5},
    {"a|+", "missing argument", 3},
    {"a**", "nested repetition", 3},
    {"a{2}{3}", "nested repetition", 5},
    {"a{1001}", "repeat count", 2},
    {"a{3,2}", "repeat count", 2},
    {"(a{100}){11}", "repeat count", 9},
    {"(?=a)", "look-around", 1},
    {"(?<!a)", "look-around", 1},
    {"(?>a)", "look-around", 1},
    {"(a)\\1", "back-references", 4},
    {"\\", "trailing backslash", 1},
    {"\\y", "invalid escape", 1},
    {"\\Z", "invalid escape", 1},
    {"\\C", "invalid escape", 1},
    {"\\x{110000}", "invalid escape", 1},
    {"\\pL", "not supported yet", 1},
    {"[[:nope:]]", "unknown character class", 2},
    {"(?P<>a)", "named capture", 5},
    {"a\xff", "UTF-8", 2},
};

static void refuses_what_re2_refuses(void)
{
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
        struct err err = {0};
        struct regex *re = regex_new(BAD[i].pattern, strlen(BAD[i].pattern), &err);
        if (re || !strstr(err.msg, BAD[i].msg) || err.col != BAD[i].col) {
            printf("%s: %d: %s\n", BAD[i].pattern, err.col, err.msg);
            CU_FAIL("wrong mistake");
        }
        regex_free(re);
    }
}

static void captures_are(const char *pattern, const char *text, const char *expected)
{
    struct regex *re = compiled(pattern);
    struct regex_span s[REGEX_GROUPS_MAX];
    char got[256] = "";
    size_t n = regex_captures(re, text, strlen(text), s, REGEX_GROUPS_MAX);
    for (size_t i = 0; i < n; i++)
        snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s%d-%d", i ? " " : "",
            s[i].start, s[i].end);
    if (strcmp(got, expected))
        printf("%s on %s: %s\n", pattern, text, got);
    CU_ASSERT_STRING_EQUAL(got, expected);
    regex_free(re);
}

// The spans are those of Go's regexp for ^(?s:PATTERN)$.
static void captures_like_go(void)
{
    captures_are("(a|ab)(c|bcd)(d*)", "abcd", "0-4 0-1 1-4 4-4");
    captures_are("(a+)(a*)", "aaa", "0-3 0-3 3-3");
    captures_are("(a+?)(a*)", "aaa", "0-3 0-1 1-3");
    captures_are("(a)|(b)", "b", "0-1 -1--1 0-1");
    captures_are("((a)|(b))*", "ab", "0-2 1-2 0-1 1-2");
    captures_are("(.*)-([0-9]+)", "web-1-22", "0-8 0-5 6-8");
    captures_are("x(y)?", "x", "0-1 -1--1");
    captures_are("(?P<n>x)+", "xx", "0-2 1-2");
    captures_are("abc", "abd", "");
}

static void expands_groups(void)
{
    struct regex *re = compiled("(?P<host>[^:]+):(\\d+)");
    const char *text = "web-1:80";
    struct regex_span s[3];
    struct buf out;
    CU_ASSERT_EQUAL_FATAL(regex_captures(re, text, strlen(text), s, 3), 3);
    static const struct {
        const char *from, *to;
    } cases[] = {{"$1", "web-1"}, {"${1}x$2", "web-1x80"}, {"$1x", ""},
        {"$host/${host}", "web-1/web-1"}, {"$$1", "$1"}, {"$9-$", "-$"}, {"${1", "${1"},
        {"plain", "plain"}, {"$0", "web-1:80"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        buf_init(&out, 1000);
        regex_expand(re, cases[i].from, strlen(cases[i].from), text, s, 3, &out);
        CU_ASSERT_STRING_EQUAL(buf_cstr(&out), cases[i].to);
        buf_done(&out);
    }
    CU_ASSERT_EQUAL(regex_group_index(re, "host", 4), 1);
    CU_ASSERT_EQUAL(regex_group_index(re, "port", 4), -1);
    regex_free(re);
    // Of groups with one name the first that took part counts.
    re = compiled("(?P<n>a)|(?P<n>b)");
    CU_ASSERT_EQUAL(regex_group_index(re, "n", 1), 1);
    CU_ASSERT_EQUAL_FATAL(regex_captures(re, "b", 1, s, 3), 3);
    buf_init(&out, 1000);
    regex_expand(re, "<$n>", 4, "b", s, 3, &out);
    CU_ASSERT_STRING_EQUAL(buf_cstr(&out), "<b>");
    buf_done(&out);
    regex_free(re);
}

static void searches_leftmost_first(void)
{
    struct regex *re = compiled("b+|bc");
    struct regex_span s;
    CU_ASSERT(regex_search(re, "abbcb", 5, 0, &s, 1) && s.start == 1 && s.end == 3);
    CU_ASSERT(regex_search(re, "abbcb", 5, 3, &s, 1) && s.start == 4 && s.end == 5);
    CU_ASSERT(!regex_search(re, "ac", 2, 0, &s, 1));
    regex_free(re);
    re = compiled("^b");
    CU_ASSERT(!regex_search(re, "ab", 2, 1, &s, 1));
    regex_free(re);
    re = compiled("a*");
    CU_ASSERT(regex_search(re, "baa", 3, 0, &s, 1) && s.start == 0 && s.end == 0);
    CU_ASSERT(regex_search(re, "baa", 3, 1, &s, 1) && s.start == 1 && s.end == 3);
    CU_ASSERT(regex_search(re, "baa", 3, 3, &s, 1) && s.start == 3 && s.end == 3);
    regex_free(re);
}

// Written for machines that back up: each would take them longer than the universe lasts.
static void stays_linear(void)
{
    char text[2001];
    memset(text, 'a', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    static const char *const evil[] = {
        "(a*)*b", "(a|aa)+b", "(.*)(.*)(.*)(.*)(.*)b", "(a?){100}a{100}b", "(x+x+)+y|(a+a+)+c"};
    for (size_t i = 0; i < sizeof(evil) / sizeof(evil[0]); i++) {
        struct regex *re = compiled(evil[i]);
        CU_ASSERT(!regex_full_match(re, text, strlen(text)));
        regex_free(re);
    }
}

static void is_bounded(void)
{
    struct err err;
    char deep[4000] = "";
    memset(deep, '(', 1000);
    memset(deep + 1000, ')', 1000);
    CU_ASSERT_PTR_NULL(regex_new(deep, 2000, &err));
    CU_ASSERT_PTR_NOT_NULL(strstr(err.msg, "deep"));
    char large[700] = "";
    for (int i = 0; i < 60; i++)
        strcat(large, "[a-c]{999}");
    CU_ASSERT_PTR_NULL(regex_new(large, strlen(large), &err));
    CU_ASSERT_PTR_NOT_NULL(strstr(err.msg, "too large"));
    char groups[200] = "";
    for (int i = 0; i < REGEX_GROUPS_MAX; i++)
        strcat(groups, "(a)");
    CU_ASSERT_PTR_NULL(regex_new(groups, strlen(groups), &err));
    CU_ASSERT_PTR_NOT_NULL(strstr(err.msg, "groups"));
}

static void case_goes_both_ways(void)
{
    static const uint32_t pairs[][2] = {{'a', 'A'}, {0xe9, 0xc9}, {0x101, 0x100},
        {0x3b1, 0x391}, {0x44f, 0x42f}, {0x451, 0x401}, {0x461, 0x460}};
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        CU_ASSERT_EQUAL(rune_upper(pairs[i][0]), pairs[i][1]);
        CU_ASSERT_EQUAL(rune_lower(pairs[i][1]), pairs[i][0]);
        CU_ASSERT_EQUAL(rune_upper(pairs[i][1]), pairs[i][1]);
        CU_ASSERT_EQUAL(rune_lower(pairs[i][0]), pairs[i][0]);
    }
}

static void every_failed_allocation_is_told(void)
{
    // Large enough for more than one block of the arena.
    char pattern[2000] = "(?P<n>a)";
    for (int i = 0; i < 120; i++)
        strcat(pattern, "[b-d]+|xy");
    int nth = 1;
    for (;; nth++) {
        struct err err = {0};
        oom_fail_at(nth);
        struct regex *re = regex_new(pattern, strlen(pattern), &err);
        bool hit = oom_stop();
        // The fast path may be done without.
        CU_ASSERT(re || hit);
        CU_ASSERT(re || (err.col == 0 && err.msg[0]));
        regex_free(re);
        if (!hit)
            break;
    }
    CU_ASSERT(nth > 3);
}

static const struct test TESTS[] = {
    {"matches the whole text", matches_the_whole_text},
    {"refuses what RE2 refuses, at its place", refuses_what_re2_refuses},
    {"captures like Go", captures_like_go},
    {"expands groups", expands_groups},
    {"searches leftmost first", searches_leftmost_first},
    {"stays linear on patterns made to explode", stays_linear},
    {"depth, size and groups are bounded", is_bounded},
    {"case goes both ways", case_goes_both_ways},
    {"every failed allocation is told", every_failed_allocation_is_told},
};

int main(void)
{
    return test_main("regex", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
