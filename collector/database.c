// SPDX-License-Identifier: Apache-2.0
#include "collector/database.h"
#include <stdio.h>
#include <string.h>
#include <time.h>

#define BUSY_MS 1000

static int open_file(struct database *d, struct err *err)
{
    int rc = sqlite3_open_v2(d->path, &d->db,
        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc == SQLITE_OK)
        sqlite3_busy_timeout(d->db, BUSY_MS);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(d->db, d->o.schema, NULL, NULL, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(d->db, d->o.probe, NULL, NULL, NULL);
    if (rc == SQLITE_OK)
        return rc;
    err_set(err, "%s: %s", d->path, d->db ? sqlite3_errmsg(d->db) : sqlite3_errstr(rc));
    database_close(d);
    return rc & 0xff;
}

static void move_aside(struct database *d, struct err *warn)
{
    char to[sizeof(d->path) + 32], beside[sizeof(d->path) + 8];
    snprintf(to, sizeof(to), "%s.broken-%lld", d->path, (long long)time(NULL));
    bool moved = rename(d->path, to) == 0;
    for (int i = 0; i < 2; i++) {
        snprintf(beside, sizeof(beside), "%s%s", d->path, i ? "-shm" : "-wal");
        (void)remove(beside);
    }
    struct err again = {0};
    char was[sizeof(warn->msg)];
    snprintf(was, sizeof(was), "%s", warn->msg);
    if (!moved || open_file(d, &again) != SQLITE_OK)
        return;
    d->moved_aside = true;
    err_set(warn, "%.200s: moved to %.200s, what it held is not known", was, to);
}

void database_open(struct database *d, const char *state_dir, const struct database_options *o,
    struct err *warn)
{
    *d = (struct database){.o = *o};
    if (snprintf(d->path, sizeof(d->path), "%s/%s", state_dir, o->name) >=
        (int)sizeof(d->path)) {
        err_set(warn, "state_dir is too long");
        d->path[0] = '\0';
        return;
    }
    int rc = open_file(d, warn);
    if (rc == SQLITE_CORRUPT || rc == SQLITE_NOTADB)
        move_aside(d, warn);
}

int database_again(struct database *d, struct err *err)
{
    database_close(d);
    return open_file(d, err);
}

void database_close(struct database *d)
{
    sqlite3_close(d->db);
    d->db = NULL;
}

sqlite3_stmt *database_prepare(struct database *d, const char *sql)
{
    sqlite3_stmt *s = NULL;
    if (!d->db || sqlite3_prepare_v2(d->db, sql, -1, &s, NULL) != SQLITE_OK)
        return NULL;
    return s;
}

int database_exec(struct database *d, const char *sql)
{
    return d->db ? sqlite3_exec(d->db, sql, NULL, NULL, NULL) : SQLITE_CANTOPEN;
}
