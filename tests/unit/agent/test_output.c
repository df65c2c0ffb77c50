// SPDX-License-Identifier: Apache-2.0
#include "agent/output.h"
#include "tests/lib/oom.h"
#include "tests/lib/run.h"
#include "wire/encode.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint32_t gauge(struct output *o, const char *name, const char *device)
{
    return output_series(o, name, (struct wire_label[]){{"job", "node"}, {"device", device}}, 2,
        SERIES_GAUGE, "1");
}

static void interns_once(void)
{
    struct output *o = output_new();
    uint32_t a = gauge(o, "x", "sda");
    uint32_t b = gauge(o, "x", "sdb");
    uint32_t c = output_series(o, "x",
        (struct wire_label[]){{"device", "sda"}, {"job", "node"}}, 2, SERIES_GAUGE, "1");
    CU_ASSERT_EQUAL(a, 1);
    CU_ASSERT_EQUAL(b, 2);
    CU_ASSERT_EQUAL(c, a);
    CU_ASSERT_EQUAL(gauge(o, "x", ""), 3); // an empty label is no label
    CU_ASSERT_EQUAL(
        output_series(o, "x", (struct wire_label[]){{"job", "node"}}, 1, SERIES_GAUGE, ""), 3);
    CU_ASSERT_EQUAL(output_active(o), 3);
    output_free(o);
}

static void refuses_what_a_receiver_would(void)
{
    struct output *o = output_new();
    CU_ASSERT_EQUAL(gauge(o, "x", "\xff\xfe"), 0);
    CU_ASSERT_EQUAL(gauge(o, "9x", "a"), 0);
    struct wire_label twice[] = {{"a", "1"}, {"a", "2"}};
    CU_ASSERT_EQUAL(output_series(o, "x", twice, 2, SERIES_GAUGE, ""), 0);
    struct wire_label own[] = {{"instance", "me"}};
    CU_ASSERT_EQUAL(output_series(o, "x", own, 1, SERIES_GAUGE, ""), 0);
    CU_ASSERT_EQUAL(output_refused(o), 4);
    output_group(o, 1000, 1, 5000);
    output_set(o, 0, 1); // a refused series needs no check
    CU_ASSERT_EQUAL(output_take(o, 1, 5000, 1)->n_groups, 0);
    output_free(o);
}

static void a_stale_series_keeps_its_id(void)
{
    struct output *o = output_new();
    uint32_t a = gauge(o, "x", "a");
    output_group(o, 0, 0, 1000);
    output_stale(o, a);
    const struct batch *t = output_take(o, 1, 1000, 1);
    CU_ASSERT_EQUAL(t->groups[0].samples[0].kind, SAMPLE_STALE);
    CU_ASSERT_EQUAL(t->n_retired, 0);
    output_stale(o, a); // it is
    CU_ASSERT_EQUAL(output_take(o, 2, 2000, 1)->n_groups, 0);
    output_group(o, 0, 0, 3000);
    output_set(o, a, 7);
    t = output_take(o, 3, 3000, 1);
    CU_ASSERT_EQUAL(t->groups[0].samples[0].value, 7);
    CU_ASSERT_EQUAL(gauge(o, "x", "a"), a);
    output_stale(o, a);
    output_take(o, 4, 4000, 1);
    output_end(o, a); // without a second marker
    t = output_take(o, 5, 5000, 1);
    CU_ASSERT_EQUAL(t->n_groups, 0);
    CU_ASSERT_EQUAL(t->n_retired, 1);
    output_free(o);
}

