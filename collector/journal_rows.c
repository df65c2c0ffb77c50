// SPDX-License-Identifier: Apache-2.0
#include "collector/journal_rows.h"
#include "base/map.h"
#include "collector/row_bytes.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// State of an episode in its row; the numbers stand in files.
enum { ROW_PENDING = 1, ROW_FIRING = 2, ROW_OVER = 3 };

static const struct database_options OPTIONS = {.name = "alerts.db",
    .pragmas = "PRAGMA journal_mode=WAL;"
               "PRAGMA synchronous=FULL;"
               "PRAGMA secure_delete=ON;",
    // A table led to the root of an empty one would be empty. Not of the delivery log, which is long and not worth an alert.
    .check = "SELECT CASE WHEN count(*) = count(DISTINCT rootpage) THEN 'ok' END"
             " FROM sqlite_schema WHERE rootpage > 0;"
             "PRAGMA quick_check(alert); PRAGMA quick_check(told); PRAGMA quick_check(last);"
             "PRAGMA quick_check(silence); PRAGMA quick_check(letter);"
             "PRAGMA quick_check(ack);",
    .schema =
        "CREATE TABLE IF NOT EXISTS alert("
        " id INTEGER PRIMARY KEY, identity INTEGER NOT NULL, fingerprint INTEGER NOT NULL,"
        " element INTEGER NOT NULL, state INTEGER NOT NULL, active_ms INTEGER NOT NULL,"
        " fired_ms INTEGER NOT NULL, ended_ms INTEGER NOT NULL, silent_ms INTEGER NOT NULL,"
        " cause_ms INTEGER NOT NULL, decided_ms INTEGER NOT NULL, value BLOB NOT NULL,"
        " line INTEGER NOT NULL, labels BLOB NOT NULL, annotations BLOB NOT NULL,"
        " place BLOB NOT NULL, lanes INTEGER NOT NULL, sum INTEGER NOT NULL);"
        "CREATE TABLE IF NOT EXISTS told("
        " alert INTEGER NOT NULL, receiver TEXT NOT NULL, state INTEGER NOT NULL,"
        " at_ms INTEGER NOT NULL, sum INTEGER NOT NULL, PRIMARY KEY(alert, receiver))"
        " WITHOUT ROWID;"
        // Ids are never used twice, whatever rows are left.
        "CREATE TABLE IF NOT EXISTS last(one INTEGER PRIMARY KEY CHECK(one = 1),"
        " id INTEGER NOT NULL);"
        "INSERT OR IGNORE INTO last VALUES(1, 0);" SILENCE_ROWS_SCHEMA DELIVERY_ROWS_SCHEMA
            EVENT_ROWS_SCHEMA ACK_ROWS_SCHEMA,
    .always = "SELECT id FROM alert; SELECT alert FROM told; SELECT id FROM last;"
              "SELECT id FROM silence;",
    // Names the columns that statements name: with one under another name nothing could be read.
    .probe = "SELECT id, state, lanes FROM alert LIMIT 0;"
             "SELECT alert, state, at_ms, sum FROM told LIMIT 0;"
             "SELECT id, created_by, starts_ms, ends_ms, updated_ms, sum FROM silence LIMIT 0;"
             "SELECT sum(length(labels) + length(annotations) + length(place)) FROM alert;"
             "SELECT sum(length(receiver)) FROM told; SELECT id FROM last;" SILENCE_ROWS_PROBE
                 DELIVERY_ROWS_PROBE ACK_ROWS_PROBE};

static const char PUT[] =
    "INSERT OR REPLACE INTO alert VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)";
static const char LAST[] = "UPDATE last SET id = max(id, ?)";
static const char DROP[] = "DELETE FROM alert WHERE id = ?";
static const char TELL[] = "INSERT OR REPLACE INTO told VALUES(?,?,?,?,?)";
// Over, and every receiver is through with it.
static const char THROUGH[] =
    "DELETE FROM alert WHERE id = ?1 AND state = 3 AND"
    " (SELECT count(*) FROM told WHERE alert = ?1 AND state = 2) >= lanes";
static const char UNTELL[] = "DELETE FROM told WHERE alert = ?1 AND NOT EXISTS"
                             " (SELECT 1 FROM alert WHERE id = ?1)";

