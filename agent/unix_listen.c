// SPDX-License-Identifier: Apache-2.0
#include "agent/unix_listen.h"
#include "agent/listen.h"
#include "agent/naming.h"
#include "agent/netlink.h"
#include "agent/shown.h"
#include "agent/unixdiag.h"
#include "wire/tocsin.pb-c.h"
#include <errno.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define SLICE_NS (2 * NS_PER_MS)
#define VIEW_MAX 4096
#define CONNECTIONS_EVERY                                                                      \
    5                   // ticks: those dumps cost a microsecond for each connection of the host
#define SEARCH_SHARE 20 // a search may follow after so many times what the last one took
#define IDLE_MAX     64
#define IDLE_TICKS   60

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
    struct netlink netlink;
    struct loop_timer *slice, *search;
    struct services services;
    struct map by_name; // name_hash -> struct service
    struct unixdiag *view;
    size_t n_view, cap_view;
    bool dumping, with_connections;
    struct naming naming;
    bool has_naming; // its memory is there while somebody waits for a name
    int64_t search_after_ns;
    size_t ticks;
    struct idle idle[IDLE_MAX]; // round robin
    size_t next_idle;
    bool first; // no whole dump yet
    bool told;
    void (*on_end)(void *ctx, struct service *s);
    void *on_end_ctx;
};

// Of timers: the loop's own clock, which tests do not turn.
static int64_t loop_ns(const struct unix_listen *u)
{
    return loop_now_ns(u->sampler->env->loop);
}

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

static void tell(struct unix_listen *u, const struct service *s, int kind, const char *detail)
{
    const struct clock *c = &u->sampler->env->clock;

    output_event(u->sampler->env->out, kind, c->wall_ns(c->ctx) / 1000, s->name, detail);
    u->told = true;
}

static void show(struct unix_listen *u, struct service *s)
{
    struct wire_label labels[LISTEN_LABELS + 1];
    char port[8];
    struct unix_shown *w = s->data[1];

    shown_declare(s, u->sampler->env->out);
    if (!w)
        return;
    listen_labels(s, labels, port);
    labels[LISTEN_LABELS] = (struct wire_label){"state", "established"};
    w->connections = output_series(u->sampler->env->out, "tocsin_service_connections", labels,
        LISTEN_LABELS + 1, SERIES_GAUGE, "");
}

static void end(struct unix_listen *u, struct service *s)
{
    struct output *o = u->sampler->env->out;
    struct unix_shown *w = s->data[1];

    if (u->on_end)
        u->on_end(u->on_end_ctx, s);
    if (s->data[0])
        shown_end(s->data[0], o);
    shown_free(s);
    if (!w)
        return;
    output_end(o, w->connections);
    if (map_get(&u->by_name, &w->hash, sizeof(w->hash)) == s)
        map_del(&u->by_name, &w->hash, sizeof(w->hash));
    free(w);
    s->data[1] = NULL;
}

static void on_change(void *ctx, struct service *s, enum service_change change,
    enum service_state from, const char *detail)
{
    struct unix_listen *u = ctx;
    struct output *o = u->sampler->env->out;
    char text[SERVICE_PATH_MAX + 32];
    bool quiet = s->ephemeral || s->present;

    output_group(o, 0, 0, clock_wall_ms(&u->sampler->env->clock));
    if (change == SERVICE_ENDED) {
        end(u, s);
        return;
    }
    if (change == SERVICE_APPEARED)
        show(u, s);
    if (s->data[0])
        shown_state(s->data[0], o, s);
    if (change == SERVICE_APPEARED && quiet)
        return;
    switch (s->state) {
    case SERVICE_UP:
        if (change == SERVICE_TURNED && from == SERVICE_STARTING) // a restart is no news
            return;
        snprintf(text, sizeof(text), "listens at %s", s->path);
        tell(u, s, TOCSIN__V1__EVENT_KIND__EVENT_LISTENER_UP, text);
        break;
    case SERVICE_STARTING:
        if (s->settled && !s->ephemeral) {
            snprintf(text, sizeof(text), "nobody listens at %s", s->path);
            tell(u, s, TOCSIN__V1__EVENT_KIND__EVENT_LISTENER_DOWN, text);
        }
        break;
    case SERVICE_STOPPED:
        snprintf(text, sizeof(text), "%s closed", s->path);
        tell(u, s, TOCSIN__V1__EVENT_KIND__EVENT_SERVICE_STOPPED, text);
        break;
    case SERVICE_CRASHED:
        tell(u, s, TOCSIN__V1__EVENT_KIND__EVENT_SERVICE_CRASHED, detail);
        break;
    }
}

static void flush(struct unix_listen *u)
{
    struct env *env = u->sampler->env;

    if (u->told && env->flush)
        env->flush(env->core);
    u->told = false;
}

// --- names ----------------------------------------------------------------------------------------

static struct naming *naming_get(struct unix_listen *u)
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

