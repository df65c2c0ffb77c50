// SPDX-License-Identifier: Apache-2.0
// exec, statsd and otlp as parts: opened, given another configuration, and taken away, with every
// allocation failing once; what a plugin's runs become.
#include "agent/parts.h"
#include "agent/plugin.h"
#include "base/log.h"
#include "tests/lib/oom.h"
#include "tests/lib/run.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

static struct {
    struct env env;
    struct schedule *schedule;
    struct parts *parts;
    struct agent_config *first, *second;
    int flushes;
} w;

static void on_frame(void *ctx, int64_t wall_ms, int64_t mono_ns, enum schedule_frame frame)
{
    (void)ctx;
    (void)wall_ms;
    (void)mono_ns;
    (void)frame;
}

static void on_flush(void *core)
{
    (void)core;
    w.flushes++;
}

static struct agent_config *config_of(const char *text)
{
    struct agent_config *c = NULL;
    struct buf b;
    buf_init(&b, 65536);
    CU_ASSERT_EQUAL_FATAL(config_parse(text, strlen(text), "agent.yaml", &c, &b), 0);
    buf_done(&b);
    c->statsd.port = c->otlp.port = 0; // any that is free
    return c;
}

static void open_world(const char *first, const char *second)
{
    memset(&w, 0, sizeof(w));
    w.first = config_of(first);
    w.second = config_of(second);
    w.env = (struct env){.loop = loop_new(),
        .out = output_new(),
        .clock = clock_system(),
        .config = w.first,
        .flush = on_flush};
    w.schedule = schedule_new(&w.env, on_frame, NULL);
}

static void close_world(void)
{
    parts_free(w.parts);
    schedule_free(w.schedule);
    output_free(w.env.out);
    loop_free(w.env.loop);
    config_free(w.first);
    config_free(w.second);
}

static const struct part_ops *const TABLE[] = {&plugins_part, &statsd_part, &otlp_part, NULL};

static const char FIRST[] =
    "exec: [{name: a, command: [/bin/true]}, {name: b, command: [/bin/b]}]\n"
    "statsd: {listen: '127.0.0.1'}\notlp: {listen: '127.0.0.1'}\n";
static const char SECOND[] = "exec: [{name: b, command: [/bin/c]}]\n"
                             "statsd: {listen: '127.0.0.1', age: 1m}\n"
                             "otlp: {listen: '127.0.0.1', series_limit: 9}\n";

static void no_memory(void)
{
    struct err err;
    for (int nth = 1;; nth++) {
        open_world(FIRST, SECOND);
        w.parts = parts_new_of(TABLE, &w.env, w.schedule, NULL);
        CU_ASSERT_PTR_NOT_NULL_FATAL(w.parts);
        oom_fail_at(nth);
        int rc = parts_apply(w.parts, NULL, w.first, &err);
        if (rc == 0)
            rc = parts_apply(w.parts, w.first, w.second, &err);
        bool hit = oom_stop();
        close_world();
        if (!hit) {
            CU_ASSERT_EQUAL(rc, 0);
            break;
        }
    }
}

static void nothing_without(void)
{
    struct err err;
    open_world(FIRST, "host: x\n");
    w.parts = parts_new_of(TABLE, &w.env, w.schedule, NULL);
    CU_ASSERT_EQUAL(parts_apply(w.parts, NULL, w.second, &err), 0);
    CU_ASSERT_EQUAL(schedule_count(w.schedule), 0);
    CU_ASSERT_EQUAL(output_active(w.env.out), 0);
    CU_ASSERT_EQUAL(parts_apply(w.parts, w.second, w.first, &err), 0);
    CU_ASSERT_EQUAL(schedule_count(w.schedule), 2);
    CU_ASSERT_TRUE(output_active(w.env.out) > 0);
    CU_ASSERT_EQUAL(parts_apply(w.parts, w.first, w.second, &err), 0);
    CU_ASSERT_EQUAL(schedule_count(w.schedule), 0);
    output_take(w.env.out, 1, 1, 1); // what ended is retired
    CU_ASSERT_EQUAL(output_active(w.env.out), 0);
    close_world();
}

static double value_of(const struct batch *b, const char *name)
{
    uint32_t id = 0;
    for (size_t i = 0; i < b->n_declares; i++)
        if (strcmp(b->declares[i].name, name) == 0)
            id = b->declares[i].id;
    for (size_t g = b->n_groups; g-- > 0;)
        for (size_t i = 0; i < b->groups[g].n; i++)
            if (b->groups[g].samples[i].id == id &&
                b->groups[g].samples[i].kind == SAMPLE_VALUE)
                return b->groups[g].samples[i].value;
    return -1;
}

static void a_run(void)
{
    struct err err;
    open_world(
        "exec: [{name: a, command: [/bin/sh, -c, 'echo \"bad|t=20ms;;;; u=5%\"; exit 2'], every: 1h}]\n",
        "host: x\n");
    w.parts = parts_new_of(TABLE, &w.env, w.schedule, NULL);
    CU_ASSERT_EQUAL(parts_apply(w.parts, NULL, w.first, &err), 0);
    while (!w.flushes) // its status is another than ok: told at once
        loop_once(w.env.loop, -1);
    const struct batch *b = output_take(w.env.out, 1, clock_wall_ms(&w.env.clock), 1);
    CU_ASSERT_EQUAL(b->n_events, 1);
    CU_ASSERT_STRING_EQUAL(b->events[0].service, "a");
    CU_ASSERT_STRING_EQUAL(b->events[0].detail, "CRITICAL: bad");
    CU_ASSERT_EQUAL(value_of(b, "tocsin_plugin_status"), 2);
    CU_ASSERT_EQUAL(value_of(b, "tocsin_plugin_perfdata_seconds"), 0.02);
    CU_ASSERT_EQUAL(value_of(b, "tocsin_plugin_perfdata_ratio"), 0.05);
    CU_ASSERT_EQUAL(value_of(b, "tocsin_plugin_failures_total"), 0);
    close_world();
}

// Gone from the configuration while it runs: it is killed, and reaped when it has ended.
static void leaving(void)
{
    struct err err;
    open_world("exec: [{name: a, command: [/bin/sleep, '600'], every: 1h}]\n", "host: x\n");
    w.parts = parts_new_of(TABLE, &w.env, w.schedule, NULL);
    CU_ASSERT_EQUAL(parts_apply(w.parts, NULL, w.first, &err), 0);
    while (waitpid(-1, NULL, WNOHANG) == -1) // until there is a child
        loop_once(w.env.loop, 10);
    CU_ASSERT_EQUAL(parts_apply(w.parts, w.first, w.second, &err), 0);
    CU_ASSERT_EQUAL(waitpid(-1, NULL, WNOHANG), -1);
    CU_ASSERT_EQUAL(errno, ECHILD);
    close_world();
}

static const struct test TESTS[] = {
    {"what is not wanted does not exist, and what is no more ends", nothing_without},
    {"a run becomes status, values and an event", a_run},
    {"one that leaves while it runs is killed and reaped", leaving},
    {"every failed allocation comes back, at the start and at a reload", no_memory},
};

int main(void)
{
    log_open("test", LOG_LEVEL_ERROR);
    return test_main("outside", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
