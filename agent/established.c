// SPDX-License-Identifier: Apache-2.0
#include "agent/established.h"
#include "agent/connections.h"
#include "agent/few.h"
#include "agent/listen.h"
#include "agent/netlink.h"
#include "agent/sockdiag.h"
#include <errno.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#define INTERVAL_MS      1000
#define INTERVAL_MAX_MS  60000
#define SLICE_NS         150000
#define DRAIN_MANY       100
#define DRAIN_MANY_NS    (10 * NS_PER_MS)
#define WALK_PATIENCE_NS (2 * NS_PER_S) // a dump that has not ended by then is given up
#define WHOLE_NS         (5 * NS_PER_S) // at least as often, a walk: handshakes are no opens yet
#define BUDGET           100            // interval >= cost * this: 1 % of a core
#define RECEIVE_BYTES    (8 << 20)
#define PORT_CACHE       64

static const unsigned STATES =
    SOCKDIAG_BIT(SOCKDIAG_ESTABLISHED) | SOCKDIAG_BIT(SOCKDIAG_SYN_RECV) |
    SOCKDIAG_BIT(SOCKDIAG_NEW_SYN_RECV) | SOCKDIAG_BIT(SOCKDIAG_FIN_WAIT1) |
    SOCKDIAG_BIT(SOCKDIAG_FIN_WAIT2) | SOCKDIAG_BIT(SOCKDIAG_CLOSE_WAIT) |
    SOCKDIAG_BIT(SOCKDIAG_LAST_ACK) | SOCKDIAG_BIT(SOCKDIAG_CLOSING);

// What a service has on the wire; service->data[1].
struct carried {
    struct traffic traffic; // first: connections know it by this address
    struct service *service;
    struct carried *next;
    bool walked; // a whole walk has seen what was there before us
    bool declared;
    uint32_t live_ids[SOCKDIAG_STATES], opened, closed[CLOSED_HOWS], received, sent, rtt,
        rtt_max, retransmitted, segments;
    // Of the last whole walk.
    uint32_t live[SOCKDIAG_STATES];
    double rtt_s, rtt_max_s;
    bool has_rtt, has_live;
};

struct established {
    struct sampler *sampler;
    struct netlink dump, destroy;
    struct loop_io *dump_io;
    struct loop_timer *begin, *drain;
    struct connections connections;
    struct few few;
    struct carried *list;
    struct {
        uint16_t port;
        bool known;
        struct carried *carried;
    } cache[PORT_CACHE];
    bool heard;  // every close known to the kernel when the round began
    bool asking; // one_socket is given answers, not a walk
    uint64_t lost_before;
    int64_t whole_ns;   // when the last walk began
    bool walking, torn; // torn: the kernel says the table changed under the walk
    int64_t begun_ns, cost_ns, longest_ns, lead_ns;
    uint64_t seen;
    uint32_t lost_id;
    struct established_walk last;
};

static int64_t real_ns(void)
{
    struct clock c = clock_system();
    return clock_mono_ns(&c);
}

// --- services ------------------------------------------------------------------------------------

static struct carried *carried_of(struct established *e, uint16_t port)
{
    struct service *s;
    struct carried *c;
    size_t at = port % PORT_CACHE;

    if (e->cache[at].known && e->cache[at].port == port)
        return e->cache[at].carried;
    s = e->sampler->env->listen ? listen_service(e->sampler->env->listen, port) : NULL;
    c = s ? s->data[1] : NULL;
    if (s && !c && (c = calloc(1, sizeof(*c)))) {
        c->service = s;
        c->next = e->list;
        e->list = c;
        s->data[1] = c;
        e->few.usable = false; // walks have passed over what it has open already
    }
    // One that stopped listening still has connections to finish.
    for (struct carried *old = e->list; !s && !c && old; old = old->next)
        if (old->service->port == port)
            c = old;
    e->cache[at].port = port;
    e->cache[at].known = true;
    e->cache[at].carried = c;
    return c;
}

// Every listening service has these series, also one nobody has connected to; and a walk counts for
// all that were known when it began.
static void carry_all(struct established *e)
{
    if (!e->sampler->env->listen)
        return;
    for (struct service *v = listen_services(e->sampler->env->listen); v; v = v->next)
        if (v->announced && v->sockets > 0 && !v->data[1])
            carried_of(e, v->port);
}

