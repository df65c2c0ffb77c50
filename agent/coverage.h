// SPDX-License-Identifier: Apache-2.0
/*
 * How many of the connections that were opened to this network namespace did we see? Pure.
 *
 *     growth of what all services have opened / growth of the kernel's PassiveOpens
 *
 * over the last COVERAGE_S seconds, from one whole look at the connections to another. What closes is told a
 * little after it is gone from the kernel's table, so a look is held against what the kernel had opened
 * at the look before: by now it was seen, or never will be. The ratio is cut off at 1: below 1 means that
 * something was missed, or went to a listener that is no service (it was there for less than a second).
 * When nothing was opened nothing was missed: 1.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define COVERAGE_S 60

struct coverage {
    struct coverage_point {
        int64_t at_ns;
        uint64_t opened, passive;
    } points[COVERAGE_S + 1]; // a ring, at most one a second
    size_t first, n;
};

void coverage_add(struct coverage *c, int64_t at_ns, uint64_t opened, uint64_t passive);
// False before there are two looks a second apart.
bool coverage_ratio(const struct coverage *c, double *ret);
