// SPDX-License-Identifier: Apache-2.0
// Webhooks: Alertmanager's body (webhook.h), or `format: standard`, which says more:
//
//     {"type":"alert.firing","timestamp":"...","data":{...}}
//
// or `format: template`, in which `body` says what is sent.
//
// data has Alertmanager's fields, and per alert its value, where its rule stands, when its expression
// became true and which sample made it change.
#include "base/num.h"
#include "collector/receiver.h"
#include "collector/receiver_text.h"
#include <inttypes.h>

static void add_time(const char *name, int64_t ms, struct buf *out)
{
    buf_addf(out, ",\"%s\":", name);
    if (!ms) {
        buf_adds(out, "null");
        return;
    }
    buf_addc(out, '"');
    webhook_time(ms, out);
    buf_addc(out, '"');
}

static void add_alert(const struct webhook_alert *a, struct buf *out)
{
    char value[NUM_TEXT_MAX];
    size_t n = num_short(a->value, value);
    buf_addf(out, "{\"status\":\"%s\"", a->firing ? "firing" : "resolved");
    buf_addf(out, ",\"fingerprint\":\"%016" PRIx64 "\",\"labels\":", a->fingerprint);
    labels_json(a->labels, out);
    buf_adds(out, ",\"annotations\":");
    labels_json(a->annotations, out);
    add_time("startsAt", a->starts_at_ms, out);
    add_time("endsAt", a->firing ? 0 : a->ends_at_ms, out);
    add_time("activeAt", a->active_at_ms, out);
    add_time("causeAt", a->cause_ms, out);
    add_time("detectedAt", a->decided_ms, out);
    // NaN and Inf are no numbers in JSON; the API writes values as text too.
    buf_addf(out, ",\"value\":\"%.*s\"", (int)n, value);
    text_pair("generatorURL", a->generator_url ? a->generator_url : "", out);
    text_pair("ruleGroup", a->group ? a->group : "", out);
    text_pair("ruleFile", a->file ? a->file : "", out);
    buf_addf(out, ",\"ruleLine\":%d}", a->line);
}

static int standard(const struct webhook_message *m, struct buf *out)
{
    int64_t newest = 0;
    size_t shown = m->max_alerts && m->n > m->max_alerts ? m->max_alerts : m->n;
    const char *status = text_fires(m) ? "firing" : "resolved";
    for (size_t i = 0; i < m->n; i++)
        newest = m->alerts[i].decided_ms > newest ? m->alerts[i].decided_ms : newest;
    buf_addf(out, "{\"type\":\"alert.%s\"", status);
    add_time("timestamp", newest, out);
    buf_adds(out, ",\"data\":{");
    text_pair("status", status, out);
    text_pair("receiver", m->receiver, out);
    text_pair("externalURL", m->external_url, out);
    text_pair("groupKey", m->group_key, out);
    if (m->fallback_for)
        text_pair("fallbackFor", m->fallback_for, out);
    buf_adds(out, ",\"groupLabels\":");
    labels_json(m->group_labels, out);
    buf_addf(out, ",\"truncatedAlerts\":%zu,\"alerts\":[", m->n - shown);
    for (size_t i = 0; i < shown; i++) {
        if (i)
            buf_addc(out, ',');
        add_alert(&m->alerts[i], out);
    }
    return buf_adds(out, "]}}");
}

static int make(const struct integration *i, const char *key, const struct webhook_message *m,
    struct buf *body, struct buf *path)
{
    (void)key;
    (void)path;
    if (i->body)
        return buf_adds(body, i->body);
    return i->standard ? standard(m, body) : webhook_body(m, body);
}

static const struct receiver_field FIELDS[] = {
    {"url", NULL, RECEIVER_URL, offsetof(struct integration, url), true, NULL, NULL},
    {"format", NULL, RECEIVER_FORMAT, offsetof(struct integration, standard), false, NULL,
        NULL},
    {"body", NULL, RECEIVER_BODY, offsetof(struct integration, body), false, NULL, NULL},
    {0},
};
static const char *const NOT_YET[] = {"payload", NULL};

const struct receiver_kind RECEIVER_WEBHOOK = {.name = "webhook",
    .key = "webhook_configs",
    .send_resolved = true,
    .fields = FIELDS,
    .not_yet = NOT_YET,
    .make = make};
