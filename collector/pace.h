// SPDX-License-Identifier: Apache-2.0
/*
 * Whether a disk keeps up, from how long its commits take. One commit that is a little slow is
 * nothing; two in a row, or one that hangs, are worth an alert; and it is over only after some
 * quick ones, so that a disk that comes and goes is one alert and not many.
 *
 * Pure.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#define PACE_SLOW_NS   50000000LL  // what a page waits for at most: NOTIFY_DURABLE_MS
#define PACE_STUCK_NS  500000000LL // this long, once is enough
#define PACE_SLOW_MAX  2
#define PACE_QUICK_MIN 5

struct pace {
    unsigned slow, quick; // in a row
    bool behind;          // it does not keep up
};
void pace_add(struct pace *p, int64_t took_ns);
// The next commit matters: who has nothing to write writes something to find out.
bool pace_unsure(const struct pace *p);
