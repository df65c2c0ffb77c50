// SPDX-License-Identifier: Apache-2.0
/*
 * tocsin-collector: builds the pipeline in the order data flows, then waits for signals.
 *
 *     config -> inventory -> rules -> shard -> ingest, notify, ui
 *
 * SIGTERM, SIGINT  stop in order: no new connections, what is queued is worked off
 * SIGHUP           configuration and rules are read anew, all or nothing (reload.h); so does
 *                  POST /-/reload, which is answered with what came of it
 */
#include "base/log.h"
#include "base/loop.h"
#include "base/ring.h"
#include "base/secret.h"
#include "collector/api.h"
#include "collector/archive.h"
#include "collector/config.h"
#include "collector/http.h"
#include "collector/ingest.h"
#include "collector/inventory.h"
#include "collector/notify.h"
#include "collector/reload.h"
#include "collector/request.h"
#include "collector/restart.h"
#include "collector/rulefiles.h"
#include "collector/self.h"
#include "collector/state_dir.h"
#include "collector/vitals.h"
#include "collector/watch.h"
#include <curl/curl.h>
#include <errno.h>
#include <getopt.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#ifndef TOCSIN_VERSION
#define TOCSIN_VERSION "0.1.0"
#endif

#define EXIT_USAGE  2
#define EXIT_CONFIG 78
#define FRAMES_MAX  4096
#define NOTICES_MAX 16384
// Between two looks at an arrival rule that is never at rest, for it reads all agents: what a sample
// waits at most, and what bounds the cost of such a rule.
#define ARRIVAL_GAP_MS  50
#define START_GRACE_MS  5000 // agents back off up to some seconds while we are away
#define NOTIFY_GRACE_MS 3000
#define DESCRIPTORS     65536
#define LARGE_BLOCK     (1 << 20)
#define REPORT_MAX      (4u << 20)
#define RELOADS_MAX     16

static const char HELP[] =
    "Usage: tocsin-collector [--config FILE] [options]\n\n"
    "  --config FILE       configuration (default: all defaults)\n"
    "  --check             check configuration and rules, then exit\n"
    "  --print-config      print every key with its default and exit\n"
    "  --state-dir DIR     instead of state_dir\n"
    "  --log-level LEVEL   instead of log_level: debug, info, warn, error\n"
    "  --version           print the version and exit\n"
    "  --help              print this and exit\n\n"
    "SIGHUP reads configuration and rules anew. Exit status: 0 stopped as asked, 1 failure, 2 wrong usage,\n"
    "78 invalid configuration or rules.\n";

struct daemon {
    struct reload_source source;
    struct config *config; // the first one
    struct reload reload;
    struct ring *reloads, *reloaded; // of struct request *, from and to the ui thread
    char *token;
    char instance[256], http_address[80], external_url[512], external_host[300];
    struct inventory *inventory;
    struct journal *journal;
    struct board *board;
    struct repair_board *repair_board;
    struct ack_board *acks;
    struct repair_link repairs; // between notify and ingest
    struct self self;
    struct watch watch;
    struct vitals vitals;
    struct api_context api;
    struct shard *shard;
    struct ingest *ingest;
    struct notify *notify;
    struct demands *demands;   // until the ingest thread has them
    struct policies *policies; // of the rules in force
    struct archive *archive;
    struct http *http;
    struct loop *loop;
    struct clock clock;
    int state_dir; // locked while we run
};

// --- configuration -------------------------------------------------------------------------------

static int check_only(const struct reload_source *source)
{
    struct config c;
    struct buf report;
    struct ruleset *set = NULL;
    buf_init(&report, REPORT_MAX);
    int status = reload_read(source, &c, &report) < 0 ? EXIT_CONFIG : 0;
    if (status == 0 && rulefiles_read(c.rules, c.n_rules, &set, &report) < 0)
        status = EXIT_CONFIG;
    size_t rules = 0;
    for (size_t i = 0; set && i < set->n_groups; i++)
        rules += set->groups[i].n_rules;
    fputs(buf_cstr(&report), stderr);
    if (status == 0)
        printf("configuration is valid, %zu rules\n", rules);
    ruleset_free(set);
    config_done(&c);
    buf_done(&report);
    return status;
}

// --- start ---------------------------------------------------------------------------------------

