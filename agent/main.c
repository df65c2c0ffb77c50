// SPDX-License-Identifier: Apache-2.0
/*
 * Wiring only: configuration, identity, samplers, frames, push, and the one loop they share. What
 * is decided here: what is logged, when to stop, when to start anew.
 */
#include "agent/agentid.h"
#include "agent/config_read.h"
#include "agent/demand.h"
#include "agent/doctor.h"
#include "agent/feed.h"
#include "agent/kernel.h"
#include "agent/netns_door.h"
#include "agent/parts.h"
#include "agent/pulse.h"
#include "agent/push.h"
#include "agent/repair_relay.h"
#include "agent/schedule.h"
#include "agent/self.h"
#include "agent/spool.h"
#include "base/log.h"
#include "base/secret.h"
#include "wire/tocsin.pb-c.h"
#include <errno.h>
#include <getopt.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef TOCSIN_VERSION
#define TOCSIN_VERSION "0.1.0"
#endif

#define EXIT_USAGE   2
#define EXIT_CONFIG  78
#define GOODBYE_MS   500
#define STOP_POLL_NS (5 * NS_PER_MS)
#define PROBLEMS_MAX (1u << 20)
// A session ends before its ids run out; a service that comes takes about 20.
#define IDS_LEFT 512

static const char HELP[] =
    "Usage: tocsin-agent [OPTION]...\n"
    "Watches this host and its services, and sends what it sees to a Tocsin collector.\n\n"
    "  --config FILE       configuration (default " CONFIG_DEFAULT_PATH
    ", which may be absent)\n"
    "  --collector URL     where to send, e.g. http://127.0.0.1:7312\n"
    "  --state-dir DIR     where the agent's identity is kept\n"
    "  --check             check the configuration and exit\n"
    "  --print-config      print the effective configuration and exit\n"
    "  --doctor            print what can be measured here, and what not and why\n"
    "  --log-level LEVEL   debug, info, warn or error (default info)\n"
    "  --version           print the version and exit\n"
    "  --help              print this and exit\n\n"
    "Exit status: 0 stopped as asked, 1 failure, 2 wrong usage, 78 invalid configuration.\n"
    "SIGHUP reads probes, scrapes, plugins and receivers again; all of the file is used or nothing.\n";

struct options {
    const char *config;
    struct config_override over;
    enum log_level level;
    bool check, print, doctor;
};

struct core {
    struct options options;
    struct agent_config *config, *first_config; // in force; that of the start
    struct agentid id;
    struct env env;
    struct clock host_clock; // env.clock is that of the frames
    struct netns_door netns_door;
    struct wire_session session;
    struct wire_sampler session_samplers[WIRE_SAMPLERS_MAX];
    struct spool *spool;
    struct feed *feed;
    struct schedule *schedule;
    struct transfers *transfers;
    struct pusher *push;
    struct parts *parts;      // what the configuration asks for
    struct executor executor; // fd -1: none
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
    if (output_last_id(c->env.out) > WIRE_ID_MAX - IDS_LEFT && !c->stopping) {
        c->renew = true;
        loop_stop(c->env.loop);
    }
}

