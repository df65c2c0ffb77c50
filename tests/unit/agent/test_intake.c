// SPDX-License-Identifier: Apache-2.0
#include "agent/intake.h"
#include "tests/lib/oom.h"
#include "tests/lib/run.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define IDS_MAX 4096

static struct world {
    struct output *out;
    struct intake *in;
    char *names[IDS_MAX]; // as declared: name{a="b"}
    int64_t wall_ms;
    uint64_t seq;
    char text[8192];
} w;

static const struct wire_label JOB[] = {{"job", "web"}, {"instance", "h:1"}};

static void open_world(const struct intake_options *o)
{
    w = (struct world){.out = output_new(), .wall_ms = 1000000};
    w.in = intake_new(w.out, o);
    CU_ASSERT_PTR_NOT_NULL_FATAL(w.in);
}

static void close_world(void)
{
    intake_free(w.in, 0);
    output_free(w.out);
    for (size_t i = 0; i < IDS_MAX; i++)
        free(w.names[i]);
}

static void declared(const struct batch_declare *d)
{
    char text[512];
    int at = snprintf(text, sizeof(text), "%s{", d->name);
    for (size_t i = 0; i < d->n_labels; i++)
        at += snprintf(text + at, sizeof(text) - (size_t)at, "%s%s=%s", i ? "," : "",
            d->labels[i].name, d->labels[i].value);
    snprintf(text + at, sizeof(text) - (size_t)at, "}");
    CU_ASSERT_FATAL(d->id < IDS_MAX);
    w.names[d->id] = strdup(text);
}

// What left since the last call, but for the self-metrics: "x{job=web} 1; ", stamps that are not the
// round's behind an @.
static const char *left(void)
{
    const struct batch *b = output_take(w.out, ++w.seq, w.wall_ms, 1);
    size_t at = 0;
    w.text[0] = '\0';
    for (size_t i = 0; i < b->n_declares; i++)
        declared(&b->declares[i]);
    for (size_t g = 0; g < b->n_groups; g++)
        for (size_t i = 0; i < b->groups[g].n; i++) {
            const struct batch_sample *s = &b->groups[g].samples[i];
            if (strncmp(w.names[s->id], "tocsin_", 7) == 0)
                continue;
            at += (size_t)snprintf(w.text + at, sizeof(w.text) - at, "%s ", w.names[s->id]);
            if (s->kind == SAMPLE_STALE)
                at += (size_t)snprintf(w.text + at, sizeof(w.text) - at, "stale");
            else if (s->kind == SAMPLE_HISTOGRAM)
                at += (size_t)snprintf(
                    w.text + at, sizeof(w.text) - at, "%u buckets", s->hist->n);
            else
                at += (size_t)snprintf(w.text + at, sizeof(w.text) - at, "%g%s", s->value,
                    s->reset ? " anew" : "");
            if (b->groups[g].stamp_ms != w.wall_ms)
                at += (size_t)snprintf(w.text + at, sizeof(w.text) - at, " @%lld",
                    (long long)(b->groups[g].stamp_ms - w.wall_ms));
            at += (size_t)snprintf(w.text + at, sizeof(w.text) - at, "; ");
        }
    for (size_t i = 0; i < b->n_retired; i++)
        if (strncmp(w.names[b->retired[i]], "tocsin_", 7) != 0)
            at += (size_t)snprintf(
                w.text + at, sizeof(w.text) - at, "%s ended; ", w.names[b->retired[i]]);
    return w.text;
}

static void begin(void)
{
    w.wall_ms += 1000;
    intake_begin(w.in, w.wall_ms);
}

static bool put(const char *name, const char *label, enum series_kind kind, double v)
{
    struct err err = {0};
    struct wire_label l[] = {{"a", label}};
    return intake_value(w.in, name, l, label ? 1 : 0, kind, "1", v, &err);
}

static const char *ended(bool whole)
{
    intake_end(w.in, whole, NULL);
    return left();
}

