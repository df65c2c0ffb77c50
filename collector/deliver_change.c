// SPDX-License-Identifier: Apache-2.0
#include "collector/deliver_queue.h"
#include <errno.h>
#include <string.h>

static bool same_grouping(const struct deliver_options *a, const struct deliver_options *b)
{
    if (a->group_by_all != b->group_by_all || a->n_group_by != b->n_group_by)
        return false;
    for (size_t i = 0; i < a->n_group_by; i++)
        if (strcmp(a->group_by[i], b->group_by[i]) != 0)
            return false;
    return true;
}

static int stay(struct deliver *d, struct group *g, const struct notice_set *s)
{
    for (size_t i = 0; i < s->count; i++) {
        const uint64_t *id = &s->n[i]->alert_id;
        if (map_get(&d->stays, id, sizeof(*id)))
            continue;
        if (map_set(&d->stays, id, sizeof(*id), g) < 0)
            return -ENOMEM;
        g->stays++;
    }
    return 0;
}

int deliver_prepare(struct deliver *d, const struct deliver_options *o)
{
    size_t at = 0, len;
    const void *key;
    void *v;
    int rc = 0;
    if (same_grouping(&d->o, o))
        return 0;
    for (const struct item *it = d->head; rc == 0 && it; it = it->next)
        rc = stay(d, it->group, &it->changes);
    for (size_t i = 0; rc == 0 && i < DELIVER_FLIGHTS_MAX; i++)
        if (d->flights[i].it)
            rc = stay(d, d->flights[i].it->group, &d->flights[i].it->changes);
    while (rc == 0 && map_next(&d->groups, &at, &key, &len, &v))
        rc = stay(d, v, &((struct group *)v)->known);
    return rc;
}

void deliver_unstay(struct deliver *d, uint64_t alert_id)
{
    struct group *g = d->stays.n ? map_del(&d->stays, &alert_id, sizeof(alert_id)) : NULL;
    if (!g)
        return;
    g->stays--;
    deliver_group_release(d, g);
}

void deliver_configure(struct deliver *d, const struct deliver_options *o)
{
    size_t flights = d->o.flights, queue_max = d->o.queue_max;
    d->o = *o;
    d->o.flights = flights;
    d->o.queue_max = queue_max;
    d->retired = d->stats.gone = false;
    deliver_late_anew(d);
}

void deliver_retry(struct deliver *d)
{
    size_t at = 0, len;
    const void *key;
    void *g;
    d->retry_at_ms = d->named_ms = 0;
    d->choked = NULL;
    while (map_next(&d->groups, &at, &key, &len, &g))
        ((struct group *)g)->retry_at_ms = 0;
}

static bool firing_here(const struct notice_set *s, const struct notice *n)
{
    const struct notice *there = notice_set_find(s, n->fingerprint);
    return there && there->alert_id == n->alert_id && there->to == ALERT_FIRING;
}

bool deliver_tells(struct deliver *d, const struct notice *n)
{
    const struct group *g = deliver_group(d, n, false);
    const struct notice *known = g ? notice_set_find(&g->known, n->fingerprint) : NULL;
    if (known && known->alert_id == n->alert_id)
        return true;
    for (size_t i = 0; d->flying && i < DELIVER_FLIGHTS_MAX; i++)
        if (d->flights[i].it && firing_here(&d->flights[i].it->changes, n))
            return true;
    return false;
}

// An item of which nothing is left would be taken for a repeat.
static void item_gone(struct deliver *d, struct item *before, struct item *it)
{
    struct group *g = it->group;
    deliver_take_out(d, before, it);
    deliver_item_free(it);
    g->items--;
    g->retry_at_ms = 0;
    deliver_group_release(d, g);
}

size_t deliver_sift(
    struct deliver *d, bool (*keep)(void *ctx, const struct notice *n), void *ctx)
{
    size_t out = 0;
    struct item *before = NULL;
    for (struct item *it = d->head, *next; it; it = next) {
        next = it->next;
        bool repeat = it->changes.count == 0;
        for (size_t i = 0; i < it->changes.count;) {
            const struct notice *n = it->changes.n[i];
            if (keep(ctx, n)) {
                i++;
                continue;
            }
            deliver_unstay(d, n->alert_id);
            notice_set_remove(&it->changes, n->fingerprint);
            d->stats.queued--;
            out++;
        }
        if (it->changes.count || repeat)
            before = it;
        else
            item_gone(d, before, it);
    }
    return out;
}

void deliver_retire(struct deliver *d)
{
    d->retired = true;
}

void deliver_forget(struct deliver *d, const struct notice *n)
{
    struct group *g = deliver_group(d, n, false);
    if (g) {
        notice_set_remove(&g->known, n->fingerprint);
        deliver_group_release(d, g);
    }
    deliver_learn(d, n->alert_id, TOLD_OVER);
}

bool deliver_idle(const struct deliver *d)
{
    return !d->head && !d->flying && !d->groups.n;
}
