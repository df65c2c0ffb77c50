// SPDX-License-Identifier: Apache-2.0
/*
 * One message to one receiver as the delivery log has it: what it was about, how its tries went and
 * what the receiver answered. It becomes a row of alerts.db (delivery_rows.h), one per message; a later
 * try of it takes the row's place.
 *
 *     lane --delivery_copy--> journal thread --delivery_json--> row --> /api/v1/hooks/log
 *
 * A copy is one block on the heap, freed with free(). No secret is in it: whoever fills one in has
 * masked what it quotes (receiver_wire_mask). Times are wall ms, 0 = not known.
 */
#pragma once
#include "base/buf.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DELIVERY_ANSWER_MAX 2048 // bytes of an answer
#define DELIVERY_ALERTS_MAX 8    // named; the others are counted
#define DELIVERY_BODY_MAX   16384

// The numbers stand in files.
enum delivery_kind { DELIVERY_ALERT = 1, DELIVERY_REPLAY, DELIVERY_TEST };
enum delivery_outcome { DELIVERY_SENT = 1, DELIVERY_RETRYING, DELIVERY_FAILED };

struct delivery_alert {
    uint64_t fingerprint;
    bool resolved;
    const char *name; // alertname
};
struct delivery {
    uint64_t id; // rising over runs
    enum delivery_kind kind;
    enum delivery_outcome outcome;
    uint64_t of;          // replays: the message that was sent again; 0 = none
    const char *lane;     // lane_id
    const char *receiver; // name for people
    const char *to;       // URL without what is secret of it
    const char *key;      // delivery key
    int status;           // HTTP; 0 = no answer
    unsigned tries;
    int64_t first_ms, last_ms; // first and last try
    int64_t took_us;           // last try
    int64_t cause_ms, decided_ms;
    const char *error;  // of the last try; "" = none
    const char *answer; // its first DELIVERY_ANSWER_MAX bytes
    const struct delivery_alert *alerts;
    size_t n_alerts;     // named here
    size_t alerts_total; // that changed; 0 = a reminder
    const char *body;    // not NUL-terminated; NULL = not kept
    size_t body_len;     // of the message, also when it is not kept
};
// Answers longer than DELIVERY_ANSWER_MAX are cut, bodies over DELIVERY_BODY_MAX left out. NULL: no
// memory.
struct delivery *delivery_copy(const struct delivery *d);
void delivery_json(const struct delivery *d, struct buf *out); // an object, without the body
const char *delivery_kind_name(enum delivery_kind k);
const char *delivery_outcome_name(enum delivery_outcome o);
