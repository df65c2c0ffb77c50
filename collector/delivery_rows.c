// SPDX-License-Identifier: Apache-2.0
#include "collector/delivery_rows.h"
#include "base/map.h"
#include "collector/mask.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TRIM_ROWS   "512"
#define DATA_MAX    65536
#define LETTER_TEXT 6
#define LETTER_NUMS 6

static const char PUT[] = "INSERT OR REPLACE INTO delivery VALUES(?,?,?,?,?,?,?)";
// A bounded piece of the oldest at a time. The newest stays, whose id the next run counts on from.
static const char TRIM[] =
    "DELETE FROM delivery WHERE id IN (SELECT id FROM delivery ORDER BY id LIMIT " TRIM_ROWS ")"
    " AND (at_ms < ?1 OR id <= ?2) AND id < (SELECT max(id) FROM delivery)";
static const char LETTER[] = "INSERT OR REPLACE INTO letter VALUES(?,?,?,?,?,?)";
static const char UNLETTER[] = "DELETE FROM letter WHERE id = ?";

static void finalize(sqlite3_stmt **s)
{
    sqlite3_finalize(*s);
    *s = NULL;
}

void delivery_rows_done(struct delivery_rows *r)
{
    finalize(&r->put);
    finalize(&r->trim);
    finalize(&r->letter);
    finalize(&r->unletter);
}

// Renamed, since to drop it SQLite would have to walk through its pages.
static bool begin_anew(struct database *d)
{
    char sql[512];
    snprintf(sql, sizeof(sql),
        "ALTER TABLE delivery RENAME TO delivery_broken_%lld;" DELIVERY_LOG_SCHEMA,
        (long long)time(NULL));
    return database_exec(d, sql) == SQLITE_OK;
}

bool delivery_rows_ready(struct delivery_rows *r, struct database *d)
{
    if (r->put)
        return true;
    if (r->broken)
        r->broken = !begin_anew(d);
    r->trim = database_prepare(d, TRIM);
    r->letter = database_prepare(d, LETTER);
    r->unletter = database_prepare(d, UNLETTER);
    r->put = database_prepare(d, PUT);
    return r->put && r->trim && r->letter && r->unletter;
}

static int run(sqlite3_stmt *s)
{
    int rc = sqlite3_step(s);
    sqlite3_reset(s);
    return rc == SQLITE_DONE || rc == SQLITE_ROW ? 0 : rc;
}

static void bind_blob(sqlite3_stmt *s, int at, const void *data, size_t len)
{
    sqlite3_bind_blob64(s, at, len ? data : "", len, SQLITE_STATIC);
}

// --- the log -------------------------------------------------------------------------------------

static int64_t log_sum(
    const int64_t number[3], const char *receiver, const char *data, const void *body, size_t n)
{
    uint64_t h = hash_bytes(number, 3 * sizeof(*number), 5);
    h = hash_bytes(receiver, strlen(receiver) + 1, h);
    h = hash_bytes(data, strlen(data) + 1, h);
    return (int64_t)hash_bytes(n ? body : "", n, h);
}

static int64_t pragma(struct database *d, const char *sql)
{
    sqlite3_stmt *s = database_prepare(d, sql);
    int64_t v = s && sqlite3_step(s) == SQLITE_ROW ? sqlite3_column_int64(s, 0) : 0;
    sqlite3_finalize(s);
    return v;
}

static int trim(struct delivery_rows *r, struct database *d, const struct delivery *newest)
{
    int64_t pages = pragma(d, "PRAGMA page_count") - pragma(d, "PRAGMA freelist_count");
    bool large = pages * pragma(d, "PRAGMA page_size") > DELIVERY_FILE_MAX;
    int64_t last = (int64_t)newest->id;
    sqlite3_bind_int64(r->trim, 1, newest->first_ms - DELIVERY_KEEP_MS);
    sqlite3_bind_int64(r->trim, 2, large ? last : last - DELIVERY_ROWS_MAX);
    return run(r->trim);
}

