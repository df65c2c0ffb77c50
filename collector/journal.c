// SPDX-License-Identifier: Apache-2.0
#include "collector/journal.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/thread.h"
#include "collector/journal_rows.h"
#include "collector/pace.h"
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#define WRITES_MAX   4096
#define WAITING_MAX  100000 // writes kept while the disk refuses
#define TRY_AGAIN_NS 1000000000LL
#define TRIM_NS      (60 * TRY_AGAIN_NS) // between looks for what is too old in the log
#define TRIM_MORE_NS (TRY_AGAIN_NS / 10) // while there is more of it

struct record {
    const struct notice *notice; // an alert, or
    uint32_t lanes, mutes;       // lanes alone: so many more are owed the end of alert_id
    struct event *event;         // what a person did, or
    struct silence_row *silence; // a silence, or
    struct delivery *delivery;   // a message that was tried, or
    struct letter *letter;       // one that was given up, or
    uint64_t unletter;           // is that no more, or
    struct ack_row *ack;         // an acknowledgement, or
    char *receiver;              // what somebody was told
    uint64_t alert_id;
    enum told told;
    int64_t at_ms;
};
struct journal_write {
    struct journal_write *next;
    struct record *r;
    size_t n, cap;
    uint64_t tag;
    uint32_t number; // of the first commit that was to hold it; 0 = none yet
};

struct journal {
    struct journal_rows rows;
    struct ring *writes, *done;
    struct loop *loop;
    struct loop_timer *again, *trim;
    struct clock clock;
    pthread_t thread;
    bool running;
    struct journal_write *first, **end; // taken from the ring, not on disk yet
    atomic_size_t waiting;
    struct pace pace;
    atomic_bool ok, behind;
    atomic_llong begun_ns; // of the commit under way; 0 = none
    atomic_ullong commits, failed, lost, missing, anew;
    atomic_llong commit_ns_max;
};

static void write_free(struct journal_write *w)
{
    for (size_t i = 0; i < w->n; i++) {
        notice_free(w->r[i].notice);
        free(w->r[i].event);
        free(w->r[i].silence);
        free(w->r[i].delivery);
        free(w->r[i].letter);
        free(w->r[i].ack);
        free(w->r[i].receiver);
    }
    free(w->r);
    free(w);
}

// What a file no longer holds; also of one that broke or went while we ran.
static void show_loss(struct journal *j)
{
    atomic_store(&j->missing, j->rows.missing);
    atomic_store(&j->anew, j->rows.file.anew);
}

struct journal *journal_open(const char *state_dir, struct err *warn)
{
    struct journal *j = calloc(1, sizeof(*j));
    if (!j)
        return NULL;
    j->end = &j->first;
    j->rows.mark.fd = -1;
    j->clock = clock_system();
    j->writes = ring_new(WRITES_MAX);
    j->done = ring_new(WRITES_MAX * 2);
    j->loop = loop_new();
    if (!j->writes || !j->done || !j->loop) {
        journal_stop(j);
        return NULL;
    }
    journal_rows_open(&j->rows, state_dir, clock_wall_ms(&j->clock), warn);
    show_loss(j);
    atomic_store(&j->ok, journal_rows_ready(&j->rows));
    return j;
}

void journal_each(
    struct journal *j, void (*fn)(void *ctx, const struct journal_row *r), void *ctx)
{
    journal_rows_each(&j->rows, fn, ctx);
}

void journal_each_silence(struct journal *j,
    void (*fn)(void *ctx, const struct silence *s, const char *matchers), void *ctx)
{
    silence_rows_each(&j->rows.file, &j->rows.damaged, fn, ctx);
}

void journal_each_letter(
    struct journal *j, void (*fn)(void *ctx, const struct letter *l), void *ctx)
{
    delivery_rows_letters(&j->rows.file, &j->rows.damaged, fn, ctx);
}

uint64_t journal_last_delivery(struct journal *j)
{
    return delivery_rows_last_id(&j->rows.file);
}

