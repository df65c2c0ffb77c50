// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel.h"
#include "agent/config.h"
#include "agent/sampler.h"
#include "base/log.h"
#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define FDS_MAX (KERNEL_LINKS_MAX + KERNEL_MAPS_MAX)
// What travels as bytes; the descriptors travel beside it.
#define ANSWER_BYTES offsetof(struct kernel_loaded, fds)

struct kernel_part {
    int links[KERNEL_LINKS_MAX]; // attached as long as these are open
    size_t n_links;
    struct {
        int fd;
        uint8_t *memory; // the addresses; mapped where needed
        size_t bytes;
    } maps[KERNEL_MAPS_MAX];
    size_t n_maps;
};

struct kernel {
    struct kernel_options options;
    struct {
        struct kernel_part *part; // NULL: not there, or taken
        int rc;
        char why[160];
    } files[KERNEL_FILES];
};

// Nothing later needs them. A root user keeps CAP_SYS_ADMIN, which contains both.
static void capabilities_drop(void)
{
    struct __user_cap_header_struct h = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct d[_LINUX_CAPABILITY_U32S_3];
    static const unsigned DROP[] = {CAP_BPF, CAP_PERFMON};

    if (syscall(SYS_capget, &h, d) != 0)
        return;
    for (size_t i = 0; i < sizeof(DROP) / sizeof(DROP[0]); i++) {
        __u32 keep = ~CAP_TO_MASK(DROP[i]);
        struct __user_cap_data_struct *at = &d[CAP_TO_INDEX(DROP[i])];
        at->effective &= keep;
        at->permitted &= keep;
        at->inheritable &= keep; // and with it what is ambient
    }
    if (syscall(SYS_capset, &h, d) != 0)
        log_warn("capabilities_kept", "error=%s", log_q(strerror(errno)));
}

// --- the child's answers -------------------------------------------------------------------------

union control {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(FDS_MAX * sizeof(int))];
};

