// SPDX-License-Identifier: Apache-2.0
// Parts that only keep a diary. A part wants a configuration whose n_probes has its bit.
#include "agent/parts.h"
#include "tests/lib/run.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct fake {
    int number;
};

static char diary[512];
static const struct agent_config *refused; // apply fails for this one ...
static int refusing, refusals;             // ... in this part, so often
static bool open_fails;

static void note(const char *what, int number, const struct agent_config *c)
{
    size_t at = strlen(diary);
    if (c)
        snprintf(diary + at, sizeof(diary) - at, "%s%d(%zu) ", what, number, c->n_probes);
    else
        snprintf(diary + at, sizeof(diary) - at, "%s%d ", what, number);
}

static void *fake_open(int number)
{
    struct fake *f = open_fails ? NULL : malloc(sizeof(*f));
    if (f)
        f->number = number;
    note("open", number, NULL);
    return f;
}

static int fake_apply(void *state, const struct agent_config *c)
{
    struct fake *f = state;
    note("apply", f->number, c);
    return f->number == refusing && c == refused && refusals-- > 0 ? -ENOMEM : 0;
}

static void fake_free(void *state)
{
    struct fake *f = state;
    note("free", f->number, NULL);
    free(f);
}

static bool wanted_1(const struct agent_config *c)
{
    return c->n_probes & 1;
}
static bool wanted_2(const struct agent_config *c)
{
    return c->n_probes & 2;
}
static void *open_1(struct env *env, struct schedule *s, struct transfers *m)
{
    (void)env, (void)s, (void)m;
    return fake_open(1);
}
static void *open_2(struct env *env, struct schedule *s, struct transfers *m)
{
    (void)env, (void)s, (void)m;
    return fake_open(2);
}
static const struct part_ops ONE = {"one", wanted_1, open_1, fake_apply, fake_free};
static const struct part_ops TWO = {"two", wanted_2, open_2, fake_apply, fake_free};
static const struct part_ops *const TABLE[] = {&ONE, &TWO, NULL};

static const struct agent_config NONE = {.n_probes = 0}, FIRST = {.n_probes = 1},
                                 SECOND = {.n_probes = 2}, BOTH = {.n_probes = 3},
                                 BOTH_TOO = {.n_probes = 3};

static struct parts *begun(const struct agent_config *c)
{
    struct err err = {0};
    diary[0] = '\0';
    refused = NULL;
    refusals = 0;
    open_fails = false;
    struct parts *p = parts_new_of(TABLE, NULL, NULL, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(p);
    CU_ASSERT_EQUAL(parts_apply(p, NULL, c, &err), 0);
    return p;
}

static void turns_to(
    struct parts *p, const struct agent_config *now, const struct agent_config *next)
{
    struct err err = {0};
    diary[0] = '\0';
    CU_ASSERT_EQUAL(parts_apply(p, now, next, &err), 0);
}

static void what_is_not_configured_does_not_exist(void)
{
    struct parts *p = begun(&NONE);
    CU_ASSERT_STRING_EQUAL(diary, "");
    turns_to(p, &NONE, &SECOND);
    CU_ASSERT_STRING_EQUAL(diary, "open2 apply2(2) ");
    turns_to(p, &SECOND, &BOTH);
    CU_ASSERT_STRING_EQUAL(diary, "open1 apply1(3) apply2(3) ");
    turns_to(p, &BOTH, &FIRST);
    CU_ASSERT_STRING_EQUAL(diary, "apply1(1) apply2(1) free2 ");
    diary[0] = '\0';
    parts_free(p);
    CU_ASSERT_STRING_EQUAL(diary, "free1 ");
    parts_free(NULL);
}

static void a_part_that_refuses_takes_the_others_back(void)
{
    struct err err = {0};
    struct parts *p = begun(&BOTH);
    refused = &BOTH_TOO;
    refusing = 2;
    refusals = 1;
    diary[0] = '\0';
    CU_ASSERT_EQUAL(parts_apply(p, &BOTH, &BOTH_TOO, &err), -ENOMEM);
    CU_ASSERT_STRING_EQUAL(diary, "apply1(3) apply2(3) apply1(3) ");
    CU_ASSERT_PTR_NOT_NULL(strstr(err.msg, "two: "));

    // One that had nothing to do any more is there again.
    turns_to(p, &BOTH, &BOTH_TOO);
    refused = &SECOND;
    refusals = 1;
    diary[0] = '\0';
    CU_ASSERT_EQUAL(parts_apply(p, &BOTH_TOO, &SECOND, &err), -ENOMEM);
    CU_ASSERT_STRING_EQUAL(diary, "apply1(2) free1 apply2(2) open1 apply1(3) ");
    parts_free(p);
}

static void a_part_opened_for_what_was_refused_goes(void)
{
    struct err err = {0};
    struct parts *p = begun(&FIRST);
    refused = &BOTH;
    refusing = 2;
    refusals = 1;
    diary[0] = '\0';
    CU_ASSERT_EQUAL(parts_apply(p, &FIRST, &BOTH, &err), -ENOMEM);
    CU_ASSERT_STRING_EQUAL(diary, "apply1(3) open2 apply2(3) free2 apply1(1) ");
    parts_free(p);
}

static void a_part_that_can_be_given_neither_ends(void)
{
    struct err err = {0};
    struct parts *p = begun(&FIRST);
    diary[0] = '\0';
    refused = &FIRST;
    refusing = 1;
    refusals = 1;
    open_fails = true;
    CU_ASSERT_EQUAL(parts_apply(p, &FIRST, &BOTH, &err), -ENOMEM);
    CU_ASSERT_STRING_EQUAL(diary, "apply1(3) open2 apply1(1) free1 ");
    CU_ASSERT_PTR_NOT_NULL(strstr(err.msg, "one: "));
    parts_free(p);
}

static void a_start_that_fails_leaves_nothing(void)
{
    struct err err = {0};
    struct parts *p = parts_new_of(TABLE, NULL, NULL, NULL);
    diary[0] = '\0';
    open_fails = false;
    refused = &BOTH;
    refusing = 2;
    refusals = 1;
    CU_ASSERT_EQUAL(parts_apply(p, NULL, &BOTH, &err), -ENOMEM);
    CU_ASSERT_STRING_EQUAL(diary, "open1 apply1(3) open2 apply2(3) free2 free1 ");
    parts_free(p);
}

static const struct test TESTS[] = {
    {"what is not configured does not exist", what_is_not_configured_does_not_exist},
    {"a part that refuses takes the others back", a_part_that_refuses_takes_the_others_back},
    {"a part opened for what was refused goes", a_part_opened_for_what_was_refused_goes},
    {"a part that can be given neither ends", a_part_that_can_be_given_neither_ends},
    {"a start that fails leaves nothing", a_start_that_fails_leaves_nothing},
};

int main(void)
{
    return test_main("parts", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
