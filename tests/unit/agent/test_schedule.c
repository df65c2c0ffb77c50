// SPDX-License-Identifier: Apache-2.0
// Time is turned by hand: the loop is only there to hold the timer, and never runs.
#include "agent/demand.h"
#include "agent/schedule.h"
#include "tests/lib/run.h"
#include <errno.h>
#include <string.h>

#define TICKS_MAX 256

struct seen {
    int64_t n[TICKS_MAX], intended_ns[TICKS_MAX], wall_ms[TICKS_MAX];
    int count, cuts;
    uint32_t id; // of a series it writes; 0: none
};

static struct world {
    struct clock_manual time;
    struct env env;
    struct schedule *schedule;
    int64_t frames_ms[TICKS_MAX], faster_ms[TICKS_MAX];
    int frames, frame_cuts, fasters;
} w;

static void on_frame(void *ctx, int64_t wall_ms, int64_t mono_ns, enum schedule_frame why)
{
    (void)ctx;
    (void)mono_ns;
    if (why == FRAME_CUT)
        w.frame_cuts++;
    else if (why == FRAME_FASTER)
        w.faster_ms[w.fasters++ % TICKS_MAX] = wall_ms;
    else
        w.frames_ms[w.frames++ % TICKS_MAX] = wall_ms;
}

static void tick(struct sampler *s, const struct tick *t)
{
    struct seen *seen = s->state;
    int i = seen->count++ % TICKS_MAX;
    seen->n[i] = t->n;
    seen->intended_ns[i] = t->intended_ns;
    seen->wall_ms[i] = t->wall_ms;
    output_set(s->env->out, seen->id, i);
}

static void clock_cut(struct sampler *s)
{
    ((struct seen *)s->state)->cuts++;
}

static const struct sampler_ops TICKING = {
    .name = "test", .interval_ms = 1000, .tick = tick, .clock_cut = clock_cut};

static int refuse(struct sampler *s)
{
    snprintf(s->reason, sizeof(s->reason), "not on this host");
    return -ENOENT;
}

static const struct sampler_ops REFUSING = {
    .name = "refusing", .interval_ms = 100, .open = refuse, .tick = tick};

