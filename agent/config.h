// SPDX-License-Identifier: Apache-2.0
/*
 * What the user wrote in agent.yaml, checked as a whole: every mistake is found in one run, with
 * its place, and nothing is used when there is one. Without a file the defaults run an agent that
 * feeds a collector on this host.
 *
 *     collector: http://127.0.0.1:7312      flag > environment (TOCSIN_COLLECTOR) > file > default
 *     probes:
 *       - {name: api, http: "http://127.0.0.1:8080/healthz", every: 500ms}
 *
 * All text lives in the config's arena and dies with it. Immutable once loaded.
 */
#pragma once
#include "agent/config_tls.h"
#include "agent/dialogue.h"
#include "agent/otlp_port.h"
#include "agent/page.h"
#include "agent/plugin.h"
#include "agent/repair_list.h"
#include "agent/statsd.h"
#include "base/arena.h"
#include "base/buf.h"
#include "wire/batch.h"
#include <stdbool.h>
#include <stdint.h>

#define CONFIG_PROBES_MAX   10000
#define CONFIG_LABELS_MAX   16
#define CONFIG_STATUS_MAX   16
#define CONFIG_FILE_MAX     (1u << 20)
#define CONFIG_DEFAULT_PATH "/etc/tocsin/agent.yaml"

struct relabel_rule;
struct scrape_job;
struct scrape_target;

enum probe_kind { PROBE_TALK, PROBE_HTTP, PROBE_ICMP, PROBE_PAGE };

struct probe_config {
    enum probe_kind kind;
    const struct dialogue_kind *dialogue; // of PROBE_TALK
    const struct page_kind *page; // of PROBE_PAGE, and of a dialogue whose answer is one
    struct dialogue_words words;
    const char *password_file;
    const char *server;        // of `dns`, as written; NULL: the system's
    const char *ca_file;       // whom its certificate must come from; NULL: the system's
    const char *name, *target; // target: "host:port", the URL, the path of a socket
    const char *service;       // NULL: none
    const char *host;          // of the target, brackets off; NULL: the system's name server
    uint16_t port;             // 0: an `icmp` probe that names none to fall back to
    bool local;                // host is an address or a name of this host
    const char *method, *body; // HTTP; body NULL: not looked at
    struct {
        uint16_t low, high;
    } status[CONFIG_STATUS_MAX]; // accepted
    size_t n_status;
    int64_t every_ms, timeout_ms, slow_ms;
};

struct config_rules {
    struct relabel_rule *rules;
    size_t n;
    struct config_rules *next;
};

struct agent_config {
    struct arena arena;
    const char *path; // NULL: no file
    const char *collector, *token_file, *ca_file, *state_dir, *host;
    struct wire_label labels[CONFIG_LABELS_MAX];
    size_t n_labels;
    struct probe_config *probes;
    size_t n_probes;
    struct repair_action *repairs; // NULL: none
    size_t n_repairs;
    struct scrape_job *scrapes;
    size_t n_scrapes;
    struct scrape_target *targets; // of all scrape jobs
    size_t n_targets;
    struct config_rules
        *rules; // relabelling rules of all kinds, whose expressions are to be freed
    unsigned
        dependencies; // destinations told apart; 0 = outgoing connections are not looked at
    unsigned cgroups_max, processes_top; // 0 = off
    unsigned netns_max;         // other network namespaces that are looked into; 0 = none
    unsigned closes_per_second; // above it connections are only sampled; 0 = no limit
    struct tls_ports tls_ports;
    struct plugin_config *plugins; // NULL: none
    size_t n_plugins;
    struct statsd_config statsd;
    struct otlp_config otlp;
};

// What stands above the file: from the command line. NULL = not given.
struct config_override {
    const char *collector, *state_dir;
};

// path NULL: the default file, which may be absent; a file that was named must be there.
// 0 and *ret for config_free; or -errno with every problem rendered into problems, ready to print.
int config_load(const char *path, const struct config_override *over, struct agent_config **ret,
    struct buf *problems);
// The same from text, without file and environment; file is the name that problems show.
int config_parse(const char *text, size_t len, const char *file, struct agent_config **ret,
    struct buf *problems);
void config_free(struct agent_config *c);
// Of two values that may be absent: whether a reload changes them.
bool config_same_text(const char *a, const char *b);
const char *probe_config_kind(const struct probe_config *p); // the key of its target
bool probe_config_tls(const struct probe_config *p);         // it is asked over TLS
// The effective values as YAML that loads to the same thing.
int config_print(const struct agent_config *c, struct buf *out);
