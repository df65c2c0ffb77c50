// SPDX-License-Identifier: Apache-2.0
#include "collector/reroute.h"
#include <string.h>

static const char *destination(const struct reroute *r, uint32_t lane)
{
    return lane_destination(lanes_at(r->lanes, lane));
}

static bool same_people(const struct reroute *r, uint32_t a, uint32_t b)
{
    return strcmp(destination(r, a), destination(r, b)) == 0;
}

static bool tells(const struct reroute *r, uint32_t lane, const struct notice *n)
{
    return deliver_tells(lane_queue(lanes_at(r->lanes, lane)), n);
}

static bool fires(const struct notice *n)
{
    return n->to == ALERT_FIRING;
}

// Told in the place of a lane that is one of these: they share its route.
static bool falls_back(const struct reroute *r, uint32_t lane, const uint32_t *to, size_t n_to)
{
    const struct route *route = lane_route(lanes_at(r->lanes, lane));
    for (size_t i = 0; i < n_to && lanes_is_fallback(r->lanes, lane); i++)
        if (lane_route(lanes_at(r->lanes, to[i])) == route)
            return true;
    return false;
}

// --- episodes ------------------------------------------------------------------------------------

struct choice {
    struct reroute *r;
    const struct notice *n;
    const struct ledger_lane *was;
    size_t n_was;
    bool kept[LEDGER_LANES_MAX]; // of was
    uint32_t to[LEDGER_LANES_MAX];
    size_t n_to;
    bool taken[LEDGER_LANES_MAX]; // of to
    struct ledger_lane *ret;
    size_t count; // of ret
};

// Lanes that go on: the same, or (people) one that tells the same people what it began to tell.
static void keep(struct choice *c, bool people)
{
    for (size_t i = 0; i < c->n_was; i++)
        for (size_t k = 0; k < c->n_to && !c->kept[i]; k++) {
            const struct ledger_lane *w = &c->was[i];
            bool fits = people ? w->said != TOLD_NOTHING && same_people(c->r, w->lane, c->to[k])
                               : w->lane == c->to[k];
            if (c->taken[k] || !fits || lanes_is_new(c->r->lanes, w->lane))
                continue;
            c->ret[c->count++] = (struct ledger_lane){.lane = w->lane, .said = w->said};
            c->kept[i] = c->taken[k] = true;
        }
}

// It is to hear the end of what it was told, unless there is nobody to hear the end that waits there.
static bool stays_to_the_end(const struct choice *c, const struct ledger_lane *w)
{
    bool unheard = w->said == TOLD_OVER && lanes_life(c->r->lanes, w->lane) == LANE_RETIRED;
    return w->said != TOLD_NOTHING && !unheard &&
           (tells(c->r, w->lane, c->n) || falls_back(c->r, w->lane, c->to, c->n_to));
}

// Lanes it left. What was not told there is taken out of their queues by sift.
static void leave(struct choice *c)
{
    for (size_t i = 0; i < c->n_was; i++) {
        const struct ledger_lane *w = &c->was[i];
        if (c->kept[i] || lanes_is_new(c->r->lanes, w->lane))
            continue;
        if (c->count < LEDGER_LANES_MAX && stays_to_the_end(c, w))
            c->ret[c->count++] =
                (struct ledger_lane){.lane = w->lane, .said = w->said, .left = true};
        else if (!fires(c->n) && w->said != TOLD_OVER)
            c->r->learned(c->r->ctx, lanes_at(c->r->lanes, w->lane), c->n->alert_id, TOLD_OVER);
    }
}

static size_t choose(void *ctx, const struct notice *n, const struct ledger_lane *was,
    size_t n_was, struct ledger_lane *ret)
{
    struct choice c = {.r = ctx, .n = n, .was = was, .n_was = n_was, .ret = ret};
    c.n_to = lanes_of(c.r->lanes, &n->labels, c.to, LEDGER_LANES_MAX);
    keep(&c, false);
    keep(&c, true);
    leave(&c);
    // What is over concerns no lane that did not hear of it, but for what sift moves.
    for (size_t k = 0; fires(n) && k < c.n_to && c.count < LEDGER_LANES_MAX; k++)
        if (!c.taken[k])
            ret[c.count++] = (struct ledger_lane){.lane = c.to[k]};
    return c.count;
}

