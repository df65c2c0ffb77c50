// SPDX-License-Identifier: Apache-2.0
#include "agent/self.h"
#include "agent/procfile.h"
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define KINDS_MAX 64

enum {
    CPU_SECONDS,
    RESIDENT_BYTES,
    TICK_LATENESS,
    SERIES,
    REFUSED,
    FRAMES_FAILED,
    SPOOL_BYTES,
    SPOOL_DROPPED_SAMPLES,
    SPOOL_DROPPED_FRAMES,
    PUSH_BODIES,
    PUSH_FAILURES,
    PUSH_REPLAYED,
    PUSH_ROUND_TRIP,
    CLOCK_OFFSET,
    N_SINGLES
};

static const struct {
    const char *name, *unit;
    enum series_kind kind;
} SINGLES[N_SINGLES] = {
    [CPU_SECONDS] = {"tocsin_agent_cpu_seconds_total", "s", SERIES_COUNTER},
    [RESIDENT_BYTES] = {"tocsin_agent_resident_memory_bytes", "By", SERIES_GAUGE},
    [TICK_LATENESS] = {"tocsin_agent_tick_lateness_seconds", "s", SERIES_GAUGE},
    [SERIES] = {"tocsin_agent_series", "1", SERIES_GAUGE},
    [REFUSED] = {"tocsin_agent_output_refused_total", "1", SERIES_COUNTER},
    [FRAMES_FAILED] = {"tocsin_agent_frames_failed_total", "1", SERIES_COUNTER},
    [SPOOL_BYTES] = {"tocsin_agent_spool_bytes", "By", SERIES_GAUGE},
    [SPOOL_DROPPED_SAMPLES] = {"tocsin_agent_spool_dropped_samples_total", "1", SERIES_COUNTER},
    [SPOOL_DROPPED_FRAMES] = {"tocsin_agent_spool_dropped_frames_total", "1", SERIES_COUNTER},
    [PUSH_BODIES] = {"tocsin_agent_push_bodies_total", "1", SERIES_COUNTER},
    [PUSH_FAILURES] = {"tocsin_agent_push_failures_total", "1", SERIES_COUNTER},
    [PUSH_REPLAYED] = {"tocsin_agent_push_replayed_frames_total", "1", SERIES_COUNTER},
    [PUSH_ROUND_TRIP] = {"tocsin_agent_push_round_trip_seconds", "s", SERIES_GAUGE},
    [CLOCK_OFFSET] = {"tocsin_agent_clock_offset_seconds", "s", SERIES_GAUGE},
};

// Samplers of one kind (the probes have one per interval) are one row.
struct kind {
    const struct sampler_ops *ops;
    uint32_t cpu, interval, missed, available;
    char *reason; // label of `available`; NULL: it is available
};

struct self {
    struct self_sources from;
    struct procfile statm;
    double page_bytes;
    uint32_t singles[N_SINGLES];
    struct kind kinds[KINDS_MAX];
    size_t n_kinds;
};

static uint32_t series(struct output *o, const char *name, const char *sampler,
    enum series_kind kind, const char *unit)
{
    struct wire_label l[] = {{"job", "tocsin"}, {"sampler", sampler}};
    return output_series(o, name, l, sampler ? 2 : 1, kind, unit);
}

struct self *self_new(const struct env *env, const struct self_sources *from)
{
    struct self *s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    s->from = *from;
    s->page_bytes = (double)sysconf(_SC_PAGESIZE);
    procfile_init(&s->statm);
    procfile_open(&s->statm, env->proc, "self/statm"); // without it the sample is absent
    for (int i = 0; i < N_SINGLES; i++)
        s->singles[i] =
            series(env->out, SINGLES[i].name, NULL, SINGLES[i].kind, SINGLES[i].unit);
    return s;
}

static void self_close(struct sampler *sampler)
{
    struct self *s = sampler->state;
    if (!s)
        return;
    for (size_t i = 0; i < s->n_kinds; i++)
        free(s->kinds[i].reason);
    procfile_done(&s->statm);
    free(s);
    sampler->state = NULL;
}

static struct kind *kind_of(struct self *s, struct output *o, const struct sampler_ops *ops)
{
    for (size_t i = 0; i < s->n_kinds; i++)
        if (s->kinds[i].ops == ops)
            return &s->kinds[i];
    if (s->n_kinds == KINDS_MAX)
        return NULL;
    struct kind *k = &s->kinds[s->n_kinds++];
    k->ops = ops;
    k->cpu =
        series(o, "tocsin_agent_sampler_cpu_seconds_total", ops->name, SERIES_COUNTER, "s");
    k->interval =
        series(o, "tocsin_agent_sampler_interval_seconds", ops->name, SERIES_GAUGE, "s");
    k->missed = series(o, "tocsin_agent_ticks_missed_total", ops->name, SERIES_COUNTER, "1");
    return k;
}

