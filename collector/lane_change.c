// SPDX-License-Identifier: Apache-2.0
// What a reload changes in a lane.
#include "collector/lane_parts.h"
#include <errno.h>

int lane_prepare(struct lane *t, const struct lane_options *o, struct err *err)
{
    lane_abandon(t);
    struct connection *c = t->first ? lane_connect(t, o, err) : NULL;
    if (t->first && !c) {
        err_prefix(err, "receiver %s", o->receiver->name);
        return -EINVAL;
    }
    struct deliver_options queue = lane_queue_options(t, o, c);
    int rc = deliver_prepare(t->deliver, &queue);
    if (rc < 0 || (c && receiver_wire_same(t->first->wire, c->wire))) {
        connection_close(c);
        c = NULL;
    }
    if (rc < 0) {
        err_set(err, "out of memory");
        return rc;
    }
    t->next.o = *o;
    t->next.connection = c;
    return 0;
}

void lane_abandon(struct lane *t)
{
    connection_close(t->next.connection);
    t->next.connection = NULL;
}

// The same receiver in other words.
static void keep_connections(struct lane *t, const struct lane_options *o)
{
    const struct integration *i = &o->receiver->integrations[o->integration];
    for (size_t k = 0; k < CONNECTIONS_MAX; k++)
        if (t->connections[k] && !t->connections[k]->stale)
            connection_move(t->connections[k], o->config, i);
    if (t->aside && !t->aside->stale)
        connection_move(t->aside, o->config, i);
}

// It goes now, or when it has landed. False: it is still there.
static bool leave(struct connection *c)
{
    if (c && c->flying) {
        c->stale = true;
        return false;
    }
    connection_close(c);
    return true;
}

static void change_connections(struct lane *t, struct connection *first)
{
    size_t at = 0;
    for (size_t k = 0; k < CONNECTIONS_MAX; k++)
        if (leave(t->connections[k])) {
            t->connections[k] = NULL;
            at = k; // there is one: fewer fly than there is room for
        }
    if (leave(t->aside))
        t->aside = NULL;
    t->first = t->connections[at] = first;
}

void lane_commit(struct lane *t)
{
    struct connection *first = t->next.connection;
    struct lane_options o = t->next.o;
    t->next.connection = NULL;
    config_ref(o.config);
    config_ref(o.route_config);
    if (first)
        change_connections(t, first);
    else
        keep_connections(t, &o);
    struct deliver_options queue = lane_queue_options(t, &o, t->first);
    deliver_configure(t->deliver, &queue);
    if (first)
        deliver_retry(t->deliver);
    config_unref(t->o.config);
    config_unref(t->o.route_config);
    t->o = o;
    t->retired = false;
    lane_label(t);
}

void lane_retire(struct lane *t)
{
    deliver_retire(t->deliver);
    t->retired = true;
    if (t->o.board)
        board_receiver_remove(t->o.board, t->o.number);
}
