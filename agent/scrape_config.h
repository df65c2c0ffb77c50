// SPDX-License-Identifier: Apache-2.0
/*
 * `scrape_configs` of agent.yaml: Prometheus's own dialect, as far as it makes sense on a host. Targets are
 * what static_configs and relabel_configs left of them, when the file was read. All of it lives in the
 * configuration's arena but the expressions of the rules, which config_free frees.
 */
#pragma once
#include "agent/exposition.h"
#include "agent/relabel.h"
#include <stdbool.h>
#include <stdint.h>

#define SCRAPE_JOBS_MAX    128
#define SCRAPE_TARGETS_MAX 1000 // of all jobs
#define SCRAPE_EVERY_MS    1000
#define SCRAPE_BODY_MAX    (64u << 20)
#define SCRAPE_PROTOCOLS   4

struct scrape_labels { // sorted by name
    struct wire_label *l;
    size_t n;
};
struct scrape_group { // one of static_configs
    const char **targets;
    size_t n_targets;
    struct scrape_labels labels;
};
struct scrape_param { // name=value of the query; a name may come again
    const char *name, *value;
};

struct scrape_job {
    const char *name;
    int64_t every_ms, timeout_ms;
    const char *scheme, *path;
    struct scrape_param *params;
    size_t n_params;
    struct scrape_group *groups;
    size_t n_groups;
    bool honor_labels, honor_timestamps, follow_redirects;
    int compression; // 1 asked for, 0 not, -1 unless the target is this host
    const char *protocols[SCRAPE_PROTOCOLS + 1]; // names of scrape_protocols, the best first
    size_t n_protocols;
    struct {
        const char *user, *password,
            *password_file;                    // basic_auth; the content of the file is kept
        const char *type, *credentials, *file; // authorization
    } auth;
    struct {
        const char *ca_file, *cert_file, *key_file;
        bool insecure;
    } tls;
    uint64_t sample_limit, series_limit, label_limit, label_name_limit, label_value_limit,
        body_limit;
    struct relabel relabel, metric_relabel;
};

struct scrape_target {
    const struct scrape_job *job;
    const char *url, *host, *instance;
    uint16_t port;
    bool local;
    struct scrape_labels labels; // job, instance and what the rules left
    int64_t every_ms, timeout_ms;
};