const char *journal_path(const struct journal *j)
{
    return j->rows.file.path;
}

void journal_each_ack(struct journal *j, void (*fn)(void *ctx, const struct ack *a), void *ctx)
{
    ack_rows_each(&j->rows.file, &j->rows.damaged, fn, ctx);
}

uint64_t journal_last_id(const struct journal *j)
{
    return j->rows.last_id;
}

uint64_t journal_damaged(const struct journal *j)
{
    return j->rows.damaged;
}

// --- what is to be written -----------------------------------------------------------------------

struct journal_write *journal_write_new(void)
{
    return calloc(1, sizeof(struct journal_write));
}

static struct record *record_new(struct journal_write *w)
{
    if (w->n == w->cap) {
        size_t cap = w->cap ? w->cap * 2 : 8;
        struct record *grown = realloc(w->r, cap * sizeof(*grown));
        if (!grown)
            return NULL;
        w->r = grown;
        w->cap = cap;
    }
    struct record *r = &w->r[w->n];
    *r = (struct record){0};
    return r;
}

int journal_write_alert(
    struct journal_write *w, const struct notice *n, size_t lanes, unsigned mutes)
{
    struct record *r = record_new(w);
    if (!r || !(r->notice = notice_keep(n)))
        return -ENOMEM;
    r->lanes = (uint32_t)lanes;
    r->mutes = mutes;
    w->n++;
    return 0;
}

int journal_write_told(struct journal_write *w, const char *receiver, uint64_t alert_id,
    enum told told, int64_t at_ms)
{
    struct record *r = record_new(w);
    if (!r || !(r->receiver = strdup(receiver)))
        return -ENOMEM;
    r->alert_id = alert_id;
    r->told = told;
    r->at_ms = at_ms;
    w->n++;
    return 0;
}

int journal_write_owed(struct journal_write *w, uint64_t alert_id, size_t lanes)
{
    struct record *r = record_new(w);
    if (!r)
        return -ENOMEM;
    r->alert_id = alert_id;
    r->lanes = (uint32_t)lanes;
    w->n++;
    return 0;
}

int journal_write_silence(struct journal_write *w, const struct silence *s, bool gone)
{
    struct record *r = record_new(w);
    if (!r || !(r->silence = silence_row_new(s, gone)))
        return -ENOMEM;
    w->n++;
    return 0;
}

int journal_write_ack(struct journal_write *w, const struct ack *a, bool gone)
{
    struct record *r = record_new(w);
    if (!r || !(r->ack = ack_row_new(a, gone)))
        return -ENOMEM;
    w->n++;
    return 0;
}

int journal_write_delivery(struct journal_write *w, struct delivery *row)
{
    struct record *r = record_new(w);
    if (!r)
        return -ENOMEM;
    r->delivery = row;
    w->n++;
    return 0;
}

int journal_write_letter(struct journal_write *w, const struct letter *l)
{
    struct record *r = record_new(w);
    if (!r || !(r->letter = letter_copy(l)))
        return -ENOMEM;
    w->n++;
    return 0;
}

int journal_write_unletter(struct journal_write *w, uint64_t id)
{
    struct record *r = record_new(w);
    if (!r)
        return -ENOMEM;
    r->unletter = id;
    w->n++;
    return 0;
}

int journal_write_event(struct journal_write *w, const struct event *e)
{
    struct record *r = record_new(w);
    if (!r || !(r->event = event_copy(e)))
        return -ENOMEM;
    w->n++;
    return 0;
}

bool journal_commit(struct journal *j, struct journal_write *w, uint64_t tag)
{
    w->tag = tag;
    if (j->running && ring_push(j->writes, w))
        return true;
    atomic_fetch_add(&j->lost, w->n);
    atomic_store(&j->ok, false);
    write_free(w);
    return false;
}

struct ring *journal_done(struct journal *j)
{
    return j->done;
}

bool journal_ok(const struct journal *j)
{
    return atomic_load(&j->ok);
}