static int write_address(const struct daemon *d, const char *name, const char *address)
{
    char path[4200], tmp[4200];
    snprintf(path, sizeof(path), "%s/%s", d->config->state_dir, name);
    snprintf(tmp, sizeof(tmp), "%s/.%s.new", d->config->state_dir, name);
    FILE *f = fopen(tmp, "we");
    bool ok = f && fprintf(f, "%s\n", address) > 0;
    if (f && fclose(f) != 0)
        ok = false;
    if (ok && rename(tmp, path) == 0)
        return 0;
    log_warn("address_not_written", "file=%s error=%s", log_q(path), log_q(strerror(errno)));
    return -errno;
}

static void raise_descriptors(void)
{
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r) == -1)
        return;
    rlim_t want = r.rlim_max < DESCRIPTORS ? r.rlim_max : DESCRIPTORS;
    if (r.rlim_cur < want) {
        r.rlim_cur = want;
        (void)setrlimit(RLIMIT_NOFILE, &r);
    }
}

// Left to itself glibc takes ever larger blocks from the heaps once one was freed, and what a storm
// needed for a moment stays with us.
static void return_large_blocks(void)
{
    (void)mallopt(M_MMAP_THRESHOLD, LARGE_BLOCK);
}

// Messages carry our URL before the ui port is open, so port 0 is settled first.
static void settle_port(struct daemon *d)
{
    struct sockaddr_storage a;
    socklen_t len;
    snprintf(d->http_address, sizeof(d->http_address), "%s", d->config->listen_http);
    if (address_parse(d->config->listen_http, &a, &len, NULL) < 0 ||
        ((struct sockaddr_in *)&a)->sin_port != 0)
        return; // both families keep the port in the same place
    int fd = socket(a.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd != -1 && bind(fd, (struct sockaddr *)&a, len) == 0 &&
        getsockname(fd, (struct sockaddr *)&a, &len) == 0) {
        const char *colon = strrchr(d->config->listen_http, ':');
        snprintf(d->http_address, sizeof(d->http_address), "%.*s:%u",
            (int)(colon - d->config->listen_http), d->config->listen_http,
            ntohs(((struct sockaddr_in *)&a)->sin_port));
    }
    if (fd != -1)
        close(fd);
}

static void name_ourselves(struct daemon *d)
{
    if (gethostname(d->instance, sizeof(d->instance) - 1) == -1 || !d->instance[0])
        strcpy(d->instance, "collector");
    if (*d->config->external_url) {
        snprintf(d->external_url, sizeof(d->external_url), "%s", d->config->external_url);
        auth_url_host(d->external_url, d->external_host, sizeof(d->external_host));
    } else {
        snprintf(d->external_url, sizeof(d->external_url), "http://%s", d->http_address);
    }
    size_t n = strlen(d->external_url);
    while (n && d->external_url[n - 1] == '/')
        d->external_url[--n] = '\0';
}

struct known {
    struct sessions *sessions;
    struct pipeline *pipeline;
    int64_t mono_ms;
    size_t n;
};

static void known_agent(void *ctx, const struct inventory_agent *a)
{
    struct known *k = ctx;
    (void)sessions_known(k->sessions, a->agent_id, a->epoch);
    if (a->gone)
        return;
    pipeline_expect(
        k->pipeline, a->agent_id, a->host, a->labels, a->n_labels, a->last_seen_ms, k->mono_ms);
    k->n++;
}

static bool note(void *ctx, struct agent_note *n)
{
    struct daemon *d = ctx;
    return inventory_note(d->inventory, n);
}

static void record_self(void *ctx, struct pipeline *p, int64_t now_ms)
{
    struct daemon *d = ctx;
    self_record(&d->self, p, now_ms);
    watch_record(&d->watch, p, &d->api, d->instance, now_ms);
    vitals_record(&d->vitals, p, now_ms, clock_mono_ns(&d->clock) / NS_PER_MS);
}

static void print_self(void *ctx, struct buf *out)
{
    const struct daemon *d = ctx;
    self_metrics(&d->self, out);
}

