// SPDX-License-Identifier: Apache-2.0
#include "agent/turnover.h"
#include "agent/connection_le.h"
#include "agent/dependency.h"
#include "agent/identity.h"
#include "agent/kernel.h"
#include "agent/listen.h"
#include "agent/netns_door.h"
#include "agent/pulse.h"
#include "agent/untold.h"
#include "base/log.h"
#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INTERVAL_MS  1000
#define LIFE_SECONDS "tocsin_service_connection_duration_seconds"
// A port nobody has taken the counts of for so many ticks is ours to write.
#define UNCARRIED_TICKS 3
// A namespace that is looked into is found within some seconds (netns_watch.h): its services have names.
#define UNFOUND_TICKS 10

static const char *const HOW[CONNECTION_ENDS] = {
    [CONNECTION_FIN] = "fin", [CONNECTION_RESET] = "reset", [CONNECTION_TIMEOUT] = "timeout"};

// Who has a slot, by name: a service may go and another take its place in memory.
struct holder {
    __u64 key; // 0 = free
    bool mapped;
    bool carried; // somebody takes the counts and writes them
    bool service; // the name is a service's, not one we found
    uint32_t untaken;
    char name[SERVICE_NAME_MAX];
    uint64_t opened;
    int64_t active_ns;                                                 // when that last changed
    uint32_t life, received, sent, opened_id, closed[CONNECTION_ENDS]; // ids
};

struct turnover {
    struct sampler *sampler;
    struct kernel_part *kernel; // NULL: memory of a test's, or taken out of the kernel
    struct connection_memory memory;
    bool out;               // taken out
    struct holder *holders; // CONNECTION_PORTS
    struct dependencies *dependencies;
    struct connection_le le;
    struct kernel_guard guard;
    uint64_t refused;
    struct untold untold;
    uint32_t lost_id;
};

void connection_read(const __u64 buckets[static CONNECTION_BUCKETS], uint64_t sum_ns, int low,
    int32_t *index, uint64_t *count, struct wire_histogram *ret)
{
    *ret = (struct wire_histogram){.scale = WIRE_SCALE, .index = index, .count = count};
    ret->sum = (double)sum_ns / 1e9;
    for (int i = 0; i < CONNECTION_BUCKETS; i++) {
        // Read once: the kernel goes on counting.
        uint64_t here = __atomic_load_n(&buckets[i], __ATOMIC_RELAXED);
        if (!here)
            continue;
        index[ret->n] = BUCKET_INDEX(low) + i;
        count[ret->n++] = here;
    }
}

static uint64_t read_once(const __u64 *at)
{
    return __atomic_load_n(at, __ATOMIC_RELAXED);
}

// --- who has which slot --------------------------------------------------------------------------

static uint16_t port_of(__u64 key)
{
    return (uint16_t)key;
}

static uint32_t netns_of(__u64 key)
{
    return (uint32_t)(key >> 16);
}

static void series_end(struct turnover *t, size_t i)
{
    struct output *o = t->sampler->env->out;
    const struct holder *h = &t->holders[i];
    const uint32_t ids[] = {h->life, h->received, h->sent, h->opened_id};

    for (size_t k = 0; k < sizeof(ids) / sizeof(ids[0]); k++)
        if (ids[k])
            output_end(o, ids[k]);
    for (int k = 0; k < CONNECTION_ENDS; k++)
        if (h->closed[k])
            output_end(o, h->closed[k]);
    connection_le_end(&t->le, i, o);
}

static void slot_give_back(struct turnover *t, size_t i)
{
    struct holder *h = &t->holders[i];
    struct connection_head *head = t->memory.head;

    series_end(t, i);
    // From here on the ends of its connections are nobody's.
    __atomic_fetch_add(&head->port_turns[i], 1, __ATOMIC_RELEASE);
    memset(&t->memory.ports[i], 0, sizeof(t->memory.ports[i]));
    *h = (struct holder){.mapped = true};
    __atomic_store_n(&head->ports[i], 0, __ATOMIC_RELEASE);
}

static const struct service *service_of(const struct turnover *t, __u64 key)
{
    struct listen *l = t->sampler->env->listen;

    if (l && netns_of(key) != t->memory.own_netns)
        l = listen_in(l, netns_of(key));
    return l ? listen_service(l, port_of(key)) : NULL;
}

// Connections from before us close without a mark: they are found by the port, if it has a slot.
static void services_claim(struct turnover *t)
{
    if (!t->sampler->env->listen)
        return;
    for (const struct service *v = listen_services(t->sampler->env->listen); v; v = v->next)
        if (v->announced && v->sockets > 0 && v->port)
            connection_port_slot(
                t->memory.head, connection_port_key(t->memory.own_netns, v->port), 1);
}

