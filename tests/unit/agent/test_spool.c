// SPDX-License-Identifier: Apache-2.0
#include "agent/spool.h"
#include "tests/lib/oom.h"
#include "tests/lib/run.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

// All of one kind, or noise that does not pack, by the seq.
static uint8_t byte_of(uint64_t seq, size_t i)
{
    uint64_t noise = (seq * 0x9e3779b97f4a7c15ull + i) * 0xd6e8feb86659fd93ull;
    return (uint8_t)(seq % 200 < 100 ? seq : noise >> 40);
}

static void add(struct spool *s, uint64_t seq, bool key, size_t len, int64_t at)
{
    static uint8_t text[1 << 16];
    for (size_t i = 0; i < len; i++)
        text[i] = byte_of(seq, i);
    CU_ASSERT_EQUAL(spool_add(s, seq, key, 10, at, text, len), 0);
}

static bool is_whole(struct spool *s, const struct spool_frame *f)
{
    const uint8_t *data = spool_bytes_of(s, f->seq);
    for (size_t i = 0; data && i < f->len; i++)
        if (data[i] != byte_of(f->seq, i))
            return false;
    return data != NULL;
}

static void keeps_bytes_of_runs_that_come_and_go(void)
{
    struct spool *s = spool_new(60000, SPOOL_AGE_NS);
    struct spool_frame f;
    srand(3);
    bool whole = true;
    for (uint64_t seq = 1; seq <= 3000; seq++) {
        add(s, seq, seq % 20 == 1, 100 + (size_t)rand() % 1500, 0);
        whole = whole && spool_bytes(s) <= 60000 && spool_newest(s) == seq;
        for (size_t i = 0; spool_at(s, i, &f); i++)
            whole = whole && is_whole(s, &f) && f.seq == spool_oldest(s) + i;
        spool_at(s, 0, &f);
        whole = whole && f.key;
    }
    CU_ASSERT_TRUE(whole);
    CU_ASSERT_EQUAL(spool_dropped_frames(s), spool_oldest(s) - 1);
    CU_ASSERT_EQUAL(spool_dropped_samples(s), 10 * (spool_oldest(s) - 1));
    spool_free(s);
}

static void a_run_that_is_over_is_packed(void)
{
    struct spool *s = spool_new(100000, SPOOL_AGE_NS);
    struct spool_frame f;
    for (uint64_t seq = 1; seq <= 60; seq++)
        add(s, seq, seq % 20 == 1, 1000, 0);
    CU_ASSERT_TRUE(spool_bytes(s) > 20000 && spool_bytes(s) < 25000);
    // What is lent out stays until the next add, from whichever run.
    const uint8_t *lent[60];
    for (size_t i = 0; i < 60; i++)
        lent[i] = spool_bytes_of(s, 60 - i);
    for (size_t i = 0; i < 60; i++)
        CU_ASSERT_TRUE(lent[i] && lent[i][0] == 60 - i && lent[i][999] == 60 - i);
    add(s, 61, true, 1000, 0);
    CU_ASSERT_TRUE(spool_bytes(s) < 10000);
    for (size_t i = 0; spool_at(s, i, &f); i++)
        CU_ASSERT_TRUE(is_whole(s, &f));
    spool_durable(s, 40);
    CU_ASSERT_EQUAL(spool_oldest(s), 41);
    CU_ASSERT_PTR_NULL(spool_bytes_of(s, 40));
    CU_ASSERT_TRUE(spool_at(s, 0, &f) && is_whole(s, &f));
    spool_free(s);
}

// More than the whole spool holds when it is unpacked; noise among them stays as it is.
static void a_large_frame_is_packed(void)
{
    enum { SIZE = 400000, NOISE = 20000 };
    struct spool *s = spool_new(100000, SPOOL_AGE_NS);
    struct spool_frame f;
    uint8_t *frame = malloc(SIZE), *room = malloc(SIZE);
    CU_ASSERT_FATAL(frame && room);
    for (size_t i = 0; i < SIZE; i++)
        frame[i] = (uint8_t)("tocsin_probe_success"[i % 20] + i / 5000);
    CU_ASSERT_EQUAL(spool_add(s, 1, true, 1, 0, frame, SIZE), 0);
    for (size_t i = 0; i < NOISE; i++)
        room[i] = (uint8_t)rand();
    CU_ASSERT_EQUAL(spool_add(s, 2, false, 1, 0, room, NOISE), 0);
    CU_ASSERT_TRUE(spool_at(s, 1, &f) && f.len == NOISE);
    const uint8_t *got = spool_bytes_of(s, 2);
    CU_ASSERT_TRUE(got && memcmp(got, room, NOISE) == 0);
    CU_ASSERT_TRUE(spool_at(s, 0, &f) && f.len == SIZE);
    got = spool_bytes_of(s, 1);
    CU_ASSERT_TRUE(got && memcmp(got, frame, SIZE) == 0);
    CU_ASSERT_PTR_NULL(spool_bytes_of(s, 3));
    CU_ASSERT_TRUE(spool_bytes(s) < SIZE / 4 + NOISE);
    CU_ASSERT_FALSE(spool_wants_key(s));
    CU_ASSERT_EQUAL(spool_add(s, 3, false, 1, 0, room, 15000), 0);
    CU_ASSERT_TRUE(spool_wants_key(s));
    CU_ASSERT_EQUAL(spool_add(s, 4, true, 1, 0, frame, 100), 0);
    CU_ASSERT_FALSE(spool_wants_key(s));
    got = spool_bytes_of(s, 1); // packed twice by now
    CU_ASSERT_TRUE(got && memcmp(got, frame, SIZE) == 0);
    got = spool_bytes_of(s, 2);
    CU_ASSERT_TRUE(got && memcmp(got, room, NOISE) == 0);
    free(frame);
    free(room);
    spool_free(s);
}

