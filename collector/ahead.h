// SPDX-License-Identifier: Apache-2.0
/*
 * Samples from the future are not taken. A clock that was set, or a page with times of its own, can stamp
 * one hours ahead; kept, it would be the newest of its series until then, and all that really comes would
 * be out of order.
 *
 *     now         + AHEAD_MS
 *      |--- taken ---|--- left out: counted, logged, told in the reply ---
 *
 * Only such groups of a frame are left out, the rest of it counts. The frame's own time, by which the agent
 * is `up`, is held at now.
 *
 * Pure; a frame that was decoded and has not left the ingest thread.
 */
#pragma once
#include "wire/batch.h"

#define AHEAD_MS 600000LL // 10 min: what an agent itself takes from a page

struct ahead {
    size_t samples;
    int64_t by_ms; // how far ahead the farthest was
};
// now_ms and skew_ms: collector time is the agent's + skew. Added to what *at has.
void ahead_leave_out(struct batch *b, int64_t skew_ms, int64_t now_ms, struct ahead *at);