static void last_write_wins_and_ids_rise(void)
{
    struct output *o = output_new();
    uint32_t a = gauge(o, "x", "a"), b = gauge(o, "x", "b"), c = gauge(o, "x", "c");
    output_group(o, 1000, 7, 7000);
    output_set(o, c, 3);
    output_set(o, a, 1);
    output_group(o, 250, 28, 7000);
    output_set(o, b, 20);
    output_set(o, c, 30);
    output_group(o, 1000, 7, 7000); // the same pair goes on
    output_set(o, c, 4);
    output_reset(o, b, 2);
    const struct batch *t = output_take(o, 9, 7000, 42);
    CU_ASSERT_EQUAL(t->seq, 9);
    CU_ASSERT_EQUAL(t->n_declares, 3);
    CU_ASSERT_STRING_EQUAL(t->declares[0].labels[0].name, "device");
    CU_ASSERT_EQUAL_FATAL(t->n_groups, 2);
    CU_ASSERT_EQUAL(t->groups[0].interval_ms, 250);
    CU_ASSERT_EQUAL(t->groups[1].interval_ms, 1000);
    CU_ASSERT_EQUAL_FATAL(t->groups[1].n, 3);
    for (uint32_t i = 0; i < 3; i++)
        CU_ASSERT_EQUAL(t->groups[1].samples[i].id, i + 1);
    CU_ASSERT_EQUAL(t->groups[1].samples[2].value, 4);
    CU_ASSERT_TRUE(t->groups[1].samples[1].reset);

    output_group(o, 1000, 8, 8000);
    output_set(o, b, 5);
    t = output_take(o, 10, 8000, 43);
    CU_ASSERT_EQUAL(t->n_declares, 0);
    CU_ASSERT_EQUAL(t->n_groups, 1);
    CU_ASSERT_EQUAL(t->groups[0].n, 1);
    output_free(o);
}

static void groups_sort_by_stamp(void)
{
    struct output *o = output_new();
    uint32_t a = gauge(o, "x", "a");
    for (int i = 3; i >= 0; i--) {
        output_group(o, 250, i, 1000 + 250 * i);
        output_set(o, a, i);
    }
    const struct batch *t = output_take(o, 1, 2000, 1);
    CU_ASSERT_EQUAL_FATAL(t->n_groups, 4);
    for (int i = 0; i < 4; i++)
        CU_ASSERT_EQUAL(t->groups[i].samples[0].value, i);
    output_free(o);
}

static void an_ended_series_goes_stale_then_is_retired(void)
{
    struct output *o = output_new();
    uint32_t a = gauge(o, "x", "a"), b = gauge(o, "x", "b");
    output_group(o, 1000, 1, 1000);
    output_set(o, a, 1);
    output_set(o, b, 1);
    output_take(o, 1, 1000, 1);
    output_group(o, 1000, 2, 2000);
    output_set(o, b, 7);
    output_end(o, b);
    output_end(o, b);
    output_end(o, a);
    output_set(o, b, 8); // too late
    CU_ASSERT_EQUAL(output_active(o), 0);
    uint32_t again = gauge(o, "x", "b"); // in the same frame: another series
    CU_ASSERT_EQUAL(again, 3);
    const struct batch *t = output_take(o, 2, 2000, 1);
    CU_ASSERT_EQUAL_FATAL(t->n_retired, 2);
    CU_ASSERT_EQUAL(t->retired[0], a);
    CU_ASSERT_EQUAL(t->retired[1], b);
    CU_ASSERT_EQUAL_FATAL(t->groups[0].n, 2);
    CU_ASSERT_EQUAL(t->groups[0].samples[1].kind, SAMPLE_STALE);
    CU_ASSERT_EQUAL(t->n_declares, 1);
    output_group(o, 1000, 3, 3000);
    output_set(o, b, 9); // retired now
    output_set(o, again, 9);
    t = output_take(o, 3, 3000, 1);
    CU_ASSERT_EQUAL(t->n_retired, 0);
    CU_ASSERT_EQUAL(t->groups[0].n, 1);
    CU_ASSERT_EQUAL(t->groups[0].samples[0].id, again);
    output_free(o);
}

