// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel.h"
#include <errno.h>
#include <stdio.h>

#ifndef TOCSIN_BPF

int kernel_check(const char *btf, enum kernel_file f, char *why, size_t size)
{
    (void)btf;
    (void)f;
    snprintf(why, size, "this build has no eBPF: it was made without clang or libbpf");
    return -ENOTSUP;
}

void kernel_load(const char *btf, const struct kernel_options *o,
    struct kernel_loaded answers[static KERNEL_FILES])
{
    (void)o;
    for (int f = 0; f < KERNEL_FILES; f++)
        answers[f].rc =
            kernel_check(btf, (enum kernel_file)f, answers[f].why, sizeof(answers[f].why));
}

#else
#include "base/log.h"
#include <bpf/btf.h>
#include <connections.skel.h>
#include <latency.skel.h>
#include <stdarg.h>
#include <string.h>

// One file: what it needs of the kernel, what of it user space gets, and how its object is opened,
// told the options and given the maps of a file before it.
struct file {
    const char *tracepoints[KERNEL_LINKS_MAX];
    const char *since; // for a person, which kernels have them
    const char *maps[KERNEL_MAPS_MAX];
    struct bpf_object *(*open)(
        const struct kernel_options *o, struct bpf_object *const *loaded);
};

static struct bpf_object *open_connections(
    const struct kernel_options *o, struct bpf_object *const *loaded)
{
    struct connections_bpf *skel = connections_bpf__open();

    (void)loaded;
    if (!skel)
        return NULL;
    skel->rodata->own_netns = o->netns;
    skel->rodata->own_pid = o->pid;
    skel->rodata->n_dests = o->dependencies;
    skel->rodata->seed = o->seed;
    int rc = bpf_map__set_max_entries(skel->maps.dests, o->dependencies + 1);
    if (rc < 0) {
        errno = -rc;
        return NULL;
    }
    return skel->obj;
}

static int share(struct bpf_map *m, const struct bpf_object *from, const char *name)
{
    const struct bpf_map *theirs = bpf_object__find_map_by_name(from, name);

    return theirs ? bpf_map__reuse_fd(m, bpf_map__fd(theirs)) : -ENOENT;
}

static struct bpf_object *open_latency(
    const struct kernel_options *o, struct bpf_object *const *loaded)
{
    struct latency_bpf *skel = latency_bpf__open();
    struct bpf_object *connections = loaded[KERNEL_CONNECTIONS];
    int rc = 0;

    if (!skel)
        return NULL;
    // Who connected, and where to, is known there.
    if (connections && o->dependencies) {
        skel->rodata->clients = 1;
        rc = bpf_map__set_max_entries(skel->maps.calls, o->dependencies + 1);
        if (rc == 0)
            rc = share(skel->maps.sockets, connections, "sockets");
        if (rc == 0)
            rc = share(skel->maps.head, connections, "head");
    }
    if (rc < 0) {
        errno = -rc;
        return NULL;
    }
    return skel->obj;
}

static const struct file FILES[KERNEL_FILES] = {
    [KERNEL_CONNECTIONS] =
        {
            .tracepoints = {"inet_sock_set_state", "tcp_send_reset"},
            .since = "Linux 4.16 and later have",
            .maps = {"head", "ports", "dests", "wakes"},
            .open = open_connections,
        },
    [KERNEL_LATENCY] =
        {
            .tracepoints = {"sk_data_ready", "sock_send_length", "tcp_destroy_sock"},
            .since = "Linux 6.3 and later have",
            .maps = {"shared", "calls"},
            .open = open_latency,
        },
};

// libbpf's own words are for who looks for the cause of what `why` says.
static int to_debug_log(enum libbpf_print_level level, const char *format, va_list args)
{
    char text[512];

    if (level == LIBBPF_DEBUG)
        return 0;
    vsnprintf(text, sizeof(text), format, args);
    text[strcspn(text, "\n")] = '\0';
    log_debug("libbpf", "text=%s", log_q(text));
    return 0;
}

