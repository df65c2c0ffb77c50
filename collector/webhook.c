// SPDX-License-Identifier: Apache-2.0
#include "collector/webhook.h"
#include <inttypes.h>
#include <string.h>
#include <time.h>

static void add_string(const char *s, struct buf *out)
{
    buf_add_json(out, s, strlen(s));
}

int webhook_time(int64_t ms, struct buf *out)
{
    int64_t s = ms / 1000, rest = ms % 1000;
    if (rest < 0) {
        rest += 1000;
        s--;
    }
    time_t t = (time_t)s;
    struct tm tm;
    if (!gmtime_r(&t, &tm))
        return buf_adds(out, "0001-01-01T00:00:00Z");
    return buf_addf(out, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", tm.tm_year + 1900,
        tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (int)rest);
}

int webhook_group_key(const char *route_key, const struct labels *group_labels, struct buf *out)
{
    buf_addf(out, "%s:", route_key ? route_key : "{}");
    if (group_labels->n == 0)
        buf_adds(out, "{}");
    else
        labels_print(group_labels, out);
    return out->failed;
}

int webhook_generator_url(const char *external_url, const char *expr, struct buf *out)
{
    buf_addf(out, "%s/graph?g0.expr=", external_url);
    for (const char *c = expr; *c; c++) {
        unsigned char u = (unsigned char)*c;
        if ((u >= 'a' && u <= 'z') || (u >= 'A' && u <= 'Z') || (u >= '0' && u <= '9') ||
            strchr("-_.~", u))
            buf_addc(out, *c);
        else if (u == ' ')
            buf_addc(out, '+');
        else
            buf_addf(out, "%%%02X", u);
    }
    return buf_adds(out, "&g0.tab=1");
}

// Pairs that every alert has with the same value. `which` picks labels or annotations.
static void add_common(const struct webhook_message *m, bool annotations, struct buf *out)
{
    bool first = true;
    buf_addc(out, '{');
    const struct labels *base =
        m->n == 0 ? NULL : (annotations ? m->alerts[0].annotations : m->alerts[0].labels);
    for (size_t i = 0; base && i < base->n; i++) {
        const struct label *l = &base->l[i];
        bool common = true;
        for (size_t a = 1; a < m->n && common; a++) {
            const struct labels *other =
                annotations ? m->alerts[a].annotations : m->alerts[a].labels;
            common = strcmp(labels_get(other, l->name), l->value) == 0;
        }
        if (!common)
            continue;
        if (!first)
            buf_addc(out, ',');
        first = false;
        add_string(l->name, out);
        buf_addc(out, ':');
        add_string(l->value, out);
    }
    buf_addc(out, '}');
}

static void add_alert(const struct webhook_alert *a, struct buf *out)
{
    buf_addf(out, "{\"status\":\"%s\",\"labels\":", a->firing ? "firing" : "resolved");
    labels_json(a->labels, out);
    buf_adds(out, ",\"annotations\":");
    labels_json(a->annotations, out);
    buf_adds(out, ",\"startsAt\":\"");
    webhook_time(a->starts_at_ms, out);
    buf_adds(out, "\",\"endsAt\":\"");
    if (a->firing)
        buf_adds(out, "0001-01-01T00:00:00Z");
    else
        webhook_time(a->ends_at_ms, out);
    buf_adds(out, "\",\"generatorURL\":");
    add_string(a->generator_url ? a->generator_url : "", out);
    buf_addf(out, ",\"fingerprint\":\"%016" PRIx64 "\"}", a->fingerprint);
}

int webhook_body(const struct webhook_message *m, struct buf *out)
{
    bool firing = false;
    for (size_t i = 0; i < m->n; i++)
        firing = firing || m->alerts[i].firing;
    size_t shown = m->max_alerts && m->n > m->max_alerts ? m->max_alerts : m->n;

    buf_adds(out, "{\"receiver\":");
    add_string(m->receiver, out);
    buf_addf(out, ",\"status\":\"%s\",\"alerts\":[", firing ? "firing" : "resolved");
    for (size_t i = 0; i < shown; i++) {
        if (i)
            buf_addc(out, ',');
        add_alert(&m->alerts[i], out);
    }
    buf_adds(out, "],\"groupLabels\":");
    labels_json(m->group_labels, out);
    // Over all members, also those cut off: the receiver must not read more in common than there is.
    buf_adds(out, ",\"commonLabels\":");
    add_common(m, false, out);
    buf_adds(out, ",\"commonAnnotations\":");
    add_common(m, true, out);
    buf_adds(out, ",\"externalURL\":");
    add_string(m->external_url, out);
    buf_adds(out, ",\"version\":\"4\",\"groupKey\":");
    add_string(m->group_key, out);
    buf_addf(out, ",\"truncatedAlerts\":%zu}", m->n - shown);
    return out->failed;
}