// 5 s after some boot, 300 ms into a second of the wall clock.
static void open_world(void)
{
    w = (struct world){
        .time = {.mono_ns = 5 * NS_PER_S, .wall_ns = 1000 * NS_PER_S + 300 * NS_PER_MS}};
    w.env =
        (struct env){.loop = loop_new(), .out = output_new(), .clock = clock_manual(&w.time)};
    w.schedule = schedule_new(&w.env, on_frame, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(w.schedule);
}

static void close_world(void)
{
    schedule_free(w.schedule);
    output_free(w.env.out);
    loop_free(w.env.loop);
}

static void go(int64_t ms)
{
    clock_manual_advance(&w.time, ms * NS_PER_MS);
    schedule_run(w.schedule, w.time.mono_ns);
}

static void phase(void)
{
    struct seen slow = {0}, fast = {0};

    open_world();
    schedule_add(w.schedule, &TICKING, 1000, &slow);
    schedule_add(w.schedule, &TICKING, 250, &fast);
    schedule_start(w.schedule, 450);
    go(149);
    CU_ASSERT_EQUAL(slow.count + fast.count, 0);
    go(1); // 1000.450
    CU_ASSERT_EQUAL(slow.count, 1);
    CU_ASSERT_EQUAL(fast.count, 1);
    CU_ASSERT_EQUAL(slow.wall_ms[0], 1000450);
    CU_ASSERT_EQUAL(slow.n[0], 0);
    for (int i = 0; i < 12; i++)
        go(250);
    CU_ASSERT_EQUAL(slow.count, 4);
    CU_ASSERT_EQUAL(fast.count, 13);
    for (int i = 0; i < slow.count; i++) {
        CU_ASSERT_EQUAL(slow.n[i], i);
        CU_ASSERT_EQUAL(slow.wall_ms[i], 1000450 + 1000 * i);
        CU_ASSERT_EQUAL(w.frames_ms[i], 1000450 + 1000 * i);
    }
    CU_ASSERT_EQUAL(fast.wall_ms[12], 1003450);
    CU_ASSERT_EQUAL(w.frames, 4);
    close_world();
}

static void late(void)
{
    struct seen seen = {0};

    open_world();
    struct sampler *s = schedule_add(w.schedule, &TICKING, 1000, &seen);
    schedule_start(w.schedule, 300); // now
    go(0);
    go(1070); // 70 ms late: the stamp stays on the grid
    CU_ASSERT_EQUAL(seen.count, 2);
    CU_ASSERT_EQUAL(seen.wall_ms[1], 1001300);
    CU_ASSERT_EQUAL(schedule_lateness_take(w.schedule), 70 * NS_PER_MS);
    CU_ASSERT_EQUAL(schedule_lateness_take(w.schedule), 0);
    CU_ASSERT_EQUAL(s->missed, 0);
    go(3600); // at 4.67 s: 2, 3 and 4 are due
    CU_ASSERT_EQUAL(seen.count, 3);
    CU_ASSERT_EQUAL(seen.n[2], 4);
    CU_ASSERT_EQUAL(seen.wall_ms[2], 1004300);
    CU_ASSERT_EQUAL(s->missed, 2);
    CU_ASSERT_EQUAL(w.frames, 3);
    CU_ASSERT_EQUAL(w.frames_ms[2], 1004300);
    go(10); // nothing is made up for
    CU_ASSERT_EQUAL(seen.count, 3);
    go(320);
    CU_ASSERT_EQUAL(seen.count, 4);
    CU_ASSERT_EQUAL(seen.n[3], 5);
    close_world();
}

static void refused(void)
{
    open_world();
    struct sampler *s = schedule_open(w.schedule, &REFUSING);
    CU_ASSERT_PTR_NOT_NULL_FATAL(s);
    CU_ASSERT_FALSE(s->available);
    CU_ASSERT_STRING_EQUAL(s->reason, "not on this host");
    schedule_start(w.schedule, 300);
    for (int i = 0; i < 5; i++)
        go(1000); // would call tick without a state
    CU_ASSERT_EQUAL(s->ticks, 0);
    CU_ASSERT_EQUAL(w.frames, 5);
    close_world();
}

static void stepped(void)
{
    struct seen seen = {0};

    open_world();
    schedule_add(w.schedule, &TICKING, 1000, &seen);
    schedule_start(w.schedule, 300);
    go(0);
    w.time.wall_ns += 3 * NS_PER_MS; // slewed: followed without a word
    go(1000);
    CU_ASSERT_EQUAL(w.frame_cuts, 0);
    CU_ASSERT_EQUAL(seen.wall_ms[1], 1001303);
    w.time.wall_ns += 60 * NS_PER_S;
    go(1000);
    CU_ASSERT_EQUAL(w.frame_cuts, 1);
    CU_ASSERT_EQUAL(seen.cuts, 1);
    CU_ASSERT_EQUAL(seen.count, 3);
    CU_ASSERT_EQUAL(seen.wall_ms[2], 1062303);
    close_world();
}

static void dropped(void)
{
    struct seen gone = {0}, kept = {0};

    open_world();
    struct sampler *s = schedule_add(w.schedule, &TICKING, 1000, &gone);
    schedule_add(w.schedule, &TICKING, 1000, &kept);
    schedule_start(w.schedule, 300);
    go(0);
    schedule_drop(w.schedule, s);
    go(1000);
    CU_ASSERT_EQUAL(gone.count, 1);
    CU_ASSERT_EQUAL(kept.count, 2);
    CU_ASSERT_EQUAL(schedule_count(w.schedule), 1);
    close_world();
}

static void demanded(void)
{
    struct seen wanted = {0}, other = {0};
    struct demand d;
    const char *faster[] = {"queue_length"};

    open_world();
    demand_init(&d);
    w.env.demand = &d;
    wanted.id = output_series(w.env.out, "queue_length", NULL, 0, SERIES_GAUGE, "1");
    other.id = output_series(w.env.out, "load", NULL, 0, SERIES_GAUGE, "1");
    schedule_add(w.schedule, &TICKING, 1000, &wanted);
    schedule_add(w.schedule, &TICKING, 1000, &other);
    schedule_start(w.schedule, 300);
    go(0);
    struct wire_reply reply = {.has_demand = true, .faster = faster, .n_faster = 1};
    CU_ASSERT_TRUE(demand_take(&d, &reply));
    schedule_demand(w.schedule);
    go(1000); // the second in which it is looked at
    CU_ASSERT_EQUAL(w.fasters, 0);
    for (int i = 0; i < 4; i++)
        go(250);
    CU_ASSERT_EQUAL(wanted.count, 6);
    CU_ASSERT_EQUAL(other.count, 3);
    CU_ASSERT_EQUAL(w.fasters, 3); // the fourth is that of the second
    CU_ASSERT_EQUAL(w.faster_ms[0], 1001550);
    CU_ASSERT_EQUAL(w.frames, 3);
    reply.n_faster = 0;
    CU_ASSERT_TRUE(demand_take(&d, &reply));
    schedule_demand(w.schedule);
    for (int i = 0; i < 8; i++)
        go(250);
    CU_ASSERT_EQUAL(wanted.count, 11); // four more until it is looked at, then one a second
    CU_ASSERT_EQUAL(other.count, 5);
    demand_done(&d);
    close_world();
}

static const struct test TESTS[] = {
    {"ticks lie on the interval's grid, behind the host's phase", phase},
    {"what is late is skipped and counted, never run in a bunch", late},
    {"a sampler that is not available never runs", refused},
    {"a step of the wall clock is a cut, a slew is followed", stepped},
    {"a sampler of a series that is wanted faster runs four times a second", demanded},
    {"a dropped sampler leaves the others alone", dropped},
};

int main(void)
{
    return test_main("schedule", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
