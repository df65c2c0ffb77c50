// SPDX-License-Identifier: Apache-2.0
#include "agent/listen.h"
#include "agent/listen_state.h"
#include "agent/netns.h"
#include "agent/pulse.h"
#include "agent/shown.h"
#include <errno.h>
#include <linux/netlink.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#define POLL_NS       (NS_PER_S / PULSE_BUSY_HZ)
#define RECEIVE_BYTES (1 << 20)
// Another namespace is looked at once a second, and less often the more there are: a dump of each look
// is 35 us, so all of them are 0.07 % of a core at most.
#define OTHERS_EACH_S 20

static int64_t now_ns(const struct listen *l)
{
    return clock_mono_ns(&l->sampler->env->clock);
}

static void on_change(void *ctx, struct service *s, enum service_change change,
    enum service_state from, const char *detail)
{
    struct listen *l = ctx;

    if (change == SERVICE_TURNED && from == SERVICE_UP)
        queues_gone(&l->queues, s->port);
    news_change(&l->news, s, change, from, detail);
    if (change == SERVICE_ENDED && l->on_end)
        l->on_end(l->on_end_ctx, s);
    if (change == SERVICE_APPEARED && l->on_found)
        l->on_found(l->on_found_ctx);
}

// --- looks ---------------------------------------------------------------------------------------

static void on_slice(void *ctx, int64_t due, int64_t now)
{
    struct listen *l = ctx;
    int64_t begun = sampler_cpu_begin();

    (void)due;
    (void)now;
    listen_search(l);
    news_flush_unless_held(&l->news);
    sampler_cpu_end(l->sampler, begun);
}

// The looks at other namespaces fall together with those at our own.
static int64_t next_look_ns(const struct listen *l, int64_t now)
{
    unsigned sharers = netns_sharers(l->sampler->env->netns);
    int64_t next = pulse_next_ns(l->sampler->env->pulse, now);

    if (sharers > 0)
        next += (int64_t)((sharers + OTHERS_EACH_S - 1) / OTHERS_EACH_S) * NS_PER_S - POLL_NS;
    return next;
}

static void on_poll(void *ctx, int64_t due, int64_t now)
{
    struct listen *l = ctx;
    int64_t begun = sampler_cpu_begin();

    if (!listen_queues(l))
        listen_look(l);
    news_flush_unless_held(&l->news);
    if (!listen_is_at_rest(l))
        pulse_seen(l->sampler->env->pulse, now);
    // Missed rounds are not made up for: a look now sees what they would have seen.
    loop_timer_set(l->poll, next_look_ns(l, due + POLL_NS > now ? due : now));
    sampler_cpu_end(l->sampler, begun);
}

static void on_wake(void *ctx)
{
    struct listen *l = ctx;

    loop_timer_set(l->poll, now_ns(l));
}

static void on_destroy(void *ctx, int fd, uint32_t events)
{
    struct listen *l = ctx;
    int64_t begun = sampler_cpu_begin();
    bool ours = false;
    int n;

    (void)fd;
    (void)events;
    while ((n = netlink_receive(&l->destroy)) != 0) {
        size_t at = 0;
        struct netlink_message m;
        if (n == -ENOBUFS) {
            ours = true;
            continue;
        }
        if (n < 0)
            break;
        while (netlink_next(l->destroy.chunk, (size_t)n, &at, &m)) {
            struct sockdiag k;
            if (sockdiag_is_socket(m.type) && sockdiag_parse(m.body, m.len, &k) == 0 &&
                map_get(&l->services.sockets, &k.cookie, sizeof(k.cookie)))
                ours = true;
        }
    }
    if (ours) {
        listen_look(l);
        news_flush_soon(&l->news);
    }
    sampler_cpu_end(l->sampler, begun);
}

// --- what others ask -----------------------------------------------------------------------------

