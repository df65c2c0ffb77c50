// SPDX-License-Identifier: Apache-2.0
/*
 * `tocsin rules check FILE...`: reads rule files, folders of them and overrides documents, shows
 * every mistake at its place, and says in its exit status whether they may be loaded.
 */
#pragma once
#include "base/buf.h"
#include <stdbool.h>
#include <stddef.h>

struct rules_check_options {
    bool json;
    bool strict; // warnings fail too
};
// Checks the files and folders (*.yaml and *.yml of them, sorted) and appends what there is to
// say. 0 clean, 1 problems, 2 out of memory.
int rules_check(
    const char *const *paths, size_t n, const struct rules_check_options *o, struct buf *out);
// argv[0] is the word `check`. Prints to stdout, wrong usage to stderr. Exit status: 0 clean,
// 1 problems, 2 wrong usage.
int rules_check_main(int argc, char **argv);
