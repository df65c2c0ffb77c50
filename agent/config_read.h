// SPDX-License-Identifier: Apache-2.0
/*
 * What the files that read agent.yaml share: a reader that collects mistakes and goes on, maps as
 * tables of keys, scalars with their limits. Text is kept in the configuration's arena.
 */
#pragma once
#include "agent/config.h"
#include "base/diag.h"
#include "base/yaml.h"

struct config_key;
struct config_reader {
    struct agent_config *c;
    struct diags *d;
    const struct config_key *key; // the one being read, set by config_map
    bool oom;
};
#define CONFIG_KEYS_MAX 64
struct config_key {
    const char *name;
    void (*read)(struct config_reader *r, const struct yaml_node *n, void *to);
    size_t offset;       // into the struct the map fills
    const void *context; // of the reader, which is one for many keys
};
struct config_limit { // context of config_count
    unsigned max;
};
struct config_range { // context of config_duration
    int64_t low_ms, high_ms;
};

// A mistake at the node; hint may be NULL.
void config_bad(struct config_reader *r, const struct yaml_node *n, const char *hint,
    const char *fmt, ...) __attribute__((format(printf, 4, 5)));
const char *config_keep(struct config_reader *r, const char *s, size_t len); // NULL: r->oom
void config_map(struct config_reader *r, const struct yaml_node *map,
    const struct config_key *keys, size_t n_keys, void *to, const char *what);
// The same of what may turn out to be no map at all: false, which was said, with the hint. what: a key of the
// file in backquotes, or "a plugin".
bool config_section(struct config_reader *r, const struct yaml_node *n,
    const struct config_key *keys, size_t n_keys, void *to, const char *what, const char *hint);
bool config_scalar(struct config_reader *r, const struct yaml_node *n); // else it was said
void config_text(struct config_reader *r, const struct yaml_node *n, void *to); // const char *
// int64_t of milliseconds, within the struct config_range that is the key's context.
void config_duration(struct config_reader *r, const struct yaml_node *n, void *to);
// unsigned, from 0 to what the struct config_limit says that is the key's context.
void config_count(struct config_reader *r, const struct yaml_node *n, void *to);
// What stands in a file that only the agent may read, and the file's name.
void config_secret(struct config_reader *r, const struct yaml_node *n, const char **ret_content,
    const char **ret_file);
// "host:port" or "[v6]:port"; without a port def (0: one is wanted).
bool config_address(struct config_reader *r, const char *s, size_t len, uint16_t def,
    const char **ret_host, uint16_t *ret_port);
// The same of an http or https URL.
bool config_url(
    struct config_reader *r, const char *url, const char **ret_host, uint16_t *ret_port);
// An address of this host? Names only when they are localhost or our own (own): looking others up could
// block.
bool config_is_this_host(const char *host, const char *own);
// The list `probes`, and the same printed.
void config_probes(struct config_reader *r, const struct yaml_node *n, void *to);
void config_print_probes(const struct agent_config *c, struct buf *out);
// Of a `dns` probe: its target, its other keys, what is wrong between them, and all of it printed.
void config_dns_name(
    struct config_reader *r, const struct yaml_node *n, struct probe_config *p);
void config_dns_server(struct config_reader *r, const struct yaml_node *n, void *to);
void config_dns_type(struct config_reader *r, const struct yaml_node *n, void *to);
void config_dns_rcode(struct config_reader *r, const struct yaml_node *n, void *to);
void config_dns_check(
    struct config_reader *r, const struct yaml_node *n, struct probe_config *p);
void config_dns_print(const struct probe_config *p, struct buf *out);
// Targets that are a page, and of HAProxy also the path of its socket; p->page is set.
void config_page(struct config_reader *r, const struct yaml_node *n, struct probe_config *p);
void config_haproxy(struct config_reader *r, const struct yaml_node *n, struct probe_config *p);
// The maps that hold one number (dependencies, cgroups, processes, network_namespaces, connections), of
// which the key being read says which; what they are when nothing is said, and all of them printed.
void config_counts(struct config_reader *r, const struct yaml_node *n, void *to);
void config_counts_defaults(struct agent_config *c);
void config_print_counts(const struct agent_config *c, struct buf *out);
// The list `repairs`, and the same printed.
void config_repairs(struct config_reader *r, const struct yaml_node *n, void *to);
void config_print_repairs(const struct agent_config *c, struct buf *out);
// The list `exec`, and the same printed.
void config_exec(struct config_reader *r, const struct yaml_node *n, void *to);
void config_print_exec(const struct agent_config *c, struct buf *out);
// The map `statsd`, and the same printed.
void config_statsd(struct config_reader *r, const struct yaml_node *n, void *to);
void config_print_statsd(const struct agent_config *c, struct buf *out);
// The map `otlp`, and the same printed.
void config_otlp(struct config_reader *r, const struct yaml_node *n, void *to);
void config_print_otlp(const struct agent_config *c, struct buf *out);
void config_port(struct config_reader *r, const struct yaml_node *n, void *to); // uint16_t
// size_t, 1 to OUTPUT_SERIES_MAX.
void config_series_limit(struct config_reader *r, const struct yaml_node *n, void *to);
void config_flag(struct config_reader *r, const struct yaml_node *n, void *to); // bool
// An address to listen on, not a name. Whether it may be off loopback is for the caller to judge.
bool config_listen(struct config_reader *r, const struct yaml_node *n, uint16_t port,
    const char **ret_host, uint16_t *ret_port);
bool config_host_loopback(const char *host); // an address of it, not a name
// Of a program to run: its words, argv[0] an absolute path; returns how many. Its user (struct child_user).
// Its environment; returns how many.
size_t config_command(
    struct config_reader *r, const struct yaml_node *n, const char **argv, size_t max);
void config_user(struct config_reader *r, const struct yaml_node *n, void *to);
size_t config_environment(
    struct config_reader *r, const struct yaml_node *n, struct wire_label *env, size_t max);
// The list `scrape_configs`, and the same printed; the targets a job comes to.
void config_scrapes(struct config_reader *r, const struct yaml_node *n, void *to);
void config_print_scrapes(const struct agent_config *c, struct buf *out);
struct scrape_job;
void config_scrape_targets(
    struct config_reader *r, const struct yaml_node *n, const struct scrape_job *j);
// A list of relabelling rules (struct relabel), and the same printed under a key, if there are any.
struct relabel;
void config_relabel(struct config_reader *r, const struct yaml_node *n, void *to);
void config_print_relabel(
    const struct relabel *r, const char *key, const char *indent, struct buf *out);
void config_free_relabel(struct agent_config *c);
// Whoever may write the file says what is run: -EPERM with a problem when others than its owner may.
int config_program_guard(const char *path, const char *what, struct buf *problems);
void config_add_value(struct buf *out, const char *before, const char *s);
void config_add_address(struct buf *out, const char *host, uint16_t port); // in quotes
void config_add_duration(struct buf *out, const char *key, int64_t ms);