// --- what is queued ------------------------------------------------------------------------------

static bool among(const struct ledger_lane *l, size_t n, uint32_t lane)
{
    for (size_t i = 0; i < n; i++)
        if (l[i].lane == lane)
            return true;
    return false;
}

static bool people_among(
    const struct reroute *r, const uint32_t *lanes, size_t n, uint32_t lane)
{
    for (size_t i = 0; i < n; i++)
        if (same_people(r, lanes[i], lane))
            return true;
    return false;
}

// Gives it to a lane. True: it is one more lane that has to be through with the alert.
static bool give(struct reroute *r, const struct notice *n, uint32_t lane, bool in_ledger)
{
    struct ledger_lane now[LEDGER_LANES_MAX] = {0};
    bool there = in_ledger && among(now, ledger_lanes(r->ledger, n->alert_id, now), lane);
    (void)deliver_add(lane_queue(lanes_at(r->lanes, lane)), &n, 1, r->now_ms);
    if (in_ledger)
        (void)ledger_join(
            r->ledger, n->alert_id, lane, fires(n) ? TOLD_FIRING : TOLD_OVER, false);
    return in_ledger ? !there
                     : !fires(n); // its beginning came before, and is not counted twice
}

// To the lanes that have come in the place of this one.
static void move(struct reroute *r, const struct notice *n, const struct notice *newest)
{
    uint32_t to[LEDGER_LANES_MAX], before[LEDGER_LANES_MAX];
    size_t n_to = lanes_of(r->lanes, &n->labels, to, LEDGER_LANES_MAX);
    size_t n_before = lanes_before(r->lanes, &n->labels, before, LEDGER_LANES_MAX);
    size_t given = 0, owed = 0;
    bool ledger_says = newest && fires(newest);
    for (size_t i = 0; i < n_to && !ledger_says; i++) {
        if (people_among(r, before, n_before, to[i]))
            continue; // told in any case
        owed += give(r, n, to[i], newest != NULL);
        given++;
    }
    if (ledger_says ? n_to : given)
        r->moved++;
    else
        r->dropped++;
    if (owed)
        r->owed(r->ctx, n->alert_id, owed);
    if (!fires(n)) // nobody is left who will say so there
        deliver_forget(lane_queue(lanes_at(r->lanes, (size_t)r->place)), n);
}

// Whether a change that waits in the queue of r->place still belongs there.
static bool belongs(void *ctx, const struct notice *n)
{
    struct reroute *r = ctx;
    uint32_t place = (uint32_t)r->place, to[LEDGER_LANES_MAX];
    struct ledger_lane now[LEDGER_LANES_MAX] = {0};
    const struct notice *newest = ledger_notice(r->ledger, n->alert_id);
    if (newest) {
        if (among(now, ledger_lanes(r->ledger, n->alert_id, now), place))
            return true;
    } else { // it is over, and that is said on all its lanes
        size_t n_to = lanes_of(r->lanes, &n->labels, to, LEDGER_LANES_MAX);
        if (people_among(r, to, n_to, place) || falls_back(r, place, to, n_to) ||
            (lanes_life(r->lanes, place) != LANE_RETIRED && tells(r, place, n)))
            return true;
    }
    move(r, n, newest);
    return false;
}

int reroute_alerts(struct reroute *r)
{
    int rc = ledger_reroute(r->ledger, choose, r);
    for (r->place = 0; r->place < lanes_count(r->lanes); r->place++)
        (void)deliver_sift(lane_queue(lanes_at(r->lanes, r->place)), belongs, r);
    return rc;
}
