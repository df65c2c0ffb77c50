// SPDX-License-Identifier: Apache-2.0
#include "collector/ledger.h"
#include "base/map.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct lane_state {
    uint32_t lane;
    unsigned char said, muted;
    bool acked; // to be told again when it is acknowledged no more
    bool left;
};
// An alert that fires, or fired and is not said to be over everywhere.
struct episode {
    struct episode *before, *after; // in the order they began
    const struct notice *n;
    bool
        unsure; // of an earlier run: whether its beginning was muted or not said yet, nobody knows
    size_t lanes;
    struct lane_state lane[];
};
struct ledger {
    struct ledger_options o;
    struct map by_id;
    struct episode *first, *last;
    size_t n;
};

struct ledger *ledger_new(const struct ledger_options *o)
{
    struct ledger *l = calloc(1, sizeof(*l));
    if (!l)
        return NULL;
    l->o = *o;
    map_init(&l->by_id);
    return l;
}

static void forget(struct ledger *l, struct episode *e)
{
    *(e->before ? &e->before->after : &l->first) = e->after;
    *(e->after ? &e->after->before : &l->last) = e->before;
    map_del(&l->by_id, &e->n->alert_id, sizeof(e->n->alert_id));
    l->n--;
    notice_free(e->n);
    free(e);
}

void ledger_free(struct ledger *l)
{
    if (!l)
        return;
    while (l->first)
        forget(l, l->first);
    map_done(&l->by_id);
    free(l);
}

static struct episode *find(const struct ledger *l, uint64_t id)
{
    return map_get(&l->by_id, &id, sizeof(id));
}

static struct episode *begin(struct ledger *l, const struct notice *n)
{
    uint32_t lane[LEDGER_LANES_MAX];
    size_t lanes = l->o.route(l->o.ctx, &n->labels, lane, LEDGER_LANES_MAX);
    struct episode *e = calloc(1, sizeof(*e) + lanes * sizeof(e->lane[0]));
    const struct notice *copy = notice_keep(n);
    if (!e || !copy || map_set(&l->by_id, &n->alert_id, sizeof(n->alert_id), e) < 0) {
        notice_free(copy);
        free(e);
        return NULL;
    }
    e->n = copy;
    e->lanes = lanes;
    for (size_t i = 0; i < lanes; i++)
        e->lane[i].lane = lane[i];
    e->before = l->last;
    *(l->last ? &l->last->after : &l->first) = e;
    l->last = e;
    l->n++;
    return e;
}

static bool fires(const struct notice *n)
{
    return n->to == ALERT_FIRING;
}

// Another change of the same episode: its beginning when it may be over since, or its end. Borrows from n.
static struct notice as(const struct notice *n, enum alert_state from, enum alert_state to)
{
    struct notice c = *n;
    c.shared = false;
    c.from = from;
    c.to = to;
    if (to == ALERT_FIRING)
        c.ends_at_ms = 0;
    return c;
}

// Says what differs on one lane, unless it is muted. n is the change, or the newest state.
static void look(
    struct ledger *l, struct episode *e, struct lane_state *s, const struct notice *n)
{
    s->muted = (unsigned char)l->o.muted(l->o.ctx, n, s->lane);
    if (fires(n)) {
        s->acked = s->acked || (s->muted & MUTE_ACK);
        if (s->muted || s->said == TOLD_OVER || s->left)
            return;
        if (s->said == TOLD_NOTHING)
            l->o.say(l->o.ctx, s->lane, n);
        else if (s->acked)
            l->o.again(l->o.ctx, s->lane, n);
        s->said = TOLD_FIRING;
        s->acked = false;
        return;
    }
    s->acked = false;
    if (s->said == TOLD_OVER || (s->said == TOLD_FIRING && s->muted))
        return;
    if (s->said == TOLD_NOTHING && (s->muted || !e->unsure)) {
        l->o.nothing(l->o.ctx, s->lane, n->alert_id);
    } else {
        struct notice change;
        if (s->said == TOLD_NOTHING) {
            change = as(n, ALERT_PENDING, ALERT_FIRING);
            l->o.say(l->o.ctx, s->lane, &change);
        }
        change = as(n, ALERT_FIRING, n->to);
        l->o.say(l->o.ctx, s->lane, n->from == ALERT_FIRING ? n : &change);
    }
    s->said = TOLD_OVER;
}

