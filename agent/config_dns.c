// SPDX-License-Identifier: Apache-2.0
// What a `dns` probe of agent.yaml asks, whom, and what it expects.
#include "agent/config_read.h"

#define SERVER_PORT 53

void config_dns_name(struct config_reader *r, const struct yaml_node *n, struct probe_config *p)
{
    const struct dns_words w = {.name = n->text, .type = 1};
    struct buf packed;
    buf_init(&packed, 1024);
    if (!dns_ask(&w, 0, &packed))
        config_bad(r, n, "e.g. www.example.net; whom to ask is `server`",
            "`%.60s` is no name in DNS", n->text);
    buf_done(&packed);
    p->words.dns.name = config_keep(r, n->text, n->len);
    if (!p->port)
        p->port = SERVER_PORT;
}

void config_dns_server(struct config_reader *r, const struct yaml_node *n, void *to)
{
    struct probe_config *p = to;
    if (!config_scalar(r, n))
        return;
    if (!config_address(r, n->text, n->len, SERVER_PORT, &p->host, &p->port)) {
        config_bad(r, n, "e.g. 192.0.2.53 or [2001:db8::53]:5353",
            "`%.60s` is not the address of a server", n->text);
        p->host = NULL;
    }
    p->server = config_keep(r, n->text, n->len);
}

void config_dns_type(struct config_reader *r, const struct yaml_node *n, void *to)
{
    uint16_t *ret = to;
    if (!config_scalar(r, n))
        return;
    *ret = dns_type(n->text);
    if (!*ret)
        config_bad(r, n, "A, AAAA, CNAME, MX, NS, PTR, SOA, SRV or TXT",
            "type `%.40s` is not supported", n->text);
}

void config_dns_rcode(struct config_reader *r, const struct yaml_node *n, void *to)
{
    uint8_t *ret = to;
    if (!config_scalar(r, n))
        return;
    int rcode = dns_rcode(n->text);
    if (rcode < 0)
        config_bad(r, n, "NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP or REFUSED",
            "rcode `%.40s` is not known", n->text);
    else
        *ret = (uint8_t)rcode;
}

void config_dns_check(
    struct config_reader *r, const struct yaml_node *n, struct probe_config *p)
{
    struct dns_words *w = &p->words.dns;
    if (!w->name && (p->server || w->type || w->rcode || w->answer))
        config_bad(r, n, NULL, "`server`, `type`, `rcode` and `answer` are for `dns` probes");
    if (w->name && w->answer && w->rcode)
        config_bad(r, n, NULL, "there is no answer to look at but with rcode NOERROR");
    if (w->name && p->words.tls && !p->server)
        config_bad(r, n, NULL, "over TLS a `server` has to be named, e.g. dns.example.net:853");
    if (w->name && !w->type)
        w->type = 1;
}

void config_dns_print(const struct probe_config *p, struct buf *out)
{
    const struct dns_words *w = &p->words.dns;
    if (p->server)
        config_add_value(out, "\n    server: ", p->server);
    buf_addf(
        out, "\n    type: %s\n    rcode: %s", dns_type_name(w->type), dns_rcode_name(w->rcode));
    if (w->answer)
        config_add_value(out, "\n    answer: ", w->answer);
}
