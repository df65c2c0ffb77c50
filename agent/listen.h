// SPDX-License-Identifier: Apache-2.0
/*
 * Sampler "tcp.listen": every TCP port somebody listens on becomes a service, found by itself.
 *
 *     destroy multicast --> one LISTEN dump --> services (pure) --> events and samples, at once
 *     pulse.h: 15 Hz -----> queues of the known --> accept queues, their maximum
 *       each seventh -----> one LISTEN dump --> new listeners too
 *     process deaths -----> services ---------> the same dump if that may have taken a listener
 *
 * The kernel announces sockets that go, not those that come, so a dump twice a second finds the new
 * ones; who comes back to an address it left is found by the next look, and while one waits for its
 * name each look is a dump. Queues are looked at 15 times a second, a look costing 20 us for the
 * waking and as much for the asking, so that no 100 ms burst falls between two and `_max` shows it.
 * The multicast only says "look": what counts is the dump, so a lost message (ENOBUFS) costs nothing
 * but a look.
 *
 * Naming a new listener may take a search through /proc, which goes on in slices of 2 ms between
 * other work; the service appears when it has its name.
 *
 * One instance for each network namespace (netns.h): other namespaces than the agent's own are looked at
 * once a second or less often, each look a dump; their destroy multicast is heard as soon as ours.
 *
 *     naming.h       from a socket to a name and its holders      listen_view.h   a dump
 *     service.h      which of them is up, gone or crashed         queues.h        asking between dumps
 *     news.h         what is told, and when                       shown.h         series of a service
 *
 * Owned by the core through sampler_ops, loop thread. Needs no privilege; without the right to look
 * into other users' processes names come from cgroups and /etc/services.
 */
#pragma once
#include "agent/sampler.h"
#include "agent/service.h"

extern const struct sampler_ops listen_sampler;

// A death, from whoever learns of it (procevents.c). May send events.
// Of the agent's own network namespace it is for all that have joined.
void listen_exit(struct listen *l, const struct service_exit *e);
// The processes that hold listeners, at most `max`; returns how many there are in all, likewise.
size_t listen_owners(const struct listen *l, int32_t *ret, size_t max);
// Called when a process was found to hold one. One hook; NULL takes it away.
void listen_on_owners(struct listen *l, void (*fn)(void *ctx), void *ctx);
// The service that listens on the port; NULL = none or not announced yet. Cheap for ports of none.
struct service *listen_service(struct listen *l, uint16_t port);
// All of them, by `next`; also those not announced and those that do not listen now.
struct service *listen_services(struct listen *l);
// Called when the last listener of a port went, and when one came (back): ask the port yourself. By
// then what is known of it was sent, and the evidence of a crash had its time to come. One hook; NULL
// takes it away.
void listen_on_turn(struct listen *l, void (*fn)(void *ctx, uint16_t port), void *ctx);
// For who was just refused by a port of this host, before that is told: a listener that went is
// known first. True: one did, and what was written travels with that news within HOLD_NS.
bool listen_check(struct listen *l);
// Called before a service is freed: drop what points to it. One hook; NULL takes it away.
void listen_on_end(struct listen *l, void (*fn)(void *ctx, struct service *s), void *ctx);
// Called when a service was announced, in the midst of a look: act when the loop turns. One hook.
void listen_on_found(struct listen *l, void (*fn)(void *ctx), void *ctx);
// Whether the kernel is to tell of sockets that close at all: above some rate that is too dear
// (closes_limit.h), and a listener that goes is found by a look, within 70 ms, or by its owner's death.
void listen_multicast(struct listen *l, bool on);
// Labels job, service, port or path, and netns (empty, which is none, in the agent's own network
// namespace) of a service, for its series. buf holds the port's text.
#define LISTEN_LABELS 5
void listen_labels(const struct service *s, struct wire_label labels[static LISTEN_LABELS],
    char buf[static 8]);

// The listeners of another network namespace join those of the agent's own: deaths of processes reach them.
// They leave when their sampler is closed.
void listen_join(struct listen *own, struct listen *other);
// The listeners of the namespace with that inode, among those that have joined; NULL = not watched.
struct listen *listen_in(struct listen *own, uint64_t inode);
// All of them, the agent's own first: the next one. NULL = that was the last.
struct listen *listen_next(const struct listen *l);
uint64_t listen_netns(const struct listen *l); // inode of its namespace; 0 = the agent's own