static size_t labels_of(const struct holder *h, const struct service *v, bool own,
    struct wire_label labels[static LISTEN_LABELS], char port[static 8], char netns[static 12])
{
    if (v) {
        listen_labels(v, labels, port);
        return LISTEN_LABELS;
    }
    snprintf(port, 8, "%u", port_of(h->key));
    snprintf(netns, 12, "%u", netns_of(h->key));
    labels[0] = (struct wire_label){"job", "service"};
    labels[1] = (struct wire_label){"service", h->name};
    labels[2] = (struct wire_label){"port", port};
    labels[3] = (struct wire_label){"netns", netns};
    return own ? 3 : 4;
}

static bool same_labels(const struct holder *h, const struct service *v)
{
    struct wire_label ours[LISTEN_LABELS], theirs[LISTEN_LABELS];
    char port[2][8], netns[12];
    size_t n = labels_of(h, NULL, false, ours, port[0], netns), at = 0;

    listen_labels(v, theirs, port[1]);
    for (size_t i = 0; i < LISTEN_LABELS; i++) {
        if (!theirs[i].value[0])
            continue;
        if (at == n || strcmp(theirs[i].name, ours[at].name) != 0 ||
            strcmp(theirs[i].value, ours[at].value) != 0)
            return false;
        at++;
    }
    return at == n;
}

static bool slots_short(struct turnover *t)
{
    uint64_t refused = read_once(&t->memory.head->refused);
    bool more = refused != t->refused;

    if (more && !t->refused)
        log_warn("connection_slots_full", "limit=%d hint=%s", CONNECTION_PORTS,
            log_q(
                "connections of further ports are counted once a port is quiet for a minute"));
    t->refused = refused;
    return more;
}

static void slot_follow(struct turnover *t, size_t i, bool is_short, int64_t now_ns)
{
    struct holder *h = &t->holders[i];
    struct connection_port *p = &t->memory.ports[i];
    __u64 key = read_once(&t->memory.head->ports[i]);

    if (!key)
        return;
    if (!h->mapped && kernel_part_need(t->kernel, p, sizeof(*p)) < 0)
        return;
    h->mapped = true;
    if (h->key != key) {
        h->key = key;
        h->active_ns = now_ns;
    }
    uint64_t opened = read_once(&p->opened);
    if (opened != h->opened)
        h->active_ns = now_ns;
    h->opened = opened;
    const struct service *v = service_of(t, key);
    if (v && h->service && strcmp(h->name, v->name) != 0) {
        slot_give_back(t, i); // another service has the port
        return;
    }
    if (v && !h->service && h->name[0]) { // its namespace is looked into now
        struct holder found = {.key = key,
            .mapped = true,
            .carried = h->carried,
            .opened = opened,
            .active_ns = h->active_ns};
        // Series of the same labels are the service's already, and go on.
        if (!same_labels(h, v))
            series_end(t, i);
        *h = found;
    }
    bool own = netns_of(key) == t->memory.own_netns && t->sampler->env->listen;
    if (v)
        return;
    int64_t quiet = now_ns - h->active_ns;
    if (quiet > (own || is_short ? TURNOVER_SPARE_NS : TURNOVER_KEEP_NS))
        slot_give_back(t, i);
}

bool turnover_take(struct turnover *t, uint32_t netns, uint16_t port, uint64_t *ret_opened,
    uint64_t ret_closed[static CLOSED_HOWS])
{
    if (t->out)
        return false;
    __u64 key = connection_port_key(netns ? netns : t->memory.own_netns, port);
    int slot = connection_port_slot(t->memory.head, key, 0);
    if (slot < 0 || t->holders[slot].key != key || !t->holders[slot].mapped)
        return false;
    const struct connection_port *p = &t->memory.ports[slot];
    t->holders[slot].untaken = 0;
    t->holders[slot].carried = true;
    // Closed first: nobody is to see more that closed than opened.
    ret_closed[CLOSED_FIN] = read_once(&p->closed[CONNECTION_FIN]);
    ret_closed[CLOSED_RESET] = read_once(&p->closed[CONNECTION_RESET]);
    ret_closed[CLOSED_TIMEOUT] = read_once(&p->closed[CONNECTION_TIMEOUT]);
    ret_closed[CLOSED_UNKNOWN] = 0;
    *ret_opened = read_once(&p->opened);
    return true;
}

uint64_t turnover_accepted(const struct turnover *t)
{
    return t->out ? 0 : read_once(&t->memory.head->accepted);
}

void turnover_compare(struct turnover *t, uint64_t before, uint64_t passive)
{
    if (!t->out)
        untold_look(&t->untold, before, passive, turnover_accepted(t));
}

struct dependencies *turnover_dependencies(struct turnover *t)
{
    return t->out ? NULL : t->dependencies;
}

// --- output --------------------------------------------------------------------------------------

