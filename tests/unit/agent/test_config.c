// SPDX-License-Identifier: Apache-2.0
#include "agent/config.h"
#include "tests/lib/oom.h"
#include "tests/lib/run.h"
#include <errno.h>
#include <string.h>

static const char FULL[] =
    "collector: mon.example.net\n"
    "state_dir: /tmp/x\n"
    "host: web-1\n"
    "labels: {site: fra1, role: web}\n"
    "tls_ports: [8443]\n"
    "probes:\n"
    "  - {name: db, tcp: '[::1]:5432', service: postgresql}\n"
    "  - {http: 'https://api.example.net/x?y=1', status: [204, 3xx], body: ok, slow: 100ms}\n"
    "  - {dns: a.test, server: '127.0.0.1:5353', type: mx, answer: 10 b.test}\n"
    "  - {name: sys, dns: a.test, rcode: NXDOMAIN}\n"
    "  - {icmp: '2001:db8::1', port: 443}\n";

static int parse(const char *text, struct agent_config **c, struct buf *problems)
{
    buf_reset(problems);
    return config_parse(text, strlen(text), "agent.yaml", c, problems);
}

static void tls_ports(void)
{
    struct agent_config *c = NULL;
    struct buf b;
    buf_init(&b, 65536);
    CU_ASSERT_TRUE(config_is_tls(NULL, 443));
    CU_ASSERT_FALSE(config_is_tls(NULL, 80));
    CU_ASSERT_EQUAL_FATAL(parse(FULL, &c, &b), 0);
    CU_ASSERT_TRUE(config_is_tls(c, 8443));
    CU_ASSERT_FALSE(config_is_tls(c, 443)); // the list takes the place of the known ones
    config_free(c);
    // Of this host what is probed with TLS speaks it; where it is asked for later, not from the start.
    CU_ASSERT_EQUAL_FATAL(
        parse("probes:\n  - {http: 'https://127.0.0.1:7000/'}\n  - {tls: '127.0.0.1:7001'}\n"
              "  - {websocket: 'wss://127.0.0.1:7002/'}\n  - {http: 'http://127.0.0.1:7003/'}\n"
              "  - {http: 'https://192.0.2.1:7004/'}\n",
            &c, &b),
        0);
    for (uint16_t port = 7000; port <= 7002; port++)
        CU_ASSERT_TRUE(config_is_tls(c, port));
    CU_ASSERT_FALSE(config_is_tls(c, 7003));
    CU_ASSERT_FALSE(config_is_tls(c, 7004));
    config_free(c);
    CU_ASSERT_EQUAL_FATAL(parse("tls_ports: []\n", &c, &b), 0);
    CU_ASSERT_FALSE(config_is_tls(c, 443));
    config_free(c);
    CU_ASSERT_TRUE(parse("tls_ports: [443, x, 0, 65536]\n", &c, &b) < 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(buf_cstr(&b), "agent.yaml:1:18"));
    CU_ASSERT_PTR_NOT_NULL(strstr(buf_cstr(&b), "`65536` is not a port"));
    CU_ASSERT_TRUE(parse("tls_ports: 443\n", &c, &b) < 0);
    buf_done(&b);
}

static void reads_what_is_written(void)
{
    struct agent_config *c = NULL;
    struct buf b;
    buf_init(&b, 65536);
    CU_ASSERT_EQUAL_FATAL(parse(FULL, &c, &b), 0);
    CU_ASSERT_STRING_EQUAL(c->collector, "http://mon.example.net:7312");
    CU_ASSERT_STRING_EQUAL(c->labels[0].name, "role");
    CU_ASSERT_EQUAL(c->n_probes, 5);
    CU_ASSERT_STRING_EQUAL(c->probes[0].host, "::1");
    CU_ASSERT_EQUAL(c->probes[0].port, 5432);
    CU_ASSERT_EQUAL(c->probes[0].every_ms, 250); // this host
    CU_ASSERT_EQUAL(c->probes[1].every_ms, 1000);
    CU_ASSERT_EQUAL(c->probes[1].port, 443);
    CU_ASSERT_EQUAL(c->probes[1].status[1].low, 300);
    CU_ASSERT_EQUAL(c->probes[1].status[1].high, 399);
    CU_ASSERT_EQUAL(c->probes[1].slow_ms, 100);
    CU_ASSERT_EQUAL(c->probes[1].timeout_ms, 2000);
    CU_ASSERT_EQUAL(c->probes[2].port, 5353);
    CU_ASSERT_EQUAL(c->probes[2].words.dns.type, 15);
    CU_ASSERT_PTR_NULL(c->probes[3].host);
    CU_ASSERT_EQUAL(c->probes[3].words.dns.rcode, 3);
    CU_ASSERT_STRING_EQUAL(c->probes[4].host, "2001:db8::1");
    CU_ASSERT_EQUAL(c->probes[4].port, 443);
    config_free(c);
    buf_done(&b);
}

