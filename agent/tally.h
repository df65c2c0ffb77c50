// SPDX-License-Identifier: Apache-2.0
/*
 * What is sent to us piece by piece, added up: counters that come as increments, gauges that come as
 * changes, timers one by one, members of sets. One entry for each series, found by its key, which is
 * whatever bytes the caller makes of it; the sums are what an intake is told.
 *
 * A set is the number of different members seen in the last whole span (tally_turn), held as hashes
 * of 64 bits: exact up to TALLY_MEMBERS_MAX, beyond that members are refused.
 *
 * Finding an entry does not allocate. Owned by one part of the agent, loop thread.
 */
#pragma once
#include "agent/expo.h"
#include "base/map.h"

#define TALLY_MEMBERS_MAX 16384

enum tally_kind { TALLY_COUNTER, TALLY_GAUGE, TALLY_TIMER, TALLY_SET };
struct tally_members;
struct tally_entry {
    enum tally_kind kind;
    bool restarted;                // told with the next reading, and then cleared by the reader
    int64_t touched_ns;            // set by the caller
    double value;                  // counters and gauges; of a set what the last span had
    struct expo expo;              // timers
    struct tally_members *members; // of the span that runs
};
struct tally {
    struct map by_key;
    size_t max;
    uint64_t seed;
};

int tally_init(struct tally *t, size_t max); // 0, -errno
void tally_done(struct tally *t);
// The entry of the key, made when there is none: then kind is its kind. NULL: it would be one too many, or
// memory.
struct tally_entry *tally_at(
    struct tally *t, const void *key, size_t len, enum tally_kind kind);
// 0, -ENOMEM, -ENOBUFS: the span has TALLY_MEMBERS_MAX.
int tally_member(const struct tally *t, struct tally_entry *e, const void *member, size_t len);
void tally_turn(struct tally *t); // a span of the sets is over
// Removes what was not touched since; returns how many.
size_t tally_sweep(struct tally *t, int64_t since_ns);
bool tally_next(const struct tally *t, size_t *it, const void **ret_key, size_t *ret_len,
    struct tally_entry **ret);
