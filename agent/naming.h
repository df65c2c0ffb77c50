// SPDX-License-Identifier: Apache-2.0
/*
 * Listeners on their way to a name, and to the processes that hold them.
 *
 *     naming_add -> by the socket's cgroup, at once -> most have their name
 *                -> the rest: one search through /proc for all of them, in slices -> naming_step
 *
 * identity.h says how a name is found; here is who waits for one. A listener that already has its
 * name may come again, for its holders only: those that were known have died.
 *
 * Owned by tcp.listen, one for each network namespace, or by a name_search.h; loop thread. Bounded:
 * NAMING_MAX at a time, who comes then is tried at the next look.
 */
#pragma once
#include "agent/identity.h"
#include "agent/service.h"
#include "agent/sockdiag.h"

#define NAMING_MAX 512

struct naming_item {
    struct sockdiag socket;
    char name[IDENTITY_NAME_MAX]; // "" = not known yet
    int32_t owners[SERVICE_OWNERS];
    int n_owners;
    bool present;   // found by the first dump
    bool again;     // has its name; only its owners are looked for anew
    bool searching; // its inode is among what is searched for
    bool searched;  // and that is over
};

struct naming {
    struct identity_roots roots;
    struct naming_item *items; // of NAMING_MAX
    size_t n;
    struct identity_scan scan;
    struct identity_want *wants;
    struct naming_path *paths; // cgroups met lately, round robin
    size_t next_path;
};

int naming_open(struct naming *n, const struct identity_roots *roots); // 0, -ENOMEM
void naming_done(struct naming *n);
// Where the socket's processes live; NULL = unknown or the root. Valid until the next call.
const char *naming_cgroup(struct naming *n, const struct sockdiag *k);
// The item of that socket, an old one or a new one; NULL: too many. Valid until the next change.
struct naming_item *naming_add(
    struct naming *n, const struct sockdiag *k, bool again, bool present);
// Has it what it came for?
bool naming_is_done(const struct naming_item *i);
// Its owners are the service's.
void naming_owners(const struct naming *n, const struct naming_item *i, struct service *s);
void naming_drop(struct naming *n, struct naming_item *i); // the last takes its place
// Who is not in this view, a whole one, is gone.
void naming_keep(
    struct naming *n, bool (*has)(const void *view, uint64_t cookie), const void *view);
// The search, begun if somebody needs one. True when one has ended: those that were looked for are
// `searched`, the ones that came for a name have one, if only of their port.
enum naming_search { NAMING_IDLE, NAMING_MORE, NAMING_OVER };
enum naming_search naming_step(struct naming *n, int64_t slice_ns);
bool naming_is_searching(const struct naming *n);
