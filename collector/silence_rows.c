// SPDX-License-Identifier: Apache-2.0
#include "collector/silence_rows.h"
#include "base/map.h"
#include <stdlib.h>
#include <string.h>

struct silence_row *silence_row_new(const struct silence *s, bool gone)
{
    struct buf m;
    buf_init(&m, 1u << 20);
    matchers_print(s->matchers.m, s->matchers.n, &m);
    const char *text = buf_cstr(&m);
    size_t a = strlen(text) + 1, b = strlen(s->created_by) + 1, c = strlen(s->comment) + 1;
    struct silence_row *r = m.failed ? NULL : malloc(sizeof(*r) + a + b + c);
    if (r) {
        char *to = (char *)(r + 1);
        *r = (struct silence_row){.s = *s, .gone = gone};
        r->s.matchers = (struct matcher_list){0};
        r->matchers = memcpy(to, text, a);
        r->s.created_by = memcpy(to + a, s->created_by, b);
        r->s.comment = memcpy(to + a + b, s->comment, c);
    }
    buf_done(&m);
    return r;
}

static int64_t sum_of(const struct silence *s, const char *matchers)
{
    int64_t number[3] = {s->starts_ms, s->ends_ms, s->updated_ms};
    const char *text[] = {s->id, matchers, s->created_by, s->comment};
    uint64_t h = hash_bytes(number, sizeof(number), 4);
    for (size_t i = 0; i < 4; i++)
        h = hash_bytes(text[i], strlen(text[i]) + 1, h);
    return (int64_t)h;
}

static int64_t quiet_sum(const char *id, int64_t quiet_ms)
{
    return (int64_t)hash_bytes(id, strlen(id), hash_bytes(&quiet_ms, sizeof(quiet_ms), 6));
}

// A table of its own: files of before have the other one already.
static int quiet_put(struct database *d, const struct silence_row *r)
{
    bool gone = r->gone || !r->s.quiet_ms;
    sqlite3_stmt *q =
        database_prepare(d, gone ? "DELETE FROM silence_quiet WHERE id = ?"
                                 : "INSERT OR REPLACE INTO silence_quiet VALUES(?,?,?)");
    if (!q)
        return SQLITE_ERROR;
    sqlite3_bind_text(q, 1, r->s.id, -1, SQLITE_STATIC);
    if (!gone) {
        sqlite3_bind_int64(q, 2, r->s.quiet_ms);
        sqlite3_bind_int64(q, 3, quiet_sum(r->s.id, r->s.quiet_ms));
    }
    int rc = sqlite3_step(q);
    sqlite3_finalize(q);
    return rc == SQLITE_DONE ? 0 : rc;
}

int silence_row_put(struct database *d, const struct silence_row *r)
{
    sqlite3_stmt *q = database_prepare(d, r->gone ? "DELETE FROM silence WHERE id = ?"
                                                  : "INSERT OR REPLACE INTO silence"
                                                    " VALUES(?,?,?,?,?,?,?,?)");
    if (!q)
        return SQLITE_ERROR;
    sqlite3_bind_text(q, 1, r->s.id, -1, SQLITE_STATIC);
    if (!r->gone) {
        sqlite3_bind_text(q, 2, r->matchers, -1, SQLITE_STATIC);
        sqlite3_bind_text(q, 3, r->s.created_by, -1, SQLITE_STATIC);
        sqlite3_bind_text(q, 4, r->s.comment, -1, SQLITE_STATIC);
        sqlite3_bind_int64(q, 5, r->s.starts_ms);
        sqlite3_bind_int64(q, 6, r->s.ends_ms);
        sqlite3_bind_int64(q, 7, r->s.updated_ms);
        sqlite3_bind_int64(q, 8, sum_of(&r->s, r->matchers));
    }
    int rc = sqlite3_step(q);
    sqlite3_finalize(q);
    return rc == SQLITE_DONE ? quiet_put(d, r) : rc;
}

static const char *text_of(sqlite3_stmt *q, int column)
{
    const char *s = (const char *)sqlite3_column_text(q, column);
    return s ? s : "";
}

void silence_rows_each(struct database *d, uint64_t *damaged,
    void (*fn)(void *ctx, const struct silence *s, const char *matchers), void *ctx)
{
    sqlite3_stmt *q = database_prepare(d,
        "SELECT s.id, matchers, created_by, comment, starts_ms, ends_ms, updated_ms, s.sum,"
        " q.quiet_ms, q.sum FROM silence s LEFT JOIN silence_quiet q ON q.id = s.id"
        " ORDER BY updated_ms, s.id");
    while (q && sqlite3_step(q) == SQLITE_ROW) {
        struct silence s = {.created_by = text_of(q, 2),
            .comment = text_of(q, 3),
            .starts_ms = sqlite3_column_int64(q, 4),
            .ends_ms = sqlite3_column_int64(q, 5),
            .updated_ms = sqlite3_column_int64(q, 6)};
        const char *id = text_of(q, 0), *matchers = text_of(q, 1);
        size_t len = strlen(id);
        if (len < sizeof(s.id))
            memcpy(s.id, id, len + 1);
        if (len >= sizeof(s.id) || sqlite3_column_int64(q, 7) != sum_of(&s, matchers))
            ++*damaged;
        else {
            int64_t quiet_ms = sqlite3_column_int64(q, 8);
            if (quiet_ms > 0 && sqlite3_column_int64(q, 9) == quiet_sum(s.id, quiet_ms))
                s.quiet_ms = quiet_ms;
            else
                *damaged += quiet_ms != 0; // then it ends at its end
            fn(ctx, &s, matchers);
        }
    }
    sqlite3_finalize(q);
}
