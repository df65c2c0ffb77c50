// SPDX-License-Identifier: Apache-2.0
#include "collector/event_query.h"
#include "base/num.h"
#include "collector/api.h"
#include "collector/mutes.h"
#include "collector/params.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_LIMIT 100

struct query {
    struct arena arena;
    struct matcher_list matchers;
    int64_t since_ms, until_ms;
    uint64_t before, limit;
    uint32_t kinds; // set of 1 << kind; 0 = all
    bool count;
};

static void query_done(struct query *q)
{
    matcher_list_done(&q->matchers);
    arena_done(&q->arena);
}

// --- parameters ----------------------------------------------------------------------------------

static int query_add(struct query *q, const char *name, const char *value, struct err *err)
{
    enum event_kind kind;
    if (strcmp(name, "filter") == 0)
        return matchers_parse(value, strlen(value), &q->arena, &q->matchers, err);
    if (strcmp(name, "count") == 0) {
        q->count = strcmp(value, "false") != 0 && strcmp(value, "0") != 0;
        return 0;
    }
    if (strcmp(name, "kind") == 0) {
        if (!event_kind_parse(value, &kind)) {
            err_set(err,
                "no event is of kind %.40s: pending, firing, resolved, cleared, "
                "silence_made, silence_changed, silence_ended, acknowledged or "
                "acknowledgement_ended",
                value);
            return -EINVAL;
        }
        q->kinds |= 1u << kind;
        return 0;
    }
    bool since = strcmp(name, "since") == 0;
    if (since || strcmp(name, "until") == 0) {
        if (params_time(value, since ? &q->since_ms : &q->until_ms) == 0)
            return 0;
        err_set(err, "%s is no time: seconds since 1970 or 2026-11-25T04:20:00Z", name);
        return -EINVAL;
    }
    bool limit = strcmp(name, "limit") == 0;
    if ((limit || strcmp(name, "before") == 0) &&
        (!num_parse_u64(value, strlen(value), limit ? &q->limit : &q->before) ||
            (limit ? q->limit < 1 || q->limit > EVENT_QUERY_LIMIT : q->before > INT64_MAX))) {
        err_set(err,
            limit ? "limit is a number from 1 to 1000" : "before is the \"next\" of an answer");
        return -EINVAL;
    }
    return 0;
}

static int query_read(struct request *r, struct query *q, struct err *err)
{
    int rc = 0;
    const char *at = (const char *)r->query.data, *end = at ? at + r->query.len : at;
    *q = (struct query){.until_ms = INT64_MAX, .before = INT64_MAX, .limit = DEFAULT_LIMIT};
    arena_init(&q->arena, 1u << 20);
    while (rc == 0 && at < end) { // name NUL value NUL ...
        const char *value = at + strlen(at) + 1;
        rc = query_add(q, at, value, err);
        at = value + strlen(value) + 1;
    }
    return rc;
}

// --- one event as JSON ---------------------------------------------------------------------------

static void text(struct buf *b, const char *name, const char *value)
{
    if (value[0])
        api_text(b, name, value);
}

static void mutes_json(unsigned mutes, struct buf *b)
{
    const char *gap = "";
    buf_adds(b, ",\"mutedBy\":[");
    for (unsigned bit = 1; bit && bit <= mutes; bit <<= 1) {
        if (!(mutes & bit))
            continue;
        const char *name = mute_name(bit);
        buf_addf(b, "%s\"%s\"", gap, name ? name : "other");
        gap = ",";
    }
    buf_addc(b, ']');
}

static void event_json(const struct event *e, struct buf *b)
{
    buf_addf(
        b, "{\"id\":\"%" PRIu64 "\",\"kind\":\"%s\",\"at\":", e->id, event_kind_name(e->kind));
    api_time_json(e->at_ms, b);
    if (e->alert_id || e->labels.n) {
        buf_adds(b, ",\"labels\":");
        labels_json(&e->labels, b);
        buf_addf(b, ",\"fingerprint\":\"%016" PRIx64 "\",\"episode\":\"%" PRIu64 "\"",
            e->fingerprint, e->alert_id);
    }
    if (e->kind <= EVENT_CLEARED) {
        buf_adds(b, ",\"value\":");
        api_number(e->value, b);
        mutes_json(e->mutes, b);
    }
    api_when(b, "causeAt", e->cause_ms);
    text(b, "group", e->group);
    text(b, "file", e->file);
    text(b, "by", e->who);
    text(b, "comment", e->note);
    text(b, "silence", e->subject);
    text(b, "matchers", e->matchers);
    api_when(b, "endsAt", e->until_ms);
    buf_addc(b, '}');
}

