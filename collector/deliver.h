// SPDX-License-Identifier: Apache-2.0
/*
 * The queue of one webhook: what to send, in which order, and when to try again. Pure: time and
 * the outcome of a try come in, a message comes out; notify.c moves the bytes.
 *
 *     notices of one drain --> changes by group --> queue of items, oldest first
 *                                                     |  one of a group in flight
 *     what the receiver knows of a group  <-- applied on success
 *
 * A message holds the whole group as Alertmanager's does: everything that fires, and what this
 * item resolves. An item takes in a newer change of its group unless that would hide one: the
 * receiver is told firing, then resolved, of every episode, in that order, however long it was
 * away. Resolved is never sent of what was never delivered as firing.
 *
 * Retry while younger than 24 h: network errors, time-outs, 5xx, 408, 425, 429. Other 4xx and
 * redirects: three tries, then dropped and counted. 410: everything is dropped from then on.
 * The message of a try is the message of its retries, so the delivery key stands. While one group's
 * message fails others go on: what the receiver chokes on keeps back only its own group.
 *
 * Copies what it needs of a notice. now_ms never falls; belongs to one thread.
 */
#pragma once
#include "base/buf.h"
#include "collector/notice.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DELIVER_FLIGHTS_MAX 32
#define DELIVER_QUEUE_MAX   100000 // alert changes
#define DELIVER_GIVE_UP_MS  (24 * 3600 * 1000LL)
#define DELIVER_TRIES_MAX   3 // of what the receiver refuses
#define DELIVER_BODY_MAX    (32u << 20)
#define DELIVER_KEY_MAX     40
#define DELIVER_PATH_MAX    4096

struct webhook_message;
struct deliver_message;
enum deliver_loss {
    DELIVER_LOSS_REFUSED, // DELIVER_TRIES_MAX times
    DELIVER_LOSS_OLD,     // DELIVER_GIVE_UP_MS
    DELIVER_LOSS_GONE,    // 410, to this message or to an earlier one
    DELIVER_LOSS_FULL,    // the queue was
};
struct deliver_options {
    const char *receiver; // borrowed, like all text here
    const char *external_url;
    const char *route_key; // NULL = the root's, {}
    const char *const *group_by;
    size_t n_group_by;
    bool group_by_all;
    int64_t group_wait_ms; // a group's first message; never holds severity page or critical
    int64_t repeat_ms;     // 0 = a standing state is not repeated
    // Whether nobody is to be reminded of this alert now; NULL = of every one somebody is.
    bool (*quiet)(void *ctx, const struct notice *n);
    void *quiet_ctx;
    bool send_resolved;
    int64_t late_ms; // a firing change is late that old; 0 = nobody asks, see deliver_late
    const char
        *fallback_for; // the receiver in whose place this one is told; NULL = in nobody's
    size_t max_alerts; // 0 = all
    size_t queue_max;  // 0 = DELIVER_QUEUE_MAX
    size_t flights;    // messages in flight at once, each of another group; 0 = 1
    uint64_t seed;     // of the jitter
    // Makes the body of a message and what its URL ends in. NULL: Alertmanager's body.
    int (*make)(void *ctx, const struct webhook_message *m, struct buf *body, struct buf *path);
    void *make_ctx;
    // A message that changes something is given up. One that was never on its way says only what it
    // changes; its body is NULL when there are too many of these to make them. NULL: nobody asks.
    void (*lost)(void *ctx, const struct deliver_message *m, enum deliver_loss why);
    void *lost_ctx;
};

struct deliver;
struct deliver *deliver_new(const struct deliver_options *o); // NULL: no memory
void deliver_free(struct deliver *d);
// The notices of one drain, in order. Those that say nothing to a receiver (pending) are skipped.
// 0, -ENOMEM (those that did not fit in memory are counted as dropped).
int deliver_add(struct deliver *d, const struct notice *const *n, size_t count, int64_t now_ms);
// When deliver_take next has something; INT64_MAX = nothing, or what is in flight has to end first.
int64_t deliver_next(const struct deliver *d);

// While held a standing state is not repeated: the receiver wants to hear nothing at this time.
void deliver_hold(struct deliver *d, bool hold);

// An alert of an earlier run that this receiver knows to fire. One that is over by now may have been told to
// be, and the answer lost in a crash: no message shows it as firing again. told_ms is on the clock of now_ms.
// 0, -ENOMEM.
int deliver_known(struct deliver *d, const struct notice *n, int64_t told_ms);
// What the receiver has learned since this was last asked: to be written down. Valid until the next
// call of any function here.
struct deliver_told {
    uint64_t alert_id;
    enum told told; // TOLD_OVER also when there is nothing to tell it any more
};
const struct deliver_told *deliver_told(struct deliver *d, size_t *ret_n);

