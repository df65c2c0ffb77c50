// SPDX-License-Identifier: Apache-2.0
// `probes` of agent.yaml.
#include "agent/config_read.h"
#include "agent/resolve.h"
#include "agent/secure.h"
#include "base/map.h"
#include "base/num.h"
#include "wire/name.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

// --- the target ----------------------------------------------------------------------------------

// Context of a key that names a target: what it makes of the probe.
struct target {
    enum probe_kind kind;
    const struct dialogue_kind *dialogue; // of PROBE_TALK
    const struct page_kind *page;         // of PROBE_PAGE
    void (*read)(struct config_reader *r, const struct yaml_node *n, struct probe_config *p);
};

static void read_target(struct config_reader *r, const struct yaml_node *n, void *to)
{
    const struct target *t = r->key->context;
    struct probe_config *p = to;
    p->kind = t->kind;
    p->dialogue = t->dialogue;
    p->page = t->page;
    if (!config_scalar(r, n))
        return;
    if (p->target)
        config_bad(r, n, NULL, "a probe has one target: one of tcp, http, tls, redis ...");
    t->read(r, n, p);
    p->target = config_keep(r, n->text, n->len);
}

static void read_address(
    struct config_reader *r, const struct yaml_node *n, struct probe_config *p)
{
    uint16_t port = p->dialogue ? p->dialogue->port : 0;
    char hint[64] = "e.g. 127.0.0.1:5432 or [::1]:5432";
    if (port)
        snprintf(hint, sizeof(hint), "e.g. 127.0.0.1, or 127.0.0.1:%u", port);
    if (config_address(r, n->text, n->len, port, &p->host, &p->port))
        return;
    config_bad(r, n, p->dialogue == &DIALOGUE_TLS ? "e.g. mail.example.net:993" : hint,
        "`%.60s` is not host:port", n->text);
    p->host = NULL;
}

static void read_http(
    struct config_reader *r, const struct yaml_node *n, struct probe_config *p)
{
    if (!wire_text_ok(n->text, 1, WIRE_VALUE_MAX) ||
        !config_url(r, n->text, &p->host, &p->port))
        config_bad(r, n, "e.g. http://127.0.0.1:8080/healthz",
            "`%.60s` is not an http or https URL", n->text);
}

// Its clients' port, or with http:// its monitoring port.
static void read_nats(
    struct config_reader *r, const struct yaml_node *n, struct probe_config *p)
{
    if (strncmp(n->text, "http", 4) != 0) {
        read_address(r, n, p);
        return;
    }
    p->kind = PROBE_PAGE;
    p->dialogue = NULL;
    p->page = &PAGE_NATS;
    config_page(r, n, p);
}

// An http URL but for its first letters.
static void read_websocket(
    struct config_reader *r, const struct yaml_node *n, struct probe_config *p)
{
    char url[WIRE_VALUE_MAX + 4];
    bool plain = strncmp(n->text, "ws:", 3) == 0, tls = strncmp(n->text, "wss:", 4) == 0;
    snprintf(url, sizeof(url), "http%s", plain || tls ? n->text + 2 : "");
    if (!wire_text_ok(n->text, 1, WIRE_VALUE_MAX) || !config_url(r, url, &p->host, &p->port)) {
        config_bad(
            r, n, "e.g. ws://127.0.0.1:8080/live", "`%.60s` is not a ws or wss URL", n->text);
        return;
    }
    const char *host = strstr(n->text, "://") + 3;
    p->words.tls = p->words.tls || tls;
    size_t len = strcspn(host, "/?#");
    p->words.host = config_keep(r, host, len);
    p->words.path =
        host[len] == '/' ? config_keep(r, host + len, strcspn(host + len, "#")) : "/";
}

