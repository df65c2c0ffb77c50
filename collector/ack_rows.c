// SPDX-License-Identifier: Apache-2.0
#include "collector/ack_rows.h"
#include "base/map.h"
#include <stdlib.h>
#include <string.h>

struct ack_row *ack_row_new(const struct ack *a, bool gone)
{
    size_t owner = strlen(a->owner) + 1, note = strlen(a->note) + 1;
    struct ack_row *r = malloc(sizeof(*r) + owner + note);
    if (!r)
        return NULL;
    char *to = (char *)(r + 1);
    *r = (struct ack_row){.a = *a, .gone = gone};
    r->a.owner = memcpy(to, a->owner, owner);
    r->a.note = memcpy(to + owner, a->note, note);
    return r;
}

static int64_t sum_of(const struct ack *a)
{
    int64_t number[3] = {(int64_t)a->alert_id, a->at_ms, a->until_ms};
    uint64_t h = hash_bytes(number, sizeof(number), 5);
    h = hash_bytes(a->owner, strlen(a->owner) + 1, h);
    return (int64_t)hash_bytes(a->note, strlen(a->note) + 1, h);
}

int ack_row_put(struct database *d, const struct ack_row *r)
{
    sqlite3_stmt *q =
        database_prepare(d, r->gone ? "DELETE FROM ack WHERE alert = ?"
                                    : "INSERT OR REPLACE INTO ack VALUES(?,?,?,?,?,?)");
    if (!q)
        return SQLITE_ERROR;
    sqlite3_bind_int64(q, 1, (int64_t)r->a.alert_id);
    if (!r->gone) {
        sqlite3_bind_text(q, 2, r->a.owner, -1, SQLITE_STATIC);
        sqlite3_bind_text(q, 3, r->a.note, -1, SQLITE_STATIC);
        sqlite3_bind_int64(q, 4, r->a.at_ms);
        sqlite3_bind_int64(q, 5, r->a.until_ms);
        sqlite3_bind_int64(q, 6, sum_of(&r->a));
    }
    int rc = sqlite3_step(q);
    sqlite3_finalize(q);
    return rc == SQLITE_DONE ? 0 : rc;
}

void ack_rows_each(struct database *d, uint64_t *damaged,
    void (*fn)(void *ctx, const struct ack *a), void *ctx)
{
    if (!d->db)
        return;
    database_exec(d, "DELETE FROM ack WHERE alert NOT IN (SELECT id FROM alert)");
    sqlite3_stmt *q = database_prepare(
        d, "SELECT alert, owner, note, at_ms, until_ms, sum FROM ack ORDER BY alert");
    while (q && sqlite3_step(q) == SQLITE_ROW) {
        const char *owner = (const char *)sqlite3_column_text(q, 1);
        const char *note = (const char *)sqlite3_column_text(q, 2);
        struct ack a = {.alert_id = (uint64_t)sqlite3_column_int64(q, 0),
            .owner = owner ? owner : "",
            .note = note ? note : "",
            .at_ms = sqlite3_column_int64(q, 3),
            .until_ms = sqlite3_column_int64(q, 4)};
        if (sqlite3_column_int64(q, 5) == sum_of(&a))
            fn(ctx, &a);
        else
            ++*damaged;
    }
    sqlite3_finalize(q);
}
