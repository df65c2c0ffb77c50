// SPDX-License-Identifier: Apache-2.0
/*
 * The whole path on a virtual clock: output -> chain_out -> push_encode -> push_open -> session ->
 * pipeline -> notice. Delays are asserted to the millisecond; nothing sleeps.
 */
#include "agent/output.h"
#include "collector/pipeline.h"
#include "collector/session.h"
#include "rules/builtin.h"
#include "tests/lib/run.h"
#include "wire/encode.h"
#include "wire/tocsin.pb-c.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define T0         1700000000000LL // a whole second
#define FRAMES_MAX 2000
#define GOODBYE    TOCSIN__V1__EVENT_KIND__EVENT_GOODBYE

static const char RULES[] =
    "groups:\n"
    "  - name: g\n"
    "    interval: 1s\n"
    "    rules:\n"
    "      - {alert: Crashed, expr: 'service_state{state=\"crashed\"} == 1'}\n"
    "      - {alert: Hang, expr: 'in_flight_seconds > 0.1'}\n"
    "      - {alert: Busy, expr: 'load > 5'}\n"
    "      - {alert: BusyLong, expr: 'load > 5', for: 2s}\n";
static const char OVERRIDES[] = "overrides:\n"
                                "  - {rule: g/Crashed, set: {evaluate: arrival}}\n"
                                "  - {rule: g/Hang, set: {evaluate: arrival}}\n";

struct seen {
    char name[32];
    enum alert_state to;
    int64_t at_ms;
};

struct world {
    int64_t now_ms;
    struct pipeline *p;
    struct sessions *sessions;
    struct seen seen[256];
    size_t n_seen;
};

struct agent {
    struct world *w;
    struct wire_session session;
    struct output *out;
    struct chain_out *chain;
    uint8_t *frame[FRAMES_MAX];
    size_t len[FRAMES_MAX];
    uint64_t seq;
    uint32_t load, crashed, flight, mark;
    int64_t first_ms;
    bool deaf; // frames are made and kept, and do not arrive
};

static int64_t mono(const struct world *w)
{
    return w->now_ms - T0 + 5000;
}

static void on_notice(void *ctx, struct notice *n)
{
    struct world *w = ctx;
    CU_ASSERT_TRUE_FATAL(w->n_seen < 256);
    struct seen *s = &w->seen[w->n_seen++];
    snprintf(s->name, sizeof(s->name), "%s", labels_get(&n->labels, "alertname"));
    s->to = n->to;
    s->at_ms = n->decided_ms;
    notice_free(n);
}

// Lets the collector do all that is due until then, waking it only when it asked to be woken.
static void run_to(struct world *w, int64_t to_ms)
{
    for (int64_t next; (next = pipeline_next(w->p)) <= to_ms;) {
        if (next > w->now_ms)
            w->now_ms = next;
        pipeline_advance(w->p, w->now_ms, mono(w), on_notice, w);
        if (pipeline_next(w->p) <= w->now_ms)
            w->now_ms++; // as a timer of whole milliseconds would
    }
    w->now_ms = to_ms;
}

static bool batch; // every test runs with either evaluator

static void world_init(struct world *w)
{
    *w = (struct world){.now_ms = T0};
    struct pipeline_options o = {.engine = {.batch = batch},
        .store = {.retention_ms = 600000, .series_per_agent = 50, .series_max = 100000},
        .start_grace_ms = 5000};
    w->p = pipeline_new(&o, w->now_ms, mono(w));
    w->sessions = sessions_new(100);
    struct ruleset *set = ruleset_new();
    struct diags d;
    diags_init(&d);
    builtin_add(set, &d);
    ruleset_add(set, "rules", RULES, sizeof(RULES) - 1, &d);
    ruleset_override(set, "overrides", OVERRIDES, sizeof(OVERRIDES) - 1, &d);
    CU_ASSERT_EQUAL_FATAL(d.errors, 0);
    diags_done(&d);
    CU_ASSERT_EQUAL_FATAL(pipeline_load(w->p, set), 0);
}

