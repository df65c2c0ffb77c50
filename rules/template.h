// SPDX-License-Identifier: Apache-2.0
/*
 * {{ ... }} in labels and annotations: the part of Go's text/template that rules use. Compiled at
 * load, so that an unknown function is an error with a place, not a surprise in a page.
 *
 *   $labels.x $labels $value $externalURL $externalLabels .Labels .Value .ExternalURL
 *   "text" `text` 1.5 true nil  pipes, parentheses, {{- trim -}}, comments
 *   if / else if / else / end, with / else / end
 *   printf print println len eq ne lt le gt ge and or not
 *   humanize humanize1024 humanizeDuration humanizePercentage humanizeTimestamp
 *   title toUpper toLower match reReplaceAll stripPort stripDomain
 *
 * What exists in Prometheus but not here (query, range, define, ...) is refused with the words
 * "not supported yet". An error at run time gives "<error expanding template: ...>" and the alert
 * still fires, as in Prometheus.
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
struct template_data {
    const struct labels *labels;
    double value;
    const char *external_url;             // NULL = ""
    const struct labels *external_labels; // NULL = none
};
// Appends to out. 0; -EINVAL after a run-time error, which then stands in out as the text above;
// -ENOMEM, -EMSGSIZE of out.
int template_expand(const struct template *t, const struct template_data *d, struct buf *out);