static void an_event_asks_for_a_frame(void)
{
    struct output *o = output_new();
    uint32_t a = gauge(o, "x", "a");
    CU_ASSERT_FALSE(output_urgent(o));
    char detail[300];
    memset(detail, 'd', sizeof(detail) - 1);
    memcpy(detail + 198, "\xe2\x82\xac", 3); // a character across the limit is left out whole
    detail[299] = 0;
    output_event(o, 2, 17, "web", detail);
    output_group(o, 0, 0, 1234);
    output_set(o, a, 0);
    output_group(o, 0, 0, 1234); // the same instant: the same group
    output_set(o, a, 4);
    output_group(o, 0, 0, 1235);
    output_set(o, a, 6);
    output_group(o, 0, 0, 1234); // ... also after another instant had its group
    output_set(o, a, 5);
    CU_ASSERT_TRUE(output_urgent(o));
    const struct batch *t = output_take(o, 1, 1235, 1);
    CU_ASSERT_EQUAL_FATAL(t->n_events, 1);
    CU_ASSERT_EQUAL(t->events[0].id, 1);
    CU_ASSERT_STRING_EQUAL(t->events[0].service, "web");
    CU_ASSERT_EQUAL(strlen(t->events[0].detail), 198);
    CU_ASSERT_EQUAL_FATAL(t->n_groups, 2);
    CU_ASSERT_EQUAL_FATAL(t->groups[0].n, 1);
    CU_ASSERT_EQUAL(t->groups[0].samples[0].value, 5);
    CU_ASSERT_EQUAL(t->groups[1].samples[0].value, 6);
    CU_ASSERT_EQUAL(t->groups[1].tick, t->groups[0].tick + 1);
    CU_ASSERT_FALSE(output_urgent(o));
    output_set(o, a, 8); // without a group of its own: that of before, another tick
    t = output_take(o, 2, 1300, 1);
    CU_ASSERT_EQUAL(t->n_events, 0);
    CU_ASSERT_EQUAL_FATAL(t->n_groups, 1);
    CU_ASSERT_EQUAL(t->groups[0].tick, 3);
    output_free(o);
}

static void histograms_are_copied(void)
{
    struct output *o = output_new();
    uint32_t a = output_series(o, "h", NULL, 0, SERIES_HISTOGRAM, "s");
    int32_t index[] = {-3, 4};
    uint64_t count[] = {1, 2};
    struct wire_histogram h = {
        .scale = 4, .zero_threshold = 1e-9, .sum = 3, .n = 2, .index = index, .count = count};
    output_group(o, 1000, 1, 1000);
    output_histogram(o, a, &h);
    index[0] = 0;
    count[1] = 0;
    const struct batch *t = output_take(o, 1, 1000, 1);
    CU_ASSERT_EQUAL(t->groups[0].samples[0].hist->index[0], -3);
    CU_ASSERT_EQUAL(t->groups[0].samples[0].hist->count[1], 2);
    output_free(o);
}

// Frame after frame the chain takes what output gives: histograms there is no room for are left out.
static void more_buckets_than_a_chain_takes_are_left_out(void)
{
    enum { SERIES = 300, BUCKETS = WIRE_BUCKETS_MAX };
    struct output *o = output_new();
    struct chain_out *chain = chain_out_new();
    static int32_t index[BUCKETS];
    static uint64_t count[BUCKETS];
    uint32_t id[SERIES];
    bool key;
    struct buf frame;
    buf_init(&frame, WIRE_UNPACKED_MAX);
    for (int i = 0; i < BUCKETS; i++) {
        index[i] = i;
        count[i] = 1;
    }
    struct wire_histogram h = {
        .scale = 4, .sum = 1, .index = index, .count = count, .n = BUCKETS};
    for (int i = 0; i < SERIES; i++) {
        char name[32];
        snprintf(name, sizeof(name), "h%d", i);
        id[i] = output_series(o, name, NULL, 0, SERIES_HISTOGRAM, "s");
    }
    for (uint64_t seq = 1; seq <= 3; seq++) {
        size_t refused = output_refused(o);
        output_group(o, 1000, (int64_t)seq, (int64_t)seq * 1000);
        if (seq == 3)
            for (int i = 0; i < 100; i++)
                output_end(o, id[i]); // makes room for the others, in the frame after
        for (int i = 0; i < SERIES; i++)
            output_histogram(o, id[i], &h);
        CU_ASSERT_TRUE(seq == 3 || output_refused(o) > refused);
        const struct batch *b = output_take(o, seq, (int64_t)seq * 1000, 1);
        for (size_t i = 0; i < b->n_declares; i++)
            CU_ASSERT_EQUAL(chain_out_declare(chain, &b->declares[i]), 0);
        for (size_t i = 0; i < b->n_retired; i++)
            CU_ASSERT_EQUAL(chain_out_retire(chain, b->retired[i]), 0);
        buf_reset(&frame);
        CU_ASSERT_EQUAL(chain_out_encode(chain, b, &frame, &key), 0);
    }
    buf_done(&frame);
    chain_out_free(chain);
    output_free(o);
}