static void end_series(struct output *o, const struct carried *c)
{
    for (int i = 0; i < SOCKDIAG_STATES; i++)
        if (c->live_ids[i])
            output_end(o, c->live_ids[i]);
    for (int i = 0; i < CLOSED_HOWS; i++)
        if (c->closed[i])
            output_end(o, c->closed[i]);
    const uint32_t ids[] = {
        c->opened, c->received, c->sent, c->rtt, c->rtt_max, c->retransmitted, c->segments};
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++)
        if (ids[i])
            output_end(o, ids[i]);
}

static void on_service_end(void *ctx, struct service *s)
{
    struct established *e = ctx;
    struct carried *c = s->data[1], **at = &e->list;

    if (!c)
        return;
    while (*at != c)
        at = &(*at)->next;
    *at = c->next;
    memset(e->cache, 0, sizeof(e->cache));
    connections_forget(&e->connections, &c->traffic);
    end_series(e->sampler->env->out, c);
    s->data[1] = NULL;
    free(c);
}

// --- the walk ------------------------------------------------------------------------------------

static void publish(struct established *e)
{
    for (struct carried *c = e->list; c; c = c->next) {
        const struct traffic *t = &c->traffic;
        memcpy(c->live, t->live, sizeof(c->live));
        c->has_live = true;
        c->has_rtt = t->rtt_n > 0;
        c->rtt_s = c->has_rtt ? (double)t->rtt_sum_us / t->rtt_n / 1e6 : 0;
        c->rtt_max_s = t->rtt_top_us / 1e6;
        c->walked = true;
    }
}

static void walk_over(struct established *e, bool whole)
{
    int64_t took = real_ns() - e->begun_ns;

    e->walking = false;
    connections_sweep(&e->connections, whole && e->heard);
    few_end(&e->few, whole);
    if (!whole)
        return;
    publish(e);
    e->last.sockets = e->seen;
    e->last.cpu_ns = e->cost_ns;
    e->last.longest_slice_ns = e->longest_ns;
    e->last.walks++;
    // The next one is begun early enough to end when its tick comes.
    e->lead_ns = 2 * took + 2 * NS_PER_MS;
    if (e->lead_ns > INTERVAL_MS * NS_PER_MS / 2)
        e->lead_ns = INTERVAL_MS * NS_PER_MS / 2;
    int64_t interval_ms = e->cost_ns * BUDGET / NS_PER_MS;
    interval_ms = (interval_ms + INTERVAL_MS - 1) / INTERVAL_MS * INTERVAL_MS;
    if (interval_ms < INTERVAL_MS)
        interval_ms = INTERVAL_MS;
    if (interval_ms > INTERVAL_MAX_MS)
        interval_ms = INTERVAL_MAX_MS;
    e->sampler->interval_ms = e->sampler->wanted_ms = (uint32_t)interval_ms;
}

static void one_socket(struct established *e, const struct netlink_message *m)
{
    struct sockdiag k;
    struct carried *c;

    e->seen++;
    c = carried_of(e, sockdiag_local_port(m->body, m->len));
    if (!c || sockdiag_parse(m->body, m->len, &k) != 0)
        return;
    connections_dump(&e->connections, &c->traffic, &k, c->walked || !c->service->present);
    if (!e->asking)
        few_add(&e->few, &k);
}

// One receive. False when the walk is over or nothing more is there now.
static bool walk_step(struct established *e)
{
    size_t at = 0;
    struct netlink_message m;
    int n = netlink_receive(&e->dump);

    if (n == 0)
        return false;
    if (n < 0) {
        walk_over(e, false);
        return false;
    }
    while (netlink_next(e->dump.chunk, (size_t)n, &at, &m)) {
        if (m.seq != e->dump.seq || !e->walking)
            continue;
        if (m.flags & NLM_F_DUMP_INTR)
            e->torn = true;
        if (m.type == NLMSG_DONE || m.type == NLMSG_ERROR) {
            walk_over(e, m.type == NLMSG_DONE && !e->torn);
            return false;
        }
        if (sockdiag_is_socket(m.type))
            one_socket(e, &m);
    }
    return e->walking;
}

