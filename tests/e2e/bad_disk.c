// SPDX-License-Identifier: Apache-2.0
// A disk that fails at random, by LD_PRELOAD: while the file BAD_DISK holds a number, so many of a hundred
// calls that write alerts.db, its log or its journal fail with ENOSPC or EIO; a failed write may
// have written a part, a failed fsync may have written all. BAD_DISK_SEED says which.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static unsigned number_in(const char *path)
{
    char text[16] = "";
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd == -1)
        return 0;
    (void)!read(fd, text, sizeof(text) - 1);
    close(fd);
    return (unsigned)strtoul(text, NULL, 10);
}

// The n-th answer of the seed (splitmix64): which thread asks makes no difference.
static unsigned chance(unsigned of)
{
    static _Atomic uint64_t state;
    const char *seed = getenv("BAD_DISK_SEED");
    uint64_t x =
        atomic_fetch_add(&state, 0x9e3779b97f4a7c15u) + (seed ? strtoull(seed, NULL, 10) : 0);
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return (unsigned)((x ^ (x >> 31)) % of);
}

static bool fails(int fd)
{
    char link[48], path[512];
    int before = errno;
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof(path) - 1);
    path[n > 0 ? n : 0] = '\0';
    bool bad = strstr(path, "/alerts.db") && chance(100) < number_in(getenv("BAD_DISK"));
    errno = bad ? (chance(2) ? ENOSPC : EIO) : before;
    return bad;
}

#define REAL(type, name)                                                                       \
    static type real;                                                                          \
    if (!real)                                                                                 \
    *(void **)&real = dlsym(RTLD_NEXT, name)

typedef ssize_t (*pwrite_fn)(int, const void *, size_t, off64_t);
typedef ssize_t (*write_fn)(int, const void *, size_t);
typedef int (*sync_fn)(int);
typedef int (*truncate_fn)(int, off64_t);

static ssize_t put(pwrite_fn real, int fd, const void *data, size_t n, off64_t at)
{
    if (!fails(fd))
        return real(fd, data, n, at);
    int error = errno;
    if (chance(2))
        (void)!real(fd, data, n / 2, at);
    errno = error;
    return -1;
}

ssize_t pwrite64(int fd, const void *data, size_t n, off64_t at)
{
    REAL(pwrite_fn, "pwrite64");
    return put(real, fd, data, n, at);
}

ssize_t pwrite(int fd, const void *data, size_t n, off_t at)
{
    REAL(pwrite_fn, "pwrite");
    return put(real, fd, data, n, at);
}

ssize_t write(int fd, const void *data, size_t n)
{
    REAL(write_fn, "write");
    return fails(fd) ? -1 : real(fd, data, n);
}

static int sync_it(sync_fn real, int fd)
{
    bool bad = fails(fd);
    int error = errno, rc = bad && chance(2) ? -1 : real(fd);
    errno = bad ? error : errno;
    return bad ? -1 : rc;
}

int fsync(int fd)
{
    REAL(sync_fn, "fsync");
    return sync_it(real, fd);
}

int fdatasync(int fd)
{
    REAL(sync_fn, "fdatasync");
    return sync_it(real, fd);
}

int ftruncate64(int fd, off64_t n)
{
    REAL(truncate_fn, "ftruncate64");
    return fails(fd) ? -1 : real(fd, n);
}

int ftruncate(int fd, off_t n)
{
    REAL(truncate_fn, "ftruncate");
    return fails(fd) ? -1 : real(fd, n);
}