static void what_a_round_did_not_hold_is_stale(void)
{
    open_world(&(struct intake_options){.source = "web", .labels = JOB, .n_labels = 2});
    begin();
    CU_ASSERT_TRUE(put("x", "1", SERIES_GAUGE, 1));
    CU_ASSERT_TRUE(put("x", "2", SERIES_GAUGE, 2));
    CU_ASSERT_FALSE(put("x", "2", SERIES_GAUGE, 3)); // the first one stands
    CU_ASSERT_STRING_EQUAL(
        ended(true), "x{a=1,job=web,target=h:1} 1; x{a=2,job=web,target=h:1} 2; ");
    CU_ASSERT_EQUAL(intake_series(w.in), 2);
    begin();
    put("x", "2", SERIES_GAUGE, 2);
    CU_ASSERT_STRING_EQUAL(
        ended(true), "x{a=1,job=web,target=h:1} stale; x{a=2,job=web,target=h:1} 2; ");
    CU_ASSERT_EQUAL(intake_series(w.in), 1);
    uint32_t ids = output_last_id(w.out);
    begin();
    put("x", "1", SERIES_GAUGE, 7);
    CU_ASSERT_STRING_EQUAL(
        ended(true), "x{a=1,job=web,target=h:1} 7; x{a=2,job=web,target=h:1} stale; ");
    CU_ASSERT_EQUAL(output_last_id(w.out), ids); // it came back under its id
    w.wall_ms += 6 * 60 * 1000;
    begin();
    put("x", "1", SERIES_GAUGE, 7);
    CU_ASSERT_STRING_EQUAL(
        ended(true), "x{a=1,job=web,target=h:1} 7; x{a=2,job=web,target=h:1} ended; ");
    close_world();
}

static void a_failure_makes_all_stale_and_uses_up_no_ids(void)
{
    open_world(&(struct intake_options){.source = "web"});
    begin();
    put("x", "1", SERIES_GAUGE, 1);
    intake_own(w.in, "up", SERIES_GAUGE, "1", 1);
    CU_ASSERT_STRING_EQUAL(ended(true), "x{a=1} 1; up{} 1; ");
    uint32_t ids = 0;
    for (int i = 0; i < 3; i++) {
        begin();
        put("x", "1", SERIES_GAUGE, 1);
        put("y", "1", SERIES_GAUGE, 1);
        intake_own(w.in, "up", SERIES_GAUGE, "1", 0);
        CU_ASSERT_STRING_EQUAL(ended(false), i ? "up{} 0; " : "x{a=1} stale; up{} 0; ");
        CU_ASSERT_FALSE(i && output_last_id(w.out) != ids);
        ids = output_last_id(w.out);
    }
    begin();
    put("y", "1", SERIES_GAUGE, 5);
    CU_ASSERT_STRING_EQUAL(ended(true), "y{a=1} 5; ");
    close_world();
}

static void what_ages_ends_later(void)
{
    open_world(&(struct intake_options){.source = "statsd", .age_ms = 2500});
    begin();
    put("x", "1", SERIES_COUNTER, 1);
    CU_ASSERT_STRING_EQUAL(ended(true), "x{a=1} 1; ");
    begin();
    CU_ASSERT_STRING_EQUAL(ended(true), "");
    begin();
    put("x", "1", SERIES_COUNTER, 0.5);
    CU_ASSERT_STRING_EQUAL(ended(true), "x{a=1} 0.5 anew; ");
    begin();
    ended(true);
    begin();
    ended(true);
    begin();
    CU_ASSERT_STRING_EQUAL(ended(true), "x{a=1} stale; ");
    close_world();
}

