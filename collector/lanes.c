// SPDX-License-Identifier: Apache-2.0
#include "collector/lanes.h"
#include "collector/ledger.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct step { // what lane `from` is not told in time is told to `to`
    uint32_t from, to;
};
// Where a routing tree leads: the lanes of route i are of[first[i]] to of[end[i]]; those of its fallbacks
// follow.
struct tree {
    struct config *config; // a reference
    uint32_t *of;
    size_t n, cap;
    size_t first[ROUTES_MAX], end[ROUTES_MAX];
    struct step *steps;
    size_t n_steps, cap_steps;
};
struct place {
    struct lane *lane;
    struct lane *fresh; // takes the place with lanes_commit
    enum lane_life life, next;
    bool found, is_new; // in the tree that is prepared; since lanes_commit
};
struct lanes {
    struct lanes_options o;
    struct place *at;
    size_t n, cap;
    struct tree *now, *next, *before; // next and before: during a reload
    int64_t times_from_ms, times_ms;  // from when on, and until when, times say what they said
};

size_t lanes_count(const struct lanes *l)
{
    return l->n;
}

struct lane *lanes_at(const struct lanes *l, size_t number)
{
    return l->at[number].lane;
}

struct lane *lanes_named(const struct lanes *l, const char *id)
{
    for (size_t i = 0; i < l->n; i++)
        if (strcmp(lane_id(l->at[i].lane), id) == 0)
            return l->at[i].lane;
    return NULL;
}

enum lane_life lanes_life(const struct lanes *l, size_t number)
{
    return l->at[number].life;
}

bool lanes_is_new(const struct lanes *l, size_t number)
{
    return l->at[number].is_new;
}

static void tree_free(struct tree *t)
{
    if (!t)
        return;
    config_unref(t->config);
    free(t->of);
    free(t->steps);
    free(t);
}

static size_t tree_of(
    const struct tree *t, const struct labels *labels, uint32_t *ret, size_t max)
{
    const struct route *root = t->config->route, *taken[LEDGER_LANES_MAX];
    size_t count = 0, routes = root ? route_match(root, labels, taken, LEDGER_LANES_MAX) : 0;
    for (size_t i = 0; i < routes; i++)
        for (size_t k = t->first[taken[i]->number]; k < t->end[taken[i]->number]; k++)
            if (count < max)
                ret[count++] = t->of[k];
    return count;
}

size_t lanes_of(const struct lanes *l, const struct labels *labels, uint32_t *ret, size_t max)
{
    return tree_of(l->now, labels, ret, max);
}

size_t lanes_before(
    const struct lanes *l, const struct labels *labels, uint32_t *ret, size_t max)
{
    return tree_of(l->before, labels, ret, max);
}

size_t lanes_fallbacks(const struct lanes *l, size_t number, uint32_t *ret, size_t max)
{
    size_t n = 0;
    for (size_t i = 0; i < l->now->n_steps && n < max; i++)
        if (l->now->steps[i].from == number)
            ret[n++] = l->now->steps[i].to;
    return n;
}

bool lanes_is_fallback(const struct lanes *l, size_t number)
{
    return l->at[number].life == LANE_ROUTED && lane_options(l->at[number].lane)->fallback_for;
}

// Looked for rarely: it is a walk through a day's minutes.
int64_t lanes_times(struct lanes *l, int64_t wall_ms)
{
    if (wall_ms < l->times_ms && wall_ms >= l->times_from_ms)
        return l->times_ms;
    l->times_ms = INT64_MAX;
    l->times_from_ms = wall_ms;
    for (size_t i = 0; i < l->n; i++) {
        const struct time_limits *times = &lane_route(l->at[i].lane)->times;
        int64_t next = time_limits_next(times, wall_ms);
        l->times_ms = next < l->times_ms ? next : l->times_ms;
        deliver_hold(lane_queue(l->at[i].lane), time_limits_muted(times, wall_ms));
    }
    return l->times_ms;
}

// --- finding and opening ---------------------------------------------------------------------------