static bool answer_send(int fd, struct kernel_loaded *a)
{
    union control control = {0};
    struct iovec iov = {a, ANSWER_BYTES};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
    size_t n = a->links + a->maps;

    if (a->rc == 0) {
        m.msg_control = control.bytes;
        m.msg_controllen = CMSG_SPACE(n * sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(n * sizeof(int));
        memcpy(CMSG_DATA(c), a->fds, n * sizeof(int));
    }
    return sendmsg(fd, &m, MSG_NOSIGNAL) == (ssize_t)ANSWER_BYTES;
}

static void answer_take(int fd, struct kernel_loaded *a)
{
    union control control = {0};
    struct iovec iov = {a, ANSWER_BYTES};
    struct msghdr m = {.msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = control.bytes,
        .msg_controllen = sizeof(control.bytes)};
    ssize_t n;

    do
        n = recvmsg(fd, &m, MSG_CMSG_CLOEXEC);
    while (n == -1 && errno == EINTR);
    if (n != (ssize_t)ANSWER_BYTES) {
        a->rc = -EIO;
        snprintf(a->why, sizeof(a->why), "the process that loads the programs died");
    }
    a->why[sizeof(a->why) - 1] = '\0';
    struct cmsghdr *c = a->rc == 0 ? CMSG_FIRSTHDR(&m) : NULL;
    size_t bytes = (a->links + a->maps) * sizeof(int);
    if (a->rc == 0 && (!c || c->cmsg_len != CMSG_LEN(bytes))) {
        a->rc = -EMFILE;
        snprintf(a->why, sizeof(a->why), "no room for its descriptors");
    }
    if (a->rc == 0)
        memcpy(a->fds, CMSG_DATA(c), bytes);
}

// --- a file --------------------------------------------------------------------------------------

static size_t whole_pages(size_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    return (bytes + page - 1) / page * page;
}

void kernel_part_close(struct kernel_part *p)
{
    if (!p)
        return;
    for (size_t i = 0; i < p->n_links; i++)
        close(p->links[i]);
    for (size_t i = 0; i < p->n_maps; i++) {
        if (p->maps[i].memory)
            munmap(p->maps[i].memory, whole_pages(p->maps[i].bytes));
        close(p->maps[i].fd);
    }
    free(p);
}

static int part_make(const struct kernel_loaded *a, struct kernel_part **ret)
{
    struct kernel_part *p = calloc(1, sizeof(*p));
    int rc = p ? 0 : -ENOMEM;

    for (size_t i = 0; !p && i < a->links + a->maps; i++)
        close(a->fds[i]);
    if (!p)
        return rc;
    p->n_links = a->links;
    p->n_maps = a->maps;
    memcpy(p->links, a->fds, a->links * sizeof(int));
    for (size_t i = 0; i < a->maps; i++) {
        p->maps[i].fd = a->fds[a->links + i];
        p->maps[i].bytes = a->bytes[i];
        if (!a->bytes[i]) // no array
            continue;
        void *at = mmap(NULL, whole_pages(a->bytes[i]), PROT_NONE,
            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (at == MAP_FAILED)
            rc = -errno;
        else
            p->maps[i].memory = at;
    }
    if (rc == 0)
        *ret = p;
    else
        kernel_part_close(p);
    return rc;
}

void *kernel_part_memory(const struct kernel_part *p, size_t nth, size_t *ret_bytes)
{
    if (nth >= p->n_maps)
        return NULL;
    *ret_bytes = p->maps[nth].bytes;
    return p->maps[nth].memory;
}

int kernel_part_fd(const struct kernel_part *p, size_t nth)
{
    return nth < p->n_maps ? p->maps[nth].fd : -1;
}

int kernel_part_need(struct kernel_part *p, const void *at, size_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);

    for (size_t i = 0; p && i < p->n_maps; i++) {
        uintptr_t base = (uintptr_t)p->maps[i].memory, wanted = (uintptr_t)at;
        if (wanted < base || wanted + bytes > base + p->maps[i].bytes)
            continue;
        size_t from = (wanted - base) / page * page;
        size_t len = whole_pages(wanted - base + bytes) - from;
        const void *got = mmap(p->maps[i].memory + from, len, PROT_READ | PROT_WRITE,
            MAP_SHARED | MAP_FIXED, p->maps[i].fd, (off_t)from);
        return got == MAP_FAILED ? -errno : 0;
    }
    return p ? -EINVAL : 0;
}

// --- all of them ---------------------------------------------------------------------------------

static void all_fail(struct kernel *k, int rc, const char *why)
{
    for (int f = 0; f < KERNEL_FILES; f++) {
        k->files[f].rc = rc;
        snprintf(k->files[f].why, sizeof(k->files[f].why), "%s", why);
    }
}

static void loader(int fd, const char *btf, const struct kernel_options *o)
{
    static struct kernel_loaded answers[KERNEL_FILES]; // zeroed
    bool sent = true;

    kernel_load(btf, o, answers);
    for (int f = 0; f < KERNEL_FILES && sent; f++)
        sent = answer_send(fd, &answers[f]);
    _exit(sent ? 0 : 1);
}

static void take_all(struct kernel *k, int fd)
{
    for (int f = 0; f < KERNEL_FILES; f++) {
        struct kernel_loaded a = {0};
        answer_take(fd, &a);
        if (a.rc == 0 && (a.rc = part_make(&a, &k->files[f].part)) < 0)
            snprintf(a.why, sizeof(a.why), "memory of the programs: %s", strerror(-a.rc));
        k->files[f].rc = a.rc;
        memcpy(k->files[f].why, a.why, sizeof(k->files[f].why));
    }
}

static void load_all(struct kernel *k, const char *btf, const struct kernel_options *o)
{
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
        all_fail(k, -errno, strerror(errno));
        return;
    }
    pid_t pid = fork();
    if (pid == 0)
        loader(pair[1], btf, o);
    if (pid < 0)
        all_fail(k, -errno, strerror(errno));
    close(pair[1]);
    if (pid > 0)
        take_all(k, pair[0]);
    close(pair[0]);
    if (pid > 0)
        while (waitpid(pid, NULL, 0) == -1 && errno == EINTR) {
        }
}

struct kernel *kernel_open(const struct env *env)
{
    char path[512], why[160];
    struct stat st;
    struct kernel *k = calloc(1, sizeof(*k));

    if (!k)
        return NULL;
    snprintf(path, sizeof(path), "%s/self/ns/net", env->proc);
    if (stat(path, &st) != 0) {
        int rc = -errno;
        snprintf(why, sizeof(why), "%.60s: %s", path, strerror(-rc));
        all_fail(k, rc, why);
    } else {
        struct kernel_options *o = &k->options;
        o->netns = (uint32_t)st.st_ino;
        o->pid = (uint32_t)getpid();
        o->dependencies = env->config ? env->config->dependencies : 0;
        if (getrandom(&o->seed, sizeof(o->seed), GRND_NONBLOCK) != sizeof(o->seed))
            o->seed = (uint64_t)clock_mono_ns(&env->clock);
        snprintf(path, sizeof(path), "%s/kernel/btf/vmlinux", env->sys);
        load_all(k, path, o);
    }
    capabilities_drop();
    return k;
}

const struct kernel_options *kernel_options(const struct kernel *k)
{
    return &k->options;
}

void kernel_close(struct kernel *k)
{
    for (int f = 0; k && f < KERNEL_FILES; f++)
        kernel_part_close(k->files[f].part);
    free(k);
}

int kernel_part_open(
    struct kernel *k, enum kernel_file f, struct kernel_part **ret, char *why, size_t size)
{
    if (!k || (k->files[f].rc == 0 && !k->files[f].part)) {
        snprintf(why, size, "%s", k ? "in use" : "the programs were not loaded");
        return -ENODEV;
    }
    if (k->files[f].rc < 0) {
        snprintf(why, size, "%s", k->files[f].why);
        return k->files[f].rc;
    }
    *ret = k->files[f].part;
    k->files[f].part = NULL;
    return 0;
}
