// SPDX-License-Identifier: Apache-2.0
/*
 * {{ ... }} in labels and annotations: the part of Go's text/template that rules use. Compiled at
 * load, so that an unknown function is an error with a place, not a surprise in a page.
 *
 *   $labels.x $labels $value $externalURL $externalLabels .Labels .Value .ExternalURL
 *   "text" `text` 1.5 true nil  pipes, parentheses, {{- trim -}}, comments, $x := and $x =
 *   if / else if / else / end, with, range / break / continue, define, template, block
 *   printf print println len index slice eq ne lt le gt ge and or not
 *   humanize humanize1024 humanizeDuration humanizePercentage humanizeTimestamp
 *   title toUpper toLower match reReplaceAll stripPort stripDomain parseDuration
 *   query first label value strvalue sortByLabel args safeHtml
 *   externalURL pathPrefix graphLink tableLink html urlquery
 *
 * What exists in Prometheus but not here (call, js, toTime, ...) is refused with the words "not
 * supported yet". Messages have a dialect of their own: template_set.h. An error at run time gives "<error expanding template: ...>" and the alert still
 * fires, as in Prometheus.
 */
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "rules/labels.h"

#define TEMPLATE_NEST_MAX 50

struct template;
// NULL with err: col is the byte in text, 1-based; 0 = no memory. Lives in the arena.
struct template *template_parse(const char *text, size_t len, struct arena *a, struct err *err);
// $value or .Value stands somewhere in it.
bool template_uses_value(const struct template *t);
// Every $labels.x and .Labels.x in it, last one first: the name and its byte in the text.
struct template_label {
    const char *name;
    size_t at;
    struct template_label *next;
};
const struct template_label *template_labels(const struct template *t);
// What fails whenever it is expanded, as it does in Prometheus, which loads it all the same.
struct template_doubt {
    const char *msg;
    size_t at;
    struct template_doubt *next;
};
const struct template_doubt *template_doubts(const struct template *t);
// There is nothing to expand: the text is its own result.
bool template_is_plain(const struct template *t);
// It asks queries, whose results may be others while the alert's value is the same.
bool template_uses_query(const struct template *t);
struct template_sample {
    struct labels labels;
    double value;
};
// Answers query "EXPR" at the instant the alert is evaluated; results go into the arena. 0; -EINVAL
// with err; -ENOMEM.
typedef int template_query_fn(void *ctx, const char *expr, size_t len, struct arena *a,
    struct template_sample **ret, size_t *ret_n, struct err *err);
// A message of alerts, as Alertmanager shows it to templates: template_set.h.
struct template_alert {
    const char *status; // "firing" or "resolved"
    const struct labels *labels, *annotations;
    int64_t starts_at_ms, ends_at_ms; // TEMPLATE_NO_TIME while it fires
    const char *generator_url, *fingerprint;
};
#define TEMPLATE_NO_TIME (-62135596800000LL) // Go's zero time: the year 1
struct template_message {
    const char *receiver, *status, *external_url;
    const struct template_alert *alerts;
    size_t n;
    const struct labels *group_labels, *common_labels, *common_annotations;
};
// How far local time of the zone is ahead of UTC at at_ms. False: there is no such zone.
typedef bool template_zone_fn(
    void *ctx, const char *name, int64_t at_ms, int32_t *ret_offset_s);
struct template_data {
    const struct labels *labels;
    double value;
    const char *external_url;             // NULL = ""
    const struct labels *external_labels; // NULL = none
    template_query_fn *query;             // NULL: queries fail
    void *query_ctx;
    const struct template_message *message; // of a message, which needs none of the above
    int64_t now_ms;                         // what `since` counts to
    template_zone_fn *zone;                 // NULL: UTC only
    void *zone_ctx;
};
// Appends to out. 0; -EINVAL after a run-time error, which then stands in out as the text above;
// -ENOMEM, -EMSGSIZE of out.
int template_expand(const struct template *t, const struct template_data *d, struct buf *out);
