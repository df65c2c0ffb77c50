// SPDX-License-Identifier: Apache-2.0
#include "agent/listen.h"
#include "agent/identity.h"
#include "agent/netlink.h"
#include "agent/queues.h"
#include "agent/shown.h"
#include "agent/sockdiag.h"
#include "wire/tocsin.pb-c.h"
#include <errno.h>
#include <linux/netlink.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#define POLL_NS       (NS_PER_S / 15)
#define ROUNDS        7 // looks from dump to dump
#define HOLD_NS       (1 * NS_PER_MS)
#define RETURN_NS     (60 * NS_PER_S)
#define SLICE_NS      (2 * NS_PER_MS)
#define PENDING_MAX   512
#define PATHS         64
#define DUMP_TRIES    3
#define CGROUP_PIDS   64
#define TURNED_MAX    32
#define RECEIVE_BYTES (1 << 20)

// A listener on its way to a name.
struct pending {
    struct sockdiag socket;
    char name[IDENTITY_NAME_MAX]; // "" = not known yet
    int32_t owners[SERVICE_OWNERS];
    int n_owners;
    bool present;   // found by the first dump
    bool again;     // has its name; only its owners are looked for anew
    bool searching; // its inode is among scan_wants
};

struct listen {
    struct sampler *sampler;
    struct netlink dump, destroy;
    struct loop_io *io;
    struct loop_timer *poll, *slice, *hold;
    struct services services;
    struct identity_roots roots;
    uint16_t port_low, port_high; // net.ipv4.ip_local_port_range
    uint8_t ports[65536 / 8];     // listening now
    struct sockdiag *view;        // the last whole dump
    size_t n_view, cap_view;
    struct queues queues;                     // asked for between dumps
    struct service_socket *asked[QUEUES_MAX]; // by the queues; NULL: has no name yet
    unsigned round;
    struct pending *pending;
    size_t n_pending;
    struct identity_scan scan;
    struct identity_want *wants;
    bool first;      // no whole dump yet
    bool told;       // events since the last flush
    bool owned;      // a process was found to hold a listener, and on_owners does not know yet
    bool held;       // ... which wait for word of a death
    int64_t went_ms; // wall clock of what went since the last flush; 0 = nothing
    struct {
        uint64_t id;
        char path[IDENTITY_PATH_MAX];
    } * paths; // cgroups met lately, round robin
    size_t next_path;
    void (*on_end)(void *ctx, struct service *s);
    void *on_end_ctx;
    void (*on_owners)(void *ctx);
    void *on_owners_ctx;
    void (*on_turn)(void *ctx, uint16_t port);
    void *on_turn_ctx;
    uint16_t turned[TURNED_MAX]; // ports for on_turn; of more, their probes wait for their turn
    size_t n_turned;
};

static int64_t now_ns(const struct listen *l)
{
    return clock_mono_ns(&l->sampler->env->clock);
}

// --- what is told -------------------------------------------------------------------------------

static void tell(struct listen *l, const struct service *s, int kind, const char *detail)
{
    const struct clock *c = &l->sampler->env->clock;

    output_event(l->sampler->env->out, kind, c->wall_ns(c->ctx) / 1000, s->name, detail);
    l->told = true;
}

static void turned(struct listen *l, uint16_t port)
{
    if (l->n_turned < TURNED_MAX)
        l->turned[l->n_turned++] = port;
}

static void on_change(void *ctx, struct service *s, enum service_change change,
    enum service_state from, const char *detail)
{
    struct listen *l = ctx;
    struct output *o = l->sampler->env->out;
    char text[96];
    int64_t stamp_ms = clock_wall_ms(&l->sampler->env->clock);

