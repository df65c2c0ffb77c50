// SPDX-License-Identifier: Apache-2.0
/*
 * The ingest thread: agents' bodies in, frames to the shard, replies out.
 *
 *     POST /v1/frames -> checks -> body drained -> push_open -> session -> frames -> shard ring
 *                                                         \-> reply: accepted, resume_from, ...
 *
 * Refused in the first call, so that the connection ends: what is not a body of ours (404, 405,
 * 415), a bad token or a foreign page (401, 403), two lengths (400), a body over WIRE_BODY_MAX
 * (413). Everything else drains the body first and keeps the connection: 429 with Retry-After when
 * the shard is busy, before the session changed; 400 for bytes that are not a frame.
 *
 * A connection speaks for the agent whose body it carried last; when the last one of an agent
 * closes, the shard is told.
 */
#pragma once
#include "base/auth.h"
#include "base/clock.h"
#include "base/listener.h"
#include "collector/demands.h"
#include "collector/session.h"
#include "collector/shard.h"
#include <stdatomic.h>

// Written by the ingest thread, read by any.
struct ingest_stats {
    _Atomic uint64_t bodies, bytes, frames, duplicates, not_held, refused_busy, refused_auth,
        refused_body, refused_session, connections, accepted, refused_ip, evicted, overdue,
        accept_paused, sessions, samples_ahead;
};

struct ingest;
struct ingest_options {
    const char *address;
    size_t connections_max, per_ip_max; // 0 = the listener's defaults
    size_t agents_max;                  // 0 = 16384
    struct auth auth;                   // `loopback` is set from the address bound
    const char *version;                // borrowed
    struct shard *shard;                // only this thread pushes frames
    struct sessions *known;             // taken over; NULL = none are known
    struct repair_link *repairs;        // to the notify thread; NULL = nothing is asked for
    struct clock clock;
};
struct ingest *ingest_start(const struct ingest_options *o, struct err *err); // NULL with err
// What replies demand from now on. Any thread; taken over.
void ingest_demand(struct ingest *g, struct demands *d);
const char *ingest_address(const struct ingest *g);
const struct ingest_stats *ingest_stats(const struct ingest *g);
// Ends the thread: nothing is accepted or pushed any more. Statistics can be read until ingest_free, which
// closes the connections; what that tells the shard is nobody's any more. NULL allowed.
void ingest_stop(struct ingest *g);
void ingest_free(struct ingest *g);