static void beyond_the_limit_counters_are_added_up(void)
{
    open_world(&(struct intake_options){
        .source = "web", .labels = JOB, .n_labels = 2, .series_limit = 1});
    begin();
    put("c_total", "1", SERIES_COUNTER, 10);
    put("c_total", "2", SERIES_COUNTER, 20);
    put("c_total", "3", SERIES_COUNTER, 30);
    CU_ASSERT_FALSE(put("t_celsius", "3", SERIES_GAUGE, 30));
    put("g", "1", SERIES_GAUGE, 4);
    put("g", "2", SERIES_GAUGE, 5);
    CU_ASSERT_STRING_EQUAL(ended(true), "c_total{a=1,job=web,target=h:1} 10; "
                                        "c_total{job=web,other=true,target=h:1} 50; "
                                        "g{job=web,other=true,target=h:1} 9; ");
    CU_ASSERT_EQUAL(intake_refused(w.in), 1);
    begin();
    put("c_total", "1", SERIES_COUNTER, 11);
    put("c_total", "2", SERIES_COUNTER, 5);     // began anew
    put("c_total", "4", SERIES_COUNTER, 10000); // what it counted before is not ours
    put("g", "2", SERIES_GAUGE, 6);
    CU_ASSERT_STRING_EQUAL(ended(true), "c_total{a=1,job=web,target=h:1} 11; "
                                        "c_total{job=web,other=true,target=h:1} 55; "
                                        "g{job=web,other=true,target=h:1} 6; ");
    close_world();
}

static void with_room_again_they_are_series_of_their_own(void)
{
    open_world(&(struct intake_options){.source = "web", .series_limit = 20});
    char label[12];
    begin();
    for (int i = 0; i < 30; i++) {
        snprintf(label, sizeof(label), "%d", i);
        put("c_total", label, SERIES_COUNTER, i);
    }
    ended(true);
    CU_ASSERT_EQUAL(intake_series(w.in), 20);
    // Those that are stale give their places at once: 20 to 29 are others no more ...
    for (int round = 0; round < 3; round++) {
        begin();
        for (int i = 20; i < 30; i++) {
            snprintf(label, sizeof(label), "%d", i + 100 * round);
            put("c_total", label, SERIES_COUNTER, i);
        }
        ended(true);
    }
    CU_ASSERT_EQUAL(intake_series(w.in), 10);
    close_world();
}

static struct relabel rules(struct relabel_rule *r, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct err err = {0};
        const char *key = NULL;
        CU_ASSERT_EQUAL_FATAL(relabel_rule_ready(&r[i], &key, &err), 0);
    }
    return (struct relabel){r, n};
}

static void labels_come_about_as_in_prometheus(void)
{
    struct relabel_rule r[] = {{.action = RELABEL_DROP,
                                   .source = (const char *const[]){"__name__"},
                                   .n_source = 1,
                                   .pattern = "go_.*"},
        {.action = RELABEL_REPLACE,
            .source = (const char *const[]){"instance"},
            .n_source = 1,
            .target = "seen",
            .pattern = "(.*):.*"}};
    struct relabel relabel = rules(r, 2);
    struct intake_options o = {
        .source = "web", .labels = JOB, .n_labels = 2, .relabel = &relabel};
    struct wire_label l[] = {{"job", "a"}, {"instance", "b"}, {"target", "c"}, {"empty", ""}};
    struct err err = {0};
    open_world(&o);
    begin();
    intake_value(w.in, "x", l, 4, SERIES_GAUGE, "", 1, &err);
    intake_value(w.in, "go_x", l, 4, SERIES_GAUGE, "", 1, &err);
    struct intake_round round;
    intake_end(w.in, true, &round);
    CU_ASSERT_EQUAL(round.samples, 2);
    CU_ASSERT_EQUAL(round.kept, 1);
    CU_ASSERT_EQUAL(round.added, 1);
    CU_ASSERT_STRING_EQUAL(left(),
        "x{exported_instance=b,exported_job=a,exported_target=c,job=web,seen=h,target=h:1} 1; ");
    close_world();

    o.honor_labels = true;
    o.relabel = NULL;
    open_world(&o);
    begin();
    intake_value(w.in, "x", l, 4, SERIES_GAUGE, "", 1, &err);
    struct wire_label none[] = {{"job", ""}};
    intake_value(w.in, "x", none, 1, SERIES_GAUGE, "", 2, &err);
    CU_ASSERT_STRING_EQUAL(ended(true),
        "x{exported_instance=b,exported_target=c,job=a,target=h:1} 1; x{target=h:1} 2; ");
    close_world();
    for (size_t i = 0; i < 2; i++)
        relabel_rule_done(&r[i]);
}

