// SPDX-License-Identifier: Apache-2.0
// Listeners at ports and at UNIX sockets whose lives are made by hand: what is told of them, and when.
#include "agent/news.h"
#include "tests/lib/oom.h"
#include "tests/lib/run.h"
#include "wire/tocsin.pb-c.h"
#include <signal.h>
#include <stdio.h>
#include <string.h>

struct world {
    struct env env;
    struct services services;
    struct news news;
    int64_t now_ns, wall_ns;
    uint64_t seq;
    char told[600]; // "UP listens on port 80|"
    size_t groups;  // of events, with samples
};

static int64_t mono(void *ctx)
{
    const struct world *w = ctx;

    return w->now_ns;
}

static int64_t wall(void *ctx)
{
    const struct world *w = ctx;

    return w->wall_ns;
}

static void on_change(void *ctx, struct service *s, enum service_change change,
    enum service_state from, const char *detail)
{
    struct world *w = ctx;

    news_change(&w->news, s, change, from, detail);
}

static const char *kind_name(int kind)
{
    switch (kind) {
    case TOCSIN__V1__EVENT_KIND__EVENT_LISTENER_UP: return "UP";
    case TOCSIN__V1__EVENT_KIND__EVENT_LISTENER_DOWN: return "DOWN";
    case TOCSIN__V1__EVENT_KIND__EVENT_SERVICE_STOPPED: return "STOPPED";
    case TOCSIN__V1__EVENT_KIND__EVENT_SERVICE_CRASHED: return "CRASHED";
    default: return "?";
    }
}

static void on_flush(void *core)
{
    struct world *w = core;
    const struct batch *b = output_take(w->env.out, ++w->seq, 0, 0);
    size_t at = 0;

    w->told[0] = '\0';
    for (size_t i = 0; i < b->n_events; i++)
        at += (size_t)snprintf(w->told + at, sizeof(w->told) - at, "%s %s|",
            kind_name(b->events[i].kind), b->events[i].detail);
    w->groups = b->n_groups;
}

static void world_open(struct world *w)
{
    *w = (struct world){.now_ns = 1000 * NS_PER_S, .wall_ns = 1800000000 * NS_PER_S};
    w->env = (struct env){.loop = loop_new(),
        .out = output_new(),
        .clock = {.mono_ns = mono, .wall_ns = wall, .ctx = w},
        .flush = on_flush,
        .core = w};
    services_init(&w->services, on_change, w);
    CU_ASSERT_EQUAL_FATAL(news_open(&w->news, &w->env), 0);
}

static void world_close(struct world *w)
{
    for (struct service *s = w->services.list; s; s = s->next)
        on_change(w, s, SERVICE_ENDED, s->state, "");
    services_done(&w->services);
    news_done(&w->news);
    output_free(w->env.out);
    loop_free(w->env.loop);
}

static void pass(struct world *w, int64_t ns)
{
    w->now_ns += ns;
    w->wall_ns += ns;
    services_advance(&w->services, w->now_ns);
}

// Nobody listens; or this one does.
static void look(struct world *w, const struct service_listener *up)
{
    services_begin(&w->services);
    if (up && !services_seen(&w->services, up->cookie))
        services_up(&w->services, up, w->now_ns);
    services_end(&w->services, w->now_ns);
    services_advance(&w->services, w->now_ns);
}

static const char *flushed(struct world *w)
{
    w->told[0] = '\0';
    news_flush(&w->news);
    return w->told;
}

static void life(const struct service_listener *up, const char *on, const char *closed)
{
    struct world w;
    struct service_listener one = *up;
    char want[200];

    world_open(&w);
    look(&w, &one);
    snprintf(want, sizeof(want), "UP listens %s|", on);
    CU_ASSERT_STRING_EQUAL(flushed(&w), want);
    pass(&w, 2 * SERVICE_SETTLE_NS);
    look(&w, NULL);
    snprintf(want, sizeof(want), "DOWN nobody listens %s|", on);
    CU_ASSERT_STRING_EQUAL(flushed(&w), want);
    pass(&w, NS_PER_S);
    one.cookie++;
    look(&w, &one); // a restart
    CU_ASSERT_STRING_EQUAL(flushed(&w), "");
    look(&w, NULL);
    flushed(&w);
    pass(&w, 2 * SERVICE_GRACE_NS);
    snprintf(want, sizeof(want), "STOPPED %s closed|", closed);
    CU_ASSERT_STRING_EQUAL(flushed(&w), want);
    one.cookie++;
    look(&w, &one);
    snprintf(want, sizeof(want), "UP listens %s again|", on);
    CU_ASSERT_STRING_EQUAL(flushed(&w), want);
    world_close(&w);
}

