// SPDX-License-Identifier: Apache-2.0
#include "agent/udp_listen.h"
#include "agent/listen.h"
#include "agent/naming.h"
#include "agent/netlink.h"
#include "agent/port_range.h"
#include "agent/service.h"
#include "agent/sockdiag.h"
#include <errno.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define SLICE_NS     (2 * NS_PER_MS)
#define SEARCH_SHARE 20 // a search may follow after so many times what the last one took
#define DUMP_TRIES   3

// Hung to a service as data[0].
struct udp_shown {
    uint32_t sockets, queue, room, drops; // ids
    uint64_t queue_now, room_now, drops_total;
    uint32_t sockets_now;
};

// A socket of the ephemeral range, not old enough to be a service.
struct young {
    uint64_t cookie;
    int64_t met_ns;
    bool seen;
};

struct udp_listen {
    struct sampler *sampler;
    struct netlink netlink;
    struct loop_timer *search;
    struct services services;
    struct sockdiag *view;
    size_t n_view, cap_view;
    struct young *young;
    size_t n_young, cap_young;
    struct naming naming;
    bool has_naming; // its memory is there while somebody waits for a name
    int64_t search_after_ns;
    struct port_range range;
    bool first;
};

// Of timers: the loop's own clock, which tests do not turn.
static int64_t loop_ns(const struct udp_listen *u)
{
    return loop_now_ns(u->sampler->env->loop);
}

static int64_t now_ns(const struct udp_listen *u)
{
    return clock_mono_ns(&u->sampler->env->clock);
}

static void declare(struct output *o, struct service *s)
{
    struct wire_label labels[LISTEN_LABELS];
    char port[8];
    struct udp_shown *w = s->data[0] = calloc(1, sizeof(*w));

    if (!w)
        return;
    listen_labels(s, labels, port);
    w->sockets =
        output_series(o, "tocsin_service_udp_sockets", labels, LISTEN_LABELS, SERIES_GAUGE, "");
    w->queue = output_series(o, "tocsin_service_udp_receive_queue_bytes", labels, LISTEN_LABELS,
        SERIES_GAUGE, "bytes");
    w->room = output_series(o, "tocsin_service_udp_receive_queue_limit_bytes", labels,
        LISTEN_LABELS, SERIES_GAUGE, "bytes");
    w->drops = output_series(
        o, "tocsin_service_udp_receive_drops_total", labels, LISTEN_LABELS, SERIES_COUNTER, "");
}

static void on_change(void *ctx, struct service *s, enum service_change change,
    enum service_state from, const char *detail)
{
    struct udp_listen *u = ctx;
    struct output *o = u->sampler->env->out;
    struct udp_shown *w;

    (void)from;
    (void)detail;
    if (change == SERVICE_APPEARED)
        declare(o, s);
    w = s->data[0];
    if (change != SERVICE_ENDED || !w)
        return;
    output_end(o, w->sockets);
    output_end(o, w->queue);
    output_end(o, w->room);
    output_end(o, w->drops);
    free(w);
    s->data[0] = NULL;
}

// --- names ----------------------------------------------------------------------------------------

static struct naming *naming_get(struct udp_listen *u)
{
    const struct env *env = u->sampler->env;
    struct identity_roots roots = {env->proc, env->cgroup, "/etc/services"};

    if (!u->has_naming && naming_open(&u->naming, &roots) != 0) {
        naming_done(&u->naming);
        return NULL;
    }
    u->has_naming = true;
    return &u->naming;
}

static void search_soon(struct udp_listen *u)
{
    bool wanted = false;

    for (size_t i = 0; u->has_naming && i < u->naming.n; i++)
        wanted |= !u->naming.items[i].searched;
    if (wanted && !naming_is_searching(&u->naming))
        loop_timer_set(
            u->search, u->search_after_ns > loop_ns(u) ? u->search_after_ns : loop_ns(u));
}

