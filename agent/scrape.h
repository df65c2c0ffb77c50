// SPDX-License-Identifier: Apache-2.0
/*
 * Scrapes: pages of metrics fetched at a fixed rate, each target in a phase of its own.
 *
 *     turn -> address -> libcurl, kept connection -> page, in pieces -> exposition -> intake
 *                                                                                       \-> up, 5 more
 *
 * A page is read as it arrives, in slices of at most SCRAPE_SLICE_NS of all targets together per round of
 * the loop; then libcurl is told to wait for the next round. So a page of any size neither is in memory
 * nor holds the loop. What a page held goes out when its end is there, or not at all, as in Prometheus:
 * then `up` is 0 and its series are stale.
 *
 * A turn that comes while the last one still runs ends it, as timed out. Samples bear the time at which
 * their turn was due. That a target went or came leaves at once, as an event; values wait for the
 * frame of the second.
 *
 * Loop thread. The configuration given to scrapes_apply is borrowed until the next apply or free.
 */
#pragma once
#include "agent/parts.h"

#define SCRAPE_SLICE_NS (1 * NS_PER_MS)

struct scrapes;
struct scrapes *scrapes_new(
    struct env *env, struct schedule *s, struct transfers *m); // NULL: memory
void scrapes_free(struct scrapes *e);
// Runs exactly the targets of c; those that did not change go on undisturbed. 0, or -ENOMEM with the
// old ones still running.
int scrapes_apply(struct scrapes *e, const struct agent_config *c);
extern const struct part_ops scrapes_part;
