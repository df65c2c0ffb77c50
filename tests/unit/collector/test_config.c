// SPDX-License-Identifier: Apache-2.0
#include "collector/config.h"
#include "tests/lib/oom.h"
#include "tests/lib/run.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char WHOLE[] =
    "listen: {http: '127.0.0.1:0', agents: '[::1]:0'}\n"
    "state_dir: /s\n"
    "external_url: https://t.example/\n"
    "log_level: warn\n"
    "rules: [a.yaml, rules.d]\n"
    "evaluation: {interval: 5s, grace: 100ms}\n"
    "retention: 1h\n"
    "limits: {series_per_agent: 500, series: 9000, connections: 64, connections_per_ip: 8}\n"
    "route: {receiver: r, group_by: [b, a], group_wait: 1s, group_interval: 2m, repeat_interval: 1h}\n"
    "receivers:\n"
    "  - name: r\n"
    "    webhook_configs:\n"
    "      - {url: 'https://h/x', send_resolved: false, max_alerts: 7}\n"
    "      - {url_file: /f}\n"
    "  - name: other\n"
    "    slack_configs: [{channel: '#a', http_config: {basic_auth: {username: u, password_file: p}}}]\n"
    "    email_configs: [{to: x@y, auth_username: u, auth_password_file: /p, subject: s}]\n"
    "    opsgenie_configs: [{api_key_file: k, responders: [{type: team, name: 'o\"ps'}, {type: user, "
    "username: a@b}]}]\n"
    "global: {slack_api_url: 'https://s/x', smtp_from: a@b, smtp_smarthost: 'm:25'}\n"
    "time_intervals:\n"
    "  - name: t\n"
    "    time_intervals:\n"
    "      - {location: Europe/Berlin, weekdays: [monday], times: [{start_time: '01:00', end_time: "
    "'02:00'}]}\n";

// Parses, and returns the text of the first mistake ("" = none).
static const char *first(const char *text, struct config *c)
{
    static char msg[300];
    struct diags d;
    diags_init(&d);
    int rc = config_parse(text, strlen(text), c, &d);
    snprintf(msg, sizeof(msg), "%s", d.n ? d.items[0].msg : "");
    CU_ASSERT_EQUAL(rc == 0, d.errors == 0);
    diags_done(&d);
    return msg;
}

static void reads_every_key(void)
{
    struct config c;
    CU_ASSERT_STRING_EQUAL(first(WHOLE, &c), "");
    CU_ASSERT_STRING_EQUAL(c.listen_http, "127.0.0.1:0");
    CU_ASSERT_STRING_EQUAL(c.listen_agents, "[::1]:0");
    CU_ASSERT_STRING_EQUAL(c.state_dir, "/s");
    CU_ASSERT_STRING_EQUAL(c.external_url, "https://t.example/");
    CU_ASSERT_EQUAL_FATAL(c.n_rules, 2);
    CU_ASSERT_STRING_EQUAL(c.rules[1], "rules.d");
    CU_ASSERT_EQUAL(c.interval_ms, 5000);
    CU_ASSERT_EQUAL(c.grace_ms, 100);
    CU_ASSERT_EQUAL(c.retention_ms, 3600000);
    CU_ASSERT_TRUE(c.series_per_agent == 500 && c.series_max == 9000 &&
                   c.connections_max == 64 && c.connections_per_ip == 8);
    CU_ASSERT_TRUE(c.route && c.route->n_group_by == 2);
    CU_ASSERT_STRING_EQUAL(c.route->group_by[0], "a"); // sorted for who groups
    CU_ASSERT_EQUAL(c.route->repeat_interval_ms, 3600000);
    const struct config_receiver *r = config_receiver(&c, "r");
    CU_ASSERT_PTR_NOT_NULL_FATAL(r);
    CU_ASSERT_EQUAL_FATAL(r->n, 2);
    CU_ASSERT_FALSE(r->integrations[0].send_resolved);
    CU_ASSERT_TRUE(r->integrations[1].send_resolved);
    CU_ASSERT_EQUAL(r->integrations[0].max_alerts, 7);
    CU_ASSERT_STRING_EQUAL(r->integrations[1].url.file, "/f");
    r = config_receiver(&c, "other");
    CU_ASSERT_EQUAL_FATAL(r->n, 3);
    CU_ASSERT_STRING_EQUAL(r->integrations[2].incident.responders,
        "[{\"type\":\"team\",\"name\":\"o\\\"ps\"},{\"type\":\"user\",\"username\":\"a@b\"}]");
    CU_ASSERT_PTR_EQUAL(r->integrations[0].kind, &RECEIVER_SLACK);
    CU_ASSERT_STRING_EQUAL(r->integrations[0].url.text, "https://s/x"); // of global
    CU_ASSERT_FALSE(r->integrations[0].send_resolved);                  // as Alertmanager's
    CU_ASSERT_STRING_EQUAL(r->integrations[0].http.password.file, "p");
    CU_ASSERT_STRING_EQUAL(r->integrations[1].mail.smarthost, "m:25");
    CU_ASSERT_TRUE(r->integrations[1].mail.require_tls);
    CU_ASSERT_EQUAL(c.n_intervals, 1);
    config_done(&c);
}