// The wall clock as frames are stamped, for everybody: a step counts from the frame that tells of it. Who
// stamped an event by the host's own clock before would send it into the future or the past.
static int64_t frames_mono_ns(void *ctx)
{
    const struct core *c = ctx;
    return clock_mono_ns(&c->host_clock);
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

static bool repairs_differ(const struct agent_config *a, const struct agent_config *b)
{
    struct buf one, two;
    buf_init(&one, PROBLEMS_MAX);
    buf_init(&two, PROBLEMS_MAX);
    config_print_repairs(a, &one);
    config_print_repairs(b, &two);
    bool differ = strcmp(buf_cstr(&one), buf_cstr(&two)) != 0;
    buf_done(&one);
    buf_done(&two);
    return differ;
}

static void reload(struct core *c)
{
    struct buf problems;
    struct agent_config *next = NULL;
    buf_init(&problems, PROBLEMS_MAX);
    int rc = config_load(c->options.config, &c->options.over, &next, &problems);
    if (rc < 0) {
        log_error("config_rejected", "error=%s",
            log_q(problems.len ? buf_cstr(&problems) : strerror(-rc)));
        goto out;
    }
    const struct agent_config *old = c->config;
    if (repairs_differ(old, next))
        log_warn("config_needs_restart", "detail=%s",
            log_q("repairs are as they were at the start: the executor has no ear for more"));
    bool labels = next->n_labels != old->n_labels;
    for (size_t i = 0; i < next->n_labels && !labels; i++)
        labels = !config_same_text(next->labels[i].name, old->labels[i].name) ||
                 !config_same_text(next->labels[i].value, old->labels[i].value);
    if (labels || !config_same_text(next->collector, old->collector) ||
        !config_same_text(next->token_file, old->token_file) ||
        !config_same_text(next->ca_file, old->ca_file) ||
        !config_same_text(next->state_dir, old->state_dir) ||
        !config_same_text(next->host, old->host) || next->dependencies != old->dependencies)
        log_warn("config_needs_restart", "detail=%s",
            log_q("only probes, scrapes, plugins, statsd and otlp are taken over by a reload"));
    struct err err = {0};
    rc = parts_apply(c->parts, old, next, &err);
    if (rc < 0) {
        log_error("config_rejected", "error=%s", log_q(err.msg));
        config_free(next);
        goto out;
    }
    log_info("config_reloaded", "probes=%zu", next->n_probes);
    // The running identity, labels and connection keep pointing into the first configuration.
    if (c->config != c->first_config)
        config_free(c->config);
    c->config = next;
    c->env.config = next;
out:
    buf_done(&problems);
}

static void on_signal(void *ctx, int sig)
{
    struct core *c = ctx;
    if (sig == SIGHUP)
        reload(c);
    else
        stop(c, sig);
}

// --- start and end -----------------------------------------------------------------------------

static int open_identity(struct core *c, struct err *err)
{
    static const char *const CAPABILITIES[] = {WIRE_CAPABILITY_REPAIRS};
    int rc = agentid_open(c->config->state_dir, c->env.proc, &c->id, err);
    if (rc < 0)
        return rc;
    c->session = (struct wire_session){.epoch = c->id.epoch,
        .nonce = c->id.nonce,
        .host = c->config->host,
        .version = TOCSIN_VERSION,
        .protocol_min = WIRE_PROTOCOL,
        .protocol_max = WIRE_PROTOCOL,
        .labels = c->config->labels,
        .n_labels = c->config->n_labels,
        .samplers = c->session_samplers,
        .capabilities = CAPABILITIES,
        .n_capabilities = c->executor.fd == -1 ? 0 : 1};
    memcpy(c->session.agent_id, c->id.id, sizeof(c->session.agent_id));
    memcpy(c->session.boot_id, c->id.boot_id, sizeof(c->session.boot_id));
    return 0;
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
        .ctx = c};
    c->push = push_new(c->env.loop, c->transfers, c->spool, &c->env.clock, &c->session, &o, &h);
    if (!c->push) {
        err_set(err, "cannot set up the connection to %s", cfg->collector);
        return -EINVAL;
    }
    return 0;
}

