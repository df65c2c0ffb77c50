// SPDX-License-Identifier: Apache-2.0
/*
 * Rule files from disk into one set: the built-in rules, then the files and folders of the config
 * in their order (a folder by name), overrides documents last. All or nothing: one mistake
 * anywhere and there is no set, and every mistake of every file is told.
 */
#pragma once
#include "base/buf.h"
#include "base/err.h"
#include "rules/file.h"

#define RULEFILES_MAX 4096 // files in all
// 0 and *ret, or -errno: `report` holds all mistakes as people read them (warnings also on success).
int rulefiles_read(
    const char *const *paths, size_t n, struct ruleset **ret, struct buf *report);
