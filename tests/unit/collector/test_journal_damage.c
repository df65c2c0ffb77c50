// SPDX-License-Identifier: Apache-2.0
/*
 * A journal of a storm, as kill -9 leaves it, with bits flipped or its end cut off. Whatever was done to
 * it, it opens; what it gives back is what was written once; and when it says that nothing is
 * lost, it gives back all. DAMAGES says how often (300), SEED with which.
 */
#include "base/buf.h"
#include "collector/journal.h"
#include "tests/lib/run.h"
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define EPISODES 60

static const char *const FILES[] = {
    "alerts.db", "alerts.db-wal", "alerts.db-shm", "alerts.mark"};
#define N_FILES (sizeof(FILES) / sizeof(FILES[0]))
struct image {
    uint8_t *data;
    size_t len;
    bool there;
};
static uint64_t seed = 20261128;
static int folders;
static char folder[512];

static uint64_t random_below(uint64_t n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed % n;
}

static void new_folder(void)
{
    snprintf(folder, sizeof(folder), "%s/damage-%d", test_tmpdir(), folders++);
    mkdir(folder, 0700);
}

static void path_of(char *path, size_t len, const char *name)
{
    snprintf(path, len, "%s/%s", folder, name);
}

static struct image read_file(const char *name)
{
    char path[600];
    struct stat st;
    struct image m = {0};
    path_of(path, sizeof(path), name);
    int fd = open(path, O_RDONLY);
    if (fd == -1 || fstat(fd, &st) == -1)
        return m;
    m = (struct image){malloc((size_t)st.st_size + 1), (size_t)st.st_size, true};
    CU_ASSERT_EQUAL_FATAL(read(fd, m.data, m.len), (ssize_t)m.len);
    close(fd);
    return m;
}

static void write_file(const char *name, const struct image *m)
{
    char path[600];
    path_of(path, sizeof(path), name);
    (void)unlink(path);
    if (!m->there)
        return;
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    CU_ASSERT_EQUAL_FATAL(write(fd, m->data, m->len), (ssize_t)m->len);
    close(fd);
}

// All fields of an episode follow from its number and state, so that any other mixture shows.
static struct notice notice(uint64_t id, enum alert_state from, enum alert_state to, char *text)
{
    static struct label l[2];
    snprintf(text, 64, "zone-%llu \"x\"", (unsigned long long)id);
    l[0] = (struct label){"alertname", "Hot"};
    l[1] = (struct label){"zone", text};
    return (struct notice){.alert_id = id,
        .rule_identity = id * 0x9e3779b97f4a7c15u,
        .element_hash = id * 77,
        .fingerprint = id * 0xc2b2ae3d27d4eb4fu,
        .labels = {l, 2},
        .group = "g",
        .file = "rules.yml",
        .expr = "temp > 40",
        .line = (int)id,
        .from = from,
        .to = to,
        .value = (double)id / 3,
        .active_at_ms = 1000 * (int64_t)id,
        .starts_at_ms = to == ALERT_PENDING ? 0 : 1000 * (int64_t)id + 500,
        .ends_at_ms = to == ALERT_INACTIVE ? 1000 * (int64_t)id + 900 : 0};
}

static void commit_alert(
    struct journal *j, uint64_t id, enum alert_state from, enum alert_state to)
{
    char text[64];
    struct notice n = notice(id, from, to, text);
    struct journal_write *w = journal_write_new();
    CU_ASSERT_EQUAL_FATAL(journal_write_alert(w, &n, 1, 0), 0);
    CU_ASSERT_TRUE(journal_commit(j, w, 0));
}

static void commit_told(struct journal *j, uint64_t id, enum told told)
{
    struct journal_write *w = journal_write_new();
    CU_ASSERT_EQUAL_FATAL(
        journal_write_told(w, "oncall", id, told, 7000 + (int64_t)id * 10 + told), 0);
    CU_ASSERT_TRUE(journal_commit(j, w, 0));
}