    // What goes between two flushes has one stamp, so that a crash takes the place of the `starting`
    // it was for a moment: rules take that for a planned restart.
    if (change == SERVICE_TURNED && s->state != SERVICE_UP)
        l->went_ms = stamp_ms = l->went_ms ? l->went_ms : stamp_ms;
    output_group(o, 0, 0, stamp_ms);
    switch (change) {
    case SERVICE_APPEARED:
        shown_declare(s, o);
        if (s->data[0])
            shown_state(s->data[0], o, s);
        if (!s->present) {
            snprintf(text, sizeof(text), "listens on port %u", s->port);
            tell(l, s, TOCSIN__V1__EVENT_KIND__EVENT_LISTENER_UP, text);
            turned(l, s->port);
        }
        return;
    case SERVICE_ENDED:
        if (l->on_end)
            l->on_end(l->on_end_ctx, s);
        if (s->data[0])
            shown_end(s->data[0], o);
        shown_free(s);
        return;
    case SERVICE_TURNED:
        if ((from == SERVICE_UP) != (s->state == SERVICE_UP))
            turned(l, s->port);
        if (from == SERVICE_UP)
            queues_gone(&l->queues, s->port);
        break;
    }
    if (s->data[0])
        shown_state(s->data[0], o, s);
    switch (s->state) {
    case SERVICE_UP:
        // A restart within its grace is no news.
        if (from != SERVICE_STARTING) {
            snprintf(text, sizeof(text), "listens on port %u again", s->port);
            tell(l, s, TOCSIN__V1__EVENT_KIND__EVENT_LISTENER_UP, text);
        }
        break;
    case SERVICE_STARTING:
        if (s->settled && !s->ephemeral) {
            snprintf(text, sizeof(text), "nobody listens on port %u", s->port);
            tell(l, s, TOCSIN__V1__EVENT_KIND__EVENT_LISTENER_DOWN, text);
        }
        break;
    case SERVICE_STOPPED:
        snprintf(text, sizeof(text), "port %u closed", s->port);
        tell(l, s, TOCSIN__V1__EVENT_KIND__EVENT_SERVICE_STOPPED, text);
        break;
    case SERVICE_CRASHED:
        tell(l, s, TOCSIN__V1__EVENT_KIND__EVENT_SERVICE_CRASHED, detail);
        break;
    }
}

static void flush(struct listen *l)
{
    struct env *env = l->sampler->env;

    loop_timer_stop(l->hold);
    l->held = false;
    if (l->told && env->flush)
        env->flush(env->core);
    l->told = false;
    l->went_ms = 0;
    for (size_t i = 0; i < l->n_turned && l->on_turn; i++)
        l->on_turn(l->on_turn_ctx, l->turned[i]);
    l->n_turned = 0;
}

static void flush_unless_held(struct listen *l)
{
    if (!l->held)
        flush(l);
}

static void on_hold(void *ctx, int64_t due, int64_t now)
{
    (void)due;
    (void)now;
    flush(ctx);
}

// A listener went: word of the death that took it comes 0.1-0.4 ms later and belongs into the same
// frame. Nothing pages by the first half alone.
static void flush_soon(struct listen *l)
{
    if (!l->told) {
        l->went_ms = 0;
        return;
    }
    if (!l->held)
        loop_timer_set(l->hold, now_ns(l) + HOLD_NS);
    l->held = true;
}

// --- names and owners ----------------------------------------------------------------------------

static const char *cgroup_path(struct listen *l, const struct sockdiag *k)
{
    char path[IDENTITY_PATH_MAX];

    if (!(k->have & SOCKDIAG_HAS_CGROUP) || k->cgroup_id <= 1)
        return NULL;
    for (size_t i = 0; i < PATHS; i++)
        if (l->paths[i].id == k->cgroup_id)
            return l->paths[i].path;
    if (identity_cgroup_find(&l->roots, k->cgroup_id, path) != 0)
        return NULL;
    size_t at = l->next_path++ % PATHS;
    l->paths[at].id = k->cgroup_id;
    memcpy(l->paths[at].path, path, sizeof(path));
    return l->paths[at].path;
}

static void add_owner(struct pending *p, int32_t pid)
{
    for (int i = 0; i < p->n_owners; i++)
        if (p->owners[i] == pid)
            return;
    if (p->n_owners < SERVICE_OWNERS)
        p->owners[p->n_owners++] = pid;
}

// The quick way, enough for every unit and container: by the socket's cgroup.
static void name_by_cgroup(struct listen *l, struct pending *p)
{
    const char *path = cgroup_path(l, &p->socket);
    int32_t pids[CGROUP_PIDS];
    int n, holders = 0;

    if (!path)
        return;
    n = identity_cgroup_pids(&l->roots, path, pids, CGROUP_PIDS);
    for (int i = 0; i < n; i++)
        if (pids[i] != 1 && identity_pid_holds(&l->roots, pids[i], p->socket.inode) == 1) {
            add_owner(p, pids[i]);
            holders++;
        }
    if (p->again)
        return;
    if (identity_cgroup_name(path, p->name)) {
        // Not allowed to look: all of a unit's processes may hold it. Their parents tell masters
        // from workers.
        for (int i = 0; holders == 0 && i < n; i++)
            add_owner(p, pids[i]);
        return;
    }
    // The oldest comes first in cgroup.procs and is the master.
    if (holders > 0)
        identity_pid_name(&l->roots, p->owners[0], p->name);
}