// A place where nobody is, or a new one at the end; l->n: no memory.
static size_t place_free(struct lanes *l)
{
    for (size_t i = 0; i < l->n; i++)
        if (!l->at[i].found && l->at[i].life == LANE_RETIRED && l->at[i].lane &&
            deliver_idle(lane_queue(l->at[i].lane)))
            return i;
    if (l->n == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 8;
        struct place *grown = realloc(l->at, cap * sizeof(*grown));
        if (!grown)
            return l->n;
        l->at = grown;
        l->cap = cap;
    }
    l->at[l->n] = (struct place){.life = LANE_RETIRED, .next = LANE_RETIRED};
    return l->n++;
}

// Two routes may have the same matchers: then the first finds the first.
static size_t place_find(const struct lanes *l, const struct lane_options *o)
{
    char id[LANE_ID_MAX];
    lane_identity(o, id);
    for (size_t i = 0; i < l->n; i++)
        if (l->at[i].lane && !l->at[i].found && strcmp(lane_id(l->at[i].lane), id) == 0)
            return i;
    return l->n;
}

static bool tree_add(struct tree *t, size_t place)
{
    if (t->n == t->cap) {
        size_t cap = t->cap ? t->cap * 2 : 8;
        uint32_t *grown = realloc(t->of, cap * sizeof(*grown));
        if (!grown)
            return false;
        t->of = grown;
        t->cap = cap;
    }
    t->of[t->n++] = (uint32_t)place;
    return true;
}

struct opening {
    struct lanes *l;
    struct tree *tree;
    struct err *err;
};

static bool open_lane(struct opening *o, struct lane_options *lo)
{
    struct lanes *l = o->l;
    size_t place = place_find(l, lo);
    if (place < l->n) {
        lo->number = place;
        if (lane_prepare(l->at[place].lane, lo, o->err) < 0)
            return false;
    } else {
        lo->number = place = place_free(l);
        if (place < l->n && !(l->at[place].fresh = lane_open(lo, o->err)))
            return false;
    }
    if (place < l->n && tree_add(o->tree, place)) {
        l->at[place].found = true;
        l->at[place].next = LANE_ROUTED;
        return true;
    }
    err_set(o->err, "out of memory");
    return false;
}

static struct lane_options options_of(const struct lanes *l, struct config *c)
{
    return (struct lane_options){.route_config = c,
        .config = c,
        .external_url = l->o.external_url,
        .board = l->o.board,
        .clock = l->o.clock,
        .transfers = l->o.transfers,
        .quiet = l->o.quiet,
        .quiet_ctx = l->o.quiet_ctx,
        .deliveries = l->o.deliveries,
        .ledger = l->o.ledger};
}

static bool step_add(struct tree *t, uint32_t from, uint32_t to)
{
    if (t->n_steps == t->cap_steps) {
        size_t cap = t->cap_steps ? t->cap_steps * 2 : 8;
        struct step *grown = realloc(t->steps, cap * sizeof(*grown));
        if (!grown)
            return false;
        t->steps = grown;
        t->cap_steps = cap;
    }
    t->steps[t->n_steps++] = (struct step){from, to};
    return true;
}

// Whoever is told when the route's receiver is not reached, and so on. No receiver comes twice: the
// configuration was checked.
static bool open_fallbacks(struct opening *o, struct lane_options *lo)
{
    struct tree *t = o->tree;
    size_t from = t->first[lo->route->number], end = t->n;
    const struct config_fallback *f;
    while ((f = config_fallback(t->config, lo->receiver->name))) {
        lo->fallback_for = f->receiver;
        lo->receiver = config_receiver(t->config, f->to);
        for (lo->integration = 0; lo->integration < lo->receiver->n; lo->integration++)
            if (!lo->receiver->integrations[lo->integration].kind->repair && !open_lane(o, lo))
                return false;
        for (size_t i = from; i < end; i++)
            for (size_t k = end; k < t->n; k++)
                if (!step_add(t, t->of[i], t->of[k])) {
                    err_set(o->err, "out of memory");
                    return false;
                }
        from = end;
        end = t->n;
    }
    return true;
}

static bool open_route(void *ctx, const struct route *route)
{
    struct opening *o = ctx;
    struct lane_options lo = options_of(o->l, o->tree->config);
    const struct config_receiver *r = config_receiver(o->tree->config, route->receiver);
    if (!r) {
        err_set(o->err, "a route names receiver \"%s\", which is not there", route->receiver);
        return false;
    }
    lo.route = route;
    lo.receiver = r;
    o->tree->first[route->number] = o->tree->n;
    for (lo.integration = 0; lo.integration < r->n; lo.integration++)
        if (!open_lane(o, &lo))
            return false;
    o->tree->end[route->number] = o->tree->n;
    return open_fallbacks(o, &lo);
}

