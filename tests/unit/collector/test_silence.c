// SPDX-License-Identifier: Apache-2.0
#include "collector/silence.h"
#include "tests/lib/run.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

static struct silences *all;
static struct err err;
static uint8_t random_bytes[16];

static int set(const char *id, const char *matchers, int64_t from, int64_t to, int64_t now,
    char ret_id[SILENCE_ID_MAX])
{
    const struct silence *s = NULL, *ended;
    struct silence_draft d = {.id = id,
        .matchers = matchers,
        .created_by = "ann",
        .comment = "disk swap",
        .starts_ms = from,
        .ends_ms = to,
        .random = random_bytes};
    random_bytes[0]++;
    err = (struct err){0};
    int rc = silences_set(all, &d, now, &s, &ended, &err);
    if (rc == 0 && ret_id)
        strcpy(ret_id, s->id);
    return rc;
}

static bool mutes(const char *value, int64_t now)
{
    const struct label l[] = {{"alertname", "Hot"}, {"zone", value}};
    const struct labels labels = {l, 2};
    return silences_muting(all, &labels, now, NULL, 0) > 0;
}

static enum silence_state state(const char *id, int64_t now)
{
    return silence_state_at(silences_get(all, id), now);
}

static void it_mutes_between_start_and_end(void)
{
    char id[SILENCE_ID_MAX];
    all = silences_new();
    CU_ASSERT_EQUAL(set("", "{zone=~\"eu.*\"}", 2000, 5000, 1000, id), 0);
    CU_ASSERT_EQUAL(strlen(id), 36);
    CU_ASSERT_EQUAL(id[14], '4');
    CU_ASSERT_FALSE(mutes("eu-1", 1999));
    CU_ASSERT_TRUE(mutes("eu-1", 2000));
    CU_ASSERT_TRUE(mutes("eu-1", 4999));
    CU_ASSERT_FALSE(mutes("eu-1", 5000));
    CU_ASSERT_FALSE(mutes("us-1", 3000));
    CU_ASSERT_EQUAL(silences_next(all, 0), 2000);
    CU_ASSERT_EQUAL(silences_next(all, 2000), 5000);
    CU_ASSERT_EQUAL(silences_next(all, 5000), INT64_MAX);
    silences_free(all);
}

static void what_would_silence_everything_is_refused(void)
{
    all = silences_new();
    CU_ASSERT_EQUAL(set("", "{zone=~\".*\"}", 0, 5000, 1000, NULL), -EINVAL);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.msg, "everything"));
    CU_ASSERT_EQUAL(set("", "{}", 0, 5000, 1000, NULL), -EINVAL);
    CU_ASSERT_EQUAL(set("", "{zone=\"\"}", 0, 5000, 1000, NULL), -EINVAL);
    CU_ASSERT_EQUAL(set("", "{zone=a}", 6000, 5000, 1000, NULL), -EINVAL);
    CU_ASSERT_EQUAL(set("", "{zone=a}", 0, 900, 1000, NULL), -EINVAL);
    CU_ASSERT_EQUAL(set("", "{zone=~\"(\"}", 0, 5000, 1000, NULL), -EINVAL);
    CU_ASSERT_EQUAL(set("nobody", "{zone=a}", 0, 5000, 1000, NULL), -ENOENT);
    silences_free(all);
}

static void another_end_keeps_the_id_other_matchers_do_not(void)
{
    char a[SILENCE_ID_MAX], b[SILENCE_ID_MAX], c[SILENCE_ID_MAX];
    all = silences_new();
    CU_ASSERT_EQUAL(set("", "{zone=a}", 0, 5000, 1000, a), 0);
    CU_ASSERT_EQUAL(set(a, "{zone=a}", 0, 9000, 2000, b), 0);
    CU_ASSERT_STRING_EQUAL(a, b);
    CU_ASSERT_EQUAL(silences_get(all, a)->starts_ms, 1000);
    CU_ASSERT_TRUE(mutes("a", 8000));
    CU_ASSERT_EQUAL(set(a, "{zone=b}", 0, 9000, 3000, c), 0);
    CU_ASSERT_STRING_NOT_EQUAL(a, c);
    CU_ASSERT_EQUAL(state(a, 3000), SILENCE_EXPIRED);
    CU_ASSERT_FALSE(mutes("a", 3000));
    CU_ASSERT_TRUE(mutes("b", 3000));
    silences_free(all);
}

static void it_can_be_ended_once(void)
{
    char id[SILENCE_ID_MAX];
    const struct silence *s;
    all = silences_new();
    CU_ASSERT_EQUAL(set("", "{zone=a}", 4000, 9000, 1000, id), 0);
    CU_ASSERT_EQUAL(silences_expire(all, id, 2000, &s), 0);
    CU_ASSERT_EQUAL(state(id, 2000), SILENCE_EXPIRED);
    CU_ASSERT_EQUAL(silences_expire(all, id, 2001, &s), -EALREADY);
    CU_ASSERT_EQUAL(silences_expire(all, "other", 2001, &s), -ENOENT);
    CU_ASSERT_FALSE(mutes("a", 5000));
    silences_free(all);
}