static const struct service_listener PORT = {.cookie = 1, .name = "web", .port = 80},
                                     PATH = {
                                         .cookie = 1, .name = "fpm", .path = "/run/php.sock"};

static void words(void)
{
    life(&PORT, "on port 80", "port 80");
    life(&PATH, "at /run/php.sock", "/run/php.sock");
}

static void one_stamp(void)
{
    static const struct service_listener *const BOTH[] = {&PORT, &PATH};
    for (size_t i = 0; i < 2; i++) {
        struct world w;
        struct service_exit e = {.pid = 7, .signal = SIGKILL};

        world_open(&w);
        look(&w, BOTH[i]);
        service_owner(w.services.list, 7, 1);
        pass(&w, 2 * SERVICE_SETTLE_NS);
        flushed(&w);
        look(&w, NULL);
        pass(&w, 5 * NS_PER_MS); // word of the death comes later
        services_exit(&w.services, &e, w.now_ns);
        look(&w, NULL);
        flushed(&w);
        CU_ASSERT_PTR_NOT_NULL(strstr(w.told, "CRASHED killed by signal 9|"));
        CU_ASSERT_EQUAL(w.groups, 1); // the last state alone is seen
        world_close(&w);
    }
}

static void quiet(void)
{
    struct service_listener present = PORT, passing = PATH, port = PORT;
    struct world w;

    present.present = true;
    world_open(&w);
    look(&w, &present);
    CU_ASSERT_STRING_EQUAL(flushed(&w), ""); // was there before us
    world_close(&w);

    // UNIX sockets that do not last are too many to tell of, ports are told of when they have stayed.
    passing.loopback = passing.ephemeral_port = true;
    world_open(&w);
    look(&w, &passing);
    pass(&w, 2 * SERVICE_ANNOUNCE_NS);
    CU_ASSERT_STRING_EQUAL(flushed(&w), "");
    world_close(&w);
    port.loopback = port.ephemeral_port = true;
    world_open(&w);
    look(&w, &port);
    CU_ASSERT_STRING_EQUAL(flushed(&w), "");
    pass(&w, 2 * SERVICE_ANNOUNCE_NS);
    CU_ASSERT_STRING_EQUAL(flushed(&w), "UP listens on port 80|");
    world_close(&w);
}

static void on_turn(void *ctx, uint16_t port)
{
    unsigned *asked = ctx;

    *asked = *asked * 100000 + 1 + port; // 0 would be a port, too
}

static void turns(void)
{
    struct world w;
    unsigned asked = 0;

    world_open(&w);
    w.news.on_turn = on_turn;
    w.news.on_turn_ctx = &asked;
    look(&w, &PORT);
    CU_ASSERT_EQUAL(asked, 0); // when it was sent
    flushed(&w);
    CU_ASSERT_EQUAL(asked, 81);
    world_close(&w);
    asked = 0;
    world_open(&w);
    w.news.on_turn = on_turn;
    w.news.on_turn_ctx = &asked;
    look(&w, &PATH);
    flushed(&w);
    CU_ASSERT_EQUAL(asked, 0); // a path has no port to ask
    world_close(&w);
}

static void short_of_memory(void)
{
    bool hit = true;

    for (int nth = 1; hit && nth < 500; nth++) {
        struct world w;
        world_open(&w);
        oom_fail_at(nth);
        look(&w, &PORT);
        flushed(&w);
        hit = oom_stop();
        pass(&w, 2 * SERVICE_SETTLE_NS);
        look(&w, NULL);
        pass(&w, 2 * SERVICE_GRACE_NS);
        flushed(&w);
        world_close(&w);
    }
    CU_ASSERT_FALSE(hit);
}

static const struct test TESTS[] = {
    {"a listener's life in words, at a port and at a path", words},
    {"what a death took has one stamp, so that nobody sees the state between", one_stamp},
    {"who was there before, and paths that come and go, are not told of", quiet},
    {"the ports that turned are asked when that was sent", turns},
    {"short of memory it tells less", short_of_memory},
};

int main(void)
{
    return test_main("news", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
