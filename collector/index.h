// SPDX-License-Identifier: Apache-2.0
/*
 * Which series have a label: postings by label pair, so that selecting one metric is not a walk
 * over all series.
 *
 *     "job" -> "node"    -> 1 2 3 7      ids rise, because ids are given out rising
 *              "service" -> 4 5 6
 *
 * The smallest list an `=` matcher names is walked and the other matchers are tried on its
 * series; without one, the lists of all values a regex accepts; without that, every series.
 * Belongs to the shard thread. Knows nothing of samples.
 */
#pragma once
#include "base/map.h"
#include "rules/matcher.h"
#include "rules/source.h"

struct index {
    struct map names; // label name -> struct index_name
    struct map pairs; // name 0 value -> struct index_pair
    struct index_pair *all;
    size_t bytes;
};

int index_init(struct index *x); // 0, -ENOMEM
void index_done(struct index *x);
int index_add(struct index *x, uint32_t id, const struct labels *l); // 0, -ENOMEM: not added
void index_remove(struct index *x, uint32_t id, const struct labels *l);
// Appends the rising ids that the matchers accept. of() gives a series's labels. 0, -ENOMEM.
int index_select(const struct index *x, const struct matcher *m, size_t n,
    const struct labels *(*of)(void *ctx, uint32_t id), void *ctx, struct series_ids *out);