bool journal_slow(const struct journal *j)
{
    int64_t begun = atomic_load(&j->begun_ns);
    return atomic_load(&j->behind) ||
           (begun && clock_mono_ns(&j->clock) - begun > PACE_STUCK_NS);
}

void journal_stats(const struct journal *j, struct journal_stats *ret)
{
    *ret = (struct journal_stats){.commits = atomic_load(&j->commits),
        .failed = atomic_load(&j->failed),
        .lost = atomic_load(&j->lost),
        .missing = atomic_load(&j->missing),
        .anew = atomic_load(&j->anew),
        .waiting = atomic_load(&j->waiting) + ring_len(j->writes),
        .waiting_max = WAITING_MAX,
        .commit_ns_max = atomic_load(&j->commit_ns_max)};
}

// --- the thread ----------------------------------------------------------------------------------

// A commit that failed may be in the file all the same: rows that say what is are written again, so
// that they are on the disk, but a line of the log or an addition would be there twice.
static int put(struct journal *j, const struct journal_write *w)
{
    struct event_rows *log = &j->rows.events;
    bool there = w->number && w->number <= j->rows.found;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < w->n; i++) {
        const struct record *r = &w->r[i];
        if (r->silence) {
            rc = there ? 0 : event_rows_silence(log, r->silence);
            rc = rc == 0 ? silence_row_put(&j->rows.file, r->silence) : rc;
        } else if (r->notice) {
            rc = there ? 0 : event_rows_alert(log, r->notice, r->mutes);
            rc = rc == 0 ? journal_rows_alert(&j->rows, r->notice, r->lanes) : rc;
        } else if (r->event)
            rc = there ? 0 : event_rows_put(log, r->event);
        else if (r->delivery)
            rc = delivery_rows_put(&j->rows.deliveries, &j->rows.file, r->delivery);
        else if (r->letter)
            rc = delivery_rows_letter(&j->rows.deliveries, r->letter);
        else if (r->unletter)
            rc = delivery_rows_unletter(&j->rows.deliveries, r->unletter);
        else if (r->ack)
            rc = ack_row_put(&j->rows.file, r->ack);
        else if (!r->receiver)
            rc = there ? 0 : journal_rows_owed(&j->rows, r->alert_id, r->lanes);
        else
            rc = journal_rows_told(&j->rows, r->receiver, r->alert_id, r->told, r->at_ms);
    }
    return rc;
}

static void take(struct journal *j)
{
    struct journal_write *w;
    while ((w = ring_pop(j->writes))) {
        if (atomic_load(&j->waiting) >= WAITING_MAX) {
            atomic_fetch_add(&j->lost, w->n);
            write_free(w);
            continue;
        }
        w->next = NULL;
        *j->end = w;
        j->end = &w->next;
        atomic_fetch_add(&j->waiting, 1);
    }
}

static int transaction(struct journal *j, struct err *err)
{
    int64_t start = clock_mono_ns(&j->clock);
    atomic_store(&j->begun_ns, start);
    int rc = journal_rows_begin(&j->rows, err);
    for (const struct journal_write *w = j->first; rc == 0 && w; w = w->next)
        rc = put(j, w);
    for (struct journal_write *w = j->first; rc == 0 && w; w = w->next)
        w->number = w->number ? w->number : j->rows.commits + 1;
    rc = journal_rows_end(&j->rows, rc, err);
    unsigned anew = (unsigned)atomic_load(&j->anew);
    show_loss(j);
    if (j->rows.file.anew != anew) {
        log_error("journal_begun_anew", "file=%s why=%s", log_q(j->rows.file.path),
            log_q(err->msg[0] ? err->msg : "the file was gone"));
        (void)ring_push(j->done, (void *)(uintptr_t)JOURNAL_ANEW);
    }
    int64_t took = clock_mono_ns(&j->clock) - start;
    atomic_store(&j->begun_ns, 0);
    if (took > atomic_load(&j->commit_ns_max))
        atomic_store(&j->commit_ns_max, took);
    pace_add(&j->pace, took);
    if (j->pace.behind != atomic_load(&j->behind))
        log_warn(j->pace.behind ? "journal_slow" : "journal_quick_again",
            "took_ms=%lld file=%s", (long long)(took / NS_PER_MS), log_q(j->rows.file.path));
    atomic_store(&j->behind, j->pace.behind);
    return rc;
}

