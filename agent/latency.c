// SPDX-License-Identifier: Apache-2.0
#include "agent/latency.h"
#include "agent/calls.h"
#include "agent/config_tls.h"
#include "agent/kernel.h"
#include "agent/latency_table.h"
#include "agent/le_counts.h"
#include "agent/listen.h"
#include "agent/netns.h"
#include "agent/unix_listen.h"
#include "base/log.h"
#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define INTERVAL_MS 1000
#define NAME        "tocsin_service_request_duration_seconds"

// Who has a slot. By name, not by pointer: a service may go and another take its place in memory.
struct holder {
    char name[SERVICE_NAME_MAX], path[SERVICE_PATH_MAX], netns[NETNS_NAME_MAX];
    uint16_t port;
    bool seen;
    uint64_t key;                            // in the table of ports or names
    uint32_t duration, exchanges, in_flight; // ids, 0 = no traffic yet
    struct le_counts le;
    uint64_t before; // exchanges, when counting for the bounds of `le` began
};

struct latency {
    struct kernel_part *kernel;    // NULL: memory of a test's, or taken out of the kernel
    struct latency_shared *memory; // NULL: taken out
    struct holder *holders[LATENCY_SLOTS]; // NULL: the slot is free
    struct calls *calls;                   // NULL: outgoing connections are not looked at
    uint32_t netns;
    uint64_t demand; // version that was followed
    size_t refused;
    struct kernel_guard guard;
};

uint64_t latency_read(
    const struct latency_slot *slot, int32_t *index, uint64_t *count, struct wire_histogram *h)
{
    uint64_t n = 0;

    *h = (struct wire_histogram){.scale = WIRE_SCALE, .index = index, .count = count};
    h->sum = (double)slot->sum_ns / 1e9;
    for (int i = 0; i < LATENCY_BUCKETS; i++) {
        // Read once: the kernel goes on counting.
        uint64_t here = __atomic_load_n(&slot->count[i], __ATOMIC_RELAXED);
        if (!here)
            continue;
        index[h->n] = LATENCY_INDEX + i;
        count[h->n++] = here;
        n += here;
    }
    return n;
}

// --- who has which slot --------------------------------------------------------------------------

static void slot_end(struct latency *l, struct output *o, size_t i)
{
    struct holder *h = l->holders[i];

    output_end(o, h->duration);
    output_end(o, h->exchanges);
    output_end(o, h->in_flight);
    le_counts_end(&h->le, o);
    if (l->memory && h->path[0])
        latency_name_set(l->memory, (__u8)i, 0);
    else if (l->memory)
        latency_port_drop(l->memory, h->key);
    free(h);
    l->holders[i] = NULL;
}

// netns: inode of the service's network namespace, 0 = the agent's own.
static uint64_t key_of(const struct latency *l, const struct service *v, uint64_t netns)
{
    uint32_t inum = netns ? (uint32_t)netns : l->netns;

    return v->path[0] ? latency_name_key(inum, unix_listen_hash(v))
                      : latency_port_key(inum, v->port);
}

static bool slot_give(
    struct latency *l, size_t i, const struct service *v, uint64_t key, bool tls)
{
    struct latency_slot *slot = &l->memory->slots[i];
    struct holder *h = calloc(1, sizeof(*h));

    if (!h || kernel_part_need(l->kernel, slot, sizeof(*slot)) < 0)
        goto fail;
    __atomic_fetch_add(&l->memory->life[i], 1, __ATOMIC_RELEASE);
    memset(slot, 0, sizeof(*slot));
    // Last: from now on the kernel counts there.
    if (v->path[0])
        latency_name_set(l->memory, (__u8)i, key);
    else if (!latency_port_add(l->memory, key, (__u8)i, tls))
        goto fail;
    h->port = v->port;
    h->seen = true;
    h->key = key;
    memcpy(h->name, v->name, sizeof(v->name));
    memcpy(h->path, v->path, sizeof(v->path));
    snprintf(h->netns, sizeof(h->netns), "%s", v->netns ? v->netns : "");
    l->holders[i] = h;
    return true;
fail:
    free(h);
    return false;
}

static void slot_take(struct latency *l, const struct service *v, uint64_t key, bool tls)
{
    size_t i = 0;

    while (i < LATENCY_SLOTS && l->holders[i])
        i++;
    if (i < LATENCY_SLOTS && slot_give(l, i, v, key, tls))
        return;
    if (!l->refused++)
        log_warn("latency_slots_full", "service=%s port=%u path=%s limit=%d", log_q(v->name),
            v->port, log_q(v->path), LATENCY_SLOTS);
}

static struct holder *holder_of(struct latency *l, const struct service *v, uint64_t key)
{
    if (!v->path[0]) {
        struct latency_port *p = latency_port_find(l->memory, key);
        struct holder *h = p ? l->holders[p->slot] : NULL;
        return h && strcmp(h->name, v->name) == 0 ? h : NULL;
    }
    for (size_t i = 0; i < LATENCY_SLOTS; i++)
        if (l->holders[i] && l->holders[i]->key == key && l->holders[i]->path[0] &&
            strcmp(l->holders[i]->name, v->name) == 0)
            return l->holders[i];
    return NULL;
}

