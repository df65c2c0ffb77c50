// SPDX-License-Identifier: Apache-2.0
// Texts of the configuration in what receivers are sent; and that a template that fails costs nobody
// the message.
#include "collector/config.h"
#include "collector/message_text.h"
#include "tests/lib/oom.h"
#include "tests/lib/run.h"
#include <cjson/cJSON.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct label ONE[] = {
    {"alertname", "Down"}, {"instance", "web-1"}, {"severity", "page"}, {"team", "ops"}};
static const struct label TWO[] = {
    {"alertname", "Down"}, {"instance", "web-2"}, {"severity", "page"}, {"team", "ops"}};
static const struct label SAID[] = {{"summary", "it's \"down\"\n<b>🔥"}};
static const struct label GROUP[] = {{"alertname", "Down"}};
static const struct labels L1 = {ONE, 4}, L2 = {TWO, 4}, A = {SAID, 1}, G = {GROUP, 1};
static const struct webhook_alert ALERTS[] = {{.labels = &L1,
                                                  .annotations = &A,
                                                  .firing = true,
                                                  .starts_at_ms = 1764044401123,
                                                  .generator_url = "http://c/graph",
                                                  .fingerprint = 0xabc,
                                                  .decided_ms = 1764044402000},
    {.labels = &L2,
        .annotations = &A,
        .starts_at_ms = 1764044401123,
        .ends_at_ms = 1764044461000,
        .generator_url = "http://c/graph",
        .fingerprint = 0xabd,
        .decided_ms = 1764044402000}};

// The receiver's first integration, as configured; its body for these alerts goes into out.
static int make(const char *receiver, size_t first, size_t n, struct buf *out,
    struct message_trouble *trouble)
{
    char text[4000];
    struct config c;
    struct diags d;
    struct arena a;
    struct buf path;
    struct integration filled;
    const struct webhook_message m = {"r", "http://c", "{}:{}",
        "00112233445566778899aabbccddeeff", &G, ALERTS + first, n, 0, NULL};
    int rc;

    snprintf(text, sizeof(text), "route: {receiver: r}\nreceivers:\n  - name: r\n%s", receiver);
    diags_init(&d);
    arena_init(&a, 0);
    buf_init(out, 1u << 20);
    buf_init(&path, 200);
    rc = config_parse(text, strlen(text), &c, &d);
    if (rc == -EINVAL && d.n && !strstr(d.items[0].msg, "out of memory"))
        printf("  %s: %s\n", receiver, d.items[0].msg);
    if (rc == 0)
        rc = message_texts(
            &c.receivers[0].integrations[0], &m, 1764044403000, &a, &filled, trouble);
    if (rc == 0)
        rc = filled.kind->make(&filled, "KEY", &m, out, &path);
    buf_done(&path);
    arena_done(&a);
    diags_done(&d);
    config_done(&c);
    return rc;
}

static const char *at(cJSON *j, const char *way)
{
    char copy[200], *save = NULL;
    snprintf(copy, sizeof(copy), "%s", way);
    for (char *step = strtok_r(copy, ".", &save); step && j; step = strtok_r(NULL, ".", &save))
        j = cJSON_IsArray(j) ? cJSON_GetArrayItem(j, step[0] - '0')
                             : cJSON_GetObjectItemCaseSensitive(j, step);
    const char *s = j ? cJSON_GetStringValue(j) : NULL;
    return s ? s : "";
}

