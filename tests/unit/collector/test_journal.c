// SPDX-License-Identifier: Apache-2.0
#include "base/buf.h"
#include "collector/journal.h"
#include "tests/lib/run.h"
#include <poll.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int folders;
static size_t lanes; // that have to be told
static char folder[512];

static struct journal *fresh(size_t receivers)
{
    struct err err = {0};
    lanes = receivers;
    snprintf(folder, sizeof(folder), "%s/state-%d", test_tmpdir(), folders++);
    mkdir(folder, 0700);
    struct journal *j = journal_open(folder, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(j);
    CU_ASSERT_STRING_EQUAL(err.msg, "");
    CU_ASSERT_EQUAL_FATAL(journal_start(j, &err), 0);
    return j;
}

static struct notice notice(uint64_t id, enum alert_state from, enum alert_state to)
{
    static const struct label L[] = {{"alertname", "Hot"}, {"zone", "a\nb \"c\""}};
    static const struct label A[] = {{"summary", "it is hot"}};
    return (struct notice){.alert_id = id,
        .rule_identity = 0xfedcba9876543210u,
        .element_hash = 77,
        .fingerprint = 0x8000000000000001u + id,
        .labels = {L, 2},
        .annotations = {A, 1},
        .group = "g",
        .file = "rules.yml",
        .expr = "temp > 40",
        .line = 12,
        .from = from,
        .to = to,
        .value = 41.5,
        .starts_at_ms = to == ALERT_PENDING ? 0 : 2000,
        .ends_at_ms = to == ALERT_INACTIVE ? 3000 : 0,
        .active_at_ms = 1000,
        .cause_ms = 999,
        .silent_ms = 5,
        .decided_ms = 1001};
}

static void write_alert(
    struct journal *j, uint64_t id, enum alert_state from, enum alert_state to, uint64_t tag)
{
    struct notice n = notice(id, from, to);
    struct journal_write *w = journal_write_new();
    CU_ASSERT_EQUAL_FATAL(journal_write_alert(w, &n, lanes, 0), 0);
    CU_ASSERT_TRUE(journal_commit(j, w, tag));
}

static void write_told(struct journal *j, const char *receiver, uint64_t id, enum told told)
{
    struct journal_write *w = journal_write_new();
    CU_ASSERT_EQUAL_FATAL(journal_write_told(w, receiver, id, told, 5000 + told), 0);
    CU_ASSERT_TRUE(journal_commit(j, w, 0));
}

// Rows as text: "1 firing oncall=1@5001".
static void row_text(void *ctx, const struct journal_row *r)
{
    struct buf *b = ctx;
    buf_addf(b, "%s%llu %s", b->len ? "; " : "", (unsigned long long)r->notice->alert_id,
        r->notice->to == ALERT_INACTIVE ? "over" : alert_state_name(r->notice->to));
    for (size_t i = 0; i < r->n; i++)
        buf_addf(b, " %s=%d@%lld", r->receiver[i], r->told[i], (long long)r->at_ms[i]);
}

static const char *reopen_in(struct journal **j, struct buf *b, struct err *warn)
{
    buf_init(b, 1u << 20);
    journal_stop(*j);
    *warn = (struct err){0};
    *j = journal_open(folder, warn);
    CU_ASSERT_PTR_NOT_NULL_FATAL(*j);
    journal_each(*j, row_text, b);
    return buf_cstr(b);
}

static void check_after(struct journal *j, const char *expected)
{
    struct buf b;
    struct err warn;
    const char *got = reopen_in(&j, &b, &warn);
    CU_ASSERT_STRING_EQUAL(got, expected);
    CU_ASSERT_STRING_EQUAL(warn.msg, "");
    CU_ASSERT_EQUAL(journal_damaged(j), 0);
    buf_done(&b);
    journal_stop(j);
}

static void same_notice(void *ctx, const struct journal_row *r)
{
    struct notice n = notice(7, ALERT_PENDING, ALERT_FIRING);
    const struct notice *g = r->notice;
    ++*(int *)ctx;
    CU_ASSERT(labels_equal(&g->labels, &n.labels));
    CU_ASSERT(labels_equal(&g->annotations, &n.annotations));
    CU_ASSERT_STRING_EQUAL(g->group, n.group);
    CU_ASSERT_STRING_EQUAL(g->file, n.file);
    CU_ASSERT_STRING_EQUAL(g->expr, n.expr);
    CU_ASSERT_EQUAL(g->rule_identity, n.rule_identity);
    CU_ASSERT_EQUAL(g->element_hash, n.element_hash);
    CU_ASSERT_EQUAL(g->fingerprint, n.fingerprint);
    CU_ASSERT_EQUAL(g->line, n.line);
    CU_ASSERT_EQUAL(g->value, n.value);
    CU_ASSERT_EQUAL(g->starts_at_ms, n.starts_at_ms);
    CU_ASSERT_EQUAL(g->active_at_ms, n.active_at_ms);
    CU_ASSERT_EQUAL(g->cause_ms, n.cause_ms);
    CU_ASSERT_EQUAL(g->silent_ms, n.silent_ms);
    CU_ASSERT_EQUAL(g->decided_ms, n.decided_ms);
}

static void everything_of_an_alert_comes_back(void)
{
    int rows = 0;
    struct err err = {0};
    struct journal *j = fresh(1);
    write_alert(j, 7, ALERT_PENDING, ALERT_FIRING, 0);
    journal_stop(j);
    j = journal_open(folder, &err);
    journal_each(j, same_notice, &rows);
    CU_ASSERT_EQUAL(rows, 1);
    CU_ASSERT_EQUAL(journal_last_id(j), 7);
    journal_stop(j);
}

static void the_newest_state_is_kept(void)
{
    struct journal *j = fresh(1);
    write_alert(j, 1, ALERT_INACTIVE, ALERT_PENDING, 0);
    write_alert(j, 2, ALERT_INACTIVE, ALERT_PENDING, 0);
    write_alert(j, 1, ALERT_PENDING, ALERT_FIRING, 0);
    write_alert(j, 2, ALERT_PENDING, ALERT_INACTIVE, 0); // never fired: nobody need know
    check_after(j, "1 firing");
}

static void it_goes_when_all_are_through(void)
{
    struct journal *j = fresh(2);
    for (uint64_t id = 1; id <= 3; id++) {
        write_alert(j, id, ALERT_PENDING, ALERT_FIRING, 0);
        write_told(j, "a", id, TOLD_FIRING);
        write_alert(j, id, ALERT_FIRING, ALERT_INACTIVE, 0);
    }
    write_told(j, "a", 1, TOLD_OVER);
    write_told(j, "b", 1, TOLD_OVER); // both: gone
    write_told(j, "a", 2, TOLD_OVER);
    check_after(j, "2 over a=2@5002; 3 over a=1@5001");
}

static void without_receivers_what_is_over_is_gone(void)
{
    struct journal *j = fresh(0);
    write_alert(j, 1, ALERT_PENDING, ALERT_FIRING, 0);
    write_alert(j, 2, ALERT_PENDING, ALERT_FIRING, 0);
    write_alert(j, 1, ALERT_FIRING, ALERT_INACTIVE, 0);
    check_after(j, "2 firing");
}

static void an_episode_that_begins_again_is_told_again(void)
{
    struct journal *j = fresh(2);
    write_alert(j, 1, ALERT_PENDING, ALERT_FIRING, 0);
    write_told(j, "a", 1, TOLD_FIRING);
    write_alert(j, 1, ALERT_FIRING, ALERT_PENDING, 0); // a reload made `for` longer
    write_told(j, "a", 1, TOLD_OVER);
    write_alert(j, 1, ALERT_PENDING, ALERT_FIRING, 0);
    check_after(j, "1 firing");
}

static void ids_are_never_used_twice(void)
{
    struct err err = {0};
    struct journal *j = fresh(0);
    write_alert(j, 41, ALERT_PENDING, ALERT_FIRING, 0);
    write_alert(j, 41, ALERT_FIRING, ALERT_INACTIVE, 0);
    journal_stop(j);
    j = journal_open(folder, &err);
    CU_ASSERT_EQUAL(journal_last_id(j), 41);
    journal_stop(j);
}

static void a_commit_is_answered_in_order(void)
{
    struct journal *j = fresh(1);
    for (uint64_t tag = 1; tag <= 20; tag++)
        write_alert(j, tag, ALERT_PENDING, ALERT_FIRING, tag);
    uint64_t expected = 1;
    while (expected <= 20) {
        struct pollfd p = {.fd = ring_fd(journal_done(j)), .events = POLLIN};
        CU_ASSERT_EQUAL_FATAL(poll(&p, 1, 10000), 1);
        ring_drain_wakeup(journal_done(j));
        void *tag;
        while ((tag = ring_pop(journal_done(j))))
            CU_ASSERT_EQUAL((uint64_t)(uintptr_t)tag, expected++);
    }
    CU_ASSERT_TRUE(journal_ok(j));
    journal_stop(j);
}

static void sql(const char *text)
{
    char path[600];
    sqlite3 *db = NULL;
    snprintf(path, sizeof(path), "%s/alerts.db", folder);
    CU_ASSERT_EQUAL_FATAL(sqlite3_open(path, &db), SQLITE_OK);
    CU_ASSERT_EQUAL(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static void a_damaged_row_is_left_out_and_counted(void)
{
    struct journal *j = fresh(1);
    struct buf b;
    struct err warn;
    for (uint64_t id = 1; id <= 3; id++) {
        write_alert(j, id, ALERT_PENDING, ALERT_FIRING, 0);
        write_told(j, "a", id, TOLD_FIRING);
    }
    journal_stop(j);
    sql("UPDATE alert SET active_ms = active_ms + 1 WHERE id = 2;"
        "UPDATE told SET receiver = 'b' WHERE alert = 3;");
    j = journal_open(folder, &warn);
    CU_ASSERT_STRING_EQUAL(reopen_in(&j, &b, &warn), "1 firing a=1@5001; 3 firing");
    CU_ASSERT_EQUAL(journal_damaged(j), 2);
    buf_done(&b);
    journal_stop(j);
}

static void every_bit_of_a_row_counts(void)
{
    static const char *const COLUMNS[] = {"identity", "fingerprint", "element", "state",
        "fired_ms", "ended_ms", "silent_ms", "cause_ms", "decided_ms", "line", "lanes"};
    struct journal *j = fresh(1);
    struct err warn = {0};
    write_alert(j, 1, ALERT_PENDING, ALERT_FIRING, 0);
    journal_stop(j);
    for (size_t i = 0; i < sizeof(COLUMNS) / sizeof(COLUMNS[0]); i++) {
        char text[128];
        int rows = 0;
        snprintf(text, sizeof(text), "UPDATE alert SET %s = %s + 1", COLUMNS[i], COLUMNS[i]);
        sql(text);
        j = journal_open(folder, &warn);
        journal_each(j, same_notice, &rows);
        CU_ASSERT_EQUAL(rows, 0);
        CU_ASSERT_EQUAL(journal_damaged(j), 1);
        journal_stop(j);
        snprintf(text, sizeof(text), "UPDATE alert SET %s = %s - 1", COLUMNS[i], COLUMNS[i]);
        sql(text);
    }
    sql("UPDATE alert SET labels = substr(labels, 2)");
    int rows = 0;
    j = journal_open(folder, &warn);
    journal_each(j, same_notice, &rows);
    CU_ASSERT_EQUAL(rows, 0);
    journal_stop(j);
}

static void a_broken_file_is_moved_aside(void)
{
    char path[600];
    struct err err = {0};
    struct journal *j = fresh(1);
    write_alert(j, 1, ALERT_PENDING, ALERT_FIRING, 0);
    journal_stop(j);
    snprintf(path, sizeof(path), "%s/alerts.db", folder);
    FILE *f = fopen(path, "r+");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    fputs("this is no database, it only stands where one stood", f);
    fclose(f);
    j = journal_open(folder, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(j);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.msg, "moved to"));
    CU_ASSERT_TRUE(journal_ok(j));
    CU_ASSERT_EQUAL(journal_start(j, &err), 0);
    write_alert(j, 9, ALERT_PENDING, ALERT_FIRING, 0);
    check_after(j, "9 firing");
}

static void a_cut_file_starts_too(void)
{
    char path[600];
    struct stat st;
    struct err err = {0};
    struct journal *j = fresh(1);
    for (uint64_t id = 1; id <= 200; id++)
        write_alert(j, id, ALERT_PENDING, ALERT_FIRING, 0);
    journal_stop(j);
    snprintf(path, sizeof(path), "%s/alerts.db", folder);
    CU_ASSERT_EQUAL_FATAL(stat(path, &st), 0);
    CU_ASSERT_EQUAL_FATAL(truncate(path, st.st_size / 2), 0);
    j = journal_open(folder, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(j);
    CU_ASSERT_STRING_NOT_EQUAL(err.msg, "");
    CU_ASSERT_EQUAL(journal_start(j, &err), 0);
    write_alert(j, 900, ALERT_PENDING, ALERT_FIRING, 0);
    struct buf b;
    const char *rows = reopen_in(&j, &b, &err);
    CU_ASSERT_PTR_NOT_NULL(strstr(rows, "900 firing"));
    buf_done(&b);
    journal_stop(j);
}

// A page does not wait for a disk that refuses; what could not be written is written later.
static void what_the_disk_refuses_is_written_later(void)
{
    char path[600];
    struct err err = {0};
    snprintf(folder, sizeof(folder), "%s/state-%d", test_tmpdir(), folders++);
    snprintf(path, sizeof(path), "%s", folder);
    struct journal *j = journal_open(folder, &err); // the folder is not there
    CU_ASSERT_PTR_NOT_NULL_FATAL(j);
    CU_ASSERT_STRING_NOT_EQUAL(err.msg, "");
    CU_ASSERT_FALSE(journal_ok(j));
    CU_ASSERT_EQUAL_FATAL(journal_start(j, &err), 0);
    write_alert(j, 1, ALERT_PENDING, ALERT_FIRING, 5);
    struct pollfd p = {.fd = ring_fd(journal_done(j)), .events = POLLIN};
    CU_ASSERT_EQUAL_FATAL(poll(&p, 1, 10000), 1);
    CU_ASSERT_EQUAL((uint64_t)(uintptr_t)ring_pop(journal_done(j)), 5);
    CU_ASSERT_FALSE(journal_ok(j));
    mkdir(path, 0700);
    write_alert(j, 2, ALERT_PENDING, ALERT_FIRING, 0);
    check_after(j, "1 firing; 2 firing");
}

static void silence_text(void *ctx, const struct silence *s, const char *matchers)
{
    buf_addf(ctx, "%s %s %s/%s %lld-%lld quiet %lld; ", s->id, matchers, s->created_by,
        s->comment, (long long)s->starts_ms, (long long)s->ends_ms, (long long)s->quiet_ms);
}

static void silences_come_back(void)
{
    static const uint8_t RANDOM[16] = {1};
    struct err err = {0};
    struct buf b;
    struct journal *j = fresh(1);
    struct silences *all = silences_new();
    const struct silence *s = NULL, *ended;
    struct silence_draft d = {.id = "",
        .matchers = "{a=\"b\",c=~\"d.*\"}",
        .created_by = "ann",
        .comment = "why",
        .starts_ms = 1,
        .ends_ms = 9000,
        .random = RANDOM,
        .quiet_ms = 60000};
    buf_init(&b, 4096);
    for (int i = 0; i < 2; i++) {
        CU_ASSERT_EQUAL_FATAL(silences_set(all, &d, 1000, &s, &ended, &err), 0);
        struct journal_write *w = journal_write_new();
        CU_ASSERT_EQUAL(journal_write_silence(w, s, false), 0);
        CU_ASSERT_TRUE(journal_commit(j, w, 0));
        d.id = s->id;
        d.ends_ms += 1000;
    }
    journal_stop(j);
    j = journal_open(folder, &err);
    journal_each_silence(j, silence_text, &b);
    CU_ASSERT_STRING_EQUAL(buf_cstr(&b),
        "01000000-0000-4000-8000-000000000000 {a=\"b\",c=~\"d.*\"} ann/why 1000-10000 quiet 60000; ");
    CU_ASSERT_EQUAL_FATAL(journal_start(j, &err), 0);
    struct journal_write *w = journal_write_new();
    CU_ASSERT_EQUAL(journal_write_silence(w, s, true), 0);
    CU_ASSERT_TRUE(journal_commit(j, w, 0));
    journal_stop(j);
    j = journal_open(folder, &err);
    buf_reset(&b);
    journal_each_silence(j, silence_text, &b);
    CU_ASSERT_STRING_EQUAL(buf_cstr(&b), "");
    journal_stop(j);
    silences_free(all);
    buf_done(&b);
}

static void ack_text(void *ctx, const struct ack *a)
{
    buf_addf(ctx, "%llu %s/%s %lld-%lld; ", (unsigned long long)a->alert_id, a->owner, a->note,
        (long long)a->at_ms, (long long)a->until_ms);
}

static void put_ack(struct journal *j, const struct ack *a, bool gone)
{
    struct journal_write *w = journal_write_new();
    CU_ASSERT_EQUAL(journal_write_ack(w, a, gone), 0);
    CU_ASSERT_TRUE(journal_commit(j, w, 0));
}

static struct journal *look_at_acks(struct journal *j, const char *expected)
{
    struct err err = {0};
    struct buf b;
    buf_init(&b, 4096);
    journal_stop(j);
    j = journal_open(folder, &err);
    journal_each_ack(j, ack_text, &b);
    CU_ASSERT_STRING_EQUAL(buf_cstr(&b), expected);
    buf_done(&b);
    CU_ASSERT_EQUAL_FATAL(journal_start(j, &err), 0);
    return j;
}

static void acks_come_back_while_their_alert_does(void)
{
    struct journal *j = fresh(1);
    struct ack a = {1, "ann", "looking", 1000, 5000}, other = {7, "bob", "", 1000, 5000};
    write_alert(j, 1, ALERT_PENDING, ALERT_FIRING, 0);
    put_ack(j, &a, false);
    put_ack(j, &other, false); // of an episode that nobody knows
    a.until_ms = 9000;
    put_ack(j, &a, false);
    j = look_at_acks(j, "1 ann/looking 1000-9000; ");
    put_ack(j, &a, true);
    j = look_at_acks(j, "");
    journal_stop(j);
}

static void a_damaged_ack_is_left_out_and_counted(void)
{
    struct journal *j = fresh(1);
    struct ack a = {1, "ann", "looking", 1000, 5000};
    struct err err = {0};
    write_alert(j, 1, ALERT_PENDING, ALERT_FIRING, 0);
    put_ack(j, &a, false);
    journal_stop(j);
    sql("UPDATE ack SET until_ms = until_ms + 1");
    j = journal_open(folder, &err);
    struct buf b;
    buf_init(&b, 4096);
    journal_each_ack(j, ack_text, &b);
    CU_ASSERT_STRING_EQUAL(buf_cstr(&b), "");
    CU_ASSERT_EQUAL(journal_damaged(j), 1);
    buf_done(&b);
    journal_stop(j);
}

static void wait_for(struct journal *j, uint64_t tag)
{
    for (;;) {
        struct pollfd p = {.fd = ring_fd(journal_done(j)), .events = POLLIN};
        CU_ASSERT_EQUAL_FATAL(poll(&p, 1, 10000), 1);
        ring_drain_wakeup(journal_done(j));
        for (void *t; (t = ring_pop(journal_done(j)));)
            if ((uint64_t)(uintptr_t)t == tag)
                return;
    }
}

// SQLite goes on writing to a file without a name.
static void a_file_that_goes_is_begun_anew(void)
{
    char command[600];
    struct journal_stats s;
    struct journal *j = fresh(1);
    write_alert(j, 1, ALERT_PENDING, ALERT_FIRING, 1);
    wait_for(j, 1);
    snprintf(command, sizeof(command), "rm %s/alerts.*", folder);
    CU_ASSERT_EQUAL_FATAL(system(command), 0);
    write_alert(j, 2, ALERT_PENDING, ALERT_FIRING, 2);
    wait_for(j, JOURNAL_ANEW);
    journal_stats(j, &s);
    CU_ASSERT_EQUAL(s.anew, 1);
    CU_ASSERT_TRUE(journal_ok(j));
    check_after(j, "2 firing");
}

// One flipped bit in the text of the schema does that.
static void a_column_of_another_name_is_said(void)
{
    struct err err = {0};
    struct journal_stats s;
    struct journal *j = fresh(1);
    write_alert(j, 1, ALERT_PENDING, ALERT_FIRING, 0);
    journal_stop(j);
    sql("ALTER TABLE told RENAME COLUMN state TO statg");
    j = journal_open(folder, &err);
    journal_stats(j, &s);
    CU_ASSERT_EQUAL(s.anew, 1);
    CU_ASSERT_TRUE(journal_ok(j));
    CU_ASSERT_STRING_NOT_EQUAL(err.msg, "");
    journal_stop(j);
}

static void what_somebody_else_locks_is_read(void)
{
    char path[600];
    sqlite3 *db = NULL;
    struct journal *j = fresh(1);
    write_alert(j, 1, ALERT_PENDING, ALERT_FIRING, 0);
    journal_stop(j);
    snprintf(path, sizeof(path), "%s/alerts.db", folder);
    CU_ASSERT_EQUAL_FATAL(sqlite3_open(path, &db), SQLITE_OK);
    CU_ASSERT_EQUAL(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    struct err err = {0};
    j = journal_open(folder, &err);
    check_after(j, "1 firing");
    sqlite3_close(db);
}

static const struct test TESTS[] = {
    {"a file that is removed while we run is begun anew, and that is said",
        a_file_that_goes_is_begun_anew},
    {"a column that has another name is said, and the file begun anew",
        a_column_of_another_name_is_said},
    {"a file somebody else is writing to is read all the same",
        what_somebody_else_locks_is_read},
    {"acknowledgements come back while their alert does",
        acks_come_back_while_their_alert_does},
    {"a damaged acknowledgement is left out and counted",
        a_damaged_ack_is_left_out_and_counted},
    {"silences come back, the newest of each", silences_come_back},
    {"everything of an alert comes back", everything_of_an_alert_comes_back},
    {"the newest state is kept, what never fired is forgotten", the_newest_state_is_kept},
    {"an episode that is over goes when all receivers are through",
        it_goes_when_all_are_through},
    {"without receivers what is over is gone", without_receivers_what_is_over_is_gone},
    {"an episode that begins again is told again", an_episode_that_begins_again_is_told_again},
    {"ids are never used twice", ids_are_never_used_twice},
    {"commits are answered in their order", a_commit_is_answered_in_order},
    {"a damaged row is left out and counted", a_damaged_row_is_left_out_and_counted},
    {"every field of a row is under its sum", every_bit_of_a_row_counts},
    {"a broken file is moved aside", a_broken_file_is_moved_aside},
    {"a file that was cut off does not keep us from starting", a_cut_file_starts_too},
    {"what the disk refuses is answered and written later",
        what_the_disk_refuses_is_written_later},
};

int main(void)
{
    return test_main("journal", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