static void read_icmp(
    struct config_reader *r, const struct yaml_node *n, struct probe_config *p)
{
    uint16_t port;
    bool address = strchr(n->text, ':') != strrchr(n->text, ':') && n->text[0] != '[';
    if (address && endpoint_is_address(n->text))
        p->host = config_keep(r, n->text, n->len);
    else if (address || !config_address(r, n->text, n->len, 1, &p->host, &port) || port != 1)
        config_bad(r, n, "e.g. 192.0.2.1, 2001:db8::1 or gw.example.net",
            "`%.60s` is not a host", n->text);
}

// --- what is asked and expected ------------------------------------------------------------------

static void read_method(struct config_reader *r, const struct yaml_node *n, void *to)
{
    static const char *const METHODS[] = {"GET", "HEAD", "POST", "PUT", "OPTIONS"};
    const char **ret = to;
    if (!config_scalar(r, n))
        return;
    for (size_t i = 0; i < sizeof(METHODS) / sizeof(METHODS[0]); i++)
        if (strcmp(METHODS[i], n->text) == 0) {
            *ret = METHODS[i];
            return;
        }
    config_bad(
        r, n, "GET, HEAD, POST, PUT or OPTIONS", "method `%.40s` is not supported", n->text);
}

static void read_one_status(
    struct config_reader *r, const struct yaml_node *n, struct probe_config *p)
{
    uint64_t code;
    if (!config_scalar(r, n))
        return;
    bool class =
        n->len == 3 && strcmp(n->text + 1, "xx") == 0 && *n->text >= '1' && *n->text <= '5';
    if (class)
        code = (uint64_t)(*n->text - '0') * 100;
    else if (!num_parse_u64(n->text, n->len, &code) || code < 100 || code > 599) {
        config_bad(r, n, "e.g. 200 or 2xx", "`%.40s` is not an HTTP status", n->text);
        return;
    }
    if (p->n_status == CONFIG_STATUS_MAX) {
        config_bad(r, n, NULL, "more than %d statuses", CONFIG_STATUS_MAX);
        return;
    }
    p->status[p->n_status].low = (uint16_t)code;
    p->status[p->n_status++].high = (uint16_t)(class ? code + 99 : code);
}

static void read_status(struct config_reader *r, const struct yaml_node *n, void *to)
{
    if (n->kind != YAML_SEQ) {
        read_one_status(r, n, to);
        return;
    }
    for (size_t i = 0; i < n->n; i++)
        read_one_status(r, n->items[i], to);
}

// What is said over the wire: \\r \\n \\t \\\\ as in C, for YAML's plain and single-quoted texts.
static void read_send(struct config_reader *r, const struct yaml_node *n, void *to)
{
    static const char FROM[] = "rnt\\", TO[] = "\r\n\t\\";
    const char **ret = to, *at;
    char text[WIRE_VALUE_MAX + 1];
    size_t len = 0;
    if (!config_scalar(r, n))
        return;
    if (!n->len || n->len > WIRE_VALUE_MAX) {
        config_bad(r, n, NULL, "1 to %d bytes are wanted here", WIRE_VALUE_MAX);
        return;
    }
    for (size_t i = 0; i < n->len; i++) {
        bool escape = n->text[i] == '\\' && i + 1 < n->len;
        at = escape ? strchr(FROM, n->text[i + 1]) : NULL;
        text[len++] = at ? TO[at - FROM] : n->text[i];
        i += at != NULL;
    }
    *ret = config_keep(r, text, len);
}

static void read_password(struct config_reader *r, const struct yaml_node *n, void *to)
{
    struct probe_config *p = to;
    config_secret(r, n, &p->words.password, &p->password_file);
}

// `tls: true` beside another target, or the target of a probe that only looks at the certificate.
static void read_tls(struct config_reader *r, const struct yaml_node *n, void *to)
{
    struct probe_config *p = to;
    bool yes = n->kind == YAML_SCALAR && strcmp(n->text, "true") == 0;
    if (!yes && (n->kind != YAML_SCALAR || strcmp(n->text, "false") != 0)) {
        read_target(r, n, to);
        p->words.tls = true;
    } else {
        p->words.tls = yes;
    }
}

