// SPDX-License-Identifier: Apache-2.0
/*
 * tocsin-agent-netns COMMAND [ARG...]: runs the agent, and beside it a process that can do two things
 * for it and nothing else: say which network namespaces there are, and open netlink sockets in one.
 *
 *     tocsin-agent-netns --fork--> the program: CAP_SYS_ADMIN, CAP_SYS_PTRACE (CAP_NET_ADMIN)
 *              |                        ^ socket pair: netns_wire.h
 *              +--exec--> COMMAND, without CAP_SYS_ADMIN; the pair's other end in TOCSIN_NETNS
 *
 * A program of its own, also where the agent is root, since to enter a namespace takes CAP_SYS_ADMIN,
 * which is nearly all of root, and the agent parses what networks send it. This one reads 16 bytes at a
 * time, from the agent only. It starts the agent, and not the other way round, because then nobody else
 * can come to its socket, systemd's main process is the agent, and no set-user-id file is needed: the
 * capabilities come from the unit, or from the file (setcap), or from root.
 *
 * Without the capabilities COMMAND runs all the same and is told why it is alone.
 *
 * A netlink socket stays in the namespace it was made in. So each is entered once, for some 10 us.
 */
#include "agent/netns_wire.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/netlink.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define RECEIVE_BYTES (8 << 20)

struct program {
    int fd, proc, home; // the pair's end, /proc, the namespace we live in
    uint64_t home_inode;
};

// --- capabilities --------------------------------------------------------------------------------

static uint64_t capabilities_get(void)
{
    struct __user_cap_header_struct h = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct d[_LINUX_CAPABILITY_U32S_3] = {0};

    if (syscall(SYS_capget, &h, d) != 0)
        return 0;
    return (uint64_t)d[1].effective << 32 | d[0].effective;
}

static bool capabilities_set(uint64_t keep, uint64_t inherit)
{
    struct __user_cap_header_struct h = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct d[_LINUX_CAPABILITY_U32S_3];

    for (unsigned i = 0; i < _LINUX_CAPABILITY_U32S_3; i++)
        d[i] = (struct __user_cap_data_struct){.effective = (uint32_t)(keep >> 32 * i),
            .permitted = (uint32_t)(keep >> 32 * i),
            .inheritable = (uint32_t)(inherit >> 32 * i)};
    return syscall(SYS_capset, &h, d) == 0;
}

static const uint64_t NEEDED = 1ull << CAP_SYS_ADMIN | 1ull << CAP_SYS_PTRACE;

// --- which there are -----------------------------------------------------------------------------

static int64_t cpu_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void add(struct netns_list *l, uint64_t *more, uint64_t inode, int32_t pid)
{
    for (uint32_t i = 0; i < l->n; i++)
        if (l->entries[i].inode == inode)
            return;
    if (l->n < NETNS_MAX) {
        l->entries[l->n++] = (struct netns_entry){.inode = inode, .pid = pid};
        l->found++;
    } else if (inode != *more) {
        // Too many are only counted, roughly: one after the other of the same is one.
        *more = inode;
        l->found++;
    }
}

static void list(const struct program *p, struct netns_list *l)
{
    int64_t begun = cpu_ns();
    uint64_t more = 0;
    int fd = openat(p->proc, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd == -1 ? NULL : fdopendir(fd);
    const struct dirent *e;

    *l = (struct netns_list){.what = NETNS_LIST};
    if (!dir) {
        l->rc = -errno;
        if (fd != -1)
            close(fd);
        return;
    }
    while ((e = readdir(dir))) {
        char path[32], *end;
        struct stat st;
        long pid = strtol(e->d_name, &end, 10);
        if (pid <= 0 || pid > INT32_MAX || *end)
            continue;
        snprintf(path, sizeof(path), "%ld/ns/net", pid);
        // Of one that has ended meanwhile, and of kernel threads, there is nothing.
        if (fstatat(p->proc, path, &st, 0) == 0 && st.st_ino != p->home_inode)
            add(l, &more, st.st_ino, (int32_t)pid);
    }
    closedir(dir);
    l->cost_ns = cpu_ns() - begun;
}

// --- into one, and back --------------------------------------------------------------------------

static int open_in_here(int fds[NETNS_FDS])
{
    const int bytes = RECEIVE_BYTES;

    for (int i = 0; i < NETNS_FDS; i++) {
        fds[i] = i == NETNS_SNMP ? open("/proc/thread-self/net/snmp", O_RDONLY | O_CLOEXEC)
                                 : socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK,
                                       NETLINK_SOCK_DIAG);
        if (fds[i] == -1)
            return -errno;
        // Takes CAP_NET_ADMIN; without, the agent has what everybody may.
        if (i == NETNS_CLOSES || i == NETNS_LISTEN_DESTROY)
            (void)setsockopt(fds[i], SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes));
    }
    return 0;
}

static int open_in(const struct program *p, const struct netns_ask *a, int fds[NETNS_FDS])
{
    char path[32];
    struct stat st;
    int rc;

    snprintf(path, sizeof(path), "%d/ns/net", (int)a->pid);
    int there = openat(p->proc, path, O_RDONLY | O_CLOEXEC);
    if (there == -1)
        return errno == ENOENT ? -ESTALE : -errno;
    if (fstat(there, &st) == -1 || st.st_ino != a->inode)
        rc = -ESTALE;
    else if (setns(there, CLONE_NEWNET) == -1)
        rc = -errno;
    else
        rc = open_in_here(fds);
    close(there);
    // Where we are is what the next answer is about: rather no program than one that is astray.
    if (setns(p->home, CLONE_NEWNET) == -1)
        _exit(1);
    return rc;
}

