// SPDX-License-Identifier: Apache-2.0
// Bodies of each kind of receiver against what the services document: fields that must be there, and
// lengths that must not be passed, whatever stands in the labels.
#include "collector/receiver.h"
#include "collector/receiver_text.h"
#include "tests/lib/run.h"
#include <cjson/cJSON.h>
#include <stdio.h>
#include <string.h>

#define LONG_BYTES 60000

static char huge[LONG_BYTES + 1]; // of characters that are one, two, three and four bytes long
static struct label labels1[] = {{"alertname", "Down"}, {"instance", "web-1"}, {"job", "node"},
    {"service", "api"}, {"severity", "page"}};
static struct label labels2[] = {{"alertname", "Down"}, {"instance", "web-2"}, {"job", "node"},
    {"service", "api"}, {"severity", "page"}};
static struct label said[] = {{"summary", "api <down> & *out* \"now\""}};
static struct label grouped[] = {{"alertname", "Down"}};
static struct labels L1 = {labels1, 5}, L2 = {labels2, 5}, A = {said, 1}, G = {grouped, 1};
static struct webhook_alert alerts[200];
static struct webhook_message message;

static void make_message(size_t n, bool firing)
{
    memset(alerts, 0, sizeof(alerts));
    for (size_t i = 0; i < n; i++)
        alerts[i] = (struct webhook_alert){.labels = i % 2 ? &L2 : &L1,
            .annotations = &A,
            .firing = firing,
            .starts_at_ms = 1764044401123,
            .ends_at_ms = firing ? 0 : 1764044460050,
            .generator_url = "http://c/graph?g0.expr=up",
            .fingerprint = 0xabc + i,
            .value = 0.5,
            .active_at_ms = 1764044400000,
            .cause_ms = 1764044401000,
            .decided_ms = 1764044401125,
            .group = "g",
            .file = "rules.d/a.yaml",
            .line = 12};
    message = (struct webhook_message){.receiver = "r",
        .external_url = "http://c",
        .group_key = "{}:{}",
        .delivery_key = "00112233445566778899aabbccddeeff",
        .group_labels = &G,
        .alerts = alerts,
        .n = n};
}

static void make_long(void)
{
    static const char *const PARTS[] = {"a", "é", "→", "🔥", "<", "_"};
    for (size_t at = 0, i = 0; at + 4 < LONG_BYTES; i++) {
        memcpy(huge + at, PARTS[i % 6], strlen(PARTS[i % 6]));
        at += strlen(PARTS[i % 6]);
    }
}

// The body as JSON, and the text of the path.
static cJSON *body_of(const struct integration *i, char path[static 200])
{
    struct buf body, url;
    buf_init(&body, 1u << 20);
    buf_init(&url, 200);
    CU_ASSERT_EQUAL(i->kind->make(i, "KEY", &message, &body, &url), 0);
    snprintf(path, 200, "%s", buf_cstr(&url));
    cJSON *j = cJSON_ParseWithLength((const char *)body.data, body.len);
    if (!j)
        printf("  %s: %s\n", i->kind->name, buf_cstr(&body));
    CU_ASSERT_PTR_NOT_NULL_FATAL(j);
    buf_done(&body);
    buf_done(&url);
    return j;
}

// "a.0.b" of a tree; "" when it is not there or no text.
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

static bool utf8(const char *s)
{
    // cJSON hands bytes on, so a cut character would be seen as U+FFFD of ours.
    return !strstr(s, "\xEF\xBF\xBD");
}

#define HAS(j, way)      CU_ASSERT_TRUE(*at(j, way) != '\0')
#define IS(j, way, want) CU_ASSERT_STRING_EQUAL(at(j, way), want)
#define WITHIN(j, way, max)                                                                    \
    CU_ASSERT_TRUE(*at(j, way) && text_units(at(j, way), strlen(at(j, way))) <= (max) &&       \
                   utf8(at(j, way)))