// So many commits are on disk, whatever the thread took together.
static void settle(const struct journal *j)
{
    struct journal_stats s;
    do {
        journal_stats(j, &s);
        usleep(200);
    } while (s.waiting);
}

// An episode goes as far as the storm has come: pending, firing, told, over, told and gone.
static void storm(struct journal *j)
{
    int stage[EPISODES + 1] = {0};
    for (int i = 0; i < EPISODES * 4; i++) {
        uint64_t id = 1 + random_below(EPISODES);
        switch (stage[id]++) {
        case 0: commit_alert(j, id, ALERT_INACTIVE, ALERT_PENDING); break;
        case 1: commit_alert(j, id, ALERT_PENDING, ALERT_FIRING); break;
        case 2: commit_told(j, id, TOLD_FIRING); break;
        case 3: commit_alert(j, id, ALERT_FIRING, ALERT_INACTIVE); break;
        case 4: commit_told(j, id, TOLD_OVER); break;
        default: break;
        }
        if (i % 3 == 0)
            settle(j);
    }
    settle(j);
}

struct seen {
    struct buf rows;
    size_t wrong;
};

static void check_row(void *ctx, const struct journal_row *r)
{
    struct seen *s = ctx;
    char text[64];
    const struct notice *g = r->notice;
    struct notice n = notice(g->alert_id, g->from, g->to, text);
    bool right = g->alert_id >= 1 && g->alert_id <= EPISODES &&
                 g->rule_identity == n.rule_identity && g->element_hash == n.element_hash &&
                 g->fingerprint == n.fingerprint && labels_equal(&g->labels, &n.labels) &&
                 g->annotations.n == 0 && strcmp(g->group, n.group) == 0 &&
                 strcmp(g->file, n.file) == 0 && strcmp(g->expr, n.expr) == 0 &&
                 g->line == n.line && g->value == n.value &&
                 g->active_at_ms == n.active_at_ms && g->starts_at_ms == n.starts_at_ms &&
                 g->ends_at_ms == n.ends_at_ms && r->lanes == 1;
    buf_addf(&s->rows, "%llu %d", (unsigned long long)g->alert_id, g->to);
    for (size_t i = 0; i < r->n; i++) {
        right = right && strcmp(r->receiver[i], "oncall") == 0 &&
                r->at_ms[i] == 7000 + (int64_t)g->alert_id * 10 + r->told[i];
        buf_addf(&s->rows, " %d", r->told[i]);
    }
    buf_addf(&s->rows, "; ");
    s->wrong += !right;
}

// What it says it lost: 0 when it says nothing.
static uint64_t losses(const struct journal *j, const struct err *warn)
{
    struct journal_stats s;
    journal_stats(j, &s);
    return s.missing + s.anew + journal_damaged(j) + (warn->msg[0] != 0);
}

static void hurt(struct image *m, bool cut)
{
    if (cut) {
        m->len = random_below(m->len);
        return;
    }
    for (uint64_t n = 1 + random_below(3); n; n--)
        m->data[random_below(m->len)] ^= (uint8_t)(1u << random_below(8));
}

