// SPDX-License-Identifier: Apache-2.0
#include "base/clock.h"
#include <time.h>

static int64_t read_clock(clockid_t id)
{
    struct timespec ts = {0};
    clock_gettime(id, &ts); // cannot fail for the two clocks asked for here
    return (int64_t)ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

static int64_t system_mono(void *ctx)
{
    (void)ctx;
    return read_clock(CLOCK_MONOTONIC);
}

static int64_t system_wall(void *ctx)
{
    (void)ctx;
    return read_clock(CLOCK_REALTIME);
}

struct clock clock_system(void)
{
    return (struct clock){.mono_ns = system_mono, .wall_ns = system_wall};
}

static int64_t manual_mono(void *ctx)
{
    const struct clock_manual *m = ctx;
    return m->mono_ns;
}

static int64_t manual_wall(void *ctx)
{
    const struct clock_manual *m = ctx;
    return m->wall_ns;
}

struct clock clock_manual(struct clock_manual *m)
{
    return (struct clock){.mono_ns = manual_mono, .wall_ns = manual_wall, .ctx = m};
}

void clock_manual_advance(struct clock_manual *m, int64_t ns)
{
    m->mono_ns += ns;
    m->wall_ns += ns;
}
