// SPDX-License-Identifier: Apache-2.0
#include "agent/netns_watch.h"
#include "agent/established.h"
#include "agent/identity.h"
#include "agent/listen.h"
#include "agent/netns_door.h"
#include "agent/netns_name.h"
#include "agent/procfile.h"
#include "base/buf.h"
#include "base/log.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#define LIST_NS      (3 * NS_PER_S)
#define LIST_IDLE_NS (60 * NS_PER_S)
#define LIST_SHARE   500 // looks are that many times their cost apart
#define INTERVAL_MS  1000
#define DOCTOR_MS    1000

struct watched {
    struct netns ns;
    struct env env;
    struct sampler *listen, *established;
    int64_t listed_ns; // by the last list that had it
    struct watched *next;
};

struct watch {
    struct env *env;
    struct schedule *schedule;
    struct sampler *self;
    struct loop_io *io;
    struct procfile loadavg;
    uint64_t last_pid;
    int64_t asked_ns, cost_ns; // of the last list
    bool asking;
    struct watched *list;
    unsigned n, max;
    struct netns_list found; // the last list; opened one after the other from `at` on
    uint32_t at;
    uint32_t ids[2];
};

// --- one namespace -------------------------------------------------------------------------------

static struct watched *find(const struct watch *w, uint64_t inode)
{
    for (struct watched *v = w->list; v; v = v->next)
        if (v->ns.inode == inode)
            return v;
    return NULL;
}

static void end(struct watch *w, struct watched *v)
{
    struct watched **at = &w->list;

    while (*at != v)
        at = &(*at)->next;
    *at = v->next;
    w->n--;
    log_info("netns_ended", "netns=%s inode=%llu", log_q(v->ns.name),
        (unsigned long long)v->ns.inode);
    output_group(w->env->out, 0, 0, clock_wall_ms(&w->env->clock));
    if (v->established)
        schedule_drop(w->schedule, v->established);
    if (v->listen)
        schedule_drop(w->schedule, v->listen);
    netns_door_drop(v->ns.fds);
    free(v);
}

static struct sampler *begin_sampler(
    struct watch *w, struct watched *v, const struct sampler_ops *ops)
{
    struct sampler *s = schedule_add(w->schedule, ops, ops->interval_ms, NULL);

    if (!s)
        return NULL;
    s->env = &v->env;
    s->available = ops->open(s) == 0;
    if (!s->available)
        log_warn("netns_sampler_unavailable", "netns=%s sampler=%s reason=%s",
            log_q(v->ns.name), ops->name, log_q(s->reason));
    return s;
}

static bool name_in_use(const struct watch *w, const char *name)
{
    for (const struct watched *v = w->list; v; v = v->next)
        if (strcmp(v->ns.name, name) == 0)
            return true;
    return false;
}

// A container that was begun anew has its old name and another namespace: the old one is over.
static void end_namesakes(struct watch *w, const char *name)
{
    for (struct watched *v = w->list, *next; v; v = next) {
        next = v->next;
        if (strcmp(v->ns.name, name) == 0 && v->listed_ns != w->asked_ns)
            end(w, v);
    }
}

static void begin(struct watch *w, uint64_t inode, int32_t pid, int fds[static NETNS_FDS])
{
    const struct identity_roots roots = {w->env->proc, w->env->cgroup, "/etc/services"};
    struct watched *v = w->n < w->max ? calloc(1, sizeof(*v)) : NULL;

    if (!v) {
        netns_door_drop(fds);
        return;
    }
    v->ns = (struct netns){.inode = inode, .sharers = &w->n};
    memcpy(v->ns.fds, fds, sizeof(v->ns.fds));
    netns_name(&roots, "/run", inode, pid, v->ns.name);
    end_namesakes(w, v->ns.name);
    if (name_in_use(w, v->ns.name))
        netns_name_inode(inode, v->ns.name);
    v->env = *w->env;
    v->env.listen = NULL;
    v->env.netns = &v->ns;
    v->env.pulse = NULL;
    v->listed_ns = w->asked_ns;
    v->next = w->list;
    w->list = v;
    w->n++;
    v->listen = begin_sampler(w, v, &listen_sampler);
    if (v->env.listen && w->env->listen)
        listen_join(w->env->listen, v->env.listen);
    v->established = begin_sampler(w, v, &established_sampler);
    log_info("netns_found", "netns=%s inode=%llu pid=%d", log_q(v->ns.name),
        (unsigned long long)inode, (int)pid);
}

