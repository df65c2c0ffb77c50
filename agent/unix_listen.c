// SPDX-License-Identifier: Apache-2.0
#include "agent/unix_listen.h"
#include "agent/listen.h"
#include "agent/name_search.h"
#include "agent/news.h"
#include "agent/shown.h"
#include "agent/unix_view.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SLICE_NS (2 * NS_PER_MS)
// Ticks: those dumps cost a microsecond for each connection of the host.
#define CONNECTIONS_EVERY 5
#define IDLE_MAX          64
#define IDLE_TICKS        60

// Hung to a service as data[1], beside the struct shown.
struct unix_shown {
    uint32_t connections; // id
    uint64_t hash;
    size_t counting, counted;
    bool known; // `counted` is
};

// A socket that only init holds, or nobody we could name: passed over until tick `again`.
struct idle {
    uint64_t cookie;
    size_t again;
};

struct unix_listen {
    struct sampler *sampler;
    struct loop_timer *slice;
    struct services services;
    struct map by_name; // name_hash -> struct service
    struct unix_view view;
    struct name_search search;
    struct news news;
    size_t ticks;
    struct idle idle[IDLE_MAX]; // round robin
    size_t next_idle;
    bool first; // no whole dump yet
    void (*on_end)(void *ctx, struct service *s);
    void *on_end_ctx;
};

static int64_t now_ns(const struct unix_listen *u)
{
    return clock_mono_ns(&u->sampler->env->clock);
}

bool unix_listen_lasting(const char *path)
{
    return (strncmp(path, "/run/", 5) == 0 && strncmp(path, "/run/user/", 10) != 0) ||
           (strncmp(path, "/var/", 5) == 0 && strncmp(path, "/var/tmp/", 9) != 0);
}

// --- what is told -------------------------------------------------------------------------------

static void show_connections(struct unix_listen *u, const struct service *s)
{
    struct wire_label labels[LISTEN_LABELS + 1];
    char port[8];
    struct unix_shown *w = s->data[1];

    if (!w)
        return;
    listen_labels(s, labels, port);
    labels[LISTEN_LABELS] = (struct wire_label){"state", "established"};
    w->connections = output_series(u->sampler->env->out, "tocsin_service_connections", labels,
        LISTEN_LABELS + 1, SERIES_GAUGE, "");
}

static void end(struct unix_listen *u, struct service *s)
{
    struct unix_shown *w = s->data[1];

    if (u->on_end)
        u->on_end(u->on_end_ctx, s);
    if (!w)
        return;
    output_end(u->sampler->env->out, w->connections);
    if (map_get(&u->by_name, &w->hash, sizeof(w->hash)) == s)
        map_del(&u->by_name, &w->hash, sizeof(w->hash));
    free(w);
    s->data[1] = NULL;
}

static void on_change(void *ctx, struct service *s, enum service_change change,
    enum service_state from, const char *detail)
{
    struct unix_listen *u = ctx;

    news_change(&u->news, s, change, from, detail);
    if (change == SERVICE_APPEARED)
        show_connections(u, s);
    if (change == SERVICE_ENDED)
        end(u, s);
}

// --- names ----------------------------------------------------------------------------------------

static void last_part(const char *path, char name[static IDENTITY_NAME_MAX])
{
    const char *slash = strrchr(path, '/');

    snprintf(name, IDENTITY_NAME_MAX, "%s", slash && slash[1] ? slash + 1 : path);
}

static void take_name(struct unix_listen *u, const struct unixdiag *d, const char *name,
    const struct naming_item *item)
{
    struct service_listener up = {.cookie = d->cookie,
        .name = name,
        .path = d->path,
        .loopback = true,
        .ephemeral_port = !unix_listen_lasting(d->path),
        .present = item ? item->present : false};
    struct service *known = map_get(&u->by_name, &d->name_hash, sizeof(d->name_hash));
    struct unix_shown *w;

    if (!known && u->services.n >= UNIX_LISTEN_MAX) {
        u->services.refused++;
        return;
    }
    struct service_socket *k = services_up(&u->services, &up, now_ns(u));
    if (!k)
        return;
    if (item && !up.ephemeral_port)
        naming_owners(&u->search.naming, item, k->service);
    if (k->service->data[1])
        return;
    w = k->service->data[1] = calloc(1, sizeof(*w));
    if (!w)
        return;
    w->hash = d->name_hash;
    map_set(&u->by_name, &d->name_hash, sizeof(d->name_hash), k->service);
    if (k->service->announced) // at once, when there was nothing to show yet
        show_connections(u, k->service);
}