// Read here so that a mistake has its place, and again by whoever asks.
static void read_ca_file(struct config_reader *r, const struct yaml_node *n, void *to)
{
    struct probe_config *p = to;
    struct secure_trust *trust = NULL;
    struct err err;
    if (!config_scalar(r, n))
        return;
    if (secure_trust_new(n->text, &trust, &err) < 0)
        config_bad(r, n, "a file of certificates in PEM", "%s", err.msg);
    secure_trust_free(trust);
    p->ca_file = config_keep(r, n->text, n->len);
}

// --- a probe -------------------------------------------------------------------------------------

#define TALK(dialogue_)    (&(const struct target){PROBE_TALK, &(dialogue_), NULL, read_address})
#define PAGE(page_, read_) (&(const struct target){PROBE_PAGE, NULL, &(page_), read_})
#define AT(field)          offsetof(struct probe_config, field)
static const struct config_key KEYS[] = {
    {"name", config_text, AT(name), NULL},
    // Targets in the order people see them.
    {"tcp", read_target, 0, TALK(DIALOGUE_LINE)},
    {"http", read_target, 0, &(const struct target){PROBE_HTTP, NULL, NULL, read_http}},
    {"tls", read_tls, 0, TALK(DIALOGUE_TLS)},
    {"redis", read_target, 0, TALK(DIALOGUE_REDIS)},
    {"memcached", read_target, 0, TALK(DIALOGUE_MEMCACHED)},
    {"postgresql", read_target, 0, TALK(DIALOGUE_POSTGRES)},
    {"mysql", read_target, 0, TALK(DIALOGUE_MYSQL)},
    {"amqp", read_target, 0, TALK(DIALOGUE_AMQP)},
    {"rabbitmq", read_target, 0, PAGE(PAGE_RABBITMQ, config_page)},
    {"kafka", read_target, 0, TALK(DIALOGUE_KAFKA)},
    {"nats", read_target, 0,
        &(const struct target){PROBE_TALK, &DIALOGUE_NATS, NULL, read_nats}},
    {"mqtt", read_target, 0, TALK(DIALOGUE_MQTT)},
    {"websocket", read_target, 0,
        &(const struct target){PROBE_TALK, &DIALOGUE_WEBSOCKET, NULL, read_websocket}},
    {"nginx", read_target, 0, PAGE(PAGE_NGINX, config_page)},
    {"haproxy", read_target, 0, PAGE(PAGE_HAPROXY, config_haproxy)},
    {"icmp", read_target, 0,
        &(const struct target){PROBE_ICMP, &DIALOGUE_ICMP, NULL, read_icmp}},
    {"port", config_port, AT(port), NULL},
    {"dns", read_target, 0,
        &(const struct target){PROBE_TALK, &DIALOGUE_DNS, NULL, config_dns_name}},
    {"server", config_dns_server, 0, NULL},
    {"type", config_dns_type, AT(words.dns.type), NULL},
    {"rcode", config_dns_rcode, AT(words.dns.rcode), NULL},
    {"answer", config_text, AT(words.dns.answer), NULL},
    {"method", read_method, AT(method), NULL},
    {"status", read_status, 0, NULL},
    {"body", config_text, AT(body), NULL},
    {"send", read_send, AT(words.send), NULL},
    {"expect", config_text, AT(words.expect), NULL},
    {"user", config_text, AT(words.user), NULL},
    {"password_file", read_password, 0, NULL},
    {"ca_file", read_ca_file, 0, NULL},
    {"every", config_duration, AT(every_ms), &(const struct config_range){50, 3600 * 1000}},
    {"timeout", config_duration, AT(timeout_ms), &(const struct config_range){10, 60 * 1000}},
    {"slow", config_duration, AT(slow_ms), &(const struct config_range){1, 60 * 1000}},
    {"service", config_text, AT(service), NULL},
};
#define N_KEYS (sizeof(KEYS) / sizeof(KEYS[0]))