// A reload that made `for` longer may end an episode and fire it again.
static const char AFRESH[] = "DELETE FROM told WHERE alert = ? AND state = 2";

static void finalize(sqlite3_stmt **s)
{
    sqlite3_finalize(*s);
    *s = NULL;
}

static void close_file(struct journal_rows *r)
{
    finalize(&r->put);
    finalize(&r->last);
    finalize(&r->drop);
    finalize(&r->tell);
    finalize(&r->through);
    finalize(&r->untell);
    finalize(&r->afresh);
    delivery_rows_done(&r->deliveries);
    event_rows_close(&r->events);
    database_close(&r->file);
}

static bool prepare(struct journal_rows *r)
{
    if (r->put && r->events.put)
        return true;
    if (!event_rows_prepare(&r->events, &r->file))
        return false;
    r->last = database_prepare(&r->file, LAST);
    r->drop = database_prepare(&r->file, DROP);
    r->tell = database_prepare(&r->file, TELL);
    r->through = database_prepare(&r->file, THROUGH);
    r->untell = database_prepare(&r->file, UNTELL);
    r->afresh = database_prepare(&r->file, AFRESH);
    if (!delivery_rows_ready(&r->deliveries, &r->file))
        return false;
    r->put = database_prepare(&r->file, PUT);
    return r->last && r->drop && r->tell && r->through && r->untell && r->afresh && r->put;
}

static int64_t number_of(struct journal_rows *r, const char *sql)
{
    sqlite3_stmt *s = database_prepare(&r->file, sql);
    int64_t n = s && sqlite3_step(s) == SQLITE_ROW ? sqlite3_column_int64(s, 0) : 0;
    sqlite3_finalize(s);
    return n;
}

// Ids go on above any that may have been given: also where the file does not know them any more.
static void count_on(struct journal_rows *r, int64_t wall_ms)
{
    r->commits = (uint32_t)number_of(r, "PRAGMA user_version");
    uint64_t last = (uint64_t)number_of(r, "SELECT id FROM last");
    r->last_id = last > r->last_id ? last : r->last_id;
    if (r->mark.commits > r->commits) {
        r->missing = r->mark.commits - r->commits;
        r->commits = r->mark.commits;
    }
    r->last_id = r->mark.last_id > r->last_id ? r->mark.last_id : r->last_id;
    if (r->missing || r->file.anew || r->unread)
        r->last_id = (uint64_t)wall_ms > r->last_id ? (uint64_t)wall_ms : r->last_id;
}

void journal_rows_open(
    struct journal_rows *r, const char *state_dir, int64_t wall_ms, struct err *warn)
{
    *r = (struct journal_rows){0};
    journal_mark_open(&r->mark, state_dir);
    database_open(&r->file, state_dir, &OPTIONS, warn);
    r->unread = !r->file.db;
    count_on(r, wall_ms);
    if (r->unread)
        r->missing = 0; // nobody knows yet
    if (r->missing && !r->file.anew)
        err_set(warn, "%.400s: the last %u transactions are missing", r->file.path,
            (unsigned)r->missing);
}

void journal_rows_close(struct journal_rows *r)
{
    close_file(r);
    journal_mark_close(&r->mark);
}

bool journal_rows_ready(const struct journal_rows *r)
{
    return r->file.db != NULL;
}

// --- writing -------------------------------------------------------------------------------------

static int run(sqlite3_stmt *s)
{
    int rc = sqlite3_step(s);
    sqlite3_reset(s);
    return rc == SQLITE_DONE || rc == SQLITE_ROW ? 0 : rc;
}

static int run_id(sqlite3_stmt *s, uint64_t id)
{
    sqlite3_bind_int64(s, 1, (int64_t)id);
    return run(s);
}

// A file that could not be read at the start: what it holds was not taken up, so it is no longer true.
static int forget_unread(struct journal_rows *r)
{
    if (!r->unread)
        return SQLITE_OK;
    int64_t rows = number_of(r, "SELECT count(*) FROM alert");
    int rc = database_exec(&r->file, "DELETE FROM alert; DELETE FROM told");
    if (rc != SQLITE_OK)
        return rc;
    r->missing += rows > 0;
    r->unread = false;
    return rc;
}

