// SPDX-License-Identifier: Apache-2.0
#include "agent/identity.h"
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CGROUP_DEPTH_MAX 16
#define CGROUPS_MAX      8192
#define PIDS_MAX         131072

// The beginning of a small file, NUL-terminated; its length or -errno.
static int read_start(const char *path, char *buf, size_t cap)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd == -1)
        return -errno;
    size_t len = 0;
    ssize_t n = 0;
    while (len < cap - 1 && (n = read(fd, buf + len, cap - 1 - len)) > 0)
        len += (size_t)n;
    int rc = n < 0 && len == 0 ? -errno : (int)len;
    close(fd);
    buf[len] = '\0';
    return rc;
}

// --- cgroups -------------------------------------------------------------------------------------

struct search {
    uint64_t id;
    int left; // folders we may still open
    char *path;
    size_t len;
};

// Depth is bounded by the search's path and CGROUP_DEPTH_MAX.
static int search_folder(struct search *s, int fd, int depth) // NOLINT(misc-no-recursion)
{
    int rc = -ENOENT;
    DIR *dir = fdopendir(fd);
    struct dirent *e;

    if (!dir) {
        close(fd);
        return -errno;
    }
    while (rc == -ENOENT && (e = readdir(dir))) {
        if (e->d_type != DT_DIR || e->d_name[0] == '.')
            continue;
        size_t n = strlen(e->d_name), before = s->len;
        if (s->len + n + 2 > IDENTITY_PATH_MAX)
            continue;
        s->path[s->len] = '/';
        memcpy(s->path + s->len + 1, e->d_name, n + 1);
        s->len += n + 1;
        if (e->d_ino == s->id) {
            rc = 0;
            break;
        }
        if (depth < CGROUP_DEPTH_MAX && s->left-- > 0) {
            int sub =
                openat(dirfd(dir), e->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
            if (sub != -1)
                rc = search_folder(s, sub, depth + 1);
        }
        if (rc != 0) {
            s->len = before;
            s->path[s->len] = '\0';
        }
    }
    closedir(dir);
    return rc;
}

// The v2 root: the root itself, or "unified" below it on hybrid hosts.
static int open_v2(const struct identity_roots *r, char *prefix, size_t cap)
{
    static const char *const subs[] = {"/unified", ""};

    for (size_t i = 0; i < 2; i++) {
        char probe[IDENTITY_PATH_MAX + 64];
        snprintf(prefix, cap, "%s%s", r->cgroup, subs[i]);
        snprintf(probe, sizeof(probe), "%s/cgroup.controllers", prefix);
        if (access(probe, F_OK) == 0)
            return open(prefix, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    errno = ENOENT;
    return -1;
}

int identity_cgroup_find(
    const struct identity_roots *r, uint64_t id, char path[static IDENTITY_PATH_MAX])
{
    char prefix[IDENTITY_PATH_MAX];
    int fd = open_v2(r, prefix, sizeof(prefix));
    struct search s = {.id = id, .left = CGROUPS_MAX, .path = path};

    if (fd == -1)
        return -errno;
    path[0] = '\0';
    return search_folder(&s, fd, 0);
}

static int read_cgroup(
    const struct identity_roots *r, const char *path, const char *file, char *buf, size_t cap)
{
    char prefix[IDENTITY_PATH_MAX], name[2 * IDENTITY_PATH_MAX + 64];
    int fd = open_v2(r, prefix, sizeof(prefix));

    if (fd == -1)
        return -errno;
    close(fd);
    snprintf(name, sizeof(name), "%s%s/%s", prefix, path, file);
    return read_start(name, buf, cap);
}

int identity_cgroup_pids(
    const struct identity_roots *r, const char *path, int32_t *pids, int max)
{
    char text[4096];
    int len = read_cgroup(r, path, "cgroup.procs", text, sizeof(text)), n = 0;

    if (len < 0)
        return len;
    for (char *p = text; n < max && *p;) {
        char *rest;
        long pid = strtol(p, &rest, 10);
        if (rest == p || *rest != '\n') // a last line that is cut is no pid
            break;
        if (pid > 0 && pid <= INT32_MAX)
            pids[n++] = (int32_t)pid;
        p = rest + 1;
    }
    return n;
}

bool identity_cgroup_oom_kills(const struct identity_roots *r, const char *path, uint64_t *ret)
{
    char text[512];

    if (read_cgroup(r, path, "memory.events", text, sizeof(text)) <= 0)
        return false;
    const char *at = strstr(text, "oom_kill ");
    if (!at)
        return false;
    *ret = strtoull(at + 9, NULL, 10);
    return true;
}

// --- processes -----------------------------------------------------------------------------------

// The kernel keeps 15 bytes of a name; the program's file has the rest, unless the name was chosen.
#define COMM_MAX 15
static void comm_whole(
    const struct identity_roots *r, int32_t pid, char comm[static IDENTITY_NAME_MAX])
{
    char file[512], exe[IDENTITY_PATH_MAX];

    if (strlen(comm) != COMM_MAX)
        return;
    snprintf(file, sizeof(file), "%s/%d/exe", r->proc, pid);
    ssize_t len = readlink(file, exe, sizeof(exe) - 1);
    if (len <= 0)
        return;
    exe[len] = '\0';
    const char *base = strrchr(exe, '/');
    base = base ? base + 1 : exe;
    size_t n = strcspn(base, " "); // "name (deleted)" after an upgrade
    if (n > COMM_MAX && n < IDENTITY_NAME_MAX && memcmp(base, comm, COMM_MAX) == 0) {
        memcpy(comm, base, n);
        comm[n] = '\0';
    }
}

bool identity_pid_name(
    const struct identity_roots *r, int32_t pid, char name[static IDENTITY_NAME_MAX])
{
    char file[512], text[4096], path[IDENTITY_PATH_MAX];

    if (pid == 1)
        return false;
    snprintf(file, sizeof(file), "%s/%d/cgroup", r->proc, pid);
    int len = read_start(file, text, sizeof(text));
    if (len > 0 && identity_cgroup_line(text, (size_t)len, path) &&
        identity_cgroup_name(path, name))
        return true;
    snprintf(file, sizeof(file), "%s/%d/comm", r->proc, pid);
    len = read_start(file, text, IDENTITY_NAME_MAX);
    if (len <= 0)
        return false;
    text[strcspn(text, "\n")] = '\0';
    comm_whole(r, pid, text);
    // comm is the process's own choice: keep what a label can show.
    for (char *p = text; *p; p++)
        if (iscntrl((unsigned char)*p))
            *p = '?';
    snprintf(name, IDENTITY_NAME_MAX, "%.100s", text);
    return name[0] != '\0';
}

int32_t identity_pid_parent(const struct identity_roots *r, int32_t pid)
{
    char file[512], text[512];

    snprintf(file, sizeof(file), "%s/%d/stat", r->proc, pid);
    if (read_start(file, text, sizeof(text)) <= 0)
        return 0;
    // "PID (COMM) S PARENT": comm may hold anything, also parentheses.
    const char *at = strrchr(text, ')');
    if (!at || at[1] != ' ' || !at[2] || at[3] != ' ')
        return 0;
    long parent = strtol(at + 4, NULL, 10);
    return parent > 0 && parent <= INT32_MAX ? (int32_t)parent : 0;
}

// Calls for each socket among the descriptors; stops when fn returns true. 1, 0, -errno.
static int each_socket(const struct identity_roots *r, int32_t pid,
    bool (*fn)(void *ctx, uint32_t inode), void *ctx)
{
    char file[512];
    int rc = 0;
    struct dirent *e;

    snprintf(file, sizeof(file), "%s/%d/fd", r->proc, pid);
    DIR *dir = opendir(file);
    if (!dir)
        return -errno;
    while (rc == 0 && (e = readdir(dir))) {
        char link[64];
        if (e->d_name[0] == '.')
            continue;
        ssize_t n = readlinkat(dirfd(dir), e->d_name, link, sizeof(link) - 1);
        if (n < 9 || memcmp(link, "socket:[", 8) != 0)
            continue;
        link[n] = '\0';
        rc = fn(ctx, (uint32_t)strtoul(link + 8, NULL, 10));
    }
    closedir(dir);
    return rc;
}

static bool is_inode(void *ctx, uint32_t inode)
{
    return *(const uint32_t *)ctx == inode;
}

int identity_pid_holds(const struct identity_roots *r, int32_t pid, uint32_t inode)
{
    return each_socket(r, pid, is_inode, &inode);
}

void identity_port_name(
    const struct identity_roots *r, uint16_t port, char name[static IDENTITY_NAME_MAX])
{
    char line[256], found[64], proto[8];
    unsigned number;
    FILE *f = fopen(r->services, "re");

    snprintf(name, IDENTITY_NAME_MAX, "port-%u", port);
    if (!f)
        return;
    while (fgets(line, sizeof(line), f))
        if (sscanf(line, "%63s %u/%7[a-z]", found, &number, proto) == 3 && number == port &&
            strcmp(proto, "tcp") == 0 && found[0] != '#') {
            snprintf(name, IDENTITY_NAME_MAX, "%s", found);
            break;
        }
    fclose(f);
}

// --- the search for holders ----------------------------------------------------------------------

static int newest_first(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x < y) - (x > y);
}

int identity_scan_begin(struct identity_scan *s, const struct identity_roots *r,
    struct identity_want *wants, size_t n)
{
    size_t cap = 0;
    struct dirent *e;
    int rc = 0;

    *s = (struct identity_scan){.wants = wants, .n_wants = n};
    DIR *dir = opendir(r->proc);
    if (!dir)
        return -errno;
    while ((e = readdir(dir))) {
        if (!isdigit((unsigned char)e->d_name[0]))
            continue;
        if (s->n_pids == cap) {
            cap = cap ? cap * 2 : 512;
            int32_t *grown = cap <= PIDS_MAX ? realloc(s->pids, cap * sizeof(*grown)) : NULL;
            if (!grown) {
                rc = -ENOMEM;
                break;
            }
            s->pids = grown;
        }
        s->pids[s->n_pids++] = (int32_t)strtol(e->d_name, NULL, 10);
    }
    closedir(dir);
    if (rc < 0)
        identity_scan_done(s);
    else if (s->n_pids > 0)
        qsort(s->pids, s->n_pids, sizeof(s->pids[0]), newest_first);
    return rc;
}

struct found {
    struct identity_scan *scan;
    int32_t pid;
};

static bool found_socket(void *ctx, uint32_t inode)
{
    struct found *f = ctx;
    struct identity_scan *s = f->scan;

    for (size_t i = 0; i < s->n_wants; i++)
        if (s->wants[i].inode == inode && s->wants[i].pid == 0) {
            s->wants[i].pid = f->pid;
            s->n_found++;
        }
    return s->n_found == s->n_wants;
}

// Workers hold what their master opened: the master is who matters. 1 only holds for others.
static void climb(const struct identity_roots *r, struct identity_want *w)
{
    for (int i = 0; i < 16; i++) {
        int32_t parent = identity_pid_parent(r, w->pid);
        if (parent <= 1 || identity_pid_holds(r, parent, w->inode) != 1)
            return;
        w->pid = parent;
    }
}

bool identity_scan_step(struct identity_scan *s, const struct identity_roots *r)
{
    if (s->at < s->n_pids && s->n_found < s->n_wants) {
        struct found f = {.scan = s, .pid = s->pids[s->at++]};
        int rc = each_socket(r, f.pid, found_socket, &f);
        if (rc == -EACCES || rc == -EPERM)
            s->refused = true;
        for (size_t i = 0; i < s->n_wants; i++)
            if (s->wants[i].pid == f.pid)
                climb(r, &s->wants[i]);
        if (s->at < s->n_pids && s->n_found < s->n_wants)
            return true;
    }
    identity_scan_done(s);
    return false;
}

void identity_scan_done(struct identity_scan *s)
{
    free(s->pids);
    s->pids = NULL;
    s->n_pids = s->at = 0;
}