// A probe without a target; not if one was named and is wrong, which was said.
static void want_target(struct config_reader *r, const struct yaml_node *n)
{
    char hint[256] = "one of ";
    size_t len = strlen(hint);
    for (size_t i = 0; i < N_KEYS; i++) {
        if (KEYS[i].read != read_target && KEYS[i].read != read_tls)
            continue;
        if (KEYS[i].read == read_target && yaml_get(n, KEYS[i].name))
            return;
        int more = snprintf(hint + len, sizeof(hint) - len, "%s%s",
            hint[len - 1] == ' ' ? "" : ", ", KEYS[i].name);
        len += (size_t)more < sizeof(hint) - len ? (size_t)more : 0;
    }
    config_bad(r, n, hint, "a probe needs a target");
}

// Keys of other kinds of probes.
static void check_keys(
    struct config_reader *r, const struct yaml_node *n, const struct probe_config *p)
{
    if (p->kind != PROBE_HTTP && (p->method || p->body || p->n_status))
        config_bad(r, n, NULL, "`method`, `status` and `body` are for `http` probes");
    if (p->method && strcmp(p->method, "HEAD") == 0 && p->body)
        config_bad(r, n, NULL, "an answer to HEAD has no body to look at");
    if (p->dialogue != &DIALOGUE_LINE && (p->words.send || p->words.expect))
        config_bad(r, n, NULL, "`send` and `expect` are for `tcp` probes");
    bool has_login = p->kind == PROBE_PAGE ? p->page->has_login
                     : p->dialogue         ? p->dialogue->has_login
                                           : false;
    if (!has_login && (p->words.user || p->words.password))
        config_bad(r, n, NULL, "`user` and `password_file` are for probes with a login");
    if (p->words.tls && (!p->dialogue || p->dialogue->tls == DIALOGUE_TLS_NEVER))
        config_bad(r, n, p->kind == PROBE_HTTP ? "write https://" : NULL,
            "`tls: true` is not for `%s` probes", probe_config_kind(p));
    if (p->dialogue == &DIALOGUE_WEBSOCKET && yaml_get(n, "tls"))
        config_bad(r, n, NULL, "a WebSocket's URL says whether it is TLS: ws or wss");
    if (p->ca_file && !probe_config_tls(p))
        config_bad(r, n, NULL, "`ca_file` is for probes over TLS");
}

// A place for one more, in the arena; NULL: r->oom.
static struct probe_config *place(struct config_reader *r, size_t *cap)
{
    struct agent_config *c = r->c;
    if (c->n_probes < *cap)
        return &c->probes[c->n_probes];
    size_t grown = *cap ? *cap * 2 : 16;
    struct probe_config *p = arena_alloc(&c->arena, grown * sizeof(*p));
    if (!p) {
        r->oom = true;
        return NULL;
    }
    if (c->n_probes)
        memcpy(p, c->probes, c->n_probes * sizeof(*p));
    c->probes = p;
    *cap = grown;
    return &p[c->n_probes];
}

static void read_probe(
    struct config_reader *r, const struct yaml_node *n, size_t *cap, struct map *names)
{
    struct agent_config *c = r->c;
    struct probe_config *p = place(r, cap);
    if (!p)
        return;
    *p = (struct probe_config){.timeout_ms = 2000, .slow_ms = 500};
    if (!config_section(r, n, KEYS, N_KEYS, p, "a probe",
            "e.g. - {name: api, http: \"http://127.0.0.1:8080/healthz\"}"))
        return;
    if (!p->target) {
        want_target(r, n);
        return;
    }
    check_keys(r, n, p);
    config_dns_check(r, n, p);
    if (p->kind != PROBE_ICMP && yaml_get(n, "port"))
        config_bad(
            r, n, NULL, "`port` is for `icmp` probes; elsewhere it is part of the target");
    if (!p->name)
        p->name = p->target;
    if (map_get(names, p->name, strlen(p->name)))
        config_bad(r, n, NULL, "a probe named `%.60s` is there already", p->name);
    else if (map_set(names, p->name, strlen(p->name), c) < 0)
        r->oom = true;
    if (!p->method)
        p->method = "GET";
    if (!p->n_status) {
        p->status[0].low = 200;
        p->status[0].high = 399;
        p->n_status = 1;
    }
    c->n_probes++;
}

