// SPDX-License-Identifier: Apache-2.0
#include "collector/inventory.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/ring.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>

#define NOTES_MAX  4096
#define LABEL_BLOB (WIRE_LABELS_MAX * (WIRE_NAME_MAX + WIRE_VALUE_MAX + 2))

struct inventory {
    char path[4096];
    sqlite3 *db; // NULL: cannot be opened
    sqlite3_stmt *put;
    struct ring *notes;
    struct loop *loop;
    pthread_t thread;
    bool running;
    atomic_bool ok;
};

static const char SCHEMA[] = "PRAGMA journal_mode=WAL;"
                             "PRAGMA synchronous=NORMAL;"
                             "CREATE TABLE IF NOT EXISTS agent("
                             " id BLOB PRIMARY KEY, host TEXT NOT NULL, labels BLOB NOT NULL,"
                             " epoch INTEGER NOT NULL, last_seen_ms INTEGER NOT NULL,"
                             " gone INTEGER NOT NULL) WITHOUT ROWID;";
static const char PUT[] = "INSERT INTO agent VALUES(?,?,?,?,?,?) ON CONFLICT(id) DO UPDATE SET"
                          " host=excluded.host, labels=excluded.labels, epoch=excluded.epoch,"
                          " last_seen_ms=excluded.last_seen_ms, gone=excluded.gone";

static void db_close(struct inventory *v)
{
    sqlite3_finalize(v->put);
    sqlite3_close(v->db);
    v->put = NULL;
    v->db = NULL;
}

