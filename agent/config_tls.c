// SPDX-License-Identifier: Apache-2.0
#include "agent/config_tls.h"
#include "agent/config_read.h"
#include <string.h>

// https, submissions, nntps, ldaps, DNS, ftps, imaps, pop3s, sips, amqps, secure-mqtt.
static const uint16_t KNOWN[] = {443, 465, 563, 636, 853, 990, 993, 995, 5061, 5671, 8883};
#define N_KNOWN (sizeof(KNOWN) / sizeof(KNOWN[0]))

void config_tls_ports(struct config_reader *r, const struct yaml_node *n, void *to)
{
    struct tls_ports *p = to;

    if (n->kind != YAML_SEQ) {
        config_bad(r, n, "e.g. [443, 8443]", "`tls_ports` is a list of ports");
        return;
    }
    p->given = true;
    for (size_t i = 0; i < n->n; i++) {
        uint16_t port = 0;
        config_port(r, n->items[i], &port);
        if (port && p->n == TLS_PORTS_MAX) {
            config_bad(r, n->items[i], NULL, "more than %d ports", TLS_PORTS_MAX);
            return;
        }
        if (port)
            p->list[p->n++] = port;
    }
}

// What was given, else the known ones. c NULL: those.
static const uint16_t *ports_of(const struct agent_config *c, size_t *ret_n)
{
    bool given = c && c->tls_ports.given;

    *ret_n = given ? c->tls_ports.n : N_KNOWN;
    return given ? c->tls_ports.list : KNOWN;
}

void config_print_tls_ports(const struct agent_config *c, struct buf *out)
{
    size_t n;
    const uint16_t *list = ports_of(c, &n);

    buf_adds(out, "\ntls_ports: [");
    for (size_t i = 0; i < n; i++)
        buf_addf(out, "%s%u", i ? ", " : "", list[i]);
    buf_adds(out, "]");
}

size_t config_tls_list(const struct agent_config *c, uint16_t *ret, size_t max)
{
    size_t n;
    const uint16_t *list = ports_of(c, &n);

    n = n < max ? n : max;
    memcpy(ret, list, n * sizeof(*ret));
    return n;
}

// From the first byte on: what is asked for later comes after requests in the clear.
static bool asks_with_tls(const struct probe_config *p)
{
    return probe_config_tls(p) && (!p->dialogue || p->dialogue->tls == DIALOGUE_TLS_FIRST);
}

bool config_is_tls(const struct agent_config *c, uint16_t port)
{
    size_t n;
    const uint16_t *list = ports_of(c, &n);

    for (size_t i = 0; i < n; i++)
        if (list[i] == port)
            return true;
    for (size_t i = 0; c && i < c->n_probes; i++)
        if (c->probes[i].local && c->probes[i].port == port && asks_with_tls(&c->probes[i]))
            return true;
    return false;
}
