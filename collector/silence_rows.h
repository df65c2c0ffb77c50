// SPDX-License-Identifier: Apache-2.0
/*
 * Silences as rows of the alert journal (journal_rows.h opens the file and owns the transaction).
 * One thread. Functions that write return 0 or an error of SQLite's.
 */
#pragma once
#include "collector/database.h"
#include "collector/silence.h"
#include <stdint.h>

#define SILENCE_ROWS_SCHEMA                                                                    \
    "CREATE TABLE IF NOT EXISTS silence("                                                      \
    " id TEXT PRIMARY KEY, matchers TEXT NOT NULL, created_by TEXT NOT NULL,"                  \
    " comment TEXT NOT NULL, starts_ms INTEGER NOT NULL, ends_ms INTEGER NOT NULL,"            \
    " updated_ms INTEGER NOT NULL, sum INTEGER NOT NULL) WITHOUT ROWID;"                       \
    "CREATE TABLE IF NOT EXISTS silence_quiet("                                                \
    " id TEXT PRIMARY KEY, quiet_ms INTEGER NOT NULL, sum INTEGER NOT NULL) WITHOUT ROWID;"
#define SILENCE_ROWS_PROBE                                                                     \
    "SELECT sum(length(matchers) + length(comment)) FROM silence;"                             \
    "SELECT sum(quiet_ms) FROM silence_quiet;"

// One silence with its text in one heap block.
struct silence_row {
    struct silence s; // without matchers
    const char *matchers;
    bool gone; // the row is to be removed
};
struct silence_row *silence_row_new(const struct silence *s, bool gone); // NULL: no memory
int silence_row_put(struct database *d, const struct silence_row *r);
// Damaged rows are counted and left out.
void silence_rows_each(struct database *d, uint64_t *damaged,
    void (*fn)(void *ctx, const struct silence *s, const char *matchers), void *ctx);