static void world_done(struct world *w)
{
    pipeline_free(w->p);
    sessions_free(w->sessions);
}

static void agent_begin(struct agent *a, struct world *w, uint64_t epoch)
{
    *a = (struct agent){.w = w,
        .session = {.agent_id = {9},
            .epoch = epoch,
            .nonce = epoch * 7,
            .host = "h1",
            .version = "1",
            .protocol_min = 1,
            .protocol_max = 1,
            .oldest_seq = 1},
        .out = output_new(),
        .chain = chain_out_new(),
        .first_ms = w->now_ms};
    struct wire_label l[] = {{"job", "service"}, {"state", "crashed"}};
    a->load = output_series(a->out, "load", NULL, 0, SERIES_GAUGE, "");
    a->crashed = output_series(a->out, "service_state", l, 2, SERIES_STATE, "");
    a->flight = output_series(a->out, "in_flight_seconds", NULL, 0, SERIES_GAUGE, "s");
    a->mark = output_series(a->out, "agent_frame_seq", NULL, 0, SERIES_GAUGE, "");
}

static void agent_end(struct agent *a)
{
    for (uint64_t i = 1; i <= a->seq; i++)
        free(a->frame[i]);
    output_free(a->out);
    chain_out_free(a->chain);
}

// One body to the collector at this moment, as the ingest thread takes it.
static void deliver(struct agent *a, int lane, uint64_t from, uint64_t to)
{
    struct world *w = a->w;
    struct push_meta m = {.lane = lane, .sent_us = w->now_ms * 1000, .id = 1};
    struct buf body;
    struct arena arena;
    struct push p;
    struct err err;
    struct session *s;
    buf_init(&body, WIRE_BODY_MAX);
    arena_init(&arena, 16 << 20);
    a->session.newest_seq = a->seq;
    CU_ASSERT_EQUAL_FATAL(
        push_encode(&a->session, &m, (const uint8_t *const *)(a->frame + from), a->len + from,
            to - from + 1, &body),
        0);
    CU_ASSERT_EQUAL_FATAL(push_open(body.data, body.len, &arena, &p, &err), 0);
    CU_ASSERT_EQUAL_FATAL(
        session_of(w->sessions, &p, w->now_ms * 1000, mono(w), &s), SESSION_OK);
    for (size_t i = 0; i < p.n_frames; i++) {
        struct frame *f = calloc(1, sizeof(*f));
        arena_init(&f->arena, 16 << 20);
        memcpy(f->agent_id, p.session.agent_id, 16);
        f->epoch = p.session.epoch;
        f->nonce = p.session.nonce;
        f->host = p.session.host;
        f->version = p.session.version;
        f->backfill = lane == 1;
        if (session_frame(s, &p, i, &f->arena, &f->batch, &err) == SESSION_TAKEN)
            pipeline_frame(w->p, f, w->now_ms, mono(w));
        frame_free(f);
    }
    pipeline_advance(w->p, w->now_ms, mono(w), on_notice, w);
    buf_done(&body);
    arena_done(&arena);
}

static void make_frame(struct agent *a)
{
    const struct batch *b = output_take(a->out, ++a->seq, a->w->now_ms, mono(a->w) * 1000000);
    CU_ASSERT_PTR_NOT_NULL_FATAL(b);
    for (size_t i = 0; i < b->n_declares; i++)
        CU_ASSERT_EQUAL_FATAL(chain_out_declare(a->chain, &b->declares[i]), 0);
    struct buf out;
    bool key;
    buf_init(&out, 1 << 20);
    CU_ASSERT_EQUAL_FATAL(chain_out_encode(a->chain, b, &out, &key), 0);
    a->frame[a->seq] = out.data;
    a->len[a->seq] = out.len;
    if (!a->deaf)
        deliver(a, 0, a->seq, a->seq);
}

