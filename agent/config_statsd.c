// SPDX-License-Identifier: Apache-2.0
// `statsd` of agent.yaml. See statsd.h.
#include "agent/config_read.h"
#include "agent/intake.h"
#include "base/num.h"
#include <string.h>
#include <sys/un.h>

static void read_listen(struct config_reader *r, const struct yaml_node *n, void *to)
{
    struct statsd_config *s = to;
    s->host = NULL; // not the default one
    if (config_scalar(r, n) && strcmp(n->text, "none") != 0)
        config_listen(r, n, STATSD_PORT, &s->host, &s->port);
}

static void read_socket(struct config_reader *r, const struct yaml_node *n, void *to)
{
    struct statsd_config *s = to;
    if (!config_scalar(r, n))
        return;
    if (n->text[0] != '/' || n->len >= sizeof(((struct sockaddr_un *)0)->sun_path))
        config_bad(r, n, "e.g. /run/tocsin/statsd.sock",
            "`%.60s` is not an absolute path of under %zu bytes", n->text,
            sizeof(((struct sockaddr_un *)0)->sun_path));
    else
        s->socket = config_keep(r, n->text, n->len);
}

void config_statsd(struct config_reader *r, const struct yaml_node *n, void *to)
{
    static const struct config_range AGE = {10 * 1000, 24 * 3600 * 1000};
    static const struct config_key KEYS[] = {
        {"listen", read_listen, 0, NULL},
        {"socket", read_socket, 0, NULL},
        {"age", config_duration, offsetof(struct statsd_config, age_ms), &AGE},
        {"series_limit", config_series_limit, offsetof(struct statsd_config, series_limit),
            NULL},
        {"insecure_plaintext", config_flag, offsetof(struct statsd_config, insecure_plaintext),
            NULL},
    };
    struct statsd_config *s = to;
    *s = (struct statsd_config){.host = "127.0.0.1",
        .port = STATSD_PORT,
        .age_ms = STATSD_AGE_MS,
        .series_limit = INTAKE_SERIES_DEFAULT};
    config_section(r, n, KEYS, sizeof(KEYS) / sizeof(KEYS[0]), s, "`statsd`",
        "e.g. statsd: {listen: \"127.0.0.1:8125\"}");
    s->wanted = s->host || s->socket;
    if (!s->wanted && !r->oom && !r->d->errors)
        config_bad(r, n, NULL, "statsd listens on an address or a `socket`");
    if (s->host && !config_host_loopback(s->host) && !s->insecure_plaintext)
        config_bad(r, n, "set insecure_plaintext: true where the network is trusted",
            "anybody who reaches %.60s can send numbers: StatsD has no secret", s->host);
}

void config_print_statsd(const struct agent_config *c, struct buf *out)
{
    const struct statsd_config *s = &c->statsd;
    char age[NUM_TEXT_MAX + 1];
    if (!s->wanted) {
        buf_adds(out, "\nstatsd: null");
        return;
    }
    age[duration_print(s->age_ms, age)] = 0;
    buf_adds(out, "\nstatsd:\n  listen: ");
    if (s->host)
        config_add_address(out, s->host, s->port);
    else
        buf_adds(out, "none");
    if (s->socket)
        config_add_value(out, "\n  socket: ", s->socket);
    buf_addf(out, "\n  age: %s\n  series_limit: %zu\n  insecure_plaintext: %s", age,
        s->series_limit, s->insecure_plaintext ? "true" : "false");
}
