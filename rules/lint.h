// SPDX-License-Identifier: Apache-2.0
/*
 * Warnings of meaning about rules that load: codes T205 to T224 (cli/codes.c explains each). Only
 * what is very likely a mistake is told, since a check that cries wolf gets turned off; see
 * rules/site.h for the comment that silences one.
 *
 * One lint looks at all files of a set, so that a rate over what another file records as a sum is
 * seen. It borrows the set, which must live longer and not be overridden before the last file.
 */
#pragma once
#include "rules/file.h"

struct lint;
struct lint_options {
    int64_t sampling_ms; // how often samples come, for ranges that hold too few
};
struct lint *lint_new(const struct ruleset *s, const struct lint_options *o); // NULL: no memory
void lint_free(struct lint *l);
// Adds the warnings about one file of the set, in no order. 0, -ENOMEM.
int lint_file(struct lint *l, const char *file, const char *text, size_t len, struct diags *d);