// The frame of one second.
static void tick(struct agent *a, double load)
{
    int64_t k = (a->w->now_ms - a->first_ms) / 1000;
    output_group(a->out, 1000, k, a->w->now_ms);
    output_set(a->out, a->load, load);
    output_set(a->out, a->crashed, 0);
    output_set(a->out, a->flight, 0);
    output_set(a->out, a->mark, (double)(a->seq + 1));
    make_frame(a);
}

static void ticks(struct agent *a, int n, double load)
{
    for (int i = 0; i < n; i++) {
        tick(a, load);
        run_to(a->w, a->w->now_ms + 1000);
    }
}

// A second in which the series has this value.
static void tick_of(struct agent *a, uint32_t id, double v)
{
    output_group(a->out, 1000, (a->w->now_ms - a->first_ms) / 1000, a->w->now_ms);
    output_set(a->out, id, v);
    ticks(a, 1, 0);
}

// When the alert first went there after since_ms; -1 = never.
static int64_t when(
    const struct world *w, const char *name, enum alert_state to, int64_t since_ms)
{
    for (size_t i = 0; i < w->n_seen; i++)
        if (w->seen[i].to == to && w->seen[i].at_ms >= since_ms &&
            strcmp(w->seen[i].name, name) == 0)
            return w->seen[i].at_ms;
    return -1;
}

static int64_t delay(
    const struct world *w, const char *name, enum alert_state to, int64_t since_ms)
{
    int64_t at = when(w, name, to, since_ms);
    return at < 0 ? -1 : at - since_ms;
}

// count_over_time and doubles of a series, read as a rule reads it.
static size_t count_points(struct world *w, const char *name, bool *ret_rising)
{
    const struct source *src = pipeline_source(w->p);
    struct matcher m = {.op = MATCH_EQ, .name = LABEL_NAME, .value = name};
    struct series_ids ids = {0};
    struct points out = {0};
    src->select(src->self, &m, 1, &ids);
    CU_ASSERT_EQUAL(ids.n, 1);
    if (ids.n)
        src->range(src->self, ids.id[0], 0, INT64_MAX, &out);
    *ret_rising = true;
    for (size_t i = 1; i < out.n; i++)
        *ret_rising &= out.p[i].t_ms > out.p[i - 1].t_ms && out.p[i].v == out.p[i - 1].v + 1;
    size_t n = out.n;
    free(ids.id);
    free(out.p);
    return n;
}

static void a_crash_event_pages_in_the_same_millisecond(void)
{
    struct world w;
    struct agent a;
    world_init(&w);
    agent_begin(&a, &w, 1);
    ticks(&a, 3, 0);
    run_to(&w, w.now_ms + 437);
    int64_t fault = w.now_ms;
    output_group(a.out, 0, 0, fault);
    output_set(a.out, a.crashed, 1);
    output_event(a.out, TOCSIN__V1__EVENT_KIND__EVENT_SERVICE_CRASHED, fault * 1000, "x",
        "killed by signal 9");
    CU_ASSERT_TRUE(output_urgent(a.out));
    make_frame(&a);
    CU_ASSERT_EQUAL(delay(&w, "Crashed", ALERT_FIRING, fault), 0);
    agent_end(&a);
    world_done(&w);
}

static void a_threshold_on_the_grid_waits_for_its_sample_only(void)
{
    struct world w;
    struct agent a;
    world_init(&w);
    agent_begin(&a, &w, 1);
    ticks(&a, 3, 0);
    int64_t fault = w.now_ms;
    tick(&a, 9);
    // The watermark is the only live agent's: the second is complete when its frame is there.
    CU_ASSERT_EQUAL(delay(&w, "Busy", ALERT_FIRING, fault), 0);
    run_to(&w, w.now_ms + 1000);
    tick(&a, 9);
    run_to(&w, w.now_ms + 1000);
    CU_ASSERT_EQUAL(delay(&w, "BusyLong", ALERT_FIRING, fault), -1);
    tick(&a, 9);
    CU_ASSERT_EQUAL(delay(&w, "BusyLong", ALERT_FIRING, fault), 2000);
    run_to(&w, w.now_ms + 1000);
    int64_t over = w.now_ms;
    tick(&a, 1);
    CU_ASSERT_EQUAL(delay(&w, "Busy", ALERT_INACTIVE, over), 0);
    agent_end(&a);
    world_done(&w);
}