static int db_open(struct inventory *v, struct err *err)
{
    int rc = sqlite3_open_v2(v->path, &v->db,
        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc == SQLITE_OK)
        sqlite3_busy_timeout(v->db, 1000);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(v->db, SCHEMA, NULL, NULL, NULL);
    // Opening reads one page: what is broken further in shows now, not in the middle of a start.
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(
            v->db, "SELECT count(*), max(last_seen_ms) FROM agent", NULL, NULL, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_prepare_v2(v->db, PUT, -1, &v->put, NULL);
    if (rc == SQLITE_OK)
        return SQLITE_OK;
    err_set(err, "%s: %s", v->path, v->db ? sqlite3_errmsg(v->db) : sqlite3_errstr(rc));
    db_close(v);
    return rc & 0xff;
}

static void move_aside(struct inventory *v, struct err *warn)
{
    char to[sizeof(v->path) + 32], wal[sizeof(v->path) + 8];
    snprintf(to, sizeof(to), "%s.broken-%lld", v->path, (long long)time(NULL));
    bool moved = rename(v->path, to) == 0;
    for (int i = 0; i < 2; i++) {
        snprintf(wal, sizeof(wal), "%s%s", v->path, i ? "-shm" : "-wal");
        (void)remove(wal);
    }
    struct err again = {0};
    char was[sizeof(warn->msg)];
    snprintf(was, sizeof(was), "%s", warn->msg);
    if (moved && db_open(v, &again) == SQLITE_OK)
        err_set(warn, "%.200s: moved to %.200s, the agents seen before are not known", was, to);
}

struct inventory *inventory_open(const char *state_dir, struct err *warn)
{
    struct inventory *v = calloc(1, sizeof(*v));
    if (!v)
        return NULL;
    v->notes = ring_new(NOTES_MAX);
    v->loop = loop_new();
    if (!v->notes || !v->loop) {
        inventory_stop(v);
        return NULL;
    }
    if (snprintf(v->path, sizeof(v->path), "%s/catalogue.db", state_dir) >=
        (int)sizeof(v->path)) {
        err_set(warn, "state_dir is too long");
        return v;
    }
    int rc = db_open(v, warn);
    if (rc == SQLITE_CORRUPT || rc == SQLITE_NOTADB)
        move_aside(v, warn);
    atomic_store(&v->ok, v->db != NULL);
    return v;
}

// Labels as name 0 value 0 ...; returns how many, 0 when the bytes are not that.
static size_t labels_read(const char *blob, int bytes, struct wire_label *ret)
{
    size_t n = 0;
    const char *end = blob + bytes;
    while (blob && blob < end && n < WIRE_LABELS_MAX) {
        const char *value = memchr(blob, 0, (size_t)(end - blob));
        if (!value || ++value >= end)
            return 0;
        const char *next = memchr(value, 0, (size_t)(end - value));
        if (!next)
            return 0;
        ret[n++] = (struct wire_label){blob, value};
        blob = next + 1;
    }
    return n;
}

void inventory_each(
    struct inventory *v, void (*fn)(void *ctx, const struct inventory_agent *a), void *ctx)
{
    sqlite3_stmt *s = NULL;
    if (!v->db || sqlite3_prepare_v2(v->db,
                      "SELECT id,host,labels,epoch,last_seen_ms,gone FROM agent", -1, &s, NULL))
        return;
    while (sqlite3_step(s) == SQLITE_ROW) {
        struct wire_label labels[WIRE_LABELS_MAX];
        struct inventory_agent a = {.host = (const char *)sqlite3_column_text(s, 1),
            .labels = labels,
            .epoch = (uint64_t)sqlite3_column_int64(s, 3),
            .last_seen_ms = sqlite3_column_int64(s, 4),
            .gone = sqlite3_column_int(s, 5) != 0};
        if (sqlite3_column_bytes(s, 0) != 16 || !a.host || !*a.host)
            continue;
        memcpy(a.agent_id, sqlite3_column_blob(s, 0), 16);
        a.n_labels = labels_read(sqlite3_column_blob(s, 2), sqlite3_column_bytes(s, 2), labels);
        fn(ctx, &a);
    }
    sqlite3_finalize(s);
}

static int put(struct inventory *v, const struct agent_note *n)
{
    char *blob = malloc(LABEL_BLOB);
    size_t len = 0;
    if (!blob)
        return SQLITE_NOMEM;
    for (size_t i = 0; i < n->n_labels && i < WIRE_LABELS_MAX; i++) {
        size_t a = strlen(n->labels[i].name) + 1, b = strlen(n->labels[i].value) + 1;
        if (len + a + b > LABEL_BLOB)
            break;
        memcpy(blob + len, n->labels[i].name, a);
        memcpy(blob + len + a, n->labels[i].value, b);
        len += a + b;
    }
    sqlite3_reset(v->put);
    sqlite3_bind_blob(v->put, 1, n->agent_id, 16, SQLITE_STATIC);
    sqlite3_bind_text(v->put, 2, n->host, -1, SQLITE_STATIC);
    sqlite3_bind_blob(v->put, 3, blob, (int)len, SQLITE_STATIC);
    sqlite3_bind_int64(v->put, 4, (int64_t)n->epoch);
    sqlite3_bind_int64(v->put, 5, n->last_seen_ms);
    sqlite3_bind_int(v->put, 6, n->gone);
    int rc = sqlite3_step(v->put);
    sqlite3_reset(v->put);
    free(blob);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

// All that waits in one transaction.
static void drain(struct inventory *v)
{
    struct agent_note *n = ring_pop(v->notes);
    if (!n)
        return;
    struct err err = {0};
    bool was = atomic_load(&v->ok);
    int rc = v->db ? SQLITE_OK : db_open(v, &err);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(v->db, "BEGIN", NULL, NULL, NULL);
    for (; n; n = ring_pop(v->notes)) {
        if (rc == SQLITE_OK)
            rc = put(v, n);
        agent_note_free(n);
    }
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(v->db, "COMMIT", NULL, NULL, NULL);
    if (rc != SQLITE_OK && v->db) {
        err_set(&err, "%s", sqlite3_errmsg(v->db));
        sqlite3_exec(v->db, "ROLLBACK", NULL, NULL, NULL);
        db_close(v); // opened anew at the next note
    }
    atomic_store(&v->ok, rc == SQLITE_OK);
    if (rc != SQLITE_OK)
        log_warn("inventory_not_written", "file=%s error=%s", log_q(v->path), log_q(err.msg));
    else if (!was)
        log_info("inventory_written_again", "file=%s", log_q(v->path));
}

static void on_notes(void *ctx, int fd, uint32_t events)
{
    struct inventory *v = ctx;
    (void)fd;
    (void)events;
    ring_drain_wakeup(v->notes);
    drain(v);
}

static void *run(void *ctx)
{
    struct inventory *v = ctx;
    drain(v);
    (void)loop_run(v->loop);
    drain(v);
    return NULL;
}

int inventory_start(struct inventory *v, struct err *err)
{
    if (!loop_io_add(v->loop, ring_fd(v->notes), EPOLLIN, on_notes, v)) {
        err_set(err, "out of memory");
        return -ENOMEM;
    }
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int rc = pthread_create(&v->thread, NULL, run, v);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (rc != 0) {
        err_set(err, "cannot start the inventory's thread: %s", strerror(rc));
        return -rc;
    }
    pthread_setname_np(v->thread, "inventory");
    v->running = true;
    return 0;
}

bool inventory_note(struct inventory *v, struct agent_note *n)
{
    return ring_push(v->notes, n);
}

bool inventory_ok(const struct inventory *v)
{
    return atomic_load(&v->ok);
}

void inventory_stop(struct inventory *v)
{
    if (!v)
        return;
    if (v->running) {
        loop_stop(v->loop);
        pthread_join(v->thread, NULL);
    }
    struct agent_note *n;
    while (v->notes && (n = ring_pop(v->notes)))
        agent_note_free(n);
    db_close(v);
    loop_free(v->loop);
    ring_free(v->notes);
    free(v);
}
