// SPDX-License-Identifier: Apache-2.0
#include "collector/event_query.h"
#include "collector/journal_rows.h"
#include "tests/lib/oom.h"
#include "tests/lib/run.h"
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define DAY_MS (24 * 3600 * 1000LL)

static int folders;
static char folder[512];
static struct journal_rows rows;

static void open_again(void)
{
    struct err err = {0};
    journal_rows_open(&rows, folder, 1000, &err);
    CU_ASSERT_STRING_EQUAL(err.msg, "");
}

static void fresh(void)
{
    snprintf(folder, sizeof(folder), "%s/state-%d", test_tmpdir(), folders++);
    mkdir(folder, 0700);
    open_again();
}

static void damage(const char *sql)
{
    CU_ASSERT_EQUAL(database_exec(&rows.file, sql), SQLITE_OK);
}

static int write_event(const struct event *e)
{
    struct err err = {0};
    int rc = journal_rows_begin(&rows, &err);
    rc = rc == 0 ? event_rows_put(&rows.events, e) : rc;
    return journal_rows_end(&rows, rc, &err);
}

static void change(uint64_t id, enum alert_state from, enum alert_state to, int64_t at_ms)
{
    static const struct label L[] = {{"alertname", "Hot"}, {"zone", "a\nb \"c\""}};
    struct notice n = {.alert_id = id,
        .fingerprint = 0xff00 + id,
        .labels = {L, 2},
        .group = "g",
        .file = "rules.yml",
        .expr = "temp > 40",
        .from = from,
        .to = to,
        .value = 41.5,
        .decided_ms = at_ms};
    struct err err = {0};
    CU_ASSERT_EQUAL(journal_rows_begin(&rows, &err), 0);
    CU_ASSERT_EQUAL(event_rows_alert(&rows.events, &n, 1), 0);
    CU_ASSERT_EQUAL(journal_rows_end(&rows, 0, &err), 0);
}

// The answer to name, value, name, value ..., NULL; the caller frees.
static struct request *ask(const char *const *params)
{
    char path[600];
    struct request *r = calloc(1, sizeof(*r));
    buf_init(&r->body, 1u << 24);
    buf_init(&r->query, 1u << 16);
    for (; *params; params++)
        buf_add(&r->query, *params, strlen(*params) + 1);
    snprintf(path, sizeof(path), "%s/alerts.db", folder);
    event_query_answer(path, r);
    return r;
}
#define ASK(...) ask((const char *const[]){__VA_ARGS__, NULL})

// The answer holds text, n times.
static size_t times(const struct request *r, const char *text)
{
    size_t n = 0;
    struct buf copy;
    buf_init(&copy, 1u << 24);
    buf_add(&copy, r->body.data, r->body.len);
    for (const char *at = buf_cstr(&copy); (at = strstr(at, text)); at++)
        n++;
    buf_done(&copy);
    return n;
}

static void check(struct request *r, int status, const char *text, size_t n)
{
    CU_ASSERT_EQUAL(r->http_status, status);
    CU_ASSERT_EQUAL(times(r, text), n);
    if (r->http_status != status || times(r, text) != n)
        fprintf(stderr, "%d: %.*s\n", r->http_status, (int)r->body.len, (char *)r->body.data);
    request_free(r);
}

