// SPDX-License-Identifier: Apache-2.0
/*
 * What the connections of each service carry: its counters, what the last walk saw of it, and the
 * series that show both. Hung to the service as data[1] by tcp.established.
 *
 * Found by local port, which is asked for each socket of a walk: a small cache answers, also "none".
 * A service that has stopped listening keeps its row until it ends, since it still has connections to
 * finish.
 *
 * Owned by tcp.established, one list for each network namespace, loop thread.
 */
#pragma once
#include "agent/connections.h"
#include "agent/output.h"
#include "agent/service.h"

#define CARRIED_CACHE 64

struct listen;
struct turnover;

struct carried {
    struct traffic traffic; // first: connections know it by this address
    struct service *service;
    struct carried *next;
    bool walked; // a whole walk has seen what was there before us
    bool declared;
    bool counted;                                       // the kernel counts it too
    uint64_t before_opened, before_closed[CLOSED_HOWS]; // what ours had beyond it when it began
    uint64_t opened_shown, closed_shown[CLOSED_HOWS];
    uint64_t closed_seen[CLOSED_HOWS]; // of ours, when last shown
    uint32_t live_ids[SOCKDIAG_STATES], opened, closed[CLOSED_HOWS], received, sent, rtt,
        rtt_max, rtt_min, rate, retransmitted, segments, limited[LIMITED_BYS];
    // Of the last whole walk.
    uint32_t live[SOCKDIAG_STATES];
    double rtt_s, rtt_max_s, rtt_min_s, rate_bytes;
    bool has_rtt, has_min, has_rate, has_live;
};

struct carried_list {
    struct carried *first;
    struct {
        uint16_t port;
        bool known;
        struct carried *carried;
    } cache[CARRIED_CACHE];
    bool added;           // since somebody looked and cleared it
    uint64_t opened_gone; // by services that have ended
};

// Whose connection is it by its local port? NULL: nobody's. A service met first gets its row.
struct carried *carried_of(struct carried_list *l, struct listen *listen, uint16_t port);
// Every listening service has a row, also one nobody has connected to.
void carried_all(struct carried_list *l, struct listen *listen);
// Listeners may have come or gone since the cache was filled.
void carried_forget(struct carried_list *l);
// A walk begins; and is over: what it saw is shown from now on.
void carried_round(struct carried_list *l);
void carried_publish(struct carried_list *l);
// Connections opened of all services that ever were.
uint64_t carried_opened(const struct carried_list *l);
// What is shown of openings and ends. The kernel's count (turnover.h) and ours are of the same events, and each
// can only have missed some: the kernel's where programs were passed over, ours where a multicast was lost. So the larger is the better one; how a connection ended, the
// kernel knows best. NULL allowed; netns 0 = the agent's own.
void carried_count(struct carried *c, struct turnover *kernel, uint32_t netns);
void carried_show(struct carried *c, struct output *o); // the samples of a tick
// The service ends: stale markers, the row is freed.
void carried_end(struct carried_list *l, struct carried *c, struct output *o);
