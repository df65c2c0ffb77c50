// SPDX-License-Identifier: Apache-2.0
/*
 * Who is behind a listening socket: the name people know it by, and the processes that hold it.
 *
 *     cgroup of the socket -> systemd unit without ".service", else container id
 *     else the process that holds it (comm), else /etc/services, else "port-N"
 *
 * The cgroup comes with the socket (inet_diag, unprivileged) as the inode of a folder below the
 * cgroup v2 root, so the name costs no look at processes. On cgroup v1 and hybrid hosts services
 * live in the name=systemd hierarchy, which the socket does not know: there /proc/PID/cgroup of a
 * holder tells.
 *
 * Holders are found by comparing the links in /proc/PID/fd: 4-5 us per descriptor, so never on a
 * timer, only for sockets not seen before, the cgroup's own processes first, newest first, and in
 * slices of time (identity_scan_step) so that the loop goes on meanwhile. Without the right to look
 * into another user's processes the scan finds nothing, which is an answer too.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define IDENTITY_NAME_MAX 128
#define IDENTITY_PATH_MAX 1024

struct identity_roots {
    const char *proc, *cgroup, *services; // "/proc", "/sys/fs/cgroup", "/etc/services"
};

// Pure. The unit or container a cgroup path names; false for "/", sessions, slices.
bool identity_cgroup_name(const char *path, char name[static IDENTITY_NAME_MAX]);
// Pure. The path that tells in the text of /proc/PID/cgroup: name=systemd, else v2.
bool identity_cgroup_line(const char *text, size_t len, char path[static IDENTITY_PATH_MAX]);

// Path of the cgroup v2 folder with this inode, "/..." from the root. -ENOENT, -errno.
int identity_cgroup_find(
    const struct identity_roots *r, uint64_t id, char path[static IDENTITY_PATH_MAX]);
// Pids in cgroup.procs of that path, at most max. -errno.
int identity_cgroup_pids(
    const struct identity_roots *r, const char *path, int32_t *pids, int max);
// How often the kernel killed for want of memory in there; false where that is not told.
bool identity_cgroup_oom_kills(const struct identity_roots *r, const char *path, uint64_t *ret);

// What a process is called: its unit or container, else comm, made whole where the kernel cut it; false when it is gone, and for pid 1,
// which holds sockets only for services to come.
bool identity_pid_name(
    const struct identity_roots *r, int32_t pid, char name[static IDENTITY_NAME_MAX]);
int32_t identity_pid_parent(const struct identity_roots *r, int32_t pid); // 0 = unknown
// Does the process hold this socket? 1, 0, -EACCES, -errno.
int identity_pid_holds(const struct identity_roots *r, int32_t pid, uint32_t inode);
// From /etc/services, else "port-N".
void identity_port_name(
    const struct identity_roots *r, uint16_t port, char name[static IDENTITY_NAME_MAX]);

// A search for the holders of some sockets over all processes, newest first.
struct identity_want {
    uint32_t inode;
    int32_t pid; // found: the oldest ancestor that holds it too; 0 = none yet
};
struct identity_scan {
    struct identity_want *wants; // the caller's
    size_t n_wants, n_found;
    int32_t *pids; // owned; NULL = no scan under way
    size_t n_pids, at;
    bool refused; // some processes could not be looked into
};
int identity_scan_begin(struct identity_scan *s, const struct identity_roots *r,
    struct identity_want *wants, size_t n);
// Looks at one process. False when the scan is over (and freed).
bool identity_scan_step(struct identity_scan *s, const struct identity_roots *r);
void identity_scan_done(struct identity_scan *s);
