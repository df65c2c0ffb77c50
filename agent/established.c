// SPDX-License-Identifier: Apache-2.0
#include "agent/established.h"
#include "agent/carried.h"
#include "agent/closes.h"
#include "agent/closes_limit.h"
#include "agent/config.h"
#include "agent/connections.h"
#include "agent/few.h"
#include "agent/listen.h"
#include "agent/namespace_shown.h"
#include "agent/netns.h"
#include "agent/opens.h"
#include "agent/sockdiag.h"
#include "agent/turnover.h"
#include "agent/walk.h"
#include "base/log.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INTERVAL_MS     1000
#define INTERVAL_MAX_MS 60000
// At least as often a walk, for handshakes are no opens yet; less in another namespace, where a walk goes
// over everybody's table.
#define WHOLE_NS       (5 * NS_PER_S)
#define WHOLE_OTHER_NS (60 * NS_PER_S)
#define SOON_NS        (20 * NS_PER_MS)
#define WITH_TICK_NS                                                                           \
    10000 // less than a wake-up is late: the timer before it and the tick are run together
#define BUDGET 100 // interval >= cost * this: 1 % of a core

static const unsigned STATES =
    SOCKDIAG_BIT(SOCKDIAG_ESTABLISHED) | SOCKDIAG_BIT(SOCKDIAG_SYN_RECV) |
    SOCKDIAG_BIT(SOCKDIAG_NEW_SYN_RECV) | SOCKDIAG_BIT(SOCKDIAG_FIN_WAIT1) |
    SOCKDIAG_BIT(SOCKDIAG_FIN_WAIT2) | SOCKDIAG_BIT(SOCKDIAG_CLOSE_WAIT) |
    SOCKDIAG_BIT(SOCKDIAG_LAST_ACK) | SOCKDIAG_BIT(SOCKDIAG_CLOSING);

struct established {
    struct sampler *sampler;
    struct walk walk;
    struct closes closes;
    struct closes_limit limit;
    struct connections connections;
    struct few few;
    struct opens opens;
    struct namespace_shown whole;
    struct carried_list carried;
    struct loop_timer *begin;
    bool heard;  // every close known to the kernel when the round began
    bool asking; // one_socket is given answers, not a walk
    uint64_t lost_before;
    int64_t whole_ns; // when the last walk began
    int64_t round_ns, lead_ns;
    uint64_t walks, sockets; // sockets: of the last whole walk
};

static int64_t real_ns(void)
{
    struct clock c = clock_system();
    return clock_mono_ns(&c);
}

static struct listen *services_of(const struct established *e)
{
    return e->sampler->env->listen;
}

// --- who is a service ----------------------------------------------------------------------------

static struct carried *carried_at(struct established *e, uint16_t port)
{
    struct carried *c = carried_of(&e->carried, services_of(e), port);

    if (e->carried.added)
        e->few.usable = false; // walks have passed over what it has open already
    return c;
}

// Every listening service has its series, also one nobody has connected to; a walk counts for all that
// were known when it began; and the kernel learns whose closes we want.
static void carry_all(struct established *e)
{
    uint16_t ports[CLOSES_PORTS_MAX];
    size_t n = 0;

    carried_all(&e->carried, services_of(e));
    if (!e->carried.added)
        return;
    e->few.usable = false;
    for (const struct carried *c = e->carried.first; c; c = c->next) {
        // What it has open is not ours to count until a walk has seen that: soon.
        if (!c->walked && c->service->present && !e->walk.walking)
            loop_timer_set(e->begin, real_ns() + SOON_NS);
        if (n < CLOSES_PORTS_MAX)
            ports[n] = c->service->port;
        n++;
    }
    // Refused: the one before knows less ports than it should.
    if (closes_ports(&e->closes, ports, n) < 0)
        (void)closes_ports(&e->closes, NULL, CLOSES_PORTS_MAX + 1);
    e->carried.added = false;
}

static void on_service_end(void *ctx, struct service *s)
{
    struct established *e = ctx;
    struct carried *c = s->data[1];

    if (!c)
        return;
    connections_forget(&e->connections, &c->traffic);
    carried_end(&e->carried, c, e->sampler->env->out);
}

static void on_service_found(void *ctx)
{
    struct established *e = ctx;

    e->carried.added = true;
    closes_soon(&e->closes); // when tcp.listen is through with it
}

// --- a round -------------------------------------------------------------------------------------

static void publish(struct established *e)
{
    carried_publish(&e->carried);
    if (e->opens.known)
        coverage_add(
            &e->whole.coverage, e->round_ns, carried_opened(&e->carried), e->opens.passive);
}

// Others than the agent's own namespace share one budget.
static uint32_t interval_of(const struct established *e)
{
    unsigned sharers = netns_sharers(e->sampler->env->netns);
    int64_t ms = e->walk.cost_ns * BUDGET * (sharers > 1 ? sharers : 1) / NS_PER_MS;

    ms = (ms + INTERVAL_MS - 1) / INTERVAL_MS * INTERVAL_MS;
    return (uint32_t)(ms < INTERVAL_MS       ? INTERVAL_MS
                      : ms > INTERVAL_MAX_MS ? INTERVAL_MAX_MS
                                             : ms);
}

