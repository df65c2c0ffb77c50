// SPDX-License-Identifier: Apache-2.0
/*
 * An SQLite file in the state directory, opened so that no state of it keeps the collector from
 * starting: one that is broken is moved aside and begun anew, one that cannot be opened is lived
 * without and tried again. Whoever owns it says what that means for them.
 *
 * On a full or read-only disk, or beside somebody who holds the write lock, what is there is still
 * read: opening writes nothing unless a table is missing.
 *
 * The pages of what matters are checked (quick_check, 0.1 s for 100,000 alerts) and what is deleted
 * is overwritten (secure_delete): a flipped bit may lead SQLite to a page of long ago whose rows
 * hold in themselves.
 *
 * One thread at a time. Lengths are SQLite's: bytes without NUL for text.
 */
#pragma once
#include "base/err.h"
#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

struct database_options {
    const char *name;    // file name
    const char *pragmas; // for each connection; write nothing to a file that is in use already
    const char *schema;  // CREATE TABLE IF NOT EXISTS
    // Reads every page that is needed, so that what is broken shows now and not later; fails when
    // a table of the schema is missing.
    const char *probe;
    const char *check; // PRAGMA quick_check of every table that matters
    // What any file has that was ever committed to with a user_version: that it is missing is no
    // older version of ours but a damaged schema. NULL: nothing.
    const char *always;
};
struct database {
    struct database_options o;
    char path[4096];
    sqlite3 *db;    // NULL: not open
    uint64_t inode; // of the file that was open last; 0 = none yet
    bool gone;      // it was not there any more when it was closed
    unsigned anew;  // how often a file took the place of one that was broken, or gone
};
// Always leaves d ready for database_close; d->db is NULL when it could not be opened. warn says
// what a person should know.
void database_open(struct database *d, const char *state_dir, const struct database_options *o,
    struct err *warn);
// After a failure: closes and opens anew, as database_open does. SQLITE_OK or an error of SQLite's,
// with err.
int database_again(struct database *d, struct err *err);
// Whether the open file is the one of that name: SQLite goes on writing to one that was removed.
bool database_there(const struct database *d);
void database_close(struct database *d);
sqlite3_stmt *database_prepare(struct database *d, const char *sql); // NULL: see sqlite3_errmsg
int database_exec(struct database *d, const char *sql);              // SQLITE_OK or not
