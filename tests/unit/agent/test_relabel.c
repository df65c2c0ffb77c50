// SPDX-License-Identifier: Apache-2.0
// tests/e2e/24-scrape.mjs runs many more rules beside Prometheus itself.
#include "agent/relabel.h"
#include "tests/lib/oom.h"
#include "tests/lib/run.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define SOURCES(...)                                                                           \
    .source = (const char *const[]){__VA_ARGS__},                                              \
    .n_source = sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *)

static char text[1024];

// The set x{a="one",b="two",c="3"} behind the rules, sorted; "dropped".
static const char *after(struct relabel_rule *r, size_t n)
{
    struct arena arena;
    struct relabel_set s;
    struct relabel all = {r, n};
    arena_init(&arena, 0);
    relabel_set_init(&s, &arena);
    relabel_put(&s, "__name__", "x");
    relabel_put(&s, "c", "3");
    relabel_put(&s, "b", "two");
    relabel_put(&s, "a", "one");
    for (size_t i = 0; i < n; i++) {
        struct err err = {0};
        const char *key = NULL;
        CU_ASSERT_EQUAL_FATAL(relabel_rule_ready(&r[i], &key, &err), 0);
    }
    bool kept = relabel_apply(&all, &s);
    CU_ASSERT_FALSE(s.failed);
    size_t at = 0;
    text[0] = '\0';
    relabel_sort(&s);
    for (size_t i = 0; i < s.n; i++)
        at += (size_t)snprintf(
            text + at, sizeof(text) - at, "%s%s=%s", i ? "," : "", s.l[i].name, s.l[i].value);
    for (size_t i = 0; i < n; i++)
        relabel_rule_done(&r[i]);
    arena_done(&arena);
    return kept ? text : "dropped";
}

static const char *after_one(struct relabel_rule r)
{
    return after(&r, 1);
}

#define WHOLE "__name__=x,a=one,b=two,c=3"

static void replaces(void)
{
    CU_ASSERT_STRING_EQUAL(after_one((struct relabel_rule){SOURCES("a", "b"), .target = "d"}),
        "__name__=x,a=one,b=two,c=3,d=one;two");
    CU_ASSERT_STRING_EQUAL(
        after_one((struct relabel_rule){SOURCES("a", "nothing", "b"), .separator = "-",
            .pattern = "o(.*)--t(?P<rest>.*)", .target = "d_$1", .replacement = "${rest}.$1"}),
        "__name__=x,a=one,b=two,c=3,d_ne=wo.ne");
    // Anchored at both ends; without a match nothing happens.
    CU_ASSERT_STRING_EQUAL(
        after_one((struct relabel_rule){SOURCES("a"), .pattern = "on", .target = "d"}), WHOLE);
    // An empty replacement removes.
    CU_ASSERT_STRING_EQUAL(
        after_one((struct relabel_rule){.pattern = "", .target = "b", .replacement = ""}),
        "__name__=x,a=one,c=3");
    CU_ASSERT_STRING_EQUAL(
        after_one((struct relabel_rule){.target = "__name__", .replacement = "y"}),
        "__name__=y,a=one,b=two,c=3");
}

static void keeps_and_drops(void)
{
    CU_ASSERT_STRING_EQUAL(after_one((struct relabel_rule){
                               .action = RELABEL_KEEP, SOURCES("a", "b"), .pattern = "one;.*"}),
        WHOLE);
    CU_ASSERT_STRING_EQUAL(
        after_one((struct relabel_rule){.action = RELABEL_KEEP, SOURCES("a"), .pattern = "on"}),
        "dropped");
    CU_ASSERT_STRING_EQUAL(after_one((struct relabel_rule){
                               .action = RELABEL_DROP, SOURCES("a"), .pattern = "one|x"}),
        "dropped");
    CU_ASSERT_STRING_EQUAL(after_one((struct relabel_rule){
                               .action = RELABEL_KEEPEQUAL, SOURCES("a"), .target = "b"}),
        "dropped");
    CU_ASSERT_STRING_EQUAL(after_one((struct relabel_rule){
                               .action = RELABEL_DROPEQUAL, SOURCES("a"), .target = "a"}),
        "dropped");
    CU_ASSERT_STRING_EQUAL(after_one((struct relabel_rule){
                               .action = RELABEL_DROPEQUAL, SOURCES("a"), .target = "b"}),
        WHOLE);
}

static void names_are_mapped_dropped_and_kept(void)
{
    CU_ASSERT_STRING_EQUAL(
        after_one((struct relabel_rule){
            .action = RELABEL_LABELMAP, .pattern = "([ab])", .replacement = "m_$1"}),
        "__name__=x,a=one,b=two,c=3,m_a=one,m_b=two");
    // Each reads the set as it was: c takes a's and then b's value, and nothing cascades.
    CU_ASSERT_STRING_EQUAL(
        after_one((struct relabel_rule){
            .action = RELABEL_LABELMAP, .pattern = "[ab]", .replacement = "c"}),
        "__name__=x,a=one,b=two,c=two");
    CU_ASSERT_STRING_EQUAL(
        after_one((struct relabel_rule){.action = RELABEL_LABELDROP, .pattern = "a|c"}),
        "__name__=x,b=two");
    CU_ASSERT_STRING_EQUAL(
        after_one((struct relabel_rule){.action = RELABEL_LABELKEEP, .pattern = "a|__.*"}),
        "__name__=x,a=one");
}