static void on_walk_over(void *ctx, bool whole)
{
    struct established *e = ctx;
    int64_t took = real_ns() - e->walk.begun_ns;

    connections_sweep(&e->connections, whole && e->heard);
    few_end(&e->few, whole);
    if (!whole)
        return;
    publish(e);
    e->sockets = e->walk.seen;
    e->walks++;
    // The next one is begun early enough to end when its tick comes; what takes one slice, right before it,
    // so that one wake-up does for both.
    e->lead_ns = e->walk.cost_ns < WALK_SLICE_NS ? WITH_TICK_NS : 2 * took + 2 * NS_PER_MS;
    if (e->lead_ns > INTERVAL_MS * NS_PER_MS / 2)
        e->lead_ns = INTERVAL_MS * NS_PER_MS / 2;
    e->sampler->interval_ms = e->sampler->wanted_ms = interval_of(e);
}

static void on_socket(void *ctx, const struct netlink_message *m)
{
    struct established *e = ctx;
    struct sockdiag k;
    struct carried *c = carried_at(e, sockdiag_local_port(m->body, m->len));

    if (!c || sockdiag_parse(m->body, m->len, &k) != 0)
        return;
    // What is left of a closed connection whose peer has not closed yet goes as FIN_WAIT2 too, with the
    // cookie it had, but carries nothing.
    if (k.state == SOCKDIAG_FIN_WAIT2 && !(k.have & SOCKDIAG_HAS_INFO))
        return;
    connections_dump(&e->connections, &c->traffic, &k, c->walked || !c->service->present);
    if (!e->asking)
        few_add(&e->few, &k);
}

// A closed socket's TIME_WAIT has its address and its cookie: a walk does not ask for that state.
static bool on_answer(void *ctx, const struct netlink_message *m)
{
    struct sockdiag k;

    if (sockdiag_parse(m->body, m->len, &k) != 0 || !(STATES & SOCKDIAG_BIT(k.state)))
        return false;
    on_socket(ctx, m);
    return true;
}

static void round_begin(struct established *e)
{
    carried_round(&e->carried);
    connections_begin(&e->connections);
}

// Instead of a walk, while the connections we know are all there are. False: walk.
static bool ask(struct established *e, int64_t now)
{
    int64_t every = e->sampler->env->netns ? WHOLE_OTHER_NS : WHOLE_NS;

    if (now - e->whole_ns >= every || e->closes.lost != e->lost_before || e->closes.left)
        return false;
    if (!few_complete(&e->few, &e->opens))
        return false;
    round_begin(e);
    e->asking = true;
    int rc = few_ask(&e->few, &e->walk.netlink, on_answer, e);
    e->asking = false;
    connections_sweep(&e->connections, rc == 0 && e->heard);
    if (rc == 0)
        publish(e);
    return rc == 0;
}

// Are closes too many to be told of each, or few enough again?
static void limit(struct established *e, int64_t now)
{
    const struct agent_config *config = e->sampler->env->config;

    e->limit.per_s = config ? config->closes_per_second : CLOSES_PER_S;
    if (!e->opens.known ||
        !closes_limit_step(&e->limit, e->opens.passive + e->opens.active, now))
        return;
    struct sampler *s = e->sampler;
    int rc = closes_leave(&e->closes, e->limit.over);
    if (services_of(e))
        listen_multicast(services_of(e), !e->limit.over);
    s->reason[0] = '\0';
    if (e->limit.over)
        snprintf(s->reason, sizeof(s->reason),
            "more than %llu connections a second: only sampled, short ones are missed",
            (unsigned long long)e->limit.per_s);
    log_warn(e->limit.over ? "closes_sampled" : "closes_told", "netns=%s limit=%llu error=%s",
        log_q(netns_label(s->env->netns)), (unsigned long long)e->limit.per_s,
        rc < 0 ? log_q(strerror(-rc)) : "none");
}

// The programs of tcp.connections count in the agent's own network namespace what the kernel does.
static void read_opens(struct established *e)
{
    struct turnover *programs = e->sampler->env->netns ? NULL : e->sampler->env->turnover;
    uint64_t before = programs ? turnover_accepted(programs) : 0;

    opens_read(&e->opens);
    if (programs && e->opens.known)
        turnover_compare(programs, before, e->opens.passive);
}

static void on_begin(void *ctx, int64_t due, int64_t at)
{
    struct established *e = ctx;
    int64_t begun, now = real_ns();

    (void)due;
    (void)at;
    if (!walk_can_begin(&e->walk))
        return;
    // What closed is told first: a round that misses it would count its end a second time.
    e->heard = closes_drain(&e->closes);
    begun = sampler_cpu_begin();
    e->round_ns = now;
    read_opens(e);
    limit(e, now);
    if (!ask(e, now)) {
        round_begin(e);
        carry_all(e);
        few_begin(&e->few, &e->opens);
        e->whole_ns = now;
        e->lost_before = e->closes.lost;
        walk_begin(&e->walk, begun, now);
    }
    sampler_cpu_end(e->sampler, begun);
}

