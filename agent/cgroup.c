// SPDX-License-Identifier: Apache-2.0
#include "agent/cgroup.h"
#include "agent/cgroup_value.h"
#include "agent/config.h"
#include "agent/host.h"
#include "agent/identity.h"
#include "agent/listen.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define INTERVAL_MS 5000
#define WALK_NS     (60 * NS_PER_S)
#define DEPTH_MAX   16
#define FOLDERS_MAX 4096 // of one walk: 10 us each

struct cgroups {
    char root[256];       // of cgroup v2
    struct procfile stat; // the root's: how many descendants there are
    uint64_t descendants; // as of the last walk
    int64_t walked_ns;    // 0: walk now
    struct cgroup *list;  // by age
    size_t n, cap, found; // found: services of the last walk
    struct cgroup_source source;
    char missing[64]; // controllers
};

bool cgroup_is_service(const char *path, bool *ret_container)
{
    char name[IDENTITY_NAME_MAX];
    const char *last = strrchr(path, '/');

    if (!last || !identity_cgroup_name(last, name))
        return false;
    size_t n = strlen(last);
    *ret_container = n < 8 || strcmp(last + n - 8, ".service") != 0;
    return true;
}

// --- which there are -----------------------------------------------------------------------------

static size_t limit(const struct sampler *s)
{
    return s->env->config ? s->env->config->cgroups_max : CGROUP_MAX_DEFAULT;
}

struct walk {
    struct sampler *sampler;
    char path[IDENTITY_PATH_MAX];
    size_t len;
    int left;       // folders we may still open
    bool listening; // only those of services that listen may be added
    size_t found;
};

static bool listens(const struct sampler *s, const char *path)
{
    char name[IDENTITY_NAME_MAX];

    if (!s->env->listen || !identity_cgroup_name(path, name))
        return false;
    for (struct service *v = listen_services(s->env->listen); v; v = v->next)
        if (strcmp(v->name, name) == 0)
            return true;
    return false;
}

static void found(struct walk *w, uint64_t inode, bool container)
{
    struct cgroups *g = w->sampler->state;

    w->found++;
    for (size_t i = 0; i < g->n; i++) {
        struct cgroup *c = &g->list[i];
        if (strcmp(c->path, w->path) != 0)
            continue;
        if (c->inode != inode) {
            cgroup_files_close(c, &g->source);
            c->inode = inode;
            c->anew = true;
        }
        cgroup_files_again(c);
        c->seen = true;
        return;
    }
    if (g->n >= limit(w->sampler) || (w->listening && !listens(w->sampler, w->path)))
        return;
    if (g->n == g->cap) {
        size_t cap = g->cap ? g->cap * 2 : 16;
        struct cgroup *list = realloc(g->list, cap * sizeof(*list));
        if (!list)
            return;
        g->list = list;
        g->cap = cap;
    }
    char *path = strdup(w->path);
    if (!path)
        return;
    struct cgroup *c = &g->list[g->n++];
    cgroup_init(c, path, inode);
    c->container = container;
    c->seen = true;
}

static void walk_folder(struct walk *w, int fd, int depth) // NOLINT(misc-no-recursion)
{
    DIR *dir = fdopendir(fd);
    struct dirent *e;

    if (!dir) {
        close(fd);
        return;
    }
    while ((e = readdir(dir))) {
        size_t n = strlen(e->d_name), before = w->len;
        bool container;
        if (e->d_type != DT_DIR || e->d_name[0] == '.' || w->len + n + 2 > sizeof(w->path))
            continue;
        w->path[w->len] = '/';
        memcpy(w->path + w->len + 1, e->d_name, n + 1);
        w->len += n + 1;
        if (cgroup_is_service(w->path, &container))
            found(w, e->d_ino, container);
        int sub =
            depth < DEPTH_MAX && w->left-- > 0
                ? openat(dirfd(dir), e->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW)
                : -1;
        if (sub != -1)
            walk_folder(w, sub, depth + 1);
        w->len = before;
        w->path[before] = '\0';
    }
    closedir(dir);
}

static bool walk(struct sampler *s, bool listening)
{
    struct cgroups *g = s->state;
    struct walk w = {.sampler = s, .left = FOLDERS_MAX, .listening = listening};
    int fd = open(g->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd == -1)
        return false; // out of descriptors: as they were
    walk_folder(&w, fd, 0);
    g->found = w.found;
    return true;
}

static void drop(struct cgroups *g, size_t i)
{
    cgroup_end(&g->list[i], &g->source);
    free(g->list[i].path);
    g->list[i] = g->list[--g->n];
}

