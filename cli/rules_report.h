// SPDX-License-Identifier: Apache-2.0
/*
 * What a check found, and how it is written: text for people, JSON for programs, SARIF 2.1.0 for
 * code hosts and editors. Columns count bytes in text and JSON, characters in SARIF.
 */
#pragma once
#include "base/buf.h"
#include "base/diag.h"
#include <stdbool.h>

struct checked_file {
    char *path;
    struct buf text;
    struct diags d; // sorted
    bool overrides, unread;
};
// A selector of the rules and how many series it has at the collector that was asked.
struct checked_selector {
    char *text; // canonical, without offset and @
    const char *path;
    int line, col;
    size_t series;
};
struct rules_report {
    struct checked_file *files;
    size_t n, cap;
    struct diags whole; // about all files together: no place
    struct checked_selector *selectors;
    size_t n_selectors, cap_selectors;
    const char *url; // of the collector; NULL: none was asked
    size_t groups, rules, errors, warnings;
};
enum rules_format { RULES_TEXT, RULES_JSON, RULES_SARIF };

void rules_report_print(
    const struct rules_report *r, enum rules_format format, struct buf *out);