static bool answer(int fd, const void *text, size_t len, const int *fds)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(NETNS_FDS * sizeof(int))];
    } control = {0};
    // sendmsg does not write through iov_base.
    struct iovec iov = {(void *)(uintptr_t)text, len};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

    if (fds) {
        m.msg_control = control.bytes;
        m.msg_controllen = sizeof(control.bytes);
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(NETNS_FDS * sizeof(int));
        memcpy(CMSG_DATA(c), fds, NETNS_FDS * sizeof(int));
    }
    return sendmsg(fd, &m, MSG_NOSIGNAL) == (ssize_t)len;
}

static bool serve(const struct program *p, const struct netns_ask *a)
{
    if (a->what == NETNS_LIST) {
        struct netns_list l;
        list(p, &l);
        return answer(p->fd, &l, sizeof(l), NULL);
    }
    int fds[NETNS_FDS];
    for (int i = 0; i < NETNS_FDS; i++)
        fds[i] = -1;
    struct netns_opened o = {.what = NETNS_OPEN, .inode = a->inode, .rc = -EINVAL};
    if (a->what == NETNS_OPEN && a->pid > 0)
        o.rc = open_in(p, a, fds);
    bool sent = answer(p->fd, &o, sizeof(o), o.rc == 0 ? fds : NULL);
    for (int i = 0; i < NETNS_FDS; i++)
        if (fds[i] != -1)
            close(fds[i]);
    return sent;
}

static void program(int fd)
{
    struct program p = {.fd = fd};
    struct netns_ask a;
    struct stat st;
    ssize_t n;

    // Whatever else was open is not ours; fd is the lowest of what we open.
    if (dup2(fd, 3) == -1)
        _exit(1);
    p.fd = 3;
    close_range(4, ~0u, 0);
    prctl(PR_SET_NAME, "tocsin-netns");
    prctl(PR_SET_DUMPABLE, 0);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    capabilities_set(capabilities_get() & (NEEDED | 1ull << CAP_NET_ADMIN), 0);
    // A terminal's ^C and the unit's stop are for the agent: we end when it does.
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    p.proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    p.home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    if (p.proc == -1 || p.home == -1 || fstat(p.home, &st) == -1)
        _exit(1);
    p.home_inode = st.st_ino;
    while ((n = recv(p.fd, &a, sizeof(a), 0)) != 0) {
        if (n == -1 && errno == EINTR)
            continue;
        if (n != (ssize_t)sizeof(a) || !serve(&p, &a))
            break;
    }
    _exit(0);
}

// --- the start -----------------------------------------------------------------------------------

// The end for COMMAND; -1 with why.
static int start(const char **why)
{
    int pair[2];

    if ((capabilities_get() & NEEDED) != NEEDED) {
        *why = "tocsin-agent-netns has not CAP_SYS_ADMIN and CAP_SYS_PTRACE";
        return -1;
    }
    // Not closed by exec: it is how COMMAND gets its end.
    if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) == -1) {
        *why = strerror(errno);
        return -1;
    }
    pid_t pid = fork();
    if (pid == 0) {
        close(pair[0]);
        program(pair[1]);
    }
    close(pair[1]);
    if (pid == -1) {
        *why = strerror(errno);
        close(pair[0]);
        return -1;
    }
    return pair[0];
}

// What COMMAND gets: all but CAP_SYS_ADMIN. Root's exec gives it back to root, as always.
static void give_up(void)
{
    uint64_t rest = capabilities_get() & ~(1ull << CAP_SYS_ADMIN);

    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_LOWER, CAP_SYS_ADMIN, 0, 0);
    if (geteuid() == 0)
        return;
    // What the file gave us beyond the ambient ones was for us alone.
    uint64_t ambient = 0;
    for (int i = 0; i <= CAP_LAST_CAP; i++)
        if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, i, 0, 0) == 1)
            ambient |= 1ull << i;
    capabilities_set(rest & ambient, rest & ambient);
}

int main(int argc, char **argv)
{
    const char *why = "";
    char text[128];

    if (argc < 2 || argv[1][0] == '-') {
        fputs(
            "Usage: tocsin-agent-netns COMMAND [ARG]...\n"
            "Runs the command, tocsin-agent that is, with a way to look into other network namespaces.\n"
            "Needs CAP_SYS_ADMIN and CAP_SYS_PTRACE, which the command does not get from it.\n",
            argc == 2 && strcmp(argv[1], "--help") == 0 ? stdout : stderr);
        return argc == 2 && strcmp(argv[1], "--help") == 0 ? EXIT_SUCCESS : 2;
    }
    int fd = start(&why);
    if (fd == -1)
        snprintf(text, sizeof(text), "%s", why);
    else
        snprintf(text, sizeof(text), "%d", fd);
    if (setenv(NETNS_WIRE_ENV, text, 1) == -1)
        return EXIT_FAILURE;
    give_up();
    execvp(argv[1], argv + 1);
    fprintf(stderr, "tocsin-agent-netns: %s: %s\n", argv[1], strerror(errno));
    return 127;
}
