// SPDX-License-Identifier: Apache-2.0
/*
 * A rule file with its expressions laid out (rules/print.h). Only the bytes of `expr` values change; key
 * order, comments, quotes and blanks of everything else stay. An expression that becomes several
 * lines stands in a literal block:
 *
 *     expr: "sum(a) / sum(b) ..."  # why      ->      expr: | # why
 *     for: 5m                                           sum(a)
 *                                                       / sum(b)
 *                                                     for: 5m
 *
 * Nothing is taken on trust: what was made is read again, and unless every other value is the same
 * text and every expression the same tree, the file is refused (a fault of ours, then).
 *
 * Groups are looked for at the top and under `spec`, where PrometheusRule objects have them.
 */
#pragma once
#include "base/diag.h"

#define RULES_FORMAT_MAX (16u << 20)

// Bytes [from, to) of the file that became [new_from, new_to) of what was made.
struct rules_edit {
    size_t from, to, new_from, new_to;
};
struct rules_format {
    size_t expressions, left_alone;
    struct rules_edit *edits; // by place; rules_format_done frees them
    size_t n_edits;
};
// Appends the whole file to out. 0; -EINVAL when it has mistakes or was refused, all told in d (out
// holds nothing new then); -ENOMEM. Warnings in d are expressions that were left as they are.
int rules_format(
    const char *text, size_t len, struct buf *out, struct rules_format *ret, struct diags *d);
void rules_format_done(struct rules_format *f);
