// SPDX-License-Identifier: Apache-2.0
#include "collector/inventory.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/ring.h"
#include "base/thread.h"
#include "collector/database.h"
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#define NOTES_MAX  4096
#define LABEL_BLOB (WIRE_LABELS_MAX * (WIRE_NAME_MAX + WIRE_VALUE_MAX + 2))

struct inventory {
    struct database file;
    sqlite3_stmt *put;
    struct ring *notes;
    struct loop *loop;
    pthread_t thread;
    bool running;
    atomic_bool ok;
};

static const struct database_options FILE_OPTIONS = {.name = "catalogue.db",
    .pragmas = "PRAGMA journal_mode=WAL;"
               "PRAGMA synchronous=NORMAL;",
    .check = "PRAGMA quick_check(1);",
    .schema = "CREATE TABLE IF NOT EXISTS agent("
              " id BLOB PRIMARY KEY, host TEXT NOT NULL, labels BLOB NOT NULL,"
              " epoch INTEGER NOT NULL, last_seen_ms INTEGER NOT NULL,"
              " gone INTEGER NOT NULL) WITHOUT ROWID;",
    .probe = "SELECT count(*), max(last_seen_ms) FROM agent"};
static const char PUT[] = "INSERT INTO agent VALUES(?,?,?,?,?,?) ON CONFLICT(id) DO UPDATE SET"
                          " host=excluded.host, labels=excluded.labels, epoch=excluded.epoch,"
                          " last_seen_ms=excluded.last_seen_ms, gone=excluded.gone";

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
    database_open(&v->file, state_dir, &FILE_OPTIONS, warn);
    atomic_store(&v->ok, v->file.db != NULL);
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
    sqlite3_stmt *s =
        database_prepare(&v->file, "SELECT id,host,labels,epoch,last_seen_ms,gone FROM agent");
    if (!s)
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

static void close_file(struct inventory *v)
{
    sqlite3_finalize(v->put);
    v->put = NULL;
    database_close(&v->file);
}

// All that waits in one transaction.
static void drain(struct inventory *v)
{
    struct agent_note *n = ring_pop(v->notes);
    if (!n)
        return;
    struct err err = {0};
    bool was = atomic_load(&v->ok);
    if (!database_there(&v->file))
        close_file(v);
    int rc = v->file.db ? SQLITE_OK : database_again(&v->file, &err);
    if (rc == SQLITE_OK && !v->put)
        v->put = database_prepare(&v->file, PUT);
    if (rc == SQLITE_OK)
        rc = v->put ? database_exec(&v->file, "BEGIN") : SQLITE_ERROR;
    for (; n; n = ring_pop(v->notes)) {
        if (rc == SQLITE_OK)
            rc = put(v, n);
        agent_note_free(n);
    }
    if (rc == SQLITE_OK)
        rc = database_exec(&v->file, "COMMIT");
    if (rc != SQLITE_OK && v->file.db) {
        err_set(&err, "%s", sqlite3_errmsg(v->file.db));
        database_exec(&v->file, "ROLLBACK");
        close_file(v); // opened anew at the next note
    }
    atomic_store(&v->ok, rc == SQLITE_OK);
    if (rc != SQLITE_OK)
        log_warn(
            "inventory_not_written", "file=%s error=%s", log_q(v->file.path), log_q(err.msg));
    else if (!was)
        log_info("inventory_written_again", "file=%s", log_q(v->file.path));
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
    int rc = thread_start(&v->thread, "inventory", run, v, err);
    v->running = rc == 0;
    return rc;
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
    close_file(v);
    loop_free(v->loop);
    ring_free(v->notes);
    free(v);
}
