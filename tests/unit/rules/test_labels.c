// SPDX-License-Identifier: Apache-2.0
#include "rules/labels.h"
#include "rules/matcher.h"
#include "tests/lib/oom.h"
#include "tests/lib/run.h"
#include <stdlib.h>
#include <string.h>

static const struct label PAIRS[] = {
    {"job", "web"}, {LABEL_NAME, "up"}, {"instance", "a"}, {"empty", ""}, {"job", "api"}};

static const char *printed(const struct labels *s)
{
    static struct buf out;
    static char text[256];
    buf_init(&out, sizeof(text) - 1);
    labels_print(s, &out);
    strcpy(text, buf_cstr(&out));
    buf_done(&out);
    return text;
}

static struct labels made(struct arena *a)
{
    struct labels s = {0};
    arena_init(a, 0);
    CU_ASSERT_FATAL(labels_make(a, PAIRS, 5, &s));
    return s;
}

static void sorts_and_drops(void)
{
    struct arena a;
    struct labels s = made(&a);
    CU_ASSERT_STRING_EQUAL(printed(&s), "up{instance=\"a\", job=\"api\"}");
    CU_ASSERT_EQUAL(s.n, 3);
    CU_ASSERT_STRING_EQUAL(labels_get(&s, "job"), "api");
    CU_ASSERT_STRING_EQUAL(labels_get(&s, "empty"), "");
    const struct label taken_back[] = {{"a", "1"}, {"a", ""}};
    CU_ASSERT(labels_make(&a, taken_back, 2, &s));
    CU_ASSERT_STRING_EQUAL(printed(&s), "{}");
    arena_done(&a);
}

static void with_keep_and_drop(void)
{
    struct arena a;
    struct labels s = made(&a), t;
    const char *names[] = {"absent", "job"};
    CU_ASSERT(labels_with(&a, &s, "job", "", &t));
    CU_ASSERT_STRING_EQUAL(printed(&t), "up{instance=\"a\"}");
    CU_ASSERT(labels_with(&a, &s, "job", "x", &t));
    CU_ASSERT_STRING_EQUAL(printed(&t), "up{instance=\"a\", job=\"x\"}");
    CU_ASSERT(labels_with(&a, &s, "k", "v", &t));
    CU_ASSERT_STRING_EQUAL(printed(&t), "up{instance=\"a\", job=\"api\", k=\"v\"}");
    CU_ASSERT(labels_keep(&a, &s, names, 2, &t));
    CU_ASSERT_STRING_EQUAL(printed(&t), "{job=\"api\"}");
    CU_ASSERT(labels_drop(&a, &s, names, 2, true, &t));
    CU_ASSERT_STRING_EQUAL(printed(&t), "{instance=\"a\"}");
    CU_ASSERT(labels_drop(&a, &s, names, 2, false, &t));
    CU_ASSERT_STRING_EQUAL(printed(&t), "up{instance=\"a\"}");
    arena_done(&a);
}

static void hashes_agree_with_what_is_kept(void)
{
    struct arena a;
    struct labels s = made(&a), t;
    const char *names[] = {"job"};
    CU_ASSERT(labels_keep(&a, &s, names, 1, &t));
    CU_ASSERT_EQUAL(labels_hash_on(&s, names, 1), labels_hash(&t));
    CU_ASSERT(labels_drop(&a, &s, names, 1, true, &t));
    CU_ASSERT_EQUAL(labels_hash_without(&s, names, 1), labels_hash(&t));
    CU_ASSERT_NOT_EQUAL(labels_hash(&s), labels_hash(&t));
    struct labels none = {0};
    CU_ASSERT_EQUAL(labels_hash_on(&s, names, 0), labels_hash(&none));
    arena_done(&a);
}

static void has_alertmanagers_fingerprint(void)
{
    struct labels none = {0};
    const struct label l[] = {{"a", "b"}};
    struct labels one = {l, 1};
    CU_ASSERT_EQUAL(labels_fingerprint(&none), 14695981039346656037ULL);
    // FNV-1a of 61 ff 62 ff, worked out by hand.
    uint64_t h = 14695981039346656037ULL;
    const unsigned char bytes[] = {0x61, 0xff, 0x62, 0xff};
    for (int i = 0; i < 4; i++)
        h = (h ^ bytes[i]) * 1099511628211ULL;
    CU_ASSERT_EQUAL(labels_fingerprint(&one), h);
}

