// SPDX-License-Identifier: Apache-2.0
/*
 * The tables of the alert journal: notices to rows and back. One thread; see journal.h for what they
 * mean. Functions that write return 0 or an error of SQLite's.
 */
#pragma once
#include "collector/ack_rows.h"
#include "collector/database.h"
#include "collector/delivery_rows.h"
#include "collector/event_rows.h"
#include "collector/journal.h"
#include "collector/journal_mark.h"
#include "collector/silence_rows.h"

struct journal_rows {
    struct database file;
    sqlite3_stmt *put, *last, *drop, *tell, *through, *untell, *afresh;
    struct event_rows events; // the log; written in the same transactions
    struct journal_mark mark;
    uint64_t last_id, damaged;
    struct delivery_rows deliveries;
    uint32_t commits, missing; // transactions in the file; those it had once and has no more
    uint32_t found; // transactions in the file when it was opened again after a failure
    bool unread;    // there may be a file, and nobody could read it at the start
};
void journal_rows_open(
    struct journal_rows *r, const char *state_dir, int64_t wall_ms, struct err *warn);
void journal_rows_close(struct journal_rows *r);
bool journal_rows_ready(const struct journal_rows *r);
void journal_rows_each(
    struct journal_rows *r, void (*fn)(void *ctx, const struct journal_row *row), void *ctx);

int journal_rows_begin(struct journal_rows *r, struct err *err);
int journal_rows_alert(struct journal_rows *r, const struct notice *n, size_t lanes);
int journal_rows_told(struct journal_rows *r, const char *receiver, uint64_t alert_id,
    enum told told, int64_t at_ms);
// Trims the log a little. True: there is more to trim.
bool journal_rows_trim(struct journal_rows *r, int64_t now_ms);
// Adds lanes to what an episode that is over waits for; nothing when it is not there.
int journal_rows_owed(struct journal_rows *r, uint64_t alert_id, size_t lanes);
// Commits, also when nothing was written, or rolls back when rc is not 0; after a failure the file is
// opened anew next time.
int journal_rows_end(struct journal_rows *r, int rc, struct err *err);
