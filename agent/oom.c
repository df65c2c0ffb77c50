// SPDX-License-Identifier: Apache-2.0
#include "agent/oom.h"
#include <stdlib.h>
#include <string.h>

void oom_watch_init(struct oom_watch *w, const struct identity_roots *r, const char *path)
{
    uint64_t kills;

    oom_watch_done(w);
    // A controller that is not enabled there will not tell later either.
    if (!identity_cgroup_oom_kills(r, path, &kills))
        return;
    w->path = strdup(path);
    w->kills = kills;
}

bool oom_watch_hit(struct oom_watch *w, const struct identity_roots *r)
{
    uint64_t kills;

    if (!w->path || !identity_cgroup_oom_kills(r, w->path, &kills) || kills == w->kills)
        return false;
    bool more = kills > w->kills;
    w->kills = kills;
    return more;
}

void oom_watch_done(struct oom_watch *w)
{
    free(w->path);
    *w = (struct oom_watch){0};
}
