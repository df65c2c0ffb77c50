// SPDX-License-Identifier: Apache-2.0
/*
 * Which alert has to be said on which lane, and what has been: a pure state machine. A lane is one
 * integration (a webhook ...) of one route; it has a queue of its own (deliver.h).
 *
 *     notices of one drain --> episodes --> muted now? --no--> said differs from state? --> say
 *                                 ^            |yes
 *            silences, inhibition, times       wait: when the mute ends, said is compared with
 *                                              what is true then
 *
 * So suppression never edits a state: a firing alert that is unmuted is said then, one whose end
 * was muted is said to be over then, and what began and ended while muted was never anybody's
 * business. An acknowledged alert is not said anew; when nobody has it on any more and it still fires, who
 * knew it is told again. Everything of a drain is taken in before anything is said, so that a source of an
 * inhibition silences its targets of the same drain.
 *
 * Copies what it keeps. now_ms never falls. Belongs to the notify thread.
 */
#pragma once
#include "collector/mutes.h"
#include "collector/notice.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LEDGER_LANES_MAX 64 // of one alert

struct ledger_options {
    void *ctx;
    // The lanes an alert with these labels goes to, each once. Returns how many.
    size_t (*route)(void *ctx, const struct labels *l, uint32_t *ret, size_t max);
    // A change is about to be taken in, before anything of its drain is said: for inhibition.
    void (*take)(void *ctx, const struct notice *n);
    // Why this must not be said on the lane now: a set of enum mute.
    unsigned (*muted)(void *ctx, const struct notice *n, uint32_t lane);
    void (*say)(void *ctx, uint32_t lane, const struct notice *n);
    // It was acknowledged, is no more, and this lane knows it to fire: to be told again.
    void (*again)(void *ctx, uint32_t lane, const struct notice *n);
    // There is nothing to say on this lane about an episode that is over.
    void (*nothing)(void *ctx, uint32_t lane, uint64_t alert_id);
};

struct ledger;
struct ledger *ledger_new(const struct ledger_options *o); // NULL: no memory
void ledger_free(struct ledger *l);
// The notices of one drain, in order. 0; -ENOMEM: what could not be kept was said at once.
int ledger_add(struct ledger *l, const struct notice *const *n, size_t count);
// Mutes may have begun or ended: says what is to be said now.
void ledger_recheck(struct ledger *l);
// An alert of an earlier run: lane[i] knows told[i], also where it is not routed. ledger_recheck says the
// rest. 0, -ENOMEM.
int ledger_restore(struct ledger *l, const struct notice *n, const uint32_t *lane,
    const enum told *told, size_t count);

// This lane has not heard of the alert since its acknowledgement ended: ledger_recheck tells it again.
void ledger_raise(struct ledger *l, uint64_t alert_id, uint32_t lane);
// --- a reload: lanes have changed ---
struct ledger_lane {
    uint32_t lane;
    unsigned char said; // enum told
    bool left;          // it is not routed there any more: nothing but its end is said
};
// For each episode fn writes the lanes it has now, and with what was said, into ret (room for
// LEDGER_LANES_MAX), and returns how many. ledger_recheck says the rest. 0; -ENOMEM: some episodes keep
// the lanes they had.
int ledger_reroute(struct ledger *l,
    size_t (*fn)(void *ctx, const struct notice *n, const struct ledger_lane *was, size_t n_was,
        struct ledger_lane *ret),
    void *ctx);
// The lanes of an episode, by the alert's id, into ret (room for LEDGER_LANES_MAX). Returns how many.
size_t ledger_lanes(const struct ledger *l, uint64_t alert_id, struct ledger_lane *ret);
// A lane, one more or one of its own, of an episode that is there was told so much. Nothing is said.
// left: see struct ledger_lane; of one that is there it stays. 0, -ENOMEM.
int ledger_join(struct ledger *l, uint64_t alert_id, uint32_t lane, enum told said, bool left);

struct ledger_entry {
    const struct notice
        *notice; // newest; to == ALERT_INACTIVE: over, and somebody has yet to be told
    const uint32_t *lane;
    const unsigned char *said;  // enum told
    const unsigned char *muted; // set of enum mute, as of the last look
    size_t n;
};
// In the order they began. Return false to stop.
void ledger_each(
    const struct ledger *l, bool (*fn)(void *ctx, const struct ledger_entry *e), void *ctx);
// The newest of an alert that fires, or is over and somebody has yet to be told. NULL: neither.
const struct notice *ledger_notice(const struct ledger *l, uint64_t alert_id);
size_t ledger_count(const struct ledger *l);
