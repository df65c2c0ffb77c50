// SPDX-License-Identifier: Apache-2.0
/*
 * Orders that wait for their agent, in the ingest thread. An agent is asked in the reply to a live body,
 * again in each until it has answered, and again each MAIL_LOOK_MS while the action runs, so that one
 * whose agent died is not waited for.
 *
 *     order --> waits for its host --> asked, bound to that agent --> started --> answer
 *                  | too old              | too old                     | cancelled by the desk
 *                  +-- not taken          +-- not taken                 +-- gone
 *
 * Only to an agent that has been heard live without a gap for MAIL_SETTLE_MS and misses nothing: what
 * an alert says after a silence or a restart may be from before it. Two agents of one host name: the
 * one that was asked first is the one that is asked again, and only its answer counts.
 *
 * Pure; belongs to the ingest thread. now_ms is monotonic.
 */
#pragma once
#include "collector/repair_order.h"

#define MAIL_ORDERS_MAX 4096
#define MAIL_REPLY_MAX  4 // of one reply
#define MAIL_LOOK_MS    5000
#define MAIL_SETTLE_MS  3000
#define MAIL_START_MS   7000 // after our own start: an alert of before has been looked at then
#define MAIL_GAP_MS     2500
#define MAIL_GRACE_MS   5000 // for the answer of one that was asked in time

struct repair_mail;
// answer takes what it is given over; false: no room, it is offered again.
typedef bool repair_mail_fn(void *ctx, struct repair_answer *a);
struct repair_mail *repair_mail_new(
    repair_mail_fn *answer, void *ctx, int64_t now_ms); // NULL: no memory
void repair_mail_free(struct repair_mail *m);           // NULL allowed
// Takes o over: an order, or that one is not wanted any more.
void repair_mail_put(struct repair_mail *m, struct repair_order *o, int64_t now_ms);
// How an agent is heard: kept with its session. All zero: never.
struct repair_hearing {
    int64_t last_ms, since_ms;
};
// A live body of an agent. whole: nothing of it is missing. able: it has an executor. What is to be asked for
// in the reply, at most MAIL_REPLY_MAX, valid until the next call.
size_t repair_mail_body(struct repair_mail *m, struct repair_hearing *h,
    const uint8_t agent_id[16], const char *host, bool whole, bool able, int64_t now_ms,
    struct wire_repair ret[static MAIL_REPLY_MAX]);
// What an agent says became of one; ignored when it was not asked.
void repair_mail_result(struct repair_mail *m, const uint8_t agent_id[16],
    const struct wire_repair_result *r, int64_t now_ms);
// Gives up what has waited too long. Now and then.
void repair_mail_sweep(struct repair_mail *m, int64_t now_ms);
size_t repair_mail_count(const struct repair_mail *m);