static void on_search(void *ctx, int64_t due, int64_t now)
{
    struct udp_listen *u = ctx;
    int64_t begun = sampler_cpu_begin();

    (void)due;
    (void)now;
    if (u->has_naming && naming_step(&u->naming, SLICE_NS) == NAMING_MORE)
        loop_timer_set(u->search, loop_ns(u));
    if (u->search_after_ns < loop_ns(u))
        u->search_after_ns = loop_ns(u);
    u->search_after_ns += (sampler_cpu_begin() - begun) * SEARCH_SHARE;
    sampler_cpu_end(u->sampler, begun);
}

// False as long as it may be a client's.
static bool old_enough(struct udp_listen *u, const struct sockdiag *d)
{
    if (!port_range_has(&u->range, d->local_port))
        return true;
    for (size_t i = 0; i < u->n_young; i++)
        if (u->young[i].cookie == d->cookie) {
            u->young[i].seen = true;
            return now_ns(u) - u->young[i].met_ns >= UDP_LISTEN_SETTLE_NS;
        }
    if (u->n_young == u->cap_young) {
        size_t cap = u->cap_young ? u->cap_young * 2 : 32;
        struct young *grown = realloc(u->young, cap * sizeof(*grown));
        if (!grown)
            return false;
        u->young = grown;
        u->cap_young = cap;
    }
    u->young[u->n_young++] = (struct young){d->cookie, now_ns(u), true};
    return false;
}

static void young_forget(struct udp_listen *u)
{
    size_t kept = 0;

    for (size_t i = 0; i < u->n_young; i++)
        if (u->young[i].seen) {
            u->young[kept] = u->young[i];
            u->young[kept++].seen = false;
        }
    u->n_young = kept;
}

static struct service_socket *meet(struct udp_listen *u, const struct sockdiag *d)
{
    struct naming *n;
    struct naming_item *item;

    if (!old_enough(u, d) || !(n = naming_get(u)) ||
        !(item = naming_add(n, d, false, u->first)) || !naming_is_done(item) || item->searching)
        return NULL;
    // Both: goes without a word.
    struct service_listener up = {.cookie = d->cookie,
        .name = item->name,
        .port = d->local_port,
        .loopback = true,
        .ephemeral_port = true};
    struct service_socket *k = NULL;
    if (u->services.n < UDP_LISTEN_MAX)
        k = services_up(&u->services, &up, now_ns(u));
    else
        u->services.refused++;
    naming_drop(n, item);
    if (k)
        k->drops = d->drops; // what was lost before we looked is not our counter's growth
    return k;
}

// --- the dump -------------------------------------------------------------------------------------

static int view_add(struct udp_listen *u, const struct sockdiag *d)
{
    if (u->n_view == u->cap_view) {
        size_t cap = u->cap_view ? u->cap_view * 2 : 32;
        struct sockdiag *grown =
            cap <= UDP_LISTEN_SOCKETS ? realloc(u->view, cap * sizeof(*grown)) : NULL;
        if (!grown)
            return -ENOMEM;
        u->view = grown;
        u->cap_view = cap;
    }
    u->view[u->n_view++] = *d;
    return 0;
}

static int read_family(struct udp_listen *u, uint8_t family)
{
    uint8_t request[SOCKDIAG_REQUEST_MAX];
    uint16_t type, flags;
    size_t len = sockdiag_request_udp(request, family, &type, &flags);
    int rc = netlink_send(&u->netlink, type, flags, request, len);

    while (rc == 0) {
        int n = netlink_receive(&u->netlink);
        size_t at = 0;
        struct netlink_message m;
        if (n <= 0)
            return n < 0 ? n : -EAGAIN;
        while (rc == 0 && netlink_next(u->netlink.chunk, (size_t)n, &at, &m)) {
            struct sockdiag d;
            if (m.seq != u->netlink.seq)
                continue;
            if (m.type == NLMSG_DONE)
                return 0;
            if (m.type == NLMSG_ERROR)
                return netlink_status(&m) ? netlink_status(&m) : -EBADMSG;
            if (sockdiag_is_socket(m.type) && sockdiag_parse(m.body, m.len, &d) == 0 &&
                d.local_port != 0)
                rc = view_add(u, &d);
        }
    }
    return rc;
}

static int read_view(struct udp_listen *u)
{
    u->n_view = 0;
    int rc = read_family(u, AF_INET);
    if (rc == 0)
        rc = read_family(u, AF_INET6);
    // A kernel without IPv6 has no such table.
    return rc == -ENOENT || rc == -EAFNOSUPPORT ? 0 : rc;
}