static void what_it_prints_loads_to_the_same(void)
{
    struct agent_config *c = NULL, *again = NULL;
    struct buf problems, one, two;
    buf_init(&problems, 65536);
    buf_init(&one, 65536);
    buf_init(&two, 65536);
    CU_ASSERT_EQUAL_FATAL(parse(FULL, &c, &problems), 0);
    CU_ASSERT_EQUAL(config_print(c, &one), 0);
    CU_ASSERT_EQUAL_FATAL(parse(buf_cstr(&one), &again, &problems), 0);
    CU_ASSERT_EQUAL(config_print(again, &two), 0);
    CU_ASSERT_STRING_EQUAL(buf_cstr(&one), buf_cstr(&two));
    config_free(c);
    config_free(again);
    buf_done(&problems);
    buf_done(&one);
    buf_done(&two);
}

static void pages_and_sockets_are_targets(void)
{
    static const char TEXT[] =
        "probes:\n"
        "  - {name: n, nginx: 'http://127.0.0.1/status'}\n"
        "  - {name: s, haproxy: /run/haproxy/admin.sock}\n"
        "  - {name: h, haproxy: 'https://lb.example.net:8404/stats;csv', user: u}\n"
        "  - {name: r, rabbitmq: 'http://127.0.0.1:15672', user: mon}\n"
        "  - {name: m, nats: 'http://127.0.0.1:8222'}\n"
        "  - {name: c, nats: 127.0.0.1}\n";
    struct agent_config *c = NULL, *again = NULL;
    struct buf problems, text;
    buf_init(&problems, 65536);
    buf_init(&text, 65536);
    CU_ASSERT_EQUAL_FATAL(parse(TEXT, &c, &problems), 0);
    CU_ASSERT_EQUAL(config_print(c, &text), 0);
    CU_ASSERT_EQUAL_FATAL(parse(buf_cstr(&text), &again, &problems), 0);
    for (int i = 0; i < 2; i++) {
        const struct probe_config *p = i ? again->probes : c->probes;
        CU_ASSERT_PTR_EQUAL(p[0].page, &PAGE_NGINX);
        CU_ASSERT_EQUAL(p[0].every_ms, 1000); // a page is no quick question
        CU_ASSERT_EQUAL(p[1].kind, PROBE_TALK);
        CU_ASSERT_STRING_EQUAL(p[1].host, "/run/haproxy/admin.sock");
        CU_ASSERT_TRUE(p[1].local);
        CU_ASSERT_EQUAL(p[2].kind, PROBE_PAGE);
        CU_ASSERT_EQUAL(p[2].port, 8404);
        CU_ASSERT_PTR_EQUAL(p[3].page, &PAGE_RABBITMQ);
        CU_ASSERT_PTR_EQUAL(p[4].page, &PAGE_NATS);
        CU_ASSERT_PTR_EQUAL(p[5].dialogue, &DIALOGUE_NATS);
        CU_ASSERT_PTR_NULL(p[5].page);
    }
    config_free(c);
    config_free(again);
    buf_done(&problems);
    buf_done(&text);
}