// What a file that is opened again after a failure holds; of one begun anew, or unknown, nothing.
static void find_commits(struct journal_rows *r, bool same)
{
    uint32_t found = (uint32_t)number_of(r, "PRAGMA user_version");
    r->found = same && !r->unread ? found : 0;
    if (r->unread && found > r->commits)
        r->commits = found;
    journal_mark_again(&r->mark);
}

int journal_rows_begin(struct journal_rows *r, struct err *err)
{
    if (!database_there(&r->file))
        close_file(r);
    bool was = r->file.db != NULL;
    unsigned anew = r->file.anew;
    int rc = was ? SQLITE_OK : database_again(&r->file, err);
    if (rc == SQLITE_OK && !was)
        find_commits(r, anew == r->file.anew);
    if (rc == SQLITE_OK && !prepare(r))
        rc = SQLITE_ERROR;
    if (rc == SQLITE_OK)
        rc = database_exec(&r->file, "BEGIN IMMEDIATE");
    return rc == SQLITE_OK ? forget_unread(r) : rc;
}

// Every transaction has its number in the file, and beside it: so one that is missing is missed.
static int number_it(struct journal_rows *r)
{
    char sql[48];
    r->commits = r->commits < INT32_MAX ? r->commits + 1 : 1;
    snprintf(sql, sizeof(sql), "PRAGMA user_version = %u", (unsigned)r->commits);
    return database_exec(&r->file, sql);
}

int journal_rows_end(struct journal_rows *r, int rc, struct err *err)
{
    if (rc == 0)
        rc = number_it(r);
    if (rc == 0)
        rc = database_exec(&r->file, "COMMIT");
    if (rc == 0) {
        journal_mark_set(&r->mark, r->commits, r->last_id);
        return rc;
    }
    if (!r->file.db)
        return rc;
    err_set(err, "%s", sqlite3_errmsg(r->file.db));
    database_exec(&r->file, "ROLLBACK");
    close_file(r);
    return rc;
}

bool journal_rows_trim(struct journal_rows *r, int64_t now_ms)
{
    bool more = false;
    struct err err = {0};
    if (!r->file.db || !prepare(r))
        return false; // whoever has something to write opens it again
    int rc = event_rows_trim(&r->events, now_ms, EVENT_ROWS_MAX, &more);
    if (rc != 0)
        (void)journal_rows_end(r, rc, &err);
    return more;
}

// An episode that is over goes when all are through with it; without receivers that is now.
static int through(struct journal_rows *r, uint64_t id)
{
    int rc = run_id(r->through, id);
    return rc == 0 ? run_id(r->untell, id) : rc;
}

#define NUMBERS 13
static int put(struct journal_rows *r, const struct notice *n, int64_t state, size_t lanes)
{
    struct buf blob[4];
    int rc = SQLITE_NOMEM;
    int64_t number[NUMBERS] = {(int64_t)n->alert_id, (int64_t)n->rule_identity,
        (int64_t)n->fingerprint, (int64_t)n->element_hash, state, n->active_at_ms,
        n->starts_at_ms, n->ends_at_ms, n->silent_ms, n->cause_ms, n->decided_ms, n->line,
        (int64_t)lanes};
    for (int i = 0; i < 4; i++)
        buf_init(&blob[i], 1u << 24);
    bool ok = buf_add(&blob[0], &n->value, sizeof(n->value)) == 0 &&
              row_labels_add(&blob[1], &n->labels) &&
              row_labels_add(&blob[2], &n->annotations) && row_text_add(&blob[3], n->group) &&
              row_text_add(&blob[3], n->file) && row_text_add(&blob[3], n->expr);
    if (ok) {
        for (int i = 0; i < NUMBERS - 2; i++)
            sqlite3_bind_int64(r->put, i + 1, number[i]);
        sqlite3_bind_blob(r->put, 12, blob[0].data, (int)blob[0].len, SQLITE_STATIC);
        sqlite3_bind_int64(r->put, 13, n->line);
        for (int i = 1; i < 4; i++)
            sqlite3_bind_blob(r->put, 13 + i, blob[i].len ? (const void *)blob[i].data : "",
                (int)blob[i].len, SQLITE_STATIC);
        sqlite3_bind_int64(r->put, 17, (int64_t)lanes);
        sqlite3_bind_int64(r->put, 18, row_sum(number, NUMBERS, blob, 4));
        rc = run(r->put);
    }
    for (int i = 0; i < 4; i++)
        buf_done(&blob[i]);
    r->last_id = n->alert_id > r->last_id ? n->alert_id : r->last_id;
    return rc == 0 ? run_id(r->last, n->alert_id) : rc;
}