// The name of a service of another network namespace, as far as its cgroup tells.
static void foreign_name(
    const struct turnover *t, const struct connection_port *p, struct holder *h)
{
    const struct env *env = t->sampler->env;
    const struct identity_roots roots = {env->proc, env->cgroup, "/etc/services"};
    char path[IDENTITY_PATH_MAX];

    if (p->cgroup && identity_cgroup_find(&roots, p->cgroup, path) == 0 &&
        identity_cgroup_name(path, h->name))
        return;
    identity_port_name(&roots, port_of(h->key), h->name);
}

static void declare(struct turnover *t, struct holder *h, const struct service *v, bool own)
{
    struct output *o = t->sampler->env->out;
    struct wire_label labels[LISTEN_LABELS + 1];
    char port[8], netns[12];

    if (h->life && (h->carried || h->opened_id))
        return;
    size_t n = labels_of(h, v, own, labels, port, netns);
    if (!h->life) {
        h->life = output_series(o, LIFE_SECONDS, labels, n, SERIES_HISTOGRAM, "seconds");
        h->received = output_series(
            o, "tocsin_service_resets_received_total", labels, n, SERIES_COUNTER, "");
        h->sent =
            output_series(o, "tocsin_service_resets_sent_total", labels, n, SERIES_COUNTER, "");
    }
    if (h->carried || h->opened_id)
        return;
    h->opened_id = output_series(
        o, "tocsin_service_connections_opened_total", labels, n, SERIES_COUNTER, "");
    for (int i = 0; i < CONNECTION_ENDS; i++) {
        labels[n] = (struct wire_label){"how", HOW[i]};
        h->closed[i] = output_series(
            o, "tocsin_service_connections_closed_total", labels, n + 1, SERIES_COUNTER, "");
    }
}

// How long a port that nobody carries is left to who may yet do so.
static uint32_t patience(const struct turnover *t, const struct service *v, bool own)
{
    const struct netns_door *door = t->sampler->env->netns_door;

    if (own || v)
        return UNCARRIED_TICKS;
    return door && door->fd != -1 ? UNFOUND_TICKS : 0;
}

static void show(struct turnover *t, size_t i)
{
    struct holder *h = &t->holders[i];
    const struct connection_port *p = &t->memory.ports[i];
    struct output *o = t->sampler->env->out;
    int32_t index[CONNECTION_BUCKETS];
    uint64_t count[CONNECTION_BUCKETS], closed[CONNECTION_ENDS];
    struct wire_histogram hist;
    const struct service *v = service_of(t, h->key);
    bool own = netns_of(h->key) == t->memory.own_netns;

    if (own && t->sampler->env->listen && (!v || !v->announced))
        return;
    if (!h->carried && h->untaken++ < patience(t, v, own))
        return;
    if (!h->name[0] && v) {
        memcpy(h->name, v->name, sizeof(h->name));
        h->service = true;
    } else if (!h->name[0]) {
        foreign_name(t, p, h);
    }
    if (h->carried && ++h->untaken > UNCARRIED_TICKS)
        h->carried = false;
    declare(t, h, v, own);
    for (int k = 0; k < CONNECTION_ENDS; k++)
        closed[k] = read_once(&p->closed[k]);
    if (h->opened_id && !h->carried) {
        output_set(o, h->opened_id, (double)read_once(&p->opened));
        for (int k = 0; k < CONNECTION_ENDS; k++)
            output_set(o, h->closed[k], (double)closed[k]);
    }
    connection_read(p->life, read_once(&p->life_ns), CONNECTION_LIFE_LOW, index, count, &hist);
    output_histogram(o, h->life, &hist);
    output_set(o, h->received, (double)read_once(&p->resets_received));
    output_set(o, h->sent, (double)read_once(&p->resets_sent));
    if (!t->le.of)
        return;
    struct wire_label labels[LISTEN_LABELS];
    char port[8], netns[12];
    uint64_t le[CONNECTION_LE];
    for (int k = 0; k < CONNECTION_LE; k++)
        le[k] = read_once(&p->le[k]);
    size_t n = labels_of(h, v, own, labels, port, netns);
    connection_le_write(&t->le, i, o, t->sampler->env->demand, labels, n, le);
}

static void take_out(struct turnover *t)
{
    struct sampler *s = t->sampler;

    for (size_t i = 0; i < CONNECTION_PORTS; i++)
        if (t->holders[i].key)
            series_end(t, i);
    output_end(s->env->out, t->lost_id);
    if (t->dependencies)
        dependencies_end(t->dependencies, s->env->out);
    if (s->env->pulse)
        pulse_detach(s->env->pulse);
    kernel_part_close(t->kernel);
    t->kernel = NULL;
    t->out = true;
    s->available = false;
    log_warn("sampler_unavailable", "sampler=%s reason=%s", s->ops->name, log_q(s->reason));
}

