// SPDX-License-Identifier: Apache-2.0
#include "collector/self.h"
#include "base/num.h"
#include <stddef.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

typedef void sink_fn(void *ctx, const char *name, const char *type, double v);

static const struct counter {
    const char *name, *type;
    size_t offset;
} INGEST[] = {
    {"tocsin_collector_bodies_total", "counter", offsetof(struct ingest_stats, bodies)},
    {"tocsin_collector_body_bytes_total", "counter", offsetof(struct ingest_stats, bytes)},
    {"tocsin_collector_frames_total", "counter", offsetof(struct ingest_stats, frames)},
    {"tocsin_collector_frames_duplicate_total", "counter",
        offsetof(struct ingest_stats, duplicates)},
    {"tocsin_collector_frames_not_held_total", "counter",
        offsetof(struct ingest_stats, not_held)},
    {"tocsin_collector_refused_busy_total", "counter",
        offsetof(struct ingest_stats, refused_busy)},
    {"tocsin_collector_refused_auth_total", "counter",
        offsetof(struct ingest_stats, refused_auth)},
    {"tocsin_collector_refused_body_total", "counter",
        offsetof(struct ingest_stats, refused_body)},
    {"tocsin_collector_refused_session_total", "counter",
        offsetof(struct ingest_stats, refused_session)},
    {"tocsin_collector_connections", "gauge", offsetof(struct ingest_stats, connections)},
    {"tocsin_collector_connections_accepted_total", "counter",
        offsetof(struct ingest_stats, accepted)},
    {"tocsin_collector_connections_refused_ip_total", "counter",
        offsetof(struct ingest_stats, refused_ip)},
    {"tocsin_collector_connections_evicted_total", "counter",
        offsetof(struct ingest_stats, evicted)},
    {"tocsin_collector_connections_overdue_total", "counter",
        offsetof(struct ingest_stats, overdue)},
    {"tocsin_collector_accept_paused_total", "counter",
        offsetof(struct ingest_stats, accept_paused)},
    {"tocsin_collector_samples_ahead_total", "counter",
        offsetof(struct ingest_stats, samples_ahead)},
    {"tocsin_collector_sessions", "gauge", offsetof(struct ingest_stats, sessions)},
};

static double resident_bytes(void)
{
    long total = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (!f)
        return 0;
    int n = fscanf(f, "%ld %ld", &total, &resident);
    fclose(f);
    return n == 2 ? (double)resident * (double)sysconf(_SC_PAGESIZE) : 0;
}

static void each(const struct self *s, sink_fn *fn, void *ctx)
{
    const struct ingest_stats *g = atomic_load(&s->ingest);
    for (size_t i = 0; g && i < sizeof(INGEST) / sizeof(INGEST[0]); i++) {
        const _Atomic uint64_t *at = (const void *)((const char *)g + INGEST[i].offset);
        fn(ctx, INGEST[i].name, INGEST[i].type, (double)atomic_load(at));
    }
    struct rusage u;
    if (getrusage(RUSAGE_SELF, &u) == 0)
        fn(ctx, "process_cpu_seconds_total", "counter",
            (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
                (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6);
    fn(ctx, "process_resident_memory_bytes", "gauge", resident_bytes());
    fn(ctx, "tocsin_config_reload_ok", "gauge", atomic_load(&s->reload_ok));
    fn(ctx, "tocsin_config_reloaded_timestamp_seconds", "gauge",
        (double)atomic_load(&s->reloaded_ms) / 1000);
    fn(ctx, "tocsin_collector_inventory_ok", "gauge",
        !s->inventory || inventory_ok(s->inventory));
    struct journal_stats j = {0};
    if (s->journal)
        journal_stats(s->journal, &j);
    // Written, and in time: what goes out before it is written could be forgotten by a crash.
    fn(ctx, "tocsin_collector_journal_ok", "gauge",
        !s->journal || (journal_ok(s->journal) && !journal_slow(s->journal)));
    fn(ctx, "tocsin_collector_journal_slow", "gauge", s->journal && journal_slow(s->journal));
    fn(ctx, "tocsin_collector_journal_commits_total", "counter", (double)j.commits);
    fn(ctx, "tocsin_collector_journal_failed_total", "counter", (double)j.failed);
    fn(ctx, "tocsin_collector_journal_lost_total", "counter", (double)j.lost);
    fn(ctx, "tocsin_collector_journal_missing_transactions", "gauge", (double)j.missing);
    fn(ctx, "tocsin_collector_journal_begun_anew", "gauge", (double)j.anew);
    fn(ctx, "tocsin_collector_journal_damaged_rows", "gauge",
        s->journal ? (double)journal_damaged(s->journal) : 0);
    fn(ctx, "tocsin_collector_journal_commit_seconds_max", "gauge",
        (double)j.commit_ns_max / 1e9);
}

struct recording {
    struct pipeline *p;
    int64_t t_ms;
};

static void to_series(void *ctx, const char *name, const char *type, double v)
{
    const struct recording *r = ctx;
    (void)type;
    pipeline_record(r->p, name, NULL, 0, r->t_ms, v);
}

void self_record(const struct self *s, struct pipeline *p, int64_t now_ms)
{
    struct recording r = {p, now_ms};
    each(s, to_series, &r);
    struct pipeline_stats ps;
    struct store_stats ss;
    pipeline_stats(p, &ps);
    store_stats(pipeline_store(p), &ss);
    pipeline_record(p, "tocsin_collector_series", NULL, 0, now_ms, (double)ss.series);
    pipeline_record(p, "tocsin_collector_store_bytes", NULL, 0, now_ms, (double)ss.bytes);
    pipeline_record(p, "tocsin_collector_samples_total", NULL, 0, now_ms, (double)ss.samples);
    pipeline_record(
        p, "tocsin_collector_duplicate_samples_total", NULL, 0, now_ms, (double)ss.duplicates);
    pipeline_record(
        p, "tocsin_collector_groups_refused_total", NULL, 0, now_ms, (double)ps.groups_refused);
    pipeline_record(p, "tocsin_collector_stalled_seconds_total", NULL, 0, now_ms,
        (double)ps.stalled_ms / 1000);
}

static void to_text(void *ctx, const char *name, const char *type, double v)
{
    char number[NUM_TEXT_MAX];
    int n = (int)num_short(v, number);
    buf_addf(ctx, "# TYPE %s %s\n%s %.*s\n", name, type, name, n, number);
}

void self_metrics(const struct self *s, struct buf *out)
{
    each(s, to_text, out);
    buf_addf(out, "# TYPE tocsin_build_info gauge\ntocsin_build_info{version=\"%s\"} 1\n",
        s->version);
}
