// SPDX-License-Identifier: Apache-2.0
// What of agent.yaml says where numbers come from besides the host: exec, statsd, otlp.
#include "agent/config.h"
#include "agent/intake.h"
#include "tests/lib/oom.h"
#include "tests/lib/run.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static const char FULL[] =
    "exec:\n"
    "  - {name: disk, command: [/usr/bin/check, -w, '10%'], every: 10s, timeout: 3s}\n"
    "  - {name: q, command: [/bin/q], format: json, user: root, env: {A: b}, series_limit: 7}\n"
    "  - {name: l, command: [/bin/l], format: lines}\n"
    "statsd: {listen: '[::1]:9125', socket: /run/x.sock, age: 1m, series_limit: 9}\n"
    "otlp: {listen: '127.0.0.1', resource_attributes: [a.b, c], age: 30s}\n";

static int parse(const char *text, struct agent_config **c, struct buf *problems)
{
    buf_reset(problems);
    return config_parse(text, strlen(text), "agent.yaml", c, problems);
}

static void reads_what_is_written(void)
{
    struct agent_config *c = NULL;
    struct buf b;
    buf_init(&b, 65536);
    CU_ASSERT_EQUAL_FATAL(parse(FULL, &c, &b), 0);
    CU_ASSERT_EQUAL_FATAL(c->n_plugins, 3);
    const struct plugin_config *p = c->plugins;
    CU_ASSERT_STRING_EQUAL(p[0].name, "disk");
    CU_ASSERT_EQUAL(p[0].n_argv, 3);
    CU_ASSERT_STRING_EQUAL(p[0].argv[2], "10%");
    CU_ASSERT_PTR_NULL(p[0].argv[3]);
    CU_ASSERT_EQUAL(p[0].every_ms, 10000);
    CU_ASSERT_EQUAL(p[0].timeout_ms, 3000);
    CU_ASSERT_EQUAL(p[0].format, PLUGIN_NAGIOS);
    CU_ASSERT_EQUAL(p[1].format, PLUGIN_JSON);
    CU_ASSERT_EQUAL(p[1].series_limit, 7);
    CU_ASSERT_STRING_EQUAL(p[1].user.name, "root");
    CU_ASSERT_TRUE(p[1].user.n_groups >= 1);
    CU_ASSERT_STRING_EQUAL(p[1].env[0].value, "b");
    CU_ASSERT_EQUAL(p[2].format, PLUGIN_LINES);
    CU_ASSERT_EQUAL(p[2].every_ms, PLUGIN_EVERY_MS);
    CU_ASSERT_STRING_EQUAL(c->statsd.host, "::1");
    CU_ASSERT_EQUAL(c->statsd.port, 9125);
    CU_ASSERT_STRING_EQUAL(c->statsd.socket, "/run/x.sock");
    CU_ASSERT_EQUAL(c->statsd.age_ms, 60000);
    CU_ASSERT_EQUAL(c->statsd.series_limit, 9);
    CU_ASSERT_STRING_EQUAL(c->otlp.host, "127.0.0.1");
    CU_ASSERT_EQUAL(c->otlp.port, OTLP_PORT);
    CU_ASSERT_EQUAL(c->otlp.n_attributes, 2);
    config_free(c);
    CU_ASSERT_EQUAL_FATAL(parse("statsd: {}\notlp: {}\n", &c, &b), 0);
    CU_ASSERT_TRUE(c->statsd.wanted && c->otlp.wanted);
    CU_ASSERT_STRING_EQUAL(c->statsd.host, "127.0.0.1");
    CU_ASSERT_EQUAL(c->statsd.port, STATSD_PORT);
    CU_ASSERT_EQUAL(c->statsd.series_limit, INTAKE_SERIES_DEFAULT);
    config_free(c);
    CU_ASSERT_EQUAL_FATAL(parse("statsd: {listen: none, socket: /x}\n", &c, &b), 0);
    CU_ASSERT_TRUE(c->statsd.wanted);
    CU_ASSERT_FALSE(c->otlp.wanted);
    CU_ASSERT_PTR_NULL(c->statsd.host);
    config_free(c);
    buf_done(&b);
}

static void what_it_prints_loads_to_the_same(void)
{
    struct agent_config *c = NULL;
    struct buf b, once, twice;
    buf_init(&b, 65536);
    buf_init(&once, 65536);
    buf_init(&twice, 65536);
    CU_ASSERT_EQUAL_FATAL(parse(FULL, &c, &b), 0);
    config_print(c, &once);
    config_free(c);
    CU_ASSERT_EQUAL_FATAL(parse(buf_cstr(&once), &c, &b), 0);
    config_print(c, &twice);
    config_free(c);
    CU_ASSERT_STRING_EQUAL(buf_cstr(&once), buf_cstr(&twice));
    buf_done(&b);
    buf_done(&once);
    buf_done(&twice);
}

