// SPDX-License-Identifier: Apache-2.0
// The delivery log and the dead letters through the journal: what is written comes back, what is damaged
// is left out, and neither keeps alerts from being written.
#include "base/buf.h"
#include "collector/delivery_rows.h"
#include "collector/journal.h"
#include "tests/lib/oom.h"
#include "tests/lib/run.h"
#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static int folders;
static char folder[512], file[640];

static struct journal *again(void)
{
    struct err err = {0};
    struct journal *j = journal_open(folder, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(j);
    CU_ASSERT_STRING_EQUAL(err.msg, "");
    CU_ASSERT_EQUAL_FATAL(journal_start(j, &err), 0);
    return j;
}

static struct journal *fresh(void)
{
    snprintf(folder, sizeof(folder), "%s/rows-%d", test_tmpdir(), folders++);
    snprintf(file, sizeof(file), "%s/alerts.db", folder);
    mkdir(folder, 0700);
    return again();
}

static struct delivery row(uint64_t id, const char *receiver, enum delivery_outcome outcome)
{
    static const struct delivery_alert A[] = {
        {0xab, false, "Slow \"1\""}, {0xcd, true, "Down"}};
    return (struct delivery){.id = id,
        .kind = DELIVERY_ALERT,
        .outcome = outcome,
        .lane = "lane",
        .receiver = receiver,
        .to = "http://h/***",
        .key = "key",
        .status = 200,
        .tries = 2,
        .first_ms = 1700000000000 + (int64_t)id,
        .last_ms = 1700000000500 + (int64_t)id,
        .took_us = 1234,
        .cause_ms = 1700000000000,
        .error = "",
        .answer = "ok\n",
        .alerts = A,
        .n_alerts = 2,
        .alerts_total = 3,
        .body = "{\"k\":\"\x1a\"}",
        .body_len = 9};
}

static void write_row(struct journal *j, const struct delivery *d)
{
    struct journal_write *w = journal_write_new();
    struct delivery *own = delivery_copy(d);
    CU_ASSERT_PTR_NOT_NULL_FATAL(own);
    CU_ASSERT_EQUAL_FATAL(journal_write_delivery(w, own), 0);
    CU_ASSERT_TRUE(journal_commit(j, w, 0));
}

static void log_row(
    struct journal *j, uint64_t id, const char *receiver, enum delivery_outcome outcome)
{
    struct delivery d = row(id, receiver, outcome);
    write_row(j, &d);
}

static sqlite3 *open_db(void)
{
    sqlite3 *db = NULL;
    CU_ASSERT_EQUAL_FATAL(sqlite3_open(file, &db), SQLITE_OK);
    return db;
}

static void exec(const char *sql)
{
    sqlite3 *db = open_db();
    CU_ASSERT_EQUAL(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

// Ids in the order they are listed: "3 1 damaged=0 next=1".
static const char *listed(const struct delivery_query *q)
{
    static char text[256];
    struct buf b;
    struct delivery_query own = *q;
    sqlite3 *db = open_db();
    buf_init(&b, 1u << 20);
    own.limit = own.limit ? own.limit : 100;
    CU_ASSERT_EQUAL(delivery_rows_list(db, &own, &b), 0);
    cJSON *o = cJSON_ParseWithLength((const char *)b.data, b.len), *d;
    CU_ASSERT_PTR_NOT_NULL_FATAL(o);
    text[0] = '\0';
    cJSON_ArrayForEach(d, cJSON_GetObjectItem(o, "deliveries"))
    {
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "%d%s ",
            cJSON_GetObjectItem(d, "id")->valueint,
            cJSON_GetObjectItem(d, "interrupted") ? "i" : "");
    }
    snprintf(text + strlen(text), sizeof(text) - strlen(text), "damaged=%d",
        cJSON_GetObjectItem(o, "damaged")->valueint);
    if (cJSON_GetObjectItem(o, "next"))
        snprintf(text + strlen(text), sizeof(text) - strlen(text), " next=%d",
            cJSON_GetObjectItem(o, "next")->valueint);
    cJSON_Delete(o);
    buf_done(&b);
    sqlite3_close(db);
    return text;
}

static void everything_comes_back(void)
{
    struct journal *j = fresh();
    struct delivery d = row(4, "ops/slack0", DELIVERY_FAILED);
    struct delivery_query q = {.id = 4, .limit = 1};
    struct buf b;
    d.error = "HTTP \"500\"";
    write_row(j, &d);
    journal_stop(j);
    sqlite3 *db = open_db();
    buf_init(&b, 65536);
    CU_ASSERT_EQUAL(delivery_rows_list(db, &q, &b), 0);
    sqlite3_close(db);
    CU_ASSERT_STRING_EQUAL(buf_cstr(&b),
        "{\"deliveries\":[{\"id\":4,\"kind\":\"alert\",\"outcome\":\"failed\","
        "\"receiver\":\"ops/slack0\",\"lane\":\"lane\",\"to\":\"http://h/***\",\"key\":\"key\","
        "\"status\":200,\"tries\":2,\"firstAt\":\"2023-11-14T22:13:20.004Z\","
        "\"lastAt\":\"2023-11-14T22:13:20.504Z\",\"tookMs\":1.234,"
        "\"causeAt\":\"2023-11-14T22:13:20.000Z\",\"causeToLastMs\":504,"
        "\"error\":\"HTTP \\\"500\\\"\",\"answer\":\"ok\\n\",\"bodyBytes\":9,\"changed\":3,"
        "\"alerts\":[{\"fingerprint\":\"00000000000000ab\",\"status\":\"firing\","
        "\"alertname\":\"Slow \\\"1\\\"\"},{\"fingerprint\":\"00000000000000cd\","
        "\"status\":\"resolved\",\"alertname\":\"Down\"}],"
        "\"body\":\"{\\\"k\\\":\\\"***\\\"}\"}],\"damaged\":0}");
    buf_done(&b);
}

static void listed_as_asked(void)
{
    struct journal *j = fresh();
    log_row(j, 1, "ops", DELIVERY_SENT);
    log_row(j, 2, "ops/slack0", DELIVERY_FAILED);
    log_row(j, 3, "opsy", DELIVERY_SENT);
    log_row(j, 4, "ops", DELIVERY_RETRYING);
    log_row(j, 2, "ops/slack0", DELIVERY_FAILED); // a later try of it
    CU_ASSERT_EQUAL(journal_last_delivery(j), 0); // of earlier runs; read before it starts
    journal_stop(j);
    CU_ASSERT_STRING_EQUAL(listed(&(struct delivery_query){0}), "4 3 2 1 damaged=0");
    CU_ASSERT_STRING_EQUAL(
        listed(&(struct delivery_query){.receiver = "ops"}), "4 2 1 damaged=0");
    CU_ASSERT_STRING_EQUAL(
        listed(&(struct delivery_query){.receiver = "ops/slack0"}), "2 damaged=0");
    CU_ASSERT_STRING_EQUAL(listed(&(struct delivery_query){.failed = true, .run_id = 4}),
        "4i 2 damaged=0"); // of an earlier run
    CU_ASSERT_STRING_EQUAL(
        listed(&(struct delivery_query){.limit = 2}), "4 3 damaged=0 next=3");
    CU_ASSERT_STRING_EQUAL(
        listed(&(struct delivery_query){.limit = 2, .before = 3}), "2 1 damaged=0");
    CU_ASSERT_STRING_EQUAL(
        listed(&(struct delivery_query){.since_ms = 1700000000003}), "4 3 damaged=0");
    j = again();
    CU_ASSERT_EQUAL(journal_last_delivery(j), 4);
    journal_stop(j);
}

static void damaged_rows_are_left_out(void)
{
    struct journal *j = fresh();
    for (uint64_t i = 1; i <= 4; i++)
        log_row(j, i, "ops", DELIVERY_SENT);
    journal_stop(j);
    exec("UPDATE delivery SET data = replace(data, 'sent', 'lost') WHERE id = 1;"
         "UPDATE delivery SET body = x'00' WHERE id = 2;"
         "UPDATE delivery SET receiver = 'other' WHERE id = 3");
    CU_ASSERT_STRING_EQUAL(listed(&(struct delivery_query){0}), "4 damaged=3");
}

static void the_oldest_go(void)
{
    struct journal *j = fresh();
    struct delivery d = row(1, "ops", DELIVERY_SENT);
    write_row(j, &d);
    d.id = 2;
    write_row(j, &d);
    for (uint64_t i = 3; i < 3 + DELIVERY_TRIM_EACH; i++) {
        d.id = i;
        d.first_ms = 1700000000000 + DELIVERY_KEEP_MS + 1000; // eight days later
        write_row(j, &d);
    }
    journal_stop(j);
    struct delivery_query q = {.before = 5};
    CU_ASSERT_STRING_EQUAL(listed(&q), "4 3 damaged=0");
    j = again();
    d.id = DELIVERY_ROWS_MAX + 4; // by number: up to 4 goes
    for (int i = 0; i < DELIVERY_TRIM_EACH; i++)
        write_row(j, &d);
    journal_stop(j);
    q.before = 7;
    CU_ASSERT_STRING_EQUAL(listed(&q), "6 5 damaged=0");
}

// --- letters -------------------------------------------------------------------------------------

static const struct letter_alert ALERTS[] = {{0xfedcba9876543210u, 11, 0}, {2, 12, 1}};
static struct letter letter(uint64_t id)
{
    return (struct letter){.id = id,
        .lane = "lane",
        .receiver = "ops",
        .key = "key",
        .to = "http://h/***",
        .path = "",
        .why = "HTTP 400: \"no\"",
        .at_ms = 5,
        .cause_ms = 3,
        .decided_ms = 4,
        .status = 400,
        .tries = 3,
        .alerts = ALERTS,
        .n_alerts = 2,
        .body = "{\"a\":\"\x1a\"}",
        .body_len = 9};
}

static void write_letter(struct journal *j, uint64_t id)
{
    struct letter l = letter(id);
    struct journal_write *w = journal_write_new();
    CU_ASSERT_EQUAL_FATAL(journal_write_letter(w, &l), 0);
    CU_ASSERT_TRUE(journal_commit(j, w, 0));
}

static void note(void *ctx, const struct letter *l)
{
    char *text = ctx;
    struct letter want = letter(l->id);
    snprintf(text + strlen(text), 64 - strlen(text), "%llu ", (unsigned long long)l->id);
    CU_ASSERT_STRING_EQUAL(l->lane, want.lane);
    CU_ASSERT_STRING_EQUAL(l->why, want.why);
    CU_ASSERT_STRING_EQUAL(l->path, "");
    CU_ASSERT_EQUAL(l->tries, 3);
    CU_ASSERT_EQUAL(l->cause_ms, 3);
    CU_ASSERT_EQUAL_FATAL(l->n_alerts, 2);
    CU_ASSERT_EQUAL(memcmp(l->alerts, ALERTS, sizeof(ALERTS)), 0);
    CU_ASSERT_EQUAL_FATAL(l->body_len, want.body_len);
    CU_ASSERT_EQUAL(memcmp(l->body, want.body, want.body_len), 0);
}

static void letters_come_back(void)
{
    char text[64] = "";
    struct journal *j = fresh();
    write_letter(j, 1);
    write_letter(j, 2);
    write_letter(j, 3);
    struct journal_write *w = journal_write_new();
    CU_ASSERT_EQUAL(journal_write_unletter(w, 2), 0);
    journal_commit(j, w, 0);
    journal_stop(j);
    j = again();
    journal_each_letter(j, note, text);
    CU_ASSERT_STRING_EQUAL(text, "1 3 ");
    CU_ASSERT_EQUAL(journal_last_delivery(j), 3);
    CU_ASSERT_EQUAL(journal_damaged(j), 0);
    journal_stop(j);
}

static void damaged_letters_are_counted(void)
{
    char text[64] = "";
    struct journal *j = fresh();
    for (uint64_t i = 1; i <= 6; i++)
        write_letter(j, i);
    journal_stop(j);
    exec("UPDATE letter SET body = body || x'20' WHERE id = 1;"
         "UPDATE letter SET texts = substr(texts, 1, 5) WHERE id = 2;"
         "UPDATE letter SET numbers = x'00' WHERE id = 3;"
         "UPDATE letter SET alerts = x'0011' WHERE id = 4;"
         "UPDATE letter SET id = 9 WHERE id = 5");
    j = again();
    journal_each_letter(j, note, text);
    CU_ASSERT_STRING_EQUAL(text, "6 ");
    CU_ASSERT_EQUAL(journal_damaged(j), 5);
    journal_stop(j);
}

// A page of the log's table overwritten: it is begun anew, and what comes after is written.
static void a_broken_log_is_thrown_away(void)
{
    struct journal *j = fresh();
    for (uint64_t i = 1; i <= 400; i++)
        log_row(j, i, "ops", DELIVERY_SENT);
    write_letter(j, 500);
    journal_stop(j);
    sqlite3 *db = open_db();
    sqlite3_stmt *s = NULL;
    sqlite3_prepare_v2(
        db, "SELECT rootpage FROM sqlite_master WHERE name = 'delivery'", -1, &s, NULL);
    CU_ASSERT_EQUAL_FATAL(sqlite3_step(s), SQLITE_ROW);
    long page = sqlite3_column_int(s, 0);
    sqlite3_finalize(s);
    sqlite3_close(db);
    FILE *f = fopen(file, "r+");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    fseek(f, (page - 1) * 4096, SEEK_SET);
    for (int i = 0; i < 4096; i++)
        fputc(0xa5, f);
    fclose(f);

    struct err err = {0};
    j = journal_open(folder, &err);
    CU_ASSERT_STRING_EQUAL(err.msg, ""); // it is not read at the start
    char text[64] = "";
    journal_each_letter(j, note, text);
    CU_ASSERT_STRING_EQUAL(text, "500 ");
    CU_ASSERT_EQUAL_FATAL(journal_start(j, &err), 0);
    log_row(j, 501, "ops", DELIVERY_SENT);
    write_letter(j, 502);
    journal_stop(j);
    j = again();
    text[0] = '\0';
    journal_each_letter(j, note, text);
    journal_stop(j);
    CU_ASSERT_STRING_EQUAL(text, "500 502 ");
    CU_ASSERT_STRING_EQUAL(listed(&(struct delivery_query){0}), "501 damaged=0");
}

static void without_memory_nothing_leaks(void)
{
    struct delivery d = row(1, "ops", DELIVERY_SENT);
    struct letter l = letter(1);
    for (int nth = 1;; nth++) {
        oom_fail_at(nth);
        struct journal_write *w = journal_write_new();
        struct delivery *own = w ? delivery_copy(&d) : NULL;
        bool kept = own && journal_write_delivery(w, own) == 0;
        bool ok = kept && journal_write_letter(w, &l) == 0 && journal_write_unletter(w, 1) == 0;
        bool hit = oom_stop();
        CU_ASSERT_EQUAL(ok, !hit);
        if (own && !kept)
            free(own);
        struct journal *j = w ? fresh() : NULL;
        if (w)
            journal_commit(j, w, 0);
        journal_stop(j);
        if (!hit)
            break;
    }
}

int main(void)
{
    static const struct test TESTS[] = {
        {"a row comes back as it was, without its secret", everything_comes_back},
        {"rows are listed by receiver, failure, time and page", listed_as_asked},
        {"damaged rows are left out and counted", damaged_rows_are_left_out},
        {"the oldest rows go by age and by number", the_oldest_go},
        {"letters come back, those that are settled do not", letters_come_back},
        {"damaged letters are left out and counted", damaged_letters_are_counted},
        {"a broken log is begun anew and keeps nothing else back", a_broken_log_is_thrown_away},
        {"without memory nothing leaks", without_memory_nothing_leaks},
    };
    return test_main("delivery_rows", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