static void walk_slice(struct established *e, int64_t cpu_begun, int64_t wall_begun)
{
    while (walk_step(e) && real_ns() - wall_begun < SLICE_NS) {
    }
    int64_t spent = sampler_cpu_begin() - cpu_begun;
    e->cost_ns += spent;
    if (spent > e->longest_ns)
        e->longest_ns = spent;
    if (!e->walking) {
        // The walk ended within this slice: complete what walk_over noted.
        e->last.cpu_ns = e->cost_ns;
        e->last.longest_slice_ns = e->longest_ns;
    }
}

static void on_dump(void *ctx, int fd, uint32_t events)
{
    struct established *e = ctx;
    int64_t begun = sampler_cpu_begin();

    (void)fd;
    (void)events;
    walk_slice(e, begun, real_ns());
    sampler_cpu_end(e->sampler, begun);
}

// --- what closes ---------------------------------------------------------------------------------

static void one_close(struct established *e, const struct netlink_message *m)
{
    struct sockdiag k;

    if (!sockdiag_is_socket(m->type))
        return;
    struct carried *c = carried_of(e, sockdiag_local_port(m->body, m->len));
    if (!c || sockdiag_parse(m->body, m->len, &k) != 0)
        return;
    // A connection that was there before us and that no walk has seen: unknown how much is new.
    if (!connections_get(&e->connections, k.cookie))
        e->few.closed_since++;
    bool countable = c->walked || !c->service->present;
    connections_final(&e->connections, countable ? &c->traffic : NULL, &k);
}

// False: there is more, and the timer goes on with it.
static bool drain(struct established *e)
{
    int64_t wall = real_ns(), begun = 0;
    int n, taken = 0;

    while ((n = netlink_receive(&e->destroy)) != 0) {
        size_t at = 0;
        struct netlink_message m;
        if (taken++ == 0) {
            // Not before: most drains find nothing, and reading that clock costs as much.
            begun = sampler_cpu_begin();
            memset(e->cache, 0, sizeof(e->cache)); // listeners may have come since
        }
        if (n == -ENOBUFS)
            e->last.lost++; // the next walk finds out which are gone
        else if (n < 0)
            break;
        while (n > 0 && netlink_next(e->destroy.chunk, (size_t)n, &at, &m))
            one_close(e, &m);
        if (real_ns() - wall >= SLICE_NS)
            break;
    }
    if (taken)
        sampler_cpu_end(e->sampler, begun);
    // Being woken for each close costs ten times as much as taking them by the batch, so nothing
    // wakes us for them: we look when tcp.listen does, and sooner while there are many.
    int64_t now = real_ns();
    loop_timer_set(e->drain, n > 0                ? now
                             : taken < DRAIN_MANY ? listen_next_poll_ns(now)
                                                  : now + DRAIN_MANY_NS);
    return n == 0;
}

static void on_drain(void *ctx, int64_t due, int64_t now)
{
    (void)due;
    (void)now;
    drain(ctx);
}

// --- a round ---

static void round_begin(struct established *e)
{
    memset(e->cache, 0, sizeof(e->cache));
    for (struct carried *c = e->list; c; c = c->next) {
        memset(c->traffic.live, 0, sizeof(c->traffic.live));
        c->traffic.rtt_sum_us = c->traffic.rtt_n = c->traffic.rtt_top_us = 0;
    }
    connections_begin(&e->connections);
}

// A closed socket's TIME_WAIT has its address and its cookie: a walk does not ask for that state.
static bool one_answer(void *ctx, const struct netlink_message *m)
{
    struct sockdiag k;

    if (sockdiag_parse(m->body, m->len, &k) != 0 || !(STATES & SOCKDIAG_BIT(k.state)))
        return false;
    one_socket(ctx, m);
    return true;
}

// Instead of a walk, while the connections we know are all there are. False: walk.
static bool ask(struct established *e)
{
    if (real_ns() - e->whole_ns >= WHOLE_NS || e->last.lost != e->lost_before)
        return false;
    if (!few_complete(&e->few))
        return false;
    round_begin(e);
    e->asking = true;
    int rc = few_ask(&e->few, &e->dump, one_answer, e);
    e->asking = false;
    connections_sweep(&e->connections, rc == 0 && e->heard);
    if (rc == 0)
        publish(e);
    return rc == 0;
}

