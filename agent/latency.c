// SPDX-License-Identifier: Apache-2.0
#include "agent/latency.h"
#include "agent/kernel.h"
#include "agent/listen.h"
#include "base/log.h"
#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INTERVAL_MS 1000

// Who has a slot. By name, not by pointer: a service may go and another take its place in memory.
struct holder {
    char name[SERVICE_NAME_MAX];
    uint16_t port; // 0 = the slot is free
    bool seen;
    uint32_t duration, exchanges; // ids, 0 = no traffic yet
};

struct latency {
    struct kernel_part *kernel;    // NULL: memory of a test's, or taken out of the kernel
    struct latency_shared *memory; // NULL: taken out
    struct holder *holders;        // LATENCY_SLOTS
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

    if (h->duration)
        output_end(o, h->duration);
    if (h->exchanges)
        output_end(o, h->exchanges);
    if (l->memory && l->memory->slot_of_port[h->port] == i + 1)
        l->memory->slot_of_port[h->port] = 0;
    *h = (struct holder){0};
}

static void slot_take(struct latency *l, const struct service *v)
{
    for (size_t i = 0; i < LATENCY_SLOTS; i++) {
        struct holder *h = &l->holders[i];
        if (h->port)
            continue;
        *h = (struct holder){.port = v->port, .seen = true};
        memcpy(h->name, v->name, sizeof(h->name));
        memset(&l->memory->slots[i], 0, sizeof(l->memory->slots[i]));
        // Last: from now on the kernel counts there.
        __atomic_store_n(&l->memory->slot_of_port[v->port], (__u8)(i + 1), __ATOMIC_RELEASE);
        return;
    }
    if (!l->refused++)
        log_warn("latency_slots_full", "service=%s port=%u limit=%d", log_q(v->name), v->port,
            LATENCY_SLOTS);
}

static void slots_follow(struct latency *l, const struct env *env)
{
    for (size_t i = 0; i < LATENCY_SLOTS; i++)
        l->holders[i].seen = false;
    // First those that are known, so that who is gone makes room for who is new.
    for (int known = 1; known >= 0; known--) {
        for (struct service *v = listen_services(env->listen); v; v = v->next) {
            // Of several on one port the kernel cannot tell whose connection it is: the first has it.
            if (!v->announced || listen_service(env->listen, v->port) != v)
                continue;
            unsigned slot = l->memory->slot_of_port[v->port];
            struct holder *h = slot ? &l->holders[slot - 1] : NULL;
            if (h && strcmp(h->name, v->name) == 0)
                h->seen = true;
            else if (!known)
                slot_take(l, v);
        }
        for (size_t i = 0; known && i < LATENCY_SLOTS; i++)
            if (l->holders[i].port && !l->holders[i].seen)
                slot_end(l, env->out, i);
    }
}

// --- output --------------------------------------------------------------------------------------

static void declare(struct holder *h, struct output *o, const struct service *v)
{
    struct wire_label labels[LISTEN_LABELS];
    char port[8];

    listen_labels(v, labels, port);
    h->duration = output_series(o, "tocsin_service_request_duration_seconds", labels,
        LISTEN_LABELS, SERIES_HISTOGRAM, "seconds");
    h->exchanges = output_series(
        o, "tocsin_service_exchanges_total", labels, LISTEN_LABELS, SERIES_COUNTER, "");
}

static void show(struct latency *l, const struct env *env, size_t i)
{
    int32_t index[LATENCY_BUCKETS];
    uint64_t count[LATENCY_BUCKETS];
    struct wire_histogram hist;
    struct holder *h = &l->holders[i];
    uint64_t n = latency_read(&l->memory->slots[i], index, count, &hist);
    const struct service *v;

    if (!n)
        return;
    if (!h->duration && (v = listen_service(env->listen, h->port)))
        declare(h, env->out, v);
    output_histogram(env->out, h->duration, &hist);
    output_set(env->out, h->exchanges, (double)n);
}

static void take_out(struct sampler *s)
{
    struct latency *l = s->state;

    for (size_t i = 0; i < LATENCY_SLOTS; i++)
        if (l->holders[i].port)
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
        if (l->holders[i].port)
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

    s->state = l;
    if (l)
        l->holders = calloc(LATENCY_SLOTS, sizeof(*l->holders));
    if (!l || !l->holders) {
        snprintf(s->reason, sizeof(s->reason), "%s", strerror(ENOMEM));
        sampler_close(s);
        return -ENOMEM;
    }
    l->memory = memory;
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
    rc = kernel_part_need(part, memory, bytes);
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
