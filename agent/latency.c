// SPDX-License-Identifier: Apache-2.0
#include "agent/latency.h"
#include "agent/config_tls.h"
#include "agent/kernel.h"
#include "agent/latency_table.h"
#include "agent/listen.h"
#include "agent/unix_listen.h"
#include "base/log.h"
#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define INTERVAL_MS 1000

// Who has a slot. By name, not by pointer: a service may go and another take its place in memory.
struct holder {
    char name[SERVICE_NAME_MAX], path[SERVICE_PATH_MAX];
    uint16_t port;
    bool used, seen;
    uint64_t key;                            // in the table of ports or names
    uint32_t duration, exchanges, in_flight; // ids, 0 = no traffic yet
};

struct latency {
    struct kernel_part *kernel;    // NULL: memory of a test's, or taken out of the kernel
    struct latency_shared *memory; // NULL: taken out
    struct holder *holders;        // LATENCY_SLOTS
    uint32_t netns;
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
    struct holder *h = &l->holders[i];

    output_end(o, h->duration);
    output_end(o, h->exchanges);
    output_end(o, h->in_flight);
    if (l->memory && h->path[0])
        latency_name_set(l->memory, (__u8)i, 0);
    else if (l->memory)
        latency_port_drop(l->memory, h->key);
    *h = (struct holder){0};
}

static uint64_t key_of(const struct latency *l, const struct service *v)
{
    return v->path[0] ? latency_name_key(l->netns, unix_listen_hash(v))
                      : latency_port_key(l->netns, v->port);
}

static bool slot_give(struct latency *l, size_t i, const struct service *v, bool tls)
{
    struct latency_slot *slot = &l->memory->slots[i];
    uint64_t key = key_of(l, v);

    if (kernel_part_need(l->kernel, slot, sizeof(*slot)) < 0)
        return false;
    __atomic_fetch_add(&l->memory->life[i], 1, __ATOMIC_RELEASE);
    memset(slot, 0, sizeof(*slot));
    // Last: from now on the kernel counts there.
    if (v->path[0])
        latency_name_set(l->memory, (__u8)i, key);
    else if (!latency_port_add(l->memory, key, (__u8)i, tls))
        return false;
    l->holders[i] = (struct holder){.port = v->port, .used = true, .seen = true, .key = key};
    memcpy(l->holders[i].name, v->name, sizeof(v->name));
    memcpy(l->holders[i].path, v->path, sizeof(v->path));
    return true;
}

static void slot_take(struct latency *l, const struct service *v, bool tls)
{
    size_t i = 0;

    while (i < LATENCY_SLOTS && l->holders[i].used)
        i++;
    if (i < LATENCY_SLOTS && slot_give(l, i, v, tls))
        return;
    if (!l->refused++)
        log_warn("latency_slots_full", "service=%s port=%u path=%s limit=%d", log_q(v->name),
            v->port, log_q(v->path), LATENCY_SLOTS);
}

static struct holder *holder_of(struct latency *l, const struct service *v)
{
    uint64_t key = key_of(l, v);

    if (!v->path[0]) {
        struct latency_port *p = latency_port_find(l->memory, key);
        struct holder *h = p ? &l->holders[p->slot] : NULL;
        return h && strcmp(h->name, v->name) == 0 ? h : NULL;
    }
    for (size_t i = 0; i < LATENCY_SLOTS; i++)
        if (l->holders[i].used && l->holders[i].key == key && l->holders[i].path[0] &&
            strcmp(l->holders[i].name, v->name) == 0)
            return &l->holders[i];
    return NULL;
}

// known: only those that have a slot; else only the others.
static void slot_follow(
    struct latency *l, const struct env *env, const struct service *v, bool known)
{
    struct holder *h = holder_of(l, v);
    bool tls = !v->path[0] && config_is_tls(env->config, v->port);

    if (h) {
        h->seen = true;
        if (!h->path[0])
            latency_port_find(l->memory, h->key)->tls = tls;
    } else if (!known) {
        slot_take(l, v, tls);
    }
}