static void with_labels_of_any_length(void (*check)(void))
{
    static const size_t COUNTS[] = {1, 2, 200};
    for (size_t i = 0; i < 3; i++)
        for (int firing = 0; firing < 2; firing++)
            for (int at_all = 0; at_all < 2; at_all++) {
                said[0].value = at_all ? huge : "api <down> & *out* \"now\"";
                labels1[3].value = labels2[3].value = at_all ? huge : "api";
                make_message(COUNTS[i], firing);
                check();
            }
    said[0].value = "api <down> & *out* \"now\"";
    labels1[3].value = labels2[3].value = "api";
}

static void check_slack(void)
{
    char path[200];
    struct integration i = {.kind = &RECEIVER_SLACK, .chat.channel = "#ops"};
    cJSON *j = body_of(&i, path);
    IS(j, "channel", "#ops");
    WITHIN(j, "text", 40000);
    IS(j, "attachments.0.color", text_fires(&message) ? "#C0392B" : "#2E8B57");
    IS(j, "attachments.0.blocks.0.type", "section");
    IS(j, "attachments.0.blocks.0.text.type", "mrkdwn");
    WITHIN(j, "attachments.0.blocks.0.text.text", 3000);
    CU_ASSERT_PTR_NULL(strstr(at(j, "attachments.0.blocks.0.text.text"), "<"));
    IS(j, "attachments.0.blocks.1.elements.0.type", "mrkdwn");
    CU_ASSERT_STRING_EQUAL(path, "");
    cJSON_Delete(j);
}

static void slack(void)
{
    with_labels_of_any_length(check_slack);
}

static void check_discord(void)
{
    char path[200];
    struct integration i = {.kind = &RECEIVER_DISCORD};
    cJSON *j = body_of(&i, path);
    WITHIN(j, "embeds.0.title", 256);
    WITHIN(j, "embeds.0.description", 4096);
    cJSON *parse = cJSON_GetObjectItem(cJSON_GetObjectItem(j, "allowed_mentions"), "parse");
    CU_ASSERT_TRUE(cJSON_IsArray(parse) && cJSON_GetArraySize(parse) == 0);
    cJSON_Delete(j);
}

static void discord(void)
{
    with_labels_of_any_length(check_discord);
}

static void check_pagerduty(void)
{
    char path[200];
    struct integration i = {.kind = &RECEIVER_PAGERDUTY};
    if (message.n > 1)
        return; // it is made per alert
    cJSON *j = body_of(&i, path);
    IS(j, "routing_key", "KEY");
    IS(j, "event_action", text_fires(&message) ? "trigger" : "resolve");
    IS(j, "dedup_key", "tocsin-0000000000000abc");
    if (text_fires(&message)) {
        WITHIN(j, "payload.summary", 1024);
        IS(j, "payload.source", "web-1");
        IS(j, "payload.severity", "critical");
        IS(j, "payload.timestamp", "2025-11-25T04:20:01.123Z");
        IS(j, "payload.class", "Down");
        HAS(j, "payload.component");
        HAS(j, "payload.custom_details.labels.instance");
        HAS(j, "links.0.href");
    }
    cJSON_Delete(j);
}

static void pagerduty(void)
{
    with_labels_of_any_length(check_pagerduty);
}

static void check_opsgenie(void)
{
    char path[200];
    struct integration i = {.kind = &RECEIVER_OPSGENIE,
        .incident = {.tags = "a, b", .responders = "[{\"type\":\"team\",\"name\":\"x\"}]"}};
    if (message.n > 1)
        return;
    cJSON *j = body_of(&i, path);
    if (text_fires(&message)) {
        CU_ASSERT_STRING_EQUAL(path, "v2/alerts");
        IS(j, "alias", "tocsin-0000000000000abc");
        WITHIN(j, "message", 130);
        WITHIN(j, "description", 15000);
        IS(j, "tags.1", "b");
        IS(j, "responders.0.name", "x");
    } else {
        CU_ASSERT_STRING_EQUAL(
            path, "v2/alerts/tocsin-0000000000000abc/close?identifierType=alias");
    }
    cJSON_Delete(j);
}