// --- asking --------------------------------------------------------------------------------------

static void lose(struct watch *w, int rc)
{
    struct sampler *s = w->self;

    loop_io_del(w->io);
    w->io = NULL;
    w->asking = false;
    if (s) {
        s->available = false;
        snprintf(s->reason, sizeof(s->reason), "tocsin-agent-netns: %s",
            rc == -EPIPE ? "it has ended" : strerror(-rc));
        log_warn("sampler_unavailable", "sampler=%s reason=%s", s->ops->name, log_q(s->reason));
    }
}

static void ask(struct watch *w, const struct netns_ask *a)
{
    int rc = netns_door_ask(w->env->netns_door, a);

    w->asking = rc == 0;
    if (rc < 0)
        lose(w, rc);
}

static void open_next(struct watch *w)
{
    for (; w->at < w->found.n; w->at++) {
        const struct netns_entry *e = &w->found.entries[w->at];
        if (find(w, e->inode) || w->n >= w->max)
            continue;
        ask(w, &(struct netns_ask){.what = NETNS_OPEN, .pid = e->pid, .inode = e->inode});
        return;
    }
}

static void take_list(struct watch *w, const struct netns_list *l)
{
    w->cost_ns = l->cost_ns > 0 ? l->cost_ns : 0;
    if (l->rc < 0)
        return;
    w->found = *l;
    w->at = 0;
    for (uint32_t i = 0; i < l->n; i++) {
        struct watched *v = find(w, l->entries[i].inode);
        if (v)
            v->listed_ns = w->asked_ns;
    }
    for (struct watched *v = w->list, *next; v; v = next) {
        next = v->next;
        // More than a list holds: who is not on it may be there all the same.
        if (w->asked_ns - v->listed_ns >= WATCH_GONE_NS && l->found <= NETNS_MAX)
            end(w, v);
    }
    open_next(w);
}

static void take_opened(
    struct watch *w, const struct netns_opened *o, int fds[static NETNS_FDS])
{
    const struct netns_entry *e = w->at < w->found.n ? &w->found.entries[w->at] : NULL;

    if (o->rc == 0 && e && e->inode == o->inode && !find(w, o->inode))
        begin(w, o->inode, e->pid, fds);
    else
        netns_door_drop(fds);
    if (o->rc < 0 && o->rc != -ESTALE)
        log_warn("netns_not_opened", "inode=%llu error=%s", (unsigned long long)o->inode,
            log_q(strerror(-o->rc)));
    w->at++;
    open_next(w);
}

static void on_answer(void *ctx, int fd, uint32_t events)
{
    struct watch *w = ctx;
    union netns_answer a;
    int fds[NETNS_FDS];
    int64_t begun = sampler_cpu_begin();
    int rc = netns_door_receive(w->env->netns_door, 0, &a, fds);

    (void)fd;
    (void)events;
    if (rc == -EAGAIN)
        return;
    w->asking = false;
    if (rc == -EMFILE) { // try the others at the next list
        w->at = w->found.n;
    } else if (rc < 0) {
        lose(w, rc);
    } else if (a.what == NETNS_LIST) {
        take_list(w, &a.list);
    } else {
        take_opened(w, &a.opened, fds);
    }
    if (w->self)
        sampler_cpu_end(w->self, begun);
}

// Whether a process was begun since the last look: the number of the newest one, the last word.
static bool has_forked(struct watch *w)
{
    uint64_t pid = 0;

    if (procfile_read(&w->loadavg) != 0)
        return true;
    for (const char *p = w->loadavg.text; *p && *p != '\n'; p++)
        if (*p == ' ')
            scan_u64(p, &pid);
    bool forked = pid != w->last_pid;
    w->last_pid = pid;
    return forked;
}

static bool is_list_due(struct watch *w, int64_t now)
{
    int64_t since = now - w->asked_ns, apart = w->cost_ns * LIST_SHARE;
    bool missing = false;

    if (since < LIST_NS || since < apart)
        return false;
    for (const struct watched *v = w->list; v; v = v->next)
        missing = missing || v->listed_ns != w->asked_ns;
    return has_forked(w) || missing || since >= LIST_IDLE_NS;
}

