// SPDX-License-Identifier: Apache-2.0
#include "agent/statsd.h"
#include "agent/intake.h"
#include "agent/parts.h"
#include "agent/statsd_door.h"
#include "agent/statsd_line.h"
#include "agent/tally.h"
#include "base/log.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RETRY_NS (5 * NS_PER_S)
// Beyond the limit of the intake series go on in `other`; the tally has an end too.
#define TALLY_FACTOR 4

static const struct wire_label LABELS[] = {{"job", "statsd"}};

struct statsd {
    struct env *env;
    struct schedule *schedule;
    struct sampler *sampler;
    struct statsd_config config; // text borrowed
    struct statsd_door udp, unix_;
    struct statsd_batch batch;
    struct intake *intake; // NULL: never applied
    struct tally tally;
    bool tally_open;
    int64_t retry_ns, turn_ns;
    uint64_t datagrams, samples, faults[STATSD_FAULTS];
    uint32_t ids_up[2], ids_datagrams, ids_samples, ids_drops, ids_faults[STATSD_FAULTS];
};

// --- lines ---------------------------------------------------------------------------------------

static enum tally_kind tally_kind_of(enum statsd_type t)
{
    switch (t) {
    case STATSD_COUNTER: return TALLY_COUNTER;
    case STATSD_GAUGE: return TALLY_GAUGE;
    case STATSD_TIMER: return TALLY_TIMER;
    case STATSD_SET: return TALLY_SET;
    }
    return TALLY_GAUGE;
}

static void on_sample(void *ctx, const struct statsd_sample *m)
{
    struct statsd *s = ctx;
    enum tally_kind kind = tally_kind_of(m->type);
    struct tally_entry *e = tally_at(&s->tally, m->key, m->key_len, kind);
    int rc = e ? 0 : -ENOBUFS;
    if (e && e->kind != kind) {
        s->faults[STATSD_CONFLICT]++;
        return;
    }
    if (e) {
        e->touched_ns = loop_now_ns(s->env->loop);
        switch (m->type) {
        case STATSD_COUNTER: e->value += m->value; break;
        case STATSD_GAUGE: e->value = m->relative ? e->value + m->value : m->value; break;
        case STATSD_TIMER: rc = expo_observe(&e->expo, m->value, m->times); break;
        case STATSD_SET: rc = tally_member(&s->tally, e, m->member, m->member_len); break;
        }
    }
    if (rc < 0)
        s->faults[STATSD_LIMIT]++;
    else
        s->samples++;
}

static void on_datagram(void *ctx, const char *at, size_t len, bool cut)
{
    struct statsd *s = ctx;
    const char *end = at + len;
    s->datagrams++;
    while (at < end) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        if (!stop && cut) { // half a line says something else than the whole
            s->faults[STATSD_TOO_LONG]++;
            return;
        }
        size_t n = (size_t)((stop ? stop : end) - at);
        while (n && (at[n - 1] == '\r' || at[n - 1] == ' '))
            n--;
        statsd_line(at, n, s->faults, on_sample, s);
        at = stop ? stop + 1 : end;
    }
}

static void on_readable(void *ctx, int fd, uint32_t events)
{
    struct statsd *s = ctx;
    int64_t begun = sampler_cpu_begin();
    (void)events;
    statsd_door_read(fd, &s->batch, on_datagram, s);
    sampler_cpu_end(s->sampler, begun);
}

// One that cannot be opened is tried again, as long as it is wanted.
static void open_doors(struct statsd *s, int64_t now_ns)
{
    const struct statsd_config *c = &s->config;
    struct loop *loop = s->env->loop;
    int udp = 0, unix_ = 0;
    if (c->host && s->udp.fd == -1)
        udp = statsd_door_udp(&s->udp, loop, c->host, c->port, on_readable, s);
    if (c->socket && s->unix_.fd == -1)
        unix_ = statsd_door_unix(&s->unix_, loop, c->socket, on_readable, s);
    char *reason = s->sampler->reason;
    const size_t size = sizeof(s->sampler->reason);
    bool told = reason[0] != '\0';
    reason[0] = '\0';
    s->retry_ns = now_ns + RETRY_NS;
    if (udp < 0)
        snprintf(reason, size, "%s:%u: %s", c->host, c->port, strerror(-udp));
    else if (unix_ < 0)
        snprintf(reason, size, "%.100s: %s", c->socket, strerror(-unix_));
    if (reason[0] && !told)
        log_warn("statsd_not_listening", "error=%s", log_q(reason));
}