static int make_shard(struct daemon *d, struct ruleset *set, struct err *err)
{
    const struct config *c = d->config;
    d->api = (struct api_context){.version = TOCSIN_VERSION,
        .external_url = d->external_url,
        .board = d->board,
        .repairs = d->repair_board,
        .acks = d->acks,
        .started_ms = clock_wall_ms(&d->clock),
        .journal = d->journal};
    struct shard_options so = {.pipeline = {.engine = {.interval_ms = c->interval_ms,
                                                .arrival_gap_ms = ARRIVAL_GAP_MS,
                                                .grace_ms = c->grace_ms,
                                                .external_url = d->external_url,
                                                .clock = &d->clock},
                                   .store = {.retention_ms = c->retention_ms,
                                       .series_per_agent = (size_t)c->series_per_agent,
                                       .series_max = (size_t)c->series_max},
                                   .start_grace_ms = START_GRACE_MS,
                                   .instance = d->instance},
        .clock = d->clock,
        .frames_max = FRAMES_MAX,
        .notices_max = NOTICES_MAX,
        .api = &d->api,
        .note = note,
        .self = record_self,
        .ctx = d};
    d->shard = shard_new(&so, set, err);
    return d->shard ? 0 : -ENOMEM;
}

static struct auth auth_of(struct daemon *d)
{
    return (struct auth){.token = d->token,
        .token_len = d->token ? strlen(d->token) : 0,
        .external_host = d->external_host[0] ? d->external_host : NULL};
}

static int start(struct daemon *d, struct ruleset *set, struct err *err)
{
    const struct config *c = d->config;
    struct err warn = {0};
    d->inventory = inventory_open(c->state_dir, &warn);
    if (warn.msg[0])
        log_warn("inventory", "error=%s", log_q(warn.msg));
    struct err journal_warn = {0};
    d->journal = journal_open(c->state_dir, &journal_warn);
    if (journal_warn.msg[0])
        log_error("journal", "error=%s", log_q(journal_warn.msg));
    d->board = board_new();
    d->repair_board = repair_board_new();
    d->acks = ack_board_new();
    struct known k = {
        .sessions = sessions_new(16384), .mono_ms = clock_mono_ns(&d->clock) / NS_PER_MS};
    if (!d->inventory || !d->journal || !d->board || !d->repair_board || !d->acks ||
        !k.sessions || repair_link_open(&d->repairs) < 0) {
        err_set(err, "out of memory");
        ruleset_free(set);
        sessions_free(k.sessions);
        return -ENOMEM;
    }
    d->policies = policies_new(set);
    d->demands = demands_of(set);
    if (!d->policies || !d->demands) {
        err_set(err, "out of memory");
        ruleset_free(set);
        sessions_free(k.sessions);
        return -ENOMEM;
    }
    d->self.inventory = d->inventory;
    d->self.journal = d->journal;
    if (make_shard(d, set, err) < 0) {
        ruleset_free(set);
        sessions_free(k.sessions);
        return -ENOMEM;
    }
    k.pipeline = shard_pipeline(d->shard);
    inventory_each(d->inventory, known_agent, &k);
    struct restart left;
    restart_alerts(&left, d->journal, k.pipeline, clock_wall_ms(&d->clock));
    if (journal_damaged(d->journal))
        log_error("journal_damaged", "rows=%llu hint=%s",
            (unsigned long long)journal_damaged(d->journal),
            log_q("alerts that cannot be read any more; those that still hold fire anew"));
    size_t alerts = left.taken, over = left.n_over;
    struct ingest_options io = {.address = c->listen_agents,
        .connections_max = (size_t)c->connections_max,
        .per_ip_max = (size_t)c->connections_per_ip,
        .auth = auth_of(d),
        .version = TOCSIN_VERSION,
        .shard = d->shard,
        .known = k.sessions,
        .repairs = &d->repairs,
        .clock = d->clock};
    struct notify_options no = {.config = d->config,
        .external_url = d->external_url,
        .board = d->board,
        .journal = d->journal,
        .repairs = &d->repairs,
        .repair_board = d->repair_board,
        .policies = d->policies,
        .acks = d->acks,
        .clock = d->clock,
        .version = TOCSIN_VERSION,
        .instance = d->instance,
        .vitals = &d->vitals};
    struct http_options ho = {.address = d->http_address,
        .connections_max = (size_t)c->connections_max,
        .per_ip_max = (size_t)c->connections_per_ip,
        .auth = auth_of(d),
        .version = TOCSIN_VERSION,
        .instance = d->instance,
        .interval_ms = c->interval_ms,
        .shard = d->shard,
        .board = d->board,
        .clock = d->clock,
        .reloads = d->reloads,
        .reloaded = d->reloaded,
        .metrics = print_self,
        .metrics_ctx = d};
    // Whoever hears an agent must be able to evaluate, and whoever evaluates must be able to page.
    d->archive =
        archive_start(journal_path(d->journal), journal_last_delivery(d->journal), err);
    d->notify = d->archive ? notify_start(&no, shard_notices(d->shard), err) : NULL;
    restart_done(&left, shard_notices(d->shard));
    if (!d->notify || inventory_start(d->inventory, err) < 0 ||
        shard_start(d->shard, err) < 0) {
        sessions_free(k.sessions);
        return -EIO;
    }
    d->ingest = ingest_start(&io, err);
    if (!d->ingest)
        return -EIO;
    ingest_demand(d->ingest, d->demands);
    d->demands = NULL;
    atomic_store(&d->self.ingest, ingest_stats(d->ingest));
    ho.notify = d->notify;
    ho.archive = d->archive;
    d->http = http_start(&ho, err);
    if (!d->http)
        return -EIO;
    write_address(d, "http.addr", http_address(d->http));
    write_address(d, "ingest.addr", ingest_address(d->ingest));
    d->reload = (struct reload){.source = d->source,
        .started = config_ref(d->config),
        .current = config_ref(d->config),
        .policies = policies_keep(d->policies),
        .token = d->token,
        .shard = d->shard,
        .notify = d->notify,
        .ingest = d->ingest,
        .board = d->board,
        .self = &d->self,
        .clock = d->clock};
    http_ready(d->http, true);
    log_info("started",
        "version=%s http=%s agents=%s rules=%zu expected_agents=%zu alerts=%zu alerts_over=%zu",
        TOCSIN_VERSION, http_address(d->http), ingest_address(d->ingest), c->n_rules, k.n,
        alerts, over);
    return 0;
}