static struct btf *types_open(const char *path, int *ret_rc, char *why, size_t size)
{
    libbpf_set_print(to_debug_log);
    struct btf *b = btf__parse(path, NULL);
    if (!b) {
        *ret_rc = errno == ENOENT ? -ENOENT : -EINVAL;
        snprintf(why, size, "%s: %s", path,
            *ret_rc == -ENOENT
                ? "the kernel does not describe its types (CONFIG_DEBUG_INFO_BTF)"
                : "not a description of types");
    }
    return b;
}

static int types_check(const struct btf *b, const struct file *f, char *why, size_t size)
{
    for (size_t i = 0; i < KERNEL_LINKS_MAX && f->tracepoints[i]; i++) {
        char type[64];
        snprintf(type, sizeof(type), "btf_trace_%s", f->tracepoints[i]);
        if (btf__find_by_name_kind(b, type, BTF_KIND_TYPEDEF) < 0) {
            snprintf(why, size, "this kernel has no tracepoint %s (%s)", f->tracepoints[i],
                f->since);
            return -ENOSYS;
        }
    }
    return 0;
}

int kernel_check(const char *btf, enum kernel_file f, char *why, size_t size)
{
    int rc = 0;
    struct btf *b = types_open(btf, &rc, why, size);

    if (b)
        rc = types_check(b, &FILES[f], why, size);
    btf__free(b);
    return rc;
}

static int refused(int rc, struct kernel_loaded *a)
{
    snprintf(a->why, sizeof(a->why), "the kernel refuses the programs: %s%s", strerror(-rc),
        rc == -EPERM || rc == -EACCES ? " (needs CAP_BPF and CAP_PERFMON)" : "");
    return rc;
}

static int attach(struct bpf_object *obj, const struct file *f, struct kernel_loaded *a)
{
    struct bpf_program *p;

    bpf_object__for_each_program(p, obj)
    {
        if (!bpf_program__autoload(p))
            continue;
        struct bpf_link *link =
            a->links < KERNEL_LINKS_MAX ? bpf_program__attach(p) : (errno = E2BIG, NULL);
        if (!link)
            return refused(-errno, a);
        a->fds[a->links++] = bpf_link__fd(link);
    }
    for (size_t i = 0; i < KERNEL_MAPS_MAX && f->maps[i]; i++) {
        const struct bpf_map *m = bpf_object__find_map_by_name(obj, f->maps[i]);
        if (!m)
            return refused(-ENOENT, a);
        a->fds[a->links + a->maps] = bpf_map__fd(m);
        // As an array lies in memory.
        a->bytes[a->maps++] = (bpf_map__value_size(m) + 7ull) / 8 * 8 * bpf_map__max_entries(m);
    }
    return 0;
}

void kernel_load(const char *btf, const struct kernel_options *o,
    struct kernel_loaded answers[static KERNEL_FILES])
{
    struct bpf_object *loaded[KERNEL_FILES] = {0};
    int rc = 0;
    struct btf *types = types_open(btf, &rc, answers[0].why, sizeof(answers[0].why));

    for (int f = 0; f < KERNEL_FILES; f++) {
        struct kernel_loaded *a = &answers[f];
        if (!FILES[f].open) {
            a->rc = -ENOSYS;
            continue;
        }
        if (!types) {
            a->rc = rc;
            memcpy(a->why, answers[0].why, sizeof(a->why));
            continue;
        }
        a->rc = types_check(types, &FILES[f], a->why, sizeof(a->why));
        if (a->rc < 0)
            continue;
        struct bpf_object *obj = FILES[f].open(o, loaded);
        a->rc = obj ? bpf_object__load(obj) : -errno;
        if (a->rc < 0)
            refused(a->rc, a);
        else
            a->rc = attach(obj, &FILES[f], a);
        if (a->rc == 0)
            loaded[f] = obj;
    }
    btf__free(types);
}
#endif
