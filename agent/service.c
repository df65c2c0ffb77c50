// SPDX-License-Identifier: Apache-2.0
#include "agent/service.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *service_state_name(enum service_state s)
{
    switch (s) {
    case SERVICE_UP: return "up";
    case SERVICE_STARTING: return "starting";
    case SERVICE_STOPPED: return "stopped";
    case SERVICE_CRASHED: return "crashed";
    }
    return "";
}

void services_init(struct services *m, service_change_fn *fn, void *ctx)
{
    *m = (struct services){.fn = fn, .ctx = ctx};
    map_init(&m->sockets);
}

void services_done(struct services *m)
{
    size_t it = 0;
    void *value;

    while (map_next(&m->sockets, &it, NULL, NULL, &value))
        free(value);
    map_done(&m->sockets);
    while (m->list) {
        struct service *s = m->list;
        m->list = s->next;
        free(s);
    }
    m->n = 0;
}

static void turn(
    struct services *m, struct service *s, enum service_state to, const char *detail)
{
    enum service_state from = s->state;

    s->state = to;
    if (s->announced)
        m->fn(m->ctx, s, SERVICE_TURNED, from, detail);
}

static void announce(struct services *m, struct service *s)
{
    s->announced = true;
    m->fn(m->ctx, s, SERVICE_APPEARED, s->state, "");
}

// Only services without sockets end, so none points to it.
static void end(struct services *m, struct service *s)
{
    struct service **at = &m->list;

    while (*at != s)
        at = &(*at)->next;
    *at = s->next;
    m->n--;
    if (s->announced)
        m->fn(m->ctx, s, SERVICE_ENDED, s->state, "");
    free(s);
}

static struct service *find(const struct services *m, const struct service_listener *l)
{
    for (struct service *s = m->list; s; s = s->next)
        if (s->port == l->port && strcmp(s->name, l->name) == 0 &&
            strcmp(s->path, l->path ? l->path : "") == 0)
            return s;
    return NULL;
}

struct service *services_port(const struct services *m, uint16_t port)
{
    for (struct service *s = m->list; s; s = s->next)
        if (s->port == port && s->sockets > 0)
            return s;
    return NULL;
}

void services_begin(struct services *m)
{
    size_t it = 0;
    void *value;

    while (map_next(&m->sockets, &it, NULL, NULL, &value))
        ((struct service_socket *)value)->seen = false;
}

struct service_socket *services_seen(struct services *m, uint64_t cookie)
{
    struct service_socket *k = map_get(&m->sockets, &cookie, sizeof(cookie));

    if (k)
        k->seen = true;
    return k;
}

// A service that moved: its old port is another's now and it listens elsewhere since it left.
static bool has_moved(const struct services *m, const struct service *s)
{
    bool taken = false, elsewhere = false;

    for (const struct service *o = m->list; o; o = o->next) {
        if (o->sockets == 0)
            continue;
        bool same_name = strcmp(o->name, s->name) == 0;
        if (o->port == s->port && !same_name)
            taken = true;
        if (o->port != s->port && same_name && o->up_ns >= s->down_ns)
            elsewhere = true;
    }
    return taken && elsewhere;
}

static void forget_moved(struct services *m)
{
    for (struct service *s = m->list, *next; s; s = next) {
        next = s->next;
        if (s->sockets == 0 && s->state != SERVICE_STARTING && has_moved(m, s))
            end(m, s);
    }
}

static struct service *service_new(
    struct services *m, const struct service_listener *l, int64_t now)
{
    struct service *s;

    if (m->n >= SERVICES_MAX || !(s = calloc(1, sizeof(*s))))
        return NULL;
    snprintf(s->name, sizeof(s->name), "%s", l->name);
    s->netns = m->netns;
    snprintf(s->path, sizeof(s->path), "%s", l->path ? l->path : "");
    s->port = l->port;
    s->state = SERVICE_UP;
    s->born_ns = s->up_ns = now;
    s->settled = s->present = l->present;
    s->ephemeral = l->ephemeral_port && l->loopback;
    s->next = m->list;
    m->list = s;
    m->n++;
    return s;
}