static void sampler_tick(struct sampler *s, const struct tick *tick)
{
    struct turnover *t = s->state;

    if (t->out)
        return;
    services_claim(t);
    bool is_short = slots_short(t);
    output_set(s->env->out, t->lost_id,
        (double)(t->refused + read_once(&t->memory.head->lost) + t->untold.n));
    bool bounds = connection_le_follow(&t->le, s->env->demand);
    for (size_t i = 0; i < CONNECTION_PORTS; i++) {
        slot_follow(t, i, is_short, tick->now_ns);
        for (int k = 0; bounds && t->holders[i].mapped && k < CONNECTION_LE; k++)
            __atomic_store_n(&t->memory.ports[i].le[k], 0, __ATOMIC_RELAXED);
    }
    for (size_t i = 0; i < CONNECTION_PORTS; i++)
        if (t->holders[i].key)
            show(t, i);
    if (t->dependencies)
        dependencies_tick(t->dependencies, s->env, tick->now_ns);
    if (kernel_guard(&t->guard, &t->memory.head->cost, tick->now_ns, &s->cpu_ns, s->reason,
            sizeof(s->reason)))
        take_out(t);
}

// --- the sampler ---------------------------------------------------------------------------------

static void sampler_close(struct sampler *s)
{
    struct turnover *t = s->state;

    if (!t)
        return;
    if (s->env->turnover == t)
        s->env->turnover = NULL;
    dependencies_free(t->dependencies);
    connection_le_done(&t->le);
    if (t->kernel && s->env->pulse)
        pulse_detach(s->env->pulse);
    kernel_part_close(t->kernel);
    free(t->holders);
    free(t);
    s->state = NULL;
}

static int attach(
    struct sampler *s, const struct connection_memory *memory, struct kernel_part *part)
{
    struct turnover *t = calloc(1, sizeof(*t));

    s->state = t;
    if (t) {
        t->sampler = s;
        t->memory = *memory;
        t->le = (struct connection_le){.name = LIFE_SECONDS,
            .bounds_ns = memory->head->life_le_ns,
            .rows = CONNECTION_PORTS};
        t->holders = calloc(CONNECTION_PORTS, sizeof(*t->holders));
        if (memory->n_dests)
            t->dependencies = dependencies_new(memory, part);
    }
    if (!t || !t->holders || (memory->n_dests && !t->dependencies)) {
        snprintf(s->reason, sizeof(s->reason), "%s", strerror(ENOMEM));
        sampler_close(s);
        return -ENOMEM;
    }
    t->kernel = part;
    t->lost_id = output_series(s->env->out, "tocsin_agent_events_lost_total",
        (const struct wire_label[]){{"job", "tocsin"}, {"source", "tcp.connections"}}, 2,
        SERIES_COUNTER, "");
    s->env->turnover = t;
    return 0;
}

int turnover_attach(struct sampler *s, const struct connection_memory *memory)
{
    return attach(s, memory, NULL);
}

static int sampler_open(struct sampler *s)
{
    struct kernel_part *part;
    size_t bytes;
    int rc = kernel_part_open(
        s->env->kernel, KERNEL_CONNECTIONS, &part, s->reason, sizeof(s->reason));

    if (rc == -EPERM || rc == -EACCES)
        s->lacks = 1ull << CAP_BPF | 1ull << CAP_PERFMON;
    else if (rc == -ENOSYS)
        s->fix = "a kernel of Linux 4.16 or later with CONFIG_DEBUG_INFO_BTF";
    if (rc < 0)
        return rc;
    const struct kernel_options *o = kernel_options(s->env->kernel);
    const struct connection_memory memory = {.head = kernel_part_memory(part, 0, &bytes),
        .ports = kernel_part_memory(part, 1, &bytes),
        .dests = kernel_part_memory(part, 2, &bytes),
        .n_dests = o->dependencies,
        .own_netns = o->netns};
    rc = kernel_part_need(part, memory.head, sizeof(*memory.head));
    if (rc < 0)
        snprintf(s->reason, sizeof(s->reason), "memory of the programs: %s", strerror(-rc));
    else
        rc = attach(s, &memory, part);
    if (rc == 0 && s->env->pulse &&
        (rc = pulse_attach(s->env->pulse, memory.head, kernel_part_fd(part, 3))) < 0) {
        log_warn("pulse_not_watched", "error=%s", log_q(strerror(-rc)));
        rc = 0; // looked at as often as without the programs
    }
    if (rc < 0)
        kernel_part_close(part);
    return rc;
}

const struct sampler_ops turnover_sampler = {
    .name = "tcp.connections",
    .tier = "D",
    .interval_ms = INTERVAL_MS,
    .open = sampler_open,
    .tick = sampler_tick,
    .close = sampler_close,
};
