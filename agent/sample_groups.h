// SPDX-License-Identifier: Apache-2.0
/*
 * The samples of the frame that is being filled, in groups by (interval, tick), or by stamp where they
 * are facts of an instant (interval 0). One group is open, and a sample goes into it.
 *
 * A sample's place is kept in its slot (catalogue.h), so that the last write of a (group, id) wins
 * without a search. Arrays outlive the frame: a new group prefers the array that held its interval, so
 * that they settle at the size their interval needs, and steady state does not allocate. Owned by
 * struct output; loop thread.
 */
#pragma once
#include "agent/catalogue.h"
#include <stddef.h>

// Below WIRE_GROUPS_MAX. From the second on a frame is asked for, so that the first is not met in practice.
#define GROUPS_MAX    60
#define GROUPS_URGENT 24

struct filling {
    struct batch_group g;
    size_t cap;
    uint64_t serial; // 0: free
};

struct sample_groups {
    struct filling all[GROUPS_MAX];
    size_t n;
    uint64_t next_serial;
    struct filling *open; // NULL after a take: reopened from the key below by the next sample
    uint32_t open_interval_ms;
    int64_t open_tick, open_stamp_ms;
    int64_t event_tick;
    struct batch_group taken[GROUPS_MAX];
};

void sample_groups_init(struct sample_groups *g);
void sample_groups_done(struct sample_groups *g);
// Opens a group, or one that is there once more. interval_ms 0: tick is counted here.
void sample_groups_open(
    struct sample_groups *g, uint32_t interval_ms, int64_t tick, int64_t stamp_ms);
// The slot's place in the open group, made if need be. NULL: no room.
struct batch_sample *sample_groups_at(struct sample_groups *g, struct slot *s);
// Those with samples, by stamp, then interval, then tick; ids rise in each. wall_ms stands in where no group
// was ever opened. Valid until sample_groups_reset, which comes before the next sample.
struct batch_group *sample_groups_take(struct sample_groups *g, int64_t wall_ms, size_t *ret_n);
void sample_groups_reset(struct sample_groups *g);