struct service_socket *services_up(
    struct services *m, const struct service_listener *l, int64_t now_ns)
{
    struct service *s = find(m, l);
    bool is_new = !s;
    struct service_socket *k = calloc(1, sizeof(*k));

    if (!k || m->sockets.n >= SERVICE_SOCKETS_MAX ||
        (is_new && !(s = service_new(m, l, now_ns))))
        goto refused;
    *k = (struct service_socket){.service = s, .cookie = l->cookie, .seen = true};
    if (map_set(&m->sockets, &l->cookie, sizeof(l->cookie), k) != 0) {
        if (is_new)
            end(m, s); // was not announced: says nothing
        goto refused;
    }
    s->sockets++;
    if (!l->loopback || !l->ephemeral_port)
        s->ephemeral = false;
    if (!is_new && s->state != SERVICE_UP) {
        // Another life: whoever held the old sockets says nothing about the new ones.
        service_owners_clear(s);
        s->evidence_ns = s->code_ns = 0;
        s->up_ns = now_ns;
        turn(m, s, SERVICE_UP, "");
    }
    if (!s->announced && !s->ephemeral)
        announce(m, s);
    forget_moved(m);
    return k;
refused:
    free(k);
    m->refused++;
    return NULL;
}

static bool recent(int64_t then_ns, int64_t now_ns)
{
    return then_ns != 0 && now_ns - then_ns <= SERVICE_GRACE_NS;
}

static void went(struct services *m, struct service *s, int64_t now_ns)
{
    s->down_ns = now_ns;
    if (!s->announced) {
        end(m, s);
        return;
    }
    if (recent(s->evidence_ns, now_ns))
        turn(m, s, SERVICE_CRASHED, s->evidence);
    else
        turn(m, s, SERVICE_STARTING, "");
}

void services_end(struct services *m, int64_t now_ns)
{
    size_t it = 0;
    const void *key;
    size_t len;
    void *value;

    // Deleting leaves a grave in the open-addressed table, so the walk stays valid.
    while (map_next(&m->sockets, &it, &key, &len, &value)) {
        struct service_socket *k = value;
        if (k->seen)
            continue;
        struct service *s = k->service;
        uint64_t cookie = k->cookie;
        map_del(&m->sockets, &cookie, sizeof(cookie));
        free(k);
        if (--s->sockets == 0)
            went(m, s, now_ns);
    }
}

void service_owner(struct service *s, int32_t pid, int32_t parent)
{
    for (size_t i = 0; i < s->n_owners; i++)
        if (s->owners[i].pid == pid) {
            s->owners[i] = (struct service_owner){.pid = pid, .parent = parent};
            return;
        }
    if (s->n_owners < SERVICE_OWNERS)
        s->owners[s->n_owners++] = (struct service_owner){.pid = pid, .parent = parent};
}

bool service_owned_by(const struct service *s, int32_t pid)
{
    for (size_t i = 0; i < s->n_owners; i++)
        if (s->owners[i].pid == pid && !s->owners[i].dead)
            return true;
    return false;
}

void service_owners_clear(struct service *s)
{
    s->n_owners = 0;
}

static size_t owners_alive(const struct service *s)
{
    size_t n = 0;

    for (size_t i = 0; i < s->n_owners; i++)
        n += !s->owners[i].dead;
    return n;
}

bool service_owners_unknown(const struct service *s)
{
    return s->sockets > 0 && s->n_owners > 0 && owners_alive(s) == 0;
}

// What people and init systems send to stop or reload a service. SIGQUIT counts as asked for unless
// it left a core.
static bool is_asked_for(int signal)
{
    return signal == SIGTERM || signal == SIGINT || signal == SIGHUP || signal == SIGQUIT;
}

static bool is_error_code(int code)
{
    // Shells and some runtimes turn the signal into 128 + n.
    return code != 0 && !(code > 128 && is_asked_for(code - 128));
}

