// SPDX-License-Identifier: Apache-2.0
#include "cli/hook_line.h"
#include "base/when.h"
#include "cli/client.h"
#include "cli/text.h"
#include <inttypes.h>
#include <string.h>

#define OTHER_MAX 200 // bytes shown of a body that is no alert

static void add_painted(
    struct buf *out, const struct hook_line_options *o, const char *escape, const char *text)
{
    if (o->color)
        buf_adds(out, escape);
    text_clean(text, out);
    if (o->color)
        buf_adds(out, "\033[0m");
}

static void add_json(const cJSON *alert, bool resolved, int64_t received_ms,
    const int64_t *from_ms, const int64_t *cause_ms, struct buf *out)
{
    static const char *const COPIED[] = {"labels", "annotations", "fingerprint"};
    const char *name =
        json_text(cJSON_GetObjectItemCaseSensitive(alert, "labels"), "alertname");
    buf_addf(out, "{\"received_ms\":%" PRId64 ",\"status\":\"%s\",\"alertname\":", received_ms,
        resolved ? "resolved" : "firing");
    buf_add_json(out, name, strlen(name));
    if (from_ms)
        buf_addf(out, ",\"delay_ms\":%" PRId64, received_ms - *from_ms);
    if (cause_ms)
        buf_addf(out, ",\"cause_delay_ms\":%" PRId64, received_ms - *cause_ms);
    for (size_t i = 0; i < sizeof(COPIED) / sizeof(COPIED[0]); i++) {
        const cJSON *v = cJSON_GetObjectItemCaseSensitive(alert, COPIED[i]);
        char *text = v ? cJSON_PrintUnformatted(v) : NULL;
        if (text)
            buf_addf(out, ",\"%s\":", COPIED[i]), buf_adds(out, text);
        cJSON_free(text);
    }
    buf_adds(out, "}\n");
}

static void add_text(const cJSON *alert, bool resolved, int64_t received_ms,
    const int64_t *from_ms, const int64_t *cause_ms, const struct hook_line_options *o,
    struct buf *out)
{
    static const char *const SKIP[] = {"alertname", "job", NULL};
    char clock[WHEN_TEXT_MAX];
    const cJSON *labels = cJSON_GetObjectItemCaseSensitive(alert, "labels");
    const char *summary =
        json_text(cJSON_GetObjectItemCaseSensitive(alert, "annotations"), "summary");
    struct buf set;
    buf_init(&set, 1u << 20);
    json_labels(labels, SKIP, &set);
    buf_addf(out, "%s ", when_clock(received_ms, clock));
    add_painted(
        out, o, resolved ? "\033[32m" : "\033[1;31m", resolved ? "resolved" : "firing  ");
    buf_addc(out, ' ');
    add_painted(out, o, "\033[1m", json_text(labels, "alertname"));
    buf_addc(out, ' ');
    text_clean(buf_cstr(&set), out);
    if (summary[0]) {
        buf_addc(out, ' ');
        text_clean(summary, out);
    }
    if (from_ms)
        buf_addf(out, "  %+" PRId64 " ms", received_ms - *from_ms);
    if (cause_ms)
        buf_addf(out, " (cause %+" PRId64 " ms)", received_ms - *cause_ms);
    buf_addc(out, '\n');
    buf_done(&set);
}

static void add_other(
    const char *body, size_t len, int64_t received_ms, bool json, struct buf *out)
{
    char clock[WHEN_TEXT_MAX];
    struct buf text;
    buf_init(&text, OTHER_MAX);
    buf_add(&text, body, len < OTHER_MAX ? len : OTHER_MAX);
    if (json) {
        buf_addf(out, "{\"received_ms\":%" PRId64 ",\"other\":", received_ms);
        buf_add_json(out, (const char *)text.data, text.len);
        buf_adds(out, "}\n");
    } else {
        buf_addf(
            out, "%s not an alert webhook (%zu bytes): ", when_clock(received_ms, clock), len);
        buf_addc(&text, '\0');
        text_clean(text.len ? buf_cstr(&text) : "", out);
        buf_addc(out, '\n');
    }
    buf_done(&text);
}

// The cause an alert names itself, else that of the message: of the members that changed, and what
// started or ended before it did not change by it.
static bool cause_of(const cJSON *alert, int64_t from_ms, int64_t message_ms, int64_t *ret_ms)
{
    if (when_parse(json_text(alert, "causeAt"), ret_ms) && *ret_ms)
        return true;
    *ret_ms = message_ms;
    return message_ms && from_ms >= message_ms;
}

int hook_line(const char *body, size_t len, int64_t received_ms, int64_t message_cause_ms,
    const struct hook_line_options *o, struct buf *out)
{
    cJSON *doc = cJSON_ParseWithLength(body, len);
    const cJSON *alerts = cJSON_GetObjectItemCaseSensitive(doc, "alerts"), *alert;
    if (!alerts)
        alerts = cJSON_GetObjectItemCaseSensitive(
            cJSON_GetObjectItemCaseSensitive(doc, "data"), "alerts");
    if (!cJSON_IsArray(alerts))
        add_other(body, len, received_ms, o->json, out);
    cJSON_ArrayForEach(alert, alerts)
    {
        bool resolved = strcmp(json_text(alert, "status"), "resolved") == 0;
        int64_t from_ms, cause_ms;
        bool has_from =
            when_parse(json_text(alert, resolved ? "endsAt" : "startsAt"), &from_ms) && from_ms;
        bool has_cause = cause_of(alert, has_from ? from_ms : 0, message_cause_ms, &cause_ms);
        const int64_t *from = has_from ? &from_ms : NULL, *cause = has_cause ? &cause_ms : NULL;
        if (o->json)
            add_json(alert, resolved, received_ms, from, cause, out);
        else
            add_text(alert, resolved, received_ms, from, cause, o, out);
    }
    cJSON_Delete(doc);
    return out->failed;
}