// --- running -------------------------------------------------------------------------------------

static void on_reloads(void *ctx, int fd, uint32_t events)
{
    struct daemon *d = ctx;
    struct request *r;
    (void)fd;
    (void)events;
    ring_drain_wakeup(d->reloads);
    while ((r = ring_pop(d->reloads))) {
        r->http_status = reload_now(&d->reload, &r->body) == 0 ? 200 : 500;
        if (!ring_push(d->reloaded, r))
            request_free(r);
    }
}

static void on_hangup(struct daemon *d)
{
    struct buf answer; // the log has it all
    buf_init(&answer, REPORT_MAX);
    (void)reload_now(&d->reload, &answer);
    buf_done(&answer);
}

static void on_signal(void *ctx, int sig)
{
    struct daemon *d = ctx;
    if (sig == SIGHUP) {
        on_hangup(d);
        return;
    }
    log_info("stopping", "signal=%d", sig);
    loop_stop(d->loop);
}

// Against the flow: first those who bring work, then the shard, last those it hands to.
static void stop(struct daemon *d)
{
    if (d->http)
        http_ready(d->http, false);
    ingest_stop(d->ingest);
    shard_stop(d->shard);
    http_stop(d->http);
    archive_stop(d->archive);
    notify_stop(d->notify, NOTIFY_GRACE_MS);
    journal_stop(d->journal);
    ingest_free(d->ingest);
    shard_free(d->shard);
    inventory_stop(d->inventory);
    watch_done(&d->watch);
    board_free(d->board);
    repair_board_free(d->repair_board);
    ack_board_free(d->acks);
    repair_link_close(&d->repairs);
    policies_free(d->policies);
    demands_free(d->demands);
    loop_free(d->loop);
    struct request *r;
    while (d->reloads && (r = ring_pop(d->reloads)))
        request_free(r);
    while (d->reloaded && (r = ring_pop(d->reloaded)))
        request_free(r);
    ring_free(d->reloads);
    ring_free(d->reloaded);
    reload_done(&d->reload);
    secret_free(d->token);
    config_unref(d->config);
}

