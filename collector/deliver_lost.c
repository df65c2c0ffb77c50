// SPDX-License-Identifier: Apache-2.0
#include "collector/deliver_queue.h"
#include <stdlib.h>

void deliver_lose_flight(struct deliver *d, const struct flight *f, enum deliver_loss why)
{
    if (d->o.lost && f->message.n_changed)
        d->o.lost(d->o.lost_ctx, &f->message, why);
}

// A message that was never made says only what it changes, not the whole group: many of these come at
// once, and a large group would be written for each.
void deliver_lose_item(
    struct deliver *d, const struct item *it, bool room, enum deliver_loss why)
{
    struct flight f = {0};
    struct group g = *it->group;
    struct item alone = *it;
    if (!d->o.lost || !it->changes.count)
        return;
    g.known = (struct notice_set){0};
    alone.group = &g;
    buf_init(&f.body, DELIVER_BODY_MAX);
    buf_init(&f.path, DELIVER_PATH_MAX);
    for (size_t i = 0; i < it->changes.count; i++) {
        const struct notice *known =
            notice_set_find(&it->group->known, it->changes.n[i]->fingerprint);
        if (known)
            (void)notice_set_put(&g.known, known);
    }
    if (!room) {
        f.message.n_changed = it->changes.count;
        d->o.lost(d->o.lost_ctx, &f.message, why);
    } else if (deliver_render(d, &f, &alone) > 0) {
        f.message.mark = it->mark;
        f.message.tries = it->tries;
        d->o.lost(d->o.lost_ctx, &f.message, why);
    }
    notice_set_done(&g.known);
    buf_done(&f.body);
    buf_done(&f.path);
    free(f.changed);
}

void deliver_lose_change(struct deliver *d, const struct notice *n)
{
    struct group *g = d->o.lost ? deliver_group(d, n, true) : NULL;
    if (!g)
        return;
    struct item it = {.group = g};
    if (notice_set_put(&it.changes, n) == 0)
        deliver_lose_item(d, &it, true, d->stats.gone ? DELIVER_LOSS_GONE : DELIVER_LOSS_FULL);
    notice_set_done(&it.changes);
    deliver_group_release(d, g);
}