static void exit_of(struct listen *l, const struct service_exit *e)
{
    // Asked before the death is judged: "killed by signal 9" is the lesser truth.
    for (struct service *s = l->services.list; s && e->signal == SIGKILL; s = s->next)
        if (service_owned_by(s, e->pid) && listen_oom_killed(l, s))
            services_oom(&l->services, s, now_ns(l));
    if (services_exit(&l->services, e, now_ns(l)))
        listen_dump(l);
    news_flush(&l->news);
}

void listen_exit(struct listen *l, const struct service_exit *e)
{
    exit_of(l, e);
    for (struct listen *o = l->others; o; o = o->next)
        exit_of(o, e);
}

bool listen_check(struct listen *l)
{
    int64_t begun = sampler_cpu_begin();

    listen_dump(l);
    news_flush_soon(&l->news);
    sampler_cpu_end(l->sampler, begun);
    return l->news.held;
}

struct service *listen_service(struct listen *l, uint16_t port)
{
    if (!(l->ports[port / 8] & 1u << port % 8))
        return NULL;
    struct service *s = services_port(&l->services, port);
    return s && s->announced ? s : NULL;
}

struct service *listen_services(struct listen *l)
{
    return l->services.list;
}

void listen_on_end(struct listen *l, void (*fn)(void *ctx, struct service *s), void *ctx)
{
    l->on_end = fn;
    l->on_end_ctx = ctx;
}

void listen_on_found(struct listen *l, void (*fn)(void *ctx), void *ctx)
{
    l->on_found = fn;
    l->on_found_ctx = ctx;
}

static const char LOOKS_ONLY[] = "no destroy multicast: what goes is seen by the next look";

void listen_multicast(struct listen *l, bool on)
{
    struct sampler *s = l->sampler;

    if (!l->io)
        return;
    int rc = netlink_groups(&l->destroy, SOCKDIAG_GROUPS_DESTROY, on);
    s->reason[0] = '\0';
    if (!on || rc < 0)
        snprintf(s->reason, sizeof(s->reason), "%s", LOOKS_ONLY);
}

static size_t owners_of(const struct listen *l, int32_t *ret, size_t max, size_t n)
{
    for (const struct service *s = l->services.list; s; s = s->next)
        for (size_t i = 0; i < s->n_owners; i++)
            if (!s->owners[i].dead && n++ < max)
                ret[n - 1] = s->owners[i].pid;
    return n;
}

size_t listen_owners(const struct listen *l, int32_t *ret, size_t max)
{
    size_t n = owners_of(l, ret, max, 0);

    for (const struct listen *o = l->others; o; o = o->next)
        n = owners_of(o, ret, max, n);
    return n;
}

void listen_on_owners(struct listen *l, void (*fn)(void *ctx), void *ctx)
{
    l->on_owners = fn;
    l->on_owners_ctx = ctx;
}

void listen_on_turn(struct listen *l, void (*fn)(void *ctx, uint16_t port), void *ctx)
{
    l->news.on_turn = fn;
    l->news.on_turn_ctx = ctx;
}

void listen_join(struct listen *own, struct listen *other)
{
    other->own = own;
    other->next = own->others;
    own->others = other;
}

struct listen *listen_in(struct listen *own, uint64_t inode)
{
    for (struct listen *o = own->others; o; o = o->next)
        if (o->sampler->env->netns->inode == inode)
            return o;
    return NULL;
}

struct listen *listen_next(const struct listen *l)
{
    return l->own ? l->next : l->others;
}

uint64_t listen_netns(const struct listen *l)
{
    return l->sampler->env->netns ? l->sampler->env->netns->inode : 0;
}

static void leave(struct listen *l)
{
    struct listen **at;

    for (struct listen *o = l->others; o; o = o->next)
        o->own = NULL;
    if (!l->own)
        return;
    for (at = &l->own->others; *at != l;)
        at = &(*at)->next;
    *at = l->next;
}

// --- the sampler ---------------------------------------------------------------------------------

