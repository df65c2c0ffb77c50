// SPDX-License-Identifier: Apache-2.0
#include "agent/demand.h"
#include <math.h>
#include <string.h>

void demand_init(struct demand *d)
{
    *d = (struct demand){0};
    arena_init(&d->arena, 1u << 20); // WIRE_DEMANDS_MAX names fit
}

void demand_done(struct demand *d)
{
    arena_done(&d->arena);
}

static bool same(const struct demand *d, const struct wire_reply *r)
{
    if (d->n_thresholds != r->n_thresholds || d->n_faster != r->n_faster)
        return false;
    for (size_t i = 0; i < r->n_thresholds; i++)
        if (d->thresholds[i].value != r->thresholds[i].value ||
            strcmp(d->thresholds[i].name, r->thresholds[i].name) != 0)
            return false;
    for (size_t i = 0; i < r->n_faster; i++)
        if (strcmp(d->faster[i], r->faster[i]) != 0)
            return false;
    return true;
}

bool demand_take(struct demand *d, const struct wire_reply *r)
{
    struct demand next;
    if (!r->has_demand || same(d, r))
        return false;
    demand_init(&next);
    next.thresholds =
        arena_alloc(&next.arena, (r->n_thresholds + 1) * sizeof(*next.thresholds));
    next.faster = arena_alloc(&next.arena, (r->n_faster + 1) * sizeof(*next.faster));
    if (!next.thresholds || !next.faster)
        goto no_memory;
    for (; next.n_thresholds < r->n_thresholds; next.n_thresholds++) {
        const struct wire_threshold *t = &r->thresholds[next.n_thresholds];
        char *name = arena_strndup(&next.arena, t->name, strlen(t->name));
        if (!name)
            goto no_memory;
        next.thresholds[next.n_thresholds] = (struct wire_threshold){name, t->value};
    }
    for (; next.n_faster < r->n_faster; next.n_faster++) {
        const char *name = r->faster[next.n_faster];
        next.faster[next.n_faster] = arena_strndup(&next.arena, name, strlen(name));
        if (!next.faster[next.n_faster])
            goto no_memory;
    }
    next.version = d->version + 1;
    demand_done(d);
    *d = next;
    return true;
no_memory:
    demand_done(&next);
    return false;
}

size_t demand_thresholds(
    const struct demand *d, const char *name, double ret[static DEMAND_THRESHOLDS_MAX])
{
    size_t n = 0;
    for (size_t i = 0; d && i < d->n_thresholds; i++) {
        double v = d->thresholds[i].value;
        if (!isfinite(v) || strcmp(d->thresholds[i].name, name) != 0)
            continue;
        size_t at = 0;
        while (at < n && ret[at] < v)
            at++;
        if (at < n ? ret[at] == v : n == DEMAND_THRESHOLDS_MAX)
            continue;
        if (n < DEMAND_THRESHOLDS_MAX)
            n++;
        memmove(&ret[at + 1], &ret[at], (n - at - 1) * sizeof(*ret));
        ret[at] = v;
    }
    return n;
}

bool demand_faster(const struct demand *d, const char *name)
{
    for (size_t i = 0; d && i < d->n_faster; i++)
        if (strcmp(d->faster[i], name) == 0)
            return true;
    return false;
}
