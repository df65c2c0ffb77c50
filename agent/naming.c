// SPDX-License-Identifier: Apache-2.0
#include "agent/naming.h"
#include "base/clock.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PATHS       64
#define CGROUP_PIDS 64

struct naming_path {
    uint64_t id;
    char path[IDENTITY_PATH_MAX];
};

int naming_open(struct naming *n, const struct identity_roots *roots)
{
    *n = (struct naming){.roots = *roots};
    n->items = calloc(NAMING_MAX, sizeof(*n->items));
    n->wants = calloc(NAMING_MAX, sizeof(*n->wants));
    n->paths = calloc(PATHS, sizeof(*n->paths));
    return n->items && n->wants && n->paths ? 0 : -ENOMEM;
}

void naming_done(struct naming *n)
{
    identity_scan_done(&n->scan);
    free(n->items);
    free(n->wants);
    free(n->paths);
    *n = (struct naming){0};
}

const char *naming_cgroup(struct naming *n, const struct sockdiag *k)
{
    char path[IDENTITY_PATH_MAX];

    if (!(k->have & SOCKDIAG_HAS_CGROUP) || k->cgroup_id <= 1)
        return NULL;
    for (size_t i = 0; i < PATHS; i++)
        if (n->paths[i].id == k->cgroup_id)
            return n->paths[i].path;
    if (identity_cgroup_find(&n->roots, k->cgroup_id, path) != 0)
        return NULL;
    size_t at = n->next_path++ % PATHS;
    n->paths[at].id = k->cgroup_id;
    memcpy(n->paths[at].path, path, sizeof(path));
    return n->paths[at].path;
}

static void add_owner(struct naming_item *i, int32_t pid)
{
    for (int k = 0; k < i->n_owners; k++)
        if (i->owners[k] == pid)
            return;
    if (i->n_owners < SERVICE_OWNERS)
        i->owners[i->n_owners++] = pid;
}

// The quick way, enough for every unit and container: by the socket's cgroup.
static void name_by_cgroup(struct naming *n, struct naming_item *item)
{
    const char *path = naming_cgroup(n, &item->socket);
    int32_t pids[CGROUP_PIDS];
    int n_pids, holders = 0;

    if (!path)
        return;
    n_pids = identity_cgroup_pids(&n->roots, path, pids, CGROUP_PIDS);
    for (int i = 0; i < n_pids; i++)
        if (pids[i] != 1 && identity_pid_holds(&n->roots, pids[i], item->socket.inode) == 1) {
            add_owner(item, pids[i]);
            holders++;
        }
    if (item->again)
        return;
    if (identity_cgroup_name(path, item->name)) {
        // Not allowed to look: all of a unit's processes may hold it. Their parents tell masters
        // from workers.
        for (int i = 0; holders == 0 && i < n_pids; i++)
            add_owner(item, pids[i]);
        return;
    }
    // The oldest comes first in cgroup.procs and is the master.
    if (holders > 0)
        identity_pid_name(&n->roots, item->owners[0], item->name);
}

bool naming_is_done(const struct naming_item *i)
{
    return i->again ? i->n_owners > 0 : i->name[0] != '\0';
}

static struct naming_item *find(struct naming *n, uint64_t cookie)
{
    for (size_t i = 0; i < n->n; i++)
        if (n->items[i].socket.cookie == cookie)
            return &n->items[i];
    return NULL;
}

struct naming_item *naming_add(
    struct naming *n, const struct sockdiag *k, bool again, bool present)
{
    struct naming_item *i = find(n, k->cookie);

    if (i || n->n == NAMING_MAX)
        return i;
    i = &n->items[n->n++];
    *i = (struct naming_item){.socket = *k, .present = present, .again = again};
    name_by_cgroup(n, i);
    return i;
}

void naming_owners(const struct naming *n, const struct naming_item *i, struct service *s)
{
    for (int k = 0; k < i->n_owners; k++)
        service_owner(s, i->owners[k], identity_pid_parent(&n->roots, i->owners[k]));
}

void naming_drop(struct naming *n, struct naming_item *i)
{
    *i = n->items[--n->n];
}

void naming_keep(
    struct naming *n, bool (*has)(const void *view, uint64_t cookie), const void *view)
{
    for (size_t i = 0; i < n->n;)
        if (has(view, n->items[i].socket.cookie))
            i++;
        else
            naming_drop(n, &n->items[i]);
}

static bool begin(struct naming *n)
{
    size_t wanted = 0;

    if (n->scan.pids)
        return true;
    for (size_t i = 0; i < n->n; i++)
        if (!naming_is_done(&n->items[i])) {
            n->items[i].searching = true;
            n->wants[wanted++] = (struct identity_want){.inode = n->items[i].socket.inode};
        }
    if (wanted == 0)
        return false;
    if (identity_scan_begin(&n->scan, &n->roots, n->wants, wanted) != 0)
        n->scan = (struct identity_scan){.wants = n->wants, .n_wants = wanted};
    return true;
}

// Hands out what the search found; what it did not find gets its name from the port.
static void hand_out(struct naming *n)
{
    for (size_t i = 0; i < n->n; i++) {
        struct naming_item *item = &n->items[i];
        int32_t pid = 0;
        if (!item->searching)
            continue;
        for (size_t k = 0; k < n->scan.n_wants; k++)
            if (n->wants[k].inode == item->socket.inode)
                pid = n->wants[k].pid;
        item->searching = false;
        item->searched = true;
        if (pid != 0)
            add_owner(item, pid);
        if (!item->again && (pid == 0 || !identity_pid_name(&n->roots, pid, item->name)))
            identity_port_name(&n->roots, item->socket.local_port, item->name);
    }
}

enum naming_search naming_step(struct naming *n, int64_t slice_ns)
{
    struct clock real = clock_system();
    int64_t until = clock_mono_ns(&real) + slice_ns;

    if (!begin(n))
        return NAMING_IDLE;
    while (identity_scan_step(&n->scan, &n->roots))
        if (clock_mono_ns(&real) >= until)
            return NAMING_MORE;
    hand_out(n);
    return NAMING_OVER;
}

bool naming_is_searching(const struct naming *n)
{
    return n->scan.pids != NULL;
}
