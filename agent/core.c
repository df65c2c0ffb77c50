// SPDX-License-Identifier: Apache-2.0
#include "agent/core.h"
#include "agent/agentid.h"
#include "agent/demand.h"
#include "agent/doctor.h"
#include "agent/feed.h"
#include "agent/kernel.h"
#include "agent/parts.h"
#include "agent/pulse.h"
#include "agent/push.h"
#include "agent/reload.h"
#include "agent/repair_relay.h"
#include "agent/schedule.h"
#include "agent/self.h"
#include "agent/session.h"
#include "agent/spool.h"
#include "base/log.h"
#include "base/secret.h"
#include "wire/tocsin.pb-c.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#define GOODBYE_MS   500
#define STOP_POLL_NS (5 * NS_PER_MS)
#define DOCTOR_MAX   (1u << 20)
// A session ends before its ids run out; a service that comes takes about 20.
#define IDS_LEFT 512

struct core {
    const struct core_options *options;
    struct agent_config *config; // in force; that of the start is options->config
    struct agentid id;
    struct env env;
    struct session session;
    struct spool *spool;
    struct feed *feed;
    struct schedule *schedule;
    struct transfers *transfers;
    struct pusher *push;
    struct parts *parts; // what the configuration asks for
    struct demand demand;
    struct pulse pulse;
    struct repair_relay *repairs;  // NULL: none
    struct loop_timer *stop_timer; // looks whether the goodbye is through
    int64_t stop_deadline_ns;
    char *token;
    bool stopping, renew;
};

static int64_t now_ns(const struct core *c)
{
    return clock_mono_ns(&c->env.clock);
}

// --- frames ------------------------------------------------------------------------------------

static void made(struct core *c, int rc)
{
    if (rc < 0)
        log_error("frame_lost", "error=%s", log_q(strerror(-rc)));
    // Ids are never given twice in a session: the process replaces itself and starts another.
    bool over = output_last_id(c->env.out) > WIRE_ID_MAX - IDS_LEFT || feed_broken(c->feed);
    if (over && !c->stopping) {
        c->renew = true;
        loop_stop(c->env.loop);
    }
}

// The wall clock as frames are stamped, for everybody: a step counts from the frame that tells of it. Who
// stamped an event by the host's own clock before would send it into the future or the past.
static int64_t frames_mono_ns(void *ctx)
{
    const struct core *c = ctx;
    return clock_mono_ns(&c->options->clock);
}

static int64_t frames_wall_ns(void *ctx)
{
    const struct core *c = ctx;
    return schedule_wall_us(c->schedule, frames_mono_ns(ctx)) * 1000;
}

static void on_frame(void *ctx, int64_t wall_ms, int64_t mono_ns, enum schedule_frame why)
{
    struct core *c = ctx;
    if (why == FRAME_FASTER) {
        made(c, feed_event(c->feed, mono_ns));
        return;
    }
    if (why == FRAME_CUT) {
        log_warn("clock_cut", "detail=%s", log_q("the wall clock stepped or the host slept"));
        output_group(c->env.out, 0, 0, wall_ms);
        feed_write_seq(c->feed);
    }
    made(c, feed_second(c->feed, wall_ms, mono_ns));
    if (why == FRAME_CUT) {
        push_clock_cut(c->push, feed_next_seq(c->feed));
        feed_want_key(c->feed);
    }
}

static void on_flush(void *ctx)
{
    struct core *c = ctx;
    if (schedule_running(c->schedule) || !output_urgent(c->env.out))
        return;
    made(c, feed_event(c->feed, now_ns(c)));
    // An alert that asks for a repair is decided a moment after this event has arrived.
    if (c->repairs)
        push_ask_soon(c->push);
}

static void on_want_key(void *ctx)
{
    struct core *c = ctx;
    feed_want_key(c->feed);
}

static void on_note(void *ctx, bool failed, const char *text)
{
    struct core *c = ctx;
    if (failed)
        log_warn("push_failed", "collector=%s error=%s", c->config->collector, log_q(text));
    else
        log_info("push_ok", "collector=%s version=%s", c->config->collector, log_q(text));
}

static void on_told(void *ctx, const char *text)
{
    const struct core *c = ctx;
    log_warn("push_partly_taken", "collector=%s reason=%s", c->config->collector, log_q(text));
}

static void on_repairs(void *ctx, const struct wire_repair *asked, size_t n, int64_t sent_ns)
{
    struct core *c = ctx;
    if (c->repairs && !c->stopping)
        repair_relay_take(c->repairs, asked, n, sent_ns);
}

static void on_demand(void *ctx, const struct wire_reply *r)
{
    struct core *c = ctx;
    if (!demand_take(&c->demand, r))
        return;
    schedule_demand(c->schedule);
    log_info("demand", "thresholds=%zu faster=%zu", c->demand.n_thresholds, c->demand.n_faster);
}