static void naming_give_back(struct unix_listen *u)
{
    if (u->has_naming && u->naming.n == 0 && !naming_is_searching(&u->naming)) {
        naming_done(&u->naming);
        u->has_naming = false;
    }
}

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
    for (int i = 0; item && i < item->n_owners && !up.ephemeral_port; i++)
        service_owner(k->service, item->owners[i],
            identity_pid_parent(&u->naming.roots, item->owners[i]));
    if (k->service->data[1])
        return;
    w = k->service->data[1] = calloc(1, sizeof(*w));
    if (w) {
        w->hash = d->name_hash;
        map_set(&u->by_name, &d->name_hash, sizeof(d->name_hash), k->service);
    }
}

static bool is_idle(const struct unix_listen *u, uint64_t cookie)
{
    for (size_t i = 0; i < IDLE_MAX; i++)
        if (u->idle[i].cookie == cookie)
            return u->ticks < u->idle[i].again;
    return false;
}

static void idle_add(struct unix_listen *u, uint64_t cookie)
{
    for (size_t i = 0; i < IDLE_MAX; i++)
        if (u->idle[i].cookie == cookie) {
            u->idle[i].again = u->ticks + IDLE_TICKS;
            return;
        }
    u->idle[u->next_idle++ % IDLE_MAX] = (struct idle){cookie, u->ticks + IDLE_TICKS};
}

// A socket met for the first time. Its name may take until a later dump.
static void meet(struct unix_listen *u, const struct unixdiag *d)
{
    if (is_idle(u, d->cookie))
        return;
    struct sockdiag as_socket = {.cookie = d->cookie, .inode = d->inode};
    struct service *known = map_get(&u->by_name, &d->name_hash, sizeof(d->name_hash));
    struct naming *n = naming_get(u);
    struct naming_item *item = n ? naming_add(n, &as_socket, known != NULL, u->first) : NULL;
    char name[IDENTITY_NAME_MAX];

    // Who listens where it did before is who it was; its processes are looked for meanwhile.
    if (known)
        take_name(u, d, known->name, NULL);
    if (known || !item || !item->searched)
        return;
    bool init = item->n_owners == 1 && item->owners[0] == 1;
    if (item->n_owners == 0)
        last_part(d->path, item->name);
    if (init || (item->n_owners == 0 && strncmp(d->path, "/run/systemd/", 13) == 0)) {
        idle_add(u, d->cookie);
    } else {
        memcpy(name, item->name, sizeof(name));
        take_name(u, d, name, item);
    }
    naming_drop(n, item);
}

static void owners_found(struct unix_listen *u)
{
    struct naming *n = &u->naming;

    for (size_t i = 0; i < n->n;) {
        struct naming_item *item = &n->items[i];
        struct service_socket *k;
        if (!item->again || !item->searched) {
            i++;
            continue;
        }
        k = services_seen(&u->services, item->socket.cookie);
        for (int o = 0; k && o < item->n_owners && !k->service->ephemeral; o++)
            service_owner(
                k->service, item->owners[o], identity_pid_parent(&n->roots, item->owners[o]));
        naming_drop(n, item);
    }
}

// --- the dump ------------------------------------------------------------------------------------

static bool view_add(struct unix_listen *u, const struct unixdiag *d)
{
    if (u->n_view == u->cap_view) {
        size_t cap = u->cap_view ? u->cap_view * 2 : 32;
        struct unixdiag *grown =
            cap <= VIEW_MAX ? realloc(u->view, cap * sizeof(*grown)) : NULL;
        if (!grown)
            return false;
        u->view = grown;
        u->cap_view = cap;
    }
    u->view[u->n_view++] = *d;
    return true;
}

static int take(struct unix_listen *u, const struct unixdiag *d)
{
    if (d->name_hash == 0 || d->type == SOCK_DGRAM)
        return 0;
    if (d->state == SOCKDIAG_LISTEN)
        return view_add(u, d) ? 0 : -ENOMEM;
    struct service *s = map_get(&u->by_name, &d->name_hash, sizeof(d->name_hash));
    struct unix_shown *w = s ? s->data[1] : NULL;
    if (w)
        w->counting++;
    return 0;
}

static int dump_begin(struct unix_listen *u, bool with_connections)
{
    uint8_t request[UNIXDIAG_REQUEST_MAX];
    uint16_t type, flags;
    uint32_t states = SOCKDIAG_BIT(SOCKDIAG_LISTEN);

    if (with_connections)
        states |= SOCKDIAG_BIT(SOCKDIAG_ESTABLISHED);
    for (struct service *s = u->services.list; s; s = s->next)
        if (s->data[1])
            ((struct unix_shown *)s->data[1])->counting = 0;
    u->n_view = 0;
    u->with_connections = with_connections;
    size_t len = unixdiag_request(request, states, &type, &flags);
    int rc = netlink_send(&u->netlink, type, flags, request, len);
    u->dumping = rc == 0;
    return rc;
}