static void nothing_gives_the_defaults(void)
{
    struct config c, d;
    CU_ASSERT_STRING_EQUAL(first("", &c), "");
    config_defaults(&d);
    CU_ASSERT_STRING_EQUAL(c.listen_http, "127.0.0.1:7311");
    CU_ASSERT_STRING_EQUAL(c.listen_agents, d.listen_agents);
    CU_ASSERT_EQUAL(c.series_per_agent, 20000);
    CU_ASSERT_PTR_NULL(c.route);
    config_done(&c);
    config_done(&d);
}

static void what_is_printed_parses_to_the_defaults(void)
{
    struct buf b;
    struct config c, d;
    buf_init(&b, 1 << 20);
    CU_ASSERT_EQUAL(config_print(&b), 0);
    CU_ASSERT_STRING_EQUAL(first(buf_cstr(&b), &c), "");
    config_defaults(&d);
    CU_ASSERT_STRING_EQUAL(c.state_dir, d.state_dir);
    CU_ASSERT_EQUAL(c.retention_ms, d.retention_ms);
    CU_ASSERT_EQUAL(c.connections_max, d.connections_max);
    CU_ASSERT_EQUAL(c.n_rules, 0);
    config_done(&c);
    config_done(&d);
    buf_done(&b);
}

static void a_reload_names_what_needs_a_restart(void)
{
    struct buf b;
    struct config c, d;
    buf_init(&b, 4096);
    CU_ASSERT_STRING_EQUAL(
        first("listen: {http: '127.0.0.1:1'}\nretention: 20m\nlog_level: warn\nrules: [x]\n"
              "route: {receiver: r}\nreceivers: [{name: r}]\n",
            &c),
        "");
    config_defaults(&d);
    CU_ASSERT_EQUAL(config_restart_keys(&d, &c, &b), 0);
    CU_ASSERT_STRING_EQUAL(buf_cstr(&b), "listen.http, retention");
    buf_reset(&b);
    CU_ASSERT_EQUAL(config_restart_keys(&c, &c, &b), 0);
    CU_ASSERT_EQUAL(b.len, 0);
    config_done(&c);
    config_done(&d);
    buf_done(&b);
}