// --- signals -----------------------------------------------------------------------------------

static void on_stop_timer(void *ctx, int64_t due_ns, int64_t at_ns)
{
    struct core *c = ctx;
    (void)due_ns;
    if (push_idle(c->push) || at_ns >= c->stop_deadline_ns)
        loop_stop(c->env.loop);
    else
        loop_timer_set(c->stop_timer, at_ns + STOP_POLL_NS);
}

// The collector is told that this end is planned; it has GOODBYE_MS to hear it.
static void stop(struct core *c, int sig)
{
    char detail[64];
    if (c->stopping) { // asked twice: at once
        loop_stop(c->env.loop);
        return;
    }
    c->stopping = true;
    log_info("stopping", "signal=%d", sig);
    snprintf(detail, sizeof(detail), "stopped by signal %d", sig);
    int64_t at = now_ns(c);
    output_event(c->env.out, TOCSIN__V1__EVENT_KIND__EVENT_GOODBYE,
        schedule_wall_us(c->schedule, at), "", detail);
    made(c, feed_event(c->feed, at));
    c->stop_deadline_ns = at + GOODBYE_MS * NS_PER_MS;
    loop_timer_set(c->stop_timer, at + STOP_POLL_NS);
}

static void take_over(struct core *c)
{
    const struct core_options *o = c->options;
    struct agent_config *next = reload(o->config_path, &o->over, c->config, c->parts);
    if (!next)
        return;
    // The running identity, labels and connection keep pointing into the first configuration.
    if (c->config != o->config)
        config_free(c->config);
    c->config = next;
    c->env.config = next;
}

static void on_signal(void *ctx, int sig)
{
    struct core *c = ctx;
    if (sig == SIGHUP)
        take_over(c);
    else
        stop(c, sig);
}

// --- start and end -----------------------------------------------------------------------------

static int open_identity(struct core *c, struct err *err)
{
    int rc = agentid_open(c->config->state_dir, c->env.proc, &c->id, err);
    if (rc == 0)
        session_init(
            &c->session, &c->id, c->config, TOCSIN_VERSION, c->options->executor.fd != -1);
    return rc;
}

static int open_samplers(struct core *c)
{
    c->env.kernel = kernel_open(&c->env);
    for (size_t i = 0; samplers[i]; i++)
        if (!schedule_open(c->schedule, samplers[i]))
            return -ENOMEM;
    return 0;
}

static int open_push(struct core *c, struct err *err)
{
    const struct agent_config *cfg = c->config;
    if (cfg->token_file) {
        int rc = secret_read(cfg->token_file, &c->token, err);
        if (rc < 0)
            return rc;
    }
    struct push_options o = {
        .collector = cfg->collector, .token = c->token, .ca_file = cfg->ca_file};
    struct push_hooks h = {.want_key = on_want_key,
        .note = on_note,
        .repairs = on_repairs,
        .demand = on_demand,
        .told = on_told,
        .ctx = c};
    c->push =
        push_new(c->env.loop, c->transfers, c->spool, &c->env.clock, &c->session.wire, &o, &h);
    if (!c->push) {
        err_set(err, "cannot set up the connection to %s", cfg->collector);
        return -EINVAL;
    }
    return 0;
}

static void announce(struct core *c)
{
    size_t available = 0, n = schedule_count(c->schedule);
    session_samplers(&c->session, c->schedule);
    for (size_t i = 0; i < n; i++) {
        const struct sampler *s = schedule_at(c->schedule, i);
        available += s->available;
        if (!s->available)
            log_warn(
                "sampler_unavailable", "sampler=%s reason=%s", s->ops->name, log_q(s->reason));
    }
    log_info("started",
        "version=%s host=%s collector=%s config=%s samplers=%zu/%zu probes=%zu repairs=%zu series=%zu session=%llu",
        TOCSIN_VERSION, log_q(c->config->host), c->config->collector,
        c->config->path ? c->config->path : "none", available, n, c->config->n_probes,
        c->config->n_repairs, output_active(c->env.out), (unsigned long long)c->id.epoch);
}

// Phase of this host within the second, so that a fleet does not push in one instant.
static unsigned phase_ms(const struct core *c)
{
    return ((unsigned)c->id.id[0] << 8 | c->id.id[1]) % 1000;
}

