// SPDX-License-Identifier: Apache-2.0
/* What tests/flow/test_detection.c does not see: what can be read, noted and recorded. */
#include "collector/pipeline.h"
#include "collector/rulefiles.h"
#include "rules/builtin.h"
#include "tests/lib/oom.h"
#include "tests/lib/run.h"
#include "wire/tocsin.pb-c.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define T0 1700000000000LL

static struct pipeline *make(void)
{
    struct pipeline_options o = {.store = {.series_per_agent = 100, .series_max = 1000},
        .instance = "me",
        .agents_max = 3};
    struct pipeline *p = pipeline_new(&o, T0, 1000);
    CU_ASSERT_PTR_NOT_NULL_FATAL(p);
    return p;
}

// A live frame of one sample, by hand.
static void feed(
    struct pipeline *p, uint8_t id, uint64_t epoch, uint64_t seq, int64_t at_ms, int event)
{
    static const struct wire_label SITE[] = {{"site", "fra"}};
    struct batch_declare d = {.id = 1, .name = "x", .unit = ""};
    struct batch_sample s = {.id = 1, .kind = SAMPLE_VALUE, .value = (double)seq};
    struct batch_group g = {
        .interval_ms = 1000, .tick = (int64_t)seq, .stamp_ms = at_ms, .samples = &s, .n = 1};
    struct batch_event e = {.kind = event};
    char host[16];
    snprintf(host, sizeof(host), "h%u", id);
    struct frame f = {.agent_id = {id},
        .epoch = epoch,
        .nonce = epoch,
        .host = host,
        .version = "9",
        .host_labels = SITE,
        .n_host_labels = 1,
        .batch = {.seq = seq,
            .wall_ms = at_ms,
            .declares = &d,
            .n_declares = 1,
            .groups = &g,
            .n_groups = 1,
            .events = &e,
            .n_events = event ? 1 : 0}};
    pipeline_frame(p, &f, at_ms, at_ms - T0 + 1000);
}

struct agents {
    size_t n;
    struct agent_info last;
};

static bool take_agent(void *ctx, const struct agent_info *a)
{
    struct agents *g = ctx;
    g->n++;
    g->last = *a;
    return true;
}

static void missing_frames_are_counted(void)
{
    struct pipeline *p = make();
    feed(p, 1, 5, 10, T0 + 1000, 0);
    feed(p, 1, 5, 11, T0 + 2000, 0);
    feed(p, 1, 5, 15, T0 + 6000, 0);
    struct agents a = {0};
    pipeline_each_agent(p, take_agent, &a);
    CU_ASSERT_EQUAL_FATAL(a.n, 1);
    CU_ASSERT_TRUE(a.last.missing == 3 && a.last.last_seq == 15 && a.last.epoch == 5 &&
                   a.last.series == 1);
    CU_ASSERT_STRING_EQUAL(a.last.host, "h1");
    CU_ASSERT_STRING_EQUAL(a.last.version, "9");
    CU_ASSERT_EQUAL(a.last.last_frame_ms, T0 + 6000);
    CU_ASSERT_EQUAL(a.last.state, LIVENESS_UP);
    feed(p, 1, 5, 12, T0 + 6100, 0);
    a = (struct agents){0};
    pipeline_each_agent(p, take_agent, &a);
    CU_ASSERT_EQUAL(a.last.missing, 2);
    feed(p, 1, 6, 1, T0 + 7000, 0); // another session starts to count anew
    a = (struct agents){0};
    pipeline_each_agent(p, take_agent, &a);
    CU_ASSERT_TRUE(a.last.missing == 0 && a.last.last_seq == 1 && a.last.series == 1);
    pipeline_free(p);
}

static void agents_are_bounded(void)
{
    struct pipeline *p = make();
    for (uint8_t i = 1; i <= 6; i++)
        feed(p, i, 1, 1, T0 + 1000, 0);
    struct agents a = {0};
    pipeline_each_agent(p, take_agent, &a);
    CU_ASSERT_EQUAL(a.n, 3);
    pipeline_free(p);
}

