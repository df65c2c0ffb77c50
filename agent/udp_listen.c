// SPDX-License-Identifier: Apache-2.0
#include "agent/udp_listen.h"
#include "agent/listen.h"
#include "agent/listen_view.h"
#include "agent/name_search.h"
#include "agent/port_range.h"
#include "agent/service.h"
#include <errno.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DUMP_TRIES 3

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
    struct services services;
    struct listen_view view;
    struct young *young;
    size_t n_young, cap_young;
    struct name_search search;
    struct port_range range;
    bool first;
};

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

// --- who is met ----------------------------------------------------------------------------------

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

    if (!old_enough(u, d) || !(n = name_search_naming(&u->search)) ||
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

// --- a look --------------------------------------------------------------------------------------

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
    for (size_t i = 0; i < u->view.n; i++) {
        const struct sockdiag *d = &u->view.sockets[i];
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
    name_search_looked(&u->search, listen_view_has, &u->view);
}

static void sampler_tick(struct sampler *s, const struct tick *t)
{
    struct udp_listen *u = s->state;
    struct output *o = s->env->out;
    int rc = -EAGAIN;

    (void)t;
    for (int i = 0; i < DUMP_TRIES && rc == -EAGAIN; i++)
        rc = listen_view_read_udp(&u->view, &u->netlink);
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
    name_search_done(&u->search);
    netlink_close(&u->netlink);
    for (struct service *v = u->services.list; v; v = v->next)
        free(v->data[0]);
    services_done(&u->services);
    listen_view_done(&u->view);
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
    u->view.max = UDP_LISTEN_SOCKETS;
    services_init(&u->services, on_change, u);
    port_range_read(&u->range, s->env->proc);
    rc = name_search_init(&u->search, s, NULL, NULL);
    if (rc == 0)
        rc = netlink_open(&u->netlink, NETLINK_SOCK_DIAG, 0, 0);
    if (rc == 0)
        rc = listen_view_read_udp(&u->view, &u->netlink); // does this kernel have udp_diag?
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
