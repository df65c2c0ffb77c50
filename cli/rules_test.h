// SPDX-License-Identifier: Apache-2.0
/*
 * `tocsin rules test FILE...`: runs unit tests of rules in promtool's format. This is the part that
 * reads files and tells what came out; the verdicts are rules/rule_test.h's.
 */
#pragma once
#include "cli/verb.h"

// The verb. Exit status: 0 all passed, 1 a test failed or a file is bad, 2 wrong usage.
int rules_test_main(const struct cli *c, const struct verb_args *a, struct err *err);
// Its options, in the order of verb_args.option.
extern const struct verb_option RULES_TEST_OPTIONS[];
