// SPDX-License-Identifier: Apache-2.0
/*
 * A source that keeps everything it is told in plain arrays: for unit-testing rules, for the
 * differential tests and for `tocsin rules test`. A sample may arrive in any order; one for a time
 * that is already there is a replay and changes nothing.
 *
 * Owns all it holds. One thread.
 */
#pragma once
#include "rules/source.h"

struct memory_source;
struct memory_source *memory_source_new(void); // NULL on no memory
void memory_source_free(struct memory_source *m);
// The interface; valid as long as m.
struct source memory_source_interface(struct memory_source *m);

// The id of the series with these labels, created when new. 0, -ENOMEM.
int memory_source_series(struct memory_source *m, const struct labels *s, uint32_t *ret_id);
// Ends a series: its labels and samples are gone, its id is not used again. 0, -ENOMEM.
int memory_source_forget(struct memory_source *m, uint32_t id);
// One sample; v may be the stale marker. 1 = stored, 0 = was there already, -ENOMEM.
int memory_source_add(
    struct memory_source *m, uint32_t id, int64_t t_ms, double v, const struct histogram *h);
void memory_source_silence(struct memory_source *m, uint32_t id, bool silent);
// From now on, as Prometheus's storage: of a recorded series a sample is refused whose time is older
// than the newest or taken by another value; a stale marker is dropped without a word.
void memory_source_strict(struct memory_source *m);
// The first that was refused: the labels of its series. false = none was.
bool memory_source_refused(const struct memory_source *m, struct labels *ret);
size_t memory_source_count(const struct memory_source *m); // series
size_t memory_source_samples(const struct memory_source *m, uint32_t id);
