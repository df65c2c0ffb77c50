// SPDX-License-Identifier: Apache-2.0
/*
 * Alertmanager's webhook body, version 4, byte for byte the fields a receiver of Alertmanager
 * knows and no others. Pure: facts in, JSON out.
 *
 *     {"receiver","status","alerts":[{"status","labels","annotations","startsAt","endsAt",
 *      "generatorURL","fingerprint"}],"groupLabels","commonLabels","commonAnnotations",
 *      "externalURL","version":"4","groupKey","truncatedAlerts"}
 */
#pragma once
#include "base/buf.h"
#include "rules/labels.h"
#include <stdbool.h>
#include <stdint.h>

struct webhook_alert {
    const struct labels *labels, *annotations;
    bool firing;
    int64_t starts_at_ms, ends_at_ms; // ends_at only when resolved
    const char *generator_url;
    uint64_t fingerprint;
    // What Alertmanager's body has no place for. Times are 0 and text NULL when not known.
    double value;
    int64_t active_at_ms, cause_ms, decided_ms;
    const char *group, *file; // of the rule
    int line;
};
struct webhook_message {
    const char *receiver, *external_url, *group_key;
    const char *delivery_key;
    const struct labels *group_labels;
    const struct webhook_alert *alerts;
    size_t n;
    size_t max_alerts;        // 0 = all; the rest is counted in truncatedAlerts
    const char *fallback_for; // not in Alertmanager's body; NULL = in nobody's place
};
int webhook_body(const struct webhook_message *m, struct buf *out); // 0, -ENOMEM, -EMSGSIZE
// {}/{team="web"}:{alertname="X", service="web"}; route_key NULL = {}
int webhook_group_key(
    const char *route_key, const struct labels *group_labels, struct buf *out);
// Where the expression can be looked at: external_url/graph?g0.expr=...&g0.tab=1, as Prometheus.
int webhook_generator_url(const char *external_url, const char *expr, struct buf *out);
// "2026-11-25T04:20:01.123Z" without quotes.
int webhook_time(int64_t ms, struct buf *out);
