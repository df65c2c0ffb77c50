// SPDX-License-Identifier: Apache-2.0
// Destinations and their calls in memory that the test writes as the kernel would: what is shown of which,
// what becomes of it when a destination makes room, and no memory.
#include "agent/calls.h"
#include "agent/demand.h"
#include "agent/latency_table.h"
#include "tests/lib/oom.h"
#include "tests/lib/run.h"
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#define DESTS 2
#define IDS   200

struct world {
    struct env env;
    struct connection_memory memory;
    struct latency_call *calls_memory;
    struct latency_shared *shared;
    struct dependencies *dependencies;
    struct calls *calls;
    int64_t tick;
    struct {
        char text[300]; // metric and the values of its labels
        double value;   // of a histogram its count
        bool ended;
    } seen[IDS];
};

static void world_init(struct world *w)
{
    *w = (struct world){.env = {.out = output_new(), .clock = clock_system(), .proc = "/proc"},
        .memory = {.head = calloc(1, sizeof(struct connection_head)),
            .dests = calloc(DESTS + 1, sizeof(struct connection_dest)),
            .n_dests = DESTS},
        .calls_memory = calloc(DESTS + 1, sizeof(struct latency_call)),
        .shared = aligned_alloc(4096, sizeof(struct latency_shared))};
    memset(w->shared, 0, sizeof(*w->shared));
    latency_table_init(w->shared);
    w->dependencies = dependencies_new(&w->memory, NULL);
    w->calls = calls_new(w->calls_memory, DESTS + 1, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(w->dependencies);
    CU_ASSERT_PTR_NOT_NULL_FATAL(w->calls);
}

static void world_done(struct world *w)
{
    calls_free(w->calls, w->dependencies);
    dependencies_free(w->dependencies);
    output_free(w->env.out);
    free(w->memory.head);
    free(w->memory.dests);
    free(w->calls_memory);
    free(w->shared);
}

// As the kernel does when it meets 192.0.2.n.
static void meet(struct world *w, uint32_t index, uint8_t n)
{
    struct connection_dest *p = &w->memory.dests[index];

    w->memory.head->dests[index - 1] = 1000 + n;
    p->address[2] = htonl(0xffff);
    p->address[3] = htonl(0xc0000200u + n);
    p->port = 5432;
    p->opened = 1;
    p->named = 1;
}

static void call(struct world *w, uint32_t index, uint64_t ns, uint64_t times)
{
    w->calls_memory[index].count[connection_bucket(ns, LATENCY_CALL_LOW)] += times;
    w->calls_memory[index].sum_ns += ns * times;
}

static void turn(struct world *w, int64_t seconds)
{
    w->tick += seconds;
    output_group(w->env.out, 1000, w->tick, w->tick * 1000);
    dependencies_tick(w->dependencies, &w->env, w->tick * NS_PER_S);
    calls_tick(w->calls, w->dependencies, w->shared, &w->env);
    const struct batch *b = output_take(w->env.out, (uint64_t)w->tick, 0, 0);
    for (size_t i = 0; i < b->n_declares && b->declares[i].id < IDS; i++) {
        char *to = w->seen[b->declares[i].id].text;
        strcpy(to, b->declares[i].name);
        for (size_t k = 0; k < b->declares[i].n_labels; k++)
            strcat(strcat(to, " "), b->declares[i].labels[k].value);
    }
    for (size_t g = 0; g < b->n_groups; g++)
        for (size_t i = 0; i < b->groups[g].n; i++) {
            const struct batch_sample *s = &b->groups[g].samples[i];
            if (s->id >= IDS)
                continue;
            w->seen[s->id].ended |= s->kind == SAMPLE_STALE;
            if (s->kind == SAMPLE_VALUE)
                w->seen[s->id].value = s->value;
            if (s->kind != SAMPLE_HISTOGRAM)
                continue;
            w->seen[s->id].value = 0;
            for (uint32_t k = 0; k < s->hist->n; k++)
                w->seen[s->id].value += (double)s->hist->count[k];
        }
}

static double value(const struct world *w, const char *text)
{
    double v = -1;

    for (int i = 0; i < IDS; i++)
        if (strcmp(w->seen[i].text, text) == 0)
            v = w->seen[i].ended ? -2 : w->seen[i].value;
    return v;
}

#define DURATION  "tocsin_dependency_request_duration_seconds"
#define EXCHANGES "tocsin_dependency_exchanges_total"

static void shows(void)
{
    struct world w;

    world_init(&w);
    meet(&w, 1, 1);
    turn(&w, 1);
    CU_ASSERT_EQUAL(
        value(&w, EXCHANGES " 192.0.2.1:5432 dependency"), -1); // no call, no series
    call(&w, 1, 2000000, 3);
    call(&w, 0, 2000000, 9); // of nobody in particular, and nothing connected there
    turn(&w, 1);
    CU_ASSERT_EQUAL(value(&w, EXCHANGES " 192.0.2.1:5432 dependency"), 3);
    CU_ASSERT_EQUAL(value(&w, DURATION " 192.0.2.1:5432 dependency"), 3);
    CU_ASSERT_EQUAL(value(&w, EXCHANGES " other dependency"), -1);
    // A rule names a bound: what the kernel counts at it, and all since.
    struct wire_threshold bound = {.name = DURATION, .value = 0.25};
    struct demand demand = {.version = 1, .thresholds = &bound, .n_thresholds = 1};
    w.env.demand = &demand;
    turn(&w, 1);
    CU_ASSERT_EQUAL(w.shared->call_thresholds_ns[0], 250000000);
    call(&w, 1, 2000000, 2);
    call(&w, 1, 500000000, 1);
    w.calls_memory[1].at_most[0] = 2;
    turn(&w, 1);
    CU_ASSERT_EQUAL(value(&w, DURATION "_bucket 192.0.2.1:5432 dependency 0.25"), 2);
    CU_ASSERT_EQUAL(value(&w, DURATION "_bucket 192.0.2.1:5432 dependency +Inf"), 3);
    CU_ASSERT_EQUAL(value(&w, DURATION "_count 192.0.2.1:5432 dependency"), 3);
    world_done(&w);
}

static void makes_room(void)
{
    struct world w;

    world_init(&w);
    meet(&w, 1, 1);
    meet(&w, 2, 2);
    call(&w, 1, 1000000, 5);
    call(&w, 2, 1000000, 50);
    turn(&w, 1);
    // Somebody finds no slot; over the period the first is the less busy.
    w.memory.dests[0].opened = 1;
    turn(&w, DEPENDENCY_PERIOD_S);
    turn(&w, 1);
    CU_ASSERT_EQUAL(w.memory.head->dests[0], 0);
    CU_ASSERT_EQUAL(value(&w, EXCHANGES " 192.0.2.1:5432 dependency"), -2);
    CU_ASSERT_EQUAL(value(&w, EXCHANGES " 192.0.2.2:5432 dependency"), 50);
    CU_ASSERT_EQUAL(value(&w, EXCHANGES " other dependency"), 5); // nothing is lost
    // Its slot and its row are another's now.
    meet(&w, 1, 3);
    call(&w, 1, 1000000, 7);
    turn(&w, 1);
    CU_ASSERT_EQUAL(value(&w, EXCHANGES " 192.0.2.3:5432 dependency"), 7);
    CU_ASSERT_EQUAL(value(&w, EXCHANGES " 192.0.2.1:5432 dependency"), -2);
    calls_end(w.calls, w.env.out);
    world_done(&w);
}

static void without_memory(void)
{
    for (int nth = 1;; nth++) {
        oom_fail_at(nth);
        struct calls *c = calls_new(NULL, DESTS + 1, NULL);
        bool hit = oom_stop();
        CU_ASSERT_EQUAL(hit, c == NULL);
        calls_free(c, NULL);
        if (!hit)
            break;
    }
}

static const struct test TESTS[] = {
    {"calls are shown with their destination, and exact where rules compare", shows},
    {"who makes room loses its series, not its counts", makes_room},
    {"no memory is an answer", without_memory},
};

int main(void)
{
    return test_main("calls", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
