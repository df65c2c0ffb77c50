// SPDX-License-Identifier: Apache-2.0
// A kernel that fails at random and a wall clock that can be set, by LD_PRELOAD for the agent. The file
// FAULTS is mapped: its owner turns it while the agent runs.
//
//     int64 nanoseconds the wall clock is off | uint32 percent of calls that fail | uint32 failed so far
//
// What fails: opening below /proc and /sys, reading from there, asking netlink, statfs, readlink. What
// the loop itself needs (eventfd, epoll, timers) and the way to the collector work: without them nothing
// can be told of the rest.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static struct control {
    _Atomic int64_t wall_ns;
    _Atomic uint32_t percent, failed;
} none, *control = &none;

// A function pointer and dlsym's answer are not convertible in ISO C.
#define REAL(name)                                                                             \
    static __typeof__(name) *next;                                                             \
    if (!next)                                                                                 \
    *(void **)&next = dlsym(RTLD_NEXT, #name)

__attribute__((constructor)) static void start(void)
{
    const char *path = getenv("FAULTS");
    int fd = path ? (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC) : -1;
    if (fd == -1)
        return;
    void *m = mmap(NULL, sizeof(*control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (m != MAP_FAILED)
        control = m;
}

// splitmix64 of the n-th question
static bool fails(const int *errors, size_t n, bool applies)
{
    static _Atomic uint64_t asked;
    if (!control->percent || !applies)
        return false;
    uint64_t x = (asked += 0x9e3779b97f4a7c15u);
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    x ^= x >> 31;
    if (x % 100 >= control->percent)
        return false;
    control->failed++;
    errno = errors[(x >> 32) % n];
    return true;
}

static const int OPENING[] = {EMFILE, ENFILE, EACCES, ENOENT, ESRCH, ENOMEM};
static const int READING[] = {EIO, ENODEV, ESRCH, EINTR, ENOMEM};
static const int NETLINK[] = {ENOBUFS, ENOMEM, EAGAIN};
#define N(list) (sizeof(list) / sizeof((list)[0]))

static bool is_kernel_path(const char *path)
{
    return strncmp(path, "/proc", 5) == 0 || strncmp(path, "/sys", 4) == 0;
}

static bool is_kernel_file(int fd)
{
    struct statfs st;
    if (!control->percent || fstatfs(fd, &st) == -1)
        return false;
    return st.f_type == 0x9fa0 || st.f_type == 0x62656572 || st.f_type == 0x63677270;
}

static bool is_netlink(int fd)
{
    int domain = 0;
    socklen_t len = sizeof(domain);
    return control->percent && getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 &&
           domain == AF_NETLINK;
}

int open(const char *path, int flags, ...)
{
    va_list ap;
    va_start(ap, flags);
    mode_t mode = flags & O_CREAT ? va_arg(ap, mode_t) : 0;
    va_end(ap);
    REAL(open);
    if (fails(OPENING, N(OPENING), is_kernel_path(path)))
        return -1;
    return next(path, flags, mode);
}

int openat(int dir, const char *path, int flags, ...)
{
    REAL(openat);
    if (fails(OPENING, N(OPENING), is_kernel_path(path) || is_kernel_file(dir)))
        return -1;
    return next(dir, path, flags, 0600);
}

ssize_t pread(int fd, void *to, size_t size, off_t at)
{
    REAL(pread);
    if (fails(READING, N(READING), is_kernel_file(fd)))
        return errno == ESRCH ? 0 : -1; // also an end where there was a text
    return next(fd, to, size, at);
}

ssize_t read(int fd, void *to, size_t size)
{
    REAL(read);
    if (fails(READING, N(READING), is_kernel_file(fd)))
        return errno == ESRCH ? 0 : -1;
    return next(fd, to, size);
}

ssize_t readlink(const char *path, char *to, size_t size)
{
    REAL(readlink);
    if (fails(OPENING, N(OPENING), is_kernel_path(path)))
        return -1;
    return next(path, to, size);
}

int statfs(const char *path, struct statfs *st)
{
    REAL(statfs);
    if (fails(READING, N(READING), true))
        return -1;
    return next(path, st);
}

ssize_t recvmsg(int fd, struct msghdr *m, int flags)
{
    REAL(recvmsg);
    if (fails(NETLINK, N(NETLINK), is_netlink(fd)))
        return -1;
    return next(fd, m, flags);
}

ssize_t recv(int fd, void *to, size_t size, int flags)
{
    REAL(recv);
    if (fails(NETLINK, N(NETLINK), is_netlink(fd)))
        return -1;
    return next(fd, to, size, flags);
}

ssize_t sendto(
    int fd, const void *what, size_t size, int flags, const struct sockaddr *to, socklen_t len)
{
    REAL(sendto);
    if (fails(NETLINK, N(NETLINK), is_netlink(fd)))
        return -1;
    return next(fd, what, size, flags, to, len);
}

int socket(int domain, int type, int protocol)
{
    REAL(socket);
    if (fails(OPENING, N(OPENING), domain == AF_NETLINK))
        return -1;
    return next(domain, type, protocol);
}

int clock_gettime(clockid_t id, struct timespec *ts)
{
    REAL(clock_gettime);
    int rc = next(id, ts);
    if (rc == 0 && id == CLOCK_REALTIME) {
        int64_t ns = (int64_t)ts->tv_sec * 1000000000 + ts->tv_nsec + control->wall_ns;
        ts->tv_sec = ns / 1000000000;
        ts->tv_nsec = ns % 1000000000;
    }
    return rc;
}