static void core_close(struct core *c)
{
    repair_relay_free(c->repairs);
    parts_free(c->parts);
    schedule_free(c->schedule);
    kernel_close(c->env.kernel);
    push_free(c->push);
    transfers_free(c->transfers);
    feed_free(c->feed);
    spool_free(c->spool);
    output_free(c->env.out);
    if (c->env.loop)
        loop_timer_free(c->stop_timer);
    loop_free(c->env.loop);
    agentid_close(&c->id);
    demand_done(&c->demand);
    secret_free(c->token);
    if (c->config != c->options->config)
        config_free(c->options->config);
    config_free(c->config);
}

// What both ways to use it need. 0, -ENOMEM.
static int core_open(struct core *c, const struct core_options *o)
{
    *c = (struct core){.options = o, .config = o->config, .id.lock_fd = -1};
    demand_init(&c->demand);
    c->env = (struct env){.clock = o->clock,
        .proc = "/proc",
        .sys = "/sys",
        .cgroup = "/sys/fs/cgroup",
        .config = c->config,
        .demand = &c->demand,
        .pulse = &c->pulse,
        .netns_door = o->netns_door,
        .flush = on_flush,
        .core = c,
        .loop = loop_new(),
        .out = output_new()};
    if (!c->env.loop || !c->env.out)
        return -ENOMEM;
    pulse_init(&c->pulse, c->env.loop);
    c->spool = spool_new(SPOOL_BYTES_MAX, SPOOL_AGE_NS);
    c->schedule = schedule_new(&c->env, on_frame, c);
    c->transfers = transfers_new(c->env.loop, NULL, NULL);
    c->stop_timer = loop_timer_new(c->env.loop, on_stop_timer, c);
    c->feed = c->spool ? feed_new(c->env.loop, c->env.out, c->spool) : NULL;
    c->env.clock =
        (struct clock){.mono_ns = frames_mono_ns, .wall_ns = frames_wall_ns, .ctx = c};
    return c->schedule && c->transfers && c->stop_timer && c->feed ? 0 : -ENOMEM;
}

// Everything up to the first frame.
static int start(struct core *c, struct err *err)
{
    static const int SIGNALS[] = {SIGTERM, SIGINT, SIGHUP};
    int rc = open_identity(c, err);
    if (rc < 0)
        return rc;
    if (!c->id.kept)
        log_warn("identity_not_kept", "error=%s", log_q(err->msg));
    rc = open_push(c, err);
    if (rc < 0)
        return rc;
    feed_connect(c->feed, c->push, c->schedule);
    rc = loop_signals(c->env.loop, SIGNALS, 3, on_signal, c);
    if (rc == 0)
        rc = open_samplers(c);
    if (rc < 0)
        return rc;
    if (c->options->executor.fd != -1 &&
        !(c->repairs = repair_relay_new(&c->env, &c->options->executor)))
        return -ENOMEM;
    c->parts = parts_new(&c->env, c->schedule, c->transfers);
    rc = c->parts ? parts_apply(c->parts, NULL, c->config, err) : -ENOMEM;
    if (rc < 0)
        return rc;
    struct self *self =
        self_new(&c->env, &(struct self_sources){c->schedule, c->feed, c->spool, c->push});
    if (!self || !schedule_add(c->schedule, &sampler_self, sampler_self.interval_ms, self))
        return -ENOMEM;
    announce(c);
    pulse_align(&c->pulse, schedule_start(c->schedule, phase_ms(c)));
    output_event(c->env.out, TOCSIN__V1__EVENT_KIND__EVENT_AGENT_STARTED,
        schedule_wall_us(c->schedule, now_ns(c)), "", "tocsin-agent " TOCSIN_VERSION);
    on_flush(c);
    return 0;
}

enum core_end core_run(const struct core_options *o)
{
    struct core c;
    struct err err = {0};
    int rc = core_open(&c, o);
    if (rc == 0)
        rc = start(&c, &err);
    if (rc == 0)
        rc = loop_run(c.env.loop);
    if (rc < 0)
        log_error("failed", "error=%s", log_q(err.msg[0] ? err.msg : strerror(-rc)));
    core_close(&c);
    return c.renew ? CORE_RENEW : rc < 0 ? CORE_FAILED : CORE_STOPPED;
}

enum core_end core_doctor(const struct core_options *o)
{
    struct core c;
    struct err err = {0};
    struct buf text;
    buf_init(&text, DOCTOR_MAX);
    int missing = core_open(&c, o);
    if (missing == 0)
        missing = open_samplers(&c);
    if (missing < 0) {
        log_error("failed", "error=%s", log_q(strerror(-missing)));
    } else {
        bool known = agentid_peek(c.config->state_dir, &c.id, &err) == 0;
        missing = doctor_print(c.schedule, c.config, known ? &c.id : NULL, err.msg, &text);
        fputs(buf_cstr(&text), stdout);
    }
    buf_done(&text);
    core_close(&c);
    return missing ? CORE_FAILED : CORE_STOPPED;
}
