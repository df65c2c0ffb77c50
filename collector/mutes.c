// SPDX-License-Identifier: Apache-2.0
#include "collector/mutes.h"
#include "collector/flap.h"
#include <errno.h>
#include <stdlib.h>

struct mutes {
    struct inhibitor *inhibitor;
    struct policies *policies; // NULL: there are none
    struct inhibitor *dependencies;
    struct flaps *flaps;
    struct silences *silences;
    struct acks *acks;
    bool changed;
    int64_t looked_ms, next_ms, sweep_ms;
};

const char *mute_name(unsigned mute)
{
    switch ((enum mute)mute) {
    case MUTE_SILENCE: return "silence";
    case MUTE_INHIBITION: return "inhibition";
    case MUTE_TIME: return "time_interval";
    case MUTE_DEPENDENCY: return "dependency";
    case MUTE_FLAP: return "flapping";
    case MUTE_ACK: return "acknowledgement";
    }
    return NULL;
}

struct mutes *mutes_new(const struct inhibit_rule *rules, size_t n)
{
    struct mutes *m = calloc(1, sizeof(*m));
    if (!m)
        return NULL;
    m->inhibitor = inhibitor_new(rules, n);
    m->dependencies = inhibitor_new(NULL, 0);
    m->flaps = flaps_new();
    m->silences = silences_new();
    m->acks = acks_new();
    m->changed = true; // what an earlier run left has to be looked at
    if (m->inhibitor && m->dependencies && m->flaps && m->silences && m->acks)
        return m;
    mutes_free(m);
    return NULL;
}

void mutes_free(struct mutes *m)
{
    if (!m)
        return;
    silences_free(m->silences);
    acks_free(m->acks);
    inhibitor_free(m->inhibitor);
    inhibitor_free(m->dependencies);
    flaps_free(m->flaps);
    policies_free(m->policies);
    free(m);
}

struct silences *mutes_silences(struct mutes *m)
{
    return m->silences;
}

int mutes_policies(struct mutes *m, struct policies *p)
{
    size_t n;
    const struct inhibit_rule *rules = policies_dependencies(p, &n);
    struct inhibitor *fresh = inhibitor_new(rules, n);
    if (!fresh)
        return -ENOMEM;
    inhibitor_free(m->dependencies);
    policies_free(m->policies);
    m->dependencies = fresh;
    m->policies = policies_keep(p);
    flaps_limits(m->flaps, p);
    return 0;
}

void mutes_inhibitor(struct mutes *m, struct inhibitor *h)
{
    inhibitor_free(m->inhibitor);
    m->inhibitor = h;
    m->changed = true;
}

void mutes_source(struct mutes *m, const struct notice *n)
{
    inhibitor_take(m->dependencies, n);
}

struct acks *mutes_acks(struct mutes *m)
{
    return m->acks;
}

static bool acknowledged(const struct mutes *m, const struct notice *n, int64_t wall_ms)
{
    return n->to == ALERT_FIRING && ack_active(acks_get(m->acks, n->alert_id), wall_ms);
}

void mutes_take(struct mutes *m, const struct notice *n)
{
    inhibitor_take(m->inhibitor, n);
    inhibitor_take(m->dependencies, n);
    if (n->to == ALERT_INACTIVE)
        acks_forget(m->acks, n->alert_id);
    int64_t end_ms = m->policies ? flaps_take(m->flaps, m->policies, n) : INT64_MAX;
    m->next_ms = end_ms < m->next_ms ? end_ms : m->next_ms;
}

unsigned mutes_of(const struct mutes *m, const struct notice *n, uint32_t lane,
    const struct time_limits *times, int64_t wall_ms)
{
    return (silences_muting(m->silences, &n->labels, wall_ms, NULL, 0) ? MUTE_SILENCE : 0u) |
           (inhibitor_muted(m->inhibitor, n) ? MUTE_INHIBITION : 0u) |
           (inhibitor_muted(m->dependencies, n) ? MUTE_DEPENDENCY : 0u) |
           (flaps_muted(m->flaps, n, lane, wall_ms) ? MUTE_FLAP : 0u) |
           (time_limits_muted(times, wall_ms) ? MUTE_TIME : 0u) |
           (acknowledged(m, n, wall_ms) ? MUTE_ACK : 0u);
}

struct notice *mutes_said(
    struct mutes *m, const struct notice *n, uint32_t lane, int64_t wall_ms)
{
    return flaps_said(m->flaps, n, lane, wall_ms);
}

bool mutes_quiet(const struct mutes *m, const struct notice *n, int64_t wall_ms)
{
    return silences_muting(m->silences, &n->labels, wall_ms, NULL, 0) ||
           inhibitor_muted(m->inhibitor, n) || inhibitor_muted(m->dependencies, n) ||
           flaps_damped(m->flaps, n, wall_ms) || acknowledged(m, n, wall_ms);
}

void mutes_changed(struct mutes *m)
{
    m->changed = true;
}

bool mutes_moved(struct mutes *m, int64_t wall_ms)
{
    bool inhibition = inhibitor_moved(m->inhibitor);
    bool dependency = inhibitor_moved(m->dependencies);
    m->changed = m->changed || inhibition || dependency;
    // Set back, the clock may have ended what was to end later, or begun it anew.
    return m->changed || wall_ms >= m->next_ms || wall_ms < m->looked_ms;
}

void mutes_looked(struct mutes *m, int64_t wall_ms, int64_t times_ms)
{
    int64_t silences_ms = silences_next(m->silences, wall_ms);
    int64_t flaps_ms = flaps_next(m->flaps, wall_ms);
    int64_t acks_ms = acks_next(m->acks, wall_ms);
    m->changed = false;
    m->looked_ms = wall_ms;
    m->next_ms = silences_ms < times_ms ? silences_ms : times_ms;
    m->next_ms = flaps_ms < m->next_ms ? flaps_ms : m->next_ms;
    m->next_ms = acks_ms < m->next_ms ? acks_ms : m->next_ms;
}

int64_t mutes_next(const struct mutes *m)
{
    return m->next_ms;
}

void mutes_sweep(
    struct mutes *m, int64_t wall_ms, void (*fn)(void *ctx, const struct silence *s), void *ctx)
{
    if (wall_ms < m->sweep_ms && wall_ms >= m->sweep_ms - MUTES_SWEEP_MS)
        return;
    m->sweep_ms = wall_ms + MUTES_SWEEP_MS;
    silences_sweep(m->silences, wall_ms, fn, ctx);
    flaps_sweep(m->flaps, wall_ms);
}
