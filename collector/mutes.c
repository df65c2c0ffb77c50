// SPDX-License-Identifier: Apache-2.0
#include "collector/mutes.h"
#include <stdlib.h>

struct mutes {
    struct inhibitor *inhibitor;
    struct silences *silences;
    bool changed;
    int64_t next_ms, sweep_ms;
};

struct mutes *mutes_new(const struct inhibit_rule *rules, size_t n)
{
    struct mutes *m = calloc(1, sizeof(*m));
    if (!m)
        return NULL;
    m->inhibitor = inhibitor_new(rules, n);
    m->silences = silences_new();
    m->changed = true; // what an earlier run left has to be looked at
    if (m->inhibitor && m->silences)
        return m;
    mutes_free(m);
    return NULL;
}

void mutes_free(struct mutes *m)
{
    if (!m)
        return;
    silences_free(m->silences);
    inhibitor_free(m->inhibitor);
    free(m);
}

struct silences *mutes_silences(struct mutes *m)
{
    return m->silences;
}

void mutes_take(struct mutes *m, const struct notice *n)
{
    inhibitor_take(m->inhibitor, n);
}

unsigned mutes_of(const struct mutes *m, const struct notice *n,
    const struct time_limits *times, int64_t wall_ms)
{
    const struct labels *l = &n->labels;
    return (silences_muting(m->silences, l, wall_ms, NULL, 0) ? MUTE_SILENCE : 0u) |
           (inhibitor_muted(m->inhibitor, l) ? MUTE_INHIBITION : 0u) |
           (time_limits_muted(times, wall_ms) ? MUTE_TIME : 0u);
}

bool mutes_quiet(const struct mutes *m, const struct notice *n, int64_t wall_ms)
{
    return silences_muting(m->silences, &n->labels, wall_ms, NULL, 0) ||
           inhibitor_muted(m->inhibitor, &n->labels);
}

void mutes_changed(struct mutes *m)
{
    m->changed = true;
}

bool mutes_moved(struct mutes *m, int64_t wall_ms)
{
    if (inhibitor_moved(m->inhibitor))
        m->changed = true;
    return m->changed || wall_ms >= m->next_ms;
}

void mutes_looked(struct mutes *m, int64_t wall_ms, int64_t times_ms)
{
    int64_t silences_ms = silences_next(m->silences, wall_ms);
    m->changed = false;
    m->next_ms = silences_ms < times_ms ? silences_ms : times_ms;
}

int64_t mutes_next(const struct mutes *m)
{
    return m->next_ms;
}

void mutes_sweep(
    struct mutes *m, int64_t wall_ms, void (*fn)(void *ctx, const struct silence *s), void *ctx)
{
    if (wall_ms < m->sweep_ms)
        return;
    m->sweep_ms = wall_ms + MUTES_SWEEP_MS;
    silences_sweep(m->silences, wall_ms, fn, ctx);
}
