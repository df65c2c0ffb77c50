// SPDX-License-Identifier: Apache-2.0
// `scrape_configs` as --print-config shows them, which reads back as the same.
#include "agent/config_read.h"
#include "agent/scrape_config.h"
#include <string.h>

static void print_groups(const struct scrape_job *j, struct buf *out)
{
    buf_adds(out, "\n    static_configs:");
    for (size_t i = 0; i < j->n_groups; i++) {
        const struct scrape_group *g = &j->groups[i];
        buf_adds(out, "\n      - targets: [");
        for (size_t k = 0; k < g->n_targets; k++)
            config_add_value(out, k ? ", " : "", g->targets[k]);
        buf_adds(out, "]");
        for (size_t k = 0; k < g->labels.n; k++) {
            buf_addf(out, "%s%s: ", k ? ", " : "\n        labels: {", g->labels.l[k].name);
            config_add_value(out, "", g->labels.l[k].value);
        }
        if (g->labels.n)
            buf_adds(out, "}");
    }
}

static void print_params(const struct scrape_job *j, struct buf *out)
{
    for (size_t i = 0; i < j->n_params; i++) {
        bool same = i && strcmp(j->params[i].name, j->params[i - 1].name) == 0;
        if (!same) {
            buf_adds(out, i ? "], " : "\n    params: {");
            config_add_value(out, "", j->params[i].name);
        }
        config_add_value(out, same ? ", " : ": [", j->params[i].value);
    }
    if (j->n_params)
        buf_adds(out, "]}");
}

static void print_who(const struct scrape_job *j, struct buf *out)
{
    if (j->auth.user) {
        config_add_value(out, "\n    basic_auth: {username: ", j->auth.user);
        config_add_value(out, ", password_file: ", j->auth.password_file);
        buf_adds(out, "}");
    }
    if (j->auth.credentials) {
        config_add_value(out, "\n    authorization: {type: ", j->auth.type);
        config_add_value(out, ", credentials_file: ", j->auth.file);
        buf_adds(out, "}");
    }
    buf_addf(
        out, "\n    tls_config: {insecure_skip_verify: %s", j->tls.insecure ? "true" : "false");
    if (j->tls.ca_file)
        config_add_value(out, ", ca_file: ", j->tls.ca_file);
    if (j->tls.cert_file) {
        config_add_value(out, ", cert_file: ", j->tls.cert_file);
        config_add_value(out, ", key_file: ", j->tls.key_file);
    }
    buf_adds(out, "}");
}

static void print_limits(const struct scrape_job *j, struct buf *out)
{
    const struct {
        const char *key;
        uint64_t v;
    } limits[] = {{"sample_limit", j->sample_limit}, {"series_limit", j->series_limit},
        {"label_limit", j->label_limit}, {"label_name_length_limit", j->label_name_limit},
        {"label_value_length_limit", j->label_value_limit}, {"body_size_limit", j->body_limit}};
    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++)
        if (limits[i].v)
            buf_addf(out, "\n    %s: %llu", limits[i].key, (unsigned long long)limits[i].v);
}

void config_print_scrapes(const struct agent_config *c, struct buf *out)
{
    buf_adds(out, c->n_scrapes ? "\nscrape_configs:" : "\nscrape_configs: []");
    for (size_t i = 0; i < c->n_scrapes; i++) {
        const struct scrape_job *j = &c->scrapes[i];
        config_add_value(out, "\n  - job_name: ", j->name);
        config_add_duration(out, "scrape_interval", j->every_ms);
        config_add_duration(out, "scrape_timeout", j->timeout_ms);
        buf_addf(out, "\n    scheme: %s", j->scheme);
        config_add_value(out, "\n    metrics_path: ", j->path);
        print_params(j, out);
        buf_addf(out,
            "\n    honor_labels: %s\n    honor_timestamps: %s\n    follow_redirects: %s",
            j->honor_labels ? "true" : "false", j->honor_timestamps ? "true" : "false",
            j->follow_redirects ? "true" : "false");
        if (j->compression >= 0)
            buf_addf(out, "\n    enable_compression: %s", j->compression ? "true" : "false");
        for (size_t k = 0; k < j->n_protocols; k++)
            buf_addf(out, "%s%s", k ? ", " : "\n    scrape_protocols: [", j->protocols[k]);
        buf_adds(out, "]");
        print_who(j, out);
        print_limits(j, out);
        config_print_relabel(&j->relabel, "relabel_configs", "    ", out);
        config_print_relabel(&j->metric_relabel, "metric_relabel_configs", "    ", out);
        print_groups(j, out);
    }
}
