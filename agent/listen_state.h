// SPDX-License-Identifier: Apache-2.0
/*
 * The state of tcp.listen in one network namespace, and its looks at the kernel's table.
 *
 *     listen_look     a dump: who came, who went; those without a name are searched for
 *     listen_queues   asks the known ones for their queues, at a fifth of the price, while that tells all
 *     listen_search   a slice of the search for names and owners; the timer `slice` goes on with it
 *
 * Only for listen.c and listen_look.c. Owned by tcp.listen, loop thread.
 */
#pragma once
#include "agent/listen.h"
#include "agent/listen_view.h"
#include "agent/naming.h"
#include "agent/news.h"
#include "agent/port_range.h"
#include "agent/pulse.h"
#include "agent/queues.h"

struct listen {
    struct sampler *sampler;
    struct netlink dump, destroy;
    struct loop_io *io;
    struct loop_timer *poll, *slice;
    struct services services;
    struct naming naming;
    struct news news;
    struct port_range range;
    uint8_t ports[65536 / 8]; // listening now
    struct listen_view view;  // the last whole dump, or the last answers of the queues
    struct queues queues;     // asked for between dumps
    struct service_socket *asked[QUEUES_MAX]; // by the queues; NULL: has no name yet
    struct pulse_hook hook;
    unsigned round;
    bool first; // no whole dump yet
    bool owned; // a process was found to hold a listener, and on_owners does not know yet
    struct listen *own, *others, *next; // of the agent's namespace: all the others
    void (*on_end)(void *ctx, struct service *s);
    void *on_end_ctx;
    void (*on_found)(void *ctx);
    void *on_found_ctx;
    void (*on_owners)(void *ctx);
    void *on_owners_ctx;
};

// Reads the table and follows it. A failure is the sampler's reason.
void listen_dump(struct listen *l);
void listen_look(struct listen *l);
bool listen_queues(struct listen *l); // false: a dump is wanted
void listen_search(struct listen *l);
// Nobody waits in a queue, nobody is expected back, everybody has a name.
bool listen_is_at_rest(const struct listen *l);
// Has the kernel killed for want of memory where the service lives?
bool listen_oom_killed(struct listen *l, const struct service *s);
