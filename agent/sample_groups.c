// SPDX-License-Identifier: Apache-2.0
#include "agent/sample_groups.h"
#include <stdlib.h>

// gcc 12's -fanalyzer takes the write of a sample for one that may hit the array's own pointer.
#ifndef __clang__
#pragma GCC diagnostic ignored "-Wanalyzer-malloc-leak"
#endif

void sample_groups_init(struct sample_groups *g)
{
    *g = (struct sample_groups){.next_serial = 1};
}

void sample_groups_done(struct sample_groups *g)
{
    for (size_t i = 0; i < GROUPS_MAX; i++)
        free(g->all[i].g.samples);
    sample_groups_init(g);
}

static struct filling *find(
    struct sample_groups *g, uint32_t interval_ms, int64_t tick, int64_t stamp_ms)
{
    for (size_t i = 0; i < GROUPS_MAX; i++) {
        struct filling *f = &g->all[i];
        if (!f->serial || f->g.interval_ms != interval_ms)
            continue;
        // Facts of one instant share a group, also when another instant had its group since.
        if (interval_ms ? f->g.tick == tick : f->g.stamp_ms == stamp_ms)
            return f;
    }
    return NULL;
}

static struct filling *add(
    struct sample_groups *g, uint32_t interval_ms, int64_t tick, int64_t stamp_ms)
{
    struct filling *best = NULL;
    for (size_t i = 0; i < GROUPS_MAX; i++) {
        struct filling *f = &g->all[i];
        if (f->serial)
            continue;
        if (f->cap && f->g.interval_ms == interval_ms) {
            best = f;
            break;
        }
        if (!best || f->cap < best->cap)
            best = f;
    }
    if (!best)
        return NULL;
    struct batch_sample *samples = best->g.samples;
    best->g = (struct batch_group){
        .interval_ms = interval_ms, .tick = tick, .stamp_ms = stamp_ms, .samples = samples};
    best->serial = g->next_serial++;
    g->n++;
    return best;
}

void sample_groups_open(
    struct sample_groups *g, uint32_t interval_ms, int64_t tick, int64_t stamp_ms)
{
    struct filling *f = find(g, interval_ms, tick, stamp_ms);
    if (interval_ms == 0)
        tick = f ? f->g.tick : ++g->event_tick;
    g->open = f ? f : add(g, interval_ms, tick, stamp_ms);
    g->open_interval_ms = interval_ms;
    g->open_tick = tick;
    g->open_stamp_ms = stamp_ms;
}

static bool filling_grow(struct filling *f)
{
    size_t cap = f->cap ? f->cap * 2 : 32;
    struct batch_sample *grown = realloc(f->g.samples, cap * sizeof(*grown));

    if (!grown)
        return false;
    f->g.samples = grown;
    f->cap = cap;
    return true;
}

struct batch_sample *sample_groups_at(struct sample_groups *g, struct slot *slot)
{
    if (!g->open)
        sample_groups_open(g, g->open_interval_ms, g->open_tick, g->open_stamp_ms);
    struct filling *f = g->open;
    if (!f)
        return NULL;
    if (slot->group == f->serial)
        return &f->g.samples[slot->at];
    if (slot->group > f->serial) // an older group was opened again: rare, so looked for
        for (size_t i = 0; i < f->g.n; i++)
            if (f->g.samples[i].id == slot->id)
                return &f->g.samples[i];
    if (f->g.n == f->cap && !filling_grow(f))
        return NULL;
    if (slot->group < f->serial) {
        slot->group = f->serial;
        slot->at = (uint32_t)f->g.n;
    }
    slot->stale = false;
    struct batch_sample *s = &f->g.samples[f->g.n++];
    *s = (struct batch_sample){.id = slot->id};
    return s;
}

// Samplers write nearly in order, so the check is what usually runs. Shell sort, because qsort may
// allocate.
static void sort_samples(struct batch_sample *s, size_t n)
{
    static const size_t GAPS[] = {17961, 4901, 1750, 701, 301, 132, 57, 23, 10, 4, 1};
    size_t at = 1;
    while (at < n && s[at - 1].id < s[at].id)
        at++;
    if (at >= n)
        return;
    for (size_t k = 0; k < sizeof(GAPS) / sizeof(GAPS[0]); k++) {
        size_t gap = GAPS[k];
        for (size_t i = gap; i < n; i++) {
            struct batch_sample one = s[i];
            size_t j = i;
            for (; j >= gap && s[j - gap].id > one.id; j -= gap)
                s[j] = s[j - gap];
            s[j] = one;
        }
    }
}

static bool group_before(const struct batch_group *a, const struct batch_group *b)
{
    if (a->stamp_ms != b->stamp_ms)
        return a->stamp_ms < b->stamp_ms;
    if (a->interval_ms != b->interval_ms)
        return a->interval_ms < b->interval_ms;
    return a->tick < b->tick;
}

struct batch_group *sample_groups_take(struct sample_groups *g, int64_t wall_ms, size_t *ret_n)
{
    size_t n = 0;
    for (size_t i = 0; i < GROUPS_MAX; i++) {
        struct batch_group *one = &g->all[i].g;
        if (!g->all[i].serial || !one->n)
            continue;
        sort_samples(one->samples, one->n);
        if (one->stamp_ms == 0) // written without a group ever opened
            one->stamp_ms = wall_ms;
        size_t at = n++;
        for (; at > 0 && group_before(one, &g->taken[at - 1]); at--)
            g->taken[at] = g->taken[at - 1];
        g->taken[at] = *one;
    }
    g->open = NULL;
    *ret_n = n;
    return g->taken;
}

void sample_groups_reset(struct sample_groups *g)
{
    for (size_t i = 0; i < GROUPS_MAX; i++)
        g->all[i].serial = 0;
    g->n = 0;
}