int delivery_rows_put(struct delivery_rows *r, struct database *d, const struct delivery *row)
{
    struct buf data;
    size_t body = row->body ? row->body_len : 0;
    int64_t number[3] = {(int64_t)row->id, row->first_ms, row->outcome};
    int rc = SQLITE_NOMEM;
    buf_init(&data, DATA_MAX);
    delivery_json(row, &data);
    const char *text = buf_cstr(&data);
    if (!data.failed) {
        for (int i = 0; i < 3; i++)
            sqlite3_bind_int64(r->put, i + 1, number[i]);
        sqlite3_bind_text(r->put, 4, row->receiver, -1, SQLITE_STATIC);
        sqlite3_bind_text(r->put, 5, text, -1, SQLITE_STATIC);
        sqlite3_bind_int64(r->put, 6, log_sum(number, row->receiver, text, row->body, body));
        bind_blob(r->put, 7, row->body, body);
        rc = run(r->put);
    }
    buf_done(&data);
    if (rc == 0 && ++r->puts % DELIVERY_TRIM_EACH == 0)
        rc = trim(r, d, row);
    r->broken |= (rc & 0xff) == SQLITE_CORRUPT;
    return rc;
}

static const char *text_of(sqlite3_stmt *s, int column)
{
    const char *text = (const char *)sqlite3_column_text(s, column);
    return text ? text : "";
}

// One row after the other objects. False: it is not what was written.
static bool add_row(
    sqlite3_stmt *s, const struct delivery_query *q, bool comma, struct buf *out)
{
    int64_t number[3];
    for (int i = 0; i < 3; i++)
        number[i] = sqlite3_column_int64(s, i);
    const char *receiver = text_of(s, 3), *data = text_of(s, 4);
    size_t len = strlen(data), body_len = (size_t)sqlite3_column_bytes(s, 6);
    const void *body = sqlite3_column_blob(s, 6);
    if (sqlite3_column_int64(s, 5) != log_sum(number, receiver, data, body, body_len) ||
        len < 2)
        return false;
    if (comma)
        buf_addc(out, ',');
    buf_add(out, data, len - 1);
    // The program ended meanwhile: what became of it is in a later message, with the same key if
    // it says the same.
    if (number[2] == DELIVERY_RETRYING && (uint64_t)number[0] <= q->run_id)
        buf_adds(out, ",\"interrupted\":true");
    if (q->id && body_len) {
        buf_adds(out, ",\"body\":");
        mask_json(body, body_len, out);
    }
    buf_addc(out, '}');
    return true;
}

int delivery_rows_list(sqlite3 *db, const struct delivery_query *q, struct buf *out)
{
    static const char SELECT[] =
        "SELECT id, at_ms, outcome, receiver, data, sum, body FROM delivery"
        " WHERE id < ?1 AND at_ms >= ?2 AND (?3 = 0 OR id = ?3) AND (?4 = 0 OR outcome <> 1)"
        " AND (?5 = '' OR receiver = ?5 OR substr(receiver, 1, length(?5) + 1) = ?5 || '/')"
        " ORDER BY id DESC LIMIT ?6";
    sqlite3_stmt *s = NULL;
    size_t n = 0, damaged = 0;
    int64_t last = 0;
    int rc = sqlite3_prepare_v2(db, SELECT, -1, &s, NULL);
    if (rc != SQLITE_OK)
        return rc;
    sqlite3_bind_int64(s, 1, q->before ? (int64_t)q->before : INT64_MAX);
    sqlite3_bind_int64(s, 2, q->since_ms);
    sqlite3_bind_int64(s, 3, (int64_t)q->id);
    sqlite3_bind_int(s, 4, q->failed);
    sqlite3_bind_text(s, 5, q->receiver ? q->receiver : "", -1, SQLITE_STATIC);
    sqlite3_bind_int64(s, 6, (int64_t)q->limit + 1);
    buf_adds(out, "{\"deliveries\":[");
    while ((rc = sqlite3_step(s)) == SQLITE_ROW && n + damaged < q->limit) {
        last = sqlite3_column_int64(s, 0);
        if (add_row(s, q, n > 0, out))
            n++;
        else
            damaged++;
    }
    buf_addf(out, "],\"damaged\":%zu", damaged);
    if (rc == SQLITE_ROW)
        buf_addf(out, ",\"next\":%" PRId64, last);
    buf_addc(out, '}');
    sqlite3_finalize(s);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? 0 : rc;
}

// --- letters -------------------------------------------------------------------------------------

static int64_t letter_sum(const int64_t *number, const void *texts, size_t texts_len,
    const void *alerts, size_t alerts_len, const void *body, size_t body_len)
{
    uint64_t h = hash_bytes(number, LETTER_NUMS * sizeof(*number), 6);
    h = hash_bytes(texts_len ? texts : "", texts_len, h);
    h = hash_bytes(alerts_len ? alerts : "", alerts_len, h);
    return (int64_t)hash_bytes(body_len ? body : "", body_len, h);
}

