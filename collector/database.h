// SPDX-License-Identifier: Apache-2.0
/*
 * An SQLite file in the state directory, opened so that no state of it keeps the collector from
 * starting: one that is broken is moved aside and begun anew, one that cannot be opened is lived
 * without and tried again. Whoever owns it says what that means for them.
 *
 * One thread at a time. Lengths are SQLite's: bytes without NUL for text.
 */
#pragma once
#include "base/err.h"
#include <sqlite3.h>
#include <stdbool.h>

struct database_options {
    const char *name;   // file name
    const char *schema; // pragmas and CREATE TABLE IF NOT EXISTS
    // Reads every page that is needed, so that what is broken shows now and not later.
    const char *probe;
};
struct database {
    struct database_options o;
    char path[4096];
    sqlite3 *db; // NULL: not open
    bool moved_aside;
};
// Always leaves d ready for database_close; d->db is NULL when it could not be opened. warn says
// what a person should know.
void database_open(struct database *d, const char *state_dir, const struct database_options *o,
    struct err *warn);
// After a failure: closes and opens anew. SQLITE_OK or an error of SQLite's, with err.
int database_again(struct database *d, struct err *err);
void database_close(struct database *d);
sqlite3_stmt *database_prepare(struct database *d, const char *sql); // NULL: see sqlite3_errmsg
int database_exec(struct database *d, const char *sql);              // SQLITE_OK or not
