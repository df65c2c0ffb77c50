// SPDX-License-Identifier: Apache-2.0
/*
 * Every reason not to tell an alert now, and when to look again. The ledger asks; nothing here edits a
 * state.
 *
 *     silences (API, CLI, page)      begin and end by the wall clock, which may be set
 *     inhibition                     begins and ends with alerts
 *     depends_on of an override      the same, between rules (policies.h)
 *     flap of an override            begins with alerts, ends by the wall clock (flap.h)
 *     times of a route               the lane's; see lanes_times
 *     acknowledgement                of one episode, until then and then; never holds back its end
 *
 * Pure: belongs to the notify thread. Times are wall clock ms.
 */
#pragma once
#include "collector/ack.h"
#include "collector/policies.h"
#include "collector/silence.h"
#include "collector/time_interval.h"

enum mute {
    MUTE_SILENCE = 1,
    MUTE_INHIBITION = 2,
    MUTE_TIME = 4,
    MUTE_DEPENDENCY = 8,
    MUTE_FLAP = 16,
    MUTE_ACK = 32,
};
// "silence", as API and log call it; NULL: no such mute.
const char *mute_name(unsigned mute);
#define MUTES_SWEEP_MS 60000 // between looks for silences to forget

struct mutes;
struct mutes *mutes_new(const struct inhibit_rule *rules, size_t n); // NULL: no memory
void mutes_free(struct mutes *m);                                    // NULL allowed
struct silences *mutes_silences(struct mutes *m); // call mutes_changed after a change
// What overrides say from now on; keeps a reference. Then each alert that fires has to be told by
// mutes_source, and mutes_changed. -ENOMEM: it stays as it was.
int mutes_policies(struct mutes *m, struct policies *p);
// An alert that fires already: others may depend on it.
void mutes_source(struct mutes *m, const struct notice *n);
struct acks *mutes_acks(struct mutes *m); // the same
// Other rules of inhibition, by one that knows what fires; takes it over.
void mutes_inhibitor(struct mutes *m, struct inhibitor *h);
// A change of an alert, before anything of its drain is asked for. What is over is acknowledged no more.
void mutes_take(struct mutes *m, const struct notice *n);
// Why this alert must not be told now on a lane of a route with these times: a set of enum mute.
unsigned mutes_of(const struct mutes *m, const struct notice *n, uint32_t lane,
    const struct time_limits *times, int64_t wall_ms);
// It is told on the lane now. A notice to tell instead of it, to be freed; NULL = itself.
struct notice *mutes_said(
    struct mutes *m, const struct notice *n, uint32_t lane, int64_t wall_ms);
// Whether a reminder of this alert is what a mute is against.
bool mutes_quiet(const struct mutes *m, const struct notice *n, int64_t wall_ms);

void mutes_changed(struct mutes *m);
// Whether a mute may have begun or ended since mutes_looked: then alerts have to be looked at.
bool mutes_moved(struct mutes *m, int64_t wall_ms);
// They were; times_ms: when times of a route next change.
void mutes_looked(struct mutes *m, int64_t wall_ms, int64_t times_ms);
int64_t mutes_next(
    const struct mutes *m); // when to look again; INT64_MAX = only after a change
// Forgets old silences, now and then; fn hears of each before it goes.
void mutes_sweep(struct mutes *m, int64_t wall_ms,
    void (*fn)(void *ctx, const struct silence *s), void *ctx);