static void compares_and_copies(void)
{
    struct arena a;
    struct labels s = made(&a), t;
    struct labels *copy = labels_dup(&s);
    CU_ASSERT_FATAL(copy != NULL);
    CU_ASSERT(labels_equal(&s, copy));
    CU_ASSERT(labels_with(&a, &s, "job", "b", &t));
    CU_ASSERT(labels_compare(&s, &t) < 0);
    CU_ASSERT(labels_compare(&t, &s) > 0);
    CU_ASSERT(labels_with(&a, &s, "z", "1", &t));
    CU_ASSERT(labels_compare(&s, &t) < 0);
    free(copy);
    arena_done(&a);
}

static void prints_what_needs_quotes(void)
{
    struct label l[] = {{LABEL_NAME, "a.b"}, {"l.x", "q\"\\\n\t\x01"}};
    struct labels s = {l, 2};
    CU_ASSERT_STRING_EQUAL(printed(&s), "{\"a.b\", \"l.x\"=\"q\\\"\\\\\\n\\t\\x01\"}");
    s.n = 1;
    l[0].value = "up";
    CU_ASSERT_STRING_EQUAL(printed(&s), "up");
    CU_ASSERT(label_name_plain("a_1") && !label_name_plain("1a") && !label_name_plain("a:b"));
    CU_ASSERT(
        metric_name_plain("a:b") && !metric_name_plain("") && !metric_name_plain("\xc3\xa9"));
    struct buf out;
    buf_init(&out, 100);
    labels_json(&s, &out);
    CU_ASSERT_STRING_EQUAL(buf_cstr(&out), "{\"__name__\":\"up\"}");
    buf_done(&out);
}

static void a_missing_label_is_an_empty_one(void)
{
    struct arena a;
    struct labels s = made(&a);
    struct matcher m = {.op = MATCH_EQ, .name = "none", .value = ""};
    CU_ASSERT(matchers_labels(&m, 1, &s));
    m.op = MATCH_NE;
    m.value = "x";
    CU_ASSERT(matchers_labels(&m, 1, &s));
    m.name = "job";
    m.value = "api";
    CU_ASSERT(!matchers_labels(&m, 1, &s));
    struct err err;
    struct regex *re = regex_new("a.*", 3, &err);
    CU_ASSERT_FATAL(re != NULL);
    m.op = MATCH_RE;
    m.re = re;
    CU_ASSERT(matchers_labels(&m, 1, &s));
    m.op = MATCH_NRE;
    CU_ASSERT(!matchers_labels(&m, 1, &s));
    regex_free(re);
    arena_done(&a);
}

static void every_failed_allocation_is_told(void)
{
    for (int nth = 1;; nth++) {
        struct arena a;
        struct labels s = {0}, t;
        arena_init(&a, 0);
        oom_fail_at(nth);
        bool ok = labels_make(&a, PAIRS, 5, &s) && labels_with(&a, &s, "n", "v", &t);
        struct labels *copy = ok ? labels_dup(&t) : NULL;
        bool hit = oom_stop();
        CU_ASSERT_EQUAL(copy == NULL, hit);
        free(copy);
        arena_done(&a);
        if (!hit)
            break;
    }
}

static const struct test TESTS[] = {
    {"sorts, drops empty values, the later pair wins", sorts_and_drops},
    {"with, keep and drop", with_keep_and_drop},
    {"hashes agree with what is kept", hashes_agree_with_what_is_kept},
    {"has Alertmanager's fingerprint", has_alertmanagers_fingerprint},
    {"compares and copies", compares_and_copies},
    {"prints what needs quotes with quotes", prints_what_needs_quotes},
    {"a missing label is an empty one", a_missing_label_is_an_empty_one},
    {"every failed allocation is told", every_failed_allocation_is_told},
};

int main(void)
{
    return test_main("labels", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