static void walk_begin(struct established *e)
{
    uint8_t request[SOCKDIAG_REQUEST_MAX];
    uint16_t type, flags;
    size_t len = sockdiag_request(request, STATES, true, false, &type, &flags);
    int64_t begun, wall = real_ns();

    if (e->walking) {
        if (wall - e->begun_ns < WALK_PATIENCE_NS)
            return;
        walk_over(e, false);
    }
    // What closed is told first: a round that misses it would count its end a second time.
    e->heard = drain(e);
    begun = sampler_cpu_begin();
    if (ask(e)) {
        sampler_cpu_end(e->sampler, begun);
        return;
    }
    round_begin(e);
    carry_all(e);
    few_begin(&e->few);
    e->whole_ns = wall;
    e->lost_before = e->last.lost;
    e->walking = true;
    e->torn = false;
    e->begun_ns = wall;
    e->seen = 0;
    e->cost_ns = e->longest_ns = 0;
    if (netlink_send(&e->dump, type, flags, request, len) != 0) {
        walk_over(e, false);
        return;
    }
    walk_slice(e, begun, wall);
    sampler_cpu_end(e->sampler, begun);
}

static void on_begin(void *ctx, int64_t due, int64_t now)
{
    (void)due;
    (void)now;
    walk_begin(ctx);
}

// --- output --------------------------------------------------------------------------------------

static const bool ALWAYS[SOCKDIAG_STATES] = {
    [SOCKDIAG_ESTABLISHED] = true, [SOCKDIAG_SYN_RECV] = true, [SOCKDIAG_CLOSE_WAIT] = true};
static const char *const HOW[CLOSED_HOWS] = {"fin", "reset", "unknown"};

static void declare(struct established *e, struct carried *c)
{
    struct output *o = e->sampler->env->out;
    struct wire_label labels[LISTEN_LABELS + 1];
    char port[8];
    const size_t n = LISTEN_LABELS;

    listen_labels(c->service, labels, port);
    if (!c->declared) {
        c->opened = output_series(
            o, "tocsin_service_connections_opened_total", labels, n, SERIES_COUNTER, "");
        c->received = output_series(
            o, "tocsin_service_received_bytes_total", labels, n, SERIES_COUNTER, "bytes");
        c->sent = output_series(
            o, "tocsin_service_sent_bytes_total", labels, n, SERIES_COUNTER, "bytes");
        c->rtt =
            output_series(o, "tocsin_service_rtt_seconds", labels, n, SERIES_GAUGE, "seconds");
        c->rtt_max = output_series(
            o, "tocsin_service_rtt_seconds_max", labels, n, SERIES_GAUGE, "seconds");
        c->retransmitted = output_series(
            o, "tocsin_service_segments_retransmitted_total", labels, n, SERIES_COUNTER, "");
        c->segments = output_series(
            o, "tocsin_service_segments_sent_total", labels, n, SERIES_COUNTER, "");
        c->declared = true;
    }
    for (unsigned i = 1; i < SOCKDIAG_STATES; i++) {
        // The kernel's two names of a handshake are one state to anybody else.
        if (c->live_ids[i] || i == SOCKDIAG_NEW_SYN_RECV || (!ALWAYS[i] && c->live[i] == 0))
            continue;
        labels[n] = (struct wire_label){"state", sockdiag_state_name(i)};
        c->live_ids[i] =
            output_series(o, "tocsin_service_connections", labels, n + 1, SERIES_GAUGE, "");
    }
    for (int i = 0; i < CLOSED_HOWS; i++) {
        if (c->closed[i] || (i == CLOSED_UNKNOWN && c->traffic.closed[i] == 0))
            continue;
        labels[n] = (struct wire_label){"how", HOW[i]};
        c->closed[i] = output_series(
            o, "tocsin_service_connections_closed_total", labels, n + 1, SERIES_COUNTER, "");
    }
}