static void hashes_and_changes_case(void)
{
    // The last 8 bytes of md5("one") = f97c5d29941bfb1b2fdab0874906ab82 are 3448262559797783426.
    CU_ASSERT_STRING_EQUAL(
        after_one((struct relabel_rule){
            .action = RELABEL_HASHMOD, SOURCES("a"), .target = "d", .modulus = 1000}),
        "__name__=x,a=one,b=two,c=3,d=426");
    struct relabel_rule cases[] = {
        {.target = "d", .replacement = "H\xc3\xa9LLO"},
        {.action = RELABEL_UPPERCASE, SOURCES("d"), .target = "e"},
        {.action = RELABEL_LOWERCASE, SOURCES("d"), .target = "d"},
    };
    CU_ASSERT_STRING_EQUAL(
        after(cases, 3), "__name__=x,a=one,b=two,c=3,d=h\xc3\xa9llo,e=H\xc3\x89LLO");
}

static void one_rule_after_the_other(void)
{
    struct relabel_rule r[] = {
        {SOURCES("a"), .target = "t"},
        {.action = RELABEL_LABELDROP, .pattern = "a"},
        {.action = RELABEL_KEEP, SOURCES("t", "a"), .pattern = "one;"},
    };
    CU_ASSERT_STRING_EQUAL(after(r, 3), "__name__=x,b=two,c=3,t=one");
}

static void what_prometheus_refuses_is_refused(void)
{
    static const struct {
        struct relabel_rule rule;
        const char *key;
    } CASES[] = {
        {{.action = RELABEL_HASHMOD, .target = "a"}, "modulus"},
        {{.action = RELABEL_REPLACE}, "target_label"},
        {{.action = RELABEL_REPLACE, .target = "9"}, "target_label"},
        {{.action = RELABEL_REPLACE, .target = "a-$1"}, "target_label"},
        {{.action = RELABEL_LOWERCASE, .target = "a$1"}, "target_label"},
        {{.action = RELABEL_KEEPEQUAL}, "target_label"},
        {{.action = RELABEL_LABELMAP, .replacement = "-"}, "replacement"},
        {{.action = RELABEL_UPPERCASE, .target = "a", .replacement = "x"}, "replacement"},
        {{.action = RELABEL_KEEPEQUAL, .target = "a", .separator = "-"}, "separator"},
        {{.action = RELABEL_DROPEQUAL, .target = "a", .pattern = "x"}, "regex"},
        {{.action = RELABEL_LABELDROP, .target = "a"}, "target_label"},
        {{.action = RELABEL_LABELKEEP, .modulus = 1}, "modulus"},
        {{.action = RELABEL_KEEP, .pattern = "("}, "regex"},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct relabel_rule r = CASES[i].rule;
        struct err err = {0};
        const char *key = NULL;
        CU_ASSERT_EQUAL(relabel_rule_ready(&r, &key, &err), -EINVAL);
        CU_ASSERT_STRING_EQUAL(key ? key : "", CASES[i].key);
        CU_ASSERT(err.msg[0] != '\0');
        relabel_rule_done(&r);
    }
}

static void more_labels_than_fit_are_told(void)
{
    struct arena arena;
    struct relabel_set s;
    char name[16];
    arena_init(&arena, 0);
    relabel_set_init(&s, &arena);
    for (int i = 0; i < RELABEL_LABELS_MAX; i++) {
        snprintf(name, sizeof(name), "l%d", i);
        relabel_put(&s, arena_strndup(&arena, name, strlen(name)), "v");
    }
    CU_ASSERT_FALSE(s.failed);
    relabel_put(&s, "one_more", "v");
    CU_ASSERT_TRUE(s.failed);
    arena_done(&arena);
}

static void out_of_memory_is_told(void)
{
    struct relabel_rule r = {SOURCES("a", "b"), .target = "d", .replacement = "x$1"};
    struct err err = {0};
    const char *key = NULL;
    CU_ASSERT_EQUAL_FATAL(relabel_rule_ready(&r, &key, &err), 0);
    struct relabel all = {&r, 1};
    for (int nth = 1;; nth++) {
        struct arena arena;
        struct relabel_set s;
        arena_init(&arena, 0);
        relabel_set_init(&s, &arena);
        relabel_put(&s, "a", "1");
        oom_fail_at(nth);
        relabel_apply(&all, &s);
        bool hit = oom_stop();
        arena_done(&arena);
        CU_ASSERT_EQUAL(s.failed, hit);
        if (!hit) {
            CU_ASSERT_TRUE(nth > 1);
            break;
        }
    }
    relabel_rule_done(&r);
}

static const struct test TESTS[] = {
    {"replaces", replaces},
    {"keeps and drops", keeps_and_drops},
    {"names are mapped, dropped and kept", names_are_mapped_dropped_and_kept},
    {"hashes and changes case", hashes_and_changes_case},
    {"one rule after the other", one_rule_after_the_other},
    {"what Prometheus refuses is refused", what_prometheus_refuses_is_refused},
    {"more labels than fit are told", more_labels_than_fit_are_told},
    {"out of memory is told", out_of_memory_is_told},
};

int main(void)
{
    return test_main("relabel", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
