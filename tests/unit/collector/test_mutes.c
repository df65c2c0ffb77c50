// SPDX-License-Identifier: Apache-2.0
// The wall clock is set by hours, back and forth, under what holds messages back.
#include "collector/mutes.h"
#include "tests/lib/run.h"
#include <stdio.h>
#include <string.h>

#define HOUR_MS 3600000LL
#define NOON_MS (500000 * HOUR_MS)

static const struct label LABELS[] = {{"alertname", "Hot"}, {"zone", "eu"}};
static const struct notice FIRES = {
    .alert_id = 7, .labels = {LABELS, 2}, .from = ALERT_INACTIVE, .to = ALERT_FIRING};
static struct mutes *m;

static void begin(void)
{
    m = mutes_new(NULL, 0);
    mutes_looked(m, NOON_MS, INT64_MAX);
}

static unsigned muted(int64_t wall_ms)
{
    static const struct time_limits always;
    return mutes_of(m, &FIRES, 0, &always, wall_ms);
}

// As the notify thread does each second: looks when something moved, and only then.
static bool looks(int64_t wall_ms)
{
    bool moved = mutes_moved(m, wall_ms);
    if (moved)
        mutes_looked(m, wall_ms, INT64_MAX);
    return moved;
}

static void silence(int64_t from_ms, int64_t to_ms)
{
    static const uint8_t random[16] = {1};
    const struct silence *s, *ended;
    struct err err = {0};
    struct silence_draft d = {.id = "",
        .matchers = "{zone=eu}",
        .created_by = "ann",
        .comment = "disk swap",
        .starts_ms = from_ms,
        .ends_ms = to_ms,
        .random = random};
    CU_ASSERT_EQUAL_FATAL(silences_set(mutes_silences(m), &d, NOON_MS, &s, &ended, &err), 0);
    mutes_changed(m);
}

static void each_step_is_looked_at(unsigned mute)
{
    CU_ASSERT_TRUE(looks(NOON_MS));
    CU_ASSERT_FALSE(looks(NOON_MS + 1000));
    CU_ASSERT_EQUAL(muted(NOON_MS + 1000), mute);
    CU_ASSERT_TRUE(looks(NOON_MS + 5 * HOUR_MS)); // forth, beyond its end
    CU_ASSERT_EQUAL(muted(NOON_MS + 5 * HOUR_MS), 0);
    CU_ASSERT_TRUE(looks(NOON_MS + 2000)); // and back: it holds again
    CU_ASSERT_EQUAL(muted(NOON_MS + 2000), mute);
    CU_ASSERT_FALSE(looks(NOON_MS + HOUR_MS - 1));
    CU_ASSERT_TRUE(looks(NOON_MS + HOUR_MS)); // the end by the clock as it is now
    CU_ASSERT_EQUAL(muted(NOON_MS + HOUR_MS), 0);
    mutes_free(m);
}

static void a_silence_goes_by_the_clock_as_it_is(void)
{
    begin();
    silence(NOON_MS, NOON_MS + HOUR_MS);
    each_step_is_looked_at(MUTE_SILENCE);
}

static void an_acknowledgement_goes_by_the_clock_as_it_is(void)
{
    begin();
    struct ack a = {.alert_id = FIRES.alert_id,
        .owner = "ann",
        .note = "",
        .at_ms = NOON_MS,
        .until_ms = NOON_MS + HOUR_MS};
    CU_ASSERT_EQUAL_FATAL(acks_put(mutes_acks(m), &a), 0);
    mutes_changed(m);
    each_step_is_looked_at(MUTE_ACK);
}

static void count(void *ctx, const struct silence *s)
{
    (void)s;
    ++*(int *)ctx;
}

// With its end 40 days ago it is to be forgotten, however far ahead the clock was before.
static void what_is_old_is_forgotten_after_the_clock_was_ahead(void)
{
    int gone = 0;
    begin();
    mutes_sweep(m, NOON_MS + 2000 * 24 * HOUR_MS, count, &gone);
    silence(NOON_MS, NOON_MS + HOUR_MS);
    mutes_sweep(m, NOON_MS + 40 * 24 * HOUR_MS, count, &gone);
    CU_ASSERT_EQUAL(gone, 1);
    mutes_free(m);
}

static const struct test TESTS[] = {
    {"a silence goes by the clock as it is, set back and forth",
        a_silence_goes_by_the_clock_as_it_is},
    {"an acknowledgement goes by the clock as it is, set back and forth",
        an_acknowledgement_goes_by_the_clock_as_it_is},
    {"what is old is forgotten, also after the clock was ahead",
        what_is_old_is_forgotten_after_the_clock_was_ahead},
};

int main(void)
{
    return test_main("mutes", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