static void each_mistake_has_its_text(void)
{
    static const struct {
        const char *text, *want;
    } CASES[] = {
        {"listne: {}", "unknown key `listne`"},
        {"listen: {htpp: x}", "unknown key `htpp` in listen"},
        {"listen: [1]", "`listen` is a map"},
        {"listen: {http: nowhere}", "listen.http: `nowhere` is not an address"},
        {"listen: {http: '0.0.0.0:1'}", "reachable from other hosts: set token_file"},
        {"listen: {agents: '0.0.0.0:1'}\ntoken_file: /t", "no TLS"},
        {"retention: 5", "not a duration"},
        {"retention: 1s", "`retention` is 1m to 1d"},
        {"limits: {series: many}", "is a number from 1000"},
        {"limits: {series_per_agent: -1}", "is a number from 100"},
        {"rules: a.yaml", "is a list of paths"},
        {"rules: ['*.yaml']", "not supported yet"},
        {"insecure_plaintext: yes please", "true or false"},
        {"log_level: loud", "`log_level` is"},
        {"external_url: nope", "not a URL"},
        {"state_dir: ''", "empty"},
        {"templates: a", "`templates` is a list of at most 64"},
        {"route: {receiver: x}", "there is no receiver `x`"},
        {"route: {}", "needs a `receiver`"},
        {"receivers: [{name: a}]", "no `route` to them"},
        {"route: {receiver: a, routes: {}}\nreceivers: [{name: a}]", "`routes` is a list"},
        {"route: {receiver: a, routes: [{receiver: b}]}\nreceivers: [{name: a}]",
            "there is no receiver `b`"},
        {"route: {receiver: a, matchers: [x=y]}\nreceivers: [{name: a}]", "takes every alert"},
        {"route: {receiver: a, routes: [{matchers: ['x y']}]}\nreceivers: [{name: a}]",
            "expected =, !=, =~ or !~"},
        {"route: {receiver: a, routes: [{match_re: {x: '('}}]}\nreceivers: [{name: a}]",
            "missing"},
        {"inhibit_rules: [{sources: x}]", "unknown key `sources`"},
        {"route: {receiver: a, group_by: ['...', x]}\nreceivers: [{name: a}]", "stands alone"},
        {"route: {receiver: a}\nreceivers: [{name: a}, {name: a}]", "there twice"},
        {"route: {receiver: a}\nreceivers: [{name: a, sns_configs: []}]",
            "`sns_configs` in a receiver is not"},
        {"route: {receiver: a}\nreceivers: [{name: a, webhook_configs: [{}]}]",
            "need `url` or `url_file`"},
        {"route: {receiver: a}\nreceivers: [{name: a, webhook_configs: [{url: 'ftp://x'}]}]",
            "not an http URL"},
        {"route: {receiver: a}\nreceivers: [{name: a, webhook_configs: [{url: 'http://x', url_file: y}]}]",
            "not both"},
        {"route: {receiver: a}\nreceivers: [{webhook_configs: []}]", "needs a `name`"},
#define WITH(x) "route: {receiver: a}\nreceivers: [{name: a, " x "}]"
        {WITH("webhook_configs: [{url: 'http://far.example/'}]"), "is not this machine"},
        {WITH("webhook_configs: [{url: 'http://127.evil.example/'}]"), "is not this machine"},
        {WITH("webhook_configs: [{url: 'https://x', format: xml}]"),
            "is alertmanager, standard or template"},
        {WITH("webhook_configs: [{url: 'https://x', http_config: {proxy_url: 'http://p'}}]"),
            "`proxy_url` in http_config is not supported yet"},
        {WITH("webhook_configs: [{url: 'https://x', http_config: {follow_redirects: true}}]"),
            "redirects are not followed"},
        {WITH("webhook_configs: [{url: 'https://x', max_alert: 1}]"),
            "unknown key `max_alert`"},
        {WITH("slack_configs: [{channel: x}]"), "need `api_url` or `api_url_file`"},
        {WITH("slack_configs: [{api_url: 'https://x', title: '{{ .CommonLabel.x }}'}]"),
            "no field CommonLabel in a value of type template.Data, did you mean CommonLabels?"},
        {WITH("slack_configs: [{api_url: 'https://x/{{ .Status }}'}]"),
            "`api_url` cannot hold a template"},
        {WITH(
             "slack_configs: [{api_url: 'https://x', text: '{{ if eq .Status \"no\" }}{{ range "
             ".Alerts }}{{ .Lables }}{{ end }}{{ end }}'}]"),
            "did you mean Labels?"},
        {WITH("discord_configs: [{webhook_url: 'https://x', title: '{{ template \"a\" . }}'}]"),
            "template \"a\" is not defined"},
        {WITH("webhook_configs: [{url: 'https://x', body: '{\"a\": \"{{ .Status }}'}]"),
            "this is no JSON: it goes wrong at `firing`"},
        {WITH("webhook_configs: [{url: 'https://x', format: template}]"), "needs a `body`"},
        {WITH("webhook_configs: [{url: 'https://x', format: standard, body: '1'}]"),
            "a `body` has `format: template`"},
        {WITH("slack_configs: [{api_url: 'https://x', fields: [{titel: x}]}]"),
            "unknown key `titel` in `fields`"},
        {WITH("slack_configs: [{api_url: 'https://x', short_fields: true}]"),
            "`short_fields` in slack_configs is not supported yet"},
        {WITH("pagerduty_configs: [{service_key: x}]"),
            "`service_key` in pagerduty_configs is not supported yet"},
        {WITH("pagerduty_configs: [{}]"), "need `routing_key` or `routing_key_file`"},
        {WITH("telegram_configs: [{bot_token_file: x, chat_id: '@ops'}]"), "is a whole number"},
        {WITH("telegram_configs: [{bot_token_file: x, chat_id: 1, parse_mode: MarkdownV2}]"),
            "is HTML"},
        {WITH("email_configs: [{to: a@b}]"), "need `from`"},
        {WITH("email_configs: [{to: a@b, from: c@d, smarthost: 'h:25', http_config: {}}]"),
            "unknown key `http_config`"},
        {"global: {smtp_auth_identity: x}", "`smtp_auth_identity` in global is not supported"},
        {"global: {slack_api_url: 'https://x', slack_api_url_file: y}",
            "`slack_api_url` or `slack_api_url_file`, not both"},
        {"global: {mattermost_webhook_url: x}", "`mattermost_webhook_url` in global is not"},
        {WITH("opsgenie_configs: [{api_key_file: x, responders: [{type: crowd, name: y}]}]"),
            "a responder has a `type`"},
        {WITH(
             "opsgenie_configs: [{api_key_file: x, responders: [{type: team, name: '{{ .x }}'}]}]"),
            "`name` cannot hold a template"},
        {"global: {slack_api_uri: x}", "unknown key `slack_api_uri`"},
        {"- a\n- b", "map of keys"},
        {"state_dir: a\nstate_dir: b", "state_dir"},
        {"a: [", ""},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct config c;
        const char *got = first(CASES[i].text, &c);
        bool ok = *got && strstr(got, CASES[i].want);
        if (!ok)
            printf("  case %zu `%s`: got `%s`\n", i, CASES[i].text, got);
        CU_ASSERT_TRUE(ok);
        config_done(&c);
    }
}

