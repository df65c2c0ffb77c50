// SPDX-License-Identifier: Apache-2.0
/*
 * Simulated agents against a collector on loopback, over the real protocol: open loop, each agent's
 * frame is due at a fixed time of each second whatever happened to the last, and the delay from due
 * time to acknowledgement is what is reported.
 *
 *     load PORT AGENTS SERIES SECONDS
 *
 * Values are a mix: two fifths counters, the rest gauges of which a third stand still. Sources are
 * spread over 127.0.0.x, 200 agents each. Prints frames, samples, refused frames and the delay's
 * median, p99 and maximum.
 */
#include "tests/bench/vagent.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>

#define AGENTS_PER_ADDRESS 200

struct source {
    struct vagent agent;
    struct batch_sample *samples;
    int64_t due_ns;
};

struct tally {
    uint64_t frames, samples, refused, late;
    double *delay_ms;
    size_t n, cap;
};

static void source_init(struct source *s, size_t number, size_t series, int port)
{
    char host[32];
    snprintf(host, sizeof(host), "load-%04zu", number);
    vagent_init(&s->agent, host, number);
    s->samples = calloc(series, sizeof(*s->samples));
    if (!s->samples)
        vagent_die("memory");
    for (size_t i = 0; i < series; i++) {
        char name[48], dev[24];
        snprintf(name, sizeof(name), "load_metric_%zu%s", i / 10, i % 5 < 2 ? "_total" : "");
        snprintf(dev, sizeof(dev), "d%zu", i % 10);
        struct wire_label labels[] = {{"device", dev}, {"job", "load"}};
        struct batch_declare d = {.id = (uint32_t)i + 1,
            .name = name,
            .labels = labels,
            .n_labels = 2,
            .kind = i % 5 < 2 ? SERIES_COUNTER : SERIES_GAUGE,
            .unit = "1"};
        if (chain_out_declare(s->agent.chain, &d) < 0)
            vagent_die("declare");
        s->samples[i] = (struct batch_sample){.id = d.id, .kind = SAMPLE_VALUE};
    }
    if (vagent_connect(&s->agent, port, (uint32_t)(number / AGENTS_PER_ADDRESS)) < 0)
        vagent_die("connect");
}

static void values_step(struct source *s, size_t series)
{
    for (size_t i = 0; i < series; i++) {
        double *v = &s->samples[i].value;
        if (i % 5 < 2)
            *v += (double)(random() % 1000);
        else if (i % 3)
            *v = (double)(random() % 100000) / 100;
    }
}

static void delay_add(struct tally *t, double ms)
{
    if (t->n == t->cap) {
        t->cap = t->cap ? t->cap * 2 : 4096;
        t->delay_ms = realloc(t->delay_ms, t->cap * sizeof(*t->delay_ms));
        if (!t->delay_ms)
            vagent_die("memory");
    }
    t->delay_ms[t->n++] = ms;
}

// True when the whole reply has come.
static bool source_read(struct source *s, size_t series, struct tally *t)
{
    switch (vagent_read(&s->agent)) {
    case VAGENT_WAITING: return false;
    case VAGENT_LOST: vagent_die("the collector closed a connection");
    case VAGENT_REFUSED: t->refused++; return true;
    case VAGENT_TAKEN:
        t->frames++;
        t->samples += series;
        delay_add(t, (double)(vagent_mono_ns() - s->due_ns) / 1e6);
        return true;
    }
    return false;
}

static int by_value(const void *x, const void *y)
{
    double a = *(const double *)x, b = *(const double *)y;
    return a < b ? -1 : a > b;
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        fprintf(stderr, "usage: load PORT AGENTS SERIES SECONDS\n");
        return 2;
    }
    int port = atoi(argv[1]);
    size_t n = strtoul(argv[2], NULL, 10), series = strtoul(argv[3], NULL, 10);
    int64_t seconds = strtol(argv[4], NULL, 10);
    if (!port || !n || !series || seconds <= 0)
        return 2;
    struct source *agents = calloc(n, sizeof(*agents));
    struct tally tally = {0};
    int ep = epoll_create1(EPOLL_CLOEXEC);
    if (!agents || ep == -1) {
        perror("load");
        return 1;
    }
    for (size_t i = 0; i < n; i++) {
        source_init(&agents[i], i, series, port);
        struct epoll_event e = {.events = EPOLLIN, .data.u64 = i};
        epoll_ctl(ep, EPOLL_CTL_ADD, agents[i].agent.fd, &e);
    }
    // Slot k belongs to agent k % n; an agent that still waits for an answer misses its slot.
    int64_t start = vagent_mono_ns() + 100000000LL, slots = seconds * (int64_t)n, slot = 0;
    int64_t drain_until = start + (seconds + 2) * 1000000000LL;
    size_t waiting = 0;
    while (slot < slots || (waiting && vagent_mono_ns() < drain_until)) {
        int64_t due;
        while (slot < slots &&
               (due = start + slot * 1000000000LL / (int64_t)n) <= vagent_mono_ns()) {
            struct source *a = &agents[slot++ % (int64_t)n];
            if (a->agent.busy) {
                tally.late++;
                continue;
            }
            a->due_ns = due;
            values_step(a, series);
            if (vagent_push(&a->agent, a->samples, series) < 0)
                vagent_die("write");
            waiting++;
        }
        struct epoll_event ev[64];
        int got = epoll_wait(ep, ev, 64, 1);
        for (int i = 0; i < got; i++) {
            struct source *a = &agents[ev[i].data.u64];
            if (a->agent.busy && source_read(a, series, &tally))
                waiting--;
        }
    }
    if (!tally.n)
        vagent_die("no frame was acknowledged");
    qsort(tally.delay_ms, tally.n, sizeof(double), by_value);
    printf(
        "frames %llu samples %llu refused %llu late %llu delay_ms p50 %.2f p99 %.2f max %.2f\n",
        (unsigned long long)tally.frames, (unsigned long long)tally.samples,
        (unsigned long long)tally.refused, (unsigned long long)tally.late,
        tally.delay_ms[tally.n / 2], tally.delay_ms[tally.n * 99 / 100],
        tally.delay_ms[tally.n - 1]);
    return 0;
}
