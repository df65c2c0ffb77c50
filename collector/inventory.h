// SPDX-License-Identifier: Apache-2.0
/*
 * The agents ever seen, in <state_dir>/catalogue.db, so that after a restart an agent that does
 * not come back is missed from the first second.
 *
 *     shard --notes (new session, goodbye, a minute older)--> ring --> inventory thread --> SQLite
 *
 * Loaded before anything else. Writing is far from the sample path and may be slow. A file that
 * is broken is moved aside, a directory that cannot be written is lived with: the collector starts
 * anyway, says so, and tells it by tocsin_collector_inventory_ok and an alert. Every note is a
 * whole row, so a failed write heals with the next one, a minute later at most.
 */
#pragma once
#include "base/err.h"
#include "collector/pipeline.h"
#include <stdbool.h>

struct inventory;
struct inventory_agent {
    uint8_t agent_id[16];
    const char *host;
    const struct wire_label *labels;
    size_t n_labels;
    uint64_t epoch;
    int64_t last_seen_ms;
    bool gone; // said goodbye: not expected
};
// NULL only when memory is out. warn->msg is set when there is something a person should know.
struct inventory *inventory_open(const char *state_dir, struct err *warn);
// Every row, before inventory_start.
void inventory_each(
    struct inventory *v, void (*fn)(void *ctx, const struct inventory_agent *a), void *ctx);
int inventory_start(struct inventory *v, struct err *err); // its thread
// From the shard thread, the signature of shard_options.note; false = full, the note is still the caller's.
bool inventory_note(struct inventory *v, struct agent_note *n);
bool inventory_ok(const struct inventory *v); // any thread: the last write worked
void inventory_stop(struct inventory *v);     // writes what waits, joins, frees; NULL allowed