static void owners_to(struct listen *l, struct service *s, const struct pending *p)
{
    for (int i = 0; i < p->n_owners; i++)
        service_owner(s, p->owners[i], identity_pid_parent(&l->roots, p->owners[i]));
    l->owned = l->owned || p->n_owners > 0;
}

static bool is_done(const struct pending *p)
{
    return p->again ? p->n_owners > 0 : p->name[0] != '\0';
}

static struct pending *pending_find(struct listen *l, uint64_t cookie)
{
    for (size_t i = 0; i < l->n_pending; i++)
        if (l->pending[i].socket.cookie == cookie)
            return &l->pending[i];
    return NULL;
}

static struct pending *pending_add(struct listen *l, const struct sockdiag *k, bool again)
{
    struct pending *p = pending_find(l, k->cookie);

    if (p || l->n_pending == PENDING_MAX)
        return p;
    p = &l->pending[l->n_pending++];
    *p = (struct pending){.socket = *k, .present = l->first, .again = again};
    name_by_cgroup(l, p);
    return p;
}

static void pending_drop(struct listen *l, struct pending *p)
{
    *p = l->pending[--l->n_pending];
}

static void dump(struct listen *l);

// Puts what the search found where it belongs; what it did not find gets its name from the port.
static void search_over(struct listen *l)
{
    for (size_t i = 0; i < l->n_pending;) {
        struct pending *p = &l->pending[i];
        int32_t pid = 0;
        for (size_t k = 0; p->searching && k < l->scan.n_wants; k++)
            if (l->wants[k].inode == p->socket.inode)
                pid = l->wants[k].pid;
        if (!p->searching) {
            i++;
            continue;
        }
        p->searching = false;
        if (pid != 0)
            add_owner(p, pid);
        if (p->again) {
            struct service_socket *k = services_seen(&l->services, p->socket.cookie);
            if (k) {
                service_owners_clear(k->service);
                owners_to(l, k->service, p);
            }
            pending_drop(l, p);
            continue;
        }
        if (pid == 0 || !identity_pid_name(&l->roots, pid, p->name))
            identity_port_name(&l->roots, p->socket.local_port, p->name);
        i++;
    }
    dump(l); // the sockets may be gone by now
}

static bool search_begin(struct listen *l)
{
    size_t n = 0;

    if (l->scan.pids)
        return true;
    for (size_t i = 0; i < l->n_pending; i++)
        if (!is_done(&l->pending[i])) {
            l->pending[i].searching = true;
            l->wants[n++] = (struct identity_want){.inode = l->pending[i].socket.inode};
        }
    if (n == 0)
        return false;
    if (identity_scan_begin(&l->scan, &l->roots, l->wants, n) != 0)
        l->scan = (struct identity_scan){.wants = l->wants, .n_wants = n};
    return true;
}

// One slice of the search; the rest after the loop has turned.
static void search_slice(struct listen *l)
{
    struct clock real = clock_system();
    int64_t until = clock_mono_ns(&real) + SLICE_NS;

    if (!search_begin(l))
        return;
    while (identity_scan_step(&l->scan, &l->roots))
        if (clock_mono_ns(&real) >= until) {
            loop_timer_set(l->slice, clock_mono_ns(&real));
            return;
        }
    search_over(l);
}

static void on_slice(void *ctx, int64_t due, int64_t now)
{
    struct listen *l = ctx;
    int64_t begun = sampler_cpu_begin();

    (void)due;
    (void)now;
    search_slice(l);
    flush_unless_held(l);
    sampler_cpu_end(l->sampler, begun);
}

// --- the dump ------------------------------------------------------------------------------------

static bool view_add(struct listen *l, const struct sockdiag *k)
{
    if (l->n_view == l->cap_view) {
        size_t cap = l->cap_view ? l->cap_view * 2 : 64;
        struct sockdiag *grown =
            cap <= SERVICE_SOCKETS_MAX ? realloc(l->view, cap * sizeof(*grown)) : NULL;
        if (!grown)
            return false;
        l->view = grown;
        l->cap_view = cap;
    }
    l->view[l->n_view++] = *k;
    return true;
}