int journal_rows_alert(struct journal_rows *r, const struct notice *n, size_t lanes)
{
    int rc = 0;
    switch (n->to) {
    case ALERT_PENDING: return put(r, n, ROW_PENDING, lanes);
    case ALERT_FIRING:
        rc = put(r, n, ROW_FIRING, lanes);
        return rc == 0 ? run_id(r->afresh, n->alert_id) : rc;
    case ALERT_INACTIVE: break;
    }
    rc = n->from == ALERT_FIRING ? put(r, n, ROW_OVER, lanes) : run_id(r->drop, n->alert_id);
    return rc == 0 ? through(r, n->alert_id) : rc;
}

static int64_t told_sum(uint64_t id, const char *receiver, int64_t state, int64_t at_ms)
{
    int64_t number[3] = {(int64_t)id, state, at_ms};
    return (int64_t)hash_bytes(
        receiver, strlen(receiver), hash_bytes(number, sizeof(number), 3));
}

int journal_rows_told(struct journal_rows *r, const char *receiver, uint64_t alert_id,
    enum told told, int64_t at_ms)
{
    sqlite3_bind_int64(r->tell, 1, (int64_t)alert_id);
    sqlite3_bind_text(r->tell, 2, receiver, -1, SQLITE_STATIC);
    sqlite3_bind_int64(r->tell, 3, told);
    sqlite3_bind_int64(r->tell, 4, at_ms);
    sqlite3_bind_int64(r->tell, 5, told_sum(alert_id, receiver, told, at_ms));
    int rc = run(r->tell);
    return rc == 0 && told == TOLD_OVER ? through(r, alert_id) : rc;
}

// --- reading -------------------------------------------------------------------------------------

#define RECEIVERS_MAX 256
struct told_rows {
    const char *receiver[RECEIVERS_MAX];
    enum told told[RECEIVERS_MAX];
    int64_t at_ms[RECEIVERS_MAX];
    size_t n;
};

struct told_row {
    const char *receiver; // SQLite's, until the next step
    int64_t state, at_ms;
};

// Of a row of alert, receiver, state, at_ms, sum. False: it is not what was written.
static bool read_told_row(sqlite3_stmt *s, struct told_row *ret)
{
    *ret = (struct told_row){(const char *)sqlite3_column_text(s, 1),
        sqlite3_column_int64(s, 2), sqlite3_column_int64(s, 3)};
    return ret->receiver && ret->state >= TOLD_FIRING && ret->state <= TOLD_OVER &&
           sqlite3_column_int64(s, 4) == told_sum((uint64_t)sqlite3_column_int64(s, 0),
                                             ret->receiver, ret->state, ret->at_ms);
}

// Damaged ones are left out; count_told counts them.
static void read_told(sqlite3_stmt *s, uint64_t id, struct arena *a, struct told_rows *t)
{
    struct told_row row;
    t->n = 0;
    sqlite3_reset(s);
    sqlite3_bind_int64(s, 1, (int64_t)id);
    while (sqlite3_step(s) == SQLITE_ROW && t->n < RECEIVERS_MAX) {
        // Among rows out of order another's may be found.
        if (!read_told_row(s, &row) || (uint64_t)sqlite3_column_int64(s, 0) != id)
            continue;
        t->receiver[t->n] = arena_strndup(a, row.receiver, strlen(row.receiver));
        t->told[t->n] = (enum told)row.state;
        t->at_ms[t->n] = row.at_ms;
        t->n += t->receiver[t->n] != NULL;
    }
}

