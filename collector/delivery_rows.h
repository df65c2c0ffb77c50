// SPDX-License-Identifier: Apache-2.0
/*
 * The delivery log and the dead letters as tables of alerts.db.
 *
 *     delivery  one row per message, newest id last; the oldest go by age, number and size
 *     letter    one row per dead letter (letters.h), gone when it is
 *
 * Rows carry a sum over their fields: what is damaged is left out and counted. The log is not worth a
 * page: a table of it that SQLite finds broken is put aside and begun anew, so that alerts go on
 * being written. It is not read at start either, however long it is; letters are.
 *
 * Writing belongs to the journal thread, reading the log to whoever has a connection of its own.
 * Functions that write return 0 or an error of SQLite's.
 */
#pragma once
#include "collector/database.h"
#include "collector/letters.h"

#define DELIVERY_ROWS_MAX  50000
#define DELIVERY_KEEP_MS   (7 * 86400 * 1000LL)
#define DELIVERY_FILE_MAX  (256LL << 20) // of the whole file; beyond, the oldest rows go
#define DELIVERY_TRIM_EACH 256           // rows written between two looks at the oldest

#define DELIVERY_LOG_SCHEMA                                                                    \
    "CREATE TABLE IF NOT EXISTS delivery(id INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL,"      \
    " outcome INTEGER NOT NULL, receiver TEXT NOT NULL, data TEXT NOT NULL,"                   \
    " sum INTEGER NOT NULL, body BLOB NOT NULL);"
#define DELIVERY_ROWS_SCHEMA                                                                   \
    DELIVERY_LOG_SCHEMA                                                                        \
    "CREATE TABLE IF NOT EXISTS letter(id INTEGER PRIMARY KEY, numbers BLOB NOT NULL,"         \
    " texts BLOB NOT NULL, alerts BLOB NOT NULL, body BLOB NOT NULL, sum INTEGER NOT NULL);"
#define DELIVERY_ROWS_PROBE "SELECT sum(length(texts) + length(body)) FROM letter;"

struct delivery_rows { // all zero is ready
    sqlite3_stmt *put, *trim, *letter, *unletter;
    unsigned puts;
    bool broken; // the log's table
};
void delivery_rows_done(
    struct delivery_rows *r); // the statements; what is prepared again is used
bool delivery_rows_ready(struct delivery_rows *r, struct database *d); // prepares
int delivery_rows_put(struct delivery_rows *r, struct database *d, const struct delivery *row);
int delivery_rows_letter(struct delivery_rows *r, const struct letter *l);
int delivery_rows_unletter(struct delivery_rows *r, uint64_t id);

// At start. l is valid during the call.
void delivery_rows_letters(struct database *d, uint64_t *damaged,
    void (*fn)(void *ctx, const struct letter *l), void *ctx);
uint64_t delivery_rows_last_id(struct database *d); // of both tables; 0 = none

struct delivery_query {
    const char *receiver; // its whole name, or the part before "/"; NULL = any
    bool failed;          // given up or being retried
    int64_t since_ms;
    uint64_t before, id; // older than this one; only this one; 0 = any
    size_t limit;
    uint64_t
        run_id; // rows up to this one are of earlier runs: none of them is retried any more
};
// A JSON object with `deliveries`, newest first, `next` (to be given as before) when there are more, and
// `damaged`. A single one comes with `body` when it was kept. 0 or an error of SQLite's.
int delivery_rows_list(sqlite3 *db, const struct delivery_query *q, struct buf *out);
