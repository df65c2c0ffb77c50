// SPDX-License-Identifier: Apache-2.0
/*
 * Who reads a series: selectors that listen to the samples of a source, kept up while series are
 * born and forgotten, so that neither costs a look at every selector or every series.
 *
 *     sample of series 7 -> head[7] -> link {listener, slot 3} -> link {listener, slot 0} -> 0
 *                              |
 *                              +-- first time heard of: fresh, offered once to the listeners of
 *                                  its metric name (and of one label more, where they name one)
 *
 * A series counts from its first sample: one that has none is nothing to an expression. Ids are
 * dense and never reused, so a chain is an array access; links of one series lie side by side
 * after each repack. When memory runs out the audience is `lost`: its owner lets every listener
 * select again from the source and calls audience_begin.
 *
 * Owns its index and links; listeners and their ids are their owners'. One thread.
 */
#pragma once
#include "base/map.h"
#include "rules/source.h"

struct listener {
    const struct matcher *m; // borrowed
    size_t n;
    const struct series_ids *ids; // the owner's: slot i listens to ids->id[i]
    struct series_ids born;       // series it has to take in; rising unless `mixed`
    bool mixed;
    bool open; // ids are what the source has: it is told of more
    struct listener_group *group;
    struct listener *next, **at;         // of its group
    struct listener *all_next, **all_at; // of the audience
};
struct link {
    struct listener *by;
    uint32_t slot, next;
};
struct audience {
    const struct source *src;
    struct map groups; // metric name 0 label 0 value -> struct listener_group
    size_t n_groups_unnamed;
    struct listener *all;
    uint32_t *head; // by series: its first link, and AUDIENCE_KNOWN
    size_t n_ids;
    struct link *link; // [0] is never used
    uint32_t n_links, cap_links, packed;
    bool valid; // links are those of the listeners
    bool lost;
    struct series_ids fresh;
};
#define AUDIENCE_KNOWN (UINT32_C(1) << 31)

void audience_init(struct audience *a, const struct source *src);
void audience_done(struct audience *a); // every listener left
// l->m, n and ids are set. Opens when its owner has selected. 0, -ENOMEM.
int audience_join(struct audience *a, struct listener *l);
void audience_leave(struct audience *a, struct listener *l);
// Listens to its ids from slot `from` on.
void audience_link(struct audience *a, struct listener *l, size_t from);
size_t audience_bytes(const struct audience *a);
// Slots of a listener are others than before.
static inline void audience_relink(struct audience *a)
{
    a->valid = false;
}
// After it was lost: nobody listens, all have to select.
void audience_begin(struct audience *a);
// Offers what is fresh: afterwards `born` of each listener is complete. 0; -ENOMEM: it is lost.
int audience_meet(struct audience *a);

static inline bool audience_knows(const struct audience *a, uint32_t id)
{
    return a->valid && id < a->n_ids && a->head[id] & AUDIENCE_KNOWN;
}
// A series was heard of. Returns the first of its links, 0 = none; look at `lost` after it.
uint32_t audience_miss(struct audience *a, uint32_t id);
static inline uint32_t audience_heard(struct audience *a, uint32_t id)
{
    return audience_knows(a, id) ? a->head[id] & ~AUDIENCE_KNOWN : audience_miss(a, id);
}
