// SPDX-License-Identifier: Apache-2.0
/*
 * What `rules test` tells while it runs: text (or JSON) as results come, and the same as JUnit XML
 * in memory, written at the end. Owns its buffers. Out of memory is remembered in failed_write.
 */
#pragma once
#include "base/buf.h"
#include "base/diag.h"
#include "cli/verb.h"
#include "rules/rule_test.h"

struct report {
    const struct cli *c;
    const char *file;
    size_t files, passed, failed, bad_files;
    bool bad;                // this file has mistakes
    struct buf junit, suite; // all, the cases of this file
    size_t suite_tests, suite_failed, suite_errors;
    bool comma; // JSON
    bool failed_write;
};
void report_init(struct report *r, const struct cli *c);
void report_done(struct report *r);
void report_file(struct report *r, const char *path);
// The mistakes of a text; errors_only: of a rule file, whose warnings are told by `rules check`.
void report_diags(struct report *r, const struct diags *d, const char *path, const char *text,
    size_t len, bool errors_only);
void report_test(void *report, const struct rule_test_result *t);
void report_file_end(struct report *r);
// Sums up, and writes the JUnit file when one is named. The exit status.
int report_end(struct report *r, const char *junit, const char *run, struct err *err);
