// SPDX-License-Identifier: Apache-2.0
#include "agent/coverage.h"
#include "base/clock.h"

#define POINTS (COVERAGE_S + 1)
// Two looks that are meant to be a second apart are a little less at times.
#define APART_NS (900 * NS_PER_MS)

static struct coverage_point *point(struct coverage *c, size_t i)
{
    return &c->points[(c->first + i) % POINTS];
}

void coverage_add(struct coverage *c, int64_t at_ns, uint64_t opened, uint64_t passive)
{
    const struct coverage_point now = {at_ns, opened, passive};

    // Looks that come sooner move the end of the window, not its begin.
    if (c->n > 1 && at_ns - point(c, c->n - 2)->at_ns < APART_NS)
        c->n--;
    if (c->n == POINTS) {
        c->first = (c->first + 1) % POINTS;
        c->n--;
    }
    *point(c, c->n++) = now;
    while (c->n > 3 && at_ns - point(c, 0)->at_ns > COVERAGE_S * NS_PER_S) {
        c->first = (c->first + 1) % POINTS;
        c->n--;
    }
}

bool coverage_ratio(const struct coverage *c, double *ret)
{
    if (c->n < 2)
        return false;
    const struct coverage_point *a = &c->points[c->first],
                                *b = &c->points[(c->first + c->n - 1) % POINTS],
                                *before = &c->points[(c->first + c->n - 2) % POINTS];
    if (b->at_ns - a->at_ns < APART_NS)
        return false;
    uint64_t passive = before->passive - a->passive, opened = b->opened - a->opened;
    *ret = opened >= passive ? 1 : (double)opened / (double)passive;
    return true;
}