static void tells_what_happened(void)
{
    fresh();
    change(1, ALERT_INACTIVE, ALERT_PENDING, 1000);
    change(1, ALERT_PENDING, ALERT_FIRING, 2000);
    change(1, ALERT_FIRING, ALERT_FIRING, 2500); // no change
    change(1, ALERT_FIRING, ALERT_INACTIVE, 3000);
    change(2, ALERT_PENDING, ALERT_INACTIVE, 4000);
    struct request *r = ASK("limit", "10");
    static const char WHOLE[] =
        "{\"id\":\"2\",\"kind\":\"firing\",\"at\":\"1970-01-01T00:00:02.000Z\",\"labels\":"
        "{\"alertname\":\"Hot\",\"zone\":\"a\\nb \\\"c\\\"\"},\"fingerprint\":\"000000000000ff01\","
        "\"episode\":\"1\",\"value\":\"41.5\",\"mutedBy\":[\"silence\"],\"group\":\"g\","
        "\"file\":\"rules.yml\"}";
    CU_ASSERT_EQUAL(times(r, WHOLE), 1);
    CU_ASSERT_EQUAL(times(r, "{\"events\":[{\"id\":\"4\",\"kind\":\"cleared\""), 1);
    CU_ASSERT_EQUAL(times(r, "\"kind\":\"resolved\""), 1);
    check(r, 200, "\"next\":null,\"damaged\":0}}", 1);
    check(ASK("since", "2", "until", "3"), 200, "\"kind\"", 1);
    check(ASK("kind", "firing", "kind", "pending"), 200, "\"kind\"", 2);
    check(ASK("filter", "alertname=Hot"), 200, "\"kind\"", 4);
    check(ASK("filter", "alertname!=Hot"), 200, "\"kind\"", 0);
    check(ASK("count", "true", "kind", "firing"), 200, "\"count\":1,", 1);
    check(ASK("kind", "fire"), 400, "no event is of kind fire", 1);
    check(ASK("since", "x"), 400, "since is no time", 1);
    check(ASK("limit", "0"), 400, "limit is a number", 1);
    check(ASK("filter", "=x"), 400, "bad_data", 1);
    journal_rows_close(&rows);
}

static void pages_hold_everything_once(void)
{
    fresh();
    for (uint64_t i = 1; i <= 25; i++)
        change(i, ALERT_PENDING, ALERT_FIRING, 1000);
    check(ASK("limit", "10"), 200, "\"next\":\"16\"", 1);
    change(26, ALERT_PENDING, ALERT_FIRING, 1000); // meanwhile
    check(ASK("limit", "10", "before", "16"), 200, "\"next\":\"6\"", 1);
    check(ASK("limit", "10", "before", "6"), 200, "\"next\":null", 1);
    check(ASK("limit", "10", "before", "6"), 200, "\"kind\"", 5);
    journal_rows_close(&rows);
}

static void goes_on_after_a_restart(void)
{
    fresh();
    change(1, ALERT_PENDING, ALERT_FIRING, 1000);
    journal_rows_close(&rows);
    open_again();
    change(1, ALERT_FIRING, ALERT_INACTIVE, 2000);
    check(ASK("limit", "9"), 200, "{\"id\":\"2\",\"kind\":\"resolved\"", 1);
    check(ASK("limit", "9"), 200, "\"kind\"", 2);
    journal_rows_close(&rows);
}

// What failed is not in the log, and is in it once when it is tried again.
static void a_rolled_back_event_is_not_there(void)
{
    struct err err = {0};
    struct event e = {.kind = EVENT_ACKNOWLEDGED, .at_ms = 1000, .who = "ann", .note = "mine"};
    fresh();
    CU_ASSERT_EQUAL(write_event(&e), 0);
    CU_ASSERT_EQUAL(journal_rows_begin(&rows, &err), 0);
    CU_ASSERT_EQUAL(event_rows_put(&rows.events, &e), 0);
    CU_ASSERT_EQUAL(journal_rows_end(&rows, SQLITE_FULL, &err), SQLITE_FULL);
    CU_ASSERT_EQUAL(write_event(&e), 0);
    check(ASK("limit", "9"), 200, "\"kind\":\"acknowledged\"", 2);
    check(ASK("limit", "9"), 200, "{\"id\":\"2\"", 1);
    check(ASK("limit", "9"), 200, "\"by\":\"ann\",\"comment\":\"mine\"", 2);
    journal_rows_close(&rows);
}