static void a_hang_is_seen_before_its_timeout(void)
{
    struct world w;
    struct agent a;
    world_init(&w);
    agent_begin(&a, &w, 1);
    ticks(&a, 2, 0);
    int64_t fault = w.now_ms; // the probe's answer stops coming
    for (int age = 50; age <= 150; age += 50) {
        run_to(&w, fault + age);
        output_group(a.out, 50, (w.now_ms - a.first_ms) / 50, w.now_ms);
        output_set(a.out, a.flight, age / 1000.0);
        make_frame(&a);
        run_to(&w, w.now_ms + 1);
    }
    run_to(&w, fault + 400);
    // 150 ms is the first age over 100. The evaluation of the one before kept arrivals of this rule
    // off for 100 ms, the smallest gap; the gap is all that is lost.
    CU_ASSERT_EQUAL(delay(&w, "Hang", ALERT_FIRING, fault), 250);
    // An event does not wait for the gap.
    int64_t slow = w.now_ms;
    output_group(a.out, 50, (slow - a.first_ms) / 50, slow);
    output_set(a.out, a.flight, 0);
    make_frame(&a);
    run_to(&w, slow + 1000);
    slow = w.now_ms;
    output_group(a.out, 50, (slow - a.first_ms) / 50, slow);
    output_set(a.out, a.flight, 0.05);
    make_frame(&a);
    run_to(&w, slow + 20);
    output_group(a.out, 0, 0, w.now_ms);
    output_set(a.out, a.flight, 0.12);
    output_event(a.out, TOCSIN__V1__EVENT_KIND__EVENT_PROBE_SLOW, w.now_ms * 1000, "x", "slow");
    make_frame(&a);
    CU_ASSERT_EQUAL(delay(&w, "Hang", ALERT_FIRING, slow), 20);
    agent_end(&a);
    world_done(&w);
}

static void a_closed_connection_pages_after_a_second(void)
{
    struct world w;
    struct agent a;
    world_init(&w);
    agent_begin(&a, &w, 1);
    ticks(&a, 3, 0);
    run_to(&w, w.now_ms + 123);
    int64_t fault = w.now_ms;
    pipeline_closed(w.p, a.session.agent_id, w.now_ms, mono(&w));
    run_to(&w, fault + 5000);
    CU_ASSERT_EQUAL(delay(&w, "AgentDown", ALERT_FIRING, fault), 1000);
    // It comes back: resolved on the grid.
    int64_t back = w.now_ms;
    agent_end(&a);
    agent_begin(&a, &w, 2);
    ticks(&a, 3, 0);
    int64_t resolved = delay(&w, "AgentDown", ALERT_INACTIVE, back);
    CU_ASSERT_TRUE(resolved >= 0 && resolved <= 1250);
    agent_end(&a);
    world_done(&w);
}

static void a_silent_connection_pages_after_three_seconds(void)
{
    struct world w;
    struct agent a;
    world_init(&w);
    agent_begin(&a, &w, 1);
    ticks(&a, 2, 0);
    int64_t last = w.now_ms;
    tick(&a, 0);
    run_to(&w, last + 6000);
    CU_ASSERT_EQUAL(delay(&w, "AgentDown", ALERT_FIRING, last), 3000);
    agent_end(&a);
    world_done(&w);
}

static void the_collectors_own_stall_is_not_the_agents_silence(void)
{
    struct world w;
    struct agent a;
    world_init(&w);
    agent_begin(&a, &w, 1);
    ticks(&a, 2, 0);
    int64_t last = w.now_ms;
    tick(&a, 0);
    w.now_ms += 4500; // nothing ran
    pipeline_stall(w.p, 4500);
    run_to(&w, w.now_ms + 400);
    CU_ASSERT_EQUAL(delay(&w, "AgentDown", ALERT_FIRING, last), -1);
    run_to(&w, last + 9000);
    CU_ASSERT_EQUAL(delay(&w, "AgentDown", ALERT_FIRING, last), 7500);
    agent_end(&a);
    world_done(&w);
}

