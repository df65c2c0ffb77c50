// SPDX-License-Identifier: Apache-2.0
#include "agent/config.h"
#include "agent/scrape_config.h"
#include "tests/lib/oom.h"
#include "tests/lib/run.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char FULL[] =
    "scrape_configs:\n"
    "  - job_name: node\n"
    "    static_configs: [{targets: [\"127.0.0.1:9100\", \"[::1]:9100\", \"127.0.0.1:9100\"]}]\n"
    "  - job_name: black box\n"
    "    scrape_interval: 15s\n"
    "    scrape_timeout: 5s\n"
    "    metrics_path: /probe\n"
    "    scheme: https\n"
    "    params: {module: [a b, \"c&\"], debug: [\"true\"]}\n"
    "    honor_labels: true\n"
    "    honor_timestamps: false\n"
    "    follow_redirects: false\n"
    "    enable_compression: true\n"
    "    scrape_protocols: [PrometheusProto, PrometheusText0.0.4]\n"
    "    tls_config: {insecure_skip_verify: true}\n"
    "    sample_limit: 10\n"
    "    series_limit: 20\n"
    "    label_limit: 30\n"
    "    label_name_length_limit: 40\n"
    "    label_value_length_limit: 50\n"
    "    body_size_limit: 10MB\n"
    "    static_configs:\n"
    "      - targets: [example.net, other.net]\n"
    "        labels: {site: fra1, __x: hidden}\n"
    "    relabel_configs:\n"
    "      - {source_labels: [__address__], regex: \"other.*\", action: drop}\n"
    "      - {source_labels: [__address__], target_label: __param_target}\n"
    "      - {source_labels: [__x, __scheme__], separator: \"\", target_label: made, regex: \"(.*)\"}\n"
    "      - {source_labels: [__param_module], target_label: instance}\n"
    "      - {target_label: __address__, replacement: \"127.0.0.1:9115\"}\n"
    "    metric_relabel_configs:\n"
    "      - {action: hashmod, source_labels: [a], modulus: 8, target_label: shard}\n"
    "      - {action: labeldrop, regex: a}\n";

static int parse(const char *text, struct agent_config **ret, struct buf *problems)
{
    buf_reset(problems);
    return config_parse(text, strlen(text), "agent.yaml", ret, problems);
}

static void targets_are_as_prometheus_makes_them(void)
{
    struct agent_config *c = NULL;
    struct buf b;
    buf_init(&b, 1u << 20);
    CU_ASSERT_EQUAL_FATAL(parse(FULL, &c, &b), 0);
    CU_ASSERT_EQUAL_FATAL(c->n_targets, 3); // what is written twice is asked once
    const struct scrape_target *t = &c->targets[0];
    CU_ASSERT_STRING_EQUAL(t->url, "http://127.0.0.1:9100/metrics");
    CU_ASSERT_STRING_EQUAL(t->instance, "127.0.0.1:9100");
    CU_ASSERT_EQUAL(t->every_ms, 1000);
    CU_ASSERT_EQUAL(t->timeout_ms, 1000);
    CU_ASSERT_TRUE(t->local);
    CU_ASSERT_STRING_EQUAL(c->targets[1].url, "http://[::1]:9100/metrics");
    CU_ASSERT_STRING_EQUAL(c->targets[1].host, "::1");
    t = &c->targets[2];
    CU_ASSERT_STRING_EQUAL(t->url,
        "https://127.0.0.1:9115/probe?module=a+b&module=c%26&debug=true&target=example.net");
    CU_ASSERT_EQUAL(t->port, 9115);
    CU_ASSERT_EQUAL(t->job->body_limit, 10u << 20);
    CU_ASSERT_EQUAL_FATAL(t->labels.n, 4);
    CU_ASSERT_STRING_EQUAL(t->labels.l[0].name, "instance");
    CU_ASSERT_STRING_EQUAL(t->labels.l[0].value, "a b");
    CU_ASSERT_STRING_EQUAL(t->labels.l[1].value, "black box");
    CU_ASSERT_STRING_EQUAL(t->labels.l[2].value, "hiddenhttps");
    CU_ASSERT_STRING_EQUAL(t->labels.l[3].value, "fra1");
    config_free(c);
    buf_done(&b);
}

static void what_it_prints_loads_to_the_same(void)
{
    struct agent_config *c = NULL, *again = NULL;
    struct buf b, one, two;
    buf_init(&b, 1u << 20);
    buf_init(&one, 1u << 20);
    buf_init(&two, 1u << 20);
    CU_ASSERT_EQUAL_FATAL(parse(FULL, &c, &b), 0);
    CU_ASSERT_EQUAL(config_print(c, &one), 0);
    int rc = parse(buf_cstr(&one), &again, &b);
    if (rc < 0)
        printf("%s%s", buf_cstr(&one), buf_cstr(&b));
    CU_ASSERT_EQUAL_FATAL(rc, 0);
    CU_ASSERT_EQUAL(config_print(again, &two), 0);
    CU_ASSERT_STRING_EQUAL(buf_cstr(&one), buf_cstr(&two));
    CU_ASSERT_EQUAL(again->n_targets, 3);
    config_free(c);
    config_free(again);
    buf_done(&b);
    buf_done(&one);
    buf_done(&two);
}