static void slots_follow(struct latency *l, const struct env *env)
{
    for (size_t i = 0; i < LATENCY_SLOTS; i++)
        l->holders[i].seen = false;
    // First those that are known, so that who is gone makes room for who is new.
    for (int known = 1; known >= 0; known--) {
        struct service *v = listen_services(env->listen);
        // Of several on one port the kernel cannot tell whose connection it is: the first has it.
        for (; v; v = v->next)
            if (v->announced && listen_service(env->listen, v->port) == v)
                slot_follow(l, env, v, known);
        v = env->unix_listen ? unix_listen_services(env->unix_listen) : NULL;
        for (; v; v = v->next)
            if (v->announced && v->sockets > 0 && unix_listen_hash(v))
                slot_follow(l, env, v, known);
        for (size_t i = 0; known && i < LATENCY_SLOTS; i++)
            if (l->holders[i].used && !l->holders[i].seen)
                slot_end(l, env->out, i);
    }
}

// --- output --------------------------------------------------------------------------------------

static void declare(struct holder *h, struct output *o)
{
    struct wire_label labels[LISTEN_LABELS];
    struct service as_service = {.port = h->port};
    char port[8];

    memcpy(as_service.name, h->name, sizeof(h->name));
    memcpy(as_service.path, h->path, sizeof(h->path));
    listen_labels(&as_service, labels, port);
    h->duration = output_series(o, "tocsin_service_request_duration_seconds", labels,
        LISTEN_LABELS, SERIES_HISTOGRAM, "seconds");
    h->exchanges = output_series(
        o, "tocsin_service_exchanges_total", labels, LISTEN_LABELS, SERIES_COUNTER, "");
    if (!h->path[0])
        h->in_flight = output_series(
            o, "tocsin_service_in_flight", labels, LISTEN_LABELS, SERIES_GAUGE, "");
}

static void show(struct latency *l, const struct env *env, size_t i)
{
    int32_t index[LATENCY_BUCKETS];
    uint64_t count[LATENCY_BUCKETS];
    struct wire_histogram hist;
    struct holder *h = &l->holders[i];
    const struct latency_slot *slot = &l->memory->slots[i];
    uint64_t n = latency_read(slot, index, count, &hist);
    int64_t waits = __atomic_load_n(&slot->in_flight, __ATOMIC_RELAXED);

    if (!h->duration && !n && waits <= 0)
        return;
    if (!h->duration)
        declare(h, env->out);
    output_histogram(env->out, h->duration, &hist);
    output_set(env->out, h->exchanges, (double)n);
    output_set(env->out, h->in_flight, waits > 0 ? (double)waits : 0);
}

static void take_out(struct sampler *s)
{
    struct latency *l = s->state;

    for (size_t i = 0; i < LATENCY_SLOTS; i++)
        if (l->holders[i].used)
            slot_end(l, s->env->out, i);
    kernel_part_close(l->kernel);
    l->kernel = NULL;
    l->memory = NULL;
    s->available = false;
    log_warn("sampler_unavailable", "sampler=%s reason=%s", s->ops->name, log_q(s->reason));
}

static void sampler_tick(struct sampler *s, const struct tick *t)
{
    struct latency *l = s->state;

    if (!l->memory || !s->env->listen)
        return;
    slots_follow(l, s->env);
    for (size_t i = 0; i < LATENCY_SLOTS; i++)
        if (l->holders[i].used)
            show(l, s->env, i);
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
    kernel_part_close(l->kernel);
    free(l->holders);
    free(l);
    s->state = NULL;
}

int latency_attach(struct sampler *s, struct latency_shared *memory)
{
    struct latency *l = calloc(1, sizeof(*l));
    char path[512];
    struct stat st;

    s->state = l;
    if (l)
        l->holders = calloc(LATENCY_SLOTS, sizeof(*l->holders));
    if (!l || !l->holders) {
        snprintf(s->reason, sizeof(s->reason), "%s", strerror(ENOMEM));
        sampler_close(s);
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
    ((struct latency *)s->state)->kernel = part;
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
