// SPDX-License-Identifier: Apache-2.0
/*
 * What the ingest thread remembers of each agent: which session runs, which frames of it came,
 * the last values of both lanes, and how its clock stands to ours.
 *
 *     seq   ... 96 97 98 99 100 101 102       bit set = taken; the last SESSION_WINDOW are known
 *     seen       1  1  0  0   1   1   1       -> resume_from 98, resume_to 99
 *
 * A frame is taken once, whatever lane and however often it comes: exactly once by (agent, epoch,
 * seq). A session of a lower epoch than the known one is refused, and so is one of the same epoch
 * with another nonce while the first is alive: two agents share a state directory that was copied.
 *
 * The clock offset is fixed when a session starts; when the agent's measurement is more than 20 ms
 * off it is slewed, at a tenth of the time that passes, so that sample times never fall back.
 *
 * Belongs to the ingest thread. Times: mono_ms for what passes, wall microseconds for stamps.
 */
#pragma once
#include "collector/repair_mail.h"
#include "wire/decode.h"

#define SESSION_WINDOW   16384
#define SESSION_SLEW_MS  20
#define SESSION_STEP_MS  5000  // a difference this large is a step of a clock, not drift
#define SESSION_CLONE_MS 10000 // how long silent until another nonce may take the epoch over

struct sessions;
struct session;
struct sessions *sessions_new(size_t max); // NULL: no memory
void sessions_free(struct sessions *t);
// From the inventory: a session of this agent with a lower epoch is an old one.
int sessions_known(
    struct sessions *t, const uint8_t agent_id[16], uint64_t epoch); // 0, -ENOMEM

enum session_verdict { SESSION_OK, SESSION_OLD, SESSION_CLONE, SESSION_FULL };
// The session a body belongs to, made when it is new. ret is set only when OK.
enum session_verdict session_of(struct sessions *t, const struct push *p, int64_t received_us,
    int64_t mono_ms, struct session **ret);
const char *session_reason(enum session_verdict v); // for the reply

enum session_take {
    SESSION_TAKEN,
    SESSION_DUPLICATE,
    SESSION_NOT_HELD,
    SESSION_BROKEN,
    SESSION_NO_MEMORY
};
// Decodes frame i of the body into the arena. TAKEN: ret is a frame never seen before. DUPLICATE and
// NOT_HELD: nothing to store. BROKEN: not a frame, err says why.
enum session_take session_frame(struct session *s, const struct push *p, size_t i,
    struct arena *a, struct batch *ret, struct err *err);
int64_t session_skew_ms(const struct session *s);
// accepted_seq, resume_from, resume_to, need_key_frame, frames_not_held of this body.
void session_reply(struct session *s, const struct push *p, struct wire_reply *ret);
void session_body_begin(struct session *s); // forgets the last body's need_key_frame

// Which connections speak for it. disconnect returns true when the last one went.
void session_connect(struct session *s);
bool session_disconnect(struct session *s);
const uint8_t *session_agent(const struct session *s);
// Whether the agent is to be told the demand of that number now: it has another, or it is time again.
bool session_demand_due(struct session *s, uint64_t number, int64_t mono_ms);
struct repair_hearing *session_hearing(struct session *s);
size_t sessions_count(const struct sessions *t);
