// SPDX-License-Identifier: Apache-2.0
/*
 * `tocsin rules explain FILE...`: what each rule becomes and costs (rules/explain.h), how soon it
 * tells, and with --against what a collector says of it now.
 */
#pragma once
#include "cli/verb.h"

// The verb. Exit status: 0 explained, 1 a file has mistakes or no rule has the name, 2 wrong usage,
// 3 and 4 as every verb that asks a collector.
int rules_explain_main(const struct cli *c, const struct verb_args *a, struct err *err);
extern const struct verb_option RULES_EXPLAIN_OPTIONS[];
