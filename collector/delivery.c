// SPDX-License-Identifier: Apache-2.0
#include "collector/delivery.h"
#include "collector/api.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define TEXTS 6

// Puts text at *at, which moves on past its NUL, and returns where it stands.
static const char *put(char **at, const char *text, size_t len)
{
    char *to = *at;
    memcpy(to, text, len);
    to[len] = '\0';
    *at += len + 1;
    return to;
}

struct delivery *delivery_copy(const struct delivery *d)
{
    const char *text[TEXTS] = {d->lane, d->receiver, d->to, d->key, d->error, d->answer};
    size_t len[TEXTS];
    size_t named = d->n_alerts < DELIVERY_ALERTS_MAX ? d->n_alerts : DELIVERY_ALERTS_MAX;
    size_t body = d->body && d->body_len <= DELIVERY_BODY_MAX ? d->body_len : 0;
    size_t size = sizeof(*d) + named * sizeof(*d->alerts) + body + 1;
    for (size_t i = 0; i < TEXTS; i++) {
        text[i] = text[i] ? text[i] : "";
        len[i] = i == 5 ? strnlen(text[i], DELIVERY_ANSWER_MAX) : strlen(text[i]);
        size += len[i] + 1;
    }
    for (size_t i = 0; i < named; i++)
        size += strlen(d->alerts[i].name) + 1;
    struct delivery *c = malloc(size);
    if (!c)
        return NULL;
    struct delivery_alert *alerts = (struct delivery_alert *)(c + 1);
    char *at = (char *)(alerts + named);
    *c = *d;
    c->lane = put(&at, text[0], len[0]);
    c->receiver = put(&at, text[1], len[1]);
    c->to = put(&at, text[2], len[2]);
    c->key = put(&at, text[3], len[3]);
    c->error = put(&at, text[4], len[4]);
    c->answer = put(&at, text[5], len[5]);
    for (size_t i = 0; i < named; i++) {
        alerts[i] = d->alerts[i];
        alerts[i].name = put(&at, d->alerts[i].name, strlen(d->alerts[i].name));
    }
    c->alerts = alerts;
    c->n_alerts = named;
    c->body = body ? put(&at, d->body, body) : NULL;
    return c;
}

void delivery_json(const struct delivery *d, struct buf *b)
{
    buf_addf(b, "{\"id\":%" PRIu64 ",\"kind\":\"%s\",\"outcome\":\"%s\"", d->id,
        delivery_kind_name(d->kind), delivery_outcome_name(d->outcome));
    if (d->of)
        buf_addf(b, ",\"of\":%" PRIu64, d->of);
    api_text(b, "receiver", d->receiver);
    api_text(b, "lane", d->lane);
    api_text(b, "to", d->to);
    api_text(b, "key", d->key);
    buf_addf(b, ",\"status\":%d,\"tries\":%u", d->status, d->tries);
    api_when(b, "firstAt", d->first_ms);
    api_when(b, "lastAt", d->last_ms);
    buf_addf(b, ",\"tookMs\":%.3f", (double)d->took_us / 1000);
    api_when(b, "causeAt", d->cause_ms);
    api_when(b, "decidedAt", d->decided_ms);
    if (d->cause_ms && d->last_ms)
        buf_addf(b, ",\"causeToLastMs\":%" PRId64, d->last_ms - d->cause_ms);
    api_text(b, "error", d->error);
    api_text(b, "answer", d->answer);
    buf_addf(
        b, ",\"bodyBytes\":%zu,\"changed\":%zu,\"alerts\":[", d->body_len, d->alerts_total);
    for (size_t i = 0; i < d->n_alerts; i++) {
        const struct delivery_alert *a = &d->alerts[i];
        buf_addf(b, "%s{\"fingerprint\":\"%016" PRIx64 "\",\"status\":\"%s\"", i ? "," : "",
            a->fingerprint, a->resolved ? "resolved" : "firing");
        api_text(b, "alertname", a->name);
        buf_addc(b, '}');
    }
    buf_adds(b, "]}");
}

const char *delivery_kind_name(enum delivery_kind k)
{
    switch (k) {
    case DELIVERY_ALERT: return "alert";
    case DELIVERY_REPLAY: return "replay";
    case DELIVERY_TEST: return "test";
    }
    return "";
}

const char *delivery_outcome_name(enum delivery_outcome o)
{
    switch (o) {
    case DELIVERY_SENT: return "sent";
    case DELIVERY_RETRYING: return "retrying";
    case DELIVERY_FAILED: return "failed";
    }
    return "";
}
