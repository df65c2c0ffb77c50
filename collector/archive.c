// SPDX-License-Identifier: Apache-2.0
#include "collector/archive.h"
#include "base/loop.h"
#include "base/thread.h"
#include "collector/api.h"
#include "collector/api_hooks.h"
#include "collector/delivery_rows.h"
#include "collector/event_query.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#define REQUESTS_MAX  64
#define LIMIT_DEFAULT 100
#define LIMIT_MAX     1000
#define BUSY_MS       1000

struct archive {
    char *path;
    uint64_t run_id;
    struct ring *requests, *answers;
    struct loop *loop;
    pthread_t thread;
    bool running;
};

static bool read_query(struct request *r, struct delivery_query *q)
{
    const char *failed = api_hooks_parameter(r, "failed");
    uint64_t limit = LIMIT_DEFAULT;
    q->receiver = api_hooks_parameter(r, "receiver");
    q->failed = failed && strcmp(failed, "0") != 0 && strcmp(failed, "false") != 0;
    if (!api_hooks_number(r, "id", &q->id) || !api_hooks_number(r, "before", &q->before) ||
        !api_hooks_number(r, "limit", &limit) || !api_hooks_time(r, "since", &q->since_ms))
        return false;
    q->limit = limit < 1 ? 1 : limit > LIMIT_MAX ? LIMIT_MAX : limit;
    return true;
}

static void answer(const struct archive *a, struct request *r)
{
    struct delivery_query q = {.run_id = a->run_id};
    sqlite3 *db = NULL;
    r->http_status = 200;
    if (!read_query(r, &q))
        return;
    int rc = sqlite3_open_v2(a->path, &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc == SQLITE_OK)
        sqlite3_busy_timeout(db, BUSY_MS);
    buf_adds(&r->body, "{\"status\":\"success\",\"data\":");
    if (rc == SQLITE_OK)
        rc = delivery_rows_list(db, &q, &r->body);
    buf_addc(&r->body, '}');
    if (rc != SQLITE_OK)
        api_error(r, 503, "unavailable", "the delivery log cannot be read: %s",
            db ? sqlite3_errmsg(db) : sqlite3_errstr(rc));
    else if (r->body.failed)
        api_error(r, 503, "unavailable", "the answer is too large, or memory is out");
    sqlite3_close(db);
}

static void on_requests(void *ctx, int fd, uint32_t events)
{
    struct archive *a = ctx;
    struct request *r;
    (void)fd;
    (void)events;
    ring_drain_wakeup(a->requests);
    while ((r = ring_pop(a->requests))) {
        if (r->kind == REQUEST_EVENTS)
            event_query_answer(a->path, r);
        else
            answer(a, r);
        if (!ring_push(a->answers, r))
            request_free(r);
    }
}

static void *run(void *ctx)
{
    struct archive *a = ctx;
    (void)loop_run(a->loop);
    return NULL;
}

struct archive *archive_start(const char *path, uint64_t run_id, struct err *err)
{
    struct archive *a = calloc(1, sizeof(*a));
    if (a) {
        a->run_id = run_id;
        a->path = strdup(path);
        a->requests = ring_new(REQUESTS_MAX);
        a->answers = ring_new(REQUESTS_MAX * 2);
        a->loop = loop_new();
    }
    if (!a || !a->path || !a->requests || !a->answers || !a->loop ||
        !loop_io_add(a->loop, ring_fd(a->requests), EPOLLIN, on_requests, a)) {
        err_set(err, "cannot read the delivery log: %s", strerror(errno));
        archive_stop(a);
        return NULL;
    }
    a->running = thread_start(&a->thread, "archive", run, a, err) == 0;
    if (a->running)
        return a;
    archive_stop(a);
    return NULL;
}

void archive_stop(struct archive *a)
{
    struct request *r;
    if (!a)
        return;
    if (a->running) {
        loop_stop(a->loop);
        pthread_join(a->thread, NULL);
    }
    while (a->requests && (r = ring_pop(a->requests)))
        request_free(r);
    while (a->answers && (r = ring_pop(a->answers)))
        request_free(r);
    ring_free(a->requests);
    ring_free(a->answers);
    loop_free(a->loop);
    free(a->path);
    free(a);
}

bool archive_ask(struct archive *a, struct request *r)
{
    return ring_push(a->requests, r);
}

struct ring *archive_answers(struct archive *a)
{
    return a->answers;
}
