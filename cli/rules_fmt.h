// SPDX-License-Identifier: Apache-2.0
/*
 * `tocsin rules fmt FILE...`: lays the expressions of rule files out (rules/print_file.h) and prints the
 * files, or what would change, or writes them back: to a file beside it that then takes the name, so
 * that nobody ever reads half a file.
 */
#pragma once
#include "cli/verb.h"

// The verb. Exit status: 0 done, 1 a file has mistakes, cannot be written or, with --check, would
// change; 2 wrong usage.
int rules_fmt_main(const struct cli *c, const struct verb_args *a, struct err *err);
extern const struct verb_option RULES_FMT_OPTIONS[];