static void show(struct established *e, struct carried *c)
{
    struct output *o = e->sampler->env->out;
    const struct traffic *t = &c->traffic;

    declare(e, c);
    for (unsigned i = 1; i < SOCKDIAG_STATES; i++) {
        uint32_t n = c->live[i];
        if (i == SOCKDIAG_SYN_RECV)
            n += c->live[SOCKDIAG_NEW_SYN_RECV];
        if (c->live_ids[i] && c->has_live)
            output_set(o, c->live_ids[i], n);
    }
    for (int i = 0; i < CLOSED_HOWS; i++)
        if (c->closed[i])
            output_set(o, c->closed[i], (double)t->closed[i]);
    output_set(o, c->opened, (double)t->opened);
    output_set(o, c->received, (double)t->received);
    output_set(o, c->sent, (double)t->sent);
    output_set(o, c->retransmitted, (double)t->retransmitted);
    output_set(o, c->segments, (double)t->segments);
    if (c->has_rtt) {
        output_set(o, c->rtt, c->rtt_s);
        output_set(o, c->rtt_max, c->rtt_max_s);
    }
}

static void sampler_tick(struct sampler *s, const struct tick *t)
{
    struct established *e = s->state;

    carry_all(e);
    for (struct carried *c = e->list; c; c = c->next)
        show(e, c);
    output_set(s->env->out, e->lost_id, (double)e->last.lost);
    loop_timer_set(e->begin, t->intended_ns + s->interval_ms * NS_PER_MS - e->lead_ns);
}

// --- the sampler ---------------------------------------------------------------------------------

struct established_walk established_last(const struct sampler *s)
{
    const struct established *e = s->state;
    return e->last;
}

static void sampler_close(struct sampler *s)
{
    struct established *e = s->state;

    if (!e)
        return;
    if (s->env->listen)
        listen_on_end(s->env->listen, NULL, NULL);
    while (e->list) {
        struct carried *c = e->list;
        e->list = c->next;
        c->service->data[1] = NULL;
        free(c);
    }
    loop_io_del(e->dump_io);
    loop_timer_free(e->begin);
    loop_timer_free(e->drain);
    netlink_close(&e->dump);
    netlink_close(&e->destroy);
    connections_done(&e->connections);
    few_done(&e->few);
    free(e);
    s->state = NULL;
}

static int open_destroy(struct established *e)
{
    // The mirror image of tcp.listen's filter: only sockets that had a peer.
    static const struct sock_filter has_peer[] = {
        BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 16 + 6),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
        BPF_STMT(BPF_RET | BPF_K, 0),
    };
    int rc =
        netlink_open(&e->destroy, NETLINK_SOCK_DIAG, SOCKDIAG_GROUPS_DESTROY, RECEIVE_BYTES);

    if (rc == 0)
        rc = netlink_filter(&e->destroy, has_peer, sizeof(has_peer) / sizeof(has_peer[0]));
    if (rc == 0)
        loop_timer_set(e->drain, listen_next_poll_ns(real_ns()));
    return rc;
}

static int sampler_open(struct sampler *s)
{
    struct established *e;
    const struct wire_label labels[] = {{"job", "tocsin"}, {"source", "tcp.destroy"}};
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
    e->dump.fd = e->destroy.fd = -1;
    e->lead_ns = 5 * NS_PER_MS;
    few_open(&e->few, s->env->proc);
    connections_init(&e->connections, (uint64_t)(uintptr_t)e);
    e->begin = loop_timer_new(s->env->loop, on_begin, e);
    e->drain = loop_timer_new(s->env->loop, on_drain, e);
    if (!e->begin || !e->drain)
        goto fail;
    rc = netlink_open(&e->dump, NETLINK_SOCK_DIAG, 0, 0);
    if (rc < 0)
        goto fail;
    rc = -ENOMEM;
    e->dump_io = loop_io_add(s->env->loop, e->dump.fd, EPOLLIN, on_dump, e);
    if (!e->dump_io)
        goto fail;
    rc = open_destroy(e);
    if (rc < 0)
        goto fail;
    e->lost_id = output_series(
        s->env->out, "tocsin_agent_events_lost_total", labels, 2, SERIES_COUNTER, "");
    listen_on_end(s->env->listen, on_service_end, e);
    // Soon, so that what is open already is known before it closes; after tcp.listen's first look.
    loop_timer_set(e->begin, real_ns() + 20 * NS_PER_MS);
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