// known: only those that have a slot; else only the others.
static void slot_follow(struct latency *l, const struct env *env, const struct service *v,
    uint64_t netns, bool known)
{
    uint64_t key = key_of(l, v, netns);
    struct holder *h = holder_of(l, v, key);
    bool tls = !v->path[0] && config_is_tls(env->config, v->port);

    if (h) {
        h->seen = true;
        if (!h->path[0])
            latency_port_find(l->memory, h->key)->tls = tls;
    } else if (!known) {
        slot_take(l, v, key, tls);
    }
}

static void slots_follow(struct latency *l, const struct env *env)
{
    for (size_t i = 0; i < LATENCY_SLOTS; i++)
        if (l->holders[i])
            l->holders[i]->seen = false;
    // First those that are known, so that who is gone makes room for who is new.
    for (int known = 1; known >= 0; known--) {
        // Of several on one port the kernel cannot tell whose connection it is: the first has it.
        for (struct listen *n = env->listen; n; n = listen_next(n))
            for (struct service *v = listen_services(n); v; v = v->next)
                if (v->announced && listen_service(n, v->port) == v)
                    slot_follow(l, env, v, listen_netns(n), known);
        struct service *u = env->unix_listen ? unix_listen_services(env->unix_listen) : NULL;
        for (; u; u = u->next)
            if (u->announced && u->sockets > 0 && unix_listen_hash(u))
                slot_follow(l, env, u, 0, known);
        for (size_t i = 0; known && i < LATENCY_SLOTS; i++)
            if (l->holders[i] && !l->holders[i]->seen)
                slot_end(l, env->out, i);
    }
}

// --- output --------------------------------------------------------------------------------------

static void labels_of(
    struct holder *h, struct wire_label labels[static LISTEN_LABELS], char port[static 8])
{
    struct service as_service = {.port = h->port, .netns = h->netns};

    memcpy(as_service.name, h->name, sizeof(h->name));
    memcpy(as_service.path, h->path, sizeof(h->path));
    listen_labels(&as_service, labels, port);
    labels[2].value = h->name; // what they point to outlives this call
    labels[4].value = h->path;
}

static void declare(
    struct holder *h, struct output *o, const struct wire_label labels[static LISTEN_LABELS])
{
    h->duration = output_series(o, NAME, labels, LISTEN_LABELS, SERIES_HISTOGRAM, "seconds");
    h->exchanges = output_series(
        o, "tocsin_service_exchanges_total", labels, LISTEN_LABELS, SERIES_COUNTER, "");
    if (!h->path[0])
        h->in_flight = output_series(
            o, "tocsin_service_in_flight", labels, LISTEN_LABELS, SERIES_GAUGE, "");
}

static void show_le(
    struct holder *h, struct output *o, const struct latency_slot *slot, uint64_t n)
{
    uint64_t total = n - h->before, so_far = 0;

    for (size_t i = 0; i < h->le.n; i++) {
        so_far += __atomic_load_n(&slot->at_most[i], __ATOMIC_RELAXED);
        h->le.counts[i] = so_far < total ? so_far : total; // the kernel goes on meanwhile
    }
    h->le.counts[h->le.n] = total;
    le_counts_write(&h->le, o);
}

static void show(struct latency *l, const struct env *env, size_t i)
{
    int32_t index[LATENCY_BUCKETS];
    uint64_t count[LATENCY_BUCKETS];
    struct wire_histogram hist;
    struct wire_label labels[LISTEN_LABELS];
    char port[8];
    struct holder *h = l->holders[i];
    const struct latency_slot *slot = &l->memory->slots[i];
    uint64_t n = latency_read(slot, index, count, &hist);
    int64_t waits = __atomic_load_n(&slot->in_flight, __ATOMIC_RELAXED);

    if (!h->duration && !n && waits <= 0)
        return;
    if (!h->duration || h->le.version != l->demand)
        labels_of(h, labels, port);
    if (!h->duration)
        declare(h, env->out, labels);
    if (h->le.version != l->demand)
        le_counts_follow(&h->le, env->out, env->demand, NAME, labels, LISTEN_LABELS);
    output_histogram(env->out, h->duration, &hist);
    output_set(env->out, h->exchanges, (double)n);
    output_set(env->out, h->in_flight, waits > 0 ? (double)waits : 0);
    show_le(h, env->out, slot, n);
}

