// SPDX-License-Identifier: Apache-2.0
#include "collector/letters.h"
#include "tests/lib/oom.h"
#include "tests/lib/run.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const struct letter_alert ALERTS[] = {{1, 11, 0}, {2, 12, 1}};
static struct letter sample(uint64_t id, const char *lane, const char *key, const char *body)
{
    return (struct letter){.id = id,
        .lane = lane,
        .receiver = "ops",
        .key = key,
        .to = "http://h/***",
        .path = "/p",
        .why = "HTTP 400",
        .at_ms = 5,
        .status = 400,
        .tries = 3,
        .alerts = ALERTS,
        .n_alerts = 2,
        .body = body,
        .body_len = strlen(body)};
}

struct gone {
    uint64_t id[8];
    size_t n;
};
static void note(void *ctx, const struct letter *l)
{
    struct gone *g = ctx;
    if (g->n < 8)
        g->id[g->n] = l->id;
    g->n++;
}

static int add(
    struct letters *s, uint64_t id, const char *lane, const char *key, struct gone *g)
{
    struct letter l = sample(id, lane, key, "{}"), *own = letter_copy(&l);
    CU_ASSERT_PTR_NOT_NULL_FATAL(own);
    return letters_add(s, own, note, g);
}

static void copies_everything(void)
{
    struct letter l = sample(7, "lane", "key", "a\0b");
    l.body_len = 3;
    struct letter *c = letter_copy(&l);
    CU_ASSERT_PTR_NOT_NULL_FATAL(c);
    CU_ASSERT_STRING_EQUAL(c->lane, "lane");
    CU_ASSERT_STRING_EQUAL(c->why, "HTTP 400");
    CU_ASSERT_STRING_EQUAL(c->path, "/p");
    CU_ASSERT_EQUAL(c->alerts[1].fingerprint, 12);
    CU_ASSERT_EQUAL(c->alerts[1].resolved, 1);
    CU_ASSERT_EQUAL(memcmp(c->body, "a\0b", 3), 0);
    CU_ASSERT_PTR_NOT_EQUAL(c->alerts, l.alerts);
    free(c);
}

static void same_content_is_one_letter(void)
{
    struct letters s = {0};
    struct gone g = {0};
    add(&s, 1, "a", "k", &g);
    add(&s, 2, "b", "k", &g); // another receiver
    add(&s, 3, "a", "k", &g);
    CU_ASSERT_EQUAL(s.n, 2);
    CU_ASSERT_EQUAL(g.n, 1);
    CU_ASSERT_EQUAL(g.id[0], 1);
    CU_ASSERT_EQUAL(letters_find(&s, "a", "k")->id, 3);
    CU_ASSERT_PTR_NULL(letters_find(&s, "a", "other"));
    CU_ASSERT_EQUAL(letters_of(&s, "b"), 1);
    CU_ASSERT_EQUAL(s.lost, 0);
    CU_ASSERT_TRUE(letters_remove(&s, 2));
    CU_ASSERT_FALSE(letters_remove(&s, 2));
    CU_ASSERT_PTR_NULL(letters_get(&s, 2));
    CU_ASSERT_TRUE(letters_remove(&s, 3));
    CU_ASSERT_EQUAL(s.bytes, 0);
    letters_done(&s);
}

static void the_oldest_make_room(void)
{
    struct letters s = {0};
    struct gone g = {0};
    char key[32];
    for (uint64_t i = 1; i <= LETTERS_MAX + 3; i++) {
        snprintf(key, sizeof(key), "k%llu", (unsigned long long)i);
        add(&s, i, "a", key, &g);
    }
    CU_ASSERT_EQUAL(s.n, LETTERS_MAX);
    CU_ASSERT_EQUAL(s.lost, 3);
    CU_ASSERT_EQUAL(g.n, 3);
    CU_ASSERT_EQUAL(g.id[2], 3);
    CU_ASSERT_EQUAL(s.l[0]->id, 4);
    letters_done(&s);
}

static struct letter *large(uint64_t id, const char *key, size_t size)
{
    char *body = calloc(1, size);
    struct letter l = sample(id, "a", key, "");
    l.body = body;
    l.body_len = size;
    struct letter *own = letter_copy(&l);
    CU_ASSERT_PTR_NOT_NULL_FATAL(own);
    free(body);
    return own;
}

static void bytes_are_bounded(void)
{
    struct letters s = {0};
    struct gone g = {0};
    CU_ASSERT_EQUAL(letters_add(&s, large(1, "a", 7u << 20), note, &g), 0);
    CU_ASSERT_EQUAL(letters_add(&s, large(2, "b", 7u << 20), note, &g), 0);
    CU_ASSERT_EQUAL(letters_add(&s, large(3, "c", 7u << 20), note, &g), 0);
    CU_ASSERT_EQUAL(s.n, 2);
    CU_ASSERT_EQUAL(g.id[0], 1);
    CU_ASSERT_TRUE(s.bytes <= LETTERS_BYTES_MAX);
    CU_ASSERT_EQUAL(letters_add(&s, large(4, "d", 17u << 20), note, &g), -EMSGSIZE);
    CU_ASSERT_EQUAL(s.n, 2); // it pushes nothing out
    CU_ASSERT_EQUAL(s.lost, 2);
    letters_done(&s);
}

static void without_memory_nothing_leaks(void)
{
    for (int nth = 1;; nth++) {
        struct letters s = {0};
        struct gone g = {0};
        struct letter l = sample(1, "a", "k", "{}");
        oom_fail_at(nth);
        struct letter *own = letter_copy(&l);
        int rc = own ? letters_add(&s, own, note, &g) : -ENOMEM;
        bool hit = oom_stop();
        CU_ASSERT_EQUAL(rc, hit ? -ENOMEM : 0);
        CU_ASSERT_EQUAL(s.n, hit ? 0 : 1);
        letters_done(&s);
        if (!hit)
            break;
    }
}

int main(void)
{
    static const struct test TESTS[] = {
        {"a copy has everything, bytes too", copies_everything},
        {"the same content given up again is one letter", same_content_is_one_letter},
        {"the oldest make room, and are counted", the_oldest_make_room},
        {"their bytes are bounded, and one too large pushes nothing out", bytes_are_bounded},
        {"without memory nothing leaks", without_memory_nothing_leaks},
    };
    return test_main("letters", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