static void each_receiver_says_what_is_written(void)
{
    static const struct {
        const char *receiver, *way, *want;
    } CASES[] = {
        {"    slack_configs: [{api_url: 'https://x', title: '{{ template \"slack.default.title\" . "
         "}}'}]",
            "attachments.0.title", "[FIRING:1] Down (page ops)"},
        {"    slack_configs: [{api_url: 'https://x', channel: '#{{ .CommonLabels.team }}'}]",
            "channel", "#ops"},
        {"    slack_configs: [{api_url: 'https://x', fields: [{title: T, value: '{{ .Status }}', "
         "short: true}]}]",
            "attachments.0.fields.0.value", "firing"},
        {"    slack_configs: [{api_url: 'https://x', color: '{{ if eq .Status \"firing\" }}danger{{ "
         "end }}', text: '{{ .CommonAnnotations.summary }}'}]",
            "attachments.0.text", "it's \"down\"\n<b>🔥"},
        {"    discord_configs: [{webhook_url: 'https://x', message: '{{ len .Alerts }} alerts', "
         "content: '@here'}]",
            "embeds.0.description", "2 alerts"},
        {"    discord_configs: [{webhook_url: 'https://x', message: '{{ range .Alerts }}{{ (tz "
         "\"Europe/Paris\" .StartsAt).Format \"15:04 -07\" }} {{ since .StartsAt }} {{ end }}'}]",
            "embeds.0.description", "05:20 +01 1.877s 05:20 +01 1.877s "},
        {"    msteamsv2_configs: [{webhook_url: 'https://x', title: '{{ .Receiver }}'}]",
            "attachments.0.content.body.0.text", "r"},
        {"    pagerduty_configs: [{routing_key_file: x, description: '{{ .Status }}', details: {a: "
         "'{{ .CommonLabels.team }}'}}]",
            "payload.custom_details.a", "ops"},
        {"    opsgenie_configs: [{api_key_file: x, message: '{{ .CommonLabels.team }}', note: n}]",
            "message", "ops"},
        {"    telegram_configs: [{bot_token_file: x, chat_id: 1, parse_mode: HTML, message: "
         "'<i>{{ .CommonAnnotations.summary }}</i>'}]",
            "text", "<i>it&#39;s &#34;down&#34;\n&lt;b&gt;🔥</i>"},
        {"    telegram_configs: [{bot_token_file: x, chat_id: 1, message: "
         "'{{ .CommonAnnotations.summary }}'}]",
            "text", "it's \"down\"\n<b>🔥"},
        {"    webhook_configs:\n      - url: https://x\n        body: '{\"a\": [{{ range $i, $a := "
         ".Alerts }}{{ if $i }},{{ end }}{\"i\": \"{{ $a.Labels.instance }}\", \"s\": {{ "
         "$a.Annotations.summary }}}{{ end }}]}'",
            "a.1.s", "it's \"down\"\n<b>🔥"},
        {"    webhook_configs: [{url: 'https://x', format: template, body: '{{ toJson . }}'}]",
            "alerts.1.status", "resolved"},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct message_trouble trouble = {0};
        struct buf out;
        CU_ASSERT_EQUAL(make(CASES[i].receiver, 0, 2, &out, &trouble), 0);
        CU_ASSERT_EQUAL(trouble.count, 0);
        cJSON *j = cJSON_ParseWithLength((const char *)out.data, out.len);
        if (!j || strcmp(at(j, CASES[i].way), CASES[i].want) != 0)
            printf("  case %zu: %s\n", i, buf_cstr(&out));
        CU_ASSERT_STRING_EQUAL(at(j, CASES[i].way), CASES[i].want);
        cJSON_Delete(j);
        buf_done(&out);
    }
}