static void silence(int64_t updated_ms, int64_t ends_ms)
{
    struct err err = {0};
    struct silence s = {.id = "11111111-2222-3333-4444-555555555555",
        .created_by = "ann",
        .comment = "swap",
        .starts_ms = 1000,
        .ends_ms = ends_ms,
        .updated_ms = updated_ms};
    struct silence_row *row = silence_row_new(&s, false);
    CU_ASSERT_EQUAL(journal_rows_begin(&rows, &err), 0);
    CU_ASSERT_EQUAL(event_rows_silence(&rows.events, row), 0);
    CU_ASSERT_EQUAL(silence_row_put(&rows.file, row), 0);
    CU_ASSERT_EQUAL(journal_rows_end(&rows, 0, &err), 0);
    free(row);
}

static void silences_are_made_changed_and_ended(void)
{
    fresh();
    silence(1000, 9000);
    silence(2000, 8000);
    silence(3000, 3000);
    struct request *r = ASK("limit", "9");
    CU_ASSERT_EQUAL(times(r, "\"kind\":\"silence_made\""), 1);
    CU_ASSERT_EQUAL(times(r, "\"kind\":\"silence_changed\""), 1);
    CU_ASSERT_EQUAL(times(r, "\"kind\":\"silence_ended\""), 1);
    check(r, 200, "\"by\":\"ann\"", 2); // nobody says who ends one
    check(ASK("filter", "alertname=Hot"), 200, "\"kind\"", 0);
    journal_rows_close(&rows);
}

static void damaged_rows_are_left_out_and_counted(void)
{
    fresh();
    for (uint64_t i = 1; i <= 5; i++)
        change(i, ALERT_PENDING, ALERT_FIRING, 1000);
    damage("UPDATE event SET value = value + 1 WHERE id = 2");
    damage("UPDATE event SET labels = x'00' WHERE id = 3");
    damage("UPDATE event SET kind = 99 WHERE id = 4");
    check(ASK("limit", "9"), 200, "\"kind\"", 2);
    check(ASK("limit", "9"), 200, "\"damaged\":3", 1);
    journal_rows_close(&rows);
}

static size_t count_rows(void)
{
    sqlite3_stmt *s = database_prepare(&rows.file, "SELECT count(*) FROM event");
    size_t n = sqlite3_step(s) == SQLITE_ROW ? (size_t)sqlite3_column_int64(s, 0) : 0;
    sqlite3_finalize(s);
    return n;
}

static void is_trimmed_by_age_and_number(void)
{
    bool more = true;
    int turns = 0;
    fresh();
    struct err err = {0};
    journal_rows_begin(&rows, &err);
    struct event e = {.kind = EVENT_ACKNOWLEDGED};
    for (int i = 0; i < 1200; i++) {
        e.at_ms = i < 700 ? 1000 : 8 * DAY_MS;
        CU_ASSERT_EQUAL(event_rows_put(&rows.events, &e), 0);
    }
    journal_rows_end(&rows, 0, &err);
    CU_ASSERT_EQUAL(event_rows_trim(&rows.events, 1000 + EVENT_KEEP_MS, 5000, &more), 0);
    CU_ASSERT_EQUAL(count_rows(), 1200); // just not old enough
    CU_ASSERT_FALSE(more);
    for (more = true; more && turns < 9; turns++)
        CU_ASSERT_EQUAL(event_rows_trim(&rows.events, 8 * DAY_MS, 5000, &more), 0);
    CU_ASSERT_EQUAL(turns, 2);
    CU_ASSERT_EQUAL(count_rows(), 500);
    CU_ASSERT_EQUAL(event_rows_trim(&rows.events, 8 * DAY_MS, 100, &more), 0);
    CU_ASSERT_EQUAL(count_rows(), 100);
    // However old: the last one stays, so that its id is not used again.
    CU_ASSERT_EQUAL(event_rows_trim(&rows.events, 99 * DAY_MS, 100, &more), 0);
    CU_ASSERT_EQUAL(count_rows(), 1);
    journal_rows_close(&rows);
    open_again();
    change(1, ALERT_PENDING, ALERT_FIRING, 1000);
    check(ASK("limit", "9"), 200, "{\"id\":\"1201\"", 1);
    journal_rows_close(&rows);
}