// One datagram. 1 = the dump is whole, 0 = there is more, -errno.
static int dump_read(struct unix_listen *u)
{
    int n = netlink_receive(&u->netlink);
    size_t at = 0;
    struct netlink_message m;

    if (n <= 0)
        return n < 0 ? n : -EAGAIN;
    while (netlink_next(u->netlink.chunk, (size_t)n, &at, &m)) {
        struct unixdiag d;
        int rc = 0;
        if (m.seq != u->netlink.seq)
            continue;
        if (m.type == NLMSG_DONE)
            return 1;
        if (m.type == NLMSG_ERROR)
            return netlink_status(&m) ? netlink_status(&m) : -EBADMSG;
        if (sockdiag_is_socket(m.type) && unixdiag_parse(m.body, m.len, &d) == 0)
            rc = take(u, &d);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static bool is_there(const struct unix_listen *u, uint64_t cookie)
{
    for (size_t i = 0; i < u->n_view; i++)
        if (u->view[i].cookie == cookie)
            return true;
    return false;
}

static void use_view(struct unix_listen *u)
{
    int64_t now = now_ns(u);

    for (struct service *s = u->services.list; s; s = s->next)
        shown_look_begin(s->data[0]);
    services_begin(&u->services);
    for (size_t i = 0; i < u->n_view; i++) {
        const struct unixdiag *d = &u->view[i];
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
        if (c && u->with_connections) {
            c->counted = c->counting;
            c->known = true;
        }
    }
    for (size_t i = 0; u->has_naming && i < u->naming.n;)
        if (is_there(u, u->naming.items[i].socket.cookie))
            i++;
        else
            naming_drop(&u->naming, &u->naming.items[i]);
    naming_give_back(u);
    services_advance(&u->services, now);
}

static bool wants_search(const struct unix_listen *u)
{
    for (size_t i = 0; u->has_naming && i < u->naming.n; i++)
        if (!u->naming.items[i].searched)
            return true;
    return false;
}

// Goes on until the dump is whole or, unless `whole`, its slice is over.
static void dump_go_on(struct unix_listen *u, bool whole)
{
    struct clock real = clock_system();
    int64_t until = clock_mono_ns(&real) + SLICE_NS;
    int rc = 0;

    while (u->dumping && rc == 0) {
        rc = dump_read(u);
        if (rc != 0)
            u->dumping = false;
        else if (!whole && clock_mono_ns(&real) >= until) {
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
    if (wants_search(u) && !naming_is_searching(&u->naming))
        loop_timer_set(
            u->search, u->search_after_ns > loop_ns(u) ? u->search_after_ns : loop_ns(u));
}

static void on_slice(void *ctx, int64_t due, int64_t now)
{
    struct unix_listen *u = ctx;
    int64_t begun = sampler_cpu_begin();

    (void)due;
    (void)now;
    dump_go_on(u, false);
    flush(u);
    sampler_cpu_end(u->sampler, begun);
}

static void on_search(void *ctx, int64_t due, int64_t now)
{
    struct unix_listen *u = ctx;
    int64_t begun = sampler_cpu_begin(), took;
    enum naming_search rc = u->has_naming ? naming_step(&u->naming, SLICE_NS) : NAMING_IDLE;

    (void)due;
    (void)now;
    sampler_cpu_end(u->sampler, begun);
    took = sampler_cpu_begin() - begun;
    if (u->search_after_ns < loop_ns(u))
        u->search_after_ns = loop_ns(u);
    u->search_after_ns += took * SEARCH_SHARE;
    if (rc == NAMING_MORE)
        loop_timer_set(u->search, loop_ns(u));
    else if (rc == NAMING_OVER)
        owners_found(u);
}

void unix_listen_exit(struct unix_listen *u, const struct service_exit *e)
{
    if (!services_exit(&u->services, e, now_ns(u)))
        return;
    // What a slice was reading is of before the death.
    while (u->dumping)
        dump_go_on(u, true);
    if (dump_begin(u, false) == 0)
        dump_go_on(u, true);
    flush(u);
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
    loop_timer_free(u->search);
    netlink_close(&u->netlink);
    if (u->has_naming)
        naming_done(&u->naming);
    for (struct service *v = u->services.list; v; v = v->next) {
        if (u->on_end)
            u->on_end(u->on_end_ctx, v);
        shown_free(v);
        free(v->data[1]);
    }
    services_done(&u->services);
    map_done(&u->by_name);
    free(u->view);
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
    u->netlink.fd = -1;
    services_init(&u->services, on_change, u);
    map_init(&u->by_name);
    u->slice = loop_timer_new(s->env->loop, on_slice, u);
    u->search = loop_timer_new(s->env->loop, on_search, u);
    if (!u->slice || !u->search)
        goto fail;
    rc = netlink_open(&u->netlink, NETLINK_SOCK_DIAG, 0, 0);
    if (rc == 0)
        rc = dump_begin(u, false);
    if (rc == 0)
        rc = dump_read(u); // does this kernel have unix_diag?
    u->dumping = rc == 0;
    if (rc < 0)
        goto fail;
    while (u->dumping)
        u->dumping = dump_read(u) == 0;
    u->n_view = 0;
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

    if (!u->dumping && dump_begin(u, u->ticks++ % CONNECTIONS_EVERY == 0) == 0)
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
    flush(u);
}

const struct sampler_ops unix_listen_sampler = {
    .name = "unix.listen",
    .tier = "A",
    .interval_ms = 1000,
    .open = sampler_open,
    .tick = sampler_tick,
    .close = sampler_close,
};