// The integration a lane is of, in another configuration. False: it is not there.
static bool still_there(const struct lane *lane, struct config *c, struct lane_options *ret)
{
    const struct lane_options *o = lane_options(lane);
    const struct integration *was = &o->receiver->integrations[o->integration];
    const struct config_receiver *r = config_receiver(c, o->receiver->name);
    for (size_t i = 0; r && i < r->n; i++)
        if (r->integrations[i].kind == was->kind && r->integrations[i].number == was->number) {
            *ret = *o; // its route goes on as it was
            ret->config = c;
            ret->receiver = r;
            ret->integration = i;
            return true;
        }
    return false;
}

static int prepare_rest(struct lanes *l, struct config *c, struct err *err)
{
    for (size_t i = 0; i < l->n; i++) {
        struct place *p = &l->at[i];
        struct lane_options lo;
        if (p->found || !p->lane)
            continue;
        if (deliver_idle(lane_queue(p->lane)) || !still_there(p->lane, c, &lo)) {
            p->next = LANE_RETIRED;
        } else {
            p->next = LANE_LEAVING;
            if (lane_prepare(p->lane, &lo, err) < 0)
                return -EINVAL;
        }
    }
    return 0;
}

int lanes_prepare(struct lanes *l, struct config *c, struct err *err)
{
    struct opening o = {l, calloc(1, sizeof(struct tree)), err};
    if (!o.tree) {
        err_set(err, "out of memory");
        return -ENOMEM;
    }
    o.tree->config = config_ref(c);
    l->next = o.tree;
    for (size_t i = 0; i < l->n; i++)
        l->at[i].found = false;
    if ((!c->route || route_each(c->route, open_route, &o)) && prepare_rest(l, c, err) == 0)
        return 0;
    lanes_abandon(l);
    return -EINVAL;
}

void lanes_abandon(struct lanes *l)
{
    for (size_t i = 0; i < l->n; i++) {
        lane_close(l->at[i].fresh);
        l->at[i].fresh = NULL;
        l->at[i].next = l->at[i].life;
        if (l->at[i].lane)
            lane_abandon(l->at[i].lane);
    }
    while (l->n && !l->at[l->n - 1].lane)
        l->n--;
    tree_free(l->next);
    l->next = NULL;
}

void lanes_commit(struct lanes *l)
{
    for (size_t i = 0; i < l->n; i++) {
        struct place *p = &l->at[i];
        p->is_new = p->fresh != NULL;
        if (p->fresh) {
            lane_close(p->lane);
            p->lane = p->fresh;
            p->fresh = NULL;
        } else if (p->next != LANE_RETIRED) {
            lane_commit(p->lane);
        }
        p->life = p->next;
    }
    l->before = l->now;
    l->now = l->next;
    l->next = NULL;
    l->times_ms = 0; // to be looked at
}

void lanes_settle(struct lanes *l)
{
    for (size_t i = 0; i < l->n; i++) {
        struct place *p = &l->at[i];
        p->is_new = false;
        if (p->life == LANE_LEAVING && deliver_idle(lane_queue(p->lane)))
            p->life = LANE_RETIRED;
        if (p->life == LANE_RETIRED)
            lane_retire(p->lane);
        else
            lane_show(p->lane);
    }
    tree_free(l->before);
    l->before = NULL;
}

struct lanes *lanes_open(const struct lanes_options *o, struct err *err)
{
    struct lanes *l = calloc(1, sizeof(*l));
    if (!l) {
        err_set(err, "out of memory");
        return NULL;
    }
    l->o = *o;
    if (lanes_prepare(l, o->config, err) == 0) {
        lanes_commit(l);
        lanes_settle(l);
        return l;
    }
    lanes_close(l);
    return NULL;
}

void lanes_close(struct lanes *l)
{
    if (!l)
        return;
    lanes_abandon(l);
    for (size_t i = 0; i < l->n; i++)
        lane_close(l->at[i].lane);
    tree_free(l->now);
    tree_free(l->before);
    free(l->at);
    free(l);
}
