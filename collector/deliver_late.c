// SPDX-License-Identifier: Apache-2.0
// What does not get through in time: see deliver.h.
#include "collector/deliver_queue.h"
#include <stdlib.h>

static void sooner(struct deliver *d, int64_t at_ms)
{
    if (at_ms < d->late_at_ms)
        d->late_at_ms = at_ms;
}

void deliver_late_begins(struct deliver *d, struct item *it)
{
    it->late = false;
    if (d->o.late_ms)
        sooner(d, it->due_ms + d->o.late_ms);
}

void deliver_late_lost(struct deliver *d, const struct notice *n)
{
    if (!d->o.late_ms || d->retired || n->to != ALERT_FIRING)
        return;
    if (d->n_unheard == d->cap_unheard) {
        size_t cap = d->cap_unheard ? d->cap_unheard * 2 : 16;
        uint64_t *grown = realloc(d->unheard, cap * sizeof(*grown));
        if (!grown)
            return; // counted as dropped all the same
        d->unheard = grown;
        d->cap_unheard = cap;
    }
    d->unheard[d->n_unheard++] = n->alert_id;
    d->late_at_ms = 0;
}

void deliver_late_anew(struct deliver *d)
{
    d->late_at_ms = d->o.late_ms ? 0 : INT64_MAX;
    for (struct item *it = d->head; it; it = it->next)
        it->late = false;
    for (size_t i = 0; i < DELIVER_FLIGHTS_MAX; i++)
        if (d->flights[i].it)
            d->flights[i].it->late = false;
}

int64_t deliver_late_next(const struct deliver *d)
{
    return d->late_at_ms;
}

struct asking {
    int64_t now_ms, again_ms;
    bool (*fn)(void *ctx, uint64_t alert_id);
    void *ctx;
};

static void look(struct deliver *d, struct item *it, const struct asking *a)
{
    int64_t at = it->due_ms + d->o.late_ms;
    bool done = true;
    if (it->late)
        return;
    if (at > a->now_ms) {
        sooner(d, at);
        return;
    }
    for (size_t i = 0; i < it->changes.count; i++)
        if (it->changes.n[i]->to == ALERT_FIRING)
            done &= a->fn(a->ctx, it->changes.n[i]->alert_id);
    it->late = done;
    if (!done)
        sooner(d, a->again_ms);
}

void deliver_late(struct deliver *d, int64_t now_ms, int64_t again_ms,
    bool (*fn)(void *ctx, uint64_t alert_id), void *ctx)
{
    struct asking a = {now_ms, again_ms, fn, ctx};
    size_t left = 0;
    d->late_at_ms = INT64_MAX;
    for (size_t i = 0; i < d->n_unheard; i++)
        if (!fn(ctx, d->unheard[i]))
            d->unheard[left++] = d->unheard[i];
    d->n_unheard = left;
    if (left)
        sooner(d, again_ms);
    if (!d->o.late_ms)
        return;
    for (struct item *it = d->head; it; it = it->next)
        look(d, it, &a);
    for (size_t i = 0; i < DELIVER_FLIGHTS_MAX; i++)
        if (d->flights[i].it)
            look(d, d->flights[i].it, &a);
}
