// SPDX-License-Identifier: Apache-2.0
/*
 * The table of acknowledgements in alerts.db (journal_rows.h opens the file and owns the transaction). A row
 * stays as long as its episode. One thread. Functions that write return 0 or an error of SQLite's.
 */
#pragma once
#include "collector/ack.h"
#include "collector/database.h"

#define ACK_ROWS_SCHEMA                                                                        \
    "CREATE TABLE IF NOT EXISTS ack("                                                          \
    " alert INTEGER PRIMARY KEY, owner TEXT NOT NULL, note TEXT NOT NULL,"                     \
    " at_ms INTEGER NOT NULL, until_ms INTEGER NOT NULL, sum INTEGER NOT NULL);"
#define ACK_ROWS_PROBE "SELECT sum(length(owner) + length(note)) FROM ack;"

// One acknowledgement with its text in one heap block.
struct ack_row {
    struct ack a; // of one that is gone only alert_id counts
    bool gone;    // the row is to be removed
};
struct ack_row *ack_row_new(const struct ack *a, bool gone); // NULL: no memory
int ack_row_put(struct database *d, const struct ack_row *r);
// Those whose alert was not over. Damaged rows are counted and left out; those of episodes that are over
// are removed: a crash came between.
void ack_rows_each(struct database *d, uint64_t *damaged,
    void (*fn)(void *ctx, const struct ack *a), void *ctx);
