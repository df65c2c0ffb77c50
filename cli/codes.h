// SPDX-License-Identifier: Apache-2.0
/*
 * Every code a check can print, with what it means: `tocsin explain CODE`, and the rules of a
 * SARIF report. A code once printed keeps its meaning; one that goes is never given to another.
 *
 * Examples are true: a test runs each through the check, which must print that code and no other
 * for `example`, and nothing at all for `fix`. An example without `groups:` or `overrides:` is the
 * expression of an alert; overrides stand beside an alert Down of a group web.
 */
#pragma once
#include "base/diag.h"
#include "cli/verb.h"

struct code {
    const char *code, *name; // T103, wrong-type
    enum diag_severity severity;
    const char *summary;       // one line, no full stop
    const char *text;          // why it matters, lines broken
    const char *example, *fix; // NULL: it does not depend on what is written
};
// All of them, in order; NULL past the end.
const struct code *code_at(size_t i);
const struct code *code_find(
    const char *code, size_t *ret_index); // any case; NULL; index may be NULL

int explain_main(const struct cli *c, const struct verb_args *a, struct err *err);

// An entry of a table.
#define ERROR(code_, name_, ...)                                                               \
    {                                                                                          \
        .code = code_, .name = name_, .severity = DIAG_ERROR, __VA_ARGS__                      \
    }
#define WARNING(code_, name_, ...)                                                             \
    {                                                                                          \
        .code = code_, .name = name_, .severity = DIAG_WARNING, __VA_ARGS__                    \
    }

// The tables, each ended by a NULL code.
extern const struct code CODES_FILE[], CODES_EXPR[], CODES_LINT[], CODES_LATER[],
    CODES_CONFIG[];
