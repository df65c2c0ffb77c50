// SPDX-License-Identifier: Apache-2.0
/*
 * One line of the log of alerting: an alert changed its state, or a person did something to what is
 * told. It is in the past, so it never changes. Borrows all its text.
 */
#pragma once
#include "rules/labels.h"
#include <stdbool.h>
#include <stdint.h>

// Stand in files.
enum event_kind {
    EVENT_PENDING = 1,
    EVENT_FIRING = 2,
    EVENT_RESOLVED = 3,
    EVENT_CLEARED = 4, // was pending, never fired
    EVENT_SILENCE_MADE = 16,
    EVENT_SILENCE_CHANGED = 17,
    EVENT_SILENCE_ENDED = 18, // by somebody; that its time is up is in its until_ms
    EVENT_ACKNOWLEDGED = 19,
    EVENT_ACKNOWLEDGEMENT_ENDED = 20,
};
struct event {
    uint64_t id; // rising with the order of writing; 0 while it is being written
    enum event_kind kind;
    int64_t at_ms; // wall clock: decided, or done
    // Of an alert; 0 and empty of a silence.
    uint64_t alert_id, fingerprint;
    int64_t cause_ms; // the sample's time
    double value;
    unsigned mutes; // set of enum mute when it was decided, of any lane
    struct labels labels;
    const char *group, *file; // of its rule; "" like every text that says nothing
    // What a person did.
    const char *who, *note;
    const char *subject;  // the silence's id
    const char *matchers; // the silence's, {a="b"}
    int64_t until_ms;     // 0 = open
};
// All of it in one heap block, to be freed. NULL: no memory.
struct event *event_copy(const struct event *e);
const char *event_kind_name(enum event_kind k);                // NULL: a number that is none
bool event_kind_parse(const char *name, enum event_kind *ret); // false: no kind is called so
