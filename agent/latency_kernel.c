// SPDX-License-Identifier: Apache-2.0
#include "agent/latency_kernel.h"
#include <errno.h>
#include <stdio.h>

#ifndef TOCSIN_BPF

int latency_kernel_check(const char *btf, char *why, size_t size)
{
    (void)btf;
    snprintf(why, size, "this build has no eBPF: it was made without clang or libbpf");
    return -ENOTSUP;
}

int latency_kernel_open(const char *btf, uint32_t netns, struct latency_kernel **ret,
    struct latency_shared **memory, char *why, size_t size)
{
    (void)netns;
    (void)ret;
    (void)memory;
    return latency_kernel_check(btf, why, size);
}

void latency_kernel_close(struct latency_kernel *k)
{
    (void)k;
}

#else
#include "base/log.h"
#include <bpf/btf.h>
#include <latency.skel.h>
#include <linux/capability.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FD_ARRIVED, FD_REPLIED, FD_MEMORY, FDS };

struct latency_kernel {
    int programs[2]; // attached as long as these are open
    struct latency_shared *memory;
    size_t bytes;
};

// What the loader says: rc < 0 with why, or 0 with FDS descriptors.
struct answer {
    int rc;
    char why[160];
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

int latency_kernel_check(const char *btf, char *why, size_t size)
{
    static const char *const TRACEPOINTS[] = {"sk_data_ready", "sock_send_length"};
    struct btf *b;
    int rc = 0;

    libbpf_set_print(to_debug_log);
    b = btf__parse(btf, NULL);
    if (!b) {
        rc = errno == ENOENT ? -ENOENT : -EINVAL;
        snprintf(why, size, "%s: %s", btf,
            rc == -ENOENT ? "the kernel does not describe its types (CONFIG_DEBUG_INFO_BTF)"
                          : "not a description of types");
        return rc;
    }
    for (size_t i = 0; rc == 0 && i < sizeof(TRACEPOINTS) / sizeof(TRACEPOINTS[0]); i++) {
        char type[64];
        snprintf(type, sizeof(type), "btf_trace_%s", TRACEPOINTS[i]);
        if (btf__find_by_name_kind(b, type, BTF_KIND_TYPEDEF) < 0) {
            rc = -ENOSYS;
            snprintf(why, size, "this kernel has no tracepoint %s (Linux 6.3 and later have)",
                TRACEPOINTS[i]);
        }
    }
    btf__free(b);
    return rc;
}

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

// --- the loader, a process of its own -------------------------------------------------------------

static int load(
    const char *btf, uint32_t netns, struct latency_bpf **ret, char *why, size_t size)
{
    struct latency_bpf *skel;
    int rc = latency_kernel_check(btf, why, size);

    if (rc < 0)
        return rc;
    skel = latency_bpf__open();
    rc = skel ? 0 : -errno;
    if (rc == 0) {
        skel->rodata->own_netns = netns;
        rc = latency_bpf__load(skel);
    }
    if (rc == 0)
        rc = latency_bpf__attach(skel);
    if (rc < 0)
        snprintf(why, size, "the kernel refuses the programs: %s%s", strerror(-rc),
            rc == -EPERM || rc == -EACCES ? " (needs CAP_BPF and CAP_PERFMON)" : "");
    *ret = skel;
    return rc;
}

static void loader(int fd, const char *btf, uint32_t netns)
{
    struct latency_bpf *skel = NULL;
    struct answer a = {0};
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(FDS * sizeof(int))];
    } control = {0};
    struct iovec iov = {&a, sizeof(a)};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

    a.rc = load(btf, netns, &skel, a.why, sizeof(a.why));
    if (a.rc == 0) {
        const int fds[FDS] = {[FD_ARRIVED] = bpf_link__fd(skel->links.data_ready),
            [FD_REPLIED] = bpf_link__fd(skel->links.send_length),
            [FD_MEMORY] = bpf_map__fd(skel->maps.shared)};
        m.msg_control = control.bytes;
        m.msg_controllen = sizeof(control.bytes);
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(fds));
        memcpy(CMSG_DATA(c), fds, sizeof(fds));
    }
    _exit(sendmsg(fd, &m, MSG_NOSIGNAL) == (ssize_t)sizeof(a) ? 0 : 1);
}

// --- the agent -----------------------------------------------------------------------------------

static int answer_take(int fd, struct answer *a, int fds[FDS])
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(FDS * sizeof(int))];
    } control = {0};
    struct iovec iov = {a, sizeof(*a)};
    struct msghdr m = {.msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = control.bytes,
        .msg_controllen = sizeof(control.bytes)};
    ssize_t n;

    do
        n = recvmsg(fd, &m, MSG_CMSG_CLOEXEC);
    while (n == -1 && errno == EINTR);
    if (n != (ssize_t)sizeof(*a)) {
        snprintf(a->why, sizeof(a->why), "the process that loads the programs died");
        return -EIO;
    }
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    if (a->rc == 0 && (!c || c->cmsg_len != CMSG_LEN(FDS * sizeof(int)))) {
        snprintf(a->why, sizeof(a->why), "no room for its descriptors");
        return -EMFILE;
    }
    if (a->rc == 0)
        memcpy(fds, CMSG_DATA(c), FDS * sizeof(int));
    return a->rc;
}

static int loaded(const char *btf, uint32_t netns, struct answer *a, int fds[FDS])
{
    int pair[2], rc;
    pid_t pid = -1;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0) {
        pid = fork();
        if (pid == 0)
            loader(pair[1], btf, netns);
        rc = -errno;
        close(pair[1]);
        if (pid > 0)
            rc = answer_take(pair[0], a, fds);
        close(pair[0]);
    } else {
        rc = -errno;
    }
    if (pid > 0)
        while (waitpid(pid, NULL, 0) == -1 && errno == EINTR) {
        }
    else
        snprintf(a->why, sizeof(a->why), "%s", strerror(-rc));
    return rc;
}

int latency_kernel_open(const char *btf, uint32_t netns, struct latency_kernel **ret,
    struct latency_shared **memory, char *why, size_t size)
{
    int fds[FDS];
    struct answer a = {0};
    struct latency_kernel *k = calloc(1, sizeof(*k));
    int rc = k ? loaded(btf, netns, &a, fds) : -ENOMEM;

    if (rc < 0) {
        a.why[sizeof(a.why) - 1] = '\0';
        snprintf(why, size, "%s", k ? a.why : strerror(-rc));
        free(k);
        return rc;
    }
    long page = sysconf(_SC_PAGESIZE);
    k->bytes = (sizeof(**memory) + (size_t)page - 1) / (size_t)page * (size_t)page;
    k->programs[0] = fds[FD_ARRIVED];
    k->programs[1] = fds[FD_REPLIED];
    k->memory = mmap(NULL, k->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fds[FD_MEMORY], 0);
    rc = k->memory == MAP_FAILED ? -errno : 0;
    close(fds[FD_MEMORY]);
    if (rc < 0) {
        snprintf(why, size, "memory of the programs: %s", strerror(-rc));
        k->memory = NULL;
        latency_kernel_close(k);
        return rc;
    }
    capabilities_drop();
    *memory = k->memory;
    *ret = k;
    return 0;
}

void latency_kernel_close(struct latency_kernel *k)
{
    if (!k)
        return;
    if (k->memory)
        munmap(k->memory, k->bytes);
    for (int i = 0; i < 2; i++)
        close(k->programs[i]);
    free(k);
}
#endif