// Reads one dump to its end. The kernel answers within our own calls, so nothing is waited for.
// 0, -EAGAIN: the table changed meanwhile, take it again; -errno.
static int read_view(struct listen *l)
{
    uint8_t request[SOCKDIAG_REQUEST_MAX];
    uint16_t type, flags;
    size_t len =
        sockdiag_request(request, SOCKDIAG_BIT(SOCKDIAG_LISTEN), false, true, &type, &flags);
    int rc = netlink_send(&l->dump, type, flags, request, len);

    l->n_view = 0;
    while (rc == 0) {
        int n = netlink_receive(&l->dump);
        size_t at = 0;
        struct netlink_message m;
        if (n <= 0)
            return n < 0 ? n : -EAGAIN;
        while (netlink_next(l->dump.chunk, (size_t)n, &at, &m)) {
            struct sockdiag k;
            if (m.seq != l->dump.seq)
                continue;
            if (m.flags & NLM_F_DUMP_INTR)
                rc = -EAGAIN;
            if (m.type == NLMSG_DONE)
                return rc;
            if (m.type == NLMSG_ERROR)
                return netlink_status(&m) ? netlink_status(&m) : -EBADMSG;
            if (sockdiag_is_socket(m.type) && sockdiag_parse(m.body, m.len, &k) == 0 &&
                k.state == SOCKDIAG_LISTEN && !view_add(l, &k))
                return -ENOMEM;
        }
    }
    return rc;
}

static void count_queue(struct service_socket *k, const struct sockdiag *d)
{
    struct shown *w = k->service->data[0];

    if (!w)
        return;
    w->queue_now += d->receive_queue;
    w->limit_now += d->send_queue;
    if (d->have & SOCKDIAG_HAS_DROPS) {
        // The kernel's counter goes with its socket; ours goes on.
        w->drops_total += (uint32_t)(d->drops - k->drops);
        w->drops_known = true;
        k->drops = d->drops;
    }
}

static struct service_socket *named(struct listen *l, struct pending *p, int64_t now)
{
    const struct sockdiag *d = &p->socket;
    struct service_listener up = {
        .cookie = d->cookie,
        .name = p->name,
        .port = d->local_port,
        .loopback = sockdiag_is_loopback(d->local),
        .ephemeral_port = d->local_port >= l->port_low && d->local_port <= l->port_high,
        .present = p->present,
    };
    struct service_socket *k = services_up(&l->services, &up, now);

    if (k) {
        struct shown *w = k->service->data[0];
        char unit[IDENTITY_NAME_MAX];
        const char *path = cgroup_path(l, d);
        owners_to(l, k->service, p);
        // A session's or the root's cgroup holds more than this service.
        if (w && path && identity_cgroup_name(path, unit))
            oom_watch_init(&w->oom, &l->roots, path);
    }
    pending_drop(l, p);
    return k;
}

static void forget_pending(struct listen *l)
{
    for (size_t i = 0; i < l->n_pending;) {
        bool there = false;
        for (size_t k = 0; k < l->n_view && !there; k++)
            there = l->view[k].cookie == l->pending[i].socket.cookie;
        if (there)
            i++;
        else
            pending_drop(l, &l->pending[i]);
    }
}

static void look_for_owners(struct listen *l)
{
    for (size_t i = 0; i < l->n_view; i++) {
        struct service_socket *k = services_seen(&l->services, l->view[i].cookie);
        struct pending *p;
        if (!k || !service_owners_unknown(k->service) ||
            !(p = pending_add(l, &l->view[i], true)))
            continue;
        // Once: whom we cannot find now we shall not find at the next look.
        service_owners_clear(k->service);
        if (is_done(p)) {
            owners_to(l, k->service, p);
            pending_drop(l, p);
        }
    }
}

static void count_begin(const struct service *s)
{
    struct shown *w = s->data[0];

    if (w)
        w->queue_now = w->limit_now = 0;
}

static void count_end(const struct service *s)
{
    struct shown *w = s->data[0];

    if (w && w->queue_now > w->queue_top)
        w->queue_top = w->queue_now;
}

static bool oom_killed(struct listen *l, const struct service *s)
{
    struct shown *w = s->data[0];

    return w && oom_watch_hit(&w->oom, &l->roots);
}