static int run(struct daemon *d)
{
    struct buf report;
    struct err err = {0};
    struct ruleset *set = NULL;
    struct config c;
    buf_init(&report, REPORT_MAX);
    int status = reload_read(&d->source, &c, &report) < 0 ? EXIT_CONFIG : 0;
    d->config = config_share(&c);
    config_done(&c);
    if (!d->config)
        status = EXIT_FAILURE;
    if (status == 0 && rulefiles_read(d->config->rules, d->config->n_rules, &set, &report) < 0)
        status = EXIT_CONFIG;
    if (status == 0 && d->config->token_file &&
        secret_read(d->config->token_file, &d->token, &err) < 0) {
        buf_addf(&report, "error[C006]: %s\n", err.msg);
        status = EXIT_CONFIG;
    }
    fputs(buf_cstr(&report), stderr);
    buf_done(&report);
    if (status != 0) {
        ruleset_free(set);
        return status;
    }
    log_open("tocsin-collector", (enum log_level)log_level_parse(d->config->log_level));
    if (state_dir_take(d->config->state_dir, &d->state_dir, &err) < 0) {
        log_error("start_failed", "error=%s", log_q(err.msg));
        ruleset_free(set);
        return EXIT_FAILURE;
    }
    if (err.msg[0])
        log_warn("state_dir", "error=%s", log_q(err.msg));
    raise_descriptors();
    return_large_blocks();
    settle_port(d);
    name_ourselves(d);
    d->self.version = TOCSIN_VERSION;
    atomic_store(&d->self.reload_ok, true);
    atomic_store(&d->self.reloaded_ms, clock_wall_ms(&d->clock));
    // Before any thread: all of them inherit the mask.
    static const int SIGNALS[] = {SIGTERM, SIGINT, SIGHUP};
    signal(SIGPIPE, SIG_IGN);
    d->loop = loop_new();
    d->reloads = ring_new(RELOADS_MAX);
    d->reloaded = ring_new(RELOADS_MAX);
    if (!d->loop || !d->reloads || !d->reloaded ||
        loop_signals(d->loop, SIGNALS, 3, on_signal, d) < 0 ||
        !loop_io_add(d->loop, ring_fd(d->reloads), EPOLLIN, on_reloads, d)) {
        log_error("start_failed", "error=%s", log_q(strerror(errno)));
        ruleset_free(set);
        return EXIT_FAILURE;
    }
    if (start(d, set, &err) < 0) {
        log_error("start_failed", "error=%s", log_q(err.msg));
        return EXIT_FAILURE;
    }
    int rc = loop_run(d->loop);
    return rc < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static void print_config(void)
{
    struct buf out;
    buf_init(&out, 1u << 20);
    config_print(&out);
    fputs(buf_cstr(&out), stdout);
    buf_done(&out);
}

int main(int argc, char **argv)
{
    enum { CONFIG = 1, CHECK, PRINT, STATE_DIR, LOG_LEVEL_, VERSION, HELP_ };
    static const struct option LONG[] = {{"config", required_argument, NULL, CONFIG},
        {"check", no_argument, NULL, CHECK}, {"print-config", no_argument, NULL, PRINT},
        {"state-dir", required_argument, NULL, STATE_DIR},
        {"log-level", required_argument, NULL, LOG_LEVEL_},
        {"version", no_argument, NULL, VERSION}, {"help", no_argument, NULL, HELP_},
        {NULL, 0, NULL, 0}};
    struct daemon d = {.clock = clock_system()};
    bool check = false;
    int opt;
    while ((opt = getopt_long(argc, argv, "", LONG, NULL)) != -1)
        switch (opt) {
        case CONFIG: d.source.file = optarg; break;
        case CHECK: check = true; break;
        case PRINT: print_config(); return EXIT_SUCCESS;
        case STATE_DIR: d.source.state_dir = optarg; break;
        case LOG_LEVEL_:
            d.source.log_level = optarg;
            if (log_level_parse(optarg) < 0) {
                fputs("--log-level is debug, info, warn or error\n", stderr);
                return EXIT_USAGE;
            }
            break;
        case VERSION: puts("tocsin-collector " TOCSIN_VERSION); return EXIT_SUCCESS;
        case HELP_: fputs(HELP, stdout); return EXIT_SUCCESS;
        default: fputs("Try 'tocsin-collector --help'.\n", stderr); return EXIT_USAGE;
        }
    if (optind < argc) {
        fprintf(
            stderr, "unexpected argument `%s`. Try 'tocsin-collector --help'.\n", argv[optind]);
        return EXIT_USAGE;
    }
    if (check)
        return check_only(&d.source);
    curl_global_init(CURL_GLOBAL_DEFAULT);
    int status = run(&d);
    stop(&d);
    curl_global_cleanup();
    return status;
}