// --- once a second -------------------------------------------------------------------------------

static uint32_t declare(struct statsd *s, const void *key, size_t len, enum series_kind kind)
{
    struct wire_label l[STATSD_TAGS_MAX];
    const char *at = key, *end = at + len;
    size_t n = 0;
    for (at += strlen(at) + 1; at < end && n < STATSD_TAGS_MAX; n++) {
        l[n].name = at;
        at += strlen(at) + 1;
        l[n].value = at;
        at += strlen(at) + 1;
    }
    return intake_add(s->intake, key, len, key, l, n, kind, "", NULL);
}

static void write_entry(
    struct statsd *s, const void *key, size_t len, const struct tally_entry *e)
{
    static const enum series_kind KINDS[] = {[TALLY_COUNTER] = SERIES_COUNTER,
        [TALLY_GAUGE] = SERIES_GAUGE,
        [TALLY_TIMER] = SERIES_HISTOGRAM,
        [TALLY_SET] = SERIES_GAUGE};
    uint32_t series = intake_find(s->intake, key, len);
    if (!series)
        series = declare(s, key, len, KINDS[e->kind]);
    if (e->kind == TALLY_TIMER) {
        struct wire_histogram h = expo_wire(&e->expo);
        intake_set_histogram(s->intake, series, &h, 0);
    } else {
        intake_set(s->intake, series, e->value, 0);
    }
}

static uint32_t own_series(
    struct statsd *s, const char *name, const char *label, const char *value)
{
    struct wire_label l[] = {{"job", "tocsin"}, {label, value}};
    return output_series(s->env->out, name, l, value ? 2 : 1, SERIES_COUNTER, "1");
}

static uint32_t up_series(struct statsd *s, const char *door)
{
    struct wire_label l[] = {{"job", "tocsin"}, {"socket", door}};
    return output_series(s->env->out, "tocsin_agent_statsd_listening", l, 2, SERIES_STATE, "1");
}

static void write_self(struct statsd *s)
{
    struct output *o = s->env->out;
    if (!s->ids_datagrams) {
        s->ids_datagrams = own_series(s, "tocsin_agent_statsd_datagrams_total", "", NULL);
        s->ids_samples = own_series(s, "tocsin_agent_statsd_samples_total", "", NULL);
        s->ids_drops = own_series(s, "tocsin_agent_statsd_kernel_drops_total", "socket", "udp");
        if (s->config.host)
            s->ids_up[0] = up_series(s, "udp");
        if (s->config.socket)
            s->ids_up[1] = up_series(s, "unix");
    }
    output_set(o, s->ids_up[0], s->udp.fd != -1);
    output_set(o, s->ids_up[1], s->unix_.fd != -1);
    output_set(o, s->ids_datagrams, (double)s->datagrams);
    output_set(o, s->ids_samples, (double)s->samples);
    output_set(o, s->ids_drops, (double)s->udp.drops);
    for (int i = 0; i < STATSD_FAULTS; i++) {
        // A reason has its series from the first such line on.
        if (s->faults[i] && !s->ids_faults[i])
            s->ids_faults[i] = own_series(s, "tocsin_agent_statsd_bad_lines_total", "reason",
                statsd_fault_name((enum statsd_fault)i));
        output_set(o, s->ids_faults[i], (double)s->faults[i]); // id 0 is ignored
    }
}