// Where in the file the table's only page is.
static long page_of_events(void)
{
    sqlite3_stmt *s =
        database_prepare(&rows.file, "SELECT rootpage FROM sqlite_master WHERE name = 'event'");
    long page = sqlite3_step(s) == SQLITE_ROW ? (long)sqlite3_column_int64(s, 0) : 0;
    sqlite3_finalize(s);
    return page;
}

static void a_broken_log_is_set_aside_and_alerts_are_written(void)
{
    char path[600];
    fresh();
    change(1, ALERT_PENDING, ALERT_FIRING, 1000);
    long page = page_of_events();
    CU_ASSERT_TRUE_FATAL(page > 1);
    journal_rows_close(&rows);
    snprintf(path, sizeof(path), "%s/alerts.db", folder);
    FILE *f = fopen(path, "r+b");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    fseek(f, (page - 1) * 4096, SEEK_SET);
    for (int i = 0; i < 4096; i++)
        fputc(0xa5, f);
    fclose(f);
    check(ASK("limit", "9"), 503, "the log cannot be read", 1);
    open_again();
    change(2, ALERT_PENDING, ALERT_FIRING, 2000);
    check(ASK("limit", "9"), 200, "\"episode\":\"2\"", 1);
    check(ASK("limit", "9"), 200, "\"kind\"", 1);
    journal_rows_close(&rows);
}

static void copies_or_says_that_memory_is_out(void)
{
    static const struct label L[] = {{"a", "b"}};
    struct event e = {.kind = EVENT_ACKNOWLEDGED, .labels = {L, 1}, .who = "ann"};
    for (int nth = 1;; nth++) {
        oom_fail_at(nth);
        struct event *c = event_copy(&e);
        bool hit = oom_stop();
        if (hit) {
            CU_ASSERT_PTR_NULL(c);
            continue;
        }
        CU_ASSERT_STRING_EQUAL(c->who, "ann");
        CU_ASSERT_STRING_EQUAL(c->labels.l[0].value, "b");
        CU_ASSERT_STRING_EQUAL(c->subject, "");
        free(c);
        break;
    }
    fresh();
    change(1, ALERT_PENDING, ALERT_FIRING, 1000);
    for (int nth = 1, hit = 1; hit; nth++) {
        char path[600];
        static const char QUERY[] = "filter\0a=b\0kind\0firing";
        struct request r = {0};
        buf_init(&r.body, 1u << 20);
        buf_init(&r.query, 1u << 10);
        buf_add(&r.query, QUERY, sizeof(QUERY));
        snprintf(path, sizeof(path), "%s/alerts.db", folder);
        oom_fail_at(nth);
        event_query_answer(path, &r);
        hit = oom_stop();
        CU_ASSERT_TRUE(hit ? r.http_status >= 200 : r.http_status == 200);
        buf_done(&r.body);
        buf_done(&r.query);
    }
    journal_rows_close(&rows);
}

static const struct test TESTS[] = {
    {"tells what happened, newest first", tells_what_happened},
    {"pages hold everything once", pages_hold_everything_once},
    {"goes on after a restart", goes_on_after_a_restart},
    {"a rolled back event is not there", a_rolled_back_event_is_not_there},
    {"silences are made, changed and ended", silences_are_made_changed_and_ended},
    {"damaged rows are left out and counted", damaged_rows_are_left_out_and_counted},
    {"is trimmed by age and number", is_trimmed_by_age_and_number},
    {"a broken log is set aside, and alerts are written",
        a_broken_log_is_set_aside_and_alerts_are_written},
    {"copies, or says that memory is out", copies_or_says_that_memory_is_out},
};
int main(void)
{
    return test_main("event", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
