// SPDX-License-Identifier: Apache-2.0
#include "collector/lanes.h"
#include "collector/ledger.h"
#include <stdlib.h>

struct lanes {
    struct lanes_options o;
    struct lane **lane; // those of route i: from first[i] to first[i + 1]
    size_t n;
    size_t first[ROUTES_MAX + 1];
    int64_t times_from_ms, times_ms; // from when on, and until when, times say what they said
};

size_t lanes_count(const struct lanes *l)
{
    return l->n;
}

struct lane *lanes_at(const struct lanes *l, size_t number)
{
    return l->lane[number];
}

size_t lanes_of(const struct lanes *l, const struct labels *labels, uint32_t *ret, size_t max)
{
    const struct route *root = l->o.config->route, *taken[LEDGER_LANES_MAX];
    size_t count = 0, routes = root ? route_match(root, labels, taken, LEDGER_LANES_MAX) : 0;
    for (size_t i = 0; i < routes; i++)
        for (size_t k = l->first[taken[i]->number]; k < l->first[taken[i]->number + 1]; k++)
            if (count < max)
                ret[count++] = (uint32_t)k;
    return count;
}

// Looked for rarely: it is a walk through a day's minutes.
int64_t lanes_times(struct lanes *l, int64_t wall_ms)
{
    if (wall_ms < l->times_ms && wall_ms >= l->times_from_ms)
        return l->times_ms;
    l->times_ms = INT64_MAX;
    l->times_from_ms = wall_ms;
    for (size_t i = 0; i < l->n; i++) {
        const struct time_limits *times = &lane_route(l->lane[i])->times;
        int64_t next = time_limits_next(times, wall_ms);
        l->times_ms = next < l->times_ms ? next : l->times_ms;
        deliver_hold(lane_queue(l->lane[i]), time_limits_muted(times, wall_ms));
    }
    return l->times_ms;
}

struct opening {
    struct lanes *l;
    struct err *err;
};

static bool open_route(void *ctx, const struct route *route)
{
    struct opening *o = ctx;
    struct lanes *l = o->l;
    const struct config_receiver *r = config_receiver(l->o.config, route->receiver);
    if (!r) {
        err_set(o->err, "a route names receiver \"%s\", which is not there", route->receiver);
        return false;
    }
    l->first[route->number] = l->n;
    for (size_t i = 0; i < r->n; i++) {
        struct lane_options lo = {.route = route,
            .receiver = r,
            .integration = i,
            .number = l->n,
            .external_url = l->o.external_url,
            .board = l->o.board,
            .clock = l->o.clock,
            .transfers = l->o.transfers,
            .quiet = l->o.quiet,
            .quiet_ctx = l->o.quiet_ctx,
            .deliveries = l->o.deliveries,
            .ledger = l->o.ledger};
        struct lane **grown = realloc(l->lane, (l->n + 1) * sizeof(struct lane *));
        if (!grown) {
            err_set(o->err, "out of memory");
            return false;
        }
        l->lane = grown;
        l->lane[l->n] = lane_open(&lo, o->err);
        if (!l->lane[l->n])
            return false;
        l->n++;
    }
    l->first[route->number + 1] = l->n;
    return true;
}

struct lanes *lanes_open(const struct lanes_options *o, struct err *err)
{
    struct lanes *l = calloc(1, sizeof(*l));
    struct opening opening = {l, err};
    if (!l) {
        err_set(err, "out of memory");
        return NULL;
    }
    l->o = *o;
    if (!o->config->route || route_each(o->config->route, open_route, &opening))
        return l;
    lanes_close(l);
    return NULL;
}

void lanes_close(struct lanes *l)
{
    if (!l)
        return;
    for (size_t i = 0; i < l->n; i++)
        lane_close(l->lane[i]);
    free(l->lane);
    free(l);
}