// A configuration that was read again may want fewer: the youngest go.
static void look(struct sampler *s, int64_t now_ns)
{
    struct cgroups *g = s->state;

    for (size_t i = 0; i < g->n; i++)
        g->list[i].seen = false;
    // Who is gone makes room for who is new, and who listens goes before who does not.
    if (!walk(s, true))
        return;
    for (size_t i = g->n; i-- > 0;)
        if (!g->list[i].seen || i >= limit(s))
            drop(g, i);
    if (g->found > g->n && g->n < limit(s))
        walk(s, false);
    g->walked_ns = now_ns;
    s->reason[0] = 0;
    if (g->found > g->n)
        snprintf(s->reason, sizeof(s->reason), "%zu of %zu services (cgroups: max)%s%s", g->n,
            g->found, g->missing[0] ? "; " : "", g->missing);
    else
        snprintf(s->reason, sizeof(s->reason), "%s", g->missing);
}

static uint64_t descendants(struct cgroups *g)
{
    uint64_t n = 0;

    // "nr_descendants 73\n" comes first.
    if (procfile_read(&g->stat) == 0)
        scan_u64(g->stat.text + strcspn(g->stat.text, " "), &n);
    return n;
}

// --- the sampler ---------------------------------------------------------------------------------

static void cgroups_tick(struct sampler *s, const struct tick *t)
{
    struct cgroups *g = s->state;
    uint64_t n = descendants(g);
    bool died = false;

    if (n != g->descendants || t->now_ns - g->walked_ns > WALK_NS || g->n > limit(s)) {
        g->descendants = n;
        look(s, t->now_ns);
    }
    for (size_t i = 0; i < g->n; i++)
        died = cgroup_sample(&g->list[i], &g->source) == -ENODEV || died;
    if (!died)
        return;
    // Restarted under its name, or gone: the same tick tells.
    look(s, t->now_ns);
    for (size_t i = 0; i < g->n; i++)
        if (g->list[i].anew)
            cgroup_sample(&g->list[i], &g->source);
}

static void cgroups_close(struct sampler *s)
{
    struct cgroups *g = s->state;

    if (!g)
        return;
    while (g->n)
        drop(g, g->n - 1);
    procfile_done(&g->stat);
    free(g->list);
    free(g);
    s->state = NULL;
}

// Which of the controllers we want are not turned on below this root.
static void note_missing(struct cgroups *g)
{
    static const char *const WANTED[] = {"cpu", "memory", "io", "pids"};
    char path[300], text[512];
    bool any = false;

    snprintf(path, sizeof(path), "%s/cgroup.controllers", g->root);
    if (host_read_text(AT_FDCWD, path, text, sizeof(text)) < 0)
        text[0] = 0;
    for (size_t i = 0; i < sizeof(WANTED) / sizeof(WANTED[0]); i++) {
        const char *p = text;
        size_t len = 1;
        bool there = false;
        while (len && !there) {
            const char *word = scan_word(&p, &len);
            there = strlen(WANTED[i]) == len && memcmp(WANTED[i], word, len) == 0;
        }
        if (there)
            continue;
        size_t at = strlen(g->missing);
        snprintf(g->missing + at, sizeof(g->missing) - at, "%s%s", any ? ", " : "without ",
            WANTED[i]);
        any = true;
    }
}

static int cgroups_open(struct sampler *s)
{
    static const char *const ROOTS[] = {"/unified", ""};
    struct cgroups *g = s->state = calloc(1, sizeof(*g));
    struct rlimit files = {.rlim_cur = 1024};
    int rc = -ENOENT;

    if (!g)
        return host_unavailable(s, "cgroup", -ENOMEM);
    procfile_init(&g->stat);
    for (size_t i = 0; i < 2 && rc < 0; i++) {
        snprintf(g->root, sizeof(g->root), "%.200s%s", s->env->cgroup, ROOTS[i]);
        rc = procfile_open(&g->stat, g->root, "cgroup.stat");
    }
    if (rc < 0) {
        s->fix =
            "mount cgroup v2 (systemd.unified_cgroup_hierarchy=1 on the kernel's command line)";
        return host_unavailable(s, "no cgroup v2 below /sys/fs/cgroup", rc);
    }
    note_missing(g);
    snprintf(s->reason, sizeof(s->reason), "%s", g->missing);
    if (g->missing[0])
        s->fix =
            "boot with systemd.unified_cgroup_hierarchy=1: cgroup v1 has these controllers";
    getrlimit(RLIMIT_NOFILE, &files);
    g->source = (struct cgroup_source){.root = g->root,
        .sys = s->env->sys,
        .out = s->env->out,
        .fds_left = files.rlim_cur > 32768 ? 8192 : (int)files.rlim_cur / 4};
    return 0;
}

const struct sampler_ops sampler_host_cgroup = {.name = "host.cgroup",
    .interval_ms = INTERVAL_MS,
    .open = cgroups_open,
    .tick = cgroups_tick,
    .close = cgroups_close};
