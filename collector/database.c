// SPDX-License-Identifier: Apache-2.0
#include "collector/database.h"
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define BUSY_MS 1000

// How a file is opened, one after the other until it can be read.
enum way {
    WAY_SHARED, // others may read it meanwhile
    WAY_ALONE,  // without the file that readers share: a full disk has no room for it
    WAY_FROZEN, // read-only disk and nothing in the write-ahead log
    WAYS
};

static uint64_t inode_of(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 ? (uint64_t)st.st_ino : 0;
}

static int check_row(void *ctx, int n, char **value, char **name)
{
    (void)name;
    bool *fine = ctx;
    *fine = *fine && n == 1 && value[0] && strcmp(value[0], "ok") == 0;
    return 0;
}

// Also of what no statement of ours would notice.
static int check_pages(struct database *d)
{
    bool fine = true;
    int rc = sqlite3_exec(d->db, d->o.check, check_row, &fine, NULL);
    return rc == SQLITE_OK && !fine ? SQLITE_CORRUPT : rc;
}

static int number_row(void *ctx, int n, char **value, char **name)
{
    (void)name;
    *(bool *)ctx = n == 1 && value[0] && strcmp(value[0], "0") != 0;
    return 0;
}

// The tables that are missing, unless they cannot be.
static int make_tables(struct database *d)
{
    bool used = false;
    (void)sqlite3_exec(d->db, "PRAGMA user_version", number_row, &used, NULL);
    if (used && d->o.always &&
        sqlite3_exec(d->db, d->o.always, NULL, NULL, NULL) == SQLITE_ERROR)
        return SQLITE_CORRUPT;
    return sqlite3_exec(d->db, d->o.schema, NULL, NULL, NULL);
}

static bool has_log(const struct database *d)
{
    char path[sizeof(d->path) + 8];
    struct stat st;
    snprintf(path, sizeof(path), "%s-wal", d->path);
    return stat(path, &st) == 0 && st.st_size > 0;
}

static int open_way(struct database *d, enum way way, struct err *err)
{
    char uri[sizeof(d->path) + 32];
    snprintf(uri, sizeof(uri), "file:%s%s", d->path, way == WAY_FROZEN ? "?immutable=1" : "");
    int rc = sqlite3_open_v2(way == WAY_FROZEN ? uri : d->path, &d->db,
        (way == WAY_FROZEN ? SQLITE_OPEN_READONLY | SQLITE_OPEN_URI
                           : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE) |
            SQLITE_OPEN_NOMUTEX,
        NULL);
    if (rc == SQLITE_OK)
        sqlite3_busy_timeout(d->db, BUSY_MS);
    if (rc == SQLITE_OK && way == WAY_ALONE)
        rc = sqlite3_exec(d->db, "PRAGMA locking_mode=EXCLUSIVE", NULL, NULL, NULL);
    if (rc == SQLITE_OK && way != WAY_FROZEN)
        rc = sqlite3_exec(d->db, d->o.pragmas, NULL, NULL, NULL);
    if (rc == SQLITE_OK && sqlite3_exec(d->db, d->o.probe, NULL, NULL, NULL) == SQLITE_ERROR)
        rc = make_tables(d);
    if (rc == SQLITE_OK)
        rc = check_pages(d);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(d->db, d->o.probe, NULL, NULL, NULL);
    if (rc == SQLITE_OK)
        return rc;
    if (rc == SQLITE_ERROR) // the schema itself has other columns than ours
        rc = SQLITE_CORRUPT;
    err_set(err, "%s: %s", d->path,
        d->db && rc != SQLITE_CORRUPT ? sqlite3_errmsg(d->db) : sqlite3_errstr(rc));
    database_close(d);
    return rc & 0xff;
}

static bool is_broken(int rc)
{
    return rc == SQLITE_CORRUPT || rc == SQLITE_NOTADB;
}

static int open_file(struct database *d, struct err *err)
{
    uint64_t before = d->inode;
    struct err first = {0}, more = {0};
    int rc = open_way(d, WAY_SHARED, &first);
    for (int way = WAY_ALONE; rc != SQLITE_OK && !is_broken(rc) && way < WAYS; way++)
        if (rc != SQLITE_BUSY && inode_of(d->path) && (way != WAY_FROZEN || !has_log(d))) {
            int other = open_way(d, (enum way)way, &more);
            rc = other == SQLITE_OK || is_broken(other) ? other : rc;
        }
    if (rc == SQLITE_OK) {
        d->inode = inode_of(d->path);
        d->anew += d->gone || (before && before != d->inode);
        d->gone = false;
    } else {
        err_set(err, "%s", first.msg);
    }
    return rc;
}

// SQLITE_OK when another file stands in its place.
static int move_aside(struct database *d, struct err *warn)
{
    char to[sizeof(d->path) + 32], beside[sizeof(d->path) + 8];
    snprintf(to, sizeof(to), "%s.broken-%lld", d->path, (long long)time(NULL));
    bool moved = rename(d->path, to) == 0;
    for (int i = 0; moved && i < 2; i++) {
        snprintf(beside, sizeof(beside), "%s%s", d->path, i ? "-shm" : "-wal");
        (void)remove(beside);
    }
    struct err again = {0};
    char was[sizeof(warn->msg)];
    snprintf(was, sizeof(was), "%s", warn->msg);
    d->inode = 0;
    d->gone = false;
    int rc = moved ? open_file(d, &again) : SQLITE_CANTOPEN;
    if (rc != SQLITE_OK)
        return rc;
    d->anew++;
    err_set(warn, "%.200s: moved to %.200s, what it held is not known", was, to);
    return rc;
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
    if (is_broken(open_file(d, warn)))
        (void)move_aside(d, warn);
}

int database_again(struct database *d, struct err *err)
{
    database_close(d);
    int rc = open_file(d, err);
    return is_broken(rc) ? move_aside(d, err) : rc;
}

bool database_there(const struct database *d)
{
    return d->db && inode_of(d->path) == d->inode;
}

void database_close(struct database *d)
{
    // The number of a file that is gone may be given to the next one.
    d->gone = d->gone || (d->db && d->inode && !database_there(d));
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
