// SPDX-License-Identifier: Apache-2.0
/*
 * The selectors of the rules against what a collector has now: how many series each one has, and
 * where there are none whether the name, a label or a label's value is what does not exist.
 *
 * The range, `offset` and `@` of a selector are left out: a series counts when it had a sample in
 * the last five minutes. What the files themselves record is not asked for, since it is there only
 * once they are loaded.
 */
#pragma once
#include "base/err.h"
#include "cli/rules_report.h"
#include "cli/verb.h"
#include "rules/file.h"

#define LIVE_SELECTORS_MAX 5000 // asked for; more are left out, which a warning says

// Adds T210 to T212 to the files' diags and fills the report's selectors. CLI_YES, or what the
// collector could not answer, as client_get.
int rules_live(
    struct rules_report *r, const struct ruleset *set, const struct cli *c, struct err *err);
