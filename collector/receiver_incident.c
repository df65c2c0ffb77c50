// SPDX-License-Identifier: Apache-2.0
// Incidents: PagerDuty's Events API v2 and Opsgenie. One message per alert; the alert's fingerprint is
// what opens and closes the same incident, whoever of several collectors says it.
#include "collector/receiver.h"
#include "collector/receiver_text.h"
#include <inttypes.h>
#include <string.h>

#define PAGERDUTY_SUMMARY_MAX 1024
#define DETAIL_MAX            4096 // of one label; an event of PagerDuty is at most 512 KB
#define OPSGENIE_MESSAGE_MAX  130
#define OPSGENIE_TEXT_MAX     15000
#define OPSGENIE_ENTITY_MAX   512

static void pair_cut(const char *name, const char *value, size_t max, struct buf *out)
{
    struct buf piece;
    buf_init(&piece, 1u << 20);
    text_add(value, TEXT_PLAIN, max, &piece);
    text_pair(name, buf_cstr(&piece), out);
    if (piece.failed)
        out->failed = piece.failed;
    buf_done(&piece);
}

static void pair_if(const char *name, const char *value, size_t max, struct buf *out)
{
    if (value && *value)
        pair_cut(name, value, max, out);
}

static void details(const struct labels *l, struct buf *out)
{
    struct buf piece;
    buf_init(&piece, 1u << 20);
    for (size_t i = 0; i < l->n; i++) {
        buf_reset(&piece);
        text_add(l->l[i].value, TEXT_PLAIN, DETAIL_MAX, &piece);
        if (out->data[out->len - 1] != '{')
            buf_addc(out, ',');
        buf_add_json(out, l->l[i].name, strlen(l->l[i].name));
        buf_addc(out, ':');
        buf_add_json(out, buf_cstr(&piece), piece.len);
    }
    if (piece.failed)
        out->failed = piece.failed;
    buf_done(&piece);
}

// Title and what the alert says of itself.
static void summary(const struct integration *i, const struct webhook_message *m, size_t max,
    const char *name, struct buf *out)
{
    struct buf line;
    const char *said = m->n ? text_summary(&m->alerts[0]) : "";
    buf_init(&line, 1u << 20);
    if (i->title)
        buf_adds(&line, i->title);
    else
        text_title(m, max, &line);
    if (!i->title && *said)
        buf_addf(&line, ": %s", said);
    pair_cut(name, buf_cstr(&line), max, out);
    buf_done(&line);
}

// PagerDuty knows four.
static const char *severity(const char *s)
{
    static const char *const AS[][2] = {{"page", "critical"}, {"critical", "critical"},
        {"error", "error"}, {"warning", "warning"}, {"warn", "warning"}, {"info", "info"}};
    for (size_t i = 0; i < sizeof(AS) / sizeof(AS[0]); i++)
        if (strcmp(AS[i][0], s) == 0)
            return AS[i][1];
    return "error";
}

static const char *label(const struct webhook_message *m, const char *name)
{
    return m->n ? labels_get(m->alerts[0].labels, name) : "";
}

static uint64_t identity(const struct webhook_message *m)
{
    return m->n ? m->alerts[0].fingerprint : 0;
}

static void custom_details(
    const struct integration *i, const struct webhook_alert *a, struct buf *body)
{
    if (i->incident.details) {
        buf_addf(body, ",\"custom_details\":%s", i->incident.details);
        return;
    }
    buf_adds(body, ",\"custom_details\":{\"labels\":{");
    details(a->labels, body);
    buf_adds(body, "},\"annotations\":{");
    details(a->annotations, body);
    buf_adds(body, "}}");
}

static void links(const struct integration *i, const char *url, struct buf *body)
{
    if (i->incident.links) {
        buf_addf(body, ",\"links\":%s", i->incident.links);
    } else {
        buf_adds(body, ",\"links\":[{");
        text_pair("href", url, body);
        buf_adds(body, ",\"text\":\"The expression\"}]");
    }
    if (i->incident.images)
        buf_addf(body, ",\"images\":%s", i->incident.images);
}