static void statsd_tick(struct sampler *sampler, const struct tick *t)
{
    struct statsd *s = sampler->state;
    struct intake_round round;
    size_t it = 0, len;
    const void *key;
    struct tally_entry *e;
    if (t->now_ns >= s->retry_ns)
        open_doors(s, t->now_ns);
    statsd_door_look(&s->udp);
    write_self(s);
    if (t->now_ns - s->turn_ns >= STATSD_SET_SPAN_MS * NS_PER_MS) {
        tally_turn(&s->tally);
        s->turn_ns = t->now_ns;
    }
    tally_sweep(&s->tally, t->now_ns - s->config.age_ms * NS_PER_MS);
    intake_begin(s->intake, t->wall_ms);
    while (tally_next(&s->tally, &it, &key, &len, &e))
        write_entry(s, key, len, e);
    intake_end(s->intake, true, &round);
}

static const struct sampler_ops SAMPLER_STATSD = {
    .name = "statsd", .interval_ms = 1000, .tick = statsd_tick};

// --- the part ------------------------------------------------------------------------------------

static void end_series(struct statsd *s)
{
    struct output *o = s->env->out;
    for (int i = 0; i < 2; i++)
        output_end(o, s->ids_up[i]);
    output_end(o, s->ids_datagrams);
    output_end(o, s->ids_samples);
    output_end(o, s->ids_drops);
    for (int i = 0; i < STATSD_FAULTS; i++)
        output_end(o, s->ids_faults[i]);
}

// wall_ms 0: the agent ends. It can be started again afterwards.
static void stop(struct statsd *s, int64_t wall_ms)
{
    statsd_door_close(&s->udp);
    statsd_door_close(&s->unix_);
    intake_free(s->intake, wall_ms);
    if (s->tally_open)
        tally_done(&s->tally);
    statsd_batch_done(&s->batch);
    if (s->sampler)
        schedule_drop(s->schedule, s->sampler);
    if (wall_ms)
        end_series(s);
    *s = (struct statsd){.env = s->env, .schedule = s->schedule, .udp.fd = -1, .unix_.fd = -1};
}

static void statsd_free(void *state)
{
    stop(state, 0);
    free(state);
}

static void *statsd_open(struct env *env, struct schedule *schedule, struct transfers *m)
{
    struct statsd *s = calloc(1, sizeof(*s));
    (void)m;
    if (s)
        *s = (struct statsd){.env = env, .schedule = schedule, .udp.fd = -1, .unix_.fd = -1};
    return s;
}

static int start(struct statsd *s, const struct statsd_config *c)
{
    struct intake_options o = {
        .source = "statsd", .labels = LABELS, .n_labels = 1, .series_limit = c->series_limit};
    s->config = *c;
    s->tally_open = tally_init(&s->tally, c->series_limit * TALLY_FACTOR) == 0;
    int rc = statsd_batch_init(&s->batch);
    s->intake = intake_new(s->env->out, &o);
    s->sampler = schedule_add(s->schedule, &SAMPLER_STATSD, SAMPLER_STATSD.interval_ms, s);
    if (!s->tally_open || rc < 0 || !s->intake || !s->sampler)
        return -ENOMEM;
    s->turn_ns = clock_mono_ns(&s->env->clock);
    open_doors(s, s->turn_ns);
    return 0;
}

// Whoever changes it starts anew: sums of counters begin at zero, which a rate takes for a restart.
static int statsd_apply(void *state, const struct agent_config *c)
{
    struct statsd *s = state;
    const struct statsd_config *next = &c->statsd;
    bool same =
        s->intake && next->wanted && config_same_text(s->config.host, next->host) &&
        s->config.port == next->port && config_same_text(s->config.socket, next->socket) &&
        s->config.age_ms == next->age_ms && s->config.series_limit == next->series_limit;
    if (same) {
        s->config = *next; // its text is borrowed
        return 0;
    }
    if (s->intake) {
        int64_t wall_ms = clock_wall_ms(&s->env->clock);
        output_group(s->env->out, 0, 0, wall_ms);
        stop(s, wall_ms);
    }
    int rc = next->wanted ? start(s, next) : 0;
    if (rc < 0)
        stop(s, 0);
    return rc;
}

static bool statsd_wanted(const struct agent_config *c)
{
    return c->statsd.wanted;
}

const struct part_ops statsd_part = {.name = "statsd",
    .wanted = statsd_wanted,
    .open = statsd_open,
    .apply = statsd_apply,
    .free = statsd_free};