static void two_series_that_become_one_are_the_first(void)
{
    struct relabel_rule r[] = {{.action = RELABEL_LABELDROP, .pattern = "a"}};
    struct relabel relabel = rules(r, 1);
    open_world(&(struct intake_options){.source = "web", .relabel = &relabel});
    for (int i = 0; i < 2; i++) {
        begin();
        put("x", "1", SERIES_GAUGE, 1);
        put("x", "2", SERIES_GAUGE, 2);
        CU_ASSERT_STRING_EQUAL(ended(true), "x{} 1; ");
    }
    for (int i = 0; i < 2; i++) {
        begin();
        put("x", "2", SERIES_GAUGE, 2);
        CU_ASSERT_STRING_EQUAL(ended(true), i ? "" : "x{} stale; ");
    }
    close_world();
    relabel_rule_done(&r[0]);
}

static void times_of_their_own_are_kept(void)
{
    struct err err = {0};
    open_world(&(struct intake_options){.source = "web"});
    begin();
    uint32_t x = intake_add(w.in, "x", 1, "x", NULL, 0, SERIES_GAUGE, "", &err);
    uint32_t y = intake_add(w.in, "y", 1, "y", NULL, 0, SERIES_GAUGE, "", &err);
    CU_ASSERT_TRUE(intake_set(w.in, x, 1, w.wall_ms - 400));
    CU_ASSERT_TRUE(intake_set(w.in, y, 2, 0));
    CU_ASSERT_STRING_EQUAL(ended(true), "x{} 1 @-400; y{} 2; ");
    begin();
    CU_ASSERT_TRUE(intake_set(w.in, x, 1, w.wall_ms - 1400)); // it did not move
    CU_ASSERT_FALSE(intake_set(w.in, y, 2, w.wall_ms - 3600 * 1000));
    CU_ASSERT_STRING_EQUAL(ended(true), "y{} stale; ");
    CU_ASSERT_EQUAL(intake_refused(w.in), 1);
    CU_ASSERT_EQUAL(intake_find(w.in, "x", 1), x);
    CU_ASSERT_EQUAL(intake_find(w.in, "z", 1), 0);
    close_world();
}

static void histograms_are_kept_until_the_end_of_a_round(void)
{
    struct err err = {0};
    int32_t index[] = {1, 2, 5};
    uint64_t count[] = {1, 1, 1};
    struct wire_histogram h = {.scale = 3, .sum = 4, .n = 3, .index = index, .count = count};
    open_world(&(struct intake_options){.source = "otlp"});
    begin();
    CU_ASSERT_TRUE(intake_histogram(w.in, "h", NULL, 0, "s", &h, &err));
    index[0] = 0;
    CU_ASSERT_STRING_EQUAL(ended(true), "h{} 3 buckets; ");
    begin();
    h.n = 1;
    CU_ASSERT_TRUE(intake_histogram(w.in, "h", NULL, 0, "s", &h, &err));
    CU_ASSERT_STRING_EQUAL(ended(true), "h{} 1 buckets; ");
    close_world();
}

