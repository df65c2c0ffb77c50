// SPDX-License-Identifier: Apache-2.0
/*
 * Between the collector and the executor, in the agent's loop: repairs of a reply go to the executor with
 * the time they expire, its results leave in the next frame, which is made at once. Nothing is judged
 * and nothing kept here: what gets lost is asked for again, and the executor knows it by its id.
 */
#pragma once
#include "agent/executor.h"
#include "agent/sampler.h"

struct repairs;
// executor is taken over; env is borrowed. NULL: no memory.
struct repairs *repairs_new(struct env *env, const struct executor *executor);
void repairs_free(struct repairs *r); // NULL allowed; the executor ends by itself
// sent_ns: when the body was sent that the reply answers.
void repairs_take(
    struct repairs *r, const struct wire_repair *asked, size_t n, int64_t sent_ns);