// False: the row is not what was written.
static bool read_alert(sqlite3_stmt *s, struct arena *a, struct notice *n, size_t *ret_lanes)
{
    int64_t number[NUMBERS];
    for (int i = 0; i < NUMBERS - 2; i++)
        number[i] = sqlite3_column_int64(s, i);
    number[NUMBERS - 2] = sqlite3_column_int64(s, 12);
    number[NUMBERS - 1] = sqlite3_column_int64(s, 16);
    struct buf blob[4] = {row_blob(s, 11), row_blob(s, 13), row_blob(s, 14), row_blob(s, 15)};
    if (sqlite3_column_int64(s, 17) != row_sum(number, NUMBERS, blob, 4) ||
        blob[0].len != sizeof(n->value) || number[4] < ROW_PENDING || number[4] > ROW_OVER)
        return false;
    const char *at = (const char *)blob[3].data, *end = at ? at + blob[3].len : NULL;
    *n = (struct notice){.alert_id = (uint64_t)number[0],
        .rule_identity = (uint64_t)number[1],
        .fingerprint = (uint64_t)number[2],
        .element_hash = (uint64_t)number[3],
        .from = number[4] == ROW_PENDING ? ALERT_INACTIVE
                : number[4] == ROW_OVER  ? ALERT_FIRING
                                         : ALERT_PENDING,
        .to = number[4] == ROW_PENDING  ? ALERT_PENDING
              : number[4] == ROW_FIRING ? ALERT_FIRING
                                        : ALERT_INACTIVE,
        .active_at_ms = number[5],
        .starts_at_ms = number[6],
        .ends_at_ms = number[7],
        .silent_ms = number[8],
        .cause_ms = number[9],
        .decided_ms = number[10],
        .line = (int)number[11],
        .group = row_text_next(&at, end),
        .file = row_text_next(&at, end),
        .expr = row_text_next(&at, end)};
    memcpy(&n->value, blob[0].data, sizeof(n->value));
    *ret_lanes = (size_t)number[12];
    return n->group && n->file && n->expr && row_labels(&blob[1], a, &n->labels) &&
           row_labels(&blob[2], a, &n->annotations);
}

int journal_rows_owed(struct journal_rows *r, uint64_t alert_id, size_t lanes)
{
    struct arena a;
    struct notice n;
    size_t before;
    int rc = 0;
    sqlite3_stmt *s = database_prepare(&r->file, "SELECT * FROM alert WHERE id = ?");
    if (!s)
        return SQLITE_ERROR;
    arena_init(&a, 0);
    sqlite3_bind_int64(s, 1, (int64_t)alert_id);
    if (sqlite3_step(s) == SQLITE_ROW && read_alert(s, &a, &n, &before) &&
        n.to == ALERT_INACTIVE)
        rc = put(r, &n, ROW_OVER, before + lanes);
    sqlite3_finalize(s);
    arena_done(&a);
    return rc;
}

// A flipped bit in the number of an episode takes what was told away from it, and others with it,
// because what is looked up among rows out of order is not found. So all are walked, too.
static void count_told(struct journal_rows *r, size_t found)
{
    size_t fine = 0;
    sqlite3_stmt *s = database_prepare(&r->file,
        "SELECT alert, receiver, state, at_ms, sum, alert IN (SELECT id FROM alert) FROM told");
    while (s && sqlite3_step(s) == SQLITE_ROW) {
        struct told_row row;
        if (!read_told_row(s, &row))
            r->damaged++;
        else
            fine += sqlite3_column_int(s, 5) != 0;
    }
    r->damaged += fine > found ? fine - found : 0;
    sqlite3_finalize(s);
}

void journal_rows_each(
    struct journal_rows *r, void (*fn)(void *ctx, const struct journal_row *row), void *ctx)
{
    struct told_rows *t = calloc(1, sizeof(*t));
    struct arena a;
    sqlite3_stmt *s = database_prepare(&r->file, "SELECT * FROM alert ORDER BY id");
    sqlite3_stmt *told = database_prepare(&r->file,
        "SELECT alert, receiver, state, at_ms, sum FROM told WHERE alert = ? ORDER BY receiver");
    size_t found = 0;
    arena_init(&a, 0);
    while (t && s && told && sqlite3_step(s) == SQLITE_ROW) {
        struct notice n;
        size_t lanes;
        arena_reset(&a);
        read_told(told, (uint64_t)sqlite3_column_int64(s, 0), &a, t);
        found += t->n;
        if (!read_alert(s, &a, &n, &lanes)) {
            r->damaged++;
            continue;
        }
        struct journal_row row = {.notice = &n,
            .receiver = t->receiver,
            .told = t->told,
            .at_ms = t->at_ms,
            .n = t->n,
            .lanes = lanes};
        fn(ctx, &row);
    }
    count_told(r, found);
    sqlite3_finalize(s);
    sqlite3_finalize(told);
    arena_done(&a);
    free(t);
}
