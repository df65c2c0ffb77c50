// SPDX-License-Identifier: Apache-2.0
/*
 * Is an agent alive? A pure state machine, all time by argument (collector monotonic ms).
 *
 *     goodbye                       -> GONE       planned, nobody is paged
 *     connection closed, no goodbye -> SUSPECT at once, DOWN after 1 s
 *     connection open but silent    -> SUSPECT after 1.5 s (frames come once a second: one second
 *                                      of silence is a pause), DOWN after 3 s
 *     a frame                       -> UP
 *
 * Time in which the collector itself could not listen (start-up grace, its own stalls) does not
 * count against the agent: liveness_stall adds it to every deadline.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum liveness_state { LIVENESS_UP, LIVENESS_SUSPECT, LIVENESS_DOWN, LIVENESS_GONE };
struct liveness {
    enum liveness_state state;
    int64_t heard_ms, closed_ms; // last frame; connection closed since (0 = open)
    int64_t excused_ms;          // collector's own stalls since last heard
};
#define LIVENESS_SUSPECT_MS     1500
#define LIVENESS_DOWN_MS        3000
#define LIVENESS_CLOSED_DOWN_MS 1000

void liveness_init(
    struct liveness *l, int64_t now_ms); // known from the inventory, not heard yet
// Each returns true when state changed.
bool liveness_frame(struct liveness *l, int64_t now_ms);
bool liveness_closed(struct liveness *l, int64_t now_ms); // its last connection closed
bool liveness_goodbye(struct liveness *l, int64_t now_ms);
void liveness_stall(struct liveness *l, int64_t stalled_ms);
bool liveness_advance(struct liveness *l, int64_t now_ms);
int64_t liveness_next(const struct liveness *l); // INT64_MAX = nothing pending
const char *liveness_name(enum liveness_state s);