void config_probes(struct config_reader *r, const struct yaml_node *n, void *to)
{
    struct map names;
    size_t cap = 0;
    (void)to;
    if (n->kind != YAML_SEQ) {
        config_bad(r, n, NULL, "probes are a list");
        return;
    }
    if (n->n > CONFIG_PROBES_MAX) {
        config_bad(
            r, n->items[CONFIG_PROBES_MAX], NULL, "more than %d probes", CONFIG_PROBES_MAX);
        return;
    }
    map_init(&names);
    for (size_t i = 0; i < n->n; i++)
        read_probe(r, n->items[i], &cap, &names);
    map_done(&names);
}

// --- printed again -------------------------------------------------------------------------------

const char *probe_config_kind(const struct probe_config *p)
{
    if (p->page)
        return p->page->name;
    return p->kind == PROBE_HTTP ? "http" : p->dialogue->name;
}

bool probe_config_tls(const struct probe_config *p)
{
    return p->words.tls || (p->target && strncasecmp(p->target, "https:", 6) == 0);
}

static void print_http(const struct probe_config *p, struct buf *out)
{
    buf_addf(out, "\n    method: %s\n    status: [", p->method);
    for (size_t k = 0; k < p->n_status; k++) {
        unsigned low = p->status[k].low, high = p->status[k].high;
        if (low == high)
            buf_addf(out, "%s%u", k ? ", " : "", low);
        for (unsigned class = low; low < high && class < high; class += 100)
            buf_addf(out, "%s%uxx", k || class > low ? ", " : "", class / 100);
    }
    buf_adds(out, "]");
    if (p->body)
        config_add_value(out, "\n    body: ", p->body);
}

void config_print_probes(const struct agent_config *c, struct buf *out)
{
    buf_adds(out, c->n_probes ? "\nprobes:" : "\nprobes: []");
    for (size_t i = 0; i < c->n_probes; i++) {
        const struct probe_config *p = &c->probes[i];
        config_add_value(out, "\n  - name: ", p->name);
        buf_addf(out, "\n    %s", probe_config_kind(p));
        config_add_value(out, ": ", p->target);
        if (p->kind == PROBE_HTTP)
            print_http(p, out);
        if (p->kind == PROBE_ICMP && p->port)
            buf_addf(out, "\n    port: %u", p->port);
        if (p->dialogue == &DIALOGUE_DNS)
            config_dns_print(p, out);
        if (p->words.tls && p->dialogue != &DIALOGUE_TLS && p->dialogue != &DIALOGUE_WEBSOCKET)
            buf_adds(out, "\n    tls: true");
        if (p->ca_file)
            config_add_value(out, "\n    ca_file: ", p->ca_file);
        if (p->words.send)
            config_add_value(out, "\n    send: ", p->words.send);
        if (p->words.expect)
            config_add_value(out, "\n    expect: ", p->words.expect);
        if (p->words.user)
            config_add_value(out, "\n    user: ", p->words.user);
        if (p->words.password)
            config_add_value(out, "\n    password_file: ", p->password_file);
        config_add_duration(out, "every", p->every_ms);
        config_add_duration(out, "timeout", p->timeout_ms);
        config_add_duration(out, "slow", p->slow_ms);
        if (p->service)
            config_add_value(out, "\n    service: ", p->service);
    }
}
