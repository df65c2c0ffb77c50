// SPDX-License-Identifier: Apache-2.0
/*
 * What `rules fmt` would change as a unified diff, as `diff -u` prints it and `patch` takes it. Where
 * the two texts differ is known, so no lines need to be searched for.
 */
#pragma once
#include "rules/print_file.h"
#include <stdio.h>

// Prints nothing when nothing changed. False: out of memory.
bool rules_diff_print(const char *name, const char *old, size_t old_len, const char *new,
    size_t new_len, const struct rules_format *f, bool color, FILE *out);