// https://developer.pagerduty.com/docs/events-api-v2/trigger-events/
static int pagerduty(const struct integration *i, const char *key,
    const struct webhook_message *m, struct buf *body, struct buf *path)
{
    const struct webhook_alert *a = m->alerts;
    (void)path;
    buf_addc(body, '{');
    text_pair("routing_key", key, body);
    text_pair("event_action", text_fires(m) ? "trigger" : "resolve", body);
    buf_addf(body, ",\"dedup_key\":\"tocsin-%016" PRIx64 "\"", identity(m));
    if (text_fires(m)) {
        pair_cut("client", i->incident.client ? i->incident.client : "Tocsin", 255, body);
        text_pair("client_url",
            i->incident.client_url ? i->incident.client_url : m->external_url, body);
        buf_adds(body, ",\"payload\":{");
        summary(i, m, PAGERDUTY_SUMMARY_MAX, "summary", body);
        const char *source = i->incident.source ? i->incident.source : label(m, "instance");
        pair_cut("source", *source ? source : m->external_url, 255, body);
        text_pair("severity",
            i->incident.severity ? i->incident.severity : severity(label(m, "severity")), body);
        buf_adds(body, ",\"timestamp\":\"");
        webhook_time(a->starts_at_ms, body);
        buf_addc(body, '"');
        pair_if("component",
            i->incident.component ? i->incident.component : label(m, "service"), 255, body);
        pair_if("group", i->incident.group ? i->incident.group : label(m, "job"), 255, body);
        pair_if(
            "class", i->incident.class ? i->incident.class : label(m, "alertname"), 255, body);
        custom_details(i, a, body);
        buf_addc(body, '}');
        links(i, a->generator_url ? a->generator_url : m->external_url, body);
    }
    buf_addc(body, '}');
    return body->failed;
}

static void words(const char *name, const char *list, struct buf *out)
{
    buf_addf(out, ",\"%s\":[", name);
    for (const char *at = list; *at;) {
        at += strspn(at, ", ");
        size_t len = strcspn(at, ",");
        if (len && out->data[out->len - 1] != '[')
            buf_addc(out, ',');
        if (len)
            buf_add_json(out, at, len);
        at += len;
    }
    buf_addc(out, ']');
}

// https://docs.opsgenie.com/docs/alert-api
static int opsgenie(const struct integration *i, const char *key,
    const struct webhook_message *m, struct buf *body, struct buf *path)
{
    (void)key;
    buf_adds(path, "v2/alerts");
    buf_addc(body, '{');
    text_pair("source", i->incident.source ? i->incident.source : "Tocsin", body);
    if (!text_fires(m)) {
        buf_addf(path, "/tocsin-%016" PRIx64 "/close?identifierType=alias", identity(m));
        return buf_addc(body, '}');
    }
    buf_addf(body, ",\"alias\":\"tocsin-%016" PRIx64 "\"", identity(m));
    summary(i, m, OPSGENIE_MESSAGE_MAX, "message", body);
    struct buf piece;
    buf_init(&piece, 1u << 20);
    if (i->text)
        text_add(i->text, TEXT_PLAIN, OPSGENIE_TEXT_MAX, &piece);
    else
        text_alerts(m, TEXT_PLAIN, OPSGENIE_TEXT_MAX, &piece);
    text_pair("description", buf_cstr(&piece), body);
    buf_done(&piece);
    pair_if("entity", i->incident.entity ? i->incident.entity : label(m, "instance"),
        OPSGENIE_ENTITY_MAX, body);
    if (i->incident.priority)
        text_pair("priority", i->incident.priority, body);
    if (i->incident.tags)
        words("tags", i->incident.tags, body);
    if (i->incident.responders)
        buf_addf(body, ",\"responders\":%s", i->incident.responders);
    if (i->incident.note && *i->incident.note)
        pair_cut("note", i->incident.note, OPSGENIE_TEXT_MAX, body);
    if (i->incident.actions)
        words("actions", i->incident.actions, body);
    if (i->incident.details) {
        buf_addf(body, ",\"details\":%s}", i->incident.details);
        return body->failed;
    }
    buf_adds(body, ",\"details\":{");
    details(m->alerts[0].labels, body);
    buf_adds(body, "}}");
    return body->failed;
}

