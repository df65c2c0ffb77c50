// SPDX-License-Identifier: Apache-2.0
/*
 * What alerting must not forget, in <state_dir>/alerts.db, written before it is told to anybody.
 *
 *     notify --writes--> ring --> journal thread --one transaction--> done ring --> notify
 *
 *     alert   one row per episode: pending, firing, or over and somebody has yet to be told
 *     told    what a receiver knows of an episode: it fires, it is over
 *     silence what is not to be told
 *     delivery, letter   what was sent, and what was given up (delivery_rows.h)
 *     event   the log: every change of an alert, every silence somebody made or ended (event_rows.h)
 *     ack     who has taken an alert on, until when
 *
 * A row goes when its episode is over and every lane it goes to is through with it. After a restart the
 * alerts go on in their rules (engine_restore), and what a receiver has not been told is what these
 * two tables differ in. Every row carries a sum over its fields: one that is damaged is left out
 * and counted, a file that SQLite cannot read is moved aside.
 *
 * A commit is durable (WAL, synchronous=FULL). What cannot be written is kept, in order, and tried
 * again each second; journal_ok() is false meanwhile. A disk that takes too long (pace.h) is tried
 * each second too, until it is quick again. A built-in alert says both.
 */
#pragma once
#include "base/err.h"
#include "base/ring.h"
#include "collector/ack.h"
#include "collector/event.h"
#include "collector/letters.h"
#include "collector/notice.h"
#include "collector/silence.h"

struct journal;
// NULL only when memory is out. warn->msg is set when there is something a person should know.
struct journal *journal_open(const char *state_dir, struct err *warn);

// Before journal_start: all episodes by rising id. n->to is the state, n->from says nothing.
struct journal_row {
    const struct notice *notice; // borrowed
    const char *const *receiver; // who was told something
    const enum told *told;
    const int64_t *at_ms; // wall clock
    size_t n;
    size_t lanes; // that were to be told when it was written
};
void journal_each(
    struct journal *j, void (*fn)(void *ctx, const struct journal_row *r), void *ctx);
void journal_each_silence(struct journal *j,
    void (*fn)(void *ctx, const struct silence *s, const char *matchers), void *ctx);
void journal_each_letter(
    struct journal *j, void (*fn)(void *ctx, const struct letter *l), void *ctx);
uint64_t journal_last_delivery(struct journal *j); // id of the newest message; 0 = none
const char *journal_path(const struct journal *j); // of alerts.db
void journal_each_ack(struct journal *j, void (*fn)(void *ctx, const struct ack *a), void *ctx);
uint64_t journal_last_id(const struct journal *j); // of the episodes ever written
uint64_t journal_damaged(const struct journal *j); // rows that were left out

int journal_start(struct journal *j, struct err *err);
void journal_stop(struct journal *j); // writes what waits, joins, frees; NULL allowed

// --- notify thread ---
struct journal_write;                          // one transaction
struct journal_write *journal_write_new(void); // NULL: no memory
// lanes: how many have to be through with the episode before it is forgotten. 0, -ENOMEM.
// mutes: set of enum mute, for the log.
int journal_write_alert(
    struct journal_write *w, const struct notice *n, size_t lanes, unsigned mutes);
int journal_write_told(struct journal_write *w, const char *receiver, uint64_t alert_id,
    enum told told, int64_t at_ms);
// So many lanes more have to be through with an episode that is over. 0, -ENOMEM.
int journal_write_owed(struct journal_write *w, uint64_t alert_id, size_t lanes);
// gone: it is to be forgotten. 0, -ENOMEM.
int journal_write_silence(struct journal_write *w, const struct silence *s, bool gone);
int journal_write_delivery(
    struct journal_write *w, struct delivery *row); // takes row over when 0
int journal_write_letter(struct journal_write *w, const struct letter *l);
int journal_write_unletter(struct journal_write *w, uint64_t id);
// What a person did, for the log only; of a silence journal_write_silence says it. 0, -ENOMEM.
int journal_write_event(struct journal_write *w, const struct event *e);
// gone: its episode is over. 0, -ENOMEM.
int journal_write_ack(struct journal_write *w, const struct ack *a, bool gone);
// Takes w over. tag comes back on journal_done; 0 = no answer is wanted. False: the ring is full, or
// nobody writes; w is gone and counted as lost.
bool journal_commit(struct journal *j, struct journal_write *w, uint64_t tag);
struct ring *journal_done(struct journal *j); // of tags as pointers, in the order of commits
// Instead of a tag: the file was begun anew, what stands in it is what was written since.
#define JOURNAL_ANEW UINT64_MAX
// Any thread: everything handed over so far is on disk, or is on its way.
bool journal_ok(const struct journal *j);
// Any thread: commits take longer than a page waits for them, or one hangs right now.
bool journal_slow(const struct journal *j);
struct journal_stats {
    uint64_t commits, failed, lost;
    uint64_t missing;            // transactions that were on disk once and are not any more
    uint64_t anew;               // how often the file was begun anew: it was broken, or gone
    size_t waiting, waiting_max; // transactions that are not on disk yet
    int64_t commit_ns_max;
};
void journal_stats(const struct journal *j, struct journal_stats *ret); // any thread
