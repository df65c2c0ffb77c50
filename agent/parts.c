// SPDX-License-Identifier: Apache-2.0
#include "agent/parts.h"
#include "agent/netns_watch.h"
#include "agent/otlp_port.h"
#include "agent/plugin.h"
#include "agent/probe.h"
#include "agent/scrape.h"
#include "agent/statsd.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PARTS_MAX 16

// In the order in which they are opened.
static const struct part_ops *const PARTS[] = {
    &probes_part,
    &plugins_part,
    &statsd_part,
    &netns_part,
    &otlp_part,
    &scrapes_part,
    NULL,
};

struct parts {
    const struct part_ops *const *table;
    struct env *env;
    struct schedule *schedule;
    struct transfers *transfers;
    void *states[PARTS_MAX]; // NULL: never wanted so far
};

struct parts *parts_new_of(const struct part_ops *const *table, struct env *env,
    struct schedule *s, struct transfers *m)
{
    struct parts *p = calloc(1, sizeof(*p));
    if (p) {
        p->table = table;
        p->env = env;
        p->schedule = s;
        p->transfers = m;
    }
    return p;
}

struct parts *parts_new(struct env *env, struct schedule *s, struct transfers *m)
{
    _Static_assert(sizeof(PARTS) / sizeof(PARTS[0]) - 1 <= PARTS_MAX, "one state per part");
    return parts_new_of(PARTS, env, s, m);
}

static void part_end(struct parts *p, size_t i)
{
    if (p->states[i])
        p->table[i]->free(p->states[i]);
    p->states[i] = NULL;
}

void parts_free(struct parts *p)
{
    if (!p)
        return;
    size_t n = 0;
    while (p->table[n])
        n++;
    while (n-- > 0)
        part_end(p, n);
    free(p);
}

static int part_apply(struct parts *p, size_t i, const struct agent_config *c)
{
    const struct part_ops *ops = p->table[i];
    if (!p->states[i]) {
        if (!ops->wanted(c))
            return 0;
        p->states[i] = ops->open(p->env, p->schedule, p->transfers);
        if (!p->states[i])
            return -ENOMEM;
    }
    int rc = ops->apply(p->states[i], c);
    // One that nobody wants any more has nothing running, and goes.
    if (rc == 0 && !ops->wanted(c))
        part_end(p, i);
    return rc;
}

// Part n refused, those below it have the new configuration: all go back to the one before. At the
// start there is none.
static void take_back(
    struct parts *p, size_t n, const struct agent_config *now, struct err *err)
{
    if (!now || !p->table[n]->wanted(now))
        part_end(p, n); // it was opened for the new one
    while (n-- > 0) {
        int rc = now ? part_apply(p, n, now) : 0;
        if (rc < 0)
            err_set(err, "%s: %s, and ended", p->table[n]->name, strerror(-rc));
        if (rc < 0 || !now)
            part_end(p, n);
    }
}

int parts_apply(struct parts *p, const struct agent_config *now,
    const struct agent_config *next, struct err *err)
{
    for (size_t i = 0; p->table[i]; i++) {
        int rc = part_apply(p, i, next);
        if (rc == 0)
            continue;
        err_set(err, "%s: %s", p->table[i]->name, strerror(-rc));
        take_back(p, i, now, err);
        return rc;
    }
    return 0;
}