static void a_goodbye_pages_nobody_and_ends_its_series(void)
{
    struct world w;
    struct agent a;
    world_init(&w);
    agent_begin(&a, &w, 1);
    ticks(&a, 3, 9);
    CU_ASSERT_TRUE(when(&w, "Busy", ALERT_FIRING, T0) > 0);
    int64_t bye = w.now_ms;
    output_event(a.out, GOODBYE, bye * 1000, "", "stopped");
    make_frame(&a);
    pipeline_closed(w.p, a.session.agent_id, w.now_ms, mono(&w));
    run_to(&w, bye + 60000);
    CU_ASSERT_EQUAL(when(&w, "AgentDown", ALERT_FIRING, T0), -1);
    int64_t resolved = delay(&w, "Busy", ALERT_INACTIVE, bye);
    CU_ASSERT_TRUE(resolved >= 0 && resolved <= 1250);
    agent_end(&a);
    world_done(&w);
}

static void a_quick_restart_pages_nobody(void)
{
    struct world w;
    struct agent a;
    world_init(&w);
    agent_begin(&a, &w, 1);
    ticks(&a, 3, 0);
    pipeline_closed(w.p, a.session.agent_id, w.now_ms, mono(&w));
    run_to(&w, w.now_ms + 900);
    agent_end(&a);
    agent_begin(&a, &w, 2);
    ticks(&a, 20, 0);
    CU_ASSERT_EQUAL(when(&w, "AgentDown", ALERT_FIRING, T0), -1);
    agent_end(&a);
    world_done(&w);
}

static void silence_keeps_an_alert_that_fires(void)
{
    struct world w;
    struct agent a;
    world_init(&w);
    agent_begin(&a, &w, 1);
    ticks(&a, 3, 9);
    int64_t fired = when(&w, "Busy", ALERT_FIRING, T0);
    CU_ASSERT_TRUE(fired > 0);
    run_to(&w, w.now_ms + 400000); // beyond the look back of five minutes
    CU_ASSERT_EQUAL(when(&w, "Busy", ALERT_INACTIVE, fired), -1);
    CU_ASSERT_TRUE(when(&w, "AgentDown", ALERT_FIRING, fired) > 0);
    agent_end(&a);
    world_done(&w);
}

static void replay_fills_the_hole_once_and_pages_nobody(void)
{
    struct world w;
    struct agent a;
    world_init(&w);
    agent_begin(&a, &w, 1);
    ticks(&a, 100, 0);
    a.deaf = true;
    ticks(&a, 2, 9); // over the threshold while nobody could hear it
    a.deaf = false;
    chain_out_want_key(a.chain);
    ticks(&a, 5, 0);
    size_t before = w.n_seen;
    bool rising;
    CU_ASSERT_EQUAL(count_points(&w, "agent_frame_seq", &rising), 105);
    CU_ASSERT_FALSE(rising);
    for (int twice = 0; twice < 2; twice++) {
        deliver(&a, 1, 61, 102); // 61 is a key frame
        run_to(&w, w.now_ms + 100);
    }
    CU_ASSERT_EQUAL(count_points(&w, "agent_frame_seq", &rising), 107);
    CU_ASSERT_TRUE(rising);
    CU_ASSERT_EQUAL(w.n_seen, before);
    agent_end(&a);
    world_done(&w);
}

static void a_new_collector_is_filled_by_replay(void)
{
    struct world w;
    struct agent a;
    world_init(&w);
    agent_begin(&a, &w, 1);
    a.deaf = true;
    ticks(&a, 90, 9); // an alert's worth of load that the dead collector heard
    a.deaf = false;
    chain_out_want_key(a.chain);
    tick(&a, 0);
    deliver(&a, 1, 1, 60);
    deliver(&a, 1, 61, 90);
    run_to(&w, w.now_ms + 900);
    bool rising;
    CU_ASSERT_EQUAL(count_points(&w, "agent_frame_seq", &rising), 91);
    CU_ASSERT_TRUE(rising);
    CU_ASSERT_EQUAL(when(&w, "Busy", ALERT_FIRING, T0), -1);
    agent_end(&a);
    world_done(&w);
}

