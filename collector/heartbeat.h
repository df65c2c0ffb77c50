// SPDX-License-Identifier: Apache-2.0
/*
 * One heartbeat: a sign of life for somebody outside, who pages when it stays away. When it is due,
 * whether the path of alerts works, what it says. Pure; heartbeats.h gives it a wire.
 *
 *     evaluated lately? journal writes? --no--> held: nothing is sent, looked at again each second
 *              | yes
 *              v
 *     every ... every ... every        a failed one is tried again after 1 s, 2 s, 4 s ... `every`
 *
 * Silence is the one sign that every watcher understands, so a heartbeat that must not be sent is not
 * sent in another form either, whatever is wrong. When all is well again, one goes at once.
 *
 * Times are monotonic ms but where it says wall. Belongs to the notify thread.
 */
#pragma once
#include "base/buf.h"
#include "collector/receiver.h"
#include "collector/vitals.h"

#define HEARTBEAT_STALE_MS 5000 // the rules have not turned, or are late, by so much: they hang
#define HEARTBEAT_LOOK_MS  1000
#define HEARTBEAT_RETRY_MS 1000
#define HEARTBEAT_BODY_MAX (16u << 10)

// How receiver_wire.h sends it; not among RECEIVERS, for no alert goes this way.
extern const struct receiver_kind RECEIVER_HEARTBEAT;

struct heartbeat_state {
    struct vitals_view shard;
    bool journal_ok;
};
// Why alerts would not get through now; NULL: they would. A constant.
const char *heartbeat_trouble(const struct heartbeat_state *s, int64_t now_ms);

struct heartbeat { // beyond every_ms all zero at first: due at once
    int64_t every_ms;
    int64_t due_ms, regular_ms; // the next try, the next one that is no repeat
    int64_t retry_ms;           // 0 = the last one got through
    bool flying;
    const char *trouble; // it is due, and held because of that; NULL = it is not
};
enum heartbeat_step { HEARTBEAT_WAIT, HEARTBEAT_HELD, HEARTBEAT_SEND };
// HEARTBEAT_SEND: it is to be sent now, and heartbeat_done called when that has ended.
enum heartbeat_step heartbeat_due(
    struct heartbeat *h, int64_t now_ms, const struct heartbeat_state *s);
void heartbeat_done(struct heartbeat *h, int64_t now_ms, bool ok);
// When to ask again; INT64_MAX = when what flies has landed.
int64_t heartbeat_next(const struct heartbeat *h, int64_t now_ms);

struct heartbeat_facts {
    const char *name, *version, *instance, *external_url;
    int64_t wall_ms, started_ms; // wall
    uint64_t transitions;        // of alerts, since the start
    size_t queued;               // alert changes that wait for a receiver
    const char *journal;         // "ok", "slow"; "none": nothing is kept
    uint64_t sent, failed;       // of this heartbeat, before this one
};
// The JSON document of the man page. 0, -EMSGSIZE, -ENOMEM.
int heartbeat_body(
    const struct heartbeat_facts *f, const struct vitals_view *shard, struct buf *out);
