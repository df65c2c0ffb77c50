// SPDX-License-Identifier: Apache-2.0
// A disk that takes its time, by LD_PRELOAD: fsync and fdatasync last SLOW_FSYNC_MS longer while the
// file SLOW_FSYNC_WHILE exists.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static void wait_for_it(void)
{
    const char *ms = getenv("SLOW_FSYNC_MS"), *file = getenv("SLOW_FSYNC_WHILE");
    if (!ms || !file || access(file, F_OK) != 0)
        return;
    long n = strtol(ms, NULL, 10);
    struct timespec t = {n / 1000, n % 1000 * 1000000};
    nanosleep(&t, NULL);
}

static int call(const char *name, int fd)
{
    int (*real)(int);
    *(void **)&real = dlsym(RTLD_NEXT, name);
    wait_for_it();
    return real(fd);
}

int fsync(int fd)
{
    return call("fsync", fd);
}

int fdatasync(int fd)
{
    return call("fdatasync", fd);
}