// This receiver heard of a firing alert in another way than by its queue: it is told when it is over.
// 0, -ENOMEM.
int deliver_heard(struct deliver *d, const struct notice *n, int64_t now_ms);
// It answered 2xx to something else: it is not gone, and does not fail.
void deliver_back(struct deliver *d);
// Before this time it wants nothing sent: back-off and Retry-After. 0 = any time.
int64_t deliver_ready(const struct deliver *d);
// --- what does not get through (deliver_late.c) ---
// When deliver_late may have something; INT64_MAX = never, as things stand.
int64_t deliver_late_next(const struct deliver *d);
// Each alert whose beginning the receiver has not taken late_ms after it could have been sent, or that
// was given up: fn is asked until it returns true, at again_ms next. What is added to a message that is
// late is late too. A reload asks anew. fn may add to other queues, not to this one.
void deliver_late(struct deliver *d, int64_t now_ms, int64_t again_ms,
    bool (*fn)(void *ctx, uint64_t alert_id), void *ctx);
// --- a reload (deliver_change.c) ---
// Before deliver_configure with the same options, for what can fail. 0; -ENOMEM.
int deliver_prepare(struct deliver *d, const struct deliver_options *o);
// What is queued and what the receiver knows stay, each alert in its group until it is over; alerts that
// begin from now on are grouped as o says. flights and queue_max stay what they were. One that was
// gone or retired is tried again.
void deliver_configure(struct deliver *d, const struct deliver_options *o);
void deliver_retry(
    struct deliver *d); // whatever failed: try now, for the receiver is another one
// Whether the receiver knows this alert to fire, or is being told right now.
bool deliver_tells(struct deliver *d, const struct notice *n);
// Each queued change that is not in flight, oldest first; false takes it out. keep may add to other
// queues. Returns how many were taken out.
size_t deliver_sift(
    struct deliver *d, bool (*keep)(void *ctx, const struct notice *n), void *ctx);
// Nothing is told any more, but what the receiver knows is kept in mind until it is over. What is queued
// has been sifted.
void deliver_retire(struct deliver *d);
// The receiver will not hear the end of this alert.
void deliver_forget(struct deliver *d, const struct notice *n);
bool deliver_idle(const struct deliver *d); // nothing queued, in flight or known

struct deliver_member {
    uint64_t alert_id, fingerprint;
    bool resolved;
    const char *name; // alertname; until deliver_done
};
struct deliver_mark { // what the caller remembers of a message over its tries
    uint64_t id;
    int64_t first_ms;
};
struct deliver_message {
    const struct buf *body; // until deliver_done
    const char *path;       // the same; "" mostly
    char key[DELIVER_KEY_MAX];
    const char *fallback_for;     // as of deliver_options
    int64_t cause_ms, decided_ms; // newest of the members that changed; 0 = a repeat
    const struct deliver_member *changed;
    size_t n_changed;
    unsigned tries;           // before this one
    unsigned flight;          // for deliver_done
    struct deliver_mark mark; // of deliver_mark; all zero at first
};
void deliver_mark(struct deliver *d, unsigned flight, struct deliver_mark mark);
// Puts the next message in flight. False: nothing is due, or as many as may are in flight.
bool deliver_take(struct deliver *d, int64_t now_ms, struct deliver_message *ret);

enum deliver_verdict { DELIVER_SENT, DELIVER_RETRY, DELIVER_DROPPED, DELIVER_GONE };
// How a try ended. status 0 = no answer; retry_after_ms -1 = none was named.
enum deliver_verdict deliver_done(
    struct deliver *d, unsigned flight, int64_t now_ms, int status, int64_t retry_after_ms);

struct deliver_stats {
    size_t queued; // alert changes
    uint64_t sent, failed, dropped, alerts_dropped;
    int64_t failing_since_ms, last_sent_ms;
    int failing_status; // of the last try that failed
    bool gone;
};
void deliver_stats(const struct deliver *d, struct deliver_stats *ret);

enum deliver_reason {
    DELIVER_WHY_NOTHING,     // there is nothing to tell of it
    DELIVER_WHY_NOW,         // it goes in this turn
    DELIVER_WHY_TURN,        // others go first: as many messages as may be are in flight
    DELIVER_WHY_IN_FLIGHT,   // the receiver has yet to answer
    DELIVER_WHY_GROUP_WAIT,  // of the route
    DELIVER_WHY_REFUSED,     // the receiver refused this group's message: another try
    DELIVER_WHY_BACK_OFF,    // the receiver failed: another try
    DELIVER_WHY_RETRY_AFTER, // the receiver named a time
    DELIVER_WHY_REPEAT,      // a reminder, repeat_interval after the last message
    DELIVER_WHY_NO_REPEAT,   // it knows, and nobody is reminded
    DELIVER_WHY_HELD,        // it knows, and the route's times hold reminders back
    DELIVER_WHY_QUIET,       // it knows, and reminders are muted
    DELIVER_WHY_GONE,        // the receiver said it is gone for good (410)
};
struct deliver_why {
    enum deliver_reason reason;
    int64_t at_ms; // of the next deliver_take of its group; INT64_MAX = never, as things stand
    bool exact;    // else not earlier than at_ms: a message in flight has to end first
    int64_t since_ms; // when it was queued, or last sent
    unsigned tries;   // so far
    int64_t failing_since_ms;
    int status; // of the last try, while it fails; 0 = no answer
};
// When the receiver is told next of the group of an alert with these labels, and why not earlier, if no
// answer and no change comes before. A message that turns out to hold nothing shifts those after it.
void deliver_why(const struct deliver *d, const struct labels *labels, int64_t now_ms,
    struct deliver_why *ret);
