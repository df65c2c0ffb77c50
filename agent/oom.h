// SPDX-License-Identifier: Apache-2.0
/*
 * Has the kernel killed in a service's cgroup for want of memory? Its memory.events counts that, for
 * everybody to read, so this is crash evidence that needs no privilege. The count goes with the
 * cgroup: one that is gone already says nothing.
 *
 * One owner, one thread. The path is a copy.
 */
#pragma once
#include "agent/identity.h"

struct oom_watch {
    char *path;     // NULL: nothing to look at
    uint64_t kills; // seen so far
};

// From now on; a watch that runs already is begun anew. Out of memory: nothing is watched.
void oom_watch_init(struct oom_watch *w, const struct identity_roots *r, const char *path);
// Has the count grown since the last call?
bool oom_watch_hit(struct oom_watch *w, const struct identity_roots *r);
void oom_watch_done(struct oom_watch *w);
