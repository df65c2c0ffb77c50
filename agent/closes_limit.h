// SPDX-License-Identifier: Apache-2.0
/*
 * When is being told of each closed connection too dear? Pure.
 *
 * The kernel makes a message of each socket that closes, 4-5 us of a kernel thread's time, and we take
 * 1-2 us to read it: 5 % of a core at 10,000 a second, which is the limit. Beyond it the multicast is left
 * and connections are only sampled by walks; it is joined again when they have been less than half as
 * many for CLOSES_CALM_NS. What closes in the long run has opened, and the kernel counts that for nothing
 * and also while we do not listen, so the rate is that of opens, both ends of a connection if both are here.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#define CLOSES_PER_S   10000
#define CLOSES_BUSY_NS 2000000000LL
#define CLOSES_CALM_NS 10000000000LL

struct closes_limit {
    uint64_t per_s;   // 0 = no limit
    bool over;        // left
    uint64_t opens;   // at the last reading
    int64_t at_ns;    // 0 = none yet
    int64_t since_ns; // how long it has been the other way than `over` says
};

void closes_limit_init(struct closes_limit *l, uint64_t per_s);
// A reading of passive and active opens together. True: `over` has changed.
bool closes_limit_step(struct closes_limit *l, uint64_t opens, int64_t now_ns);
