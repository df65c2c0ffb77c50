// SPDX-License-Identifier: Apache-2.0
/*
 * The log of alerting as rows of the alert journal (journal_rows.h opens the file and owns the
 * transaction): a row is written with the state it tells of, so nothing is told that is not in the
 * log, and a write that is tried again is in it once.
 *
 *     event    id | kind | at_ms | ... | labels | texts | sum       only added to, only trimmed
 *
 * A broken page of it must never keep an alert from being written down: the table is then set aside
 * under another name, and a new one begun.
 *
 * One thread. Functions that write return 0 or an error of SQLite's; those that read open the file
 * for reading only and may be called from any thread with a file of its own.
 */
#pragma once
#include "base/arena.h"
#include "collector/database.h"
#include "collector/event.h"
#include "collector/notice.h"
#include "collector/silence_rows.h"

#define EVENT_KEEP_MS  (7 * 24 * 3600 * 1000LL)
#define EVENT_ROWS_MAX 200000
#define EVENT_TRIM     500 // rows of one turn

#define EVENT_ROWS_SCHEMA                                                                      \
    "CREATE TABLE IF NOT EXISTS event("                                                        \
    " id INTEGER PRIMARY KEY, kind INTEGER NOT NULL, at_ms INTEGER NOT NULL,"                  \
    " alert INTEGER NOT NULL, fingerprint INTEGER NOT NULL, cause_ms INTEGER NOT NULL,"        \
    " mutes INTEGER NOT NULL, until_ms INTEGER NOT NULL, value INTEGER NOT NULL,"              \
    " labels BLOB NOT NULL, texts BLOB NOT NULL, sum INTEGER NOT NULL);"
// In this order event_rows_read wants them.
#define EVENT_ROWS_COLUMNS                                                                     \
    "id, kind, at_ms, alert, fingerprint, cause_ms, mutes, until_ms, value, labels, texts, sum"

struct event_rows {
    struct database *file;
    sqlite3_stmt *put, *trim, *known;
    uint64_t last_id;
    bool broken;
};
// After the file was opened. False: SQLite refuses.
bool event_rows_prepare(struct event_rows *r, struct database *file);
void event_rows_close(struct event_rows *r); // before the file is closed

int event_rows_put(struct event_rows *r, const struct event *e);
// What the notice tells, if it is a change of state. mutes as in struct event.
int event_rows_alert(struct event_rows *r, const struct notice *n, unsigned mutes);
// Before the silence's own row is written.
int event_rows_silence(struct event_rows *r, const struct silence_row *s);
// Removes the oldest that are too old or too many, EVENT_TRIM at most. *ret_more: there are others.
// A transaction of its own, which does not wait for the disk: what a crash brings back is trimmed
// again.
int event_rows_trim(struct event_rows *r, int64_t now_ms, size_t rows_max, bool *ret_more);

// The row the statement stands on. False: it is not what was written, or no memory in a.
bool event_rows_read(sqlite3_stmt *s, struct arena *a, struct event *ret);