// A template that only says what is said anyway is none; a secret that is written down is told.
static void what_alertmanagers_users_write_is_taken(void)
{
    static const char TEXT[] = WITH(
        "slack_configs: [{api_url: 'https://x', text: '{{ template \"slack.default.text\" . }}'}], "
        "pagerduty_configs: [{routing_key: abc}]");
    struct config c;
    struct diags d;
    diags_init(&d);
    CU_ASSERT_EQUAL(config_parse(TEXT, sizeof(TEXT) - 1, &c, &d), 0);
    CU_ASSERT_EQUAL_FATAL(d.n, 1);
    CU_ASSERT_EQUAL(d.items[0].severity, DIAG_WARNING);
    CU_ASSERT_STRING_EQUAL(d.items[0].msg, "`routing_key` is a secret in the configuration");
    CU_ASSERT_STRING_EQUAL(d.items[0].hint, "routing_key_file: PATH");
    diags_done(&d);
    config_done(&c);
}

static void a_near_miss_is_named(void)
{
    struct config c;
    struct diags d;
    diags_init(&d);
    config_parse("retension: 1h", 13, &c, &d);
    CU_ASSERT_EQUAL_FATAL(d.n, 1);
    CU_ASSERT_STRING_EQUAL(d.items[0].hint, "did you mean `retention`?");
    CU_ASSERT_TRUE(d.items[0].line == 1 && d.items[0].col == 1);
    diags_done(&d);
    config_done(&c);
}

static void all_mistakes_are_told_at_once(void)
{
    struct config c;
    struct diags d;
    static const char TEXT[] = "retention: x\nlog_level: y\nlimits: {series: z}\nnope: 1\n";
    diags_init(&d);
    config_parse(TEXT, sizeof(TEXT) - 1, &c, &d);
    CU_ASSERT_EQUAL(d.errors, 4);
    diags_done(&d);
    config_done(&c);
}

static void every_failed_allocation_is_an_error(void)
{
    for (int nth = 1;; nth++) {
        struct config c;
        struct diags d;
        diags_init(&d);
        oom_fail_at(nth);
        int rc = config_parse(WHOLE, sizeof(WHOLE) - 1, &c, &d);
        bool hit = oom_stop();
        config_done(&c);
        diags_done(&d);
        if (!hit) {
            CU_ASSERT_EQUAL(rc, 0);
            break;
        }
        CU_ASSERT_TRUE(rc < 0);
    }
}

static const struct test TESTS[] = {
    {"reads every key", reads_every_key},
    {"nothing gives the defaults", nothing_gives_the_defaults},
    {"what is printed parses to the defaults", what_is_printed_parses_to_the_defaults},
    {"a reload names what needs a restart", a_reload_names_what_needs_a_restart},
    {"each mistake has its text", each_mistake_has_its_text},
    {"what Alertmanager's users write is taken", what_alertmanagers_users_write_is_taken},
    {"a near miss is named", a_near_miss_is_named},
    {"all mistakes are told at once", all_mistakes_are_told_at_once},
    {"every failed allocation is an error", every_failed_allocation_is_an_error},
};

int main(void)
{
    return test_main("config", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