static void announce(struct core *c)
{
    size_t available = 0, n = schedule_count(c->schedule);
    for (size_t i = 0; i < n; i++) {
        const struct sampler *s = schedule_at(c->schedule, i);
        available += s->available;
        if (i < WIRE_SAMPLERS_MAX)
            c->session_samplers[c->session.n_samplers++] =
                (struct wire_sampler){s->ops->name, s->interval_ms};
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

static void close_all(struct core *c)
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
    if (c->config != c->first_config)
        config_free(c->first_config);
    config_free(c->config);
}

static int run(struct core *c)
{
    static const int SIGNALS[] = {SIGTERM, SIGINT, SIGHUP};
    struct err err = {0};
    struct self *self = NULL;
    int rc = -ENOMEM;

    c->first_config = c->config;
    demand_init(&c->demand);
    c->host_clock = clock_system();
    c->env = (struct env){.clock = c->host_clock,
        .proc = "/proc",
        .sys = "/sys",
        .cgroup = "/sys/fs/cgroup",
        .config = c->config,
        .demand = &c->demand,
        .pulse = &c->pulse,
        .netns_door = &c->netns_door,
        .flush = on_flush,
        .core = c,
        .loop = loop_new(),
        .out = output_new()};
    if (!c->env.loop || !c->env.out)
        goto out;
    pulse_init(&c->pulse, c->env.loop);
    c->spool = spool_new(SPOOL_BYTES_MAX, SPOOL_AGE_NS);
    c->schedule = schedule_new(&c->env, on_frame, c);
    c->transfers = transfers_new(c->env.loop, NULL, NULL);
    c->stop_timer = loop_timer_new(c->env.loop, on_stop_timer, c);
    c->feed = c->spool ? feed_new(c->env.loop, c->env.out, c->spool) : NULL;
    if (!c->schedule || !c->transfers || !c->stop_timer || !c->feed)
        goto out;
    c->env.clock =
        (struct clock){.mono_ns = frames_mono_ns, .wall_ns = frames_wall_ns, .ctx = c};
    if (c->options.doctor) {
        struct buf text;
        buf_init(&text, PROBLEMS_MAX);
        rc = agentid_peek(c->config->state_dir, &c->id, &err);
        int missing = open_samplers(c);
        if (missing == 0)
            missing =
                doctor_print(c->schedule, c->config, rc < 0 ? NULL : &c->id, err.msg, &text);
        fputs(buf_cstr(&text), stdout);
        buf_done(&text);
        close_all(c);
        return missing ? EXIT_FAILURE : EXIT_SUCCESS;
    }
    rc = open_identity(c, &err);
    if (rc < 0)
        goto out;
    if (!c->id.kept)
        log_warn("identity_not_kept", "error=%s", log_q(err.msg));
    rc = open_push(c, &err);
    if (rc < 0)
        goto out;
    feed_connect(c->feed, c->push, c->schedule);
    rc = loop_signals(c->env.loop, SIGNALS, 3, on_signal, c);
    if (rc == 0)
        rc = open_samplers(c);
    if (rc < 0)
        goto out;
    if (c->executor.fd != -1 && !(c->repairs = repair_relay_new(&c->env, &c->executor))) {
        rc = -ENOMEM;
        goto out;
    }
    c->parts = parts_new(&c->env, c->schedule, c->transfers);
    rc = c->parts ? parts_apply(c->parts, NULL, c->config, &err) : -ENOMEM;
    if (rc < 0)
        goto out;
    self = self_new(&c->env, &(struct self_sources){c->schedule, c->feed, c->spool, c->push});
    rc = -ENOMEM;
    if (!self || !schedule_add(c->schedule, &sampler_self, sampler_self.interval_ms, self))
        goto out;
    announce(c);
    schedule_start(c->schedule, phase_ms(c));
    output_event(c->env.out, TOCSIN__V1__EVENT_KIND__EVENT_AGENT_STARTED,
        schedule_wall_us(c->schedule, now_ns(c)), "", "tocsin-agent " TOCSIN_VERSION);
    on_flush(c);
    rc = loop_run(c->env.loop);
out:
    if (rc < 0)
        log_error("failed", "error=%s", log_q(err.msg[0] ? err.msg : strerror(-rc)));
    close_all(c);
    return rc < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static void check_print(const struct agent_config *c, struct buf *out)
{
    buf_addf(out, "%s: ok, %zu probes, %zu repairs", c->path ? c->path : "no file", c->n_probes,
        c->n_repairs);
    if (c->n_targets)
        buf_addf(out, ", %zu scrape targets", c->n_targets);
    if (c->n_plugins)
        buf_addf(out, ", %zu plugins", c->n_plugins);
    buf_adds(out, c->statsd.wanted ? ", statsd" : "");
    buf_adds(out, c->otlp.wanted ? ", otlp" : "");
    buf_addc(out, '\n');
    doctor_repairs(c, out);
}

// Exits unless the agent is to run.
static void parse_options(int argc, char **argv, struct options *o)
{
    enum { CONFIG = 256, COLLECTOR, STATE_DIR, CHECK, PRINT, DOCTOR, LEVEL, VERSION, HELP_ };
    static const struct option LONG[] = {
        {"config", required_argument, NULL, CONFIG},
        {"collector", required_argument, NULL, COLLECTOR},
        {"state-dir", required_argument, NULL, STATE_DIR},
        {"check", no_argument, NULL, CHECK},
        {"print-config", no_argument, NULL, PRINT},
        {"doctor", no_argument, NULL, DOCTOR},
        {"log-level", required_argument, NULL, LEVEL},
        {"version", no_argument, NULL, VERSION},
        {"help", no_argument, NULL, HELP_},
        {NULL, 0, NULL, 0},
    };
    int opt, level;
    *o = (struct options){.level = LOG_LEVEL_INFO};
    while ((opt = getopt_long(argc, argv, "", LONG, NULL)) != -1)
        switch (opt) {
        case CONFIG: o->config = optarg; break;
        case COLLECTOR: o->over.collector = optarg; break;
        case STATE_DIR: o->over.state_dir = optarg; break;
        case CHECK: o->check = true; break;
        case PRINT: o->print = true; break;
        case DOCTOR: o->doctor = true; break;
        case LEVEL:
            level = log_level_parse(optarg);
            if (level < 0) {
                fprintf(stderr, "tocsin-agent: --log-level is debug, info, warn or error\n");
                exit(EXIT_USAGE);
            }
            o->level = (enum log_level)level;
            break;
        case VERSION: puts("tocsin-agent " TOCSIN_VERSION); exit(EXIT_SUCCESS);
        case HELP_: fputs(HELP, stdout); exit(EXIT_SUCCESS);
        default: fputs("Try 'tocsin-agent --help'.\n", stderr); exit(EXIT_USAGE);
        }
    if (optind < argc) {
        fprintf(stderr, "tocsin-agent: unexpected argument '%s'\n", argv[optind]);
        exit(EXIT_USAGE);
    }
}

int main(int argc, char **argv)
{
    static struct core core; // zeroed, and too large for some stacks
    struct buf text;

    parse_options(argc, argv, &core.options);
    log_open("tocsin-agent", core.options.level);
    netns_door_open(&core.netns_door); // before there is a child to inherit it
    // One heap for the resolver threads of libcurl and us: memory is counted in megabytes here.
    // And what is large goes back when it is freed: without a fixed threshold glibc raises it to the
    // size of the first large block freed.
    mallopt(M_ARENA_MAX, 1);
    mallopt(M_MMAP_THRESHOLD, 64 << 10);
    mallopt(M_TRIM_THRESHOLD, 64 << 10);
    signal(SIGPIPE, SIG_IGN);
    buf_init(&text, PROBLEMS_MAX);
    int rc = config_load(core.options.config, &core.options.over, &core.config, &text);
    if (rc < 0) {
        fputs(text.len ? buf_cstr(&text) : strerror(-rc), stderr);
        buf_done(&text);
        return EXIT_CONFIG;
    }
    if (core.options.check || core.options.print) {
        if (core.options.print)
            config_print(core.config, &text);
        else
            check_print(core.config, &text);
        fputs(buf_cstr(&text), stdout);
        buf_done(&text);
        config_free(core.config);
        return EXIT_SUCCESS;
    }
    buf_done(&text);
    core.executor.fd = -1;
    if (core.config->n_repairs && !core.options.doctor) {
        if (doctor_open_wire(core.config->collector))
            log_warn("repairs_over_plain_http", "collector=%s hint=%s", core.config->collector,
                log_q("whoever is on the way to the collector can ask for them"));
        // Before there is a thread, a socket or a signal mask that it would inherit.
        struct err err;
        if (executor_start(core.config->repairs, core.config->n_repairs, core.config->state_dir,
                &core.executor, &err) < 0) {
            log_error("failed", "error=%s", log_q(err.msg));
            config_free(core.config);
            return EXIT_FAILURE;
        }
    }
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        config_free(core.config);
        return EXIT_FAILURE;
    }
    rc = run(&core);
    curl_global_cleanup();
    if (core.renew) {
        signal(SIGCHLD, SIG_IGN); // nobody will wait for the executor of this run
        netns_door_keep(&core.netns_door);
        execv("/proc/self/exe", argv);
        log_error("renew_failed", "error=%s", log_q(strerror(errno)));
        return EXIT_FAILURE;
    }
    return rc;
}