static void use_view(struct listen *l)
{
    int64_t now = now_ns(l);

    for (struct service *s = l->services.list; s; s = s->next)
        count_begin(s);
    memset(l->ports, 0, sizeof(l->ports));
    services_begin(&l->services);
    for (size_t i = 0; i < l->n_view; i++) {
        const struct sockdiag *d = &l->view[i];
        struct service_socket *k = services_seen(&l->services, d->cookie);
        struct pending *p;
        if (!k && (p = pending_add(l, d, false)) && is_done(p) && !p->searching)
            k = named(l, p, now);
        if (!k)
            continue;
        l->ports[d->local_port / 8] |= (uint8_t)(1u << d->local_port % 8);
        count_queue(k, d);
    }
    services_end(&l->services, now);
    l->first = false;
    for (struct service *s = l->services.list; s; s = s->next)
        count_end(s);
    queues_learn(&l->queues, l->view, l->n_view);
    for (size_t i = 0; i < l->queues.n; i++)
        l->asked[i] = services_seen(&l->services, l->queues.cookies[i]);
    if (l->n_pending > 0)
        forget_pending(l);
    look_for_owners(l);
    // Without the right to be told of deaths this is the evidence there is.
    for (struct service *s = l->services.list; s; s = s->next)
        if (s->state == SERVICE_STARTING && oom_killed(l, s))
            services_oom(&l->services, s, now);
    services_advance(&l->services, now);
}

static void dump(struct listen *l)
{
    int rc = -EAGAIN;

    for (int i = 0; i < DUMP_TRIES && rc == -EAGAIN; i++)
        rc = read_view(l);
    if (rc == 0) {
        use_view(l);
    } else if (rc != -EAGAIN) {
        snprintf(
            l->sampler->reason, sizeof(l->sampler->reason), "listener dump: %s", strerror(-rc));
        services_advance(&l->services, now_ns(l));
    }
    if (l->owned && l->on_owners)
        l->on_owners(l->on_owners_ctx);
    l->owned = false;
}

static void look(struct listen *l)
{
    dump(l);
    if (l->n_pending > 0 && !l->scan.pids)
        search_slice(l);
}

// A dump costs three times what the other looks do.
static bool is_dump_due(struct listen *l)
{
    if (l->services.went_ns == 0 || now_ns(l) - l->services.went_ns > RETURN_NS)
        queues_gone_forget(&l->queues);
    return ++l->round % ROUNDS == 0 || l->n_pending > 0;
}

// Between dumps: how full are the queues of those we know? False: a dump is wanted.
static bool look_at_queues(struct listen *l)
{
    if (is_dump_due(l) || queues_ask(&l->queues, &l->dump, l->view) != 0)
        return false;
    // Of the services without a socket there is nothing to count.
    for (size_t i = 0; i < l->queues.n; i++)
        if (l->asked[i])
            count_begin(l->asked[i]->service);
    for (size_t i = 0; i < l->queues.n; i++)
        if (l->asked[i])
            count_queue(l->asked[i], &l->view[i]);
    for (size_t i = 0; i < l->queues.n; i++)
        if (l->asked[i])
            count_end(l->asked[i]->service);
    int64_t now = now_ns(l);
    if (now >= l->services.due_ns)
        services_advance(&l->services, now);
    return true;
}

int64_t listen_next_poll_ns(int64_t now_ns)
{
    return (now_ns / POLL_NS + 1) * POLL_NS;
}

static void on_poll(void *ctx, int64_t due, int64_t now)
{
    struct listen *l = ctx;
    int64_t begun = sampler_cpu_begin();

    if (!look_at_queues(l))
        look(l);
    flush_unless_held(l);
    // Missed rounds are not made up for: a look now sees what they would have seen.
    loop_timer_set(l->poll, listen_next_poll_ns(due + POLL_NS > now ? due : now));
    sampler_cpu_end(l->sampler, begun);
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
        look(l);
        flush_soon(l);
    }
    sampler_cpu_end(l->sampler, begun);
}

void listen_exit(struct listen *l, const struct service_exit *e)
{
    // Asked before the death is judged: "killed by signal 9" is the lesser truth.
    for (struct service *s = l->services.list; s && e->signal == SIGKILL; s = s->next)
        if (service_owned_by(s, e->pid) && oom_killed(l, s))
            services_oom(&l->services, s, now_ns(l));
    if (services_exit(&l->services, e, now_ns(l)))
        dump(l);
    flush(l);
}

