// SPDX-License-Identifier: Apache-2.0
/*
 * Sampler "unix.listen": every UNIX stream socket somebody listens on becomes a service, as TCP ports
 * do in listen.h: the same series, with the label `path` in place of `port`.
 *
 *     tick: one dump, LISTEN; each fifth with ESTABLISHED --> services (pure) --> samples, events
 *     process deaths ------> services --> the same dump if that may have taken a listener
 *
 * The kernel announces no UNIX socket that goes and knows no cgroup of one, so names come from the
 * processes that hold them: a search through /proc for those not seen before, in slices, and not more
 * often than its cost allows. Sockets that only init holds are for services to come: not shown. A
 * socket whose holder may not be looked for is called after the last part of its path.
 *
 * Lasting are the paths below /run and /var, but those of users (/run/user) and /tmp: what listens
 * there and is gone is told as stopped or crashed. All others (abstract names too) come and go without
 * a word. At most UNIX_LISTEN_MAX services are shown.
 *
 * A dump of many sockets is read in slices of 2 ms. Loop thread; owned by the core through sampler_ops.
 */
#pragma once
#include "agent/sampler.h"
#include "agent/service.h"

#define UNIX_LISTEN_MAX 200

extern const struct sampler_ops unix_listen_sampler;
struct unix_listen;

// A death, from whoever learns of it (procevents.c). May send events.
void unix_listen_exit(struct unix_listen *u, const struct service_exit *e);
// All of them, by `next`; also those not announced and those that do not listen now.
struct service *unix_listen_services(struct unix_listen *u);
// Of the name the service listens at: unixdiag_hash.
uint64_t unix_listen_hash(const struct service *s);
// Called before a service is freed: drop what points to it. One hook; NULL takes it away.
void unix_listen_on_end(
    struct unix_listen *u, void (*fn)(void *ctx, struct service *s), void *ctx);
// Pure. Does what listens at this path stay? See above.
bool unix_listen_lasting(const char *path);
