// SPDX-License-Identifier: Apache-2.0
#include "collector/event_rows.h"
#include "collector/row_bytes.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define NUMBERS 9 // id to value
#define TEXTS   6

static const char PUT[] = "INSERT INTO event VALUES(?,?,?,?,?,?,?,?,?,?,?,?)";
// The newest stays whatever its age, so that no id is used twice.
static const char TRIM[] =
    "DELETE FROM event WHERE id IN (SELECT id FROM event WHERE id < ?1 ORDER BY id LIMIT ?2)"
    " AND (id <= ?3 OR at_ms < ?4)";
static const char KNOWN[] = "SELECT 1 FROM silence WHERE id = ?";

void event_rows_close(struct event_rows *r)
{
    sqlite3_finalize(r->put);
    sqlite3_finalize(r->trim);
    sqlite3_finalize(r->known);
    r->put = r->trim = r->known = NULL;
}

static int last_of(struct event_rows *r)
{
    sqlite3_stmt *s = database_prepare(r->file, "SELECT max(id) FROM event");
    int rc = s ? sqlite3_step(s) : SQLITE_ERROR;
    if (rc == SQLITE_ROW)
        r->last_id = (uint64_t)sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    return rc & 0xff;
}

// Renaming writes the schema and touches no page of the table, so it works on one that is broken.
static bool set_aside(struct event_rows *r)
{
    char sql[96];
    snprintf(sql, sizeof(sql), "ALTER TABLE event RENAME TO \"event_broken_%lld\"",
        (long long)time(NULL));
    r->broken = false;
    return database_exec(r->file, sql) == SQLITE_OK &&
           database_exec(r->file, EVENT_ROWS_SCHEMA) == SQLITE_OK;
}

bool event_rows_prepare(struct event_rows *r, struct database *file)
{
    r->file = file;
    if (r->put)
        return true;
    int rc = r->broken ? SQLITE_CORRUPT : last_of(r);
    if (rc == SQLITE_CORRUPT)
        rc = set_aside(r) ? last_of(r) : SQLITE_ERROR;
    if (rc != SQLITE_ROW)
        return false;
    r->trim = database_prepare(file, TRIM);
    r->known = database_prepare(file, KNOWN);
    r->put = database_prepare(file, PUT);
    return r->put && r->trim && r->known;
}

static int run(struct event_rows *r, sqlite3_stmt *s)
{
    int rc = sqlite3_step(s);
    sqlite3_reset(s);
    if ((rc & 0xff) == SQLITE_CORRUPT)
        r->broken = true;
    return rc == SQLITE_DONE || rc == SQLITE_ROW ? 0 : rc;
}

static const char *or_empty(const char *s)
{
    return s ? s : "";
}

int event_rows_put(struct event_rows *r, const struct event *e)
{
    struct buf blob[2];
    int64_t number[NUMBERS] = {(int64_t)r->last_id + 1, e->kind, e->at_ms, (int64_t)e->alert_id,
        (int64_t)e->fingerprint, e->cause_ms, e->mutes, e->until_ms};
    const char *text[TEXTS] = {e->group, e->file, e->who, e->note, e->subject, e->matchers};
    int rc = SQLITE_NOMEM;
    memcpy(&number[NUMBERS - 1], &e->value, sizeof(e->value));
    buf_init(&blob[0], 1u << 24);
    buf_init(&blob[1], 1u << 24);
    bool ok = row_labels_add(&blob[0], &e->labels);
    for (int i = 0; i < TEXTS; i++)
        ok = ok && row_text_add(&blob[1], or_empty(text[i]));
    if (ok) {
        for (int i = 0; i < NUMBERS; i++)
            sqlite3_bind_int64(r->put, i + 1, number[i]);
        for (int i = 0; i < 2; i++)
            sqlite3_bind_blob(r->put, NUMBERS + 1 + i,
                blob[i].len ? (const void *)blob[i].data : "", (int)blob[i].len, SQLITE_STATIC);
        sqlite3_bind_int64(r->put, NUMBERS + 3, row_sum(number, NUMBERS, blob, 2));
        rc = run(r, r->put);
    }
    buf_done(&blob[0]);
    buf_done(&blob[1]);
    if (rc == 0)
        r->last_id++;
    return rc;
}