static void mistakes(void)
{
    static const struct {
        const char *text, *says;
    } BAD[] = {
        {"exec: {}\n", "exec is a list"},
        {"exec: [x]\n", "a plugin is a map"},
        {"exec: [{command: [/x]}]\n", "a plugin has a `name`"},
        {"exec: [{name: x}]\n", "a plugin has a `command`"},
        {"exec: [{name: x, command: ls}]\n", "there is no shell"},
        {"exec: [{name: x, command: [ls]}]\n", "not an absolute path"},
        {"exec: [{name: x, command: [/x], format: xml}]\n", "not a format"},
        {"exec: [{name: x, command: [/x], every: 1ms}]\n", "is not between"},
        {"exec: [{name: x, command: [/x], user: no-such-user-here}]\n", "there is no user"},
        {"exec: [{name: x, command: [/x], comand: [/x]}]\n", "did you mean `command`?"},
        {"exec: [{name: x, command: [/x]}, {name: x, command: [/y]}]\n", "is there already"},
        {"statsd: 8125\n", "`statsd` is a map"},
        {"statsd: {listen: 'example.net:8125'}\n", "is not an address to listen on"},
        {"statsd: {listen: '0.0.0.0:8125'}\n", "insecure_plaintext"},
        {"statsd: {listen: none}\n", "listens on an address or a `socket`"},
        {"statsd: {socket: run/x}\n", "is not an absolute path"},
        {"statsd: {series_limit: 0}\n", "series_limit is 1 to"},
        {"statsd: {insecure_plaintext: maybe}\n", "true or false"},
        {"otlp: []\n", "`otlp` is a map"},
        {"otlp: {listen: '0.0.0.0:4318', insecure_plaintext: true}\n", "set token_file"},
        {"otlp: {token_file: /no/such/file}\n", "No such file"},
        {"otlp: {resource_attributes: x}\n", "resource_attributes are a list"},
    };
    struct buf b;
    buf_init(&b, 65536);
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
        struct agent_config *c = NULL;
        CU_ASSERT_TRUE_FATAL(parse(BAD[i].text, &c, &b) < 0);
        if (!strstr(buf_cstr(&b), BAD[i].says)) {
            printf("  %s  says: %s  not: %s\n", BAD[i].text, buf_cstr(&b), BAD[i].says);
            CU_FAIL("another mistake");
        }
        CU_ASSERT_PTR_NOT_NULL(strstr(buf_cstr(&b), "agent.yaml:1:"));
    }
    buf_done(&b);
}

static void a_file_others_may_write(void)
{
    char path[300];
    struct agent_config *c = NULL;
    struct buf b;
    struct config_override none = {0};
    buf_init(&b, 65536);
    snprintf(path, sizeof(path), "%s/agent.yaml", test_tmpdir());
    FILE *f = fopen(path, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    fputs("exec: [{name: x, command: [/bin/true]}]\n", f);
    fclose(f);
    chmod(path, 0662);
    CU_ASSERT_EQUAL(config_load(path, &none, &c, &b), -EPERM);
    CU_ASSERT_PTR_NOT_NULL(strstr(buf_cstr(&b), "has `exec`"));
    chmod(path, 0644);
    CU_ASSERT_EQUAL(config_load(path, &none, &c, &b), 0);
    config_free(c);
    buf_done(&b);
}

static void a_failed_allocation_is_an_error(void)
{
    for (int nth = 1;; nth++) {
        struct agent_config *c = NULL;
        struct buf b;
        buf_init(&b, 65536);
        oom_fail_at(nth);
        int rc = parse(FULL, &c, &b);
        bool hit = oom_stop();
        if (rc == 0)
            config_free(c);
        buf_done(&b);
        if (!hit) {
            CU_ASSERT_EQUAL(rc, 0);
            break;
        }
        CU_ASSERT_TRUE(rc < 0 || c);
    }
}

static const struct test TESTS[] = {
    {"reads what is written", reads_what_is_written},
    {"what it prints loads to the same", what_it_prints_loads_to_the_same},
    {"names each mistake, and where", mistakes},
    {"a file with plugins that others may write is refused", a_file_others_may_write},
    {"a failed allocation is an error", a_failed_allocation_is_an_error},
};

int main(void)
{
    return test_main("config_outside", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
