// SPDX-License-Identifier: Apache-2.0
/*
 * What a sampler says, by name: one sampler on a tree of files the test writes, ticked by hand, and its
 * series as name{label="value",...} with what the last tick made of each. For tests of samplers;
 * everything is static, one world per program.
 */
#pragma once
#include "agent/output.h"
#include "agent/sampler.h"
#include "base/buf.h"
#include "tests/lib/run.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define SAMPLED_MAX 8192

static struct sampled {
    struct env env;
    struct clock_manual time; // stands still: what goes in slices of time is done in one
    struct sampler sampler;
    int rc; // of open
    char *names[SAMPLED_MAX];
    double values[SAMPLED_MAX];
    enum series_kind kinds[SAMPLED_MAX];
    enum sampled_state { NOT_SAMPLED, VALUE, RESET, ABSENT, ENDED } states[SAMPLED_MAX];
    uint32_t n;
    uint64_t seq;
} sampled;

static inline void sampled_file(const char *root, const char *name, const char *text)
{
    char path[1024];
    snprintf(path, sizeof(path), "%s/%s", root, name);
    for (char *p = path + strlen(root) + 1; (p = strchr(p, '/')); p++) {
        *p = '\0';
        mkdir(path, 0755);
        *p = '/';
    }
    FILE *f = fopen(path, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    fputs(text, f);
    fclose(f);
}

static inline void sampled_open(const struct sampler_ops *ops, const char *root)
{
    memset(&sampled, 0, sizeof(sampled));
    sampled.env = (struct env){.loop = loop_new(),
        .out = output_new(),
        .clock = clock_manual(&sampled.time),
        .proc = root,
        .sys = root,
        .cgroup = root};
    sampled.sampler =
        (struct sampler){.ops = ops, .env = &sampled.env, .interval_ms = ops->interval_ms};
    sampled.rc = ops->open(&sampled.sampler);
    sampled.sampler.available = sampled.rc == 0;
}

static inline void sampled_close(void)
{
    sampled.sampler.ops->close(&sampled.sampler);
    for (uint32_t i = 0; i <= sampled.n; i++)
        free(sampled.names[i]);
    output_free(sampled.env.out);
    loop_free(sampled.env.loop);
}

static inline void sampled_declared(const struct batch_declare *d)
{
    struct buf b;

    CU_ASSERT_TRUE_FATAL(d->id < SAMPLED_MAX);
    buf_init(&b, 8192);
    buf_adds(&b, d->name);
    for (size_t k = 0, any = 0; k < d->n_labels; k++)
        if (strcmp(d->labels[k].name, "job") != 0)
            buf_addf(
                &b, "%c%s=\"%s\"", any++ ? ',' : '{', d->labels[k].name, d->labels[k].value);
    buf_adds(&b, strchr(buf_cstr(&b), '{') ? "}" : "");
    free(sampled.names[d->id]);
    sampled.names[d->id] = strdup(buf_cstr(&b));
    sampled.kinds[d->id] = d->kind;
    sampled.n = d->id > sampled.n ? d->id : sampled.n;
    buf_done(&b);
}

// What is in the output since the last look.
static inline void sampled_take(void)
{
    const struct batch *b = output_take(sampled.env.out, ++sampled.seq, 1500, 1);

    for (uint32_t i = 0; i <= sampled.n; i++)
        if (sampled.states[i] != ENDED)
            sampled.states[i] = NOT_SAMPLED;
    for (size_t i = 0; i < b->n_declares; i++)
        sampled_declared(&b->declares[i]);
    for (size_t g = 0; g < b->n_groups; g++)
        for (size_t i = 0; i < b->groups[g].n; i++) {
            const struct batch_sample *s = &b->groups[g].samples[i];
            sampled.states[s->id] = s->kind == SAMPLE_VALUE   ? s->reset ? RESET : VALUE
                                    : s->kind == SAMPLE_STALE ? ENDED
                                                              : ABSENT;
            if (s->kind == SAMPLE_VALUE)
                sampled.values[s->id] = s->value;
        }
}

static inline void sampled_tick(int64_t now_ns)
{
    uint32_t interval = sampled.sampler.ops->interval_ms;
    struct tick t = {.n = (int64_t)sampled.seq + 1,
        .interval_ms = interval,
        .intended_ns = now_ns,
        .now_ns = now_ns,
        .wall_ms = 1500};

    output_group(sampled.env.out, interval, t.n, t.wall_ms);
    if (sampled.sampler.available)
        sampled.sampler.ops->tick(&sampled.sampler, &t);
    sampled_take();
}

// The newest series of that name; 0 = none.
static inline uint32_t sampled_id(const char *name)
{
    for (uint32_t i = sampled.n; i > 0; i--)
        if (sampled.names[i] && strcmp(sampled.names[i], name) == 0)
            return i;
    return 0;
}

static inline enum sampled_state sampled_state(const char *name)
{
    return sampled.states[sampled_id(name)];
}

// Of the last tick; NaN and a line when it has none.
static inline double sampled_value(const char *name)
{
    uint32_t id = sampled_id(name);

    if (id && (sampled.states[id] == VALUE || sampled.states[id] == RESET))
        return sampled.values[id];
    printf("    no sample of %s\n", name);
    return NAN;
}