struct notes {
    size_t n, refuse;
    bool gone;
    uint64_t epoch;
    char label[32];
};

static bool take_note(void *ctx, struct agent_note *n)
{
    struct notes *t = ctx;
    if (t->refuse)
        return false;
    t->n++;
    t->gone = n->gone;
    t->epoch = n->epoch;
    snprintf(t->label, sizeof(t->label), "%s=%s", n->labels[0].name, n->labels[0].value);
    agent_note_free(n);
    return true;
}

static void the_inventory_is_told_what_changed(void)
{
    struct pipeline *p = make();
    struct notes t = {.refuse = 1};
    feed(p, 1, 5, 1, T0 + 1000, 0);
    pipeline_notes(p, take_note, &t); // full: it is offered again
    t.refuse = 0;
    pipeline_notes(p, take_note, &t);
    pipeline_notes(p, take_note, &t);
    CU_ASSERT_TRUE(t.n == 1 && !t.gone && t.epoch == 5);
    CU_ASSERT_STRING_EQUAL(t.label, "site=fra");
    feed(p, 1, 5, 2, T0 + 2000, 0);
    pipeline_notes(p, take_note, &t);
    CU_ASSERT_EQUAL(t.n, 1);
    feed(p, 1, 5, 3, T0 + 70000, 0); // a minute older
    pipeline_notes(p, take_note, &t);
    CU_ASSERT_EQUAL(t.n, 2);
    feed(p, 1, 5, 4, T0 + 71000, TOCSIN__V1__EVENT_KIND__EVENT_GOODBYE);
    pipeline_notes(p, take_note, &t);
    CU_ASSERT_TRUE(t.n == 3 && t.gone);
    pipeline_free(p);
}

static double read_one(struct pipeline *p, const struct matcher *m, size_t n)
{
    const struct source *src = pipeline_source(p);
    struct series_ids ids = {0};
    struct point q = {.v = -1};
    src->select(src->self, m, n, &ids);
    if (ids.n == 1)
        src->latest(src->self, ids.id[0], INT64_MAX, &q);
    free(ids.id);
    return q.v;
}

static void own_series_are_of_the_collector(void)
{
    struct pipeline *p = make();
    struct label l[] = {{"zone", "z"}, {"a", "b"}};
    pipeline_record(p, "own", l, 2, T0 + 5, 7);
    struct matcher m[] = {{.name = LABEL_NAME, .value = "own"},
        {.name = "instance", .value = "me"}, {.name = "job", .value = "tocsin"},
        {.name = "a", .value = "b"}};
    CU_ASSERT_EQUAL(read_one(p, m, 4), 7);
    struct label other[] = {{"instance", "h"}};
    pipeline_record(p, "own2", other, 1, T0 + 5, 8);
    m[0].value = "own2";
    m[1].value = "h";
    CU_ASSERT_EQUAL(read_one(p, m, 3), 8);
    pipeline_free(p);
}

static void up_is_one_for_each_tick(void)
{
    struct pipeline *p = make();
    for (uint64_t i = 1; i <= 5; i++)
        feed(p, 1, 1, i, T0 + (int64_t)i * 1000, 0);
    const struct source *src = pipeline_source(p);
    struct matcher m = {.name = LABEL_NAME, .value = "up"};
    struct series_ids ids = {0};
    struct points out = {0};
    src->select(src->self, &m, 1, &ids);
    CU_ASSERT_EQUAL_FATAL(ids.n, 1);
    src->range(src->self, ids.id[0], 0, INT64_MAX, &out);
    CU_ASSERT_EQUAL(out.n, 5);
    for (size_t i = 0; i < out.n; i++)
        CU_ASSERT_TRUE(out.p[i].v == 1 && out.p[i].t_ms == T0 + 1000 * (int64_t)(i + 1));
    free(ids.id);
    free(out.p);
    pipeline_free(p);
}