static struct idle *idle_of(struct unix_listen *u, uint64_t cookie)
{
    for (size_t i = 0; i < IDLE_MAX; i++)
        if (u->idle[i].cookie == cookie)
            return &u->idle[i];
    return NULL;
}

// A socket met for the first time. Its name may take until a later dump.
static void meet(struct unix_listen *u, const struct unixdiag *d)
{
    struct idle *idle = idle_of(u, d->cookie);
    if (idle && u->ticks < idle->again)
        return;
    struct sockdiag as_socket = {.cookie = d->cookie, .inode = d->inode};
    struct service *known = map_get(&u->by_name, &d->name_hash, sizeof(d->name_hash));
    struct naming *n = name_search_naming(&u->search);
    struct naming_item *item = n ? naming_add(n, &as_socket, known != NULL, u->first) : NULL;

    // Who listens where it did before is who it was; its processes are looked for meanwhile.
    if (known)
        take_name(u, d, known->name, NULL);
    if (known || !item || !item->searched)
        return;
    bool init = item->n_owners == 1 && item->owners[0] == 1;
    if (item->n_owners == 0)
        last_part(d->path, item->name);
    if (init || (item->n_owners == 0 && strncmp(d->path, "/run/systemd/", 13) == 0)) {
        if (!idle)
            idle = &u->idle[u->next_idle++ % IDLE_MAX];
        *idle = (struct idle){d->cookie, u->ticks + IDLE_TICKS};
    } else {
        take_name(u, d, item->name, item);
    }
    naming_drop(n, item);
}

static void owners_found(void *ctx)
{
    struct unix_listen *u = ctx;
    struct naming *n = &u->search.naming;

    for (size_t i = 0; i < n->n;) {
        struct naming_item *item = &n->items[i];
        struct service_socket *k;
        if (!item->again || !item->searched) {
            i++;
            continue;
        }
        k = services_seen(&u->services, item->socket.cookie);
        if (k && !k->service->ephemeral)
            naming_owners(n, item, k->service);
        naming_drop(n, item);
    }
}

// --- the dump ------------------------------------------------------------------------------------

static void on_connection(void *ctx, uint64_t name_hash)
{
    struct unix_listen *u = ctx;
    struct service *s = map_get(&u->by_name, &name_hash, sizeof(name_hash));
    struct unix_shown *w = s ? s->data[1] : NULL;

    if (w)
        w->counting++;
}

static int dump_begin(struct unix_listen *u, bool with_connections)
{
    for (struct service *s = u->services.list; s; s = s->next)
        if (s->data[1])
            ((struct unix_shown *)s->data[1])->counting = 0;
    return unix_view_begin(&u->view, with_connections);
}

static void use_view(struct unix_listen *u)
{
    int64_t now = now_ns(u);

    for (struct service *s = u->services.list; s; s = s->next)
        shown_look_begin(s->data[0]);
    services_begin(&u->services);
    for (size_t i = 0; i < u->view.n; i++) {
        const struct unixdiag *d = &u->view.sockets[i];
        struct service_socket *k = services_seen(&u->services, d->cookie);
        struct shown *w;
        if (!k) {
            meet(u, d);
            k = services_seen(&u->services, d->cookie);
        }
        if (!k || !(w = k->service->data[0]))
            continue;
        w->queue_now += d->waiting;
        w->limit_now += d->limit;
    }
    services_end(&u->services, now);
    u->first = false;
    for (struct service *s = u->services.list; s; s = s->next) {
        struct unix_shown *c = s->data[1];
        shown_look_end(s->data[0]);
        if (c && u->view.with_connections) {
            c->counted = c->counting;
            c->known = true;
        }
    }
    name_search_looked(&u->search, unix_view_has, &u->view);
    services_advance(&u->services, now);
}