static void look_at(struct ledger *l, struct episode *e, const struct notice *n)
{
    bool done = !fires(e->n);
    for (size_t i = 0; i < e->lanes; i++) {
        look(l, e, &e->lane[i], n);
        done = done && e->lane[i].said == TOLD_OVER;
    }
    if (done)
        forget(l, e);
    else
        e->unsure = false;
}

static bool concerns(const struct notice *n)
{
    return (fires(n) && n->from != ALERT_FIRING) || (n->from == ALERT_FIRING && !fires(n));
}

// The newest state of the episode. NULL: nothing to keep, or no memory (*ret_rc).
static struct episode *take(struct ledger *l, const struct notice *n, int *ret_rc)
{
    struct episode *e = find(l, n->alert_id);
    l->o.take(l->o.ctx, n);
    if (!e) {
        e = fires(n) ? begin(l, n) : NULL;
        if (fires(n) && !e)
            *ret_rc = -ENOMEM;
        return e;
    }
    const struct notice *copy = notice_keep(n);
    if (!copy) {
        *ret_rc = -ENOMEM;
        return NULL;
    }
    for (size_t i = 0; fires(n) && i < e->lanes; i++)
        if (e->lane[i].said == TOLD_OVER &&
            !e->lane[i].left) // a reload ended it, and it fires again
            e->lane[i].said = TOLD_NOTHING;
    notice_free(e->n);
    e->n = copy;
    return e;
}

// Without memory to keep it: rather said though it may be muted than not at all.
static void say_anyway(struct ledger *l, const struct notice *n)
{
    uint32_t lane[LEDGER_LANES_MAX];
    size_t lanes = l->o.route(l->o.ctx, &n->labels, lane, LEDGER_LANES_MAX);
    for (size_t i = 0; i < lanes; i++)
        l->o.say(l->o.ctx, lane[i], n);
}

int ledger_add(struct ledger *l, const struct notice *const *n, size_t count)
{
    int rc = 0;
    for (size_t i = 0; i < count; i++)
        if (concerns(n[i]))
            (void)take(l, n[i], &rc);
    for (size_t i = 0; i < count; i++) {
        struct episode *e = concerns(n[i]) ? find(l, n[i]->alert_id) : NULL;
        if (e)
            look_at(l, e, n[i]);
        else if (rc < 0 && concerns(n[i]))
            say_anyway(l, n[i]);
    }
    return rc;
}

void ledger_recheck(struct ledger *l)
{
    for (struct episode *e = l->first, *after; e; e = after) {
        after = e->after;
        look_at(l, e, e->n);
    }
}

int ledger_restore(struct ledger *l, const struct notice *n, const uint32_t *lane,
    const enum told *told, size_t count)
{
    if (n->to == ALERT_PENDING && !count)
        return 0;
    struct episode *e = begin(l, n);
    if (!e)
        return -ENOMEM;
    l->o.take(l->o.ctx, n);
    e->unsure = true;
    for (size_t k = 0; k < count; k++)
        if (ledger_join(l, n->alert_id, lane[k], told[k], true) < 0)
            return -ENOMEM;
    return 0;
}

void ledger_raise(struct ledger *l, uint64_t alert_id, uint32_t lane)
{
    struct episode *e = find(l, alert_id);
    for (size_t i = 0; e && i < e->lanes; i++)
        if (e->lane[i].lane == lane)
            e->lane[i].acked = true;
}

// --- a reload --------------------------------------------------------------------------------------