static void a_mail_has_both_bodies_and_its_headers(void)
{
    struct message_trouble trouble = {0};
    struct buf out;
    CU_ASSERT_EQUAL(
        make("    email_configs: [{to: a@b, from: c@d, smarthost: 'h:25', html: '<p>{{ .Status "
             "}}</p>', headers: {Subject: 'S {{ .CommonAnnotations.summary }}', X-Team: '{{ "
             ".CommonLabels.team }}', Content-Type: evil}}]",
            0, 2, &out, &trouble),
        0);
    const char *s = buf_cstr(&out);
    CU_ASSERT_PTR_NOT_NULL(strstr(s, "X-Team: ops\r\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(s, "Subject: =?utf-8?B?"));
    CU_ASSERT_PTR_NOT_NULL(strstr(s, "multipart/alternative"));
    CU_ASSERT_PTR_NOT_NULL(strstr(s, "PHA+ZmlyaW5nPC9wPg==")); // <p>firing</p>
    CU_ASSERT_PTR_NULL(strstr(s, "evil"));
    buf_done(&out);
}

static void a_template_that_fails_costs_nobody_the_message(void)
{
    static const struct {
        const char *receiver, *way, *part;
    } CASES[] = {
        {"    slack_configs: [{api_url: 'https://x', title: '{{ (index .Alerts.Firing 0).Status }}'}]",
            "text", "[RESOLVED:1] Down web-2"},
        {"    discord_configs: [{webhook_url: 'https://x', username: u, message: '{{ index "
         ".Alerts.Firing 0 }}'}]",
            "embeds.0.description", "RESOLVED Down"},
        {"    pagerduty_configs: [{routing_key_file: x, details: {a: '{{ index .Alerts.Firing 0 "
         "}}'}}]",
            "event_action", "resolve"},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct message_trouble trouble = {0};
        struct buf out;
        CU_ASSERT_EQUAL(make(CASES[i].receiver, 1, 1, &out, &trouble), 0);
        CU_ASSERT_EQUAL(trouble.count, 1);
        CU_ASSERT_PTR_NOT_NULL(strstr(trouble.text, "index out of range: 0"));
        cJSON *j = cJSON_ParseWithLength((const char *)out.data, out.len);
        if (!j || !strstr(at(j, CASES[i].way), CASES[i].part))
            printf("  case %zu: %s\n", i, buf_cstr(&out));
        CU_ASSERT_PTR_NOT_NULL(strstr(at(j, CASES[i].way), CASES[i].part));
        cJSON_Delete(j);
        buf_done(&out);
    }
}

// Of a message that is too large the queue makes one of fewer alerts.
static void many_alerts_ask_for_fewer(void)
{
    static struct webhook_alert many[3000];
    static const char CONFIG[] =
        "route: {receiver: r}\nreceivers: [{name: r, webhook_configs: [{url: 'https://x', body: "
        "'{{ toJson .Alerts }}'}]}]";
    struct message_trouble trouble;
    struct integration filled;
    struct config c;
    struct diags d;
    struct arena a;
    for (size_t i = 0; i < 3000; i++)
        many[i] = ALERTS[0];
    struct webhook_message m = {"r", "http://c", "{}:{}", "key", &G, many, 3000, 0, NULL};
    diags_init(&d);
    arena_init(&a, 0);
    CU_ASSERT_EQUAL(config_parse(CONFIG, strlen(CONFIG), &c, &d), 0);
    const struct integration *i = &c.receivers[0].integrations[0];
    CU_ASSERT_EQUAL(message_texts(i, &m, 0, &a, &filled, &trouble), 0);
    for (size_t k = 0; k < 3000; k++)
        many[k].generator_url =
            "http://c/graph?g0.expr=a_long_one_that_is_longer_than_the_others_are_and_goes_on";
    CU_ASSERT_EQUAL(message_texts(i, &m, 0, &a, &filled, &trouble), -EMSGSIZE);
    CU_ASSERT_EQUAL(trouble.count, 0);
    m.max_alerts = 1500;
    CU_ASSERT_EQUAL(message_texts(i, &m, 0, &a, &filled, &trouble), 0);
    CU_ASSERT_TRUE(filled.body && strlen(filled.body) > 100000);
    arena_done(&a);
    diags_done(&d);
    config_done(&c);
}

// Of files only what they define is taken over: Alertmanager's users rename the defaults.
static void files_replace_what_is_said_by_default(void)
{
    char path[] = "/tmp/tocsin-template-XXXXXX", text[500];
    static const char FILE_TEXT[] =
        "{{ define \"slack.default.title\" }}T {{ .Status }}{{ end }}";
    struct config c;
    struct diags d;
    int fd = mkstemp(path);
    CU_ASSERT_FATAL(fd >= 0);
    CU_ASSERT_EQUAL(
        write(fd, FILE_TEXT, sizeof(FILE_TEXT) - 1), (ssize_t)sizeof(FILE_TEXT) - 1);
    close(fd);
    snprintf(text, sizeof(text),
        "templates: ['%s']\nroute: {receiver: r}\nreceivers: [{name: r, slack_configs: [{api_url: "
        "'https://x'}]}]",
        path);
    diags_init(&d);
    CU_ASSERT_EQUAL(config_parse(text, strlen(text), &c, &d), 0);
    CU_ASSERT_FATAL(d.n == 0 && c.n_receivers == 1);
    CU_ASSERT_PTR_NOT_NULL_FATAL(c.receivers[0].integrations[0].texts);
    CU_ASSERT_STRING_EQUAL(c.receivers[0].integrations[0].texts->key, "title");
    config_done(&c);
    diags_done(&d);
    unlink(path);
}

static void every_failed_allocation_is_told(void)
{
    static const char RECEIVER[] =
        "    slack_configs: [{api_url: 'https://x', title: 't {{ .Status }}', fields: [{title: a, "
        "value: '{{ .Receiver }}'}]}]";
    int nth = 1;
    for (bool hit = true; hit; nth++) {
        struct message_trouble trouble = {0};
        struct buf out;
        oom_fail_at(nth);
        int rc = make(RECEIVER, 0, 2, &out, &trouble);
        hit = oom_stop();
        // Without memory libyaml finds fault with the text.
        CU_ASSERT_TRUE(rc == 0 || (hit && (rc == -ENOMEM || rc == -EINVAL)));
        CU_ASSERT_TRUE(rc < 0 || (out.len && out.failed == 0));
        buf_done(&out);
    }
    CU_ASSERT_TRUE(nth > 10);
}

static const struct test TESTS[] = {
    {"each receiver says what is written", each_receiver_says_what_is_written},
    {"a mail has both bodies and its headers", a_mail_has_both_bodies_and_its_headers},
    {"a template that fails costs nobody the message",
        a_template_that_fails_costs_nobody_the_message},
    {"many alerts ask for fewer", many_alerts_ask_for_fewer},
    {"files replace what is said by default", files_replace_what_is_said_by_default},
    {"every failed allocation is told", every_failed_allocation_is_told},
};

int main(void)
{
    return test_main("message_text", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
