// SPDX-License-Identifier: Apache-2.0
/*
 * A pipeline with one agent, h1, that samples each second on a clock turned by hand:
 *
 *     1 load{job="node"}   2 odd{job="node"}   3 latency{service="web"} (histogram)
 *     4 hits_total{service="web"}
 *
 * stage_tick is one frame and all that is due until the next second.
 */
#pragma once
#include "collector/pipeline.h"
#include "tests/lib/run.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define T0 1700000000000LL // a whole second, and a multiple of 10 s

struct stage {
    struct pipeline *p;
    int64_t now_ms;
    uint64_t seq;
    void (*noticed)(void *ctx, const struct notice *n); // NULL = nobody looks
    void *ctx;
    size_t notices;
};

static inline int64_t stage_mono(const struct stage *s)
{
    return s->now_ms - T0 + 5000;
}

static inline void stage_notice(void *ctx, struct notice *n)
{
    struct stage *s = ctx;
    s->notices++;
    if (s->noticed)
        s->noticed(s->ctx, n);
    notice_free(n);
}

static inline void stage_init(struct stage *s, const char *rules)
{
    *s = (struct stage){.now_ms = T0};
    struct pipeline_options o = {
        .store = {.retention_ms = 600000, .series_per_agent = 50, .series_max = 1000},
        .start_grace_ms = 5000};
    s->p = pipeline_new(&o, s->now_ms, stage_mono(s));
    CU_ASSERT_PTR_NOT_NULL_FATAL(s->p);
    struct ruleset *set = ruleset_new();
    struct diags d;
    diags_init(&d);
    if (rules)
        ruleset_add(set, "rules.yaml", rules, strlen(rules), &d);
    CU_ASSERT_EQUAL_FATAL(d.errors, 0);
    diags_done(&d);
    CU_ASSERT_EQUAL_FATAL(pipeline_load(s->p, set), 0);
}

static inline void stage_done(struct stage *s)
{
    pipeline_free(s->p);
}

static inline void stage_run(struct stage *s, int64_t to_ms)
{
    for (int64_t next; (next = pipeline_next(s->p)) <= to_ms;) {
        if (next > s->now_ms)
            s->now_ms = next;
        pipeline_advance(s->p, s->now_ms, stage_mono(s), stage_notice, s);
        if (pipeline_next(s->p) <= s->now_ms)
            s->now_ms++;
    }
    s->now_ms = to_ms;
}

// A frame with these samples, now.
static inline void stage_frame(struct stage *s, struct batch_sample *samples, size_t n)
{
    struct wire_label web[] = {{"job", "service"}, {"service", "web"}};
    struct batch_declare declares[] = {
        {.id = 1, .name = "load", .kind = SERIES_GAUGE},
        {.id = 2, .name = "odd", .kind = SERIES_GAUGE},
        {.id = 3, .name = "latency", .labels = web, .n_labels = 2, .kind = SERIES_HISTOGRAM},
        {.id = 4, .name = "hits_total", .labels = web, .n_labels = 2, .kind = SERIES_COUNTER},
    };
    struct batch_group g = {.interval_ms = 1000,
        .tick = s->now_ms / 1000,
        .stamp_ms = s->now_ms,
        .samples = samples,
        .n = n};
    struct frame f = {.agent_id = {1}, .epoch = 1, .nonce = 1, .host = "h1", .version = "1"};
    f.batch = (struct batch){.seq = ++s->seq,
        .wall_ms = s->now_ms,
        .declares = declares,
        .n_declares = s->seq == 1 ? 4 : 0,
        .groups = &g,
        .n_groups = 1};
    pipeline_frame(s->p, &f, s->now_ms, stage_mono(s));
    pipeline_advance(s->p, s->now_ms, stage_mono(s), stage_notice, s);
}

static inline void stage_tick(struct stage *s, double load)
{
    struct batch_sample one = {.id = 1, .kind = SAMPLE_VALUE, .value = load};
    stage_frame(s, &one, 1);
    stage_run(s, s->now_ms + 1000);
}