// --- what closes ---------------------------------------------------------------------------------

static void on_batch(void *ctx)
{
    struct established *e = ctx;

    carried_forget(&e->carried); // listeners may have come since
}

static void on_close(void *ctx, const struct netlink_message *m)
{
    struct established *e = ctx;
    struct carried *c = carried_at(e, sockdiag_local_port(m->body, m->len));
    struct sockdiag k;

    if (sockdiag_parse(m->body, m->len, &k) != 0)
        return;
    if (!c) {
        namespace_closed(&e->whole, &k);
        return;
    }
    // A connection that was there before us and that no walk has seen: unknown how much is new.
    if (!connections_get(&e->connections, k.cookie))
        e->few.closed_since++;
    bool countable = c->walked || !c->service->present;
    connections_final(&e->connections, countable ? &c->traffic : NULL, &k);
}

static void on_drained(void *ctx)
{
    carry_all(ctx);
}

// --- the sampler ---------------------------------------------------------------------------------

static void sampler_tick(struct sampler *s, const struct tick *t)
{
    struct established *e = s->state;
    struct output *o = s->env->out;

    carry_all(e);
    uint32_t netns = s->env->netns ? (uint32_t)s->env->netns->inode : 0;
    for (struct carried *c = e->carried.first; c; c = c->next) {
        carried_count(c, s->env->turnover, netns);
        carried_show(c, o);
    }
    namespace_show(&e->whole, o, e->closes.lost, !e->closes.left);
    loop_timer_set(e->begin, t->intended_ns + s->interval_ms * NS_PER_MS - e->lead_ns);
}

struct established_walk established_last(const struct sampler *s)
{
    const struct established *e = s->state;

    return (struct established_walk){.sockets = e->sockets,
        .cpu_ns = e->walk.cost_ns,
        .longest_slice_ns = e->walk.longest_ns,
        .walks = e->walks,
        .lost = e->closes.lost};
}

static void sampler_close(struct sampler *s)
{
    struct established *e = s->state;

    if (!e)
        return;
    if (s->env->listen) {
        listen_on_end(s->env->listen, NULL, NULL);
        listen_on_found(s->env->listen, NULL, NULL);
    }
    while (e->carried.first)
        carried_end(&e->carried, e->carried.first, s->env->out);
    namespace_end(&e->whole, s->env->out);
    loop_timer_free(e->begin);
    walk_close(&e->walk);
    closes_close(&e->closes);
    connections_done(&e->connections);
    opens_done(&e->opens);
    free(e);
    s->state = NULL;
}

static int sampler_open(struct sampler *s)
{
    struct established *e;
    int rc = -ENOMEM;

    if (!s->env->listen) {
        snprintf(s->reason, sizeof(s->reason), "needs tcp.listen, which is not available");
        return -ENODEV;
    }
    e = calloc(1, sizeof(*e));
    if (!e)
        goto fail;
    s->state = e;
    e->sampler = s;
    e->walk = (struct walk){.netlink.fd = -1,
        .socket = on_socket,
        .over = on_walk_over,
        .ctx = e,
        .states = STATES};
    e->closes = (struct closes){.netlink.fd = -1,
        .begin = on_batch,
        .event = on_close,
        .drained = on_drained,
        .ctx = e};
    e->lead_ns = 5 * NS_PER_MS;
    opens_open(&e->opens, netns_take(s->env->netns, NETNS_SNMP), s->env->proc);
    closes_limit_init(&e->limit, CLOSES_PER_S);
    connections_init(&e->connections, (uint64_t)(uintptr_t)e);
    e->begin = loop_timer_new(s->env->loop, on_begin, e);
    if (!e->begin)
        goto fail;
    rc = walk_open(&e->walk, s);
    if (rc == 0)
        rc = closes_open(&e->closes, s);
    if (rc < 0)
        goto fail;
    namespace_declare(&e->whole, s->env->out, netns_label(s->env->netns));
    listen_on_end(s->env->listen, on_service_end, e);
    listen_on_found(s->env->listen, on_service_found, e);
    // Soon, so that what is open already is known before it closes; after tcp.listen's first look.
    loop_timer_set(e->begin, real_ns() + SOON_NS);
    return 0;
fail:
    snprintf(s->reason, sizeof(s->reason), "inet_diag: %s", strerror(-rc));
    sampler_close(s);
    return rc;
}

const struct sampler_ops established_sampler = {
    .name = "tcp.established",
    .tier = "B,C",
    .interval_ms = INTERVAL_MS,
    .open = sampler_open,
    .tick = sampler_tick,
    .close = sampler_close,
};