static void what_is_given_back_was_written(void)
{
    const char *env = getenv("DAMAGES");
    long times = env ? strtol(env, NULL, 10) : 300;
    if (getenv("SEED"))
        seed = strtoull(getenv("SEED"), NULL, 10);
    struct image whole[N_FILES];
    struct seen all = {0};
    struct err err = {0};
    size_t silent = 0, lost = 0, refused = 0, kept = 0;
    new_folder();
    struct journal *j = journal_open(folder, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(j);
    CU_ASSERT_EQUAL_FATAL(journal_start(j, &err), 0);
    storm(j);
    for (size_t i = 0; i < N_FILES; i++) // as kill -9 would leave them
        whole[i] = read_file(FILES[i]);
    journal_stop(j);
    CU_ASSERT_FATAL(whole[0].there && whole[1].len > 8192 && whole[3].len == 32);
    new_folder();
    for (size_t i = 0; i < N_FILES; i++)
        write_file(FILES[i], &whole[i]);
    buf_init(&all.rows, 1u << 20);
    j = journal_open(folder, &err);
    journal_each(j, check_row, &all);
    CU_ASSERT_EQUAL(losses(j, &err), 0);
    CU_ASSERT_EQUAL(all.wrong, 0);
    journal_stop(j);
    // The other half of the trials: everything moved from the log into the file.
    struct image half[2][N_FILES];
    memcpy(half[0], whole, sizeof(whole));
    for (size_t i = 0; i < N_FILES; i++)
        half[1][i] = read_file(FILES[i]);
    CU_ASSERT_FATAL(half[1][0].len > 8192 && !half[1][1].there);
    for (long t = 0; t < times; t++) {
        const struct image *from = half[t & 1];
        size_t victim = t & 1 ? 0 : random_below(8) ? 1 : random_below(N_FILES);
        struct image copy = {
            malloc(from[victim].len + 1), from[victim].len, from[victim].there};
        uint64_t at = seed;
        memcpy(copy.data, from[victim].data, copy.len);
        new_folder();
        if (copy.len)
            hurt(&copy, random_below(3) == 0);
        for (size_t i = 0; i < N_FILES; i++)
            write_file(FILES[i], i == victim ? &copy : &from[i]);
        struct seen got = {0};
        struct err warn = {0};
        buf_init(&got.rows, 1u << 20);
        j = journal_open(folder, &warn);
        CU_ASSERT_PTR_NOT_NULL_FATAL(j);
        journal_each(j, check_row, &got);
        bool same = strcmp(buf_cstr(&got.rows), buf_cstr(&all.rows)) == 0;
        uint64_t said = losses(j, &warn);
        silent += !same && !said;
        refused += !journal_ok(j);
        lost += said != 0;
        kept += said && got.rows.len;
        if (!journal_ok(j))
            printf("seed %llu, %s: %s\n", (unsigned long long)at, FILES[victim], warn.msg);
        if (got.wrong || (!same && !said))
            printf("seed %llu, %s of %zu: %zu wrong rows, said %s\n    %s\n    %s\n",
                (unsigned long long)at, FILES[victim], copy.len, got.wrong,
                said ? warn.msg : "nothing", buf_cstr(&got.rows), buf_cstr(&all.rows));
        CU_ASSERT_EQUAL(got.wrong, 0);
        if (said && !same)
            CU_ASSERT(journal_last_id(j) >= EPISODES || got.rows.len > 0);
        // And it goes on: what is written now is there afterwards.
        if (t % 16 == 0) {
            CU_ASSERT_EQUAL_FATAL(journal_start(j, &err), 0);
            uint64_t id = journal_last_id(j) + 1;
            commit_alert(j, id, ALERT_PENDING, ALERT_FIRING);
            settle(j);
            CU_ASSERT_TRUE(journal_ok(j));
            journal_stop(j);
            warn = (struct err){0};
            j = journal_open(folder, &warn);
            CU_ASSERT_EQUAL(journal_last_id(j), id);
        }
        journal_stop(j);
        buf_done(&got.rows);
        free(copy.data);
        for (size_t i = 0; i < N_FILES; i++)
            write_file(FILES[i], &(struct image){0});
    }
    printf("      %ld damages: %zu said, %zu of them kept something\n", times, lost, kept);
    CU_ASSERT_EQUAL(silent, 0);
    CU_ASSERT_EQUAL(refused, 0);
    CU_ASSERT(lost > (size_t)times / 3);
    for (size_t i = 0; i < N_FILES; i++) {
        free(half[1][i].data);
        free(whole[i].data);
    }
    buf_done(&all.rows);
}

static const struct test TESTS[] = {
    {"of a damaged journal only what was written comes back, and what is lost is said",
        what_is_given_back_was_written},
};

int main(void)
{
    return test_main("journal_damage", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