static void opsgenie(void)
{
    with_labels_of_any_length(check_opsgenie);
}

static void check_teams(void)
{
    char path[200];
    struct integration i = {.kind = &RECEIVER_TEAMS}, v2 = {.kind = &RECEIVER_TEAMS_CARD};
    cJSON *j = body_of(&i, path);
    IS(j, "@type", "MessageCard");
    WITHIN(j, "summary", 512);
    WITHIN(j, "text", 12000);
    char *whole = cJSON_PrintUnformatted(j);
    CU_ASSERT_TRUE(strlen(whole) < 28 * 1024);
    cJSON_free(whole);
    cJSON_Delete(j);
    j = body_of(&v2, path);
    IS(j, "type", "message");
    IS(j, "attachments.0.contentType", "application/vnd.microsoft.card.adaptive");
    IS(j, "attachments.0.content.type", "AdaptiveCard");
    IS(j, "attachments.0.content.version", "1.4");
    HAS(j, "attachments.0.content.body.0.text");
    HAS(j, "attachments.0.content.body.1.text");
    whole = cJSON_PrintUnformatted(j);
    CU_ASSERT_TRUE(strlen(whole) < 28 * 1024);
    cJSON_free(whole);
    cJSON_Delete(j);
}

static void teams(void)
{
    with_labels_of_any_length(check_teams);
}

static void check_phones(void)
{
    char path[200];
    struct integration i = {
        .kind = &RECEIVER_TELEGRAM, .chat.chat_id = "-100123", .chat.parse_mode = "HTML"};
    cJSON *j = body_of(&i, path);
    CU_ASSERT_STRING_EQUAL(path, "/botKEY/sendMessage");
    WITHIN(j, "text", 4096);
    CU_ASSERT_EQUAL(strncmp(at(j, "text"), "<b>[", 4), 0);
    CU_ASSERT_TRUE(cJSON_GetNumberValue(cJSON_GetObjectItem(j, "chat_id")) == -100123);
    cJSON_Delete(j);
    struct integration n = {.kind = &RECEIVER_NTFY, .chat.topic = "ops"};
    j = body_of(&n, path);
    IS(j, "topic", "ops");
    HAS(j, "title");
    CU_ASSERT_TRUE(strlen(at(j, "message")) <= 4096 && *at(j, "message"));
    double priority = cJSON_GetNumberValue(cJSON_GetObjectItem(j, "priority"));
    CU_ASSERT_TRUE(priority == (text_fires(&message) ? 5 : 3));
    cJSON_Delete(j);
}

static void phones(void)
{
    with_labels_of_any_length(check_phones);
}

static void standard(void)
{
    char path[200];
    struct integration i = {.kind = &RECEIVER_WEBHOOK, .standard = true};
    make_message(2, true);
    cJSON *j = body_of(&i, path);
    IS(j, "type", "alert.firing");
    IS(j, "timestamp", "2025-11-25T04:20:01.125Z");
    IS(j, "data.alerts.1.status", "firing");
    IS(j, "data.alerts.1.causeAt", "2025-11-25T04:20:01.000Z");
    IS(j, "data.alerts.1.detectedAt", "2025-11-25T04:20:01.125Z");
    IS(j, "data.alerts.1.value", "0.5");
    IS(j, "data.alerts.1.ruleFile", "rules.d/a.yaml");
    IS(j, "data.alerts.1.labels.instance", "web-2");
    cJSON_Delete(j);
    make_message(1, false);
    j = body_of(&i, path);
    IS(j, "type", "alert.resolved");
    IS(j, "data.alerts.0.endsAt", "2025-11-25T04:21:00.050Z");
    cJSON_Delete(j);
}