// With room for so many lanes, in the place of the one it was. NULL: no memory, it is as it was.
static struct episode *resize(struct ledger *l, struct episode *e, size_t lanes)
{
    uint64_t id = e->n->alert_id;
    struct episode *made = realloc(e, sizeof(*e) + lanes * sizeof(e->lane[0]));
    if (!made)
        return NULL;
    *(made->before ? &made->before->after : &l->first) = made;
    *(made->after ? &made->after->before : &l->last) = made;
    (void)map_set(&l->by_id, &id, sizeof(id), made); // it is there: nothing is allocated
    return made;
}

static size_t lanes_out(const struct episode *e, struct ledger_lane *ret)
{
    for (size_t i = 0; i < e->lanes; i++)
        ret[i] = (struct ledger_lane){e->lane[i].lane, e->lane[i].said, e->lane[i].left};
    return e->lanes;
}

int ledger_reroute(struct ledger *l,
    size_t (*fn)(void *ctx, const struct notice *n, const struct ledger_lane *was, size_t n_was,
        struct ledger_lane *ret),
    void *ctx)
{
    struct ledger_lane was[LEDGER_LANES_MAX], now[LEDGER_LANES_MAX];
    bool acked[LEDGER_LANES_MAX];
    int rc = 0;
    for (struct episode *e = l->first, *after; e; e = after) {
        after = e->after;
        size_t before = e->lanes;
        for (size_t i = 0; i < before; i++)
            acked[i] = e->lane[i].acked;
        size_t n = fn(ctx, e->n, was, lanes_out(e, was), now);
        struct episode *made = n > e->lanes ? resize(l, e, n) : e;
        if (!made) {
            rc = -ENOMEM;
            continue;
        }
        made->lanes = n;
        for (size_t i = 0; i < n; i++) {
            made->lane[i] = (struct lane_state){
                .lane = now[i].lane, .said = now[i].said, .left = now[i].left};
            for (size_t k = 0; k < before; k++)
                made->lane[i].acked |= was[k].lane == now[i].lane && acked[k];
        }
    }
    return rc;
}

const struct notice *ledger_notice(const struct ledger *l, uint64_t alert_id)
{
    const struct episode *e = find(l, alert_id);
    return e ? e->n : NULL;
}

size_t ledger_lanes(const struct ledger *l, uint64_t alert_id, struct ledger_lane *ret)
{
    const struct episode *e = find(l, alert_id);
    return e ? lanes_out(e, ret) : 0;
}

int ledger_join(struct ledger *l, uint64_t alert_id, uint32_t lane, enum told said, bool left)
{
    struct episode *e = find(l, alert_id);
    for (size_t i = 0; e && i < e->lanes; i++)
        if (e->lane[i].lane == lane) {
            e->lane[i].said = (unsigned char)said;
            return 0;
        }
    if (!e || e->lanes == LEDGER_LANES_MAX || !(e = resize(l, e, e->lanes + 1)))
        return -ENOMEM;
    e->lane[e->lanes++] =
        (struct lane_state){.lane = lane, .said = (unsigned char)said, .left = left};
    return 0;
}

void ledger_each(
    const struct ledger *l, bool (*fn)(void *ctx, const struct ledger_entry *e), void *ctx)
{
    uint32_t lane[LEDGER_LANES_MAX];
    unsigned char said[LEDGER_LANES_MAX], muted[LEDGER_LANES_MAX];
    for (const struct episode *e = l->first; e; e = e->after) {
        for (size_t i = 0; i < e->lanes; i++) {
            lane[i] = e->lane[i].lane;
            said[i] = e->lane[i].said;
            muted[i] = e->lane[i].muted;
        }
        struct ledger_entry entry = {
            .notice = e->n, .lane = lane, .said = said, .muted = muted, .n = e->lanes};
        if (!fn(ctx, &entry))
            return;
    }
}

size_t ledger_count(const struct ledger *l)
{
    return l->n;
}