int delivery_rows_letter(struct delivery_rows *r, const struct letter *l)
{
    const char *text[LETTER_TEXT] = {l->lane, l->receiver, l->key, l->to, l->path, l->why};
    int64_t number[LETTER_NUMS] = {
        (int64_t)l->id, l->at_ms, l->cause_ms, l->decided_ms, l->status, l->tries};
    size_t alerts = l->n_alerts * sizeof(*l->alerts);
    struct buf b;
    int rc = SQLITE_NOMEM;
    buf_init(&b, 1u << 20);
    for (size_t i = 0; i < LETTER_TEXT; i++)
        buf_add(&b, text[i], strlen(text[i]) + 1);
    if (!b.failed) {
        sqlite3_bind_int64(r->letter, 1, number[0]);
        bind_blob(r->letter, 2, number, sizeof(number));
        bind_blob(r->letter, 3, b.data, b.len);
        bind_blob(r->letter, 4, l->alerts, alerts);
        bind_blob(r->letter, 5, l->body, l->body_len);
        sqlite3_bind_int64(r->letter, 6,
            letter_sum(number, b.data, b.len, l->alerts, alerts, l->body, l->body_len));
        rc = run(r->letter);
    }
    buf_done(&b);
    return rc;
}

int delivery_rows_unletter(struct delivery_rows *r, uint64_t id)
{
    sqlite3_bind_int64(r->unletter, 1, (int64_t)id);
    return run(r->unletter);
}

// False: the row is not what was written.
static bool read_letter(sqlite3_stmt *s, int64_t number[LETTER_NUMS], struct letter *l)
{
    const char *text[LETTER_TEXT];
    const char *at = sqlite3_column_blob(s, 2);
    size_t texts = (size_t)sqlite3_column_bytes(s, 2), alerts, body;
    const void *alert = sqlite3_column_blob(s, 3), *bytes = sqlite3_column_blob(s, 4);
    alerts = (size_t)sqlite3_column_bytes(s, 3);
    body = (size_t)sqlite3_column_bytes(s, 4);
    if (sqlite3_column_bytes(s, 1) != LETTER_NUMS * (int)sizeof(*number) ||
        alerts % sizeof(struct letter_alert))
        return false;
    memcpy(number, sqlite3_column_blob(s, 1), LETTER_NUMS * sizeof(*number));
    if (number[0] != sqlite3_column_int64(s, 0) ||
        sqlite3_column_int64(s, 5) != letter_sum(number, at, texts, alert, alerts, bytes, body))
        return false;
    for (size_t i = 0; i < LETTER_TEXT; i++) {
        const char *nul = at && texts ? memchr(at, 0, texts) : NULL;
        if (!nul)
            return false;
        text[i] = at;
        texts -= (size_t)(nul + 1 - at);
        at = nul + 1;
    }
    *l = (struct letter){.id = (uint64_t)number[0],
        .at_ms = number[1],
        .cause_ms = number[2],
        .decided_ms = number[3],
        .status = number[4],
        .tries = number[5],
        .lane = text[0],
        .receiver = text[1],
        .key = text[2],
        .to = text[3],
        .path = text[4],
        .why = text[5],
        .body = body ? bytes : "",
        .body_len = body};
    return true;
}

void delivery_rows_letters(struct database *d, uint64_t *damaged,
    void (*fn)(void *ctx, const struct letter *l), void *ctx)
{
    sqlite3_stmt *s = database_prepare(
        d, "SELECT id, numbers, texts, alerts, body, sum FROM letter ORDER BY id");
    while (s && sqlite3_step(s) == SQLITE_ROW) {
        int64_t number[LETTER_NUMS];
        struct letter l;
        size_t len = (size_t)sqlite3_column_bytes(s, 3);
        // Copied: a column of SQLite's stands where it likes, and alerts are read as numbers.
        struct letter_alert *alerts = malloc(len + 1);
        if (alerts && read_letter(s, number, &l)) {
            if (len)
                memcpy(alerts, sqlite3_column_blob(s, 3), len);
            l.alerts = alerts;
            l.n_alerts = len / sizeof(*alerts);
            fn(ctx, &l);
        } else {
            ++*damaged;
        }
        free(alerts);
    }
    sqlite3_finalize(s);
}

uint64_t delivery_rows_last_id(struct database *d)
{
    int64_t a = pragma(d, "SELECT max(id) FROM delivery"),
            b = pragma(d, "SELECT max(id) FROM letter");
    return (uint64_t)(a > b ? a : b);
}