static void names_every_mistake(void)
{
    static const struct {
        const char *text, *says;
    } CASES[] = {
        {"network_namespaces: {max: 65}\n", "`65` is not a number from 0 to 64"},
        {"network_namespaces: 3\n", "`network_namespaces` is a map"},
        {"connections: {closes_per_second: -1}\n", "`-1` is not a number"},
        {"colector: x\n", "did you mean `collector`?"},
        {"collector: ftp://x\n", "is not the address of a collector"},
        {"labels: {instance: x}\n", "label `instance`"},
        {"labels: {job: x}\n", "set by the agent"},
        {"probes: [{name: a}]\n", "a probe needs a target"},
        {"probes: [{tcp: 'a:1', http: 'http://a'}]\n", "one target"},
        {"probes: [{tcp: 'a:0'}]\n", "is not host:port"},
        {"probes: [{tcp: 'a:1', every: 5}]\n", "is not a duration"},
        {"probes: [{tcp: 'a:1', every: 1ms}]\n", "is not between 50ms and 1h"},
        {"probes: [{http: 'http://a', status: 2000}]\n", "is not an HTTP status"},
        {"probes: [{http: 'http://a', method: YELL}]\n", "is not supported"},
        {"probes: [{tcp: 'a:1'}, {tcp: 'a:1'}]\n", "is there already"},
        {"probes: [{tcp: 'a:1', body: x}]\n", "are for `http` probes"},
        {"probes: [{redis: 'a', send: x}]\n", "are for `tcp` probes"},
        {"probes: [{memcached: 'a', user: x}]\n", "are for probes with a login"},
        {"probes: [{redis: 'a', password_file: /nowhere}]\n", "/nowhere"},
        {"probes: [{websocket: 'http://a/'}]\n", "is not a ws or wss URL"},
        {"probes: [{websocket: 'ws://a/', tls: true}]\n", "says whether it is TLS"},
        {"probes: [{http: 'http://a/', tls: true}]\n", "write https://"},
        {"probes: [{icmp: a, tls: true}]\n", "is not for `icmp`"},
        {"probes: [{tls: 'a:1', redis: a}]\n", "one target"},
        {"probes: [{nginx: 'a:80'}]\n", "http://127.0.0.1/nginx_status"},
        {"probes: [{rabbitmq: 'a:80'}]\n", "http://127.0.0.1:15672"},
        {"probes: [{haproxy: 'a:80'}]\n", "/run/haproxy/admin.sock"},
        {"probes: [{haproxy: /aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
         "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa}]\n",
            "at most 107 bytes"},
        {"probes: [{nginx: 'http://a/s', user: x}]\n", "probes with a login"},
        {"probes: [{nats: 'http://a:8222', user: x}]\n", "probes with a login"},
        {"probes: [{haproxy: 'http://a/s;csv', tls: true}]\n", "`tls: true` is not for"},
        {"probes: [{redis: a, ca_file: /dev/null}]\n", "/dev/null: "},
        {"probes: [{tls: a}]\n", "mail.example.net:993"},
        {"probes: [{dns: a..b}]\n", "is no name in DNS"},
        {"probes: [{dns: a.test, type: HINFO}]\n", "A, AAAA, CNAME"},
        {"probes: [{dns: a.test, rcode: LOST}]\n", "rcode `LOST`"},
        {"probes: [{dns: a.test, server: 'a:b'}]\n", "is not the address of a server"},
        {"probes: [{dns: a.test, rcode: NXDOMAIN, answer: x}]\n", "no answer to look at"},
        {"probes: [{dns: a.test, tls: true}]\n", "a `server` has to be named"},
        {"probes: [{icmp: 'a:80'}]\n", "is not a host"},
        {"probes: [{icmp: a, port: 0}]\n", "`0` is not a port"},
        {"probes: [{redis: a, port: 7}]\n", "part of the target"},
        {"probes: [{redis: a, answer: x}]\n", "are for `dns` probes"},
        {"probes: [{amqp: 'a:b'}]\n", "is not host:port"},
        {"cgroups: {max: 2001}\n", "is not a number from 0 to 2000"},
        {"cgroups: 5\n", "`cgroups` is a map"},
        {"processes: {top: -1}\n", "is not a number from 0 to 100"},
        {"processes: {topp: 1}\n", "did you mean `top`?"},
        {"- a\n", "a map of keys is wanted"},
        {"a: [\n", "error["},
    };
    struct buf b;
    buf_init(&b, 65536);
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct agent_config *c = NULL;
        CU_ASSERT_EQUAL(parse(CASES[i].text, &c, &b), -EINVAL);
        CU_ASSERT_PTR_NOT_NULL(strstr(buf_cstr(&b), CASES[i].says));
        CU_ASSERT_PTR_NULL(c);
    }
    buf_done(&b);
}

static void an_empty_text_is_the_defaults(void)
{
    struct agent_config *c = NULL;
    struct buf b;
    buf_init(&b, 65536);
    CU_ASSERT_EQUAL_FATAL(parse("", &c, &b), 0);
    CU_ASSERT_STRING_EQUAL(c->collector, "http://127.0.0.1:7312");
    CU_ASSERT_EQUAL(c->n_probes, 0);
    config_free(c);
    buf_done(&b);
}

static void a_named_file_must_be_there(void)
{
    struct agent_config *c = NULL;
    struct buf b;
    buf_init(&b, 65536);
    CU_ASSERT_EQUAL(config_load("/nonexistent/agent.yaml", NULL, &c, &b), -ENOENT);
    CU_ASSERT_PTR_NOT_NULL(strstr(buf_cstr(&b), "/nonexistent/agent.yaml"));
    buf_done(&b);
}

static void a_failed_allocation_is_an_error(void)
{
    struct buf b;
    buf_init(&b, 65536);
    for (int nth = 1;; nth++) {
        struct agent_config *c = NULL;
        oom_fail_at(nth);
        int rc = config_parse(FULL, sizeof(FULL) - 1, "agent.yaml", &c, &b);
        bool hit = oom_stop();
        config_free(c);
        if (!hit) {
            CU_ASSERT_EQUAL(rc, 0);
            break;
        }
        CU_ASSERT_TRUE(rc < 0);
    }
    buf_done(&b);
}

int main(void)
{
    static const struct test TESTS[] = {
        {"ports that speak TLS: named, known, or probed", tls_ports},
        {"reads what is written", reads_what_is_written},
        {"what it prints loads to the same", what_it_prints_loads_to_the_same},
        {"pages and sockets are targets", pages_and_sockets_are_targets},
        {"names every mistake", names_every_mistake},
        {"an empty text is the defaults", an_empty_text_is_the_defaults},
        {"a named file must be there", a_named_file_must_be_there},
        {"a failed allocation is an error", a_failed_allocation_is_an_error},
    };
    return test_main("config", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
