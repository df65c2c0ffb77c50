// SPDX-License-Identifier: Apache-2.0
/*
 * {{ ... }} in labels and annotations: the part of Go's text/template that rules use: $labels.x,
 * $value, .Labels/.Value, pipes, printf, humanize*, literals, if/else/end. Compiled at load, so that an unknown
 * function is an error with a place, not a surprise in a page. An error at run time gives
 * "<error expanding template: ...>" and the alert still fires, as in Prometheus.
 */
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "rules/labels.h"

struct template;
// err->col is the byte in text, 1-based. Lives in the arena.
struct template *template_parse(const char *text, size_t len, struct arena *a, struct err *err);
struct template_data {
    const struct labels *labels;
    double value;
    const char *external_url;
};
int template_expand(const struct template *t, const struct template_data *d, struct buf *out);