// Why it is not available is a label, so that a query over all hosts tells it too. What is only
// degraded has none: such a reason may count something, and each would be a series.
static void available_set(struct output *o, struct kind *k, const char *reason)
{
    struct wire_label l[] = {
        {"job", "tocsin"}, {"sampler", k->ops->name}, {"reason", reason ? reason : ""}};
    bool same = k->reason && reason ? strcmp(k->reason, reason) == 0 : k->reason == reason;

    if (!k->available || !same) {
        output_end(o, k->available);
        free(k->reason);
        k->reason = reason ? strdup(reason) : NULL;
        k->available = output_series(o, "tocsin_agent_sampler_available", l,
            reason && reason[0] ? 3 : 2, SERIES_STATE, "1");
    }
    output_set(o, k->available, !reason);
}

static void write_samplers(struct self *s, struct output *o)
{
    size_t n = schedule_count(s->from.schedule);
    for (size_t i = 0; i < n; i++) {
        const struct sampler *first = schedule_at(s->from.schedule, i);
        bool seen = false;
        for (size_t k = 0; k < i && !seen; k++)
            seen = schedule_at(s->from.schedule, k)->ops == first->ops;
        struct kind *kind = seen ? NULL : kind_of(s, o, first->ops);
        if (!kind)
            continue;
        int64_t cpu = 0, missed = 0;
        const char *reason = NULL;
        for (size_t k = i; k < n; k++) {
            const struct sampler *p = schedule_at(s->from.schedule, k);
            if (p->ops != first->ops)
                continue;
            cpu += p->cpu_ns;
            missed += p->missed;
            if (!p->available && !reason)
                reason = p->reason;
        }
        output_set(o, kind->cpu, (double)cpu / 1e9);
        output_set(o, kind->interval, first->interval_ms / 1e3);
        output_set(o, kind->missed, (double)missed);
        available_set(o, kind, reason);
    }
}

static void self_tick(struct sampler *sampler, const struct tick *t)
{
    struct self *s = sampler->state;
    struct output *o = sampler->env->out;
    const struct push_stats *push = push_stats(s->from.push);
    struct rusage ru;
    uint64_t pages;
    (void)t;

    feed_write_seq(s->from.feed);
    write_samplers(s, o);
    if (getrusage(RUSAGE_SELF, &ru) == 0)
        output_set(o, s->singles[CPU_SECONDS],
            (double)(ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) +
                (double)(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) / 1e6);
    if (procfile_read(&s->statm) == 0) {
        const char *p = scan_u64(s->statm.text, &pages);
        scan_u64(p, &pages);
        output_set(o, s->singles[RESIDENT_BYTES], (double)pages * s->page_bytes);
    } else {
        output_absent(o, s->singles[RESIDENT_BYTES]);
    }
    double v[N_SINGLES] = {
        [TICK_LATENESS] = (double)schedule_lateness_take(s->from.schedule) / 1e9,
        [SERIES] = (double)output_active(o),
        [REFUSED] = (double)output_refused(o),
        [FRAMES_FAILED] = (double)feed_failures(s->from.feed),
        [SPOOL_BYTES] = (double)spool_bytes(s->from.spool),
        [SPOOL_DROPPED_SAMPLES] = (double)spool_dropped_samples(s->from.spool),
        [SPOOL_DROPPED_FRAMES] = (double)spool_dropped_frames(s->from.spool),
        [PUSH_BODIES] = (double)push->bodies,
        [PUSH_FAILURES] = (double)push->failures,
        [PUSH_REPLAYED] = (double)push->replayed_frames,
        [PUSH_ROUND_TRIP] = (double)push->round_trip_us / 1e6,
        [CLOCK_OFFSET] = (double)push->clock_offset_us / 1e6,
    };
    for (int i = TICK_LATENESS; i < N_SINGLES; i++)
        if (i < PUSH_ROUND_TRIP || push->round_trip_us > 0)
            output_set(o, s->singles[i], v[i]);
}

const struct sampler_ops sampler_self = {
    .name = "self", .interval_ms = 1000, .tick = self_tick, .close = self_close};