static void a_faulty_series_says_why(void)
{
    struct err err = {0};
    struct wire_label l[] = {{"a", "12345"}};
    char large[WIRE_VALUE_MAX + 2];
    memset(large, 'x', sizeof(large) - 1);
    large[sizeof(large) - 1] = '\0';
    open_world(&(struct intake_options){.source = "web", .label_value_length_limit = 4});
    begin();
    CU_ASSERT_FALSE(intake_value(w.in, "x", l, 1, SERIES_GAUGE, "", 1, &err));
    CU_ASSERT_PTR_NOT_NULL(strstr(err.msg, "label_value_length_limit"));
    close_world();
    open_world(&(struct intake_options){.source = "web"});
    begin();
    CU_ASSERT_FALSE(intake_value(w.in, "9", l, 1, SERIES_GAUGE, "", 1, &err));
    CU_ASSERT_PTR_NOT_NULL(strstr(err.msg, "metric name"));
    // Too much for the wire is refused, and no fault of the page.
    err.msg[0] = '\0';
    l[0].value = large;
    CU_ASSERT_FALSE(intake_value(w.in, "x", l, 1, SERIES_GAUGE, "", 1, &err));
    CU_ASSERT_STRING_EQUAL(err.msg, "");
    CU_ASSERT_EQUAL(intake_refused(w.in), 1);
    close_world();
}

static void steady_rounds_allocate_nothing(void)
{
    char label[12];
    open_world(&(struct intake_options){.source = "web", .labels = JOB, .n_labels = 2});
    for (int round = 0; round < 4; round++) {
        begin();
        if (round == 3)
            oom_fail_at(1);
        for (int i = 0; i < 100; i++) {
            snprintf(label, sizeof(label), "%d", i);
            CU_ASSERT_TRUE(put("x", label, SERIES_COUNTER, i));
        }
        intake_end(w.in, true, NULL);
        if (round == 3)
            CU_ASSERT_FALSE(oom_stop());
        left();
    }
    close_world();
}

static void out_of_memory_is_an_error_like_any_other(void)
{
    for (int nth = 1;; nth++) {
        struct output *out = output_new();
        oom_fail_at(nth);
        struct intake *in = intake_new(
            out, &(struct intake_options){
                     .source = "web", .labels = JOB, .n_labels = 2, .series_limit = 2});
        struct err err = {0};
        int32_t index[] = {1};
        uint64_t count[] = {1};
        struct wire_histogram h = {.scale = 3, .n = 1, .index = index, .count = count};
        struct wire_label l[] = {{"job", "b"}};
        bool good = in != NULL;
        for (int i = 0; in && i < 3; i++) {
            intake_begin(in, 1000 * (i + 1));
            good &= intake_value(in, "x", l, 1, SERIES_GAUGE, "", 1, &err);
            good &= intake_histogram(in, "h", NULL, 0, "", &h, &err);
            good &= intake_value(in, "y", l, 1, SERIES_GAUGE, "", 1, &err);
            intake_own(in, "up", SERIES_GAUGE, "", 1);
            intake_end(in, i != 1, NULL);
        }
        bool hit = oom_stop();
        intake_free(in, 9000);
        output_free(out);
        if (!hit) {
            CU_ASSERT_TRUE(good);
            CU_ASSERT_TRUE(nth > 10);
            break;
        }
    }
}

static const struct test TESTS[] = {
    {"what a round did not hold is stale, and keeps its id",
        what_a_round_did_not_hold_is_stale},
    {"a failure makes all stale and uses up no ids",
        a_failure_makes_all_stale_and_uses_up_no_ids},
    {"what ages ends later", what_ages_ends_later},
    {"beyond the limit counters are added up", beyond_the_limit_counters_are_added_up},
    {"with room again they are series of their own",
        with_room_again_they_are_series_of_their_own},
    {"labels come about as in Prometheus", labels_come_about_as_in_prometheus},
    {"two series that become one are the first", two_series_that_become_one_are_the_first},
    {"times of their own are kept", times_of_their_own_are_kept},
    {"histograms are kept until the end of a round",
        histograms_are_kept_until_the_end_of_a_round},
    {"a faulty series says why", a_faulty_series_says_why},
    {"steady rounds allocate nothing", steady_rounds_allocate_nothing},
    {"out of memory is an error like any other", out_of_memory_is_an_error_like_any_other},
};

int main(void)
{
    return test_main("intake", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