// All that waits in one transaction; on failure it goes on waiting. probe: also when nothing does.
static void commit(struct journal *j, bool probe)
{
    struct err err = {0};
    bool was = atomic_load(&j->ok);
    take(j);
    if (!j->first && !(probe && (!was || pace_unsure(&j->pace))))
        return;
    int rc = transaction(j, &err);
    // Before the tags: a page that leaves upon one says whether it is durable.
    atomic_store(&j->ok, rc == 0);
    // Nobody waits for a failed write: the page has to go out, and the alert about the disk too.
    for (struct journal_write *w = j->first, *next; w; w = next) {
        next = w->next;
        if (w->tag)
            (void)ring_push(j->done, (void *)(uintptr_t)w->tag);
        w->tag = 0;
        if (rc == 0)
            write_free(w);
    }
    if (rc == 0) {
        j->first = NULL;
        j->end = &j->first;
        atomic_store(&j->waiting, 0);
        atomic_fetch_add(&j->commits, 1);
        if (pace_unsure(&j->pace))
            loop_timer_set(j->again, clock_mono_ns(&j->clock) + TRY_AGAIN_NS);
        if (!was)
            log_info("journal_written_again", "file=%s", log_q(j->rows.file.path));
        return;
    }
    atomic_fetch_add(&j->failed, 1);
    if (was)
        log_error("journal_not_written", "file=%s error=%s hint=%s", log_q(j->rows.file.path),
            log_q(err.msg),
            log_q("pages go out, but a crash now would forget them; tried again each second"));
    loop_timer_set(j->again, clock_mono_ns(&j->clock) + TRY_AGAIN_NS);
}

static void on_writes(void *ctx, int fd, uint32_t events)
{
    struct journal *j = ctx;
    (void)fd;
    (void)events;
    ring_drain_wakeup(j->writes);
    commit(j, false);
}

static void on_again(void *ctx, int64_t due_ns, int64_t at_ns)
{
    (void)due_ns;
    (void)at_ns;
    commit(ctx, true);
}

// A page that comes meanwhile waits for some rows to be removed, not for the disk.
static void on_trim(void *ctx, int64_t due_ns, int64_t at_ns)
{
    struct journal *j = ctx;
    (void)due_ns;
    bool more = !j->first && journal_rows_trim(&j->rows, clock_wall_ms(&j->clock));
    loop_timer_set(j->trim, at_ns + (more ? TRIM_MORE_NS : TRIM_NS));
}

static void *run(void *ctx)
{
    struct journal *j = ctx;
    commit(j, false);
    (void)loop_run(j->loop);
    commit(j, false);
    return NULL;
}

int journal_start(struct journal *j, struct err *err)
{
    j->again = loop_timer_new(j->loop, on_again, j);
    j->trim = loop_timer_new(j->loop, on_trim, j);
    if (!j->again || !j->trim ||
        !loop_io_add(j->loop, ring_fd(j->writes), EPOLLIN, on_writes, j)) {
        err_set(err, "out of memory");
        return -ENOMEM;
    }
    loop_timer_set(j->trim, clock_mono_ns(&j->clock) + TRIM_NS);
    int rc = thread_start(&j->thread, "journal", run, j, err);
    j->running = rc == 0;
    return rc;
}

void journal_stop(struct journal *j)
{
    if (!j)
        return;
    if (j->running) {
        loop_stop(j->loop);
        pthread_join(j->thread, NULL);
    }
    if (j->writes)
        take(j);
    while (j->first) {
        struct journal_write *next = j->first->next;
        write_free(j->first);
        j->first = next;
    }
    journal_rows_close(&j->rows);
    loop_free(j->loop);
    ring_free(j->writes);
    ring_free(j->done);
    free(j);
}
