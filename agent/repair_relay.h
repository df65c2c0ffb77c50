// SPDX-License-Identifier: Apache-2.0
/*
 * Between the collector and the executor, in the agent's loop: repairs of a reply go to the executor with
 * the time they expire, its results leave in the next frame, which is made at once. Nothing is judged
 * and nothing kept here: what gets lost is asked for again, and the executor knows it by its id.
 */
#pragma once
#include "agent/executor.h"
#include "agent/sampler.h"

struct repair_relay;
// executor is taken over; env is borrowed. NULL: no memory.
struct repair_relay *repair_relay_new(struct env *env, const struct executor *executor);
void repair_relay_free(struct repair_relay *r); // NULL allowed; the executor ends by itself
// sent_ns: when the body was sent that the reply answers.
void repair_relay_take(
    struct repair_relay *r, const struct wire_repair *asked, size_t n, int64_t sent_ns);
