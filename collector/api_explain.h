// SPDX-License-Identifier: Apache-2.0
/*
 * What is told next of an alert, to whom, when, and why not earlier.
 *
 *     GET /api/v1/alerts/explain?fingerprint=HEX | filter=MATCHER...     EXPLAIN_MAX alerts at most
 *
 *     ledger: said, muted by  -->  queue of the lane: deliver_why  -->  a time, a reason, a sentence
 *
 * Only alerts that fire, or are over with somebody yet to be told: of others nobody is told anything.
 * A time is exact if no answer, no change and no new mute comes before; "exact":false means not
 * earlier than that. Answers in the notify thread, which owns all that is looked at.
 */
#pragma once
#include "collector/ack.h"
#include "collector/lanes.h"
#include "collector/ledger.h"
#include "collector/request.h"

#define EXPLAIN_MAX 50

struct api_explain {
    const struct lanes *lanes;
    const struct ledger *ledger;
    const struct silences *silences;
    const struct acks *acks;
    int64_t now_ms, wall_ms; // of the queues; of people
};
void api_explain_answer(const struct api_explain *a, struct request *r);
