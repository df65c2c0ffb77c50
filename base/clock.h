// SPDX-License-Identifier: Apache-2.0
/*
 * The two clocks, as a value that can be replaced: only main.c holds the real one; flow tests
 * hold one they turn by hand, so a week passes in a millisecond.
 */
#pragma once
#include <stdint.h>

#define NS_PER_MS 1000000LL
#define NS_PER_S  1000000000LL

struct clock {
    int64_t (*mono_ns)(void *ctx); // never steps; what is scheduled and measured
    int64_t (*wall_ns)(void *ctx); // since 1970; what is stamped and shown
    void *ctx;
};

struct clock clock_system(void);
static inline int64_t clock_mono_ns(const struct clock *c)
{
    return c->mono_ns(c->ctx);
}
static inline int64_t clock_wall_ms(const struct clock *c)
{
    return c->wall_ns(c->ctx) / NS_PER_MS;
}

// A clock turned by hand.
struct clock_manual {
    int64_t mono_ns, wall_ns;
};
struct clock clock_manual(struct clock_manual *m);
void clock_manual_advance(struct clock_manual *m, int64_t ns); // both clocks