static void an_expected_agent_that_does_not_come_is_missed(void)
{
    struct world w;
    static const uint8_t ID[16] = {3};
    world_init(&w);
    pipeline_expect(w.p, ID, "h3", NULL, 0, T0 - 60000, mono(&w));
    run_to(&w, T0 + 30000);
    // 5 s to come back after our start, then as silent as any other.
    CU_ASSERT_EQUAL(delay(&w, "AgentDown", ALERT_FIRING, T0), 8000);
    world_done(&w);
}

static void an_agent_installed_anew_replaces_the_old_one(void)
{
    struct world w;
    struct agent a;
    static const uint8_t OLD[16] = {3};
    world_init(&w);
    pipeline_expect(w.p, OLD, "h1", NULL, 0, T0 - 60000, mono(&w));
    agent_begin(&a, &w, 1);
    ticks(&a, 20, 0);
    CU_ASSERT_EQUAL(when(&w, "AgentDown", ALERT_FIRING, T0), -1);
    agent_end(&a);
    world_done(&w);
}

static void too_many_series_are_counted_and_alerted(void)
{
    struct world w;
    struct agent a;
    world_init(&w);
    agent_begin(&a, &w, 1);
    for (int i = 0; i < 80; i++) {
        char v[16];
        snprintf(v, sizeof(v), "v%d", i);
        struct wire_label l = {"i", v};
        output_series(a.out, "many", &l, 1, SERIES_GAUGE, "");
    }
    ticks(&a, 4, 0);
    int64_t at = when(&w, "SeriesLimit", ALERT_FIRING, T0);
    CU_ASSERT_TRUE(at > 0 && at <= T0 + 3000);
    struct store_stats st;
    store_stats(pipeline_store(w.p), &st);
    CU_ASSERT_EQUAL(st.refused, 34); // 84 declared, 50 allowed
    agent_end(&a);
    world_done(&w);
}

// The agent's counters of what it refused or lost.
static void what_an_agent_refuses_is_alerted(void)
{
    struct world w;
    struct agent a;
    world_init(&w);
    agent_begin(&a, &w, 1);
    struct wire_label l[] = {{"job", "tocsin"}, {"source", "statsd"}};
    uint32_t refused =
        output_series(a.out, "tocsin_agent_intake_refused_total", l, 2, SERIES_COUNTER, "");
    for (int i = 0; i < 20; i++)
        tick_of(&a, refused, 7); // long ago
    CU_ASSERT_EQUAL(when(&w, "IntakeRefused", ALERT_FIRING, T0), -1);
    int64_t at = w.now_ms;
    for (int i = 0; i < 310; i++)
        tick_of(&a, refused, 8);
    int64_t fired = delay(&w, "IntakeRefused", ALERT_FIRING, at);
    CU_ASSERT_TRUE(fired >= 0 && fired <= 2000);
    int64_t over = delay(&w, "IntakeRefused", ALERT_INACTIVE, at);
    CU_ASSERT_TRUE(over > 298000 && over <= 303000);
    agent_end(&a);
    world_done(&w);
}

