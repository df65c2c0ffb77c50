// SPDX-License-Identifier: Apache-2.0
/*
 * `tocsin rules check PATH...`: reads rule files, folders of them and overrides documents, shows
 * every mistake and every warning of meaning at its place, and says in its exit status whether
 * they may be loaded. With --against it also asks a collector which series there are now.
 *
 * Exit status: 0 clean or only warnings, 1 mistakes (or warnings with --strict), 2 wrong usage,
 * 3 and 4 as every verb that asks a collector.
 */
#pragma once
#include "base/buf.h"
#include "cli/rules_report.h"
#include "cli/verb.h"

struct rules_check_options {
    enum rules_format format;
    bool strict;               // warnings fail too
    int64_t sampling_ms;       // 0: RULES_SAMPLING_MS
    const struct cli *against; // the collector to ask; NULL = none
};
#define RULES_SAMPLING_MS 1000 // what agents do when they are not told otherwise

// Checks the files and folders (*.yaml and *.yml of them, sorted) and appends the report.
int rules_check(const char *const *paths, size_t n, const struct rules_check_options *o,
    struct buf *out, struct err *err);
int rules_check_main(const struct cli *c, const struct verb_args *a, struct err *err);