int event_rows_alert(struct event_rows *r, const struct notice *n, unsigned mutes)
{
    enum event_kind kind = EVENT_CLEARED;
    if (n->from == n->to)
        return 0;
    switch (n->to) {
    case ALERT_PENDING: kind = EVENT_PENDING; break;
    case ALERT_FIRING: kind = EVENT_FIRING; break;
    case ALERT_INACTIVE:
        if (n->from == ALERT_FIRING)
            kind = EVENT_RESOLVED;
        break;
    }
    struct event e = {.kind = kind,
        .at_ms = n->decided_ms,
        .alert_id = n->alert_id,
        .fingerprint = n->fingerprint,
        .cause_ms = n->cause_ms,
        .value = n->value,
        .mutes = mutes,
        .labels = n->labels,
        .group = n->group,
        .file = n->file};
    return event_rows_put(r, &e);
}

int event_rows_silence(struct event_rows *r, const struct silence_row *s)
{
    bool known = false;
    if (s->gone)
        return 0;
    sqlite3_bind_text(r->known, 1, s->s.id, -1, SQLITE_STATIC);
    known = sqlite3_step(r->known) == SQLITE_ROW;
    sqlite3_reset(r->known);
    bool ended = s->s.ends_ms <= s->s.updated_ms;
    // Alertmanager's API says who makes one, and not who ends it.
    struct event e = {.kind = ended   ? EVENT_SILENCE_ENDED
                              : known ? EVENT_SILENCE_CHANGED
                                      : EVENT_SILENCE_MADE,
        .at_ms = s->s.updated_ms,
        .who = ended ? "" : s->s.created_by,
        .note = s->s.comment,
        .subject = s->s.id,
        .matchers = s->matchers,
        .until_ms = s->s.ends_ms};
    return event_rows_put(r, &e);
}

int event_rows_trim(struct event_rows *r, int64_t now_ms, size_t rows_max, bool *ret_more)
{
    int64_t last = (int64_t)r->last_id;
    *ret_more = false;
    database_exec(r->file, "PRAGMA synchronous=NORMAL");
    int rc = database_exec(r->file, "BEGIN IMMEDIATE");
    if (rc == SQLITE_OK) {
        sqlite3_bind_int64(r->trim, 1, last);
        sqlite3_bind_int64(r->trim, 2, EVENT_TRIM);
        sqlite3_bind_int64(r->trim, 3, last - (int64_t)rows_max);
        sqlite3_bind_int64(r->trim, 4, now_ms - EVENT_KEEP_MS);
        rc = run(r, r->trim);
        *ret_more = rc == 0 && sqlite3_changes(r->file->db) == EVENT_TRIM;
        if (rc == 0)
            rc = database_exec(r->file, "COMMIT");
        if (rc != 0)
            database_exec(r->file, "ROLLBACK");
    }
    database_exec(r->file, "PRAGMA synchronous=FULL");
    return rc;
}

bool event_rows_read(sqlite3_stmt *s, struct arena *a, struct event *ret)
{
    int64_t number[NUMBERS];
    const char *text[TEXTS];
    for (int i = 0; i < NUMBERS; i++)
        number[i] = sqlite3_column_int64(s, i);
    struct buf blob[2] = {row_blob(s, NUMBERS), row_blob(s, NUMBERS + 1)};
    if (sqlite3_column_int64(s, NUMBERS + 2) != row_sum(number, NUMBERS, blob, 2) ||
        number[1] < 0 || number[1] > EVENT_ACKNOWLEDGEMENT_ENDED ||
        !event_kind_name((enum event_kind)number[1]))
        return false;
    const char *at = (const char *)blob[1].data, *end = at ? at + blob[1].len : NULL;
    for (int i = 0; i < TEXTS; i++)
        if (!at || !(text[i] = row_text_next(&at, end)))
            return false;
    *ret = (struct event){.id = (uint64_t)number[0],
        .kind = (enum event_kind)number[1],
        .at_ms = number[2],
        .alert_id = (uint64_t)number[3],
        .fingerprint = (uint64_t)number[4],
        .cause_ms = number[5],
        .mutes = (unsigned)number[6],
        .until_ms = number[7],
        .group = text[0],
        .file = text[1],
        .who = text[2],
        .note = text[3],
        .subject = text[4],
        .matchers = text[5]};
    memcpy(&ret->value, &number[8], sizeof(ret->value));
    return row_labels(&blob[0], a, &ret->labels);
}