// While nobody hears the agent it can keep the last minutes only: what went meanwhile is told when it is
// heard again, although the counter stood still by then.
static void what_a_spool_dropped_is_alerted_when_it_is_back(void)
{
    enum { HEARD = 20, DEAF = 720, KEPT = 200 };
    struct world w;
    struct agent a;
    world_init(&w);
    agent_begin(&a, &w, 1);
    struct wire_label l[] = {{"job", "tocsin"}};
    uint32_t dropped = output_series(
        a.out, "tocsin_agent_spool_dropped_samples_total", l, 1, SERIES_COUNTER, "");
    for (int i = 0; i < HEARD + DEAF; i++) {
        a.deaf = i >= HEARD;
        int gone = i - HEARD - KEPT;
        tick_of(&a, dropped, gone > 0 ? gone : 0);
    }
    CU_ASSERT_EQUAL(when(&w, "SamplesLost", ALERT_FIRING, T0), -1);
    int64_t back = w.now_ms;
    uint64_t last = a.seq;
    a.deaf = false;
    for (int i = 0; i < 60; i++) {
        tick_of(&a, dropped, DEAF - KEPT);
        if (i == 0)
            deliver(&a, 1, last - KEPT + 1, last);
    }
    int64_t fired = delay(&w, "SamplesLost", ALERT_FIRING, back);
    CU_ASSERT_TRUE(fired >= 0 && fired <= 5000);
    agent_end(&a);
    world_done(&w);
}

static void connections_missed_are_alerted_where_nothing_else_counts_them(void)
{
    for (int tier_d = 0; tier_d < 2; tier_d++) {
        struct world w;
        struct agent a;
        world_init(&w);
        agent_begin(&a, &w, 1);
        struct wire_label l[] = {{"job", "tocsin"}, {"source", "tcp.destroy"}};
        struct wire_label d[] = {{"job", "tocsin"}, {"sampler", "tcp.connections"}};
        uint32_t ratio =
            output_series(a.out, "tocsin_agent_coverage_ratio", l, 2, SERIES_GAUGE, "");
        uint32_t told =
            output_series(a.out, "tocsin_agent_events_subscribed", l, 2, SERIES_STATE, "");
        uint32_t kernel =
            output_series(a.out, "tocsin_agent_sampler_available", d, 2, SERIES_STATE, "");
        for (int i = 0; i < 310; i++) {
            output_set(a.out, ratio, 0.8);
            output_set(a.out, told, 1);
            output_set(a.out, kernel, tier_d);
            ticks(&a, 1, 0);
        }
        int64_t at = when(&w, "ConnectionsMissed", ALERT_FIRING, T0);
        CU_ASSERT_TRUE(tier_d ? at == -1 : at >= T0 + 300000 && at < T0 + 305000);
        agent_end(&a);
        world_done(&w);
    }
}

static const struct test TESTS[] = {
    {"a crash event pages in the same millisecond",
        a_crash_event_pages_in_the_same_millisecond},
    {"a threshold on the grid waits for its sample only",
        a_threshold_on_the_grid_waits_for_its_sample_only},
    {"a hang is seen before its timeout", a_hang_is_seen_before_its_timeout},
    {"a closed connection pages after a second", a_closed_connection_pages_after_a_second},
    {"a silent connection pages after three seconds",
        a_silent_connection_pages_after_three_seconds},
    {"the collector's own stall is not the agent's silence",
        the_collectors_own_stall_is_not_the_agents_silence},
    {"a goodbye pages nobody and ends its series", a_goodbye_pages_nobody_and_ends_its_series},
    {"a quick restart pages nobody", a_quick_restart_pages_nobody},
    {"silence keeps an alert that fires", silence_keeps_an_alert_that_fires},
    {"replay fills the hole once and pages nobody",
        replay_fills_the_hole_once_and_pages_nobody},
    {"a new collector is filled by replay", a_new_collector_is_filled_by_replay},
    {"an expected agent that does not come is missed",
        an_expected_agent_that_does_not_come_is_missed},
    {"an agent installed anew replaces the old one",
        an_agent_installed_anew_replaces_the_old_one},
    {"too many series are counted and alerted", too_many_series_are_counted_and_alerted},
    {"what an agent refuses is alerted", what_an_agent_refuses_is_alerted},
    {"what a spool dropped is alerted when it is back",
        what_a_spool_dropped_is_alerted_when_it_is_back},
    {"connections missed are alerted where nothing else counts them",
        connections_missed_are_alerted_where_nothing_else_counts_them},
};

int main(void)
{
    int failed = test_main("detection", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
    batch = true;
    return failed | test_main("detection, batch", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