// The bounds that rules name now are those the kernel counts at.
static void demand_follow(struct latency *l, const struct env *env)
{
    double le[DEMAND_THRESHOLDS_MAX];
    int32_t index[LATENCY_BUCKETS];
    uint64_t count[LATENCY_BUCKETS];
    struct wire_histogram hist;

    _Static_assert(DEMAND_THRESHOLDS_MAX == LATENCY_THRESHOLDS, "the kernel has room for all");
    if (!env->demand || env->demand->version == l->demand)
        return;
    l->demand = env->demand->version;
    if (!latency_thresholds_set(
            l->memory->thresholds_ns, le, demand_thresholds(env->demand, NAME, le)))
        return;
    for (size_t i = 0; i < LATENCY_SLOTS; i++) {
        struct latency_slot *slot = &l->memory->slots[i];
        if (!l->holders[i])
            continue;
        memset(slot->at_most, 0, sizeof(slot->at_most));
        l->holders[i]->before = latency_read(slot, index, count, &hist);
    }
}

static struct dependencies *dependencies_of(const struct env *env)
{
    return env->turnover ? turnover_dependencies(env->turnover) : NULL;
}

static void take_out(struct sampler *s)
{
    struct latency *l = s->state;

    for (size_t i = 0; i < LATENCY_SLOTS; i++)
        if (l->holders[i])
            slot_end(l, s->env->out, i);
    calls_end(l->calls, s->env->out);
    calls_free(l->calls, dependencies_of(s->env));
    l->calls = NULL;
    kernel_part_close(l->kernel);
    l->kernel = NULL;
    l->memory = NULL;
    s->available = false;
    log_warn("sampler_unavailable", "sampler=%s reason=%s", s->ops->name, log_q(s->reason));
}

static void calls_look(struct latency *l, const struct env *env)
{
    struct dependencies *d = dependencies_of(env);

    if (!l->calls)
        return;
    size_t n = config_tls_list(env->config, l->memory->tls_ports, LATENCY_TLS_PORTS - 1);
    l->memory->tls_ports[n] = 0;
    if (d)
        calls_tick(l->calls, d, l->memory, env);
    else
        calls_end(l->calls, env->out);
}

static void sampler_tick(struct sampler *s, const struct tick *t)
{
    struct latency *l = s->state;

    if (!l->memory || !s->env->listen)
        return;
    slots_follow(l, s->env);
    demand_follow(l, s->env);
    for (size_t i = 0; i < LATENCY_SLOTS; i++)
        if (l->holders[i])
            show(l, s->env, i);
    calls_look(l, s->env);
    if (kernel_guard(
            &l->guard, &l->memory->cost, t->now_ns, &s->cpu_ns, s->reason, sizeof(s->reason)))
        take_out(s);
}

// --- the sampler ---------------------------------------------------------------------------------

static void sampler_close(struct sampler *s)
{
    struct latency *l = s->state;

    if (!l)
        return;
    calls_free(l->calls, dependencies_of(s->env));
    kernel_part_close(l->kernel);
    for (size_t i = 0; i < LATENCY_SLOTS; i++)
        free(l->holders[i]);
    free(l);
    s->state = NULL;
}

int latency_attach(struct sampler *s, struct latency_shared *memory)
{
    struct latency *l = calloc(1, sizeof(*l));
    char path[512];
    struct stat st;

    s->state = l;
    if (!l) {
        snprintf(s->reason, sizeof(s->reason), "%s", strerror(ENOMEM));
        return -ENOMEM;
    }
    snprintf(path, sizeof(path), "%s/self/ns/net", s->env->proc);
    if (stat(path, &st) == 0)
        l->netns = (uint32_t)st.st_ino;
    l->memory = memory;
    latency_table_init(memory);
    return 0;
}

static int sampler_open(struct sampler *s)
{
    size_t bytes;
    struct kernel_part *part;

    if (!s->env->listen) {
        snprintf(s->reason, sizeof(s->reason), "needs tcp.listen, which is not available");
        return -ENODEV;
    }
    int rc =
        kernel_part_open(s->env->kernel, KERNEL_LATENCY, &part, s->reason, sizeof(s->reason));
    if (rc == -EPERM || rc == -EACCES)
        s->lacks = 1ull << CAP_BPF | 1ull << CAP_PERFMON;
    else if (rc == -ENOSYS)
        s->fix = "a kernel of Linux 6.3 or later";
    if (rc < 0)
        return rc;
    struct latency_shared *memory = kernel_part_memory(part, 0, &bytes);
    rc = kernel_part_need(part, memory, offsetof(struct latency_shared, slots));
    if (rc < 0)
        snprintf(s->reason, sizeof(s->reason), "memory of the programs: %s", strerror(-rc));
    else
        rc = latency_attach(s, memory);
    if (rc < 0) {
        kernel_part_close(part);
        return rc;
    }
    struct latency *l = s->state;
    l->kernel = part;
    struct latency_call *calls = kernel_part_memory(part, 1, &bytes);
    // Without memory for it there is the services' half.
    if (calls && kernel_options(s->env->kernel)->dependencies)
        l->calls = calls_new(calls, (uint32_t)(bytes / sizeof(*calls)), part);
    return 0;
}

const struct sampler_ops latency_sampler = {
    .name = "tcp.latency",
    .tier = "D",
    .interval_ms = INTERVAL_MS,
    .open = sampler_open,
    .tick = sampler_tick,
    .close = sampler_close,
};