static void count(struct service_socket *k, const struct sockdiag *d)
{
    struct udp_shown *w = k->service->data[0];

    if (!w)
        return;
    w->sockets_now++;
    w->queue_now += d->receive_queue;
    if (!(d->have & SOCKDIAG_HAS_DROPS))
        return;
    w->room_now += d->receive_buffer;
    // The kernel's counter goes with its socket; ours goes on.
    w->drops_total += (uint32_t)(d->drops - k->drops);
    k->drops = d->drops;
}

static void use_view(struct udp_listen *u)
{
    for (struct service *s = u->services.list; s; s = s->next) {
        struct udp_shown *w = s->data[0];
        if (w)
            w->queue_now = w->room_now = w->sockets_now = 0;
    }
    services_begin(&u->services);
    for (size_t i = 0; i < u->n_view; i++) {
        const struct sockdiag *d = &u->view[i];
        struct service_socket *k = services_seen(&u->services, d->cookie);
        if (!k)
            k = meet(u, d);
        if (k)
            count(k, d);
    }
    services_end(&u->services, now_ns(u));
    services_advance(&u->services, now_ns(u));
    u->first = false;
    young_forget(u);
    if (u->has_naming) {
        naming_keep(&u->naming, u->view, u->n_view);
        if (u->naming.n == 0 && !naming_is_searching(&u->naming)) {
            naming_done(&u->naming);
            u->has_naming = false;
        }
    }
    search_soon(u);
}

static void sampler_tick(struct sampler *s, const struct tick *t)
{
    struct udp_listen *u = s->state;
    struct output *o = s->env->out;
    int rc = -EAGAIN;

    (void)t;
    for (int i = 0; i < DUMP_TRIES && rc == -EAGAIN; i++)
        rc = read_view(u);
    if (rc < 0) {
        snprintf(s->reason, sizeof(s->reason), "%s",
            rc == -ENOMEM ? "more sockets than are looked at" : strerror(-rc));
        return;
    }
    s->reason[0] = '\0';
    use_view(u);
    for (struct service *v = u->services.list; v; v = v->next) {
        struct udp_shown *w = v->data[0];
        if (!w || v->sockets == 0)
            continue;
        output_set(o, w->sockets, w->sockets_now);
        output_set(o, w->queue, (double)w->queue_now);
        output_set(o, w->room, (double)w->room_now);
        output_set(o, w->drops, (double)w->drops_total);
    }
}

// --- the sampler ----------------------------------------------------------------------------------

static void sampler_close(struct sampler *s)
{
    struct udp_listen *u = s->state;

    if (!u)
        return;
    s->state = NULL;
    loop_timer_free(u->search);
    netlink_close(&u->netlink);
    if (u->has_naming)
        naming_done(&u->naming);
    for (struct service *v = u->services.list; v; v = v->next)
        free(v->data[0]);
    services_done(&u->services);
    free(u->view);
    free(u->young);
    free(u);
}

static int sampler_open(struct sampler *s)
{
    struct udp_listen *u = calloc(1, sizeof(*u));
    int rc = -ENOMEM;

    if (!u)
        goto fail;
    s->state = u;
    u->sampler = s;
    u->first = true;
    u->netlink.fd = -1;
    services_init(&u->services, on_change, u);
    port_range_read(&u->range, s->env->proc);
    u->search = loop_timer_new(s->env->loop, on_search, u);
    if (!u->search)
        goto fail;
    rc = netlink_open(&u->netlink, NETLINK_SOCK_DIAG, 0, 0);
    if (rc == 0)
        rc = read_view(u); // does this kernel have udp_diag?
    if (rc < 0 && rc != -EAGAIN)
        goto fail;
    return 0;
fail:
    snprintf(s->reason, sizeof(s->reason), "udp_diag: %s", strerror(-rc));
    sampler_close(s);
    return rc;
}

const struct sampler_ops udp_listen_sampler = {
    .name = "udp.listen",
    .tier = "A",
    .interval_ms = 5000,
    .open = sampler_open,
    .tick = sampler_tick,
    .close = sampler_close,
};