static void mail(void)
{
    struct buf body, path;
    struct integration i = {
        .kind = &RECEIVER_EMAIL, .mail = {.to = "ops@example.org", .from = "t@example.org"}};
    buf_init(&body, 1u << 20);
    buf_init(&path, 10);
    make_message(1, true);
    labels1[3].value = "api\r\nBcc: all@example.org";
    CU_ASSERT_EQUAL(i.kind->make(&i, "", &message, &body, &path), 0);
    const char *text = buf_cstr(&body);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "To: ops@example.org\r\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "Subject: [FIRING:1] Down api"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "Date: Tue, 25 Nov 2025 04:20:01 +0000\r\n"));
    CU_ASSERT_PTR_NOT_NULL(
        strstr(text, "Message-ID: <00112233445566778899aabbccddeeff@tocsin>\r\n"));
    CU_ASSERT_PTR_NULL(strstr(text, "\nBcc:")); // a label writes no header
    labels1[3].value = "ä";                     // and one beyond ASCII is encoded
    buf_reset(&body);
    CU_ASSERT_EQUAL(i.kind->make(&i, "", &message, &body, &path), 0);
    CU_ASSERT_PTR_NOT_NULL(
        strstr(buf_cstr(&body), "Subject: =?utf-8?B?W0ZJUklORzoxXSBEb3duIMOkIH"));
    for (const char *line = buf_cstr(&body); *line;) {
        size_t len = strcspn(line, "\r");
        CU_ASSERT_TRUE(len <= 78 && strncmp(line + len, "\r\n", 2) == 0);
        line += len + 2;
    }
    labels1[3].value = "api";
    buf_done(&body);
    buf_done(&path);
}

static void lines_are_cut_between_characters(void)
{
    for (size_t max = 0; max < 40; max++)
        for (int style = TEXT_PLAIN; style <= TEXT_MARKDOWN; style++) {
            struct buf b;
            buf_init(&b, 4096);
            CU_ASSERT_EQUAL(text_add(huge, (enum text_style)style, max, &b), 0);
            const char *s = buf_cstr(&b);
            CU_ASSERT_TRUE(text_units(s, b.len) <= max);
            CU_ASSERT_TRUE(text_units(s, b.len) + 5 > max); // and not much before
            CU_ASSERT_TRUE(!max || strcmp(s + b.len - 3, "…") == 0);
            if (style == TEXT_ENTITIES)
                for (const char *e = strchr(s, '&'); e; e = strchr(e + 1, '&'))
                    CU_ASSERT_EQUAL(strncmp(e, "&lt;", 4), 0);
            buf_done(&b);
        }
    make_message(200, true);
    struct buf b;
    buf_init(&b, 1u << 20);
    CU_ASSERT_EQUAL(text_alerts(&message, TEXT_PLAIN, 1000, &b), 0);
    const char *more = strstr(buf_cstr(&b), "… and ");
    CU_ASSERT_PTR_NOT_NULL_FATAL(more);
    size_t left = 0, lines = 0;
    sscanf(more, "… and %zu more", &left);
    for (const char *c = buf_cstr(&b); c < more; c++)
        lines += *c == '\n';
    CU_ASSERT_EQUAL(left + lines, 200);
    buf_done(&b);
}

static const struct test TESTS[] = {
    {"Slack's required fields and lengths", slack},
    {"Discord's required fields and lengths, and nobody is pinged", discord},
    {"PagerDuty's required fields and lengths", pagerduty},
    {"Opsgenie's required fields and lengths", opsgenie},
    {"Teams' cards fit into 28 KB", teams},
    {"Telegram's and ntfy's required fields and lengths", phones},
    {"format standard says more than Alertmanager's", standard},
    {"a mail has a head that no label can write", mail},
    {"lines are cut between characters, and what is left out is counted",
        lines_are_cut_between_characters},
};

int main(void)
{
    make_long();
    return test_main("receivers", TESTS, sizeof(TESTS) / sizeof(TESTS[0]));
}
