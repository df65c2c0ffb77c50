// SPDX-License-Identifier: Apache-2.0
#include "rules/annotations.h"
#include "scene.h"
#include "tests/lib/oom.h"
#include <errno.h>

static void add(struct annotations *as, enum annotation_kind kind, int start,
    const struct monotonicity *m, const char *fmt, ...) __attribute__((format(printf, 5, 6)));
static void add(struct annotations *as, enum annotation_kind kind, int start,
    const struct monotonicity *m, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    annotations_add(as, kind, start, m, fmt, ap);
    va_end(ap);
}

static void expect(
    const struct annotations *as, size_t i, const char *text, const char *expected)
{
    struct buf out;
    buf_init(&out, 4096);
    CU_ASSERT_FATAL(i < as->n);
    annotation_print(&as->a[i], text, &out);
    CU_ASSERT_STRING_EQUAL(buf_cstr(&out), expected);
    buf_done(&out);
}

static void each_text_once(void)
{
    struct annotations as;
    annotations_init(&as);
    for (int i = 0; i < 100; i++)
        add(&as, ANNOTATION_WARNING, 4, NULL, "number %d", i % 10);
    add(&as, ANNOTATION_INFO, 4, NULL, "number %d", 3);
    CU_ASSERT_EQUAL(as.n, 11);
    expect(&as, 3, "sum(x)", "PromQL warning: number 3 (1:5)");
    expect(&as, 10, "a +\nsum(x)", "PromQL info: number 3 (2:1)");
    annotations_reset(&as);
    CU_ASSERT_EQUAL(as.n, 0);
    add(&as, ANNOTATION_INFO, 0, NULL, "again");
    expect(&as, 0, "x", "PromQL info: again (1:1)");
    annotations_done(&as);
}

static void details_grow(void)
{
    const struct monotonicity first = {60000, 60000, 2, 4, 1, 1},
                              more = {-1000, 0, 1, 8, 2.5, 1};
    struct annotations as;
    annotations_init(&as);
    add(&as, ANNOTATION_INFO, 0, &first, "raised");
    add(&as, ANNOTATION_INFO, 0, &more, "raised");
    CU_ASSERT_EQUAL(as.n, 1);
    expect(&as, 0, "x",
        "PromQL info: raised, from buckets 1 to 8, with a max diff of 2.5, over 2 samples from "
        "1969-12-31T23:59:59Z to 1970-01-01T00:01:00Z (1:1)");
    annotations_done(&as);
}

static void nothing_without_asking(void)
{
    struct scene s;
    struct arena a;
    struct expr_root x;
    struct value v;
    struct err err;
    struct annotations as;
    annotations_init(&as);
    scene_open(&s);
    scene_put(&s, "depth", 8000, 1);
    scene_put(&s, "depth", 9000, 2);
    scene_parse(&a, "rate(depth[5s])", &x);
    s.e = eval_new(&s.src, NULL);
    CU_ASSERT_EQUAL(eval_instant(s.e, &x, NULL, 10000, &v, &err), 0);
    eval_annotate(s.e, &as);
    CU_ASSERT_EQUAL(eval_instant(s.e, &x, NULL, 10000, &v, &err), 0);
    CU_ASSERT_EQUAL(eval_instant(s.e, &x, NULL, 10000, &v, &err), 0);
    CU_ASSERT_EQUAL(as.n, 1);
    eval_annotate(s.e, NULL);
    annotations_reset(&as);
    CU_ASSERT_EQUAL(eval_instant(s.e, &x, NULL, 10000, &v, &err), 0);
    CU_ASSERT_EQUAL(as.n, 0);
    expr_done(&x);
    arena_done(&a);
    scene_close(&s);
    annotations_done(&as);
}

static void no_memory_is_told(void)
{
    for (int nth = 1;; nth++) {
        struct annotations as;
        annotations_init(&as);
        oom_fail_at(nth);
        for (int i = 0; i < 2000; i++)
            add(&as, ANNOTATION_INFO, 0, NULL, "number %d of many that fill the arena", i);
        bool hit = oom_stop();
        CU_ASSERT_EQUAL(as.failed, hit);
        CU_ASSERT(hit || as.n == 2000);
        annotations_done(&as);
        if (!hit)
            break;
    }
    // And so is a flood of them.
    struct annotations as;
    annotations_init(&as);
    for (int i = 0; i < 4000; i++)
        add(&as, ANNOTATION_INFO, 0, NULL, "%0400d", i);
    CU_ASSERT_TRUE(as.failed);
    CU_ASSERT(as.n > 100 && as.n < 4000);
    annotations_done(&as);
}

static const struct test TESTS[] = {
    {"each text is kept once, with its first place", each_text_once},
    {"what fell in which buckets grows while it is met again", details_grow},
    {"nothing is collected unless somebody asks", nothing_without_asking},
    {"what finds no memory is missing, and that is told", no_memory_is_told},
};

int main(void)
{
    return test_main("annotations", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
