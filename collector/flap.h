// SPDX-License-Identifier: Apache-2.0
/*
 * Alerts that swing: `flap: {window: 10m, max: 6}` of an overrides document.
 *
 *     begins within the window     <= max ........ > max ............... <= max / 2
 *                                  told as ever    damped                told as ever
 *                                                  |  one message says so, on each lane
 *                                                  |  nothing more
 *                                                                        ^ what was said is compared
 *                                                                          with what is true
 *
 * Counted is each time one alert (one label set of one rule) begins to fire, told or not. What began
 * before it was damped is told in full, firing and resolved: only notices since then are held back.
 * The end needs fewer begins than the start, so that an alert at the limit is not damped and
 * undamped by turns. The message that says so is the begin that was one too many, with the annotation
 * FLAP_ANNOTATION: receivers show annotations, and Alertmanager's body stays what it is. A lane that
 * was muted for another reason then hears it when it is not.
 *
 * Nobody has it unless an override asks: by default each pair of firing and resolved is told.
 *
 * Nothing here is written down. After a restart nothing is damped, so that the difference is told.
 * Without memory, or with more than FLAP_ALERTS_MAX alerts that begin again, they are told as ever.
 *
 * Belongs to the notify thread. Times are wall clock ms; when it is set back an alert is
 * damped no longer than its window.
 */
#pragma once
#include "collector/policies.h"

#define FLAP_ALERTS_MAX 100000
#define FLAP_ANNOTATION "flapping"

struct flaps;
struct flaps *flaps_new(void); // NULL: no memory
void flaps_free(struct flaps *f);
// The limits from now on. An alert whose limit is what it was goes on as it was.
void flaps_limits(struct flaps *f, const struct policies *p);
// A change of an alert, before anything of its drain is asked for. Returns when the alert is damped no
// more; INT64_MAX = it is not damped.
int64_t flaps_take(struct flaps *f, const struct policies *p, const struct notice *n);
// Whether this is not to be said on the lane: the alert is damped, and the lane knows.
bool flaps_muted(const struct flaps *f, const struct notice *n, uint32_t lane, int64_t wall_ms);
// Whether the alert is damped.
bool flaps_damped(const struct flaps *f, const struct notice *n, int64_t wall_ms);
// It is said on the lane now. When this is how the lane learns that it flaps: the notice that says so,
// to be freed. Else NULL.
struct notice *flaps_said(
    struct flaps *f, const struct notice *n, uint32_t lane, int64_t wall_ms);
// When an alert is next damped no more; INT64_MAX = none is.
int64_t flaps_next(const struct flaps *f, int64_t wall_ms);
// Forgets alerts that have not begun for their window.
void flaps_sweep(struct flaps *f, int64_t wall_ms);
