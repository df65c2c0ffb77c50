// SPDX-License-Identifier: Apache-2.0
/*
 * PromQL laid out for people, as `tocsin rules fmt` writes it: one line while it fits, otherwise
 * broken at operators and arguments.
 *
 *     sum by (service) (rate(http_requests_total{code=~"5.."}[5m]))
 *         / sum by (service) (rate(http_requests_total[5m]))
 *       > 0.05
 *     and on (service)
 *     service:requests:rate5m > 10
 *
 * An operator begins a line; the tighter it binds, the deeper it stands, so that the picture is the
 * tree. The first line is never indented: a YAML block needs no indentation indicator. Only blanks and
 * line breaks change, `by (...)` moves in front, keywords become small, trailing commas and empty
 * braces go: numbers, durations, strings and the order of matchers stay as they were written.
 *
 * A comment keeps its line, or its place behind what stands before it. Where a comment stands in
 * a selector or in the labels of by and on, no line can be broken for it: that is refused.
 */
#pragma once
#include "base/err.h"
#include "rules/ast.h"

#define PRETTY_WIDTH 80

// Appends the layout, lines separated by \n, none at the end. The number of comments in it; -EINVAL
// with err (col = byte, 1-based) where a comment cannot be kept; -ENOMEM; -EMSGSIZE of out.
int expr_pretty(const struct expr_root *x, struct buf *out, struct err *err);
// The same tree, wherever it stands in its text.
bool expr_equal(const struct expr *a, const struct expr *b);