static void many_groups_ask_for_a_frame_and_never_overflow(void)
{
    struct output *o = output_new();
    uint32_t a = gauge(o, "x", "a");
    for (int i = 0; i < 100; i++) {
        output_group(o, 10, i, i * 10 + 1);
        output_set(o, a, i);
    }
    CU_ASSERT_TRUE(output_urgent(o));
    CU_ASSERT_TRUE(output_refused(o) > 0);
    CU_ASSERT_EQUAL(output_take(o, 1, 1000, 1)->n_groups, 60);
    output_free(o);
}

// The clever version against the obvious one: an array of values by id.
static void agrees_with_a_plain_array(void)
{
    struct output *o = output_new();
    static double want[600];
    static bool has[600];
    srand(7);
    for (int frame = 1; frame <= 200; frame++) {
        char name[16];
        for (int k = 0; k < 3; k++) {
            snprintf(name, sizeof(name), "d%d", rand() % 500);
            gauge(o, "x", name);
        }
        memset(has, 0, sizeof(has));
        output_group(o, 1000, frame, frame * 1000LL);
        for (int k = 0; k < 300; k++) {
            uint32_t id = 1 + (uint32_t)rand() % output_last_id(o);
            want[id] = rand();
            has[id] = true;
            output_set(o, id, want[id]);
        }
        const struct batch *t = output_take(o, (uint64_t)frame, frame * 1000LL, 1);
        size_t at = 0;
        bool same = t->n_groups == 1;
        for (uint32_t id = 1; id <= output_last_id(o); id++)
            if (has[id]) {
                same = same && at < t->groups[0].n && t->groups[0].samples[at].id == id &&
                       t->groups[0].samples[at].value == want[id];
                at++;
            }
        CU_ASSERT_TRUE(same && at == t->groups[0].n);
    }
    CU_ASSERT_EQUAL(output_refused(o), 0);
    output_free(o);
}

static void stops_at_the_series_limit(void)
{
    struct output *o = output_new();
    char name[16];
    for (int i = 0; i < OUTPUT_SERIES_MAX + 5; i++) {
        snprintf(name, sizeof(name), "d%d", i);
        uint32_t id = gauge(o, "x", name);
        if (i >= OUTPUT_SERIES_MAX)
            CU_ASSERT_EQUAL(id, 0);
    }
    CU_ASSERT_EQUAL(output_active(o), OUTPUT_SERIES_MAX);
    CU_ASSERT_EQUAL(output_refused(o), 5);
    output_free(o);
}

static void a_failed_allocation_loses_only_its_sample(void)
{
    int nth = 1;
    for (;; nth++) {
        oom_fail_at(nth);
        struct output *o = output_new();
        if (o) {
            uint32_t a = gauge(o, "x", "a"), b = gauge(o, "x", "b");
            output_group(o, 1000, 1, 1000);
            output_set(o, a, 1);
            output_set(o, b, 2);
            output_event(o, 2, 17, "web", "gone");
            output_end(o, b);
            const struct batch *t = output_take(o, 1, 1000, 1);
            CU_ASSERT_TRUE(t->n_declares <= 2);
            bool hit = oom_stop();
            CU_ASSERT_EQUAL(hit, output_refused(o) > 0);
            output_free(o);
            if (!hit)
                break;
        } else {
            CU_ASSERT_TRUE(oom_stop());
        }
    }
    CU_ASSERT_TRUE(nth > 6);
}

int main(void)
{
    static const struct test TESTS[] = {
        {"interns a series once", interns_once},
        {"refuses what a receiver would", refuses_what_a_receiver_would},
        {"a stale series keeps its id", a_stale_series_keeps_its_id},
        {"the last write wins and ids rise", last_write_wins_and_ids_rise},
        {"groups are sorted by stamp", groups_sort_by_stamp},
        {"an ended series goes stale, then is retired",
            an_ended_series_goes_stale_then_is_retired},
        {"an event asks for a frame", an_event_asks_for_a_frame},
        {"histograms are copied", histograms_are_copied},
        {"more buckets than a chain takes are left out",
            more_buckets_than_a_chain_takes_are_left_out},
        {"many groups ask for a frame and never overflow",
            many_groups_ask_for_a_frame_and_never_overflow},
        {"agrees with a plain array", agrees_with_a_plain_array},
        {"stops at the series limit", stops_at_the_series_limit},
        {"a failed allocation loses only its sample",
            a_failed_allocation_loses_only_its_sample},
    };
    return test_main("output", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