bool listen_check(struct listen *l)
{
    int64_t begun = sampler_cpu_begin();

    dump(l);
    flush_soon(l);
    sampler_cpu_end(l->sampler, begun);
    return l->held;
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

size_t listen_owners(const struct listen *l, int32_t *ret, size_t max)
{
    size_t n = 0;

    for (const struct service *s = l->services.list; s; s = s->next)
        for (size_t i = 0; i < s->n_owners; i++)
            if (!s->owners[i].dead && n++ < max)
                ret[n - 1] = s->owners[i].pid;
    return n;
}

void listen_on_owners(struct listen *l, void (*fn)(void *ctx), void *ctx)
{
    l->on_owners = fn;
    l->on_owners_ctx = ctx;
}

void listen_on_turn(struct listen *l, void (*fn)(void *ctx, uint16_t port), void *ctx)
{
    l->on_turn = fn;
    l->on_turn_ctx = ctx;
}

// --- the sampler ---------------------------------------------------------------------------------

static void read_port_range(struct listen *l)
{
    char path[512];
    unsigned low, high;

    l->port_low = 32768;
    l->port_high = 60999;
    snprintf(path, sizeof(path), "%s/sys/net/ipv4/ip_local_port_range", l->roots.proc);
    FILE *f = fopen(path, "re");
    if (!f)
        return;
    if (fscanf(f, "%u %u", &low, &high) == 2 && low <= high && high <= 65535) {
        l->port_low = (uint16_t)low;
        l->port_high = (uint16_t)high;
    }
    fclose(f);
}

static void sampler_close(struct sampler *s)
{
    struct listen *l = s->state;

    if (!l)
        return;
    s->env->listen = NULL;
    s->state = NULL;
    loop_io_del(l->io);
    loop_timer_free(l->poll);
    loop_timer_free(l->slice);
    loop_timer_free(l->hold);
    netlink_close(&l->dump);
    netlink_close(&l->destroy);
    identity_scan_done(&l->scan);
    for (struct service *v = l->services.list; v; v = v->next) {
        if (l->on_end)
            l->on_end(l->on_end_ctx, v);
        shown_free(v);
    }
    services_done(&l->services);
    free(l->view);
    free(l->pending);
    free(l->wants);
    free(l->paths);
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
    int rc =
        netlink_open(&l->destroy, NETLINK_SOCK_DIAG, SOCKDIAG_GROUPS_DESTROY, RECEIVE_BYTES);

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
    int rc = -ENOMEM;

    if (!l)
        goto fail;
    s->state = l;
    l->sampler = s;
    l->first = true;
    l->dump.fd = l->destroy.fd = -1;
    l->roots = (struct identity_roots){s->env->proc, s->env->cgroup, "/etc/services"};
    services_init(&l->services, on_change, l);
    l->pending = calloc(PENDING_MAX, sizeof(*l->pending));
    l->wants = calloc(PENDING_MAX, sizeof(*l->wants));
    l->paths = calloc(PATHS, sizeof(*l->paths));
    l->poll = loop_timer_new(s->env->loop, on_poll, l);
    l->slice = loop_timer_new(s->env->loop, on_slice, l);
    l->hold = loop_timer_new(s->env->loop, on_hold, l);
    if (!l->pending || !l->wants || !l->paths || !l->poll || !l->slice || !l->hold)
        goto fail;
    read_port_range(l);
    rc = netlink_open(&l->dump, NETLINK_SOCK_DIAG, 0, 0);
    if (rc < 0)
        goto fail;
    rc = read_view(l);
    if (rc < 0 && rc != -EAGAIN)
        goto fail;
    // Without the multicast a look still finds what went, a little later: its socket does not answer.
    rc = open_destroy(l);
    if (rc < 0)
        snprintf(s->reason, sizeof(s->reason), "no destroy multicast (%s): seen within 70 ms",
            strerror(-rc));
    s->env->listen = l;
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
        if (!l->held || v->state != SERVICE_STARTING)
            shown_state(w, o, v);
        if (v->sockets == 0)
            continue;
        output_set(o, w->queue, w->queue_now);
        output_set(o, w->queue_max, w->queue_top);
        output_set(o, w->limit, w->limit_now);
        if (w->drops_known)
            output_set(o, w->drops, (double)w->drops_total);
        w->queue_top = w->queue_now;
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