static void sampler_close(struct sampler *s)
{
    struct listen *l = s->state;

    if (!l)
        return;
    s->env->listen = NULL;
    s->state = NULL;
    leave(l);
    pulse_unhook(s->env->pulse, &l->hook);
    loop_io_del(l->io);
    loop_timer_free(l->poll);
    loop_timer_free(l->slice);
    netlink_close(&l->dump);
    netlink_close(&l->destroy);
    for (struct service *v = l->services.list; v; v = v->next)
        on_change(l, v, SERVICE_ENDED, v->state, "");
    news_done(&l->news);
    naming_done(&l->naming);
    services_done(&l->services);
    listen_view_done(&l->view);
    free(l);
}

static int open_destroy(struct listen *l)
{
    // Listeners have no peer: keep the closing of every connection from waking us. Offsets: netlink
    // header 16, then family, state, timer, retransmits, local port, peer port.
    static const struct sock_filter no_peer[] = {
        BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 16 + 6),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
        BPF_STMT(BPF_RET | BPF_K, 0),
    };
    int rc = netns_netlink(l->sampler->env->netns, NETNS_LISTEN_DESTROY, &l->destroy,
        SOCKDIAG_GROUPS_DESTROY, RECEIVE_BYTES);

    if (rc < 0)
        return rc;
    rc = netlink_filter(&l->destroy, no_peer, sizeof(no_peer) / sizeof(no_peer[0]));
    if (rc < 0)
        return rc;
    l->io = loop_io_add(l->sampler->env->loop, l->destroy.fd, EPOLLIN, on_destroy, l);
    return l->io ? 0 : -ENOMEM;
}

static int sampler_open(struct sampler *s)
{
    struct listen *l = calloc(1, sizeof(*l));
    const struct identity_roots roots = {s->env->proc, s->env->cgroup, "/etc/services"};
    int rc = -ENOMEM;

    if (!l)
        goto fail;
    s->state = l;
    l->sampler = s;
    l->first = true;
    l->dump.fd = l->destroy.fd = -1;
    l->view.max = SERVICE_SOCKETS_MAX;
    services_init(&l->services, on_change, l);
    l->services.netns = netns_label(s->env->netns);
    l->poll = loop_timer_new(s->env->loop, on_poll, l);
    l->slice = loop_timer_new(s->env->loop, on_slice, l);
    if (naming_open(&l->naming, &roots) < 0 || news_open(&l->news, s->env) < 0 || !l->poll ||
        !l->slice)
        goto fail;
    port_range_read(&l->range, s->env->proc);
    rc = netns_netlink(s->env->netns, NETNS_LISTEN, &l->dump, 0, 0);
    if (rc < 0)
        goto fail;
    rc = listen_view_read(&l->view, &l->dump);
    if (rc < 0 && rc != -EAGAIN)
        goto fail;
    // Without the multicast a look still finds what went, a little later: its socket does not answer.
    rc = open_destroy(l);
    if (rc < 0)
        snprintf(s->reason, sizeof(s->reason), "no destroy multicast (%s): seen within 70 ms",
            strerror(-rc));
    s->env->listen = l;
    l->hook = (struct pulse_hook){.wake = on_wake, .ctx = l};
    pulse_hook(s->env->pulse, &l->hook);
    loop_timer_set(l->poll, loop_now_ns(s->env->loop));
    return 0;
fail:
    snprintf(s->reason, sizeof(s->reason), "inet_diag: %s", strerror(-rc));
    sampler_close(s);
    return rc;
}

static void sampler_tick(struct sampler *s, const struct tick *t)
{
    struct listen *l = s->state;
    struct output *o = s->env->out;

    (void)t;
    for (struct service *v = l->services.list; v; v = v->next) {
        struct shown *w = v->data[0];
        if (!w)
            continue;
        // What is held may be a crash in a moment.
        if (!l->news.held || v->state != SERVICE_STARTING)
            shown_state(w, o, v);
        if (v->sockets > 0)
            shown_queues(w, o);
    }
}

const struct sampler_ops listen_sampler = {
    .name = "tcp.listen",
    .tier = "A",
    .interval_ms = 1000,
    .prompt = true,
    .open = sampler_open,
    .tick = sampler_tick,
    .close = sampler_close,
};
