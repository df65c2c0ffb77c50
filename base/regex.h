// SPDX-License-Identifier: Apache-2.0
/*
 * RE2-syntax regular expressions in linear time: parser, NFA with a bounded program, Pike VM.
 * Our own because PCRE2 accepts what RE2 rejects and backtracks, and RE2 has no C interface.
 * Fast paths for literals, prefixes, suffixes, contains and alternations of them, which are three
 * quarters of the matchers people write. `.` matches newline, as in Prometheus 3.
 *
 * A regex belongs to one thread: matching uses scratch memory allocated with it, so that a match
 * itself cannot fail.
 */
#pragma once
#include "base/buf.h"
#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>

struct regex;
#define REGEX_PROGRAM_MAX 20000 // instructions; RE2 would refuse such a pattern too
#define REGEX_GROUPS_MAX  32
// NULL with err (col = byte of the pattern, 1-based). Free with regex_free.
struct regex *regex_new(const char *pattern, size_t len, struct err *err);
void regex_free(struct regex *re);
bool regex_full_match(const struct regex *re, const char *text, size_t len);
struct regex_span {
    int start, end; // bytes; -1 = group did not take part
};
// Full match with capture groups, [0] is the whole. Returns the number of groups, 0 = no match.
size_t regex_captures(
    const struct regex *re, const char *text, size_t len, struct regex_span *spans, size_t n);
// The leftmost match inside the text, not anchored, at or behind byte `from`. As regex_captures.
size_t regex_search(const struct regex *re, const char *text, size_t len, size_t from,
    struct regex_span *spans, size_t n);
// Go's Expand: $1, ${1}, $name, ${name} become what the group took (or nothing), $$ a dollar.
void regex_expand(const struct regex *re, const char *template, size_t template_len,
    const char *text, const struct regex_span *spans, size_t n, struct buf *out);
int regex_group_index(const struct regex *re, const char *name, size_t len); // -1
