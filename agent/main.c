// SPDX-License-Identifier: Apache-2.0
/*
 * The command line, and what has to be so in the process before an agent lives in it (core.h): its
 * exit statuses, its heap, the executor that is forked first, the run that replaces it.
 */
#include "agent/core.h"
#include "agent/doctor.h"
#include "agent/netns_door.h"
#include "base/log.h"
#include <curl/curl.h>
#include <errno.h>
#include <getopt.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXIT_USAGE   2
#define EXIT_CONFIG  78
#define PROBLEMS_MAX (1u << 20)

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
    struct core_options core;
    enum log_level level;
    bool check, print, doctor;
};

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
        case CONFIG: o->core.config_path = optarg; break;
        case COLLECTOR: o->core.over.collector = optarg; break;
        case STATE_DIR: o->core.over.state_dir = optarg; break;
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

// The configuration, when the agent is to go on. Else the exit status: it is printed, or what is wrong
// with it.
static int load(const struct options *o, struct agent_config **ret)
{
    struct buf text;
    struct agent_config *config;
    int status = -1;
    buf_init(&text, PROBLEMS_MAX);
    int rc = config_load(o->core.config_path, &o->core.over, &config, &text);
    if (rc < 0) {
        fputs(text.len ? buf_cstr(&text) : strerror(-rc), stderr);
        status = EXIT_CONFIG;
    } else if (o->check || o->print) {
        if (o->print)
            config_print(config, &text);
        else
            check_print(config, &text);
        fputs(buf_cstr(&text), stdout);
        config_free(config);
        status = EXIT_SUCCESS;
    } else {
        *ret = config;
    }
    buf_done(&text);
    return status;
}

// Before there is a thread, a socket or a signal mask that it would inherit.
static bool start_executor(struct core_options *core)
{
    const struct agent_config *c = core->config;
    struct err err;
    if (doctor_open_wire(c->collector))
        log_warn("repairs_over_plain_http", "collector=%s hint=%s", c->collector,
            log_q("whoever is on the way to the collector can ask for them"));
    if (executor_start(c->repairs, c->n_repairs, c->state_dir, &core->executor, &err) == 0)
        return true;
    log_error("failed", "error=%s", log_q(err.msg));
    return false;
}

int main(int argc, char **argv)
{
    struct options o;
    struct netns_door door;

    parse_options(argc, argv, &o);
    log_open("tocsin-agent", o.level);
    netns_door_open(&door); // before there is a child to inherit it
    // One heap for the resolver threads of libcurl and us: memory is counted in megabytes here.
    // And what is large goes back when it is freed: without a fixed threshold glibc raises it to the
    // size of the first large block freed.
    mallopt(M_ARENA_MAX, 1);
    mallopt(M_MMAP_THRESHOLD, 64 << 10);
    mallopt(M_TRIM_THRESHOLD, 64 << 10);
    signal(SIGPIPE, SIG_IGN);
    struct core_options *core = &o.core;
    core->executor.fd = -1;
    core->netns_door = &door;
    core->clock = clock_system();
    int status = load(&o, &core->config);
    if (status >= 0)
        return status;
    if (core->config->n_repairs && !o.doctor && !start_executor(core)) {
        config_free(core->config);
        return EXIT_FAILURE;
    }
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        config_free(core->config);
        return EXIT_FAILURE;
    }
    enum core_end end = o.doctor ? core_doctor(core) : core_run(core);
    curl_global_cleanup();
    if (end == CORE_RENEW) {
        signal(SIGCHLD, SIG_IGN); // nobody will wait for the executor of this run
        netns_door_keep(&door);
        execv("/proc/self/exe", argv);
        log_error("renew_failed", "error=%s", log_q(strerror(errno)));
    }
    return end == CORE_STOPPED ? EXIT_SUCCESS : EXIT_FAILURE;
}
