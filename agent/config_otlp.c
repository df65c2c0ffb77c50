// SPDX-License-Identifier: Apache-2.0
// `otlp` of agent.yaml. See otlp_port.h.
#include "agent/config_read.h"
#include "agent/intake.h"
#include "base/num.h"
#include <string.h>

static void read_listen(struct config_reader *r, const struct yaml_node *n, void *to)
{
    struct otlp_config *o = to;
    config_listen(r, n, OTLP_PORT, &o->host, &o->port);
}

static void read_token(struct config_reader *r, const struct yaml_node *n, void *to)
{
    struct otlp_config *o = to;
    config_secret(r, n, &o->token, &o->token_file);
}

static void read_attributes(struct config_reader *r, const struct yaml_node *n, void *to)
{
    struct otlp_config *o = to;
    if (n->kind != YAML_SEQ || n->n > OTLP_ATTRIBUTES_MAX) {
        config_bad(r, n, "e.g. [k8s.namespace.name, service.version]",
            "resource_attributes are a list of at most %d names", OTLP_ATTRIBUTES_MAX);
        return;
    }
    for (size_t i = 0; i < n->n; i++) {
        const char *name = NULL;
        config_text(r, n->items[i], &name);
        if (name)
            o->attributes[o->n_attributes++] = name;
    }
}

void config_otlp(struct config_reader *r, const struct yaml_node *n, void *to)
{
    static const struct config_range AGE = {10 * 1000, 24 * 3600 * 1000};
    static const struct config_key KEYS[] = {
        {"listen", read_listen, 0, NULL},
        {"token_file", read_token, 0, NULL},
        {"insecure_plaintext", config_flag, offsetof(struct otlp_config, insecure_plaintext),
            NULL},
        {"resource_attributes", read_attributes, 0, NULL},
        {"age", config_duration, offsetof(struct otlp_config, age_ms), &AGE},
        {"series_limit", config_series_limit, offsetof(struct otlp_config, series_limit), NULL},
    };
    struct otlp_config *o = to;
    *o = (struct otlp_config){.wanted = true,
        .host = "127.0.0.1",
        .port = OTLP_PORT,
        .age_ms = OTLP_AGE_MS,
        .series_limit = INTAKE_SERIES_DEFAULT};
    config_section(r, n, KEYS, sizeof(KEYS) / sizeof(KEYS[0]), o, "`otlp`",
        "e.g. otlp: {listen: \"127.0.0.1:4318\"}");
    if (!o->host || config_host_loopback(o->host))
        return;
    if (!o->token && !r->d->errors)
        config_bad(r, n, "a file with a secret that senders put into Authorization: Bearer",
            "%.60s is reachable from other hosts: set token_file", o->host);
    if (!o->insecure_plaintext)
        config_bad(r, n, "where the network is trusted, or a TLS proxy stands in front",
            "%.60s is reachable from other hosts and there is no TLS here: set insecure_plaintext: true",
            o->host);
}

void config_print_otlp(const struct agent_config *c, struct buf *out)
{
    const struct otlp_config *o = &c->otlp;
    char age[NUM_TEXT_MAX + 1];
    if (!o->wanted) {
        buf_adds(out, "\notlp: null");
        return;
    }
    age[duration_print(o->age_ms, age)] = 0;
    buf_adds(out, "\notlp:\n  listen: ");
    config_add_address(out, o->host, o->port);
    if (o->token_file)
        config_add_value(out, "\n  token_file: ", o->token_file);
    buf_adds(out, "\n  resource_attributes: [");
    for (size_t i = 0; i < o->n_attributes; i++)
        config_add_value(out, i ? ", " : "", o->attributes[i]);
    buf_addf(out, "]\n  age: %s\n  series_limit: %zu\n  insecure_plaintext: %s", age,
        o->series_limit, o->insecure_plaintext ? "true" : "false");
}