// --- reading -------------------------------------------------------------------------------------

static bool wanted(const struct query *q, const struct event *e)
{
    return e->at_ms >= q->since_ms && e->at_ms < q->until_ms &&
           (!q->kinds || q->kinds & 1u << e->kind) &&
           (!q->matchers.n ||
               (e->labels.n && matchers_labels(q->matchers.m, q->matchers.n, &e->labels)));
}

struct found {
    uint64_t n, damaged, next;
    int rc; // of SQLite's
};

static void walk(sqlite3_stmt *s, const struct query *q, struct buf *b, struct found *ret)
{
    struct arena a;
    arena_init(&a, 0);
    sqlite3_bind_int64(s, 1, (int64_t)q->before);
    sqlite3_bind_int64(s, 2, q->since_ms);
    sqlite3_bind_int64(s, 3, q->until_ms);
    uint64_t last = 0;
    while ((ret->rc = sqlite3_step(s)) == SQLITE_ROW) {
        struct event e;
        arena_reset(&a);
        if (!event_rows_read(s, &a, &e)) {
            ret->damaged++;
            continue;
        }
        if (!wanted(q, &e))
            continue;
        if (!q->count && (ret->n == q->limit || b->len > EVENT_QUERY_BYTES)) {
            ret->next = last;
            break;
        }
        last = e.id;
        if (!q->count && ret->n)
            buf_addc(b, ',');
        if (!q->count)
            event_json(&e, b);
        ret->n++;
    }
    arena_done(&a);
}

// False: nothing could be read.
static bool read_file(
    const char *path, const struct query *q, struct buf *b, struct found *ret, struct err *err)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *s = NULL;
    int rc = sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc == SQLITE_OK) {
        sqlite3_busy_timeout(db, 1000);
        sqlite3_exec(db, "PRAGMA cache_size=-256", NULL, NULL, NULL);
        rc = sqlite3_prepare_v2(db,
            "SELECT " EVENT_ROWS_COLUMNS
            " FROM event WHERE id < ?1 AND at_ms >= ?2 AND at_ms < ?3"
            " ORDER BY id DESC",
            -1, &s, NULL);
    }
    if (rc == SQLITE_OK)
        walk(s, q, b, ret);
    // A broken page is where reading ends; what stood before it is an answer.
    bool read =
        rc == SQLITE_OK && (ret->rc == SQLITE_ROW || ret->rc == SQLITE_DONE || ret->n > 0);
    if (!read)
        err_set(
            err, "the log cannot be read: %s", db ? sqlite3_errmsg(db) : sqlite3_errstr(rc));
    ret->damaged += read && ret->rc != SQLITE_ROW && ret->rc != SQLITE_DONE;
    sqlite3_finalize(s);
    sqlite3_close(db);
    return read;
}

void event_query_answer(const char *path, struct request *r)
{
    struct query q;
    struct found found = {0};
    struct err err = {0};
    struct buf *b = &r->body;
    r->http_status = 200;
    if (r->method && strcmp(r->method, "GET") != 0 && strcmp(r->method, "HEAD") != 0) {
        api_error(r, 405, "bad_data", "the log can only be read");
        return;
    }
    int rc = query_read(r, &q, &err);
    if (rc == -EINVAL) {
        api_error(r, 400, "bad_data", "%s", err.msg);
    } else if (rc < 0) {
        api_error(r, 503, "unavailable", "out of memory");
    } else {
        buf_adds(b, q.count ? "{\"status\":\"success\",\"data\":{"
                            : "{\"status\":\"success\",\"data\":{\"events\":[");
        if (!read_file(path, &q, b, &found, &err)) {
            api_error(r, 503, "unavailable", "%s", err.msg);
        } else if (q.count) {
            buf_addf(
                b, "\"count\":%" PRIu64 ",\"damaged\":%" PRIu64 "}}", found.n, found.damaged);
        } else {
            buf_addf(
                b, found.next ? "],\"next\":\"%" PRIu64 "\"" : "],\"next\":null", found.next);
            buf_addf(b, ",\"damaged\":%" PRIu64 "}}", found.damaged);
        }
    }
    query_done(&q);
    if (b->failed)
        api_error(r, 503, "unavailable", "out of memory");
}
