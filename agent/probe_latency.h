// SPDX-License-Identifier: Apache-2.0
/*
 * How long a service took to answer its probe, as a histogram, with no question left out. Questions fall
 * due at a fixed rate; when as many are in flight as may be, one that falls due is not asked, and
 * leaving it out would make a stalled service look good (coordinated omission). It is owed instead,
 * and booked when the next one in flight comes to its end: had it been asked, it would have waited at
 * least until then.
 *
 *     due   |....|....|....|....|....|            booked
 *     1st   [====================ok]              its own
 *     ...                 o    o                  from when it was due until that ok
 *
 * Pure. Belongs to the probe.
 */
#pragma once
#include "agent/le_counts.h"

// Buckets of scale 4: bucket i covers (2^((i-1)/16), 2^(i/16)] seconds, from 1 us to 64 s.
#define PROBE_BUCKET_LOW     (-320)
#define PROBE_BUCKET_HIGH    96
#define PROBE_BUCKETS        (PROBE_BUCKET_HIGH - PROBE_BUCKET_LOW + 1)
#define PROBE_ZERO_THRESHOLD 0x1p-20

struct probe_latency { // all zero is empty
    uint64_t zero_count;
    double sum;
    struct le_counts le;
    int64_t owed_ns; // when the first that is owed was due
    int64_t owed;    // how many are
    uint32_t buckets[PROBE_BUCKETS];
};

void probe_latency_book(struct probe_latency *l, double seconds);
// The question due at that time was not asked; the one before was due step_ns earlier.
void probe_latency_owe(struct probe_latency *l, int64_t due_ns, int64_t step_ns);
// One in flight came to its end at that time: books what is owed, at most limit_ns each.
void probe_latency_settle(
    struct probe_latency *l, int64_t at_ns, int64_t step_ns, int64_t limit_ns);
// index and count have room for PROBE_BUCKETS, and are what ret points to.
void probe_latency_read(
    const struct probe_latency *l, int32_t *index, uint64_t *count, struct wire_histogram *ret);