static void names_every_mistake(void)
{
    static const struct {
        const char *job, *said; // keys of one job; two texts that stand in the answer, by |
    } CASES[] = {
        {"kubernetes_sd_configs: [{role: pod}]", "service discovery|static_configs"},
        {"file_sd_configs: []", "`file_sd_configs`|static_configs"},
        {"basic_auth: {username: u, password: p}",
            "`password` is not supported|write it into a file"},
        {"authorization: {credentials: p}", "`credentials`|write it into a file"},
        {"bearer_token: x", "`bearer_token`|write it into a file"},
        {"oauth2: {}", "`oauth2` is not supported|credentials_file"},
        {"proxy_url: \"http://x\"", "`proxy_url`|itself"},
        {"scrape_intervall: 1s", "unknown key|did you mean `scrape_interval`?"},
        {"scrape_interval: 10ms", "not between|100ms"},
        {"scrape_timeout: 2s", "longer than scrape_interval|scrape_timeout"},
        {"metrics_path: metrics", "begins with /|metrics_path"},
        {"scheme: ftp", "http or https|scheme"},
        {"static_configs: [{targets: [\"http://x:1/metrics\"]}]",
            "is not host:port|keys of the job"},
        {"static_configs: [{targets: [\"x:99999\"]}]", "is not host:port|127.0.0.1:9100"},
        {"static_configs: [{targets: [\"x:1\"], labels: {a-b: c}}]", "`a-b`|label"},
        {"params: {module: x}", "list of values|[http_2xx]"},
        {"body_size_limit: 10XB", "is not a size|10MB"},
        {"sample_limit: many", "whole number|many"},
        {"honor_labels: perhaps", "true or false|:3:"},
        {"scrape_protocols: [Carrier]", "`Carrier`|PrometheusProto"},
        {"relabel_configs: [{action: keeep}]", "no action|did you mean `keep`?"},
        {"relabel_configs: [{regex: \"(\", target_label: a}]", ":3:|("},
        {"relabel_configs: [{action: hashmod, target_label: a}]", "modulus|hashmod"},
        {"metric_relabel_configs: [{source_labels: [a-b]}]", "`a-b`|label"},
        {"tls_config: {server_name: x}", "`server_name`|certificate"},
        {"tls_config: {cert_file: /dev/null}", "belong together|key_file"},
    };
    struct buf b;
    char text[1024], one[64];
    buf_init(&b, 1u << 20);
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct agent_config *c = NULL;
        snprintf(
            text, sizeof(text), "scrape_configs:\n  - job_name: x\n    %s\n", CASES[i].job);
        CU_ASSERT_EQUAL(parse(text, &c, &b), -EINVAL);
        const char *bar = strchr(CASES[i].said, '|');
        snprintf(one, sizeof(one), "%.*s", (int)(bar - CASES[i].said), CASES[i].said);
        bool said = strstr(buf_cstr(&b), one) && strstr(buf_cstr(&b), bar + 1);
        CU_ASSERT_TRUE(said);
        if (!said)
            printf("%s", buf_cstr(&b));
    }
    buf_done(&b);
}

static void two_jobs_of_one_name_are_a_mistake(void)
{
    struct agent_config *c = NULL;
    struct buf b;
    buf_init(&b, 1u << 20);
    CU_ASSERT_EQUAL(
        parse("scrape_configs: [{job_name: x}, {job_name: x}, {}, 7]\n", &c, &b), -EINVAL);
    CU_ASSERT_PTR_NOT_NULL(strstr(buf_cstr(&b), "is there already"));
    CU_ASSERT_PTR_NOT_NULL(strstr(buf_cstr(&b), "needs a job_name"));
    CU_ASSERT_PTR_NOT_NULL(strstr(buf_cstr(&b), "a scrape job is a map"));
    buf_done(&b);
}

static void a_failed_allocation_is_an_error(void)
{
    struct buf b;
    buf_init(&b, 1u << 20);
    for (int nth = 1;; nth++) {
        struct agent_config *c = NULL;
        buf_reset(&b);
        oom_fail_at(nth);
        int rc = parse(FULL, &c, &b);
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

static const struct test TESTS[] = {
    {"targets are as Prometheus makes them", targets_are_as_prometheus_makes_them},
    {"what it prints loads to the same", what_it_prints_loads_to_the_same},
    {"names every mistake", names_every_mistake},
    {"two jobs of one name are a mistake", two_jobs_of_one_name_are_a_mistake},
    {"a failed allocation is an error", a_failed_allocation_is_an_error},
};

int main(void)
{
    return test_main("scrape_config", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