static void evidence(struct services *m, struct service *s, const char *what, int64_t now_ns)
{
    // The cause comes before what it led to.
    if (!recent(s->evidence_ns, now_ns))
        snprintf(s->evidence, sizeof(s->evidence), "%s", what);
    s->evidence_ns = now_ns;
    if (s->state == SERVICE_STARTING && recent(s->down_ns, now_ns))
        turn(m, s, SERVICE_CRASHED, s->evidence);
}

static bool owner_died(struct services *m, struct service *s, struct service_owner *o,
    const struct service_exit *e, int64_t now_ns)
{
    char what[64];
    bool has_parent = false;

    o->dead = true;
    if (e->parent != 0)
        o->parent = e->parent;
    for (size_t i = 0; i < s->n_owners; i++)
        if (!s->owners[i].dead && s->owners[i].pid == o->parent)
            has_parent = true;
    if (has_parent && owners_alive(s) > 0)
        return false;
    if (e->signal != 0 && (e->core || !is_asked_for(e->signal))) {
        snprintf(what, sizeof(what), "killed by signal %d%s", e->signal,
            e->core ? " (core dumped)" : "");
        evidence(m, s, what, now_ns);
    } else if (e->signal == 0 && is_error_code(e->code)) {
        s->code = e->code;
        s->code_ns = now_ns;
    }
    return true;
}

bool services_exit(struct services *m, const struct service_exit *e, int64_t now_ns)
{
    bool look = false;

    for (struct service *s = m->list; s; s = s->next)
        for (size_t i = 0; i < s->n_owners; i++)
            if (s->owners[i].pid == e->pid && !s->owners[i].dead &&
                owner_died(m, s, &s->owners[i], e, now_ns))
                look |= s->sockets > 0;
    return look;
}

void services_oom(struct services *m, struct service *s, int64_t now_ns)
{
    evidence(m, s, "killed for want of memory", now_ns);
}

// When time alone turns it into something else.
static int64_t due_ns(const struct service *s)
{
    int64_t settles = s->settled ? INT64_MAX : s->up_ns + SERVICE_SETTLE_NS;
    int64_t shows = s->announced ? INT64_MAX : s->born_ns + SERVICE_ANNOUNCE_NS;

    switch (s->state) {
    case SERVICE_UP: return settles < shows ? settles : shows;
    case SERVICE_STARTING: return s->down_ns + SERVICE_GRACE_NS;
    case SERVICE_STOPPED:
    case SERVICE_CRASHED: return s->down_ns + SERVICE_KEEP_NS;
    }
    return 0;
}

static void grace_over(struct services *m, struct service *s)
{
    char what[64];

    if (!s->settled || s->ephemeral) {
        end(m, s);
    } else if (s->code_ns != 0 && s->down_ns - s->code_ns <= SERVICE_GRACE_NS) {
        // Not evidence enough to page without the grace, but nobody stops a service like this.
        snprintf(what, sizeof(what), "exited with code %d", s->code);
        turn(m, s, SERVICE_CRASHED, what);
    } else {
        turn(m, s, SERVICE_STOPPED, "");
    }
}

static void advance(struct services *m, struct service *s, int64_t now_ns)
{
    switch (s->state) {
    case SERVICE_UP:
        if (!s->settled && now_ns - s->up_ns >= SERVICE_SETTLE_NS)
            s->settled = true;
        if (!s->announced && now_ns - s->born_ns >= SERVICE_ANNOUNCE_NS)
            announce(m, s);
        break;
    case SERVICE_STARTING: grace_over(m, s); break;
    case SERVICE_STOPPED:
    case SERVICE_CRASHED: end(m, s); break;
    }
}

void services_advance(struct services *m, int64_t now_ns)
{
    for (struct service *s = m->list, *next; s; s = next) {
        next = s->next;
        if (now_ns >= due_ns(s))
            advance(m, s, now_ns);
    }
    m->went_ns = 0;
    m->due_ns = INT64_MAX;
    for (const struct service *s = m->list; s; s = s->next) {
        if (s->state != SERVICE_UP && s->down_ns > m->went_ns)
            m->went_ns = s->down_ns;
        if (due_ns(s) < m->due_ns)
            m->due_ns = due_ns(s);
    }
}