// Goes on until the dump is whole or, unless `whole`, its slice is over.
static void dump_go_on(struct unix_listen *u, bool whole)
{
    struct clock real = clock_system();
    int64_t until = clock_mono_ns(&real) + SLICE_NS;
    int rc = 0;

    while (u->view.reading) {
        rc = unix_view_read(&u->view);
        if (rc == 0 && !whole && clock_mono_ns(&real) >= until) {
            loop_timer_set(u->slice, clock_mono_ns(&real));
            return;
        }
    }
    if (rc == 1) {
        use_view(u);
        u->sampler->reason[0] = '\0';
    } else if (rc < 0) {
        snprintf(u->sampler->reason, sizeof(u->sampler->reason), "%s",
            rc == -ENOMEM ? "more listeners than there is room for" : strerror(-rc));
        services_advance(&u->services, now_ns(u));
    }
}

static void on_slice(void *ctx, int64_t due, int64_t now)
{
    struct unix_listen *u = ctx;
    int64_t begun = sampler_cpu_begin();

    (void)due;
    (void)now;
    dump_go_on(u, false);
    news_flush(&u->news);
    sampler_cpu_end(u->sampler, begun);
}

void unix_listen_exit(struct unix_listen *u, const struct service_exit *e)
{
    if (!services_exit(&u->services, e, now_ns(u)))
        return;
    // What a slice was reading is of before the death.
    dump_go_on(u, true);
    if (dump_begin(u, false) == 0)
        dump_go_on(u, true);
    news_flush(&u->news);
}

struct service *unix_listen_services(struct unix_listen *u)
{
    return u->services.list;
}

uint64_t unix_listen_hash(const struct service *s)
{
    const struct unix_shown *w = s->data[1];

    return w ? w->hash : 0;
}

void unix_listen_on_end(
    struct unix_listen *u, void (*fn)(void *ctx, struct service *s), void *ctx)
{
    u->on_end = fn;
    u->on_end_ctx = ctx;
}

// --- the sampler ---------------------------------------------------------------------------------

static void sampler_close(struct sampler *s)
{
    struct unix_listen *u = s->state;

    if (!u)
        return;
    s->env->unix_listen = NULL;
    s->state = NULL;
    loop_timer_free(u->slice);
    name_search_done(&u->search);
    unix_view_close(&u->view);
    for (struct service *v = u->services.list; v; v = v->next)
        on_change(u, v, SERVICE_ENDED, v->state, "");
    news_done(&u->news);
    services_done(&u->services);
    map_done(&u->by_name);
    free(u);
}

static int sampler_open(struct sampler *s)
{
    struct unix_listen *u = calloc(1, sizeof(*u));
    int rc = -ENOMEM;

    if (!u)
        goto fail;
    s->state = u;
    u->sampler = s;
    u->first = true;
    u->view.connection = on_connection;
    u->view.ctx = u;
    services_init(&u->services, on_change, u);
    map_init(&u->by_name);
    u->slice = loop_timer_new(s->env->loop, on_slice, u);
    if (!u->slice || news_open(&u->news, s->env) < 0 ||
        name_search_init(&u->search, s, owners_found, u) < 0)
        goto fail;
    rc = unix_view_open(&u->view); // does this kernel have unix_diag?
    if (rc < 0)
        goto fail;
    s->env->unix_listen = u;
    return 0;
fail:
    snprintf(s->reason, sizeof(s->reason), "unix_diag: %s", strerror(-rc));
    sampler_close(s);
    return rc;
}

static void sampler_tick(struct sampler *s, const struct tick *t)
{
    struct unix_listen *u = s->state;
    struct output *o = s->env->out;

    if (!u->view.reading && dump_begin(u, u->ticks++ % CONNECTIONS_EVERY == 0) == 0)
        dump_go_on(u, false);
    output_group(o, t->interval_ms, t->n, t->wall_ms); // events had a group of their own
    for (struct service *v = u->services.list; v; v = v->next) {
        struct shown *w = v->data[0];
        struct unix_shown *c = v->data[1];
        if (w)
            shown_state(w, o, v);
        if (!w || v->sockets == 0)
            continue;
        shown_queues(w, o);
        if (c && c->known)
            output_set(o, c->connections, (double)c->counted);
    }
    news_flush(&u->news);
}

const struct sampler_ops unix_listen_sampler = {
    .name = "unix.listen",
    .tier = "A",
    .interval_ms = 1000,
    .open = sampler_open,
    .tick = sampler_tick,
    .close = sampler_close,
};