static void built_in_rules_are_valid_and_marked(void)
{
    struct ruleset *set = NULL;
    struct buf report;
    buf_init(&report, 1 << 16);
    CU_ASSERT_EQUAL_FATAL(rulefiles_read(NULL, 0, &set, &report), 0);
    CU_ASSERT_STRING_EQUAL(buf_cstr(&report), "");
    CU_ASSERT_EQUAL_FATAL(set->n_groups, 1);
    CU_ASSERT_STRING_EQUAL(set->groups[0].rules[0].name, "AgentDown");
    CU_ASSERT_EQUAL(set->groups[0].rules[0].evaluate, EVALUATE_ARRIVAL);
    for (size_t i = 0; i < set->groups[0].n_rules; i++)
        CU_ASSERT_TRUE(set->groups[0].rules[i].builtin);
    ruleset_free(set);
    buf_done(&report);
}

static void put(const char *folder, const char *name, const char *text, char path[static 512])
{
    snprintf(path, 512, "%s/%s", folder, name);
    FILE *f = fopen(path, "w");
    fputs(text, f);
    fclose(f);
}

static void rule_files_are_all_or_nothing(void)
{
    char a[512], b[512], c[512];
    struct ruleset *set = NULL;
    struct buf report;
    buf_init(&report, 1 << 16);
    // The overrides document sorts before the rules it changes and is applied after them.
    put(test_tmpdir(), "0-over.yaml", "overrides: [{rule: g/A, set: {evaluate: arrival}}]\n",
        a);
    put(test_tmpdir(), "1-rules.yml",
        "groups: [{name: g, rules: [{alert: A, expr: up == 0}]}]\n", b);
    put(test_tmpdir(), "notes.txt", "not rules", c);
    put(test_tmpdir(), "1-rules.test.yaml", "rule_files: [1-rules.yml]\n", c);
    const char *paths[] = {test_tmpdir()};
    CU_ASSERT_EQUAL_FATAL(rulefiles_read(paths, 1, &set, &report), 0);
    CU_ASSERT_EQUAL(set->n_groups, 2);
    ruleset_free(set);
    put(test_tmpdir(), "2-bad.yaml",
        "groups: [{name: h, rules: [{alert: B, expr: 'up ==='}]}]\n", c);
    const char *more[] = {test_tmpdir(), "/nowhere"};
    set = NULL;
    CU_ASSERT_TRUE(rulefiles_read(paths, 1, &set, &report) < 0);
    CU_ASSERT_PTR_NULL(set);
    CU_ASSERT_PTR_NOT_NULL(strstr(buf_cstr(&report), "2-bad.yaml:1:"));
    buf_reset(&report);
    CU_ASSERT_TRUE(rulefiles_read(more, 2, &set, &report) < 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(buf_cstr(&report), "/nowhere: No such file"));
    remove(c);
    buf_done(&report);
}

static void no_failed_allocation_breaks_a_frame(void)
{
    for (int nth = 1; nth < 200; nth++) {
        struct pipeline *p = make();
        oom_fail_at(nth);
        feed(p, 1, 1, 1, T0 + 1000, 0);
        bool hit = oom_stop();
        feed(p, 1, 1, 2, T0 + 2000, 0);
        struct agents a = {0};
        pipeline_each_agent(p, take_agent, &a);
        CU_ASSERT_EQUAL(a.n, 1);
        CU_ASSERT_EQUAL(a.last.last_seq, 2);
        pipeline_free(p);
        if (!hit)
            return;
    }
    CU_FAIL("a frame needs more allocations than thought");
}

static const struct test TESTS[] = {
    {"missing frames are counted", missing_frames_are_counted},
    {"agents are bounded", agents_are_bounded},
    {"the inventory is told what changed", the_inventory_is_told_what_changed},
    {"own series are of the collector", own_series_are_of_the_collector},
    {"up is one for each tick", up_is_one_for_each_tick},
    {"built-in rules are valid and marked", built_in_rules_are_valid_and_marked},
    {"rule files are all or nothing", rule_files_are_all_or_nothing},
    {"no failed allocation breaks a frame", no_failed_allocation_breaks_a_frame},
};

int main(void)
{
    return test_main("pipeline", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