static const char *const LINK[] = {"href", "text", NULL};
static const char *const IMAGE[] = {"src", "href", "alt", "text", NULL};
static const struct receiver_field PAGERDUTY_FIELDS[] = {
    {"routing_key", NULL, RECEIVER_SECRET, offsetof(struct integration, key), true, NULL, NULL},
    {"url", "pagerduty_url", RECEIVER_URL, offsetof(struct integration, url), false, NULL,
        NULL},
    {"client", NULL, RECEIVER_TEXT, offsetof(struct integration, incident.client), false,
        "pagerduty.default.client", NULL},
    {"client_url", NULL, RECEIVER_TEXT, offsetof(struct integration, incident.client_url),
        false, "pagerduty.default.clientURL", NULL},
    {"description", NULL, RECEIVER_TEXT, offsetof(struct integration, title), false,
        "pagerduty.default.description", NULL},
    {"severity", NULL, RECEIVER_TEXT, offsetof(struct integration, incident.severity), false,
        NULL, NULL},
    {"source", NULL, RECEIVER_TEXT, offsetof(struct integration, incident.source), false, NULL,
        NULL},
    {"component", NULL, RECEIVER_TEXT, offsetof(struct integration, incident.component), false,
        NULL, NULL},
    {"group", NULL, RECEIVER_TEXT, offsetof(struct integration, incident.group), false, NULL,
        NULL},
    {"class", NULL, RECEIVER_TEXT, offsetof(struct integration, incident.class), false, NULL,
        NULL},
    {"details", NULL, RECEIVER_MAP, offsetof(struct integration, incident.details), false, NULL,
        NULL},
    {"links", NULL, RECEIVER_LIST, offsetof(struct integration, incident.links), false, NULL,
        LINK},
    {"images", NULL, RECEIVER_LIST, offsetof(struct integration, incident.images), false, NULL,
        IMAGE},
    {0},
};
static const char *const PAGERDUTY_NOT_YET[] = {"service_key", "service_key_file", NULL};

const struct receiver_kind RECEIVER_PAGERDUTY = {.name = "pagerduty",
    .key = "pagerduty_configs",
    .url = "https://events.pagerduty.com/v2/enqueue",
    .send_resolved = true,
    .one_alert = true,
    .fields = PAGERDUTY_FIELDS,
    .not_yet = PAGERDUTY_NOT_YET,
    .make = pagerduty};

static const struct receiver_field OPSGENIE_FIELDS[] = {
    {"api_key", "opsgenie_api_key", RECEIVER_SECRET, offsetof(struct integration, key), true,
        NULL, NULL},
    {"api_url", "opsgenie_api_url", RECEIVER_URL, offsetof(struct integration, url), false,
        NULL, NULL},
    {"message", NULL, RECEIVER_TEXT, offsetof(struct integration, title), false,
        "opsgenie.default.message", NULL},
    {"description", NULL, RECEIVER_TEXT, offsetof(struct integration, text), false,
        "opsgenie.default.description", NULL},
    {"source", NULL, RECEIVER_TEXT, offsetof(struct integration, incident.source), false,
        "opsgenie.default.source", NULL},
    {"tags", NULL, RECEIVER_TEXT, offsetof(struct integration, incident.tags), false, NULL,
        NULL},
    {"priority", NULL, RECEIVER_TEXT, offsetof(struct integration, incident.priority), false,
        NULL, NULL},
    {"entity", NULL, RECEIVER_TEXT, offsetof(struct integration, incident.entity), false, NULL,
        NULL},
    {"responders", NULL, RECEIVER_RESPONDERS, offsetof(struct integration, incident.responders),
        false, NULL, NULL},
    {"details", NULL, RECEIVER_MAP, offsetof(struct integration, incident.details), false, NULL,
        NULL},
    {"note", NULL, RECEIVER_TEXT, offsetof(struct integration, incident.note), false, NULL,
        NULL},
    {"actions", NULL, RECEIVER_TEXT, offsetof(struct integration, incident.actions), false,
        NULL, NULL},
    {0},
};
static const char *const OPSGENIE_NOT_YET[] = {"update_alerts", NULL};

const struct receiver_kind RECEIVER_OPSGENIE = {.name = "opsgenie",
    .key = "opsgenie_configs",
    .url = "https://api.opsgenie.com/",
    .auth = "GenieKey",
    .send_resolved = true,
    .one_alert = true,
    .fields = OPSGENIE_FIELDS,
    .not_yet = OPSGENIE_NOT_YET,
    .make = opsgenie};