// --- the part ------------------------------------------------------------------------------------

static void sampler_tick(struct sampler *s, const struct tick *t)
{
    struct watch *w = s->state;
    uint32_t more = w->found.found > w->n ? w->found.found - w->n : 0;

    output_set(s->env->out, w->ids[0], w->n);
    output_set(s->env->out, w->ids[1], more);
    if (w->io && !w->asking && is_list_due(w, t->now_ns)) {
        w->asked_ns = t->now_ns;
        ask(w, &(struct netns_ask){.what = NETNS_LIST});
    }
}

static const struct sampler_ops watch_sampler = {
    .name = "tcp.namespaces",
    .interval_ms = INTERVAL_MS,
    .tick = sampler_tick,
};

static bool part_wanted(const struct agent_config *c)
{
    return c->netns_max > 0;
}

static void part_free(void *state)
{
    struct watch *w = state;

    while (w->list)
        end(w, w->list);
    if (w->self)
        schedule_drop(w->schedule, w->self);
    for (size_t i = 0; i < 2; i++)
        output_end(w->env->out, w->ids[i]);
    loop_io_del(w->io);
    procfile_done(&w->loadavg);
    free(w);
}

static int part_begin(struct watch *w)
{
    static const char *const STATES[] = {"watched", "not_watched"};

    w->io = loop_io_add(w->env->loop, w->env->netns_door->fd, EPOLLIN, on_answer, w);
    w->self = schedule_add(w->schedule, &watch_sampler, INTERVAL_MS, w);
    if (!w->io || !w->self)
        return -ENOMEM;
    (void)procfile_open(&w->loadavg, w->env->proc, "loadavg");
    for (size_t i = 0; i < 2; i++) {
        const struct wire_label labels[] = {{"job", "tocsin"}, {"state", STATES[i]}};
        w->ids[i] = output_series(
            w->env->out, "tocsin_agent_network_namespaces", labels, 2, SERIES_GAUGE, "");
    }
    return 0;
}

static void *part_open(struct env *env, struct schedule *s, struct transfers *m)
{
    struct watch *w = calloc(1, sizeof(*w));

    (void)m;
    if (!w)
        return NULL;
    w->env = env;
    w->schedule = s;
    procfile_init(&w->loadavg);
    // Nobody to ask: --doctor says why.
    if (env->netns_door && env->netns_door->fd != -1 && part_begin(w) < 0) {
        part_free(w);
        return NULL;
    }
    return w;
}

static int part_apply(void *state, const struct agent_config *c)
{
    struct watch *w = state;

    w->max = c->netns_max;
    for (struct watched *v = w->list; v; v = v->next)
        v->env.config = c; // the one before may be freed
    while (w->n > w->max)
        end(w, w->list);
    return 0;
}

const struct part_ops netns_part = {
    .name = "network_namespaces",
    .wanted = part_wanted,
    .open = part_open,
    .apply = part_apply,
    .free = part_free,
};

void netns_watch_doctor(
    const struct netns_door *d, const struct agent_config *c, struct buf *out)
{
    union netns_answer a;
    int fds[NETNS_FDS];
    int rc;

    if (c->netns_max == 0) {
        buf_addf(out, "  %-16s %-4s off: network_namespaces: {max: 0}\n", "others", "");
        return;
    }
    if (!d || d->fd == -1) {
        buf_addf(out, "  %-16s %-4s the agent's own only: %s\n", "others", "", d ? d->why : "");
        buf_addf(out, "  %-16s %-4s fix: %s\n", "", "",
            "start tocsin-agent-netns tocsin-agent ..., with CAP_SYS_ADMIN and CAP_SYS_PTRACE");
        return;
    }
    rc = netns_door_ask(d, &(struct netns_ask){.what = NETNS_LIST});
    if (rc == 0)
        rc = netns_door_receive(d, DOCTOR_MS, &a, fds);
    if (rc == 0)
        rc = a.list.rc;
    if (rc < 0)
        buf_addf(out, "  %-16s %-4s tocsin-agent-netns: %s\n", "others", "NO",
            rc == -EPIPE ? "it has ended" : strerror(-rc));
    else
        buf_addf(out, "  %-16s %-4s %u, looked for in %.1f ms\n", "others", "ok", a.list.found,
            (double)a.list.cost_ns / 1e6);
}