static void end_one(void *ctx, const struct silence *s)
{
    strcpy(ctx, s->id);
}

static void it_ends_when_nothing_matched_for_long_enough(void)
{
    static const struct label L[] = {{"zone", "a"}};
    static const struct labels MATCHES = {L, 1}, OTHER = {NULL, 0};
    char id[SILENCE_ID_MAX], ended[SILENCE_ID_MAX] = "";
    struct silence_draft d = {.id = "",
        .matchers = "{zone=a}",
        .created_by = "ann",
        .comment = "x",
        .ends_ms = 90000,
        .random = random_bytes,
        .quiet_ms = 1000};
    const struct silence *s, *replaced;
    all = silences_new();
    CU_ASSERT_EQUAL(silences_set(all, &d, 1000, &s, &replaced, &err), 0);
    strcpy(id, s->id);
    CU_ASSERT_EQUAL(silences_next(all, 1000), 2000);
    silences_saw(all, &MATCHES, 1900);
    CU_ASSERT_FALSE(silences_quiet_due(all, 2899));
    CU_ASSERT_TRUE(silences_quiet_due(all, 2900));
    silences_saw(all, &MATCHES, 2900); // it fires still
    silences_end_quiet(all, 2900, end_one, ended);
    CU_ASSERT_STRING_EQUAL(ended, "");
    d.id = id; // another end, as amtool asks for: what it does not know stays
    d.ends_ms = 80000;
    d.quiet_ms = SILENCE_QUIET_AS_IS;
    CU_ASSERT_EQUAL(silences_set(all, &d, 3000, &s, &replaced, &err), 0);
    CU_ASSERT_EQUAL(s->quiet_ms, 1000);
    silences_saw(all, &OTHER, 3500);
    silences_saw(all, &MATCHES, 3400);
    CU_ASSERT_TRUE(silences_quiet_due(all, 4400));
    silences_end_quiet(all, 4400, end_one, ended);
    CU_ASSERT_STRING_EQUAL(ended, id);
    CU_ASSERT_EQUAL(state(id, 4400), SILENCE_EXPIRED);
    CU_ASSERT_EQUAL(silences_next(all, 4400), INT64_MAX);
    silences_free(all);
}

static void after_a_restart_its_time_to_be_quiet_begins_anew(void)
{
    char ended[SILENCE_ID_MAX] = "";
    struct silence from = {.id = "x",
        .created_by = "ann",
        .comment = "c",
        .starts_ms = 1000,
        .ends_ms = 90000,
        .quiet_ms = 1000};
    all = silences_new();
    CU_ASSERT_EQUAL(silences_restore(all, &from, "{zone=a}"), 0);
    CU_ASSERT_TRUE(silences_quiet_due(all, 50000));
    silences_end_quiet(all, 50000, end_one, ended);
    CU_ASSERT_STRING_EQUAL(ended, "");
    CU_ASSERT_EQUAL(silences_next(all, 50000), 51000);
    silences_end_quiet(all, 51000, end_one, ended);
    CU_ASSERT_STRING_EQUAL(ended, "x");
    silences_free(all);
}

static void count_one(void *ctx, const struct silence *s)
{
    (void)s;
    ++*(int *)ctx;
}

static void it_comes_back_and_is_swept_in_the_end(void)
{
    char id[SILENCE_ID_MAX];
    int gone = 0;
    struct buf b;
    buf_init(&b, 4096);
    all = silences_new();
    CU_ASSERT_EQUAL(set("", "{zone!=\"b\",alertname=~\"H.*\"}", 0, 5000, 1000, id), 0);
    struct silence copy = *silences_get(all, id);
    matchers_print(copy.matchers.m, copy.matchers.n, &b);
    struct silences *again = silences_new();
    CU_ASSERT_EQUAL(silences_restore(again, &copy, buf_cstr(&b)), 0);
    silences_free(all);
    all = again;
    CU_ASSERT_TRUE(mutes("a", 3000));
    CU_ASSERT_FALSE(mutes("b", 3000));
    silences_sweep(all, 5000 + SILENCE_KEPT_MS - 1, count_one, &gone);
    CU_ASSERT_EQUAL(gone, 0);
    silences_sweep(all, 5000 + SILENCE_KEPT_MS, count_one, &gone);
    CU_ASSERT_EQUAL(gone, 1);
    CU_ASSERT_PTR_NULL(silences_get(all, id));
    buf_done(&b);
    silences_free(all);
}

static const struct test TESTS[] = {
    {"it ends when nothing matched for long enough",
        it_ends_when_nothing_matched_for_long_enough},
    {"after a restart its time to be quiet begins anew",
        after_a_restart_its_time_to_be_quiet_begins_anew},
    {"it mutes what matches from start to end", it_mutes_between_start_and_end},
    {"what would silence everything is refused", what_would_silence_everything_is_refused},
    {"another end keeps the id, other matchers make another one",
        another_end_keeps_the_id_other_matchers_do_not},
    {"it can be ended, once", it_can_be_ended_once},
    {"it comes back from what was written, and goes when long expired",
        it_comes_back_and_is_swept_in_the_end},
};

int main(void)
{
    return test_main("silence", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