static void replay_begins_at_the_key_frame_before(void)
{
    struct spool *s = spool_new(100000, SPOOL_AGE_NS);
    struct spool_frame f;
    for (uint64_t seq = 1; seq <= 30; seq++)
        add(s, seq, seq % 10 == 1, 10, 0);
    CU_ASSERT_TRUE(spool_at(s, spool_replay(s, 15), &f) && f.seq == 11);
    CU_ASSERT_TRUE(spool_at(s, spool_replay(s, 21), &f) && f.seq == 21);
    CU_ASSERT_EQUAL(spool_replay(s, 31), spool_count(s));
    spool_durable(s, 19);
    CU_ASSERT_EQUAL(spool_oldest(s), 11); // 20 still needs its key frame
    spool_durable(s, 20);
    CU_ASSERT_EQUAL(spool_oldest(s), 21);
    CU_ASSERT_EQUAL(spool_dropped_frames(s), 0);
    spool_free(s);
}

static void what_cannot_be_placed_is_forgotten(void)
{
    struct spool *s = spool_new(100000, SPOOL_AGE_NS);
    for (uint64_t seq = 1; seq <= 30; seq++)
        add(s, seq, seq % 10 == 1, 10, 0);
    spool_delivered(s, 1, 12, true);
    spool_forget(s, 20);
    CU_ASSERT_EQUAL(spool_oldest(s), 11); // the run is not all before it
    spool_forget(s, 21);
    CU_ASSERT_EQUAL(spool_oldest(s), 21);
    CU_ASSERT_EQUAL(spool_dropped_frames(s), 8);
    spool_forget(s, 31); // the last run too
    CU_ASSERT_EQUAL(spool_count(s), 0);
    CU_ASSERT_EQUAL(spool_dropped_frames(s), 18);
    add(s, 31, true, 10, 0);
    CU_ASSERT_EQUAL(spool_oldest(s), 31);
    spool_free(s);
}

static void old_runs_leave_and_heard_frames_are_not_counted(void)
{
    struct spool *s = spool_new(100000, 1000);
    for (uint64_t seq = 1; seq <= 20; seq++)
        add(s, seq, seq % 10 == 1, 10, (int64_t)seq);
    spool_delivered(s, 1, 4, true);
    add(s, 21, true, 10, 1010);
    CU_ASSERT_EQUAL(spool_oldest(s), 11);
    CU_ASSERT_EQUAL(spool_dropped_frames(s), 6);
    spool_free(s);
}

static void after_a_lost_frame_only_a_key_frame_will_do(void)
{
    struct spool *s = spool_new(1000, SPOOL_AGE_NS);
    static uint8_t big[2000];
    CU_ASSERT_EQUAL(spool_add(s, 1, false, 1, 0, big, 10), -EINVAL);
    add(s, 2, true, 10, 0);
    CU_ASSERT_EQUAL(spool_add(s, 3, false, 1, 0, big, 2000), -EMSGSIZE);
    CU_ASSERT_EQUAL(spool_add(s, 4, false, 1, 0, big, 10), -EINVAL);
    add(s, 5, true, 10, 0);
    CU_ASSERT_EQUAL(spool_count(s), 2);
    CU_ASSERT_EQUAL(spool_dropped_frames(s), 3);
    spool_free(s);
}

static void a_failed_allocation_drops_one_frame(void)
{
    for (int nth = 1;; nth++) {
        uint8_t x[200] = {0};
        oom_fail_at(nth);
        struct spool *s = spool_new(1 << 20, SPOOL_AGE_NS);
        int lost = 0;
        // Runs of three, so that a lost key frame takes what follows it along.
        for (uint64_t seq = 1; s && seq <= 600; seq++)
            lost += spool_add(s, seq, lost || seq % 3 == 1, 1, 0, x, sizeof(x)) == -ENOMEM;
        bool hit = oom_stop();
        CU_ASSERT_EQUAL(hit, !s || lost == 1);
        struct spool_frame f;
        for (size_t i = 0; s && spool_at(s, i, &f); i++)
            CU_ASSERT_PTR_NOT_NULL(spool_bytes_of(s, f.seq));
        spool_free(s);
        if (!hit)
            break;
    }
}

int main(void)
{
    static const struct test TESTS[] = {
        {"keeps bytes of runs that come and go", keeps_bytes_of_runs_that_come_and_go},
        {"a run that is over is packed, and read in any order", a_run_that_is_over_is_packed},
        {"a large frame is packed", a_large_frame_is_packed},
        {"replay begins at the key frame before", replay_begins_at_the_key_frame_before},
        {"what cannot be placed any more is forgotten, unheard frames are counted",
            what_cannot_be_placed_is_forgotten},
        {"old runs leave, and heard frames are not counted",
            old_runs_leave_and_heard_frames_are_not_counted},
        {"after a lost frame only a key frame will do",
            after_a_lost_frame_only_a_key_frame_will_do},
        {"a failed allocation drops one frame", a_failed_allocation_drops_one_frame},
    };
    return test_main("spool", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
